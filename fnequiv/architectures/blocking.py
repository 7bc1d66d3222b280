"""Blocks of all slots: families with the variables of their units, parents first.

Notation. A family with one variable is a block; with several, one block for each, the others lying within the first in
runs of one unit. Dimensions that mix units are counted: m² - m for each run of m units that only linear maps read,
one for each bias that others make good, and one for each turn of a rotary pair.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024), section 4 for attention. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import itertools
from collections import Counter

from ..symmetry import Axis, Block, kind_of
from .factors import Factor, Factors
from .reading import UnreadableError
from .solving import Solution
from .structure import Ids
from .writing import Sheet, Slot


def blocks(sheet: Sheet, factors: Factors, pointwise: set[int], shifts: Ids, turns: set[int]) -> tuple[Block, ...]:
    """Return the blocks of all slots, parents first.

    ``factors`` are the variables of the slots, ``shifts`` units of biases that may be shifted freely, ``turns`` scales
    of pairs that may be turned.
    """
    shifted = Counter(sheet.solution.family[shifts].tolist())
    solution = sheet.solution
    lying: dict[int, list[Slot]] = {}
    for slot in sheet.slots:
        lying.setdefault(slot.family, []).append(slot)
    for k in list(lying):
        while k >= 0 and solution.families[k].parents:
            k = solution.families[k].parents[0]
            lying.setdefault(k, [])
    out: list[Block] = []
    names: dict[int, str] = {}
    for k in sorted(lying, key=lambda k: (0 if k < 0 else len(solution.families[k].above), _first(lying[k]))):
        size = 1 if k < 0 else solution.families[k].size
        parent = None if k < 0 or not solution.families[k].parents else solution.families[k].parents[0]
        if parent is not None and not solution.families[parent].free:
            raise UnreadableError([k])
        runs = 1 if parent is None else solution.families[parent].size
        names[k] = _name(k, lying, solution, set(names.values()) | {block.name for block in out})
        own = factors.of(lying[k])
        nested = {"within": None if parent is None else names[parent], "groups": runs}
        full = len(own) == 1 and all(factors.use(slot) for slot in lying[k]) and bool(lying[k])
        for j, factor in enumerate(own or [None]):
            axes = [axis for slot in lying[k] if (axis := _axis(slot, factor, factors, first=j == 0)) is not None]
            mixing = shifted[k] if j == 0 else 0
            if factor and full and k >= 0 and k not in pointwise and factor.signs and factor.scales:
                mixing += size * (size // runs - 1)
            if factor and factor.scales and int(factor.uses[0][0].factors[0].scale[0]) in turns:
                mixing += size
            out.append(_block(names[k] if j == 0 else f"{names[k]} ({j + 1})", size, factor, axes, mixing, nested))
            if j == 0:
                nested = {"within": names[k], "groups": size}
    return tuple(out)


def _block(name: str, size: int, factor: Factor | None, axes: list[Axis], mixing: int, nested: dict) -> Block:
    if factor is None:
        return Block(name, size, "permutation", tuple(axes), mixing=mixing, **nested)
    kind = kind_of(signs=factor.signs, scales=factor.scales)
    return Block(name, size, kind, tuple(axes), even=factor.even, degree=factor.degree, mixing=mixing, **nested)


def _axis(slot: Slot, factor: Factor | None, factors: Factors, *, first: bool) -> Axis | None:
    use = factors.use(slot)
    if use is None or factor is None:
        return Axis(slot.name, slot.axis, "carry", slot.repeat) if first else None
    found, role = use
    return Axis(slot.name, slot.axis, role, slot.repeat) if found is factor else None


def _first(slots: list[Slot]) -> str:
    return min((slot.tensor for slot in slots), default="")


def _name(k: int, lying: dict[int, list[Slot]], solution: Solution, taken: set[str]) -> str:
    slots = lying[k]
    below = [each for j, own in lying.items() if j >= 0 and k in solution.families[j].above for each in own]
    tensor = (slots or below)[0].tensor
    path = tensor.rpartition(".")[0] or tensor
    name = path if slots else f"{path} groups"
    others = (f"{name} #{n}" for n in itertools.count(2))
    return next(each for each in itertools.chain([name], others) if each not in taken)
