"""Exercises of the chapter "Attention": count the orders of heads, mix a head, and take out what is redundant.

Notation: ``q_proj``, ``k_proj``, ``v_proj`` hold the rows of all heads, head after head, and ``o_proj`` their columns;
every head has d_k = d_v rows in the networks here. The oracles multiply whole numbers, solve linear systems, or compare
two layers on many tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .comparing import difference
from .tasks import Mistake, Task

Array = npt.NDArray[Any]  # of float64; the factors c of complex128
Parameters = dict[str, Array]


def _layer(heads: int, size: int, seed: int) -> Parameters:
    """An attention layer with as many channels as its heads have dimensions in all."""
    rng = np.random.default_rng(seed)
    inner = heads * size
    weights = {f"{name}_proj.weight": rng.integers(-9, 10, (inner, inner)) / 8 for name in "qkvo"}
    return weights | {f"{name}_proj.bias": rng.integers(1, 10, inner) / 8 for name in "qkvo"}


def _attention(params: Parameters, x: Array, size: int) -> Array:
    def rows(name: str) -> Array:
        out = x @ np.asarray(params[f"{name}_proj.weight"]).T + np.asarray(params[f"{name}_proj.bias"])
        return out.reshape(*x.shape[:2], -1, size)

    scores = np.einsum("nihd,njhd->nhij", rows("q"), rows("k")) / math.sqrt(size)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    answers = np.einsum("nhij,njhd->nihd", weights, rows("v")).reshape(*x.shape[:2], -1)
    return answers @ np.asarray(params["o_proj.weight"]).T + np.asarray(params["o_proj.bias"])


def _other_function(got: Parameters, params: Parameters, size: int) -> str:
    for name, tensor in params.items():
        if np.shape(got[name]) != tensor.shape:
            return f"{name} has shape {np.shape(got[name])}, and {tensor.shape} was asked"
    x = np.random.default_rng(1).normal(size=(20, 5, len(params["o_proj.bias"])))
    words = difference(_attention(got, x, size), _attention(params, x, size), 1e-8)
    return f"the layer is another function ({words})" if words else ""


# --- head-orders ----------------------------------------------------------------------------------------------------


def _log_orders(heads: int, d_k: int, d_v: int) -> float:
    """Take the log of the whole number itself, however long it is."""
    count = 1
    for factors in (range(1, heads + 1), *heads * [range(1, d_k + 1)], *heads * [range(1, d_v + 1)]):
        count *= math.prod(factors)
    return math.log(count)


def _ln(size: int) -> float:
    return math.lgamma(size + 1)


def _orders_cases() -> list[tuple[int, int, int]]:
    return [(1, 2, 2), (2, 3, 3), (3, 2, 4), (1, 1, 1), (12, 64, 64), (16, 128, 64)]


# --- mix-head -------------------------------------------------------------------------------------------------------


def _mix(params: Parameters, head: int, G: Array) -> Parameters:
    """Put G into the identity matrix, multiply the queries by it, and solve for the keys."""
    matrix = np.eye(len(params["q_proj.bias"]))
    at = slice(head * len(G), (head + 1) * len(G))
    matrix[at, at] = G
    new: Parameters = {f"q_proj.{part}": matrix @ params[f"q_proj.{part}"] for part in ("weight", "bias")}
    new |= {f"k_proj.{part}": np.linalg.solve(matrix.T, params[f"k_proj.{part}"]) for part in ("weight", "bias")}
    return {**params, **new}


def _mix_with(keys: Callable[[Array], Array]) -> Callable[[Parameters, int, Array], Parameters]:
    """Mix the queries by G, and the keys by another matrix made of it."""
    queries = ("q_proj.weight", "q_proj.bias")
    return lambda params, head, G: {
        **_mix(params, head, np.linalg.inv(keys(G)).T),
        **{name: _mix(params, head, G)[name] for name in queries},
    }


def _every_head(params: Parameters, head: int, G: Array) -> Parameters:
    for number in range(len(params["q_proj.bias"]) // len(G)):
        params = _mix(params, number, G)
    return params


def _mix_complaint(got: Parameters, params: Parameters, head: int, G: Array) -> str:
    wanted = _mix(params, head, G)
    for name in ("q_proj.weight", "q_proj.bias"):
        if words := difference(np.asarray(got[name]), wanted[name], 1e-9):
            return f"{name} {words}"
    return _other_function(got, params, len(G))


def _mix_cases() -> list[tuple[Parameters, int, Array]]:
    rng = np.random.default_rng(0)
    sizes = ((1, 2, 0), (2, 2, 1), (3, 3, 1))
    return [(_layer(h, size, h), head, np.tri(size) + rng.integers(0, 3, (size, size)) / 4) for h, size, head in sizes]


# --- slim-attention -------------------------------------------------------------------------------------------------


def _slim(params: Parameters) -> Parameters:
    """Send the values' biases through the output matrix, one column after another."""
    total = params["o_proj.bias"].copy()
    for column, bias in zip(params["o_proj.weight"].T, params["v_proj.bias"], strict=True):
        total += bias * column
    return _with_biases(params, k=0, v=0, o=total)


def _with_biases(params: Parameters, **biases: float | Array) -> Parameters:
    new = {f"{name}_proj.bias": params[f"{name}_proj.bias"] * 0 + bias for name, bias in biases.items()}
    return {**params, **new}


def _slim_complaint(got: Parameters, params: Parameters) -> str:
    for name in ("k_proj.bias", "v_proj.bias"):
        if np.asarray(got[name]).any():
            return f"{name} is not zero"
    return _other_function(got, params, 2)


def _slim_cases() -> list[tuple[Parameters]]:
    return [(_layer(heads, 2, heads),) for heads in (1, 2, 3)]


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
        ),
    ),
    Task(
        name="mix-head",
        call="mix(params, head, G)",
        asks="a dictionary with the parameters of the same layer in which G has multiplied the queries of one head",
        cases=_mix_cases,
        oracle=_mix,
        against="the old layer on a hundred tokens",
        tolerance=1e-9,
        complaint=_mix_complaint,
        mistakes=(
            Mistake(
                _mix_with(lambda G: np.linalg.inv(G)),
                "in (Gq)·(Mk) the matrix before k is the transpose of G times M, so M is the inverse of the transpose",
            ),
            Mistake(_mix_with(lambda G: G), "G on both sides leaves the transpose of G times G in every score"),
            Mistake(
                lambda p, head, G: {**_mix(p, head, G), "k_proj.weight": p["k_proj.weight"]},
                "the keys have to take G out again",
            ),
            Mistake(
                lambda p, head, G: {**_mix(p, head, G), "q_proj.bias": p["q_proj.bias"]},
                "the bias is part of a query, and G multiplies all of it",
            ),
            Mistake(_every_head, "only one head was to be mixed, which owns len(G) rows"),
        ),
    ),
    Task(
        name="slim-attention",
        call="slim(params)",
        asks="a dictionary with the parameters of the same layer, keys and values without bias",
        cases=_slim_cases,
        oracle=_slim,
        against="the old layer on a hundred tokens",
        tolerance=1e-8,
        complaint=_slim_complaint,
        mistakes=(
            Mistake(
                lambda p: _with_biases(p, k=0, v=0),
                "the values' bias reaches the output through O, and now it is missing",
            ),
            Mistake(
                lambda p: _with_biases(p, k=0, v=0, o=p["o_proj.bias"] + p["v_proj.bias"]),
                "the values' bias is multiplied by O before it arrives",
            ),
            Mistake(
                lambda p: _with_biases(p, k=0, v=0, o=p["o_proj.bias"] + p["o_proj.weight"].T @ p["v_proj.bias"]),
                "this multiplies by the transpose of O",
            ),
            Mistake(
                lambda p: {**_slim(p), "q_proj.bias": p["q_proj.bias"] + p["k_proj.bias"]},
                "the keys' bias adds the same number to all scores of a token, and need not be kept anywhere",
            ),
            Mistake(
                lambda p: {**_slim(p), "q_proj.bias": 0 * p["q_proj.bias"]},
                "the queries' bias counts: it meets another key in each score",
            ),
        ),
    ),
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
                "the keys are turned the wrong way: queries and keys turn together, as two hands of a clock",
            ),
            Mistake(lambda K, c: _turned_by(K, c), "the turn is right, but the stretch comes in twice"),
            Mistake(_halves, "pair r is made of the rows 2r and 2r + 1"),
        ),
    ),
)
