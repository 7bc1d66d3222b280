"""Exercises of the chapter "Estimation error": how many samples a bound asks for, and the bound at a given radius.

Notation: N balls of radius ε cover the class, the bound may fail with probability η, a loss in [0, M] changes by at
most λε (theorem "Uniform bound"). The oracles search: they double and halve the number of samples, or the deviation t,
until Hoeffding's inequality and a sum over the N centres give just η.
"""

from __future__ import annotations

import math

from .tasks import Mistake, Task


def _log_failure(t: float, log_N: float, n: float, M: float) -> float:
    """Return the logarithm of N · 2 exp(-2 n t² / M²)."""
    return log_N + math.log(2) - 2 * n * t * t / (M * M)


# --- samples-needed -------------------------------------------------------------------------------------------------


def _samples_needed(log_N: float, eta: float, t: float) -> int:
    enough = 1
    while _log_failure(t, log_N, enough, 1.0) > math.log(eta):
        enough *= 2
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if _log_failure(t, log_N, middle, 1.0) <= math.log(eta) else (middle, enough)
    return enough


def _samples(log_N: float, eta: float, t: float, sides: int = 2, factor: float = 2.0) -> float:
    return (log_N + math.log(sides / eta)) / (factor * t * t)


# --- bound-at -------------------------------------------------------------------------------------------------------


def _bound_at(log_N: float, n: int, eps: float, slope: float, M: float, eta: float) -> float:
    low, high = 0.0, M
    while _log_failure(high, log_N, n, M) > math.log(eta):
        high *= 2
    for _ in range(200):
        t = (low + high) / 2
        low, high = (t, high) if _log_failure(t, log_N, n, M) > math.log(eta) else (low, t)
    return 2 * slope * eps + high


def _root(log_N: float, n: int, eta: float) -> float:
    return math.sqrt((log_N + math.log(2 / eta)) / (2 * n))


TASKS = (
    Task(
        name="samples-needed",
        call="samples_needed(log_N, eta, t)",
        asks="the least number n of samples for which sqrt((log_N + log(2/eta)) / (2 n)) is at most t",
        cases=lambda: [(0.0, 0.05, 0.1), (220.0, 0.05, 0.05), (220.0, 1e-9, 0.05), (24_000.0, 0.01, 0.3)],
        oracle=_samples_needed,
        against="a search by doubling and halving",
        mistakes=(
            Mistake(
                lambda log_N, eta, t: math.ceil(_samples(log_N, eta, t, sides=1)),
                "a mean may be too large or too small, and both together have the chance eta: log(2/eta)",
            ),
            Mistake(
                lambda log_N, eta, t: math.floor(_samples(log_N, eta, t)),
                "with this n the bound is still a little above t: round up",
            ),
            Mistake(_samples, "a number of samples is a whole number: round up"),
            Mistake(
                lambda log_N, eta, t: math.ceil(_samples(log_N, eta, t, factor=1.0)),
                "n stands in the denominator as 2 n",
            ),
            Mistake(
                lambda log_N, eta, t: math.ceil(_samples(log_N, eta, math.sqrt(t))),
                "the bound is a root, so t comes in squared",
            ),
        ),
    ),
    Task(
        name="bound-at",
        call="bound_at(log_N, n, eps, slope, M, eta)",
        asks="the uniform bound 2 slope eps + M sqrt((log_N + log(2/eta)) / (2 n))",
        cases=lambda: [
            (0.0, 100, 0.01, 1.0, 1.0, 0.05),
            (220.0, 10_000, 0.001, 4.0, 4.0, 0.05),
            (24_000.0, 10**7, 1e-4, 2.0, 3.0, 1e-6),
        ],
        oracle=_bound_at,
        against="Hoeffding's inequality, solved by halving",
        tolerance=1e-9,
        mistakes=(
            Mistake(
                lambda log_N, n, eps, slope, M, eta: slope * eps + M * _root(log_N, n, eta),
                "the centre's risk differs from the network's, and so does the mean over the samples: twice slope eps",
            ),
            Mistake(
                lambda log_N, n, eps, slope, M, eta: 2 * slope * eps + _root(log_N, n, eta),
                "a loss up to M spreads its means M times as far",
            ),
            Mistake(
                lambda log_N, n, eps, slope, M, eta: 2 * eps + M * _root(log_N, n, eta),
                "eps is a distance of predictions, and the loss may change slope times as much",
            ),
            Mistake(
                lambda log_N, n, eps, slope, M, eta: 2 * slope * eps + M * _root(0.0, n, eta),
                "this holds for one network, and log_N is what it costs to speak of all of them",
            ),
        ),
    ),
)
