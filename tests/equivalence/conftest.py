"""Specifications, networks and pairs of networks that the tests of canonical forms and verdicts share."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample
from fnequiv.symmetry import Axis, Block, SymmetrySpec

FLAVOURS = ("random", "zero biases", "few values", "all equal", "all zero", "duplicates", "dead", "sparse", "circulant")


def residual(kind="permutation", blocks=2, stream=3, inner=4):
    shapes = {"embed": (stream, 2), "head": (2, stream)}
    axes = [Axis("embed", 0, "in"), Axis("head", 1, "out")]
    inners = []
    for i in range(blocks):
        shapes |= {f"{i}.a": (inner, stream), f"{i}.b": (stream, inner)}
        axes += [Axis(f"{i}.a", 1, "out"), Axis(f"{i}.b", 0, "in")]
        inners.append(Block(f"inner{i}", inner, kind, (Axis(f"{i}.a", 0, "in"), Axis(f"{i}.b", 1, "out"))))
    return SymmetrySpec((Block("stream", stream, "permutation", tuple(axes)), *inners), shapes)


def convolution(activation="relu"):
    """A convolution with normalisation statistics and a counter, flattened into a linear layer."""
    c1 = [Axis("conv1", 0, "in"), Axis("mean", 0, "in"), Axis("conv2", 1, "out")]
    c2 = [Axis("conv2", 0, "in"), Axis("bias2", 0, "in"), Axis("fc", 1, "out", repeat=4)]
    shapes = {
        "conv1": (3, 1, 3, 3),
        "mean": (3,),
        "conv2": (2, 3, 2, 2),
        "bias2": (2,),
        "fc": (2, 8),
        "counter": (),
        "mask": (2,),
    }
    return SymmetrySpec((Block.behind("c1", 3, activation, c1), Block.behind("c2", 2, activation, c2)), shapes)


def recurrent(kind="signed"):
    axes = (Axis("in", 0, "in"), Axis("loop", 0, "in"), Axis("loop", 1, "out"), Axis("head", 1, "out"))
    return SymmetrySpec((Block("state", 3, kind, axes),), {"in": (3, 2), "loop": (3, 3), "head": (1, 3)})


ZOO = {
    **{name: mlp.spec((2, 3, 3, 2), name) for name in ("gelu", "tanh", "relu", "abs", "square", "identity", "prelu")},
    "one neuron": mlp.spec((1, 1, 1), "tanh"),
    "no hidden layer": mlp.spec((2, 3), "relu"),
    "wide": mlp.spec((3, 8, 6, 2), "tanh"),
    "residual": residual(),
    "residual, signed": residual("signed"),
    "residual, scaled": residual("scaled"),
    "convolution": convolution(),
    "convolution, odd": convolution("tanh"),
    "recurrent": recurrent(),
    "recurrent, permutation": recurrent("permutation"),
}


def draw(spec, seed, flavour="random", dtype=torch.float64):
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in spec.shapes.items():
        if name in ("counter", "mask"):
            params[name] = torch.full(shape, 7 + seed % 3, dtype=torch.int64)
            continue
        values = rng.uniform(-1, 1, shape)
        if flavour == "few values" or (flavour == "circulant" and len(shape) == 1):
            values = rng.integers(-1, 2, shape)
        if flavour in ("all equal", "circulant"):
            values = np.ones(shape)
        if flavour == "circulant" and len(shape) == 2:
            first = rng.integers(0, 2, shape[1])
            values = np.stack([np.roll(first, i) for i in range(shape[0])])
        if flavour == "all zero" or (flavour == "zero biases" and len(shape) == 1):
            values = np.zeros(shape)
        if flavour == "sparse":
            values = values * (rng.random(shape) < 0.4)
        params[name] = torch.as_tensor(np.asarray(values), dtype=torch.float64).to(dtype)
    if flavour in ("duplicates", "dead"):
        block = spec.blocks[rng.integers(len(spec.blocks))] if spec.blocks else None
        for axis in block.axes if block and block.size > 1 else ():
            rows = params[axis.tensor].movedim(axis.axis, 0)
            rows = rows.reshape(block.size, -1)
            if rng.random() < 0.7:
                rows[1] = rows[0] if flavour == "duplicates" else 0
            length = params[axis.tensor].movedim(axis.axis, 0).shape
            params[axis.tensor] = rows.reshape(length).movedim(0, axis.axis).contiguous()
    return params


@dataclass
class Pair:
    """Two networks; ``truth`` is True (equivalent), False, or None where construction does not tell."""

    kind: str
    flavour: str
    spec: SymmetrySpec
    a: dict
    b: dict
    truth: bool | None


def numbers(params):
    """The sorted |entries| of every tensor: permutations and flips keep them."""
    return [tensor.double().abs().flatten().sort().values.tolist() for tensor in params.values()]


def draw_pair(seed):
    """Draw one of the pairs that verdicts are held to."""
    rng = np.random.default_rng([seed, 17])
    activation = ("gelu", "tanh", "relu", "abs", "square", "identity", "prelu")[rng.integers(7)]
    widths = tuple(int(width) for width in rng.integers(1, 9, size=rng.integers(3, 6)))
    kind = ("copy", "rescaled", "one bit", "swapped in one tensor", "strangers")[rng.integers(5)]
    flavour = FLAVOURS[rng.integers(len(FLAVOURS))]
    if flavour == "circulant":
        widths = (widths[0], *[int(rng.integers(3, 9))] * 2, widths[-1])
    spec = mlp.spec(widths, activation)
    a = draw(spec, seed, flavour, (torch.float32, torch.float64)[rng.integers(2)])
    b = apply(a, spec, sample(spec, rng, spread=4.0 if kind == "rescaled" else 1.0))
    truth = {"copy": True, "rescaled": True}.get(kind)
    name = list(b)[rng.integers(len(b))]
    if kind == "one bit":
        entries = b[name].flatten()
        at = int(rng.integers(len(entries)))
        entries[at] = torch.nextafter(entries[at], torch.tensor(torch.inf, dtype=entries.dtype))
        b[name] = entries.view(b[name].shape)
    if kind == "swapped in one tensor" and len(b[name]) > 1:
        b[name] = b[name][[1, 0, *range(2, len(b[name]))]]
    if kind == "strangers":
        b = draw(spec, seed + 10**6, flavour, next(iter(a.values())).dtype)
    if truth is None and not spec.continuous_dimension() and numbers(a) != numbers(b):
        truth = False
    return Pair(kind, flavour, spec, a, b, truth)


@pytest.fixture(params=list(ZOO))
def zoo_spec(request):
    return ZOO[request.param]


@pytest.fixture(scope="session")
def networks():
    return draw


@pytest.fixture(scope="session")
def pairs():
    return draw_pair


@pytest.fixture(scope="session")
def flavours():
    return FLAVOURS
