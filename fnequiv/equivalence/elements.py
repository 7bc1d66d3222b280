"""Group elements as values: one move for every block of a specification.

Notation. On a block of d units the group is the wreath product K ≀ S_d: d elements of K, and a permutation
of their places. Its element (p, f) puts old unit p(i) in place i and
multiplies it by f_i = s_i λ_i (sign times scale): as matrices, W ↦ D_f P W with P_{i,p(i)} = 1. Their product, their
inverse and random ones are in :mod:`fnequiv.equivalence.group`.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..symmetry import Block, SymmetrySpec
from ..validation import check_numeric, shown

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, init=False)
class Move:
    """What a group element does to one block: place i takes old unit ``permutation[i]``, times sign and scale.

    The three arrays are the move's own and read-only. PyTorch warns when it is handed a read-only array, so index a
    tensor with a copy: ``tensor[move.permutation.copy()]``.

    Parameters
    ----------
    permutation
        Integers, shape (d,): each of 0..d-1 once, d ≥ 1.
    signs
        ±1, shape (d,); all +1 if left out.
    scales
        Finite and > 0, shape (d,); all 1 if left out.

    Raises
    ------
    TypeError
        If the permutation is no vector of integers, or signs or scales are not numeric.
    ValueError
        If an entry of the permutation is repeated or out of range, a sign is not ±1, a scale is not finite and > 0,
        an entry is masked, or the shapes differ.

    Examples
    --------
    >>> Move([1, 0], signs=[1, -1]).factors
    array([ 1., -1.])
    """

    permutation: IntArray
    signs: FloatArray
    scales: FloatArray

    def __init__(
        self, permutation: npt.ArrayLike, signs: npt.ArrayLike | None = None, scales: npt.ArrayLike | None = None
    ) -> None:
        order = _integers("permutation", permutation)
        size = len(order)
        if not np.array_equal(np.sort(order), np.arange(size)):
            raise ValueError(f"permutation must hold each of 0..{size - 1} once, got {_short(order)}")
        flips, factors = (
            np.ones(size) if values is None else check_numeric(name, values)
            for name, values in (("signs", signs), ("scales", scales))
        )
        for name, numbers in (("signs", flips), ("scales", factors)):
            if numbers.shape != (size,):
                raise ValueError(f"{name} must have the permutation's shape, ({size},), got {numbers.shape}")
        if not np.isin(flips, (-1, 1)).all():
            raise ValueError(f"signs must be -1 or +1, got {_short(flips)}")
        if not (np.isfinite(factors) & (factors > 0)).all():
            raise ValueError(f"scales must be finite and > 0, got {_short(factors)}")
        self._set("permutation", order.astype(np.int64))
        self._set("signs", flips)
        self._set("scales", factors)

    def _set(self, name: str, values: npt.NDArray[Any]) -> None:
        values.flags.writeable = False
        object.__setattr__(self, name, values)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the call that made it, so that a copy's arrays are checked and read-only, too."""
        return Move, (self.permutation, self.signs, self.scales)

    @property
    def factors(self) -> FloatArray:
        """The product f_i = s_i λ_i, shape (d,)."""
        return self.signs * self.scales

    @cached_property
    def flips(self) -> bool:
        """Whether a sign is -1."""
        return bool((self.signs < 0).any())

    @cached_property
    def rescales(self) -> bool:
        """Whether a scale is not 1."""
        return bool((self.scales != 1).any())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Move):
            return NotImplemented
        return np.array_equal(self.permutation, other.permutation) and np.array_equal(self.factors, other.factors)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class GroupElement:
    """One :class:`Move` for every block of a specification.

    Raises
    ------
    TypeError
        If ``moves`` do not map names of blocks to moves.

    Examples
    --------
    >>> g = GroupElement({"layer1": Move([1, 0])})
    >>> g["layer1"].permutation
    array([1, 0])
    """

    moves: Mapping[str, Move]

    def __post_init__(self) -> None:
        if not isinstance(self.moves, Mapping):
            raise TypeError(f"moves must map names of blocks to Moves, got {shown(self.moves)}")
        for name, move in self.moves.items():
            if not isinstance(name, str):
                raise TypeError(f"moves must map names of blocks to Moves, got the name {shown(name)}")
            if not isinstance(move, Move):
                raise TypeError(f"block {name!r} needs a Move, got {shown(move)}")
        object.__setattr__(self, "moves", MappingProxyType(dict(self.moves)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the call that made it: a read-only mapping does not pickle, a dict does."""
        return GroupElement, (dict(self.moves),)

    def __getitem__(self, block: str) -> Move:
        if block not in self.moves:
            raise KeyError(f"no move for block {shown(block)}: this element moves {list(self.moves)}")
        return self.moves[block]

    __hash__ = None  # type: ignore[assignment]


def check_element(element: GroupElement, spec: SymmetrySpec) -> None:
    """Raise unless ``element`` belongs to the group of ``spec``.

    Raises
    ------
    TypeError
        If ``element`` is no :class:`GroupElement` or ``spec`` no :class:`~fnequiv.symmetry.SymmetrySpec`.
    ValueError
        If it moves other blocks or sizes than those of ``spec``, flips or rescales a block that does not allow it, or
        moves a nested block otherwise than the block that it lies within.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> check_element(GroupElement({"layer1": Move([1, 0])}), mlp.spec((3, 2, 1), "relu"))
    """
    if isinstance(spec, GroupElement):
        raise TypeError("got the element in the place of the specification: the order is params, spec, element")
    check_spec(spec)
    if isinstance(element, Mapping) and all(isinstance(move, Move) for move in element.values()):
        raise TypeError("expected a GroupElement, got a mapping of Moves: wrap it, as in GroupElement(moves)")
    if not isinstance(element, GroupElement):
        raise TypeError(f"expected a GroupElement, got {shown(element)}: make one with sample(spec, generator)")
    if element.moves.keys() != {block.name for block in spec.blocks}:
        names = [block.name for block in spec.blocks]
        raise ValueError(f"the element moves blocks {list(element.moves)}, the specification has {names}")
    for block in spec.blocks:
        _check_move(element[block.name], block)
        if block.within is not None:
            _check_runs(element[block.name], block, element[block.within])


def check_spec(spec: SymmetrySpec) -> None:
    """Raise a TypeError unless ``spec`` is a :class:`~fnequiv.symmetry.SymmetrySpec`."""
    if not isinstance(spec, SymmetrySpec):
        raise TypeError(f"expected a SymmetrySpec, got {shown(spec)}: make one with mlp.spec(...)")


def _check_move(move: Move, block: Block) -> None:
    if len(move.permutation) != block.size:
        raise ValueError(f"block {block.name!r} has {block.size} units, the element moves {len(move.permutation)}")
    if move.flips and not block.signs:
        raise ValueError(f"block {block.name!r} is of kind {block.kind!r}: its units cannot be flipped")
    if move.rescales and not block.scales:
        raise ValueError(f"block {block.name!r} is of kind {block.kind!r}: its units cannot be rescaled")


def _check_runs(move: Move, block: Block, parent: Move) -> None:
    """Raise unless the runs of a nested block move as its parent's units do."""
    run = block.size // block.groups
    if (move.permutation.reshape(block.groups, run) // run != parent.permutation[:, None]).any():
        raise ValueError(
            f"block {block.name!r} lies within {block.within!r}: its runs of {run} units must move as the units there "
            f"do, {_short(parent.permutation)}, got {_short(move.permutation)}"
        )


def _integers(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    rule = f"{name} must be a one-dimensional array of integers"
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, and tensors that NumPy cannot read
        raise TypeError(f"{rule}, got {shown(values)}") from None
    if array.ndim == 1 and not array.size:
        raise ValueError(f"{rule}, at least one, got none: a block has at least one unit")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"{rule}, got {shown(values)}: pass an order of 0..d-1, as in [2, 0, 1]")
    if np.ma.is_masked(values):
        raise ValueError(f"{rule}, none masked, got {shown(values)}: fill the masked entries")
    return array


def _short(values: npt.NDArray[Any]) -> str:
    return np.array2string(values, threshold=8)
