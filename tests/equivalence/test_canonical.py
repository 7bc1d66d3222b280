"""Canonical forms: one network an orbit, whatever is tied; fingerprints; the paper's sorted biases, and their limit."""

import inspect
import itertools
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.canonical import canonicalize, fingerprint, label, sort_biases
from fnequiv.equivalence.searching import TooManyTiesError
from fnequiv.symmetry import Axis, Block, SymmetrySpec

SEEDS = st.integers(0, 2**32)
RELAXED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def equal(a, b):
    return list(a) == list(b) and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


def orbit(params, spec):
    """Every network of the orbit under permutations and flips, by brute force on the shapes; no shared code."""
    choices = []
    for block in spec.blocks:
        signs = itertools.product((1.0, -1.0), repeat=block.size) if block.signs else [(1.0,) * block.size]
        choices.append(list(itertools.product(itertools.permutations(range(block.size)), signs)))
    for moves in itertools.product(*choices):
        moved = {name: tensor.numpy().copy() for name, tensor in params.items()}
        for block, (order, signs) in zip(spec.blocks, moves, strict=True):
            for axis in block.axes:
                parts = np.split(moved[axis.tensor], block.size, axis=axis.axis)
                flipped = axis.role == "in" or (axis.role == "out" and not block.even)
                parts = [parts[unit] * (sign if flipped else 1.0) for unit, sign in zip(order, signs, strict=True)]
                moved[axis.tensor] = np.concatenate(parts, axis=axis.axis)
        yield moved


@given(seed=SEEDS, data=st.data())
@RELAXED
def test_one_network_an_orbit(zoo_spec, networks, flavours, seed, data):
    spec = zoo_spec.only(signs=True)
    theta = networks(spec, seed, data.draw(st.sampled_from(flavours)))
    before = {name: tensor.clone() for name, tensor in theta.items()}
    found = label(theta, spec)
    canonical = canonicalize(theta, spec)
    assert equal(canonical, apply(theta, spec, found.element))
    copy = apply(theta, spec, sample(spec, np.random.default_rng(seed)))
    assert equal(canonicalize(copy, spec), canonical)
    assert equal(canonicalize(canonical, spec), canonical)
    for automorphism in found.automorphisms:
        assert equal(apply(theta, spec, automorphism), theta)
    assert equal(theta, before)


@pytest.mark.parametrize("flavour", ["random", "few values", "all equal", "duplicates", "dead"])
@pytest.mark.parametrize("activation", ["gelu", "tanh", "abs"])
def test_canonical_forms_tell_orbits_apart_as_brute_force_does(networks, activation, flavour):
    spec = mlp.spec((1, 2, 2, 1), activation).only(signs=True)
    for seed in range(4):
        theta = networks(spec, seed, flavour)
        other = networks(spec, seed + 100, flavour)
        canonical = canonicalize(theta, spec)
        members = list(orbit(theta, spec))
        same = [all(np.array_equal(m[n], canonical[n].numpy()) for n in m) for m in members]
        assert any(same)  # in the orbit
        truth = any(all(np.array_equal(m[n], other[n].numpy()) for n in m) for m in members)
        assert equal(canonicalize(other, spec), canonical) == truth


@given(seed=SEEDS, data=st.data())
@RELAXED
def test_rescaled_copies_have_one_form_up_to_rounding(zoo_spec, networks, seed, data):
    flavour = data.draw(st.sampled_from(["random", "few values", "all equal", "all zero", "duplicates", "zero biases"]))
    theta = networks(zoo_spec, seed, flavour)
    copy = apply(theta, zoo_spec, sample(zoo_spec, np.random.default_rng(seed)))
    one, other = canonicalize(theta, zoo_spec), canonicalize(copy, zoo_spec)
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], rtol=1e-11, atol=1e-13), name


@pytest.mark.parametrize("where", ["0.weight", "4.weight"])
def test_units_without_ways_in_or_out_are_rescaled_too(networks, where):
    spec = mlp.spec((2, 3, 3, 2), "relu", bias=False)
    theta = networks(spec, 0)
    theta[where] = torch.zeros_like(theta[where])
    copy = apply(theta, spec, sample(spec, np.random.default_rng(1)))
    one, other = canonicalize(theta, spec), canonicalize(copy, spec)
    assert all(torch.allclose(one[name], other[name], rtol=1e-12, atol=0) for name in one)


def test_duplicates_and_symmetries_are_reported(networks):
    spec = mlp.spec((2, 4, 1), "gelu")
    theta = networks(spec, 0)
    for name, axis in (("0.weight", 0), ("0.bias", 0), ("2.weight", 1)):
        theta[name].movedim(axis, 0)[2] = theta[name].movedim(axis, 0)[0]
    assert label(theta, spec).twins["layer1"] == ((0, 2),)
    ring = torch.tensor([[0.0, 1, 0, 1, 1], [1, 0, 1, 0, 1], [1, 1, 0, 1, 0], [0, 1, 1, 0, 1], [1, 0, 1, 1, 0]])
    tied = {"0.weight": torch.ones(5, 1), "2.weight": ring, "4.weight": torch.ones(1, 5)}
    found = label(tied, mlp.spec(tied, "gelu"))
    assert found.automorphisms
    assert found.refinements > 1


def shrikhande_and_rook():
    rook, shrikhande = torch.zeros(16, 16), torch.zeros(16, 16)
    for (i, j), (k, m) in itertools.product(itertools.product(range(4), repeat=2), repeat=2):
        if (i == k) != (j == m):
            rook[4 * i + j, 4 * k + m] = 1
        if ((k - i) % 4, (m - j) % 4) in {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}:
            shrikhande[4 * i + j, 4 * k + m] = 1
    return rook, shrikhande


def test_strongly_regular_graphs_are_told_apart():
    rook, shrikhande = shrikhande_and_rook()
    for graph in (rook, shrikhande):  # the same parameters: 16 vertices, degree 6, 2 common neighbours for any two
        assert torch.equal(graph @ graph, 4 * torch.eye(16) + 2)
    block = Block("state", 16, "permutation", (Axis("loop", 0, "in"), Axis("loop", 1, "out")))
    spec = SymmetrySpec((block,), {"loop": (16, 16)})
    prints = [fingerprint({"loop": graph}, spec) for graph in (rook, shrikhande)]
    assert prints[0] != prints[1]
    for graph, known in zip((rook, shrikhande), prints, strict=True):
        copy = apply({"loop": graph}, spec, sample(spec, np.random.default_rng(0)))
        assert fingerprint(copy, spec) == known


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_fingerprint_sees_every_bit_but_the_sign_of_zero(networks, dtype):
    spec = mlp.spec((3, 4, 4, 2), "tanh")
    theta = networks(spec, 0, dtype=dtype)
    theta["0.weight"][1, 2] = 0.0
    known = fingerprint(theta, spec)
    assert fingerprint(apply(theta, spec, sample(spec, np.random.default_rng(3))), spec) == known
    negative = {name: tensor.clone() for name, tensor in theta.items()}
    negative["0.weight"][1, 2] = -0.0
    assert fingerprint(negative, spec) == known
    for name, tensor in theta.items():
        changed = {**theta, name: tensor.clone()}
        entries = changed[name].view(-1)
        entries[-1] = torch.nextafter(entries[-1], torch.tensor(9.0, dtype=dtype))
        assert fingerprint(changed, spec) != known
    other = torch.float32 if dtype != torch.float32 else torch.float64
    assert fingerprint({name: tensor.to(other) for name, tensor in theta.items()}, spec) != known


def test_counters_count(networks):
    spec = mlp.spec((2, 3, 1), "tanh")
    spec = SymmetrySpec(spec.blocks, {**spec.shapes, "counter": ()})
    theta = {**networks(mlp.spec((2, 3, 1), "tanh"), 0), "counter": torch.tensor(2**53 + 1)}
    canonical = canonicalize(theta, spec)
    assert canonical["counter"].dtype == torch.int64
    assert int(canonical["counter"]) == 2**53 + 1
    assert fingerprint(theta, spec) != fingerprint({**theta, "counter": torch.tensor(2**53)}, spec)


def test_sorted_biases_name_one_network_until_two_are_equal(networks):
    spec = mlp.spec((2, 3, 1), "gelu")
    theta = networks(spec, 0)
    copy = apply(theta, spec, sample(spec, np.random.default_rng(1)))
    assert equal(sort_biases(theta, spec), sort_biases(copy, spec))
    theta["0.bias"] = torch.tensor([0.5, 0.5, 0.1], dtype=torch.float64)
    forms = [sort_biases(apply(theta, spec, sample(spec, np.random.default_rng(i))), spec) for i in range(9)]
    assert not all(equal(forms[0], form) for form in forms)
    assert len({fingerprint(form, spec) for form in forms}) == 1
    with pytest.raises(ValueError, match="no bias to sort"):
        sort_biases(
            {"0.weight": torch.ones(2, 1), "2.weight": torch.ones(1, 2)}, mlp.spec((1, 2, 1), "relu", bias=False)
        )


def matchings(size):
    """Ties in which every unit of the first layer belongs to one of the second, and nothing tells the couples apart."""
    return {
        "0.weight": torch.ones(size, 1),
        "2.weight": torch.eye(size) + torch.roll(torch.eye(size), 1, 0),
        "4.weight": torch.ones(1, size),
    }


def test_too_many_ties_are_an_error_and_never_a_wrong_form():
    theta = matchings(6)
    spec = mlp.spec(theta, "gelu")
    with pytest.raises(TooManyTiesError, match="max_nodes=1 "):
        canonicalize(theta, spec, max_nodes=1)
    couples = {"0.weight": torch.ones(80, 1), "2.weight": torch.eye(80), "4.weight": torch.ones(1, 80)}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 70)  # as a thousand couples would meet the usual limit
    try:
        with pytest.raises(TooManyTiesError, match="one inside the other"):
            canonicalize(couples, mlp.spec(couples, "gelu"))
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e300, 1e-300])
def test_huge_and_tiny_weights(networks, scale):
    spec = mlp.spec((2, 3, 2), "relu")
    theta = {name: tensor * (scale if name.startswith("0") else 1) for name, tensor in networks(spec, 0).items()}
    copy = apply(theta, spec, sample(spec.only(), np.random.default_rng(0)))
    assert equal(canonicalize(theta, spec), canonicalize(copy, spec))


def test_bad_input():
    spec = mlp.spec((1, 2, 1), "relu", bias=False)
    theta = {"0.weight": torch.ones(2, 1), "2.weight": torch.ones(1, 2)}
    with pytest.raises(ValueError, match=r"'0\.weight' holds NaN"):
        canonicalize({**theta, "0.weight": torch.full((2, 1), torch.nan)}, spec)
    with pytest.raises(ValueError, match=r"missing \['2\.weight'\]"):
        fingerprint({"0.weight": torch.ones(2, 1)}, spec)
    with pytest.raises(ValueError, match="max_nodes must be >= 1"):
        label(theta, spec, max_nodes=0)
    with pytest.raises(TypeError, match="dense"):
        canonicalize({**theta, "0.weight": np.ones((2, 1))}, spec)
