"""Small networks with ties whose cubes are large enough to hit, and brute force over all permutations."""

from itertools import count, pairwise, permutations, product

import numpy as np
import torch

from fnequiv.optimization.schemes import get

SCHEMES = [
    "pytorch",
    "he_uniform",
    "lecun_normal",
    get("xavier_normal", bias="pytorch"),
    get("he_truncated", bias="pytorch"),
    get("xavier_uniform", bias="pytorch"),
]


def tie(params, layer, places, *, columns=True):
    """Make neurons of hidden layer ``layer`` (from 0) equal: rows, biases and, if ``columns``, outgoing weights."""
    weight, bias, following = f"{2 * layer}.weight", f"{2 * layer}.bias", f"{2 * layer + 2}.weight"
    # the column that tells the next layer's rows apart, if it is one of these, must stay
    first, *others = sorted(places, key=lambda place: -float(params[following][:, place].std(correction=0)))
    for other in others:
        params[weight][other] = params[weight][first]
        if bias in params:
            params[bias][other] = params[bias][first]
        if columns:
            params[following][:, other] = params[following][:, first]


def spread(widths, scheme, rng):
    """A network whose hidden rows are far apart for a scheme: one weight of each row tells it from the others."""
    scheme = get(scheme)
    params = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        weights, biases = scheme.laws(fan_in, fan_out)
        weight = weights.quantile(rng.uniform(0.45, 0.55, (fan_out, fan_in)))
        if index < len(widths) - 2:
            weight[:, rng.integers(fan_in)] = weights.quantile(rng.permutation(np.linspace(0.03, 0.97, fan_out)))
        params[f"{2 * index}.weight"] = torch.from_numpy(weight)
        params[f"{2 * index}.bias"] = torch.from_numpy(biases.quantile(rng.uniform(0.45, 0.55, fan_out)))
    return params


def zoo(rng):
    """Networks of depth 1 to 3 without end, every other one with equal rows in one of its layers or in all."""
    shapes = [
        (1, 2, 1),
        (2, 3, 1),
        (1, 3, 2),
        (1, 2, 2, 1),
        (2, 3, 2, 1),
        (1, 3, 3, 1),
        (1, 2, 2, 2, 1),
        (1, 3, 2, 2, 1),
    ]
    for index in count():
        widths, scheme = shapes[rng.integers(len(shapes))], SCHEMES[rng.integers(len(SCHEMES))]
        params = spread(widths, scheme, rng)
        if index % 2:
            layers = range(len(widths) - 2)
            for layer in layers if rng.random() < 0.3 else [rng.choice(layers)]:
                tie(params, layer, rng.permutation(widths[layer + 1])[:2].tolist())
        yield params, scheme


def split(params):
    """Weights and biases (or None), layer by layer, as arrays."""
    depth = 1 + max(int(name.split(".")[0]) for name in params) // 2
    weights = [params[f"{2 * layer}.weight"].double().numpy() for layer in range(depth)]
    biases = [
        params[f"{2 * layer}.bias"].double().numpy() if f"{2 * layer}.bias" in params else None
        for layer in range(depth)
    ]
    return weights, biases


def all_copies(params):
    """Every copy of a network under every permutation, with repetitions: [number, S]."""
    weights, biases = split(params)
    copies = []
    for orders in product(*(permutations(range(len(weight))) for weight in weights[:-1])):
        before = range(weights[0].shape[1])
        parts = []
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            order = orders[layer] if layer < len(orders) else range(len(weight))
            parts += [weight[i, j] for i in order for j in before]
            parts += [] if bias is None else [bias[i] for i in order]
            before = order
        copies.append(parts)
    return np.array(copies)


def flat(params):
    """A network as one vector, in the order of :func:`all_copies`."""
    pairs = zip(*split(params), strict=True)
    return np.concatenate([tensor.ravel() for pair in pairs for tensor in pair if tensor is not None])
