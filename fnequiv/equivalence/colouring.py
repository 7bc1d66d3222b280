"""Tell apart the units that one pass leaves tied: colour refinement, then individualisation, as for graphs.

Notation. A parameter set is a graph: its vertices are the units of all blocks, its coloured edges the entries. A unit
that may be flipped counts as two vertices, itself and its negative (its *literals*), and every tensor as itself beside
its negative, so that signs become permutations. *Refinement* gives every vertex a new colour, a hash of its own and of
the multiset {(entry, colours of the other units on it)}, until no class splits any more. Sums modulo 2^64 do not
depend on their order, so θ and g·θ get the same colours at the units that g matches.

Where classes of several vertices stay, *individualisation* gives one of them a colour of its own and refines again. All
choices are followed, but those that a symmetry found on the way makes equal to one already seen; the least leaf is the
canonical one. A collision of hashes can only merge classes: it costs time, never a wrong answer.

Source: McKay, "Practical graph isomorphism", 1981; the group is that of Proposition 1 of Shen (2024). Chapter:
"Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec
from .elements import Move

Array = npt.NDArray[np.floating]
Words = npt.NDArray[np.uint64]
Colours = list[Words]
Moves = dict[str, Move]


def mix(values: Words) -> Words:
    """Return a well-mixed 64-bit hash (splitmix64), entry by entry."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass
class _Edges:
    """The hashed entries of one tensor; ``owners`` gives for every axis the index of its block, or None."""

    words: Words
    owners: list[int | None]
    roles: list[int]

    def seen_from(self, keep: int, colours: Colours) -> Words:
        """Return, for every vertex on axis ``keep``, the sum of its entries times a word for the others on it."""
        words, axis = self.words, self.words.ndim
        while axis:
            axis -= 1
            if axis == keep:
                continue
            owner = self.owners[axis]
            base = np.arange(words.shape[axis], dtype=np.uint64) if owner is None else colours[owner]
            factor = mix(base + np.uint64(self.roles[axis] * 0x51ED270B + axis)) | np.uint64(1)
            words = np.moveaxis(words, axis, -1) @ factor
            keep -= axis < keep
        return words


class Graph:
    """The graph of a parameter set under the permutations and flips of ``spec`` (scales are left out)."""

    def __init__(self, arrays: Mapping[str, Array], spec: SymmetrySpec) -> None:
        self.blocks = list(spec.blocks)
        index = {block.name: number for number, block in enumerate(self.blocks)}
        places = {(axis.tensor, axis.axis): (block, axis) for block in spec.blocks for axis in block.axes}
        self.edges: list[_Edges] = []
        self.twins: dict[str, list[npt.NDArray[np.int64]]] = {block.name: [] for block in self.blocks}
        for salt, (name, array) in enumerate(arrays.items()):
            owned = [places.get((name, axis)) for axis in range(array.ndim)]
            if any(owned):
                self.edges.append(_edges(array, owned, index, salt))

    def plain(self) -> Colours:
        """Return the first colours: all alike in a block."""
        return [
            mix(np.full(block.size * (2 if block.signs else 1), number, dtype=np.uint64))
            for number, block in enumerate(self.blocks)
        ]

    def start(self) -> Colours:
        """Return the first colours for a search: as in :meth:`plain`, but twins are told apart as one likes."""
        colours = self.plain()
        positions = [np.arange(len(colour), dtype=np.uint64) for colour in colours]
        for number, block in enumerate(self.blocks):
            key = np.zeros(len(colours[number]), dtype=np.uint64)
            for edges in self.edges:
                for axis, owner in enumerate(edges.owners):
                    if owner == number:
                        key = mix(key + edges.seen_from(axis, positions))
            rank = self._rank_of_twins(number, block, key)
            colours[number] = mix(colours[number] + rank)
        return colours

    def _rank_of_twins(self, number: int, block: Block, key: Words) -> Words:
        """Return 0, 1, 2, … within every class of vertices whose entries are equal, one class at a time."""
        rank = np.zeros(len(key), dtype=np.uint64)
        _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
        done = np.zeros(len(key), dtype=bool)
        for cell in np.flatnonzero(counts > 1):
            members = np.flatnonzero(inverse.reshape(-1) == cell)
            if done[members].any() or not self._equal(number, members):
                continue
            rank[members] = np.arange(len(members), dtype=np.uint64)
            done[members] = True
            units = np.unique(members % block.size)
            if len(units) > 1:
                self.twins[block.name].append(units)
            if block.signs:
                negatives = (members + block.size) % (2 * block.size)
                if not np.isin(negatives, members).any():
                    rank[negatives] = np.arange(len(members), dtype=np.uint64)
                    done[negatives] = True
        return rank

    def _equal(self, number: int, members: npt.NDArray[np.int64]) -> bool:
        for edges in self.edges:
            for axis, owner in enumerate(edges.owners):
                if owner == number:
                    rows = np.moveaxis(edges.words, axis, 0)[members]
                    if (rows != rows[0]).any():
                        return False
        return True

    def refine(self, colours: Colours) -> Colours:
        """Refine until no class splits any more."""
        classes = -1
        while classes < (classes := sum(len(np.unique(colour)) for colour in colours)):
            colours = self._round(colours)
        return colours

    def _round(self, colours: Colours) -> Colours:
        refined = [mix(colour) for colour in colours]
        for number, block in enumerate(self.blocks):
            if block.signs:
                refined[number] = mix(refined[number]) + mix(~np.roll(colours[number], block.size))
        for edges in self.edges:
            for axis, owner in enumerate(edges.owners):
                if owner is not None:
                    refined[owner] = mix(refined[owner]) + mix(edges.seen_from(axis, colours))
        return refined

    def moves(self, colours: Colours) -> Moves:
        """Return the moves that put the units in the order of their colours, which must all differ."""
        moves = {}
        for block, colour in zip(self.blocks, colours, strict=True):
            if block.signs:
                plus, minus = colour[: block.size], colour[block.size :]
                order = np.argsort(np.minimum(plus, minus))
                moves[block.name] = Move(order, np.where(plus < minus, 1.0, -1.0)[order])
            else:
                moves[block.name] = Move(np.argsort(colour))
        return moves


def _edges(array: Array, owned: list[tuple[Block, Axis] | None], index: dict[str, int], salt: int) -> _Edges:
    """Hash a tensor's entries, with one axis for every block on it, doubled where units may be flipped."""
    owners: list[int | None] = []
    roles: list[int] = []
    shape: list[int] = []
    for length, place in zip(array.shape, owned, strict=True):
        repeat = place[1].repeat if place else 1
        shape += [length // repeat, repeat] if repeat > 1 else [length]
        owners += [index[place[0].name] if place else None] + [None] * (repeat > 1)
        roles += [1 + len(place[1].role) if place else 0] + [0] * (repeat > 1)
    values = array.reshape(shape) + 0.0  # -0.0 and 0.0 are one number
    at = 0
    for place in owned:
        if place and place[0].signs:
            block, axis = place
            kept = axis.role == "carry" or (axis.role == "out" and block.even)
            values = np.concatenate([values, values if kept else 0.0 - values], axis=at)
        at += 2 if place and place[1].repeat > 1 else 1
    bits = values.view(np.uint32 if values.itemsize == 4 else np.uint64)
    return _Edges(mix(bits.astype(np.uint64) + np.uint64(salt << 33)), owners, roles)
