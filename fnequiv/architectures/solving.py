"""The group of a structure: which units can be exchanged, and which only with others.

Notation. Colour refinement splits units until those of one colour have the same marks and equally many relations into
every colour. Between two colours a relation is then complete (it says nothing), a *matching* (each unit has its
partner: the two colours move as one), a *function* (units of one lie within units of the other: a nested block), or
something else, of which units are frozen. Colours that are matched form a *family*. A family within one other is
permuted freely inside each unit of it; one within two others at once is a product of the two, and is moved by them.

The permutations of the families so found keep every mark and relation, whatever the choices: frozen units only make
the group smaller. Theorem: as in :mod:`fnequiv.architectures.structure`. Chapter: "Architectures".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .colouring import Edges, edges_of, refined
from .structure import Ids, Structure


@dataclass
class Family:
    """Units that move as one set: its size, and for each family above it the unit there that a unit lies in."""

    size: int
    above: dict[int, Ids] = field(default_factory=dict)
    parents: tuple[int, ...] = ()  # the lowest ones above; two of them: a product, with no freedom of its own

    @property
    def free(self) -> bool:
        """Whether units move on their own."""
        return len(self.parents) < 2


@dataclass
class Solution:
    """For every unit of the structure its family and its place there; the families."""

    family: Ids
    place: Ids
    families: list[Family]


class _AgainError(Exception):
    """The structure has been frozen somewhere: colours are to be refined again."""


def solve(structure: Structure) -> Solution:
    """Return families and places of all units; what fits no pattern is frozen first, with a note."""
    edges = edges_of(structure)
    marks = list(structure.marks)
    while True:
        colour = refined(structure.count, marks, edges)
        try:
            return _read(structure, colour, edges, marks)
        except _AgainError:
            continue


def _freeze(units: Ids, structure: Structure, marks: list[tuple[Ids, Ids]]) -> None:
    units = np.unique(units)
    marks.append((units, np.arange(structure.colours, structure.colours + len(units))))
    structure.colours += len(units)
    raise _AgainError


def _read(structure: Structure, colour: Ids, edges: Edges, marks: list[tuple[Ids, Ids]]) -> Solution:
    matchings, functions = _patterns(structure, colour, edges, marks)
    while True:
        family, place, sizes = _tied(structure, colour, matchings, marks)
        families = [Family(int(n)) for n in sizes]
        for one, two in functions:
            _lie(families, family, place, one, two, structure, marks)
        extra = _closed(families, family, place, structure, marks)
        if extra is None:
            break
        matchings.append(extra)
    for k, each in enumerate(families):
        _settle(k, families, family, place, structure, marks)
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
        structure.notes.append("units that meet in no simple pattern are left unmoved")
        _freeze(np.concatenate([left, right]), structure, marks)
    new = structure.fresh((len(names),))
    edges.replace_relation(r, left, right, new[inverse])
    raise _AgainError


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
        structure.notes.append("units that are tied to others of their own kind are left unmoved")
        _freeze(np.flatnonzero(np.isin(colour, crowded)), structure, marks)
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


def _lie(
    families: list[Family], family: Ids, place: Ids, one: Ids, two: Ids, structure: Structure,
    marks: list[tuple[Ids, Ids]],
) -> None:  # fmt: skip
    """Note that the units ``one`` lie within the units ``two``."""
    below, above = int(family[one[0]]), int(family[two[0]])
    places = np.empty(families[below].size, dtype=np.int64)
    places[place[one]] = place[two]
    known = families[below].above.get(above)
    if below == above or (known is not None and not np.array_equal(known, places)):
        structure.notes.append("units that lie within two others of one kind are left unmoved")
        _freeze(np.flatnonzero((family == below) | (family == above)), structure, marks)
    families[below].above[above] = places


def _closed(
    families: list[Family], family: Ids, place: Ids, structure: Structure, marks: list[tuple[Ids, Ids]]
) -> tuple[Ids, Ids] | None:
    """Complete what lies within what; return a matching that this shows, if there is one."""
    changed = True
    while changed:
        changed = False
        for k, each in enumerate(families):
            for middle in list(each.above):
                for top, places in list(families[middle].above.items()):
                    through = places[each.above[middle]]
                    known = each.above.setdefault(top, through)
                    changed |= known is through
                    if not np.array_equal(known, through):
                        structure.notes.append("units that lie within two others of one kind are left unmoved")
                        _freeze(np.flatnonzero(np.isin(family, (k, top))), structure, marks)
            for one, two in combinations(sorted(each.above), 2):
                if two in families[one].above or one in families[two].above:
                    continue
                n, m = families[one].size, families[two].size
                pairs = np.unique(each.above[one] * m + each.above[two])
                left, right = pairs // m, pairs % m
                if len(pairs) == n == m:
                    return _representatives(family, place, one, left), _representatives(family, place, two, right)
                for count, low, high, source, target in ((n, one, two, left, right), (m, two, one, right, left)):
                    if len(pairs) == count:
                        places = np.empty(count, dtype=np.int64)
                        places[source] = target
                        families[low].above[high] = places
                        changed = True
                        break
    return None


def _representatives(family: Ids, place: Ids, which: int, places: Ids) -> Ids:
    """Return one unit of the structure for each of some places of a family."""
    here = np.flatnonzero(family == which)
    first = np.empty(int(place[here].max()) + 1, dtype=np.int64)
    first[place[here][::-1]] = here[::-1]
    return first[places]


def _settle(
    k: int, families: list[Family], family: Ids, place: Ids, structure: Structure, marks: list[tuple[Ids, Ids]]
) -> None:
    """Find the lowest families above one, and check that it is nested in one, or the product of two."""
    each = families[k]
    lowest = [top for top in each.above if not any(top in families[other].above for other in each.above)]
    each.parents = tuple(sorted(lowest))
    if len(lowest) < 2:
        return
    both = np.stack([each.above[top] for top in each.parents])
    cells = np.unique(both, axis=1)
    shared = [top for top in each.above if all(top in families[low].above for low in lowest)]
    deepest = max((families[top].size for top in shared), default=1)
    expected = np.prod([families[top].size // deepest for top in lowest]) * deepest
    if len(lowest) > 2 or cells.shape[1] != expected:
        structure.notes.append("units that lie within others in no simple pattern are left unmoved")
        _freeze(np.flatnonzero(np.isin(family, [k, *lowest])), structure, marks)
    if cells.shape[1] < each.size:
        structure.notes.append("units that could move inside two nestings at once are left unmoved")
        here = np.flatnonzero(family == k)
        order = np.lexsort((place[here], *both[:, place[here]]))
        code = (both[0] * (families[lowest[0]].size + families[lowest[1]].size + 1) * each.size + both[1])[place[here]]
        rank = np.zeros(len(here), dtype=np.int64)
        ordered = code[order]
        new = np.concatenate([[True], np.diff(ordered) != 0])
        starts = np.maximum.accumulate(np.where(new, np.arange(len(here)), 0))
        unit_rank = np.concatenate([[0], np.cumsum((np.diff(place[here][order]) != 0) | new[1:])])
        rank[order] = unit_rank - unit_rank[starts]
        marks.append((here, structure.colours + rank))
        structure.colours += int(rank.max()) + 1
        raise _AgainError


def _ordered(family: Ids, place: Ids, families: list[Family]) -> Ids:
    """Return places renumbered so that units within one other are consecutive, in the order they came in."""
    count = len(family)
    new: dict[int, Ids] = {}
    order = np.argsort(family, kind="stable")
    bounds = np.searchsorted(family[order], np.arange(len(families) + 1))

    def number(k: int) -> Ids:
        if k not in new:
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
