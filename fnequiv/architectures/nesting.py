"""Families that lie within others: which are nested, which are products, and what is frozen because it is neither.

Notation. If units of F lie within units of P and of Q, the pairs (p, q) that occur tell how P and Q lie: one for each p
and each q, and they move as one; one for each p, and P lies within Q; all, and F is their product.

Theorem: as in :mod:`fnequiv.architectures.solving`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from .structure import Ids, Structure


@dataclass
class Family:
    """Units that move as one set: its size, and for each family above it the unit there that a unit lies in."""

    size: int
    above: dict[int, Ids] = field(default_factory=dict)
    parents: tuple[int, ...] = ()  # the lowest ones above; two of them: a product, with no freedom of its own

    @property
    def free(self) -> bool:
        """Whether units move on their own."""
        return len(self.parents) < 2


class AgainError(Exception):
    """The structure has been frozen somewhere: colours are to be refined again."""


def freeze(units: Ids, structure: Structure, marks: list[tuple[Ids, Ids]], why: str) -> None:
    """Mark units one by one, and start again."""
    units = np.unique(units)
    structure.complaints.append((why, units))
    marks.append((units, np.arange(structure.colours, structure.colours + len(units))))
    structure.colours += len(units)
    raise AgainError


def lie(
    families: list[Family], family: Ids, place: Ids, one: Ids, two: Ids, structure: Structure,
    marks: list[tuple[Ids, Ids]],
) -> None:  # fmt: skip
    """Note that the units ``one`` lie within the units ``two``."""
    below, above = int(family[one[0]]), int(family[two[0]])
    places = np.empty(families[below].size, dtype=np.int64)
    places[place[one]] = place[two]
    known = families[below].above.get(above)
    if below == above or (known is not None and not np.array_equal(known, places)):
        freeze(
            np.flatnonzero((family == below) | (family == above)),
            structure,
            marks,
            "units that lie within two others of one kind are left unmoved",
        )
    families[below].above[above] = places


def closed(
    families: list[Family], family: Ids, place: Ids, structure: Structure, marks: list[tuple[Ids, Ids]]
) -> tuple[Ids, Ids] | None:
    """Complete what lies within what; return a matching that this shows, if there is one."""
    changed = True
    while changed:
        changed = False
        for k, each in enumerate(families):
            for middle in list(each.above):
                for top, places in list(families[middle].above.items()):
                    through = places[each.above[middle]]
                    known = each.above.setdefault(top, through)
                    changed |= known is through
                    if not np.array_equal(known, through):
                        freeze(
                            np.flatnonzero(np.isin(family, (k, top))),
                            structure,
                            marks,
                            "units that lie within two others of one kind are left unmoved",
                        )
            for one, two in combinations(sorted(each.above), 2):
                if two in families[one].above or one in families[two].above:
                    continue
                n, m = families[one].size, families[two].size
                pairs = np.unique(each.above[one] * m + each.above[two])
                left, right = pairs // m, pairs % m
                if len(pairs) == n == m:
                    return _representatives(family, place, one, left), _representatives(family, place, two, right)
                for count, low, high, source, target in ((n, one, two, left, right), (m, two, one, right, left)):
                    if len(pairs) == count:
                        places = np.empty(count, dtype=np.int64)
                        places[source] = target
                        families[low].above[high] = places
                        changed = True
                        break
    return None


def _representatives(family: Ids, place: Ids, which: int, places: Ids) -> Ids:
    """Return one unit of the structure for each of some places of a family."""
    here = np.flatnonzero(family == which)
    first = np.empty(int(place[here].max()) + 1, dtype=np.int64)
    first[place[here][::-1]] = here[::-1]
    return first[places]


def settle(
    k: int, families: list[Family], family: Ids, place: Ids, structure: Structure, marks: list[tuple[Ids, Ids]]
) -> None:
    """Find the lowest families above one, and check that it is nested in one, or the product of two."""
    each = families[k]
    lowest = [top for top in each.above if not any(top in families[other].above for other in each.above)]
    each.parents = tuple(sorted(lowest))
    if len(lowest) < 2:
        return
    both = np.stack([each.above[top] for top in each.parents])
    cells = np.unique(both, axis=1)
    shared = [top for top in each.above if all(top in families[low].above for low in lowest)]
    deepest = max((families[top].size for top in shared), default=1)
    expected = np.prod([families[top].size // deepest for top in lowest]) * deepest
    if len(lowest) > 2 or cells.shape[1] != expected:
        freeze(
            np.flatnonzero(np.isin(family, [k, *lowest])),
            structure,
            marks,
            "units that lie within others in no simple pattern are left unmoved",
        )
    if cells.shape[1] < each.size:
        here = np.flatnonzero(family == k)
        structure.complaints.append(("units that could move inside two nestings at once are left unmoved", here))
        order = np.lexsort((place[here], *both[:, place[here]]))
        code = (both[0] * (families[lowest[0]].size + families[lowest[1]].size + 1) * each.size + both[1])[place[here]]
        rank = np.zeros(len(here), dtype=np.int64)
        ordered = code[order]
        new = np.concatenate([[True], np.diff(ordered) != 0])
        starts = np.maximum.accumulate(np.where(new, np.arange(len(here)), 0))
        unit_rank = np.concatenate([[0], np.cumsum((np.diff(place[here][order]) != 0) | new[1:])])
        rank[order] = unit_rank - unit_rank[starts]
        marks.append((here, structure.colours + rank))
        structure.colours += int(rank.max()) + 1
        raise AgainError
