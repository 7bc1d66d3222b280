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

from ..symmetry import Block, SymmetrySpec
from ..validation import check_finite, shown
from .arrays import array_of
from .axes import FloatArray
from .elements import GroupElement, Move
from .hierarchy import Step, clusters

Outputs = Mapping[str, FloatArray]

# Units whose outputs are shorter than this share of their layer's median keep their scale: it would be mostly noise.
_NEARLY_DEAD = 1e-2


def outputs_of(label: str, given: Mapping[str, npt.ArrayLike], spec: SymmetrySpec) -> dict[str, FloatArray]:
    """Return the outputs of every block, checked, in float64; blocks that lie on no tensor need none.

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
    needed = {block.name for block in spec.blocks if block.axes}
    if not isinstance(given, Mapping) or not needed <= set(given) <= set(names):
        found = list(given) if isinstance(given, Mapping) else given
        raise ValueError(f"{label} must map every block, {names}, to its units' outputs, got {shown(found)}")
    own = [block for block in spec.blocks if block.name in given]
    return {block.name: _matrix(f"{label}[{block.name!r}]", given[block.name], block) for block in own}


def _matrix(label: str, values: npt.ArrayLike, block: Block) -> FloatArray:
    outputs = check_finite(label, array_of(values) if isinstance(values, torch.Tensor) else values)
    if outputs.ndim != 2 or outputs.shape[1] != block.size or not len(outputs):
        raise ValueError(f"{label} must have shape [inputs, {block.size}], one input or more, got {outputs.shape}")
    return outputs


def element_of(left: Outputs, right: Outputs, spec: SymmetrySpec) -> GroupElement:
    """Return the element that brings the outputs of a's units (``left``) close to those of b's (``right``).

    Raises
    ------
    ValueError
        If the outputs of a block are for other numbers of inputs, or given for one network alone.

    Examples
    --------
    >>> spec = SymmetrySpec((Block("h", 2, "scaled", ()),), {})
    >>> element_of({"h": np.array([[1.0, 5.0]])}, {"h": np.array([[10.0, 2.0]])}, spec)["h"].scales
    array([10. ,  0.4])
    """
    if left.keys() != right.keys():
        raise ValueError(f"outputs must be of the same blocks, got {list(left)} and {list(right)}")
    moves = {}
    for root in clusters(spec):
        step, blocks = Step(spec, root), [block for cluster in root.below() for block in cluster.blocks]
        for block in (block for block in blocks if block.name in left):
            step.add(block, _gains(left[block.name], right[block.name], block), flips=block.signs and not block.even)
        found = step.element()
        for block in blocks:
            move = found[block.name]
            seen = block.name in left and block.scales and block.degree
            moves[block.name] = _rescaled(move, left[block.name], right[block.name], block) if seen else move
    return GroupElement(moves)


def _gains(a: FloatArray, b: FloatArray, block: Block) -> FloatArray:
    """Return the inner products of the outputs of all units of b with those of a, at length 1 if these are free."""
    if a.shape != b.shape:
        raise ValueError(f"outputs of block {block.name!r} must come from the same inputs, got {a.shape} and {b.shape}")
    (a, lengths_a, _), (b, lengths_b, _) = _measured(a), _measured(b)
    gains: FloatArray = (b / lengths_b).T @ (a / lengths_a) if block.scales else b.T @ a
    return gains


def _rescaled(move: Move, a: FloatArray, b: FloatArray, block: Block) -> Move:
    """Return the move with the scales at which the outputs of matched units have equal lengths, if these tell."""
    (a, lengths_a, peak_a), (b, lengths_b, peak_b) = _measured(a), _measured(b)
    partners = move.permutation
    telling = _telling(b) & _telling(a)[partners]
    ratio = np.where(telling, lengths_b / lengths_a[partners] * (peak_b / peak_a), 1.0)
    return Move(partners, move.signs, ratio ** (1.0 / block.degree))


def _measured(outputs: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return outputs as shares of their peak, so that squares stay in range, their lengths (0: 1), and the peak."""
    peak = float(np.abs(outputs).max()) or 1.0
    outputs = outputs / peak
    lengths = np.linalg.norm(outputs, axis=0)
    return outputs, np.where(lengths > 0, lengths, 1.0), peak


def _telling(outputs: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which units' outputs are long enough to tell a scale from."""
    lengths = np.linalg.norm(outputs, axis=0)
    alive = lengths > 0
    return alive & (lengths > _NEARLY_DEAD * np.median(lengths[alive])) if alive.any() else alive
