r"""Sign flips for ReLU and its like: the last hidden layer, written with the even or odd part of its activation.

Notation as in :mod:`fnequiv.complexity.sensitivity`. Past Shen (2024). Chapter: "Covering numbers".

ReLU is neither odd nor even, so Example 2 of the paper does not reach it. But many activations obey a reflection
law σ(-x) = sign·σ(x) + slope·x + k (:class:`fnequiv.activations.Reflection`). Then σ(x) = τ(x) + αx + k' with α =
-slope/2 and τ even (sign +1, k' = 0; ReLU: τ(x) = |x|/2) or odd (sign -1, k' = k/2; the sigmoid: τ = σ - 1/2), and

    f(x) = Σ_j a_j τ(z_j) + v·h_{L-1} + c',    v = α Σ_j a_j W_j,    c' = b + Σ_j a_j (α b_j + k').

Write down v and c' as well (|v_i| ≤ |α| d_L B², |c'| ≤ B + |α| d_L B² + |k'| d_L B); then the rows of layer L
matter only up to sign. If α ≠ 0, σ' fills an interval symmetric about α, so τ has Lipschitz constant ρ - |α|, half
of ReLU's, and G_L = d_L B (ρ - |α|). G_{L-1} stays as it was, because h_{L-1} reaches f through τ and through v,
with d_L B² (ρ - |α|) + |α| d_L B². It pays when d_{L+1} (d_{L-1} + 1) numbers cost less than d_L signs and finer
rows.

If L = 1, σ is homogeneous and A_0 ≤ 1, scaled neurons on a face |b_j| = B have no kink in the domain. They are linear
there, so v and c' (with ρ in place of |α|) hold them and they need no words.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .orbit import Used
from .rows import Cover, cube_covers, least
from .sensitivity import Ranges
from .words import log_ceil, log_cube_cover

Array = npt.NDArray[np.float64]

_NOTHING = -np.inf
_ROUNDING = 2.0**-50


class Fold(NamedTuple):
    """Layer L reflected: ln G_L, the box of τ, ln of the bounds on v and on c' - b, and where faces have no kinks."""

    log_gain: Array
    log_center: Array
    log_radius: Array
    log_linear: Array
    log_constant: Array
    kinkless: npt.NDArray[np.bool_]

    @property
    def skips(self) -> npt.NDArray[np.bool_]:
        """Whether v ≠ 0; v = 0 needs no words and no part of the budget."""
        return self.log_linear > _NOTHING


def folded(ranges: Ranges, used: Used) -> Fold | None:
    """Return the reflected form of layer L, or None where its activation obeys no reflection law."""
    sigma = ranges.activations[-1] if ranges.activations else None
    if sigma is None or sigma.reflection is None or sigma.per_channel:
        return None
    width, log_bound = ranges.widths[-2], ranges.log_bound
    alpha, shift = abs(sigma.reflection.slope) / 2, abs(sigma.reflection.constant) / 2
    slope, shallow = np.exp(ranges.log_slope[-1]), len(ranges.activations) == 1
    kinkless = (ranges.log_mass[-2] <= 0) & (shallow and sigma.degree == 1 and used.scaled[-1])
    with np.errstate(divide="ignore"):
        # A difference, so it is rounded up, by more than the errors of ρ.
        excess = np.log(np.maximum(slope * (1 + _ROUNDING) - alpha, 0.0))
        log_tau_slope = excess if alpha else ranges.log_slope[-1]
        log_center, log_radius = _box(ranges, log_tau_slope, alpha)
        linear = np.log(width * np.where(kinkless, slope, alpha)) + 2 * log_bound
        constant = np.logaddexp(linear, np.log(np.float64(shift * width)) + log_bound)
    gain = log_bound + math.log(width) + log_tau_slope
    return Fold(gain, log_center, log_radius, linear, constant, kinkless)


def _box(ranges: Ranges, log_tau_slope: Array, alpha: float) -> tuple[Array, Array]:
    """Return ln |c|, ln r of a box that holds τ on [-Z, Z].

    α ≠ 0: τ is even; it is ±(ρ - |α|)|x| if σ has degree 1, and else within (ρ - |α|)Z of τ(0) = σ(0).
    α = 0: τ = σ - k' has the box of σ, moved to 0 if τ is odd.
    """
    sigma, log_reach = ranges.activations[-1], ranges.log_reach[-1]
    if alpha and sigma.degree == 1:
        half = log_tau_slope + log_reach - math.log(2)
        return half, half
    if alpha:
        at_zero = np.log(np.float64(abs(sigma.at_zero)))
        return np.full_like(log_reach, at_zero), log_tau_slope + log_reach
    odd = sigma.reflection is not None and sigma.reflection.sign == -1
    return np.full_like(log_reach, _NOTHING) if odd else ranges.log_center[-1], ranges.log_radius[-1]


def output_cover(ranges: Ranges, fold: Fold, log_budget: Array) -> Cover:
    """Return words for an output row (a, v, c'): a reads τ, v reads h_{L-1}, and c' moves with the radii of both."""
    neurons, skips, some = ranges.widths[-2], ranges.widths[-3], fold.skips
    total = np.log(neurons + np.where(some, skips, 0) + 1)
    log_tau = log_budget + math.log(neurons) - total - fold.log_radius
    log_nu = np.where(some, log_budget + math.log(skips) - total - ranges.log_radius[-2], _NOTHING)
    log_delta = log_budget - total
    shifts = np.logaddexp(fold.log_center + log_tau, ranges.log_center[-2] + log_nu)
    half_range = np.logaddexp(np.logaddexp(ranges.log_bound, fold.log_constant), shifts)
    levels = log_ceil(half_range - log_delta)
    paths = log_cube_cover(skips, ranges.norms[-2], np.where(some, fold.log_linear - log_nu, _NOTHING))
    return least(
        [
            Cover(words + paths + levels, log_tau, log_delta, words + paths, levels, np.asarray(name))
            for name, words in cube_covers(neurons, 1, ranges.log_bound - log_tau)
        ]
    )
