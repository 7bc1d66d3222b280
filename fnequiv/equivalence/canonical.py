r"""One representative of every orbit: the canonical form, its fingerprint, and the paper's sorted biases.

Notation. A canonical form is a map c with c(θ) in the orbit of θ and c(g·θ) = c(θ) for every g of the group. Permutations
and flips move bits and change none, so there the equality is exact, bit for bit. A scale λ rounds; of a block that may be
rescaled, every unit gets the scale that makes its largest incoming entry 1 (or, where those are zero, its largest
outgoing one), so that c(g·θ) and c(θ) differ by rounding alone.

The proof of Theorem 1 of Shen (2024) takes the networks with sorted biases as representatives: :func:`sort_biases`. Where
two biases are equal that names several networks of one orbit; :func:`canonicalize` names one. Chapter: "Telling networks
apart".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..symmetry import Axis, Block, SymmetrySpec
from ..validation import check_integer
from .actions import apply
from .colouring import Graph, Search
from .elements import GroupElement, Move
from .group import compose, identity
from .parameters import check_parameters
from .settling import Sweep

Params = Mapping[str, torch.Tensor]
Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Labelling:
    """How a network gets to its canonical form, and what of it no rule could tell apart.

    ``element`` takes the network to its canonical form. ``twins`` lists by block the groups of units that are equal in
    every tensor (up to sign), by their places in the given network. ``automorphisms`` are elements found on the way
    that fix the network although they exchange other units than twins; ``refinements`` counts the steps of the search
    (0: one pass was enough).
    """

    element: GroupElement
    twins: Mapping[str, tuple[tuple[int, ...], ...]]
    automorphisms: tuple[GroupElement, ...]
    refinements: int


def canonicalize(params: Params, spec: SymmetrySpec, *, max_nodes: int = 10_000) -> dict[str, torch.Tensor]:
    """Return the canonical form of a network: the same for every network of its orbit.

    Parameters
    ----------
    params
        Every tensor of the network by name; never modified.
    spec
        The network's specification, of any architecture.
    max_nodes
        How many colour refinements ties may cost. Networks whose units differ, duplicate units and dead units need none.

    Returns
    -------
    dict
        New tensors with names, shapes, dtype and device of ``params``. For two networks in one orbit under permutations
        and flips they are equal bit for bit (a zero may have either sign); scales add rounding.

    Raises
    ------
    TypeError, ValueError
        If the parameters are not those of ``spec`` (see :func:`~fnequiv.equivalence.actions.check_parameters`).
    TooManyTiesError
        A ``ValueError``: if the ties need more than ``max_nodes`` refinements.

    Notes
    -----
    Source: the representative set in the proof of Theorem 1 of Shen (2024), made to hold for ties, signs and scales.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> from fnequiv.equivalence.group import sample
    >>> spec = mlp.spec((3, 5, 4, 2), "tanh")
    >>> theta = mlp.init((3, 5, 4, 2), torch.Generator().manual_seed(0))
    >>> disguised = apply(theta, spec, sample(spec, np.random.default_rng(1)))
    >>> a, b = canonicalize(theta, spec), canonicalize(disguised, spec)
    >>> all(torch.equal(a[name], b[name]) for name in a)
    True
    """
    return apply(params, spec, label(params, spec, max_nodes=max_nodes).element)


def label(params: Params, spec: SymmetrySpec, *, max_nodes: int = 10_000) -> Labelling:
    """Return the element that takes a network to its canonical form, with the ties and symmetries found on the way.

    Parameters, and what is raised, are those of :func:`canonicalize`.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = {"0.weight": torch.tensor([[2.0], [1.0], [2.0]]), "2.weight": torch.ones(1, 3)}
    >>> found = label(theta, mlp.spec((1, 3, 1), "tanh", bias=False))
    >>> found.element["layer1"].permutation.tolist(), found.twins["layer1"]
    ([1, 0, 2], ((0, 2),))
    """
    check_integer("max_nodes", max_nodes)
    check_parameters(params, spec)
    scale = identity(spec)
    if any(block.scales for block in spec.blocks):
        scale = _normalising(arrays_of(params, spec), spec)
        params = apply(params, spec, scale)
    arrays = arrays_of(params, spec)
    sweep = Sweep(arrays, spec)
    moves, refinements = sweep.moves, 0
    automorphisms: tuple[GroupElement, ...] = ()
    twins = sweep.ties
    if sweep.open:
        search = Search(Graph(arrays, spec), lambda found: _certificate(arrays, spec, found), max_nodes)
        moves = search.run()
        refinements, twins = search.nodes, search.graph.twins
        automorphisms = tuple(GroupElement(found) for found in search.automorphisms())
    element = GroupElement({block.name: moves[block.name] for block in spec.blocks})
    groups = {
        block.name: tuple(tuple(sorted(int(unit) for unit in group)) for group in twins.get(block.name, []))
        for block in spec.blocks
    }
    return Labelling(compose(element, scale), groups, automorphisms, refinements)


def fingerprint(params: Params, spec: SymmetrySpec, *, max_nodes: int = 10_000) -> str:
    """Return a hash that is equal for networks that differ by a permutation and flips, and for no others.

    It hashes names, shapes, dtypes and the bits of the canonical form under permutations and flips alone. A rescaled copy,
    a rounded one or one in another dtype has another fingerprint: use
    :func:`~fnequiv.equivalence.checking.compare` with a tolerance for those.

    Parameters, and what is raised, are those of :func:`canonicalize`.

    Returns
    -------
    str
        64 hexadecimal digits (BLAKE2b with 256 bits).

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = {"0.weight": torch.tensor([[2.0], [1.0]]), "2.weight": torch.tensor([[3.0, 4.0]])}
    >>> swapped = {name: tensor.flip(0 if name == "0.weight" else 1) for name, tensor in theta.items()}
    >>> spec = mlp.spec((1, 2, 1), "relu", bias=False)
    >>> fingerprint(theta, spec) == fingerprint(swapped, spec)
    True
    """
    spec = spec.only(signs=True)
    canonical = canonicalize(params, spec, max_nodes=max_nodes)
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(canonical):
        tensor = canonical[name]
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def sort_biases(params: Params, spec: SymmetrySpec) -> dict[str, torch.Tensor]:
    """Return the paper's representative: the units of every block in the order of their biases.

    Where biases are distinct it is one network an orbit under permutations. Where two are equal (all of them, in a
    network without training or without biases) the order of those units stays as it was found.

    Raises
    ------
    ValueError
        If a block has no bias (a vector with one entry a unit on the way in), beside what ``apply`` raises.

    Notes
    -----
    Source: the representative set in the proof of Theorem 1 of Shen (2024).

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = {"0.weight": torch.tensor([[1.0], [2.0]]), "0.bias": torch.tensor([0.3, -0.3]),
    ...          "2.weight": torch.tensor([[5.0, 6.0]]), "2.bias": torch.zeros(1)}
    >>> sort_biases(theta, mlp.spec((1, 2, 1), "relu"))["2.weight"]
    tensor([[6., 5.]])
    """
    check_parameters(params, spec)
    moves = {}
    for block in spec.blocks:
        bias = next((axis for axis in block.axes if axis.role == "in" and len(spec.shapes[axis.tensor]) == 1), None)
        if bias is None or bias.repeat != 1:
            raise ValueError(f"block {block.name!r} has no bias to sort: use canonicalize")
        moves[block.name] = Move(np.argsort(_array(params[bias.tensor]), kind="stable"))
    return apply(params, spec, GroupElement(moves))


def arrays_of(params: Params, spec: SymmetrySpec) -> dict[str, Array]:
    """Return NumPy views (copies of what NumPy cannot hold) in the order of the specification."""
    return {name: _array(params[name]) for name in spec.shapes}


def _array(tensor: torch.Tensor) -> Array:
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array


def _bytes(tensor: torch.Tensor) -> bytes:
    array = np.ascontiguousarray(_array(tensor))
    return (array + 0.0 if array.dtype.kind == "f" else array).tobytes()  # -0.0 and 0.0 are one number


def _certificate(arrays: Mapping[str, Array], spec: SymmetrySpec, moves: Mapping[str, Move]) -> bytes:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    element = GroupElement({block.name: moves[block.name] for block in spec.blocks})
    digest = hashlib.blake2b(digest_size=32)
    for tensor in apply(tensors, spec.only(signs=True), element).values():
        digest.update(_bytes(tensor))
    return digest.digest()


def _normalising(arrays: Mapping[str, Array], spec: SymmetrySpec) -> GroupElement:
    """Return the scales that make the largest entry on the way into every unit 1.

    The largest entry, not a norm: it does not depend on the order of the entries, so copies that are only permuted get
    equal bits. A block waits until the other scales on its tensors are known.
    """
    scales = {block.name: np.ones(block.size) for block in spec.blocks}
    waiting = [block for block in spec.blocks if block.scales]
    owner = {(axis.tensor, axis.axis): (block, axis) for block in spec.blocks for axis in block.axes}
    while waiting:
        open_names = {block.name for block in waiting}
        ready = next(
            (found for found in waiting if _largest(arrays, owner, found, open_names, scales) is not None), None
        )
        if ready is None:
            raise ValueError(
                f"blocks {sorted(open_names)} rescale each other in a circle: canonicalize spec.only(signs=True) instead"
            )
        largest = _largest(arrays, owner, ready, open_names, scales)
        assert largest is not None
        scales[ready.name] = largest
        waiting.remove(ready)
    return GroupElement({block.name: Move(np.arange(block.size), scales=scales[block.name]) for block in spec.blocks})


def _largest(
    arrays: Mapping[str, Array],
    owner: Mapping[tuple[str, int], tuple[Block, Axis]],
    block: Block,
    waiting: set[str],
    scales: Mapping[str, Array],
) -> Array | None:
    """Return the scale of every unit of ``block``, or None if no tensor on the way in is free of unknown scales."""
    result = np.ones(block.size)
    undecided = np.ones(block.size, dtype=bool)
    usable = 0
    for role in ("in", "out"):
        peak = np.zeros(block.size)
        for axis in (axis for axis in block.axes if axis.role == role):
            others = [
                (dim, owner.get((axis.tensor, dim))) for dim in range(arrays[axis.tensor].ndim) if dim != axis.axis
            ]
            if any(found and found[0].name in waiting for _, found in others):
                continue
            usable += role == "in"
            peak = np.maximum(peak, _peaks(arrays[axis.tensor], block, axis, others, scales))
        power = 1.0 if role == "in" else -float(block.degree)
        decided = undecided & (peak > 0)
        if power:
            result[decided] = peak[decided] ** (-1.0 / power)
        undecided &= ~decided
    return result if usable else None


def _peaks(
    array: Array,
    block: Block,
    axis: Axis,
    others: list[tuple[int, tuple[Block, Axis] | None]],
    scales: Mapping[str, Array],
) -> Array:
    """Return the largest |entry| of every unit on one axis, after the other axes were rescaled."""
    values = np.abs(array).astype(np.float64)
    for dim, found in others:
        if found is None or found[1].role == "carry":
            continue
        other, place = found
        factor = scales[other.name] if place.role == "in" else scales[other.name] ** -float(other.degree)
        shape = [-1 if other_dim == dim else 1 for other_dim in range(array.ndim)]
        values = values * np.repeat(factor, place.repeat).reshape(shape)
    peaks: Array = np.moveaxis(values, axis.axis, 0).reshape(block.size, -1).max(axis=1)
    return peaks
