"""Exercises of the chapter "Attention": count the orders of heads, mix a head, and take out what is redundant.

Notation: h heads with d_k dimensions of queries and keys and d_v of values; rows 2r and 2r + 1 of rotated keys are one
complex number. The oracles multiply whole numbers and solve linear systems.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .attention_layers import MIX_HEAD, SLIM_ATTENTION
from .tasks import Mistake, Task

Array = npt.NDArray[Any]  # of float64; the factors c of complex128


# --- head-orders ----------------------------------------------------------------------------------------------------


def _log_orders(heads: int, d_k: int, d_v: int) -> float:
    """Take the log of the whole number itself, however long it is."""
    count = 1
    for factors in (range(1, heads + 1), *heads * [range(1, d_k + 1)], *heads * [range(1, d_v + 1)]):
        count *= math.prod(factors)
    return math.log(count)


def _ln(size: int) -> float:
    return math.lgamma(size + 1)


def _ways(size: int) -> float:
    return float(math.factorial(size))


def _orders_cases() -> list[tuple[int, int, int]]:
    return [(1, 2, 2), (2, 3, 3), (3, 2, 4), (1, 1, 1), (12, 64, 64), (16, 128, 64)]


# --- turned-keys ----------------------------------------------------------------------------------------------------


def _turned(K: Array, c: Array) -> Array:
    """Write each complex factor as a 2 × 2 matrix of queries, and solve for the keys."""
    matrix = np.zeros((len(K), len(K)))
    for r, factor in enumerate(c):
        matrix[2 * r : 2 * r + 2, 2 * r : 2 * r + 2] = [[factor.real, -factor.imag], [factor.imag, factor.real]]
    return np.linalg.solve(matrix.T, K)


def _turned_by(K: Array, factors: Array) -> Array:
    pairs = (K[0::2] + 1j * K[1::2]) * factors[:, None]
    return np.stack([pairs.real, pairs.imag], axis=1).reshape(K.shape)


def _halves(K: Array, c: Array) -> Array:
    """Pair row r with row r + d/2, as some networks do."""
    half = len(c)
    pairs = (K[:half] + 1j * K[half:]) / c.conj()[:, None]
    return np.concatenate([pairs.real, pairs.imag])


def _turned_cases() -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(2)
    factors = ([2j], [1 + 1j, 2.0], [0.5j, -3.0, 2 - 1j])
    return [(rng.integers(-9, 10, (2 * len(c), 3)) / 4, np.array(c, dtype=complex)) for c in factors]


TASKS = (
    Task(
        name="head-orders",
        call="log_orders(heads, d_k, d_v)",
        asks="the log, in nats, of the number of orders of heads and of dimensions inside them",
        cases=_orders_cases,
        oracle=_log_orders,
        against="a product of whole numbers",
        tolerance=1e-9,
        mistakes=(
            Mistake(
                lambda heads, d_k, d_v: _ln(heads) + _ln(d_k) + _ln(d_v),
                "each head has orders of dimensions of its own, so these factorials stand there once for each head",
            ),
            Mistake(
                lambda heads, d_k, d_v: heads * (_ln(d_k) + _ln(d_v)), "the heads themselves may be reordered as well"
            ),
            Mistake(
                lambda heads, d_k, d_v: _ln(heads) + heads * (2 * _ln(d_k) + _ln(d_v)),
                "a row of Q and the row of K that it meets share one order",
            ),
            Mistake(
                lambda heads, d_k, d_v: _ln(heads * d_k) + _ln(heads * d_v),
                "these orders would carry dimensions from one head into another",
            ),
            Mistake(
                lambda heads, d_k, d_v: _log_orders(heads, d_k, d_v) / math.log(2),
                "these are bits, and nats were asked",
            ),
            Mistake(
                lambda heads, d_k, d_v: math.log(_ways(heads) * (_ways(d_k) * _ways(d_v)) ** heads),
                "the number itself is too large for a float, so add logarithms (math.lgamma(d + 1) is log d!)",
            ),
        ),
    ),
    MIX_HEAD,
    SLIM_ATTENTION,
    Task(
        name="turned-keys",
        call="turned_keys(K, c)",
        asks="an array of the shape of K, the keys' weights that keep all scores",
        cases=_turned_cases,
        oracle=_turned,
        against="a linear system with a 2 × 2 matrix for each pair",
        tolerance=1e-9,
        mistakes=(
            Mistake(lambda K, c: K, "the scores have changed, unless the keys answer"),
            Mistake(
                lambda K, c: _turned_by(K, 1 / c),
                "the keys are turned the wrong way: queries and keys turn together, as two spokes of a wheel",
            ),
            Mistake(lambda K, c: _turned_by(K, c), "the turn is right, but the stretch comes in twice"),
            Mistake(
                lambda K, c: _turned_by(K, c.conj()),
                "the keys are turned the wrong way and stretched, so divide by the conjugate of c",
            ),
            Mistake(lambda K, c: _turned_by(K, c / abs(c)), "the turn is right, and the stretch is still to be undone"),
            Mistake(lambda K, c: _turned_by(K, 1 / abs(c)), "the stretch is undone, and the keys have to turn as well"),
            Mistake(_halves, "pair r is made of the rows 2r and 2r + 1"),
        ),
    ),
)
