"""Alignment: planted copies are found, the distance never grows, and one block is solved as brute force solves it."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, identity, sample
from fnequiv.equivalence.alignment import align, align_activations
from fnequiv.equivalence.descending import fit

SEEDS = st.integers(0, 2**32)


def distance(a, b):
    return float(sum(((a[name].double() - b[name].double()) ** 2).sum() for name in a)) ** 0.5


@given(seed=SEEDS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_planted_copies_are_found(zoo_spec, networks, seed):
    spec = zoo_spec.only(signs=True)
    a = networks(spec, seed)
    b = apply(a, spec, sample(spec, np.random.default_rng(seed)))
    floating = [name for name in a if a[name].is_floating_point()]
    found = align(a, b, spec, starts=4, generator=np.random.default_rng(0))
    moved = apply(a, spec, found.element)
    assert found.after == pytest.approx(
        distance({n: moved[n] for n in floating}, {n: b[n] for n in floating}), abs=1e-12
    )
    assert found.after <= found.before + 1e-12
    if not spec.blocks or any(block.name == "state" for block in spec.blocks):
        return
    assert found.after == 0


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu", "square", "prelu", "identity"])
def test_planted_copies_with_scales_and_noise(networks, activation):
    spec = mlp.spec((5, 16, 16, 3), activation)
    b = networks(spec, 0)
    g = sample(spec, np.random.default_rng(1))
    a = apply({name: tensor + 1e-3 * torch.rand_like(tensor) for name, tensor in b.items()}, spec, g)
    found = align(a, b, spec)
    assert found.after < 0.05 < found.before
    for block in spec.blocks:
        back = found.element[block.name].permutation
        assert (g[block.name].permutation[back] == np.arange(block.size)).all()


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu"])
def test_copies_of_deep_narrow_networks_are_found_where_descent_stops_early(networks, activation):
    spec = mlp.spec((4,) * 8 + (1,), activation)
    stuck = 0
    for seed in range(3):
        a = networks(spec, seed)
        b = apply(a, spec, sample(spec, np.random.default_rng(seed)))
        found = align(a, b, spec)
        assert found.after <= 1e-9 * found.before
        nudged = {name: tensor + 1e-4 * torch.rand_like(tensor) for name, tensor in b.items()}  # too far for a copy
        rough = align(a, nudged, spec)
        assert rough.after <= rough.before
        stuck += rough.after > 0.05
    assert stuck < 3


@pytest.mark.parametrize(
    ("widths", "noise"), [((4,) * 8 + (1,), 1e-5), ((4,) * 8 + (1,), 1e-3), ((20, 32, 32, 5), 1e-2)]
)
def test_noisy_rescaled_copies_come_as_close_as_the_planted_element(networks, widths, noise):
    """Balancing leaves the scales of a deep narrow network where the noise took them; fitting brings them back."""
    spec = mlp.spec(widths, "relu")
    for seed in range(4):
        a = mlp.init(widths, torch.Generator().manual_seed(seed), dtype=torch.float64)
        exact = apply(a, spec, sample(spec, np.random.default_rng(seed), spread=4.0))
        rng = torch.Generator().manual_seed(seed)
        b = {
            name: tensor + noise * tensor.abs().max() * torch.randn(tensor.shape, generator=rng, dtype=tensor.dtype)
            for name, tensor in exact.items()
        }
        assert align(a, b, spec).after <= 1.5 * distance(exact, b)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_fitting_never_moves_away_and_ends_where_no_scale_helps(seed):
    rng = np.random.default_rng(seed)
    spec = mlp.spec((2, 3, 2, 2), ("relu", "square", "identity")[seed % 3])
    a, b = ({name: rng.normal(size=shape) for name, shape in spec.shapes.items()} for _ in range(2))

    def after(element):
        moved = apply({name: torch.from_numpy(array) for name, array in a.items()}, spec, element)
        return np.sqrt(sum(((moved[name].numpy() - b[name]) ** 2).sum() for name in b))

    found = fit(a, b, spec)
    assert after(found) <= after(identity(spec)) + 1e-12
    for block in spec.blocks:
        for unit in range(block.size):
            for factor in (0.99, 1.01):
                scales = found[block.name].scales.copy()
                scales[unit] *= factor
                nearby = GroupElement({**found.moves, block.name: Move(np.arange(block.size), scales=scales)})
                assert after(nearby) >= after(found) - 1e-5


def one_layer_after_the_other(a, b, spec):
    """Plain weight matching, written anew: permute a layer's units by linear assignment until nothing gets closer."""
    a, least = dict(a), np.inf
    while distance(a, b) < least - 1e-9:
        least = distance(a, b)
        for layer in range(len(spec.blocks)):
            into, bias, out = f"{2 * layer}.weight", f"{2 * layer}.bias", f"{2 * layer + 2}.weight"
            gains = b[into] @ a[into].T + torch.outer(b[bias], a[bias]) + b[out].T @ a[out]
            order = linear_sum_assignment(gains.numpy(), maximize=True)[1]
            a |= {into: a[into][order], bias: a[bias][order], out: a[out][:, order]}
    return a


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu"])
def test_the_least_score_is_returned_and_plain_weight_matching_is_among_the_scored(networks, activation):
    spec = mlp.spec((5, 8, 8, 3), activation)
    chosen = set()
    for seed in range(8):
        a, b = networks(spec, seed), networks(spec, 100 + seed)
        plain = one_layer_after_the_other(a, b, spec)
        seen = []

        def score(moved, plain=plain, seen=seen):
            seen.append(distance(moved, plain))
            return torch.tensor(seen[-1], requires_grad=True)

        found = align(a, b, spec, starts=3, generator=np.random.default_rng(seed), score=score)
        assert len(seen) == 4
        assert distance(apply(a, spec, found.element), plain) == min(seen) == pytest.approx(0, abs=1e-12)
        away = align(a, b, spec, starts=3, generator=np.random.default_rng(seed), score=lambda moved: -score(moved))
        assert distance(apply(a, spec, away.element), plain) == max(seen)
        chosen.add(away.start)
    assert len(chosen) > 1
    assert 3 not in chosen  # what is furthest from plain weight matching is not plain weight matching


def test_losses_on_examples_keep_plain_weight_matching_unless_a_start_is_better_beyond_chance(networks):
    spec = mlp.spec((5, 8, 8, 3), "tanh")
    a, b = networks(spec, 0), networks(spec, 100)
    plain = one_layer_after_the_other(a, b, spec)
    noise = np.random.default_rng(0).normal(size=200)

    def found(gain, spread):
        """Return the alignment where everything but plain weight matching is better by ``gain``, up to noise."""

        def score(moved):
            away = distance(moved, plain) > 1e-9
            return away * (spread * noise - gain) + 7.0

        return align(a, b, spec, starts=3, generator=np.random.default_rng(0), score=score)

    noise -= noise.mean()
    error = noise.std(ddof=1) / np.sqrt(len(noise))
    one_of_three = 2.14  # Student's quantile at 1 - 5 % / 3 with 199 degrees of freedom
    assert found(0.0, 0.0).start == 3  # a tie
    assert found((one_of_three - 0.02) * error, 1.0).start == 3
    assert found((one_of_three + 0.02) * error, 1.0).start < 3
    assert found(1e-9, 0.0).start < 3
    assert align(a, b, spec, starts=3, generator=np.random.default_rng(0), score=lambda moved: 1).start == 3


def test_a_score_sees_counters_and_masks_too(zoo_spec, networks):
    a, b = networks(zoo_spec, 0), networks(zoo_spec, 1)
    names = []
    align(a, b, zoo_spec, score=lambda moved: names.append(set(moved)) or 0.0)
    assert all(seen == set(a) for seen in names)


def test_far_networks_keep_the_sizes_of_their_partners(networks):
    """Fitted to the distance, scales of units that are badly matched would shrink."""
    spec = mlp.spec((5, 16, 3), "relu")
    b = {
        name: tensor * size for (name, tensor), size in zip(networks(spec, 1).items(), (5.0, 5.0, 0.2, 1), strict=True)
    }
    for seed in range(4):
        moved = apply(a := networks(spec, 10 + seed), spec, align(a, b, spec).element)
        ratios = [
            (torch.cat([net["0.weight"], net["0.bias"][:, None]], 1).norm(dim=1) / net["2.weight"].norm(dim=0)).numpy()
            for net in (moved, b)
        ]
        np.testing.assert_allclose(*ratios, rtol=1e-6)


def test_nearly_dead_units_keep_their_scale(networks):
    """Two units that are hardly ever active differ in length by any factor, which says nothing about their scale."""
    spec = mlp.spec((3, 8, 2), "relu")
    a, b = networks(spec, 0), networks(spec, 0)
    rng = np.random.default_rng(0)
    left = np.abs(rng.normal(size=(50, 8)))
    right = 2.0 * left
    left[:, 3], right[:, 3] = 0.0, 0.0
    left[7, 3], right[7, 3] = 1e-3, 1e-9
    left[:, 5], right[:, 5] = 0.0, 0.0
    found = align_activations(a, b, spec, {"layer1": left}, {"layer1": right})
    np.testing.assert_allclose(found.element["layer1"].scales, [2, 2, 2, 1, 2, 1, 2, 2])
    dead = np.zeros((50, 8))
    assert (align_activations(a, b, spec, {"layer1": dead}, {"layer1": dead}).element["layer1"].scales == 1).all()


def test_one_block_is_solved_exactly(networks):
    spec = mlp.spec((2, 4, 1), "tanh")
    a, b = networks(spec, 0), networks(spec, 1)
    every = itertools.product(itertools.permutations(range(4)), itertools.product((1.0, -1.0), repeat=4))
    least = min(distance(apply(a, spec, GroupElement({"layer1": Move(p, s)})), b) for p, s in every)
    assert align(a, b, spec).after == pytest.approx(least, rel=1e-12)


def test_more_starts_are_never_worse_and_executors_change_nothing(networks):
    spec = mlp.spec((2, 6, 6, 6, 1), "tanh")
    a, b = networks(spec, 0), networks(spec, 1)
    before = {name: tensor.clone() for name, tensor in a.items()}
    one = align(a, b, spec)
    many = align(a, b, spec, starts=6, generator=np.random.default_rng(0))
    assert many.after <= one.after <= one.before
    with ThreadPoolExecutor(2) as pool:
        again = align(a, b, spec, starts=6, generator=np.random.default_rng(0), executor=pool)
    assert (again.after, again.start) == (many.after, many.start)
    assert all(torch.equal(a[name], before[name]) for name in a)


def test_progress_is_shown_when_asked_for(networks, capsys):
    spec = mlp.spec((2, 3, 1), "tanh")
    a, b = networks(spec, 0), networks(spec, 1)
    align(a, b, spec)
    assert capsys.readouterr().err == ""
    align(a, b, spec, starts=2, generator=np.random.default_rng(0), progress=True)
    assert "starts" in capsys.readouterr().err


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu", "abs"])
def test_activations_name_the_units(networks, activation):
    spec = mlp.spec((3, 8, 5, 2), activation)
    a = networks(spec, 0)
    g = sample(spec, np.random.default_rng(1))
    b = apply(a, spec, g)
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(64, 3)))
    seen = []
    for params in (a, b):
        hidden, outputs = x, {}
        for layer in (1, 2):
            hidden = hidden @ params[f"{2 * layer - 2}.weight"].T + params[f"{2 * layer - 2}.bias"]
            hidden = mlp.forward(
                {
                    "0.weight": torch.eye(hidden.shape[1], dtype=x.dtype),
                    "2.weight": torch.eye(hidden.shape[1], dtype=x.dtype),
                },
                hidden,
                activation,
            )
            outputs[f"layer{layer}"] = hidden.numpy()
        seen.append(outputs)
    found = align_activations(a, b, spec, *seen)
    for block in spec.blocks:
        assert (found.element[block.name].permutation == g[block.name].permutation).all()
    if activation != "abs":  # an even activation hides the signs of its units
        assert found.after < 1e-9


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e200])
def test_activations_of_any_size_and_kind_of_array(networks, size):
    spec = mlp.spec((3, 4, 2), "relu")
    a, b = networks(spec, 0), networks(spec, 0)
    left = np.random.default_rng(0).random((30, 4)) * size
    found = align_activations(a, b, spec, {"layer1": left}, {"layer1": 2 * left[:, [2, 0, 3, 1]]})
    assert found.element["layer1"].permutation.tolist() == [2, 0, 3, 1]
    np.testing.assert_allclose(found.element["layer1"].scales, 2.0, rtol=1e-12)
    tensor = torch.from_numpy(left / size).bfloat16().requires_grad_()
    moved = align_activations(a, b, spec, {"layer1": tensor}, {"layer1": left / size}).element["layer1"]
    np.testing.assert_allclose(moved.scales, 1.0, rtol=1e-2)


def test_bad_input(networks):
    spec = mlp.spec((2, 3, 1), "tanh")
    a, b = networks(spec, 0), networks(spec, 1)
    with pytest.raises(ValueError, match="pass a generator"):
        align(a, b, spec, starts=2)
    for wrong in ({"starts": 0}, {"sweeps": 0}):
        with pytest.raises(ValueError, match="must be >= 1"):
            align(a, b, spec, **wrong)
    with pytest.raises(ValueError, match=r"network b: tensor '0\.bias' holds NaN"):
        align(a, {**b, "0.bias": torch.full((3,), torch.nan, dtype=torch.float64)}, spec)
    with pytest.raises(TypeError, match="SymmetrySpec"):
        align(a, b, "tanh")
    huge = {name: tensor * 1e200 for name, tensor in a.items()}
    with pytest.raises(ValueError, match="leave the range of float64"):
        align(huge, b, spec)
    outputs = {"layer1": np.ones((4, 3))}
    with pytest.raises(TypeError, match=r"concurrent\.futures\.Executor"):
        align(a, b, spec, executor=3)
    with pytest.raises(TypeError, match="score must be a function"):
        align(a, b, spec, score=3)
    with pytest.raises(ValueError, match="score must be finite, got nan"):
        align(a, b, spec, score=lambda moved: torch.nan)
    with pytest.raises(ValueError, match=r"score must be one number, or one for each.*got 2 of shapes \[\(3, 2\)\]"):
        align(a, b, spec, score=lambda moved: moved["0.weight"])
    with pytest.raises(TypeError, match="progress must be"):
        align(a, b, spec, progress="yes")
    for wrong in ({}, None, [1.0], {**outputs, "layer9": np.ones((4, 3))}):
        with pytest.raises(ValueError, match=r"outputs_b must map every block, \['layer1'\]"):
            align_activations(a, b, spec, outputs, wrong)
    for wrong in (np.ones((4, 2)), np.ones((0, 3)), np.ones(3)):
        with pytest.raises(ValueError, match=r"outputs_b\['layer1'\] must have shape \[inputs, 3\]"):
            align_activations(a, b, spec, outputs, {"layer1": wrong})
    for wrong in ("x", [[1, 2, 3], [1]], np.ones((4, 3)) * 1j):
        with pytest.raises(TypeError, match=r"outputs_b\['layer1'\] must be a real number"):
            align_activations(a, b, spec, outputs, {"layer1": wrong})
    with pytest.raises(ValueError, match="must be finite"):
        align_activations(a, b, spec, outputs, {"layer1": np.full((4, 3), np.nan)})
    with pytest.raises(ValueError, match="same inputs"):
        align_activations(a, b, spec, outputs, {"layer1": np.ones((5, 3))})
