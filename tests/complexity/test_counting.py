"""Counting, against brute force that applies every group element to every network."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.complexity import counting
from fnequiv.symmetry import Axis, Block, SymmetrySpec


def actions(widths, signed):
    """Every group element, as signed permutation matrices (I, M_1, ..., M_L, I)."""
    layers = []
    for width in widths[1:-1]:
        flips = list(itertools.product((1, -1), repeat=width)) if signed else [(1,) * width]
        orders = itertools.permutations(range(width))
        layers.append([np.diag(signs)[list(order)] for order in orders for signs in flips])
    for element in itertools.product(*layers):
        yield (np.eye(widths[0], dtype=int), *element, np.eye(widths[-1], dtype=int))


def act(element, network):
    return [(element[layer + 1] @ W @ element[layer].T, element[layer + 1] @ b) for layer, (W, b) in enumerate(network)]


def flat(network):
    return tuple(np.concatenate([numbers.ravel() for layer in network for numbers in layer]).tolist())


def networks(widths, levels):
    """Every network whose parameters lie on K levels, symmetric about 0 (steps of 2 keep them integers)."""
    values = range(1 - levels, levels, 2)
    sizes = [(rows, columns) for columns, rows in itertools.pairwise(widths)]
    count = sum(rows * (columns + 1) for rows, columns in sizes)
    for parameters in itertools.product(values, repeat=count):
        rest, network = list(parameters), []
        for rows, columns in sizes:
            W, rest = np.array(rest[: rows * columns]).reshape(rows, columns), rest[rows * columns :]
            b, rest = np.array(rest[:rows]), rest[rows:]
            network.append((W, b))
        yield network


def canonical_forms(widths, levels, signed):
    """The set of the least members of all orbits."""
    group = list(actions(widths, signed))
    return {min(flat(act(element, network)) for element in group) for network in networks(widths, levels)}


CASES = [
    # widths, K, signed, the number of orbits: the values of the book's table
    ((1, 2, 1), 2, False, 72),
    ((1, 2, 1), 3, False, 1134),
    ((1, 3, 1), 2, False, 240),
    ((2, 2, 1), 2, False, 272),
    ((1, 2, 2, 1), 2, False, 2336),
    ((1, 1, 1), 2, True, 8),
    ((1, 1, 1), 3, True, 42),
    ((1, 2, 1), 2, True, 20),
    ((1, 2, 1), 3, True, 315),
    ((2, 2, 1), 2, True, 72),
    ((1, 1, 2, 1), 2, True, 40),
]


@pytest.mark.parametrize(("widths", "levels", "signed", "expected"), CASES)
def test_values_of_the_table(widths, levels, signed, expected):
    assert counting.orbits(widths, levels, signed=signed) == expected
    assert counting.log_orbits(widths, levels, signed=signed) == pytest.approx(math.log(expected), rel=1e-13)


@pytest.mark.parametrize(
    ("widths", "levels", "signed"),
    [
        *((widths, levels, signed) for widths, levels, signed, _ in CASES if levels ** len(widths) < 9**3),
        ((1, 1), 3, True),
        ((2, 1), 3, False),
        ((1, 1, 1, 1), 2, False),
        ((1, 1, 1, 1), 2, True),
        ((1, 1, 1, 1), 3, True),
        ((1, 2, 1, 1), 2, False),
        ((1, 2, 1, 1), 2, True),
        ((1, 1, 1, 1, 1), 2, True),
        ((1, 2, 1, 1, 1), 2, True),
        ((1, 1, 2, 1, 1), 2, False),
        ((1, 1, 2), 3, True),
        ((1, 3, 1), 1, False),
        ((1, 2, 3, 1), 1, True),
    ],
)
def test_brute_force_finds_as_many_orbits(widths, levels, signed):
    assert counting.orbits(widths, levels, signed=signed) == len(canonical_forms(widths, levels, signed))


@pytest.mark.parametrize(
    ("widths", "levels", "signed"),
    [
        ((1, 4, 1), 2, False),
        ((1, 2, 3, 1), 2, False),
        ((1, 2, 3, 1), 3, True),
        ((1, 2, 2, 2, 1), 2, True),
        ((1, 2, 2, 2, 1), 3, False),
        ((2, 2, 2, 2, 2, 1), 3, True),
        ((1, 1, 3, 2, 1, 1), 4, True),
        ((1, 3, 2, 2, 1), 5, False),
    ],
)
def test_mean_number_of_fixed_networks(widths, levels, signed):
    """Burnside element by element: the fixed networks of g are counted from its cycles on the S parameters."""
    total, order = 0, 0
    for element in actions(widths, signed):
        order += 1
        fixed = 1
        for below, here in itertools.pairwise(element):
            for moved in (np.kron(here, below), here):  # vec(M W N^T) = (M kron N) vec W
                fixed *= fixed_points(moved, levels)
        total += fixed
    assert total % order == 0
    assert counting.orbits(widths, levels, signed=signed) == total // order


def fixed_points(matrix, levels):
    """How many vectors over the K levels a signed permutation matrix fixes."""
    target, sign = np.abs(matrix).argmax(axis=0), matrix.sum(axis=0)
    unseen, fixed = set(range(len(matrix))), 1
    while unseen:
        start = point = unseen.pop()
        product = sign[point]
        while (point := int(target[point])) != start:
            unseen.remove(point)
            product *= sign[point]
        fixed *= levels if product > 0 else levels % 2
    return fixed


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "widths", [(3, 7, 2), (1, 1, 1), (2, 5, 4, 3), (2, 4, 6, 3), (1, 3, 4, 5, 2), (1, 4, 3, 3, 4, 1)]
)
@pytest.mark.parametrize("levels", [2, 3, 16, 10**6, 2**64 + 1])
def test_logs_agree_with_integers(widths, levels, signed):
    exact = counting.orbits(widths, levels, signed=signed)
    with mpmath.workdps(40):
        reference = float(mpmath.log(exact))
    assert counting.log_orbits(widths, levels, signed=signed) == pytest.approx(reference, rel=1e-13)


def test_wide_single_layer_agrees_with_the_binomial():
    for width, levels in [(10**5, 2), (2000, 256), (3, 10**100)]:
        reference = mpmath.log(math.comb(levels**3 + width - 1, width) * levels)
        assert counting.log_orbits((1, width, 1), levels) == pytest.approx(float(reference), rel=1e-13)


@pytest.mark.parametrize("signed", [False, True])
def test_both_ends_of_a_chain_are_alike(signed):
    """Without output biases the chain reads the same backwards, so the counts differ by powers of K alone."""
    forward, backward = (counting.orbits(w, 3, signed=signed) for w in ((2, 3, 5, 2, 4, 1), (1, 4, 2, 5, 3, 2)))
    assert forward * 3 ** (2 - 1) == backward


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=6).map(tuple), st.integers(1, 9), st.booleans())
def test_bounds_that_every_count_obeys(widths, levels, signed):
    """K^S/|G| <= orbits <= K^S, more levels give more orbits, and flips never add any."""
    count = counting.orbits(widths, levels, signed=signed)
    parameters = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    kind = "signed" if signed else "permutation"
    order = round(math.exp(counting.log_group_order(widths, kind=kind)))
    assert levels**parameters <= count * order
    assert count <= levels**parameters
    assert count <= counting.orbits(widths, levels + 2, signed=signed)
    assert counting.orbits(widths, levels, signed=True) <= counting.orbits(widths, levels)


def test_the_reference_case_exactly_and_in_logs():
    exact = counting.orbits((10, 22, 22, 10), 16)
    assert exact * math.factorial(22) ** 2 > 16 ** (11 * 22 + 23 * 22 + 23 * 10)
    assert counting.log_orbits((10, 22, 22, 10), 16) == pytest.approx(float(mpmath.log(exact)), rel=1e-14)


def test_bits_are_log2_of_the_count():
    assert counting.bits((1, 3, 1), 2) == pytest.approx(math.log2(240), rel=1e-14)
    assert counting.bits((2, 2), 4) == pytest.approx(12, rel=1e-14)


# Stabilisers and orbits of given networks

SMALL = [
    ((1, 2, 1), 3, False),
    ((1, 2, 1), 2, True),
    ((1, 2, 1), 3, True),
    ((1, 3, 1), 2, False),
    ((1, 1, 2, 1), 2, True),
]


@pytest.mark.parametrize(("widths", "levels", "signed"), SMALL)
def test_stabilisers_sum_up_to_the_orbits(widths, levels, signed):
    """Sum over all networks of |Stab| is |G| times the number of orbits: stabilisers check Burnside and back."""
    total = sum(counting.stabiliser_order(network, signed=signed) for network in networks(widths, levels))
    order = len(list(actions(widths, signed)))
    assert total == order * counting.orbits(widths, levels, signed=signed)


def random_network(rng):
    widths = [int(d) for d in (rng.integers(1, 3), *rng.integers(1, 4, size=rng.integers(1, 4)), rng.integers(1, 3))]
    values = [[0], [0, 1], [-1, 0, 1], [-1, 1], [0, 0, 0, 1], [-1, 0, 0, 0, 0, 1]][rng.integers(6)]
    biased = int(rng.integers(2))
    network = [
        (rng.choice(values, size=(rows, columns)), biased * rng.choice(values, size=rows))
        for columns, rows in itertools.pairwise(widths)
    ]
    return widths, network


def test_every_group_element_is_tried():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(150):
        widths, network = random_network(rng)
        for signed in (False, True):
            if signed and sum(widths[1:-1]) > 5:
                continue
            images = [flat(act(element, network)) for element in actions(widths, signed)]
            fixing = images.count(flat(network))
            seen.add((signed, fixing))
            assert counting.stabiliser_order(network, signed=signed) == fixing
            assert counting.orbit_size(network, signed=signed) == len(set(images))
    assert len(seen) > 15  # not all of them trivial


def tied(matrix, *, bias=0.0, ends=1.0):
    """One input and one output, two hidden layers joined by ``matrix``; all else is constant."""
    rows, columns = matrix.shape
    return [
        (np.full((columns, 1), ends), np.full(columns, bias)),
        (matrix, np.full(rows, bias)),
        (np.full((1, rows), ends), np.zeros(1)),
    ]


def test_ties_that_hold_only_for_two_layers_together():
    """No two neurons are twins, yet layers can move together; equal rows alone would say 1 or count too much."""
    ring = np.roll(np.eye(7), 1, axis=1)
    assert counting.stabiliser_order(tied(np.eye(30))) == math.factorial(30)
    assert counting.stabiliser_order(tied(np.eye(7) + 2 * ring)) == 7  # rotations of a directed ring
    assert counting.stabiliser_order(tied(np.eye(7) + ring)) == 14  # and reflections of an undirected one
    assert counting.stabiliser_order(tied(np.eye(5), bias=1.0), signed=True) == math.factorial(5)
    assert counting.stabiliser_order(tied(np.eye(5), ends=0.0), signed=True) == math.factorial(5) * 2**5


def test_the_fano_plane():
    """Points and lines of the projective plane over GF(2): the group has order 168, and no two points are twins."""
    lines = [(0, 1, 2), (0, 3, 4), (0, 5, 6), (1, 3, 5), (1, 4, 6), (2, 3, 6), (2, 4, 5)]
    incidence = np.array([[float(point in line) for point in range(7)] for line in lines])
    assert counting.stabiliser_order(tied(incidence)) == 168


def test_regular_graphs_that_refinement_cannot_tell_apart():
    """Two triangles and a hexagon look alike to colour refinement, so that the search has to backtrack."""
    hexagon = np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), -1, axis=1)
    triangles = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    both = np.zeros((12, 12))
    both[:6, :6], both[6:, 6:] = hexagon, triangles
    both += 2 * np.eye(12)  # each neuron is tied to its own partner: automorphisms of the graph itself
    assert counting.stabiliser_order(tied(both)) == 12 * (2 * 6 * 6)


def test_a_generic_wide_network_has_the_trivial_stabiliser():
    rng = np.random.default_rng(1)
    network = [(rng.normal(size=(200, 50)), rng.normal(size=200)), (rng.normal(size=(3, 200)), np.zeros(3))]
    assert counting.stabiliser_order(network, signed=True) == 1
    assert counting.orbit_size(network) == math.factorial(200)
    zero = [(np.zeros((200, 50)), np.zeros(200)), (np.zeros((3, 200)), np.zeros(3))]
    assert counting.stabiliser_order(zero, signed=True) == math.factorial(200) * 2**200


def test_dicts_and_pairs_are_the_same_network():
    pairs = [([[1.0], [1.0]], [0.5, 0.5]), ([[2.0, 2.0]], [0.0])]
    named = {"0.weight": pairs[0][0], "0.bias": pairs[0][1], "2.weight": pairs[1][0], "2.bias": pairs[1][1]}
    before = {name: np.array(value) for name, value in named.items()}
    assert counting.stabiliser_order(pairs) == counting.stabiliser_order(before) == 2
    assert all((before[name] == np.array(value)).all() for name, value in named.items())
    del before["0.bias"]
    assert counting.stabiliser_order(before) == 2


def test_negative_zero_is_zero():
    assert counting.stabiliser_order([([[0.0], [-0.0]], [0, 0]), ([[1.0, 1.0]], [0])]) == 2


# Groups


def test_group_orders():
    assert counting.log_group_order((784, 512, 512, 10)) == pytest.approx(2 * math.lgamma(513))
    assert counting.log_group_order((1, 4, 1), kind="signed_scaled") == pytest.approx(math.log(24 * 16))
    assert counting.log_group_order((1, 4, 1), kind="scaled") == pytest.approx(math.log(24))
    block = Block("hidden", 4, "signed", (Axis("0.weight", 0, "in"), Axis("2.weight", 1, "out")))
    spec = SymmetrySpec((block,), {"0.weight": (4, 1), "2.weight": (1, 4)})
    assert counting.log_group_order(spec) == pytest.approx(math.log(24 * 16))
    with pytest.raises(ValueError, match="kind goes with widths"):
        counting.log_group_order(spec, kind="signed")
    with pytest.raises(ValueError, match="kind must be one of"):
        counting.log_group_order((1, 4, 1), kind="rotation")


# Refusals


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: counting.orbits((1, 0, 1), 2), ValueError, "width d_1 must be >= 1, got 0"),
        (lambda: counting.orbits((1, 2.0, 1), 2), TypeError, "must be an integer"),
        (lambda: counting.orbits((1, 2, 1), 0), ValueError, "levels must be >= 1, got 0"),
        (lambda: counting.log_orbits((1, 2, 1), 2.5), TypeError, "levels must be an integer"),
        (lambda: counting.orbits((1, 2, 1), 2, signed="yes"), TypeError, "signed must be"),
        (lambda: counting.log_orbits((1, 100, 100, 1), 2), ValueError, "up to 60"),
        (lambda: counting.log_orbits((1, 100, 100, 1), 2, signed=True), ValueError, "up to 31"),
        (lambda: counting.orbits((1, 40, 40, 1), 2), ValueError, "products, more than 5e"),
        (lambda: counting.log_orbits((1, 55, 55, 55, 55, 1), 2), ValueError, "make the inner layers narrower"),
        (lambda: counting.stabiliser_order([]), TypeError, "sequence of pairs"),
        (lambda: counting.stabiliser_order("net"), TypeError, "sequence of pairs"),
        (lambda: counting.stabiliser_order([[[1.0]]]), TypeError, "pairs"),
        (lambda: counting.stabiliser_order({"fc.weight": [[1.0]]}), ValueError, "plain feedforward"),
        (lambda: counting.stabiliser_order([([[1.0]], [np.nan])]), ValueError, "finite"),
        (lambda: counting.stabiliser_order([([[1.0]], [0.0, 1.0])]), ValueError, "shape"),
        (lambda: counting.stabiliser_order([([[1.0]], [0]), ([[1.0, 2.0]], [0])]), ValueError, "columns"),
        (lambda: counting.stabiliser_order([([[True]], [0.0])]), TypeError, "real numbers"),
        (lambda: counting.stabiliser_order([([[2**60]], [0])]), ValueError, "2\\^53"),
        (lambda: counting.stabiliser_order(tied(np.eye(30)), max_nodes=100), ValueError, "raise max_nodes"),
        (lambda: counting.stabiliser_order(tied(np.eye(3)), max_nodes=0), ValueError, "max_nodes"),
    ],
)
def test_refusals_name_the_rule(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_progress_goes_to_standard_error(capsys):
    assert counting.log_orbits((1, 3, 3, 3, 3, 1), 2, progress=True) > 0
    captured = capsys.readouterr()
    assert "inner layers" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("call", [counting.stabiliser_order, counting.orbit_size])
def test_signed_is_true_or_false(call):
    with pytest.raises(TypeError, match="signed must be True or False, got 'no'"):
        call([([[1.0]], [0.0]), ([[1.0]], [0.0])], signed="no")
