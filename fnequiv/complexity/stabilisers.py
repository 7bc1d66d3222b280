r"""The stabiliser of a given network: how many hidden-layer permutations (and sign flips) fix every tensor.

Notation. g ∈ G = S_{d_1} × ⋯ × S_{d_L} maps W^(l) to P_l W^(l) P_{l-1}^T and b^(l) to P_l b^(l); the signed group puts
D_l P_l, D_l diagonal ±1, in place of P_l. Stab(θ) = {g : gθ = θ}, entry by entry and exactly, and
|orbit of θ| = |G|/|Stab(θ)|. A generic network has the trivial stabiliser; ties make it larger, and ties among layers
can permute several layers at once, so counting equal rows is not enough.

1. *Twins* are neurons of one layer that a single exchange can swap: equal row, bias and outgoing column. A class of
   t twins gives t!, and one of them, coloured with t, stands for all. With signs, twins may be each other's negatives,
   and t dead neurons (all zero) give 2^t t! and are left out.
2. Signs become permutations: a neuron is replaced by itself and its negative, and only permutations that commute
   with negation count.
3. What is left is the automorphism group of a coloured graph. Its order is the product of the orbit lengths
   along a stabiliser chain (:mod:`fnequiv.complexity.refinement`).

Theorem: Proposition 1 and Examples 2 and 3 of Shen (2024); orbit-stabiliser. Chapter: "Counting orbits exactly".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..validation import check_bool, check_integer
from .refinement import LayeredGraph, automorphism_count

Array = npt.NDArray[np.float64]
Network = Mapping[str, npt.ArrayLike] | Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]


def stabiliser_order(network: Network, *, signed: bool = False, max_nodes: int = 10_000) -> int:
    """Return how many elements of the permutation (or signed) group fix every tensor of a network, exactly.

    Parameters
    ----------
    network
        A dict with the names of ``torch.nn.Sequential`` (``"0.weight"`` [d_1, d_0], ``"0.bias"`` [d_1], ``"2.weight"``,
        …; missing biases count as zero), or a list of pairs (W [d_l, d_{l-1}], b [d_l]). Entries are compared
        exactly; -0.0 equals 0.0.
    signed
        Also count sign flips of hidden neurons (odd activations).
    max_nodes
        How many colour refinements the search may take. Generic networks need one, twins none; only
        highly regular ties between layers need more.

    Returns
    -------
    int
        The order of the stabiliser, ≥ 1; it divides the order of the group.

    Raises
    ------
    TypeError
        If the network is neither a mapping nor a sequence of pairs, or not numeric.
    ValueError
        If shapes do not chain or an entry is not finite, or the search needs more than ``max_nodes``.

    Examples
    --------
    >>> W1, b1, W2, b2 = [[1.0], [1.0], [2.0]], [0.0, 0.0, 0.0], [[5.0, 5.0, 7.0]], [0.0]
    >>> stabiliser_order([(W1, b1), (W2, b2)])
    2
    """
    check_integer("max_nodes", max_nodes)
    check_bool("signed", signed)
    layers = _read(network)
    order, layers, multiplicities = _merge_twins(layers, signed)
    if signed:
        layers, multiplicities = _double(layers), [np.tile(counts, 2) for counts in multiplicities]
    graph = LayeredGraph([W for W, _ in layers], [b for _, b in layers], multiplicities, paired=signed)
    return order * automorphism_count(graph, max_nodes)


def orbit_size(network: Network, *, signed: bool = False, max_nodes: int = 10_000) -> int:
    """Return how many different networks the permutation (or signed) group makes of one: |G|/|stabiliser|.

    Parameters, and what is raised, are those of :func:`stabiliser_order`.

    Examples
    --------
    >>> W1, b1, W2, b2 = [[1.0], [1.0], [2.0]], [0.0, 0.0, 0.0], [[5.0, 5.0, 7.0]], [0.0]
    >>> orbit_size([(W1, b1), (W2, b2)])  # 3!/2
    3
    """
    stabiliser = stabiliser_order(network, signed=signed, max_nodes=max_nodes)
    order = 1
    for _, bias in _read(network)[:-1]:
        order *= math.factorial(bias.size) * (2**bias.size if signed else 1)
    return order // stabiliser


def _read(network: Network) -> list[tuple[Array, Array]]:
    """Return [(W, b), …] in float64, without negative zeros, after checking that the shapes chain."""
    pairs: list[tuple[npt.ArrayLike, npt.ArrayLike | None]]
    if isinstance(network, Mapping):
        names = sorted(filter(re.compile(r"\d+\.weight").fullmatch, network), key=lambda name: int(name.split(".")[0]))
        biases = [name.replace("weight", "bias") for name in names]
        if not names or set(network) - {*names, *biases}:
            raise ValueError(
                f"network must hold '0.weight', '0.bias', '2.weight', ..., got {sorted(network)}: "
                "pass a plain feedforward network"
            )
        pairs = [(network[name], network.get(bias)) for name, bias in zip(names, biases, strict=True)]
    elif isinstance(network, Sequence) and not isinstance(network, str) and len(network):
        if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in network):
            raise TypeError("network must be a dict of tensors or a sequence of pairs (W, b)")
        pairs = list(network)
    else:
        raise TypeError(f"network must be a dict of tensors or a sequence of pairs (W, b), got {network!r}")
    layers: list[tuple[Array, Array]] = []
    for position, (W, b) in enumerate(pairs):
        weight = _numbers(f"weight {position}", W)
        if weight.ndim != 2 or 0 in weight.shape:
            raise ValueError(f"weight {position} must have shape [out, in], got {weight.shape}")
        bias = np.zeros(len(weight)) if b is None else _numbers(f"bias {position}", b)
        if bias.shape != (len(weight),):
            raise ValueError(f"bias {position} must have shape ({len(weight)},), got {bias.shape}")
        if layers and weight.shape[1] != len(layers[-1][0]):
            raise ValueError(
                f"weight {position} must have {len(layers[-1][0])} columns, one a neuron below, got {weight.shape}"
            )
        layers.append((weight, bias))
    return layers


def _numbers(name: str, value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    numbers = array.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if array.dtype.kind != "f" and np.abs(numbers).max(initial=0.0) > 2**53:
        raise ValueError(f"{name} holds integers beyond 2^53, which float64 cannot tell apart: rescale it")
    if array.dtype.itemsize > 8:
        raise TypeError(f"{name} must fit float64, got dtype {array.dtype}: convert it first")
    return numbers


def _merge_twins(
    layers: list[tuple[Array, Array]], signed: bool
) -> tuple[int, list[tuple[Array, Array]], list[npt.NDArray[np.int64]]]:
    """Return the order of the group that permutes twins, the network with one neuron a class, and class sizes."""
    layers = [(W.copy(), b.copy()) for W, b in layers]
    order, kept, multiplicities = 1, [], []
    for level, (W, b) in enumerate(layers[:-1]):
        out = layers[level + 1][0]
        if signed:  # give every neuron the sign that makes its first non-zero number positive
            numbers = np.column_stack([W, b, out.T])
            first = numbers[np.arange(len(numbers)), (numbers != 0).argmax(axis=1)]
            flips = np.where(first < 0, -1.0, 1.0)
            W *= flips[:, None]
            b *= flips
            out *= flips
        classes: dict[bytes, list[int]] = {}
        for neuron, numbers in enumerate(np.column_stack([W, b, out.T]) + 0.0):
            classes.setdefault(numbers.tobytes(), []).append(neuron)
        dead = classes.pop(bytes(8 * (W.shape[1] + 1 + len(out))), []) if signed else []
        order *= math.factorial(len(dead)) * 2 ** len(dead)
        order *= math.prod(math.factorial(len(members)) for members in classes.values())
        kept.append([members[0] for members in classes.values()])
        multiplicities.append(np.array([len(members) for members in classes.values()], dtype=np.int64))
    rows = [*kept, list(range(len(layers[-1][0])))]
    columns = [list(range(layers[0][0].shape[1])), *kept]
    reduced = [
        (W[np.ix_(here, below)] + 0.0, b[here] + 0.0) for (W, b), here, below in zip(layers, rows, columns, strict=True)
    ]
    return order, reduced, multiplicities


def _double(layers: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Replace every hidden neuron by itself and its negative, so that a flip is an exchange of the two."""
    doubled = []
    for level, (W, b) in enumerate(layers):
        if level:
            W = np.concatenate([W, -W], axis=1)
        if level < len(layers) - 1:
            W, b = np.concatenate([W, -W]), np.concatenate([b, -b])
        doubled.append((W + 0.0, b + 0.0))
    return doubled
