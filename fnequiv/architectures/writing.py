"""From readings to a specification: pieces of tensors, the blocks that act on them, and their kinds.

Notation. A *slot* is an axis of a piece where a family lies, with the factors that its units carry there. Factors that
are one variable make a block of the family; a family with several has one block for each, their permutations tied.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Architectures".
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..symmetry import Axis, Block, kind_of
from ..symmetry.cells import Cell
from .factors import Factor, Factors
from .reading import Segment, UnreadableError
from .scaling import Resolved
from .solving import Solution
from .structure import Ids


@dataclass(frozen=True, eq=False)
class Slot:
    """An axis of a piece: the piece (a tensor's name or a cell), the axis, its family, repeat, and factors."""

    piece: str | Cell
    axis: int
    family: int
    repeat: int
    factors: tuple[Resolved, ...]


@dataclass
class Sheet:
    """What is written so far: cells and slots."""

    solution: Solution
    cells: list[Cell] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)

    def tensor(self, name: str, shape: tuple[int, ...], axes: Sequence[Sequence[Segment]]) -> None:
        """Write a tensor whose axes are read one apart from the other."""
        self.boxes(name, shape, list(itertools.product(*axes)))

    def boxes(self, name: str, shape: tuple[int, ...], boxes: Sequence[Sequence[Segment]]) -> None:
        """Write a tensor that is cut into boxes."""
        if any(segment.strides for box in boxes for segment in box):
            views = [{box[axis].view for box in boxes} - {()} for axis in range(len(shape))]
            if any(len(each) > 1 for each in views):
                raise UnreadableError([top for box in boxes for segment in box for top in segment.strides if top >= 0])
            view = [next(iter(each), (size,)) for each, size in zip(views, shape, strict=True)] if any(views) else None
            for box in boxes:
                self.piece(name, shape, box, whole=len(boxes) == 1, view=view)

    def piece(self, name: str, shape: tuple[int, ...], box: Sequence[Segment], *, whole: bool,
              view: Sequence[tuple[int, ...]] | None = None) -> None:  # fmt: skip
        """Write one box of a tensor, cut in a view of it."""
        draft = _Draft(self.solution)
        for segment in box:
            draft.add(segment)
        draft.split()
        bounds = None if whole and view is None else tuple((segment.start, segment.stop) for segment in box)
        if view is not None:
            pairs = (_boxed(segment, axis) for segment, axis in zip(box, view, strict=True))
            bounds = tuple(itertools.chain.from_iterable(pairs))
        own = tuple(b - a for a, b in bounds or [(0, size) for size in shape])
        sizes = tuple(draft.sizes) if tuple(draft.sizes) != own else None
        order, place = draft.order()
        cell: str | Cell = name
        if bounds is not None or sizes is not None or draft.diagonal is not None:
            split = None if view is None else tuple(itertools.chain.from_iterable(view))
            cell = Cell(name, bounds, sizes, order, diagonal=draft.diagonal is not None, view=split)
            self.cells.append(cell)
        for k, family, repeat, factors in draft.slots:
            _give_up(factors[1:])
            self.slots.append(Slot(cell, place[k], family, repeat, factors[:1]))

    def grouped(self, name: str, shape: tuple[int, ...], groups: int, out: Segment, inner: Segment) -> None:
        """Write a grouped convolution's weight, [groups, out, in, ...], as a block-diagonal matrix."""
        rows, columns = shape[0] // groups, shape[1]
        cell = Cell(name, None, (groups, rows, columns, *shape[2:]), None, diagonal=True)
        self.cells.append(cell)
        for axis, segment in ((0, out), (1, inner)):
            for family, strides in segment.strides.items():
                if len(segment.sizes) > 2 or strides[0] == 0:
                    raise UnreadableError(list(segment.strides))
                repeat = math.prod(segment.sizes[1:])
                _give_up(segment.factors[family][1:])
                self.slots.append(Slot(cell, axis, family, repeat, segment.factors[family][:1]))

    def stack(self, name: str, shape: tuple[int, ...], joint: Sequence[Segment], axes: Sequence[int], top: Segment,
              rest: dict[int, Segment]) -> None:  # fmt: skip
        """Write a stack of weights as a block-diagonal matrix: one or two axes lie within the first."""
        extra = len(joint) == 1
        sizes = (shape[0], *((1,) if extra else ()), *shape[1:])
        moved = [axis + extra for axis in axes]
        order = (0, *((1,) if extra else ()), *moved, *(axis + extra for axis in sorted(rest)))
        kept = order if order != tuple(range(len(order))) else None
        cell = Cell(name, None, sizes if extra else None, kept, diagonal=True)
        self.cells.append(cell)
        lying = [top, joint[0]] if extra else list(joint)
        for axis, segment in enumerate([*lying, *(rest[k] for k in sorted(rest))]):
            for family, strides in segment.strides.items():
                if len(segment.sizes) > 2 or strides[0] == 0:
                    raise UnreadableError(list(segment.strides))
                factors = segment.factors[family]
                _give_up(factors[1:])
                self.slots.append(Slot(cell, axis, family, math.prod(segment.sizes[1:]), factors[:1]))


@dataclass
class _Draft:
    """A piece in the making: its sizes, what lies on each, and the first of three sizes read as a diagonal."""

    solution: Solution
    sizes: list[int] = field(default_factory=list)
    slots: list[tuple[int, int, int, tuple[Resolved, ...]]] = field(default_factory=list)  # size, family, repeat, ...
    diagonal: int | None = None
    crossed: bool = False  # whether the three sizes are turned about

    def add(self, segment: Segment) -> None:
        """Add the digits of a segment."""
        if not segment.strides:
            self.sizes.append(segment.stop - segment.start)
        elif -1 in segment.strides:
            self.sizes.append(1)
            self.slots.append((len(self.sizes) - 1, _single(segment.factors[-1][0]), 1, segment.factors[-1]))
        elif any(len(_on(segment, k)) > 1 for k in range(len(segment.sizes))):
            self._block_diagonal(segment)
        elif list(segment.strides.values()) == [(1, segment.sizes[0])]:
            self._crossed(segment)
        else:
            self._plain(segment)

    def _plain(self, segment: Segment) -> None:
        first = len(self.slots)
        for k, size in enumerate(segment.sizes):
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
                pair = [(k, family, 1, factors[:1]), (k + 2, family, repeat, factors[1:])]
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


def _boxed(segment: Segment, view: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return a segment's box in a view of its axis."""
    if segment.box or len(view) == 1:
        return segment.box or ((segment.start, segment.stop),)
    each = math.prod(view[1:])
    if segment.start % each or segment.stop % each:
        raise UnreadableError(list(segment.strides))
    return ((segment.start // each, segment.stop // each), *((0, size) for size in view[1:]))


def _on(segment: Segment, k: int) -> list[int]:
    """Return the families that a digit counts."""
    return sorted(top for top, strides in segment.strides.items() if strides[k])


def _single(factor: Resolved) -> int:
    """Return the number of the family of one unit that carries a factor."""
    scale, sign = int(factor.scale[0]), int(factor.sign[0])
    return -2 - 2 * scale if scale >= 0 else -3 - 2 * sign


def _give_up(factors: Sequence[Resolved]) -> None:
    for each in factors:
        each.give_up(0, len(each.scale))


def blocks(sheet: Sheet, pointwise: set[int], shifts: Ids, turns: set[int]) -> tuple[Block, ...]:
    """Return the blocks of all slots, parents first.

    ``shifts`` are units of biases that may be shifted freely, ``turns`` scales of pairs that may be turned.
    """
    shifted = Counter(sheet.solution.family[shifts].tolist())
    factors = Factors(sheet.slots)
    solution = sheet.solution
    lying: dict[int, list[Slot]] = {}
    for slot in sheet.slots:
        lying.setdefault(slot.family, []).append(slot)
    for k in list(lying):
        while k >= 0 and solution.families[k].parents:
            k = solution.families[k].parents[0]
            lying.setdefault(k, [])
    out: list[Block] = []
    names: dict[int, str] = {}
    for k in sorted(lying, key=lambda k: (0 if k < 0 else len(solution.families[k].above), _first(lying[k]))):
        size = 1 if k < 0 else solution.families[k].size
        parent = None if k < 0 or not solution.families[k].parents else solution.families[k].parents[0]
        if parent is not None and not solution.families[parent].free:
            raise UnreadableError([k])
        runs = 1 if parent is None else solution.families[parent].size
        names[k] = _name(k, lying, solution, set(names.values()) | {block.name for block in out})
        own = factors.of(lying[k])
        nested = {"within": None if parent is None else names[parent], "groups": runs}
        full = len(own) == 1 and all(factors.use(slot) for slot in lying[k]) and bool(lying[k])
        for j, factor in enumerate(own or [None]):
            axes = [axis for slot in lying[k] if (axis := _axis(slot, factor, factors, first=j == 0)) is not None]
            mixing = shifted[k] if j == 0 else 0
            if factor and full and k >= 0 and k not in pointwise and factor.signs and factor.scales:
                mixing += size * (size // runs - 1)
            if factor and factor.scales and int(factor.uses[0][0].factors[0].scale[0]) in turns:
                mixing += size
            out.append(_block(names[k] if j == 0 else f"{names[k]} ({j + 1})", size, factor, axes, mixing, nested))
            if j == 0:
                nested = {"within": names[k], "groups": size}
    return tuple(out)


def _block(name: str, size: int, factor: Factor | None, axes: list[Axis], mixing: int, nested: dict) -> Block:
    if factor is None:
        return Block(name, size, "permutation", tuple(axes), mixing=mixing, **nested)
    kind = kind_of(signs=factor.signs, scales=factor.scales)
    return Block(name, size, kind, tuple(axes), even=factor.even, degree=factor.degree, mixing=mixing, **nested)


def _axis(slot: Slot, factor: Factor | None, factors: Factors, *, first: bool) -> Axis | None:
    name = slot.piece.name if isinstance(slot.piece, Cell) else slot.piece
    use = factors.use(slot)
    if use is None or factor is None:
        return Axis(name, slot.axis, "carry", slot.repeat) if first else None
    found, role = use
    return Axis(name, slot.axis, role, slot.repeat) if found is factor else None


def _first(slots: list[Slot]) -> str:
    return min((slot.piece.tensor if isinstance(slot.piece, Cell) else slot.piece for slot in slots), default="")


def _name(k: int, lying: dict[int, list[Slot]], solution: Solution, taken: set[str]) -> str:
    slots = lying[k]
    below = [each for j, own in lying.items() if j >= 0 and k in solution.families[j].above for each in own]
    slot = (slots or below)[0]
    tensor = slot.piece.tensor if isinstance(slot.piece, Cell) else slot.piece
    path = tensor.rpartition(".")[0] or tensor
    name = path if slots else f"{path} groups"
    others = (f"{name} #{n}" for n in itertools.count(2))
    return next(each for each in itertools.chain([name], others) if each not in taken)
