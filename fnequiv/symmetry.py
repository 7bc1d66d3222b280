"""Symmetry specifications: which parts of a parameter set move together, and how.

Notation. A *block* is one set of d interchangeable units (the neurons of a hidden layer, the channels of a
convolution, a residual stream). A group element moves unit i of the block to a new place, and may multiply it
by a sign s_i ∈ {-1, +1} and a scale λ_i > 0. What a unit owns is spread over several tensors; each place is an
*axis*: the rows of W^(l) and the entries of b^(l) come *in* to the unit and are multiplied by s_i λ_i, the
columns of W^(l+1) go *out* of it and are divided, so that the network's function stays the same.

Theorem: Proposition 1 of Shen (2024) for permutations, Examples 1 and 2 for scaling and sign flipping.
Chapter: "Functional equivalence". Nothing here imports torch: a specification is only names and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from .activations import Activation
from .activations import get as get_activation
from .validation import check_integer

Kind = Literal["permutation", "signed", "scaled", "signed_scaled"]
Role = Literal["in", "out", "carry"]
KINDS: tuple[str, ...] = get_args(Kind)
ROLES: tuple[str, ...] = get_args(Role)


def kind_of(*, signs: bool, scales: bool) -> Kind:
    """Return the kind of a block whose units may be flipped (``signs``) and rescaled (``scales``).

    Examples
    --------
    >>> kind_of(signs=True, scales=False)
    'signed'
    """
    if signs:
        return "signed_scaled" if scales else "signed"
    return "scaled" if scales else "permutation"


@dataclass(frozen=True)
class Axis:
    """One place where the units of a block lie: an axis of a named tensor.

    ``role`` says how signs and scales act there: ``"in"`` multiplies, ``"out"`` divides, ``"carry"`` only moves
    (the per-channel slope of a PReLU, say). Each unit owns ``repeat`` consecutive entries: 1 for a linear layer, h·w
    for a linear layer behind a flattened h×w feature map.

    Raises
    ------
    ValueError
        If ``axis`` is negative, ``repeat`` below 1 or ``role`` unknown.

    Examples
    --------
    >>> Axis("0.weight", 0, "in")
    Axis(tensor='0.weight', axis=0, role='in', repeat=1)
    """

    tensor: str
    axis: int
    role: Role
    repeat: int = 1

    def __post_init__(self) -> None:
        check_integer(f"axis of {self.tensor!r}", self.axis, minimum=0)
        check_integer(f"repeat of {self.tensor!r}", self.repeat)
        if self.role not in ROLES:
            raise ValueError(f"role must be one of {ROLES}, got {self.role!r} for tensor {self.tensor!r}")


@dataclass(frozen=True)
class Block:
    """``size`` interchangeable units, the kind of group that acts on them, and the axes where they lie.

    The group is K ≀ S_d: a permutation of the d units and, for each of them, an element of K = {1}
    (``permutation``), {±1} (``signed``), R_{>0} (``scaled``) or R∖{0} (``signed_scaled``). ``even`` and ``degree``
    say what the activation does to them: behind an even activation a flip needs no answer on the way out,
    behind one with σ(λz) = λ^degree σ(z) the way out is divided by λ^degree.

    Raises
    ------
    ValueError
        If the size is below 1, the kind unknown, or the same axis is listed twice.

    Examples
    --------
    >>> hidden = Block("layer1", 3, "signed", (Axis("0.weight", 0, "in"), Axis("2.weight", 1, "out")))
    >>> hidden.order()  # 3! permutations times 2^3 signs
    48
    """

    name: str
    size: int
    kind: Kind
    axes: tuple[Axis, ...]
    even: bool = False
    degree: int = 1

    def __post_init__(self) -> None:
        check_integer(f"size of block {self.name!r}", self.size)
        check_integer(f"degree of block {self.name!r}", self.degree, minimum=0)
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r} for block {self.name!r}")
        object.__setattr__(self, "axes", tuple(self.axes))
        places = [(axis.tensor, axis.axis) for axis in self.axes]
        if len(set(places)) < len(places):
            raise ValueError(f"block {self.name!r} lists an axis twice: {places}; name each axis once")

    @classmethod
    def behind(cls, name: str, size: int, activation: str | Activation, axes: Iterable[Axis]) -> Block:
        """Return the block of ``size`` units that feed ``activation``, with every symmetry it admits.

        Examples
        --------
        >>> Block.behind("layer1", 4, "tanh", [Axis("0.weight", 0, "in")]).kind
        'signed'
        >>> Block.behind("layer1", 4, "relu", [Axis("0.weight", 0, "in")]).kind
        'scaled'
        """
        facts = get_activation(activation)
        kind = kind_of(signs=facts.parity is not None, scales=facts.degree is not None)
        degree = 1 if facts.degree is None else facts.degree
        return cls(name, size, kind, tuple(axes), even=facts.parity == "even", degree=degree)

    @property
    def signs(self) -> bool:
        """Whether units may be flipped."""
        return self.kind in ("signed", "signed_scaled")

    @property
    def scales(self) -> bool:
        """Whether units may be rescaled."""
        return self.kind in ("scaled", "signed_scaled")

    def order(self) -> int:
        """Return the exact order of the discrete group: d! permutations, times 2^d if units may be flipped."""
        return math.factorial(self.size) * (2**self.size if self.signs else 1)

    def log_order(self) -> float:
        """Return the log of :meth:`order`, in nats, for any size."""
        return math.lgamma(self.size + 1) + (self.size * math.log(2) if self.signs else 0.0)


@dataclass(frozen=True)
class SymmetrySpec:
    """All blocks of a network, and the shape of every one of its tensors.

    Parameters
    ----------
    blocks
        The blocks, each acting on its own axes; no axis belongs to two blocks.
    shapes
        Shape of every tensor by name, moved or not, so that a parameter set of another network is recognised.

    Raises
    ------
    ValueError
        If two blocks share a name or an axis, or a block does not fit the shape of a tensor it names.

    Examples
    --------
    >>> hidden = Block("layer1", 3, "permutation", (Axis("0.weight", 0, "in"), Axis("2.weight", 1, "out")))
    >>> spec = SymmetrySpec((hidden,), {"0.weight": (3, 2), "2.weight": (1, 3)})
    >>> spec.order(), round(spec.log_order(), 4)
    (6, 1.7918)
    """

    blocks: tuple[Block, ...]
    shapes: Mapping[str, tuple[int, ...]] = field(hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "shapes", {name: tuple(shape) for name, shape in self.shapes.items()})
        owners: dict[tuple[str, int], str] = {}
        names: set[str] = set()
        for block in self.blocks:
            if block.name in names:
                raise ValueError(f"two blocks are named {block.name!r}: give every block its own name")
            names.add(block.name)
            for axis in block.axes:
                self._check_axis(block, axis)
                owner = owners.setdefault((axis.tensor, axis.axis), block.name)
                if owner != block.name:
                    raise ValueError(
                        f"axis {axis.axis} of {axis.tensor!r} belongs to blocks {owner!r} and {block.name!r}: "
                        "merge them into one block"
                    )

    def _check_axis(self, block: Block, axis: Axis) -> None:
        shape = self.shapes.get(axis.tensor)
        if shape is None:
            raise ValueError(f"block {block.name!r} acts on {axis.tensor!r}, which has no shape: add it to shapes")
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
        raise ValueError(f"no block {name!r}: this network has {[block.name for block in self.blocks]}")

    def only(self, *, signs: bool = False, scales: bool = False) -> SymmetrySpec:
        """Return the same network with a smaller group: permutations, and flips or scales only where asked.

        Examples
        --------
        >>> spec = SymmetrySpec((Block("h", 2, "signed_scaled", (Axis("w", 0, "in"),)),), {"w": (2,)})
        >>> [spec.only().blocks[0].kind, spec.only(signs=True).blocks[0].kind]
        ['permutation', 'signed']
        """
        blocks = [
            replace(block, kind=kind_of(signs=signs and block.signs, scales=scales and block.scales))
            for block in self.blocks
        ]
        return SymmetrySpec(tuple(blocks), self.shapes)

    def order(self) -> int:
        """Return the exact order of the discrete group: Π d_l! (permutations) times Π 2^{d_l} (flips)."""
        return math.prod(block.order() for block in self.blocks)

    def log_order(self) -> float:
        """Return the log of :meth:`order`, in nats: Σ log d_l! + log 2 · Σ d_l over flipped blocks."""
        return math.fsum(block.log_order() for block in self.blocks)

    def continuous_dimension(self) -> int:
        """Return the number of free scales: the dimension of the group's continuous part."""
        return sum(block.size for block in self.blocks if block.scales)

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise unless ``shapes`` are those of this specification's network.

        Raises
        ------
        ValueError
            Naming the tensors that are missing, unknown or of another shape.
        """
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
        """Return a readable table: one line a block, then the group's size."""
        rows = [("block", "units", "kind", "log order", "acts on")]
        for block in self.blocks:
            places = ", ".join(f"{axis.tensor}[{axis.axis}]" for axis in block.axes)
            rows.append((block.name, str(block.size), block.kind, f"{block.log_order():.4g}", places))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
        lines.append(f"log order {self.log_order():.6g} nats, continuous dimension {self.continuous_dimension()}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()
