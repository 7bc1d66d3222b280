"""Prove that every scale must be 1: then what permutations and flips cannot do, no element of the group can.

Notation. Units are in *classes* that every possible g respects: it takes the units of a in a class to those of b in
that class. Let a class receive (or send) from units with scale 1 alone, or look only at the entries beside such
units. Then the largest, and the least nonzero, of these |entries| are multiplied by λ (or divided by λ^k). Where
either is the same number for all units of the class, in a and in b, λ = 1 for all of them: even rounding does not
hide another scale, since the product with a scale that is not 1 never rounds to the old number.

Source: Example 1 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import Array, FloatArray, along, owners_of, power, rows
from .colouring import Graph, Words
from .elements import GroupElement
from .pairing import IntArray

Arrays = Mapping[str, Array]
Mask = npt.NDArray[np.bool_]
Classes = Mapping[str, tuple[Words | IntArray, Words | IntArray]]


def classes_of_element(element: GroupElement) -> Classes:
    """Return the classes where permutations are known: every unit of b with its partner in a.

    Examples
    --------
    >>> from fnequiv.equivalence.elements import Move
    >>> ours, theirs = classes_of_element(GroupElement({"h": Move([2, 0, 1])}))["h"]
    >>> ours.tolist(), theirs.tolist()
    ([1, 2, 0], [0, 1, 2])
    """
    return {
        name: (np.argsort(move.permutation), np.arange(len(move.permutation))) for name, move in element.moves.items()
    }


def classes_of_colours(a: Arrays, b: Arrays, spec: SymmetrySpec) -> Classes:
    """Return the classes of colour refinement of two networks that are exact up to permutations and flips."""
    refined = []
    for arrays in (a, b):
        graph = Graph(arrays, spec.only(signs=True))
        refined.append(graph.refine(graph.plain()))
    found = {}
    for number, block in enumerate(spec.blocks):
        left, right = (colours[number].reshape(-1, block.size).min(axis=0) for colours in refined)
        found[block.name] = left, right
    return found


def scales_are_one(a: Arrays, b: Arrays, spec: SymmetrySpec, classes: Classes) -> bool:
    """Return whether the classes leave no scale but 1 to any unit.

    Examples
    --------
    >>> spec = SymmetrySpec((Block("h", 2, "scaled", (Axis("w", 0, "in"),)),), {"w": (2, 2)})
    >>> a, b = ({"w": np.array(rows)} for rows in ([[1.0, 2.0], [3.0, 4.0]], [[3.0, 5.0], [1.0, 2.0]]))
    >>> scales_are_one(a, b, spec, {"h": (np.array([0, 1]), np.array([1, 0]))})  # 3 has stayed 3
    True
    """
    one = {block.name: tuple(np.full(block.size, not block.scales) for _ in "ab") for block in spec.blocks}
    news = True
    while news:
        news = False
        for block in (block for block in spec.blocks if not one[block.name][0].all()):
            labels = np.unique(np.concatenate(classes[block.name]), return_inverse=True)[1].reshape(-1)
            pinned: Mask = _empty(a, b, block, labels)
            for role in ("in", "out"):
                axes = [axis for axis in block.axes if axis.role == role and power(block, axis)]
                both = [_extremes(arrays, spec, block, axes, one, side) for side, arrays in enumerate((a, b))]
                pinned = pinned | _constant(np.concatenate(both, axis=1), labels)
            before = int(one[block.name][0].sum())
            one[block.name] = one[block.name][0] | pinned[: block.size], one[block.name][1] | pinned[block.size :]
            news |= int(one[block.name][0].sum()) > before
    return all(bool(known.all()) for pair in one.values() for known in pair)


def _extremes(
    arrays: Arrays,
    spec: SymmetrySpec,
    block: Block,
    axes: list[Axis],
    one: Mapping[str, tuple[Mask, ...]],
    side: int,
) -> FloatArray:
    """Return the largest and the least nonzero |entry| of every unit [2, n] beside units whose scale is 1 (0: none)."""
    owner = owners_of(spec)
    largest, least = np.zeros(block.size), np.full(block.size, np.inf)
    for axis in axes:
        values = np.abs(arrays[axis.tensor])
        for dim in range(values.ndim):
            found = owner.get((axis.tensor, dim))
            if dim != axis.axis and found is not None and power(*found):
                values = values * along(one[found[0].name][side], found[1], values.ndim)
        own = rows(values, axis, block)
        largest = np.maximum(largest, own.max(axis=1, initial=0.0))
        least = np.minimum(least, np.where(own > 0, own, np.inf).min(axis=1, initial=np.inf))
    return np.stack([largest, np.where(np.isfinite(least), least, 0.0)])


def _constant(statistics: FloatArray, labels: IntArray) -> Mask:
    """Return which units [2n] are in a class where one of the statistics is one number, not 0."""
    result = np.zeros(len(labels), dtype=bool)
    for values in statistics:
        low, high = np.full(labels.max() + 1, np.inf), np.zeros(labels.max() + 1)
        np.minimum.at(low, labels, values)
        np.maximum.at(high, labels, values)
        result |= ((low == high) & (low > 0))[labels]
    return result


def _empty(a: Arrays, b: Arrays, block: Block, labels: IntArray) -> Mask:
    """Return which units [2n] are in a class without any nonzero entry: a scale does nothing to those."""
    axes = [axis for axis in block.axes if power(block, axis)]
    used = np.concatenate(
        [
            np.any(
                [rows(arrays[axis.tensor], axis, block).any(axis=1) for axis in axes]
                or [np.zeros(block.size, dtype=bool)],
                axis=0,
            )
            for arrays in (a, b)
        ]
    )
    return (np.bincount(labels, weights=used.astype(np.float64)) == 0)[labels]
