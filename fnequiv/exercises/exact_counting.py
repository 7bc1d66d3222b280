"""Exercises of the chapter "Counting orbits exactly": orbits with ties, Burnside's lemma, multisets up to sign.

Notation: K levels, widths (d_0, d_1, d_2); a group is the list of its moves, and a move lists for each place where it
goes. The oracles list all members of an orbit, all colourings or all networks.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .tasks import Mistake, Task

Array = npt.NDArray[np.float64]
Moves = Sequence[Sequence[int]]

# --- log-orbit-size -------------------------------------------------------------------------------------------------


def _neurons(W1: Array, b1: Array, W2: Array) -> list[tuple[float, ...]]:
    return [tuple(row) for row in np.column_stack([W1, b1, W2.T]).tolist()]


def _log_orbit_size(W1: Array, b1: Array, W2: Array) -> float:
    """List the orders of few neurons; seat many, kind by kind: choose the places of each kind among the free ones."""
    neurons = _neurons(W1, b1, W2)
    if len(neurons) <= 6:
        return math.log(len(set(itertools.permutations(neurons))))
    size, free = 1, len(neurons)
    for members in Counter(neurons).values():
        size, free = size * math.comb(free, members), free - members
    return math.log(size)


def _log_orbit_size_cases() -> list[tuple[Array, Array, Array]]:
    def network(*lists: tuple[float, ...]) -> tuple[Array, Array, Array]:
        """Return first weights, biases and second weights, from one list a neuron."""
        rows = np.array(lists)
        return rows[:, :1], rows[:, 1], rows[:, 2:].T

    big = np.arange(240.0)[:, None]
    twins = np.minimum(big, 200.0)  # the last forty are one
    two_outputs = np.ones((2, 2)), np.zeros(2), np.array([[1.0, 1.0], [2.0, 3.0]])
    return [
        two_outputs,  # the second output tells the neurons apart, the first does not
        (np.array([[1.0, 2.0], [1.0, 3.0]]), np.zeros(2), np.ones((1, 2))),  # the second input does
        network((1, 0, 2), (1, 0, 3)),  # the columns differ: no tie
        network((1, 0, 2), (1, 0, 2), (1, 0, 3)),
        network((1, 0, 2), (1, 1, 2), (1, 0, 2), (1, 0, 2), (2, 0, 2)),
        (big, np.zeros(240), np.ones((1, 240))),
        (twins, np.zeros(240), np.ones((2, 240))),
    ]


def _log_quotient(neurons: Sequence[tuple[float, ...]]) -> float:
    return math.lgamma(len(neurons) + 1) - sum(math.lgamma(m + 1) for m in Counter(neurons).values())


def _few_twins(W1: Array, b1: Array, W2: Array) -> float:
    """Divide by the number of twins, not by their orders."""
    neurons = _neurons(W1, b1, W2)
    return math.lgamma(len(neurons) + 1) - sum(math.log(m) for m in Counter(neurons).values())


# --- burnside -------------------------------------------------------------------------------------------------------


def _orbits(moves: Moves, colours: int) -> int:
    """List all colourings and keep the least of each orbit."""
    every = itertools.product(range(colours), repeat=len(moves[0]))
    return len({min(tuple(colouring[place] for place in move) for move in moves) for colouring in every})


def _burnside_cases() -> list[tuple[list[list[int]], int]]:
    def rotations(n: int) -> list[list[int]]:
        """Return the rotations of n places in a ring."""
        return [[(i + k) % n for i in range(n)] for k in range(n)]

    swap = [[0, 1], [1, 0]]
    orders = [list(order) for order in itertools.permutations(range(3))]
    network = [[0, 1, 2, 3, 4, 5, 6], [1, 0, 3, 2, 5, 4, 6]]  # two neurons: w w b b v v c
    turned = [*rotations(4), *([*reversed(move)] for move in rotations(4))]
    return [(swap, 2), (swap, 4), (rotations(3), 2), (rotations(4), 3), (orders, 3), (network, 2), (turned, 3)]


def _mean(moves: Moves, colours: int, lengths: range) -> float:
    """Average colours to the number of cycles of some lengths."""
    total = 0
    for move in moves:
        seen: set[int] = set()
        cycles = []
        for start in range(len(move)):
            members = set()
            while start not in seen:
                seen.add(start)
                members.add(start)
                start = move[start]
            cycles.append(len(members))
        total += colours ** sum(length in lengths for length in cycles)
    return total / len(moves)


# --- signed-orbits --------------------------------------------------------------------------------------------------


def _signed_orbits(d0: int, d1: int, d2: int, K: int) -> int:
    """List the hidden neurons of all networks, and keep the least of each orbit; the output biases stay."""
    words = list(itertools.product(range(1 - K, K, 2), repeat=d0 + 1 + d2))
    least = {word: min(word, tuple(-value for value in word)) for word in words}
    lists = itertools.product(words, repeat=d1)
    return len({tuple(sorted(least[word] for word in one)) for one in lists}) * K**d2


def _signed_orbits_cases() -> list[tuple[int, int, int, int]]:
    return [(1, 1, 1, 2), (1, 1, 1, 3), (1, 2, 1, 2), (1, 2, 1, 3), (2, 2, 1, 2), (1, 3, 2, 2), (1, 1, 2, 5)]


def _multisets(d0: int, d1: int, d2: int, K: int, signed: bool, zero: int) -> int:
    words: int = K ** (d0 + 1 + d2)
    return math.comb(((words + zero) // 2 if signed else words) + d1 - 1, d1)


TASKS = (
    Task(
        name="log-orbit-size",
        call="log_orbit_size(W1, b1, W2)",
        asks="the natural logarithm of how many different networks the orders of the hidden neurons give",
        cases=_log_orbit_size_cases,
        oracle=_log_orbit_size,
        against="a list of the orbit (a count of seatings where it is long)",
        tolerance=1e-9,
        mistakes=(
            Mistake(
                lambda W1, b1, W2: math.lgamma(len(b1) + 1),
                "exchanging two equal neurons gives nothing new",
            ),
            Mistake(
                lambda W1, b1, W2: _log_quotient([n[: W1.shape[1] + 1] for n in _neurons(W1, b1, W2)]),
                "a tie takes equal outgoing weights as well, for they move with the neuron",
            ),
            Mistake(
                lambda W1, b1, W2: _log_quotient(
                    [(*n[: W1.shape[1]], *n[W1.shape[1] + 1 :]) for n in _neurons(W1, b1, W2)]
                ),
                "a tie takes equal biases as well",
            ),
            Mistake(_few_twins, "m equal neurons have m! orders, so divide by m! and not by m"),
            Mistake(
                lambda W1, b1, W2: _log_quotient(_neurons(W1, b1, W2[:1])),
                "there may be several outputs, and two neurons are tied if all of them agree",
            ),
            Mistake(
                lambda W1, b1, W2: _log_quotient(_neurons(W1[:, :1], b1, W2)),
                "there may be several inputs, and two neurons are tied if all of their weights agree",
            ),
            Mistake(
                lambda W1, b1, W2: _log_orbit_size(W1, b1, W2) / math.log(2),
                "these are bits, and the natural logarithm is in nats",
            ),
            Mistake(
                lambda W1, b1, W2: math.log(math.exp(_log_quotient(_neurons(W1, b1, W2)))),
                "the number itself is too large for a float, so add and subtract logarithms",
            ),
        ),
    ),
    Task(
        name="burnside",
        call="burnside(moves, colours)",
        asks="the number of colourings of the places, up to the moves",
        cases=_burnside_cases,
        oracle=_orbits,
        against="a list of all colourings",
        mistakes=(
            Mistake(
                lambda moves, colours: colours ** len(moves[0]) / len(moves),
                "this counts the fixed points of the identity alone, and the other moves have some, too",
            ),
            Mistake(
                lambda moves, colours: colours ** len(moves[0]) // len(moves),
                "rounding down does not mend the quotient, for the other moves have fixed points, too",
            ),
            Mistake(
                lambda moves, colours: _mean(moves, colours, range(1, 2)),
                "the places of a longer cycle may share a colour, so count all cycles and not only places that stay",
            ),
            Mistake(
                lambda moves, colours: _mean(moves, colours, range(2, 100)),
                "a place that stays is a cycle of length one and has a colour, too",
            ),
            Mistake(
                lambda moves, colours: _mean(moves, colours, range(1, 100)) * len(moves),
                "this is the sum of the fixed points, and the lemma takes their mean",
            ),
        ),
    ),
    Task(
        name="signed-orbits",
        call="signed_orbits(d0, d1, d2, K)",
        asks="the number of networks up to the order and the signs of the hidden neurons",
        cases=_signed_orbits_cases,
        oracle=_signed_orbits,
        against="a list of all networks",
        mistakes=(
            Mistake(
                lambda d0, d1, d2, K: _multisets(d0, d1, d2, K, signed=False, zero=0) * K**d2,
                "a word and its negative count as one here",
            ),
            Mistake(
                lambda d0, d1, d2, K: _multisets(d0, d1, d2, K, signed=True, zero=0) * K**d2,
                "for odd K the word of zeros is its own negative, and half of it is no class",
            ),
            Mistake(
                lambda d0, d1, d2, K: _multisets(d0, d1, d2, K, signed=True, zero=1),
                "the output biases are part of the network, and no move touches them",
            ),
            Mistake(
                lambda d0, d1, d2, K: K ** (d1 * (d0 + 1 + d2) + d2) / (2**d1 * math.factorial(d1)),
                "the quotient is too small wherever networks are tied",
            ),
        ),
    ),
)
