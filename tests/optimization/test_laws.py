"""Laws of single parameters: against 100 digits of mpmath, against SciPy, and against what frameworks draw."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from fnequiv.optimization.laws import Normal, TruncatedNormal, Uniform, Zero
from fnequiv.optimization.schemes import Scheme, draw, get, names

CENTRES = [0.0, 1e-5, -0.3, 1.0, -5.0, 37.0, 1000.0]
HALVES = [1e-60, 1e-9, 1e-3, 0.1, 0.9, 1.1, 4.0, 60.0]
LAWS = [Uniform(1.3), Normal(0.7), TruncatedNormal(0.7), Zero()]


def log_normal(low, high):
    """ln P(low < X < high), X standard normal, to many digits."""
    if low + high < 0:
        low, high = -high, -low
    return mpmath.log((mpmath.erfc(low / mpmath.sqrt(2)) - mpmath.erfc(high / mpmath.sqrt(2))) / 2)


@pytest.mark.parametrize("std", [1.0, 0.013])
@pytest.mark.parametrize("half", HALVES)
def test_normal_intervals_are_right_far_in_the_tails(std, half):
    found = Normal(std).log_probability(np.array(CENTRES) * std, half * std)
    with mpmath.workdps(100):
        for centre, value in zip(CENTRES, found, strict=True):
            m, k, s = mpmath.mpf(centre * std), mpmath.mpf(half * std), mpmath.mpf(std)
            expected = log_normal((m - k) / s, (m + k) / s)
            assert abs(value - expected) <= 2e-13 * max(1, abs(expected))


@pytest.mark.parametrize("half", HALVES)
def test_truncated_intervals_are_those_of_the_normal_law_inside_its_cut(half):
    law = TruncatedNormal(1.0)
    centres = [0.0, -0.4, 1.5, -2.0, 2.05, 70.0]
    with mpmath.workdps(100):
        kept = log_normal(mpmath.mpf(-2), mpmath.mpf(2))
        for centre, value in zip(centres, law.log_probability(np.array(centres), half), strict=True):
            low, high = (mpmath.mpf(centre) + sign * mpmath.mpf(half) for sign in (-1, 1))
            low, high = max(low, mpmath.mpf(-2)), min(high, mpmath.mpf(2))
            expected = log_normal(low, high) - kept if low < high else -math.inf
            assert value == expected or abs(value - expected) <= 1e-12 * max(1, abs(expected))


def test_uniform_intervals_are_clipped_to_the_support():
    law = Uniform(2.0)
    cases = {(0.0, 1.0): 1 / 2, (2.0, 1.0): 1 / 4, (-2.5, 1.0): 1 / 8, (3.0, 1.0): 0.0, (0.5, 9.0): 1.0}
    for (centre, half), expected in cases.items():
        assert math.exp(law.log_probability(np.array(centre), half)) == pytest.approx(expected, rel=1e-15)
    # x + r - (x - r) would be 0 here
    assert law.log_probability(np.array(1.0), 1e-30) == pytest.approx(math.log(1e-30 / 2), rel=1e-15)


def test_nothing_overflows():
    for law in LAWS:
        for centre in (0.0, 1e-300, 1e200):
            for half in (1e-320, 1.0, 1e300):
                found = law.log_probability(np.array(centre), half)
                assert found <= 1e-15
                assert not np.isnan(found)


def test_an_open_interval_around_a_constant():
    assert Zero().log_probability(np.array([0.1, -0.1, 0.09]), 0.1).tolist() == [-math.inf, -math.inf, 0.0]


@pytest.mark.parametrize("half", [1e-7, 0.05, 0.6, 3.0, 40.0])
@pytest.mark.parametrize("centre", [0.0, -0.5, 1.2, -1.35, 3.0])
@pytest.mark.parametrize("law", [Uniform(1.3), Normal(0.7), TruncatedNormal(0.7)], ids=repr)
def test_weights_of_points_near_a_centre_average_to_the_probability(law, centre, half):
    """E_q π/q over the interval, by the midpoint rule in u: this never uses a normal distribution function."""
    u = (np.arange(40_000) + 0.5) / 40_000
    points, log_ratio = law.near(np.full(u.shape, centre), half, u)
    peers = {Uniform: stats.uniform(-1.3, 2.6), Normal: stats.norm(scale=0.7)}
    peer = peers.get(type(law), stats.truncnorm(-2, 2, scale=0.7))
    expected = peer.cdf(centre + half) - peer.cdf(centre - half)
    if expected == 0:
        assert (log_ratio == -np.inf).all()
        return
    assert (np.abs(points - centre) <= half * (1 + 1e-9)).all()
    assert (peer.pdf(points[1:-1]) > 0).all()
    assert np.exp(log_ratio).mean() == pytest.approx(expected, rel=1e-6)
    assert (np.diff(points) * (-1 if points[-1] < points[0] else 1) >= 0).all()


def test_points_far_in_the_tail_have_finite_weights():
    points, log_ratio = Normal(1.0).near(np.array([-60.0, 500.0]), 0.5, np.array([0.3, 0.9]))
    assert (np.abs(points - [-60.0, 500.0]) < 0.5).all()
    assert np.isfinite(log_ratio).all()


@pytest.mark.parametrize(
    ("law", "peer"),
    [
        (Uniform(1.3), stats.uniform(-1.3, 2.6)),
        (Normal(0.7), stats.norm(scale=0.7)),
        (TruncatedNormal(0.7), stats.truncnorm(-2, 2, scale=0.7)),
    ],
)
def test_quantiles_and_entropies(law, peer):
    u = np.array([1e-12, 0.1, 0.5, 0.83, 1 - 1e-9])
    assert law.quantile(u) == pytest.approx(peer.ppf(u), rel=1e-9, abs=1e-12)
    assert law.entropy() == pytest.approx(float(peer.entropy()), rel=1e-9)


# --- schemes --------------------------------------------------------------------------------------------------------

FRAMEWORK = {
    "xavier_uniform": torch.nn.init.xavier_uniform_,
    "xavier_normal": torch.nn.init.xavier_normal_,
    "he_uniform": torch.nn.init.kaiming_uniform_,
    "he_normal": torch.nn.init.kaiming_normal_,
    "lecun_uniform": lambda w, generator: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear", generator=generator),
    "lecun_normal": lambda w, generator: torch.nn.init.kaiming_normal_(w, nonlinearity="linear", generator=generator),
}


def like(law, sample):
    """The p-value of a Kolmogorov-Smirnov test of a sample against the distribution function of a law."""

    def cdf(x):
        return np.exp(law.log_probability((x - 50) / 2, np.maximum((x + 50) / 2, 1e-300)))

    return stats.kstest(sample, cdf).pvalue


@pytest.mark.parametrize("name", FRAMEWORK)
def test_weights_are_distributed_as_pytorch_draws_them(name):
    weight = torch.empty(150, 40, dtype=torch.float64)
    FRAMEWORK[name](weight, generator=torch.Generator().manual_seed(3))
    assert like(get(name).weight(40, 150), weight.flatten().numpy()) > 1e-3
    assert like(get(name).weight(48, 180), weight.flatten().numpy()) < 1e-3, "ten per cent narrower would show"


def test_the_default_is_that_of_a_linear_layer():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        layer = torch.nn.Linear(40, 6000)
    scheme = get("pytorch")
    assert like(scheme.weight(40, 6000), layer.weight.detach().double().flatten().numpy()[:20_000]) > 1e-3
    assert like(scheme.bias(40, 6000), layer.bias.detach().double().numpy()) > 1e-3


@pytest.mark.parametrize("rule", ["xavier", "he", "lecun"])
def test_truncated_laws_keep_the_variance_that_their_name_says(rule):
    cut, whole = get(f"{rule}_truncated").weight(30, 50), get(f"{rule}_normal").weight(30, 50)
    assert stats.truncnorm(-2, 2, scale=cut.std).std() == pytest.approx(whole.std, rel=1e-12)
    assert cut.std == pytest.approx(whole.std / 0.87962566103423978, rel=1e-12)  # the constant in Keras' source


@pytest.mark.parametrize("name", names())
def test_drawn_networks_have_the_laws_of_their_scheme(name):
    params = draw((40, 150, 30), name, np.random.default_rng(0))
    assert {key: tuple(tensor.shape) for key, tensor in params.items()} == {
        "0.weight": (150, 40),
        "0.bias": (150,),
        "2.weight": (30, 150),
        "2.bias": (30,),
    }
    scheme = get(name)
    for key, fans in {"0.weight": (40, 150), "2.weight": (150, 30)}.items():
        assert like(scheme.weight(*fans), params[key].flatten().numpy()) > 1e-3
    if name == "pytorch":
        assert like(scheme.bias(40, 150), params["0.bias"].numpy()) > 1e-3
    else:
        assert not params["0.bias"].any()
        assert not params["2.bias"].any()
        again = draw((40, 150, 30), get(name, bias="pytorch"), np.random.default_rng(0))
        assert like(get("pytorch").bias(40, 150), again["0.bias"].numpy()) > 1e-3


def test_draws_are_those_of_the_generator():
    first, second = (draw((2, 3, 1), "he_normal", np.random.default_rng(1), bias=False) for _ in range(2))
    assert list(first) == ["0.weight", "2.weight"]
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert draw((2, 1), "pytorch", np.random.default_rng(1), dtype=torch.float32)["0.weight"].dtype == torch.float32


def test_wrong_input_is_named(refuses):
    rng = np.random.default_rng(0)
    refuses(lambda: get("kaiming"), ValueError, "scheme must be one of pytorch, xavier_uniform")
    refuses(lambda: get(3), TypeError, "scheme must be a name or a Scheme, got 3")
    refuses(lambda: get("pytorch", bias="one"), ValueError, "bias must be one of zero, pytorch, got 'one'")
    refuses(lambda: draw((2, 0, 1), "pytorch", rng), ValueError, "width d_1 must be >= 1, got 0")
    refuses(lambda: draw((2, 1), "pytorch", 0), TypeError, "rng must be a numpy.random.Generator, got 0")
    refuses(lambda: draw((2, 1), "pytorch", rng, bias=1), TypeError, "bias must be True or False")
    refuses(lambda: draw((2, 1), "pytorch", rng, dtype=torch.int64), TypeError, "dtype must be")
    refuses(lambda: draw((2, 1), "pytorch", rng, dtype=np.array([])), TypeError, "dtype must be")
    refuses(lambda: Scheme("x", 3, 3), TypeError, "a scheme must have a name and two functions")
    refuses(lambda: get("pytorch").laws(0, 2), ValueError, "fan_in must be >= 1, got 0")
    refuses(lambda: get("pytorch").laws(2, 1.5), TypeError, "fan_out must be an integer")
    refuses(lambda: Normal(0.0), ValueError, "std must be finite and > 0, got 0.0")
    refuses(lambda: Uniform(-1.0), ValueError, "bound must be finite and > 0, got -1.0")
    own = Scheme("mine", lambda fan_in, fan_out: 0.1, get("pytorch").bias)
    refuses(lambda: draw((2, 1), own, rng), TypeError, "scheme 'mine' must give laws, such as Normal(0.1), got 0.1")
