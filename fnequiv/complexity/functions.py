r"""Two classes that are small for another reason than symmetry: count their functions instead of their parameters.

Notation as in :mod:`fnequiv.complexity.sensitivity`; V = G_1 B bounds |∂f/∂x_i| for every output, and R_0 = B(A_L +
1) taken at the single input 0 bounds |f(0)|. Past Shen (2024); chapter on covering numbers.

**One input** (Kolmogorov & Tikhomirov 1959). On [-B_x, B_x] every output is V-Lipschitz, however wide the network
is, so

    ln N(F, ε) ≤ d_{L+1} (ln ⌈R_0/ε⌉ + 2 ⌈B_x V/ε⌉ ln 2).

*Proof.* Let φ(0) be the nearest of ⌈R_0/ε⌉ equally spaced values: |f(0) - φ(0)| ≤ ε. Walk to the right in steps of
length ε/V, φ rising or falling with slope V, that is by ε a step. Let g = f - φ lie in [-ε, ε] before a step, and
let f change by Δ, |Δ| ≤ ε, over it. If g + Δ ≥ 0 let φ rise, so g ends at g + Δ - ε ∈ [-ε, ε]; otherwise let it
fall, likewise. Within the step φ is as steep as f can be, so g is monotone and stays between its ends. A last,
shorter step is the same, and so is the way to the left: one bit a step. ∎ It does not grow with the number of
parameters, so it wins for wide networks and large ε, and loses for small ε.

**Linear activations.** If every σ_l is a multiple of the identity, f(x) = v·x + c with |v_i| ≤ V and |c| ≤ R_0,
whatever the widths: words for d_{L+1} such rows are enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .orbit import Candidate
from .sensitivity import Ranges, propagate
from .words import log_ceil, log_cube_cover

Array = npt.NDArray[np.float64]


def function_bounds(ranges: Ranges, log_eps: Array) -> Iterator[Candidate]:
    """Yield the bounds of this module's docstring that apply to the class."""
    nothing = np.full_like(ranges.log_mass[0], -np.inf)
    at_zero = propagate(ranges.widths, ranges.log_bound, nothing, ranges.activations, "linf")
    log_start = ranges.log_bound + np.logaddexp(at_zero.log_mass[-1], 0.0)
    log_slope = ranges.log_gain[0] + ranges.log_bound
    if ranges.widths[0] == 1:
        yield Candidate(_paths(ranges, log_slope, log_start, log_eps), "none", "paths", ())
    if all(sigma.odd and sigma.degree == 1 for sigma in ranges.activations):
        yield Candidate(_lines(ranges, log_slope, log_start, log_eps), "none", "lines", ())


def _paths(ranges: Ranges, log_slope: Array, log_start: Array, log_eps: Array) -> Array:
    log_steps = log_ceil(ranges.log_radius[0] + log_slope - log_eps)
    with np.errstate(over="ignore"):
        bits = 2 * np.exp(log_steps)
    return np.asarray(ranges.widths[-1] * (log_ceil(log_start - log_eps) + bits * math.log(2)))


def _lines(ranges: Ranges, log_slope: Array, log_start: Array, log_eps: Array) -> Array:
    inputs = ranges.widths[0]
    log_tau = log_eps + math.log(inputs / (inputs + 1)) - ranges.log_radius[0]
    words = log_cube_cover(inputs, ranges.norms[0], log_slope - log_tau)
    levels = log_ceil(log_start - log_eps + math.log(inputs + 1))
    return np.asarray(ranges.widths[-1] * (words + levels))
