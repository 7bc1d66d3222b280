"""The theorems, the orbit bound and its counts against exact integers, multiple precision and Monte Carlo."""

import itertools
import math
import statistics

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv import activations
from fnequiv.complexity import covering
from fnequiv.complexity.covering import (
    deep_theorem,
    deep_theorem_holds,
    effective_log_volume,
    orbit_bound,
    orbit_terms,
    sensitivity,
    shallow_theorem,
)
from fnequiv.complexity.matrices import log_operator_ball, log_operator_cover
from fnequiv.complexity.words import log_ceil, log_cube_cover, log_grid_cover, log_multisets, log_volume_cover

RELU = {"B": 1.0, "Bx": 1.0, "activation": "relu"}


# --- the paper's theorems


def exact_theorem_2(widths, B, Bx, rhos, eps):
    """Theorem 2 written out in multiple precision, factor by factor."""
    L = len(widths) - 2
    S = sum((widths[i] + 1) * widths[i + 1] for i in range(L + 1))
    factor = mp.mpf(4) * (L + 1) * (mp.mpf(Bx) + 1) * (2 * mp.mpf(B)) ** (L + 2) / mp.mpf(eps)
    for rho in rhos:
        factor *= mp.mpf(rho)
    for width in widths[:-1]:
        factor *= width
    return S * mp.log(factor) - sum(mp.loggamma(width + 1) for width in widths[1:-1])


@given(
    st.lists(st.integers(1, 40), min_size=3, max_size=6),
    *[st.floats(1e-3, 1e3) for _ in range(4)],
)
@settings(deadline=None, max_examples=60)
def test_theorem_2_is_the_formula(widths, B, Bx, rho, eps):
    expected = float(exact_theorem_2(widths, B, Bx, [rho] * (len(widths) - 2), eps))
    assert deep_theorem(widths, B=B, Bx=Bx, rho=rho, eps=eps) == pytest.approx(expected, rel=1e-11, abs=1e-8)


def test_theorem_2_takes_a_slope_a_layer_and_broadcasts():
    widths, B, eps = (3, 5, 4, 2), np.array([[0.5], [2.0]]), np.array([0.01, 0.1, 1.0])
    got = deep_theorem(widths, B=B, Bx=1.5, rho=(0.5, 2.0), eps=eps)
    assert got.shape == (2, 3)
    for (i, b), (j, e) in itertools.product(enumerate(B[:, 0]), enumerate(eps)):
        assert got[i, j] == pytest.approx(float(exact_theorem_2(widths, b, 1.5, [0.5, 2.0], e)), rel=1e-12)
    stacked = deep_theorem(widths, B=1.0, Bx=1.0, rho=[np.array([1.0, 2.0]), 3.0], eps=0.1)
    assert stacked.shape == (2,)


def test_theorem_1_is_the_formula_and_broadcasts_over_dimensions():
    d0, d1 = np.array([1, 10, 784]), np.array([[1], [64]])
    got = shallow_theorem(d0, d1, B=0.7, Bx=2.0, rho=1.5, eps=0.05)
    assert got.shape == (2, 3)
    for (j, n), (i, w) in itertools.product(enumerate(d0.tolist()), enumerate(d1[:, 0].tolist())):
        S, hidden = n * w + 2 * w + 1, n * w + w
        factor = 16 * mp.mpf("0.49") * 3 * mp.sqrt(n) * w / mp.mpf("0.05")
        expected = S * mp.log(factor) + hidden * mp.log(mp.mpf("1.5")) - mp.log(mp.factorial(w))
        assert got[i, j] == pytest.approx(float(expected), rel=1e-12)


def test_a_million_evaluations_come_in_one_call():
    eps = np.geomspace(1e-4, 10, 10**6)
    bound = deep_theorem((784, 512, 512, 10), B=1.0, Bx=1.0, rho=1.0, eps=eps)
    assert bound.shape == eps.shape
    assert (np.diff(bound) < 0).all()


def test_theorem_2_fails_for_small_B_and_large_eps():
    """The counterexamples: below 1, and two constants that no single ball covers."""
    assert deep_theorem((1, 22, 1), B=0.013, Bx=0.26, rho=0.13, eps=0.0034) == pytest.approx(-176.01, abs=0.01)
    stated = deep_theorem((1, 1, 1), B=0.1, Bx=0.1, rho=1.0, eps=0.06)
    assert math.exp(stated) == pytest.approx(1.895, abs=5e-4)
    far_apart = 2 * 0.1  # the networks with output bias ±B and all other parameters 0
    assert far_apart > 2 * 0.06
    assert stated < math.log(2)
    assert orbit_bound((1, 1, 1), B=0.1, Bx=0.1, activation="relu", eps=0.06, symmetry="best") >= math.log(2)


def random_class(rng):
    widths = tuple(np.exp(rng.uniform(0, 5, size=rng.integers(3, 7))).astype(int).tolist())
    B, Bx, eps = np.exp(rng.uniform([-4, -3, -8], [2, 3, 4])).tolist()
    return widths, B, Bx, math.exp(rng.uniform(-2, 1.5)), eps


def test_where_theorem_2_is_said_to_hold_its_proof_goes_through():
    """Equal shares of ε, counted in exact integers: the cover of the proof is no larger than Theorem 2 says."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(4000):
        widths, B, Bx, rho, eps = random_class(rng)
        zero = rng.choice([0.0, B * rho])
        if not deep_theorem_holds(widths, B=B, Bx=Bx, rho=rho, eps=eps, at_zero=zero):
            continue
        held += 1
        L = len(widths) - 2
        mass, gains = [math.sqrt(widths[0]) * Bx], [1.0]
        for width in widths[1:-1]:
            mass.append(width * (rho * B * (mass[-1] + 1) + zero))
        for width in reversed(widths[1:-1]):
            gains.insert(0, gains[0] * B * width * rho)
        total = mp.mpf(0)
        for index in range(L + 1):
            blocks = 2 * (L + 1) * B * gains[index] / eps
            K_W, K_b = math.ceil(blocks * mass[index]), math.ceil(blocks)
            log_words = widths[index] * mp.log(K_W) + mp.log(K_b)
            width = widths[index + 1]
            if index < L:
                total += log_binomial(log_words, width)
            else:
                total += width * log_words
        assert total <= deep_theorem(widths, B=B, Bx=Bx, rho=rho, eps=eps) * (1 + 1e-12)
    assert held > 300


def test_the_plain_bound_lies_below_theorem_2_for_B_at_least_a_half():
    rng = np.random.default_rng(1)
    for _ in range(1500):
        widths, B, Bx, _, eps = random_class(rng)
        B = max(B, 0.5)
        theorem = deep_theorem(widths, B=B, Bx=Bx, rho=1.0, eps=eps)
        if not deep_theorem_holds(widths, B=B, Bx=Bx, rho=1.0, eps=eps):
            continue
        assert orbit_bound(widths, B=B, Bx=Bx, activation="relu", eps=eps) <= theorem


def test_effective_volume():
    assert effective_log_volume((1, 3, 1), B=0.5) == pytest.approx(-math.log(6))
    assert effective_log_volume((2, 3, 4, 1), B=1.0, symmetry="none") == pytest.approx(30 * math.log(2))
    signed = effective_log_volume((2, 3, 4, 1), B=[0.5, 1.0], symmetry="signed")
    order = math.log(math.factorial(3) * math.factorial(4) * 2**7)
    np.testing.assert_allclose(signed, [-order, 30 * math.log(2) - order])


def test_effective_volume_is_the_share_of_parameters_with_sorted_biases():
    biases = np.random.default_rng(0).uniform(size=(100_000, 4))
    share = (np.diff(biases, axis=1) <= 0).all(axis=1).mean()
    difference = effective_log_volume((2, 4, 1), B=1.0) - effective_log_volume((2, 4, 1), B=1.0, symmetry="none")
    assert math.exp(difference) == pytest.approx(share, rel=0.06)


# --- counts of words


def log_binomial(log_words, size):
    """ln C(M + d - 1, d) in multiple precision."""
    words = mp.exp(log_words)
    return mp.loggamma(words + size) - mp.loggamma(words) - mp.loggamma(size + 1)


@pytest.mark.parametrize("words", range(1, 6))
@pytest.mark.parametrize("size", range(1, 6))
def test_multisets_are_counted(words, size):
    listed = len(list(itertools.combinations_with_replacement(range(words), size)))
    assert math.exp(log_multisets(math.log(words), size)) == pytest.approx(listed, rel=1e-13)


@pytest.mark.parametrize("size", [1, 2, 9, 10, 11, 100, 10**4, 10**6, 10**9])
def test_multisets_keep_every_digit(size):
    words = [1, 2, 3, 9, 10, 11, 12, 100, 10**6, 10**9, 10**15, 10**16, 10**30, 10**200]
    got = log_multisets([math.log(m) for m in words], size)
    with mp.workdps(500):
        for value, m in zip(got, words, strict=True):
            M = mp.mpf(m)
            exact = mp.loggamma(M + size) - mp.loggamma(M) - mp.loggamma(size + 1)
            assert abs(value - exact) <= 1e-13 * abs(exact) + (1e-300 if m > 1 else 0), (m, value, exact)


def test_multisets_of_astronomically_many_words():
    for size in (1, 5, 10, 10**6):
        exact = mp.mpf(10) ** 9 * size - mp.loggamma(size + 1)
        assert abs(log_multisets(1e9, size) - exact) <= 1e-14 * exact


@given(st.floats(0, 60), st.integers(1, 300))
@settings(deadline=None, max_examples=200)
def test_multisets_increase_with_the_words(log_words, size):
    few, many = log_multisets([log_words, log_words + 0.01], size)
    assert few <= many * (1 + 1e-12)
    assert few <= size * log_words * (1 + 1e-12) + 1e-12


def test_log_ceil():
    x = np.array([1e-9, 0.3, 1.0, 1.0 + 1e-9, 7.5, 8.0, 123456.0])
    np.testing.assert_allclose(np.exp(log_ceil(np.log(x))), [1, 1, 1, 2, 8, 8, 123456], rtol=1e-12)
    assert log_ceil(1e9) == 1e9


@pytest.mark.parametrize("dimension", [1, 2, 3, 8, 40, 400])
@pytest.mark.parametrize("norm", [1, 2])
def test_volume_cover_bounds_the_exact_volumes_and_no_cover_beats_them(dimension, norm):
    """The closed form is at least the theorem with exact face sums, and at least vol(cube)/vol(ball)."""
    n, eta = dimension, 1 / (1 + dimension * math.log(2 * dimension + 2))
    overhead = 1 + n * mp.log(2 * (1 - mp.mpf(eta)) / eta)
    for log_ratio in [-1.0, 0.0, 1.0, 4.0, 20.0]:
        s = mp.exp(-log_ratio) * (1 - mp.mpf(eta))  # radius over B
        if norm == 1:
            faces = sum(mp.binomial(n, k) * mp.mpf(2) ** (n - k) * (2 * s) ** k / mp.factorial(k) for k in range(n + 1))
            ball = (2 * s) ** n / mp.factorial(n)
        else:
            faces = sum(
                mp.binomial(n, k) * mp.mpf(2) ** (n - k) * mp.pi ** (mp.mpf(k) / 2) / mp.gamma(mp.mpf(k) / 2 + 1) * s**k
                for k in range(n + 1)
            )
            ball = mp.pi ** (mp.mpf(n) / 2) / mp.gamma(mp.mpf(n) / 2 + 1) * s**n
        exact = float(mp.log(1 + overhead * faces / ball))
        got = float(log_volume_cover(n, norm, log_ratio))
        assert exact - 1e-9 <= got
        if log_ratio == 20.0:
            assert got <= exact * (1 + 1e-4) + 1
        least = float(mp.log(mp.mpf(2) ** n / (ball / (1 - mp.mpf(eta)) ** n)))
        assert float(log_cube_cover(n, norm, log_ratio)) >= least - 1e-9


@pytest.mark.parametrize("norm", [1, 2])
def test_the_sum_over_faces_is_the_volume_of_cube_plus_ball(norm):
    rng, n, s = np.random.default_rng(0), 3, 0.8
    x = rng.uniform(-1 - s, 1 + s, size=(400_000, n))
    inside = np.linalg.norm(np.maximum(np.abs(x) - 1, 0), ord=norm, axis=1) <= s
    estimate = inside.mean() * (2 * (1 + s)) ** n
    volumes = {1: lambda k: 2**k / math.factorial(k), 2: lambda k: math.pi ** (k / 2) / math.gamma(k / 2 + 1)}[norm]
    exact = sum(math.comb(n, k) * 2 ** (n - k) * volumes(k) * s**k for k in range(n + 1))
    assert estimate == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(("dimension", "norm", "ratio"), [(2, 1, 4.0), (3, 2, 2.5), (4, 1, 1.7)])
def test_grid_words_cover_the_cube(dimension, norm, ratio):
    rng = np.random.default_rng(0)
    levels = round(math.exp(float(log_grid_cover(dimension, norm, math.log(ratio))) / dimension))
    x = rng.uniform(-1, 1, size=(20_000, dimension))
    centre = (np.floor((x + 1) / 2 * levels) + 0.5) * 2 / levels - 1
    assert np.linalg.norm(x - centre, ord=norm, axis=1).max() <= 1 / ratio * (1 + 1e-12)


def test_the_volume_argument_covers_when_it_is_carried_out():
    """In the plane: a maximal separated set, the prescribed number of uniform centres, and the points they miss."""
    rng, n, tau = np.random.default_rng(4), 2, 0.15
    eta = 1 / (1 + n * math.log(2 * n + 2))
    side = np.linspace(-1, 1, 81)
    points = rng.permutation(np.array(list(itertools.product(side, side))))
    separated = points[:1]
    for point in points[1:]:
        if np.abs(separated - point).sum(axis=1).min() > eta * tau:
            separated = np.vstack([separated, point])
    s = (1 - eta) * tau
    faces = sum(math.comb(n, k) * 2 ** (n - k) * (2 * s) ** k / math.factorial(k) for k in range(n + 1))
    p = 2 * s**2 / faces
    draws = rng.uniform(-1 - s, 1 + s, size=(4000, n))
    draws = draws[np.maximum(np.abs(draws) - 1, 0).sum(axis=1) <= s]
    centres = np.clip(draws[: math.ceil(math.log(p * len(separated)) / p)], -1, 1)
    missed = [point for point in separated if np.abs(centres - point).sum(axis=1).min() > s]
    cover = np.vstack([centres, *missed])
    assert max(np.abs(cover - point).sum(axis=1).min() for point in points) <= tau * (1 + 1e-9)
    assert len(centres) < len(cover) <= math.exp(float(log_volume_cover(n, 1, math.log(1 / tau))))


@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 2), (1, 4), (4, 1)])
def test_operator_cover_is_no_smaller_than_volumes_allow(height, width):
    """N ≥ vol(cube)/vol(ball), the ball's volume by Monte Carlo."""
    rng, n = np.random.default_rng(0), height * width
    draws = rng.uniform(-1, 1, size=(200_000, height, width))
    ball = (np.linalg.norm(draws, ord=2, axis=(1, 2)) <= 1).mean() * 2**n
    for log_ratio in (0.0, 2.0, 10.0):
        assert float(log_operator_cover(height, width, log_ratio)) >= n * math.log(2) + n * log_ratio - math.log(ball)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 1), (2, 2), (3, 2), (3, 3)])
def test_the_volume_of_the_operator_ball(height, width):
    """In closed form for columns (Euclidean balls), and by Monte Carlo."""
    n, volume = height * width, math.exp(log_operator_ball(height, width))
    if width == 1:
        assert volume == pytest.approx(math.pi ** (n / 2) / math.gamma(n / 2 + 1), rel=1e-12)
    draws = np.random.default_rng(1).uniform(-1, 1, size=(150_000, height, width))
    share = (np.linalg.norm(draws, ord=2, axis=(1, 2)) <= 1).mean()
    assert volume / 2**n == pytest.approx(share, abs=5 * math.sqrt(share / 150_000))
    assert log_operator_ball(width, height) == log_operator_ball(height, width)
    assert log_operator_cover(0, 3, 1.0) == 0


@pytest.mark.parametrize(("height", "width"), [(30, 50), (200, 200)])
def test_the_volume_of_the_operator_ball_lies_above_gaussian_concentration(height, width):
    """A second proof of a bound on it: a standard normal matrix has norm below √h + √w + 2 and ‖G‖² near hw."""
    n = height * width
    size = math.sqrt(height) + math.sqrt(width) + math.sqrt(2 * math.log(4))
    concentrated = n / 2 * math.log(2 * math.pi * math.e) - math.sqrt(n * math.log(4)) - math.log(2)
    assert 0.2 * n < log_operator_ball(height, width) - (concentrated - n * math.log(size)) < 0.4 * n


# --- the orbit bound


@pytest.mark.parametrize(
    ("widths", "eps", "symmetry", "expected", "digits"),
    [
        ((10, 64, 64, 1), 0.1, "none", 61650, 0),
        ((10, 64, 64, 1), 0.1, "permutation", 61240, 0),
        ((1, 100, 1), 0.1, "none", 2480, 0),
        ((1, 100, 1), 0.1, "permutation", 2116, 0),
        ((1, 100, 1), 0.1, "scaled", 1443, 0),
        ((1, 3, 1), 0.25, "permutation", 37.2, 1),
        ((1, 3, 1), 0.25, "scaled", 29.9, 1),
    ],
)
def test_known_values(widths, eps, symmetry, expected, digits):
    assert round(orbit_bound(widths, **RELU, eps=eps, symmetry=symmetry), digits) == expected


def test_known_values_of_the_theorems():
    assert round(deep_theorem((10, 64, 64, 1), B=1, Bx=1, rho=1, eps=0.1)) == 92618
    assert round(deep_theorem((1, 100, 1), B=1, Bx=1, rho=1, eps=0.1)) == 3176
    assert round(shallow_theorem(1, 100, B=1, Bx=1, rho=1, eps=0.1)) == 2759
    assert round(deep_theorem((1, 3, 1), B=1, Bx=1, rho=1, eps=0.25), 1) == 71.6
    assert round(shallow_theorem(1, 3, B=1, Bx=1, rho=1, eps=0.25), 1) == 57.7


def exact_grid_bound(widths, B, Bx, eps, sup, slope, symmetry):
    """The plain bound in multiple precision; with scaling, the better of two ways to share ε."""
    ways = (True, False) if symmetry == "scaled" else (False,)
    return min(one_exact_grid_bound(widths, B, Bx, eps, sup, slope, symmetry, fewer) for fewer in ways)


def one_exact_grid_bound(widths, B, Bx, eps, sup, slope, symmetry, fewer):
    """Ranges, coefficients, shares and ceilings, written out once more."""
    B, Bx, eps = mp.mpf(B), mp.mpf(Bx), mp.mpf(eps)
    mass, gains = [mp.sqrt(widths[0]) * Bx], [mp.mpf(1)]
    slopes = []
    for width in widths[1:-1]:
        z = B * (mass[-1] + 1)
        mass.append(width * sup(z))
        slopes.append(slope(z))
    for width, rho in zip(reversed(widths[1:-1]), reversed(slopes), strict=True):
        gains.insert(0, gains[0] * B * width * rho)
    sizes = []
    for index, (n, width) in enumerate(itertools.pairwise(widths)):
        share = mp.mpf(n) / (n + 1) if fewer and index < len(widths) - 2 else mp.mpf(1)
        sizes += [share * n * width, share * width]
    S, total = sum(sizes), mp.mpf(0)
    for index, (n, width) in enumerate(itertools.pairwise(widths)):
        K_W = mp.ceil(B * S * gains[index] * mass[index] / (eps * sizes[2 * index]) * (1 - mp.mpf("1e-12")))
        K_b = mp.ceil(B * S * gains[index] / (eps * sizes[2 * index + 1]) * (1 - mp.mpf("1e-12")))
        words = max(K_W, 1) ** n * max(K_b, 1)
        if index == len(widths) - 2:
            total += width * mp.log(words)
            continue
        if symmetry == "signed":
            words = (words + (K_W % 2 == 1 and K_b % 2 == 1)) / 2
        if symmetry == "scaled":
            words = min(words, 2 * n * K_W ** (n - 1) * K_b + 2 * K_W**n)
        if symmetry == "none":
            total += width * mp.log(words)
        else:
            total += mp.loggamma(words + width) - mp.loggamma(words) - mp.loggamma(width + 1)
    return total


@pytest.mark.parametrize("symmetry", ["none", "permutation", "scaled"])
@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 3, 1), (1, 3, 2, 2), (3, 10, 12, 1), (2, 300, 1)])
@pytest.mark.parametrize(("B", "eps"), [(1.0, 0.25), (0.3, 0.01), (2.0, 30.0)])
def test_the_bound_is_its_formula(widths, B, eps, symmetry):
    with mp.workdps(60 + 12 * len(widths)):
        expected = exact_grid_bound(widths, B, 1.5, eps, lambda z: z, lambda z: 1, symmetry)
    got = orbit_bound(widths, B=B, Bx=1.5, activation="relu", eps=eps, symmetry=symmetry)
    assert got == pytest.approx(float(expected), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("widths", [(2, 3, 1), (1, 3, 2, 2)])
@pytest.mark.parametrize("eps", [0.05, 0.5])
def test_bounded_activations_use_their_supremum(widths, eps):
    with mp.workdps(80):
        tanh = exact_grid_bound(widths, 2.0, 1.5, eps, mp.tanh, lambda z: 1, "signed")
        sigmoid = exact_grid_bound(
            widths, 2.0, 1.5, eps, lambda z: 1 / (1 + mp.exp(-z)), lambda z: mp.mpf(1) / 4, "permutation"
        )
    shared = {"B": 2.0, "Bx": 1.5, "eps": eps}
    assert orbit_bound(widths, **shared, activation="tanh", symmetry="signed") == pytest.approx(float(tanh), rel=1e-12)
    assert orbit_bound(widths, **shared, activation="sigmoid") == pytest.approx(float(sigmoid), rel=1e-12)


def test_a_million_wide_keeps_the_factorial():
    """S = 10^12 parameters: nothing overflows, and ln d! is there to a part in 10^12."""
    widths = (10, 10**6, 10**6, 1)
    with mp.workdps(60):
        expected = {}
        for symmetry in ("none", "permutation"):
            # words of 10^6 weights are too long for mpmath's loggamma: for M ≫ d², ln C = d ln M - ln d! + d(d-1)/(2M)
            mass, gains = [mp.sqrt(10)], [mp.mpf(10) ** 12, mp.mpf(10) ** 6, mp.mpf(1)]
            mass += [10**6 * (mass[0] + 1), 10**6 * (10**6 * (mass[0] + 1) + 1)]
            S, total = sum((n + 1) * w for n, w in itertools.pairwise(widths)), mp.mpf(0)
            for index, (n, width) in enumerate(itertools.pairwise(widths)):
                K_W = mp.ceil(S * gains[index] * mass[index] / (mp.mpf("0.1") * n * width))
                K_b = mp.ceil(S * gains[index] / (mp.mpf("0.1") * width))
                total += width * (n * mp.log(K_W) + mp.log(K_b))
                if index < 2 and symmetry == "permutation":
                    total -= mp.loggamma(width + 1)
            expected[symmetry] = total
    got = {name: orbit_bound(widths, **RELU, eps=0.1, symmetry=name) for name in expected}
    for name, value in got.items():
        assert abs(value - expected[name]) <= 1e-12 * expected[name]
    factorials = float(2 * mp.loggamma(10**6 + 1))
    assert got["none"] - got["permutation"] == pytest.approx(factorials, rel=1e-3)  # a difference of numbers near 10^14
    terms = orbit_terms(widths, **RELU, eps=0.1)
    for layer in terms.layers[:2]:
        assert layer.log_saved == pytest.approx(factorials / 2, rel=1e-3)


def test_depth_does_not_overflow():
    widths = (10, *(10**6,) * 45, 1)  # gains of 10^315
    for name in ("relu", "gelu", "tanh"):
        bound = orbit_bound(widths, B=10.0, Bx=1.0, activation=name, eps=1e-3, symmetry="best")
        assert np.isfinite(bound)
        assert bound > 1e14


def brute_orbits(widths, K):
    """Distinct networks on the grid {0..K-1}^S up to permutations of the hidden units, by listing them all."""
    d0, d1, d2 = widths
    seen = set()
    for point in itertools.product(range(K), repeat=(d0 + 1) * d1 + (d1 + 1) * d2):
        rows = [point[i * (d0 + 1) : (i + 1) * (d0 + 1)] for i in range(d1)]
        rest = point[(d0 + 1) * d1 :]
        columns = [tuple(rest[k * (d1 + 1) + j] for k in range(d2)) for j in range(d1)]
        biases = tuple(rest[k * (d1 + 1) + d1] for k in range(d2))
        seen.add((tuple(sorted(zip(rows, columns, strict=True))), biases))
    return len(seen)


@pytest.mark.parametrize(("widths", "K"), [((1, 2, 1), 2), ((1, 2, 1), 3), ((1, 3, 1), 2), ((2, 2, 1), 2)])
def test_multisets_of_rows_are_at_least_the_orbits(widths, K):
    """Rows sorted by their words forget the outgoing columns of equal rows: more codes than orbits, fewer than K^S."""
    d0, d1, d2 = widths
    codes = math.exp(log_multisets((d0 + 1) * math.log(K), d1)) * K ** ((d1 + 1) * d2)
    assert brute_orbits(widths, K) <= round(codes) < K ** ((d0 + 1) * d1 + (d1 + 1) * d2)


def test_a_layer_on_the_boundary_has_so_many_words():
    """Grid points of the cube's faces, each face listed: 2 n K_W^{n-1} K_b + 2 K_W^n."""
    for n, K_W, K_b in [(1, 3, 4), (2, 3, 2), (3, 2, 5)]:
        faces = [
            (axis, side, rest)
            for axis in range(n + 1)
            for side in (-1, 1)
            for rest in itertools.product(*(range(K_W if i < n else K_b) for i in range(n + 1) if i != axis))
        ]
        assert len(faces) == 2 * n * K_W ** (n - 1) * K_b + 2 * K_W**n


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "abs", "square", "identity", "cos"])
def test_best_is_least_and_zero_once_one_function_is_enough(name):
    sigma = activations.get(name)
    named = ["none", "permutation"]
    named += ["signed"] if sigma.parity else []
    named += ["scaled"] if sigma.degree == 1 else []
    named += ["signed_scaled"] if sigma.parity and sigma.degree == 1 else []
    eps = np.geomspace(1e-4, 1e6, 21)
    for widths in [(1, 4, 1), (3, 20, 5, 2), (2, 30, 1), (4, 1)]:
        shared = {"B": 1.3, "Bx": 0.8, "activation": name, "eps": eps}
        best = orbit_bound(widths, **shared, symmetry="best")
        for symmetry in named:
            plain = orbit_bound(widths, **shared, symmetry=symmetry)
            refined = orbit_bound(widths, **shared, symmetry=symmetry, method="refined")
            assert (best <= plain + 1e-9).all()
            assert (best <= refined + 1e-9).all()
            assert (np.diff(plain) <= 1e-9).all()
        assert (best >= 0).all()
        assert best[-1] == 0
        assert (np.diff(best)[best[1:] > 0] < 1e-6).mean() > 0.9


def test_more_symmetry_never_costs_more():
    for widths, eps in [((1, 5, 1), 0.3), ((3, 40, 20, 2), 0.01), ((2, 7, 3, 1), 5.0)]:
        values = [
            orbit_bound(widths, B=1.0, Bx=1.0, activation="abs", eps=eps, symmetry=name)
            for name in ("none", "permutation", "signed")
        ]
        assert values == sorted(values, reverse=True)
        scaled, both = (
            orbit_bound(widths, B=1.0, Bx=1.0, activation="abs", eps=eps, symmetry=name)
            for name in ("scaled", "signed_scaled")
        )
        assert scaled <= values[1]
        assert both <= min(scaled, values[2])


@pytest.mark.parametrize("symmetry", ["none", "permutation", "scaled", "best"])
def test_arrays_agree_with_numbers(symmetry):
    B, eps = np.array([[0.4], [1.0], [3.0]]), np.geomspace(1e-3, 50, 7)
    got = orbit_bound((2, 30, 9, 2), B=B, Bx=1.2, activation="relu", eps=eps, symmetry=symmetry)
    assert got.shape == (3, 7)
    for (i, b), (j, e) in itertools.product(enumerate(B[:, 0]), enumerate(eps)):
        one = orbit_bound((2, 30, 9, 2), B=b, Bx=1.2, activation="relu", eps=e, symmetry=symmetry)
        assert isinstance(one, float)
        assert got[i, j] == pytest.approx(one, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("symmetry", ["none", "permutation", "scaled", "best"])
@pytest.mark.parametrize("widths", [(3, 4, 2), (10, 100, 60, 3), (30, 200, 1), (8, 64, 64, 1)])
def test_terms_add_up(widths, symmetry):
    shared = {**RELU, "eps": 0.1, "symmetry": symmetry}
    bound = orbit_terms(widths, **shared)
    assert bound.log_bound == orbit_bound(widths, **shared)
    assert sum(layer.log_count for layer in bound.layers) == pytest.approx(bound.log_bound, rel=1e-12)
    table = bound.table()
    assert len(table.splitlines()) == len(bound.layers) + 2
    for layer in bound.layers:
        plain = layer.width * (layer.log_weight_words + layer.log_bias_words)
        shares = layer.log_count + layer.log_saved + layer.log_shells
        assert shares == pytest.approx(plain, rel=1e-9, abs=1e-6)
        assert layer.log_weight_levels == pytest.approx(layer.log_weight_words / layer.fan_in)
        assert ("shells" in layer.cover) == (layer.log_shells > 0)


def test_no_symmetry_saves_nothing_and_shells_are_none():
    terms = orbit_terms((64, 64, 64, 1), **RELU, eps=0.1, symmetry="none", method="refined")
    assert [layer.log_saved for layer in terms.layers] == pytest.approx([0.0] * 3, abs=1e-9)
    shells = [layer.log_shells for layer in terms.layers]
    assert shells[0] == shells[2] == 0.0 < 3000 < shells[1]
    assert terms.table().splitlines()[0].split()[-2:] == ["saved", "shells"]


def test_radii_and_words_of_faces_belong_together():
    """One input: a face |b| = B, whose rows have one weight in [-1, 1] covered to within δ_W."""
    layer = orbit_terms((1, 3, 1), **RELU, eps=0.26, symmetry="scaled", method="refined").layers[0]
    assert layer.cover == "grid, faces"
    assert layer.log_weight_words == pytest.approx(
        math.log(math.ceil(math.exp(-layer.log_weight_resolution))), rel=1e-12
    )
    assert layer.log_bias_words == pytest.approx(math.log(math.ceil(math.exp(-layer.log_bias_resolution))), rel=1e-12)


def test_a_reflected_output_row_counts_the_weights_that_its_words_hold():
    terms = orbit_terms((1, 40, 1), **RELU, eps=1e-4, symmetry="best")
    assert terms.symmetry.endswith("+reflection")
    assert [layer.fan_in for layer in terms.layers] == [1, 41]
    assert terms.layers[1].log_weight_levels == pytest.approx(terms.layers[1].log_weight_words / 41)


def test_resolutions_spend_exactly_eps():
    widths, eps = (3, 4, 5, 2), 0.2
    layers = orbit_terms(widths, **RELU, eps=eps).layers
    moved = sensitivity(
        widths,
        **RELU,
        weight_step=[math.exp(layer.log_weight_resolution) for layer in layers],
        bias_step=[math.exp(layer.log_bias_resolution) for layer in layers],
    )
    assert moved == pytest.approx(eps, rel=1e-12)


def test_the_cube_of_inputs_is_the_larger_domain():
    for symmetry in ("permutation", "best"):
        ball, cube = (
            orbit_bound((16, 30, 1), **RELU, eps=0.1, symmetry=symmetry, domain=domain) for domain in ("l2", "linf")
        )
        assert ball < cube
    one = [orbit_bound((1, 9, 1), **RELU, eps=0.1, domain=domain) for domain in ("l2", "linf")]
    assert one[0] == one[1]


def test_activations_may_differ_from_layer_to_layer():
    widths, shared = (3, 6, 5, 1), {"B": 1.0, "Bx": 1.0, "eps": 0.05}
    mixed = orbit_bound(widths, **shared, activation=("tanh", "relu"), symmetry="best")
    assert mixed <= orbit_bound(widths, **shared, activation=("tanh", "relu"))
    same = orbit_bound(widths, **shared, activation=("relu", "relu"), symmetry="scaled")
    assert same == orbit_bound(widths, **shared, activation="relu", symmetry="scaled")


def test_one_input_needs_a_square_root_of_the_width():
    widths = [10**3, 10**5]
    narrow, wide = (orbit_terms((1, width, 1), **RELU, eps=0.1, symmetry="best").log_bound for width in widths)
    assert wide / narrow == pytest.approx(10, rel=0.3)


def test_linear_networks_are_lines_however_wide():
    wide, narrow = (
        orbit_terms((2, width, 1), B=0.01, Bx=1.0, activation="identity", eps=0.001, symmetry="best")
        for width in (10_000, 100)
    )
    assert wide.method == narrow.method == "lines"
    assert wide.log_bound <= narrow.log_bound + 3 * math.log(101)


def test_slopes_of_their_own_forbid_permutations():
    prelu = activations.get("prelu", weight=[0.1, 0.2, 0.3])
    shared = {"B": 1.0, "Bx": 1.0, "activation": prelu, "eps": 0.1}
    none = orbit_bound((2, 3, 1), **shared, symmetry="none")
    assert orbit_bound((2, 3, 1), **shared, symmetry="best") <= none
    assert orbit_bound((1, 3, 1), **shared, symmetry="best") <= orbit_bound((1, 3, 1), **shared, symmetry="none")
    for symmetry in ("permutation", "scaled"):
        with pytest.raises(ValueError, match="slope of its own"):
            orbit_bound((2, 3, 1), **shared, symmetry=symmetry)


def test_the_table_of_architectures_falls_well_below_theorem_2(orbit_bound_table):
    """Every class of the table that ``python -m benchmarks orbit_bound_table`` prints."""
    rows = [orbit_bound_table.row(*network) for network in orbit_bound_table.networks()]
    informative = [row for row in rows if row.theorem > 0]
    assert len(informative) >= 30
    assert {len(row.widths) - 2 for row in informative} >= {1, 3, 10, 20}
    assert {row.widths[1] for row in informative} >= {1, 10**5}
    ratios = [row.best / row.theorem for row in informative]
    assert max(ratios) <= 1
    assert statistics.median(ratios) <= 0.6
    assert all(row.best <= min(row.plain, row.scaled) + 1e-9 for row in informative)


@pytest.fixture
def orbit_bound_table():
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[2] / "benchmarks" / "orbit_bound_table.py"
    specification = importlib.util.spec_from_file_location("orbit_bound_table", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


# --- errors


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"eps": 0.0}, ValueError, "eps must be finite and > 0, got 0.0"),
        ({"eps": -1.0}, ValueError, "eps must be finite and > 0, got -1.0"),
        ({"eps": math.nan}, ValueError, "eps must be finite and > 0, got nan"),
        ({"eps": "small"}, TypeError, "eps must be"),
        ({"B": 0}, ValueError, "B must be finite and > 0, got 0.0"),
        ({"B": [1.0, math.nan]}, ValueError, "B must be finite and > 0, got nan"),
        ({"Bx": math.inf}, ValueError, "Bx must be finite and > 0, got inf"),
        ({"widths": ()}, ValueError, "widths must list"),
        ({"widths": (3,)}, ValueError, "widths must list"),
        ({"widths": (3, 0, 1)}, ValueError, "width d_1 must be >= 1, got 0"),
        ({"widths": (3, 2.5, 1)}, TypeError, "width d_1 must be an integer"),
        ({"widths": "321"}, TypeError, "widths must be a sequence"),
        ({"symmetry": "rotation"}, ValueError, "symmetry must be one of none, permutation"),
        ({"symmetry": np.ones(2)}, ValueError, "symmetry must be one of none, permutation"),
        ({"method": np.ones(2)}, ValueError, "method must be grid or refined"),
        ({"domain": "l1"}, ValueError, 'domain must be "l2" or "linf"'),
        ({"domain": np.ones(2)}, ValueError, 'domain must be "l2" or "linf"'),
        ({"activation": "reulu"}, ValueError, "reulu"),
        ({"activation": ["relu"]}, ValueError, "one for each of the 2 hidden layers"),
        ({"activation": "relu", "symmetry": "signed"}, ValueError, "neither odd nor even"),
        ({"activation": "tanh", "symmetry": "scaled"}, ValueError, "not positively homogeneous"),
        ({"activation": "square", "symmetry": "scaled"}, ValueError, "degree 1"),
        ({"activation": "relu", "symmetry": "signed_scaled"}, ValueError, "neither odd nor even"),
        ({"activation": "hardshrink"}, ValueError, "finite Lipschitz constant"),
        ({"method": "magic"}, ValueError, "method must be grid or refined"),
        ({"symmetry": "best", "method": "grid"}, ValueError, "method must be left out"),
    ],
)
def test_orbit_bound_refuses(change, error, message):
    arguments = {"widths": (3, 4, 5, 1), **RELU, "eps": 0.1, **change}
    with pytest.raises(error, match=message):
        orbit_bound(arguments.pop("widths"), **arguments)


def test_orbit_terms_are_for_numbers():
    with pytest.raises(ValueError, match="use orbit_bound for arrays"):
        orbit_terms((1, 2, 1), **RELU, eps=[0.1, 0.2])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: deep_theorem((3, 1), B=1, Bx=1, rho=1, eps=1), ValueError, "1 or more hidden layers"),
        (lambda: deep_theorem((3, 2, 1), B=1, Bx=1, rho=(1, 1), eps=1), ValueError, "rho must be one number or one"),
        (lambda: deep_theorem((3, 2, 1), B=1, Bx=1, rho=(0.0,), eps=1), ValueError, "rho_1 must be finite and > 0"),
        (lambda: deep_theorem((3, 2, 1), B=1, Bx=1, rho=1, eps=-1), ValueError, "eps must be"),
        (lambda: shallow_theorem(0, 2, B=1, Bx=1, rho=1, eps=1), ValueError, "d0 must be >= 1"),
        (lambda: shallow_theorem(1, 2.0, B=1, Bx=1, rho=1, eps=1), TypeError, "d1 must be an integer"),
        (lambda: shallow_theorem(np.array([1, 0]), 2, B=1, Bx=1, rho=1, eps=1), ValueError, "d0 must be >= 1, got 0"),
        (lambda: shallow_theorem(np.array([1.5]), 2, B=1, Bx=1, rho=1, eps=1), TypeError, "array of integers"),
        (
            lambda: shallow_theorem(10**400, 2, B=1, Bx=1, rho=1, eps=1),
            ValueError,
            "d0 must lie within float64's range",
        ),
        (lambda: effective_log_volume((1, 2, 1), B=1, symmetry="scaled"), ValueError, "lower dimension"),
        (
            lambda: deep_theorem_holds((1, 2, 1), B=1, Bx=1, rho=1, eps=1, at_zero=(0.0, 0.0)),
            ValueError,
            "one for each hidden layer",
        ),
        (
            lambda: sensitivity((1, 2, 1), **RELU, weight_step=(0.1, 0.1, 0.1), bias_step=0.1),
            ValueError,
            "one for each of 2 layers",
        ),
        (lambda: sensitivity((1, 2, 1), **RELU, weight_step=-0.1, bias_step=0.1), ValueError, "finite and >= 0"),
    ],
)
def test_other_functions_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_public_names_are_there():
    for name in covering.__all__:
        assert hasattr(covering, name)


def test_scaling_never_costs_more_than_permutations_alone():
    rng = np.random.default_rng(0)
    for _ in range(300):
        widths, B, Bx, _, eps = random_class(rng)
        shared = {"B": B, "Bx": Bx, "activation": "relu", "eps": eps}
        permuted = orbit_bound(widths, **shared)
        assert orbit_bound(widths, **shared, symmetry="scaled") <= permuted * (1 + 1e-12)


def test_an_activation_that_is_dead_on_its_range_leaves_only_constants():
    """softshrink(5) is 0 on [-5, 5]: f is the output bias, and ⌈B/ε⌉ balls cover it."""
    dead = activations.get("softshrink", lambd=5.0)
    for widths in [(2, 3, 1), (1, 3, 2, 1), (2, 4, 5, 2)]:
        for eps in (0.01, 0.4, 0.6):
            got = orbit_bound(widths, B=0.5, Bx=1.0, activation=dead, eps=eps, symmetry="best")
            assert got == pytest.approx(widths[-1] * math.log(math.ceil(0.5 / eps)), abs=1e-9)


def test_the_largest_bound_on_parameters_has_a_volume():
    with np.errstate(all="raise"):
        got = effective_log_volume((1, 3, 1), B=1e308)
    assert got == pytest.approx(10 * math.log(2) + 3080 * math.log(10) - math.log(6), rel=1e-14)
