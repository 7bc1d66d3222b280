"""Two number systems for Burnside's sum: exact integers of any size, and logarithms of any size.

Notation. Both hold arrays of non-negative numbers and know the five things that the sum needs: K^P·z^N, the size of a
conjugacy class, products, sums, and the sum over *all* cycle types of one layer at once (the cycle index of the group,
Z_n). Exact numbers are scaled by the group's order, n! or 2^n n!, so that they stay integers; logarithms are not.

The cycle index obeys n Z_n = Σ_{k=1}^n y_k Z_{n-k}, where y_k is what a k-cycle contributes (the mean over the two
signs, if there are signs): differentiate Σ_n Z_n t^n = exp(Σ_k y_k t^k/k). It costs n² steps instead of p(n).

Chapter: "Counting orbits exactly". Source: R. P. Stanley, *Enumerative Combinatorics* 2, section 5.1.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .cycle_types import Cycles, Table

# An array of Python integers (dtype object) or of logarithms (dtype float64).
Numbers = npt.NDArray
Exponents = npt.NDArray[np.float64]


class Arithmetic(Protocol):
    """What :mod:`fnequiv.complexity.burnside` computes with."""

    def fixed(self, positive: Exponents, negative: Exponents) -> Numbers:
        """Return K^positive · z^negative, z = 1 if some level is its own negative (K odd) and else 0."""

    def classes(self, cycles: Cycles, table: Table) -> Numbers:
        """Return the weight of each conjugacy class."""

    def times(self, a: Numbers, b: Numbers) -> Numbers:
        """Return a · b."""

    def total(self, a: Numbers) -> Numbers:
        """Return the sum over the last axis."""

    def cycle_index(self, cycles: Cycles, x: Numbers) -> Numbers:
        """Return the weighted sum over all types λ of Π_i x_i^{m_i(λ)}; x is [rows, kinds of cycles]."""

    def multisets(self, cycles: Cycles, x: Numbers) -> Numbers:
        """Return :meth:`cycle_index` where the x_i depend on the sign of the cycle alone; x is [kinds]."""


class Exact:
    """Python integers; a sum over the group is |group| times the mean.

    Examples
    --------
    >>> int(Exact(3).multisets(Cycles(2, signed=False), np.array([5, 5], dtype=object)))
    30
    """

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def fixed(self, positive: Exponents, negative: Exponents) -> Numbers:
        """Look the powers up: each is computed once."""
        exponents, where = np.unique(positive.astype(np.int64), return_inverse=True)
        powers = np.array([self.levels**exponent for exponent in exponents.tolist()], dtype=object)
        values = powers[where.reshape(positive.shape)]
        return values if self.levels % 2 else np.where(negative > 0, 0, values)

    def classes(self, cycles: Cycles, table: Table) -> Numbers:
        """Count the elements of each class: n!/z, or 2^n n!/z."""
        return np.array([cycles.class_size(row) for row in table], dtype=object)

    def times(self, a: Numbers, b: Numbers) -> Numbers:
        """Return a · b."""
        return a * b

    def total(self, a: Numbers) -> Numbers:
        """Add big integers."""
        return a.sum(axis=-1)

    def cycle_index(self, cycles: Cycles, x: Numbers) -> Numbers:
        """Run the recurrence on n! Z_n, or 2^n n! Z_n, row by row with plain integers."""
        n = cycles.width
        factor = 2 if cycles.signed else 1
        # With N_m = 2^m m! Z_m: N_m = Σ_k (x_k⁺ + x_k⁻) 2^{k-1} (m-1)!/(m-k)! N_{m-k}. Without signs, drop the twos.
        results = []
        for row in x.reshape(len(x), -1, n).sum(axis=1).tolist():
            scaled = [1]
            for m in range(1, n + 1):
                total, coefficient = 0, 1
                for k in range(1, m + 1):
                    total += coefficient * row[k - 1] * scaled[m - k]
                    coefficient *= factor * (m - k)
                scaled.append(total)
            results.append(scaled[n])
        return np.array(results, dtype=object)

    def multisets(self, cycles: Cycles, x: Numbers) -> Numbers:
        """Return C(y + n - 1, n) times the order of the group, y the common value of the y_k."""
        words = sum({int(sign): value for sign, value in zip(cycles.signs, x, strict=True)}.values())
        kinds = words // 2 if cycles.signed else words
        return np.array(math.comb(kinds + cycles.width - 1, cycles.width) * cycles.group_order(), dtype=object)


class Logs:
    """Natural logarithms in float64; a sum over the group is the mean. Nothing overflows, zero is -inf.

    Examples
    --------
    >>> round(float(Logs(3).multisets(Cycles(2, signed=False), np.log([5.0, 5.0]))), 6)  # log C(6, 2)
    2.70805
    """

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.log_levels = math.log(levels)

    def fixed(self, positive: Exponents, negative: Exponents) -> Numbers:
        """Multiply exponents by log K."""
        values = positive * self.log_levels
        return values if self.levels % 2 else np.where(negative > 0, -np.inf, values)

    def classes(self, cycles: Cycles, table: Table) -> Numbers:
        """Return -log z."""
        return -cycles.log_z(table)

    def times(self, a: Numbers, b: Numbers) -> Numbers:
        """Add logarithms."""
        return a + b

    def total(self, a: Numbers) -> Numbers:
        """Return the log of a sum, with the largest term taken out."""
        top = a.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):
            return np.log(np.exp(a - top).sum(axis=-1)) + top[..., 0]

    def cycle_index(self, cycles: Cycles, x: Numbers) -> Numbers:
        """Run the recurrence on all rows at once; every term is positive, so nothing cancels."""
        n = cycles.width
        means = self._mean_over_signs(cycles, x)
        index = np.zeros((len(x), n + 1))  # index[:, m] = log Z_m
        for m in range(1, n + 1):
            index[:, m] = self.total(means[:, :m] + index[:, m - 1 :: -1]) - math.log(m)
        return index[:, n]

    def multisets(self, cycles: Cycles, x: Numbers) -> Numbers:
        """Return log C(y + n - 1, n) as Σ_{j=1}^{n} log(1 + (y - 1)/j): positive terms, for y of any size."""
        log_y = self._mean_over_signs(cycles, x[None, :])[0, 0]
        with np.errstate(divide="ignore"):
            log_less_one = log_y + np.log(-np.expm1(-log_y))
        return np.asarray(np.logaddexp(0.0, log_less_one - np.log(np.arange(1, cycles.width + 1))).sum())

    def _mean_over_signs(self, cycles: Cycles, x: Numbers) -> Numbers:
        if not cycles.signed:
            return x
        return np.logaddexp(x[:, : cycles.width], x[:, cycles.width :]) - math.log(2)
