"""The features by which units of two networks are matched: their entries beside units that are matched already.

Notation. Of b the entries are taken as they are, of a after what is known of g has moved them, and where a unit may
be rescaled both are divided by the largest of them. *allowed* says how far two features of one unit may differ: by
the error of b's entries, by the errors exp(±ℓ) of the scales found so far, and by that of the division itself (see
:mod:`fnequiv.equivalence.measuring`).

Theorem: Examples 1-3 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import FloatArray, along, flips, owners_of, power, rows
from .elements import Move
from .measuring import Error


@dataclass(frozen=True)
class Features:
    """Features of the units of both networks [n, m], and what is allowed [n, m]; ``bound`` leading columns flip.

    ``peaks_a`` and ``peaks_b`` [n] are what the rows were divided by, ``slack`` [n] bounds the error of the log of the
    quotient (inf: the row of b may be zero).
    """

    a: FloatArray
    b: FloatArray
    allowed: FloatArray
    bound: int
    peaks_a: FloatArray
    peaks_b: FloatArray
    slack: FloatArray


@dataclass
class Progress:
    """Two networks and what is known of g: moves of blocks, ℓ of their scales, units of b that still wait."""

    a: Mapping[str, FloatArray]
    b: Mapping[str, FloatArray]
    spec: SymmetrySpec
    error: Error
    moves: dict[str, Move] = field(default_factory=dict)
    slack: dict[str, FloatArray] = field(default_factory=dict)
    waiting: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.owner = owners_of(self.spec)
        self.peaks = {name: float(np.abs(array).max(initial=0.0)) or 1.0 for name, array in self.b.items()}

    def known(self, block: Block, role: str) -> list[Axis]:
        """Return the axes with this role whose tensors have no other axis that is still open."""
        return [axis for axis in block.axes if axis.role == role and self._settled(axis)]

    def _settled(self, axis: Axis) -> bool:
        found = [self.owner.get((axis.tensor, dim)) for dim in range(self.b[axis.tensor].ndim) if dim != axis.axis]
        return all(other is None or other[0].name in self.moves for other in found)

    def features(self, block: Block, axes: list[Axis], *, scaled: bool) -> Features:
        """Return the features on ``axes``; ``scaled`` divides the rows, but for carried entries, by their peaks."""
        axes = sorted(axes, key=lambda axis: not flips(block, axis))
        a = [self._rows(axis, block, moved=True) for axis in axes]
        b = [self._rows(axis, block, moved=False) for axis in axes]
        errors = [self._errors(axis, block) for axis in axes]
        divided = [scaled and power(block, axis) != 0 for axis in axes]
        ones = np.ones(block.size)
        peaks_a, peaks_b, slack = ones, ones, np.zeros(block.size)
        if any(divided):
            peaks_a, peaks_b, worst = (_peaks(each, divided, block) for each in (a, b, errors))
            slack = _log_error(peaks_b, worst)
        for index, axis in enumerate(axes):
            over_a, over_b = (
                np.where(peaks > 0, peaks, 1.0)[:, None] if divided[index] else self.peaks[axis.tensor]
                for peaks in (peaks_a, peaks_b)
            )
            if divided[index]:
                errors[index] = errors[index] + _spread(np.abs(b[index]) + errors[index], slack[:, None])
            a[index], b[index], errors[index] = a[index] / over_a, b[index] / over_b, errors[index] / over_b
        bound = sum(part.shape[1] for part, axis in zip(b, axes, strict=True) if flips(block, axis))
        empty = np.empty((block.size, 0))
        left, right, allowed = (np.concatenate([empty, *parts], axis=1) for parts in (a, b, errors))
        return Features(left, right, allowed, bound, peaks_a, peaks_b, slack)

    def _rows(self, axis: Axis, block: Block, *, moved: bool) -> FloatArray:
        """Return the entries of every unit on ``axis``; of a with every matched axis moved, of b as they are."""
        array = (self.a if moved else self.b)[axis.tensor]
        for dim, other, place in self._others(axis):
            move, keep = self.moves[other.name], ~self.waiting[other.name]
            if moved or not keep.all():
                units = move.permutation[keep] if moved else np.flatnonzero(keep)
                array = np.take(array, (units[:, None] * place.repeat + np.arange(place.repeat)).ravel(), axis=dim)
            if moved and ((flips(other, place) and move.flips) or (power(other, place) and move.rescales)):
                signs = move.signs if flips(other, place) else np.ones(other.size)
                factor = signs * move.scales ** float(power(other, place))
                array = array * along(factor[keep], place, array.ndim)
        return rows(array, axis, block)

    def _errors(self, axis: Axis, block: Block) -> FloatArray:
        values = np.abs(self.b[axis.tensor])
        logs: FloatArray = np.zeros((1,) * values.ndim)
        for dim, other, place in self._others(axis):
            keep = ~self.waiting[other.name]
            if not keep.all():
                values = np.compress(np.repeat(keep, place.repeat), values, axis=dim)
            if power(other, place):
                logs = logs + along(self.slack[other.name][keep] * abs(power(other, place)), place, values.ndim)
        return rows(self.error.of(axis.tensor, values, logs), axis, block)

    def _others(self, axis: Axis) -> list[tuple[int, Block, Axis]]:
        found = [(dim, self.owner.get((axis.tensor, dim))) for dim in range(self.b[axis.tensor].ndim)]
        return [(dim, *other) for dim, other in found if other is not None and dim != axis.axis]


def _peaks(parts: list[FloatArray], divided: list[bool], block: Block) -> FloatArray:
    """Return the largest |entry| of every row over the parts that are divided."""
    peaks = [np.abs(part).max(axis=1, initial=0.0) for part, used in zip(parts, divided, strict=True) if used]
    return np.max([np.zeros(block.size), *peaks], axis=0)


def _log_error(peaks: FloatArray, worst: FloatArray) -> FloatArray:
    """Return ℓ for peaks with errors up to ``worst``: inf where a peak may be zero, 0 where it is so for certain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(worst > 0, -np.log1p(-np.minimum(worst / peaks, 1.0)), 0.0)


def _spread(values: FloatArray, logs: FloatArray) -> FloatArray:
    """Return how far values move by factors up to exp(±logs)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(values > 0, values * np.expm1(logs), 0.0)
