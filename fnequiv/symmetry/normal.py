"""One way to write a specification: two of the same group, written with other names or in another order, become equal.

Notation. A *cluster* is a set of blocks whose permutations are tied unit by unit (nested with runs of one unit). Blocks
of one unit each are no cluster: there is nothing to tie.

What is made one. Blocks are named by the first place where they lie, and stand in that order, parents first. Which
member of a cluster is the parent says nothing: it is the first. Places that only move (``"carry"``) lie on that one.
Where a block is neither flipped nor rescaled, every place only moves; where it is flipped alone, ways in and out are
the same; multiplying in and dividing out is the same group as the reverse: the first place is ``"in"``. Blocks of one
unit that may not be flipped or rescaled, and blocks with neither places nor blocks within, are dropped. What a diagonal
of single entries says is written as in :mod:`fnequiv.symmetry.diagonals`.

Theorem: the groups are those of Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .blocks import Axis, Block, kind_of
from .diagonals import upright

if TYPE_CHECKING:
    from .spec import SymmetrySpec

Place = tuple[str, int]


@dataclass
class _Cluster:
    """Blocks with one permutation: those with signs or scales, the places that only move, and what lies within."""

    size: int
    parent: _Cluster | None
    acting: list[Block] = field(default_factory=list)
    carried: list[Axis] = field(default_factory=list)
    children: list[_Cluster] = field(default_factory=list)

    def add(self, block: Block) -> None:
        """Take in a block of the cluster."""
        turned = _turned(block)
        if turned.mixing and turned.kind == "permutation":  # counted, though no element of it does more than permute
            self.acting.append(turned)
            return
        self.carried += [axis for axis in turned.axes if axis.role == "carry"]
        axes = _sorted(axis for axis in turned.axes if axis.role != "carry")
        if axes or turned.mixing:
            self.acting.append(replace(turned, axes=axes))

    @property
    def empty(self) -> bool:
        """Whether nothing is moved: no place of its own or within, or a single unit that only moves."""
        nowhere = not self.acting and not self.carried and all(child.empty for child in self.children)
        return nowhere or (self.size == 1 and not self.acting)

    @property
    def first(self) -> Place:
        """The first place of all, or of what lies within."""
        axes = [*self.carried, *(axis for block in self.acting for axis in block.axes)]
        places = [(axis.tensor, axis.axis) for axis in axes]
        return min(places or [child.first for child in self.children if not child.empty])

    @property
    def name(self) -> str:
        """The name of the block that stands for the cluster."""
        prefix = "" if self.acting or self.carried else "groups of "
        return f"{prefix}{self.first[0]}[{self.first[1]}]"

    def written(self) -> list[Block]:
        """Return the blocks of the cluster, parent first."""
        acting = sorted(self.acting, key=lambda block: [(axis.tensor, axis.axis) for axis in block.axes])
        root = acting[0] if acting else Block(self.name, self.size, "permutation", ())
        root = replace(root, name=self.name, axes=_sorted([*root.axes, *self.carried]))
        above = self.parent
        nested = {"within": above.name, "groups": above.size} if above else {"within": None, "groups": 1}
        blocks = [replace(root, **nested)]
        for block in acting[1:]:
            name = f"{block.axes[0].tensor}[{block.axes[0].axis}]" if block.axes else block.name
            blocks.append(replace(block, name=name, within=self.name, groups=self.size))
        return blocks + [each for child in _in_order(self.children) for each in child.written()]


def normalised(spec: SymmetrySpec) -> SymmetrySpec:
    """Return the specification in canonical writing; its group is the same.

    Examples
    --------
    >>> from fnequiv.symmetry import SymmetrySpec
    >>> one = Block("hidden", 2, "signed", (Axis("v", 1, "out"), Axis("w", 0, "in")))
    >>> other = Block("layer1", 2, "signed", (Axis("w", 0, "in"), Axis("v", 1, "out")))
    >>> shapes = {"w": (2, 3), "v": (1, 2)}
    >>> SymmetrySpec((one,), shapes) == SymmetrySpec((other,), shapes)
    False
    >>> normalised(SymmetrySpec((one,), shapes)) == normalised(SymmetrySpec((other,), shapes))
    True
    """
    spec = _uncut(spec)
    spec = upright(replace(spec, blocks=tuple(_turned(block) for block in spec.blocks)))
    roots: list[_Cluster] = []
    owner: dict[str, _Cluster] = {}
    for block in spec.blocks:
        above = owner[block.within] if block.within and block.groups > 1 else None  # one unit ties nothing
        if above is None or block.size != block.groups:
            owner[block.name] = _Cluster(block.size, above)
            (roots if above is None else above.children).append(owner[block.name])
        else:
            owner[block.name] = above
        owner[block.name].add(block)
    blocks = tuple(block for root in _in_order(roots) for block in root.written())
    moved = {axis.tensor for block in blocks for axis in block.axes}
    cut = {cell.tensor for cell in spec.cells if cell.name in moved}
    cells = sorted((cell for cell in spec.cells if cell.tensor in cut), key=lambda cell: cell.name)
    return replace(spec, blocks=blocks, cells=tuple(cells))


def _uncut(spec: SymmetrySpec) -> SymmetrySpec:
    """Return the specification without cells that are a whole tensor, read as it is."""
    whole = {
        cell.name: cell.tensor
        for cell in spec.cells
        if not cell.diagonal
        and cell.order in (None, tuple(range(len(cell.order or ()))))
        and spec.pieces[cell.name] == spec.shapes[cell.tensor]
        and sum(other.tensor == cell.tensor for other in spec.cells) == 1
    }
    blocks = tuple(
        replace(block, axes=tuple(replace(axis, tensor=whole.get(axis.tensor, axis.tensor)) for axis in block.axes))
        for block in spec.blocks
    )
    return replace(spec, blocks=blocks, cells=tuple(cell for cell in spec.cells if cell.name not in whole))


def _in_order(clusters: Iterable[_Cluster]) -> list[_Cluster]:
    return sorted((cluster for cluster in clusters if not cluster.empty), key=lambda cluster: cluster.first)


def _sorted(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda axis: (axis.tensor, axis.axis)))


def _turned(block: Block) -> Block:
    """Return the block with its roles written the one way: what only moves is carried, the first way is in."""
    way = [axis for axis in _sorted(block.axes) if axis.role != "carry"]
    signs = block.signs and any(not (axis.role == "out" and block.even) for axis in way)
    scales = block.scales and bool(way)
    turns = {"in": "in", "out": "out", "carry": "carry"}
    if not (signs or scales):
        turns = dict.fromkeys(turns, "carry")
    elif not (signs and block.even):
        if not scales:
            turns["out"] = "in"
        elif block.degree == 1 and way[0].role == "out":
            turns["in"], turns["out"] = "out", "in"
    axes = tuple(replace(axis, role=turns[axis.role]) for axis in block.axes)  # type: ignore[arg-type]
    kind = kind_of(signs=signs, scales=scales)
    return replace(block, axes=axes, kind=kind, even=block.even and signs, degree=block.degree if scales else 1)
