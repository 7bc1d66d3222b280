r"""The laws that single parameters are drawn from: uniform, normal, truncated normal, and zero.

Notation. π is the density of a law, all symmetric about 0. The *interval* of centre x and half-length r is the open
(x - r, x + r). Every law knows ln P(interval), ln π relative to a law to draw from (for importance sampling), its
quantiles and its entropy, in nats and without overflow: 10⁻³⁰⁰ and less are ordinary numbers here. These methods are
what the other rooms evaluate: they check nothing, and take centres as arrays, r > 0, and u in (0, 1).

**Normal intervals.** With m = |x|/s and k = r/s,

    P = φ(m) ∫_{-k}^{k} exp(-mt - t²/2) dt = Φ(k - m) - Φ(-k - m).

The integral has no cancellation but needs a smooth integrand; the difference has no cancellation if its terms differ.
So the first is taken where k(m + 1) ≤ 1 (16 Gauss-Legendre nodes, exact to rounding there), the second elsewhere, from
ln Φ. The theorem on initialisation of Shen (2024), section 5.2, is about these laws. Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit, log_ndtr, ndtr, ndtri

from ..validation import check_positive, check_real

__all__ = ["Law", "Normal", "TruncatedNormal", "Uniform", "Zero"]

Array = npt.NDArray[np.float64]
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_LOG_ROOT = 0.5 * math.log(2 * math.pi)
CUT = 2.0  # Keras and JAX cut their truncated normal laws at two standard deviations of the normal law
KEPT = float(ndtr(CUT) - ndtr(-CUT))
_LOGISTIC = 0.6  # the scale of a logistic law that is nearly normal, in standard deviations


@runtime_checkable
class Law(Protocol):
    """What a law of one parameter answers; arrays broadcast. ``constant`` says that it draws the same number always."""

    constant: bool

    def log_probability(self, centre: Array, half: float) -> Array:
        """Return ln P(interval), -inf where it is 0."""

    def near(self, centre: Array, half: float, u: Array) -> tuple[Array, Array]:
        """Return points x of the interval, made from uniform numbers u, and ln(π(x)/q(x)), q the density of x."""

    def quantile(self, u: Array) -> Array:
        """Return the quantiles at u ∈ (0, 1)."""

    def entropy(self) -> float:
        """Return -E ln π, in nats; -inf for a constant."""


@dataclass(frozen=True)
class Uniform:
    """Uniform on [-bound, bound].

    Examples
    --------
    >>> law = Uniform(0.5)
    >>> np.exp(law.log_probability(np.array([0.0, 0.5, 2.0]), 0.1)).round(12).tolist()
    [0.2, 0.1, 0.0]
    """

    bound: float
    constant = False

    def __post_init__(self) -> None:
        check_positive("bound", check_real("bound", self.bound))

    def log_probability(self, centre: Array, half: float) -> Array:
        """Return ln P(interval)."""
        below, above = _inside(centre, half, self.bound)
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(below + above, 0)) - math.log(2 * self.bound)

    def near(self, centre: Array, half: float, u: Array) -> tuple[Array, Array]:
        """Return uniform points of the interval's part in the support, and ln(π/q), which is constant."""
        below, above = _inside(centre, half, self.bound)
        length = np.maximum(below + above, 0)
        with np.errstate(divide="ignore"):
            return centre - below + u * length, np.log(length / (2 * self.bound)) + np.zeros_like(u)

    def quantile(self, u: Array) -> Array:
        """Return the quantiles."""
        return self.bound * (2 * u - 1)

    def entropy(self) -> float:
        """Return ln(2 bound)."""
        return math.log(2 * self.bound)


@dataclass(frozen=True)
class Normal:
    """Normal of mean 0 and standard deviation ``std``.

    Examples
    --------
    >>> Normal(1.0).log_probability(np.array([0.0, 40.0]), 1.0).round(4).tolist()
    [-0.3817, -765.0832]
    """

    std: float
    constant = False

    def __post_init__(self) -> None:
        check_positive("std", check_real("std", self.std))

    def log_probability(self, centre: Array, half: float) -> Array:
        """Return ln P(interval)."""
        return _log_normal(np.abs(centre) / self.std, half / self.std)

    def near(self, centre: Array, half: float, u: Array) -> tuple[Array, Array]:
        """Return points of a logistic law's part in the interval, and ln(π/q): it is bounded above."""
        m = np.abs(centre) / self.std
        points, log_q = _logistic(m, half / self.std, u)
        return self.std * np.where(centre < 0, -points, points), _log_density(points) - log_q

    def quantile(self, u: Array) -> Array:
        """Return the quantiles."""
        return self.std * ndtri(u)

    def entropy(self) -> float:
        """Return ln(2πe s²)/2."""
        return _LOG_ROOT + 0.5 + math.log(self.std)


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal of mean 0 and standard deviation ``std`` before it is cut to [-2 std, 2 std].

    Examples
    --------
    >>> TruncatedNormal(1.0).log_probability(np.array([0.0, 1.5, 3.0]), 1.0).round(4).tolist()
    [-0.3351, -1.2059, -inf]
    """

    std: float
    constant = False

    def __post_init__(self) -> None:
        check_positive("std", check_real("std", self.std))

    def log_probability(self, centre: Array, half: float) -> Array:
        """Return ln P(interval)."""
        m, k = self._clipped(centre, half)
        return np.where(k > 0, _log_normal(np.abs(m), np.where(k > 0, k, 1.0)), -np.inf) - math.log(KEPT)

    def near(self, centre: Array, half: float, u: Array) -> tuple[Array, Array]:
        """Return points of a logistic law's part in the interval and the support, and ln(π/q)."""
        m, k = self._clipped(centre, half)
        inside = k > 0
        points, log_q = _logistic(np.abs(m), np.where(inside, k, 1.0), u)
        ratio = np.where(inside, _log_density(points) - log_q - math.log(KEPT), -np.inf)
        return np.where(inside, self.std * np.where(m < 0, -points, points), centre), ratio

    def quantile(self, u: Array) -> Array:
        """Return the quantiles."""
        return self.std * ndtri(ndtr(-CUT) + u * KEPT)

    def entropy(self) -> float:
        """Return the entropy of the cut law."""
        density = math.exp(-0.5 * CUT**2 - _LOG_ROOT)
        return _LOG_ROOT + 0.5 + math.log(self.std * KEPT) - CUT * density / KEPT

    def _clipped(self, centre: Array, half: float) -> tuple[Array, Array]:
        """Return centre and half-length, in units of ``std``, of the interval's part in the support."""
        below, above = _inside(centre, half, CUT * self.std)
        return (centre + (above - below) / 2) / self.std, (above + below) / (2 * self.std)


@dataclass(frozen=True)
class Zero:
    """The constant 0, as biases are often set: an open interval has probability 1 if it holds 0, and 0 if not.

    Examples
    --------
    >>> Zero().log_probability(np.array([0.05, 0.1]), 0.1).tolist()
    [0.0, -inf]
    """

    constant = True

    def log_probability(self, centre: Array, half: float) -> Array:
        """Return 0 or -inf."""
        return np.where(np.abs(centre) < half, 0.0, -np.inf)

    def near(self, centre: Array, half: float, u: Array) -> tuple[Array, Array]:
        """Return zeros, whatever the interval is."""
        return np.zeros_like(u), np.zeros_like(u)

    def quantile(self, u: Array) -> Array:
        """Return zeros."""
        return np.zeros_like(u)

    def entropy(self) -> float:
        """Return -inf: there is no density."""
        return -math.inf


def _inside(centre: Array, half: float, bound: float) -> tuple[Array, Array]:
    """Return how far the interval reaches below and above its centre inside [-bound, bound]; a sum <= 0 is empty."""
    return np.minimum(half, bound + centre), np.minimum(half, bound - centre)


def _log_density(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return -0.5 * x * x - _LOG_ROOT


def _log_normal(m: Array, k: Array | float) -> Array:
    """Return ln(Φ(k - m) - Φ(-k - m)) for m >= 0 and k > 0; see the module's docstring."""
    m, k = np.broadcast_arrays(np.asarray(m, dtype=np.float64), np.asarray(k, dtype=np.float64))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        small = k * (m + 1) <= 1
        half = np.where(small, k, 0.0)
        integral = np.zeros_like(half)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            integral += weight * np.exp(-half * node * (m + half * node / 2))
        smooth = _log_density(m) + np.log(k) + np.log(integral)
        upper = log_ndtr(k - m)
        difference = upper + np.log1p(-np.exp(log_ndtr(-k - m) - upper))
        return np.where(small, smooth, np.where(np.isneginf(upper), -np.inf, difference))


def _logistic(m: Array, k: Array | float, u: Array) -> tuple[Array, Array]:
    """Return points of (m - k, m + k) drawn from a logistic law conditioned on it, from uniform u, and ln q there.

    With F the logistic distribution function, F(b) - F(a) = (1 - e^{a-b}) F(b) F(-a), which does not cancel.
    """
    a, width = (m - k) / _LOGISTIC, 2 * k / _LOGISTIC
    log_c = np.log(u) + np.log(-np.expm1(-width)) + log_expit(a + width)  # (1 - e^{-t}) F(a + t) at the point a + t
    t = np.minimum(np.logaddexp(0, log_c - a) - np.log1p(-np.exp(log_c)), width)
    log_mass = np.log(-np.expm1(-width)) + log_expit(a + width) + log_expit(-a)
    log_q = log_expit(a + t) + log_expit(-a - t) - log_mass - math.log(_LOGISTIC)
    return (a + t) * _LOGISTIC, log_q
