r"""Where Theorem 2 of Shen (2024), as stated, is proved.

Notation as in :mod:`fnequiv.complexity.theorems`. The theorem cannot hold for every B and ε: it falls below 1, and for
widths (1, 1, 1), ReLU, B = B_x = 0.1 and ε = 0.06 it allows e^0.64 = 1.9 balls while the constants ±B need two.
Chapter: "Covering numbers".

**Proposition (where Theorem 2 holds).** Let Q = 4(L+1)(B_x+1)(2B)^{L+2} Π_{j=1}^L ρ_j Π_{j=0}^L d_j / ε be its
factor for one coordinate. If

1. B ≥ 1/2,
2. 2Bρ_l d_l ≥ 1 and |σ_l(0)| ≤ Bρ_l for l = 1, …, L,
3. Q ≥ 4, that is ε ≤ (L+1)(B_x+1)(2B)^{L+2} Πρ_j Πd_j, and
4. (1 - (3/4)^{d_{l-1}+1}) Q^{d_{l-1}+1} ≥ d_l - 1 for l = 1, …, L,

then N(F, ε, ‖·‖_∞) ≤ Q^S/(d_1!⋯d_L!).

*Proof.* Take the orbit bound (:mod:`fnequiv.complexity.orbit`) with equal shares: 2(L+1) blocks, c_k δ_k =
ε/(2(L+1)). Put q_j = Bρ_j d_j and P = q_1⋯q_L, so G_l = q_l⋯q_L. By 2, Π_{j<i} q_j ≥ 2^{-(i-1)}, so q_i⋯q_L ≤
2^{i-1} P for i ≤ L + 1. With H_l ≤ ρ_l Z_l + |σ_l(0)| ≤ Bρ_l(A_{l-1} + 2), A_l ≤ q_l(A_{l-1} + 2), hence, unrolled,

    G_l A_{l-1} ≤ P A_0 + 2Σ_{i=1}^{l-1} q_i⋯q_L ≤ P(√d_0 B_x + 2(2^L - 1)) ≤ 2^{L+1} d_0 (B_x + 1) P,

and G_l ≤ 2^L P is smaller still. So every c_k ≤ 2^{L+1} d_0 (B_x+1) P, and with B ≤ 2B² (1)

    B/δ_k = 2(L+1) B c_k/ε ≤ 8(L+1) B² 2^L d_0 (B_x+1) P/ε = Q/2,

because Q = 16(L+1)(B_x+1) B² 2^L d_0 P/ε. By 3, K_k ≤ Q/2 + 1 ≤ 3Q/4, so M_l ≤ (3Q/4)^{n_l} with n_l = d_{l-1} + 1.
By 4, C(M_l + d_l - 1, d_l) ≤ (M_l + d_l - 1)^{d_l}/d_l! ≤ Q^{n_l d_l}/d_l!, and the last layer needs at most
Q^{(d_L+1)d_{L+1}} words. Multiply. ∎

Elsewhere Theorem 2 is proved, case by case, wherever ``orbit_bound`` lies below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..validation import check_numeric, check_positive, check_widths
from .theorems import log_coordinate_factor, log_slopes


def deep_theorem_holds(
    widths: Sequence[int],
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    rho: npt.ArrayLike | Sequence[npt.ArrayLike],
    eps: npt.ArrayLike,
    at_zero: float | Sequence[float] = 0.0,
) -> bool | npt.NDArray[np.bool_]:
    """Return whether the proposition in this module's docstring proves Theorem 2 for the class.

    ``False`` means only that this proof does not apply.

    Parameters
    ----------
    widths, B, Bx, rho, eps
        As in :func:`deep_theorem`.
    at_zero
        σ_l(0), one number for all hidden layers or a sequence of L.

    Raises
    ------
    TypeError, ValueError
        As :func:`deep_theorem`; ``ValueError`` too if ``at_zero`` is not finite or of the wrong length.

    Examples
    --------
    The two constants ±B are 2B apart, so at B = 0.1 no single ball of radius 0.06 covers the class; Theorem 2 says 1.9.

    >>> deep_theorem_holds((1, 1, 1), B=0.1, Bx=0.1, rho=1, eps=0.06)
    False
    >>> deep_theorem_holds((10, 64, 64, 1), B=1, Bx=1, rho=1, eps=0.1)
    True
    """
    widths = check_widths(widths, hidden=1)
    log_Q = log_coordinate_factor(widths, B, Bx, rho, eps)
    log_B = np.log(check_positive("B", B))
    log_rhos = log_slopes(rho, len(widths) - 2)
    zeros = check_numeric("at_zero", at_zero)
    if zeros.ndim > 1 or zeros.size not in (1, len(widths) - 2) or not np.isfinite(zeros).all():
        raise ValueError(f"at_zero must be one finite number, or one for each hidden layer, got {at_zero!r}")
    holds = (log_B >= -math.log(2)) & (log_Q >= math.log(4))
    with np.errstate(divide="ignore"):
        log_zeros = np.log(np.abs(np.broadcast_to(zeros, (len(widths) - 2,))))
    for fan_in, width, log_rho, log_zero in zip(widths, widths[1:], log_rhos, log_zeros, strict=False):
        slack = np.log1p(-(0.75 ** (fan_in + 1))) + (fan_in + 1) * log_Q
        holds = holds & (math.log(2 * width) + log_B + log_rho >= 0) & (log_zero <= log_B + log_rho)
        holds = holds & (slack >= math.log(max(width - 1, 1)))
    return bool(holds) if np.ndim(holds) == 0 else holds
