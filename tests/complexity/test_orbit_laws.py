"""Laws of the orbit bound over random classes, corners included; and lower bounds that no upper bound may cross."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv import activations
from fnequiv.complexity.bracket import packing, verify
from fnequiv.complexity.covering import SYMMETRIES, deep_theorem, deep_theorem_holds, orbit_bound, orbit_terms
from fnequiv.complexity.functions import _routes
from fnequiv.complexity.matrices import log_operator_ball, matrix_cover
from fnequiv.complexity.rows import Rows
from fnequiv.complexity.sensitivity import check_activations, propagate
from fnequiv.complexity.words import log_multisets

ACTIVATIONS = [
    activations.get("relu"),
    activations.get("leaky_relu", negative_slope=-0.5),
    activations.get("leaky_relu", negative_slope=3.0),
    activations.get("prelu", weight=-2.0),
    *map(activations.get, ("abs", "identity", "tanh", "sigmoid", "gelu", "softplus", "cos", "square", "relu6")),
]
NAMED = {sigma.name: sigma for sigma in ACTIVATIONS}


def symmetries(sigma):
    """The names that the activation allows."""
    scaled, signed = sigma.degree == 1, sigma.parity is not None
    allowed = {"scaled": scaled, "signed": signed, "signed_scaled": scaled and signed}
    return [name for name in SYMMETRIES if allowed.get(name, True)]


def log_uniform(low, high):
    return st.floats(math.log(low), math.log(high)).map(math.exp)


classes = st.fixed_dictionaries(
    {
        "widths": st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple),
        "B": log_uniform(1e-3, 1e3),
        "Bx": log_uniform(1e-3, 1e3),
        "eps": log_uniform(1e-6, 1e6),
        "activation": st.sampled_from(ACTIVATIONS),
        "domain": st.sampled_from(["l2", "linf"]),
    }
)


@given(classes)
@settings(deadline=None, max_examples=30)
def test_best_is_at_most_every_single_choice(arguments):
    best = orbit_bound(**arguments, symmetry="best")
    assert 0 <= best < math.inf
    for symmetry in symmetries(arguments["activation"])[:-1]:
        for method in ("grid", "refined"):
            assert best <= orbit_bound(**arguments, symmetry=symmetry, method=method)


def test_best_takes_the_symmetry_that_shares_eps_best():
    """Scaling costs more than it saves here, because it divides ε worse."""
    shared = {"B": 2.38566, "Bx": 5.78478, "activation": "relu", "eps": 294.138}
    permuted, scaled = (
        orbit_bound((5, 4, 3), **shared, symmetry=name, method="refined") for name in ("permutation", "scaled")
    )
    assert permuted < scaled
    assert orbit_bound((5, 4, 3), **shared, symmetry="best") <= permuted


@given(
    classes,
    st.sampled_from(["B", "Bx", "eps"]),
    st.lists(log_uniform(1e-3, 1e3), min_size=2, max_size=2),
    st.sampled_from(["grid", "refined", None]),
)
@settings(deadline=None, max_examples=12)
def test_an_array_call_is_its_scalar_calls(arguments, name, factors, method):
    """Also where the entries differ in kind: with and without kinks in the domain, cuts, and pieces."""
    steps = np.array([1.0, *factors])
    for symmetry in symmetries(arguments["activation"]):
        chosen = None if symmetry == "best" else method
        rest = {**arguments, "symmetry": symmetry, "method": chosen}
        many = orbit_bound(**{**rest, name: arguments[name] * steps})
        one = [orbit_bound(**{**rest, name: float(arguments[name] * step)}) for step in steps]
        np.testing.assert_allclose(many, one, rtol=1e-14, atol=0)


@pytest.mark.parametrize("widths", [(2, 4, 2), (3, 9, 1), (2, 40, 1)])
def test_arrays_agree_where_only_some_neurons_lose_their_kinks(widths):
    """|x| has α = 0: v is written down for A_0 ≤ 1 alone, where neurons on a face |b| = B are linear in the domain."""
    Bx = np.array([0.01, 0.3, 0.7, 1.5, 30.0])
    for eps in (1e-3, 0.1, 3.0):
        shared = {"B": 1.0, "activation": "abs", "eps": eps, "symmetry": "best"}
        many = orbit_bound(widths, **shared, Bx=Bx)
        np.testing.assert_allclose(many, [orbit_bound(widths, **shared, Bx=one) for one in Bx.tolist()], rtol=1e-14)


@given(classes, st.sampled_from(["B", "Bx", "eps"]), log_uniform(1.0001, 30))
@settings(deadline=None, max_examples=60)
def test_grid_bounds_are_monotone(arguments, name, factor):
    """N falls with ε and rises with B and B_x; on a grid the bound does too, for every symmetry."""
    for symmetry in symmetries(arguments["activation"])[:-1]:
        here = orbit_bound(**arguments, symmetry=symmetry)
        there = orbit_bound(**{**arguments, name: arguments[name] * factor}, symmetry=symmetry)
        low, high = (there, here) if name == "eps" else (here, there)
        assert low <= high * (1 + 1e-12)


def test_how_far_the_best_bound_is_from_monotone():
    """It need not be monotone (its docstring): a search divides ε. Nearly always it is, and seldom off by much."""
    rng, excess = np.random.default_rng(0), []
    for name in ("relu", "tanh", "sigmoid", "abs", "gelu") * 2:
        widths = tuple(np.exp(rng.uniform(0, 3.5, size=rng.integers(3, 5))).astype(int).tolist())
        B, Bx = np.exp(rng.uniform(-1.5, 1.5, 2)).tolist()
        shared = {"activation": name, "symmetry": "best"}
        along = {
            "eps": {"B": B, "Bx": Bx, "eps": np.geomspace(1e4, 1e-4, 40)},
            "B": {"B": np.geomspace(0.05, 20, 40), "Bx": Bx, "eps": 0.1},
            "Bx": {"B": B, "Bx": np.geomspace(0.05, 20, 40), "eps": 0.1},
        }
        for arrays in along.values():
            values = orbit_bound(widths, **shared, **arrays)
            least = np.minimum.accumulate(values[::-1])[::-1]
            excess.extend(((values - least) / np.maximum(least, 1.0)).tolist())
    assert np.mean(np.array(excess) > 1e-9) < 0.03
    assert max(excess) < 0.35


# --- rounding


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "logsigmoid", "gelu", "silu", "elu", "relu6", "cos", "mish"])
@pytest.mark.parametrize("B", [1e-300, 1e-17, 1e-9, 1e-4, 0.1, 3.0])
def test_boxes_hold_the_values_on_tiny_ranges(name, B):
    """σ - σ(0) in multiple precision: no cancellation may make a radius smaller than the values need."""
    exact = {
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "softplus": lambda x: mp.log1p(mp.exp(x)),
        "logsigmoid": lambda x: -mp.log1p(mp.exp(-x)),
        "gelu": lambda x: x * (1 + mp.erf(x / mp.sqrt(2))) / 2,
        "silu": lambda x: x / (1 + mp.exp(-x)),
        "elu": lambda x: x if x > 0 else mp.expm1(x),
        "relu6": lambda x: min(max(x, mp.mpf(0)), mp.mpf(6)),
        "cos": mp.cos,
        "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    }[name]
    ranges = propagate(
        (1, 1, 1), np.log(np.float64(B)), np.log(np.float64(1.0)), check_activations(name, (1, 1, 1)), "l2"
    )
    with mp.workdps(700):
        # a part in 10^12 may be lost in the logarithms; the centre is stored without its sign
        z = mp.exp(mp.mpf(float(ranges.log_reach[0]))) * (1 - mp.mpf("1e-12"))
        values = [exact(z * mp.mpf(step) / 8) for step in range(-8, 9)]
        sign = 1 if sum(values) > 0 else -1
        center = sign * mp.exp(mp.mpf(float(ranges.log_center[1])))
        radius = mp.exp(mp.mpf(float(ranges.log_radius[1]))) * (1 + mp.mpf("1e-12"))
        if abs(center - exact(mp.mpf(0))) <= mp.mpf("1e-15") * abs(exact(mp.mpf(0))):
            center = exact(mp.mpf(0))  # of which the float is the rounded logarithm
        assert max(abs(value - center) for value in values) <= radius
        assert radius <= 1.1 * max(abs(value) for value in values)


def test_a_bit_is_not_forgiven():
    """n = ⌈x⌉ bits for x a little above 1 are two: only one part in 10¹² is forgiven."""
    for above, bits in [(1e-9, 2), (0.9e-9, 2), (1e-11, 2), (0.0, 1), (1e-13, 1)]:
        nats = _routes(np.array(0.875 + above), 0.0625, 1)
        assert float(nats) == pytest.approx(bits * math.log(2), rel=1e-12)


# --- counts behind the operator norm


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("pinned", [1, 2])
def test_sections_of_the_operator_ball_are_no_smaller_than_said(shape, pinned):
    """vol(T) ≤ 2^p vol(T∩H), H the matrices with one entry 0 in each of p rows; the section by Monte Carlo."""
    rng, n = np.random.default_rng(0), math.prod(shape)
    draws = rng.uniform(-1, 1, size=(100_000, *shape))
    for row in range(pinned):
        draws[:, row, row % shape[1]] = 0
    section = (np.linalg.norm(draws, 2, axis=(1, 2)) <= 1).mean() * 2 ** (n - pinned)
    assert math.exp(log_operator_ball(*shape)) <= 2**pinned * section


@pytest.mark.parametrize(("neurons", "inputs"), [(1, 2), (2, 2), (3, 2), (2, 3)])
@pytest.mark.parametrize("signed", [False, True])
def test_matrices_on_faces_need_at_least_what_volumes_say(neurons, inputs, signed):
    """Rows on faces |W_ij| = B: (2n)^d choices, slices of the cube over sections of the ball, biases, no orders."""
    rng, n = np.random.default_rng(0), neurons * inputs
    draws = rng.uniform(-1, 1, size=(100_000, neurons, inputs))
    draws[:, :, 0] = 0
    section = (np.linalg.norm(draws, 2, axis=(1, 2)) <= 1).mean() * 2 ** (n - neurons)
    zero = np.zeros(())
    for log_budget in (-2.0, -6.0, -20.0):
        rows = Rows(inputs, 1, zero, np.full((), -np.inf), zero, signed=signed, scaled=True)
        cover = matrix_cover(rows, neurons, True, np.asarray(log_budget))
        slices = (n - neurons) * (math.log(2) - float(cover.log_weight_radius)) - math.log(section)
        keys = math.log(inputs if signed else 2 * inputs) - float(cover.log_bias_step)
        assert float(cover.log_words) >= slices + neurons * keys - math.lgamma(neurons + 1)
        assert log_budget > -20 or str(cover.name) == "matrix, faces"


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(1, 5))
@settings(deadline=None, max_examples=80)
def test_weighted_multisets_are_at_most_those_of_as_many_words(weights, size):
    weights = [*weights, 1.0]
    total = sum(math.prod(chosen) for chosen in itertools.combinations_with_replacement(weights, size))
    assert total <= math.exp(log_multisets(math.log(sum(weights)), size)) * (1 + 1e-12)


# --- lower bounds that are known


def reach_of(widths, B, Bx, sigma, domain, rng):
    """The largest distance at one input between sampled networks, in the output where they differ least."""
    best = 0.0
    for trial in range(20):
        x = rng.choice([-1.0, 1.0], widths[0]) * Bx / (math.sqrt(widths[0]) * (1 + 1e-12) if domain == "l2" else 1)
        values = []
        for _ in range(2):
            h = x
            for layer, (n, d) in enumerate(itertools.pairwise(widths)):
                sign = rng.choice([-1.0, 1.0], (d, 1)) if trial % 2 else rng.choice([-1.0, 1.0])
                w, b = B * sign * np.ones((d, n)), B * rng.choice([-1.0, 1.0]) * np.ones(d)
                w = w * np.where(h == 0, 1, np.sign(h)) if trial % 3 else w
                h = w @ h + b
                if layer < len(widths) - 2:
                    h = sigma(h)
            values.append(h)
        best = max(best, float(np.abs(values[0] - values[1]).min()))
    return best


@given(classes, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_no_bound_falls_below_an_interval_of_values(arguments, seed):
    """Parameters are connected, so f(x) takes all values between two: ⌈distance/2ε⌉ balls, output by output.

    The biases of the outputs alone give ⌈B/ε⌉ balls for each, independently of one another.
    """
    widths, B, Bx, eps, sigma, domain = (
        arguments[name] for name in ("widths", "B", "Bx", "eps", "activation", "domain")
    )
    distance = reach_of(widths, B, Bx, sigma, domain, np.random.default_rng(seed))
    needed = max(
        widths[-1] * math.log(math.ceil(B / eps * (1 - 1e-11))),
        math.log(max(math.ceil(distance / (2 * eps) * (1 - 1e-9)), 1)),
    )
    for symmetry in symmetries(sigma):
        for method in (None,) if symmetry == "best" else ("grid", "refined"):
            assert orbit_bound(**arguments, symmetry=symmetry, method=method) >= needed * (1 - 1e-12)


PACKED = [
    ((1, 1), "relu", 0.3),
    ((1, 1, 1), "relu", 0.1),
    ((1, 2, 1), "leaky_relu", 0.2),
    ((2, 2, 1), "abs", 0.5),
    ((1, 2, 2), "prelu", 1.5),
    ((1, 2, 1), "tanh", 0.15),
    ((2, 1, 2), "sigmoid", 0.4),
    ((1, 2, 1), "square", 0.7),
    ((1, 2, 2, 1), "relu", 0.6),
    ((2, 2, 1, 1), "cos", 0.3),
    ((1, 3, 1), "softplus", 0.5),
]


@pytest.mark.parametrize(("widths", "name", "eps"), PACKED)
@pytest.mark.parametrize("domain", ["l2", "linf"])
def test_no_upper_bound_falls_below_a_certified_packing(widths, name, eps, domain):
    sigma, numbers = NAMED[name], {"B": 1.0, "Bx": 1.0, "eps": eps, "domain": domain}
    found = packing(widths, **numbers, activation=sigma, rng=np.random.default_rng(0), rounds=8, proposals=300)
    verify(found)
    assert found.size > 2
    for symmetry in symmetries(sigma):
        for method in (None,) if symmetry == "best" else ("grid", "refined"):
            upper = orbit_bound(widths, **numbers, activation=sigma, symmetry=symmetry, method=method)
            assert found.log_size <= upper
    rho = sigma.lipschitz(widths[0] + 1.0) if len(widths) == 3 else sigma.lipschitz()
    if len(widths) > 2 and domain == "l2" and math.isfinite(rho):
        stated = {"B": 1.0, "Bx": 1.0, "rho": rho, "eps": eps}
        if deep_theorem_holds(widths, **stated, at_zero=sigma.at_zero):
            assert found.log_size <= deep_theorem(widths, **stated)


@pytest.mark.parametrize("inputs", [1, 2, 5, 20, 200])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("domain", ["l2", "linf"])
def test_linear_classes_lie_between_volumes(inputs, outputs, domain):
    """f(x) = Wx + b has sup norm max_k B_x‖W_k‖ + |b_k|, so N ≥ vol(cube)/vol(ball); and not much more is said."""
    B, Bx = 0.7, 1.6
    if domain == "l2":
        log_ball = inputs / 2 * math.log(math.pi) - math.lgamma(inputs / 2 + 1)
    else:
        log_ball = inputs * math.log(2) - math.lgamma(inputs + 1)
    for eps in (1e-8, 1e-3, 0.1, 1.0, 100.0):
        log_norm_ball = log_ball + math.log(2 / (inputs + 1)) + (inputs + 1) * math.log(eps) - inputs * math.log(Bx)
        least = max(outputs * ((inputs + 1) * math.log(2 * B) - log_norm_ball), 0.0)
        for symmetry in ("none", "best"):
            upper = orbit_bound(
                (inputs, outputs), B=B, Bx=Bx, activation="relu", eps=eps, symmetry=symmetry, domain=domain
            )
            assert upper >= least * (1 - 1e-12)
        if eps < 1e-2:
            assert upper <= least + outputs * (0.1 * inputs + 12)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "cos", "softplus"])
@pytest.mark.parametrize("widths", [(1, 4, 1), (3, 12, 1), (5, 8, 8, 1)])
def test_no_bound_falls_below_the_volume_of_the_last_layer(widths, name):
    """Fix all but (a, c): f at d_L + 1 inputs is a linear map M of them, so N ≥ |det M| (B/ε)^{d_L + 1}."""
    rng, sigma, B = np.random.default_rng(0), activations.get(name), 1.5
    best = -math.inf
    for _ in range(50):
        h = rng.normal(size=(widths[-2] + 1, widths[0]))
        h /= np.linalg.norm(h, axis=1, keepdims=True) * (1 + 1e-12) / rng.uniform(0, 1, (len(h), 1))
        for fan_in, width in itertools.pairwise(widths[:-1]):
            h = sigma(h @ rng.choice([-B, 0.1, B], (fan_in, width)) + rng.uniform(-B, B, width))
        best = max(best, np.linalg.slogdet(np.column_stack([h, np.ones(len(h))]))[1])
    for eps in (1e-9, 1e-4, 1e-2, 0.3):
        least = best + (widths[-2] + 1) * math.log(B / eps)
        for symmetry in symmetries(sigma):
            for method in (None,) if symmetry == "best" else ("grid", "refined"):
                shared = {"B": B, "Bx": 1.0, "activation": sigma, "eps": eps}
                assert orbit_bound(widths, **shared, symmetry=symmetry, method=method) >= least


def test_terms_of_the_best_bound_name_its_symmetry():
    terms = orbit_terms((10, 64, 64, 1), B=1.0, Bx=1.0, activation="relu", eps=0.1, symmetry="best")
    assert terms.symmetry.endswith("+reflection")
    assert terms.log_bound == pytest.approx(44_927.87, abs=0.01)
