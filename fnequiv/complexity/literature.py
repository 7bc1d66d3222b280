r"""Comparison bounds from the literature, each with what it assumes, so that unlike things are not drawn on one axis.

Notation. A network without biases is a list of matrices A_1, …, A_L (``[d_i, d_{i-1}]``, the output layer included)
with ρ_i-Lipschitz activations between them; ‖A‖ is the spectral norm, ‖A‖_F the Frobenius norm, ‖A^T‖_{2,1} the sum of
the ℓ_2 norms of the rows of A. Natural logarithms. Paper: the comparison with earlier bounds (its second table);
chapter "How tight are the bounds?"

A bound *with* constants is a number. An *order* is a shape: its value says how it grows, and its level means nothing.
:data:`~fnequiv.complexity.assumptions.ASSUMPTIONS` says which is which, for which quantity and metric, and how the
formula was checked. Everything is a product, computed as a sum of logarithms: inf means beyond 1.8e308.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..validation import check_integer, check_positive
from .assumptions import ASSUMPTIONS, Assumptions
from .norms import check_network, log_norms, log_spectral_complexity, spectral_complexity
from .orders import Order, comparison, ou_2024

__all__ = [
    "ASSUMPTIONS",
    "Assumptions",
    "Order",
    "anthony_1999",
    "bartlett_2017",
    "comparison",
    "golowich_2018",
    "neyshabur_2018",
    "ou_2024",
    "spectral_complexity",
]

Array = npt.NDArray[np.float64]


def bartlett_2017(
    weights: Sequence[npt.ArrayLike],
    *,
    data_norm: npt.ArrayLike,
    eps: npt.ArrayLike,
    rho: float | Sequence[float] = 1.0,
    references: Sequence[npt.ArrayLike] | None = None,
) -> float | Array:
    r"""Return ‖X‖_F² ln(2W²) R_A²/ε², a bound on the log covering number on the data of the class around a network.

    The class: all networks with ‖A_i‖ and ‖A_i^T - M_i^T‖_{2,1} at most those of ``weights``. Without biases. The
    metric is the *unnormalised ℓ_2 norm on the data*, not the sup norm of :mod:`fnequiv.complexity.covering`.

    Parameters
    ----------
    weights, rho, references
        As in :func:`spectral_complexity`.
    data_norm, eps
        ‖X‖_F and the radius, > 0; broadcast.

    Returns
    -------
    Nats; W is the largest of d_0, …, d_L.

    Raises
    ------
    TypeError, ValueError
        As :func:`spectral_complexity`, and if ``data_norm`` or ``eps`` is not > 0.

    References
    ----------
    Bartlett, Foster & Telgarsky (2017), Theorem 3.3.

    Examples
    --------
    >>> round(bartlett_2017([[[3.0, 4.0]]], data_norm=1.0, eps=5.0), 6)
    2.079442
    """
    matrices = check_network("weights", weights)
    largest = max(max(matrix.shape) for matrix in matrices)
    log_ratio = np.log(check_positive("data_norm", data_norm)) - np.log(check_positive("eps", eps))
    log_complexity = log_spectral_complexity(weights, rho, references)
    return _exp(math.log(math.log(2 * largest**2)) + 2 * (log_ratio + log_complexity))


def golowich_2018(weights: Sequence[npt.ArrayLike], *, radius: npt.ArrayLike, samples: npt.ArrayLike) -> float | Array:
    r"""Return B (√(2 ln 2 · L) + 1) Π‖A_i‖_F/√n, a bound on the Rademacher complexity (not a covering number).

    The class: all networks of the same depth L without biases, scalar output, whose Frobenius norms are at most those
    of ``weights``; activations 1-Lipschitz and positively homogeneous, the same in a layer.

    Parameters
    ----------
    weights
        A_1, …, A_L.
    radius, samples
        B ≥ ‖x_i‖_2 and n, > 0; broadcast.

    Raises
    ------
    TypeError, ValueError
        If the matrices do not form a network with one output, or a number is not > 0.

    References
    ----------
    Golowich, Rakhlin & Shamir (2018), Theorem 1.

    Examples
    --------
    >>> round(golowich_2018([[[3.0, 4.0]]], radius=1.0, samples=100), 6)
    1.088705
    """
    matrices = check_network("weights", weights)
    if matrices[-1].shape[0] != 1:
        raise ValueError(
            f"weights must end in one output, got {matrices[-1].shape[0]}: the bound is for real functions"
        )
    constant = math.sqrt(2 * math.log(2) * len(matrices)) + 1
    log_scale = np.log(check_positive("radius", radius)) - np.log(check_positive("samples", samples)) / 2
    return _exp(math.log(constant) + log_norms(matrices, None).sum() + log_scale)


def neyshabur_2018(
    weights: Sequence[npt.ArrayLike], *, radius: npt.ArrayLike, margin: npt.ArrayLike, samples: npt.ArrayLike
) -> float | Array:
    r"""Return √(B² L² h ln(Lh) Π‖A_i‖² Σ‖A_i‖_F²/‖A_i‖² / (γ² n)): the *order* of a margin generalisation gap.

    A shape without its constant; not a covering number. ReLU networks without biases; h is the largest width. NaN for
    L = h = 1, where ln(Lh) = 0: there the expression says nothing.

    Parameters
    ----------
    weights
        A_1, …, A_L.
    radius, margin, samples
        B, γ and n, > 0; broadcast.

    Raises
    ------
    TypeError, ValueError
        If the matrices do not form a network, or a number is not > 0.

    References
    ----------
    Neyshabur, Bhojanapalli & Srebro (2018), Theorem 1.

    Examples
    --------
    >>> round(neyshabur_2018([[[3.0, 4.0]]], radius=1.0, margin=1.0, samples=100), 6)
    0.588705
    """
    matrices = check_network("weights", weights)
    log_spectral, log_frobenius = log_norms(matrices, 2), log_norms(matrices, None)
    depth, width = len(matrices), max(max(matrix.shape) for matrix in matrices)
    shape = depth**2 * width * math.log(depth * width) or math.nan
    log_root = log_spectral.sum() + np.log(shape * np.exp(2 * (log_frobenius - log_spectral)).sum()) / 2
    log_scale = np.log(check_positive("radius", radius)) - np.log(check_positive("margin", margin))
    return _exp(log_root + log_scale - np.log(check_positive("samples", samples)) / 2)


def anthony_1999(*, dimension: int, length: npt.ArrayLike, eps: npt.ArrayLike, points: int) -> float | Array:
    r"""Return D ln(e B n/(ε D)), a bound on the log covering number on n ≥ D points from a pseudo-dimension D.

    For ε ≤ B: the theorem's count Σ_{i≤D} C(n, i) (B/ε)^i is at most (e B n/(ε D))^D if B/ε ≥ 1 alone. For ε > B every
    function of the class is within ε of every other, so one is enough, and the result is 0.

    Parameters
    ----------
    dimension, points
        The pseudo-dimension D ≥ 1 and n ≥ D.
    length, eps
        Length B of the interval of values and the radius, > 0; broadcast.

    Raises
    ------
    TypeError, ValueError
        If D or n is no integer, n < D, or a number is not > 0.

    References
    ----------
    Anthony & Bartlett (1999), Theorem 12.2. With D = O(S L log S) for piecewise linear networks (Bartlett, Harvey,
    Liaw & Mehrabian 2019) it becomes the order in :func:`comparison`.

    Examples
    --------
    >>> round(anthony_1999(dimension=10, length=1.0, eps=0.1, points=100), 6)
    56.051702
    """
    dimension = check_integer("dimension", dimension)
    points = check_integer("points", points)
    if points < dimension:
        raise ValueError(f"points must be >= dimension, got {points} < {dimension}: the bound needs n >= D")
    log_ratio = np.log(check_positive("length", length)) - np.log(check_positive("eps", eps))
    nats = dimension * (1 + math.log(points) - math.log(dimension) + log_ratio)
    return _plain(np.where(log_ratio >= 0, nats, 0.0))


def _exp(log_value: npt.ArrayLike) -> float | Array:
    with np.errstate(over="ignore"):
        return _plain(np.exp(log_value))


def _plain(value: npt.ArrayLike) -> float | Array:
    array = np.asarray(value, dtype=np.float64)
    return float(array) if array.ndim == 0 else array
