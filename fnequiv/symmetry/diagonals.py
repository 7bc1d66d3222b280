"""Diagonal cells of single entries, written one way: as plain tensors where that says as much.

Notation. The weight of a BatchNorm, γ, is a diagonal cell (g, 1, 1): its rows lie on the units that leave, its columns
on those that enter, which are tied by one permutation. What multiplies one side divides the other.

What is made one. If one side only moves, γ is a vector with an axis on the other; so it is if both sides are one block
and cancel. Which side is called the rows says nothing: it is the one whose block lies on the first places.

Theorem: as in :mod:`fnequiv.symmetry.normal`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .blocks import Axis, Block
from .cells import Cell

if TYPE_CHECKING:
    from .spec import SymmetrySpec

Place = tuple[str, int]


def upright(spec: SymmetrySpec) -> SymmetrySpec:
    """Return the specification with its diagonal cells of single entries written one way.

    Roles have to be those of :func:`fnequiv.symmetry.normal.normalised`: what only moves is ``"carry"``.

    Examples
    --------
    >>> from fnequiv.symmetry import SymmetrySpec
    >>> cell = Cell("w", shape=(2, 1, 1), diagonal=True)
    >>> outer = Block("outer", 2, "permutation", (Axis(cell.name, 1, "carry"),))
    >>> inner = Block("inner", 2, "signed", (Axis(cell.name, 0, "in"),), within="outer", groups=2)
    >>> upright(SymmetrySpec((outer, inner), {"w": (2,)}, (cell,))).block("inner").axes
    (Axis(tensor='w', axis=0, role='in', repeat=1),)
    """
    places = {(axis.tensor, axis.axis): block for block in spec.blocks for axis in block.axes}
    roles = {(axis.tensor, axis.axis): axis.role for block in spec.blocks for axis in block.axes}
    tied = _tied(spec)
    single = {
        cell.name: cell
        for cell in spec.cells
        if cell.diagonal and cell.compact(spec.shapes[cell.tensor])[1:3] == (1, 1)
    }
    moved: dict[Place, Place | None] = {}
    plain: dict[str, Cell | None] = {}
    for name, cell in single.items():
        rows, columns = places.get((name, 0)), places.get((name, 1))
        if rows is None or columns is None or tied[rows.name] != tied[columns.name]:
            continue
        acting = [side for side in (0, 1) if roles[name, side] != "carry"]
        if len(acting) == 2 and rows is not columns:
            if _lie(columns, name, single) < _lie(rows, name, single):
                moved |= {(name, 0): (name, 1), (name, 1): (name, 0)}
        elif len(acting) < 2 or _cancels(rows, roles[name, 0] == roles[name, 1]):
            rest = [axis for axis in range(2, len(cell.extent(spec.shapes[cell.tensor]))) if (name, axis) in places]
            plain[name] = vector = _vector(cell, spec.shapes[cell.tensor], alone=not rest)
            piece = cell.tensor if vector is None else vector.name
            kept = acting[0] if len(acting) == 1 else 0
            moved |= {(name, kept): (piece, 0), (name, 1 - kept): None}
            moved |= {(name, axis): (piece, axis - 1) for axis in rest}
    cells = [plain.get(cell.name, cell) for cell in spec.cells]
    blocks = tuple(replace(block, axes=_moved(block, moved, plain)) for block in spec.blocks)
    return replace(spec, blocks=blocks, cells=tuple(cell for cell in cells if cell is not None))


def _cancels(block: Block, alike: bool) -> bool:
    """Return whether the factors of a unit, on both sides of a diagonal, make 1."""
    if alike:
        return not block.scales
    return block.degree == 1 and not (block.signs and block.even)


def _moved(block: Block, moved: dict[Place, Place | None], plain: dict[str, Cell | None]) -> tuple[Axis, ...]:
    axes = []
    both = {axis.tensor for axis in block.axes if axis.axis == 0} & {
        axis.tensor for axis in block.axes if axis.axis == 1
    }
    for axis in block.axes:
        place = moved.get((axis.tensor, axis.axis), (axis.tensor, axis.axis))
        if place is not None:
            cancelled = axis.tensor in plain and axis.axis < 2 and axis.tensor in both
            axes.append(replace(axis, tensor=place[0], axis=place[1], role="carry" if cancelled else axis.role))
    return tuple(axes)


def _tied(spec: SymmetrySpec) -> dict[str, str]:
    """Return for each block the first of those with its permutation."""
    first: dict[str, str] = {}
    for block in spec.blocks:
        first[block.name] = first[block.within] if block.within and block.size == block.groups else block.name
    return first


def _lie(block: Block, but: str, single: dict[str, Cell]) -> list[Place]:
    """Return where a block lies elsewhere, sides of diagonal cells of single entries left open."""
    return sorted(
        (axis.tensor, -1 if axis.tensor in single and axis.axis < 2 else axis.axis)
        for axis in block.axes
        if axis.tensor != but
    )


def _vector(cell: Cell, shape: tuple[int, ...], *, alone: bool) -> Cell | None:
    """Return the cell with its axes (g, 1, 1, ...) read as (g, ...), or None where the tensor itself says as much.

    It does if its axes are those, or if its first is g and the units lie ``alone``, with no block on the other axes.
    """
    sizes = cell.shape or tuple(stop - start for start, stop in cell.bounds(shape))
    order = cell.order or tuple(range(len(sizes)))
    ones = order[1:3]
    kept = [axis for axis in range(len(sizes)) if axis not in ones]
    turned = tuple(kept.index(axis) for axis in order if axis not in ones)
    sizes = tuple(sizes[axis] for axis in kept)
    straight = turned == tuple(range(len(sizes)))
    whole = cell.view is None and cell.box in (None, tuple((0, size) for size in shape))
    if whole and straight and (sizes == shape or (alone and sizes[0] == shape[0])):
        return None
    return replace(cell, shape=sizes, order=None if straight else turned, diagonal=False)
