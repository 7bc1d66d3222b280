"""From units to axes: how the places along a parameter's axis are laid out in families.

Notation. Along an axis the families' places follow one another as the digits of a number do: (c, h·w) is a family of c
units with h·w places each, (2, n) one of n units twice. A stretch of the axis where the same families lie is a
*segment*; its *digits* are (size, stride) pairs, major first, and the place in a family is Σ stride · digit.

Theorem: as in :mod:`fnequiv.architectures.solving`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .parting import digits, parted
from .scaling import Resolved, Scales
from .solving import Solution
from .structure import Ids, Term
from .values import common_sizes

ALONE = -1  # in the place of a family: one unit that keeps its place
_FEW = 4  # repetitions of a family along an axis that are read as segments of their own


@dataclass(frozen=True)
class Segment:
    """Places start..stop-1 of an axis: sizes of its digits, and for each family its strides and factors.

    Factors that are the same at all places stand under ``ALONE``: whatever moves there, they belong to no family of it.
    """

    start: int
    stop: int
    sizes: tuple[int, ...]
    strides: dict[int, tuple[int, ...]]
    factors: dict[int, tuple[Resolved, ...]]
    view: tuple[int, ...] = ()  # how the whole axis is split, where this is but a part of every unit's places
    box: tuple[tuple[int, int], ...] = ()  # which part, in that view


class UnreadableError(Exception):
    """The places of some families follow no digits: they are to be frozen."""

    def __init__(self, families: Sequence[int]) -> None:
        super().__init__("no digits")
        self.families = tuple(families)


def _lifted(k: int, places: Ids, solution: Solution) -> list[tuple[int, Ids]]:
    family = solution.families[k]
    if family.free:
        return [(k, places)] if family.size > 1 else []
    return [pair for top in family.parents for pair in _lifted(top, family.above[top][places], solution)]


def segments(
    units: Ids, terms: Sequence[Term], solution: Solution, scales: Scales, still: frozenset[int] = frozenset()
) -> list[Segment]:
    """Return the segments of an axis with these units and factors (arrays along the axis); ``still`` do not move.

    Raises
    ------
    UnreadableError
        If the places of a family follow no digits.
    """
    if not len(units):
        return []
    kinds = solution.kinds[solution.family[units]]
    if still:
        kinds = np.where(np.isin(solution.family[units], list(still)), -1, kinds)
    resolved = scales.resolve(terms, len(units))
    pattern = np.concatenate([kinds[:, None], *(each.pattern[:, None] for each in resolved)], axis=1)
    borders = np.flatnonzero((np.diff(pattern, axis=0) != 0).any(axis=1)) + 1
    found: list[Segment] = []
    for start, stop in zip([0, *borders], [*borders, len(units)], strict=True):
        found += _read(int(start), int(stop), units, resolved, solution, still)
    return found


def _read(start: int, stop: int, units: Ids, resolved: list[Resolved], solution: Solution,
          still: frozenset[int]) -> list[Segment]:  # fmt: skip
    here = units[start:stop]
    first = int(solution.family[here[0]])
    if solution.families[first].size == 1 or first in still:
        return _frozen(start, stop, len(units), resolved)
    lines: dict[int, Ids] = {}
    for k in np.unique(solution.family[here]).tolist():
        chosen = solution.family[here] == k
        for top, places in _lifted(k, solution.place[here[chosen]], solution):
            lines.setdefault(top, np.empty(len(here), dtype=np.int64))[chosen] = places
    counted = {top: digits(places) for top, places in lines.items()}
    if any(each is None for each in counted.values()):
        step = max(solution.families[top].size for top in lines)
        return _halved(start, stop, step, lambda a, b: _read(a, b, units, resolved, solution, still), list(lines))
    sizes = common_sizes([[size for size, _ in each] for each in counted.values() if each is not None])
    strides = {top: _cut(each or [], sizes) for top, each in counted.items()}
    if any(each is None for each in strides.values()):
        raise UnreadableError(list(lines))
    if len(sizes) > 1 and sizes[0] <= _FEW and all(each is not None and each[0] == 0 for each in strides.values()):
        step = (stop - start) // sizes[0]
        return [s for at in range(start, stop, step) for s in _read(at, at + step, units, resolved, solution, still)]
    moving = [each for each in resolved if each.moves(start, stop)]
    whole = np.arange(start, stop)
    homeless = [each for each in moving if _owner(each, whole, lines, solution) is None]
    parts = parted(start, stop, len(units), sizes, [each or () for each in strides.values()], homeless)
    if not parts:
        return [_segment(start, stop, whole, lines, moving, solution)]
    found = []
    for part in parts:
        own = {top: places[part.places - start] for top, places in lines.items()}
        segment = _segment(start, stop, part.places, own, moving, solution)
        view, box = part.within(segment.sizes)
        found.append(replace(segment, view=view, box=box))
    return found


def _halved(
    start: int, stop: int, step: int, read: Callable[[int, int], list[Segment]], families: list[int]
) -> list[Segment]:
    """Return the segments of a stretch that has to be cut once more: the longest that can be read comes first."""
    for middle in range(stop - step, start, -step):
        if middle - start > step * _FEW**4:
            continue
        try:
            return [*read(start, middle), *read(middle, stop)]
        except UnreadableError:
            continue
    raise UnreadableError(families)


def _segment(
    start: int, stop: int, here: Ids, lines: dict[int, Ids], moving: Sequence[Resolved], solution: Solution
) -> Segment:
    """Return the segment of some places, with the factors that belong to a family there, or to one above it."""
    lines = dict(lines)
    factors: dict[int, list[Resolved]] = {top: [] for top in lines}
    alone: list[Resolved] = []
    for each in moving:
        owner = _owner(each, here, lines, solution)
        if owner is None and each.constant(here):
            alone.append(each.at(here[:1]))
            continue
        if owner is None:
            each.give_up_at(here)
            continue
        family, places, factor = owner
        lines.setdefault(family, places)
        factors.setdefault(family, []).append(factor)
    counted = {top: digits(places) for top, places in lines.items()}
    if any(each is None for each in counted.values()):
        raise UnreadableError(list(lines))
    sizes = common_sizes([[size for size, _ in each] for each in counted.values() if each is not None])
    strides = {top: _cut(each or [], sizes) for top, each in counted.items()}
    for top, steps in strides.items():
        if steps is None or not _counts(sizes, steps, solution.families[top].size):
            raise UnreadableError(list(lines))
    kept = {top: each or () for top, each in strides.items()}
    if alone:
        kept[ALONE], factors[ALONE] = (0,) * len(sizes), alone
    return Segment(start, stop, tuple(sizes), kept, {top: tuple(each) for top, each in factors.items()})


def _counts(sizes: Sequence[int], strides: Sequence[int], size: int) -> bool:
    """Whether digits count all places of a family, each once (or as often as every other)."""
    for stride, own in sorted(((s, n) for n, s in zip(sizes, strides, strict=True) if s), reverse=True):
        if size != stride * own:
            return False
        size = stride
    return size == 1


def _owner(factor: Resolved, here: Ids, lines: dict[int, Ids], solution: Solution) -> tuple[int, Ids, Resolved] | None:
    """Return the family to whose units a factor belongs, its places, and the factor of each unit."""
    above = {t: places[line] for top, line in lines.items() for t, places in solution.families[top].above.items()}
    for top, line in [*lines.items(), *((t, line) for t, line in above.items() if solution.families[t].free)]:
        first = np.full(solution.families[top].size, -1, dtype=np.int64)
        first[line[::-1]] = here[::-1]
        if (first >= 0).all() and factor.agrees(first[line], here) and factor.distinct(first):
            return top, line, factor.at(first)
    return None


def _frozen(start: int, stop: int, length: int, resolved: list[Resolved]) -> list[Segment]:
    """Return segments that nothing permutes; what several places of one share, or a single place, may still act."""
    here = np.arange(start, stop)
    own = [each for each in resolved if each.moves(start, stop)]
    if not own:
        return [Segment(start, stop, (stop - start,), {}, {})]
    if all(each.constant(here) for each in own):
        return [_alone(start, stop, here, own)]
    parts = parted(start, stop, length, [stop - start], [[0]], own)
    if parts and all(len(part.places) > 1 for part in parts):
        return [replace(_alone(start, stop, part.places, own), view=part.view, box=part.box) for part in parts]
    for each in own:
        each.give_up(start, stop)
    return [Segment(start, stop, (stop - start,), {}, {})]


def _alone(start: int, stop: int, here: Ids, factors: Sequence[Resolved]) -> Segment:
    """Return the segment of places that keep theirs, and share these factors."""
    return Segment(start, stop, (len(here),), {ALONE: (0,)}, {ALONE: tuple(each.at(here[:1]) for each in factors)})


def unshared(segment: Segment) -> Segment:
    """Return a segment after the factors that all its places share have been given up."""
    for each in segment.factors.get(ALONE, ()):
        each.give_up_at(np.arange(len(each.scale)))
    strides, factors = ({k: v for k, v in each.items() if k != ALONE} for each in (segment.strides, segment.factors))
    return replace(segment, strides=strides, factors=factors)  # type: ignore[arg-type]


def _cut(counted: list[tuple[int, int]], sizes: Sequence[int]) -> tuple[int, ...] | None:
    """Return the strides of digits cut into ``sizes``; None where a digit does not divide."""
    strides, left = [], list(reversed(counted))
    for size in reversed(sizes):
        if not left:
            return None
        own, stride = left[0]
        if own % size:
            return None
        strides.append(stride)
        left = [(own // size, stride * size), *left[1:]] if own > size else left[1:]
    return tuple(reversed(strides))
