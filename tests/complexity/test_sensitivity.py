"""The sensitivity inequality where numbers leave float64's range, against multiple precision; and what it refuses."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from fnequiv import activations
from fnequiv.complexity.covering import orbit_bound, orbit_terms, sensitivity
from fnequiv.complexity.sensitivity import check_activations, propagate


def exact_ranges(widths, B, Bx, degree):
    """A_0, …, A_L and G_1, …, G_{L+1} for |σ(x)| ≤ |x|^k, with sup and slope those of x^k on [0, z]."""
    B, mass, slopes = mp.mpf(B), [mp.sqrt(widths[0]) * mp.mpf(Bx)], []
    for width in widths[1:-1]:
        z = B * (mass[-1] + 1)
        slopes.append(degree * z ** (degree - 1))
        mass.append(width * z**degree)
    gains = [mp.mpf(1)]
    for width, slope in zip(widths[-2:0:-1], slopes[::-1], strict=True):
        gains.insert(0, gains[0] * B * width * slope)
    return mass, gains


@pytest.mark.parametrize(("name", "degree"), [("relu", 1), ("square", 2)])
@pytest.mark.parametrize("widths", [(1, 1), (1, 3, 1), (2, 3, 4, 3, 1)])
@pytest.mark.parametrize(("B", "Bx"), [(1.5, 2.0), (1e200, 1.0), (1e-200, 1e-100), (1e200, 1e200)])
@pytest.mark.parametrize(("weight", "bias"), [(0.0, 0.0), (0.0, 1e-3), (1e-5, 0.0), (1e-250, 1e-120)])
def test_finite_sums_are_right_and_others_are_infinite(name, degree, widths, B, Bx, weight, bias):
    mass, gains = exact_ranges(widths, B, Bx, degree)
    exact = sum(gain * (a * mp.mpf(weight) + mp.mpf(bias)) for gain, a in zip(gains, mass, strict=True))
    expected = float(exact) if exact < mp.mpf("1.79e308") else math.inf
    with np.errstate(all="raise", under="ignore"):
        got = sensitivity(widths, B=B, Bx=Bx, activation=name, weight_step=weight, bias_step=bias)
    assert got == pytest.approx(expected, rel=1e-11, abs=1e-320)


def test_a_step_of_zero_in_one_layer_counts_for_nothing():
    shared = {"B": 1e120, "Bx": 1.0, "activation": "relu"}
    last = sensitivity((1, 3, 3, 3, 1), **shared, weight_step=0, bias_step=[0, 0, 0, 0.25])
    assert last == pytest.approx(0.25, rel=1e-12)  # G_1 = (3B)^3 overflows


@pytest.mark.parametrize("depth", [3, 12, 30])
def test_deep_square_networks_have_a_bound(depth):
    """Their range is finite but grows as e^(2^depth): the grid bound in multiple precision."""
    widths, B, Bx, eps = (2, *[3] * depth, 1), 1.0, 1.0, 0.1
    with mp.workdps(60):
        mass, gains = exact_ranges(widths, B, Bx, 2)
        size = sum((n + 1) * d for n, d in itertools.pairwise(widths))
        total = mp.mpf(0)
        for layer, (fan_in, width) in enumerate(itertools.pairwise(widths)):
            weights, biases = mp.mpf(fan_in * width) / size, mp.mpf(width) / size
            log_K = [
                mp.log(B * gains[layer] * mass[layer] / (eps * weights)),
                mp.log(B * gains[layer] / (eps * biases)),
            ]
            log_K = [mp.log(mp.ceil(mp.exp(k))) if k < 30 else k for k in log_K]
            log_M = fan_in * log_K[0] + log_K[1]
            total += width * log_M
            if layer < depth:
                total += sum(mp.log1p(i * mp.exp(-log_M)) - mp.log(1 + i) for i in range(width))
    got = orbit_bound(widths, B=B, Bx=Bx, activation="square", eps=eps)
    assert got == pytest.approx(float(total), rel=1e-12)
    best = orbit_terms(widths, B=B, Bx=Bx, activation="square", eps=eps, symmetry="best")
    assert 0 < best.log_bound <= got


def test_ranges_beyond_logarithms_too_are_refused():
    with pytest.raises(ValueError, match=r"none below 1.8e308 on \[-z, z\] for ln z = inf: lower B, Bx or the depth"):
        orbit_bound((1, *[2] * 1100, 1), B=1.0, Bx=1.0, activation="square", eps=0.1)


def test_a_prelu_needs_as_many_slopes_as_neurons():
    two = activations.get("prelu", weight=[0.1, 0.2])
    shared = {"B": 1.0, "Bx": 1.0, "activation": two}
    for call in (
        lambda widths: orbit_bound(widths, **shared, eps=0.1, symmetry="none"),
        lambda widths: orbit_bound(widths, **shared, eps=0.1, symmetry="best"),
        lambda widths: orbit_terms(widths, **shared, eps=0.1, symmetry="none"),
        lambda widths: sensitivity(widths, **shared, weight_step=0.1, bias_step=0.1),
    ):
        for widths in ((1, 3, 1), (1, 2, 3, 1)):
            with pytest.raises(ValueError, match="2 slopes, one a neuron, got a layer of width 3"):
                call(widths)
        call((1, 2, 2, 1))
    with pytest.raises(ValueError, match="2 slopes"):
        check_activations([two, "relu"], (1, 3, 2, 1))


def test_the_box_of_a_prelu_holds_every_channel():
    slopes = [0.1, -0.7, 2.0]
    ranges = propagate((2, 3, 1), np.log(0.8), np.log(1.7), (activations.get("prelu", weight=slopes),), "linf")
    z = 0.8 * (2 * 1.7 + 1)
    values = [max(0.0, x) + a * min(0.0, x) for a in slopes for x in np.linspace(-z, z, 101)]
    low, high = min(values), max(values)
    assert math.exp(ranges.log_center[1]) == pytest.approx(abs(low + high) / 2)
    assert math.exp(ranges.log_radius[1]) == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("z", [1e-150, 1e-8, 0.01, 0.0300001, 0.3, 0.999, 1.001, 4.0])
def test_the_supremum_of_tanhshrink_loses_no_digits(z):
    with mp.workdps(400):
        exact = mp.mpf(z) - mp.tanh(mp.mpf(z))
        if exact > 1e-300:
            assert abs(mp.mpf(activations.get("tanhshrink").sup(z)) / exact - 1) < 1e-15
