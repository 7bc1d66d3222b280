"""The rooms of tracing, each alone: colours, families, equations of scales, digits, views of values."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fnequiv.architectures.capture import capture
from fnequiv.architectures.colouring import edges_of, refined
from fnequiv.architectures.parting import digits, parted
from fnequiv.architectures.scaling import Resolved, Scales
from fnequiv.architectures.solving import solve
from fnequiv.architectures.structure import Structure, Term, Variables
from fnequiv.architectures.turning import turned
from fnequiv.architectures.values import Leg, Value, common_sizes, permute, reshape

X = frozenset({0})


def automorphisms(structure):
    """All permutations of units that keep marks and relations, tried one by one."""
    marks = [set() for _ in range(structure.count)]
    for units, colours in structure.marks:
        for unit, colour in zip(units.tolist(), colours.tolist(), strict=True):
            marks[unit].add(colour)
    relations = [set(zip(a.tolist(), b.tolist(), strict=True)) for a, b in structure.relations]
    for p in itertools.permutations(range(structure.count)):
        kept = all(marks[k] == marks[p[k]] for k in range(structure.count))
        if kept and all({(p[a], p[b]) for a, b in relation} == relation for relation in relations):
            yield p


def order(structure):
    """The order of the group that the families of a structure generate."""
    total = 1
    for family in solve(structure).families:
        if family.free:
            runs = solve(structure).families[family.parents[0]].size if family.parents else 1
            total *= math.factorial(family.size // runs) ** runs
    return total


@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.lists(st.integers(0, 5), max_size=3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_families_generate_automorphisms_and_all_of_them_where_units_are_nested(parents, marked, split):
    structure = Structure()
    lower, upper = structure.fresh((len(parents),)), structure.fresh((3,))
    structure.mark(lower)
    structure.mark(upper)
    structure.relate(lower, upper[parents])
    for k in marked:
        structure.mark(lower[[k % len(parents)]])
    if split:
        structure.mark(upper, 0)
    found = sum(1 for _ in automorphisms(structure))
    assert found % order(structure) == 0
    sizes = np.bincount(parents, minlength=3)
    if not marked and len(set(sizes[sizes > 0].tolist())) == 1:
        assert order(structure) == found


def test_a_cycle_of_units_is_frozen_with_a_complaint():
    structure = Structure()
    units = structure.fresh((4,))
    structure.relate(units, np.roll(units, 1))
    assert order(structure) == 1
    assert "left unmoved" in structure.complaints[0][0]


def test_a_product_of_two_families_has_no_freedom_of_its_own():
    structure = Structure()
    both, rows, columns = structure.fresh((2, 3)), structure.fresh((2, 1)), structure.fresh((1, 3))
    for units in (both, rows, columns):
        structure.mark(units)
    structure.relate(both, rows)
    structure.relate(both, columns)
    structure.used += [rows, columns]
    assert order(structure) == 2 * 6 == sum(1 for _ in automorphisms_of_grid())


def automorphisms_of_grid():
    return itertools.product(itertools.permutations(range(2)), itertools.permutations(range(3)))


def test_colours_tell_marked_units_and_their_partners_apart():
    structure = Structure()
    one, two = structure.fresh((3,)), structure.fresh((3,))
    structure.relate(one, two)
    structure.mark(one[[1]])
    colours = refined(structure.count, structure.marks, edges_of(structure))
    assert len(set(colours.tolist())) == 4
    assert colours[0] == colours[2]
    assert colours[3] == colours[5] != colours[4]


def test_equal_variables_share_a_root_and_a_pinned_one_has_none():
    variables = Variables()
    a, b, c = (variables.fresh((2,)) for _ in range(3))
    variables.equate([Term(a, X)], [Term(b, X)])
    variables.pin(Term(c, X), sign=False)
    scales = Scales(variables)
    assert (scales.scale[a] == scales.scale[b]).all()
    assert (scales.scale[c] < 0).all()
    assert (scales.sign[c] >= 0).all()


def test_a_variable_that_is_its_own_inverse_is_one():
    variables = Variables()
    a, b = variables.fresh((1,)), variables.fresh((1,))
    variables.equate([Term(a, X), Term(b, X)], [])
    assert Scales(variables).scale[a[0]] >= 0
    variables.equate([Term(a, X)], [Term(b, X)])
    assert Scales(variables).scale[a[0]] == -1


def test_a_defined_variable_is_written_out():
    variables = Variables()
    weight, into, out = (variables.fresh((3,)) for _ in range(3))
    variables.pin(Term(into, X), scale=False)
    variables.equate([Term(weight, X), Term(into, X)], [Term(out, X)])
    found = Scales(variables).resolve([Term(weight, X)], 3)
    assert sorted((int(each.power[0]), bool(each.sign[0] >= 0)) for each in found) == [(-1, False), (1, True)]


@given(st.permutations([2, 3, 4]), st.permutations(range(3)))
@settings(max_examples=30, deadline=None)
def test_digits_count_a_transposed_grid(sizes, axes):
    places = np.arange(24).reshape(sizes).transpose(axes).ravel()
    found = digits(places)
    assert found is not None
    counted = sum(
        np.arange(n).reshape([-1 if j == k else 1 for j in range(len(found))]) * s for k, (n, s) in enumerate(found)
    )
    assert np.array_equal(counted.ravel(), places)


@pytest.mark.parametrize("places", [[1, 0], [0, 1, 1, 0], [0, 1, 3, 2], [0, 0, 1]])
def test_other_orders_have_no_digits(places):
    assert digits(np.array(places)) is None


def test_rotary_pairs_are_boxes_in_a_view():
    roots = np.array([0, 1, 0, 1, 2, 3, 2, 3])  # two heads of two pairs (r, r + 2)
    factor = Resolved(roots, np.ones(8, dtype=int), roots, set())
    parts = parted(0, 8, 8, [2, 4], [(1, 0)], [factor])
    assert [part.places.tolist() for part in parts] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert parts[1].view == (2, 2, 2)
    assert parts[1].box == ((0, 2), (0, 2), (1, 2))


def test_both_ways_to_write_rotary_positions_are_known():
    class Rotary(nn.Module):
        def __init__(self, halves):
            super().__init__()
            self.halves = halves

        def forward(self, x):
            angles = torch.arange(x.shape[-2])[:, None] * torch.tensor([1.0, 0.1])
            one, two = x[..., :2], x[..., 2:]
            if self.halves:
                cos, sin = angles.cos(), angles.sin()
                return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)
            whole = torch.cat([angles, angles], dim=-1)
            return x * whole.cos() + torch.cat([-x[..., 2:], x[..., :2]], dim=-1) * whole.sin()

    counts = [len(turned(capture(Rotary(halves).eval(), torch.zeros(3, 4)).nodes)) for halves in (True, False)]
    assert counts == [2, 1]


@given(st.permutations([2, 3, 2]), st.sampled_from([(12,), (4, 3), (2, 6), (3, 4), (2, 1, 6)]))
@settings(max_examples=40, deadline=None)
def test_units_go_where_a_reshape_takes_their_places(sizes, shape):
    structure = Structure()
    value = Value((1,), (Leg(12, structure.fresh((12,))),))
    value = reshape(reshape(value, sizes, structure), shape, structure)
    assert value.shape == tuple(shape)
    assert reshape(value, (12,), structure).shape == (12,)


def test_permuting_axes_moves_their_legs():
    structure = Structure()
    value = Value((1, 1), (Leg(2, structure.fresh((2, 1))), Leg(3, structure.fresh((1, 3)))))
    moved = permute(value, [1, 0])
    assert moved.shape == (3, 2)
    assert moved.legs[0].units.shape == (3, 1)


def test_common_sizes_of_two_factorisations():
    assert common_sizes([[2, 6], [4, 3]]) == [2, 2, 3]
    assert common_sizes([[2, 3], [3, 2]]) == [6]
