"""Shells of the operator norm: each step of the proof on its own, and the saving against a direct sum over shells."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from fnequiv import activations
from fnequiv.complexity.covering import orbit_bound, orbit_terms
from fnequiv.complexity.matrices import log_operator_ball
from fnequiv.complexity.orbit import Used
from fnequiv.complexity.sensitivity import check_activations, propagate
from fnequiv.complexity.shares import refined_bounds
from fnequiv.complexity.shells import log_norm_tail


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (2, 2), (3, 2), (5, 5)])
def test_the_tail_of_the_norm_is_not_underestimated(height, width):
    rng, n = np.random.default_rng(0), height * width
    norms = np.linalg.norm(rng.uniform(-1, 1, (100_000, height, width)), 2, axis=(1, 2)) / math.sqrt(n)
    for fraction in (0.2, 0.5, 0.7, 0.9, 0.99, 1.0):
        bound = math.exp(float(log_norm_tail(height, width, fraction)))
        share = (norms >= fraction).mean()
        assert bound >= share - 4 * math.sqrt(share / 1e5)


def test_the_tail_is_of_the_right_order():
    """Matrices near (±1)(±1)^T alone, entries at least 1 - h: 2^{h+w-1} (h/2)^n, so the rate is not far too small."""
    n, h = 100 * 100, 0.2
    near_corners = 199 * math.log(2) + n * math.log(h / 2)
    assert near_corners <= float(log_norm_tail(100, 100, 1 - h)) <= 0.4 * near_corners
    assert float(log_norm_tail(100, 100, 0.2)) > -200  # near typical norms, 0.115 √n, there is nothing to save


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4), (30, 30), (45, 20)])
@pytest.mark.parametrize("fraction", [0.4, 0.6, 0.8, 0.95])
def test_the_tail_lies_between_one_pair_of_vectors_and_all_nets(height, width, fraction):
    """‖U‖√n ≥ Σ U_ij, whose tail is Irwin's and Hall's: exact, and the leading order of the bound's."""
    n = height * width
    with mp.workdps(60 + 2 * n):
        x = n * (1 - mp.mpf(fraction)) / 2
        terms = ((-1) ** k * mp.binomial(n, k) * (x - k) ** n for k in range(int(x) + 1))
        one_pair = float(mp.log(mp.fsum(terms)) - mp.loggamma(n + 1))
    bound = float(log_norm_tail(height, width, fraction))
    assert one_pair <= bound
    if n > 500 and fraction >= 0.6:
        assert bound <= 0.3 * one_pair


@pytest.mark.parametrize("tilt", [0.1, 1.0, 5.0, 40.0])
def test_spread_out_vectors_have_the_heaviest_tails(tilt):
    """Σ φ(θ² n y_i² z_j²) ≤ n φ(θ²) for unit y, z: with random ones, sparse ones too."""
    rng = np.random.default_rng(1)
    phi = lambda q: mp.log(mp.sinh(mp.sqrt(q)) / mp.sqrt(q)) if q > 1e-20 else mp.mpf(0)  # noqa: E731
    for _ in range(20):
        y, z = rng.normal(size=4) ** rng.choice([1, 3]), rng.normal(size=3) ** rng.choice([1, 5])
        y, z = y / np.linalg.norm(y), z / np.linalg.norm(z)
        total = sum(phi(tilt**2 * 12 * (a * b) ** 2) for a in y for b in z)
        assert total <= 12 * phi(tilt**2) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "abs", "gelu"])
def test_a_network_s_own_norms_bound_how_far_it_moves(name):
    """The Euclidean form with ‖W‖ of one network in place of B√n, ranges and boxes as they are."""
    rng, sigma = np.random.default_rng(3), activations.get(name)
    for trial in range(40):
        widths = tuple(rng.integers(1, 6, size=5).tolist())
        B, Bx = np.exp(rng.uniform(-1, 1, 2)).tolist()
        ranges = propagate(widths, np.log(np.float64(B)), np.log(np.float64(Bx)), check_activations(name, widths), "l2")
        shapes = list(itertools.pairwise(widths))
        scale = B * rng.choice([0.1, 1.0], size=4)
        weights = [s * rng.uniform(-1, 1, (d, n)) for s, (n, d) in zip(scale, shapes, strict=True)]
        biases = [rng.uniform(-B, B, d) for _, d in shapes]
        size = B * math.exp(rng.uniform(-8, -1))
        moved = [np.clip(w + rng.normal(0, size, w.shape) * (trial % 2 or 1), -B, B) for w in weights]
        shifted = [np.clip(b + rng.normal(0, size, b.shape), -B, B) for b in biases]
        error = 0.0
        for layer in range(4):
            reach = Bx if layer == 0 else math.sqrt(widths[layer]) * math.exp(float(ranges.log_sup[layer - 1]))
            step = np.linalg.norm(weights[layer] - moved[layer], 2) * reach
            slope = 1.0 if layer == 0 else math.exp(float(ranges.log_slope[layer - 1]))
            error = np.linalg.norm(weights[layer], 2) * slope * error if layer else 0.0
            error += step + np.linalg.norm(biases[layer] - shifted[layer])
        x = rng.normal(size=(30, widths[0]))
        x *= Bx / np.linalg.norm(x, axis=1, keepdims=True) * rng.choice([0.5, 1.0], (30, 1))
        f, g = x, x
        for layer in range(4):
            f, g = f @ weights[layer].T + biases[layer], g @ moved[layer].T + shifted[layer]
            if layer < 3:
                f, g = sigma(f), sigma(g)
        assert np.linalg.norm(f - g, axis=1).max() <= error * (1 + 1e-9)


def pairs(widths, B, eps, name):
    """(bound without shells, bound with them) for the same resolutions."""
    hidden = len(widths) - 2
    ranges = propagate(widths, np.log(np.float64(B)), np.log(np.float64(1.0)), check_activations(name, widths), "l2")
    used = Used("permutation", *((flag,) * hidden for flag in (True, False, False)))
    found = list(refined_bounds(ranges, np.log(np.float64(eps)), used))
    for plain, less in itertools.pairwise(found):
        if any("shells" in str(term.cover) for term in less.layers):
            yield plain, less


@pytest.mark.parametrize("widths", [(10, 64, 64, 1), (40, 30, 25, 2), (784, 300, 200, 10)])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_saving_is_at_most_a_direct_sum_over_shells_allows(widths, name):
    """Two hidden layers: ln Σ_k N(F_k) from volumes and tails, without a chord and without taking the largest term."""
    B, seen = 0.8, 0
    for plain, less in pairs(widths, B, 0.05, name):
        first, second = plain.layers[:2]
        assert [str(term.cover) for term in (first, second)] == ["matrix", "matrix"]
        assert str(less.layers[1].cover) == "matrix, shells"
        seen += 1
        sums = []
        for span in (0.5, 1.5):
            ends = [math.exp(-span * k / 64) for k in range(65)]
            total = []
            for k in range(65):
                grown = direct_count(first, B, ends[k], None)
                shell = direct_count(second, B, 1.0, ends[k + 1] if k < 64 else None)
                total.append(grown + shell + float(plain.layers[2].log_count))
            sums.append(float(np.logaddexp.reduce(total)))
        assert min(sums) <= float(less.log_bound) < float(plain.log_bound)
        assert float(less.log_bound) <= min(sums) + 0.03 * first.width * first.fan_in + 20
    assert seen


def direct_count(term, B, shrunk, beyond):
    """A layer's nats when its radius grows by 1/``shrunk``; of matrices of norm beyond that fraction of B√n only."""
    n = term.width * term.fan_in
    eta = 1 / (1 + n * math.log(2 * n + 2))
    excess = math.log1p(n * math.log(2 * (1 - eta) / eta))
    rest = float(term.log_count) - term.width * float(term.log_weight_words)
    s = (1 - eta) * math.exp(float(term.log_weight_resolution)) / shrunk
    volumes = n * math.log(2 * (B + s) / s) - log_operator_ball(term.width, term.fan_in)
    if beyond is not None:
        volumes += max(
            float(log_norm_tail(term.width, term.fan_in, (beyond * B - s / math.sqrt(n)) / (B + s))), -4.0 * n
        )
    return rest + float(np.logaddexp(0.0, volumes + excess))


def test_wide_deep_classes_gain_from_shells():
    terms = orbit_terms((784, 512, 512, 512, 10), B=0.1, Bx=1.0, activation="relu", eps=0.1, symmetry="best")
    assert [layer.cover for layer in terms.layers] == ["matrix", "matrix, shells", "matrix, shells", "volume"]
    assert sum(layer.log_count for layer in terms.layers) == pytest.approx(terms.log_bound, rel=1e-12)


def test_arrays_agree_with_numbers_where_only_some_entries_have_shells():
    eps = np.geomspace(1e-6, 1e5, 23)
    shared = {"B": 1.0, "Bx": 1.0, "activation": "relu", "symmetry": "best"}
    many = orbit_bound((20, 40, 40, 40, 1), **shared, eps=eps)
    np.testing.assert_allclose(many, [orbit_bound((20, 40, 40, 40, 1), **shared, eps=e) for e in eps], rtol=1e-14)
