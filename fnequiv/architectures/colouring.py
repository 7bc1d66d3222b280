"""Colour refinement of a structure's units: the coarsest split that marks and relations respect.

Notation. A unit's colour is a 64-bit hash of its marks; a round adds to it, for every relation, the sum of what it is
related to. Rounds end when the number of colours no longer grows. Two colours that collide by chance would join units
that differ; what is found is checked on the network itself.

Theorem: one-dimensional Weisfeiler-Leman refinement (McKay and Piperno, 2014). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .structure import Ids, Structure

Hashes = npt.NDArray[np.uint64]


@dataclass
class Edges:
    """All relations as arrays: ``one[k]`` is related to ``two[k]`` by relation ``relation[k]``, each pair once."""

    one: Ids
    two: Ids
    relation: Ids

    def replace_relation(self, r: int, left: Ids, right: Ids, sets: Ids) -> None:
        """Write relation r between some units as two functions into the sets that they meet in."""
        gone = (self.relation == r) & np.isin(self.one, left) & np.isin(self.two, right)
        top = int(self.relation.max()) + 1
        pairs = [np.unique(np.stack([side, sets]), axis=1) for side in (left, right)]
        self.one = np.concatenate([self.one[~gone], *(pair[0] for pair in pairs)])
        self.two = np.concatenate([self.two[~gone], *(pair[1] for pair in pairs)])
        kinds = [np.full(pair.shape[1], top + k) for k, pair in enumerate(pairs)]
        self.relation = np.concatenate([self.relation[~gone], *kinds])


def edges_of(structure: Structure) -> Edges:
    """Return the relations with repeated pairs left out."""
    ones, twos, kinds = [], [], []
    idle = _idle(structure)
    for r, (one, two) in enumerate(structure.relations):
        kept = ~(idle[one] | idle[two])
        one, two = one[kept], two[kept]
        pairs = np.unique(one * structure.count + two)
        ones.append(pairs // structure.count)
        twos.append(pairs % structure.count)
        kinds.append(np.full(len(pairs), r))
    if not ones:
        return Edges(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    return Edges(np.concatenate(ones), np.concatenate(twos), np.concatenate(kinds))


def _idle(structure: Structure) -> npt.NDArray[np.bool_]:
    """Return which units a view alone has made, and nothing asks for: they meet only others of their kind."""
    owner = np.full(structure.count, -1, dtype=np.int64)
    for k, (_, units) in enumerate(structure.splits):
        owner[units.ravel()] = k
    asked = np.zeros(structure.count, dtype=bool)
    for units in (*structure.used, *(units for units, _ in structure.marks)):
        asked[units.ravel()] = True
    own = {r for r, _ in structure.splits}
    links = [np.zeros((2, 0), dtype=np.int64)]
    for r, (one, two) in enumerate(structure.relations):
        if r not in own:
            a, b = owner[one], owner[two]
            asked[one[b < 0]] = asked[two[a < 0]] = True
            links.append(np.unique(np.stack([a, b])[:, (a >= 0) & (b >= 0)], axis=1))
    one, two = np.concatenate(links, axis=1)
    count = len(structure.splits)
    graph = coo_matrix((np.ones(len(one), dtype=bool), (one, two)), shape=(count, count))
    sets = connected_components(graph, directed=False)[1] if count else np.zeros(0, dtype=np.int64)
    used = np.zeros(count, dtype=bool)
    while True:
        found = np.array([asked[units.ravel()].any() for _, units in structure.splits], dtype=bool)
        found = np.isin(sets, sets[found])
        if (found == used).all():
            return (owner >= 0) & ~np.append(used, True)[owner]
        used = found
        for r, _ in itertools.compress(structure.splits, used):
            asked[structure.relations[r][0]] = True


def refined(count: int, marks: list[tuple[Ids, Ids]], edges: Edges) -> Ids:
    """Return a colour for every unit, numbered from 0."""
    hashes = np.zeros(count, dtype=np.uint64)
    for units, colours in marks:
        pairs = np.unique(units * (int(colours.max(initial=0)) + 1) + colours)
        np.add.at(hashes, pairs // (int(colours.max(initial=0)) + 1), _mixed(pairs % (int(colours.max(initial=0)) + 1)))
    source = np.concatenate([edges.one, edges.two])
    target = np.concatenate([edges.two, edges.one])
    salt = _mixed(np.concatenate([2 * edges.relation, 2 * edges.relation + 1]) + (1 << 40))
    order = np.argsort(target, kind="stable")
    source, target, salt = source[order], target[order], salt[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(target) != 0])) if len(target) else np.zeros(0, int)
    distinct = 0
    while True:
        colours, numbers = np.unique(hashes, return_inverse=True)
        if len(colours) == distinct or not len(starts):
            return numbers.astype(np.int64)
        distinct = len(colours)
        for _ in range(2):
            received = np.add.reduceat(_mixed(hashes[source].view(np.int64) ^ salt.view(np.int64)), starts)
            hashes = _mixed(hashes.view(np.int64))
            hashes[target[starts]] += received


def _mixed(values: npt.NDArray[np.integer]) -> Hashes:
    """Return splitmix64 of every entry."""
    x = values.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
