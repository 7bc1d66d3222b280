r"""Say with a constant tensor which units lie in which run, so that nothing else has to know of blocks within blocks.

Notation. A nested block has d units in runs of m, one run for each of the g units of its parent. Its *membership* is
the matrix M [g, d] with a 1 where the unit lies in the run, and 0 elsewhere; permutations move its rows and columns,
signs and scales do not reach it. Take the pieces of a network (:mod:`fnequiv.equivalence.unfolding`) as tensors and all
its memberships beside them: the *lifted* network, whose specification has neither cells nor nested blocks. An element
of its group that leaves M as it is moves runs as wholes, and as the parent moves: these elements are exactly the
nested group, the wreath product S_m ≀ S_g. So two networks are one up to the nested group if and only if their lifts
are one, and a canonical form of the lift gives one of the network: it only has to put the runs together again.

For m = 1, BatchNorm's way to tie two blocks, M is the identity: g² numbers beside g units, as many as the BatchNorm's
weight takes when it is written out as a diagonal matrix.

Source: the gadget is that of graph isomorphism (McKay, 1981), where coloured vertices and edges stand for any
structure; the group is that of Proposition 1 of Shen (2024) and its section 4. Chapter: "Residual networks".
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..symmetry import Axis, Block, SymmetrySpec
from .arrays import Params
from .elements import GroupElement, Move
from .unfolding import unfold


def memberships(spec: SymmetrySpec) -> dict[str, Block]:
    """Return the name of every membership tensor with the nested block that it is of.

    A block within a block of one unit needs none: any permutation keeps its one run together.

    Examples
    --------
    >>> heads = (Block("h", 2, "permutation", ()), Block("h.v", 4, "permutation", (), within="h", groups=2))
    >>> list(memberships(SymmetrySpec(heads, {})))
    ['h.v within h']
    """
    found: dict[str, Block] = {}
    for block in spec.blocks:
        if block.within is not None and block.groups > 1:
            name = f"{block.name} within {block.within}"
            while name in spec.pieces or name in found:
                name += "'"
            found[name] = block
    return found


def lifted(spec: SymmetrySpec) -> SymmetrySpec:
    """Return the specification of the lifted network; of one without cells and nested blocks, the same object.

    Examples
    --------
    >>> heads = (Block("h", 2, "permutation", ()), Block("h.v", 4, "permutation", (), within="h", groups=2))
    >>> flat = lifted(SymmetrySpec(heads, {"w": (2, 3)}))
    >>> dict(flat.shapes), flat.block("h.v").axes[0].role
    ({'w': (2, 3), 'h.v within h': (2, 4)}, 'carry')
    """
    found = memberships(spec)
    if not found:
        return spec.flat
    places: dict[str, list[Axis]] = {block.name: [] for block in spec.blocks}
    for name, block in found.items():
        assert block.within is not None
        places[block.within].append(Axis(name, 0, "carry"))
        places[block.name].append(Axis(name, 1, "carry"))
    blocks = (replace(block, axes=(*block.axes, *places[block.name])) for block in spec.flat.blocks)
    shapes = {name: (block.groups, block.size) for name, block in found.items()}
    return SymmetrySpec(tuple(blocks), {**spec.pieces, **shapes})


def lift(params: Params, spec: SymmetrySpec) -> Params:
    """Return the pieces of a network and its memberships; what has neither cells nor nested blocks, as it is.

    The parameters must be those of the specification, which is not checked here.

    Examples
    --------
    >>> heads = (Block("h", 2, "permutation", ()), Block("h.v", 4, "permutation", (), within="h", groups=2))
    >>> lift({"w": torch.ones(3)}, SymmetrySpec(heads, {"w": (3,)}))["h.v within h"]
    tensor([[1., 1., 0., 0.],
            [0., 0., 1., 1.]])
    """
    found = memberships(spec)
    if not (found or spec.cells):
        return params
    with torch.no_grad():
        pieces = unfold(params, spec)
        like = next((piece for piece in pieces.values() if piece.is_floating_point()), torch.empty(0))
        for name, block in found.items():
            runs = torch.eye(block.groups, dtype=like.dtype, device=like.device)
            pieces[name] = runs.repeat_interleave(block.size // block.groups, dim=1)
    return pieces


def gathered(element: GroupElement, spec: SymmetrySpec) -> GroupElement:
    """Return the element followed by one that puts runs together: parents first, then units by their parent's place.

    Units of one run keep the order in which ``element`` puts them. The result depends on nothing but on what the
    element makes of the memberships, so a canonical form stays one; and it belongs to the nested group.

    Examples
    --------
    >>> heads = (Block("h", 2, "permutation", ()), Block("h.v", 4, "permutation", (), within="h", groups=2))
    >>> torn = GroupElement({"h": Move([1, 0]), "h.v": Move([0, 3, 1, 2])})
    >>> gathered(torn, SymmetrySpec(heads, {}))["h.v"].permutation
    array([3, 2, 0, 1])
    """
    moves: dict[str, Move] = {}
    for block in spec.blocks:
        move = element[block.name]
        if block.within is not None:
            run = block.size // block.groups
            place = np.argsort(moves[block.within].permutation)  # of every unit of the parent
            order = np.argsort(place[move.permutation // run], kind="stable")
            move = Move(move.permutation[order], move.signs[order], move.scales[order])
        moves[block.name] = move
    return GroupElement(moves)
