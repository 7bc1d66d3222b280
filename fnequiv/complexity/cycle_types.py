r"""Cycle types of permutations and of signed permutations: the index set of Burnside's sum.

Notation. A permutation of d neurons has m_k cycles of length k, Σ k m_k = d: its *cycle type* λ ⊢ d, shared by d!/z(λ)
permutations, z(λ) = Π_k k^{m_k} m_k!. A signed permutation also multiplies every neuron by ±1; the sign of a cycle is
the product of the signs along it, so there are two kinds of cycles a length, and 2^d d!/z elements share a type,
z = Π_{k, ±} (2k)^{m} m!.

A cycle of length a in one layer and one of length b in the next split the a·b weights between them into gcd(a, b)
orbits of length lcm(a, b). Going once round an orbit multiplies a weight by s_a^{lcm/a} s_b^{lcm/b}: an orbit of
sign +1 may hold any value, one of sign -1 only a value that is its own negative.

Chapter: "Counting orbits exactly". Source of z(λ): R. P. Stanley, *Enumerative Combinatorics* 1, section 1.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

# Rows of the longest table that is built: p(60) = 966 467 rows of 60 small integers are 116 MB.
MAX_CYCLE_TYPES = 1_000_000

Counts = npt.NDArray[np.int64]
Table = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Cycles:
    """The kinds of cycles that a layer of ``width`` neurons can have: lengths 1…d, then, if signed, 1…d negative.

    Examples
    --------
    >>> Cycles(2, signed=True).lengths, Cycles(2, signed=True).signs
    (array([1, 2, 1, 2]), array([ 1,  1, -1, -1]))
    """

    width: int
    signed: bool

    @cached_property
    def lengths(self) -> Counts:
        """Length of each kind."""
        return np.tile(np.arange(1, self.width + 1), 2 if self.signed else 1)

    @cached_property
    def signs(self) -> Counts:
        """Sign of each kind."""
        return np.repeat([1, -1] if self.signed else [1], self.width)

    def group_order(self) -> int:
        """Return d!, or 2^d d! if signed."""
        return math.factorial(self.width) * (2**self.width if self.signed else 1)

    def table(self) -> Table:
        """Return all cycle types, a row each: entry i counts the cycles of kind i.

        Examples
        --------
        >>> Cycles(3, signed=False).table()
        array([[3, 0, 0],
               [1, 1, 0],
               [0, 0, 1]], dtype=int16)
        """
        counts = np.zeros((1, self.lengths.size), dtype=np.int16)
        rest = np.array([self.width])
        # Longest first; what is left when all other kinds are chosen are positive cycles of length 1 (column 0).
        for kind in sorted(range(1, self.lengths.size), key=lambda kind: -self.lengths[kind]):
            length = self.lengths[kind]
            choices = rest // length + 1
            rows = np.repeat(np.arange(rest.size), choices)
            chosen = np.arange(rows.size) - np.repeat(np.cumsum(choices) - choices, choices)
            counts = counts[rows]
            counts[:, kind] = chosen
            rest = rest[rows] - length * chosen
        counts[:, 0] = rest
        return counts

    def log_z(self, table: Table) -> npt.NDArray[np.float64]:
        """Return log z of every row, in nats: the log of how many group elements commute with one of that type.

        Examples
        --------
        >>> cycles = Cycles(3, signed=False)
        >>> np.exp(cycles.log_z(cycles.table())).round(6)
        array([6., 2., 3.])
        """
        log_lengths = np.log(self.lengths * (2 if self.signed else 1))
        return np.asarray(table @ log_lengths + gammaln(table + 1).sum(axis=1))

    def class_size(self, row: Table) -> int:
        """Return how many group elements have the cycle type ``row``, exactly."""
        factor = 2 if self.signed else 1
        z = 1
        for length, count in zip(self.lengths.tolist(), row.tolist(), strict=True):
            z *= (factor * length) ** count * math.factorial(count)
        return self.group_order() // z


def orbit_signs(left: Cycles, right: Cycles) -> tuple[Counts, Counts]:
    """Return how many positive and how many negative orbits of weights each pair of cycle kinds makes.

    Examples
    --------
    >>> positive, negative = orbit_signs(Cycles(2, signed=False), Cycles(2, signed=False))
    >>> positive
    array([[1, 1],
           [1, 2]])
    """
    a, b = left.lengths[:, None], right.lengths[None, :]
    lcm, gcd = np.lcm(a, b), np.gcd(a, b)
    sign = left.signs[:, None] ** (lcm // a) * right.signs[None, :] ** (lcm // b)
    return np.where(sign > 0, gcd, 0), np.where(sign < 0, gcd, 0)


def largest_width(*, signed: bool, limit: int = MAX_CYCLE_TYPES) -> int:
    """Return the largest width with at most ``limit`` cycle types.

    Examples
    --------
    >>> largest_width(signed=False), largest_width(signed=True)
    (60, 31)
    """
    width = 0
    while number_of_cycle_types(width + 1, signed=signed) <= limit:
        width += 1
    return width


def number_of_cycle_types(width: int, *, signed: bool) -> int:
    """Return p(d), or the number of pairs of partitions of total size d if ``signed``.

    Examples
    --------
    >>> number_of_cycle_types(40, signed=False), number_of_cycle_types(20, signed=True)
    (37338, 24842)
    """
    ways = [1] + [0] * width
    for length in [*range(1, width + 1)] * (2 if signed else 1):
        for total in range(length, width + 1):
            ways[total] += ways[total - length]
    return ways[width]
