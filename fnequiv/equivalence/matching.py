"""Match the units of two networks that are equal up to scales and rounding, and say whether the match is forced.

Notation. Wanted is g with b ≈ g·a. As in :mod:`fnequiv.equivalence.settling` blocks are settled one after the other,
by :mod:`fnequiv.equivalence.features` that only tensors with settled other axes enter. Units with more than one
possible partner (copies of one neuron that go different ways, neurons without incoming weights) wait: no feature of a
later block reads them. At the end what they send out says who is who, as well as it can.

What is proved. Let every true g satisfy |b - g·a| ≤ e. Then units that did not wait have the partners found here,
under every such g (``forced``). So if some block's units have no perfect matching of compatible partners, no g
exists: an *obstruction*. If no unit waited, permutation and signs are unique, and an entry of b that differs from
that of g·a by more than e and the errors of the scales excludes every g, too.

Source: Examples 1-3 and Proposition 1 of Shen (2024) say what g does. Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..symmetry import ROLES, Block, SymmetrySpec
from .axes import Array, FloatArray, along, power
from .elements import GroupElement, Move
from .features import Features, Progress
from .measuring import Error
from .pairing import Pairing, closest, pair
from .unitrows import IntArray, pieces

# Groups beyond this number are not matched by what they send out: linear assignment takes cubic time.
_MOST_ALIKE = 2048


@dataclass(frozen=True)
class _Group:
    """Units of b, and their candidates in a: unit u of a may go to unit p of b with the factor beta[p]/alpha[u].

    None if the way in says nothing about factors.
    """

    a: IntArray
    b: IntArray
    alpha: FloatArray | None = None
    beta: FloatArray | None = None


class Matcher:
    """The element found, whether it is forced, and the first obstruction in words (None: there is none)."""

    def __init__(self, a: Mapping[str, Array], b: Mapping[str, Array], spec: SymmetrySpec, error: Error) -> None:
        self.progress = Progress(a, b, spec, error)
        self.spec = spec
        self.groups: dict[str, list[_Group]] = {}
        self.forced = True
        self.obstruction: str | None = None
        with np.errstate(over="ignore", under="ignore"):
            self._settle_all()

    @property
    def element(self) -> GroupElement | None:
        """The element found, or None where some block could not be settled."""
        moves = self.progress.moves
        if self.obstruction or len(moves) < len(self.spec.blocks):
            return None
        return GroupElement({block.name: moves[block.name] for block in self.spec.blocks})

    @property
    def unique(self) -> bool:
        """Whether every g has the permutation and the signs of the element found."""
        return self.forced and not self.groups and self.element is not None

    def excess(self, name: str, moved: FloatArray) -> bool:
        """Whether a tensor of g·a, as given, differs from b's by more than errors of entries and scales explain."""
        array = self.progress.b[name]
        logs: FloatArray = np.zeros((1,) * array.ndim)
        for axis, block in self.spec.places[name]:
            if power(block, axis):
                logs = logs + along(self.progress.slack[block.name] * abs(power(block, axis)), axis, array.ndim)
        for piece in pieces(len(array), array[0].size):  # the first axis may be one that all units share
            wanted = array[piece].astype(np.float64)
            allowed = self.progress.error.of(name, np.abs(wanted), logs[piece] if len(logs) > 1 else logs)
            if (np.abs(moved[piece] - wanted) > allowed).any():
                return True
        return False

    def _settle_all(self) -> None:
        waiting, progress = list(self.spec.blocks), self.progress
        while waiting and self.obstruction is None:
            ready = self._ready(waiting)
            if ready is None or not self._settle(ready):
                return
            waiting.remove(ready)
        for name in reversed(list(self.groups)):  # the last blocks feed the outputs, which are known
            for group in self.groups[name]:
                self._settle_by_exits(self.spec.block(name), group)
            progress.waiting[name][:] = False

    def _ready(self, waiting: list[Block]) -> Block | None:
        """Return a block about which something is known, one with its whole way in if there is such a block."""
        ways_in = {block.name: [axis for axis in block.axes if axis.role == "in"] for block in waiting}
        known = self.progress.known
        whole = (block for block in waiting if ways_in[block.name] and known(block, "in") == ways_in[block.name])
        return next(whole, next((block for role in ROLES for block in waiting if known(block, role)), None))

    def _settle(self, block: Block) -> bool:
        progress, role = self.progress, "in"
        if not (axes := progress.known(block, "in")) and (axes := progress.known(block, "out")):
            role, self.forced = "out", False
        axes = axes + progress.known(block, "carry")
        found = progress.features(block, axes, scaled=block.scales)
        if not found.finite:
            return False  # a guess so far off that it overflows
        pairing = pair(found.a, found.b, found.allowed, found.bound, signed=block.signs)
        if pairing is None:
            return False
        if pairing.lonely is not None:
            if self.forced:
                self.obstruction = (
                    f"block {block.name!r}: the units of the two networks cannot be paired; none in the first is left "
                    f"for unit {pairing.lonely} of the second, and the nearest differs by {pairing.distance:.3g}"
                )
            return False
        return self._record(block, role, found, pairing)

    def _record(self, block: Block, role: str, found: Features, pairing: Pairing) -> bool:
        assert pairing.either is not None
        peaks_a = found.peaks_a[pairing.partner]
        vague = np.isinf(found.slack) | (found.peaks_b == 0) | (peaks_a == 0)
        scales = np.ones(block.size)
        if block.scales:
            ratio = np.where(vague, 1.0, found.peaks_b) / np.where(vague, 1.0, peaks_a)
            exponent = 1.0 if role == "in" else -1.0 / block.degree if block.degree else 0.0
            with np.errstate(divide="ignore"):
                scales = ratio**exponent
            if not (np.isfinite(scales) & (scales > 0)).all():
                return False
        groups = list(pairing.groups)
        alone = np.setdiff1d(np.flatnonzero(vague | pairing.either), np.concatenate([[], *groups]))
        groups += [np.array([unit]) for unit in alone.astype(np.int64)]
        self.progress.moves[block.name] = Move(pairing.partner, pairing.signs, scales)
        self.progress.slack[block.name] = np.where(vague, 0.0, found.slack)
        self.progress.waiting[block.name] = np.isin(np.arange(block.size), np.concatenate([[], *groups]))
        if groups:
            self.groups[block.name] = [_group(found, pairing, units, vague | pairing.either) for units in groups]
        return True

    def _settle_by_exits(self, block: Block, group: _Group) -> None:
        """Match units that look alike on the way in by what they send out and carry; nothing is proved by that."""
        progress = self.progress
        axes, carried = progress.known(block, "out"), progress.known(block, "carry")
        if not (axes or carried) or len(group.b) > _MOST_ALIKE:
            return
        move = progress.moves[block.name]
        permutation, signs, scales = move.permutation.copy(), move.signs.copy(), move.scales.copy()
        blind = group.alpha is None or group.beta is None
        found = progress.features(block, axes, scaled=block.scales and blind)
        left, right = found.a.take(group.a), found.b.take(group.b)
        if not blind:
            _undo(left, group.alpha, found.bound, block.degree)
            _undo(right, group.beta, found.bound, block.degree)
        beside = progress.features(block, carried, scaled=False)
        left, right = np.hstack([left, beside.a.take(group.a)]), np.hstack([right, beside.b.take(group.b)])
        if not (np.isfinite(left).all() and np.isfinite(right).all()):
            return
        order, flipped = closest(left, right, found.bound, signed=block.signs and blind)
        permutation[group.b] = group.a[order]
        if group.alpha is not None and group.beta is not None:
            factors = group.beta / group.alpha[order]
            signs[group.b], scales[group.b] = np.sign(factors), np.abs(factors)
        else:
            signs[group.b] = flipped
            if block.scales and block.degree:
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio = found.peaks_b[group.b] / found.peaks_a[group.a[order]]
                    ratio = np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1.0) ** (-1.0 / block.degree)
                scales[group.b] = np.where(np.isfinite(ratio) & (ratio > 0), ratio, 1.0)
        if (np.isfinite(scales) & (scales > 0)).all():
            progress.moves[block.name] = Move(permutation, signs, scales)


def _group(found: Features, pairing: Pairing, units: IntArray, vague: FloatArray) -> _Group:
    """Return the group of alike units of b with their partners, and their factors relative to the first of these."""
    partners = pairing.partner[units]
    if vague[units].any():
        return _Group(partners, units)
    rows = found.a.take(partners)[:, : found.bound]
    first = rows[0]
    own = np.where(
        np.abs(rows - first).max(axis=1, initial=0) <= np.abs(rows + first).max(axis=1, initial=0), 1.0, -1.0
    )
    return _Group(partners, units, own * found.peaks_a[partners], pairing.signs[units] * own * found.peaks_b[units])


def _undo(rows: FloatArray, factors: FloatArray | None, bound: int, degree: int) -> None:
    """Multiply outgoing features by factor^degree: what then is left belongs to the common direction of a group."""
    assert factors is not None
    strength = np.abs(factors) ** degree
    rows[:, :bound] *= (np.sign(factors) * strength)[:, None]
    rows[:, bound:] *= strength[:, None]
