"""A network read part by part and row by row is the network read whole, and takes no more memory than a part."""

import tracemalloc
import weakref

import numpy as np
import pytest
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.axes import moving
from fnequiv.equivalence.checking import compare
from fnequiv.equivalence.pairing import pair
from fnequiv.equivalence.piecewise import moved_parts, parts, relative_difference
from fnequiv.equivalence.unitrows import Divided, Joined, Part, Whole, peaks_of, pieces
from fnequiv.symmetry import Axis, Block


def test_parts_cover_every_tensor_once_and_hold_whole_ways_in(zoo_spec):
    spec = moving(zoo_spec)
    found = parts(spec)
    assert sorted(name for part in found for name in part.shapes) == sorted(spec.shapes)
    for block in spec.blocks:
        ways_in = {axis.tensor for axis in block.axes if axis.role == "in"}
        assert sum(bool(ways_in & set(part.shapes)) for part in found) == 1


@pytest.mark.parametrize("spread", [1.0, 100.0])
def test_parts_move_as_the_whole_does(zoo_spec, networks, spread):
    spec = moving(zoo_spec)
    theta = {name: tensor for name, tensor in networks(zoo_spec, 3, dtype=torch.float32).items() if name in spec.shapes}
    g = sample(spec, np.random.default_rng(4), spread=spread)
    whole = apply(theta, spec, g)
    moved = dict(moved_parts(theta, spec, g))
    assert moved.keys() == whole.keys()
    assert all(torch.equal(moved[name], whole[name]) for name in whole)
    whole = apply({name: tensor.double() for name, tensor in theta.items()}, spec, g)
    moved = dict(moved_parts(theta, spec, g, torch.float64))
    assert all(torch.equal(moved[name], whole[name]) for name in whole)


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_a_tensor_is_let_go_before_the_next_one_comes(networks, dtype):
    spec = mlp.spec((3, 4, 4, 2), "relu")
    theta, gone = networks(spec, 0, dtype=torch.float32), []
    for _, tensor in moved_parts(theta, spec, sample(spec, np.random.default_rng(0)), dtype):
        assert all(earlier() is None for earlier in gone)
        gone.append(weakref.ref(tensor))
        del tensor
    assert len(gone) == len(theta)


def test_parts_are_refused_where_the_whole_is():
    """A bias alone would lose digits, beside its weights it does not: the part holds both."""
    spec = mlp.spec((1, 1, 1), "relu")
    theta = {name: torch.ones(shape) for name, shape in spec.shapes.items()}
    theta["0.bias"] *= 1e-37
    for scale, refused in ((1e-3, False), (1e-38, True)):
        g = sample(spec, np.random.default_rng(0))
        g = type(g)({"layer1": type(g["layer1"])([0], scales=[scale])})
        for run in (lambda g=g: apply(theta, spec, g), lambda g=g: dict(moved_parts(theta, spec, g))):
            if refused:
                with pytest.raises(ValueError, match="range of"):
                    run()
            else:
                run()


@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (700, 800)])
def test_the_relative_difference_in_pieces_is_that_of_the_whole(shape):
    rng = np.random.default_rng(0)
    wanted = torch.from_numpy(rng.normal(size=shape) if shape else np.array(2.0))
    moved = wanted + 1e-3 * torch.from_numpy(np.asarray(rng.normal(size=shape)))
    expected = float((moved - wanted).abs().max() / wanted.abs().max()) if wanted.numel() else 0.0
    assert relative_difference(moved, wanted) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("axis", "repeat"), [(0, 1), (1, 1), (2, 1), (0, 2), (1, 3)])
def test_rows_are_those_of_the_array(axis, repeat):
    rng = np.random.default_rng(axis + 10 * repeat)
    array = rng.normal(size=(4, 6, 3)).astype(np.float32)
    block = Block("h", array.shape[axis] // repeat, "scaled", ())
    other = (axis + 1) % 3
    order = rng.permutation(array.shape[other])[:-1]
    factor = rng.normal(size=[len(order) if dim == other else 1 for dim in range(3)])
    part = Part(array, Axis("w", axis, "in", repeat=repeat), block, {other: order}, factor)
    wanted = np.moveaxis(np.take(array, order, axis=other) * factor, axis, 0).reshape(block.size, -1)
    columns = rng.integers(0, wanted.shape[1], 5)
    some = rng.integers(0, block.size, 4)
    np.testing.assert_array_equal(part.take(slice(None)), wanted)
    np.testing.assert_array_equal(part.take(some, columns), wanted[some][:, columns])
    np.testing.assert_array_equal(peaks_of([part], block.size), np.abs(wanted).max(axis=1))
    assert part.limit() >= np.abs(wanted).max()
    over = rng.uniform(1, 2, block.size)
    joined = Joined([Divided(part, over), Whole(wanted)], block.size)
    both = np.concatenate([wanted / over[:, None], wanted], axis=1)
    columns = rng.integers(0, both.shape[1], 9)
    np.testing.assert_array_equal(joined.take(some), both[some])
    np.testing.assert_array_equal(joined.take(slice(1, 9), columns), both[1:9][:, columns])
    assert sum(len(range(*piece.indices(1000))) for piece in pieces(1000, 999)) == 1000


@pytest.mark.parametrize("signed", [False, True])
def test_pairs_are_found_where_a_few_entries_say_nothing(signed):
    """Rows that agree in every entry that is looked at first, and networks with far too many pairs there."""
    rng = np.random.default_rng(0)
    a = np.zeros((300, 100))
    a[np.arange(300), rng.integers(1, 8, 300)] = rng.normal(size=300)
    order, signs = rng.permutation(300), rng.choice([-1.0, 1.0], 300) if signed else np.ones(300)
    b = a[order] * signs[:, None] + 1e-9 * rng.normal(size=a.shape)
    found = pair(Whole(a), Whole(b), Whole(np.full(a.shape, 1e-7)), 100, signed=signed)
    np.testing.assert_array_equal(found.partner, order)
    np.testing.assert_array_equal(found.signs, signs)
    assert not found.groups


@pytest.mark.parametrize("width", [128, 768])
def test_a_decision_holds_no_copy_of_a_network(width):
    widths = (width,) * 7
    spec = mlp.spec(widths, "relu")
    a = mlp.init(widths, torch.Generator().manual_seed(0))
    b = apply(a, spec, sample(spec, np.random.default_rng(0), spread=4.0))
    compare(a, b, spec, tolerance=1e-5)
    tracemalloc.start()
    try:
        assert compare(a, b, spec, tolerance=1e-5).answer == "equivalent"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sum(tensor.nbytes for tensor in a.values())  # arrays alone; a float64 copy is twice that
