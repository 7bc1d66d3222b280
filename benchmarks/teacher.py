"""A student with as many neurons as its teacher often fails to learn it; one neuron more, and hardly any run fails.

The teacher is Σ_j relu(x_j), k neurons, the student has n, inputs are standard normal, and the loss is exact: no data,
no noise. 1,000 students a row start from Xavier's normal law, N(0, 2/(k + n)), and descend until the gradient's norm is
10^-9. A run has failed if its loss is then above 10^-8 and the least eigenvalue of the exact Hessian not below -10^-6:
a spurious minimum. Interval: Wilson's, 95 %. ``flattest``: the least such eigenvalue among all failed runs of the row.

What ``count_solutions`` makes of the 1,000 weight matrices: different ones, different ones up to the order of neurons,
and different functions; "-" where entries of different students are too near each other to be told apart: with a neuron
to spare, minima are flat, and each student ends at a place of its own. ``floor``: the seconds of a row divided by those
of its gradients alone, at full chunks.

Setting: Safran and Shamir (2018). They report a share of failed runs that grows with k for n = k from 6 on, and a much
smaller one for n = k + 1.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from fnequiv.optimization.population import gradient
from fnequiv.optimization.solutions import count_solutions
from fnequiv.optimization.teacher import STATUSES, Runs, draw_starts, orthonormal_teacher, train

SIZES = ((6, 6), (7, 7), (8, 8), (9, 9), (10, 10), (8, 9), (9, 10), (10, 11))
RUNS = 1000
PROCESSES = 2


def gradient_seconds(starts: np.ndarray, k: int, repeats: int = 20) -> float:
    """Return the seconds that one gradient of one student takes, the best of many times, 125 students at once."""
    part, teacher, best = starts[:125], orthonormal_teacher(k), float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        gradient(part, teacher)
        best = min(best, time.perf_counter() - start)
    return best / len(part)


def row(k: int, n: int, runs: Runs, seconds: float, floor: float) -> str:
    """Return one line of the table."""
    failed = runs.share()
    curvature = runs.least_curvature[runs.status == "spurious minimum"]  # saddle points have one, too
    flattest = f"{curvature.min():.4f}" if failed.hits else "-"
    unclear = sum(runs.share(status).hits for status in STATUSES[2:])
    try:
        found = count_solutions(runs.weights)
        counts = f"{found.parameters:6}{found.orbits:8}{found.functions:11}"
    except ValueError:  # entries form chains
        counts = f"{'-':>6}{'-':>8}{'-':>11}"
    return (
        f"{k:3}{n:4}{failed.hits:8}{failed.value:9.1%} [{failed.low:6.2%}, {failed.high:6.2%}]{unclear:9}{flattest:>10}"
        f"{int(np.median(runs.steps)):8}{counts}{seconds:8.1f}{seconds / floor:7.1f}"
    )


def main(*, smoke: bool = False) -> None:
    """Print the table, a row for each pair of sizes."""
    count = 30 if smoke else RUNS
    began = time.perf_counter()
    print(f"{count} runs a row, {PROCESSES} processes; unclear: saddle, not converged or diverged")
    print(
        "  k   n  failed    share   95 % interval   unclear  flattest   steps matrix  orbits  functions seconds  floor"
    )
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as executor:
        train(np.ones((125 * PROCESSES, 1, 1)), orthonormal_teacher(1), executor=executor)  # starts the processes
        for k, n in SIZES[1:6:4] if smoke else SIZES:
            starts = draw_starts(count, n, k, np.random.default_rng(100 * k + n))
            start = time.perf_counter()
            runs = train(starts, orthonormal_teacher(k), executor=executor, progress=not smoke)
            seconds = time.perf_counter() - start
            print(row(k, n, runs, seconds, gradient_seconds(starts, k) * runs.steps.sum() / PROCESSES), flush=True)
    print(f"{time.perf_counter() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
