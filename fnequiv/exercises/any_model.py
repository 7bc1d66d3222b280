"""Exercises of the chapter "The symmetry of any model": make names equal, and count what an operator passes.

Notation: a name stands for the units of an axis; an operator φ takes arrays whose last axis holds the units, and passes
an order P if φ(Ph) = Pφ(h) for all h. The oracles take powers of a matrix of equations, and products with permutation
matrices.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .comparing import brief
from .tasks import Mistake, Task

Array = npt.NDArray[Any]
Equations = list[tuple[str, str]]
Blocks = list[list[str]]

# --- equal-names ----------------------------------------------------------------------------------------------------


def _blocks(names: Sequence[str], equations: Equations, fixed: Collection[str]) -> Blocks:
    """Join names by equations, square until every way is a step, and read the rows."""
    joined = np.eye(len(names), dtype=bool)
    for one, other in equations:
        i, j = names.index(one), names.index(other)
        joined[i, j] = joined[j, i] = True
    for _ in names:
        joined = joined @ joined
    blocks = {tuple(name for name, here in zip(names, row, strict=True) if here) for row in joined}
    return [list(block) for block in sorted(blocks) if not set(block) & set(fixed)]


def _blocks_complaint(
    got: Iterable[Iterable[str]], names: Sequence[str], equations: Equations, fixed: list[str]
) -> str:
    blocks = list(got)
    if any(isinstance(block, str) for block in blocks):
        return "each block is a list of names, even if it holds one only"
    found = [frozenset(block) for block in blocks]
    wanted = [frozenset(block) for block in _blocks(names, equations, fixed)]  # sorted, so that all hear of the same
    strange = next((block for block in found if block not in wanted), None)
    if strange is not None:
        return f"{brief(sorted(strange))} is not a block" if strange else "a block holds one name at least"
    missing = next((block for block in wanted if block not in found), None)
    if missing is not None:
        return f"the block {brief(sorted(missing))} is missing"
    return "a block stands there twice" if len(found) > len(wanted) else ""


def _one_sweep(names: Sequence[str], equations: Equations, fixed: Collection[str]) -> Blocks:
    """Hand on the label of the first name to the second one alone, and not to all that were equal to it."""
    labels = {name: name for name in names}
    for one, other in equations:
        labels[other] = labels[one]
    blocks = [[name for name in names if labels[name] == label] for label in dict.fromkeys(labels.values())]
    return [block for block in blocks if not set(block) & set(fixed)]


def _mentioned(names: Sequence[str], equations: Equations, fixed: Collection[str]) -> Blocks:
    return [block for block in _blocks(names, equations, fixed) if len(block) > 1]


def _partners_kept(names: Sequence[str], equations: Equations, fixed: Collection[str]) -> Blocks:
    free = [[name for name in block if name not in fixed] for block in _blocks(names, equations, ())]
    return [block for block in free if block]


def _blocks_cases() -> list[tuple[list[str], Equations, list[str]]]:
    chain = [("x", "A.in"), ("A.out", "a"), ("A.out", "B.in"), ("B.out", "y")]
    residual = [("x", "S.in"), ("U.out", "V.in"), ("S.out", "U.in"), ("V.out", "H.in"), ("S.out", "V.out")]
    gated = [("x", "A.in"), ("x", "B.in"), ("A.out", "product"), ("B.out", "product"), ("product", "C.in")]
    pairs = [("a", "b"), ("c", "d"), ("e", "f"), ("d", "f"), ("b", "d"), ("g", "x")]
    cases = [(chain, ["x", "y"]), (residual, ["x", "H.out"]), (gated, ["x", "C.out"]), (pairs, ["x"])]
    return [
        (sorted({name for pair in equations for name in pair} | set(fixed) | {"alone"}), equations, fixed)
        for equations, fixed in cases
    ]


# --- passed-orders --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Operator:
    """An operator that shows its name, so that a message can speak of it."""

    name: str
    rule: Callable[[Array], Array]

    def __call__(self, h: Array) -> Array:
        return self.rule(np.asarray(h, dtype=float))

    def __repr__(self) -> str:
        return self.name


def _over_neighbours(h: Array) -> Array:
    padded = np.pad(h**2, [(0, 0)] * (h.ndim - 1) + [(1, 1)])
    out: Array = h / (1 + padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:])
    return out


def _operators_cases() -> list[tuple[_Operator, int]]:
    two, softmax = np.array([2.0, 5.0, 2.0]), (lambda h: np.exp(h) / np.exp(h).sum(-1, keepdims=True))
    return [
        (_Operator("relu", lambda h: np.maximum(h, 0)), 3),
        (_Operator("softmax", softmax), 4),
        (_Operator("sort", lambda h: np.sort(h, axis=-1)), 3),
        (_Operator("times_2_5_2", lambda h: h * two), 3),
        (_Operator("ring", lambda h: h - np.roll(h, 1, axis=-1) ** 2), 4),
        (_Operator("over_neighbours", _over_neighbours), 5),
    ]


def _orders(n: int) -> Iterable[list[int]]:
    return map(list, itertools.permutations(range(n)))


def _inputs(n: int) -> Array:
    return np.random.default_rng(n).normal(size=(20, n))


def _passes(phi: _Operator, n: int) -> int:
    """Count the permutation matrices that may be moved from one side of the operator to the other."""
    h = _inputs(n)
    matrices = (np.eye(n)[order] for order in _orders(n))
    return sum(np.allclose(phi(h @ matrix), phi(h) @ matrix) for matrix in matrices)


def _counted(phi: _Operator, n: int, h: Array, behind: Callable[[Array, list[int]], Array]) -> int:
    """Count the orders after which the result is what ``behind`` says."""
    return sum(np.allclose(phi(h[..., order]), behind(phi(h), order)) for order in _orders(n))


def _exchanges(phi: _Operator, n: int) -> int:
    h = _inputs(n)
    moved = (order for order in _orders(n) if sum(i != j for i, j in enumerate(order)) == 2)
    return sum(np.allclose(phi(h[:, order]), phi(h)[:, order]) for order in moved)


TASKS = (
    Task(
        name="equal-names",
        call="blocks(names, equations, fixed)",
        asks="a list of blocks, each a list of names that move together",
        cases=_blocks_cases,
        oracle=_blocks,
        against="the powers of a matrix",
        complaint=_blocks_complaint,
        mistakes=(
            Mistake(
                lambda names, equations, fixed: [list(pair) for pair in equations if not set(pair) & set(fixed)],
                "two names that are equal to a third one are equal to each other",
            ),
            Mistake(_one_sweep, "where two blocks meet, all members of both have to be joined, not one alone"),
            Mistake(
                lambda names, equations, fixed: _blocks(names, equations, ()),
                "a block with a fixed name cannot move",
            ),
            Mistake(_partners_kept, "what is equal to a fixed name is fixed as well"),
            Mistake(_mentioned, "a name that is in no equation is free, and is a block by itself"),
        ),
    ),
    Task(
        name="passed-orders",
        call="passes(phi, n)",
        asks="the number of orders of n units that phi passes",
        cases=_operators_cases,
        oracle=_passes,
        against="products with all permutation matrices",
        mistakes=(
            Mistake(
                lambda phi, n: _counted(phi, n, _inputs(n), lambda out, order: out),
                "these are the orders that phi does not notice, and to pass an order is to hand it on",
            ),
            Mistake(
                lambda phi, n: _counted(phi, n, _inputs(n), lambda out, order: out[..., np.argsort(order)]),
                "the result has to come in the same order as the input, and here it comes in the inverse one",
            ),
            Mistake(
                lambda phi, n: _counted(phi, n, np.ones(n), lambda out, order: out[..., order]),
                "where all units are equal nothing can be told, so try numbers that differ",
            ),
            Mistake(_exchanges, "these are exchanges of two units only, and phi may pass other orders"),
            Mistake(
                lambda phi, n: math.factorial(n),
                "not every operator treats all units alike, and zeros hide it",
            ),
        ),
    ),
)
