"""Certified brackets: the certificates hold, the verifier rejects what does not, and no bound contradicts another."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from fnequiv import activations
from fnequiv.complexity import bracket as rooms
from fnequiv.complexity import covering
from fnequiv.complexity.bracket import Bracket, CertificateError, NetworkClass, Packing, bracket, cover, packing, verify

UNIT = {"B": 1.0, "Bx": 1.0}
EXHAUSTIVE = {"relu": lambda z: np.where(z > 0, z, 0.0), "tanh": lambda z: 1 - 2 / (np.exp(2 * z) + 1)}


def generator(seed=0):
    return np.random.default_rng(seed)


def evaluate(widths, network, points, sigma):
    """One network at many inputs, layer by layer: plain loops, nothing of the package."""
    rest = list(network)
    outputs = []
    tensors = []
    for below, here in itertools.pairwise(widths):
        W = np.array([[rest.pop(0) for _ in range(below)] for _ in range(here)])
        tensors.append((W, np.array([rest.pop(0) for _ in range(here)])))
    for point in points:
        h = np.array(point)
        for W, b in tensors[:-1]:
            h = sigma(W @ h + b)
        outputs.append(tensors[-1][0] @ h + tensors[-1][1])
    return np.concatenate(outputs)


# Packings


@pytest.mark.parametrize(
    ("widths", "name", "domain", "eps"),
    [
        ((1, 1), "relu", "l2", 0.3),
        ((1, 2, 1), "relu", "l2", 0.4),
        ((1, 2, 1), "tanh", "l2", 0.2),
        ((2, 2, 1), "relu", "l2", 0.6),
        ((2, 2, 2), "tanh", "linf", 1.0),
        ((3, 1, 2, 1), "relu", "linf", 1.0),
    ],
)
def test_members_are_in_the_class_and_far_apart(widths, name, domain, eps):
    found = packing(widths, **UNIT, activation=name, eps=eps, domain=domain, rng=generator(), rounds=15)
    verify(found)
    assert found.size > 3
    assert found.log_size == math.log(found.size)
    assert np.abs(found.networks).max() <= 1
    norm = np.linalg.norm(found.inputs, axis=1) if domain == "l2" else np.abs(found.inputs).max(axis=1)
    assert norm.max() <= 1
    values = np.array([evaluate(widths, row, found.inputs, EXHAUSTIVE[name]) for row in found.networks])
    apart = np.abs(values[:, None] - values[None]).max(axis=2)[np.triu_indices(found.size, 1)]
    assert apart.min() > 2 * eps


def test_the_reference_class_has_a_large_packing():
    found = packing((1, 3, 1), **UNIT, activation="relu", eps=0.25, rng=generator(), rounds=60)
    verify(found)
    assert found.size > 411  # what greedy random sampling finds


def test_a_line_s_packing_number_is_met():
    """f(x) = c + wx on [-1, 1]: its values at -1 and 1 fill |u| + |v| <= 2, in which five points are 1 apart."""
    found = packing((1, 1), **UNIT, activation="relu", eps=0.4999, rng=generator(), rounds=200)
    upper = cover_of_lines(0.4999)
    assert 5 <= found.size <= upper


def cover_of_lines(eps):
    """Squares of side 2ε in a row of strips: an upper bound by hand."""
    strips = math.ceil(4 / (2 * eps))
    count = 0
    for k in range(strips):
        left, right = -2 + 2 * eps * k, min(2.0, -2 + 2 * eps * (k + 1))
        nearest = 0.0 if left <= 0 <= right else min(abs(left), abs(right))
        count += math.ceil(2 * (2 - nearest) / (2 * eps))
    return count


def test_two_constants_refute_theorem_2_for_small_bounds():
    """Theorem 2 as stated gives 1.9 balls; the constants +B and -B need two."""
    numbers = {"B": 0.1, "Bx": 0.1, "eps": 0.06}
    found = packing((1, 1, 1), **numbers, activation="relu", rng=generator(), rounds=1)
    verify(found)
    assert found.size == 2
    assert found.log_size > covering.deep_theorem((1, 1, 1), **numbers, rho=1.0)
    assert found.log_size <= covering.orbit_bound((1, 1, 1), **numbers, activation="relu", symmetry="best")


def test_more_rounds_never_lose_members():
    sizes = [
        packing((1, 2, 1), **UNIT, activation="relu", eps=0.3, rng=generator(), rounds=rounds).size
        for rounds in (0, 5, 20)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == math.ceil(1 / 0.3)  # the constants it starts from
    assert sizes[-1] > sizes[0]


def test_given_inputs_are_used():
    found = packing((2, 1, 1), **UNIT, activation="relu", eps=0.4, rng=generator(), inputs=[[0.0, 1.0], [0.6, 0.7]])
    verify(found)
    assert found.inputs.tolist() == [[0.0, 1.0], [0.6, 0.7]]


def test_networks_come_with_pytorch_names():
    found = packing((2, 3, 1), **UNIT, activation="relu", eps=0.5, rng=generator(), rounds=3)
    network = found.network(found.size - 1)
    assert {name: tensor.shape for name, tensor in network.items()} == {
        "0.weight": (3, 2),
        "0.bias": (3,),
        "2.weight": (1, 3),
        "2.bias": (1,),
    }
    assert np.concatenate([tensor.ravel() for tensor in network.values()]).tolist() == found.networks[-1].tolist()


# Covers


def centre_near(found, network, points):
    """Follow steps 1 to 3 for one network: its cells, bends, polynomials, and the nearest grid point."""
    sigma = EXHAUSTIVE[found.family.activation.name]
    count, outputs = found.grid.hidden, found.grid.output
    homogeneous = found.family.activation.name == "relu"
    hidden = found.family.widths[1]
    bends, low, high = [], 0.0, 0.0
    drift_of = np.repeat(found.drifts, outputs, axis=0) / outputs
    w, b, v = network[:hidden], network[hidden : 2 * hidden], network[2 * hidden : 3 * hidden]
    for wi, bi, vi in zip(w, b, v, strict=True):
        if homogeneous:
            scale = max(abs(wi), abs(bi))
            wi, bi, vi = wi / scale, bi / scale, vi * scale
            face, free = (0 if wi < 0 else 1, bi) if abs(wi) >= abs(bi) else (2 if bi < 0 else 3, wi)
            place = face * count + index(free, count)
        else:
            place = index(wi, count) * count + index(bi, count)
        cell = place * outputs + index(vi, outputs)
        bend = found.assignment[cell]
        bends.append(bend)
        mine = found.assignment == bend
        low += (found.parts - np.abs(drift_of))[mine].min(axis=0)
        high += (found.parts + np.abs(drift_of))[mine].max(axis=0)
    low[0] -= 1
    high[0] += 1
    shape = sum(found.bends[k, 2] * sigma(found.bends[k, 0] * points + found.bends[k, 1]) for k in bends)
    true = evaluate(found.family.widths, network, points[:, None], sigma)
    steps = np.maximum(1, np.ceil((high - low) / (2 * found.polynomial_radius / len(low))))
    powers = np.cos(np.arange(len(low))[:, None] * np.arccos(points))
    axes = [a + (z - a) * (2 * np.arange(n) + 1) / (2 * n) for a, z, n in zip(low, high, steps, strict=True)]
    centres = np.array(list(itertools.product(*axes))) @ powers + shape
    return np.abs(centres - true).max(axis=1).min()


def index(value, count):
    return min(count - 1, int((value + 1) / 2 * count))


@pytest.mark.parametrize(
    ("name", "hidden", "eps"), [("relu", 1, 0.3), ("relu", 2, 0.4), ("tanh", 1, 0.2), ("tanh", 2, 0.3)]
)
def test_random_networks_are_near_a_centre(name, hidden, eps):
    found = cover((1, hidden, 1), **UNIT, activation=name, eps=eps, rng=generator(), cells=20_000)
    verify(found)
    points = np.linspace(-1, 1, found.grid.nodes)
    rng = generator(1)
    for _ in range(40):
        network = rng.uniform(-1, 1, 3 * hidden + 1)
        network = np.where(rng.random(network.shape) < rng.choice([0, 0.7]), np.sign(network), network)
        assert centre_near(found, network, points) <= eps


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "gelu", "sigmoid", "abs", "softplus", "identity"])
def test_networks_stay_near_their_interpolants(name):
    """Step 4 on its own: |f - interpolant| <= d_0 ωh/4, at random points of random networks."""
    from fnequiv.complexity.neurons import interpolation_error

    family = NetworkClass((1, 3, 1), name, B=2.0, Bx=1.5)
    nodes = np.linspace(-1.5, 1.5, 9)
    points = np.linspace(-1.5, 1.5, 1001)
    sigma = activations.get(name)
    rng = generator(2)
    worst = 0.0
    for _ in range(300):
        w, b, v = rng.uniform(-2, 2, (3, 3))
        w, v = (np.where(rng.random(3) < 0.5, 2 * np.sign(x), x) for x in (w, v))
        f = lambda x, w=w, b=b, v=v: sigma(np.outer(x, w) + b) @ v  # noqa: E731
        worst = max(worst, np.abs(f(points) - np.interp(points, nodes, f(nodes))).max())
    bound = interpolation_error(family, 9)
    assert worst <= bound
    assert name == "identity" or worst > bound / 50


def test_covers_shrink_with_eps_and_with_more_cells():
    sizes = [
        cover((1, 1, 1), **UNIT, activation="relu", eps=eps, rng=generator(), cells=6000).log_size
        for eps in (0.15, 0.3, 0.6, 1.2)
    ]
    assert sizes == sorted(sizes, reverse=True)
    coarse, fine = (
        cover((1, 2, 1), **UNIT, activation="relu", eps=0.3, rng=generator(), cells=cells).log_size
        for cells in (3000, 12_000)
    )
    assert fine < coarse


# Both sides

CLASSES = [
    ((1, 1, 1), "relu", 0.25),
    ((1, 2, 1), "relu", 0.3),
    ((1, 3, 1), "relu", 0.25),
    ((1, 1, 1), "tanh", 0.15),
    ((1, 3, 1), "sigmoid", 0.2),
    ((1, 2, 1), "gelu", 0.3),
    ((1, 6, 1), "abs", 1.5),
    ((2, 1, 1), "tanh", 0.8),
    ((2, 2, 1), "leaky_relu", 1.5),
]


@pytest.mark.parametrize(("widths", "name", "eps"), CLASSES)
def test_no_packing_exceeds_an_upper_bound(widths, name, eps):
    numbers = {**UNIT, "activation": name, "eps": eps}
    found = bracket(widths, **numbers, rng=generator(), rounds=30, cells=8000)
    verify(found)
    assert 0 < found.lower <= found.upper
    facts = activations.get(name)
    symmetries = ["none", "permutation", "best"]
    symmetries += ["signed"] if facts.parity else []
    symmetries += ["scaled"] if facts.degree == 1 else []
    for symmetry in symmetries:
        assert found.lower <= covering.orbit_bound(widths, **numbers, symmetry=symmetry)
    if widths[0] == 1:
        assert found.upper < covering.orbit_bound(widths, **numbers, symmetry="permutation")


def test_the_same_seed_gives_the_same_certificate():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (
        bracket((1, 2, 1), **UNIT, activation="relu", eps=0.5, rng=generator(5), rounds=5, cells=4000) for _ in range(2)
    )
    assert first.packing.networks.tolist() == second.packing.networks.tolist()
    assert first.cover.bends.tolist() == second.cover.bends.tolist()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


# What the verifier must not accept


@pytest.fixture(scope="module")
def honest():
    return bracket((1, 2, 1), **UNIT, activation="relu", eps=0.4, rng=generator(), rounds=20, cells=8000)


def changed(array, place, value):
    copy = array.copy()
    copy[place] = value
    return copy


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda p: replace(p, eps=0.45), "within 2 eps"),
        (lambda p: replace(p, networks=changed(p.networks, (0, 0), 1.001)), "outside \\[-B, B\\]"),
        (lambda p: replace(p, networks=changed(p.networks, (0, 0), np.nan)), "outside"),
        (lambda p: replace(p, networks=np.vstack([p.networks, p.networks[3]])), "within 2 eps"),
        (lambda p: replace(p, networks=p.networks[:, :-1]), "S columns"),
        (lambda p: replace(p, networks=p.networks[:0]), "at least one"),
        (lambda p: replace(p, inputs=changed(p.inputs, (0, 0), -1.0000001)), "outside the domain"),
        (lambda p: replace(p, inputs=changed(p.inputs, (0, 0), np.nan)), "not finite"),
        (lambda p: replace(p, inputs=p.inputs[:2]), "within 2 eps"),
        (lambda p: replace(p, inputs=p.inputs.T), "d_0 columns"),
    ],
)
def test_forged_packings_are_rejected(honest, forge, message):
    verify(honest.packing)
    with pytest.raises(CertificateError, match=message):
        verify(forge(honest.packing))


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda c: replace(c, eps=0.39), "radii add up"),
        (lambda c: replace(c, log_size=c.log_size - 0.01), "centres, more than"),
        (lambda c: replace(c, log_size=math.nan), "centres, more than"),
        (lambda c: replace(c, bend_radius=0.9 * c.bend_radius), "more than bend_radius"),
        (lambda c: replace(c, polynomial_radius=1.1 * c.polynomial_radius), "radii add up"),
        (lambda c: replace(c, polynomial_radius=-c.polynomial_radius), "not positive"),
        (lambda c: replace(c, bends=changed(c.bends, 0, [3.0, -1.0, 2.0])), "more than bend_radius"),
        (lambda c: replace(c, bends=c.bends[:-1]), "every cell must name a bend"),
        (lambda c: replace(c, bends=np.vstack([c.bends, c.bends[:1]])), "every bend must stand"),
        (lambda c: replace(c, assignment=(c.assignment + 1) % len(c.bends)), "more than bend_radius"),
        (lambda c: replace(c, parts=changed(c.parts, (7, 0), c.parts[7, 0] + 0.5)), "more than bend_radius"),
        (lambda c: replace(c, parts=changed(c.parts, (7, 0), np.nan)), "more than bend_radius"),
        (lambda c: replace(c, parts=c.parts[:-1]), "parts must have shape"),
        (lambda c: replace(c, drifts=changed(c.drifts, (5, 0), 9.0)), "more than bend_radius"),
        (lambda c: replace(c, grid=c.grid._replace(nodes=9)), "radii add up"),
        (lambda c: replace(c, grid=c.grid._replace(output=c.grid.output - 1)), "parts must have shape"),
        (lambda c: replace(c, family=replace(c.family, widths=(1, 3, 1))), "radii add up"),
        (lambda c: replace(c, family=replace(c.family, B=1.1)), "more than bend_radius"),
        (lambda c: replace(c, family=replace(c.family, activation="leaky_relu")), "more than bend_radius"),
    ],
)
def test_forged_covers_are_rejected(honest, forge, message):
    verify(honest.cover)
    with pytest.raises(CertificateError, match=message):
        verify(forge(honest.cover))


def test_mismatched_halves_are_rejected(honest):
    with pytest.raises(CertificateError, match="different classes or radii"):
        verify(Bracket(replace(honest.packing, eps=0.3), honest.cover))
    with pytest.raises(TypeError, match="must be a Packing"):
        verify("certificate")


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_exactly_two_eps_apart_is_not_enough(name):
    family = NetworkClass((1, 1, 1), name, **UNIT)
    constants = np.array([[0.0, 0.0, 0.0, -0.5], [0.0, 0.0, 0.0, 0.5]])
    inputs = np.zeros((1, 1))
    with pytest.raises(CertificateError):
        verify(Packing(family, 0.5, constants, inputs))
    verify(Packing(family, 0.5 - 1e-9, constants, inputs))


def test_rational_arithmetic_sees_what_floats_cannot():
    """At x = 1 the outputs differ by 2ε plus 2^-60, which float64 rounds away."""
    family = NetworkClass((1, 1, 1), "relu", **UNIT)
    networks = np.array([[0.5, 0.0, 2.0**-59, 0.5], [0.0, 0.0, 0.0, -0.5]])
    verify(Packing(family, 0.5, networks, np.ones((1, 1))))


# Refusals


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: packing((1, 1, 1), B=0, Bx=1, activation="relu", eps=1, rng=generator()), ValueError, "B must be"),
        (lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=0, rng=generator()), ValueError, "eps must be"),
        (
            lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=1e-320, rng=generator()),
            ValueError,
            "eps must be at least B/100000",
        ),
        (
            lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=1, rng=generator(), inputs=[[1], [1, 2]]),
            TypeError,
            "inputs must be",
        ),
        (lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=[1, 2], rng=generator()), ValueError, "one number"),
        (
            lambda: packing((1, 1, 1), B=[1, 2], Bx=1, activation="relu", eps=1, rng=generator()),
            ValueError,
            "one number",
        ),
        (
            lambda: packing((1, 1, 1), **UNIT, activation="rleu", eps=1, rng=generator()),
            ValueError,
            "unknown activation",
        ),
        (lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=1, rng=0), TypeError, "numpy Generator"),
        (lambda: cover((1, 1, 1), **UNIT, activation="relu", eps=1, rng=0), TypeError, "numpy Generator"),
        (lambda: packing((1, 0, 1), **UNIT, activation="relu", eps=1, rng=generator()), ValueError, "width d_1"),
        (
            lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=1, rng=generator(), domain="l1"),
            ValueError,
            "domain must be",
        ),
        (
            lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=1, rng=generator(), inputs=[[2.0]]),
            ValueError,
            "norm <= Bx",
        ),
        (  # 0.6² + 0.8² of these floats is a little more than 1
            lambda: packing((2, 1, 1), **UNIT, activation="relu", eps=1, rng=generator(), inputs=[[0.6, 0.8]]),
            ValueError,
            "norm <= Bx",
        ),
        (
            lambda: packing((1, 1, 1), **UNIT, activation="relu", eps=1, rng=generator(), inputs=[0.5]),
            ValueError,
            "shape",
        ),
        (lambda: cover((1, 2, 2, 1), **UNIT, activation="relu", eps=1, rng=generator()), ValueError, "packing works"),
        (lambda: cover((3, 2, 1), **UNIT, activation="relu", eps=1, rng=generator()), ValueError, "d_0 <= 2"),
        (lambda: cover((1, 2, 1), **UNIT, activation="hardshrink", eps=1, rng=generator()), ValueError, "Lipschitz"),
        (
            lambda: cover((1, 2, 1), **UNIT, activation="relu", eps=1e-3, rng=generator()),
            ValueError,
            "raise eps or cells",
        ),
        (
            lambda: cover((1, 2, 1), **UNIT, activation="relu", eps=1, rng=generator(), cells=5),
            ValueError,
            "cells must be",
        ),
    ],
)
def test_refusals_name_the_rule(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_door_shows_its_rooms():
    assert set(rooms.__all__) >= {"bracket", "cover", "packing", "verify", "Bracket", "Cover", "Packing"}


def test_progress_goes_to_standard_error(capsys):
    packing((1, 1, 1), **UNIT, activation="relu", eps=1, rng=generator(), rounds=2, progress=True)
    captured = capsys.readouterr()
    assert "packing" in captured.err
    assert captured.out == ""
