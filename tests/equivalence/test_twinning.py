"""Twins in tied blocks are the places whose exchange changes nothing, by trying every exchange with every sign."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fnequiv.equivalence.twinning import numbered_twins
from fnequiv.symmetry import Axis, Block, SymmetrySpec


def exchangeable(arrays, blocks, i, j):
    """Whether some signs let the units of places i and j change seats in all of ``blocks`` and alter no entry."""
    free = [(block.name, unit) for block in blocks if block.kind == "signed" for unit in (i, j)]
    for signs in itertools.product((1.0, -1.0), repeat=len(free)):
        sign_of = dict(zip(free, signs, strict=True))
        moved = dict(arrays)
        for block in blocks:
            order = np.arange(block.size)
            order[[i, j]] = order[[j, i]]
            signed = np.array([sign_of.get((block.name, unit), 1.0) for unit in range(block.size)])
            for axis in block.axes:
                turned = np.moveaxis(moved[axis.tensor], axis.axis, -1)
                runs = turned.reshape(*turned.shape[:-1], block.size, axis.repeat)[..., order, :]
                if axis.role == "in" or (axis.role == "out" and not block.even):
                    runs = runs * signed[:, None]
                moved[axis.tensor] = np.moveaxis(runs.reshape(turned.shape), -1, axis.axis)
        if all(np.array_equal(moved[name], arrays[name]) for name in arrays):
            return True
    return False


def together(classes):
    return {pair for group in classes for pair in itertools.combinations(sorted(group.tolist()), 2)}


ROLES = ("in", "out", "carry")
LEVELS = ((0.0, 1.0), (1.0, -1.0), (0.0, 1.0, -1.0), (-0.0, 0.0, 2.0), (1.0, 2.0))


class Drawn:
    """A network with tied blocks, and one beside them, drawn from a seed.

    Places are of two types; those of a type are copies, up to the signs of units. Then some entry may be negated.
    """

    def __init__(self, seed):
        self.rng, self.double = np.random.default_rng(seed), False
        self.size = int(self.rng.integers(2, 5))
        self.types = self.rng.integers(2, size=self.size)
        self.names = [f"b{k}" for k in range(self.rng.integers(2, 5))]
        self.kinds = {name: self.pick(["signed", "signed", "permutation"]) for name in self.names}
        self.even = {name: bool(self.rng.integers(2)) for name in self.names}
        self.signs = {name: self.rng.choice([1.0, -1.0], size=self.size) for name in self.names}
        self.axes, self.arrays = {name: [] for name in (*self.names, "other")}, {}
        for k in range(1, len(self.names)):  # a tree of ties
            self.keep(f"tie{k}", np.eye(self.size), [(self.pick(self.names[:k]), "carry", 1), (f"b{k}", "carry", 1)])
        for k in range(self.rng.integers(1, 6)):
            self.weight(f"w{k}", self.pick(["rows", "rows", "rows", "diagonal", "full", "beside", "empty"]))
        if self.rng.integers(2):
            entries = self.arrays[list(self.arrays)[-1]].reshape(-1)
            for place in np.flatnonzero(entries)[: self.rng.integers(1, 3)]:
                entries[place] *= self.rng.choice([-1.0, 3.0])

    def pick(self, options):
        return options[self.rng.integers(len(options))]

    def keep(self, name, array, owners):
        self.arrays[name] = np.ascontiguousarray(array)
        for axis, (block, role, repeat) in enumerate(owners):
            if block is not None:
                self.axes[block].append(Axis(name, axis, role, repeat))

    def signed(self, block, role):
        flips = self.kinds[block] == "signed" and (role == "in" or (role == "out" and not self.even[block]))
        return self.signs[block] if flips else np.ones(self.size)

    def weight(self, name, form):
        """Draw a tensor: rows of one tied block, of two of them, or of one and of a block that is not tied."""
        own, role = self.pick(self.names), self.pick(ROLES)
        other, another = self.pick([each for each in self.names if each != own]), self.pick(ROLES)
        mine, its, unowned = self.signed(own, role), self.signed(other, another), (None, "", 1)
        if form == "rows":
            repeat, width = (int(n) for n in self.rng.integers(1, 4, size=2))
            rows = self.levels(2, repeat, width)[self.types] * mine[:, None, None]
            array, owners = rows.reshape(-1, width), [(own, role, repeat), unowned]
            turned = self.rng.integers(2)
            self.keep(name, array.T if turned else array, owners[::-1] if turned else owners)
        elif form == "diagonal":
            array = np.zeros((self.size, 2, self.size))
            entries = self.levels(2, 2)[self.types] * (mine * its)[:, None]
            array[np.arange(self.size), :, np.arange(self.size)] = entries
            self.keep(name, array, [(own, role, 1), unowned, (other, another, 1)])
        elif form == "full":
            array = self.levels(2, 2)[self.types][:, self.types] * np.outer(mine, its)
            self.double |= np.count_nonzero(array) != np.count_nonzero(array.diagonal())
            self.keep(name, array, [(own, role, 1), (other, another, 1)])
        elif form == "beside":
            self.keep(name, self.levels(2, 2)[:, self.types] * mine, [("other", "in", 1), (own, role, 1)])
        else:
            self.keep(name, np.zeros((self.size, 0)), [(own, role, 1), unowned])

    def levels(self, *shape):
        return self.rng.choice(self.pick(LEVELS), size=shape)

    def spec(self):
        tied = [
            Block(name, self.size, self.kinds[name], tuple(self.axes[name]), even=self.even[name])
            for name in self.names
        ]
        blocks = (*tied, Block("other", 2, "permutation", tuple(self.axes["other"])))
        return SymmetrySpec(blocks, {name: array.shape for name, array in self.arrays.items()})


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
@example(0)
def test_twins_are_the_places_that_may_change_seats(seed):
    drawn = Drawn(seed)
    spec = drawn.spec()
    tied = [spec.block(name) for name in drawn.names]
    _, _, twins = numbered_twins(drawn.arrays, spec)
    assert set(twins) <= set(drawn.names)
    assert all(together(twins.get(name, [])) == together(twins.get(drawn.names[0], [])) for name in drawn.names)
    found = together(twins.get(drawn.names[0], []))
    wanted = {pair for pair in itertools.combinations(range(drawn.size), 2) if exchangeable(drawn.arrays, tied, *pair)}
    if drawn.double:  # a full matrix between tied blocks: what is found holds, but a row may answer to a column
        assert found <= wanted
    else:
        assert found == wanted


def line(tie=None, *, sizes=(3, 3), kind="permutation", roles=("carry", "carry")):
    """Two blocks, of which each owns a vector, and what may tie them."""
    tie = np.eye(3) if tie is None else tie
    blocks = tuple(
        Block(name, size, kind, (Axis(vector, 0, "in"), Axis("tie", axis, role)))
        for axis, (name, vector, size, role) in enumerate(zip("fs", "wv", sizes, roles, strict=True))
    )
    shapes = {"w": (sizes[0],), "v": (sizes[1],), "tie": tie.shape}
    return SymmetrySpec(blocks, shapes), {"w": np.ones(sizes[0]), "v": np.ones(sizes[1]), "tie": tie}


@pytest.mark.parametrize(
    ("tie", "changes"),
    [
        (np.eye(3)[[1, 0, 2]], {}),  # ties place 0 to place 1
        (np.ones((3, 3)), {}),
        (np.diag([1.0, 1.0, 2.0]), {}),
        (np.diag([1.0, 1.0, 0.0]), {}),
        (2 * np.eye(3), {}),
        (np.eye(3, 4), {"sizes": (3, 4)}),
        (np.eye(3)[:, :, None], {}),
        (np.eye(3), {"roles": ("in", "carry")}),
        (np.eye(3), {"roles": ("carry", "out")}),
    ],
)
def test_blocks_that_no_identity_ties_are_left_alone(tie, changes):
    spec, arrays = line(tie, **changes)
    after, grown, twins = numbered_twins(arrays, spec)
    assert after is arrays
    assert grown is spec
    assert twins == {}


def repeated():
    """A diagonal of ones in a matrix whose rows come in runs of two for each place."""
    return [("f", 0, "in", 2), ("s", 1, "out", 1)], np.eye(6, 3)


def threefold():
    """Ones on the diagonal of two axes, and all of them before the first place of a third."""
    array = np.zeros((3, 3, 3))
    array[range(3), range(3), 0] = 1
    return [("f", 0, "in", 1), ("s", 1, "out", 1), ("t", 2, "out", 1)], array


def own_signs_twice():
    """A diagonal that one block owns on both axes: the signs of a unit cancel."""
    return [("f", 0, "in", 1), ("f", 1, "out", 1)], np.diag([1.0, -1.0, 1.0])


@pytest.mark.parametrize(
    ("case", "found", "twins"),
    [(repeated, set(), set()), (threefold, set(), {(1, 2)}), (own_signs_twice, {(0, 2)}, {(0, 2)})],
)
def test_diagonals_that_are_none_between_two_tied_blocks(case, found, twins):
    owners, array = case()
    axes = {"f": [Axis(f"tie{k}", 0, "carry") for k in (0, 1)]}
    axes |= {name: [Axis(f"tie{k}", 1, "carry")] for k, name in enumerate("st")}
    for name, axis, role, repeat in owners:
        axes[name].append(Axis("w", axis, role, repeat))
    blocks = tuple(Block(name, 3, "signed", tuple(own)) for name, own in axes.items())
    arrays = {"tie0": np.eye(3), "tie1": np.eye(3), "w": array}
    spec = SymmetrySpec(blocks, {name: each.shape for name, each in arrays.items()})
    assert together(numbered_twins(arrays, spec)[2].get("f", [])) == found
    assert {pair for pair in itertools.combinations(range(3), 2) if exchangeable(arrays, blocks, *pair)} == twins


def test_tied_blocks_without_twins_are_left_alone():
    spec, arrays = line()
    arrays["w"][:] = 1.0, 2.0, 3.0
    after, grown, twins = numbered_twins(arrays, spec)
    assert after is arrays
    assert grown is spec
    assert twins == {}


def test_two_sets_of_tied_blocks_are_looked_at_apart():
    one, ones = line()
    blocks = [
        Block(f"{block.name}{n}", 3, "permutation", tuple(Axis(f"{a.tensor}{n}", a.axis, a.role) for a in block.axes))
        for n in (1, 2)
        for block in one.blocks
    ]
    spec = SymmetrySpec(tuple(blocks), {f"{name}{n}": shape for n in (1, 2) for name, shape in one.shapes.items()})
    arrays = {f"{name}{n}": array.copy() for n in (1, 2) for name, array in ones.items()}
    arrays["w1"][0], arrays["v2"][2] = 7.0, 7.0
    after, grown, twins = numbered_twins(arrays, spec)
    assert {name: [group.tolist() for group in groups] for name, groups in twins.items()} == {
        **{key: [[1, 2]] for key in ("f1", "s1")},
        **{key: [[0, 1]] for key in ("f2", "s2")},
    }
    assert {name: after[name].tolist() for name in after.keys() - arrays.keys()} == {
        "twins of f1": [0, 0, 1],
        "twins of f2": [0, 1, 0],
    }
    assert grown.shapes == {**spec.shapes, "twins of f1": (3,), "twins of f2": (3,)}
    for block in spec.blocks:
        more = (Axis(f"twins of {block.name}", 0, "carry"),) if block.name[0] == "f" else ()
        assert grown.block(block.name).axes == (*block.axes, *more)


def test_each_class_of_twins_is_numbered_from_zero_under_a_name_that_is_free():
    vector = np.array([5, 1, 5, 2, 1, 5], dtype=np.float32)
    axes = ((Axis("w", 0, "in"), Axis("tie", 0, "carry"), Axis("twins of f", 0, "in")), (Axis("tie", 1, "carry"),))
    blocks = tuple(Block(name, 6, "signed", own) for name, own in zip("fs", axes, strict=True))
    spec = SymmetrySpec(blocks, {"w": (6,), "tie": (6, 6), "twins of f": (6,)})
    arrays = {"w": vector, "tie": np.eye(6, dtype=np.float32), "twins of f": np.ones(6, dtype=np.float32)}
    before = {name: array.copy() for name, array in arrays.items()}
    after, grown, twins = numbered_twins(arrays, spec)
    assert after["twins of f'"].tolist() == [0, 0, 1, 0, 1, 2]
    assert after["twins of f'"].dtype == np.float32
    assert sorted(group.tolist() for group in twins["s"]) == [[0, 2, 5], [1, 4]]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert set(arrays) == set(before)
    assert grown.block("s") == spec.block("s")
