"""Rows of entries, one for every unit, that are computed when they are asked for.

Notation. A row holds the entries of one unit on one axis of a tensor, or on several (:class:`Joined`), in float64, the
other axes in an order of their own. Whoever reads a network row by row, piece by piece, holds no copy of it, and what
he does to a piece happens in the cache. Definition 1 of Shen (2024) names what a network is. Chapter: "Telling
networks apart".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block
from .axes import Array, FloatArray

IntArray = npt.NDArray[np.int64]
Units = IntArray | slice

# Of n entries, so many times √n are looked at together, but no more than the second number: of a small network too
# the buffers are a small part, and there are few calls for each.
_ROOTS, _MOST = 32, 1 << 16


class Rows(Protocol):
    """A matrix [units, features] that can be read by rows, and there by columns."""

    @property
    def shape(self) -> tuple[int, int]:
        """Units and features."""

    def take(self, units: Units, columns: IntArray | None = None) -> FloatArray:
        """Return new memory with some rows, all of their columns or some."""


class Part:
    """The rows of units on one axis, the other axes in ``orders``, times ``factor``, which broadcasts along those.

    Examples
    --------
    >>> part = Part(np.array([[1.0, 2.0, 3.0]]), Axis("v", 1, "out"), Block("h", 3, "permutation", ()))
    >>> part.take(np.array([2, 0])).tolist()
    [[3.0], [1.0]]
    """

    def __init__(
        self,
        array: Array,
        axis: Axis,
        block: Block,
        orders: Mapping[int, IntArray] | None = None,
        factor: FloatArray | None = None,
    ) -> None:
        moved = np.moveaxis(array, axis.axis, 0)
        self._view = moved.reshape(block.size, axis.repeat, *moved.shape[1:])  # one axis made two: never a copy
        others = [dim for dim in range(array.ndim) if dim != axis.axis]
        self._orders = {place + 1: orders[dim] for place, dim in enumerate(others) if dim in (orders or {})}  # type: ignore[index]
        lengths = self._view.shape[1:]
        self._lengths = tuple(len(self._orders.get(place, range(length))) for place, length in enumerate(lengths))
        self._axis = axis.axis
        self._factor = None if factor is None or bool((factor == 1).all()) else self.flat(factor)
        self.shape = block.size, math.prod(self._lengths)

    def flat(self, values: FloatArray) -> FloatArray:
        """Return values that broadcast along the other axes, in their orders, as one a feature."""
        return np.broadcast_to(np.moveaxis(values, self._axis, 0), self._lengths).ravel()

    def limit(self) -> float:
        """Return a bound of all |entries|."""
        return peak_of(self._view) * (1.0 if self._factor is None else peak_of(self._factor))

    def take(self, units: Units, columns: IntArray | None = None) -> FloatArray:
        """Return rows."""
        if columns is None:
            piece = self._view[units]
            for place, order in self._orders.items():
                piece = np.take(piece, order, axis=place + 1)
            rows: FloatArray = piece.reshape(len(piece), -1).astype(np.float64)
        else:
            where = np.unravel_index(columns, self._lengths)
            index = [self._orders[place][at] if place in self._orders else at for place, at in enumerate(where)]
            rows = self._view[units][(slice(None), *index)].astype(np.float64)
        if self._factor is not None:
            rows *= self._factor if columns is None else self._factor[columns]
        return rows


@dataclass(frozen=True)
class Divided:
    """Rows divided, each by its own number or all by one.

    Examples
    --------
    >>> Divided(Whole(np.array([[1.0], [6.0]])), np.array([1.0, 2.0])).take(slice(None)).tolist()
    [[1.0], [3.0]]
    """

    rows: Rows
    over: FloatArray | float

    @property
    def shape(self) -> tuple[int, int]:
        """Units and features."""
        return self.rows.shape

    def take(self, units: Units, columns: IntArray | None = None) -> FloatArray:
        """Return rows."""
        rows = self.rows.take(units, columns)
        rows /= self.over if isinstance(self.over, float) else self.over[units, None]
        return rows


@dataclass(frozen=True)
class Joined:
    """Several rows of the same units, one after the other.

    Examples
    --------
    >>> Joined([Whole(np.array([[1.0], [2.0]])), Whole(np.array([[3.0], [4.0]]))], 2).take(slice(1, 2)).tolist()
    [[2.0, 4.0]]
    """

    parts: Sequence[Rows]
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Units and features."""
        return self.size, sum(part.shape[1] for part in self.parts)

    def take(self, units: Units, columns: IntArray | None = None) -> FloatArray:
        """Return rows."""
        count = len(range(*units.indices(self.size))) if isinstance(units, slice) else len(units)
        found = np.empty((count, self.shape[1] if columns is None else len(columns)))
        start = 0
        for part in self.parts:
            stop = start + part.shape[1]
            if columns is None:
                found[:, start:stop] = part.take(units)
            elif (here := (columns >= start) & (columns < stop)).any():
                found[:, here] = part.take(units, columns[here] - start)
            start = stop
        return found


@dataclass(frozen=True)
class Whole:
    """The rows of a matrix that is there already.

    Examples
    --------
    >>> Whole(np.array([[1.0, 2.0], [3.0, 4.0]])).take(slice(None), np.array([1])).tolist()
    [[2.0], [4.0]]
    """

    matrix: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Units and features."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def take(self, units: Units, columns: IntArray | None = None) -> FloatArray:
        """Return rows."""
        rows: FloatArray = self.matrix[units] if columns is None else self.matrix[units][:, columns]
        return rows.copy()


def pieces(count: int, columns: int) -> Iterator[slice]:
    """Yield slices of ``count`` rows that are read together.

    Examples
    --------
    >>> list(pieces(4, 512))
    [slice(0, 2, None), slice(2, 4, None)]
    """
    entries = min(_ROOTS * math.isqrt(count * columns), _MOST)
    step = max(1, entries // max(1, columns))
    yield from (slice(start, start + step) for start in range(0, count, step))


def peaks_of(parts: Sequence[Rows], size: int) -> FloatArray:
    """Return the largest |entry| of every row over all parts.

    Examples
    --------
    >>> peaks_of([Whole(np.array([[1.0], [-2.0]]))], 2)
    array([1., 2.])
    """
    peaks = np.zeros(size)
    for part in parts:
        for piece in pieces(*part.shape):
            rows = part.take(piece)
            np.abs(rows, out=rows)
            peaks[piece] = np.maximum(peaks[piece], rows.max(axis=1, initial=0.0))
    return peaks


def peak_of(array: Array) -> float:
    """Return the largest |entry|, 0 if there is none, without a copy.

    Examples
    --------
    >>> peak_of(np.array([1.0, -2.0]))
    2.0
    """
    return max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))
