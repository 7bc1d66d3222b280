r"""Words for a whole layer at once: cover its matrix in the operator norm.

Notation as in :mod:`fnequiv.complexity.sensitivity` and :mod:`~fnequiv.complexity.words`; ‖W‖ is the operator norm.
Past Shen (2024); chapter on covering numbers.

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
vol(Q + sT) ≤ (2(B + s))^n. For the volume of T let G have independent standard normal entries and put
a = √d_l + √d_{l-1} + √(2 ln 4):

* P(‖G‖ > a) ≤ 1/4, since E‖G‖ ≤ √d_l + √d_{l-1} (Gordon 1985) and ‖·‖ is 1-Lipschitz (Gaussian concentration);
* P(‖G‖_F² < n - 2√(n ln 4)) ≤ 1/4 (Laurent & Massart 2000, Lemma 1).

On the rest, of probability ≥ 1/2, the density is at most (2π)^{-n/2} exp(-n/2 + √(n ln 4)). Therefore

    ln vol(aT) ≥ (n/2) ln(2πe) - √(n ln 4) - ln 2.

**Biases and permutations.** Sort the neurons by the cell of b_i on a coarse grid of K' cells: C(K' + d_l - 1, d_l)
multisets. Cover the sorted matrix. With a centre c ≠ 0 of the box, b'_i = b_i + cΣ_j W_ij is then known up to the
coarse cell and ±s, s = ct√d_{l-1} (as |(W_i - W'_i)·1| ≤ t√d_{l-1}). K' = ⌈B/s⌉ leaves ⌈2s/δ⌉ levels a neuron.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .orbit import log_count
from .rows import Cover, Rows, least, shifted
from .words import log_ceil

Array = npt.NDArray[np.float64]

_NOTHING = -np.inf
_QUARTER = math.log(4)


def log_operator_cover(height: int, width: int, log_ratio: npt.ArrayLike) -> Array:
    """Return a bound on the log number of operator-norm balls of radius t that cover [-B, B]^{h × w}, from ln(B/t).

    Examples
    --------
    >>> round(float(log_operator_cover(100, 100, 5.0)) / 100**2, 3)
    7.37
    """
    n = height * width
    if n == 0:
        return np.zeros(np.shape(log_ratio))
    eta = 1 / (1 + n * math.log(2 * n + 2))
    ratio = np.asarray(log_ratio, dtype=np.float64) - math.log1p(-eta)
    size = math.sqrt(height) + math.sqrt(width) + math.sqrt(2 * _QUARTER)
    log_volume = n / 2 * math.log(2 * math.pi * math.e) - math.sqrt(n * _QUARTER) - math.log(2) - n * math.log(size)
    volumes = n * (math.log(2) + np.logaddexp(ratio, 0.0)) - log_volume
    return np.logaddexp(0.0, volumes + math.log1p(n * math.log(2 * (1 - eta) / eta)))


def matrix_cover(rows: Rows, width: int, permute: bool, log_budget: Array) -> Cover:
    """Return words for all ``width`` rows together that keep the ℓ_2 norm of the layer's reading below √width e.

    In the result ``log_words`` and the weights' and biases' words count for the whole layer.
    """
    log_euclid = log_budget + math.log(width) / 2
    spread = 0.0 if rows.norm == 2 else math.log(rows.fan_in) / 2
    boxes = [(rows.log_center, rows.log_radius)]
    if (rows.log_center > _NOTHING).any():
        boxes.append((np.full_like(rows.log_center, _NOTHING), np.logaddexp(rows.log_center, rows.log_radius)))
    log_tau = log_euclid - math.log1p(1 / rows.fan_in) - spread
    log_delta = log_euclid - math.log(rows.fan_in + 1) - math.log(width) / 2
    half = rows.log_bound - (math.log(2) if rows.signed else 0.0)
    options = []
    for log_center, log_radius in boxes:
        weights = log_operator_cover(width, rows.fan_in, rows.log_bound - log_tau + log_radius)
        box = rows._replace(log_center=log_center, log_radius=log_radius)
        shift = shifted(box, log_tau - log_radius) + math.log(rows.fan_in) / 2
        whole = width * log_ceil(np.logaddexp(rows.log_bound, shift) - log_delta)
        biases = width * log_ceil(np.logaddexp(half, shift) - log_delta)
        if permute:
            coarse = np.where(shift > _NOTHING, shift, log_delta)
            fine = np.where(shift > _NOTHING, log_ceil(math.log(2) + shift - log_delta), 0.0)
            biases = np.minimum(biases, log_count(log_ceil(half - coarse), width, True) + width * fine)
        options.append(Cover(weights + biases, log_tau - log_radius, log_delta, weights, whole, np.asarray("matrix")))
    return least(options)
