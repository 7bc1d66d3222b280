"""Exercises of the chapter "Covering numbers": the least cover of points, sorted lists in logarithms, words up to sign.

Notation: M words, d neurons, C(M + d - 1, d) sorted lists (theorem "Orbit bound"). The oracles try every choice of
balls, form the binomial as an exact integer, or list all words.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from .tasks import Mistake, Task

# --- cover-line -----------------------------------------------------------------------------------------------------


def _cover_line(points: Sequence[float], eps: float) -> int:
    """Try all choices of balls; each may be pushed to the right until its left end is a point."""
    balls = [frozenset(q for q in points if p <= q <= p + 2 * eps) for p in points]
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(balls, size):
            if frozenset.union(*chosen) == set(points):
                return size
    raise AssertionError("one ball a point is enough")


def _cover_line_cases() -> list[tuple[list[float], float]]:
    return [
        ([0.0], 0.5),
        ([0.0, 1.0], 0.5),
        ([0.0, 0.75], 0.5),
        ([0.0, 0.25, 0.75], 0.5),
        ([0.0, 0.5, 1.0, 1.5], 0.25),
        ([2.0, 0.0, 1.75, 0.25, 3.0], 0.25),
        ([0.75, 1.25, 4.0, 4.75, 5.25, 9.0], 0.5),
        ([0.5, 3.0, 1.0, 2.5, 0.0, 2.0, 1.5], 0.75),
    ]


def _swept(points: Sequence[float], reach: float, strict: bool = False) -> int:
    """Walk from point to point, and open a ball when the last one ends."""
    count, end = 0, -math.inf
    for p in points:
        if p > end or (strict and p == end):
            count, end = count + 1, p + reach
    return count


def _centred_at_points(points: Sequence[float], eps: float) -> int:
    """Try all choices of balls, each with a point as its centre."""
    balls = [frozenset(q for q in points if abs(p - q) <= eps) for p in points]
    sizes = range(1, len(points) + 1)
    choices = (chosen for size in sizes for chosen in itertools.combinations(balls, size))
    return next(len(chosen) for chosen in choices if frozenset.union(*chosen) == set(points))


# --- log-sorted-lists -----------------------------------------------------------------------------------------------


def _log_sorted_lists(log_M: float, d: int) -> float:
    """Form the number as an integer, of thousands of digits if need be, and take its logarithm."""
    digits = round(log_M / math.log(10))
    M = 10**digits if digits > 5 else round(math.exp(log_M))
    return math.log(math.comb(M + d - 1, d))


def _log_sorted_lists_cases() -> list[tuple[float, int]]:
    small = [(math.log(M), d) for M, d in ((3, 2), (1, 4), (7, 1), (2, 5), (50, 30))]
    return [*small, (100 * math.log(10), 64), (400 * math.log(10), 512)]


# --- words-up-to-sign -----------------------------------------------------------------------------------------------


def _signed_words(n: int, weight_levels: int, bias_levels: int) -> int:
    """List all words and keep one of each pair."""
    middles = [range(1 - levels, levels, 2) for levels in (weight_levels, bias_levels)]  # symmetric about 0
    every = itertools.product(*[middles[0]] * n, middles[1])
    return len({max(word, tuple(-value for value in word)) for word in every})


def _signed_words_cases() -> list[tuple[int, int, int]]:
    return [(1, 2, 2), (1, 3, 3), (1, 3, 2), (1, 2, 3), (2, 3, 3), (3, 5, 1), (2, 1, 4), (4, 3, 2)]


TASKS = (
    Task(
        name="cover-line",
        call="cover_line(points, eps)",
        asks="the least number of balls of radius eps that hold all the points of the line",
        cases=_cover_line_cases,
        oracle=_cover_line,
        against="a trial of all choices of balls",
        mistakes=(
            Mistake(
                lambda points, eps: _swept(sorted(points), eps),
                "a ball reaches eps to both sides, so put its centre eps to the right of the first point in it",
            ),
            Mistake(_centred_at_points, "the centre of a ball need not be one of the points"),
            Mistake(
                lambda points, eps: _swept(sorted(points), 2 * eps, strict=True),
                "a ball holds its two ends as well",
            ),
            Mistake(
                lambda points, eps: _swept(points, 2 * eps),
                "the points come in any order, so sort them first",
            ),
            Mistake(
                lambda points, eps: len({math.floor(p / (2 * eps)) for p in points}),
                "these are cells of a fixed grid, and balls may stand anywhere",
            ),
            Mistake(
                lambda points, eps: len({round(p / (2 * eps)) for p in points}),
                "a fixed grid of balls is not always the best, for they may stand anywhere",
            ),
            Mistake(
                lambda points, eps: max(1, math.ceil((max(points) - min(points)) / (2 * eps))),
                "this covers the whole stretch from the first point to the last, and gaps need no ball",
            ),
        ),
    ),
    Task(
        name="log-sorted-lists",
        call="log_sorted_lists(log_M, d)",
        asks="the natural logarithm of how many sorted lists of d words there are, out of exp(log_M) words",
        cases=_log_sorted_lists_cases,
        oracle=_log_sorted_lists,
        against="the logarithm of the exact integer",
        tolerance=1e-9,
        mistakes=(
            Mistake(
                lambda log_M, d: d * log_M,
                "these are lists in any order, and sorted ones are fewer",
            ),
            Mistake(
                lambda log_M, d: d * log_M - math.lgamma(d + 1),
                "the quotient by d! is too small where words repeat, for a list with repetitions has fewer orders",
            ),
            Mistake(
                lambda log_M, d: math.log(math.comb(round(math.exp(log_M)), d)),
                "two neurons may have one word, so lists with repetitions count as well",
            ),
            Mistake(
                lambda log_M, d: math.log(math.comb(round(math.exp(log_M)) + d - 1, d)),
                "M itself is no float any more, so stay with its logarithm, neuron by neuron",
            ),
            Mistake(
                lambda log_M, d: math.lgamma(math.exp(log_M) + d) - math.lgamma(math.exp(log_M)) - math.lgamma(d + 1),
                "two huge numbers cancel here, and M itself is no float any more, so add up the neurons one by one",
            ),
        ),
    ),
    Task(
        name="words-up-to-sign",
        call="signed_words(n, K_W, K_b)",
        asks="how many words there are if a word and its negative count as one",
        cases=_signed_words_cases,
        oracle=_signed_words,
        against="a list of all words",
        mistakes=(
            Mistake(
                lambda n, K_W, K_b: K_W**n * K_b,
                "a word and its negative are one here",
            ),
            Mistake(
                lambda n, K_W, K_b: K_W**n * K_b // 2,
                "the word of zeros is its own negative, and it is there if both numbers of levels are odd",
            ),
            Mistake(
                lambda n, K_W, K_b: K_W**n * K_b / 2,
                "half a word is left over where the word of zeros is its own negative",
            ),
            Mistake(
                lambda n, K_W, K_b: (K_W**n * K_b + 1) / 2,
                "a word of zeros is there only if both numbers of levels are odd",
            ),
            Mistake(
                lambda n, K_W, K_b: (K_W * n * K_b + (K_W * K_b) % 2) // 2,
                "n weights with K_W levels each are K_W to the n-th, not n times K_W",
            ),
        ),
    ),
)
