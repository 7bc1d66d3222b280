"""Cells: pieces of tensors with axes of their own, where units lie on a part of an axis or on two axes at once.

Notation. A *cell* is a box cut out of a tensor, read with another shape, its axes in another order. The rows of an
attention's ``in_proj_weight`` are three cells (queries, keys, values); the weights of a linear layer behind a
concatenation are one for each operand. A grouped convolution with weight [g·m, n, k, k] has g blocks of m × n filters,
and both its in-channels (g·n) and its out-channels (g·m) fall into g groups: as a matrix it is block-diagonal. A
*diagonal* cell is read so: axes (g, m, n) as one [g·m, g·n] matrix that is zero outside its blocks. The weight of a
BatchNorm, which multiplies one channel each, is the diagonal cell with m = n = 1. Rows that lie apart, as the two units
of a rotary pair in every head, become a box in a *view*: the tensor read with its axes split, (heads, 2, pairs, …).

Theorem: section 4 of Shen (2024) extends Proposition 1 to these layers. Chapter: "Convolutional networks".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from operator import mul

from ..validation import check_bool, check_integer, shown
from .blocks import check_length

Box = tuple[tuple[int, int], ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A box of a tensor, read with another shape, order of axes, or as the blocks of a block-diagonal matrix.

    Parameters
    ----------
    tensor
        Name of the tensor.
    box
        One pair (start, stop) an axis; None for the whole tensor.
    shape
        What the box is reshaped to (row-major, as ``reshape`` does); None for its own shape.
    order
        The axes after the reshape in their new order (as ``permute`` takes them); None to leave them.
    diagonal
        Whether the first three axes, (g, m, n), are g blocks of m × n on the diagonal of a [g·m, g·n] matrix.
    view
        What the whole tensor is read as before the box is cut, its axes split into several; None for its own shape. All
        cells of a tensor have the same view.

    Raises
    ------
    TypeError
        If a name, a size or a flag is of another type.
    ValueError
        If a pair of the box is empty or negative, a size below 1, or the order no permutation.

    Examples
    --------
    >>> Cell("in_proj_weight", box=((4, 8), (0, 4))).name
    'in_proj_weight[4:8, 0:4]'
    >>> Cell("conv.weight", shape=(2, 3, 4, 3, 3), diagonal=True).extent((6, 4, 3, 3))
    (6, 8, 3, 3)
    >>> Cell("q.weight", view=(2, 2, 3, 5), box=((0, 2), (0, 2), (1, 2), (0, 5)), shape=(4, 5)).name
    'q.weight read as 2x2x3x5[0:2, 0:2, 1:2, 0:5] as 4x5'
    """

    tensor: str
    box: Box | None = None
    shape: Shape | None = None
    order: Shape | None = None
    diagonal: bool = False
    view: Shape | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.tensor, str):
            raise TypeError(f"a cell needs the name of its tensor, a string, got {shown(self.tensor)}")
        check_bool(f"diagonal of a cell of {self.tensor!r}", self.diagonal)
        if self.box is not None:
            object.__setattr__(self, "box", tuple(self._pair(pair) for pair in self._several("box", self.box)))
        for name, shape in (("shape", self.shape), ("view", self.view)):
            if shape is not None:
                sizes = self._several(name, shape)
                object.__setattr__(self, name, tuple(check_length(f"{name} of {self._where}", size) for size in sizes))
        if self.order is not None:
            name = f"order of {self._where}"
            order = tuple(check_integer(name, axis, minimum=0) for axis in self._several("order", self.order))
            if sorted(order) != list(range(len(order))):
                raise ValueError(f"order of {self._where} must hold each of 0..{len(order) - 1} once, got {order}")
            object.__setattr__(self, "order", order)

    @property
    def _where(self) -> str:
        return f"a cell of {self.tensor!r}"

    def _several(self, name: str, values: object) -> Sequence[object]:
        if not isinstance(values, Iterable) or isinstance(values, (str, Mapping)):
            raise TypeError(f"{name} of {self._where} must be a tuple, got {shown(values)}")
        return tuple(values)

    def _pair(self, pair: object) -> tuple[int, int]:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise TypeError(f"box of {self._where} must hold one pair (start, stop) an axis, got {shown(pair)}")
        start = check_length(f"start of {self._where}", pair[0], minimum=0)
        return start, check_length(f"stop of {self._where}", pair[1], minimum=start + 1)

    @property
    def name(self) -> str:
        """The cell's name, made from all that it is; axes name it as they name a tensor."""
        parts = [self.tensor]
        if self.view is not None:
            parts.append(" read as " + "x".join(map(str, self.view)))
        if self.box is not None:
            parts.append("[" + ", ".join(f"{start}:{stop}" for start, stop in self.box) + "]")
        if self.shape is not None:
            parts.append(" as " + "x".join(map(str, self.shape)))
        if self.order is not None:
            parts.append(" in order " + ",".join(map(str, self.order)))
        if self.diagonal:
            parts.append(" diagonal")
        return "".join(parts) if len(parts) > 1 else f"{self.tensor} (whole)"

    def bounds(self, shape: Shape) -> Box:
        """Return the box in a tensor of ``shape``, or in its view.

        Raises
        ------
        ValueError
            If the box or the view does not fit.
        """
        if self.view is not None:
            if not _reaches(shape) <= _reaches(self.view) or math.prod(shape) != math.prod(self.view):
                raise ValueError(f"view {self.view} does not split the axes of {self.tensor!r}, whose shape is {shape}")
            shape = self.view
        if self.box is None:
            return tuple((0, size) for size in shape)
        if len(self.box) != len(shape) or any(stop > size for (_, stop), size in zip(self.box, shape, strict=True)):
            raise ValueError(f"box {self.box} does not fit tensor {self.tensor!r}, whose shape is {shape}")
        return self.box

    def compact(self, shape: Shape) -> Shape:
        """Return the shape after reshape and reordering, before a diagonal one is written out.

        Raises
        ------
        ValueError
            If box, shape and order do not fit a tensor of ``shape``, or a diagonal one has fewer than three axes.

        Examples
        --------
        >>> Cell("w", shape=(2, 3, 4), order=(2, 0, 1)).compact((6, 4))
        (4, 2, 3)
        """
        sizes = tuple(stop - start for start, stop in self.bounds(shape))
        if self.shape is not None:
            if math.prod(self.shape) != math.prod(sizes):
                raise ValueError(f"a box of {sizes} cannot be read as {self.shape} in {self.name!r}: sizes differ")
            sizes = self.shape
        if self.order is not None:
            if len(self.order) != len(sizes):
                raise ValueError(f"order of {self.name!r} must have {len(sizes)} axes, got {len(self.order)}")
            sizes = tuple(sizes[axis] for axis in self.order)
        if self.diagonal and len(sizes) < 3:
            raise ValueError(f"a diagonal cell needs axes (g, m, n, ...), got shape {sizes} for {self.name!r}")
        return sizes

    def extent(self, shape: Shape) -> Shape:
        """Return the cell's own shape in a tensor of ``shape``, a diagonal one written out.

        Raises
        ------
        ValueError
            As :meth:`compact`.
        """
        sizes = self.compact(shape)
        if not self.diagonal:
            return sizes
        blocks, rows, columns, *rest = sizes
        return blocks * rows, blocks * columns, *rest


def _reaches(shape: Shape) -> set[int]:
    """Return how many entries lie behind each cut between two axes."""
    return set(accumulate(reversed(shape), mul))


def check_cells(cells: Sequence[Cell], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes of all *pieces*: tensors that are not cut, and cells; raise unless each entry is in one.

    Raises
    ------
    ValueError
        If a cell's tensor has no shape, a cell does not fit it, two overlap, entries are left out, or names clash.

    Examples
    --------
    >>> halves = [Cell("w", box=((0, 2), (0, 3))), Cell("w", box=((2, 4), (0, 3)))]
    >>> check_cells(halves, {"w": (4, 3), "b": (4,)})
    {'w[0:2, 0:3]': (2, 3), 'w[2:4, 0:3]': (2, 3), 'b': (4,)}
    """
    by_tensor: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.tensor not in shapes:
            raise ValueError(f"a cell cuts {cell.tensor!r}, which has no shape: add it to shapes")
        by_tensor.setdefault(cell.tensor, []).append(cell)
    pieces: dict[str, Shape] = {}
    for name, shape in shapes.items():
        own = by_tensor.get(name, [])
        found = {cell.name: cell.extent(shape) for cell in own} if own else {name: shape}
        boxes = [cell.bounds(shape) for cell in own]
        if len(views := {cell.view for cell in own}) > 1:
            raise ValueError(f"the cells of {name!r} must have one view, got {sorted(views, key=str)}: cut all in one")
        for first, second in combinations(boxes, 2):
            if all(a < d and c < b for (a, b), (c, d) in zip(first, second, strict=True)):
                raise ValueError(f"cells {first} and {second} of {name!r} overlap: an entry belongs to one cell")
        if own and sum(math.prod(stop - start for start, stop in box) for box in boxes) != math.prod(shape):
            raise ValueError(f"the cells of {name!r} leave entries out: cut all of {shape}, also what no block moves")
        if clash := sorted(found.keys() & pieces.keys()):
            raise ValueError(f"two pieces are named {clash[0]!r}: rename the tensor")
        pieces |= found
    return pieces
