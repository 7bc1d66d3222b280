"""The networks of the covering bounds, written once more: shapes of their blocks, and how they compute."""

import itertools
import math

import numpy as np
import torch
from torch.nn import functional

from fnequiv.architectures.complexity import AttentionClass, ConvolutionalClass, ResidualClass


def shapes(network):
    if isinstance(network, ConvolutionalClass):
        found, k = {}, network.kernel
        for layer, (before, after) in enumerate(itertools.pairwise(network.channels), 1):
            found |= {f"conv{layer}.weight": (after, before, k, k), f"conv{layer}.bias": (after,)}
        probe = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in found.items()}
        flat = features(network, probe, torch.zeros(1, network.channels[0], *network.image, dtype=torch.float64))
        return found | {"output.weight": (network.outputs, flat.shape[1]), "output.bias": (network.outputs,)}
    if isinstance(network, ResidualClass):
        n, m = network.stream, network.inner
        found = {"stem.weight": (n, network.inputs), "stem.bias": (n,)}
        for block in range(1, network.blocks + 1):
            found |= {f"block{block}.inner.weight": (m, n), f"block{block}.inner.bias": (m,)}
            found |= {f"block{block}.outer.weight": (n, m), f"block{block}.outer.bias": (n,)}
        return found | {"output.weight": (network.outputs, n), "output.bias": (network.outputs,)}
    C, keys, values = network.channels, network.heads * network.d_k, network.heads * network.d_v
    found = {"query.weight": (keys, C), "query.bias": (keys,), "key.weight": (keys, C), "key.bias": (keys,)}
    found |= {"value.weight": (values, C), "value.bias": (values,)}
    return found | {"output.weight": (C, values), "output.bias": (C,)}


def features(network, parameters, x):
    windows = network.pooling if isinstance(network.pooling, tuple) else (network.pooling,) * 99
    for layer in range(1, len(network.channels)):
        weight, bias = parameters[f"conv{layer}.weight"], parameters[f"conv{layer}.bias"]
        x = functional.conv2d(x, weight, bias, padding=network.padding)
        x = SIGMA[network.activation](x)
        pool = functional.max_pool2d if layer % 2 else functional.avg_pool2d
        x = pool(x, windows[layer - 1])
    return x.flatten(1)


SIGMA = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": functional.softplus}


def run(network, parameters, x):
    """Return the outputs, one row an input."""
    p = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in parameters.items()}
    x = torch.as_tensor(x, dtype=torch.float64)
    if isinstance(network, ConvolutionalClass):
        return functional.linear(features(network, p, x), p["output.weight"], p["output.bias"]).numpy()
    if isinstance(network, ResidualClass):
        h = functional.linear(x, p["stem.weight"], p["stem.bias"])
        for block in range(1, network.blocks + 1):
            inner = functional.linear(h, p[f"block{block}.inner.weight"], p[f"block{block}.inner.bias"])
            outer = functional.linear(
                SIGMA[network.activation](inner), p[f"block{block}.outer.weight"], p[f"block{block}.outer.bias"]
            )
            h = h + outer
        return functional.linear(h, p["output.weight"], p["output.bias"]).numpy()
    heads = {}
    for name in ("query", "key", "value"):
        rows = functional.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
        heads[name] = rows.unflatten(2, (network.heads, -1)).transpose(1, 2)
    mixed = functional.scaled_dot_product_attention(heads["query"], heads["key"], heads["value"])
    mixed = mixed.transpose(1, 2).flatten(2)
    return functional.linear(mixed, p["output.weight"], p["output.bias"]).flatten(1).numpy()


def inputs(network, Bx, domain, rng, size):
    """Draw inputs on the boundary of the domain: directions, corners of the cube, constant ones."""
    if isinstance(network, ConvolutionalClass):
        shape = (network.channels[0], *network.image)
    elif isinstance(network, ResidualClass):
        shape = (network.inputs,)
    else:
        shape = (network.tokens, network.channels)
    x = rng.normal(size=(size, *shape))
    x[::3] = np.sign(x[::3])
    x[1::3] = np.sign(x[1::3, ..., :1])
    if domain == "linf":
        return Bx * x / np.abs(x).max(axis=tuple(range(1, x.ndim)), keepdims=True)
    axes = (2,) if isinstance(network, AttentionClass) else tuple(range(1, x.ndim))  # every token has a norm of its own
    return Bx * x / np.sqrt((x**2).sum(axis=axes, keepdims=True))


TINY = [
    ConvolutionalClass((4, 4), (2, 3, 2), pooling=(2, 1), outputs=2),
    ConvolutionalClass((5, 4), (1, 2), pooling=2, outputs=1, padding="valid", activation="sigmoid"),
    ConvolutionalClass((3, 3), (1, 2, 2), kernel=2, outputs=1, padding="valid"),
    ConvolutionalClass((2, 3), (2, 2), kernel=5, outputs=2, activation="tanh"),
    ResidualClass(2, 3, 4, blocks=2, outputs=2),
    ResidualClass(3, 2, 3, blocks=3, outputs=1, activation="tanh"),
    ResidualClass(1, 2, 2, blocks=1, outputs=1, activation="softplus"),
    ResidualClass(2, 3, 1, blocks=0, outputs=2),
    AttentionClass(tokens=3, channels=4, heads=2),
    AttentionClass(tokens=2, channels=3, heads=2, d_k=3, d_v=1),
    AttentionClass(tokens=1, channels=2, heads=1),
]


def nearest(value, levels, B):
    """Round to the nearest of ``levels`` equally spaced centres of [-B, B]."""
    return (np.clip(np.floor((value / B + 1) / 2 * levels), 0, levels - 1) + 0.5) * 2 * B / levels - B


def levels_of(terms):
    return {block.name: round(math.exp(block.log_levels)) for block in terms.blocks}
