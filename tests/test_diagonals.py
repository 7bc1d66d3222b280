"""Diagonal cells of single entries: several ways to write one group become equal, and no other."""

from dataclasses import replace

import pytest

from fnequiv.symmetry import Axis, Block, Cell, SymmetrySpec

SHAPES = {"conv": (3, 2), "gamma": (3,), "next": (2, 3)}
GAMMA = Cell("gamma", shape=(3, 1, 1), diagonal=True)


def norm(before="signed_scaled", after="scaled", *, rows=0, roles=("out", "in"), cell=GAMMA):
    """Units before and behind a vector gamma, tied; ``rows`` is the axis of those behind."""
    inner = (Axis("conv", 0, "in"), Axis(cell.name, 1 - rows, roles[0]))
    outer = (Axis(cell.name, rows, roles[1]), Axis("next", 1, "out"))
    blocks = (Block("behind", 3, after, outer), Block("before", 3, before, inner, within="behind", groups=3))
    return SymmetrySpec(blocks, SHAPES, (cell,))


def plain(before, after, owner):
    """The same with gamma as a vector on one of the two."""
    axes = {"before": [Axis("conv", 0, "in")], "behind": [Axis("next", 1, "out")]}
    axes[owner].append(Axis("gamma", 0, "out" if owner == "before" else "in"))
    nested = {"within": "behind", "groups": 3}
    blocks = (Block("behind", 3, after, axes["behind"]), Block("before", 3, before, axes["before"], **nested))
    return SymmetrySpec(blocks, SHAPES)


@pytest.mark.parametrize("after", ["permutation", "signed", "scaled"])
@pytest.mark.parametrize("before", ["permutation", "signed", "signed_scaled"])
def test_which_side_is_called_the_rows_says_nothing(before, after):
    one, other = norm(before, after), norm(before, after, rows=1)
    assert one != other
    assert one.normalised() == other.normalised() == one.normalised().normalised()
    assert one.normalised().order() == one.order()
    assert one.normalised().continuous_dimension() == one.continuous_dimension()


def test_a_side_that_only_moves_is_left_out():
    assert (
        norm("signed_scaled", "permutation").normalised()
        == plain("signed_scaled", "permutation", "before").normalised()
    )
    assert norm("permutation", "scaled").normalised() == plain("permutation", "scaled", "behind").normalised()
    spec = norm("permutation", "permutation").normalised()
    assert [axis.tensor for axis in spec.blocks[0].axes] == ["conv", "gamma", "next"]
    assert not spec.cells


def test_a_vector_on_one_side_is_another_group_than_a_diagonal():
    assert norm().normalised() != plain("signed_scaled", "scaled", "before").normalised()
    assert norm().normalised() != plain("signed_scaled", "scaled", "behind").normalised()
    assert norm().normalised() != norm(roles=("in", "in")).normalised()


def one_block(kind, roles, **facts):
    """Both sides on one block."""
    axes = (Axis("conv", 0, "in"), Axis(GAMMA.name, 0, roles[0]), Axis(GAMMA.name, 1, roles[1]), Axis("next", 1, "out"))
    return SymmetrySpec((Block("units", 3, kind, axes, **facts),), SHAPES, (GAMMA,))


def carried(kind, **facts):
    axes = (Axis("conv", 0, "in"), Axis("gamma", 0, "carry"), Axis("next", 1, "out"))
    return SymmetrySpec((Block("units", 3, kind, axes, **facts),), SHAPES)


@pytest.mark.parametrize(
    ("kind", "roles", "facts", "cancels"),
    [
        ("signed_scaled", ("in", "out"), {}, True),
        ("signed", ("in", "in"), {}, True),
        ("signed", ("out", "out"), {}, True),
        ("permutation", ("in", "in"), {}, True),
        ("scaled", ("in", "in"), {}, False),
        ("scaled", ("in", "out"), {"degree": 2}, False),
        ("signed", ("in", "out"), {"even": True}, False),
        ("scaled", ("in", "out"), {"even": True}, True),
    ],
)
def test_both_sides_on_one_block_cancel_where_their_factors_do(kind, roles, facts, cancels):
    assert (one_block(kind, roles, **facts).normalised() == carried(kind, **facts).normalised()) == cancels


def test_longer_tensors_keep_the_axes_behind():
    shapes = {"conv": (3, 2), "filters": (3, 1, 5), "next": (2, 3)}
    cell = Cell("filters", shape=(3, 1, 1, 5), diagonal=True)
    wide = Block("places", 5, "permutation", (Axis(cell.name, 2, "carry"),))
    blocks = (*norm("signed", "permutation", cell=Cell("gamma", shape=(3, 1, 1), diagonal=True)).blocks, wide)
    renamed = [
        replace(block, axes=tuple(replace(a, tensor=a.tensor.replace(GAMMA.name, cell.name)) for a in block.axes))
        for block in blocks
    ]
    spec = SymmetrySpec(tuple(renamed), shapes, (cell,)).normalised()
    places = {(axis.tensor, axis.axis) for block in spec.blocks for axis in block.axes}
    assert places == {("conv", 0), ("next", 1), ("filters as 3x5", 0), ("filters as 3x5", 1)}
    assert [cell.name for cell in spec.cells] == ["filters as 3x5"]


def test_a_depthwise_convolution_alone_is_a_plain_tensor():
    shapes = {"conv": (3, 2), "filters": (3, 1, 5, 5), "next": (2, 3)}
    cell = Cell("filters", shape=(3, 1, 1, 5, 5), diagonal=True)
    outer = Block("behind", 3, "permutation", (Axis("conv", 0, "in"), Axis(cell.name, 1, "out")))
    nested = {"within": "behind", "groups": 3}
    inner = Block("filtered", 3, "signed_scaled", (Axis(cell.name, 0, "in"), Axis("next", 1, "out")), **nested)
    simple = Block("filtered", 3, "signed_scaled", (Axis("filters", 0, "in"), Axis("next", 1, "out")), **nested)
    one = SymmetrySpec((outer, inner), shapes, (cell,))
    other = SymmetrySpec((replace(outer, axes=outer.axes[:1]), simple), shapes)
    assert one.normalised() == other.normalised()
