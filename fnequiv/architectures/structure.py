"""What a network asks of its symmetries: units, marks, relations, and equations between scales, as they are found.

Notation. Every entry of a parameter's axis is a *unit*, a number. An operator *marks* units that it treats apart (the
inputs it reads one by one) and *relates* units that meet (the rows of one layer and the columns of the next). Any
permutation of the units that keeps marks and relations leaves the function alone: it moves the indices of every value
in between, and every operator commutes with it. Beside it, a unit may carry *variables*: the logarithm of a scale and
a sign, that the parameter's entries there are multiplied by. Operators equate them, or hold them at 1.

Everything here is written down and nothing is solved: :mod:`fnequiv.architectures.solving` does that, once.

Theorem: Proposition 1 and Examples 1-2 of Shen (2024), for any graph. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
NOTHING = 0  # the variable that is 1
_TERMS = 3  # factors that a defined variable may have


@dataclass(frozen=True, eq=False)
class Term:
    """A factor of a value: variables over its axes, with the powers that the scale and the sign have there.

    ``owners`` are the (inner) axes whose units the variables belong to.
    """

    ids: Ids
    owners: frozenset[int]
    scale: int = 1
    sign: int = 1

    def negated(self) -> Term:
        """Return the inverse factor."""
        return replace(self, scale=-self.scale)


class Variables:
    """Scales and signs that units may carry, and the equations between them (one by one, in arrays)."""

    def __init__(self) -> None:
        self.count = 1  # the first is NOTHING: a factor of 1
        self.scale_pairs: list[Ids] = [np.array([[0], [1]])]  # (2a + s, 2b + t): a, or its inverse, is b or its inverse
        self.sign_pairs: list[Ids] = [np.array([[0], [-1]])]  # (a, b); b = -1: the sign is +1
        self.touched = np.ones(1, dtype=bool)
        self.factors = np.full((1, _TERMS), -1, dtype=np.int64)  # -1: not defined
        self.powers = np.zeros((1, _TERMS, 2), dtype=np.int64)

    def fresh(self, shape: tuple[int, ...]) -> Ids:
        """Return new variables."""
        size = int(np.prod(shape, dtype=np.int64))
        ids = np.arange(self.count, self.count + size, dtype=np.int64).reshape(shape)
        self.count += size
        if self.count > len(self.touched):
            room = max(self.count, 2 * len(self.touched))
            extra = room - len(self.touched)
            self.touched = np.concatenate([self.touched, np.zeros(extra, dtype=bool)])
            self.factors = np.concatenate([self.factors, np.full((extra, _TERMS), -1)])
            self.powers = np.concatenate([self.powers, np.zeros((extra, _TERMS, 2), dtype=np.int64)])
        return ids

    def free(self, term: Term) -> bool:
        """Whether nothing has been asked of the variables yet, so that they can be defined."""
        plain = abs(term.scale) == 1 and term.sign == 1
        return plain and not self.touched[term.ids].any() and bool((self.factors[term.ids, 0] < 0).all())

    def pin(self, term: Term, *, scale: bool = True, sign: bool = True) -> None:
        """Hold the factor at 1: its scale, its sign, or both."""
        for part in self.expanded([term]):
            flat = np.unique(part.ids)
            self.touched[flat] = True
            if scale and part.scale:
                self.scale_pairs.append(np.stack([2 * flat, 2 * flat + 1]))
            if sign and part.sign % 2:
                self.sign_pairs.append(np.stack([flat, np.full_like(flat, -1)]))

    def expanded(self, terms: list[Term]) -> list[Term]:
        """Return the terms with defined variables written out."""
        out = []
        for term in terms:
            defined = self.factors[term.ids, 0] >= 0
            if not defined.any():
                out.append(term)
                continue
            if not defined.all():
                out.append(replace(term, ids=np.where(defined, NOTHING, term.ids)))
            for k in range(_TERMS):
                ids, powers = self.factors[term.ids, k], self.powers[term.ids, k]
                for scale, sign in sorted({tuple(row) for row in powers.reshape(-1, 2).tolist()} - {(0, 0)}):
                    here = defined & (powers[..., 0] == scale) & (powers[..., 1] == sign)
                    part = Term(np.where(here, ids, NOTHING), term.owners, term.scale * scale, term.sign * sign % 2)
                    out += self.expanded([part])
        return compacted(out)

    def equate(self, left: list[Term], right: list[Term]) -> None:
        """Ask that two products of factors be equal, for every set of owners that overlap apart."""
        left_over = self.expanded(left) + [term.negated() for term in self.expanded(right)]
        while left_over:
            owners = left_over[0].owners
            while more := [t for t in left_over if t.owners & owners and not t.owners <= owners]:
                owners = owners.union(*(term.owners for term in more))
            here = [term for term in left_over if term.owners <= owners and (term.owners or not owners)]
            left_over = [term for term in left_over if term not in here]
            self._vanish(cancelled(here))

    def _vanish(self, terms: list[Term]) -> None:
        """Ask that a product of factors be 1: by definition, by equating two variables, or by holding all at 1."""
        if len(terms) == 2 and not any(self._defines(terms, k) for k in range(2) if self._narrow(terms, k)):
            self._pair(*terms)
        elif len(terms) > 2:
            for k in range(len(terms)):
                if len(terms) - 1 <= _TERMS and self._defines(terms, k):
                    return
            for term in terms:
                self.pin(term)
        elif len(terms) == 1:
            self.pin(terms[0])

    def _narrow(self, terms: list[Term], k: int) -> bool:
        """Whether one of two factors has a power that the other lacks: only a definition says so without loss."""
        other = terms[1 - k]
        return abs(other.scale) != 1 or other.sign % 2 != 1

    def _defines(self, terms: list[Term], k: int) -> bool:
        """Define the k-th variable by the others, if nothing has been asked of it and they cover no more axes."""
        term, others = terms[k], [each for j, each in enumerate(terms) if j != k]
        shape = np.broadcast_shapes(*(each.ids.shape for each in terms))
        if not self.free(term) or term.ids.shape != shape or len(np.unique(term.ids)) < term.ids.size:
            return False
        if any(np.isin(term.ids.ravel()[:1], each.ids).any() for each in others):
            return False
        for j, other in enumerate(others):
            self.factors[term.ids, j] = np.broadcast_to(other.ids, shape)
            self.powers[term.ids, j] = (-term.scale * other.scale, other.sign % 2)
        return True

    def _pair(self, one: Term, two: Term) -> None:
        a, b = (each.ravel() for each in np.broadcast_arrays(one.ids, two.ids))
        self.touched[a] = self.touched[b] = True
        if abs(one.scale) == abs(two.scale) != 0:
            same = one.scale == -two.scale  # one - other = 0
            self.scale_pairs += [np.stack([2 * a, 2 * b + (not same)]), np.stack([2 * a + 1, 2 * b + same])]
        else:
            for term in (one, two):
                self.pin(term, sign=False)
        if one.sign % 2 and two.sign % 2:
            self.sign_pairs.append(np.stack([a, b]))
        else:
            for term in (one, two):
                self.pin(term, scale=False)


@dataclass
class Structure:
    """Units with their marks and relations, and the variables they may carry."""

    count: int = 0
    colours: int = 0
    marks: list[tuple[Ids, Ids]] = field(default_factory=list)
    relations: list[tuple[Ids, Ids]] = field(default_factory=list)
    splits: list[tuple[int, Ids]] = field(default_factory=list)  # a relation to units that a view alone has made
    used: list[Ids] = field(default_factory=list)  # units that index what an operator does apart
    pointwise: list[Ids] = field(default_factory=list)  # units whose own coordinates matter: no mixing of them
    variables: Variables = field(default_factory=Variables)
    absorbed: list[tuple[int | None, tuple[Ids, ...]]] = field(default_factory=list)  # by a bias (its first unit), ...
    turning: list[Ids] = field(default_factory=list)  # variables of values whose pairs may be turned
    felt: list[Ids] = field(default_factory=list)  # units of biases that something else feels
    notes: list[str] = field(default_factory=list)
    complaints: list[tuple[str, Ids]] = field(default_factory=list)  # what was frozen why: words, and units

    def fresh(self, shape: tuple[int, ...]) -> Ids:
        """Return new units."""
        size = int(np.prod(shape, dtype=np.int64))
        self.count += size
        return np.arange(self.count - size, self.count, dtype=np.int64).reshape(shape)

    def mark(self, units: Ids, axis: int | None = None) -> None:
        """Mark units: all of them alike (a set that is treated apart), or by their place along an axis."""
        size = 1 if axis is None else units.shape[axis]
        colours = np.arange(self.colours, self.colours + size)
        self.colours += size
        if axis is not None:
            colours = colours.reshape([size if k == axis else 1 for k in range(units.ndim)])
        self.marks.append(_flat(units, colours))

    def relate(self, one: Ids, two: Ids) -> None:
        """Relate units entry by entry."""
        if one is not two:
            self.relations.append(_flat(one, two))


def _flat(one: Ids, two: Ids) -> tuple[Ids, Ids]:
    a, b = np.broadcast_arrays(one, two)
    return a.ravel(), b.ravel()


def compacted(terms: list[Term]) -> list[Term]:
    """Return the terms with those of equal powers joined where one is NOTHING at all places of the other."""
    out: list[Term] = []
    for term in terms:
        for k, other in enumerate(out):
            alike = (other.owners, other.scale, other.sign % 2) == (term.owners, term.scale, term.sign % 2)
            if alike and other.ids.shape == term.ids.shape and not ((other.ids != 0) & (term.ids != 0)).any():
                out[k] = replace(other, ids=np.where(other.ids == NOTHING, term.ids, other.ids))
                break
        else:
            out.append(term)
    return out


def cancelled(terms: list[Term]) -> list[Term]:
    """Return the terms without pairs of a factor and its inverse."""
    left: list[Term] = []
    for term in terms:
        for other in left:
            if np.array_equal(other.ids, term.ids):
                left.remove(other)
                both = replace(term, scale=term.scale + other.scale, sign=(term.sign + other.sign) % 2)
                if both.scale or both.sign:
                    left.append(both)
                break
        else:
            left.append(term)
    return left
