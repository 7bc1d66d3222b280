"""Exercises of the chapter "Convolutional networks": move channels with all that they own, and turn factors upright.

Notation: a convolution ``conv`` without bias, a BatchNorm ``norm`` with four vectors, and behind a flattening a linear
layer ``head``, named as PyTorch names them. The oracles write moves as products of matrices, or compare what comes out
of the BatchNorm on random patches of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .comparing import changed, misshapen
from .tasks import Mistake, Task

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.intp]
Parameters = dict[str, Array]
_VECTORS = ("weight", "bias", "running_mean", "running_var")


def _network(channels: int, pixels: int, outputs: int, seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    norm = {f"norm.{part}": rng.integers(1, 20, channels) / 4 for part in _VECTORS}
    norm["norm.weight"] *= np.where(np.arange(channels) % 2, 1, -1)
    return {
        "conv.weight": rng.integers(-9, 10, (channels, 2, 3, 3)) / 4,
        **norm,
        "norm.num_batches_tracked": np.array(40),
        "head.weight": rng.integers(-9, 10, (outputs, channels * pixels)) / 4,
        "head.bias": rng.integers(-9, 10, outputs) / 4,
    }


# --- flattened-columns ----------------------------------------------------------------------------------------------


def _columns(order: Sequence[int], pixels: int, last: bool) -> list[int]:
    """Multiply the numbers of the columns by a permutation of the channels, beside an identity for the pixels."""
    channels, here = np.eye(len(order))[list(order)], np.eye(pixels)
    matrix = np.kron(here, channels) if last else np.kron(channels, here)
    return [round(number) for number in matrix @ np.arange(len(matrix))]


def _columns_cases() -> list[tuple[list[int], int, bool]]:
    cases = [([1, 0], 2, False), ([1, 0], 3, True), ([1, 2, 0], 4, False), ([1, 2, 0], 4, True)]
    return [*cases, ([2, 0, 3, 1], 1, False), ([2, 0, 3, 1], 9, True), ([0, 2, 4, 1, 3], 6, False)]


def _inverse(order: Sequence[int]) -> list[int]:
    return [int(place) for place in np.argsort(order)]


# --- permute-channels -----------------------------------------------------------------------------------------------


def _permute(params: Parameters, order: Order) -> Parameters:
    matrix = np.eye(len(order))[order]
    pixels = params["head.weight"].shape[1] // len(order)
    new = {f"norm.{part}": matrix @ params[f"norm.{part}"] for part in _VECTORS}
    new["conv.weight"] = np.tensordot(matrix, params["conv.weight"], axes=1)
    new["head.weight"] = params["head.weight"] @ np.kron(matrix, np.eye(pixels)).T
    return {**params, **new}


def _permute_but(*left: str) -> Callable[[Parameters, Order], Parameters]:
    """Permute, and leave some tensors behind."""
    return lambda params, order: {**_permute(params, order), **{name: params[name] for name in left}}


def _one_column(params: Parameters, order: Order) -> Parameters:
    return {**_permute(params, order), "head.weight": params["head.weight"][:, order]}


def _woven(params: Parameters, order: Order) -> Parameters:
    pixels = params["head.weight"].shape[1] // len(order)
    return {**_permute(params, order), "head.weight": params["head.weight"][:, _columns(list(order), pixels, True)]}


def _permute_cases() -> list[tuple[Parameters, Order]]:
    sizes = (([1, 0], 1, 2), ([1, 2, 0], 4, 3), ([2, 0, 3, 1], 6, 2))
    return [
        (_network(len(order), pixels, outputs, seed), np.array(order))
        for seed, (order, pixels, outputs) in enumerate(sizes)
    ]


# --- positive-factors -----------------------------------------------------------------------------------------------


def _upright(params: Parameters) -> Parameters:
    turn = np.diag(1 - 2.0 * (params["norm.weight"] < 0))
    new = {name: turn @ params[name] for name in ("norm.weight", "norm.running_mean")}
    return {**params, **new, "conv.weight": np.tensordot(turn, params["conv.weight"], axes=1)}


def _upright_but(*left: str) -> Callable[[Parameters], Parameters]:
    return lambda params: {**_upright(params), **{name: params[name] for name in left}}


def _turned_too(name: str) -> Callable[[Parameters], Parameters]:
    """Turn the channels upright, and with them a vector that has to stay."""
    return lambda params: {**_upright(params), name: np.sign(params["norm.weight"]) * params[name]}


def _behind_norm(params: Parameters) -> Array:
    """What comes out of the BatchNorm for fifty random patches, evaluated as a sum over their entries."""
    weight, gamma, beta, mean, var = (np.asarray(params[name]) for name in _UPRIGHT)
    patches = np.random.default_rng(1).normal(size=(50, *weight.shape[1:]))
    z = np.einsum("oirs,nirs->no", weight, patches)
    out: Array = (z - mean) / np.sqrt(var + 1e-5) * gamma + beta
    return out


_UPRIGHT = ("conv.weight", *(f"norm.{part}" for part in _VECTORS))


def _upright_complaint(got: Parameters, params: Parameters) -> str:
    if words := misshapen(got, params):
        return words
    if not (np.asarray(got["norm.weight"]) > 0).all():
        return "an entry of norm.weight is not positive"
    if (np.asarray(got["norm.running_var"]) < 0).any():
        return "a variance is negative"
    words = changed(_behind_norm(got), _behind_norm(params), 1e-8)
    return f"what comes out of the BatchNorm has changed ({words})" if words else ""


def _upright_cases() -> list[tuple[Parameters]]:
    networks = (_network(channels, 1, 1, seed) for seed, channels in enumerate((1, 2, 5)))
    return [({name: params[name] for name in _UPRIGHT},) for params in networks]


TASKS = (
    Task(
        name="flattened-columns",
        call="columns(order, pixels, last)",
        asks="the list of the old columns in their new order",
        cases=_columns_cases,
        oracle=_columns,
        against="a Kronecker product of matrices",
        mistakes=(
            Mistake(
                lambda order, pixels, last: _columns(order, pixels, False),
                "with the channels last, the columns of a channel are not neighbours",
            ),
            Mistake(
                lambda order, pixels, last: _columns(order, pixels, not last),
                "these are the two cases exchanged: with the channels last, all channels of a pixel stand together",
            ),
            Mistake(
                lambda order, pixels, last: _columns(_inverse(order), pixels, last),
                "this is the inverse order, and channel i was to be the old channel order[i]",
            ),
            Mistake(
                lambda order, pixels, last: list(order),
                "a channel owns one column for each pixel, and all of them move",
            ),
        ),
    ),
    Task(
        name="permute-channels",
        call="permute(params, order)",
        asks="a dictionary with the parameters of the network whose channels are reordered",
        cases=_permute_cases,
        oracle=_permute,
        against="a product with permutation matrices",
        tolerance=1e-12,
        mistakes=(
            Mistake(
                _permute_but("norm.running_mean", "norm.running_var"),
                "running mean and variance belong to a channel as well, though no optimiser lists them",
            ),
            Mistake(
                _permute_but(*(f"norm.{part}" for part in _VECTORS)),
                "the BatchNorm still holds four vectors in the old order",
            ),
            Mistake(_permute_but("head.weight"), "the linear layer still reads the channels in the old order"),
            Mistake(
                _one_column, "behind the flattening a channel owns as many columns of head.weight as it has pixels"
            ),
            Mistake(_woven, "the flattening writes channel after channel, so a channel's columns are neighbours"),
            Mistake(
                lambda p, order: _permute(p, np.argsort(order)),
                "this is the inverse order, and the new channel i was to be the old channel order[i]",
            ),
        ),
    ),
    Task(
        name="positive-factors",
        call="upright(params)",
        asks="a dictionary with the parameters of the same function whose norm.weight is positive",
        cases=_upright_cases,
        oracle=_upright,
        against="the BatchNorm on fifty patches",
        tolerance=1e-8,
        complaint=_upright_complaint,
        mistakes=(
            Mistake(
                _upright_but("conv.weight", "norm.running_mean"),
                "the filter has to turn with its factor, and so has the running mean",
            ),
            Mistake(_upright_but("norm.running_mean"), "the mean of a negated channel is negated (norm.running_mean)"),
            Mistake(_upright_but("conv.weight"), "the filter itself has to turn (conv.weight)"),
            Mistake(
                _turned_too("norm.bias"),
                "norm.bias is added behind the factor, where the channel is what it was before",
            ),
            Mistake(_turned_too("norm.running_var"), "a variance does not notice a sign, and stays"),
            Mistake(
                lambda p: {**p, "conv.weight": -p["conv.weight"], "norm.weight": abs(p["norm.weight"])},
                "only the channels with a negative factor are to turn, each with its mean",
            ),
        ),
    ),
)
