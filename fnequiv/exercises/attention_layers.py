"""The exercises of "Attention" that change a layer, and keep its function: mix a head, take out redundant biases.

Notation: ``q_proj``, ``k_proj``, ``v_proj`` hold the rows of all heads, head after head, and ``o_proj`` their columns;
every head has d_k = d_v rows in the networks here. The oracles solve linear systems, and two layers are compared on
many tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .comparing import changed, misshapen
from .tasks import Mistake, Task

Array = npt.NDArray[np.floating]
Parameters = dict[str, Array]


def _layer(heads: int, size: int, seed: int) -> Parameters:
    """An attention layer with as many channels as its heads have dimensions in all."""
    rng = np.random.default_rng(seed)
    inner = heads * size
    weights: Parameters = {f"{name}_proj.weight": rng.integers(-9, 10, (inner, inner)) / 8 for name in "qkvo"}
    return weights | {f"{name}_proj.bias": rng.integers(1, 10, inner) / 8 for name in "qkvo"}


def _attention(params: Parameters, x: Array, size: int) -> Array:
    def rows(name: str) -> Array:
        """Return queries, keys or values [sequence, token, head, dimension]."""
        out = x @ np.asarray(params[f"{name}_proj.weight"]).T + np.asarray(params[f"{name}_proj.bias"])
        return out.reshape(*x.shape[:2], -1, size)

    scores = np.einsum("nihd,njhd->nhij", rows("q"), rows("k")) / math.sqrt(size)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    answers = np.einsum("nhij,njhd->nihd", weights, rows("v")).reshape(*x.shape[:2], -1)
    return answers @ np.asarray(params["o_proj.weight"]).T + np.asarray(params["o_proj.bias"])


def _other_function(got: Parameters, params: Parameters, size: int) -> str:
    x = np.random.default_rng(1).normal(size=(20, 5, len(params["o_proj.bias"])))
    words = changed(_attention(got, x, size), _attention(params, x, size), 1e-8)
    return f"the layer is another function ({words})" if words else ""


# --- mix-head -------------------------------------------------------------------------------------------------------


def _mix(params: Parameters, head: int, G: Array) -> Parameters:
    """Put G into the identity matrix, multiply the queries by it, and solve for the keys."""
    matrix = np.eye(len(params["q_proj.bias"]))
    at = slice(head * len(G), (head + 1) * len(G))
    matrix[at, at] = G
    new: Parameters = {f"q_proj.{part}": matrix @ params[f"q_proj.{part}"] for part in ("weight", "bias")}
    new |= {f"k_proj.{part}": np.linalg.solve(matrix.T, params[f"k_proj.{part}"]) for part in ("weight", "bias")}
    return {**params, **new}


def _answer(G: Array) -> Array:
    return np.linalg.inv(G).T


def _mix_with(
    queries: Callable[[Array], Array],
    keys: Callable[[Array], Array] = _answer,
    rows: Callable[[int, int, int], slice] = lambda head, size, heads: slice(head * size, (head + 1) * size),
) -> Callable[[Parameters, int, Array], Parameters]:
    """Multiply rows of the queries and of the keys by two matrices made of G."""

    def mix(params: Parameters, head: int, G: Array) -> Parameters:
        """Return the layer after one head has been mixed so."""
        new = {name: tensor.copy() for name, tensor in params.items()}
        at = rows(head, len(G), len(params["q_proj.bias"]) // len(G))
        for letter, matrix in (("q", queries(G)), ("k", keys(G))):
            for part in (f"{letter}_proj.weight", f"{letter}_proj.bias"):
                new[part][at] = matrix @ params[part][at]
        return new

    return mix


def _mix_but(*left: str) -> Callable[[Parameters, int, Array], Parameters]:
    """Mix, and leave some tensors as they are."""
    return lambda params, head, G: {**_mix(params, head, G), **{name: params[name] for name in left}}


def _itself(G: Array) -> Array:
    return G


def _inverse(G: Array) -> Array:
    return np.linalg.inv(G)


def _transpose(G: Array) -> Array:
    return G.T


def _every_head(params: Parameters, head: int, G: Array) -> Parameters:
    for number in range(len(params["q_proj.bias"]) // len(G)):
        params = _mix(params, number, G)
    return params


def _mix_complaint(got: Parameters, params: Parameters, head: int, G: Array) -> str:
    wanted = _mix(params, head, G)
    if words := misshapen(got, params):
        return words
    for name in ("q_proj.weight", "q_proj.bias"):
        if words := changed(np.asarray(got[name]), wanted[name], 1e-9, name, "should be"):
            return words
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
    if words := misshapen(got, params):
        return words
    for name in ("k_proj.bias", "v_proj.bias"):
        if np.asarray(got[name]).any():
            return f"{name} is not zero"
    return _other_function(got, params, 2)


def _slim_cases() -> list[tuple[Parameters]]:
    return [(_layer(heads, 2, heads),) for heads in (1, 2, 3)]


MIX_HEAD = Task(
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
            _mix_with(_itself, _inverse),
            "in (Gq)·(Mk) the matrix before k is the transpose of G times M, so M is the inverse of the transpose",
        ),
        Mistake(_mix_with(_itself, _itself), "G on both sides leaves the transpose of G times G in every score"),
        Mistake(_mix_with(_itself, _transpose), "the transpose of G stretches the keys again, so take its inverse"),
        Mistake(_mix_but("k_proj.weight", "k_proj.bias"), "the keys have to take G out again"),
        Mistake(_mix_but("k_proj.weight"), "the keys have to take G out again, in their weight as in their bias"),
        Mistake(_mix_but("q_proj.bias"), "the bias is part of a query, and G multiplies all of it"),
        Mistake(_mix_but("q_proj.bias", "k_proj.bias"), "the biases are part of queries and keys, and move with them"),
        Mistake(_mix_with(_transpose, _inverse), "the queries are multiplied by the transpose of G, not by G"),
        Mistake(_mix_with(_transpose), "the queries are multiplied by the transpose of G, and G itself was asked"),
        Mistake(_mix_with(_inverse, _transpose), "the queries are multiplied by the inverse of G, not by G"),
        Mistake(_every_head, "only one head was to be mixed, which owns len(G) rows"),
        Mistake(lambda p, head, G: _mix(p, 0, G), "the rows of head h start at h * len(G), and these are head 0's"),
        Mistake(
            _mix_with(_itself, rows=lambda head, size, heads: slice(head, None, heads)),
            "the rows of a head are neighbours, from head * len(G) on",
        ),
    ),
)

SLIM_ATTENTION = Task(
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
            lambda p: _with_biases(_slim(p), o=2 * p["o_proj.bias"] - _slim(p)["o_proj.bias"]),
            "what the values' bias becomes behind O has to be added, and here it is taken away",
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
)
