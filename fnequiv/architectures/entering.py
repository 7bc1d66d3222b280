"""How a parameter enters: which units and variables its places have.

Notation. An axis brings a new unit for each of its places. In three kinds of tensors the units of later axes depend on
the first: the weight of a grouped convolution, [g·o, i, ...], has in-units i of its own in every group; so has a
*stack* [e, o, i] of weights that are multiplied one by one; and a weight that is cut along its rows before use (an
attention's ``in_proj_weight`` read by two sequences) has columns of its own in every piece.

Chapter: "The symmetry of any model". Theorem: as in :mod:`fnequiv.architectures.structure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .capture import Captured
from .rules import operator_name
from .rules_convolution import groups_of
from .structure import Structure, Term
from .values import Leg, Value

_STACKED = frozenset(["matmul", "bmm", "baddbmm", "einsum", "linear", "bilinear"])
_VIEWS = frozenset(["view", "reshape", "permute", "transpose", "unsqueeze", "expand", "select", "unbind", "getitem",
                    "contiguous", "squeeze", "mT", "t"])  # fmt: skip
_CUTS = frozenset(["slice", "split", "split_with_sizes", "chunk", "unbind", "select", "narrow"])
_LARGEST = 1 << 22  # entries of a tensor whose later axes depend on the first


@dataclass(frozen=True, eq=False)
class Parameter:
    """A tensor of the state: its names, its shape, how it entered, and on what parts of axis 0 others depend."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    root: Value
    groups: int = 1  # of a grouped convolution's weight
    stacked: bool = False  # later axes depend on each place of the first
    pieces: tuple[int, ...] = ()  # where the first axis is cut, from 0 to its end


def enter(names: tuple[str, ...], node: torch.fx.Node, captured: Captured, structure: Structure) -> Parameter:
    """Return a parameter with new units and variables, as its uses need them."""
    shape = tuple(node.meta["val"].shape)
    users = [user for leaf in captured.nodes if captured.names.get(leaf.name) == names for user in leaf.users]
    convolving = [user for user in users if operator_name(user).startswith("conv") and len(shape) > 2]
    groups = max((groups_of(user) for user in convolving), default=1)
    if groups > 1:
        return Parameter(names, shape, _grouped(shape, groups, structure), groups)
    if not convolving and len(shape) > 1 and np.prod(shape) <= _LARGEST:
        pieces = _pieces(users, shape)
        if len(shape) == 2 and len(pieces) > 2:
            return Parameter(names, shape, _cut(shape, pieces, structure), pieces=pieces)
        if len(shape) > 2 and shape[0] > 1 and any(operator_name(user) in _STACKED for user in _beyond(users)):
            return Parameter(names, shape, _stack(shape, structure), stacked=True)
    moving = range(2) if convolving else range(len(shape))
    legs, terms = [], []
    for axis, size in enumerate(shape):
        line = tuple(size if k == axis else 1 for k in range(len(shape)))
        if axis not in moving:
            legs.append(Leg(size))
            continue
        units = structure.fresh(line)
        structure.mark(units)
        legs.append(Leg(size, units))
        terms.append(Term(structure.variables.fresh(line), frozenset({axis})))
    return Parameter(names, shape, Value((1,) * len(shape), tuple(legs), tuple(terms)))


def _beyond(users: Iterable[torch.fx.Node]) -> Iterable[torch.fx.Node]:
    """Yield the users, and those behind views."""
    for user in users:
        yield user
        if operator_name(user) in _VIEWS:
            yield from _beyond(user.users)


def _pieces(users: Sequence[torch.fx.Node], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return where a tensor is cut along its first axis, if that is all that is done with it."""
    cuts = {0, shape[0]}
    for user in users:
        if operator_name(user) not in _CUTS:
            return ()
        line = torch.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
        found = user.target(line, *user.args[1:], **user.kwargs)  # type: ignore[operator]
        for part in found if isinstance(found, (tuple, list)) else [found]:
            values = part.reshape(-1)
            if values.numel() == np.prod(shape):
                continue
            places = values.unique().tolist()
            if places != list(range(places[0], places[-1] + 1)) or values.numel() != len(places) * np.prod(shape[1:]):
                return ()
            cuts |= {places[0], places[-1] + 1}
    return tuple(sorted(cuts))


def _cut(shape: tuple[int, ...], pieces: Sequence[int], structure: Structure) -> Value:
    """Return a matrix whose columns have units of their own in every piece of its rows."""
    rows, columns = shape
    units = structure.fresh((rows, 1))
    structure.mark(units)
    counts = np.diff(pieces)
    inner = structure.fresh((len(counts), columns))
    for k in range(len(counts)):
        structure.mark(inner[k])
    legs = (Leg(rows, units), Leg(columns, np.repeat(inner, counts, axis=0)))
    variables = np.repeat(structure.variables.fresh(inner.shape), counts, axis=0)
    terms = (Term(structure.variables.fresh((rows, 1)), frozenset({0})), Term(variables, frozenset({1})))
    return Value((1, 1), legs, terms)


def _stack(shape: tuple[int, ...], structure: Structure) -> Value:
    """Return a stack whose later axes have units of their own at every place of the first."""
    first = structure.fresh((shape[0], *(1,) * (len(shape) - 1)))
    structure.mark(first)
    structure.pointwise.append(first)
    legs, terms = [Leg(shape[0], first)], []
    for axis, size in enumerate(shape[1:], 1):
        line = (shape[0], *(size if k == axis else 1 for k in range(1, len(shape))))
        units = structure.fresh(line)
        structure.mark(units)
        structure.relate(units, first)
        legs.append(Leg(size, units))
        terms.append(Term(structure.variables.fresh(line), frozenset({0, axis})))
    return Value((1,) * len(shape), tuple(legs), tuple(terms))


def _grouped(shape: tuple[int, ...], groups: int, structure: Structure) -> Value:
    """Return the weight of a grouped convolution: legs (groups, out, in, places), in and out within their group."""
    rank = len(shape) + 1
    rows, columns = shape[0] // groups, shape[1]
    heads = structure.fresh((groups, *(1,) * (rank - 1)))
    structure.mark(heads)
    structure.pointwise.append(heads)
    legs, terms = [Leg(groups, heads)], []
    for leg, size in ((1, rows), (2, columns)):
        line = (groups, *(size if k == leg else 1 for k in range(1, rank)))
        units = structure.fresh(line)
        structure.mark(units)
        structure.relate(units, heads)
        legs.append(Leg(size, units))
        terms.append(Term(structure.variables.fresh(line), frozenset({0, leg})))
    legs += [Leg(size) for size in shape[2:]]
    return Value((2, *(1,) * (len(shape) - 1)), tuple(legs), tuple(terms))
