"""The group acts on parameters: g·θ is another parameter set of the same function.

Notation. For a block behind hidden layer l with element (P, D): W^(l) ↦ D P W^(l), b^(l) ↦ D P b^(l) and
W^(l+1) ↦ W^(l+1) Pᵀ D'⁻¹, D = diag(s_i λ_i), where σ(D z) = D' σ(z): D' = D for an odd activation and for degree 1,
without signs behind an even one, λ_i^k for degree k. With D = 1 this is Proposition 1, with P = 1 Examples 1 and 2 of
Shen (2024). Any other architecture differs only in its :class:`~fnequiv.symmetry.SymmetrySpec`.

Chapter: "Functional equivalence". ``sample``, ``compose``, ``invert`` and ``identity`` are the group's own operations.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from .elements import GroupElement, Move, check_element
from .group import compose, identity, invert, sample
from .parameters import check_out, check_parameters
from .reordering import empty_like, reorder
from .rescaling import rescale_
from .unfolding import fold, unfold

__all__ = ["GroupElement", "Move", "apply", "check_parameters", "compose", "identity", "invert", "sample"]


def apply(
    params: Mapping[str, torch.Tensor],
    spec: SymmetrySpec,
    element: GroupElement,
    *,
    out: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Return g·θ as new tensors: the same function, other weights.

    Permutations and flips move bits and change none of them (but the sign). A scale is rounded to the dtype of the
    tensor, and rounds once a multiplication or division there; :mod:`fnequiv.equivalence.rescaling` says what is
    refused as too lossy.

    Parameters
    ----------
    params
        Every tensor of the network by name, as ``module.state_dict()`` returns them; never modified. Tensors that
        require a gradient are read without it.
    spec
        The network's specification.
    element
        An element of its group.
    out
        Tensors to write into instead of new ones, with the names, shapes, dtypes and devices of ``params`` and
        memory of their own. Worth it in a loop over a large network, where fresh memory costs more than the copies.

    Returns
    -------
    dict
        New tensors (or those of ``out``) with the names, order, shapes, dtype and device of ``params``. They are
        detached: autograd does not flow through the action, nor does it run under ``torch.func.vmap``.

    Raises
    ------
    TypeError
        If a value is no dense tensor, an argument is not of its type, or floating dtypes or devices are mixed.
    ValueError
        If names or shapes are not those of ``spec``, a tensor holds NaN or an infinity, the element is not of this
        group, ``out`` does not fit or overlaps ``params`` or itself in memory, or scales leave the range of the dtype.
        In the last case, and only then, ``out`` may hold part of the result.

    Notes
    -----
    Source: Proposition 1, Examples 1-3 of Shen (2024).

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = mlp.init((1, 2, 1), torch.Generator().manual_seed(0))
    >>> swap = GroupElement({"layer1": Move([1, 0])})
    >>> moved = apply(theta, mlp.spec((1, 2, 1), "relu"), swap)
    >>> bool((moved["0.bias"] == theta["0.bias"].flip(0)).all())
    True
    """
    check_element(element, spec)
    check_parameters(params, spec)
    if out is not None:
        check_out(out, params)
    if not spec.cells:
        return _moved(params, spec.flat, element, out)
    result = {name: empty_like(tensor) for name, tensor in params.items()} if out is None else dict(out)
    with torch.no_grad():
        moved = _moved(unfold(params, spec), spec.flat, element, {n: result[n] for n in spec.pieces if n in result})
        fold(moved, spec, result)
    return {name: result[name] for name in params}


def _moved(
    params: Mapping[str, torch.Tensor],
    spec: SymmetrySpec,
    element: GroupElement,
    out: Mapping[str, torch.Tensor] | None,
) -> dict[str, torch.Tensor]:
    """Return g·θ for a specification without cells, in ``out`` as far as it has a place."""
    orders: dict[tuple[str, int], torch.Tensor] = {}
    moved = {}
    with torch.no_grad():
        for name, tensor in params.items():
            here = {}
            for axis, block in spec.places[name]:
                key = block.name, axis.repeat
                if key not in orders:
                    orders[key] = _order(element[block.name], axis.repeat).to(tensor.device)
                here[axis.axis] = orders[key]
            moved[name] = out[name] if out and name in out else empty_like(tensor)
            reorder(tensor, here, moved[name])
        if any(move.flips or move.rescales for move in element.moves.values()):
            rescale_(moved, spec, element)
    return moved


def _order(move: Move, repeat: int) -> torch.Tensor:
    """Return the old place of every entry on an axis where each unit owns ``repeat`` entries."""
    entries = move.permutation if repeat == 1 else np.add.outer(move.permutation * repeat, np.arange(repeat)).ravel()
    return torch.tensor(entries, device="cpu")
