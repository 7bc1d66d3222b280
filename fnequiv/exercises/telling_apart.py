"""Exercises of the chapter "Telling networks apart": decide about pairs of small networks, and merge clones.

Notation: parameters are dictionaries of arrays with PyTorch's names, of networks with one hidden layer. The oracles try
every order of the neurons, or compare functions on many inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from .clones import MERGE_CLONES, Array, Parameters, network
from .tasks import Mistake, Task

Keep = slice | list[int]


def _lists(params: Parameters) -> Array:
    """Return a row for each neuron: what comes in, bias, what goes out."""
    return np.column_stack([params["0.weight"], params["0.bias"], params["2.weight"].T])


# --- permuted-copies ------------------------------------------------------------------------------------------------


def _permuted(a: Parameters, b: Parameters) -> bool:
    """Try every order."""
    one, other = _lists(a), _lists(b)
    orders = itertools.permutations(range(len(one)))
    return np.array_equal(a["2.bias"], b["2.bias"]) and any(np.array_equal(one[list(o)], other) for o in orders)


def _permuted_cases() -> list[tuple[Parameters, Parameters]]:
    base = [[1, 0, 2, 3], [1, 0, 4, 5], [2, 0, 6, 7]]  # two inputs, bias, one output: the first entries tie
    crossed = [[1, 0, 2, 5], [1, 0, 4, 3], [2, 0, 6, 7]]  # the outgoing weights of two neurons exchanged
    double, triple = [[1, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2]], [[1, 1, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]]
    pairs: list[tuple[object, object, float, float]] = [
        (base, base, 0, 0),
        (base, [base[2], base[0], base[1]], 0, 0),
        (base, crossed, 0, 0),
        (base, [[1, 0, 2, 3], [1, 0, 4, 5], [2, 0, 6, 8]], 0, 0),
        (base, base[::-1], 0, 1),
        (double, triple, 0, 0),  # equal as sets
        ([[1, 2, 0, 3], [2, 1, 0, 3]], [[2, 1, 0, 3], [1, 2, 0, 3]], 0, 0),
        ([[1, 2, 0, 3], [2, 1, 0, 4]], [[1, 1, 0, 3], [2, 2, 0, 4]], 0, 0),  # equal column by column
    ]
    pairs += [
        (base, [base[1], base[0], base[2]], 0, 0),  # the tie stands in another order
        ([[1, 0, 2, 3], [2, 0, 4, 3]], [[1, 0, 4, 3], [2, 0, 2, 3]], 0, 0),  # only the hidden biases are exchanged
    ]
    two = [[1, 0, 2, 3, 1], [2, 0, 4, 5, 1]]  # two outputs
    return [
        *((network(one, 2, [c]), network(other, 2, [d])) for one, other, c, d in pairs),
        (network(two, 2, [0, 0]), network(two[::-1], 2, [0, 0])),
        (network(two, 2, [0, 0]), network([[1, 0, 2, 3, 1], [2, 0, 4, 5, 2]], 2, [0, 0])),
        (network(two, 2, [0, 0]), network(two, 2, [0, 1])),
    ]


def _by_sorting(a: Parameters, b: Parameters, keep: Keep = slice(None), last: bool = True) -> bool:
    """Sort the lists, or parts of them, and compare."""
    one, other = (sorted(_lists(params)[:, keep].tolist()) for params in (a, b))
    return one == other and (not last or np.array_equal(a["2.bias"], b["2.bias"]))


def _tensor_by_tensor(a: Parameters, b: Parameters) -> bool:
    return all(np.array_equal(np.sort(a[n].ravel()), np.sort(b[n].ravel())) for n in a)


def _in_and_out_apart(a: Parameters, b: Parameters) -> bool:
    return _by_sorting(a, b, slice(3)) and _by_sorting(a, b, slice(3, None))


def _as_sets(a: Parameters, b: Parameters) -> bool:
    one, other = ({tuple(row) for row in _lists(params).tolist()} for params in (a, b))
    return one == other and np.array_equal(a["2.bias"], b["2.bias"])


def _by_first_weight(a: Parameters, b: Parameters) -> bool:
    one, other = (sorted(_lists(params).tolist(), key=lambda row: row[0]) for params in (a, b))
    return one == other and np.array_equal(a["2.bias"], b["2.bias"])


def _first_output(params: Parameters) -> Parameters:
    return {**params, "2.weight": params["2.weight"][:1]}


# --- scaled-copies --------------------------------------------------------------------------------------------------


def _scaled(a: Parameters, b: Parameters) -> bool:
    """Try every order, and for each pair of neurons the factor that the first incoming number other than zero gives."""
    one, other, inputs = _lists(a), _lists(b), a["0.weight"].shape[1]

    def related(u: Array, v: Array) -> bool:
        """Whether v is u with a positive factor put in and taken out again."""
        k = next(i for i in range(inputs + 1) if u[i] != 0)
        factor = v[k] / u[k]
        scaled = np.concatenate([u[: inputs + 1] * factor, u[inputs + 1 :] / factor]) if factor > 0 else None
        return scaled is not None and np.allclose(scaled, v, rtol=0, atol=1e-9)

    orders = itertools.permutations(range(len(one)))
    return np.array_equal(a["2.bias"], b["2.bias"]) and any(
        all(related(one[i], v) for i, v in zip(order, other, strict=True)) for order in orders
    )


def _scaled_cases() -> list[tuple[Parameters, Parameters]]:
    base = [[1.0, -4.0, 2.0, 3.0], [-0.5, 0.25, 1.0, -1.0], [3.0, 1.0, -0.5, 2.0]]
    factors = np.array([2.0, 0.3, 5.0])

    def moved(change: object = (1, 1, 1), back: object = (1, 1, 1), bias: object = (1, 1, 1)) -> Array:
        """Return the rows rescaled, rightly or with one part of it left out."""
        rows = np.array(base)
        incoming = rows[:, :2] * (factors * change)[:, None]
        biases = rows[:, 2:3] * (factors * change * bias)[:, None]
        return np.hstack([incoming, biases, rows[:, 3:] / (factors * change * back)[:, None]])

    lists = [np.array(base), moved(), moved()[[2, 0, 1]], moved((-1, 1, 1)), moved(back=(1, 2, 1))]
    lists += [moved(bias=(1, 1, 2)), moved(bias=(1, 1, 2))[::-1], moved((1, -1, 1), (1, -1, 1))]
    pairs = [(np.array(base), rows) for rows in lists]
    pairs += [(one * (1, 1, 0, 1), other * (1, 1, 0, 1)) for one, other in pairs[1:3]]  # without biases
    pairs += [(one * (1, 1, 1, 0), other * (1, 1, 1, 0)) for one, other in pairs[1:3]]  # heard by nobody
    other_output = network(base, 2, [0.0]), network(base, 2, [1.0])
    for given in ([[0.0, 1, 2, 3], [1, 2, 0, 1]], [[0.0, 0, 2, 3], [1, 2, 0, 1]]):  # zeros where a scale is looked for
        rows = np.array(given)
        pairs.append((rows, rows * np.array([[2.0, 2, 2, 0.5], [3, 3, 3, 1 / 3]])))
    return [
        *((network(one, 2, [0.0]), network(other, 2, [0.0])) for one, other in pairs),
        other_output,
        _nearly_tied(),
        _second_output_differs(),
    ]


def _nearly_tied() -> tuple[Parameters, Parameters]:
    """A pair of copies whose neurons differ in the bias only, so that rounding errors decide which comes first."""
    rows, factors = np.array([[0.1, 0.3, 0.2, 1.0], [0.1, 0.3, 0.1, 2.0]]), np.array([[5.76895902], [2.50110175]])
    moved = np.hstack([rows[:, :3] * factors, rows[:, 3:] / factors])[::-1]
    return network(rows, 2, [0.0]), network(moved, 2, [0.0])


def _second_output_differs() -> tuple[Parameters, Parameters]:
    rows = np.array([[1.0, 2.0, 0.5, 1.0, 3.0], [2.0, -1.0, 1.0, 2.0, -1.0]])
    return network(rows, 2, [0.0, 0.0]), network(rows * (1, 1, 1, 1, 2), 2, [0.0, 0.0])


def _largest(rows: Array) -> Array:
    return rows[np.arange(len(rows)), np.abs(rows[:, :3]).argmax(1)]


def _by_form(
    a: Parameters,
    b: Parameters,
    scale: Callable[[Array], Array] = lambda rows: np.abs(_largest(rows)),
    powers: tuple[int, int, int] = (-1, -1, 1),
    digits: int = 9,
) -> bool:
    """Give each neuron a standard scale, sort, and compare (with the mistakes that one can make)."""
    forms, (row, bias, column) = [], powers
    for params in (a, b):
        rows = _lists(params)
        factors = scale(rows)[:, None] ** np.array([row, row, bias, *[column] * (rows.shape[1] - 3)], dtype=float)
        forms.append(np.array(sorted((rows * factors).round(digits).tolist())))
    return bool(np.allclose(forms[0], forms[1], rtol=0, atol=1e-8)) and np.array_equal(a["2.bias"], b["2.bias"])


TASKS = (
    Task(
        name="permuted-copies",
        call="permuted_copies(a, b)",
        asks="True if some order of its hidden neurons makes network a equal to network b, and otherwise False",
        cases=_permuted_cases,
        oracle=_permuted,
        against="a trial of every order",
        mistakes=(
            Mistake(
                lambda a, b: all(np.array_equal(a[n], b[n]) for n in a),
                "the neurons may stand in another order, so bring both networks into one order first",
            ),
            Mistake(
                lambda a, b: np.array_equal(np.sort(a["0.bias"]), np.sort(b["0.bias"])),
                "equal biases are not enough, for the weights of a neuron have to agree as well",
            ),
            Mistake(
                lambda a, b: _by_sorting(a, b, last=False),
                "the outputs have a bias, too, and nothing moves it",
            ),
            Mistake(_tensor_by_tensor, "a neuron keeps its numbers together, so sort neurons and not numbers"),
            Mistake(_in_and_out_apart, "what comes in and what goes out of a neuron has to be sorted as one list"),
            Mistake(
                lambda a, b: _by_sorting(a, b, [0, 1, *range(3, _lists(a).shape[1])]),
                "the hidden bias belongs to its neuron as well",
            ),
            Mistake(_by_first_weight, "neurons may agree in their first weight, so sort by all of their numbers"),
            Mistake(
                lambda a, b: _permuted(_first_output(a), _first_output(b)),
                "there may be several outputs, and here only the first is compared",
            ),
            Mistake(_as_sets, "a set forgets how often a neuron occurs"),
        ),
    ),
    Task(
        name="scaled-copies",
        call="scaled_copies(a, b)",
        asks="True if exchanges and positive scales of ReLU neurons take network a to network b up to 1e-9",
        cases=_scaled_cases,
        oracle=_scaled,
        against="a trial of every order",
        mistakes=(
            Mistake(_by_sorting, "a neuron may also be scaled, so give each a standard scale before you sort"),
            Mistake(
                lambda a, b: _by_form(a, b, _largest),
                "you divide by a number that may be negative, and no ReLU neuron has a negative scale",
            ),
            Mistake(
                lambda a, b: _by_form(a, b, powers=(-1, 0, 1)),
                "the bias is scaled with the weights that come in",
            ),
            Mistake(
                lambda a, b: _by_form(a, b, powers=(-1, -1, 0)),
                "what goes out is divided by what multiplies the weights that come in",
            ),
            Mistake(
                lambda a, b: _by_form(a, b, lambda rows: np.abs(rows[:, 0])),
                "the first weight may be zero, so divide by one that is not, such as the largest",
            ),
            Mistake(
                lambda a, b: _by_form(a, b, lambda rows: np.linalg.norm(rows[:, :2], axis=1)),
                "the weights of a row may all be zero, so let its bias count for the scale as well",
            ),
            Mistake(
                lambda a, b: _by_form(a, b, digits=99),
                "rounding errors decide here which of two neurons comes first, so round before you sort",
            ),
            Mistake(
                lambda a, b: _scaled(_first_output(a), _first_output(b)),
                "there may be several outputs, and here only the first is compared",
            ),
        ),
    ),
    MERGE_CLONES,
)
