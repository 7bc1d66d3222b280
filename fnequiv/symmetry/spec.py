"""The specification of a whole network: its blocks, and the shape of every one of its tensors.

Notation. Blocks l = 1..L with d_l units. The discrete group has the order Π_l d_l! · Π_{flipped l} 2^{d_l}, whose log
is in nats; every unit that may be rescaled adds one to the dimension of the continuous part.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from ..validation import check_bool, shown
from .blocks import Axis, Block, kind_of
from .cells import Cell, check_cells
from .normal import normalised
from .shapes import check_mapping, check_shape, not_a_shape, several
from .tables import table_of


@dataclass(frozen=True)
class SymmetrySpec:
    """All blocks of a network, and the shape of every one of its tensors.

    Parameters
    ----------
    blocks
        The blocks, each acting on its own axes; no axis belongs to two blocks.
    shapes
        Shape of every tensor by name, moved or not, so that a parameter set of another network is recognised.
    cells
        Pieces of tensors with axes of their own (:class:`~fnequiv.symmetry.cells.Cell`), which blocks name as they name
        tensors. The cells of a tensor cover each of its entries once.
    notes
        Sentences for the reader, shown by :meth:`table`: what was left unmoved, and why. They are not compared.

    A specification is a value: neither its blocks nor its shapes can be changed. It can be pickled and copied.

    Raises
    ------
    TypeError
        If ``blocks`` hold anything but :class:`Block`, ``cells`` anything but cells, ``notes`` anything but strings, or
        ``shapes`` do not map names to tuples of integers.
    ValueError
        If a size in a shape is negative or above 2^63 - 1, two blocks share a name or an axis, a block does not fit
        the shape of a tensor it names or lies within none that stands before it, or cells overlap or leave gaps.

    Examples
    --------
    >>> hidden = Block("layer1", 3, "permutation", (Axis("0.weight", 0, "in"), Axis("2.weight", 1, "out")))
    >>> spec = SymmetrySpec((hidden,), {"0.weight": (3, 2), "2.weight": (1, 3)})
    >>> spec.order(), round(spec.log_order(), 4)
    (6, 1.7918)
    """

    blocks: tuple[Block, ...]
    shapes: Mapping[str, tuple[int, ...]] = field(hash=False)
    cells: tuple[Cell, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    pieces: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, kind in (("blocks", Block), ("cells", Cell), ("notes", str)):
            object.__setattr__(self, name, several(name, getattr(self, name), kind))
        check_mapping(self.shapes)
        shapes = {name: check_shape(name, shape) for name, shape in self.shapes.items()}
        object.__setattr__(self, "shapes", MappingProxyType(shapes))
        object.__setattr__(self, "pieces", MappingProxyType(check_cells(self.cells, shapes)))
        owners: dict[tuple[str, int], str] = {}
        sizes: dict[str, int] = {}
        for block in self.blocks:
            if block.name in sizes:
                raise ValueError(f"two blocks are named {block.name!r}: give every block its own name")
            if block.within is not None and sizes.get(block.within) != block.groups:
                raise ValueError(
                    f"block {block.name!r} has {block.groups} groups within {block.within!r}: a block of that name and "
                    f"size must stand before it, got {sizes}"
                )
            sizes[block.name] = block.size
            for axis in block.axes:
                self._check_axis(block, axis)
                owner = owners.setdefault((axis.tensor, axis.axis), block.name)
                if owner != block.name:
                    raise ValueError(
                        f"axis {axis.axis} of {axis.tensor!r} belongs to blocks {owner!r} and {block.name!r}: "
                        "merge them into one block"
                    )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the call that made it: a read-only mapping does not pickle, a dict does."""
        return SymmetrySpec, (self.blocks, dict(self.shapes), self.cells, self.notes)

    @cached_property
    def flat(self) -> SymmetrySpec:
        """The specification of the pieces as tensors of their own, with no cells and no block within another.

        Its group is larger where blocks are nested: it moves units of a run apart.
        :func:`fnequiv.equivalence.unfolding.unfold` adds what keeps them together.

        Examples
        --------
        >>> heads = (Block("h", 2, "permutation", ()), Block("h.v", 4, "permutation", (), within="h", groups=2))
        >>> spec = SymmetrySpec(heads, {"w": (2, 3)})
        >>> spec.order(), spec.flat.order()
        (8, 48)
        """
        if not self.cells and all(block.within is None for block in self.blocks):
            return self
        blocks = (replace(block, within=None, groups=1, mixing=0) for block in self.blocks)
        return SymmetrySpec(tuple(blocks), self.pieces)

    def normalised(self) -> SymmetrySpec:
        """Return the same group with names and order made from what the blocks act on, so that ``==`` compares groups.

        See :mod:`fnequiv.symmetry.normal` for what it makes one.
        """
        return normalised(self)

    @cached_property
    def places(self) -> Mapping[str, tuple[tuple[Axis, Block], ...]]:
        """For every piece (a tensor that is not cut, or a cell), moved or not, the axes that blocks act on, and these.

        Examples
        --------
        >>> spec = SymmetrySpec((Block("h", 2, "signed", (Axis("w", 0, "in"),)),), {"w": (2, 3), "counter": ()})
        >>> {name: [(axis.axis, block.name) for axis, block in places] for name, places in spec.places.items()}
        {'w': [(0, 'h')], 'counter': []}
        """
        places: dict[str, list[tuple[Axis, Block]]] = {name: [] for name in self.pieces}
        for block in self.blocks:
            for axis in block.axes:
                places[axis.tensor].append((axis, block))
        return MappingProxyType({name: tuple(pairs) for name, pairs in places.items()})

    def _check_axis(self, block: Block, axis: Axis) -> None:
        shape = self.pieces.get(axis.tensor)
        if shape is None:
            cut = ", since it is cut: name one of its cells" if axis.tensor in self.shapes else ": add it to shapes"
            raise ValueError(f"block {block.name!r} acts on {axis.tensor!r}, which has no shape{cut}")
        if axis.axis >= len(shape) or shape[axis.axis] != block.size * axis.repeat:
            raise ValueError(
                f"block {block.name!r} needs size x repeat = {block.size} x {axis.repeat} entries on axis {axis.axis} "
                f"of {axis.tensor!r}, whose shape is {shape}"
            )

    def block(self, name: str) -> Block:
        """Return the block called ``name``.

        Raises
        ------
        ValueError
            If there is none.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise ValueError(f"no block {shown(name)}: this network has {[block.name for block in self.blocks]}")

    def only(self, *, signs: bool = False, scales: bool = False) -> SymmetrySpec:
        """Return the same network with a smaller group: permutations, and flips or scales only where asked.

        Raises
        ------
        TypeError
            If ``signs`` or ``scales`` is no bool.

        Examples
        --------
        >>> spec = SymmetrySpec((Block("h", 2, "signed_scaled", (Axis("w", 0, "in"),)),), {"w": (2,)})
        >>> [spec.only().blocks[0].kind, spec.only(signs=True).blocks[0].kind]
        ['permutation', 'signed']
        """
        check_bool("signs", signs), check_bool("scales", scales)
        blocks = [
            replace(
                block,
                kind=kind_of(signs=signs and block.signs, scales=scales and block.scales),
                mixing=block.mixing if scales else 0,
            )
            for block in self.blocks
        ]
        return replace(self, blocks=tuple(blocks))

    def order(self) -> int:
        """Return the exact order of the discrete group: Π d_l! (permutations) times Π 2^{d_l} (flips).

        Raises
        ------
        ValueError
            If a block has more than 10^5 units; :meth:`log_order` takes any size.
        """
        return math.prod(block.order() for block in self.blocks)

    def log_order(self) -> float:
        """Return the log of :meth:`order`, in nats: Σ log d_l! + log 2 · Σ d_l over flipped blocks."""
        return math.fsum(block.log_order() for block in self.blocks)

    def continuous_dimension(self) -> int:
        """Return the dimension of the group's continuous part: free scales, and what blocks say of ``mixing``.

        Where units outnumber what they read or what reads them, a mixing may leave all weights in place: then fewer
        parameters are redundant than this counts.
        """
        return sum(block.size for block in self.blocks if block.scales) + sum(block.mixing for block in self.blocks)

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise unless ``shapes`` are those of this specification's network.

        Raises
        ------
        TypeError
            If ``shapes`` do not map names to tuples of integers.
        ValueError
            Naming the tensors that are missing, unknown or of another shape.
        """
        check_mapping(shapes)
        for name, shape in shapes.items():
            if not isinstance(shape, (tuple, list)):
                raise TypeError(not_a_shape(name, shape))
        missing = [name for name in self.shapes if name not in shapes]
        unknown = [name for name in shapes if name not in self.shapes]
        if missing or unknown:
            raise ValueError(
                f"the parameters are not those of this specification: missing {missing}, unknown {unknown}"
            )
        for name, shape in self.shapes.items():
            if tuple(shapes[name]) != shape:
                raise ValueError(
                    f"tensor {name!r} must have shape {shape}, got {tuple(shapes[name])}: "
                    "the specification is of another network"
                )

    def table(self) -> str:
        """Return a readable table: one entry a block, then the group's size, then the notes."""
        return table_of(self)

    def __str__(self) -> str:
        return self.table()
