"""Values that flow through a network, as their symmetry sees them: which units lie along each axis.

Notation. An axis is a product of *legs*, (heads, dimensions) or (channels, height, width), major first. A leg holds an
array of units, one entry a place, which may depend on other legs (the dimensions of a head on the head); or no units:
its places are read one by one (``None``); or it is *constant*, the value being the same at all its places, as after
``expand``. Reshaping regroups and splits legs: the places of a leg split into (a, b) lie within a new unit each b.

All arrays have one inner axis a leg, of its size or 1. Chapter: "The symmetry of any model". Theorem: as in
:mod:`fnequiv.architectures.structure`, whose relations make index maps of every value well defined.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from .structure import Ids, Structure, Term


@dataclass(frozen=True, eq=False)
class Leg:
    """A factor of an axis: its size, the units at its places, and whether the value is constant along it."""

    size: int
    units: Ids | None = None
    constant: bool = False


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor: for each axis the number of its legs, the legs, and the factors it is multiplied by.

    ``shifts`` are units of biases that are added to it, the same at all places of other legs, and ``scores`` those that
    shift it alike along an axis (-1 or -2), as a key's bias does. ``convex``: along the last axis it sums to 1. What an
    operator makes of it is another value: ``content`` is kept by nobody but the rules that know of it.
    """

    groups: tuple[int, ...]
    legs: tuple[Leg, ...]
    terms: tuple[Term, ...] = ()
    shifts: tuple[Ids, ...] = ()
    scores: tuple[tuple[Ids, int], ...] = ()
    convex: bool = False
    content: torch.Tensor | None = None  # the entries of a constant

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(leg.size for leg in self.legs[start:stop]) for start, stop in self.spans)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The range of legs of every axis."""
        stops = np.cumsum([0, *self.groups]).tolist()
        return list(itertools.pairwise(stops))

    def mapped(self, change: Callable[[Ids], Ids], legs: Sequence[Leg], owners: Callable[[int], set[int]]) -> Value:
        """Return the value with every array changed; ``owners`` says where an inner axis goes."""
        units = tuple(replace(leg, units=None if leg.units is None else change(leg.units)) for leg in legs)
        terms = tuple(
            replace(term, ids=change(term.ids), owners=frozenset().union(*map(owners, term.owners)))
            for term in self.terms
        )
        return replace(self, legs=units, terms=terms, shifts=tuple(change(ids) for ids in self.shifts))


def plain(shape: Sequence[int]) -> Value:
    """Return a value whose places are read one by one, and that is not rescaled."""
    return Value((1,) * len(shape), tuple(Leg(size) for size in shape))


def permute(value: Value, order: Sequence[int]) -> Value:
    """Return the value with its axes in another order."""
    spans = value.spans
    inner = [leg for axis in order for leg in range(*spans[axis])]
    place = {leg: {k} for k, leg in enumerate(inner)}
    moved = value.mapped(lambda ids: ids.transpose(inner), value.legs, place.__getitem__)
    return replace(moved, groups=tuple(value.groups[a] for a in order), legs=tuple(moved.legs[k] for k in inner))


def split_leg(value: Value, k: int, sizes: tuple[int, int], structure: Structure) -> Value:
    """Return the value with leg k read as a leg of ``sizes[0]`` units of ``sizes[1]`` places each."""
    a, b = sizes
    leg = value.legs[k]

    def change(ids: Ids) -> Ids:
        """Split the inner axis k of an array, if it is not of size 1."""
        new = (a, b) if ids.shape[k] > 1 else (1, 1)
        return ids.reshape(*ids.shape[:k], *new, *ids.shape[k + 1 :])

    def owners(axis: int) -> set[int]:
        """Return where an inner axis lies after the split."""
        return {axis} if axis < k else ({k, k + 1} if axis == k else {axis + 1})

    major = minor = Leg(leg.size, leg.units, leg.constant)
    legs = [*value.legs[:k], major, minor, *value.legs[k + 1 :]]
    counts = [n + (start <= k < stop) for n, (start, stop) in zip(value.groups, value.spans, strict=True)]
    out = replace(value.mapped(change, legs, owners), groups=tuple(counts))
    units = out.legs[k + 1].units
    parents = None
    if units is not None:
        parents = structure.fresh((*units.shape[: k + 1], 1, *units.shape[k + 2 :]))
        structure.splits.append((len(structure.relations), parents))
        structure.relate(units, parents)
        structure.pointwise.append(parents)
    pair = (Leg(a, parents, leg.constant), Leg(b, units, leg.constant))
    return replace(out, legs=(*out.legs[:k], *pair, *out.legs[k + 2 :]))


def merge_legs(value: Value, start: int, stop: int, structure: Structure) -> Value:
    """Return the value with legs start..stop-1, of one axis, read as one."""
    if stop - start == 1:
        return value
    inner = value.legs[start:stop]
    sizes = [leg.size for leg in inner]

    def change(ids: Ids) -> Ids:
        """Merge the inner axes of an array, if it depends on any."""
        old = ids.shape[start:stop]
        if all(n == 1 for n in old):
            return ids.reshape(*ids.shape[:start], 1, *ids.shape[stop:])
        full = np.broadcast_to(ids, (*ids.shape[:start], *sizes, *ids.shape[stop:]))
        return full.reshape(*ids.shape[:start], math.prod(sizes), *ids.shape[stop:])

    def owners(axis: int) -> set[int]:
        """Return where an inner axis lies after the merge."""
        return {axis if axis < start else (start if axis < stop else axis - (stop - start - 1))}

    legs = [
        *value.legs[:start],
        replace(_merged(inner, start, len(value.legs), structure), size=math.prod(sizes)),
        *value.legs[stop:],
    ]
    counts = [n - (stop - start - 1) * (a <= start < b) for n, (a, b) in zip(value.groups, value.spans, strict=True)]
    return replace(value.mapped(change, legs, owners), groups=tuple(counts))


def _merged(inner: Sequence[Leg], start: int, rank: int, structure: Structure) -> Leg:
    """Return the leg of a product, in arrays that are not merged yet."""
    if all(leg.constant for leg in inner) or all(leg.units is None and not leg.constant for leg in inner):
        return inner[0]
    given = [leg.units for leg in inner if leg.units is not None]
    if len(given) == 1 and all(leg.size == 1 or leg.units is not None for leg in inner):
        return Leg(0, given[0])
    sizes = [leg.size for leg in inner]
    shape = np.broadcast_shapes((1,) * rank, *(ids.shape for ids in given))
    last = inner[-1].units
    if last is not None and all(leg.units is not None for leg in inner):
        full = last.shape[start : start + len(inner)] == tuple(sizes)
        if full and len(np.unique(last)) == last.size:
            return Leg(0, last)  # every place has a unit of its own already
    units = structure.fresh((*shape[:start], *sizes, *shape[start + len(inner) :]))
    for k, leg in enumerate(inner):
        if leg.units is not None:
            structure.relate(units, leg.units)
        elif not leg.constant:
            structure.mark(units, start + k)
    return Leg(0, units)


def reshape(value: Value, shape: Sequence[int], structure: Structure) -> Value:
    """Return the value read with another shape, row-major; legs are split where axes are, merged only if need be."""
    value = replace(_without_ones(value), groups=())
    value = replace(value, groups=(len(value.legs),))
    value = cut(value, 0, [size for size in shape if size != 1], structure)
    counts, leg = [], 0
    for size in shape:
        taken, product = 0, 1
        while product < size:
            product *= value.legs[leg].size
            taken, leg = taken + 1, leg + 1
        counts.append(taken)
    return replace(value, groups=tuple(counts))


def cut(value: Value, axis: int, sizes: Sequence[int], structure: Structure) -> Value:
    """Return the value with the legs of an axis cut so that they multiply up to ``sizes``, one after the other."""
    ends = _reaches(sizes)
    while True:
        start, stop = value.spans[axis]
        own = _reaches([leg.size for leg in value.legs[start:stop]])
        missing = next((end for end in ends if end not in own), None)
        if missing is None:
            return value
        if not own:
            return value  # size 1, of no leg
        k = max(j for j, reach in enumerate(own) if reach > missing)
        behind = own[k + 1] if k + 1 < len(own) else 1
        if missing % behind:
            value = merge_legs(value, start + k, start + k + 2, structure)
        elif own[k] % missing:
            value = merge_legs(value, start + k - 1, start + k + 1, structure)
        else:
            size = missing // behind
            value = split_leg(value, start + k, (value.legs[start + k].size // size, size), structure)


def _reaches(sizes: Sequence[int]) -> list[int]:
    """Return for each leg the number of places of it and of those behind it."""
    return np.cumprod([1, *reversed(sizes)])[1:].tolist()[::-1]


def common_sizes(axes: Sequence[Sequence[int]]) -> list[int]:
    """Return the sizes into which all factorisations of one axis can be cut; one size if they cannot."""
    reaches = sorted({reach for sizes in axes for reach in _reaches(sizes)}, reverse=True)
    if any(one % two for one, two in itertools.pairwise(reaches)):
        return reaches[:1]
    return [one // two for one, two in zip(reaches, [*reaches, 1][1:], strict=True)]


def _without_ones(value: Value) -> Value:
    """Return the value without legs of size 1: their factors belong to nobody."""
    kept = [k for k, leg in enumerate(value.legs) if leg.size > 1]
    if len(kept) == len(value.legs):
        return value
    return with_axes(value, kept)


def with_axes(value: Value, kept: Sequence[int | None], sizes: Sequence[int] | None = None) -> Value:
    """Return the value with the inner axes ``kept``; None inserts a constant leg, and legs left out are of size 1."""
    place = {k: {j} for j, k in enumerate(kept) if k is not None}

    def change(ids: Ids) -> Ids:
        """Return identifiers with the axes that are kept, and ones where there was none."""
        return ids.reshape([1 if k is None else ids.shape[k] for k in kept])

    out = value.mapped(change, value.legs, lambda axis: place.get(axis, set()))
    legs = [Leg(sizes[j], None, True) if k is None and sizes else out.legs[k or 0] for j, k in enumerate(kept)]
    return replace(out, legs=tuple(legs), groups=(len(kept),))
