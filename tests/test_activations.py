"""The facts of every activation against PyTorch's own function, autograd, mpmath and random search."""

import math
import re
from functools import partial, reduce

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv import activations

# Every name at its defaults, and the parameters at which a fact changes (slopes 1, 0, -1, one-sided clips, λ = 0).
CASES = [activations.get(name) for name in activations.names()] + [
    activations.get(name, **{key: value})
    for name, key, values in [
        ("leaky_relu", "negative_slope", (0, 1, -1, 0.3, -2.5)),
        ("prelu", "weight", (1.0, -1.0, 3.0, [0.5])),
        ("softplus", "beta", (0.3, 4.0)),
        ("elu", "alpha", (0, 0.4, 2.5, -0.7, -3.0)),
        ("celu", "alpha", (0.4, 3.0)),
        ("hardtanh", "max_val", (2.0, -0.5)),
        ("hardtanh", "min_val", (0.0, 0.25)),
        ("softshrink", "lambd", (0, 1.2)),
        ("hardshrink", "lambd", (0, 1.2)),
    ]
    for value in values
]
each_case = pytest.mark.parametrize("facts", CASES, ids=lambda facts: f"{facts.name}{dict(facts.parameters) or ''}")
RADII = (1e-3, 0.1, 0.5, 0.9, 1.0, 1.2, 1.43, 1.55, 2.0, 2.5, 3.0, 3.1, 5.0, 12.0, 40.0)
radius = st.floats(0, 50) | st.sampled_from(RADII)
some_case = st.sampled_from(CASES)


def torch_function(facts):
    keywords = {
        key: torch.tensor(value, dtype=torch.float64) if isinstance(value, tuple) else value
        for key, value in facts.torch_keywords.items()
    }
    return partial(reduce(getattr, facts.torch.split("."), torch), **keywords)


def oracle(facts, x):
    return torch_function(facts)(torch.as_tensor(x, dtype=torch.float64)).numpy()


def oracle_slope(facts, x):
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch_function(facts)(x).sum(), x)
    return gradient.numpy()


def slack(facts):
    """PyTorch's softplus leaves the formula by log(1 + e^-20)/β beyond βx = 20, and its slope by e^-20."""
    return 2.1e-9 * max(1, 1 / facts.parameters["beta"]) if facts.name == "softplus" else 0.0


def largest_on(function, z):
    """The largest |function| on [-z, z]: a dense grid, then ever finer grids around its best point."""
    low, high, best = -z, z, 0.0
    for points in (4001, *[101] * 6):
        x = np.linspace(low, high, points)
        values = np.abs(function(x))
        top = values.argmax()
        best = max(best, values[top])
        low, high = x[max(top - 1, 0)], x[min(top + 1, points - 1)]
    return best


def sample(facts, size=2000):
    return np.random.default_rng(0).normal(scale=3, size=size)


@each_case
def test_values_are_those_of_torch(facts):
    x = np.concatenate([np.linspace(-60, 60, 4801), [-1e150, -1e3, -1e-9, 0.0, 1e-9, 1e3, 1e150]])
    np.testing.assert_allclose(facts(x), oracle(facts, x), rtol=1e-13, atol=1e-14 + slack(facts))
    assert facts(x).dtype == np.float64
    assert facts(np.float32(0.5)) == facts(0.5) == facts([[0.5]])[0, 0]


@each_case
def test_the_formula_as_printed_is_the_function(facts):
    """Read the LaTeX as arithmetic and evaluate it with 30 digits."""
    text = facts.formula.replace(r"\,", "*").replace(r"\mathbf{1}", "indicator").replace(r"\mathrm{erf}", "erf")
    rules = [
        (r"\\frac{([^{}]*)}{([^{}]*)}", r"((\1)/(\2))"),
        (r"\\sqrt{([^{}]*)}", r"sqrt(\1)"),
        (r"\^{([^{}]*)}", r"**(\1)"),
    ]
    while "{" in text:
        text = reduce(lambda text, rule: re.sub(*rule, text), rules, text)
    text = re.sub(r"\|x\|", "abs(x)", text).replace("\\lambda", "lambd").replace("\\", "")
    functions = {name: getattr(mpmath, name) for name in ("tanh", "log", "sin", "cos", "erf", "sqrt", "pi", "e")}
    letters = {"negative_slope": "a", "weight": "a", "min_val": "m", "max_val": "M"}
    values = {letters.get(key, key): value for key, value in facts.parameters.items()}
    if facts.name == "selu":
        values = dict(zip(("alpha", "lambd"), selu_fixed_point(), strict=True))
    with mpmath.workdps(30):
        for x in np.linspace(-9.3, 9.1, 81):
            scope = {"x": mpmath.mpf(x), "max": max, "min": min, "abs": abs, "indicator": int, **functions, **values}
            assert float(eval(text, {"__builtins__": {}}, scope)) == pytest.approx(
                float(facts(x)), rel=1e-12, abs=1e-15
            )


def selu_fixed_point():
    """α and λ of Klambauer et al. (2017), in closed form: mean 0 and variance 1 are kept for normal inputs."""
    tail, root = mpmath.erfc(1 / mpmath.sqrt(2)), mpmath.sqrt(mpmath.e)
    alpha = -mpmath.sqrt(2 / mpmath.pi) / (tail * root - 1)
    square = 2 * mpmath.erfc(mpmath.sqrt(2)) * mpmath.e**2 + mpmath.pi * tail**2 * mpmath.e
    square += -2 * (2 + mpmath.pi) * tail * root + mpmath.pi + 2
    return alpha, (1 - tail * root) * mpmath.sqrt(2 * mpmath.pi) / mpmath.sqrt(square)


@each_case
def test_at_zero(facts):
    assert facts.at_zero == pytest.approx(float(oracle(facts, [0.0])[0]), abs=1e-16)
    assert facts.sup(0) == abs(facts.at_zero)
    assert facts.lipschitz(0) == 0


@each_case
def test_lipschitz_is_the_least_constant(facts):
    for z in RADII:
        if math.isfinite(facts.lipschitz(z)):
            steepest = largest_on(partial(oracle_slope, facts), z)
            rounded = 5e-8 if facts.name == "hardsigmoid" else 1e-9  # torch's gradient holds 1/6 in float32
            assert facts.lipschitz(z) == pytest.approx(steepest, rel=rounded, abs=1e-11 + slack(facts)), z


@each_case
def test_sup_is_the_largest_value(facts):
    for z in RADII:
        largest = largest_on(partial(oracle, facts), z)
        assert facts.sup(z) == pytest.approx(largest, rel=1e-9, abs=1e-11 + slack(facts)), z


def lowest_on(function, z):
    """The least value on [-z, z], by the same search for the largest: a constant makes all values negative."""
    above = float(np.max(function(np.linspace(-z, z, 101)))) + 2 * z + 1
    return above - largest_on(lambda x: function(x) - above, z)


@each_case
def test_range_is_between_the_least_and_the_largest_value(facts):
    for z in RADII:
        low, high = facts.range(z)
        function, rounded = partial(oracle, facts), {"rel": 1e-9, "abs": 1e-11 + slack(facts)}
        assert low == pytest.approx(lowest_on(function, z), **rounded), z
        assert high == pytest.approx(-lowest_on(lambda x: -oracle(facts, x), z), **rounded), z
        assert max(-low, high) == pytest.approx(facts.sup(z), rel=1e-15)


@each_case
def test_range_of_one_point_and_of_the_line(facts):
    assert facts.range(0) == (facts.at_zero, facts.at_zero)
    low, high = facts.range()
    far = oracle(facts, np.concatenate([np.linspace(-9, 9, 100_001), [-1e12, 1e12]]))
    for found, extreme in ((low, far.min()), (high, far.max())):
        assert found == pytest.approx(extreme, rel=1e-8, abs=1e-8) or (abs(extreme) > 1e9 and math.isinf(found))
        assert abs(found) >= abs(extreme) * (1 - 1e-12)


@each_case
def test_an_infinite_range_is_the_limit_of_large_ones(facts):
    for bound in (facts.lipschitz, facts.sup):
        assert bound() == bound(math.inf)
        if math.isfinite(bound()):
            assert bound() == pytest.approx(bound(1e6), rel=1e-5)
            assert bound() >= bound(1e6)
        else:
            assert bound(1e9) > 1e8
    far = np.abs(oracle(facts, [-1e9, 1e9])).max()
    assert facts.sup() >= far
    assert far == pytest.approx(facts.sup(), rel=1e-6) or far > 1e8 or facts.name in ("sin", "cos")


@pytest.mark.parametrize("edge", [0.5, 2.0])
def test_hardshrink_has_no_lipschitz_constant_past_its_jump(edge):
    facts = activations.get("hardshrink", lambd=edge)
    x = np.array([edge, np.nextafter(edge, np.inf)])
    below, above = oracle(facts, x)
    assert (above - below) / (x[1] - x[0]) > 1e15
    assert (facts.lipschitz(x[0]), facts.lipschitz(x[1])) == (0, math.inf)


@settings(max_examples=500)
@given(some_case, radius, st.floats(-1, 1), st.floats(-1, 1))
def test_no_pair_of_points_beats_the_constants(facts, z, s, t):
    x = np.array([s * z, t * z])
    y = oracle(facts, x)
    rounding = 1e-14 * (1 + np.abs(y).max()) + slack(facts)
    if x[0] != x[1]:
        assert abs(y[0] - y[1]) <= facts.lipschitz(z) * abs(x[0] - x[1]) + rounding
    assert np.abs(y).max() <= facts.sup(z) + rounding
    low, high = facts.range(z)
    assert low - rounding <= y.min() <= y.max() <= high + rounding


@settings(max_examples=500)
@given(some_case, radius, radius)
def test_the_constants_never_decrease_with_the_range(facts, z, other):
    small, large = sorted((z, other))
    assert facts.lipschitz(small) <= facts.lipschitz(large) * (1 + 1e-15)
    assert facts.sup(small) <= facts.sup(large) * (1 + 1e-15)
    (low, high), (lower, higher) = facts.range(small), facts.range(large)
    assert lower - 1e-15 * abs(lower) <= low <= high <= higher + 1e-15 * abs(higher)


@each_case
def test_parity_holds_or_has_a_counterexample(facts):
    x = sample(facts)
    left, right = oracle(facts, -x), oracle(facts, x)
    found = {"odd": np.abs(left + right).max(), "even": np.abs(left - right).max()}
    for kind, worst in found.items():
        assert worst <= 1e-13 if facts.parity == kind else worst > 1e-3
    assert (facts.odd, facts.even) == (facts.parity == "odd", facts.parity == "even")


@each_case
def test_degree_holds_or_every_degree_has_a_counterexample(facts):
    """σ(4x)σ(x) = σ(2x)² for a homogeneous σ of any real degree, so a violation refutes them all."""
    x = sample(facts)
    if facts.degree is None:
        one, two, four = (oracle(facts, factor * x) for factor in (1, 2, 4))
        assert np.abs(four * one - two**2).max() > 1e-3
    else:
        scale = np.exp(np.random.default_rng(1).normal(size=x.size))
        np.testing.assert_allclose(oracle(facts, scale * x), scale**facts.degree * oracle(facts, x), rtol=1e-13)
    assert facts.positively_homogeneous == (facts.degree == 1)


@each_case
def test_reflection_holds_or_no_such_law_fits(facts):
    x = sample(facts)
    left, right = oracle(facts, -x), oracle(facts, x)
    if facts.reflection is not None:
        sign, slope, constant = facts.reflection
        assert sign in (-1, 1)
        np.testing.assert_allclose(left, sign * right + slope * x + constant, rtol=1e-13, atol=1e-13 + slack(facts))
        return
    for sign in (-1, 1):
        design = np.stack([x, np.ones_like(x)], axis=1)
        rest = left - sign * right
        assert np.abs(rest - design @ np.linalg.lstsq(design, rest)[0]).max() > 1e-3


special = st.sampled_from([-1.0, 0.0, 1.0, math.nextafter(1, 2), math.nextafter(-1, 0)])
parameter = special | st.floats(-3, 3).filter(lambda value: abs(value) > 1e-6)


@given(parameter, st.sampled_from([("leaky_relu", "negative_slope"), ("prelu", "weight")]))
def test_the_parity_of_two_rays_follows_the_slope_exactly(a, which):
    name, keyword = which
    facts = activations.get(name, **{keyword: a})
    left, right = oracle(facts, [-1.0, 1.0])  # two rays are decided by one point each
    assert facts.odd == (left == -right)
    assert facts.even == (left == right)
    assert facts.degree == 1


@given(parameter, parameter)
def test_facts_follow_the_other_parameters_exactly(a, b):
    elu = activations.get("elu", alpha=a)
    far, near = oracle(elu, [-2.0, -1.0])
    assert elu.positively_homogeneous == (far == 2 * near)
    if a < b:
        hardtanh = activations.get("hardtanh", min_val=a, max_val=b)
        low, high = oracle(hardtanh, [-10.0, 10.0])
        assert hardtanh.odd == (low == -high)
    for name in ("softshrink", "hardshrink"):
        shrink = activations.get(name, lambd=abs(a))
        far, near = oracle(shrink, [8.0, 4.0])
        cut = oracle(shrink, [abs(a)])[0]  # 0 unless nothing is cut off
        assert shrink.positively_homogeneous == (far == 2 * near and cut == abs(a))


def test_the_peaks_and_valleys_are_those_of_thirty_digits():
    """Solve σ'' = 0 and σ' = 0 for the printed functions with mpmath, and take the slope and the value there."""
    with mpmath.workdps(30):
        cubic = mpmath.mpf("0.044715")
        functions = {
            "silu": lambda x: x / (1 + mpmath.exp(-x)),
            "mish": lambda x: x * mpmath.tanh(mpmath.log(1 + mpmath.exp(x))),
            "gelu": lambda x: x * mpmath.ncdf(x),
            "gelu_tanh": lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + cubic * x**3))),
        }
        for name, function in functions.items():
            peak = mpmath.findroot(lambda x, f=function: mpmath.diff(f, x, 2), 1.6)
            assert activations.get(name).lipschitz() == pytest.approx(float(mpmath.diff(function, peak)), rel=4e-16)
            valley = mpmath.findroot(lambda x, f=function: mpmath.diff(f, x), -1)
            assert activations.get(name).range()[0] == pytest.approx(float(function(valley)), rel=4e-16)
            assert activations.get(name).valley == -float(valley)


@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 1.0, 1e6, 1e300, 1e308])
def test_celu_keeps_its_digits_at_every_scale(alpha):
    """α(e^{x/α} - 1) with 800 digits; x/α may fall below the least normal float64."""
    x = -np.logspace(-12, 3, 61)
    with mpmath.workdps(800):
        exact = [float(alpha * mpmath.expm1(mpmath.mpf(entry) / alpha)) for entry in x]
    np.testing.assert_allclose(activations.get("celu", alpha=alpha)(x), exact, rtol=5e-16)


@each_case
def test_ranges_broadcast(facts):
    z = np.array([[0.0, 0.3, 2.0], [5.0, 1e300, math.inf]])
    for bound in (facts.lipschitz, facts.sup):
        assert bound(z).shape == z.shape
        assert bound(z).tolist() == [[bound(float(entry)) for entry in row] for row in z]
        assert isinstance(bound(1), float)
        assert bound([]).shape == (0,)
    low, high = facts.range(z)
    assert low.shape == high.shape == z.shape
    assert np.dstack([low, high]).tolist() == [[list(facts.range(float(entry))) for entry in row] for row in z]
    assert [type(end) for end in facts.range(1)] == [float, float]
    assert [end.shape for end in facts.range([])] == [(0,), (0,)]
