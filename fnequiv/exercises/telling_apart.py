"""Exercises of the chapter "Telling networks apart": decide about pairs of small networks, and merge clones.

Notation: parameters are dictionaries of arrays with PyTorch's names, of networks with one hidden layer. The oracles try
every order of the neurons, or compare functions on many inputs.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .comparing import difference
from .tasks import Mistake, Task

Array = npt.NDArray[np.float64]
Parameters = dict[str, Array]


def _lists(params: Parameters) -> Array:
    """Return a row for each neuron: what comes in, bias, what goes out."""
    return np.column_stack([params["0.weight"], params["0.bias"], params["2.weight"].T])


def _network(lists: object, inputs: int, output_bias: object) -> Parameters:
    rows = np.array(lists, dtype=np.float64)
    incoming, bias, outgoing = np.split(rows, [inputs, inputs + 1], axis=1)
    last = np.array(output_bias, dtype=np.float64)
    return {"0.weight": incoming, "0.bias": bias[:, 0], "2.weight": outgoing.T, "2.bias": last}


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
    return [(_network(one, 2, [c]), _network(other, 2, [d])) for one, other, c, d in pairs]


def _by_sorting(a: Parameters, b: Parameters, keep: slice = slice(None), last: bool = True) -> bool:
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


# --- scaled-copies --------------------------------------------------------------------------------------------------


def _scaled(a: Parameters, b: Parameters) -> bool:
    """Try every order, and for each pair of neurons the factor that the first incoming number other than zero gives."""
    one, other, inputs = _lists(a), _lists(b), a["0.weight"].shape[1]

    def related(u: Array, v: Array) -> bool:
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
        rows = np.array(base)
        incoming = rows[:, :2] * (factors * change)[:, None]
        biases = rows[:, 2:3] * (factors * change * bias)[:, None]
        return np.hstack([incoming, biases, rows[:, 3:] / (factors * change * back)[:, None]])

    lists = [np.array(base), moved(), moved()[[2, 0, 1]], moved((-1, 1, 1)), moved(back=(1, 2, 1))]
    lists += [moved(bias=(1, 1, 2)), moved(bias=(1, 1, 2))[::-1], moved((1, -1, 1), (1, -1, 1))]
    pairs = [(np.array(base), rows) for rows in lists]
    pairs += [(one * (1, 1, 0, 1), other * (1, 1, 0, 1)) for one, other in pairs[1:3]]  # without biases
    pairs += [(one * (1, 1, 1, 0), other * (1, 1, 1, 0)) for one, other in pairs[1:3]]  # heard by nobody
    other_output = _network(base, 2, [0.0]), _network(base, 2, [1.0])
    return [*((_network(one, 2, [0.0]), _network(other, 2, [0.0])) for one, other in pairs), other_output]


def _by_form(a: Parameters, b: Parameters, signed: bool = False, powers: tuple[int, int, int] = (-1, -1, 1)) -> bool:
    """Give each neuron a standard scale, sort, and compare (with the mistakes that one can make)."""
    forms = []
    for params in (a, b):
        rows = _lists(params)
        largest = np.abs(rows[:, :3]).argmax(1)
        top = rows[np.arange(len(rows)), largest]
        row, bias, column = powers
        factors = (top if signed else np.abs(top))[:, None] ** np.array([row, row, bias, column], dtype=float)
        forms.append(np.array(sorted((rows * factors).round(9).tolist())))
    return bool(np.allclose(forms[0], forms[1], rtol=0, atol=1e-8)) and np.array_equal(a["2.bias"], b["2.bias"])


# --- merge-clones ---------------------------------------------------------------------------------------------------


def _families(params: Parameters, bias: bool = True) -> tuple[list[int], Array]:
    """Return the first neuron of each family of clones, and who is a member of which (neurons by families)."""
    shift = params["0.bias"] if bias else np.zeros_like(params["0.bias"])
    keys = [tuple(row) for row in np.column_stack([params["0.weight"], shift]).tolist()]
    kept = list(dict.fromkeys(keys))
    return [keys.index(one) for one in kept], np.array([[float(key == one) for one in kept] for key in keys])


def _merge(params: Parameters, how: str = "sum", bias: bool = True) -> Parameters:
    """Keep the first of each family, with the sum of the columns (or, wrongly, with their mean or the first)."""
    first, member = _families(params, bias)
    mixing = {"sum": member, "mean": member / member.sum(0), "first": np.eye(len(member))[:, first]}
    incoming = {name: params[name][first] for name in ("0.weight", "0.bias")}
    return {**params, **incoming, "2.weight": params["2.weight"] @ mixing[how]}


def _forward(params: Parameters, x: Array) -> Array:
    z = x @ np.asarray(params["0.weight"]).T + np.asarray(params["0.bias"])
    return (z * np.exp(-np.logaddexp(0, -z))) @ np.asarray(params["2.weight"]).T + np.asarray(params["2.bias"])


def _merge_complaint(got: Parameters, params: Parameters) -> str:
    right, width = _merge(params), len(got["0.bias"])
    x = np.random.default_rng(2).normal(size=(60, params["0.weight"].shape[1]))
    words = difference(_forward(got, x), _forward(params, x), 1e-9)
    if words:
        return f"the function has changed (with SiLU it {words})"
    wanted = len(right["0.bias"])
    return "" if width == wanted else f"it has {width} hidden neurons, and {wanted} are enough"


def _merge_cases() -> list[tuple[Parameters]]:
    rows: list[list[list[float]]] = [
        [[1, 2, 0, 3], [2, 1, 0, 4]],
        [[1, 2, 0, 3], [2, 1, 0, 4], [1, 2, 0, -5]],
        [[1, 2, 1, 3], [1, 2, -1, 4], [1, 2, 1, 2], [1, 2, 1, 7]],
        [[1, 2, 1, 3], [-1, -2, -1, 4], [0, 0, 1, 2], [0, 0, 1, -1], [1, 2, 1, 1]],
    ]
    return [(_network(one, 2, [0.5]),) for one in rows]


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
                lambda a, b: _by_form(a, b, signed=True),
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
        ),
    ),
    Task(
        name="merge-clones",
        call="merge_clones(params)",
        asks="the parameters of a network of the same function in which no two neurons have equal rows and biases",
        cases=_merge_cases,
        oracle=_merge,
        against="the given network on sixty inputs",
        complaint=_merge_complaint,
        mistakes=(
            Mistake(lambda p: dict(p), "clones are still there"),
            Mistake(
                lambda p: _merge(p, "first"),
                "the columns of the clones that were dropped are missing from the sum",
            ),
            Mistake(
                lambda p: _merge(p, "mean"),
                "the next layer added what each clone sent, so add the columns and do not average them",
            ),
            Mistake(
                lambda p: _merge(p, bias=False),
                "neurons with equal rows and other biases compute other functions",
            ),
        ),
    ),
)
