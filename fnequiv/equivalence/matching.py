"""Match the units of two networks that are equal up to scales and rounding, and say whether the match is forced.

Notation. Wanted is g with b ≈ g·a. As in :mod:`fnequiv.equivalence.settling` blocks are settled one after the other: the
*features* of a unit are its entries in tensors whose other axes are settled, those of a moved by what is known of g. Where
units may be rescaled, features are divided by their length; where they may be flipped, compared up to sign. Sorting by one
random projection pairs equal features; what is left over is paired by linear assignment.

Units with equal features (copies of one neuron that go different ways, or neurons without incoming weights) wait until
the rest is matched; then the tensors on their way out tell them apart.

A match is *forced* if every unit of b has one unit of a within the threshold and no second one. If the match of all blocks
before is forced and a unit of b has no unit of a near, no g exists: an *obstruction*. Thresholds follow from
|b - g·a| ≤ tolerance · max |b| in every tensor; at tolerance 0 they allow for the rounding of this computation.

Source: Examples 1-3 and Proposition 1 of Shen (2024) say what g does. Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from ..symmetry import Axis, Block, SymmetrySpec
from .elements import GroupElement, Move

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# What float64 arithmetic may add to a feature here; a wrong unit is further away than this by many orders.
_ROUNDING = 1e-12
# Leftovers beyond this number are not paired: the assignment would take cubic time.
_MOST_LEFT = 2048
# Random projections: one sorts, the others sift pairs before whole rows are compared.
_RAYS = 4
# How many neighbours in the order of shadows are compared, to see that no two units are alike.
_LAGS = 64


@dataclass(frozen=True)
class _Group:
    """Units of a, and the units of b that they are matched to as a group.

    Unit u of a goes to unit p of b with the factor ``beta[p]/alpha[u]``; None if the way in says nothing about it.
    """

    a: IntArray
    b: IntArray
    alpha: Array | None = None
    beta: Array | None = None
    complete: bool = False  # whether the way in was known in full when the group was formed


@dataclass(frozen=True)
class _Features:
    """Features of the units of both networks [n, m], their lengths [n], and how near equal units must be [n]."""

    a: Array
    b: Array
    length_a: Array
    length_b: Array
    near: Array
    bound: int  # so many leading columns change sign with the unit


class Matcher:
    """The element found, whether it is forced, and the first obstruction in words (None: there is none)."""

    def __init__(self, a: Mapping[str, Array], b: Mapping[str, Array], spec: SymmetrySpec, tolerance: float) -> None:
        self.a, self.b, self.spec, self.tolerance = a, b, spec, tolerance
        self.owner = {(axis.tensor, axis.axis): (block, axis) for block in spec.blocks for axis in block.axes}
        self.peaks = {name: float(np.abs(array).max(initial=0.0)) for name, array in b.items()}
        self.moves: dict[str, Move] = {}
        self.pending: dict[str, list[_Group]] = {}
        self.forced = True
        self.obstruction: str | None = None
        self._settle_all()

    @property
    def element(self) -> GroupElement | None:
        """The element found, or None where some block could not be settled."""
        if self.obstruction or len(self.moves) < len(self.spec.blocks):
            return None
        return GroupElement({block.name: self.moves[block.name] for block in self.spec.blocks})

    def _settle_all(self) -> None:
        waiting = list(self.spec.blocks)
        while waiting and self.obstruction is None:
            ready = next((block for block in waiting if self._known(block, "in") or self._known(block, "out")), None)
            if ready is None:
                return
            self._settle(ready, "in" if self._known(ready, "in") else "out")
            waiting.remove(ready)
        for name in reversed(list(self.pending)):  # the last blocks feed the outputs, which are known
            for group in self.pending.pop(name):
                if self.obstruction is None:
                    self._settle_by_exits(self.spec.block(name), group)

    def _known(self, block: Block, role: str) -> list[Axis]:
        """Return the axes with this role whose tensors have no other axis that is still open."""
        known = []
        for axis in (axis for axis in block.axes if axis.role == role):
            others = [self.owner.get((axis.tensor, dim)) for dim in range(self.b[axis.tensor].ndim) if dim != axis.axis]
            if all(found is None or found[0].name in self.moves for found in others):
                known.append(axis)
        return known

    def _settle(self, block: Block, role: str) -> None:
        axes = self._known(block, role) + (self._known(block, "carry") if role == "in" else [])
        features = self._features(block, axes, block.scales)
        zero_a, zero_b = (np.flatnonzero(length == 0) for length in (features.length_a, features.length_b))
        rest_a, rest_b = (np.flatnonzero(length > 0) for length in (features.length_a, features.length_b))
        if len(zero_a) != len(zero_b):
            if self.tolerance == 0:
                self.obstruction = f"block {block.name!r}: {len(zero_a)} and {len(zero_b)} units have zero weights"
            else:
                self.forced = False
                rest_a = rest_b = np.arange(block.size)
                zero_a = zero_b = np.empty(0, dtype=np.int64)
        if self.obstruction:
            return
        permutation, signs = np.zeros(block.size, dtype=np.int64), np.ones(block.size)
        permutation[zero_b] = zero_a
        groups = [_Group(zero_a, zero_b)] if len(zero_b) else []
        if len(rest_b):
            found = self._pair(block, features, rest_a, rest_b)
            if found is None:
                return
            permutation[rest_b], signs[rest_b], alike = found
            complete = not self.pending
            groups += [_group(features, permutation, signs, members, rest_b, block, complete) for members in alike]
        scales = np.ones(block.size)
        if block.scales and len(rest_b):
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = features.length_b[rest_b] / features.length_a[permutation[rest_b]]
            scales[rest_b] = ratio if role == "in" else ratio ** (-1.0 / block.degree)
            if self.tolerance == 0 and role == "in":
                scales[rest_b] = self._exact_ratio(axes, permutation[rest_b], rest_b)
            if not (np.isfinite(scales) & (scales > 0)).all():
                return
        self.moves[block.name] = Move(permutation, signs, scales)
        if groups:
            self.pending[block.name] = groups

    def _settle_by_exits(self, block: Block, group: _Group) -> None:
        """Match units that look alike on the way in by what they send out."""
        move, axes = self.moves[block.name], self._known(block, "out")
        if not axes:
            self.forced = False
            return
        self.forced &= group.complete
        permutation, signs, scales = move.permutation.copy(), move.signs.copy(), move.scales.copy()
        if group.alpha is None or group.beta is None:
            features = self._features(block, axes, block.scales)
            found = self._pair(block, features, group.a, group.b)
            if found is None:
                return
            permutation[group.b], signs[group.b], _ = found
            if block.scales and block.degree:
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = features.length_b[group.b] / features.length_a[permutation[group.b]]
                scales[group.b] = np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1.0) ** (-1.0 / block.degree)
        else:
            features = self._unscaled_exits(block, axes, group)
            found = self._pair(block, features, group.a, group.b, signed=False)
            if found is None:
                return
            permutation[group.b] = found[0]
            alpha = dict(zip(group.a.tolist(), group.alpha, strict=True))
            factors = group.beta / np.array([alpha[unit] for unit in found[0].tolist()])
            signs[group.b], scales[group.b] = np.sign(factors), np.abs(factors)
        self.moves[block.name] = Move(permutation, signs, scales)

    def _unscaled_exits(self, block: Block, axes: list[Axis], group: _Group) -> _Features:
        """Return the outgoing features times factor^degree: b·beta^k and a·alpha^k, equal for units that belong together."""
        features = self._features(block, axes, scaled=False)
        assert group.alpha is not None
        assert group.beta is not None
        near = features.near.copy()
        for rows, units, factors in ((features.a, group.a, group.alpha), (features.b, group.b, group.beta)):
            strength = np.abs(factors) ** block.degree
            bound = np.sign(factors) * strength
            rows[units, : features.bound] *= bound[:, None]
            rows[units, features.bound :] *= strength[:, None]
        near[group.b] *= 10 * strength
        return _Features(features.a, features.b, features.length_a, features.length_b, near, features.bound)

    def _features(self, block: Block, axes: list[Axis], scaled: bool) -> _Features:
        flips = [axis for axis in axes if _flips(block, axis)]
        kept = [axis for axis in axes if not _flips(block, axis)]
        columns: dict[str, list[Array]] = {"a": [], "b": []}
        squares = {"a": np.zeros(block.size), "b": np.zeros(block.size)}
        noise = np.zeros(block.size)
        bound = 0
        for axis in flips + kept:
            rows = {"a": self._rows(axis, moved=True), "b": self._rows(axis, moved=False)}
            weight = 1.0 if scaled and axis.role != "carry" else 1.0 / (self.peaks[axis.tensor] or 1.0)
            for key in columns:
                columns[key].append(rows[key] * weight)
                if axis.role != "carry":
                    squares[key] += (rows[key] ** 2).sum(axis=1)
            noise += rows["b"].shape[1] * (self.tolerance * self.peaks[axis.tensor]) ** 2 * (axis.role != "carry")
            bound += rows["b"].shape[1] if axis in flips else 0
        a, b = (np.concatenate(columns[key], axis=1) for key in ("a", "b"))
        length_a, length_b = np.sqrt(squares["a"]), np.sqrt(squares["b"])
        if not scaled:
            return _Features(a, b, np.ones(block.size), np.ones(block.size), np.full(block.size, self._near()), bound)
        carry = sum(self._rows(axis, moved=False).shape[1] for axis in axes if axis.role == "carry")
        own = slice(0, a.shape[1] - carry)
        safe_a, safe_b = np.where(length_a > 0, length_a, 1.0), np.where(length_b > 0, length_b, 1.0)
        a[:, own] /= safe_a[:, None]
        b[:, own] /= safe_b[:, None]
        return _Features(a, b, length_a, length_b, self._near() + 4 * np.sqrt(noise) / safe_b, bound)

    def _near(self) -> float:
        return 4 * self.tolerance + _ROUNDING

    def _rows(self, axis: Axis, *, moved: bool) -> Array:
        """Return the entries of every unit on ``axis`` [n, m]; of a with every settled axis ``moved``, of b as they are."""
        array = (self.a if moved else self.b)[axis.tensor]
        for dim in range(array.ndim):
            found = self.owner.get((axis.tensor, dim))
            if dim == axis.axis or found is None:
                continue
            other, place = found
            move = self.moves[other.name]
            keep = np.ones(other.size, dtype=bool)
            for group in self.pending.get(other.name, []):
                keep[group.b] = False
            units = move.permutation[keep] if moved else np.flatnonzero(keep)
            array = np.take(array, (units[:, None] * place.repeat + np.arange(place.repeat)).ravel(), axis=dim)
            if moved and place.role != "carry":
                factor = move.signs if _flips(other, place) else np.ones(other.size)
                factor = factor * (move.scales if place.role == "in" else move.scales ** -float(other.degree))
                shape = [-1 if each == dim else 1 for each in range(array.ndim)]
                array = array * np.repeat(factor[keep], place.repeat).reshape(shape)
        size = self.owner[axis.tensor, axis.axis][0].size
        rows: Array = np.moveaxis(array, axis.axis, 0).reshape(size, -1)
        return rows

    def _exact_ratio(self, axes: list[Axis], from_a: IntArray, from_b: IntArray) -> Array:
        """Return the quotient at the largest entry of every unit: exact up to one rounding, whatever the length."""
        pairs = [(self._rows(axis, moved=True), self._rows(axis, moved=False)) for axis in axes if axis.role == "in"]
        a, b = (np.abs(np.concatenate([pair[side] for pair in pairs], axis=1)) for side in (0, 1))
        a, b = a[from_a], b[from_b]
        where = a.argmax(axis=1)
        quotient: Array = b[np.arange(len(b)), where] / a[np.arange(len(a)), where]
        return quotient

    def _pair(
        self, block: Block, features: _Features, from_a: IntArray, from_b: IntArray, *, signed: bool | None = None
    ) -> tuple[IntArray, Array, list[IntArray]] | None:
        """Return for every unit in ``from_b`` its unit of a and its sign, and the groups of units of a that are alike.

        None, with an obstruction if all before was forced, if there is no match.
        """
        signed = block.signs if signed is None else signed
        a, b, near = features.a[from_a], features.b[from_b], features.near[from_b]
        if not (np.isfinite(a).all() and np.isfinite(b).all()):  # a guess so far off that it overflows
            self.forced = False
            return None
        flips = np.ones(a.shape[1])
        flips[: features.bound] = -1.0
        rays = np.random.default_rng(0).standard_normal((a.shape[1], _RAYS))
        shadows_a, shadows_b = _shadows(a, rays, flips, signed), _shadows(b, rays, flips, signed)
        shadow_a, shadow_b = shadows_a[:, 0], shadows_b[:, 0]
        order_a, order_b = np.argsort(shadow_a), np.argsort(shadow_b)
        chosen = np.empty(len(b), dtype=np.int64)
        chosen[order_b] = order_a
        gaps, signs = _gaps(a[chosen], b, flips, signed)
        left = np.flatnonzero(gaps > near)
        if len(left) > _MOST_LEFT:
            self._obstruct(block, a, b, near, flips, left[:64], from_b, signed)
            return None
        if len(left):
            costs = _distances(a[chosen[left]], b[left], flips, signed)
            _, columns = linear_sum_assignment(np.minimum(costs, 4 * near.max() + 1e3 * _ROUNDING))
            chosen[left] = chosen[left][columns]
            gaps, signs = _gaps(a[chosen], b, flips, signed)
            if (gaps > near).any():
                self._obstruct(block, a, b, near, flips, np.flatnonzero(gaps > near), from_b, signed)
                if self.obstruction:
                    return None
        alike, certain = _alike(a, shadows_a, 2 * float(near.max()), flips, np.abs(rays).sum(axis=0), signed)
        self.forced &= certain
        return from_a[chosen], signs, [from_a[group] for group in alike]

    def _obstruct(
        self,
        block: Block,
        a: Array,
        b: Array,
        near: Array,
        flips: Array,
        left: IntArray,
        from_b: IntArray,
        signed: bool,
    ) -> None:
        """Record an obstruction if a unit of b has no unit of a near it and all before was forced."""
        nearest = np.array([_distances(a, b[[unit]], flips, signed).min() for unit in left[:64]])
        lonely = nearest > near[left[:64]]
        if self.forced and lonely.any():
            worst = int(np.argmax(np.where(lonely, nearest, 0)))
            self.obstruction = (
                f"block {block.name!r}: no unit of the first network is like unit {int(from_b[left[worst]])} of the second; "
                f"the nearest differs by {nearest[worst]:.3g} (relative), and {near[left[worst]]:.3g} would be allowed"
            )
        self.forced = False


def _flips(block: Block, axis: Axis) -> bool:
    return block.signs and axis.role != "carry" and not (axis.role == "out" and block.even)


def _shadows(a: Array, rays: Array, flips: Array, signed: bool) -> Array:
    """Return projections [n, rays] that are equal for rows that are equal (up to a flip, if signed)."""
    shadows: Array = a @ rays
    return np.maximum(shadows, (a * flips) @ rays) if signed else shadows


def _gaps(a: Array, b: Array, flips: Array, signed: bool) -> tuple[Array, Array]:
    """Return the largest difference of every pair of rows, and the sign that makes it least."""
    plus = np.abs(b - a).max(axis=1, initial=0.0)
    if not signed:
        return plus, np.ones(len(b))
    minus = np.abs(b - a * flips).max(axis=1, initial=0.0)
    return np.minimum(plus, minus), np.where(minus < plus, -1.0, 1.0)


def _distances(a: Array, b: Array, flips: Array, signed: bool) -> Array:
    """Return the largest difference of every row of b [rows] to every row of a [columns], up to sign."""
    plus: Array = cdist(b, a, "chebyshev")
    return np.minimum(plus, cdist(b, a * flips, "chebyshev")) if signed else plus


def _alike(
    a: Array, shadows: Array, distance: float, flips: Array, reach: Array, signed: bool
) -> tuple[list[IntArray], bool]:
    """Return the groups of rows within ``distance`` of each other, and whether no other rows can be: near rows have near
    shadows.
    """
    order = np.argsort(shadows[:, 0])
    ordered = shadows[order]
    links: list[npt.NDArray[np.int64]] = []
    certain = False
    for lag in range(1, _LAGS + 1):
        within = np.abs(ordered[lag:] - ordered[:-lag]) <= distance * reach
        if not within[:, 0].any():  # later neighbours are further off
            certain = True
            break
        close = np.flatnonzero(within.all(axis=1))
        gaps, _ = _gaps(a[order[close]], a[order[close + lag]], flips, signed)
        close = close[gaps <= distance]
        links.append(np.stack([order[close], order[close + lag]]))
    pairs = np.concatenate(links, axis=1) if links else np.empty((2, 0), dtype=np.int64)
    graph = coo_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(len(a), len(a)))
    _, component = connected_components(graph, directed=False)
    counts = np.bincount(component)
    groups = [np.flatnonzero(component == each) for each in np.flatnonzero(counts > 1)]
    return groups, certain or len(counts) == 1


def _group(
    features: _Features,
    permutation: IntArray,
    signs: Array,
    members: IntArray,
    rest: IntArray,
    block: Block,
    complete: bool,
) -> _Group:
    """Return the group of alike units ``members`` of a with their factors relative to the first of them."""
    flips = np.ones(features.a.shape[1])
    flips[: features.bound] = -1.0
    matched = rest[np.isin(permutation[rest], members)]
    first = np.broadcast_to(features.a[members[0]], (len(members), features.a.shape[1]))
    _, own = _gaps(features.a[members], first, flips, block.signs)
    sign = dict(zip(members.tolist(), own, strict=True))
    theirs = signs[matched] * np.array([sign[unit] for unit in permutation[matched].tolist()])
    return _Group(members, matched, own * features.length_a[members], theirs * features.length_b[matched], complete)
