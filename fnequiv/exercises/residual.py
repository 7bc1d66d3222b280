"""Exercises of the chapter "Residual networks": count the orders of a ResNet, and move or unburden a stream.

Notation: a residual MLP has layers ``stem``, ``inner.0``, ``outer.0``, ..., ``head`` with weights and biases, and ReLU
inside its blocks only. The oracles merge what a sum makes equal, write moves as products of matrices, or compare two
functions on many inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .comparing import changed, misshapen
from .residual_networks import Array, Parameters, block_count, forward, network
from .tasks import Mistake, Task

Order = npt.NDArray[np.intp]


# --- bottleneck-orders ----------------------------------------------------------------------------------------------


def _log_orders(channels: Sequence[int], blocks: Sequence[int]) -> float:
    """Give each convolution's outputs a label, let sums make labels equal, and count an order for each that is left."""
    labels = {"stem": "stem"}
    sizes = {"stem": channels[0]}
    for stage, (c, count) in enumerate(zip(channels, blocks, strict=True)):
        stream = f"{stage}.projection"
        labels[stream], sizes[stream] = stream, 4 * c
        for block in range(count):
            for conv, size in (("a", c), ("b", c), ("c", 4 * c)):
                name = f"{stage}.{block}.{conv}"
                labels[name], sizes[name] = name, size
            labels[f"{stage}.{block}.c"] = labels[stream]
    return sum(math.log(k) for name in set(labels.values()) for k in range(2, sizes[name] + 1))


def _factorial(size: int) -> float:
    return math.lgamma(size + 1)


def _stages(
    channels: Sequence[int], blocks: Sequence[int], stream: Callable[[int, int], float], inner: int = 2
) -> float:
    """Count a stem, in each stage what ``stream(channels, blocks)`` gives, and inner orders for each block."""
    parts = [stream(c, count) + inner * count * _factorial(c) for c, count in zip(channels, blocks, strict=True)]
    return _factorial(channels[0]) + sum(parts)


def _stage_stream(c: int, count: int) -> float:
    return _factorial(4 * c)


def _orders_cases() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [((2,), (1,)), ((2, 3), (2, 1)), ((8, 16), (2, 3)), ((64, 128, 256, 512), (3, 4, 6, 3))]


# --- permute-stream -------------------------------------------------------------------------------------------------


def _permute(params: Parameters, order: Order) -> Parameters:
    matrix = np.eye(len(order))[order]
    blocks = range(block_count(params))
    new = dict(params)
    for name in ("stem", *(f"outer.{t}" for t in blocks)):
        new |= {f"{name}.{part}": matrix @ params[f"{name}.{part}"] for part in ("weight", "bias")}
    for name in ("head", *(f"inner.{t}" for t in blocks)):
        new[f"{name}.weight"] = params[f"{name}.weight"] @ matrix.T
    return new


def _permute_but(left: Callable[[str], bool]) -> Callable[[Parameters, Order], Parameters]:
    """Permute, and leave the tensors behind whose names are told."""
    return lambda params, order: {
        name: params[name] if left(name) else tensor for name, tensor in _permute(params, order).items()
    }


def _inner_biases_too(params: Parameters, order: Order) -> Parameters:
    names = [f"inner.{t}.bias" for t in range(block_count(params))]
    return {**_permute(params, order), **{name: params[name][order] for name in names}}


def _permute_cases() -> list[tuple[Parameters, Order]]:
    cases = (([1, 0], 2, 1), ([1, 2, 0], 4, 2), ([2, 0, 3, 1], 4, 3))
    return [(network(len(o), m, blocks, seed), np.array(o)) for seed, (o, m, blocks) in enumerate(cases)]


# --- bare-stream ----------------------------------------------------------------------------------------------------


def _written(params: Parameters) -> list[str]:
    return ["stem.bias", *(f"outer.{t}.bias" for t in range(block_count(params)))]


def _bare(params: Parameters) -> Parameters:
    """Sum up the biases written before each reader by a product with a triangle of ones."""
    written = np.array([params[name] for name in _written(params)])
    return _readers_told(params, np.tri(len(written)) @ written)


def _readers_told(params: Parameters, known: Array) -> Parameters:
    """Reader t (the head is the last) takes ``known[t]`` into its bias; nobody writes a bias any more."""
    new = dict(params)
    for name, shift in zip([*(f"inner.{t}" for t in range(block_count(params))), "head"], known, strict=True):
        new[f"{name}.bias"] = params[f"{name}.bias"] + params[f"{name}.weight"] @ shift
    return {**new, **{name: np.zeros_like(params[name]) for name in _written(params)}}


def _each(params: Parameters) -> Array:
    return np.array([params[name] for name in _written(params)])


def _too_early(params: Parameters) -> Parameters:
    sums = _each(params).cumsum(0)
    return _readers_told(params, np.vstack([sums[1:], sums[-1:]]))


def _in_order_of_texts(params: Parameters) -> Parameters:
    """Take block 10 before block 2."""
    order = sorted(range(block_count(params)), key=str)
    sums = np.array([params["stem.bias"], *(params[f"outer.{t}.bias"] for t in order)]).cumsum(0)
    known = sums.copy()
    known[order] = sums[:-1]
    return _readers_told(params, known)


def _bare_complaint(got: Parameters, params: Parameters) -> str:
    if words := misshapen(got, params):
        return words
    for name in _written(params):
        if np.asarray(got[name]).any():
            return f"{name} is not zero"
    x = np.random.default_rng(1).normal(size=(100, 2))
    words = changed(forward(got, x), forward(params, x), 1e-8)
    return f"the network is another function ({words})" if words else ""


def _bare_cases() -> list[tuple[Parameters]]:
    return [(network(n, m, blocks, 5),) for n, m, blocks in ((1, 1, 1), (2, 3, 2), (4, 3, 3), (2, 1, 11))]


TASKS = (
    Task(
        name="bottleneck-orders",
        call="log_orders(channels, blocks)",
        asks="the log, in nats, of the number of orders",
        cases=_orders_cases,
        oracle=_log_orders,
        against="a list of all convolutions in which sums make names equal",
        tolerance=1e-9,
        mistakes=(
            Mistake(
                lambda channels, blocks: _stages(channels, blocks, _stage_stream) - _factorial(channels[0]),
                "the stem's channels are a stream of their own, since the first block projects already",
            ),
            Mistake(
                lambda channels, blocks: _stages(channels, blocks, _stage_stream, inner=1),
                "a block has two inner orders, one behind each of its first two convolutions",
            ),
            Mistake(
                lambda channels, blocks: _stages(channels, blocks, lambda c, count: _factorial(c)),
                "the stream has four times as many channels as the inside of a block",
            ),
            Mistake(
                lambda channels, blocks: _stages(channels, blocks, lambda c, count: count * _factorial(4 * c)),
                "the blocks of a stage add to one stream, and it has one order",
            ),
            Mistake(
                lambda channels, blocks: _stages(channels, blocks, lambda c, count: (count + 1) * _factorial(4 * c)),
                "a projection is added to its block's branch, so it has no order of its own",
            ),
            Mistake(
                lambda channels, blocks: _stages(channels, blocks, _stage_stream) / math.log(2),
                "these are bits, and nats were asked",
            ),
        ),
    ),
    Task(
        name="permute-stream",
        call="permute_stream(params, order)",
        asks="a dictionary with the parameters of the network whose stream is reordered",
        cases=_permute_cases,
        oracle=_permute,
        against="a product with permutation matrices",
        tolerance=1e-12,
        mistakes=(
            Mistake(
                _permute_but(lambda name: "inner" in name or "outer" in name),
                "each block reads the stream and adds to it, so all of them have to know",
            ),
            Mistake(
                _permute_but(lambda name: name.startswith("outer") and name.endswith("bias")),
                "the biases of the outer layers are added to the stream, too",
            ),
            Mistake(
                _permute_but(lambda name: name.startswith("outer")),
                "the outer layers still write in the old order, and the sum mixes it with the new one",
            ),
            Mistake(
                _permute_but(lambda name: name.startswith("inner")),
                "the inner layers still read the stream in the old order (their columns)",
            ),
            Mistake(
                _inner_biases_too,
                "the biases of the inner layers belong to the inner units, which stay",
            ),
            Mistake(
                lambda p, order: _permute(p, np.argsort(order)),
                "this is the inverse order, and the new unit i was to be the old unit order[i]",
            ),
        ),
    ),
    Task(
        name="bare-stream",
        call="bare(params)",
        asks="a dictionary with the parameters of the same function that adds no bias to its stream",
        cases=_bare_cases,
        oracle=_bare,
        against="the old network on a hundred inputs",
        tolerance=1e-8,
        complaint=_bare_complaint,
        mistakes=(
            Mistake(
                lambda p: {**p, **{name: np.zeros_like(p[name]) for name in _written(p)}},
                "the biases are gone, and those who read the stream still count on them",
            ),
            Mistake(
                lambda p: {**_bare(p), "head.bias": p["head.bias"]},
                "the head reads the stream as well, and needs the sum of all",
            ),
            Mistake(_too_early, "a block reads the stream before it adds its own bias"),
            Mistake(
                lambda p: _readers_told(p, np.array([p["stem.bias"]] * (block_count(p) + 1))),
                "the outer layers have biases as well, and the blocks behind them read these",
            ),
            Mistake(
                lambda p: _readers_told(p, _each(p)),
                "a reader needs the sum of all that was added before it, not the last bias alone",
            ),
            Mistake(_in_order_of_texts, "sorted as texts, block 10 comes before block 2, so count with numbers"),
        ),
    ),
)
