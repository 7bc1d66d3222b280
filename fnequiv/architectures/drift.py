"""The last word is the network's: random elements of a group must not change what it computes.

Notation. The drift of g is max |f(x; gθ) - f(x; θ)| / max |f(x; θ)|, in double precision, over all outputs.

Theorem: Definition 1 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from ..equivalence.actions import apply
from ..equivalence.elements import GroupElement
from ..equivalence.group import identity, sample
from ..symmetry import SymmetrySpec
from .capture import arguments

TOLERANCE = 1e-9
_MARGIN = 256  # roundings of the coarsest type that a model converts its numbers to


def check_drift(
    model: nn.Module, example_inputs: object, spec: SymmetrySpec, types: Collection[torch.dtype] = ()
) -> None:
    """Raise unless two random elements of the group leave the outputs alone, on the inputs and on others near them.

    ``types`` are those that the model converts numbers to: single precision rounds, and the check allows for it.

    Raises
    ------
    RuntimeError
        Naming the first block that changes the function on its own.
    """
    twin = copy.deepcopy(model).double().eval()
    args, kwargs = arguments(example_inputs)
    generator = np.random.default_rng(0)
    calls = [_moved((args, kwargs), None), _moved((args, kwargs), torch.Generator().manual_seed(0))]
    params = {name: tensor.detach().clone() for name, tensor in twin.state_dict().items()}
    before = [_outputs(twin, call) for call in calls]
    tolerance = max([TOLERANCE, *(_MARGIN * torch.finfo(each).eps for each in types if each != torch.float64)])
    for _ in range(2):
        element = sample(spec, generator, spread=2.0)
        if drift(twin, calls, before, params, spec, element) > tolerance:
            raise RuntimeError(_culprit(twin, calls, before, params, spec, element, tolerance))


def _culprit(twin: nn.Module, calls: list[Any], before: list[Any], params: dict[str, torch.Tensor],
             spec: SymmetrySpec, element: GroupElement, tolerance: float) -> str:  # fmt: skip
    neutral = identity(spec)
    for block in spec.blocks:
        family = {block.name}
        for other in spec.blocks:
            if other.within in family and other.size == other.groups:
                family.add(other.name)
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
    twin.load_state_dict(moved)
    worst = 0.0
    for call, old in zip(calls, before, strict=True):
        for one, two in zip(old, _outputs(twin, call), strict=True):
            scale = float(one.abs().max()) if one.numel() else 0.0
            gap = float((one - two).abs().max()) if one.numel() else 0.0
            worst = max(worst, gap / max(scale, 1e-300) if gap == gap else float("inf"))
    twin.load_state_dict(params)
    return worst


def _outputs(model: nn.Module, call: tuple[tuple[Any, ...], dict[str, Any]]) -> list[torch.Tensor]:
    args, kwargs = call
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return [tensor.double() for tensor in _tensors(model(*args, **kwargs))]


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
    if isinstance(tree, torch.Tensor):
        if not tree.is_floating_point():
            return tree
        noise = 0.0 if generator is None else torch.randn(tree.shape, generator=generator, dtype=torch.float64)
        return tree.detach().double() + noise
    if isinstance(tree, dict):
        return {key: _moved(each, generator) for key, each in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(_moved(each, generator) for each in tree)
    return tree
