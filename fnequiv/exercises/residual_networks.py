"""The networks of the exercises of "Residual networks": a stem, blocks that add to its stream, and a head.

Notation: layers ``stem``, ``inner.0``, ``outer.0``, ..., ``head`` with weights and biases, and ReLU inside the blocks
only: h ← h + outer(relu(inner(h))).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Parameters = dict[str, Array]


def network(n: int, m: int, blocks: int, seed: int) -> Parameters:
    """Return a network of n stream units and m inner units a block, two inputs and three outputs.

    Examples
    --------
    >>> network(4, 5, 1, 0)["inner.0.weight"].shape
    (5, 4)
    """
    rng = np.random.default_rng(seed)
    shapes = {"stem": (n, 2), "head": (3, n)}
    shapes |= {f"inner.{t}": (m, n) for t in range(blocks)} | {f"outer.{t}": (n, m) for t in range(blocks)}
    weights = {f"{name}.weight": rng.integers(-9, 10, shape) / 4 for name, shape in shapes.items()}
    return weights | {f"{name}.bias": rng.integers(1, 20, rows) / 4 for name, (rows, _) in shapes.items()}


def block_count(params: Parameters) -> int:
    """Return how many blocks a network has.

    Examples
    --------
    >>> block_count(network(4, 5, 3, 0))
    3
    """
    return sum(name.startswith("inner.") for name in params) // 2


def forward(params: Parameters, x: Array) -> Array:
    """Return the outputs for inputs, one a row.

    Examples
    --------
    >>> one = {"weight": [[2.0]], "bias": [1.0]}
    >>> params = {f"{name}.{k}": v for name in ("stem", "inner.0", "outer.0", "head") for k, v in one.items()}
    >>> forward(params, np.array([[3.0]]))  # 7, then 7 + 31 = 38, then 77
    array([[77.]])
    """

    def linear(name: str, h: Array) -> Array:
        """Return what a linear layer makes of h."""
        return h @ np.asarray(params[f"{name}.weight"]).T + np.asarray(params[f"{name}.bias"])

    h = linear("stem", x)
    for t in range(block_count(params)):
        h = h + linear(f"outer.{t}", np.maximum(linear(f"inner.{t}", h), 0))
    return linear("head", h)
