"""Places of one unit that carry factors of their own, as a pair of dimensions under rotary positions does.

Notation. D consecutive places belong to a unit, and fall into n kinds: those of a kind share a factor, (r, r + D/2) or
(2r, 2r + 1) a pair. In the view (units, 2, D/2) or (units, D/2, 2) of the axis each kind is a box.

Theorem: Example 1 of Shen (2024), pair by pair. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .scaling import Resolved
from .structure import Ids


@dataclass(frozen=True, eq=False)
class Part:
    """One kind of places: which they are, and the box that holds them in a view of the axis."""

    places: Ids
    view: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    lead: int  # how many of the view's sizes count units

    def within(self, sizes: Sequence[int]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Return view and box with units counted by the first of ``sizes``, where they count all of them."""
        units = math.prod(self.view[: self.lead])
        m = next((m for m in range(len(sizes) + 1) if math.prod(sizes[:m]) == units), 0)
        if not m or any(start for start, _ in self.box[: self.lead]):
            return self.view, self.box
        bounds = tuple((0, size) for size in sizes[:m])
        return (*sizes[:m], *self.view[self.lead :]), (*bounds, *self.box[self.lead :])


def digits(places: Ids) -> list[tuple[int, int]] | None:
    """Return (size, stride) pairs, major first, that count the places; None if there are none.

    Examples
    --------
    >>> digits(np.array([0, 0, 1, 1, 2, 2])), digits(np.array([0, 2, 1, 3])), digits(np.array([0, 1, 3, 2]))
    ([(3, 1), (2, 0)], [(2, 1), (2, 2)], None)
    """
    if len(places) == 1:
        return [] if places[0] == 0 else None
    steps = np.diff(places)
    other = np.flatnonzero(steps != steps[0])
    run = int(other[0]) + 1 if len(other) else len(places)
    if run == len(places):
        return [(run, int(steps[0]))] if places[0] == 0 else None
    if len(places) % run or not np.array_equal(
        places.reshape(-1, run), places[::run, None] + np.arange(run) * steps[0]
    ):
        return None
    rest = digits(places[::run])
    return None if rest is None else [*rest, (run, int(steps[0]))]


def parted(
    start: int, stop: int, length: int, sizes: Sequence[int], strides: Sequence[Sequence[int]],
    factors: Sequence[Resolved],
) -> list[Part]:  # fmt: skip
    """Return the kinds of places start..stop-1 of an axis that share these factors; none if they follow no pattern."""
    behind = 0
    while behind < len(sizes) and not any(each[-1 - behind] for each in strides):
        behind += 1
    each_unit = math.prod(sizes[len(sizes) - behind :])
    if not factors or each_unit == 1:
        return []
    arrays = [array[start:stop].reshape(-1, each_unit) for factor in factors for array in (factor.scale, factor.sign)]
    kinds = _kinds(np.stack(arrays, axis=-1))
    counted = None if kinds is None else digits(kinds)
    if kinds is None or counted is None or sorted(stride for _, stride in counted if stride) != [1]:
        return []
    whole = (start, stop) == (0, length)
    if not whole and (start % each_unit or length % each_unit):
        return []
    lead = tuple(sizes[: len(sizes) - behind]) if whole else (length // each_unit,)
    bounds = [(0, n) for n in lead] if whole else [(start // each_unit, stop // each_unit)]
    view = (*lead, *(size for size, _ in counted))
    parts = []
    for kind in range(int(kinds.max()) + 1):
        box = [*bounds, *((kind, kind + 1) if stride else (0, size) for size, stride in counted)]
        parts.append(Part(start + np.flatnonzero(np.tile(kinds, len(arrays[0])) == kind), view, tuple(box), len(lead)))
    return parts


def _kinds(rows: Ids) -> Ids | None:
    """Return the kind of each place, numbered as they first appear, if all units [u, place, ...] have the same."""
    found = None
    for row in rows:
        _, first, inverse = np.unique(row, axis=0, return_index=True, return_inverse=True)
        ranks = np.argsort(np.argsort(first))[inverse.reshape(-1)]
        if found is not None and not np.array_equal(found, ranks):
            return None
        found = ranks
    return found
