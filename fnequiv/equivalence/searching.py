"""Search through the choices that refinement leaves open, for the canonical one: individualisation.

Notation. Where classes of several vertices stay, *individualisation* gives one of them a colour of its own and refines
again. All choices are followed, but those that a symmetry found on the way makes equal to one already seen; the least
leaf is the canonical one. Two leaves with one certificate differ by a symmetry of the network.

Source: McKay, "Practical graph isomorphism", 1981. Chapter: "Telling networks apart".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .colouring import Colours, Graph, Moves, mix
from .elements import Move


class TooManyTiesError(ValueError):
    """The ties of a network need more refinements than allowed."""


@dataclass
class Search:
    """Follow every choice that no symmetry makes superfluous; ``certificate`` orders the leaves."""

    graph: Graph
    certificate: Callable[[Moves], bytes]
    max_nodes: int
    nodes: int = 0
    best: tuple[list[bytes], bytes, list[tuple[int, int]], Colours] | None = None
    generators: list[tuple[Colours, Colours]] = field(default_factory=list)

    def run(self) -> Moves:
        """Return the moves to the canonical form."""
        try:
            self._visit(self._refined(self.graph.start()), [], [])
        except RecursionError:
            raise TooManyTiesError(
                "the ties of this network need too many choices one inside the other: break ties (merge duplicate "
                "neurons, drop dead ones) first"
            ) from None
        assert self.best is not None
        return self.graph.moves(self.best[3])

    def automorphisms(self) -> list[Moves]:
        """Return the moves of the symmetries found: each takes the network to itself."""
        found = []
        for pair in self.generators:
            moves = {}
            for block, image in zip(self.graph.blocks, self._image(pair), strict=True):
                image = image[: block.size]
                moves[block.name] = Move(image % block.size, np.where(image < block.size, 1.0, -1.0))
            found.append(moves)
        return found

    def _refined(self, colours: Colours) -> Colours:
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise TooManyTiesError(
                f"the ties of this network need more than max_nodes={self.max_nodes} refinements: raise max_nodes, "
                "or break ties (merge duplicate neurons, drop dead ones) first"
            )
        return self.graph.refine(colours)

    def _visit(self, colours: Colours, trace: list[bytes], path: list[tuple[int, int]]) -> int:
        """Explore below a node; return the depth to go back to (the node's own depth: nothing to skip)."""
        depth = len(path)
        trace = [*trace, _summary(colours)]
        if self.best is not None and trace > self.best[0][: depth + 1]:
            return depth
        cell = _tied_cell(colours)
        if cell is None:
            return self._leaf(colours, trace, path)
        block, members = cell
        tried: list[int] = []
        for vertex in members.tolist():
            if tried and self._reached(vertex, tried, block, path):
                continue
            tried.append(vertex)
            back = self._visit(self._refined(_single_out(colours, block, vertex)), trace, [*path, (block, vertex)])
            if back < depth:
                return back
        return depth

    def _leaf(self, colours: Colours, trace: list[bytes], path: list[tuple[int, int]]) -> int:
        word = self.certificate(self.graph.moves(colours))
        if self.best is not None and (trace, word) == (self.best[0], self.best[1]):
            self.generators.append((self.best[3], colours))
            common = 0
            while common < len(path) and path[common] == self.best[2][common]:
                common += 1
            return common
        if self.best is None or (trace, word) < (self.best[0], self.best[1]):
            self.best = (trace, word, path, colours)
        return len(path)

    def _reached(self, vertex: int, tried: list[int], block: int, path: list[tuple[int, int]]) -> bool:
        """Whether symmetries that keep every vertex of ``path`` carry one of ``tried`` to ``vertex``."""
        images = [self._image(pair) for pair in self.generators]
        images = [image for image in images if all(image[level][point] == point for level, point in path)]
        seen, fresh = set(tried), list(tried)
        while fresh:
            point = fresh.pop()
            for image in images:
                other = int(image[block][point])
                if other not in seen:
                    seen.add(other)
                    fresh.append(other)
        return vertex in seen

    @staticmethod
    def _image(pair: tuple[Colours, Colours]) -> list[npt.NDArray[np.int64]]:
        images = []
        for a, b in zip(*pair, strict=True):
            image = np.empty(len(a), dtype=np.int64)
            image[np.argsort(a)] = np.argsort(b)
            images.append(image)
        return images


def _summary(colours: Colours) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for colour in colours:
        digest.update(np.sort(colour).tobytes())
    return digest.digest()


def _tied_cell(colours: Colours) -> tuple[int, npt.NDArray[np.int64]] | None:
    """Return the smallest class of vertices that share a colour (the least colour among those), or None."""
    best: tuple[int, int, np.uint64] | None = None
    for block, colour in enumerate(colours):
        values, counts = np.unique(colour, return_counts=True)
        tied = counts > 1
        if tied.any():
            least = counts[tied].min()
            found = (int(least), block, values[counts == least][0])
            if best is None or found < best:
                best = found
    if best is None:
        return None
    return best[1], np.flatnonzero(colours[best[1]] == best[2])


def _single_out(colours: Colours, block: int, vertex: int) -> Colours:
    singled = [colour.copy() for colour in colours]
    singled[block][vertex] = mix(~singled[block][vertex : vertex + 1])[0]
    return singled
