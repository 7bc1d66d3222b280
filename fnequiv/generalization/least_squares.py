r"""Least squares: the fast rate, where the bound falls like ln N / n and not like its root.

Notation. f*(x) = E[Y | X = x] is the regression function, E(f) = E (f(X) - f*(X))² the excess risk, f̂ a minimiser of
(1/n) Σ (f(X_i) - Y_i)² over the class F, N = N(F, ε, ‖·‖_∞).

**Theorem (bounded responses).** Let |Y| ≤ M and |f| ≤ M for all f of F (clip the networks: that moves no two of them
apart; clip the centres too: each comes nearer to every f). Then for every ε > 0, with probability at least 1 - η, if f*
lies in F (*realizable*)

    E(f̂) ≤ 12 M ε + 16 M² (ln N + ln(1/η)) / n,

and in any case, with probability at least 1 - 2η, E(f̂) ≤ 3 inf_F E + 12 M ε + 16 M² (ln N + 2 ln(1/η)) / n.

*Proof.* g_f = (f - Y)² - (f* - Y)² = (f - f*)(f + f* - 2Y) has the mean E(f). Given X, E (f + f* - 2Y)² = (f - f*)² +
4 Var(Y|X) ≤ (f - f*)² + 4(M² - f*²) ≤ (16/3) M², since |f| ≤ M and the greatest value is at |f*| = M/3. So Var g_f ≤
(16/3) M² E(f), and E(f) - g_f ≤ 8 M². Bernstein for the centre f_k and a union: with probability 1 - η, for all k, with
t = (ln N + ln(1/η))/n, E(f_k) - P_n g_k ≤ √(2 · (16/3) M² E(f_k) t) + (8/3) M² t ≤ E(f_k)/2 + (16/3 + 8/3) M² t, that
is E(f_k) ≤ 2 P_n g_k + 16 M² t. Let f_k be within ε of f̂. As |f̂ + f_k - 2y| ≤ 4M for |y| ≤ M, P_n g_k ≤ P_n g_f̂ + 4Mε
and E(f̂) ≤ E(f_k) + 4Mε. So E(f̂) ≤ 2 P_n g_f̂ + 12 M ε + 16 M² t. Finally P_n g_f̂ ≤ P_n g_f for every f of F; for
f = f* that is 0, and else, by Bernstein again, at most (3/2) E(f) + 8 M² ln(1/η)/n. ∎

**Lemma 4 of Schmidt-Hieber (2020)**, for responses with standard normal noise and f*, F in [0, M], M ≥ 1, in
expectation: for all ε, κ in (0, 1] and N(F, ε) ≥ 3

    E E(f̂) ≤ (1 + κ)² (inf_F E + M² (18 ln N + 72)/(n κ) + 32 ε M).

Its constants are copied from the paper and not proved here. Chapter: "Estimation error".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..validation import check_probability, check_real
from .radius import Array, LogCover, check_range, check_samples, least, shaped

_LEAST_COVER = np.log(3)
_Sampling = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class ExcessRisk:
    """The bound on the excess risk and its parts, arrays of the shape of ``n`` (numbers, if that is one).

    Attributes
    ----------
    value
        The sum of the three parts: bounds E(f̂).
    approximation, resolution, sampling
        What the class cannot represent, what the radius ε costs, and what n samples leave open.
    eps, log_cover
        The radius chosen, and ln N there, in nats.
    """

    value: float | Array
    approximation: float | Array
    resolution: float | Array
    sampling: float | Array
    eps: float | Array
    log_cover: float | Array


def least_squares_bound(
    log_cover: LogCover, n: npt.ArrayLike, *, bound: float = 1.0, eta: float = 0.05, approximation: float = 0.0
) -> ExcessRisk:
    """Return the fast rate for bounded responses at the best radius, proved in the module's docstring.

    Parameters
    ----------
    log_cover
        ε ↦ an upper bound on ln N(F, ε), in nats, for an array of radii.
    n
        Number of samples, or an array of them.
    bound
        M, for the responses and for the functions.
    eta
        The bound holds with probability at least 1 - η (1 - 2η unless realizable).
    approximation
        inf_F E(f): 0 if the regression function lies in F (realizable), which the bound then uses.

    Raises
    ------
    TypeError, ValueError
        As :func:`~fnequiv.generalization.uniform.uniform_bound`; also if ``approximation`` is negative.

    Examples
    --------
    >>> from fnequiv import orbit_bound
    >>> cover = lambda eps: orbit_bound((1, 4, 1), B=1, Bx=1, activation="relu", eps=eps)
    >>> risk = least_squares_bound(cover, [10**4, 10**6])
    >>> risk.value.round(5), risk.eps.round(7)
    (array([0.21054, 0.00306]), array([1.7258e-03, 1.7300e-05]))
    """
    m, error, gap = check_range("bound", bound), check_probability("eta", eta), _gap(approximation)
    confidence = -np.log(error) * (1 if gap == 0 else 2)

    def sampling(nats: Array, sizes: Array) -> Array:
        """Return what n samples leave open."""
        return 16 * m**2 * (nats + confidence) / sizes

    return _least(log_cover, n, 12 * m, sampling, m / 3, 3 * gap)


def schmidt_hieber_bound(
    log_cover: LogCover, n: npt.ArrayLike, *, bound: float = 1.0, approximation: float = 0.0, kappa: float = 1.0
) -> ExcessRisk:
    """Return the bound on the expected excess risk of Schmidt-Hieber (2020), Lemma 4, at the best radius.

    The noise is standard normal. ``log_cover``, ``n`` and ``approximation`` are as in :func:`least_squares_bound`.

    Parameters
    ----------
    bound
        M ≥ 1: all functions take values in [0, M].
    kappa
        The lemma's second parameter, in (0, 1]: smaller makes the factor of the approximation error smaller, and what
        stands beside it larger.

    Raises
    ------
    TypeError, ValueError
        As :func:`least_squares_bound`; also if M < 1 or kappa is not in (0, 1].

    Examples
    --------
    >>> from fnequiv import orbit_bound
    >>> cover = lambda eps: orbit_bound((1, 4, 1), B=1, Bx=1, activation="relu", eps=eps)
    >>> round(schmidt_hieber_bound(cover, 10**6).value, 5)
    0.01466
    """
    m, share, gap = check_range("bound", bound), check_range("kappa", kappa), _gap(approximation)
    if m < 1:
        raise ValueError(f"bound must be >= 1 in this lemma, got {m}: rescale, or use least_squares_bound")
    if share > 1:
        raise ValueError(f"kappa must lie in (0, 1], got {share}")
    factor = (1 + share) ** 2

    def sampling(nats: Array, sizes: Array) -> Array:
        """Return what n samples leave open."""
        return factor * m**2 * (18 * np.maximum(nats, _LEAST_COVER) + 72) / (sizes * share)

    return _least(log_cover, n, factor * 32 * m, sampling, 1.0, factor * gap)  # the lemma holds for ε up to 1


def _gap(approximation: float) -> float:
    gap = check_real("approximation", approximation)
    if gap < 0:
        raise ValueError(f"approximation must be >= 0, got {gap}: it is a mean square")
    return gap


def _least(
    log_cover: LogCover, n: npt.ArrayLike, cost: float, sampling: _Sampling, largest: float, approximation: float
) -> ExcessRisk:
    sizes = check_samples(n)
    flat = sizes.reshape(-1, 1)
    value, eps, nats = least(log_cover, lambda e, k: cost * e + sampling(k, flat), largest, flat.size)
    parts = (value + approximation, np.full(len(value), approximation), cost * eps, value - cost * eps, eps, nats)
    return ExcessRisk(*(shaped(part, sizes.shape) for part in parts))
