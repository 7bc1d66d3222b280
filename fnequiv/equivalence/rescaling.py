"""Multiply the ways in, divide the ways out, and refuse where a dtype has too few digits for it.

Notation. fl(x) is x rounded to the dtype of the tensors and u its relative error; below the smallest normal number,
``tiny``, an error is as large as u·tiny. The way in to unit i is multiplied by s_i fl(λ_i). Its way out is divided by
s_i fl(fl(λ_i)^k), k the degree of the activation: for k = 1 by the very number that multiplied the way in, so that
the rounding of λ_i itself cancels; for other k its power is rounded once more.

The rule. A weight that falls below ``tiny`` loses digits. That matters as far as it mattered in the sum that it is part
of: the weighted sum of one neuron. Let m be the largest |weight| on the way in to a neuron, bias included, c the
factor on it and c' the least product of the other factors on its weights. Scales are refused unless
m · min(1, c) · min(1, c') ≥ tiny, or m = 0. Then no rounding, moved back by g⁻¹, changes a weight by more than
u·m: the new network is the old one with its weights changed by a few roundings of the neuron's largest.

Theorem: Examples 1 and 2 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ..symmetry import Axis, Block, SymmetrySpec
from .elements import GroupElement, Move
from .parameters import is_finite

_Factors = dict[tuple[str, int], torch.Tensor]


def rescale_(moved: Mapping[str, torch.Tensor], spec: SymmetrySpec, element: GroupElement) -> None:
    """Multiply and divide tensors, whose units are in their new places already, by the signs and scales of ``element``.

    Raises
    ------
    ValueError
        If a scale is no normal number of the dtype, a neuron would lose digits by the rule above, or a weight would
        overflow. Then tensors may hold part of the result.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = {"0.weight": torch.ones(2, 1), "2.weight": torch.ones(1, 2)}
    >>> g = GroupElement({"layer1": Move([0, 1], scales=[2.0, 3.0])})
    >>> rescale_(theta, mlp.spec(theta, "square"), g)
    >>> theta["0.weight"].tolist(), [round(w, 4) for w in theta["2.weight"][0].tolist()]
    ([[2.0], [3.0]], [0.25, 0.1111])
    """
    factors: _Factors = {}
    for block in spec.blocks:
        move = element[block.name]
        for axis in block.axes:
            if axis.role != "carry" and (move.flips or move.rescales):
                factors[axis.tensor, axis.axis] = _factor(block, move, axis, moved[axis.tensor])
    rescaled = {axis.tensor for block in spec.blocks if element[block.name].rescales for axis in block.axes}
    _check_digits({name: spec.places[name] for name in moved if name in rescaled}, moved, factors)
    for name, places in spec.places.items():
        for axis, _ in places:
            if (factor := factors.get((name, axis.axis))) is not None:
                factor = factor.view([-1 if dim == axis.axis else 1 for dim in range(moved[name].ndim)])
                if axis.role == "out":
                    moved[name].div_(factor)
                else:
                    moved[name].mul_(factor)
    for name in moved:
        if name in rescaled and not is_finite(moved[name]):
            dtype = moved[name].dtype
            raise ValueError(f"rescaling leaves the range of {dtype} in tensor {name!r}: {_remedy(dtype)}")


def _factor(block: Block, move: Move, axis: Axis, tensor: torch.Tensor) -> torch.Tensor:
    dtype, leaving = tensor.dtype, axis.role == "out"
    scales = torch.tensor(move.scales, device="cpu").to(dtype)
    if leaving and block.degree != 1:
        scales = (scales.double() ** block.degree).to(dtype)
    _check_normal(scales, block)
    if not (leaving and block.even):
        scales *= torch.tensor(move.signs, dtype=dtype, device="cpu")
    return scales.repeat_interleave(axis.repeat).to(tensor.device)


def _check_normal(scales: torch.Tensor, block: Block) -> None:
    if not bool((torch.isfinite(scales) & (scales >= torch.finfo(scales.dtype).tiny)).all()):
        raise ValueError(f"a scale of block {block.name!r} leaves the range of {scales.dtype}: {_remedy(scales.dtype)}")


def _check_digits(
    places: Mapping[str, tuple[tuple[Axis, Block], ...]], moved: Mapping[str, torch.Tensor], factors: _Factors
) -> None:
    """Hold every neuron that reads a rescaled tensor to the rule of this module; tensors are not yet rescaled."""
    reach: dict[str, torch.Tensor] = {}
    for name, pairs in places.items():
        tensor, tiny = moved[name], torch.finfo(moved[name].dtype).tiny
        least = {axis: _least(factors, axis) for axis, _ in pairs}
        neurons = [(axis, block) for axis, block in pairs if axis.role == "in"]
        for axis, block in neurons:
            if block.name not in reach:
                reach[block.name] = _largest_way_in(block, moved)
            largest = reach[block.name].repeat_interleave(axis.repeat)
            others = math.prod(least[other] for other, _ in pairs if other is not axis)
            own = factors.get((name, axis.axis), torch.ones_like(largest)).double().abs().clamp(max=1)
            _check_sums(largest, largest * own * others, tiny, tensor, name)
        leaving = [axis.axis for axis, _ in pairs if axis.role == "out"]
        if leaving and not neurons and tensor.numel():
            largest = torch.maximum(tensor.amax(leaving), -tensor.amin(leaving)).double()
            _check_sums(largest, largest * math.prod(least.values()), tiny, tensor, name)


def _least(factors: _Factors, axis: Axis) -> float:
    """Return the least number, at most 1, that entries along ``axis`` are multiplied by."""
    if (axis.tensor, axis.axis) not in factors:
        return 1.0
    sizes = factors[axis.tensor, axis.axis].double().abs()
    return min(1.0, 1 / float(sizes.max()) if axis.role == "out" else float(sizes.min()))


def _largest_way_in(block: Block, moved: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the largest absolute weight on the way in to each unit, over all tensors that hold one."""
    found = [torch.zeros(block.size, dtype=torch.float64, device=moved[block.axes[0].tensor].device)]
    for axis in block.axes:
        if axis.role == "in" and moved[axis.tensor].numel():
            low, high = moved[axis.tensor].movedim(axis.axis, 0).reshape(block.size, -1).aminmax(dim=1)
            found.append(torch.maximum(high, -low).double())
    return torch.stack(found).amax(0)


def _check_sums(largest: torch.Tensor, after: torch.Tensor, tiny: float, tensor: torch.Tensor, name: str) -> None:
    wrong = (largest > 0) & (after < tiny)
    if bool(wrong.any()):
        raise ValueError(
            f"rescaling leaves the range of {tensor.dtype} in tensor {name!r}: a neuron whose largest weight is "
            f"{float(largest[wrong].min()):.3g} would lose digits; {_remedy(tensor.dtype)}"
        )


def _remedy(dtype: torch.dtype) -> str:
    nearer = "use scales closer to 1"
    return nearer if dtype == torch.float64 else f"{nearer}, or convert the parameters first: tensor.double()"
