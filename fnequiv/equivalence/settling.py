"""Name the units of a network by what they compute from known inputs: one pass, for all but tied units.

Notation. A block is *settled* once every unit of it has a place (and a sign) that no group element can change. A unit
is named by its entries in tensors whose other axes are already settled, or belong to no block: for layer 1 its bias and
its weights from the inputs, then for layer 2 its bias and its weights from the settled units of layer 1, and so on.
Units that differ in one such entry are ordered by it; units that agree in all of them, but are *twins* (equal in every
tensor, so that exchanging them changes nothing), may stand in any order. Only what then is left needs
:mod:`fnequiv.equivalence.colouring`.

The rule reads values and the order of settled units, never the place where a unit happens to stand. So θ and g·θ get
the same names: this is the paper's "sort the biases" (the representative set in the proof of Theorem 1 of Shen, 2024),
carried on past ties. Chapter: "Telling networks apart".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import Array, flips, owners_of, rows
from .elements import Move

IntArray = npt.NDArray[np.int64]

# Entries a tensor that are read first: they already tell the units of most networks apart.
_PROBE = 4


class Sweep:
    """Settle block after block; ``moves`` holds what is settled, ``open`` the blocks that are not."""

    def __init__(self, arrays: Mapping[str, Array], spec: SymmetrySpec) -> None:
        self.arrays = arrays
        self.moves: dict[str, Move] = {}
        self.ties: dict[str, list[IntArray]] = {}
        self.owner = owners_of(spec)
        self.open = {block.name: block for block in spec.blocks}
        progress = True
        while self.open and progress:
            progress = False
            for block in list(self.open.values()):
                move = self._settle(block)
                if move is not None:
                    self.moves[block.name] = move
                    del self.open[block.name]
                    progress = True

    def _settle(self, block: Block) -> Move | None:
        """Return the move that puts the block's units in order, or None if what is known leaves a tie."""
        axes = sorted((axis for axis in block.axes if self._known(block, axis)), key=self._count)
        ranks, signs = _probe(*self._entries(block, axes, np.arange(block.size), 0, _PROBE), block.signs)
        doubtful = np.flatnonzero((np.bincount(ranks)[ranks] > 1) | (signs == 0))
        if len(doubtful):
            free, bound = self._entries(block, axes, doubtful, _PROBE, None)
            signs[doubtful] = _signs(bound, signs[doubtful])
            if not self._may_flip(block, np.flatnonzero(signs == 0)):
                return None
            signs[signs == 0] = 1
            later = np.zeros(block.size, dtype=np.int64)
            later[doubtful] = _ranks_of_rows(
                np.concatenate([free, bound * signs[doubtful, None].astype(bound.dtype)], axis=1)
            )
            order = np.lexsort([later, ranks])
            together = (np.diff(ranks[order]) == 0) & (np.diff(later[order]) == 0)
            groups = [group for group in np.split(order, np.flatnonzero(~together) + 1) if len(group) > 1]
            if not all(self._twins(block, group, signs) for group in groups):
                return None
            self.ties[block.name] = groups
        else:
            order = np.argsort(ranks)
        return Move(order, signs[order])

    def _known(self, block: Block, axis: Axis) -> bool:
        """Whether every other axis of the tensor is settled or fixed."""
        for other in range(self.arrays[axis.tensor].ndim):
            owner = self.owner.get((axis.tensor, other))
            if other != axis.axis and owner is not None and owner[0].name not in self.moves:
                return False
        return True

    def _count(self, axis: Axis) -> int:
        shape = self.arrays[axis.tensor].shape
        return math.prod(shape) // shape[axis.axis]

    def _entries(
        self, block: Block, axes: list[Axis], units: IntArray, start: int, stop: int | None
    ) -> tuple[Array, Array]:
        """Return entries ``start:stop`` of ``units``: those that a flip of the unit leaves alone, those it flips."""
        dtype = np.result_type(*(self.arrays[axis.tensor] for axis in axes)) if axes else np.float64
        free: list[Array] = [np.empty((len(units), 0), dtype)]
        bound: list[Array] = [np.empty((len(units), 0), dtype)]
        for axis in axes:
            values = self._columns(axis, units, start, stop)
            (bound if flips(block, axis) else free).append(values)
        return np.concatenate(free, axis=1), np.concatenate(bound, axis=1)

    def _columns(self, axis: Axis, units: IntArray, start: int, stop: int | None) -> Array:
        array = self.arrays[axis.tensor]
        own = (units[:, None] * axis.repeat + np.arange(axis.repeat)).ravel()
        others = [other for other in range(array.ndim) if other != axis.axis]
        shape = [array.shape[other] for other in others]
        places = np.arange(math.prod(shape))[start:stop]
        where = dict(zip(others, np.unravel_index(places, shape) if shape else (), strict=True))
        factor = np.ones(len(places), array.dtype)
        index: list[IntArray] = []
        for dim in range(array.ndim):
            if dim == axis.axis:
                index.append(own[:, None])
                continue
            at, signs = self._unit_at(axis.tensor, dim, where[dim])
            index.append(at[None, :])
            factor *= signs
        return (array[tuple(index)] * factor).reshape(len(units), -1)

    def _unit_at(self, tensor: str, dim: int, places: IntArray) -> tuple[IntArray, Array]:
        """Return the entries of an axis that stand at canonical ``places``, and the signs that they take there."""
        owner = self.owner.get((tensor, dim))
        if owner is None:
            return places, np.ones(len(places))
        block, axis = owner
        move = self.moves[block.name]
        unit, within = np.divmod(places, axis.repeat)
        signs = move.signs[unit] if flips(block, axis) else np.ones(len(places))
        return move.permutation[unit] * axis.repeat + within, signs

    def _may_flip(self, block: Block, units: IntArray) -> bool:
        """Whether flipping any of ``units`` changes no tensor: all that a flip would touch is zero."""
        axes = [axis for axis in block.axes if flips(block, axis)]
        return not any(rows(self.arrays[axis.tensor], axis, block)[units].any() for axis in axes)

    def _twins(self, block: Block, group: IntArray, signs: Array) -> bool:
        """Whether the units are equal, up to their signs, in every tensor."""
        for axis in block.axes:
            own = rows(self.arrays[axis.tensor], axis, block)[group]
            if flips(block, axis):
                own = own * signs[group][:, None]
            if (own != own[0]).any():
                return False
        return True


def _probe(free: Array, bound: Array, signed: bool) -> tuple[IntArray, Array]:
    """Return the rank of every unit by its entries (equal: tied), and its sign (0: not known)."""
    signs = _signs(bound, np.zeros(len(bound))) if signed else np.ones(len(bound))
    keys = np.concatenate([free, bound * signs[:, None] if signed else bound], axis=1)
    ranks = np.zeros(len(keys), dtype=np.int64)
    if keys.shape[1]:
        order = np.argsort(keys[:, 0])
        if (keys[order[1:], 0] == keys[order[:-1], 0]).any():  # the later entries matter
            order = np.lexsort(keys.T[::-1])
        ranks[order[1:]] = np.cumsum((keys[order[1:]] != keys[order[:-1]]).any(axis=1))
    return ranks, signs


def _signs(bound: Array, known: Array) -> Array:
    """Return the sign of the first entry that is not zero, for units whose sign is not known yet."""
    if not bound.shape[1]:
        return known
    first = np.sign(bound[np.arange(len(bound)), (bound != 0).argmax(axis=1)])
    return np.where(known == 0, first, known)


def _ranks_of_rows(rows: Array) -> IntArray:
    """Return equal numbers for equal rows; their order depends on nothing but the rows' values."""
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.int64)
    rows = np.ascontiguousarray(rows + 0.0)  # -0.0 and 0.0 are one number
    packed = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    return np.unique(packed, return_inverse=True)[1].reshape(-1)
