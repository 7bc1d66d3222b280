"""The group acts on parameters: g·θ is another parameter set of the same function.

Notation. For a block behind hidden layer l with element (P, D): W^(l) ↦ D P W^(l), b^(l) ↦ D P b^(l) and
W^(l+1) ↦ W^(l+1) Pᵀ D⁻¹, D = diag(s_i λ_i); with D = 1 this is Proposition 1, with P = 1 Examples 1 and 2 of Shen
(2024). Any other architecture differs only in its :class:`~fnequiv.symmetry.SymmetrySpec`.

Chapter: "Functional equivalence". ``sample``, ``compose``, ``invert`` and ``identity`` are the group's own operations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from ..symmetry import Axis, Block, SymmetrySpec
from .elements import GroupElement, Move, check_element, compose, identity, invert, sample

__all__ = ["GroupElement", "Move", "apply", "check_parameters", "compose", "identity", "invert", "sample"]

# Rows are gathered in pieces that stay in the second-level cache between the two passes over them.
_PIECE_BYTES = 1 << 19
# Above this size fresh memory costs more than the copy, unless it comes in huge pages.
_LARGE_BYTES = 1 << 22


def apply(
    params: Mapping[str, torch.Tensor],
    spec: SymmetrySpec,
    element: GroupElement,
    *,
    out: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, torch.Tensor]:
    """Return g·θ as new tensors: the same function, other weights.

    Permutations and flips move bits and change none of them (but the sign). Scales round once a multiplication or
    division, in the dtype of the tensor.

    Parameters
    ----------
    params
        Every tensor of the network by name, as ``module.state_dict()`` returns them; never modified.
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
        New detached tensors (or those of ``out``) with the names, order, shapes, dtype and device of ``params``.

    Raises
    ------
    TypeError
        If a value is no tensor, or floating dtypes are mixed.
    ValueError
        If names or shapes are not those of ``spec``, a tensor holds NaN or an infinity, the element is not of this
        group, ``out`` does not fit or shares memory with ``params``, or a scale leaves the range of the dtype.

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
    if out is None:
        out = {name: _empty_like(tensor) for name, tensor in params.items()}
    else:
        _check_out(out, params)
    orders = {block.name: torch.tensor(element[block.name].permutation) for block in spec.blocks}
    rescaled = {block.name for block in spec.blocks if (element[block.name].factors != 1).any()}
    places: dict[str, list[tuple[Axis, Block]]] = {name: [] for name in params}
    for block in spec.blocks:
        for axis in block.axes:
            places[axis.tensor].append((axis, block))
    with torch.no_grad():
        for name, tensor in params.items():
            indices = {axis.axis: _index(axis, orders[block.name], tensor.device) for axis, block in places[name]}
            _gather(tensor, indices, out[name])
            for axis, block in places[name]:
                if block.name in rescaled:
                    _multiply_(out[name], axis, block, element[block.name])
    return {name: out[name] for name in params}


def check_parameters(params: Mapping[str, torch.Tensor], spec: SymmetrySpec) -> None:
    """Raise unless ``params`` is a finite parameter set of the network that ``spec`` describes.

    Raises
    ------
    TypeError
        If it is no mapping, a value is no dense tensor, or floating dtypes or devices are mixed.
    ValueError
        If names or shapes differ from those of ``spec``, or a tensor holds NaN or an infinity.
    """
    if not isinstance(params, Mapping):
        raise TypeError(f"params must map names to tensors, as state_dict() does, got {type(params).__name__}")
    for name, tensor in params.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout is not torch.strided:
            raise TypeError(f"tensor {name!r} must be a dense torch.Tensor, got {type(tensor).__name__}")
    spec.check_shapes({name: tuple(tensor.shape) for name, tensor in params.items()})
    kinds = {(tensor.dtype, tensor.device) for tensor in params.values() if tensor.is_floating_point()}
    if len(kinds) > 1:
        names = sorted(f"{dtype} on {device}" for dtype, device in kinds)
        raise TypeError(f"tensors mix {' and '.join(names)}: convert them to one dtype and device first")
    for axis in (axis for block in spec.blocks for axis in block.axes):
        if not params[axis.tensor].is_floating_point():
            raise TypeError(f"tensor {axis.tensor!r} must be floating point, got {params[axis.tensor].dtype}")
    for name, tensor in params.items():
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise ValueError(f"tensor {name!r} holds NaN or an infinity: every weight must be finite")


def _check_out(out: Mapping[str, torch.Tensor], params: Mapping[str, torch.Tensor]) -> None:
    if set(out) != set(params):
        raise ValueError(f"out must hold the tensors {list(params)}, got {list(out)}")
    memory = {tensor.untyped_storage().data_ptr(): name for name, tensor in params.items()}
    for name, tensor in params.items():
        found, wanted = out[name], (tensor.shape, tensor.dtype, tensor.device)
        if (found.shape, found.dtype, found.device) != wanted or not found.is_contiguous() or found.requires_grad:
            raise ValueError(
                f"out[{name!r}] must be a contiguous tensor without gradient like params[{name!r}]: {wanted}"
            )
        owner = memory.setdefault(found.untyped_storage().data_ptr(), f"out[{name!r}]")
        if owner != f"out[{name!r}]":
            raise ValueError(f"out[{name!r}] shares memory with {owner!r}: make it with torch.empty_like")


def _is_finite(tensor: torch.Tensor) -> bool:
    # One reduction finds every NaN and infinity. Its own overflow is told apart by the exact, slower test.
    return math.isfinite(tensor.detach().sum()) or bool(torch.isfinite(tensor).all())


def _index(axis: Axis, order: torch.Tensor, device: torch.device) -> torch.Tensor:
    if axis.repeat > 1:
        order = (order[:, None] * axis.repeat + torch.arange(axis.repeat)).flatten()
    return order.to(device)


def _gather(tensor: torch.Tensor, indices: dict[int, torch.Tensor], out: torch.Tensor) -> None:
    """Write ``tensor`` with each axis in ``indices`` reordered to ``out``, piece by piece if there are several."""
    if not indices:
        out.copy_(tensor)
        return
    (first, rows), *rest = sorted(indices.items())
    if first > 0 or not rest:
        _select(tensor, indices, out)
        return
    row_bytes = max(1, tensor[0].numel() * tensor.element_size())
    count = max(1, _PIECE_BYTES // row_bytes)
    for start in range(0, len(rows), count):
        piece = tensor.index_select(first, rows[start : start + count])
        _select(piece, dict(rest), out[start : start + count])


def _select(tensor: torch.Tensor, indices: dict[int, torch.Tensor], out: torch.Tensor) -> None:
    *others, (last, index) = sorted(indices.items())
    for axis, other in others:
        tensor = tensor.index_select(axis, other)
    if last == tensor.ndim - 1 and last > 0:
        # Along the contiguous axis gather walks memory in order; index_select would stride through it.
        torch.gather(tensor, last, index.expand(tensor.shape), out=out)
    else:
        torch.index_select(tensor, last, index, out=out)


def _empty_like(tensor: torch.Tensor) -> torch.Tensor:
    size = tensor.numel() * tensor.element_size()
    if tensor.device.type != "cpu" or size < _LARGE_BYTES:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    # NumPy asks the system for huge pages and torch does not: a third of the time for a 64 MB tensor.
    return torch.from_numpy(np.empty(size, np.uint8)).view(tensor.dtype).view(tensor.shape)


def _multiply_(out: torch.Tensor, axis: Axis, block: Block, move: Move) -> None:
    """Multiply ``out`` in place by what signs and scales do on ``axis``."""
    if axis.role == "carry":
        return
    leaving = axis.role == "out"
    signs = np.ones_like(move.signs) if leaving and block.even else move.signs
    factors = signs * (move.scales**block.degree if leaving else move.scales)
    shape = [-1 if dim == axis.axis else 1 for dim in range(out.ndim)]
    # The way in and the way out must use the same rounded scale, so round to the tensor's dtype first.
    factor = torch.tensor(np.repeat(factors, axis.repeat), device=out.device).to(out.dtype).view(shape)
    if not bool((torch.isfinite(factor) & (factor != 0)).all()):
        raise ValueError(f"a scale of block {block.name!r} leaves the range of {out.dtype}: use smaller scales")
    before = _count_normal(out) if block.scales else 0
    if leaving:
        out.div_(factor)
    else:
        out.mul_(factor)
    if block.scales and (_count_normal(out) < before or not _is_finite(out)):
        raise ValueError(f"rescaling block {block.name!r} leaves the range of {out.dtype} in tensor {axis.tensor!r}")


def _count_normal(tensor: torch.Tensor) -> int:
    """Count the entries with full precision: a weight that underflows would change the function silently."""
    return int((tensor.abs() >= torch.finfo(tensor.dtype).tiny).sum())
