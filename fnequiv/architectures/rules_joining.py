"""Rules of concatenation, stacking and padding: new legs whose units are related to those of the parts.

Notation. A part's places are a set of their own in the new leg. Parts that are stacked keep units of their own along
all other legs, too: they are the same value at another place of the stack.

Theorem: as in :mod:`fnequiv.architectures.structure`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .algebra import frozen, held, met
from .rules import Call, rule
from .structure import Ids, Structure, Term
from .values import Leg, Value, common_sizes, cut, merge_legs, plain, with_axes


@rule("cat", "concat", "concatenate", "stack", "hstack", "vstack")
def joined(call: Call, values: Sequence[Value], dim: int = 0) -> Value:
    """Values one behind the other: the new leg's units are related to those of its parts."""
    name = str(call.node.target).split(".")[1]
    rank = len(call.shape)
    if name in ("hstack", "vstack"):
        dim = {"vstack": 0, "hstack": min(1, rank - 1)}[name]
    axis = dim % rank
    if name == "stack":
        values = [replace(value, groups=(*value.groups[:axis], 0, *value.groups[axis:])) for value in values]
    if name == "stack":
        return stacked(values, axis, call.structure)
    values = [value for value in values if value.shape != (0,)]
    return join(values, axis, call.structure)


def stacked(values: Sequence[Value], axis: int, structure: Structure) -> Value:
    """Return values side by side along a new axis of size 1 in each: every place keeps units of its own."""
    values = [merged(value, axis, structure) for value in values]
    values = _alike(values, axis, structure)
    start = values[0].spans[axis][0]
    legs = []
    for k in range(len(values[0].legs)):
        own = [value.legs[k] for value in values]
        if k == start or not all(leg.units is not None for leg in own):
            continue
        shape = list(np.broadcast_shapes(*(leg.units.shape for leg in own if leg.units is not None)))
        shape[start] = len(values)
        units = structure.fresh(tuple(shape))
        for leg, piece in zip(own, np.split(units, len(values), axis=start), strict=True):
            structure.mark(piece)
            structure.relate(piece, leg.units)  # type: ignore[arg-type]
        legs.append((k, units))
    new = {k for k, _ in legs}
    bare = []
    for value in values:
        own = [Leg(leg.size, None, True) if k in new else leg for k, leg in enumerate(value.legs)]
        bare.append(replace(value, legs=tuple(own), terms=()))
    out = join(bare, axis, structure)
    whole = list(out.legs)
    for k, units in legs:
        whole[k] = Leg(whole[k].size, units)
    return replace(out, legs=tuple(whole), terms=_stacked_terms(values, start, structure))


def _stacked_terms(values: Sequence[Value], start: int, structure: Structure) -> tuple[Term, ...]:
    """Return a new variable for each place of a stack and each unit, equated with those of the parts."""
    owners = frozenset().union(*(term.owners for value in values for term in value.terms))
    if not owners:
        return ()
    shape = list(np.broadcast_shapes(*(term.ids.shape for value in values for term in value.terms)))
    shape[start] = len(values)
    ids = structure.variables.fresh(tuple(shape))
    for value, piece in zip(values, np.split(ids, len(values), axis=start), strict=True):
        terms = [replace(term, owners=owners) for term in value.terms]
        structure.variables.equate(terms, [Term(piece, owners)])
    return (Term(ids, owners),)


def join(values: Sequence[Value], axis: int, structure: Structure) -> Value:
    """Return the concatenation along an axis: a new leg of it, whose units are related to those of the parts."""
    values = _alike(values, axis, structure)
    start = values[0].spans[axis][0]
    sizes = [value.legs[start].size for value in values]
    frames = [_frame(value, start) for value in values]
    legs = list(met(frames, structure))
    parts = [value.legs[start] for value in values]
    units = None
    if any(part.units is not None or part.constant for part in parts):
        units = structure.fresh(_shape([part.units for part in parts if part.units is not None], start, values))
        for part, piece in zip(parts, _pieces(units, sizes, start), strict=True):
            structure.mark(piece, None if part.units is not None or part.constant else start)
            if part.units is not None:
                structure.relate(piece, part.units)
    legs[start] = Leg(sum(sizes), units)
    return Value(values[0].groups, tuple(legs), _joined_terms(values, sizes, start, structure))


def _alike(values: Sequence[Value], axis: int, structure: Structure) -> list[Value]:
    """Return the values with one leg on the axis, and the same legs on all others."""
    out = [merged(value, axis, structure) for value in values]
    for k in range(len(out[0].groups)):
        if k != axis:
            sizes = common_sizes([[leg.size for leg in value.legs[slice(*value.spans[k])]] for value in out])
            out = [cut(value, k, sizes, structure) for value in out]
            if len(sizes) == 1:
                out = [merged(value, k, structure) for value in out]
    return out


def _frame(value: Value, start: int) -> Value:
    """Return the value with a constant leg of size 1 in the place of one."""
    legs = list(value.legs)
    legs[start] = Leg(1, None, True)
    legs = [leg if leg.units is None else replace(leg, units=leg.units.take([0], axis=start)) for leg in legs]
    return replace(value, legs=tuple(legs), terms=())


def _shape(arrays: Sequence[Ids], start: int, values: Sequence[Value]) -> tuple[int, ...]:
    """Return the shape of an array along the joined leg."""
    rank = len(values[0].legs)
    shape = list(np.broadcast_shapes((1,) * rank, *(ids.take([0], axis=start).shape for ids in arrays)))
    shape[start] = sum(value.legs[start].size for value in values)
    return tuple(shape)


def _pieces(ids: Ids, sizes: Sequence[int], start: int) -> list[Ids]:
    return np.split(ids, np.cumsum(sizes)[:-1], axis=start)


def merged(value: Value, axis: int, structure: Structure) -> Value:
    """Return the value with one leg on an axis."""
    start, stop = value.spans[axis]
    if stop > start:
        return merge_legs(value, start, stop, structure)
    kept: list[int | None] = [*range(start), None, *range(start, len(value.legs))]
    out = with_axes(value, kept, [leg.size for leg in (*value.legs[:start], Leg(1), *value.legs[start:])])
    legs = (*out.legs[:start], Leg(1), *out.legs[start + 1 :])
    return replace(out, legs=legs, groups=tuple(n + (k == axis) for k, n in enumerate(value.groups)))


def _joined_terms(values: Sequence[Value], sizes: Sequence[int], start: int, structure: Structure) -> tuple[Term, ...]:
    """Return new variables along the joined leg, equated with those of the parts; what else there is is held at 1."""
    for value in values:
        for term in value.terms:
            if start not in term.owners:
                structure.variables.pin(term)
    along = [[replace(t, owners=frozenset({start})) for t in value.terms if start in t.owners] for value in values]
    if not any(along):
        return ()
    ids = structure.variables.fresh(_shape([term.ids for terms in along for term in terms], start, values))
    for terms, piece in zip(along, _pieces(ids, sizes, start), strict=True):
        structure.variables.equate(terms, [Term(piece, frozenset({start}))])
    return (Term(ids, frozenset({start})),)


@rule("constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
      "replication_pad2d", "replication_pad3d", "reflection_pad", "_pad_circular")  # fmt: skip
def padded(call: Call, value: Value, pads: Sequence[int], *args: Any, **kwargs: Any) -> Value:
    """Padding: places of the padded axes are read one by one; with zeros, a leg with units keeps them."""
    fill = args[-1] if args and isinstance(args[-1], (int, float)) else kwargs.get("value") or 0
    rank = len(value.groups)
    if fill:
        value = held(value, call.structure)
    for k in range(len(pads) // 2):
        axis, before, after = rank - 1 - k, pads[2 * k], pads[2 * k + 1]
        if not before and not after:
            continue
        start, stop = value.spans[axis]
        moved = any(leg.units is not None for leg in value.legs[start:stop])
        if not moved or min(before, after) < 0:
            value = frozen(value, call.structure, [axis])
            legs = [*value.legs[:start], Leg(value.shape[axis] + before + after), *value.legs[stop:]]
            kept: list[int | None] = [*range(start), None, *range(stop, len(value.legs))]
            groups = tuple(1 if j == axis else n for j, n in enumerate(value.groups))
            value = replace(with_axes(value, kept, [leg.size for leg in legs]), groups=groups)
            value = replace(value, legs=tuple(legs[j] if j == start else leg for j, leg in enumerate(value.legs)))
        else:
            zeros = [plain([n if j == axis else size for j, size in enumerate(value.shape)]) for n in (before, after)]
            zeros = [replace(z, legs=tuple(replace(leg, constant=True) for leg in z.legs)) for z in zeros]
            parts = [p for p, n in ((zeros[0], before), (value, 1), (zeros[1], after)) if n]
            value = join(parts, axis, call.structure)
    return value
