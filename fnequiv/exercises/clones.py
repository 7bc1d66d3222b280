"""The exercise "Merge clones" of "Telling networks apart", and networks of one hidden layer for all of its exercises.

Notation: parameters are dictionaries of arrays with PyTorch's names; clones are neurons with equal rows and biases.
There are many right answers, so one is tried by the definition, and its function is compared under two activations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .comparing import changed
from .tasks import Mistake, Task

Array = npt.NDArray[np.float64]
Parameters = dict[str, Array]


def network(lists: object, inputs: int, output_bias: object) -> Parameters:
    """Return the network whose neurons are the lists: what comes in, bias, what goes out.

    Examples
    --------
    >>> {name: tensor.tolist() for name, tensor in network([[1, 2, 3], [4, 5, 6]], 1, [7]).items()}
    {'0.weight': [[1.0], [4.0]], '0.bias': [2.0, 5.0], '2.weight': [[3.0, 6.0]], '2.bias': [7.0]}
    """
    rows = np.array(lists, dtype=np.float64)
    incoming, bias, outgoing = np.split(rows, [inputs, inputs + 1], axis=1)
    last = np.array(output_bias, dtype=np.float64)
    return {"0.weight": incoming, "0.bias": bias[:, 0], "2.weight": outgoing.T, "2.bias": last}


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


def _silu(z: Array) -> Array:
    return np.asarray(z * np.exp(-np.logaddexp(0, -z)))


def _forward(params: Parameters, x: Array, activation: Callable[[Array], Array]) -> Array:
    z = activation(x @ np.asarray(params["0.weight"]).T + np.asarray(params["0.bias"]))
    return z @ np.asarray(params["2.weight"]).T + np.asarray(params["2.bias"])


def _merge_complaint(got: Parameters, params: Parameters) -> str:
    x = np.random.default_rng(2).normal(size=(60, params["0.weight"].shape[1]))
    for name, activation in (("SiLU", _silu), ("tanh", np.tanh)):
        if words := changed(_forward(got, x, activation), _forward(params, x, activation), 1e-9):
            return f"the function has changed (with {name}, {words})"
    rows = [tuple(row) for row in np.column_stack([got["0.weight"], got["0.bias"]]).tolist()]
    clones = next(
        (pair for pair in itertools.combinations(range(len(rows)), 2) if rows[pair[0]] == rows[pair[1]]), None
    )
    return f"neurons {clones[0]} and {clones[1]} have equal rows and biases" if clones else ""


def _merge_cases() -> list[tuple[Parameters]]:
    rows: list[list[list[float]]] = [
        [[1, 2, 0, 3], [2, 1, 0, 4]],
        [[1, 2, 0, 3], [2, 1, 0, 4], [1, 2, 0, -5]],
        [[1, 2, 1, 3], [1, 2, -1, 4], [1, 2, 1, 2], [1, 2, 1, 7]],
        [[1, 2, 1, 3], [-1, -2, -1, 4], [0, 0, 1, 2], [0, 0, 1, -1], [1, 2, 1, 1]],
    ]
    two_outputs = [[1, 2, 1, 3, 0.5], [1, 2, 1, 3, -2], [2, 2, 1, 3, 1]]
    return [*((network(one, 2, [0.5]),) for one in rows), (network(two_outputs, 2, [0.5, 1.0]),)]


MERGE_CLONES = Task(
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
)
