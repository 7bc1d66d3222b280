r"""Shells of the operator norm: few matrices are as large as the sensitivity inequality fears.

Notation as in :mod:`fnequiv.complexity.sensitivity` and :mod:`~fnequiv.complexity.matrices`; n_l = d_l d_{l-1}, ‖W‖ the
operator norm. Past Shen (2024). Chapter: "Covering numbers".

**Idea.** The Euclidean form uses ‖W^(j)‖ ≤ B√n_j, which only matrices near B·(±1)(±1)^T reach. Where ‖W^(j)‖ is smaller
by a factor s, all layers below may be read 1/s times as coarsely; where it is not, few matrices are left.

**Shells.** Cut the class F into classes F_k by the shells s_k < ‖W^(j)‖/(B√n_j) ≤ s_{k-1} of some of W^(2), …, W^(L),
with 1 = s_0 > s_1 > … > s_K, where the last shell has no lower end. N(F) ≤ Σ_k N(F_k), so the largest ln N(F_k) and
ln (K+1) a layer are enough. Orders, signs and scales come first, W^(j) is the matrix that is left.

*Below.* In F_k the coefficients of the layers l < j shrink by Π_{j>l} s_{k_j-1} = e^{-x}. Let t_l and the biases' δ_l
grow by e^x. Then no count of biases grows, and (2(B + s)/s)^n/vol(T) falls by e^{ng(x)}, g(x) = x - ln((B + se^x)/(B +
s)). g is concave, g(0) = 0, and where se^X ≤ κB for the largest x = X, g(x) ≥ x(1 - κ/X). A layer with p ≤ d_l pinned
entries (*faces*) has n - p such factors.

*In the shell.* The volume argument holds for every subset of the cube, so R(s) counts only vol(Q_k + sT): matrices with
entries up to B + s and norm at least s_k B√n - s. So R(s) has the further factor P(‖U‖ ≥ s̃√n), U uniform in the cube
[-1, 1]^n and s̃ = (s_k - κ/√n)/(1 + κ). Take nets of both unit spheres with distances η: (1 + 2/η)^{d_l + d_{l-1}}
pairs (y, z), and ‖U‖ ≤ max y·Uz/(1 - 2η). For each pair and θ > 0

    ln P(y·Uz ≥ v√n) ≤ Σ_ij φ(θ²n y_i²z_j²) - nθv ≤ n(φ(θ²) - θv),    φ(q) = ln (sinh √q/√q),

because φ(q) = Σ_m ln(1 + q/(m²π²)) is concave and Σ_ij y_i²z_j² = 1.

*Together.* Layer j lowers ln N by the least N_j ln (1/s_{k-1}) - ln P_k of its shells, less ln (K+1), where N_j =
(1 - κ/X) Σ_{l<j} n_l. (1 + R(1 + …) in place of R(1 + …) costs each layer ln 2 at most, because R ≥ 1 here: no P below
e^{-4n} is used. Every j pays for all of them.) It comes to about 1.1 n_j nats for equal widths and j = 2, and grows
slowly with j.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .orbit import LayerTerms
from .sensitivity import Ranges

Array = npt.NDArray[np.float64]

_SHELLS = 64
_SPANS = (0.5, 1.5)  # where a layer's last shell begins: at e^-span; X is the sum over the layers above
_FINE = 2.0**-7  # κ
_DISTANCES = np.geomspace(1e-3, 0.25, 13)[:, None, None]  # η of the nets
_TILTS = np.geomspace(0.05, 100.0, 120)[:, None]  # θ


def shelled(ranges: Ranges, terms: tuple[LayerTerms, ...]) -> tuple[LayerTerms, ...]:
    """Return the terms of a refined bound less what shells save, where hidden layers are covered as matrices."""
    *hidden, last = terms
    options = [_saved(ranges, hidden, span) for span in _SPANS]
    totals = [sum(option, start=np.zeros(np.shape(ranges.log_bound))) for option in options]
    best = np.argmax(np.stack(np.broadcast_arrays(*totals)), axis=0)
    lowered = (_lowered(term, np.choose(best, choices)) for term, *choices in zip(hidden, *options, strict=True))
    return (*lowered, last)


def _saved(ranges: Ranges, hidden: list[LayerTerms], span: float) -> list[Array]:
    """Return the nats that the shells of each hidden layer save; 0 where they save none."""
    below, saved = np.zeros(np.shape(ranges.log_bound)), []
    for above, term in zip(reversed(range(len(hidden))), hidden, strict=True):
        fine = term.log_weight_resolution + span * above <= ranges.log_bound + math.log(_FINE)
        whole, faces = fine & (term.cover == "matrix"), fine & (term.cover == "matrix, faces")
        sizes, where = np.unique(np.where(whole, below, 0.0), return_inverse=True)
        gains = np.array([_gain(term.width, int(term.fan_in), float(size), span) for size in sizes])
        less = gains[where.reshape(np.shape(whole))] - len(hidden) * math.log(2)
        saved.append(np.where(whole, np.maximum(less, 0.0), 0.0))
        freedom = np.where(whole, term.fan_in, np.where(faces, term.fan_in - 1, 0)) * term.width
        below = below + (1 - _FINE / span) * freedom
    return saved


def _lowered(term: LayerTerms, saved: Array) -> LayerTerms:
    """Return a layer's terms with its count lowered."""
    return replace(
        term,
        cover=np.where(saved > 0, "matrix, shells", term.cover),
        log_count=term.log_count - saved,
        log_shells=saved,
    )


@functools.lru_cache(maxsize=4096)
def _gain(height: int, width: int, below: float, span: float) -> float:
    """Return the least of N_j ln (1/s_{k-1}) - ln P_k over the shells, less ln (K+1)."""
    if below == 0:
        return 0.0
    rare = -_log_tails(height, width, span)
    return float((below * np.linspace(0.0, span, _SHELLS + 1) + rare).min()) - math.log(_SHELLS + 1)


@functools.lru_cache(maxsize=256)
def _log_tails(height: int, width: int, span: float) -> Array:
    """Return ln P_k of all shells; ln 1 for the last."""
    n = height * width
    ends = (np.exp(-np.linspace(0.0, span, _SHELLS + 1)[1:]) - _FINE / math.sqrt(n)) / (1 + _FINE)
    return np.append(np.maximum(log_norm_tail(height, width, ends), -4.0 * n), 0.0)


def log_norm_tail(height: int, width: int, fraction: npt.ArrayLike) -> Array:
    """Return a bound on ln P(‖U‖ ≥ s √(hw)) for an h × w matrix U with independent entries uniform in [-1, 1].

    Examples
    --------
    >>> log_norm_tail(100, 100, [0.1, 0.5]).round(-1)
    array([    0., -2850.])
    """
    ends = np.asarray(fraction, dtype=np.float64)
    nets = (height + width) * np.log1p(2 / _DISTANCES)
    moments = _TILTS - math.log(2) + np.log1p(-np.exp(-2 * _TILTS)) - np.log(_TILTS)  # ln (sinh θ/θ)
    rates = moments - _TILTS * (1 - 2 * _DISTANCES) * ends.ravel()
    tails = nets[:, 0] + height * width * rates.min(axis=1)
    return np.minimum(tails.min(axis=0), 0.0).reshape(ends.shape)
