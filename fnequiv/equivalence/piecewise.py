"""Apply an element part by part and compare: never one more whole network in memory.

Notation. A *part* holds the tensors on the way in to the same units, a layer's weight and bias say: the rule that
:mod:`fnequiv.equivalence.rescaling` holds scales to looks at a unit's whole way in, so g·θ comes out of its parts as it
does in one piece. Proposition 1 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..symmetry import SymmetrySpec
from .actions import apply
from .arrays import Params
from .axes import restricted
from .elements import GroupElement, Move
from .rescaling import rescale_
from .unitrows import pieces


def parts(spec: SymmetrySpec) -> list[SymmetrySpec]:
    """Return the specifications of all parts, in the order of their first tensors.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> [list(part.shapes) for part in parts(mlp.spec((1, 2, 1), "relu"))]
    [['0.weight', '0.bias'], ['2.weight'], ['2.bias']]
    """
    found: list[tuple[list[str], set[str]]] = []  # names of tensors, and of the blocks that they lead to
    for name, places in spec.places.items():
        names, units = [name], {block.name for axis, block in places if axis.role == "in"}
        for part in [part for part in found if part[1] & units]:
            found.remove(part)
            names, units = [*part[0], *names], part[1] | units
        found.append((names, units))
    order = {name: number for number, name in enumerate(spec.shapes)}
    return [restricted(spec, names) for names, _ in sorted(found, key=lambda part: min(order[n] for n in part[0]))]


def moved_parts(
    params: Params, spec: SymmetrySpec, element: GroupElement, dtype: torch.dtype | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of g·θ by name, one part after the other.

    With a ``dtype``, tensors take it, on the CPU, after the permutation and before flips and scales. No tensor is held
    once it was yielded.

    Raises
    ------
    TypeError, ValueError
        As :func:`~fnequiv.equivalence.actions.apply`, when the part comes that it refuses.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> from fnequiv.equivalence.elements import Move
    >>> theta = {"0.weight": torch.tensor([[1.0], [2.0]]), "2.weight": torch.tensor([[3.0, 4.0]])}
    >>> spec = mlp.spec(theta, "relu")
    >>> swap = GroupElement({"layer1": Move([1, 0])})
    >>> [(name, tensor.flatten().tolist()) for name, tensor in moved_parts(theta, spec, swap)]
    [('0.weight', [2.0, 1.0]), ('2.weight', [4.0, 3.0])]
    """
    for part in parts(spec):
        own = GroupElement({block.name: element[block.name] for block in part.blocks})
        moved = {name: params[name].detach() for name in part.shapes}
        if dtype is None:
            moved = apply(moved, part, own)
        else:
            moved = apply(moved, part, GroupElement({name: Move(move.permutation) for name, move in own.moves.items()}))
            for name in moved:
                moved[name] = moved[name].to("cpu", dtype)
            rescale_(moved, part, own)
        for name in part.shapes:
            yield name, moved.pop(name)


def relative_difference(moved: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return max |moved - wanted| / max |wanted|, computed in float64; 0 where both vanish.

    Examples
    --------
    >>> relative_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0]))
    0.25
    """
    if not wanted.numel():
        return 0.0
    gap = peak = 0.0
    ours, theirs = (torch.atleast_1d(tensor.detach()) for tensor in (moved, wanted))
    for piece in pieces(len(theirs), theirs[0].numel()):
        size = theirs[piece].double()
        gap, peak = max(gap, _largest(ours[piece].double() - size)), max(peak, _largest(size))
    if gap == 0:
        return 0.0
    return gap / peak if peak else float("inf")


def _largest(tensor: torch.Tensor) -> float:
    low, high = tensor.aminmax()
    return max(-float(low), float(high))
