r"""The paper's comparison table, as orders: shapes without constants.

Notation. S parameters, U hidden units, L hidden layers, W the largest width, ρ̄ = Πρ_j, s̄ = Πs_j the product of the
layers' spectral norms, B_x the radius of the inputs. Shen (2024), second table; chapter "How tight are the bounds?"

Every entry is the expression inside O(·). Two of them may be compared as they *grow*; neither is a number of nats. What
each assumes stands in :data:`fnequiv.complexity.assumptions.ASSUMPTIONS` under the same key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from ..validation import check_integer, check_numeric, check_positive, check_widths

Array = npt.NDArray[np.float64]


class Order(NamedTuple):
    """One row of the table: the key of its assumptions, its formula in LaTeX, and the expression's natural logarithm.

    ``log_value`` is NaN where the expression is not positive: there it says nothing.
    """

    key: str
    formula: str
    log_value: float | Array


def comparison(
    widths: Sequence[int], *, rho: npt.ArrayLike, s: npt.ArrayLike, Bx: npt.ArrayLike, eps: npt.ArrayLike
) -> tuple[Order, ...]:
    r"""Return the paper's comparison table for a network: log covering numbers up to unknown constants.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), at least one hidden layer.
    rho, s
        ρ̄ = Πρ_j and s̄ = Πs_j, > 0; broadcast.
    Bx, eps
        Radius of the inputs and of the balls, > 0; broadcast.

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    References
    ----------
    Shen (2024), comparison table.

    Examples
    --------
    >>> table = comparison((10, 64, 64, 1), rho=1.0, s=4.0, Bx=1.0, eps=0.1)
    >>> [(row.key, round(float(row.log_value), 2)) for row in table][:2]
    [('bartlett_2017', 13.66), ('neyshabur_2018', 18.85)]
    """
    widths = check_widths(widths, hidden=1)
    hidden = widths[1:-1]
    S = sum((fan_in + 1) * width for fan_in, width in pairwise(widths))
    U, L, W = sum(hidden), len(hidden), max(widths)
    log_norms = np.log(check_positive("rho", rho)) + np.log(check_positive("s", s))
    log_ratio = np.log(check_positive("Bx", Bx)) - np.log(check_positive("eps", eps))
    factorials = sum(float(special.gammaln(width + 1.0)) for width in hidden)
    twice = 2 * (log_norms + log_ratio)
    size, depth = math.log(S), math.log(L)
    rows = (
        ("bartlett_2017", r"B_x^2 (\bar\rho\bar s)^2\, U \log(W)/\epsilon^2", twice + _log(U * math.log(W))),
        (
            "neyshabur_2018",
            r"B_x^2 (\bar\rho\bar s)^2\, S L^2 \log(WL)/\epsilon^2",
            twice + size + 2 * depth + _log(math.log(W * L)),
        ),
        ("lin_2019", r"B_x (\bar\rho\bar s)\, S^2 L/\epsilon", log_norms + log_ratio + 2 * size + depth),
        ("bartlett_2019", r"L S \log(S) \log(B_x/\epsilon)", depth + size + math.log(size) + _log(log_ratio)),
        (
            "shen_2024",
            r"L S \log\left(\bar\rho\bar s\, B_x^{1/L} / ((d_1!\cdots d_L!)^{1/S} \epsilon^{1/L})\right)",
            depth + size + _log(log_norms + log_ratio / L - factorials / S),
        ),
    )
    return tuple(Order(key, formula, _plain(value)) for key, formula, value in rows)


def ou_2024(width: int, depth: int, *, B: npt.ArrayLike, eps: npt.ArrayLike) -> Order:
    r"""Return the order W² L ln((W+1)^L B^L/ε) that bounds the log covering number from above *and below*.

    ReLU networks of width W and depth L with weights in [-B, B], in L^p([0, 1]^d). So no symmetry changes the leading
    order of wide, deep networks.

    Parameters
    ----------
    width, depth
        W and L; the lower bound is for both ≥ 60.
    B, eps
        B ≥ 1 and 0 < ε < 1/2; broadcast.

    Raises
    ------
    TypeError, ValueError
        If an argument is outside its range.

    References
    ----------
    Ou & Bölcskei (2024).

    Examples
    --------
    >>> round(float(ou_2024(100, 60, B=1.0, eps=0.1).log_value), 3)
    18.937
    """
    width, depth = check_integer("width", width), check_integer("depth", depth)
    bound, radius = check_positive("B", B), check_positive("eps", eps)
    if (bound < 1).any():
        raise ValueError(f"B must be >= 1, got {float(bound[bound < 1].flat[0])!r}")
    if (radius >= 0.5).any():
        raise ValueError(f"eps must be < 1/2, got {float(radius[radius >= 0.5].flat[0])!r}")
    log_size = check_numeric("depth", depth) * (math.log(width + 1) + np.log(bound)) - np.log(radius)
    value = 2 * math.log(width) + math.log(depth) + np.log(log_size)
    return Order("ou_2024", r"W^2 L \log((W+1)^L B^L/\epsilon)", _plain(value))


def _log(value: npt.ArrayLike) -> Array:
    """Return ln x, NaN where x ≤ 0."""
    array = np.asarray(value, dtype=np.float64)
    return np.where(array > 0, np.log(np.where(array > 0, array, 1.0)), np.nan)


def _plain(value: Array) -> float | Array:
    return float(value) if np.ndim(value) == 0 else value
