"""Exercises of the chapter "Introduction": how many copies a network has.

Notation: ``widths = (d_0, d_1, …, d_L, d_{L+1})``; a network has d_1! ⋯ d_L! orders of its hidden neurons (paper,
section 1), and with an odd activation 2^{d_1 + ⋯ + d_L} sign patterns on top.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from .tasks import Mistake, Task


def _log_copies(widths: Sequence[int], activation: str) -> float:
    """Multiply the moves of one layer after the other, in logarithms: the k-th neuron has k places, and two signs."""
    signs = 2 if activation == "tanh" else 1
    return math.fsum(math.log(k * signs) for width in widths[1:-1] for k in range(1, width + 1))


def _log_copies_cases() -> list[tuple[tuple[int, ...], str]]:
    small = [((1, 1, 1), "tanh"), ((2, 3, 1), "tanh"), ((2, 3, 1), "sigmoid"), ((4, 3, 2, 5), "tanh")]
    return [*small, ((5, 1, 1, 1, 2), "tanh"), ((3, 4, 5, 2), "sigmoid"), ((784, 512, 256, 10), "tanh")]


def _copies(w: np.ndarray, v: np.ndarray) -> int:
    """Make every copy of f(x) = Σ v_i tanh(w_i x) by hand and count the different ones."""
    neurons = list(zip(w.tolist(), v.tolist(), strict=True))
    return len(
        {
            tuple((a * s + 0.0, b * s + 0.0) for (a, b), s in zip(order, signs, strict=True))
            for order in itertools.permutations(neurons)
            for signs in itertools.product((1, -1), repeat=len(neurons))
        }
    )


def _copies_cases() -> list[tuple[np.ndarray, np.ndarray]]:
    given = [
        ([0.5, 2.0], [1.0, -3.0]),  # nothing coincides
        ([0.5, 0.5, 2.0], [1.0, 1.0, -3.0]),  # twins
        ([0.5, -0.5, 2.0], [1.0, -1.0, -3.0]),  # twins, one of them flipped
        ([0.5, 0.5, 2.0], [1.0, -1.0, 1.0]),  # no twins: only the rows agree
        ([0.0, 2.0, 1.0], [0.0, 1.0, 1.0]),  # a neuron of zeros is its own flip
        ([0.7, -0.7, 0.7, 0.0], [1.0, -1.0, 1.0, 0.0]),
        ([0.0], [1.0]),  # a flip moves what is zero in one place only
        ([0.0, 2.0], [1.0, 1.0]),
        ([2.0, 1.0], [0.0, 1.0]),
        ([0.0, 0.0, 1.0], [0.0, 0.0, 1.0]),  # twins of zeros
        ([0.5, 1.5], [3.0, 1.0]),  # only the products agree
    ]
    return [(np.array(w), np.array(v)) for w, v in given]


def _exact(neuron: tuple[float, float]) -> tuple[float, float]:
    return neuron


def _up_to_flip(neuron: tuple[float, float]) -> tuple[float, float]:
    return max(neuron, (-neuron[0], -neuron[1]))


def _formula(w: np.ndarray, v: np.ndarray, twins: Callable[..., object], moving: Callable[..., object]) -> int:
    """Divide the orders by those among twins, who have one image, and double for each neuron that a flip moves."""
    neurons = list(zip(w.tolist(), v.tolist(), strict=True))
    families = Counter(map(twins, neurons)).values()
    orders = math.factorial(len(neurons)) // math.prod(map(math.factorial, families))
    return orders * 2 ** sum(bool(moving(*neuron)) for neuron in neurons)


def _not_zero(a: float, b: float) -> bool:
    return (a, b) != (0, 0)


def _zeros_apart(w: np.ndarray, v: np.ndarray) -> int:
    zeros = sum(not _not_zero(a, b) for a, b in zip(w, v, strict=True))
    return _formula(w, v, _up_to_flip, _not_zero) * math.factorial(zeros)


TASKS = (
    Task(
        name="log-copies",
        call="log_copies(widths, activation)",
        asks="the natural logarithm of how many copies exchanges and flips reach",
        cases=_log_copies_cases,
        oracle=_log_copies,
        against="a neuron-by-neuron count",
        tolerance=1e-9,
        mistakes=(
            Mistake(lambda w, a: _log_copies(w, "sigmoid"), "a tanh neuron may also be flipped"),
            Mistake(lambda w, a: _log_copies(w, "tanh"), "only an odd activation such as tanh has flips"),
            Mistake(
                lambda w, a: _log_copies((1, *w, 1), a),
                "only hidden neurons move, for inputs and outputs have names of their own",
            ),
            Mistake(
                lambda w, a: _log_copies((1, sum(w[1:-1]), 1), a),
                "neurons of different layers do not change places, so multiply factorials, and do not add widths",
            ),
            Mistake(
                lambda w, a: math.log(
                    float(math.prod(math.factorial(d) * (2**d if a == "tanh" else 1) for d in w[1:-1]))
                ),
                "the number itself is too large for a float, so add logarithms (math.lgamma(d + 1) is log d!)",
            ),
            Mistake(
                lambda w, a: math.prod(math.factorial(d) * (2**d if a == "tanh" else 1) for d in w[1:-1]),
                "this is the number of copies itself, and its logarithm was asked",
            ),
            Mistake(
                lambda w, a: _log_copies(w, a) - math.fsum(map(math.log, w[1:-1])),
                "the gamma function of d is (d - 1)!, so it has to be math.lgamma(d + 1)",
            ),
            Mistake(
                lambda w, a: _log_copies(w, "sigmoid") + (len(w) - 2) * math.log(2) * (a == "tanh"),
                "each neuron may be flipped by itself, so a layer of d neurons has 2^d sign patterns and not 2",
            ),
            Mistake(
                lambda w, a: _log_copies(w, a) / math.log(2),
                "these are bits, and the natural logarithm is in nats",
            ),
            Mistake(
                lambda w, a: _log_copies(w, a) / math.log(10),
                "these are decimal digits, and the natural logarithm is in nats",
            ),
        ),
    ),
    Task(
        name="count-copies",
        call="count_copies(w, v)",
        asks="how many different (w; v) exchanges and flips reach",
        cases=_copies_cases,
        oracle=_copies,
        against="a list of all copies",
        mistakes=(
            Mistake(
                lambda w, v: math.factorial(len(w)) * 2 ** len(w),
                "these are moves, and several of them may lead to one copy",
            ),
            Mistake(
                lambda w, v: _formula(w, v, _exact, lambda a, b: False),
                "each neuron may also be flipped",
            ),
            Mistake(
                lambda w, v: _formula(w, v, _exact, _not_zero), "two neurons that differ by a flip are twins as well"
            ),
            Mistake(
                lambda w, v: _formula(w, v, _up_to_flip, lambda a, b: True),
                "a neuron of zeros is its own flip, and does not double the count",
            ),
            Mistake(
                lambda w, v: _formula(w, v, _up_to_flip, lambda a, b: a),
                "a flip moves a neuron with w = 0 as well, unless its v is 0, too",
            ),
            Mistake(
                lambda w, v: _formula(w, v, _up_to_flip, lambda a, b: b),
                "a flip moves a neuron with v = 0 as well, unless its w is 0, too",
            ),
            Mistake(_zeros_apart, "several neurons of zeros are twins like any others"),
            Mistake(
                lambda w, v: _formula(w, v, math.prod, _not_zero),
                "twins agree in w and in v up to one sign, and equal products w * v are not enough",
            ),
            Mistake(
                lambda w, v: math.factorial(len(w)) * 2 ** int(np.count_nonzero((w != 0) | (v != 0))),
                "exchanging two equal neurons gives no new copy",
            ),
        ),
    ),
)
