"""Exercises of the chapter "Functional equivalence": moves by plain indexing, and a change of activation.

Notation: parameters are dictionaries of arrays with PyTorch's names, ``W`` [out, in] at ``"0.weight"`` and so on. The
oracles write moves as products of matrices (paper, Proposition 1), minimise numerically, or compare the two functions
on many inputs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from .comparing import changed, misshapen
from .tasks import Mistake, Task

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.intp]
Parameters = dict[str, Array]


def _network(widths: tuple[int, ...], seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    pairs = list(zip(widths[1:], widths[:-1], strict=True))
    weights = {f"{2 * i}.weight": rng.integers(-9, 10, pair) / 4 for i, pair in enumerate(pairs)}
    return {**weights, **{f"{2 * i}.bias": rng.integers(1, 10, pair[0]) / 4 for i, pair in enumerate(pairs)}}


def _with_matrix(params: Parameters, layer: int, matrix: Array) -> Parameters:
    """Put T before hidden layer ``layer`` (from 0) and its inverse behind it, as in Proposition 1."""
    row, bias, column = f"{2 * layer}.weight", f"{2 * layer}.bias", f"{2 * layer + 2}.weight"
    moved = {row: matrix @ params[row], bias: matrix @ params[bias], column: params[column] @ np.linalg.inv(matrix)}
    return {name: moved.get(name, array) for name, array in params.items()}


def _negated(array: Array, index: int) -> Array:
    new = array.copy()
    new[index] *= -1
    return new


# --- flip-neuron ----------------------------------------------------------------------------------------------------


def _flip(params: Parameters, neuron: int) -> Parameters:
    signs = np.ones(len(params["0.bias"]))
    signs[neuron] = -1
    return _with_matrix(params, 0, np.diag(signs))


def _flip_but(params: Parameters, neuron: int, kept: str) -> Parameters:
    """Flip, and forget one of the tensors."""
    return {**_flip(params, neuron), kept: params[kept]}


def _flip_cases() -> list[tuple[Parameters, int]]:
    return [(_network((2, 3, 2), 1), 1), (_network((1, 4, 3), 2), 0), (_network((3, 5, 5), 3), 4)]


# --- permute-layer --------------------------------------------------------------------------------------------------


def _permute(params: Parameters, order: Order) -> Parameters:
    return _with_matrix(params, 1, np.eye(len(order))[order])


def _permute_cases() -> list[tuple[Parameters, Order]]:
    orders = ([1, 0], [1, 2, 0], [0, 2, 3, 1])
    return [(_network((2, 3, len(o), 2), seed), np.array(o)) for seed, o in enumerate(orders)]


def _torn(params: Parameters, order: Order) -> Parameters:
    return {**_permute(params, order), "4.weight": params["4.weight"]}


def _crossed(params: Parameters, order: Order) -> Parameters:
    return {**_permute(params, order), "4.weight": params["4.weight"][:, np.argsort(order)]}


def _forgot_bias(params: Parameters, order: Order) -> Parameters:
    return {**_permute(params, order), "2.bias": params["2.bias"]}


# --- best-scale -----------------------------------------------------------------------------------------------------


def _best_scale(u: Array, v: Array) -> float:
    """Search for the logarithm of the scale that makes |λu|² + |v/λ|² smallest."""
    found = minimize_scalar(lambda t: sum((u * np.exp(t)) ** 2) + sum((v * np.exp(-t)) ** 2), tol=1e-12)
    return float(np.exp(found.x))


def _best_scale_cases() -> list[tuple[Array, Array]]:
    pairs = [([1.0], [4.0]), ([3.0, 4.0], [5.0]), ([0.5, -0.5, 0.1], [2.0, 2.0]), ([-6.0, 2.0], [0.1, 0.2, 0.3])]
    return [(np.array(u), np.array(v)) for u, v in pairs]


def _ratio(u: Array, v: Array) -> float:
    return float(np.linalg.norm(v) / np.linalg.norm(u))


# --- to-tanh --------------------------------------------------------------------------------------------------------


def _forward(params: Parameters, x: Array, tanh: bool) -> Array:
    z = x @ params["0.weight"].T + params["0.bias"]
    return (np.tanh(z) if tanh else 1 / (1 + np.exp(-z))) @ params["2.weight"].T + params["2.bias"]


def _to_tanh(params: Parameters) -> Parameters:
    """Solve for the outgoing weights: halve what comes in, then fit the sigmoid network's outputs by least squares."""
    x = np.random.default_rng(0).normal(size=(200, params["0.weight"].shape[1]))
    new = {"0.weight": params["0.weight"] / 2, "0.bias": params["0.bias"] / 2}
    features = np.tanh(x @ new["0.weight"].T + new["0.bias"])
    columns = np.column_stack([features, np.ones(len(x))])
    fit = np.linalg.lstsq(columns, _forward(params, x, tanh=False), rcond=None)[0]
    return {**new, "2.weight": fit[:-1].T, "2.bias": fit[-1]}


def _other_function(got: Parameters, params: Parameters) -> str:
    if words := misshapen(got, params):
        return words
    x = np.random.default_rng(1).normal(size=(100, params["0.weight"].shape[1]))
    arrays = {name: np.asarray(array) for name, array in got.items()}
    words = changed(_forward(arrays, x, tanh=True), _forward(params, x, tanh=False), 1e-8)
    return f"the tanh network is another function ({words})" if words else ""


def _to_tanh_cases() -> list[tuple[Parameters]]:
    return [(_network((1, 1, 1), 0),), (_network((2, 3, 2), 1),), (_network((3, 2, 4), 2),)]


def _halved_in(params: Parameters) -> Parameters:
    return {**params, "0.weight": params["0.weight"] / 2, "0.bias": params["0.bias"] / 2}


def _without_constant(params: Parameters) -> Parameters:
    return {**_halved_in(params), "2.weight": params["2.weight"] / 2}


def _wrong_sum(params: Parameters) -> Parameters:
    return {**_without_constant(params), "2.bias": params["2.bias"] + params["2.weight"].sum() / 2}


TASKS = (
    Task(
        name="flip-neuron",
        call="flip(params, neuron)",
        asks="a dictionary with the parameters of the network whose neuron is flipped",
        cases=_flip_cases,
        oracle=_flip,
        against="a product with a diagonal matrix",
        tolerance=1e-12,
        mistakes=(
            Mistake(lambda p, i: _flip_but(p, i, "0.bias"), "the bias comes into the neuron as well, and has to turn"),
            Mistake(
                lambda p, i: _flip_but(p, i, "2.weight"), "what goes out of the neuron has to turn with what comes in"
            ),
            Mistake(
                lambda p, i: {**_flip(p, i), "2.bias": -p["2.bias"]},
                "2.bias belongs to the outputs, which do not turn",
            ),
            Mistake(
                lambda p, i: {**_flip_but(p, i, "2.weight"), "2.weight": _negated(p["2.weight"], i)},
                "a row of 2.weight belongs to an output, and what reads a hidden neuron is a column",
            ),
            Mistake(lambda p, i: {n: -a for n, a in p.items()}, "only one neuron was to be flipped"),
        ),
    ),
    Task(
        name="permute-layer",
        call="permute(params, order)",
        asks="a dictionary with the parameters of the network whose second hidden layer is reordered",
        cases=_permute_cases,
        oracle=_permute,
        against="a product with permutation matrices",
        tolerance=1e-12,
        mistakes=(
            Mistake(_torn, "the next layer still reads the neurons in the old order (4.weight, columns)"),
            Mistake(_crossed, "columns and rows have to move alike, and here the columns go the other way"),
            Mistake(_forgot_bias, "a bias belongs to its neuron and travels with it (2.bias)"),
            Mistake(
                lambda p, order: _permute(p, np.argsort(order)),
                "this is the inverse order, and the new neuron i was to be the old neuron order[i]",
            ),
        ),
    ),
    Task(
        name="best-scale",
        call="best_scale(u, v)",
        asks="the factor λ > 0 that makes |λu|² + |v/λ|² smallest",
        cases=_best_scale_cases,
        oracle=_best_scale,
        against="a numerical search",
        tolerance=1e-5,
        mistakes=(
            Mistake(_ratio, "this is λ squared, for the sum holds λ²|u|² and |v|²/λ²"),
            Mistake(lambda u, v: _ratio(u, v) ** -0.5, "this is 1/λ, which makes the larger of the two larger still"),
            Mistake(lambda u, v: _ratio(u, v) ** 2, "this is λ to the fourth, so take the root twice"),
            Mistake(
                lambda u, v: float((np.abs(v).sum() / np.abs(u).sum()) ** 0.5),
                "the sum is one of squares, so the Euclidean norms count and not the sums of absolute values",
            ),
        ),
    ),
    Task(
        name="to-tanh",
        call="to_tanh(params)",
        asks="a dictionary with the parameters of a tanh network of the same function",
        cases=_to_tanh_cases,
        oracle=_to_tanh,
        against="the sigmoid network on a hundred inputs",
        tolerance=1e-8,
        complaint=_other_function,
        mistakes=(
            Mistake(lambda p: dict(p), "a sigmoid is not a tanh, and the parameters have to change"),
            Mistake(_halved_in, "tanh has twice the range of the sigmoid, so halve 2.weight as well"),
            Mistake(_without_constant, "the sigmoid is ½ + ½ tanh(z/2), and the ½ in front is missing from 2.bias"),
            Mistake(_wrong_sum, "each output gets half of the sum of its own row of 2.weight, not of all of them"),
        ),
    ),
)
