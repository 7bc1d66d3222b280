"""Which scales and signs are free, once all equations between them are known.

Notation. A variable v stands for log λ, or for a sign. Scales: v and -v are two nodes; an equation v = ±w joins nodes,
and v is held at 0 where v and -v are joined. Signs: one node each, and one more for +1. The sets that are left are the
free *roots*; a parameter's entries carry a product of powers of them.

Theorem: Examples 1-2 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .structure import Ids, Term, Variables


@dataclass(frozen=True, eq=False)
class Resolved:
    """A factor along an axis: the roots of scale and sign at every place (-1: none), and the power of the scale."""

    scale: Ids
    power: Ids
    sign: Ids
    of: Scales

    @property
    def pattern(self) -> Ids:
        """A number for each place, equal where scale and sign act alike."""
        return (self.power * (self.scale >= 0)) * 4 + 2 * (self.scale >= 0) + (self.sign >= 0)

    def moves(self, start: int, stop: int) -> bool:
        """Whether anything is free there, and has not been given up."""
        return any(not set(roots.tolist()) <= self.of.lost | {-1} for roots in self._roots(start, stop))

    @property
    def lost(self) -> bool:
        """Whether any of it has been given up."""
        return any(not self.of.lost.isdisjoint(roots.tolist()) for roots in self._roots(0, len(self.scale)))

    def _roots(self, start: int, stop: int) -> tuple[Ids, Ids]:
        """Return numbers of scales and signs, -1 where there is none, as they are noted where they are lost."""
        sign = self.sign[start:stop]
        return self.scale[start:stop], np.where(sign < 0, -1, -2 - sign)

    def constant(self, places: Ids) -> bool:
        """Whether the factor is the same at some places."""
        return self.agrees(places, np.full_like(places, places[0]))

    def at(self, places: Ids) -> Resolved:
        """Return the factor at some places."""
        return replace(self, scale=self.scale[places], power=self.power[places], sign=self.sign[places])

    def agrees(self, one: Ids, two: Ids) -> bool:
        """Whether the factor is the same at two lists of places."""
        return all(np.array_equal(each[one], each[two]) for each in (self.scale, self.power, self.sign))

    def distinct(self, places: Ids) -> bool:
        """Whether every place has a root of its own."""
        return all((each[places] < 0).all() or len(np.unique(each[places])) == len(places)
                   for each in (self.scale, self.sign))  # fmt: skip

    def give_up_at(self, places: Ids) -> None:
        """Hold the factor at some places."""
        self.at(places).give_up(0, len(places))

    def give_up(self, start: int, stop: int) -> None:
        """Hold the factor: no block can say it."""
        for roots in self._roots(start, stop):
            self.of.lost.update(set(roots.tolist()) - {-1})

    @property
    def lone(self) -> int:
        """The number (below 0) of the family of one unit that carries the factor: one for all that it is met with."""
        scale, sign = int(self.scale[0]), int(self.sign[0])
        return -2 - int(self.of.met[scale if scale >= 0 else self.of.variables.count + sign])


class Scales:
    """The roots of all variables."""

    def __init__(self, variables: Variables) -> None:
        n = variables.count
        self.variables = variables
        sets = _sets(2 * n, variables.scale_pairs)
        plus, minus = sets[0::2], sets[1::2]
        self.scale = np.where(plus == minus, -1, np.minimum(plus, minus))
        self.turn = np.where(plus < minus, 1, -1)
        signs = _sets(n + 1, [np.where(pair < 0, n, pair) for pair in variables.sign_pairs])
        self.sign = np.where(signs[:n] == signs[n], -1, signs[:n])
        both = (self.scale >= 0) & (self.sign >= 0)
        self.mates = set(zip(self.scale[both].tolist(), self.sign[both].tolist(), strict=True))
        self.met = _sets(2 * n, [np.stack([self.scale[both], n + self.sign[both]])])
        self.lost: set[int] = set()

    def resolve(self, terms: Sequence[Term], size: int) -> list[Resolved]:
        """Return the free factors along an axis, those of one root joined."""
        parts: list[Resolved] = []
        for term in self.variables.expanded(list(terms)):
            ids = np.broadcast_to(term.ids, (size,))
            free = self.scale[ids] if term.scale else np.full(size, -1)
            sign = self.sign[ids] if term.sign % 2 else np.full(size, -1)
            parts.append(Resolved(free, self.turn[ids] * term.scale, sign, self))
        scales = _joined([(each.scale, each.power) for each in parts])
        signs = _joined([(each.sign, (each.sign >= 0).astype(np.int64)) for each in parts], modulo=2)
        return self._paired(scales, signs, size)

    def _mates(self, roots: Ids, signs: Ids) -> bool:
        here = (roots >= 0) & (signs >= 0)
        pairs = zip(roots[here].tolist(), signs[here].tolist(), strict=True)
        return bool(here.any()) and all(pair in self.mates for pair in pairs)

    def _paired(self, scales: list[tuple[Ids, Ids]], signs: list[tuple[Ids, Ids]], size: int) -> list[Resolved]:
        """Return factors with the scale and the sign of one variable together."""
        out = []
        left = list(signs)
        for roots, powers in scales:
            mate = next((k for k, (sign, _) in enumerate(left) if self._mates(roots, sign)), None)
            sign = left.pop(mate)[0] if mate is not None else np.full(size, -1)
            out.append(Resolved(roots, powers, sign, self))
        return out + [Resolved(np.full(size, -1), np.zeros(size, dtype=np.int64), sign, self) for sign, _ in left]


def _joined(parts: list[tuple[Ids, Ids]], modulo: int | None = None) -> list[tuple[Ids, Ids]]:
    """Return factors with powers of the same roots added up, those without any left out."""
    out: list[tuple[Ids, Ids]] = []
    for roots, powers in parts:
        for k, (known, sum_) in enumerate(out):
            if np.array_equal(known, roots):
                out[k] = (known, sum_ + powers)
                break
        else:
            out.append((roots, powers))
    if modulo:
        out = [(roots, powers % modulo) for roots, powers in out]
    out = [(np.where(powers != 0, roots, -1), powers) for roots, powers in out]
    return [(roots, powers) for roots, powers in out if (roots >= 0).any()]


def _sets(count: int, pairs: list[Ids]) -> Ids:
    one, two = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
    graph = coo_matrix((np.ones(len(one), dtype=bool), (one, two)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
