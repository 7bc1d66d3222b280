"""From readings to a specification: pieces of tensors, the blocks that act on them, and their kinds.

Notation. A *slot* is an axis of a piece where a family lies, with the factors that its units carry there. Factors that
are one variable make a block of the family; a family with several has one block for each, their permutations tied.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ..symmetry.cells import Cell
from .drafting import Draft, boxed, fits, give_up
from .reading import ALONE, Segment, UnreadableError
from .scaling import Resolved
from .solving import Solution


@dataclass(frozen=True, eq=False)
class Slot:
    """An axis of a piece: the piece (a tensor's name or a cell), the axis, its family, repeat, factors; is it heard?"""

    piece: str | Cell
    axis: int
    family: int
    repeat: int
    factors: tuple[Resolved, ...]
    heard: bool = True

    @property
    def name(self) -> str:
        """The name of the piece."""
        return self.piece.name if isinstance(self.piece, Cell) else self.piece

    @property
    def tensor(self) -> str:
        """The name of the tensor that the piece is of."""
        return self.piece.tensor if isinstance(self.piece, Cell) else self.piece


@dataclass
class Sheet:
    """What is written so far: cells and slots. A tensor has a mask where only a part of its entries is heard."""

    solution: Solution
    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)

    def dropped(self) -> list[str]:
        """Drop the families that lie nowhere where an output hears them; return the tensors where they lie."""
        kept = {slot.family for slot in self.slots if slot.heard}
        for k in list(kept):
            while k >= 0 and self.solution.families[k].parents:
                k = self.solution.families[k].parents[0]
                kept.add(k)
        gone = [slot.tensor for slot in self.slots if slot.family not in kept]
        self.slots = [slot for slot in self.slots if slot.family in kept]
        return list(dict.fromkeys(gone))

    def give_up_idle(self) -> None:
        """Give up factors of single units that cancel on several axes of a piece, wherever they lie."""
        alone = [slot for slot in self.slots if slot.family < 0 and slot.factors]
        powers: dict[tuple[int, str], list[int]] = {}
        for slot in alone:
            factor, total = slot.factors[0], powers.setdefault((slot.family, slot.name), [0, 0])
            total[0] += int(factor.power[0]) if factor.scale[0] >= 0 else 0
            total[1] += int(factor.sign[0] >= 0)
        acting = {family for (family, _), (scale, sign) in powers.items() if scale or sign % 2}
        for slot in alone:
            if slot.family not in acting:
                give_up(slot.factors)

    def _hears(self, name: str, shape: tuple[int, ...], cell: str | Cell) -> bool:
        """Whether an output depends on any entry of a piece of a tensor."""
        mask = self.masks.get(name)
        if mask is None or isinstance(cell, str):
            return mask is None or bool(mask.any())
        box = tuple(slice(*pair) for pair in cell.bounds(shape))
        return bool(mask.reshape(cell.view or shape)[box].any())

    def tensor(self, name: str, shape: tuple[int, ...], axes: Sequence[Sequence[Segment]]) -> None:
        """Write a tensor whose axes are read one apart from the other."""
        self.boxes(name, shape, list(itertools.product(*axes)))

    def boxes(self, name: str, shape: tuple[int, ...], boxes: Sequence[Sequence[Segment]]) -> None:
        """Write a tensor that is cut into boxes."""
        if any(segment.strides for box in boxes for segment in box):
            views = [{box[axis].view for box in boxes} - {()} for axis in range(len(shape))]
            view = [next(iter(each), (size,)) for each, size in zip(views, shape, strict=True)]
            if any(len(each) > 1 for each in views) or not all(all(map(fits, box, view)) for box in boxes):
                self._misfit(boxes)
                return
            for box in boxes:
                self.piece(name, shape, box, whole=len(boxes) == 1, view=view if any(views) else None)

    def _misfit(self, boxes: Sequence[Sequence[Segment]]) -> None:
        """Give up what asks for views that do not go together: the axes are laid again without it."""
        viewed = [segment for box in boxes for segment in box if segment.view]
        if families := [top for segment in viewed for top in segment.strides if top != ALONE]:
            raise UnreadableError(families)
        for segment in viewed:
            give_up(segment.factors[ALONE])

    def piece(self, name: str, shape: tuple[int, ...], box: Sequence[Segment], *, whole: bool,
              view: Sequence[tuple[int, ...]] | None = None) -> None:  # fmt: skip
        """Write one box of a tensor, cut in a view of it."""
        draft = Draft(self.solution)
        for segment in box:
            draft.add(segment)
        draft.split()
        bounds = None if whole and view is None else tuple((segment.start, segment.stop) for segment in box)
        if view is not None:
            pairs = (boxed(segment, axis) for segment, axis in zip(box, view, strict=True))
            bounds = tuple(itertools.chain.from_iterable(pairs))
        own = tuple(b - a for a, b in bounds or [(0, size) for size in shape])
        sizes = tuple(draft.sizes) if tuple(draft.sizes) != own else None
        order, place = draft.order()
        cell: str | Cell = name
        if bounds is not None or sizes is not None or draft.diagonal is not None:
            split = None if view is None else tuple(itertools.chain.from_iterable(view))
            cell = Cell(name, bounds, sizes, order, diagonal=draft.diagonal is not None, view=split)
            self.cells.append(cell)
        heard = self._hears(name, shape, cell)
        for k, family, repeat, factors in draft.slots:
            give_up(factors[1:])
            self.slots.append(Slot(cell, place[k], family, repeat, factors[:1], heard))

    def grouped(self, name: str, shape: tuple[int, ...], groups: int, out: Segment, inner: Segment) -> None:
        """Write a grouped convolution's weight, [groups, out, in, ...], as a block-diagonal matrix."""
        rows, columns = shape[0] // groups, shape[1]
        cell = Cell(name, None, (groups, rows, columns, *shape[2:]), None, diagonal=True)
        self.cells.append(cell)
        self._diagonal(cell, [out, inner], heard=self._hears(name, shape, cell))

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
        self._diagonal(cell, [*lying, *(rest[k] for k in sorted(rest))], heard=self._hears(name, shape, cell))

    def _diagonal(self, cell: Cell, axes: Sequence[Segment], *, heard: bool) -> None:
        """Write what lies on the axes of a block-diagonal cell."""
        for axis, segment in enumerate(axes):
            give_up(segment.factors.get(ALONE, ()))
            for family, strides in segment.strides.items():
                if family == ALONE:
                    continue
                if len(segment.sizes) > 2 or strides[0] == 0:
                    raise UnreadableError(list(segment.strides))
                factors = segment.factors[family]
                give_up(factors[1:])
                self.slots.append(Slot(cell, axis, family, math.prod(segment.sizes[1:]), factors[:1], heard))
