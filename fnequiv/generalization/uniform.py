r"""The uniform bound: with probability 1 - η no network of the class has a risk far from its empirical risk.

Notation. R(f) = E ℓ(f(X), Y) and R_n(f) its mean over n independent samples; the loss ℓ lies in [0, M] and is
λ-Lipschitz in the prediction, whatever that is (in the norm of the cover); N = N(F, ε, ‖·‖_∞).

**Theorem.** With probability at least 1 - η, for all f in F at once and any ε > 0 chosen before the data are seen,

    |R(f) - R_n(f)| ≤ 2λε + M √((ln N + ln(2/η)) / (2n)).

*Proof.* Take centres f_1, …, f_N. Hoeffding: |R(f_k) - R_n(f_k)| > t has a probability of at most 2 exp(-2nt²/M²), and
a union over the centres makes that η at t = M √((ln N + ln(2/η))/(2n)). Some centre is within ε of f, so R and R_n of
the two differ by at most λε each. ∎ ε does not depend on the data, so the best one may be taken. An empirical risk
minimiser then has R(f̂) ≤ inf R + twice the bound. |R - R_n| never exceeds M, and where the right side does, the bound
says nothing.

Source: the paper's section 5.1 (Shen 2024) and textbooks (Anthony and Bartlett 1999, chapter 17). Chapter: "Estimation
error".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..validation import check_probability
from .radius import Array, LogCover, check_range, check_samples, least, shaped


@dataclass(frozen=True)
class UniformBound:
    """The bound and its parts, arrays of the shape of ``n`` (numbers, if that is one).

    Attributes
    ----------
    value
        min(M, resolution + sampling): bounds |R - R_n|.
    resolution, sampling
        2λε, and the square root.
    eps, log_cover
        The radius chosen, and ln N there, in nats.
    informative
        Whether the two parts stay below M.
    """

    value: float | Array
    resolution: float | Array
    sampling: float | Array
    eps: float | Array
    log_cover: float | Array
    informative: bool | npt.NDArray[np.bool_]


def uniform_bound(
    log_cover: LogCover, n: npt.ArrayLike, *, loss_range: float = 1.0, lipschitz: float = 1.0, eta: float = 0.05
) -> UniformBound:
    """Return the uniform bound at the best radius.

    Parameters
    ----------
    log_cover
        ε ↦ an upper bound on ln N(F, ε), in nats, for an array of radii.
    n
        Number of samples, or an array of them.
    loss_range, lipschitz
        M and λ of the loss.
    eta
        The probability that the bound may fail with.

    Raises
    ------
    TypeError
        If an argument is not of its type.
    ValueError
        If n is no whole number ≥ 1, M or λ not > 0, η not in (0, 1), or ``log_cover`` returns NaN, a negative number or
        another shape.

    Notes
    -----
    Source: Shen (2024), section 5.1; proof in :mod:`fnequiv.generalization.uniform`.

    Examples
    --------
    >>> from fnequiv import orbit_bound
    >>> cover = lambda eps: orbit_bound((1, 4, 1), B=1, Bx=1, activation="relu", eps=eps)
    >>> bound = uniform_bound(cover, 10_000)
    >>> round(bound.value, 4), round(bound.eps, 4), round(bound.log_cover, 1)
    (0.0806, 0.0021, 112.9)
    """
    sizes = check_samples(n)
    m, slope = check_range("loss_range", loss_range), check_range("lipschitz", lipschitz)
    confidence = np.log(2) - np.log(check_probability("eta", eta))
    flat = sizes.reshape(-1, 1)

    def total(eps: Array, nats: Array) -> Array:
        """Return the right side of the theorem."""
        return 2 * slope * eps + m * np.sqrt((nats + confidence) / (2 * flat))

    value, eps, nats = least(log_cover, total, m / (2 * slope), flat.size)
    resolution = 2 * slope * eps
    parts = (np.minimum(value, m), resolution, value - resolution, eps, nats)
    informative = (value < m).reshape(sizes.shape)
    names = ("value", "resolution", "sampling", "eps", "log_cover")
    fields = {name: shaped(part, sizes.shape) for name, part in zip(names, parts, strict=True)}
    return UniformBound(**fields, informative=informative if sizes.ndim else bool(informative))


def sample_size(
    log_cover: LogCover, target: float, *, loss_range: float = 1.0, lipschitz: float = 1.0, eta: float = 0.05
) -> int:
    """Return the least n at which the uniform bound is at most ``target``, over the radii searched.

    For a fixed ε < target/(2λ) that is n = M² (ln N + ln(2/η)) / (2 (target - 2λε)²), rounded up; ε is optimised.

    Raises
    ------
    TypeError, ValueError
        As :func:`uniform_bound`; also if the target is not > 0, or no number of samples in float64's range
        reaches it.

    Examples
    --------
    >>> from fnequiv import orbit_bound
    >>> cover = lambda eps: orbit_bound((1, 4, 1), B=1, Bx=1, activation="relu", eps=eps)
    >>> sample_size(cover, 0.1)
    6343
    """
    m, slope, goal = (
        check_range(name, value)
        for name, value in (("loss_range", loss_range), ("lipschitz", lipschitz), ("target", target))
    )
    confidence = np.log(2) - np.log(check_probability("eta", eta))

    def needed(eps: Array, nats: Array) -> Array:
        """Return the samples that the theorem asks for, inf where ε alone uses up the target."""
        rest = goal - 2 * slope * eps
        with np.errstate(divide="ignore"):
            return np.where(rest > 0, (nats + confidence) / (2 * (rest / m) ** 2), np.inf)

    value, _, _ = least(log_cover, needed, goal / (2 * slope), 1)
    if goal >= m:
        return 1  # |R - R_n| never exceeds M
    if value[0] == np.inf:
        raise ValueError(f"target must be within reach of 1.8e308 samples, got {goal}: ask for less")
    return int(np.ceil(value[0]))


__all__ = ["LogCover", "UniformBound", "sample_size", "uniform_bound"]
