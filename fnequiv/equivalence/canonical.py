r"""One representative of every orbit: the canonical form, its fingerprint, and the paper's sorted biases.

Notation. A canonical form is a map c with c(θ) in the orbit of θ and c(g·θ) = c(θ) for every g of the group.
Permutations and flips move bits and change none, so there the equality is exact, bit for bit. A scale λ rounds; of a
block that may be rescaled, every unit is divided by its size (:mod:`fnequiv.equivalence.measuring`), and the order is
that of the entries rounded away from ties (:mod:`fnequiv.equivalence.clustering`), so that c(g·θ) and c(θ) differ by
rounding alone.

The proof of Theorem 1 of Shen (2024) takes the networks with sorted biases as representatives: :func:`sort_biases`.
Where two biases are equal that names several networks of one orbit; :func:`canonicalize` names one. Chapter: "Telling
networks apart".
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from ..validation import check_integer
from .actions import apply
from .arrays import Params, array_of, arrays_of, bytes_of
from .axes import moving
from .clustering import numbered
from .elements import GroupElement, Move, check_spec
from .group import compose, invert
from .labelling import Labelling, label_arrays
from .measuring import Sizes, exact
from .memberships import gathered, lift, lifted
from .parameters import check_parameters
from .unfolding import unfold


def canonicalize(params: Params, spec: SymmetrySpec, *, max_nodes: int = 10_000) -> dict[str, torch.Tensor]:
    """Return the canonical form of a network: the same for every network of its orbit.

    Parameters
    ----------
    params
        Every tensor of the network by name; never modified.
    spec
        The network's specification, of any architecture.
    max_nodes
        How many colour refinements ties may cost. Networks whose units differ, duplicate units and dead units need
        none.

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
    Units that hang together with one another alone, and with no input, bias or output, keep the scales that they have:
    no output depends on them, and :func:`~fnequiv.equivalence.reduction.reduce` removes them.

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
    check_spec(spec)
    check_parameters(params, spec)
    flat = lifted(spec)
    found = label_checked(lift(params, spec), flat, max_nodes=max_nodes)
    return found if flat is spec else replace(found, element=gathered(found.element, spec))


def label_checked(params: Params, spec: SymmetrySpec, *, max_nodes: int) -> Labelling:
    """Return the labelling of checked parameters without cells and nested blocks (see :func:`memberships.lift`)."""
    spec = moving(spec)
    arrays = arrays_of(params, spec)
    if not any(block.scales for block in spec.blocks):
        return label_arrays(arrays, spec, max_nodes=max_nodes)
    sizes = Sizes(arrays, spec, exact(spec))
    if not sizes.usable:
        raise ValueError("the units' sizes leave the range of float64: canonicalize spec.only(signs=True) instead")
    scale = GroupElement({name: Move(np.arange(len(size)), scales=1 / size) for name, size in sizes.sizes.items()})
    found = label_arrays(numbered(sizes), spec, max_nodes=max_nodes)
    back = invert(scale)
    return replace(
        found,
        element=compose(found.element, scale),
        automorphisms=tuple(compose(back, compose(each, scale)) for each in found.automorphisms),
    )


def fingerprint(params: Params, spec: SymmetrySpec, *, max_nodes: int = 10_000) -> str:
    """Return a hash that is equal for networks that differ by a permutation and flips, and for no others.

    It hashes names, shapes, dtypes and the bits of the canonical form under permutations and flips alone. A rescaled
    copy, a rounded one or one in another dtype has another fingerprint: use
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
    check_spec(spec)
    spec = spec.only(signs=True)
    canonical = canonicalize(params, spec, max_nodes=max_nodes)
    digest = hashlib.blake2b(digest_size=32)
    for name in sorted(canonical):
        tensor = canonical[name]
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype};".encode())
        digest.update(bytes_of(tensor))
    return digest.hexdigest()


def sort_biases(params: Params, spec: SymmetrySpec) -> dict[str, torch.Tensor]:
    """Return the paper's representative: the units of every block in the order of their biases.

    Where biases are distinct it is one network an orbit under permutations. Where two are equal (all of them, in a
    network without training or without biases) the order of those units stays as it was found. Units of a nested block
    are sorted run by run, and its runs go where the parent's units go; a run of one unit needs no bias.

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
    check_spec(spec)
    check_parameters(params, spec)
    with torch.no_grad():
        pieces = unfold(params, spec)
    moves: dict[str, Move] = {}
    for block in spec.blocks:
        bias = next((axis for axis in block.axes if axis.role == "in" and len(spec.pieces[axis.tensor]) == 1), None)
        if block.within is not None and block.size == block.groups:
            moves[block.name] = moves[block.within]
            continue
        if bias is None or bias.repeat != 1:
            raise ValueError(f"block {block.name!r} has no bias to sort: use canonicalize")
        moves[block.name] = Move(np.argsort(array_of(pieces[bias.tensor]), kind="stable"))
    return apply(params, spec, gathered(GroupElement(moves), spec))
