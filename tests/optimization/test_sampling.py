"""Starts near a copy: membership against all permutations, and both estimates against the exact probability."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import brentq
from starts import SCHEMES, all_copies, flat, split, spread, tie, zoo

from fnequiv.optimization import sampling
from fnequiv.optimization.cubes import log_start_probability
from fnequiv.optimization.membership import union
from fnequiv.optimization.rare import RareEstimate, _summary, estimate_rare
from fnequiv.optimization.rows import Network, delta_min, read
from fnequiv.optimization.sampling import monte_carlo
from fnequiv.optimization.schemes import draw, get


def as_starts(points, params):
    """Vectors [n, S] as the stacked network that membership takes."""
    weights, biases, place = [], [], 0
    for weight, bias in zip(*split(params), strict=True):
        weights.append(points[:, place : place + weight.size].reshape(-1, *weight.shape))
        place += weight.size
        biases.append(None if bias is None else points[:, place : place + bias.size])
        place += 0 if bias is None else bias.size
    return Network(tuple(weights), tuple(biases))


@pytest.mark.parametrize("columns", [True, False], ids=["twins", "ties"])
@pytest.mark.parametrize("widths", [(1, 2, 1), (2, 4, 1), (2, 3, 3, 1), (1, 2, 3, 2, 1)])
def test_membership_agrees_with_all_permutations(widths, columns):
    rng = np.random.default_rng([len(widths), columns])
    seen = set()
    for trial in range(12):
        params = draw(widths, "pytorch", rng)
        if trial % 4:
            for layer, width in enumerate(widths[1:-1]):
                tie(params, layer, rng.permutation(width)[: 2 + trial % 2].tolist(), columns=columns)
        radius = min(delta_min(params), 1.0) / 2
        copies = all_copies(params)
        noise = rng.uniform(0.9, 1.01, (300, 1)) * radius * rng.uniform(-1, 1, (300, copies.shape[1]))
        noise[::3] = radius * rng.choice([-1.002, -0.999, 0.999], (100, copies.shape[1]), p=[0.03, 0.47, 0.5])
        points = copies[rng.integers(len(copies), size=300)] + noise
        expected = sum((np.abs(points - copy) < radius).all(axis=1).astype(int) for copy in copies)
        found = union(read(params), radius).log_copies_near(as_starts(points, params))
        assert np.exp(found).round().astype(int).tolist() == expected.tolist()
        seen |= set(expected.tolist())
    assert {0, 1} <= seen
    assert max(seen) > 1


def test_starts_far_away_are_near_no_copy():
    params = draw((2, 3, 1), "pytorch", np.random.default_rng(0))
    far = as_starts(np.full((1, 13), 9.0), params)
    assert union(read(params), delta_min(params) / 2).log_copies_near(far) == [-math.inf]


# --- plain sampling -------------------------------------------------------------------------------------------------


def test_monte_carlo_agrees_with_the_exact_probability():
    """Of 60 intervals of 99 %, 0.6 are expected to miss; more than four have a probability below 0.0004.

    The networks are the first whose exact probability is large enough for 20,000 starts to hit; ten a depth at least.
    """
    rng = np.random.default_rng(2026)
    misses, alone, depths, ties, networks = 0, [], Counter(), 0, zoo(rng)
    while depths.total() < 60:
        params, scheme = next(networks)
        delta = None if math.isfinite(delta_min(params)) else 1.5
        exact = log_start_probability(params, scheme, delta=delta)
        if exact.log_value < math.log(2e-3):
            continue
        assert exact.exact
        found = monte_carlo(params, scheme, 20_000, rng, delta=delta)
        misses += not found.low <= math.exp(exact.log_value) <= found.high
        if sum(exact.log_orders) > 0:  # the interval tells one cube from all
            alone.append(not found.low <= math.exp(exact.log_cube) <= found.high)
        ties += sum(exact.log_orders) < sum(math.lgamma(len(weight) + 1) for weight in split(params)[0][:-1]) - 0.1
        depths[len(exact.log_orders)] += 1
    assert misses <= 4
    assert np.mean(alone) > 0.9
    assert ties >= 20
    assert min(depths[depth] for depth in (1, 2, 3)) >= 10


def test_ties_with_different_columns_have_more_copies_than_the_theorem_counts():
    params = {
        "0.weight": torch.tensor([[0.3], [0.3]], dtype=torch.float64),
        "2.weight": torch.tensor([[0.4, -0.4]], dtype=torch.float64),
    }
    bound = log_start_probability(params, "pytorch", delta=0.5)
    assert bound.log_orders == (0.0,)
    assert not bound.exact
    found = monte_carlo(params, "pytorch", 100_000, np.random.default_rng(0), delta=0.5)
    assert found.low < 2 * math.exp(bound.log_value) < found.high  # two disjoint cubes, where the theorem has one


def test_both_intervals():
    params, rng = spread((1, 2, 1), "pytorch", np.random.default_rng(0)), np.random.default_rng
    exact = monte_carlo(params, "pytorch", 500, rng(1), method="exact")
    wilson = monte_carlo(params, "pytorch", 500, rng(1), method="wilson", confidence=0.95)
    assert exact.hits == wilson.hits > 0
    tails = [
        stats.beta.ppf(0.005, exact.hits, 501 - exact.hits),
        stats.beta.ppf(0.995, exact.hits + 1, 500 - exact.hits),
    ]
    assert [exact.low, exact.high] == pytest.approx(tails)
    z, p = stats.norm.ppf(0.975), exact.hits / 500
    centre, margin = p + z * z / 1000, z * math.sqrt(p * (1 - p) / 500 + z * z / 1e6)
    assert [wilson.low, wilson.high] == pytest.approx([(centre + s * margin) / (1 + z * z / 500) for s in (-1, 1)])


# --- rare events ----------------------------------------------------------------------------------------------------


def at_probability(params, scheme, log_target):
    """δ at which the exact bound has a given value."""

    def excess(log_delta):
        return log_start_probability(params, scheme, delta=math.exp(log_delta)).log_value - log_target

    return math.exp(brentq(excess, -40.0, math.log(delta_min(params)) - 1e-12, xtol=1e-14))


@pytest.mark.parametrize("widths", [(2, 3, 1), (1, 3, 3, 1), (1, 3, 2, 3, 1)])
@pytest.mark.parametrize("ties", [False, True])
def test_the_estimator_works_where_plain_sampling_never_hits(widths, ties):
    rng = np.random.default_rng([len(widths), ties])
    for scheme in SCHEMES:
        params = spread(widths, scheme, rng)
        if ties:
            for layer, width in enumerate(widths[1:-1]):
                tie(params, layer, rng.permutation(width)[:2].tolist())
        target = -30 * math.log(10)
        delta = at_probability(params, scheme, target)
        exact = log_start_probability(params, scheme, delta=delta)
        assert exact.exact
        assert exact.log_value == pytest.approx(target, abs=1e-6)
        found = estimate_rare(params, scheme, 10_000, rng, delta=delta)
        error = math.expm1(found.log_value - target)
        assert abs(error) < 0.05
        assert found.relative_error < 0.016
        assert abs(error) < 4.5 * found.relative_error
        assert monte_carlo(params, scheme, 1000, rng, delta=delta).hits == 0


def test_the_estimator_sees_copies_that_the_theorem_does_not_count():
    params = draw((2, 4, 3, 1), "he_normal", np.random.default_rng(4))
    tie(params, 0, [0, 2, 3], columns=False)
    bound = log_start_probability(params, "he_normal", delta=1e-3)
    assert not bound.exact
    found = estimate_rare(params, "he_normal", 40_000, np.random.default_rng(0), delta=1e-3)
    assert bound.log_value < -100
    assert math.exp(found.log_value - bound.log_value) == pytest.approx(6, rel=0.05)  # 3! orders of three ties


def test_standard_errors_are_honest():
    """Repeated estimates scatter by their standard error, and none is biased."""
    rng = np.random.default_rng(11)
    scores, missed = [], 0
    for index in range(160):
        scheme = SCHEMES[index % len(SCHEMES)]
        params = spread((1, 3, 2, 1), scheme, rng)
        if index % 4 < 2:
            tie(params, 0, [0, 1])
        exact = log_start_probability(params, scheme).log_value
        found = estimate_rare(params, scheme, 1000, rng, confidence=0.9, widening=0.02 * (1 + index % 3))
        scores.append(math.expm1(found.log_value - exact) / found.relative_error)
        missed += not found.log_low <= exact <= found.log_high
    assert abs(np.mean(scores)) < 4 / math.sqrt(len(scores))
    assert 0.8 < np.std(scores) < 1.2
    assert stats.binom.ppf(1e-4, 160, 0.1) <= missed <= stats.binom.ppf(1 - 1e-4, 160, 0.1)


def test_cubes_no_wider_than_those_that_count_make_uniform_weights_constant():
    params = spread((2, 3, 1), "pytorch", np.random.default_rng(2))
    found = estimate_rare(params, "pytorch", 100, np.random.default_rng(0), widening=0.0)
    assert found.hits == 100
    assert found.relative_error < 1e-6
    assert found.log_value == pytest.approx(log_start_probability(params, "pytorch").log_value, rel=1e-12)


def test_points_in_the_cube_of_another_copy_count_for_that_one_alone():
    rows = torch.tensor([[-0.5], [0.5]], dtype=torch.float64)  # two cubes that touch, and points of twice their width
    params = {"0.weight": rows, "2.weight": torch.tensor([[0.1, 0.2]], dtype=torch.float64)}
    exact = log_start_probability(params, "pytorch", delta=1.0)
    assert exact.delta_min == 1.0
    found = estimate_rare(params, "pytorch", 40_000, np.random.default_rng(0), delta=1.0, widening=1.0)
    assert found.relative_error < 0.03
    assert abs(math.expm1(found.log_value - exact.log_value)) < 4.5 * found.relative_error


def test_the_standard_error_is_that_of_a_mean_of_n_weights():
    weights = np.array([1.0, 3.0, 0.0, 0.0, 2.0])
    found = _summary(3, 5, math.log(weights.sum()), math.log((weights**2).sum()), 0.9)
    assert math.exp(found.log_value) == pytest.approx(weights.mean())
    assert found.relative_error == pytest.approx(weights.std(ddof=1) / math.sqrt(5) / weights.mean())
    assert found.log_high - found.log_value == pytest.approx(stats.norm.ppf(0.95) * found.relative_error)


def test_an_impossible_start_has_no_estimate():
    params = spread((1, 2, 1), "pytorch", np.random.default_rng(0))
    params["0.bias"] = torch.tensor([0.9, 0.9], dtype=torch.float64)
    found = estimate_rare(params, "xavier_normal", 100, np.random.default_rng(0), delta=0.1)
    assert found == RareEstimate(-math.inf, math.inf, -math.inf, math.inf, 0, 100)
    assert log_start_probability(params, "xavier_normal", delta=0.1).log_value == -math.inf


def test_chunks_change_no_expectation_and_are_repeatable(monkeypatch, capsys):
    params, scheme = spread((1, 2, 1), "pytorch", np.random.default_rng(0)), get("pytorch")
    exact = math.exp(log_start_probability(params, scheme).log_value)
    monkeypatch.setattr(sampling, "ENTRIES", 1000)
    first, second = (monte_carlo(params, scheme, 5001, np.random.default_rng(3), progress=True) for _ in range(2))
    assert first == second
    assert first.low < exact < first.high
    assert "5001/5001" in capsys.readouterr().err
    rare = estimate_rare(params, scheme, 5001, np.random.default_rng(3))
    assert rare == estimate_rare(params, scheme, 5001, np.random.default_rng(3))
    assert rare.n == 5001
    assert abs(math.expm1(rare.log_value - math.log(exact))) < 4 * rare.relative_error + 1e-12


def test_nothing_is_changed():
    params = draw((2, 3, 1), "pytorch", np.random.default_rng(0))
    before = flat(params).copy()
    monte_carlo(params, "pytorch", 100, np.random.default_rng(0))
    estimate_rare(params, "pytorch", 100, np.random.default_rng(0))
    assert (flat(params) == before).all()


@pytest.mark.parametrize("estimate", [monte_carlo, estimate_rare])
def test_wrong_input_is_named(estimate, refuses):
    params, rng = draw((2, 3, 1), "pytorch", np.random.default_rng(0)), np.random.default_rng(0)
    refuses(lambda: estimate(params, "pytorch", 0, rng), ValueError, "n must be >= 2, got 0")
    refuses(lambda: estimate(params, "pytorch", 1e3, rng), TypeError, "n must be an integer")
    refuses(lambda: estimate(params, "pytorch", 10, 0), TypeError, "rng must be a numpy.random.Generator, got 0")
    refuses(lambda: estimate(params, "pytorch", 9, rng, confidence=1), ValueError, "must be a probability in (0, 1)")
    refuses(lambda: estimate(params, "pytorch", 10, rng, progress=1), TypeError, "progress must be True or False")
    refuses(lambda: estimate(params, "pytorch", 10, rng, delta=9.0), ValueError, "delta must be at most Delta_min")
    many = draw((2, 12, 1), "pytorch", np.random.default_rng(0))
    tie(many, 0, range(7), columns=False)
    refuses(lambda: estimate(many, "pytorch", 10, rng), ValueError, "must have at most 720 orders, got 5040")


def test_wrong_options_are_named(refuses):
    params, rng = draw((2, 3, 1), "pytorch", np.random.default_rng(0)), np.random.default_rng(0)
    refuses(lambda: monte_carlo(params, "pytorch", 9, rng, method=np.array([])), ValueError, "method must be")
    refuses(lambda: monte_carlo(params, "pytorch", 9, rng, method="wald"), ValueError, "method must be 'exact' or")
    refuses(
        lambda: estimate_rare(params, "pytorch", 9, rng, widening=-1), ValueError, "widening must be >= 0, got -1.0"
    )
