r"""Theorems 1 and 2 of Shen (2024) as the paper states them, and where the second is proved here.

Notation. ``widths = (d_0, …, d_{L+1})``, S = Σ_{l=0}^L (d_l + 1) d_{l+1} parameters in [-B, B], ‖x‖_2 ≤ B_x, ρ_l a
Lipschitz constant of σ_l on the range it sees. Natural logarithms. Chapter: "Covering numbers".

The constants were transcribed without the printed text at hand. As stated, the bounds tend to 0 as ε grows, whereas
N ≥ 1: they can hold only where they are informative, and Theorem 2 needs B not too small. Where it is proved is said in
:mod:`fnequiv.complexity.validity`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import special

from ..validation import check_integer, check_numeric, check_positive, check_widths

Array = npt.NDArray[np.float64]


def shallow_theorem(
    d0: npt.ArrayLike,
    d1: npt.ArrayLike,
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    rho: npt.ArrayLike,
    eps: npt.ArrayLike,
) -> float | Array:
    r"""Return the log bound of Theorem 1: one hidden layer, one output, as the paper states it.

    ln N(F, ε) ≤ S ln(16 B² (B_x+1) √d_0 d_1/ε) + S_h ln ρ - ln d_1!, S = d_0 d_1 + 2 d_1 + 1, S_h = d_0 d_1 + d_1.

    Parameters
    ----------
    d0, d1
        Input dimension and width, integers ≥ 1.
    B, Bx, rho, eps
        Bounds on parameters and inputs, Lipschitz constant of σ_1, radius, all > 0. Everything broadcasts.

    Returns
    -------
    float or numpy.ndarray
        Nats, of the broadcast shape. Negative values are the formula's; there it says nothing true.

    Raises
    ------
    TypeError
        If a dimension is no integer or another argument not numeric.
    ValueError
        If a dimension is below 1, or another argument NaN, infinite or ≤ 0.

    References
    ----------
    Shen (2024), Theorem 1.

    Examples
    --------
    >>> round(shallow_theorem(1, 100, B=1, Bx=1, rho=1, eps=0.1))
    2759
    """
    n, width = _check_dimensions("d0", d0), _check_dimensions("d1", d1)
    log_B, log_rho = np.log(check_positive("B", B)), np.log(check_positive("rho", rho))
    log_Bx1, log_eps = np.log1p(check_positive("Bx", Bx)), np.log(check_positive("eps", eps))
    factor = math.log(16) + 2 * log_B + log_Bx1 + 0.5 * np.log(n) + np.log(width) - log_eps
    bound = (n * width + 2 * width + 1) * factor + (n * width + width) * log_rho - special.gammaln(width + 1)
    return _plain(bound)


def deep_theorem(
    widths: Sequence[int],
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    rho: npt.ArrayLike | Sequence[npt.ArrayLike],
    eps: npt.ArrayLike,
) -> float | Array:
    r"""Return the log bound of Theorem 2, as the paper states it.

    ln N(F, ε) ≤ S ln(4(L+1)(B_x+1)(2B)^{L+2} Π_{j=1}^L ρ_j Π_{j=0}^L d_j/ε) - Σ_{l=1}^L ln d_l!.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), at least one hidden layer.
    B, Bx, eps
        Bounds on parameters and inputs, and the radius, > 0; broadcast.
    rho
        One number for all hidden layers, or a sequence of L, ρ_1, …, ρ_L (numbers or arrays to broadcast), > 0.

    Returns
    -------
    float or numpy.ndarray
        Nats, of the broadcast shape. Where it is negative, or B is small, it is not a true bound; see
        :func:`~fnequiv.complexity.validity.deep_theorem_holds`.

    Raises
    ------
    TypeError
        If a width is no integer, or another argument not numeric.
    ValueError
        If a width is below 1, ``rho`` is a sequence of the wrong length, or a number is NaN, infinite or ≤ 0.

    References
    ----------
    Shen (2024), Theorem 2.

    Examples
    --------
    >>> round(deep_theorem((10, 64, 64, 1), B=1, Bx=1, rho=1, eps=0.1))
    92618
    """
    widths = check_widths(widths, hidden=1)
    factorials = sum(special.gammaln(width + 1.0) for width in widths[1:-1])
    return _plain(_size(widths) * log_coordinate_factor(widths, B, Bx, rho, eps) - factorials)


def effective_log_volume(widths: Sequence[int], *, B: npt.ArrayLike, symmetry: str = "permutation") -> float | Array:
    r"""Return the log volume of a set with one parameter of every orbit: S ln(2B) less the log order of the group.

    ``"none"``: S ln(2B). ``"permutation"``: less Σ_l ln d_l! over the hidden layers, the paper's effective parameter
    volume. ``"signed"``: less Σ_l d_l ln 2 too.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}).
    B
        Bound on every parameter, > 0; broadcast over.
    symmetry
        ``"none"``, ``"permutation"`` or ``"signed"``. Orbits under scaling are curves, so a representative set has no
        volume in R^S and ``"scaled"`` is refused.

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    References
    ----------
    Shen (2024), the representative set before Definition 2.

    Examples
    --------
    >>> round(effective_log_volume((1, 3, 1), B=1), 6)
    5.139712
    """
    widths = check_widths(widths)
    if symmetry not in ("none", "permutation", "signed"):
        raise ValueError(
            f"symmetry must be none, permutation or signed, got {symmetry!r}: orbits of a continuous symmetry "
            "leave a set of lower dimension, whose volume in R^S is 0"
        )
    order = 0.0
    if symmetry != "none":
        order += sum(float(special.gammaln(width + 1.0)) for width in widths[1:-1])
    if symmetry == "signed":
        order += sum(widths[1:-1]) * math.log(2)
    return _plain(_size(widths) * (math.log(2) + np.log(check_positive("B", B))) - order)


def _size(widths: tuple[int, ...]) -> int:
    return sum((fan_in + 1) * width for fan_in, width in pairwise(widths))


def log_slopes(rho: npt.ArrayLike | Sequence[npt.ArrayLike], hidden: int) -> list[Array]:
    """Return ln ρ_1, …, ln ρ_L from one number for all hidden layers or a sequence of L, all > 0."""
    if not isinstance(rho, (list, tuple)) and np.ndim(rho) == 0:  # type: ignore[arg-type]
        return [np.log(check_positive("rho", rho))] * hidden  # type: ignore[arg-type]
    slopes: list[npt.ArrayLike] = list(rho)  # type: ignore[arg-type]
    if len(slopes) != hidden:
        raise ValueError(f"rho must be one number or one for each of the {hidden} hidden layers, got {len(slopes)}")
    return [np.log(check_positive(f"rho_{layer}", slope)) for layer, slope in enumerate(slopes, 1)]


def log_coordinate_factor(
    widths: tuple[int, ...],
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    rho: npt.ArrayLike | Sequence[npt.ArrayLike],
    eps: npt.ArrayLike,
) -> Array:
    """Return ln Q, the log factor of one coordinate in Theorem 2."""
    hidden = len(widths) - 2
    constant = math.log(4 * (hidden + 1)) + sum(math.log(width) for width in widths[:-1])
    log_B, log_eps = np.log(check_positive("B", B)), np.log(check_positive("eps", eps))
    slopes = sum(log_slopes(rho, hidden), start=np.zeros(()))
    return constant + np.log1p(check_positive("Bx", Bx)) + (hidden + 2) * (math.log(2) + log_B) + slopes - log_eps


def _check_dimensions(name: str, value: npt.ArrayLike) -> Array:
    """Return integers ≥ 1 as float64, from an int or an array of ints."""
    if np.ndim(value) == 0 and not isinstance(value, np.ndarray):
        return check_numeric(name, check_integer(name, value))
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an integer or an array of integers, got dtype {array.dtype}")
    if (array < 1).any():
        raise ValueError(f"{name} must be >= 1, got {int(array[array < 1].flat[0])}")
    return array.astype(np.float64)


def _plain(value: Array | np.float64) -> float | Array:
    array = np.asarray(value, dtype=np.float64)
    return float(array) if array.ndim == 0 else array
