"""Cells and nested blocks of a specification: what they are, what is refused, and when two specifications are one."""

import math
import pickle
from dataclasses import replace

import pytest

from fnequiv.symmetry import Axis, Block, Cell, SymmetrySpec

HEADS = Block("heads", 2, "permutation", ())
INNER = Block(
    "inner", 6, "signed_scaled", (Axis("q", 0, "in"), Axis("k", 0, "out")), within="heads", groups=2, mixing=12
)
SHAPES = {"q": (6, 4), "k": (6, 4)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cell("w", box=((2, 2),)), "must be >= 3"),
        (lambda: Cell("w", order=(0, 2)), "each of 0..1 once"),
        (lambda: Cell("w", shape=(0,)), "must be >= 1"),
        (lambda: Cell("w", shape=(5,)).extent((4,)), "sizes differ"),
        (lambda: Cell("w", box=((0, 5),)).extent((4,)), "does not fit"),
        (lambda: Cell("w", diagonal=True).extent((4, 2)), "a diagonal cell needs axes"),
        (lambda: SymmetrySpec((), {"w": (4,)}, (Cell("w", box=((0, 2),)),)), "leave entries out"),
        (lambda: SymmetrySpec((), {"w": (4,)}, (Cell("w"), Cell("w", box=((0, 2),)))), "overlap"),
        (lambda: SymmetrySpec((), {"w": (4,)}, (Cell("v"),)), "has no shape"),
        (
            lambda: SymmetrySpec((Block("b", 4, "permutation", (Axis("w", 0, "in"),)),), {"w": (4,)}, (Cell("w"),)),
            "since it is cut",
        ),
        (lambda: Block("b", 6, "permutation", (), groups=2), "name the block that moves them"),
        (lambda: Block("b", 5, "permutation", (), within="h", groups=2), "must be a multiple of its groups"),
        (lambda: SymmetrySpec((INNER, HEADS), SHAPES), "must stand before it"),
        (lambda: SymmetrySpec((replace(HEADS, size=3), INNER), SHAPES), "must stand before it"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(refuses, make, message):
    refuses(make, ValueError, message)


def test_wrong_types_are_refused(refuses):
    refuses(lambda: Cell(3), TypeError, "the name of its tensor")
    refuses(lambda: Cell("w", box=(1, 2)), TypeError, "one pair (start, stop) an axis")
    refuses(lambda: SymmetrySpec((), {}, cells=("w",)), TypeError, "cells must be a tuple of Cell")
    refuses(lambda: SymmetrySpec((), {}, notes="frozen"), TypeError, "notes must be a tuple of str")


def test_scales_and_mixing_are_counted_apart_from_the_order():
    spec = SymmetrySpec((HEADS, INNER), SHAPES)
    assert spec.order() == 2 * 6**2 * 2**6
    assert spec.continuous_dimension() == 6 + 12
    assert "continuous dimension 18 (6 scales, 12 of mixing)" in str(spec)
    assert spec.only().order() == 2 * 6**2
    assert spec.only().continuous_dimension() == 0
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_notes_are_shown_and_not_compared():
    spec = SymmetrySpec((HEADS, INNER), SHAPES, notes=("frozen: aten.sort",))
    assert spec == SymmetrySpec((HEADS, INNER), SHAPES)
    assert "frozen: aten.sort" in str(spec)
    assert "inner (in heads)" in str(spec)


def test_normalised_makes_one_what_is_one():
    first = SymmetrySpec((HEADS, INNER), SHAPES)
    turned = replace(INNER, name="qk", within="h", axes=(Axis("k", 0, "in"), Axis("q", 0, "out")))
    second = SymmetrySpec((replace(HEADS, name="h"), turned), SHAPES)
    assert first != second
    assert first.normalised() == second.normalised()
    assert first.normalised().normalised() == first.normalised()


def test_normalised_keeps_apart_what_is_not_one():
    spec = SymmetrySpec((HEADS, INNER), SHAPES)
    for other in (
        replace(INNER, kind="signed", mixing=0),
        replace(INNER, axes=(Axis("k", 0, "in"), Axis("q", 0, "in"))),
        replace(INNER, mixing=0),
        replace(INNER, within=None, groups=1),
        replace(INNER, axes=INNER.axes[:1]),
    ):
        assert SymmetrySpec((HEADS, other), SHAPES).normalised() != spec.normalised()


def test_of_blocks_tied_unit_by_unit_either_may_be_the_parent():
    before = Block("before", 3, "signed_scaled", (Axis("conv", 0, "in"), Axis("var", 0, "carry")))
    after = Block("after", 3, "scaled", (Axis("beta", 0, "in"), Axis("next", 1, "out")))
    shapes = {"conv": (3, 2), "var": (3,), "beta": (3,), "next": (2, 3)}
    one = SymmetrySpec((before, replace(after, within="before", groups=3)), shapes)
    other = SymmetrySpec((after, replace(before, within="after", groups=3)), shapes)
    moved = replace(before, axes=before.axes[:1])
    elsewhere = replace(after, axes=(*after.axes, Axis("var", 0, "carry")), within="before", groups=3)
    third = SymmetrySpec((moved, elsewhere), shapes)
    assert one.normalised() == other.normalised() == third.normalised()
    assert one.normalised().order() == one.order()
    assert one.normalised() != SymmetrySpec((before, after), shapes).normalised()


def test_trivial_blocks_are_dropped():
    shapes = {"w": (1, 2), "v": (3, 1)}
    alone = Block("one", 1, "permutation", (Axis("w", 0, "in"), Axis("v", 1, "out")))
    nowhere = Block("nowhere", 3, "permutation", ())
    assert SymmetrySpec((alone, nowhere), shapes).normalised() == SymmetrySpec((), shapes)


def test_a_cell_that_is_a_whole_tensor_gives_way_to_it():
    shapes = {"w": (4, 3), "v": (2, 4)}
    plain = Block("b", 4, "permutation", (Axis("w", 0, "carry"), Axis("v", 1, "carry")))
    for cell in (Cell("w"), Cell("w", view=(2, 2, 3), shape=(4, 3)), Cell("w", order=(0, 1))):
        cut = replace(plain, axes=(Axis(cell.name, 0, "carry"), Axis("v", 1, "carry")))
        spec = SymmetrySpec((cut,), shapes, (cell,))
        assert spec.normalised() == SymmetrySpec((plain,), shapes).normalised()
    turned = Cell("w", order=(1, 0))
    other = SymmetrySpec(
        (replace(plain, axes=(Axis(turned.name, 1, "carry"), Axis("v", 1, "carry"))),), shapes, (turned,)
    )
    assert other.normalised().cells == (turned,)


def test_a_way_out_stays_one_behind_a_power_that_is_not_one():
    """λ multiplies on the way in and λ² divides on the way out: the reverse is another group."""
    places = (Axis("a", 1, "out"), Axis("b", 0, "in"))  # the way out comes first by name
    square = Block("h", 2, "scaled", places, degree=2)
    spec = SymmetrySpec((square,), {"a": (1, 2), "b": (2, 3)})
    turned = replace(square, axes=(Axis("a", 1, "in"), Axis("b", 0, "out")))
    assert spec.normalised() != replace(spec, blocks=(turned,)).normalised()
    once = replace(spec, blocks=(replace(square, degree=1),))
    assert once.normalised() == replace(spec, blocks=(replace(turned, degree=1),)).normalised()


def test_the_log_of_a_nested_order_is_that_of_the_order():
    assert INNER.order() == math.factorial(3) ** 2 * 2**6
    assert INNER.log_order() == pytest.approx(math.log(INNER.order()))
