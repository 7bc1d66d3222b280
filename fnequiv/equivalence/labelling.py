"""Put the units of a network in canonical order: one sweep, and a search where that leaves ties.

Notation. Equality here is exact: permutations and flips alone. :mod:`fnequiv.equivalence.settling` names units by
what they receive, :mod:`fnequiv.equivalence.searching` decides what is left. Proposition 1 of Shen (2024). Chapter:
"Telling networks apart".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..symmetry import SymmetrySpec
from .actions import apply
from .arrays import bytes_of
from .axes import Array
from .colouring import Graph
from .elements import GroupElement, Move
from .searching import Search
from .settling import Sweep
from .twinning import numbered_twins


@dataclass(frozen=True)
class Labelling:
    """How a network gets to its canonical form, and what of it no rule could tell apart.

    ``element`` takes the network to its canonical form. ``twins`` lists by block the groups of units that are equal
    in every tensor (up to sign), by their places in the given network; units of tied blocks are twins together.
    ``automorphisms`` are elements found on the way that fix the network (up to rounding, where it may be rescaled)
    although they exchange other units than twins; ``refinements`` counts the steps of the search (0: one pass was
    enough).
    """

    element: GroupElement
    twins: Mapping[str, tuple[tuple[int, ...], ...]]
    automorphisms: tuple[GroupElement, ...]
    refinements: int


def label_arrays(arrays: Mapping[str, Array], spec: SymmetrySpec, *, max_nodes: int) -> Labelling:
    """Return the labelling of arrays under the permutations and flips of ``spec``; scales are left out."""
    arrays, spec, together = numbered_twins(arrays, spec)
    sweep = Sweep(arrays, spec)
    moves, refinements = sweep.moves, 0
    automorphisms: tuple[GroupElement, ...] = ()
    twins = sweep.ties
    if sweep.open:
        search = Search(Graph(arrays, spec), lambda found: _certificate(arrays, spec, found), max_nodes)
        moves = search.run()
        refinements, twins = search.nodes, search.graph.twins
        automorphisms = tuple(GroupElement(found) for found in search.automorphisms())
    element = GroupElement({block.name: moves[block.name] for block in spec.blocks})
    twins = {block.name: [*twins.get(block.name, []), *together.get(block.name, [])] for block in spec.blocks}
    groups = {name: tuple(tuple(sorted(int(unit) for unit in group)) for group in own) for name, own in twins.items()}
    return Labelling(element, groups, automorphisms, refinements)


def _certificate(arrays: Mapping[str, Array], spec: SymmetrySpec, moves: Mapping[str, Move]) -> bytes:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    element = GroupElement({block.name: moves[block.name] for block in spec.blocks})
    digest = hashlib.blake2b(digest_size=32)
    for tensor in apply(tensors, spec.only(signs=True), element).values():
        digest.update(bytes_of(tensor))
    return digest.digest()
