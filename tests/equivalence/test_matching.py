"""The parts of matching: forced pairs against all perfect matchings, sizes under rescaling, clusters, pinned scales."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.checking import compare
from fnequiv.equivalence.clustering import Clusters
from fnequiv.equivalence.matching import Matcher
from fnequiv.equivalence.measuring import Error, Sizes, exact
from fnequiv.equivalence.pairing import closest, pair
from fnequiv.equivalence.pinning import classes_of_colours, scales_are_one
from fnequiv.equivalence.unitrows import Whole

SEEDS = st.integers(0, 2**32)
RELAXED = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays(params):
    return {name: tensor.double().numpy() for name, tensor in params.items() if tensor.is_floating_point()}


def whole(spec, params):
    """The specification of the floating tensors alone."""
    return type(spec)(spec.blocks, {name: tuple(array.shape) for name, array in arrays(params).items()})


@given(seed=SEEDS, size=st.integers(1, 5), signed=st.booleans(), width=st.floats(0.01, 1.5))
@settings(max_examples=150, deadline=None)
def test_pairs_are_forced_as_all_perfect_matchings_say(seed, size, signed, width):
    rng = np.random.default_rng(seed)
    a = rng.integers(-2, 3, (size, 2)).astype(float)
    b = a[rng.permutation(size)] + rng.uniform(-1, 1, (size, 2)) * width
    allowed = rng.choice([width, 0.3 * width, np.inf], (size, 1), p=[0.7, 0.2, 0.1]) * np.ones((1, 2))
    fits = (np.abs(b[:, None] - a[None]) <= allowed[:, None]).all(axis=2)
    if signed:
        fits |= (np.abs(b[:, None] + a[None]) <= allowed[:, None]).all(axis=2)
    matchings = [p for p in itertools.permutations(range(size)) if all(fits[i, p[i]] for i in range(size))]
    found = pair(Whole(a), Whole(b), Whole(allowed), 2, signed=signed)
    if not matchings:
        assert found.lonely is not None
        return
    assert tuple(found.partner) in matchings
    shares = np.abs(b[:, None] - a[None])
    if signed:
        other = np.abs(b[:, None] + a[None])
        shares = np.where((other.max(axis=2) < shares.max(axis=2))[:, :, None], other, shares)
    shares = (shares / allowed[:, None]).max(axis=2)
    if np.isfinite(allowed).all():  # of all matchings the one with the least differences
        sums = [sum(shares[i, p[i]] for i in range(size)) for p in matchings]
        assert sum(shares[i, found.partner[i]] for i in range(size)) == pytest.approx(min(sums))
    options = [{p[i] for p in matchings} for i in range(size)]
    free = {i for i in range(size) if len(options[i]) > 1}
    assert free == {int(i) for group in found.groups for i in group}
    for group in found.groups:  # no matching leaves a group
        partners = set(found.partner[group])
        assert all(options[i] <= partners for i in group)
    for i in range(size):
        gap = np.abs(b[i] - found.signs[i] * a[found.partner[i]])
        assert (gap <= allowed[i]).all()


def test_too_many_pairs_are_not_looked_at(monkeypatch):
    monkeypatch.setattr("fnequiv.equivalence.pairing._MOST_ENTRIES", 10)
    ones = Whole(np.ones((4, 1)))
    assert pair(ones, ones, ones, 0, signed=False) is None


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_closest_partners(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 4, 3))
    partner, signs = closest(a, b, 3, signed=True)
    costs = np.minimum(np.abs(b[:, None] - a[None]).max(axis=2), np.abs(b[:, None] + a[None]).max(axis=2))
    least = min(sum(costs[i, p[i]] for i in range(4)) for p in itertools.permutations(range(4)))
    own = np.abs(b - signs[:, None] * a[partner]).max(axis=1)
    assert own.sum() == pytest.approx(least)


@given(seed=SEEDS, data=st.data())
@RELAXED
def test_division_by_sizes_undoes_every_rescaling(zoo_spec, networks, flavours, seed, data):
    a = networks(zoo_spec, seed, data.draw(st.sampled_from(flavours)))
    spec = whole(zoo_spec, a)
    a = {name: a[name] for name in spec.shapes}
    rng = np.random.default_rng(seed)
    b = apply(a, spec, sample(spec, rng, spread=100.0))
    signs_and_order = [np.sort(np.abs(array), axis=None) for array in arrays(a).values()]
    assert len(signs_and_order) == len(b)
    left, right = Sizes(arrays(a), spec, exact(spec)), Sizes(arrays(b), spec, Error(dict.fromkeys(b, 0.0), 1e-13))
    assert left.certain == right.certain
    if not left.certain:
        return
    for name in b:
        (ours, _), (theirs, error) = left.divided(name), right.divided(name)
        gaps = np.abs(np.sort(np.abs(ours), axis=None) - np.sort(np.abs(theirs), axis=None))
        assert gaps.max(initial=0.0) <= error.max(initial=0.0)


@given(seed=SEEDS, data=st.data())
@RELAXED
def test_what_is_rescaled_is_never_excluded_and_its_scales_are_never_pinned(zoo_spec, networks, flavours, seed, data):
    a = networks(zoo_spec, seed, data.draw(st.sampled_from(flavours)))
    spec = whole(zoo_spec, a)
    a = {name: a[name] for name in spec.shapes}
    g = sample(spec, np.random.default_rng(seed))
    b = apply(a, spec, g)
    error = Error(dict.fromkeys(b, 0.0), 1e-13)
    matcher = Matcher(arrays(a), arrays(b), spec, error)
    assert matcher.obstruction is None
    if matcher.unique:
        moved = apply(a, spec, matcher.element)
        assert not any(matcher.excess(name, array) for name, array in arrays(moved).items())
    clusters = Clusters(arrays(a), arrays(b), spec, error)
    clusters.candidate(max_nodes=1000)
    assert not clusters.excluded
    if clusters.certain and scales_are_one(
        arrays(a), arrays(b), spec, classes_of_colours(clusters.a, clusters.b, spec)
    ):
        discrete = spec.only(signs=True)
        assert compare(a, b, discrete).answer == "equivalent"


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu", "abs", "square"])
def test_wide_networks_with_noise_duplicates_and_dead_units(networks, activation):
    spec = mlp.spec((20, 64, 64, 5), activation)
    a = networks(spec, 0, dtype=torch.float32)
    a["0.weight"][1], a["0.bias"][1] = a["0.weight"][0], a["0.bias"][0]  # alike on the way in, not on the way out
    a["2.weight"][:, 2] = 0  # heard by nobody
    a["2.weight"][5], a["2.bias"][5] = 0, 0  # hears nothing
    b = apply(a, spec, sample(spec, np.random.default_rng(0)))
    b = {name: tensor * (1 + 1e-6 * (torch.rand_like(tensor) - 0.5)) for name, tensor in b.items()}
    assert compare(a, b, spec, tolerance=1e-4).answer == "equivalent"
    for name in ("0.weight", "2.weight", "4.weight", "4.bias"):
        changed = {**b, name: b[name].clone()}
        changed[name].view(-1)[7 % changed[name].numel()] += 0.25
        assert compare(a, changed, spec, tolerance=1e-4).answer != "equivalent"


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu", "square"])
def test_one_changed_weight_in_a_wide_rescaled_network_is_proved(networks, activation):
    spec = mlp.spec((20, 64, 64, 5), activation)
    a = networks(spec, 0, dtype=torch.float32)
    b = apply(a, spec, sample(spec, np.random.default_rng(0)))
    for name in b:
        changed = {**b, name: b[name].clone()}
        entries = changed[name].view(-1)
        entries[3] += 0.05 * changed[name].abs().max()
        assert compare(a, changed, spec, tolerance=1e-4).answer == "not equivalent", name
    assert compare(a, networks(spec, 1, dtype=torch.float32), spec, tolerance=1e-4).answer == "not equivalent"


def test_scales_that_cancel_between_two_layers_are_not_pinned(networks):
    spec = mlp.spec((2, 3, 3, 2), "relu", bias=False)
    a = networks(spec, 0)
    b = {name: tensor.clone() for name, tensor in a.items()}
    for name, factor in (("0.weight", 3), ("4.weight", 1 / 3)):
        b[name] *= factor  # every unit of both layers by 3: the weights between them stay
    classes = {block.name: (np.arange(3), np.arange(3)) for block in spec.blocks}
    assert not scales_are_one(arrays(a), arrays(b), spec, classes)
    assert scales_are_one(arrays(a), arrays(a), spec, classes)
    assert compare(a, b, spec).answer != "not equivalent"


@pytest.mark.parametrize("seed", range(200))
def test_matching_ends_where_sums_of_costs_tie_but_for_rounding(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 6, 1))  # any two assignments of points on a line that do not cross cost the same
    found = pair(Whole(a), Whole(b), Whole(np.full((6, 1), 3.0)), 1, signed=False)
    costs = [np.abs(b[:, 0] - a[list(order), 0]) / 3 for order in itertools.permutations(range(6))]
    least = min((cost.sum() for cost in costs if (cost <= 1).all()), default=None)
    if least is not None:
        assert np.abs(b[:, 0] - a[found.partner, 0]).sum() / 3 == pytest.approx(least, abs=1e-5)
