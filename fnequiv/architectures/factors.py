"""Variables of a family's units as blocks: their kind, and the role of every slot.

Notation. The factors of two slots that have the same root for every unit are one variable; it acts as ``"in"`` where
its power is 1 and as ``"out"`` where it is -k, k the degree (0 where only its sign arrives). A variable that follows
neither pattern is held at 1.

Theorem: Examples 1-3 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..symmetry.blocks import Role
from .scaling import Resolved

if TYPE_CHECKING:
    from .writing import Slot

Key = tuple[str, int, bytes]


@dataclass(eq=False)
class Factor:
    """One variable of a family's units."""

    keys: set[Key]
    signs: bool = False
    scales: bool = False
    even: bool = False
    degree: int = 1
    turn: int = 1
    held: bool = False  # whether its scale or its sign follows no pattern
    uses: list[tuple[Slot, int, bool]] = field(default_factory=list)  # slot, power, sign


class Factors:
    """The variables of all slots."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.by_key: dict[Key, Factor] = {}
        self.by_slot: dict[Slot, tuple[Factor, Role]] = {}
        for slot in slots:
            for each in slot.factors[:1]:
                if keys := _keys(slot.family, each):
                    self._join(keys).uses.append((slot, int(each.power.flat[0]), bool(each.sign.flat[0] >= 0)))
        self.all = list(dict.fromkeys(self.by_key.values()))
        for factor in self.all:
            self._settle(factor)
        self.held = sorted({slot.tensor for each in self.all if each.held for slot, *_ in each.uses if slot.heard})
        # what acts on entries alone that no output hears is no symmetry
        heard = {id(factor) for slot, (factor, _) in self.by_slot.items() if slot.heard}
        self.by_slot = {slot: pair for slot, pair in self.by_slot.items() if id(pair[0]) in heard}

    def _join(self, keys: list[Key]) -> Factor:
        known = list(dict.fromkeys(self.by_key[key] for key in keys if key in self.by_key))
        factor = known[0] if known else Factor(set())
        for other in known[1:]:
            factor.keys |= other.keys
            factor.uses += other.uses
        factor.keys |= set(keys)
        for key in factor.keys:
            self.by_key[key] = factor
        return factor

    def _settle(self, factor: Factor) -> None:
        """Decide on kind, degree and roles."""
        kinds = [kind for kind, _, _ in factor.keys]
        factor.scales = kinds.count("scale") == 1
        factor.signs = kinds.count("sign") == 1 and kinds.count("scale") <= 1
        powers = {power for _, power, _ in factor.uses}
        if factor.scales:
            pattern = _pattern(powers)
            if pattern is None:  # a sign that goes where the scale does not, in no pattern
                factor.signs = factor.signs and 0 not in powers
                pattern = _pattern(powers - {0})
            factor.scales = pattern is not None
            factor.turn, factor.degree = pattern or (1, 1)
        roles: list[tuple[Slot, Role, bool]] = []
        power_of = {slot: power for slot, power, _ in factor.uses}
        for slot, power, sign in factor.uses:
            way = power * factor.turn
            role: Role = "in" if way > 0 or not (way or factor.scales) else "out"
            roles.append((slot, role, sign))
        if factor.signs and factor.scales:
            ins = {sign for _, role, sign in roles if role == "in"}
            outs = {sign for _, role, sign in roles if role == "out"}
            factor.even = ins == {True} and outs == {False}
            factor.signs = factor.even or (ins | outs) == {True}
        factor.held = (factor.scales, factor.signs) != ("scale" in kinds, "sign" in kinds)
        for slot, role, sign in roles:
            if (factor.scales and power_of[slot]) or (factor.signs and sign):
                self.by_slot[slot] = (factor, role)

    def of(self, slots: Sequence[Slot]) -> list[Factor]:
        """Return the variables of some slots, in their order."""
        return list(dict.fromkeys(self.by_slot[slot][0] for slot in slots if slot in self.by_slot))

    def use(self, slot: Slot) -> tuple[Factor, Role] | None:
        """Return the variable of a slot, and its role there."""
        return self.by_slot.get(slot)


def _keys(family: int, factor: Resolved) -> list[Key]:
    if (len(set(factor.power.tolist())) > 1) or factor.lost:
        return []
    pairs = (("scale", factor.scale), ("sign", factor.sign))
    return [(kind, family, roots.tobytes()) for kind, roots in pairs if (roots >= 0).all()]


def _pattern(powers: set[int]) -> tuple[int, int] | None:
    """Return the orientation and the degree of a variable with these powers; None if they follow no pattern."""
    for turn in (1, -1):
        turned = {turn * power for power in powers}
        outs = {-power for power in turned if power <= 0}
        if turned - {-out for out in outs} <= {1} and len(outs) <= 1:
            return turn, next(iter(outs), 1)
    return None
