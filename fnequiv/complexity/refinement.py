r"""Automorphisms of a layered graph with coloured edges, by colour refinement and backtracking.

Notation. The vertices of layer l = 1..L are hidden neurons; inputs and outputs are fixed. W^(l)_{ij} colours the edge
from j to i, the bias and a multiplicity colour the vertex i. An automorphism permutes every hidden layer and fixes all
colours.

Colour refinement gives vertices different colours as soon as the multisets of (edge colour, neighbour's
colour) around them differ. Colours are 64-bit hashes, and multisets are sums modulo 2^64, which do not depend on the
order. A collision can only leave two vertices together that could be told apart, so it may cost time but never the
exact count: every automorphism is checked entry by entry before it is counted.

The order of the group is a product along a chain (orbit-stabiliser): fix v_1, v_2, … until refinement tells all
vertices apart; then |Aut| = Π_i |orbit of v_i under the automorphisms that fix v_1..v_{i-1}|. Going up from the last
v_i, the automorphisms already found join candidates into orbits, so that only one of each has to be tried.

Reference: B. D. McKay and A. Piperno, "Practical graph isomorphism, II", J. Symbolic Computation 60 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Colours = list[npt.NDArray[np.uint64]]
Mapping = list[npt.NDArray[np.int64]]


@dataclass(frozen=True)
class LayeredGraph:
    """Weights W^(1..L+1), biases b^(1..L+1) and, for hidden layers, how many twins each vertex stands for.

    ``paired``: vertex i and i + n/2 of a hidden layer are each other's negatives, and stay partners.
    """

    weights: list[npt.NDArray[np.float64]]
    biases: list[npt.NDArray[np.float64]]
    multiplicities: list[npt.NDArray[np.int64]]
    paired: bool = False

    def fixes(self, mapping: Mapping) -> bool:
        """Whether ``mapping`` (one permutation a hidden layer) is an automorphism, entry by entry."""
        below = np.arange(self.weights[0].shape[1])
        for level, weight in enumerate(self.weights):
            here = mapping[level] if level < len(mapping) else np.arange(len(weight))
            if (
                not (weight[np.ix_(here, below)] == weight).all()
                or not (self.biases[level][here] == self.biases[level]).all()
            ):
                return False
            if level < len(mapping):
                counts = self.multiplicities[level]
                if not (counts[here] == counts).all() or (self.paired and not _keeps_partners(here)):
                    return False
            below = here
        return True


def _keeps_partners(permutation: npt.NDArray[np.int64]) -> bool:
    half = len(permutation) // 2
    return bool((np.roll(permutation, half) == (permutation + half) % len(permutation)).all()) if half else True


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit integers (the finaliser of SplitMix64), entry by entry."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class _Search:
    """Colours of one graph, refined; counts how often, and refuses beyond ``max_nodes``."""

    def __init__(self, graph: LayeredGraph, max_nodes: int) -> None:
        self.graph = graph
        self.max_nodes = max_nodes
        self.nodes = 0
        self.edges = [_mix(weight.view(np.uint64)) for weight in graph.weights]
        self.ends = [_mix(np.arange(n, dtype=np.uint64)) for n in (graph.weights[0].shape[1], len(graph.weights[-1]))]

    def start(self) -> Colours:
        """Return the refined colours of the hidden units when each starts with its bias and its multiplicity."""
        hidden = zip(self.graph.biases[:-1], self.graph.multiplicities, strict=True)
        return self.refine([_mix(bias.view(np.uint64)) + _mix(count.view(np.uint64)) for bias, count in hidden])

    def refine(self, colours: Colours) -> Colours:
        """Refine until no vertex can be told from its like by its neighbours."""
        self.nodes += 1
        if self.nodes > self.max_nodes:
            raise ValueError(
                f"the ties of this network need more than max_nodes={self.max_nodes} refinements: raise max_nodes, "
                "or break ties (merge duplicate neurons, drop dead ones) first"
            )
        classes = -1
        while classes < (classes := sum(len(np.unique(colour)) for colour in colours)):
            colours = self._round(colours)
        return colours

    def _round(self, colours: Colours) -> Colours:
        layers = [self.ends[0], *colours, self.ends[1]]
        refined = []
        for level, own in enumerate(colours):
            incoming = _mix(self.edges[level] ^ _mix(layers[level])).sum(axis=1, dtype=np.uint64)
            outgoing = _mix(self.edges[level + 1] ^ _mix(layers[level + 2])[:, None]).sum(axis=0, dtype=np.uint64)
            new = _mix(own) + _mix(incoming) + _mix(_mix(outgoing))
            if self.graph.paired:
                new = new + _mix(_mix(_mix(np.roll(own, len(own) // 2))))
            refined.append(_mix(new))
        return refined

    def single_out(self, colours: Colours, level: int, vertex: int) -> Colours:
        """Give one vertex a colour of its own, and refine."""
        singled = [colour.copy() for colour in colours]
        singled[level][vertex] = _mix(~colours[level][vertex : vertex + 1])[0]
        return self.refine(singled)


@dataclass(frozen=True)
class _Step:
    """Vertex ``vertex`` of hidden layer ``level`` is fixed; ``cell`` looks like it before, ``after`` holds then."""

    level: int
    vertex: int
    cell: npt.NDArray[np.int64]
    before: Colours
    after: Colours


def automorphism_count(graph: LayeredGraph, max_nodes: int) -> int:
    """Return the number of automorphisms, exactly.

    Raises
    ------
    ValueError
        If more than ``max_nodes`` refinements would be needed.
    """
    search = _Search(graph, max_nodes)
    path: list[_Step] = []
    colours = search.start()
    while (cell := _tied_cell(colours)) is not None:
        level, members = cell
        after = search.single_out(colours, level, int(members[0]))
        path.append(_Step(level, int(members[0]), members, colours, after))
        colours = after
    order = 1
    generators: list[Mapping] = []
    for depth in reversed(range(len(path))):
        step = path[depth]
        orbit = _orbit(step.vertex, step.level, generators)
        refuted: set[int] = set()
        for candidate in step.cell.tolist():
            if candidate in orbit or candidate in refuted:
                continue
            found = _image(search, path, depth, step.before, candidate)
            if found is None:
                refuted |= _orbit(candidate, step.level, generators)
            else:
                generators.append(found)
                orbit = _orbit(step.vertex, step.level, generators)
        order *= len(orbit)
    return order


def _tied_cell(colours: Colours) -> tuple[int, npt.NDArray[np.int64]] | None:
    """Return the first smallest set of vertices that share a colour, or None if there is none."""
    best = None
    for level, colour in enumerate(colours):
        values, counts = np.unique(colour, return_counts=True)
        for value, count in zip(values[counts > 1], counts[counts > 1], strict=True):
            if best is None or count < best[0]:
                best = (count, level, value)
    if best is None:
        return None
    return best[1], np.flatnonzero(colours[best[1]] == best[2])


def _orbit(vertex: int, level: int, generators: list[Mapping]) -> set[int]:
    orbit, fresh = {vertex}, [vertex]
    while fresh:
        point = fresh.pop()
        for image in {int(generator[level][point]) for generator in generators} - orbit:
            orbit.add(image)
            fresh.append(image)
    return orbit


def _image(search: _Search, path: list[_Step], depth: int, colours: Colours, candidate: int) -> Mapping | None:
    """Return an automorphism that fixes the vertices above ``depth`` and sends that step's vertex to ``candidate``."""
    step = path[depth]
    colours = search.single_out(colours, step.level, candidate)
    if any((np.sort(a) != np.sort(b)).any() for a, b in zip(step.after, colours, strict=True)):
        return None
    if depth == len(path) - 1:
        mapping = []
        for a, b in zip(step.after, colours, strict=True):
            permutation = np.empty(len(a), dtype=np.int64)
            permutation[np.argsort(a)] = np.argsort(b)
            mapping.append(permutation)
        return mapping if search.graph.fixes(mapping) else None
    following = path[depth + 1]
    colour = following.before[following.level][following.vertex]
    for choice in np.flatnonzero(colours[following.level] == colour).tolist():
        found = _image(search, path, depth + 1, colours, choice)
        if found is not None:
            return found
    return None
