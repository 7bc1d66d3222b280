"""Exercises of the chapter "Optimisation": distinct orders, starts near a copy, and the barrier on a line.

Notation: d rows of a hidden layer, d* their distinct orders, the open cube of edge δ (theorem "Starts near a copy").
The oracles list all orders, or subtract a straight line in fractions.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

from .tasks import Mistake, Task

Rows = list[tuple[float, ...]]

# --- distinct-orders ------------------------------------------------------------------------------------------------


def _distinct_orders(rows: Rows) -> int:
    return len(set(itertools.permutations(rows)))


def _orders_cases() -> list[tuple[Rows]]:
    a, b, c = (1.0, 0.5), (1.0, -0.5), (0.0, 2.0)
    return [([a],), ([a, b],), ([a, b, a],), ([b, a, a, c, a],), ([a, a, b, b, b, c],), ([c, c, c, c],)]


def _divided_by(rows: Rows, share: Callable[[int], int]) -> int:
    return math.factorial(len(rows)) // math.prod(share(count) for count in Counter(rows).values())


# --- near-a-copy ----------------------------------------------------------------------------------------------------


def _distance(row: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(x - y) for x, y in zip(row, other, strict=True))


def _near_a_copy(start: Rows, rows: Rows, delta: float) -> bool:
    return any(_near_in_order(start, order, delta / 2) for order in itertools.permutations(rows))


def _near_in_order(start: Rows, rows: Sequence[tuple[float, ...]], reach: float) -> bool:
    return all(_distance(a, b) < reach for a, b in zip(start, rows, strict=True))


def _each_near_some(start: Rows, rows: Rows, delta: float) -> bool:
    return all(any(_distance(a, b) < delta / 2 for b in rows) for a in start)


def _closed(start: Rows, rows: Rows, delta: float) -> bool:
    orders = itertools.permutations(rows)
    return any(all(_distance(a, b) <= delta / 2 for a, b in zip(start, order, strict=True)) for order in orders)


def _euclidean(start: Rows, rows: Rows, delta: float) -> bool:
    orders = itertools.permutations(rows)
    return any(all(math.dist(a, b) < delta / 2 for a, b in zip(start, order, strict=True)) for order in orders)


def _near_cases() -> list[tuple[Rows, Rows, float]]:
    rows: Rows = [(0.0, 0.0), (1.0, 0.0), (0.0, 2.0)]
    starts: list[Rows] = [
        [(0.25, 0.0), (1.0, 0.0), (0.0, 2.0)],
        [(0.75, 0.25), (0.0, 2.25), (0.25, 0.0)],
        [(0.0, 0.25), (0.25, 0.0), (0.0, 2.0)],
        [(0.5, 0.0), (1.0, 0.0), (0.0, 2.0)],
        [(0.0, 0.0), (1.0, 0.75), (0.0, 2.0)],
        [(0.375, 0.375), (1.0, 0.0), (0.0, 2.0)],
    ]
    crowded: list[tuple[Rows, Rows]] = [  # delta is larger than the distance of two rows, or rows are equal
        ([(0.0,), (1.0,), (1.0,)], [(0.0,), (0.0,), (1.0,)]),
        ([(0.3,), (0.0,)], [(0.0,), (0.6,)]),
        ([(0.0, 0.0), (0.45, 0.0)], [(0.0, 0.0), (-0.15, 0.45)]),
    ]
    return [*((start, rows, 1.0) for start in starts), *((start, rows, 1.0) for start, rows in crowded)]


def _first_unused(start: Rows, rows: Rows, delta: float) -> bool:
    """Give each row of the start the first near one that is left."""
    left = list(rows)
    for row in start:
        near = next((other for other in left if _distance(row, other) < delta / 2), None)
        if near is None:
            return False
        left.remove(near)
    return True


def _nearest_sets(start: Rows, rows: Rows, delta: float) -> bool:
    nearest = [min(rows, key=lambda other: _distance(row, other)) for row in start]
    return set(nearest) == set(rows) and _near_in_order(start, nearest, delta / 2)


def _least_sum(start: Rows, rows: Rows, delta: float) -> bool:
    """Look only at the order in which all distances together are least."""
    orders = itertools.permutations(rows)
    best = min(orders, key=lambda order: math.fsum(_distance(a, b) for a, b in zip(start, order, strict=True)))
    return _near_in_order(start, best, delta / 2)


# --- barrier --------------------------------------------------------------------------------------------------------


def _barrier(losses: Sequence[float]) -> float:
    """Subtract the straight line through the two ends in exact fractions, and look for the largest rest."""
    values, last = [Fraction(loss) for loss in losses], len(losses) - 1
    slope = (values[-1] - values[0]) / last
    return float(max(value - values[0] - slope * i for i, value in enumerate(values)))


def _barrier_cases() -> list[tuple[list[float]]]:
    return [
        ([0.0, 1.0, 0.0],),
        ([1.0, 2.0, 3.0],),
        ([0.25, 0.75, 1.5, 1.0, 0.5],),
        ([2.0, 1.0, 0.5, 0.25],),
        ([2.0, 2.0, 1.0, 0.0, 0.0],),
    ]


TASKS = (
    Task(
        name="distinct-orders",
        call="distinct_orders(rows)",
        asks="the number of distinct orders of the rows, a list of tuples",
        cases=_orders_cases,
        oracle=_distinct_orders,
        against="a list of all orders",
        mistakes=(
            Mistake(lambda rows: math.factorial(len(rows)), "equal rows may change places, and nobody sees it"),
            Mistake(
                lambda rows: math.factorial(len(set(rows))),
                "a row that occurs twice still takes two places, and which ones it takes can be seen",
            ),
            Mistake(
                lambda rows: _divided_by(rows, lambda count: count),
                "m equal rows have m! orders among themselves, not m",
            ),
            Mistake(lambda rows: _divided_by(rows, lambda count: 2 ** (count - 1)), "three equal rows have 3! orders"),
        ),
    ),
    Task(
        name="near-a-copy",
        call="near_a_copy(start, rows, delta)",
        asks="whether some order of the rows has the start in its open cube of edge delta",
        cases=_near_cases,
        oracle=_near_a_copy,
        against="a search through all orders",
        mistakes=(
            Mistake(
                lambda start, rows, delta: _near_in_order(start, rows, delta / 2),
                "any copy will do, and these rows were tried in one order only",
            ),
            Mistake(_each_near_some, "two rows of the start are near the same row, and each has to be met once"),
            Mistake(
                lambda start, rows, delta: _near_a_copy(start, rows, 2 * delta),
                "a cube of edge delta reaches delta / 2 to each side",
            ),
            Mistake(_closed, "the cube is open, and a distance of exactly delta / 2 lies outside"),
            Mistake(_first_unused, "the first row that is near may be the only one for another, so try every order"),
            Mistake(_nearest_sets, "sets forget how often a row occurs, and each of them has to be met once"),
            Mistake(_least_sum, "the order of the least sum may have one distance too large, where another has none"),
            Mistake(_euclidean, "a cube is a ball of the sup norm: the largest of the differences counts"),
        ),
    ),
    Task(
        name="barrier",
        call="barrier(losses)",
        asks="how far the losses rise above the straight line between the first and the last of them (0 if nowhere)",
        cases=_barrier_cases,
        oracle=_barrier,
        against="a line through the ends in fractions",
        tolerance=1e-9,
        mistakes=(
            Mistake(lambda losses: max(losses), "this is the highest loss, and the rise above the line was asked"),
            Mistake(
                lambda losses: max(losses) - max(losses[0], losses[-1]),
                "this measures from the worse end, and the line falls from there to the other",
            ),
            Mistake(
                lambda losses: max(max(losses) - (losses[0] + losses[-1]) / 2, 0.0),
                "the mean of the ends is the height of the line in its middle only",
            ),
            Mistake(
                lambda losses: losses[len(losses) // 2] - (losses[0] + losses[-1]) / 2,
                "the highest place need not be in the middle",
            ),
        ),
    ),
)
