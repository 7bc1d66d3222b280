"""The group of a structure: which units can be exchanged, and which only with others.

Notation. Colour refinement splits units until those of one colour have the same marks and equally many relations into
every colour. Between two colours a relation is then complete (it says nothing), a *matching* (each unit has its
partner: the two colours move as one), a *function* (units of one lie within units of the other: a nested block), or
something else, of which units are frozen. Colours that are matched form a *family*. A family within one other is
permuted freely inside each unit of it; one within two others at once is a product of the two, and is moved by them.

The permutations of the families so found keep every mark and relation, whatever the choices: frozen units only make
the group smaller. Theorem: as in :mod:`fnequiv.architectures.structure`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .colouring import Edges, edges_of, refined
from .nesting import AgainError, Family, closed, freeze, lie, settle
from .structure import Ids, Structure


@dataclass
class Solution:
    """For every unit of the structure its family and its place there; the families."""

    family: Ids
    place: Ids
    families: list[Family]

    @cached_property
    def kinds(self) -> Ids:
        """One number for each family, equal where places are read from the same families; -1 for single units."""
        return np.array([self._kind(k) for k in range(len(self.families))], dtype=np.int64)

    def _kind(self, k: int) -> int:
        family = self.families[k]
        if family.size == 1:
            return -1
        return k if family.free else -2 - hash(tuple(self._kind(top) for top in family.parents)) % (1 << 40)


def solve(structure: Structure) -> Solution:
    """Return families and places of all units; what fits no pattern is frozen first, with a note."""
    edges = edges_of(structure)
    marks = list(structure.marks)
    while True:
        colour = refined(structure.count, marks, edges)
        try:
            return _read(structure, colour, edges, marks)
        except AgainError:
            continue


def _read(structure: Structure, colour: Ids, edges: Edges, marks: list[tuple[Ids, Ids]]) -> Solution:
    matchings, functions = _patterns(structure, colour, edges, marks)
    while True:
        family, place, sizes = _tied(structure, colour, matchings, marks)
        families = [Family(int(n)) for n in sizes]
        for one, two in functions:
            lie(families, family, place, one, two, structure, marks)
        extra = closed(families, family, place, structure, marks)
        if extra is None:
            break
        matchings.append(extra)
    for k, each in enumerate(families):
        settle(k, families, family, place, structure, marks)
        assert each.size
    return Solution(family, _ordered(family, place, families), families)


def _patterns(
    structure: Structure, colour: Ids, edges: Edges, marks: list[tuple[Ids, Ids]]
) -> tuple[list[tuple[Ids, Ids]], list[tuple[Ids, Ids]]]:
    """Return matchings and functions among the relations between colours."""
    sizes = np.bincount(colour)
    one, two = colour[edges.one], colour[edges.two]
    kept = (sizes[one] > 1) & (sizes[two] > 1) & (edges.one != edges.two)
    a, b, r, one, two = edges.one[kept], edges.two[kept], edges.relation[kept], one[kept], two[kept]
    order = np.lexsort((two, one, r))
    a, b, r, one, two = (each[order] for each in (a, b, r, one, two))
    new = (np.diff(r) != 0) | (np.diff(one) != 0) | (np.diff(two) != 0)
    starts = np.concatenate([[0], np.flatnonzero(new) + 1]) if len(r) else np.zeros(0, dtype=int)
    matchings, functions = [], []
    for start, stop in zip(starts, [*starts, len(r)][1:], strict=True):
        left, right = a[start:stop], b[start:stop]
        n, m, count = int(sizes[one[start]]), int(sizes[two[start]]), stop - start
        if count == n * m:
            continue
        if count == n == m:
            matchings.append((left, right))
        elif count == n:
            functions.append((left, right))
        elif count == m:
            functions.append((right, left))
        else:
            _many(structure, edges, left, right, r[start], marks)
    return matchings, functions


def _many(structure: Structure, edges: Edges, left: Ids, right: Ids, r: int, marks: list[tuple[Ids, Ids]]) -> None:
    """Where a many-to-many relation is all-to-all within sets, name the sets by new units; else freeze."""
    sets = _components(structure.count, left, right)
    names, inverse = np.unique(sets[left], return_inverse=True)
    full = sum(
        len(np.unique(left[inverse == k])) * len(np.unique(right[inverse == k])) for k in range(len(names))
    ) if len(names) <= 4096 else -1  # fmt: skip
    if full != len(left):
        freeze(np.concatenate([left, right]), structure, marks, "units that meet in no simple pattern are left unmoved")
    new = structure.fresh((len(names),))
    edges.replace_relation(r, left, right, new[inverse])
    raise AgainError


def _components(count: int, one: Ids, two: Ids) -> Ids:
    graph = coo_matrix((np.ones(len(one), dtype=bool), (one, two)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _tied(
    structure: Structure, colour: Ids, matchings: list[tuple[Ids, Ids]], marks: list[tuple[Ids, Ids]]
) -> tuple[Ids, Ids, Ids]:
    """Return family and place of every unit: matched colours are one family, matched units one place."""
    pairs = [np.concatenate(side) for side in zip(*matchings, strict=True)] if matchings else [np.zeros(0, int)] * 2
    sets = _components(structure.count, *pairs)
    both = np.unique(sets * (int(colour.max()) + 1) + colour, return_counts=True) if len(colour) else ((), ())
    if len(both[0]) < structure.count:
        crowded = np.asarray(both[0])[np.asarray(both[1]) > 1] % (int(colour.max()) + 1)
        freeze(
            np.flatnonzero(np.isin(colour, crowded)),
            structure,
            marks,
            "units that are tied to others of their own kind are left unmoved",
        )
    kinds = _components(int(colour.max()) + 1 if len(colour) else 0, *(colour[side] for side in pairs))
    family = kinds[colour]
    order = np.argsort(family * structure.count + sets, kind="stable")
    place = np.empty(structure.count, dtype=np.int64)
    steps = np.concatenate([[True], np.diff(family[order]) != 0]) if len(order) else np.zeros(0, bool)
    changes = np.concatenate([[True], (np.diff(sets[order]) != 0)]) if len(order) else np.zeros(0, bool)
    rank = np.cumsum(changes | steps) - 1
    first = np.maximum.accumulate(np.where(steps, rank, 0))
    place[order] = rank - first
    sizes = np.zeros(int(family.max()) + 1 if len(family) else 0, dtype=np.int64)
    np.maximum.at(sizes, family, place + 1)
    return family, place, sizes


def _ordered(family: Ids, place: Ids, families: list[Family]) -> Ids:
    """Return places renumbered so that units within one other are consecutive, in the order they came in."""
    count = len(family)
    new: dict[int, Ids] = {}
    order = np.argsort(family, kind="stable")
    bounds = np.searchsorted(family[order], np.arange(len(families) + 1))

    def number(k: int) -> Ids:
        """Return the new place of every old one in a family, after those of the family that it lies within."""
        if k not in new and families[k].size == 1:
            new[k] = np.zeros(1, dtype=np.int64)
        elif k not in new:
            here = order[bounds[k] : bounds[k + 1]]
            first = np.full(families[k].size, count, dtype=np.int64)
            np.minimum.at(first, place[here], here)
            keys = [first]
            if len(families[k].parents) == 1:
                top = families[k].parents[0]
                keys.append(number(top)[families[k].above[top]])
            ranks = np.empty(families[k].size, dtype=np.int64)
            ranks[np.lexsort(keys)] = np.arange(families[k].size)
            new[k] = ranks
        return new[k]

    out = np.empty(count, dtype=np.int64)
    for k in range(len(families)):
        here = order[bounds[k] : bounds[k + 1]]
        out[here] = number(k)[place[here]]
    for k, each in enumerate(families):
        for top in each.above:
            moved = np.empty(each.size, dtype=np.int64)
            moved[number(k)] = number(top)[each.above[top]]
            each.above[top] = moved
    return out
