r"""How many words a row needs, and how many multisets a layer makes of them: the counts under the orbit bound.

Notation. A *row* (W_i, b_i) is what one neuron reads with; a *word* is the code for all rows that lie near one
centre. M words, n = fan-in, d = width. Every count is kept as a logarithm (nats), so nothing overflows: M =
e^(10^9) is fine. Used by Shen (2024), Theorems 1 and 2, as sharpened in the chapter "Covering numbers".

**Multisets.** A layer whose d neurons may be reordered is a multiset of d words out of M. There are C(M+d-1, d) of
them, whether or not words repeat; for M ≫ d² this is M^d/d!, the paper's factorial.

**Covering the cube [-B, B]^n in ℓ_p by balls of radius τ** (p = 1, 2). Two ways, the smaller is taken.

*Grid.* K = ⌈B n^{1/p}/τ⌉ equal cells a coordinate have their centres within B/K of every entry, hence within τ: K^n
words.

*Volume.* A cube sits badly inside the ℓ_p ball (it fills e^{-n} of it for p = 1), and a grid pays for that. Let T
be the unit ℓ_p ball, Q the cube, R(s) = vol(Q + sT)/vol(sT), 0 < η < 1. Take a maximal set Λ ⊂ Q whose points are
more than ητ apart: the balls of radius ητ/2 about it are disjoint in Q + (ητ/2)T, so |Λ| ≤ R(ητ/2), and every point
of Q is within ητ of Λ. Draw m centres uniformly from Q + (1-η)τT. One centre lies within (1-η)τ of a given λ ∈ Λ
with probability p = 1/R((1-η)τ), so the expected number of λ that all m centres miss is at most |Λ|e^{-pm}. With m
= ⌈ln(p|Λ|)/p⌉ some draw misses at most 1/p; add those points themselves. For η ≤ 2/3, p|Λ| ≤ (2(1-η)/η)^n,

    N ≤ 1 + R((1-η)τ) · (1 + n ln(2(1-η)/η)).

Every point of Q is then within ητ + (1-η)τ = τ of a centre. Clipping the centres to Q moves none away from a point of
Q. The volumes are exact sums over the faces of the cube (Q + sT = {x : (|x_i| - B)_+ ∈ sT}), bounded in closed form:

* p = 1: R(s) = n! (B/s)^n Σ_k C(n,k)(s/B)^k/k! ≤ n! (B/s)^n I_0(2 √(n s/B)), because C(n,k) ≤ n^k/k!.
* p = 2: R(s) = Γ(n/2+1) (2B/(√π s))^n Σ_k C(n,k) V_k (s/2B)^k ≤ Γ(n/2+1) (2B/(√π s))^n · 2 e^{3(u/2)^{2/3}}, V_k =
  π^{k/2}/Γ(k/2+1) the volume of the k-ball, u = n √π s/(2B): the k-th term is at most u^k/(k! Γ(k/2+1)), and
  1/Γ(k/2+1) ≤ 2 v^{-k} e^{v²} for every v > 0 (the Mittag-Leffler sum Σ v^k/Γ(k/2+1) = e^{v²}(1 + erf v)); sum over
  k and take v³ = u/2.

The idea is Rogers' (1957; Rogers & Zong, Mathematika 1997), the last step Erdős and Rogers'. As n grows it saves
1 nat a weight for p = 1 and ½ ln(πe/2) = 0.73 nats for p = 2.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

# Above e^34 a ceiling changes a number by less than one unit in the last place.
_EXACT = 34.0


def log_ceil(log_x: npt.ArrayLike) -> Array:
    """Return log max(1, ⌈x⌉) from log x; an x within 10⁻¹² of an integer from above counts as that integer.

    Without that allowance the rounding of the logarithm would turn an exact 8 into 9. So a resolution is honoured to
    one part in 10¹².

    Examples
    --------
    >>> round(float(np.exp(log_ceil(np.log(7.2)))), 12), float(log_ceil(-np.inf)), float(log_ceil(1e9))
    (8.0, 0.0, 1000000000.0)
    """
    log_x = np.asarray(log_x, dtype=np.float64)
    x = np.exp(np.minimum(log_x, _EXACT))
    return np.where(log_x > _EXACT, log_x, np.log(np.maximum(1.0, np.ceil(x * (1 - 1e-12)))))


def log_multisets(log_words: npt.ArrayLike, size: int) -> Array:
    r"""Return ln C(M+d-1, d), the log number of multisets of d = ``size`` words out of M, from ln M.

    With n = M - 1 it is ln C(n+d, d) = n ln(1+d/n) + d ln(1+n/d) + ½ ln((n+d)/(2π n d)) + s(n+d) - s(n) - s(d), s
    being Stirling's series: positive main terms, so no cancellation, where differences of log-gammas lose every
    digit. Short products and Γ(n+1) itself replace the series where d or n is below 10. For real M it interpolates
    and increases.

    Parameters
    ----------
    log_words
        ln M ≥ 0, from 0 to 10⁹ and beyond; broadcast over.
    size
        d ≥ 1.

    Examples
    --------
    >>> round(float(np.exp(log_multisets(np.log(3), 2))), 9), float(log_multisets(0.0, 10**6))
    (6.0, 0.0)
    """
    log_words = np.asarray(log_words, dtype=np.float64)
    if size < 10:
        inverse = np.exp(-log_words)
        ratios = (log_words + np.log1p(i * inverse) - math.log1p(i) for i in range(size))
        return np.where(log_words > 0, sum(ratios, start=np.zeros_like(log_words)), 0.0)
    n = np.expm1(np.minimum(log_words, 700.0))
    return np.where(n < 10, _few_words(np.minimum(n, 10.0), size), _many_words(np.maximum(n, 10.0), log_words, size))


def _few_words(n: Array, d: int) -> Array:
    """Return ln Γ(n+d+1)/(Γ(d+1)Γ(n+1)) for 0 ≤ n ≤ 10 ≤ d."""
    grown = n * np.log(d + n) + (d + 0.5) * np.log1p(n / d) - n + _stirling(d + n) - _stirling(np.float64(d))
    return np.where(n > 0, grown - special.gammaln(n + 1), 0.0)


def _many_words(n: Array, log_words: Array, d: int) -> Array:
    """Return ln C(n+d, d) for n, d ≥ 10; only x = d/n enters where n itself would overflow."""
    log_n = np.where(log_words < _EXACT, np.log(n), log_words)
    x = np.exp(np.maximum(math.log(d) - log_n, -745.0))
    fewer = d * np.where(x > 1e-300, np.log1p(x) / np.maximum(x, 1e-300), 1.0)  # n ln(1 + d/n)
    more = d * np.logaddexp(0.0, log_n - math.log(d))
    half = 0.5 * (np.log1p(x) - math.log(2 * math.pi * d))
    return fewer + more + half + _stirling(n + d) - _stirling(n) - _stirling(np.float64(d))


def _stirling(x: Array | np.float64) -> Array:
    """Return ln Γ(x+1) - (x + ½) ln x + x - ½ ln 2π for x ≥ 10, to 10⁻¹⁵."""
    y = 1.0 / np.asarray(x, dtype=np.float64)
    z = y * y
    series = 1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188 - z * (691 / 360360 - z / 156)))))
    return y * series


def log_grid_cover(dimension: int, norm: int, log_ratio: npt.ArrayLike) -> Array:
    """Return n ln ⌈n^{1/p} B/τ⌉, the grid's count for [-B, B]^n in ℓ_p at radius τ, from ln(B/τ).

    Examples
    --------
    >>> round(float(np.exp(log_grid_cover(2, 1, np.log(4)))), 9)
    64.0
    """
    if dimension == 0:
        return np.zeros(np.shape(log_ratio))
    return dimension * log_ceil(np.asarray(log_ratio, dtype=np.float64) + math.log(dimension) / norm)


def log_volume_cover(dimension: int, norm: int, log_ratio: npt.ArrayLike) -> Array:
    """Return the log of the volume bound on the covering number of [-B, B]^n in ℓ_p (p = ``norm``), from ln(B/τ).

    The statement and its proof are in the module's docstring.

    Examples
    --------
    >>> saved = log_grid_cover(500, 1, 10.0) - log_volume_cover(500, 1, 10.0)
    >>> round(float(saved) / 500, 3)
    0.975
    """
    n = dimension
    if n == 0:
        return np.zeros(np.shape(log_ratio))
    eta = 1 / (1 + n * math.log(2 * n + 2))
    ratio = np.asarray(log_ratio, dtype=np.float64) - math.log1p(-eta)
    inverse = np.exp(np.minimum(-ratio, 300.0))
    if norm == 1:
        argument = 2 * np.sqrt(n * inverse)
        volumes = special.gammaln(n + 1) + n * ratio + np.log(special.i0e(argument)) + argument
    else:
        u = n * math.sqrt(math.pi) / 2 * inverse
        faces = math.log(2) + 3 * np.cbrt(u / 2) ** 2
        volumes = special.gammaln(n / 2 + 1) + n * (ratio + math.log(2 / math.sqrt(math.pi))) + faces
    return np.logaddexp(0.0, volumes + math.log1p(n * math.log(2 * (1 - eta) / eta)))


def log_cube_cover(dimension: int, norm: int, log_ratio: npt.ArrayLike) -> Array:
    """Return the smaller of the two: the log number of ℓ_p balls of radius τ that cover [-B, B]^n.

    Examples
    --------
    >>> float(log_cube_cover(2, 1, 5.0)) == float(log_grid_cover(2, 1, 5.0))
    True
    """
    return np.minimum(log_grid_cover(dimension, norm, log_ratio), log_volume_cover(dimension, norm, log_ratio))
