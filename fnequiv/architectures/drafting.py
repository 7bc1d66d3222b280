"""A piece of a tensor in the making: the digits of its axes, and which three of them are read as a diagonal.

Notation. An axis where two families share a digit (g), (g, m) and (g, n), is block-diagonal: axes (g·m, g·n). So is one
where units carry two factors, with m = 1; and one whose units lie within others that are the minor digit.

Chapter: "The symmetry of any model". Theorem: Proposition 1 of Shen (2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .reading import ALONE, Segment, UnreadableError
from .scaling import Resolved
from .solving import Solution


@dataclass
class Draft:
    """A piece in the making: its sizes, what lies on each, and the first of three sizes read as a diagonal."""

    solution: Solution
    sizes: list[int] = field(default_factory=list)
    slots: list[tuple[int, int, int, tuple[Resolved, ...]]] = field(default_factory=list)  # size, family, repeat, ...
    diagonal: int | None = None
    crossed: bool = False  # whether the three sizes are turned about

    def add(self, segment: Segment) -> None:
        """Add the digits of a segment."""
        families = {top: strides for top, strides in segment.strides.items() if top != ALONE}
        shared = any(len(_on(segment, k)) > 1 for k in range(len(segment.sizes)))
        crossed = list(families.values()) == [(1, segment.sizes[0])]
        if (shared or crossed) and ALONE in segment.strides:
            give_up(segment.factors[ALONE])
            segment = replace(segment, strides=families)
        if not segment.strides:
            self.sizes.append(segment.stop - segment.start)
        elif shared:
            self._block_diagonal(segment)
        elif crossed:
            self._crossed(segment)
        elif ALONE in segment.strides:
            self._plain(segment, alone=segment.factors[ALONE])
        else:
            self._plain(segment)

    def _plain(self, segment: Segment, alone: tuple[Resolved, ...] = ()) -> None:
        """Add digits one by one; factors that are the same everywhere lie on what families leave at the end."""
        first, sizes = len(self.slots), list(segment.sizes)
        behind = 1
        while alone and sizes and not _on(segment, len(sizes) - 1):
            behind *= sizes.pop()
        for k, size in enumerate(sizes):
            here = _on(segment, k)
            if here and sum(1 for stride in segment.strides[here[0]] if stride) > 1:
                raise UnreadableError(list(segment.strides))
            if here:
                self.sizes.append(size)
                self.slots.append((len(self.sizes) - 1, here[0], 1, segment.factors[here[0]]))
            elif len(self.slots) > first:
                axis, family, repeat, factors = self.slots[-1]
                self.sizes[-1] *= size
                self.slots[-1] = (axis, family, repeat * size, factors)
            else:
                self.sizes.append(size)
        if alone:
            self.sizes.append(behind)
            self.slots.append((len(self.sizes) - 1, alone[0].lone, behind, alone))

    def _crossed(self, segment: Segment) -> None:
        """Add digits (n, g) of a family whose units lie within g others: turned about, and read as a diagonal."""
        family = next(iter(segment.strides))
        parents = self.solution.families[family].parents
        n, g = segment.sizes
        if self.diagonal is not None or len(parents) != 1 or self.solution.families[parents[0]].size != g:
            raise UnreadableError([family])
        k = len(self.sizes)
        self.sizes += [n, 1, g]
        self.diagonal, self.crossed = k, True
        self.slots += [(k + 2, parents[0], 1, ()), (k, family, 1, segment.factors[family])]

    def _block_diagonal(self, segment: Segment) -> None:
        """Add digits (g, m, n) of which two families share the first; one of them may have no other."""
        sizes, strides = segment.sizes, segment.strides
        lead = next(k for k in range(len(sizes)) if _on(segment, k))
        wanted = [_on(segment, k) for k in range(lead + 1, len(sizes))]
        others = [top for here in wanted for top in here]
        if (
            len(strides) != 2
            or len(_on(segment, lead)) != 2
            or self.diagonal is not None
            or len(set(others)) < len(others)
        ):
            raise UnreadableError(list(strides))
        before = [size for size, here in zip(sizes[lead + 1 :], wanted, strict=True) if here]
        behind = math.prod(sizes[lead + 1 :]) // math.prod(before)
        if any(wanted[len(before) :]):
            raise UnreadableError(list(strides))
        bare = [top for top in strides if top not in others]
        k = len(self.sizes) + lead
        if len(others) == 2:
            families, rows, columns = others, before[0], before[1]
        elif behind > 1:
            families, rows, columns = [*others, *bare], before[0], 1
        else:
            families, rows, columns = [*bare, *others], 1, before[0]
        self.sizes += [*sizes[:lead], sizes[lead], rows, columns * behind]
        self.diagonal = k
        for axis, top, times in ((k, families[0], 1), (k + 2, families[1], behind)):
            self.slots.append((axis, top, times, segment.factors[top]))

    def split(self) -> None:
        """Read an axis whose units carry two factors as a diagonal: one axis for each."""
        for j, (k, family, repeat, factors) in enumerate(self.slots):
            if len(factors) > 1 and self.diagonal is None:
                factors = tuple(sorted(factors, key=lambda each: -int(each.power[0])))  # what comes out, what goes in
                self.sizes[k : k + 1] = [self.sizes[k] // repeat, 1, repeat]
                others = [(a + 2 * (a > k), *more) for i, (a, *more) in enumerate(self.slots) if i != j]
                own = [each.lone if family < 0 else family for each in factors]
                pair = [(k, own[0], 1, factors[:1]), (k + 2, own[1], repeat, factors[1:])]
                self.slots = [*others[:j], *pair, *others[j:]]  # type: ignore[list-item]
                self.diagonal = k
                return

    def order(self) -> tuple[tuple[int, ...] | None, dict[int, int]]:
        """Return the order that puts the diagonal first, and the piece's axis for each size."""
        if self.diagonal is None:
            return None, {k: k for k in range(len(self.sizes))}
        k = self.diagonal
        rest = [j for j in range(len(self.sizes)) if not k <= j < k + 3]
        order = (k + 2, k + 1, k, *rest) if self.crossed else (k, k + 1, k + 2, *rest)
        place = {order[0]: 0, order[2]: 1} | {j: n + 2 for n, j in enumerate(rest)}
        return (order if order != tuple(range(len(order))) else None), place


def fits(segment: Segment, view: tuple[int, ...]) -> bool:
    """Whether a segment is a box in a view of its axis."""
    return bool(segment.box) or not (segment.start % math.prod(view[1:]) or segment.stop % math.prod(view[1:]))


def boxed(segment: Segment, view: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the box of a segment that fits a view of its axis."""
    if segment.box:
        return segment.box
    each = math.prod(view[1:])
    return ((segment.start // each, segment.stop // each), *((0, size) for size in view[1:]))


def _on(segment: Segment, k: int) -> list[int]:
    """Return the families that a digit counts."""
    return sorted(top for top, strides in segment.strides.items() if strides[k])


def give_up(factors: Sequence[Resolved]) -> None:
    """Hold factors for which an axis has no room."""
    for each in factors:
        each.give_up(0, len(each.scale))
