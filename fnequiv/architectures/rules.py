"""The rules' register: one function an operator, and how parameters enter.

Notation. A rule takes a :class:`Call` (the structure that is written down, and the node) and the operator's arguments
with tensors as :class:`~fnequiv.architectures.values.Value`; it returns the value of the result. An operator without a
rule freezes what it reads: the places of its operands are marked one by one, their factors held at 1, and a note says
so.

Chapter: "The symmetry of any model". Theorem: as in :mod:`fnequiv.architectures.structure`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .algebra import frozen
from .capture import where
from .structure import Structure
from .values import Leg, Value, plain

RULES: dict[str, Callable[..., Any]] = {}
_ROOMS = (
    "elementwise",
    "shaping",
    "joining",
    "linear",
    "convolution",
    "attention",
    "reducing",
    "normalising",
    "recurrent",
)
_FILLED = frozenset([
    "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros",
    "new_ones", "new_full", "scalar_tensor"
])  # fmt: skip
_SHIFTED = frozenset(
    [
        "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "expand",
        "select", "slice", "split", "chunk", "unbind", "narrow", "split_with_sizes", "contiguous", "clone", "dropout",
        "to", "_to_copy", "detach", "alias", "mean", "add", "sub", "linear", "matmul", "bmm", "softmax",
        "scaled_dot_product_attention", "repeat_interleave", "conv1d", "conv2d", "conv3d", "adaptive_avg_pool1d",
        "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_unsafe_view",
    ]
)  # fmt: skip
_FEW = 10**5  # entries of a constant that are computed
_RANDOM = frozenset([
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli", "normal",
    "multinomial", "poisson", "exponential", "uniform", "normal_", "uniform_", "bernoulli_", "exponential_",
    "rrelu_with_noise"
])  # fmt: skip


class RefusedError(ValueError):
    """The network has no function to compare: a message for its author."""


@dataclass(frozen=True, eq=False)
class Call:
    """One node of the graph, and the structure that it adds to."""

    structure: Structure
    node: torch.fx.Node

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the (first) result."""
        out = self.node.meta["val"]
        return tuple(out[0].shape if isinstance(out, (tuple, list)) else out.shape)

    def note(self, what: str) -> None:
        """Leave a sentence for the reader."""
        self.structure.notes.append(f"{what}: {where(self.node)}")

    def result(self) -> Any:
        """Return values of the result's shapes whose places are read one by one."""
        out = self.node.meta.get("val")
        if isinstance(out, (tuple, list)):
            return tuple(plain(each.shape) if isinstance(each, torch.Tensor) else each for each in out)
        return plain(out.shape) if isinstance(out, torch.Tensor) else out


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function for ATen operators of these names, whatever their overload."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        """Enter the function under all the names, and return it as it is."""
        for name in names:
            RULES[name] = function
        return function

    return register


def room_of(name: str) -> str | None:
    """Return the room that has the rule of an operator; None if there is none.

    Examples
    --------
    >>> room_of("relu"), room_of("no such operator")
    ('elementwise', None)
    """
    for room in _ROOMS:
        importlib.import_module(f".rules_{room}", __package__)
    return RULES[name].__module__.rpartition("_")[2] if name in RULES else None


def apply_rule(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the value of a node from its operands' values."""
    name = operator_name(call.node)
    room = room_of(name)
    if name in _RANDOM:
        raise RefusedError(
            f"{where(call.node)} draws random numbers in eval mode too, so there is no function to compare: "
            "pass the noise as an input"
        )
    if name in _FILLED:
        value = plain(call.shape)
        return replace(value, legs=tuple(replace(leg, constant=True) for leg in value.legs))
    operands = list(values_in((args, kwargs)))
    moved = any(value.terms or any(leg.units is not None for leg in value.legs) for value in operands)
    if not moved or all(value.content is not None for value in operands):
        return _folded(call, operands, args, kwargs)  # nothing here can move
    known = _keeps_shifts(name, args)
    if not known:
        for value in operands:
            call.structure.felt.extend([*value.shifts, *(ids for ids, _ in value.scores)])
        args, kwargs = torch.fx.node.map_aggregate((args, kwargs), _unshifted)
    if room is None:
        return froze(call, operands, "no rule for this operator, what it reads is left unmoved")
    try:
        found = RULES[name](call, *args, **kwargs)
    except RefusedError:
        raise
    except (TypeError, ValueError, IndexError, AttributeError, AssertionError, StopIteration):
        return froze(call, operands, "arguments that the operator's rule does not know, what it reads is left unmoved")
    found = found if known else torch.fx.node.map_aggregate(found, _unshifted)
    several = isinstance(call.node.meta["val"], (tuple, list)) and isinstance(found, Value)
    found = (found, *call.result()[1:]) if several else found
    if [value.shape for value in values_in(found)] != [value.shape for value in values_in(call.result())]:
        return froze(call, operands, "a result of another shape than the rule's, what is read is left unmoved")
    return found


def _folded(call: Call, operands: list[Value], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the plain result, with its entries if those of all operands are known and few."""
    found = call.result()
    small = isinstance(found, Value) and math.prod(found.shape) <= _FEW
    if small and all(value.content is not None for value in operands):
        run = torch.fx.node.map_aggregate((args, kwargs), lambda v: v.content if isinstance(v, Value) else v)
        return constant(call.node.target(*run[0], **run[1]), call.structure)  # type: ignore[operator]
    return found


def constant(content: torch.Tensor, structure: Structure) -> Value:
    """Return a tensor with known entries: places of an axis where they are equal may be exchanged."""
    value = replace(plain(content.shape), content=content)
    if content.is_meta or content.numel() > _FEW or content.is_complex():
        return value
    legs = []
    for axis, size in enumerate(content.shape):
        rows = content.movedim(axis, 0).reshape(size, -1)
        kinds = torch.unique(rows, dim=0, return_inverse=True)[1].numpy() if rows.numel() else np.arange(size)
        count = int(kinds.max(initial=0)) + 1
        line = [size if k == axis else 1 for k in range(content.dim())]
        if 1 < count < size:
            units = structure.fresh(tuple(line))
            for kind in range(count):
                structure.mark(units.ravel()[kinds == kind])
            legs.append(Leg(size, units))
        else:
            legs.append(Leg(size, None, count == 1 < size))
    return replace(value, legs=tuple(legs))


def _keeps_shifts(name: str, args: tuple[Any, ...]) -> bool:
    """Whether an operator leaves shifts what they are, or says what becomes of them."""
    if name in ("mul", "div"):
        return any(isinstance(each, (int, float)) for each in args)
    return name in _SHIFTED


def _unshifted(value: Any) -> Any:
    return replace(value, shifts=(), scores=(), convex=False) if isinstance(value, Value) else value


def froze(call: Call, operands: Iterable[Value], why: str) -> Any:
    """Return plain results after freezing the operands, and note why."""
    moved = [value for value in operands if any(leg.units is not None for leg in value.legs) or value.terms]
    for value in moved:
        frozen(value, call.structure)
    if moved:
        call.note(why)
    return call.result()


def operator_name(node: torch.fx.Node) -> str:
    """Return the operator's name without its overload."""
    target = node.target
    packet = getattr(target, "overloadpacket", None)
    return str(packet.__name__ if packet is not None else getattr(target, "__name__", target))


def values_in(tree: Any) -> Iterable[Value]:
    """Yield the values in nested arguments."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from values_in(each)
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from values_in(each)
