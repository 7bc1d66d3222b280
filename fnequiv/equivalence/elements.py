"""Group elements: one move for every block, their product and their inverse.

Notation. On a block of d units the group is K ≀ S_d. Its element (p, f) puts old unit p(i) in place i and
multiplies it by f_i = s_i λ_i (sign times scale): as matrices, W ↦ D_f P W with P_{i,p(i)} = 1. The product is
read from right to left, (g h)·θ = g·(h·θ), so (p, f)(q, h) = (i ↦ q(p(i)), f_i h_{p(i)}) and the inverse of (p, f)
is (p⁻¹, 1/f_{p⁻¹(i)}).

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..symmetry import Block, SymmetrySpec

if TYPE_CHECKING:
    import torch

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def _vector(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a one-dimensional array of numbers, got {values!r}")
    return array


@dataclass(frozen=True, eq=False, init=False)
class Move:
    """What a group element does to one block: place i takes old unit ``permutation[i]``, times sign and scale.

    Parameters
    ----------
    permutation
        Integers, shape (d,): each of 0..d-1 once.
    signs
        ±1, shape (d,); all +1 if left out.
    scales
        Finite and > 0, shape (d,); all 1 if left out.

    Raises
    ------
    TypeError, ValueError
        If an entry of the permutation is repeated or out of range, a sign is not ±1, or a scale is not finite and > 0.

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
        order = _vector("permutation", permutation)
        if order.dtype.kind == "f":
            raise TypeError(f"permutation must hold integers, got {order.dtype}")
        size = len(order)
        if not np.array_equal(np.sort(order), np.arange(size)):
            raise ValueError(f"permutation must hold each of 0..{size - 1} once, got {_short(order)}")
        flips = np.ones(size) if signs is None else _vector("signs", signs)
        factors = np.ones(size) if scales is None else _vector("scales", scales)
        for name, values in (("signs", flips), ("scales", factors)):
            if len(values) != size:
                raise ValueError(f"{name} must have length {size}, the permutation's, got {len(values)}")
        if not np.isin(flips, (-1, 1)).all():
            raise ValueError(f"signs must be -1 or +1, got {_short(flips)}")
        if not (np.isfinite(factors) & (factors > 0)).all():
            raise ValueError(f"scales must be finite and > 0, got {_short(factors)}")
        self._set("permutation", order.astype(np.int64))
        self._set("signs", flips.astype(np.float64))
        self._set("scales", factors.astype(np.float64))

    def _set(self, name: str, values: npt.NDArray[Any]) -> None:
        values.flags.writeable = False
        object.__setattr__(self, name, values)

    @property
    def factors(self) -> FloatArray:
        """The product f_i = s_i λ_i, shape (d,)."""
        return self.signs * self.scales

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Move):
            return NotImplemented
        return np.array_equal(self.permutation, other.permutation) and np.array_equal(self.factors, other.factors)

    __hash__ = None  # type: ignore[assignment]


def _short(values: npt.NDArray[Any]) -> str:
    return np.array2string(values, threshold=8)


@dataclass(frozen=True)
class GroupElement:
    """One :class:`Move` for every block of a specification.

    Examples
    --------
    >>> g = GroupElement({"layer1": Move([1, 0])})
    >>> g["layer1"].permutation
    array([1, 0])
    """

    moves: Mapping[str, Move]

    def __post_init__(self) -> None:
        for name, move in self.moves.items():
            if not isinstance(move, Move):
                raise TypeError(f"block {name!r} needs a Move, got {move!r}")
        object.__setattr__(self, "moves", dict(self.moves))

    def __getitem__(self, block: str) -> Move:
        return self.moves[block]

    __hash__ = None  # type: ignore[assignment]


def check_element(element: GroupElement, spec: SymmetrySpec) -> None:
    """Raise unless ``element`` belongs to the group of ``spec``.

    Raises
    ------
    TypeError
        If ``element`` is no :class:`GroupElement`.
    ValueError
        If it moves other blocks or sizes than those of ``spec``, or flips or rescales a block that does not allow it.
    """
    if not isinstance(element, GroupElement):
        raise TypeError(f"expected a GroupElement, got {element!r}: make one with sample(spec, generator)")
    if not isinstance(spec, SymmetrySpec):
        raise TypeError(f"expected a SymmetrySpec, got {spec!r}: make one with mlp.spec(...)")
    names = [block.name for block in spec.blocks]
    if set(element.moves) != set(names):
        raise ValueError(f"the element moves blocks {list(element.moves)}, the specification has {names}")
    for block in spec.blocks:
        _check_move(element[block.name], block)


def _check_move(move: Move, block: Block) -> None:
    if len(move.permutation) != block.size:
        raise ValueError(f"block {block.name!r} has {block.size} units, the element moves {len(move.permutation)}")
    if not block.signs and (move.signs < 0).any():
        raise ValueError(f"block {block.name!r} is of kind {block.kind!r}: its units cannot be flipped")
    if not block.scales and (move.scales != 1).any():
        raise ValueError(f"block {block.name!r} is of kind {block.kind!r}: its units cannot be rescaled")


def identity(spec: SymmetrySpec) -> GroupElement:
    """Return the element that moves nothing.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> identity(mlp.spec((2, 3, 1), "tanh"))["layer1"].permutation
    array([0, 1, 2])
    """
    return GroupElement({block.name: Move(np.arange(block.size)) for block in spec.blocks})


def sample(
    spec: SymmetrySpec, generator: np.random.Generator | torch.Generator, *, spread: float = 4.0
) -> GroupElement:
    """Draw an element: uniform permutations and signs, scales log-uniform on [1/spread, spread].

    Parameters
    ----------
    spec
        The specification whose group is sampled.
    generator
        ``numpy.random.default_rng(seed)`` or ``torch.Generator().manual_seed(seed)``; it is advanced.
    spread
        Greatest scale, ≥ 1 and finite. The group of scales is not compact and has no uniform distribution; 1
        gives scales of exactly 1.

    Raises
    ------
    TypeError
        If ``generator`` is neither (an integer seed, say).
    ValueError
        If ``spread`` is below 1 or not finite.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> g = sample(mlp.spec((2, 3, 1), "relu"), np.random.default_rng(0))
    >>> sorted(g["layer1"].permutation.tolist())
    [0, 1, 2]
    """
    if not (np.isfinite(spread) and spread >= 1):
        raise ValueError(f"spread must be finite and >= 1, got {spread}: 4.0 draws scales from 1/4 to 4")
    rng = _as_numpy(generator)
    moves = {}
    for block in spec.blocks:
        permutation = rng.permutation(block.size)
        signs = rng.choice((-1.0, 1.0), block.size) if block.signs else None
        scales = np.exp(rng.uniform(-1, 1, block.size) * np.log(spread)) if block.scales else None
        moves[block.name] = Move(permutation, signs, scales)
    return GroupElement(moves)


def _as_numpy(generator: Any) -> np.random.Generator:
    if isinstance(generator, np.random.Generator):
        return generator
    if type(generator).__module__.partition(".")[0] == "torch" and hasattr(generator, "manual_seed"):
        import torch

        seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
        return np.random.default_rng(int(seed))
    raise TypeError(f"generator must be a numpy or torch Generator, got {generator!r}: pass np.random.default_rng(0)")


def compose(g: GroupElement, h: GroupElement) -> GroupElement:
    """Return the product g h, which acts as ``h`` first and ``g`` second: (g h)·θ = g·(h·θ).

    Raises
    ------
    ValueError
        If the two move different blocks or sizes.

    Examples
    --------
    >>> g, h = GroupElement({"b": Move([1, 2, 0])}), GroupElement({"b": Move([1, 0, 2])})
    >>> compose(g, h)["b"].permutation
    array([0, 2, 1])
    """
    sizes_g = {name: len(move.permutation) for name, move in g.moves.items()}
    sizes_h = {name: len(move.permutation) for name, move in h.moves.items()}
    if sizes_g != sizes_h:
        raise ValueError(f"cannot compose elements of different groups: blocks {sizes_g} and {sizes_h}")
    moves = {}
    for name, second in g.moves.items():
        first, p = h[name], second.permutation
        moves[name] = Move(first.permutation[p], second.signs * first.signs[p], second.scales * first.scales[p])
    return GroupElement(moves)


def invert(g: GroupElement) -> GroupElement:
    """Return g⁻¹, the element with g⁻¹ g = g g⁻¹ = identity (scales up to rounding).

    Examples
    --------
    >>> g = GroupElement({"b": Move([1, 2, 0], scales=[2.0, 1.0, 4.0])})
    >>> invert(g)["b"].permutation, invert(g)["b"].scales
    (array([2, 0, 1]), array([0.25, 0.5 , 1.  ]))
    """
    moves = {}
    for name, move in g.moves.items():
        back = np.argsort(move.permutation)
        moves[name] = Move(back, move.signs[back], 1.0 / move.scales[back])
    return GroupElement(moves)
