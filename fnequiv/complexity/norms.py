r"""Norms of a network without biases, as the comparison bounds use them.

Notation as in :mod:`fnequiv.complexity.literature`. Paper: the comparison with earlier bounds.
Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..validation import check_finite, check_numeric, check_positive, shown

Array = npt.NDArray[np.float64]


def spectral_complexity(
    weights: Sequence[npt.ArrayLike],
    *,
    rho: float | Sequence[float] = 1.0,
    references: Sequence[npt.ArrayLike] | None = None,
) -> float:
    r"""Return R_A = Π ρ_i‖A_i‖ · (Σ ‖A_i^T - M_i^T‖_{2,1}^{2/3}/‖A_i‖^{2/3})^{3/2}; inf beyond 1.8e308.

    Parameters
    ----------
    weights
        A_1, …, A_L with shapes ``[d_i, d_{i-1}]``, none of them zero.
    rho
        One Lipschitz constant, or ρ_1, …, ρ_L (the last belongs to the output, usually 1).
    references
        M_1, …, M_L; zero matrices if left out.

    Raises
    ------
    TypeError, ValueError
        If the matrices do not form a network, the references are not finite or of other shapes, or a Lipschitz
        constant is not > 0.

    References
    ----------
    Bartlett, Foster & Telgarsky (2017), Theorem 1.1.

    Examples
    --------
    >>> round(spectral_complexity([[[3.0, 4.0]]]), 12)
    5.0
    """
    with np.errstate(over="ignore"):
        return float(np.exp(log_spectral_complexity(weights, rho, references)))


def log_spectral_complexity(
    weights: Sequence[npt.ArrayLike],
    rho: float | Sequence[float],
    references: Sequence[npt.ArrayLike] | None,
) -> float:
    """Return ln R_A of :func:`spectral_complexity`; -inf if the references are the weights."""
    matrices = check_network("weights", weights)
    log_rho = np.log(_check_rho(rho, len(matrices)))
    log_spectral = log_norms(matrices, 2)
    ratios = np.exp(_log_distances(matrices, references) - log_spectral)  # at most √d_i, or as large as references
    with np.errstate(divide="ignore"):
        return float((log_rho + log_spectral).sum() + 1.5 * np.log((ratios ** (2 / 3)).sum()))


def log_norms(matrices: Sequence[Array], order: int | None) -> Array:
    """Return ln ‖A_i‖ (``order`` 2) or ln ‖A_i‖_F (None), of matrices divided by their largest entries.

    Examples
    --------
    >>> log_norms([np.array([[3e300, 4e300]])], None) - 300 * np.log(10)  # ln 5
    array([1.60943791])
    """
    tops = [np.abs(matrix).max() for matrix in matrices]
    sizes = [np.linalg.norm(matrix / top, order) for matrix, top in zip(matrices, tops, strict=True)]
    return np.log(tops) + np.log(sizes)


def check_network(name: str, weights: Sequence[npt.ArrayLike]) -> list[Array]:
    """Return the matrices as float64.

    Raises
    ------
    TypeError, ValueError
        If one is not a finite matrix, is zero, or does not read what the one before it writes.
    """
    if isinstance(weights, (str, bytes)) or not isinstance(weights, (list, tuple)) or not weights:
        raise ValueError(f"{name} must be a non-empty list of matrices A_1, ..., A_L, got {weights!r}")
    matrices = [check_numeric(f"{name}[{index}]", weight) for index, weight in enumerate(weights)]
    for index, matrix in enumerate(matrices):
        if matrix.ndim != 2 or not matrix.size:
            raise ValueError(f"{name}[{index}] must be a matrix [d_out, d_in], got shape {matrix.shape}")
        if not np.isfinite(matrix).all() or not matrix.any():
            raise ValueError(
                f"{name}[{index}] must be finite and not all zero: a norm of 0 makes the class one function"
            )
        if index and matrix.shape[1] != matrices[index - 1].shape[0]:
            raise ValueError(
                f"{name}[{index}] must read the {matrices[index - 1].shape[0]} outputs before it, "
                f"got shape {matrix.shape}: pass weights as [d_out, d_in]"
            )
    return matrices


def _log_distances(matrices: list[Array], references: Sequence[npt.ArrayLike] | None) -> Array:
    """Return ln ‖A_i^T - M_i^T‖_{2,1}, sums of the norms of rows, from matrices divided by their largest entries."""
    if references is None:
        references = [np.zeros_like(matrix) for matrix in matrices]
    if not isinstance(references, (list, tuple)):
        raise TypeError(f"references must be a list of matrices M_1, ..., M_L, got {shown(references)}")
    others = [check_finite(f"references[{index}]", other) for index, other in enumerate(references)]
    if [other.shape for other in others] != [matrix.shape for matrix in matrices]:
        raise ValueError(f"references must have the shapes of weights, got {[other.shape for other in others]}")
    tops = [max(np.abs(a).max(), np.abs(m).max()) for a, m in zip(matrices, others, strict=True)]
    triples = zip(matrices, others, tops, strict=True)
    with np.errstate(divide="ignore"):
        return np.log(tops) + np.log([np.linalg.norm(a / top - m / top, axis=1).sum() for a, m, top in triples])


def _check_rho(rho: float | Sequence[float], layers: int) -> Array:
    slopes = check_positive("rho", rho)
    if slopes.ndim > 1 or slopes.size not in (1, layers):
        raise ValueError(f"rho must be one number or one for each of {layers} layers, got shape {slopes.shape}")
    return np.broadcast_to(slopes, (layers,))
