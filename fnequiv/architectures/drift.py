"""The last word is the network's: random elements of a group must not change what it computes.

Notation. The drift of g is max |f(x; gθ) - f(x; θ)| / max |f(x; θ)|, in double precision, over all outputs.

Theorem: Definition 1 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from ..equivalence.actions import apply
from ..equivalence.elements import GroupElement
from ..equivalence.group import identity, sample
from ..symmetry import SymmetrySpec
from .capture import tensors_of
from .given import arguments, copied, mapped

TOLERANCE = 1e-9
_MOST = 12  # elements that are drawn to tell flips of single units apart
_MARGIN = 256  # roundings of the coarsest type that a model converts its numbers to


def check_drift(
    model: nn.Module, example_inputs: object, spec: SymmetrySpec, types: Collection[torch.dtype] = ()
) -> None:
    """Raise unless random elements of the group leave the outputs alone, on the inputs and on others near them.

    ``types`` are those that the model converts numbers to: single precision rounds, and the check allows for it.

    Raises
    ------
    ValueError
        If the model returns NaN there, so that nothing can be compared.
    RuntimeError
        Naming the first block that changes the function on its own.
    """
    twin = copy.deepcopy(model).double().eval()
    args, kwargs = arguments(example_inputs)
    generator = np.random.default_rng(0)
    calls = [_moved((args, kwargs), None), _moved((args, kwargs), torch.Generator().manual_seed(0))]
    params = {name: tensor.detach().clone() for name, tensor in tensors_of(twin).items()}
    before = [_outputs(twin, call) for call in calls]
    numbers = [not any(bool(one.isnan().any()) for one in old) for old in before]
    if not numbers[0]:
        raise ValueError(
            "the model returns NaN on the example inputs in double precision, which cannot be compared: pass inputs "
            "on which its outputs are numbers"
        )
    calls, before = calls[: sum(numbers)], before[: sum(numbers)]  # near by, a logarithm may leave its domain
    tolerance = max([TOLERANCE, *(_MARGIN * torch.finfo(each).eps for each in types if each != torch.float64)])
    for element in _elements(spec, generator):
        if drift(twin, calls, before, params, spec, element) > tolerance:
            raise RuntimeError(_culprit(twin, calls, before, params, spec, element, tolerance))


def _elements(spec: SymmetrySpec, generator: np.random.Generator) -> Iterator[GroupElement]:
    """Return two random elements, and more until each block that can has been permuted, and has been flipped.

    Two alone leave a block of two units in place, and one that is wrong unseen, one time in four. Two blocks of one
    unit each that may only be flipped together are to be seen apart, unless there are too many.
    """
    unmoved = {block.name for block in spec.blocks if block.size > 1}
    unflipped = {block.name for block in spec.blocks if block.signs}
    single: dict[str, tuple[bool, ...]] = {block.name: () for block in spec.blocks if block.signs and block.size == 1}
    drawn = 0
    while drawn < 2 or unmoved or unflipped or (len(set(single.values())) < len(single) and drawn < _MOST):
        element = sample(spec, generator, spread=2.0)
        unmoved -= {name for name in unmoved if (np.diff(element[name].permutation) != 1).any()}
        unflipped -= {name for name in unflipped if element[name].flips}
        single = {name: (*flips, bool(element[name].flips)) for name, flips in single.items()}
        drawn += 1
        yield element


def _culprit(twin: nn.Module, calls: list[Any], before: list[Any], params: dict[str, torch.Tensor],
             spec: SymmetrySpec, element: GroupElement, tolerance: float) -> str:  # fmt: skip
    neutral = identity(spec)
    roots: dict[str, str] = {}  # blocks whose permutations are tied move together
    for block in spec.blocks:
        tied = block.within is not None and block.size == block.groups
        roots[block.name] = roots[block.within] if tied and block.within else block.name
    for block in spec.blocks:
        family = {name for name, root in roots.items() if root == roots[block.name]}
        moves = {name: (element if name in family else neutral)[name] for name in element.moves}
        found = drift(twin, calls, before, params, spec, GroupElement(moves))
        if found > tolerance:
            return (
                f"block {block.name!r} changes the function: an element of it alone moves the outputs by {found:.3g} "
                "relative; the inference is at fault, and no specification is returned"
            )
    return "the blocks together change the function, and none alone does: no specification is returned"


def drift(twin: nn.Module, calls: list[Any], before: list[Any], params: dict[str, torch.Tensor],
          spec: SymmetrySpec, element: GroupElement) -> float:  # fmt: skip
    """Return the greatest relative change of the outputs under one element."""
    return _gap(twin, calls, before, apply(params, spec, element), params)


def _gap(twin: nn.Module, calls: list[Any], before: list[Any], moved: dict[str, torch.Tensor],
         params: dict[str, torch.Tensor]) -> float:  # fmt: skip
    """Return the greatest relative change of the outputs with other parameters, and put the old ones back."""
    twin.load_state_dict(moved, strict=False)  # what is no tensor, an extra state, stays
    worst = 0.0
    for call, old in zip(calls, before, strict=True):
        for one, two in zip(old, _outputs(twin, call), strict=True):
            finite = one.isfinite()
            if not torch.equal(one[~finite], two[~finite]):  # a mask's infinities stay as they are
                worst = math.inf
            elif finite.any():
                gap = float((one[finite] - two[finite]).abs().max())
                scale = max(float(one[finite].abs().max()), 1e-300)
                worst = max(worst, gap / scale if math.isfinite(gap) else math.inf)
    twin.load_state_dict(params, strict=False)
    return worst


def _outputs(model: nn.Module, call: tuple[tuple[Any, ...], dict[str, Any]]) -> list[torch.Tensor]:
    args, kwargs = copied(call)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = list(_tensors(model(*args, **kwargs)))
    return [torch.view_as_real(each.to(torch.complex128)) if each.is_complex() else each.double() for each in found]


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from _tensors(each)
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from _tensors(each)
    elif hasattr(tree, "__dict__"):
        yield from _tensors(vars(tree))


def _moved(tree: Any, generator: torch.Generator | None) -> Any:
    """Return the tensors in double precision, floating ones moved by noise if there is a generator."""

    def change(tensor: torch.Tensor) -> torch.Tensor:
        """Return a floating tensor in double precision, moved by noise; any other as it is."""
        if not tensor.is_floating_point():
            return tensor
        noise = 0.0 if generator is None else torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        return tensor.detach().double() + noise

    return mapped(tree, change)
