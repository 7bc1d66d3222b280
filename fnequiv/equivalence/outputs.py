"""What the outputs of units on common inputs say of a block: activation matching.

Notation. Column i of the outputs [inputs, units] is what unit i computes. The permutation maximises Σ_i G[i, π(i)], G
the inner products of the columns of b and a, taken at length 1 where units may be rescaled; a flip takes |G| and its
sign.

Source: Ainsworth et al. (2023), Section 3.1. Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment

from ..symmetry import Block, SymmetrySpec
from ..validation import check_finite, shown
from .arrays import array_of
from .axes import FloatArray
from .elements import Move

# Units whose outputs are shorter than this share of their layer's median keep their scale: it would be mostly noise.
_NEARLY_DEAD = 1e-2


def outputs_of(label: str, given: Mapping[str, npt.ArrayLike], spec: SymmetrySpec) -> dict[str, FloatArray]:
    """Return the outputs of every block, checked, in float64.

    Raises
    ------
    TypeError, ValueError
        If a block is missing or not known, or outputs are not finite, of another shape or for no input.

    Examples
    --------
    >>> outputs_of("outputs", {"h": [[1, 2]]}, SymmetrySpec((Block("h", 2, "scaled", ()),), {}))["h"]
    array([[1., 2.]])
    """
    names = [block.name for block in spec.blocks]
    if not isinstance(given, Mapping) or set(given) != set(names):
        found = list(given) if isinstance(given, Mapping) else given
        raise ValueError(f"{label} must map every block, {names}, to its units' outputs, got {shown(found)}")
    return {block.name: _matrix(f"{label}[{block.name!r}]", given[block.name], block) for block in spec.blocks}


def _matrix(label: str, values: npt.ArrayLike, block: Block) -> FloatArray:
    outputs = check_finite(label, array_of(values) if isinstance(values, torch.Tensor) else values)
    if outputs.ndim != 2 or outputs.shape[1] != block.size or not len(outputs):
        raise ValueError(f"{label} must have shape [inputs, {block.size}], one input or more, got {outputs.shape}")
    return outputs


def move_of(a: FloatArray, b: FloatArray, block: Block) -> Move:
    """Return the move of a block that brings the outputs of a's units close to those of b's.

    Raises
    ------
    ValueError
        If the outputs are for other numbers of inputs.

    Examples
    --------
    >>> move_of(np.array([[1.0, 5.0]]), np.array([[10.0, 2.0]]), Block("h", 2, "scaled", ())).scales
    array([10. ,  0.4])
    """
    if a.shape != b.shape:
        raise ValueError(f"outputs of block {block.name!r} must come from the same inputs, got {a.shape} and {b.shape}")
    peaks = [np.abs(outputs).max() or 1.0 for outputs in (a, b)]
    a, b = a / peaks[0], b / peaks[1]  # so that their squares stay in range
    lengths = [np.linalg.norm(outputs, axis=0) for outputs in (a, b)]
    safe = [np.where(length > 0, length, 1.0) for length in lengths]
    gains = (b / safe[1]).T @ (a / safe[0]) if block.scales else b.T @ a
    signed = block.signs and not block.even
    units, partners = linear_sum_assignment(np.abs(gains) if signed else gains, maximize=True)
    signs = np.where(gains[units, partners] < 0, -1.0, 1.0) if signed else None
    if not (block.scales and block.degree):
        return Move(partners, signs)
    telling = _telling(lengths[1]) & _telling(lengths[0])[partners]
    ratio = np.where(telling, safe[1] / safe[0][partners] * (peaks[1] / peaks[0]), 1.0)
    return Move(partners, signs, ratio ** (1.0 / block.degree))


def _telling(lengths: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which units' outputs are long enough to tell a scale from."""
    alive = lengths > 0
    return alive & (lengths > _NEARLY_DEAD * np.median(lengths[alive])) if alive.any() else alive
