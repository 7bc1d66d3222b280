"""Trying to break the sensitivity inequality: pairs of networks of a class, extreme corners included.

Every bound in ``fnequiv.complexity.covering`` rests on it: two networks with parameters in [-B, B] whose weights
differ by at most δ_{W,l} and biases by at most δ_{b,l} differ by at most Σ_l G_l (A_{l-1} δ_{W,l} + δ_{b,l}) on the
domain. The figures are differences found, as fractions of the bound: never above 1, and near 1 where no better
constant exists.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from fnequiv import activations
from fnequiv.complexity.covering import sensitivity

Array = npt.NDArray[np.float64]

ACTIVATIONS = (
    "relu",
    "identity",
    "leaky_relu",
    "abs",
    "tanh",
    "sigmoid",
    "gelu",
    "silu",
    "softplus",
    "sin",
    "hardtanh",
)
KINDS = ("aligned", "corner", "uniform", "sparse")


def forward(weights: list[Array], biases: list[Array], inputs: Array, sigma: activations.Activation) -> Array:
    """Evaluate a batch of networks: weights [n, out, in], biases [n, out], inputs [points, d_0] -> [n, points, out]."""
    hidden = np.broadcast_to(inputs, (weights[0].shape[0], *inputs.shape))
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        hidden = hidden @ weight.transpose(0, 2, 1) + bias[:, None, :]
        if index < len(weights) - 1:
            hidden = sigma(hidden)
    return hidden


def draw(kind: str, shape: tuple[int, ...], B: float, rng: np.random.Generator) -> Array:
    """Draw parameters in [-B, B]: all +B, random corners, uniform, or corners with most entries 0."""
    if kind == "aligned":
        return np.full(shape, B)
    if kind == "corner":
        return B * rng.choice([-1.0, 1.0], size=shape)
    if kind == "sparse":
        return B * rng.choice([-1.0, 0.0, 0.0, 1.0], size=shape)
    return rng.uniform(-B, B, size=shape)


def move(parameters: Array, step: float, kind: str, B: float, rng: np.random.Generator) -> Array:
    """Move parameters by at most ``step`` within [-B, B]: all down, towards 0, or at random."""
    if kind == "aligned":
        moved = parameters - step
    elif kind == "corner":
        moved = parameters - step * np.sign(parameters)
    else:
        moved = parameters + rng.uniform(-step, step, size=parameters.shape)
    return np.clip(moved, -B, B)


def points(domain: str, d_0: int, Bx: float, rng: np.random.Generator) -> Array:
    """Return inputs in the domain: the diagonal and its negative, signed corners, random points of the boundary, 0."""
    signs = rng.choice([-1.0, 1.0], size=(6, d_0))
    random = rng.normal(size=(6, d_0))
    corners = np.concatenate([np.ones((1, d_0)), -np.ones((1, d_0)), signs])
    if domain == "linf":
        random = np.clip(random, -1.0, 1.0)
    else:
        corners = corners / np.sqrt(d_0)
        random = random / np.linalg.norm(random, axis=1, keepdims=True)
    return Bx * np.concatenate([corners, random, np.zeros((1, d_0))])


def batch(name: str, kind: str, size: int, rng: np.random.Generator) -> float:
    """Return the largest fraction of the bound that ``size`` pairs of one random class reach."""
    widths = tuple(rng.integers(1, 6, size=rng.integers(3, 6)).tolist())
    B, Bx, domain = float(np.exp(rng.uniform(-2, 1))), float(np.exp(rng.uniform(-2, 1))), rng.choice(["l2", "linf"])
    steps = (B * np.exp(rng.uniform(-12, 0, size=(len(widths) - 1, 2)))).tolist()
    weights, biases, other_weights, other_biases = [], [], [], []
    for index, (weight_step, bias_step) in enumerate(steps):
        weights.append(draw(kind, (size, widths[index + 1], widths[index]), B, rng))
        biases.append(draw(kind, (size, widths[index + 1]), B, rng))
        other_weights.append(move(weights[-1], weight_step, kind, B, rng))
        other_biases.append(move(biases[-1], bias_step, kind, B, rng))
    inputs, sigma = points(str(domain), widths[0], Bx, rng), activations.get(name)
    difference = forward(weights, biases, inputs, sigma) - forward(other_weights, other_biases, inputs, sigma)
    bound = sensitivity(
        widths,
        B=B,
        Bx=Bx,
        activation=name,
        weight_step=[weight for weight, _ in steps],
        bias_step=[bias for _, bias in steps],
        domain=str(domain),
    )
    return float(np.abs(difference).max()) / float(bound)


def search(batches: int, size: int, seed: int = 0) -> dict[tuple[str, str], float]:
    """Return the largest fraction found for each activation and kind of network, over ``batches`` classes each."""
    rng = np.random.default_rng(seed)
    return {
        (name, kind): max(batch(name, kind, 1 if kind == "aligned" else size, rng) for _ in range(batches))
        for name in ACTIVATIONS
        for kind in KINDS
    }


def main(smoke: bool = False) -> None:
    batches, size = (4, 10) if smoke else (60, 300)
    start = time.perf_counter()
    found = search(batches, size)
    pairs = len(ACTIVATIONS) * batches * (size * (len(KINDS) - 1) + 1)
    print("largest difference found / bound")
    print(f"{'':>12}" + "".join(f"{kind:>10}" for kind in KINDS))
    for name in ACTIVATIONS:
        print(f"{name:>12}" + "".join(f"{found[name, kind]:10.4f}" for kind in KINDS))
    print(f"{pairs} pairs in {time.perf_counter() - start:.1f} s; largest {max(found.values()):.6f}")
