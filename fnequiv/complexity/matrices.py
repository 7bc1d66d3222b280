r"""Words for a whole layer at once: cover its matrix in the operator norm.

Notation as in :mod:`fnequiv.complexity.sensitivity` and :mod:`~fnequiv.complexity.words`; ‖W‖ is the operator norm.
Past Shen (2024). Chapter: "Covering numbers".

**Euclidean form of the sensitivity inequality.** Let the centre's pre-activations be clipped to [-Z_l, Z_l], so that
its h' lie in the boxes too, and let E_l = ‖z_l - z'_l‖_2. From z_l - z'_l = W(h - h') + [(W - W')h' + b - b'] with the
*network's* W, ‖W‖ ≤ B√(d_l d_{l-1}),

    E_l ≤ B√(d_l d_{l-1}) ρ_{l-1} E_{l-1} + ê_l,    |f - f'| ≤ B√d_L ρ_L E_L + e_{L+1},

where ê_l bounds the bracket's ℓ_2 norm. Unrolled, |f - f'| ≤ Σ_{l≤L} (G_l/√d_l) ê_l + e_{L+1}: the square roots
telescope to Π d_j. Rows read to within e_l give ê_l = √d_l e_l, hence the old inequality. But ê_l may be
‖W - W'‖ R + ‖b - b'‖_2 as well, R the Euclidean radius of the box (√d_{l-1} r, or B_x), and that norm needs far fewer
words: a ball of radius t of it holds typical matrices with entries of size t/(√d_l + √d_{l-1}), whereas rows rounded
one by one may all err in the same direction, which costs another √d. It saves about ½ ln d nats a weight.

**Cover.** The volume argument of :mod:`~fnequiv.complexity.words` holds for every norm (here without clipping the
centres, which nothing above needs): N ≤ 1 + R((1-η)t)(1 + n ln(2(1-η)/η)), n = d_l d_{l-1},
R(s) = vol(Q + sT)/vol(sT), T the unit ball of the operator norm. Entries of T are at most 1, so
vol(Q + sT) ≤ (2(B + s))^n. The volume of T is known. Let m ≤ k be the sides of the matrices, so n = mk. A k × m
matrix X with X^T X = Y has density π^{n/2}/Γ_m(k/2) · det(Y)^{(k-m-1)/2} in Y (Muirhead 1982, Theorem 2.1.14), Γ_m the
multivariate gamma function, and ‖X‖ ≤ 1 means Y ≤ I. What is left is the multivariate beta integral B_m(k/2, (m+1)/2):

    vol(T) = π^{n/2} Γ_m((m+1)/2) / Γ_m((k+m+1)/2).

**Biases and permutations.** Sort the neurons by the cell of b_i on a coarse grid of K' cells: C(K' + d_l - 1, d_l)
multisets. Cover the sorted matrix. With a centre c ≠ 0 of the box, b'_i = b_i + cΣ_j W_ij is then known up to the
coarse cell and ±s, s = ct√d_{l-1} (as |(W_i - W'_i)·1| ≤ t√d_{l-1}). K' = ⌈B/s⌉ leaves ⌈2s/δ⌉ levels a neuron.

**Faces.** A scaled row lies on one of 2d_{l-1} faces |W_ij| = B or two faces |b_i| = B. Write down which, and let p
rows have an entry pinned to ±B. The matrix then lies in an affine subspace, parallel to H = {pinned entries 0}, and is
covered in it: dimension n - p, R_p(s) = vol(Q∩H + sT∩H)/vol(sT∩H). Sections of T parallel to H are no larger than T∩H
(Brunn), and the other p entries of T are at most 1, so vol(T) ≤ 2^p vol(T∩H) and

    R_p(s) ≤ x^p (2(B + s)/s)^n/vol(T),    x = s/(B + s) < 1.

So a neuron on a face |W_ij| = B counts x instead of 1. With the cells of biases there are m = 2d_{l-1}K' such words,
and two more. The weights w_k of all multisets add up to the coefficient of z^{d_l} in Π_k 1/(1 - w_k z) =
exp(Σ_r (Σ_k w_k^r) z^r/r), which is at most that in exp(M Σ_r z^r/r) = (1 - z)^{-M}, M = Σ_k w_k, as w_k ≤ 1. That is
C(M + d_l - 1, d_l), M = mx + 2. (R_p ≥ 1 whatever p is, hence 1 + R_p(1 + …) ≤ R_p(2 + …).)
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy import special

from .orbit import log_count
from .rows import Cover, Rows, least, shifted
from .words import log_ceil

Array = npt.NDArray[np.float64]

_NOTHING = -np.inf


def log_operator_cover(height: int, width: int, log_ratio: npt.ArrayLike) -> Array:
    """Return a bound on the log number of operator-norm balls of radius t that cover [-B, B]^{h × w}, from ln(B/t).

    Examples
    --------
    >>> round(float(log_operator_cover(100, 100, 5.0)) / 100**2, 3)
    7.031
    """
    if height * width == 0:
        return np.zeros(np.shape(log_ratio))
    log_volumes, log_excess, _ = _operator_volumes(height, width, np.asarray(log_ratio, dtype=np.float64))
    return np.logaddexp(0.0, log_volumes + math.log1p(log_excess))


def _operator_volumes(height: int, width: int, log_ratio: Array) -> tuple[Array, float, Array]:
    """Return ln of (2(B + s)/s)^n/vol(T), n ln(2(1-η)/η), and ln of (B + s)/s = 1/x."""
    n = height * width
    eta = 1 / (1 + n * math.log(2 * n + 2))
    log_inverse = np.logaddexp(log_ratio - math.log1p(-eta), 0.0)
    log_volumes = n * (math.log(2) + log_inverse) - log_operator_ball(height, width)
    return log_volumes, n * math.log(2 * (1 - eta) / eta), log_inverse


@functools.cache
def log_operator_ball(height: int, width: int) -> float:
    """Return the log volume of the h × w matrices of operator norm at most 1.

    Examples
    --------
    A column is a vector, so here it is the ball in R^3, of volume 4π/3.

    >>> round(math.exp(log_operator_ball(3, 1)) / (4 * math.pi / 3), 12)
    1.0
    """
    m, k = min(height, width), max(height, width)
    # Γ_m(a) = π^{m(m-1)/4} Π_{j<m} Γ(a - j/2), and the powers of π cancel.
    half = np.arange(1, m + 1) / 2
    gammas = special.gammaln(half + 0.5) - special.gammaln(half + (k + 1) / 2)
    return float(height * width / 2 * math.log(math.pi) + gammas.sum())


def matrix_cover(rows: Rows, width: int, permute: bool, log_budget: Array) -> Cover:
    """Return words for all ``width`` rows together that keep the ℓ_2 norm of the layer's reading below √width e.

    In the result ``log_words`` and the weights' and biases' words count for the whole layer.
    """
    log_euclid = log_budget + math.log(width) / 2
    spread = 0.0 if rows.norm == 2 else math.log(rows.fan_in) / 2
    log_tau = log_euclid - math.log1p(1 / rows.fan_in) - spread
    log_delta = log_euclid - math.log(rows.fan_in + 1) - math.log(width) / 2
    half = rows.log_bound - (math.log(2) if rows.signed else 0.0)
    options = []
    for box in rows.boxes():
        log_radius = box.log_radius
        log_ratio = rows.log_bound - log_tau + log_radius
        weights = log_operator_cover(width, rows.fan_in, log_ratio)
        shift = shifted(box, log_tau - log_radius) + math.log(rows.fan_in) / 2
        whole = width * log_ceil(np.logaddexp(rows.log_bound, shift) - log_delta)
        biases = width * log_ceil(np.logaddexp(half, shift) - log_delta)
        coarse = np.where(shift > _NOTHING, shift, log_delta)
        fine = width * np.where(shift > _NOTHING, log_ceil(math.log(2) + shift - log_delta), 0.0)
        if permute:
            biases = np.minimum(biases, log_count(log_ceil(half - coarse), width, True) + fine)
        radii = (log_tau - log_radius, log_delta)
        options.append(Cover(weights + biases, *radii, weights, whole, np.asarray("matrix")))
        if rows.scaled:
            log_volumes, log_excess, log_inverse = _operator_volumes(width, rows.fan_in, log_ratio)
            cells = math.log(rows.fan_in) + log_ceil(rows.log_bound - coarse) - log_inverse
            keys = np.logaddexp(cells, 0.0) + (0.0 if rows.signed else math.log(2))
            words = log_volumes + math.log(2 + log_excess) + log_count(keys, width, permute) + fine
            options.append(Cover(words, *radii, weights, whole, np.asarray("matrix, faces")))
    return least(options)
