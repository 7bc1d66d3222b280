"""Sums, products and contractions of values: what meets is related, what is added is scaled alike.

Notation. Operands are brought to common legs (as broadcasting does); units at one place are related, and units beside
places that are read one by one are marked with them. A sum asks that its operands carry equal factors. A product has
the factors of both; where one is a parameter's own variable g, it is *defined* as w - v from the factor v of the other
and a new variable w of the product, as BatchNorm's weight is. A contraction is a product, summed: what its factors say
of the contracted axis has to cancel, W ↦ W D⁻¹ behind h ↦ D h.

Theorem: Proposition 1 and Examples 1-2 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from .structure import Structure, Term, cancelled
from .values import Leg, Value, common_sizes, cut, merge_legs, with_axes


def aligned(values: Sequence[Value], structure: Structure) -> list[Value]:
    """Return the values with common axes and legs; where one has size 1 and others more, it is constant."""
    rank = max(len(value.groups) for value in values)
    values = [replace(value, groups=(0,) * (rank - len(value.groups)) + value.groups) for value in values]
    shape = np.broadcast_shapes(*(value.shape for value in values))
    plan: list[list[int]] = []
    for axis in range(rank):
        full = [k for k, value in enumerate(values) if value.groups[axis] and value.shape[axis] == shape[axis]]
        sizes = common_sizes([_sizes(values[k], axis) for k in full]) if full else []
        for k in full:
            values[k] = cut(values[k], axis, sizes, structure)
            if len(sizes) == 1:
                values[k] = merge_legs(values[k], *values[k].spans[axis], structure)
        plan.append(sizes)
    return [_on(value, plan) for value in values]


def _sizes(value: Value, axis: int) -> list[int]:
    return [leg.size for leg in value.legs[slice(*value.spans[axis])]]


def _on(value: Value, plan: Sequence[Sequence[int]]) -> Value:
    """Return the value on the legs of ``plan``, constant where it has none."""
    kept: list[int | None] = []
    for axis, sizes in enumerate(plan):
        start, stop = value.spans[axis]
        kept += range(start, stop) if _sizes(value, axis) == list(sizes) else [None] * len(sizes)
    groups = tuple(len(sizes) for sizes in plan)
    return replace(with_axes(value, kept, [size for sizes in plan for size in sizes]), groups=groups)


def met(values: Sequence[Value], structure: Structure) -> tuple[Leg, ...]:
    """Return the legs of what an operator makes of aligned values, entry by entry."""
    legs = []
    for k in range(len(values[0].legs)):
        here = [value.legs[k] for value in values if not value.legs[k].constant]
        units = sorted((leg.units for leg in here if leg.units is not None), key=np.size)
        for other in units[1:]:
            structure.relate(units[0], other)
        if len(units) < len(here):
            for ids in units:
                structure.mark(ids, k)
                structure.pointwise.append(ids)
        legs.append(
            Leg(values[0].legs[k].size, units[0])
            if units and len(units) == len(here)
            else here[0]
            if not units and here
            else Leg(values[0].legs[k].size, None, not here)
        )
    return tuple(legs)


def added(values: Sequence[Value], structure: Structure) -> Value:
    """Return the sum (or any operator that is linear in all of its operands at once)."""
    first, *others = aligned(values, structure)
    legs = met([first, *others], structure)
    for other in others:
        structure.variables.equate(list(first.terms), list(other.terms))
    shifts = tuple(ids for value in (first, *others) for ids in value.shifts)
    scores = tuple(pair for value in (first, *others) for pair in value.scores)
    return replace(first, legs=legs, shifts=shifts, scores=scores, convex=False)


def multiplied(values: Sequence[Value], structure: Structure, contracted: Collection[int] = ()) -> Value:
    """Return the product; along the legs of the axes ``contracted`` it is about to be summed."""
    first, *others = aligned(values, structure)
    for other in others:
        summed = {k for axis in contracted for k in range(*first.spans[axis])}
        for k, (one, two) in enumerate(zip(first.legs, other.legs, strict=True)):
            if k not in summed and not one.constant and not two.constant:
                structure.pointwise += [leg.units for leg in (one, two) if leg.units is not None]
        terms = _product(list(first.terms), list(other.terms), summed, structure)
        first = replace(first, legs=met([first, other], structure), terms=tuple(terms))
    return first


def _product(one: list[Term], two: list[Term], summed: set[int], structure: Structure) -> list[Term]:
    """Return the factors of a product, with a new variable for each that a parameter's own can be defined by."""
    variables = structure.variables
    for mine, theirs in ((two, one), (one, two)):
        for term in list(mine):
            beside = [b for b in theirs if b.owners & term.owners and not b.owners & summed]
            if not beside or term.owners & summed or not variables.free(term):
                continue
            shape = np.broadcast_shapes(term.ids.shape, *(other.ids.shape for other in beside))
            if shape != term.ids.shape:
                continue
            new = Term(variables.fresh(shape), term.owners)
            variables.equate([term, *(replace(b, owners=term.owners) for b in beside)], [new])
            mine.remove(term)
            for other in beside:
                theirs.remove(other)
            mine.append(new)
    return cancelled([*one, *two])


def summed(value: Value, axes: Collection[int], structure: Structure, *, keep: bool = False) -> Value:
    """Return the sum over some axes: factors that belong to them cancel or are held at 1."""
    gone = [k for axis in axes for k in range(*value.spans[axis])]
    use(value, structure, axes)
    value = without_factors(value, gone, structure)
    value = independent(value, gone, structure)
    kept = [k for k in range(len(value.legs)) if k not in gone]
    groups = [0 if axis in axes else n for axis, n in enumerate(value.groups) if keep or axis not in axes]
    return replace(with_axes(value, kept), groups=tuple(groups))


def use(value: Value, structure: Structure, axes: Collection[int] = ()) -> None:
    """Note that an operator does something apart for each place of all axes but ``axes``."""
    gone = {k for axis in axes for k in range(*value.spans[axis])}
    structure.used += [leg.units for k, leg in enumerate(value.legs) if k not in gone and leg.units is not None]


def without_factors(value: Value, legs: Collection[int], structure: Structure) -> Value:
    """Return the value after its factors on some legs have been asked to cancel."""
    those = [term for term in value.terms if term.owners & set(legs)]
    structure.variables.equate(those, [])
    return replace(value, terms=tuple(term for term in value.terms if not term.owners & set(legs)))


def independent(value: Value, gone: Sequence[int], structure: Structure) -> Value:
    """Return the value with units and factors that no longer depend on the legs ``gone``, at their first place."""
    rank = len(value.legs)

    def first(ids: np.ndarray) -> np.ndarray:
        """Return an array at the first place of the legs that go."""
        return ids[tuple(slice(0, 1) if k in gone else slice(None) for k in range(rank))]

    legs = []
    for k, leg in enumerate(value.legs):
        units = leg.units
        if units is not None and k not in gone and any(units.shape[j] > 1 for j in gone):
            shared = structure.fresh(first(units).shape)
            structure.relate(units, shared)
            units = shared
        legs.append(replace(leg, units=units))
    for term in value.terms:
        if any(term.ids.shape[j] > 1 for j in gone):
            structure.variables.equate([term], [replace(term, ids=first(term.ids))])
    legs = [replace(leg, units=None) if k in gone else leg for k, leg in enumerate(legs)]
    value = replace(value, legs=tuple(legs))
    return value.mapped(first, value.legs, lambda axis: {axis})


def contracted(values: Sequence[Value], axes: Collection[int], structure: Structure) -> Value:
    """Return the product of values, summed over ``axes`` of the common axes."""
    product = multiplied([without_shifts(value) for value in values], structure, axes)
    return summed(product, axes, structure)


def without_shifts(value: Value) -> Value:
    """Return the value with nothing known of what shifts it."""
    return replace(value, shifts=(), scores=(), convex=False)


def held(value: Value, structure: Structure, *, scale: bool = True, sign: bool = True) -> Value:
    """Return the value after scales, signs or both have been held at 1."""
    for term in value.terms:
        structure.variables.pin(term, scale=scale, sign=sign)
    return value if not (scale and sign) else replace(value, terms=())


def frozen(value: Value, structure: Structure, axes: Collection[int] | None = None) -> Value:
    """Return the value with the places of some axes (None: of all) read one by one, their factors held at 1."""
    axes = range(len(value.groups)) if axes is None else axes
    inner = {k for axis in axes for k in range(*value.spans[axis])}
    for k in sorted(inner):
        if (units := value.legs[k].units) is not None:
            structure.mark(units, k)
            structure.pointwise.append(units)
    for term in value.terms:
        if term.owners & inner or len(inner) == len(value.legs):
            structure.variables.pin(term)
    legs = tuple(Leg(leg.size) if k in inner else leg for k, leg in enumerate(value.legs))
    gone = len(inner) == len(value.legs)
    terms = tuple(term for term in value.terms if not (gone or term.owners & inner))
    return replace(value, legs=legs, terms=terms)
