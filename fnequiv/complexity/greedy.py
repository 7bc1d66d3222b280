r"""Greedy covers of finitely many functions, compared at finitely many nodes, modulo a space of functions.

Notation. Row j of ``values`` holds a function f_j at m nodes, and radius_j ≥ 0 says how far the functions it stands
for may be from it. A representative i covers j within r if some φ of the space gives
max |f_j - f_i - φ| + radius_j ≤ r over the nodes.

Each step looks at a few functions that are not covered yet, and keeps the one that covers most of them: the greedy
algorithm for set cover, with sampled candidates. Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .certificates import Array, Integers

# Candidates for a representative that each step tries.
TRIES = 8


class Greedy(NamedTuple):
    """Representatives (rows of ``values``), which of them each row is covered by, and the φ in coordinates."""

    representatives: Integers
    assignment: Integers
    shift: Array


def greedy_cover(
    values: Array, radii: Array, reach: float, basis: Array, rng: np.random.Generator, most: float = np.inf
) -> Greedy | None:
    """Cover all rows of ``values`` within ``reach``, modulo the span of the rows of ``basis``.

    Parameters
    ----------
    values, radii
        [n, m] and [n]; every radius is at most ``reach``.
    basis
        [k, m], the values of k functions at the nodes, the first of them the constant 1.
    most
        Give up, and return None, once more representatives are needed.
    """
    count, nodes = values.shape
    parts = values @ np.linalg.pinv(basis)  # least squares; a constant that centres what is left comes later
    rest = values - parts @ basis
    # A few nodes that are spread out: who is too far there is too far.
    sketch = np.asfortranarray(rest[:, np.linspace(0, nodes - 1, min(9, nodes)).astype(int)])
    rows = np.arange(count)  # not covered yet
    chosen: list[int] = []
    assignment = np.zeros(count, dtype=np.int64)
    shift = np.zeros((count, len(basis)))
    while len(rows):
        if len(chosen) >= most:
            return None
        candidates = rng.integers(len(rows), size=TRIES)
        near = [spread(sketch, sketch[place])[0] + radii[rows] <= reach for place in candidates]
        best = max(range(TRIES), key=lambda index: np.count_nonzero(near[index]))
        row, close = rows[candidates[best]], near[best]
        distance, middle = spread(rest[rows[close]], rest[row])
        inside = distance + radii[rows[close]] <= reach
        covered = rows[close][inside]
        assignment[covered] = len(chosen)
        shift[covered] = parts[covered] - parts[row]
        shift[covered, 0] += middle[inside]
        chosen.append(int(row))
        close[close] = inside
        rows, sketch = rows[~close], np.asfortranarray(sketch[~close])
    return Greedy(np.array(chosen), assignment, shift)


def spread(values: Array, target: Array | float = 0.0) -> tuple[Array, Array]:
    """Return the sup distance of every row from ``target`` up to a constant, and that constant."""
    difference = values - target
    high, low = difference.max(axis=1), difference.min(axis=1)
    return (high - low) / 2, (high + low) / 2
