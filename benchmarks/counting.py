"""Counting orbits, against summing over all pairs of cycle types, and against the enumeration of all networks.

* ``logs`` and ``exact``: ``log_orbits`` and ``orbits``, which sum the outer layers out with a recurrence.
* ``pairs``: the same sum over the full matrix of pairs of cycle types, in logs, a block of rows at a time: what the
  chain of matrices costs without the recurrence. The ratio is to ``logs``.
* ``listing``: every network of a tiny class and its image under every group element; the ratio is to ``exact``.
* ``worst``: the relative error of ``log_orbits`` against the log of the exact integer.
* The last lines are the largest matrix of inner layers that is meant to run, and the search for a packing.
"""

from __future__ import annotations

import itertools
import math
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from fnequiv.complexity.bracket import bracket, verify
from fnequiv.complexity.counting import log_orbits, orbits
from fnequiv.complexity.cycle_types import Cycles, orbit_signs

PAIRS: tuple[tuple[int, ...], ...] = ((10, 20, 20, 10), (10, 30, 30, 10), (10, 35, 35, 10))
TINY: tuple[tuple[tuple[int, ...], int], ...] = (((1, 2, 1), 3), ((1, 3, 1), 2), ((1, 2, 2, 1), 2))
T = TypeVar("T", int, float)


def _seconds(function: Callable[[tuple[int, ...], int], T], widths: tuple[int, ...], levels: int) -> tuple[float, T]:
    start = time.perf_counter()
    value = function(widths, levels)
    return time.perf_counter() - start, value


def _all_pairs(widths: tuple[int, ...], levels: int) -> float:
    """Sum over all pairs of cycle types of two hidden layers, rows in blocks of 2^20 entries."""
    inputs, first, second, outputs = widths
    left, right = Cycles(first, False), Cycles(second, False)
    gcds = orbit_signs(left, right)[0].astype(float)
    rows, columns = left.table().astype(float), right.table().astype(float)
    own_rows = (inputs + 1) * rows.sum(axis=1) * math.log(levels) - left.log_z(left.table())
    own_columns = (outputs + 1) * columns.sum(axis=1) * math.log(levels) - right.log_z(right.table())
    total, size = -math.inf, max(1, 2**20 // len(columns))
    for start in range(0, len(rows), size):
        block = rows[start : start + size] @ gcds @ columns.T * math.log(levels)
        block += own_rows[start : start + size, None] + own_columns
        top = block.max()
        total = float(np.logaddexp(total, top + math.log(np.exp(block - top).sum())))
    return total + outputs * math.log(levels)


def _listing(widths: tuple[int, ...], levels: int) -> int:
    """Count the orbits of all networks by applying every group element to every network."""
    shapes = [(here, below) for below, here in itertools.pairwise(widths)]
    group = list(itertools.product(*(list(itertools.permutations(range(width))) for width in widths[1:-1])))
    seen = set()
    for values in itertools.product(range(levels), repeat=sum(here * (below + 1) for here, below in shapes)):
        images = []
        for element in group:
            orders = (tuple(range(widths[0])), *element, tuple(range(widths[-1])))
            image: list[int] = []
            start = 0
            for layer, (here, below) in enumerate(shapes):
                for i in orders[layer + 1]:
                    image += [values[start + i * below + j] for j in orders[layer]]
                image += [values[start + here * below + i] for i in orders[layer + 1]]
                start += here * (below + 1)
            images.append(tuple(image))
        seen.add(min(images))
    return len(seen)


def main(*, smoke: bool = False) -> None:
    """Print times, ratios and errors."""
    print(f"{'widths, K = 16':22}  {'logs':>9}  {'exact':>9}  {'pairs/logs':>10}  {'worst':>8}")
    for widths in PAIRS[:1] if smoke else PAIRS:
        logs, value = min(_seconds(log_orbits, widths, 16) for _ in range(3))
        exact, count = _seconds(orbits, widths, 16)
        pairs, other = _seconds(_all_pairs, widths, 16)
        reference = math.log(count)
        assert math.isclose(other, reference, rel_tol=1e-11)
        error = abs(value - reference) / reference
        print(f"{widths!s:22}  {logs:7.3f} s  {exact:7.3f} s  {pairs / logs:10.1f}  {error:8.1e}")
    print(f"{'widths, K':22}  {'orbits':>9}  {'exact':>9}  {'listing/exact':>13}")
    for widths, levels in TINY[:1] if smoke else TINY:
        exact, count = min(_seconds(orbits, widths, levels) for _ in range(3))
        listing, listed = _seconds(_listing, widths, levels)
        assert count == listed
        print(f"{widths!s:18} {levels:3d}  {count:9d}  {exact * 1e3:6.3f} ms  {listing / exact:13.0f}")
    inner: tuple[int, ...] = (10, 12, 12, 12, 12, 10) if smoke else (10, 40, 40, 40, 40, 10)
    seconds, value = _seconds(log_orbits, inner, 16)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{inner}: {value:.6f} nats in {seconds:.1f} s, at most {peak:.0f} MiB in this process so far")
    for rounds in (20,) if smoke else (100, 300, 1000):
        found = bracket((1, 3, 1), B=1, Bx=1, activation="relu", eps=0.25, rng=np.random.default_rng(0), rounds=rounds)
        verify(found)
        print(
            f"(1, 3, 1), ReLU, eps = 1/4, {rounds} rounds: {found.packing.size} networks, "
            f"{found.lower:.3f} <= log N <= {found.upper:.3f}"
        )


if __name__ == "__main__":
    main()
