r"""Two networks in fewer numbers, as far as scales are concerned: sums over axes that no scale reaches are taken once.

Notation. On axes that no block rescales, entries o of a and t of b come as vectors, of the k·k taps of a filter say,
and a scale multiplies whole vectors o. All inner products of o and t are those of two vectors in the plane,
(\|o\|, 0) and (t·o/\|o\|, \|t⊥\|), with t⊥ the part of t orthogonal to o; so least squares in the scales are the
same for these. A matrix between two blocks that is zero off its diagonal, such as a BatchNorm's weight written out, is
left with its diagonal.

Source: Example 1 of Shen (2024) for the scales. Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import FloatArray, power

Arrays = Mapping[str, FloatArray]


def compressed(networks: Sequence[Arrays], spec: SymmetrySpec) -> tuple[list[dict[str, FloatArray]], list[Block]]:
    """Return one network, or two, in fewer numbers, and the blocks that can be rescaled with their axes there.

    Tensors that no scale reaches are left out.

    Examples
    --------
    >>> spec = SymmetrySpec((Block("h", 1, "scaled", (Axis("w", 0, "in"),)),), {"w": (1, 3), "b": (2,)})
    >>> [(one, two), _] = compressed([{"w": np.array([[0.0, 3.0, 4.0]])}, {"w": np.array([[2.0, 3.0, 4.0]])}], spec)
    >>> one["w"].tolist(), two["w"].tolist()
    ([[[5.0, 0.0]]], [[[5.0, 2.0]]])
    """
    free = {block.name for block in spec.blocks if block.scales and block.degree}
    found: list[dict[str, FloatArray]] = [{} for _ in networks]
    axes: dict[str, list[Axis]] = {name: [] for name in free}
    for name, places in spec.places.items():
        owned = [(axis, block) for axis, block in places if block.name in free and power(block, axis)]
        if not owned:
            continue
        arrays = [network[name] for network in networks]
        if len(owned) == 2 and _is_diagonal(arrays, *(axis for axis, _ in owned)):
            dims = [axis.axis for axis, _ in owned]
            arrays = [np.moveaxis(np.diagonal(array, axis1=dims[0], axis2=dims[1]), -1, 0) for array in arrays]
            owned = [(replace(axis, axis=0), block) for axis, block in owned]
        for network, array in zip(found, _in_the_plane(arrays, {axis.axis for axis, _ in owned}), strict=True):
            network[name] = array
        for axis, block in owned:
            axes[block.name].append(axis)
    blocks = [replace(block, axes=tuple(axes[block.name])) for block in spec.blocks if axes.get(block.name)]
    return found, blocks


def _is_diagonal(arrays: Sequence[FloatArray], first: Axis, second: Axis) -> bool:
    if first.repeat > 1 or second.repeat > 1 or len({arrays[0].shape[axis.axis] for axis in (first, second)}) > 1:
        return False
    diagonals = (np.diagonal(array, axis1=first.axis, axis2=second.axis) for array in arrays)
    return all(np.count_nonzero(a) == np.count_nonzero(d) for a, d in zip(arrays, diagonals, strict=True))


def _in_the_plane(arrays: Sequence[FloatArray], owned: set[int]) -> list[FloatArray]:
    """Return arrays whose axes that are not ``owned`` have length 1, with vectors of the plane on a new last axis."""
    ndim = arrays[0].ndim
    order = [*sorted(owned), *(dim for dim in range(ndim) if dim not in owned)]
    shape = [arrays[0].shape[dim] if dim in owned else 1 for dim in range(ndim)]
    vectors = [array.transpose(order).reshape(*(array.shape[dim] for dim in sorted(owned)), -1) for array in arrays]
    if vectors[0].shape[-1] > len(vectors):
        first = vectors[0]
        length = np.sqrt((first**2).sum(axis=-1, keepdims=True))
        parts = [length]
        if len(vectors) > 1:
            unit = first / np.where(length > 0, length, 1.0)
            along = (vectors[1] * unit).sum(axis=-1, keepdims=True)
            across = np.sqrt(((vectors[1] - along * unit) ** 2).sum(axis=-1, keepdims=True))
            parts = [np.concatenate([length, np.zeros_like(length)], axis=-1), np.concatenate([along, across], axis=-1)]
        vectors = parts
    return [vector.reshape(*shape, -1) for vector in vectors]
