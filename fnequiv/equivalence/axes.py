"""Where the entries of a unit lie, and how signs and scales reach them: arithmetic that several modules share.

Notation. A unit with the factor s·λ multiplies its entries on an axis of role ``"in"`` by s·λ, on one of role ``"out"``
by s/λ^k (or 1/λ^k, if the activation is even), k the degree, and leaves those of role ``"carry"`` as they are.

Theorem: Examples 1 and 2 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec

Array = npt.NDArray[np.floating]
FloatArray = npt.NDArray[np.float64]
Owners = dict[tuple[str, int], tuple[Block, Axis]]
Numbers = TypeVar("Numbers", bound=npt.NDArray[np.generic])


def owners_of(spec: SymmetrySpec) -> Owners:
    """Return, for every axis of a tensor that a block acts on, the block and its entry for that axis.

    Examples
    --------
    >>> hidden = Block("h", 2, "signed", (Axis("w", 0, "in"),))
    >>> owners_of(SymmetrySpec((hidden,), {"w": (2, 3)}))[("w", 0)][0].name
    'h'
    """
    return {(axis.tensor, axis.axis): (block, axis) for block in spec.blocks for axis in block.axes}


def moving(spec: SymmetrySpec) -> SymmetrySpec:
    """Return the specification of those tensors alone that some block acts on.

    Examples
    --------
    >>> hidden = Block("h", 2, "signed", (Axis("w", 0, "in"),))
    >>> list(moving(SymmetrySpec((hidden,), {"w": (2, 3), "counter": ()})).shapes)
    ['w']
    """
    return SymmetrySpec(spec.blocks, {name: shape for name, shape in spec.shapes.items() if spec.places[name]})


def restricted(spec: SymmetrySpec, names: Collection[str]) -> SymmetrySpec:
    """Return the specification of some tensors alone, with the blocks that act on them.

    Examples
    --------
    >>> hidden = Block("h", 2, "signed", (Axis("w", 0, "in"), Axis("v", 1, "out")))
    >>> alone = restricted(SymmetrySpec((hidden,), {"w": (2, 3), "v": (3, 2)}), ["v"])
    >>> list(alone.shapes), [axis.tensor for axis in alone.blocks[0].axes]
    (['v'], ['v'])
    """
    axes = {block.name: tuple(axis for axis in block.axes if axis.tensor in names) for block in spec.blocks}
    blocks = tuple(replace(block, axes=axes[block.name]) for block in spec.blocks if axes[block.name])
    return SymmetrySpec(blocks, {name: shape for name, shape in spec.shapes.items() if name in names})


def flips(block: Block, axis: Axis) -> bool:
    """Return whether the sign of a unit reaches this axis.

    Examples
    --------
    >>> even = Block("h", 2, "signed", (), even=True)
    >>> flips(even, Axis("w", 0, "in")), flips(even, Axis("v", 1, "out"))
    (True, False)
    """
    return block.signs and axis.role != "carry" and not (axis.role == "out" and block.even)


def power(block: Block, axis: Axis) -> int:
    """Return the power of λ by which entries on this axis are multiplied.

    Examples
    --------
    >>> power(Block("h", 2, "scaled", (), degree=2), Axis("v", 1, "out"))
    -2
    """
    return {"in": 1, "out": -block.degree, "carry": 0}[axis.role]


def rows(array: Numbers, axis: Axis, block: Block) -> Numbers:
    """Return the entries of every unit, one row each.

    Examples
    --------
    >>> rows(np.array([[1, 2, 3]]), Axis("v", 1, "out"), Block("h", 3, "permutation", ())).tolist()
    [[1], [2], [3]]
    """
    moved = np.moveaxis(array, axis.axis, 0)
    width = moved.size // block.size
    return moved.reshape(block.size, width)  # type: ignore[return-value]


def along(values: Numbers, axis: Axis, ndim: int) -> Numbers:
    """Return one value a unit, shaped to be multiplied with a tensor of ``ndim`` axes.

    Examples
    --------
    >>> along(np.array([1, 2]), Axis("v", 1, "out", repeat=2), 2).tolist()
    [[1, 1, 2, 2]]
    """
    shape = [-1 if dim == axis.axis else 1 for dim in range(ndim)]
    return np.repeat(values, axis.repeat).reshape(shape)  # type: ignore[return-value]
