"""From readings to a specification: pieces of tensors, the blocks that act on them, and their kinds.

Notation. A *slot* is an axis of a piece where a family lies, with the factors that its units carry there. Factors that
are one variable make a block of the family; a family with several has one block for each, their permutations tied.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Architectures".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..symmetry import Axis, Block, kind_of
from ..symmetry.cells import Cell
from .factors import Factor, Factors
from .reading import Segment, UnreadableError
from .scaling import Resolved
from .solving import Solution


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
        boxes = list(itertools.product(*axes))
        if not any(segment.strides for box in boxes for segment in box):
            return
        for box in boxes:
            self.piece(name, shape, box, whole=len(boxes) == 1)

    def piece(self, name: str, shape: tuple[int, ...], box: Sequence[Segment], *, whole: bool) -> None:
        """Write one box of a tensor."""
        sizes: list[int] = []
        slots: list[tuple[int, int, int, tuple[Resolved, ...]]] = []  # dimension, family, repeat, factors
        for segment in box:
            self._digits(segment, sizes, slots)
        bounds = None if whole else tuple((segment.start, segment.stop) for segment in box)
        own = tuple(segment.stop - segment.start for segment in box)
        cell: str | Cell = name
        if bounds is not None or tuple(sizes) != own:
            cell = Cell(name, bounds, tuple(sizes) if tuple(sizes) != own else None)
        self._write(name, cell, tuple(sizes), slots)

    def _write(
        self, name: str, cell: str | Cell, sizes: tuple[int, ...],
        slots: Sequence[tuple[int, int, int, tuple[Resolved, ...]]],
    ) -> None:  # fmt: skip
        """Write a piece with one family an axis; an axis where units carry two factors is read as a diagonal."""
        double = [slot for slot in slots if len(slot[3]) > 1]
        if not double:
            if isinstance(cell, Cell):
                self.cells.append(cell)
            self.slots += [Slot(cell, *slot) for slot in slots]
            return
        k, family, repeat, factors = double[0]
        for _, _, _, more in double[1:]:
            _give_up(more[1:])
        factors = tuple(sorted(factors, key=lambda each: -int(each.power[0])))  # what comes out, then what goes in
        _give_up(factors[2:])
        count = sizes[k] // repeat
        shape = (*sizes[:k], count, 1, repeat, *sizes[k + 1 :])
        rest = [j for j in range(len(shape)) if not k <= j < k + 3]
        order = (k, k + 1, k + 2, *rest)
        bounds = cell.box if isinstance(cell, Cell) else None
        written = Cell(name, bounds, shape, order if order != tuple(range(len(shape))) else None, diagonal=True)
        self.cells.append(written)
        place = {j: n + 2 for n, j in enumerate(rest)}
        for axis, each, times, own_factors in slots:
            if axis == k:
                self.slots.append(Slot(written, 0, family, 1, factors[:1]))
                self.slots.append(Slot(written, 1, family, repeat, factors[1:2]))
            else:
                self.slots.append(Slot(written, place[axis if axis < k else axis + 2], each, times, own_factors[:1]))

    def _digits(
        self, segment: Segment, sizes: list[int], slots: list[tuple[int, int, int, tuple[Resolved, ...]]]
    ) -> None:
        """Add a segment's digits to the sizes of a piece, and its families to the slots."""
        if not segment.strides:
            sizes.append(segment.stop - segment.start)
            return
        if -1 in segment.strides:
            sizes.append(1)
            slots.append((len(sizes) - 1, _single(segment.factors[-1][0]), 1, segment.factors[-1]))
            return
        open_slot = False
        for k, size in enumerate(segment.sizes):
            here = [top for top, strides in segment.strides.items() if strides[k]]
            if len(here) > 1 or (here and sum(1 for s in segment.strides[here[0]] if s) > 1):
                raise UnreadableError(list(segment.strides))
            if here:
                sizes.append(size)
                slots.append((len(sizes) - 1, here[0], 1, segment.factors[here[0]]))
                open_slot = True
            elif open_slot:
                axis, family, repeat, factors = slots[-1]
                sizes[-1] *= size
                slots[-1] = (axis, family, repeat * size, factors)
            else:
                sizes.append(size)

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


def _single(factor: Resolved) -> int:
    """Return the number of the family of one unit that carries a factor."""
    scale, sign = int(factor.scale[0]), int(factor.sign[0])
    return -2 - 2 * scale if scale >= 0 else -3 - 2 * sign


def _give_up(factors: Sequence[Resolved]) -> None:
    for each in factors:
        each.give_up(0, len(each.scale))


def blocks(sheet: Sheet, pointwise: set[int]) -> tuple[tuple[Block, ...], list[str]]:
    """Return the blocks of all slots, parents first, and notes."""
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
            mixing = 0
            if factor and full and k >= 0 and k not in pointwise and factor.signs and factor.scales:
                mixing = size * (size // runs - 1)
            out.append(_block(names[k] if j == 0 else f"{names[k]} ({j + 1})", size, factor, axes, mixing, nested))
            if j == 0:
                nested = {"within": names[k], "groups": size}
    return tuple(out), []


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
