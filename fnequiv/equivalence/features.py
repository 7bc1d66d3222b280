"""The features by which units of two networks are matched: their entries beside units that are matched already.

Notation. Of b the entries are taken as they are, of a after what is known of g has moved them, and where a unit may
be rescaled both are divided by the largest of them. *allowed* says how far two features of one unit may differ: by
the error of b's entries, by the errors exp(±ℓ) of the scales found so far, and by that of the division itself (see
:mod:`fnequiv.equivalence.measuring`). Features are :mod:`rows <fnequiv.equivalence.unitrows>`, computed when they are
asked for.

Theorem: Examples 1-3 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import Array, FloatArray, along, flips, owners_of, power
from .elements import Move
from .measuring import Error, spread
from .unitrows import Divided, IntArray, Joined, Part, Rows, Units, peak_of, peaks_of, pieces


@dataclass(frozen=True)
class Features:
    """Features of the units of both networks [n, m], and what is allowed [n, m]; ``bound`` leading columns flip.

    ``peaks_a`` and ``peaks_b`` [n] are what the rows were divided by, ``slack`` [n] bounds the error of the log of the
    quotient (inf: the row of b may be zero). ``finite`` says that no feature of a overflows.
    """

    a: Rows
    b: Rows
    allowed: Rows
    bound: int
    peaks_a: FloatArray
    peaks_b: FloatArray
    slack: FloatArray
    finite: bool


@dataclass(frozen=True)
class _Allowed:
    """How far the features of one axis may differ, computed from the entries of b."""

    part: Part
    tensor: str
    error: Error
    logs: FloatArray | float
    slack: FloatArray | None = None
    over: FloatArray | float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Units and features."""
        return self.part.shape

    def take(self, units: Units, columns: IntArray | None = None) -> FloatArray:
        """Return rows."""
        sizes = self.part.take(units, columns)
        np.abs(sizes, out=sizes)
        logs = self.logs if columns is None or isinstance(self.logs, float) else self.logs[columns]
        errors = self.error.of(self.tensor, sizes, logs)
        if self.slack is not None:
            errors += spread(sizes + errors, self.slack[units, None])
        errors /= self.over if isinstance(self.over, float) else self.over[units, None]
        return errors


@dataclass
class Progress:
    """Two networks and what is known of g: moves of blocks, ℓ of their scales, units of b that still wait."""

    a: Mapping[str, Array]
    b: Mapping[str, Array]
    spec: SymmetrySpec
    error: Error
    moves: dict[str, Move] = field(default_factory=dict)
    slack: dict[str, FloatArray] = field(default_factory=dict)
    waiting: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.owner = owners_of(self.spec)

    def known(self, block: Block, role: str) -> list[Axis]:
        """Return the axes with this role whose tensors have no other axis that is still open."""
        return [axis for axis in block.axes if axis.role == role and self._settled(axis)]

    def _settled(self, axis: Axis) -> bool:
        found = [self.owner.get((axis.tensor, dim)) for dim in range(self.b[axis.tensor].ndim) if dim != axis.axis]
        return all(other is None or other[0].name in self.moves for other in found)

    def features(self, block: Block, axes: list[Axis], *, scaled: bool) -> Features:
        """Return the features on ``axes``; ``scaled`` divides the rows, but for carried entries, by their peaks."""
        axes = sorted(axes, key=lambda axis: not flips(block, axis))
        a, b = ([self._part(axis, block, moved=moved) for axis in axes] for moved in (True, False))
        bounds = [
            _Allowed(part, axis.tensor, self.error, self._logs(axis, part)) for part, axis in zip(b, axes, strict=True)
        ]
        divided = [scaled and power(block, axis) != 0 for axis in axes]
        peaks_a, peaks_b, slack = np.ones(block.size), np.ones(block.size), np.zeros(block.size)
        if any(divided):
            peaks_a, peaks_b = (peaks_of(list(compress(parts, divided)), block.size) for parts in (a, b))
            slack = _log_error(peaks_b, _worst(list(compress(bounds, divided)), block.size))
        safe_a, safe_b = (np.where(peaks > 0, peaks, 1.0) for peaks in (peaks_a, peaks_b))
        left: list[Rows] = []
        right: list[Rows] = []
        allowed: list[Rows] = []
        finite = True
        for index, axis in enumerate(axes):
            peak = peak_of(self.b[axis.tensor]) or 1.0
            over_a, over_b = (safe_a, safe_b) if divided[index] else (peak, peak)
            left.append(Divided(a[index], over_a))
            right.append(Divided(b[index], over_b))
            allowed.append(replace(bounds[index], slack=slack if divided[index] and slack.any() else None, over=over_b))
            finite &= math.isfinite(a[index].limit() / (1.0 if divided[index] else peak))
        bound = sum(part.shape[1] for part, axis in zip(b, axes, strict=True) if flips(block, axis))
        rows_a, rows_b, most = (Joined(parts, block.size) for parts in (left, right, allowed))
        return Features(rows_a, rows_b, most, bound, peaks_a, peaks_b, slack, finite)

    def _part(self, axis: Axis, block: Block, *, moved: bool) -> Part:
        """Return the entries of every unit on ``axis``; of a with every matched axis moved, of b as they are."""
        array = (self.a if moved else self.b)[axis.tensor]
        orders: dict[int, IntArray] = {}
        factor: FloatArray = np.ones((1,) * array.ndim)
        for dim, other, place in self._others(axis):
            move, keep = self.moves[other.name], ~self.waiting[other.name]
            if moved or not keep.all():
                units = move.permutation[keep] if moved else np.flatnonzero(keep)
                orders[dim] = (units[:, None] * place.repeat + np.arange(place.repeat)).ravel()
            if moved and ((flips(other, place) and move.flips) or (power(other, place) and move.rescales)):
                signs = move.signs if flips(other, place) else np.ones(other.size)
                factor = factor * along((signs * move.scales ** float(power(other, place)))[keep], place, array.ndim)
        return Part(array, axis, block, orders, factor)

    def _logs(self, axis: Axis, part: Part) -> FloatArray | float:
        """Return ℓ of every feature of a part of b, 0 if it is 0 for all of them."""
        ndim = self.b[axis.tensor].ndim
        logs: FloatArray = np.zeros((1,) * ndim)
        for _, other, place in self._others(axis):
            if power(other, place):
                own = self.slack[other.name][~self.waiting[other.name]]
                logs = logs + along(own * abs(power(other, place)), place, ndim)
        return part.flat(logs) if logs.any() else 0.0

    def _others(self, axis: Axis) -> list[tuple[int, Block, Axis]]:
        found = [(dim, self.owner.get((axis.tensor, dim))) for dim in range(self.b[axis.tensor].ndim)]
        return [(dim, *other) for dim, other in found if other is not None and dim != axis.axis]


def _worst(bounds: list[_Allowed], size: int) -> FloatArray:
    """Return the largest error of every row."""
    worst = np.zeros(size)
    for each in (each for each in bounds if each.shape[1]):
        if isinstance(each.logs, float):  # then the largest entry has the largest error
            worst = np.maximum(worst, each.error.of(each.tensor, peaks_of([each.part], size), each.logs))
            continue
        for piece in pieces(*each.shape):
            worst[piece] = np.maximum(worst[piece], each.take(piece).max(axis=1))
    return worst


def _log_error(peaks: FloatArray, worst: FloatArray) -> FloatArray:
    """Return ℓ for peaks with errors up to ``worst``: inf where a peak may be zero, 0 where it is so for certain."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(worst > 0, -np.log1p(-np.minimum(worst / peaks, 1.0)), 0.0)
