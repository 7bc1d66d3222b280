"""Turn a question with scales and rounding into one about integers: which entries may be equal?

Notation. Both networks are divided by the sizes of their units (see :mod:`fnequiv.equivalence.measuring`), and the
|entries| of a tensor are clustered: the intervals in which entries of b lie, with their errors, are joined where they
overlap. An entry becomes the number of its cluster, with its sign; a cluster that reaches 0 is number 0. If b is g·a
within the errors, then an entry of a and its partner in b get one number. So the two networks of integers are
equivalent, exactly, under permutations and flips: if they are not, neither are a and b. If they are, the element that
shows it is a candidate.

This is of use for small networks and small errors. Of a large tensor all clusters join, and nothing is left to tell.
Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from .actions import apply
from .axes import Array, FloatArray
from .elements import GroupElement, Move
from .group import compose, invert
from .labelling import label_arrays
from .measuring import Error, Sizes, exact
from .searching import TooManyTiesError

Arrays = Mapping[str, Array]
Integers = dict[str, FloatArray]

# Without any tolerance the sizes themselves are rounded: entries nearer than this (relative) count as equal.
_ROUNDING = 1e-10


def numbered(sizes: Sizes) -> Integers:
    """Return one network as integers in the order of its entries' sizes; entries equal up to rounding get one number.

    Examples
    --------
    >>> spec = SymmetrySpec((), {"w": (4,)})
    >>> numbered(Sizes({"w": np.array([3.0, -1.0, 0.0, 3.0 + 1e-12])}, spec, exact(spec)))["w"]
    array([ 2., -1.,  0.,  2.])
    """
    found = {}
    for name in sizes.arrays:
        values, _ = sizes.divided(name)
        starts, stops = _clusters(np.abs(values), _ROUNDING * np.abs(values))
        found[name] = _numbers(values, starts, stops)
    return found


def numbered_together(a: Sizes, b: Sizes) -> tuple[Integers, Integers]:
    """Return two networks as integers by clusters of entries that may be equal, given the errors of b's.

    An entry of a outside all clusters of b gets a number that b has not.

    Examples
    --------
    >>> spec = SymmetrySpec((), {"w": (2,)})
    >>> rough = Error({"w": 0.1}, 0.0)
    >>> pair = [Sizes({"w": np.array(values)}, spec, rough) for values in ([1.0, 5.0], [1.05, 0.02])]
    >>> [integers["w"].tolist() for integers in numbered_together(*pair)]
    [[1.0, 3.0], [1.0, 0.0]]
    """
    left, right = {}, {}
    for name in b.arrays:
        (ours, _), (theirs, errors) = a.divided(name), b.divided(name)
        starts, stops = _clusters(np.abs(theirs), errors)
        left[name], right[name] = _numbers(ours, starts, stops), _numbers(theirs, starts, stops)
    return left, right


class Clusters:
    """Two networks as integers: whether one can be the other at all, and how.

    ``certain``: units without weights could be told from units with small ones, so that the integers of b are those of
    g·a for every g. ``excluded``: there is no such g.
    """

    def __init__(self, a: Arrays, b: Arrays, spec: SymmetrySpec, error: Error) -> None:
        self.spec = spec.only(signs=True)
        self.sizes = Sizes(a, spec, exact(spec)), Sizes(b, spec, error)
        self.usable = all(sizes.usable for sizes in self.sizes)
        self.certain = self.usable and all(sizes.certain for sizes in self.sizes)
        self.excluded = False
        self.entries = sum(array.size for array in b.values())
        if self.usable:
            self.a, self.b = numbered_together(*self.sizes)

    def candidate(self, *, max_nodes: int) -> GroupElement | None:
        """Return an element that takes the integers of a to those of b and the sizes of a to those of b."""
        if not self.usable:
            return None
        try:
            first, second = (label_arrays(each, self.spec, max_nodes=max_nodes) for each in (self.a, self.b))
        except TooManyTiesError:
            return None
        permuting = compose(invert(second.element), first.element)
        tensors = {name: torch.from_numpy(np.asarray(array, order="C")) for name, array in self.a.items()}
        moved = apply(tensors, self.spec, permuting)
        if any((moved[name].numpy() != self.b[name]).any() for name in self.b):
            self.excluded = self.certain
            return None
        ours, theirs = (sizes.sizes for sizes in self.sizes)
        moves = {}
        for name, move in permuting.moves.items():
            moves[name] = Move(move.permutation, move.signs, theirs[name] / ours[name][move.permutation])
        return GroupElement(moves)


def _clusters(sizes: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the joined intervals sizes ± errors in ascending order; the first holds 0."""
    low, high = np.append((sizes - errors).ravel(), 0.0), np.append((sizes + errors).ravel(), 0.0)
    order = np.argsort(low)
    low, high = low[order], np.maximum.accumulate(high[order])
    first = np.flatnonzero(np.append(True, low[1:] > high[:-1]))
    return low[first], high[np.append(first[1:], len(low)) - 1]


def _numbers(values: FloatArray, starts: FloatArray, stops: FloatArray) -> FloatArray:
    """Return the number of every entry's cluster with its sign; gaps between clusters have numbers of their own."""
    sizes = np.abs(values)
    cluster = np.searchsorted(starts, sizes, side="right") - 1
    inside = sizes <= stops[np.maximum(cluster, 0)]
    numbers = np.where(inside, cluster, cluster + len(starts)).astype(np.float64)
    result: FloatArray = np.where((numbers == 0) | (values == 0), 0.0, np.copysign(numbers, values))
    return result
