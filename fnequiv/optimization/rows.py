r"""The rows of a network's hidden layers: which are equal, in how many orders they can stand, how far apart they are.

Notation. Row i of hidden layer l is (W_i^(l), b_i^(l)), the weights and the bias of neuron i. Its *column* is that of
W^(l+1) which reads the neuron. d_l* is the number of distinct orders of the d_l rows: d_l!/Π_c m_c! if the distinct
rows occur m_1, m_2, … times. Δ_min is the least sup-norm distance between two distinct rows of one hidden layer,
Δ_max(θ, θ') = ‖θ - θ'‖_∞. Rows are equal if all their numbers are, to the last bit.

Theorem: the one on initialisation in section 5.2 of Shen (2024); proof in :mod:`fnequiv.optimization.cubes`. Chapter:
"Optimisation".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from ..equivalence.layers import layers_of
from ..equivalence.tied import check_untied
from ..validation import check_finite
from .laws import Array

__all__ = ["Network", "delta_max", "delta_min", "log_distinct_permutations", "read"]

Params = Mapping[str, torch.Tensor]
_ENTRIES = 2**22  # of a block of distances


@dataclass(frozen=True)
class Network:
    """θ in float64: ``weights[l]`` [d_{l+1}, d_l] and ``biases[l]`` [d_{l+1}], or None for a layer without."""

    weights: tuple[Array, ...]
    biases: tuple[Array | None, ...]

    def rows(self, layer: int) -> Array:
        """Return [d, d_in (+ 1)], the rows of hidden layer ``layer``, counted from 0."""
        bias = self.biases[layer]
        return self.weights[layer] if bias is None else np.column_stack([self.weights[layer], bias])

    @property
    def hidden(self) -> range:
        """The hidden layers, counted from 0."""
        return range(len(self.weights) - 1)

    @property
    def tensors(self) -> list[Array]:
        """All weights and biases, layer by layer."""
        pairs = zip(self.weights, self.biases, strict=True)
        return [tensor for pair in pairs for tensor in pair if tensor is not None]

    @property
    def size(self) -> int:
        """S, the number of parameters."""
        return sum(tensor.size for tensor in self.tensors)


def read(params: Params) -> Network:
    """Return the weights and biases of a feedforward network in float64; nothing is changed.

    Raises
    ------
    TypeError
        If ``params`` does not map names to tensors, or one is complex.
    ValueError
        If the tensors do not form a chain of layers, hold NaN or infinities or have no entries (on the meta device),
        share memory, or belong to a PReLU.

    Examples
    --------
    >>> read({"0.weight": torch.ones(2, 1), "2.weight": torch.ones(1, 2)}).size
    4
    """
    layers = layers_of(params)
    if slopes := [layer.slope for layer in layers if layer.slope is not None]:
        raise ValueError(f"tensor {slopes[0]!r} is the slope of a PReLU: only weights and biases are drawn at random")
    check_untied(params, set(params))
    for name, tensor in params.items():
        if tensor.is_complex():
            raise TypeError(f"tensor {name!r} must be real, got {tensor.dtype}: its laws are those of real numbers")
        if tensor.is_meta:
            raise ValueError(f"tensor {name!r} must have entries, got one on the meta device: draw it first")
    found = {name: check_finite(name, tensor.detach().cpu().double().numpy()) for name, tensor in params.items()}
    return Network(
        tuple(found[layer.weight] + 0.0 for layer in layers),  # -0.0 becomes 0.0, so that equal numbers have equal bits
        tuple(None if layer.bias is None else found[layer.bias] + 0.0 for layer in layers),
    )


def classes(rows: Array) -> npt.NDArray[np.intp]:
    """Return a number for every row, the same for equal rows: the place of its value in sorted order.

    Examples
    --------
    >>> classes(np.array([[2.0, 1.0], [0.0, 5.0], [2.0, 1.0]])).tolist()
    [1, 0, 1]
    """
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(len(rows))


def log_distinct_permutations(params: Params) -> tuple[float, ...]:
    """Return (ln d_1*, …, ln d_L*), in nats: how many distinct orders the rows of every hidden layer have.

    Raises
    ------
    TypeError, ValueError
        If ``params`` is no feedforward network of finite numbers.

    Notes
    -----
    Source: Shen (2024), section 5.2.

    Examples
    --------
    >>> theta = {"0.weight": torch.tensor([[1.0], [1.0], [2.0]]), "2.weight": torch.ones(1, 3)}
    >>> [round(math.exp(value)) for value in log_distinct_permutations(theta)]  # 112, 121, 211
    [3]
    """
    network = read(params)
    return tuple(_log_multinomial(np.bincount(classes(network.rows(layer)))) for layer in network.hidden)


def log_ceiling(params: Params) -> float:
    """Return an upper bound on the bound: no scheme and no radius up to Δ_min gives the theorem more, in nats.

    Σ_l ln(d_l* Π_c (m_c/d_l)^{m_c}), m_c the multiplicities of the rows of layer l. Without ties that is
    Σ_l ln(d_l!/d_l^{d_l}), about Σ_l (ln(2πd_l)/2 - d_l): the factorial never keeps up with the cubes.

    Raises
    ------
    TypeError, ValueError
        If ``params`` is no feedforward network of finite numbers.

    Notes
    -----
    The proof is in :mod:`fnequiv.optimization.cubes`; the paper does not state it.

    Examples
    --------
    >>> theta = {"0.weight": torch.arange(4.0)[:, None], "2.weight": torch.ones(1, 4)}
    >>> round(log_ceiling(theta), 4), round(math.log(24 / 4**4), 4)
    (-2.3671, -2.3671)
    """
    network = read(params)
    total = 0.0
    for layer in network.hidden:
        counts = np.bincount(classes(network.rows(layer)))
        total += _log_multinomial(counts) + float((counts * np.log(counts / counts.sum())).sum())
    return total


def delta_min(params: Params) -> float:
    """Return Δ_min, the least sup-norm distance between two distinct rows of one hidden layer.

    It is infinite if no hidden layer has two distinct rows.

    Raises
    ------
    TypeError, ValueError
        If ``params`` is no feedforward network of finite numbers.

    Notes
    -----
    Source: Shen (2024), section 5.2.

    Examples
    --------
    >>> theta = {"0.weight": torch.tensor([[1.0], [1.0], [1.5]]), "2.weight": torch.ones(1, 3)}
    >>> delta_min(theta)
    0.5
    """
    network = read(params)
    return min((_least_distance(network.rows(layer)) for layer in network.hidden), default=math.inf)


def delta_max(params: Params, other: Params) -> float:
    """Return Δ_max(θ, θ') = ‖θ - θ'‖_∞.

    Raises
    ------
    TypeError, ValueError
        If one is no feedforward network of finite numbers, or their names or shapes differ.

    Notes
    -----
    Source: Shen (2024), section 5.2.

    Examples
    --------
    >>> delta_max({"0.weight": torch.tensor([[1.0, 2.0]])}, {"0.weight": torch.tensor([[1.5, 4.0]])})
    2.0
    """
    first, second = read(params), read(other)
    shapes = [{name: tuple(tensor.shape) for name, tensor in one.items()} for one in (params, other)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"both networks must have tensors of one name and shape, got {shapes[0]} and {shapes[1]}")
    pairs = zip(first.tensors, second.tensors, strict=True)
    return max(float(np.abs(one - two).max()) for one, two in pairs)


def _log_multinomial(counts: npt.NDArray[np.intp]) -> float:
    return max(0.0, float(gammaln(counts.sum() + 1) - gammaln(counts + 1).sum()))


def _least_distance(rows: Array) -> float:
    distinct = np.unique(rows, axis=0)
    step = max(1, _ENTRIES // len(distinct))
    least = math.inf
    for start in range(0, len(distinct), step):
        distances = cdist(distinct[start : start + step], distinct, "chebyshev")
        distances[np.arange(len(distances)), start + np.arange(len(distances))] = math.inf
        least = min(least, float(distances.min()))
    return least
