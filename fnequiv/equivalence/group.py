"""The group's own operations: the identity, random elements, products and inverses.

Notation. The element (p, f) of a block puts old unit p(i) in place i and multiplies it by f_i = s_i λ_i. The product is
read from right to left, (g h)·θ = g·(h·θ), so (p, f)(q, h) = (i ↦ q(p(i)), f_i h_{p(i)}) and the inverse of (p, f)
is (p⁻¹, 1/f_{p⁻¹(i)}).

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from ..symmetry import SymmetrySpec
from ..validation import check_real, shown
from .elements import FloatArray, GroupElement, Move, check_spec

if TYPE_CHECKING:
    import torch

_TINY = np.finfo(np.float64).tiny


def identity(spec: SymmetrySpec) -> GroupElement:
    """Return the element that moves nothing.

    Raises
    ------
    TypeError
        If ``spec`` is no :class:`~fnequiv.symmetry.SymmetrySpec`.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> identity(mlp.spec((2, 3, 1), "tanh"))["layer1"].permutation
    array([0, 1, 2])
    """
    check_spec(spec)
    return GroupElement({block.name: Move(np.arange(block.size)) for block in spec.blocks})


def sample(
    spec: SymmetrySpec, generator: np.random.Generator | torch.Generator, *, spread: float = 4.0
) -> GroupElement:
    """Draw an element: uniform permutations and signs, scales log-uniform on [1/spread, spread].

    Nested blocks are drawn uniformly from the wreath product: their runs move as the block that they lie within.

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
        If ``spec`` is no specification, ``generator`` no generator (an integer seed, say) or ``spread`` no number.
    ValueError
        If ``spread`` is below 1 or not finite.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> g = sample(mlp.spec((2, 3, 1), "relu"), np.random.default_rng(0))
    >>> sorted(g["layer1"].permutation.tolist())
    [0, 1, 2]
    """
    check_spec(spec)
    spread = check_real("spread", spread)
    if spread < 1:
        raise ValueError(f"spread must be >= 1, got {spread}: 4.0 draws scales from 1/4 to 4")
    rng = _as_numpy(generator)
    moves: dict[str, Move] = {}
    for block in spec.blocks:
        permutation = rng.permutation(block.size)
        if block.within is not None:  # runs go where the parent's units go, and are shuffled inside
            run = block.size // block.groups
            inside = rng.permuted(np.tile(np.arange(run), (block.groups, 1)), axis=1)
            permutation = (moves[block.within].permutation[:, None] * run + inside).ravel()
        signs = rng.choice((-1.0, 1.0), block.size) if block.signs else None
        scales = np.exp(rng.uniform(-1, 1, block.size) * np.log(spread)) if block.scales else None
        moves[block.name] = Move(permutation, signs, scales)
    return GroupElement(moves)


def _as_numpy(generator: object) -> np.random.Generator:
    if isinstance(generator, np.random.Generator):
        return generator
    torch = sys.modules.get("torch")  # whoever holds one of PyTorch's generators has imported it
    if torch is not None and isinstance(generator, torch.Generator):
        seed = torch.randint(2**63 - 1, (), generator=generator, device=generator.device)
        return np.random.default_rng(int(seed))
    raise TypeError(
        f"generator must be a numpy or torch Generator, got {shown(generator)}: pass np.random.default_rng(0)"
    )


def compose(g: GroupElement, h: GroupElement) -> GroupElement:
    """Return the product g h, which acts as ``h`` first and ``g`` second: (g h)·θ = g·(h·θ).

    Raises
    ------
    TypeError
        If one of the two is no :class:`~fnequiv.equivalence.elements.GroupElement`.
    ValueError
        If the two move different blocks or sizes, or a product of scales leaves the range of float64.

    Examples
    --------
    >>> from fnequiv.equivalence.elements import GroupElement, Move
    >>> g, h = GroupElement({"b": Move([1, 2, 0])}), GroupElement({"b": Move([1, 0, 2])})
    >>> compose(g, h)["b"].permutation
    array([0, 2, 1])
    """
    sizes_g, sizes_h = _sizes(g), _sizes(h)
    if sizes_g != sizes_h:
        raise ValueError(f"cannot compose elements of different groups: blocks {sizes_g} and {sizes_h}")
    moves = {}
    for name, second in g.moves.items():
        first, p = h[name], second.permutation
        with np.errstate(over="ignore", under="ignore"):
            scales = second.scales * first.scales[p]
        moves[name] = Move(first.permutation[p], second.signs * first.signs[p], _check_range(name, scales))
    return GroupElement(moves)


def invert(g: GroupElement) -> GroupElement:
    """Return g⁻¹, the element with g⁻¹ g = g g⁻¹ = identity (scales up to rounding).

    Raises
    ------
    TypeError
        If ``g`` is no :class:`~fnequiv.equivalence.elements.GroupElement`.
    ValueError
        If the inverse of a scale leaves the range of float64.

    Examples
    --------
    >>> from fnequiv.equivalence.elements import GroupElement, Move
    >>> g = GroupElement({"b": Move([1, 2, 0], scales=[2.0, 1.0, 4.0])})
    >>> invert(g)["b"].permutation, invert(g)["b"].scales
    (array([2, 0, 1]), array([0.25, 0.5 , 1.  ]))
    """
    moves = {}
    for name in _sizes(g):
        move, back = g[name], np.argsort(g[name].permutation)
        with np.errstate(over="ignore", under="ignore"):
            scales = 1.0 / move.scales[back]
        moves[name] = Move(back, move.signs[back], _check_range(name, scales))
    return GroupElement(moves)


def _sizes(element: GroupElement) -> dict[str, int]:
    if not isinstance(element, GroupElement):
        raise TypeError(f"expected a GroupElement, got {shown(element)}: make one with sample(spec, generator)")
    return {name: len(move.permutation) for name, move in element.moves.items()}


def _check_range(block: str, scales: FloatArray) -> FloatArray:
    if not (np.isfinite(scales) & (scales >= _TINY)).all():
        raise ValueError(f"a scale of block {block!r} leaves the range of float64: use scales closer to 1")
    return scales
