r"""Three classes that are small for another reason than symmetry: count their functions instead of their parameters.

Notation as in :mod:`fnequiv.complexity.sensitivity`; V = G_1 B bounds |∂f/∂x_i| for every output, R = B(A_L + 1) bounds
|f|, and R_0 is R for the single input 0. Past Shen (2024). Chapter: "Covering numbers".

**Paths** (d_0 = 1; Kolmogorov & Tikhomirov 1959). Every output is V-Lipschitz on [-B_x, B_x], however wide the network:

    ln N(F, ε) ≤ d_{L+1} (ln ⌈R_0/ε⌉ + 2 ⌈B_x V/ε⌉ ln 2).

*Proof.* Let φ(0) be the nearest of ⌈R_0/ε⌉ equally spaced values: |f(0) - φ(0)| ≤ ε. Walk to the right in steps of
length ε/V, φ rising or falling with slope V, that is by ε a step. Let g = f - φ lie in [-ε, ε] before a step, and let f
change by Δ, |Δ| ≤ ε, over it. If g + Δ ≥ 0 let φ rise, so g ends at g + Δ - ε ∈ [-ε, ε]; otherwise let it fall,
likewise. Within the step φ is as steep as f can be, so g is monotone and stays between its ends. A last, shorter step
is the same, and so is the way to the left: one bit a step. ∎

**Pieces** (d_0 = L = 1, σ homogeneous: two rays whose slopes differ by 2κ, κ = 1/2 for ReLU). A kink of neuron j
changes f' by 2κ|a_j w_j|, so f' has total variation at most U = 2κ d_1 B². Cut [-B_x, B_x] into k pieces of length
ℓ = 2B_x/k. On piece i let f' vary over an interval of length U_i, ΣU_i ≤ U, with middle m_i. Write down m_i to within
δ; then f - m̃_i x is (U_i/2 + δ)-Lipschitz there, and n_i = ⌈ℓ(U_i/2 + δ)/ε⌉ bits follow it as above, from one end of
the domain to the other. With n_i ≥ 1, Σn_i ≤ T = ⌊B_x U/(kε) + 2B_x δ/ε + k⌋. Neighbouring m_i differ by no more than
f' varies between them, so Σ|m_{i+1} - m_i| ≤ U, and their levels move by at most D = ⌊U/(2δ) + k - 1⌋ in all. For
every k and δ

    ln N ≤ d_2 (ln ⌈R/ε⌉ + ln ⌈V/δ⌉ + (k-1) ln 2 + ln C(D+k-1, k-1) + ln C(T, k) + T ln 2),

and without ln C(T, k) for k = 1, where n_1 is known. It grows like √(B_x U/ε), that is like √d_1.

**Lines** (every σ_l a multiple of the identity). f(x) = v·x + c with |v_i| ≤ V and |c| ≤ R_0, whatever the widths:
words for d_{L+1} such rows are enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .orbit import Candidate
from .sensitivity import Ranges, propagate
from .words import log_ceil, log_cube_cover, log_multisets

Array = npt.NDArray[np.float64]

_MOST_PIECES = 2**20
_LARGEST = 690.0  # e^690 is still a float
_ROUNDING = 1e-12  # what a floor allows for errors before it; a ceiling allows as much for ε, in log_ceil


def function_bounds(ranges: Ranges, log_eps: Array) -> Iterator[Candidate]:
    """Yield the bounds of this module's docstring that apply to the class."""
    sigmas = ranges.activations
    nothing = np.full_like(ranges.log_mass[0], -np.inf)
    at_zero = propagate(ranges.widths, ranges.log_bound, nothing, sigmas, "linf")
    log_start = ranges.log_bound + np.logaddexp(at_zero.log_mass[-1], 0.0)
    log_slope = ranges.log_gain[0] + ranges.log_bound
    if ranges.widths[0] == 1:
        yield Candidate(_paths(ranges, log_slope, log_start, log_eps), "none", "paths", ())
        if len(sigmas) == 1 and sigmas[0].degree == 1 and not sigmas[0].per_channel:
            yield Candidate(_pieces(ranges, log_slope, log_eps), "none", "pieces", ())
    if all(sigma.odd and sigma.degree == 1 for sigma in sigmas):
        yield Candidate(_lines(ranges, log_slope, log_start, log_eps), "none", "lines", ())


def _paths(ranges: Ranges, log_slope: Array, log_start: Array, log_eps: Array) -> Array:
    log_steps = log_ceil(ranges.log_radius[0] + log_slope - log_eps)
    with np.errstate(over="ignore"):
        bits = 2 * np.exp(log_steps)
    return np.asarray(ranges.widths[-1] * (log_ceil(log_start - log_eps) + bits * math.log(2)))


def _pieces(ranges: Ranges, log_slope: Array, log_eps: Array) -> Array:
    """Return the least of the bounds for k = 1, 2, 4, … and δ = kε/(2B_x) times a few factors."""
    ends = ranges.activations[0](np.array([-1.0, 1.0])) * (-1.0, 1.0)
    steepest = np.abs(ends).max()
    log_variation = log_slope + math.log(np.ptp(ends) / steepest) if np.ptp(ends) else np.full_like(log_slope, -np.inf)
    log_unit = log_eps - ranges.log_radius[0]  # a slope that moves f by ε from 0 to B_x
    log_variation = log_variation - log_unit
    variation = np.exp(np.minimum(log_variation, _LARGEST))  # B_x U/ε
    log_heights = log_ceil(ranges.log_bound + np.logaddexp(ranges.log_mass[-1], 0.0) - log_eps)
    best, pieces = np.full(variation.shape, np.inf), 1
    most = np.minimum(4 * np.sqrt(variation) + 1, _MOST_PIECES)
    while pieces <= most.max():
        for factor in (0.125, 0.25, 0.5, 1.0, 2.0):
            slack = factor * pieces / 2  # B_x δ/ε
            log_levels = log_ceil(log_slope - log_unit - math.log(slack))
            nats = log_levels + _routes(variation, slack, pieces)
            best = np.where(pieces <= most, np.minimum(best, nats), best)
        pieces *= 2
    return np.asarray(ranges.widths[-1] * (log_heights + np.where(log_variation < _LARGEST, best, np.inf)))


def _routes(variation: Array, slack: float, k: int) -> Array:
    """Return the nats for the slopes' moves and the bits, from B_x U/ε and B_x δ/ε."""
    if k == 1:
        return np.exp(log_ceil(np.log(variation + 2 * slack))) * math.log(2)
    bits = np.floor((variation / k + 2 * slack + k) * (1 + _ROUNDING))
    moves = np.floor((variation / (2 * slack) + k - 1) * (1 + _ROUNDING))
    slopes = (k - 1) * math.log(2) + log_multisets(np.log1p(moves), k - 1)
    return slopes + log_multisets(np.log(bits - k + 1), k) + bits * math.log(2)


def _lines(ranges: Ranges, log_slope: Array, log_start: Array, log_eps: Array) -> Array:
    inputs = ranges.widths[0]
    log_tau = log_eps + math.log(inputs / (inputs + 1)) - ranges.log_radius[0]
    words = log_cube_cover(inputs, ranges.norms[0], log_slope - log_tau)
    levels = log_ceil(log_start - log_eps + math.log(inputs + 1))
    return np.asarray(ranges.widths[-1] * (words + levels))
