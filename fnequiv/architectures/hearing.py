"""What an output hears: for every value of a graph the entries that it depends on, found from the outputs backwards.

Notation. A *mask* tells the entries of a value that are asked for; ``True`` stands for all of them. Operators that copy
entries are asked by differentiating them: the mask is what flows back. Operators that act entry by entry hand it on, a
linear layer asks for the rows of its weight whose results are asked for, a norm over channels alike. Any other asks for
everything. So what is left out is heard by no output, whatever the weights.

Chapter: "The symmetry of any model". Theorem: as in :mod:`fnequiv.architectures.structure`: an entry that nothing hears
may be anything, and a group that moved it would count that as symmetry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch.fx import Node

from .rules import operator_name, room_of

Mask = torch.Tensor | Literal[True]
_COPIES = frozenset([
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "t",
    "movedim", "expand", "expand_as", "repeat", "slice", "narrow", "select", "split", "split_with_sizes", "chunk",
    "unbind", "flip", "roll", "cat", "concat", "stack", "hstack", "vstack", "constant_pad_nd", "pad", "pixel_shuffle",
    "channel_shuffle",
])  # fmt: skip
_MIXED = frozenset(["glu", "prelu", "_prelu_kernel"])  # act on entries, yet not on those of one place alone


def hearing(nodes: Sequence[Node]) -> dict[Node, Mask]:
    """Return a mask for every node that an output depends on, and for the output."""
    found: dict[Node, Any] = {}
    for node in reversed(nodes):
        if node.op == "output":
            found[node] = True
            for operand in node.all_input_nodes:
                found[operand] = True
        elif node.op == "call_function" and node in found:
            for operand, mask in _asked(node, found[node]):
                _join(found, operand, mask)
    return found


def _join(found: dict[Node, Any], node: Node, mask: Mask | dict[int, Mask]) -> None:
    """Add to what is asked of a node; of one with several results, result by result."""
    if isinstance(mask, dict):
        known = found.setdefault(node, {})
        for k, part in mask.items():
            if known is not True:
                _join(known, k, part)  # type: ignore[arg-type]
    elif mask is True or mask.any():
        before = found.get(node)
        whole = mask if before is None else True if before is True or mask is True else mask | before
        found[node] = True if whole is True or whole.all() else whole


def _asked(node: Node, mask: Any) -> Iterator[tuple[Node, Any]]:
    """Yield the operands of a node, and what it asks of each."""
    name = operator_name(node)
    operands = [each for each in node.all_input_nodes if isinstance(each.meta.get("val"), torch.Tensor)]
    if name == "getitem":
        yield node.args[0], {node.args[1]: mask} if operator_name(node.args[0]) in _COPIES else True  # type: ignore
    elif name in _COPIES:
        yield from _copied(node, operands, mask)
    elif mask is True or isinstance(mask, dict):
        yield from ((each, True) for each in node.all_input_nodes)
    else:
        own = _own(node, name, mask)
        for each in node.all_input_nodes:
            yield each, own.get(each, True)


def _copied(node: Node, operands: list[Node], mask: Any) -> Iterator[tuple[Node, Mask]]:
    """Yield the operands of an operator that copies entries, and the entries that it takes where the mask asks."""
    out = node.meta["val"]
    if mask is True and not isinstance(out, (tuple, list)) and all(_size(each) <= out.numel() for each in operands):
        yield from ((each, True) for each in operands)
        return
    with torch.enable_grad():
        leaves = {each: torch.zeros(each.meta["val"].shape, requires_grad=True) for each in operands}
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), leaves.get)
        results = node.target(*args, **kwargs)  # type: ignore[operator]
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        masks = [mask.get(k) if isinstance(mask, dict) else mask for k in range(len(results))]
        pairs = [(one, asked) for one, asked in zip(results, masks, strict=True) if asked is not None]
        flow = [torch.ones_like(one) if asked is True else asked.to(one.dtype) for one, asked in pairs]
        back = torch.autograd.grad([one for one, _ in pairs], list(leaves.values()), flow, allow_unused=True)
    yield from ((each, part > 0) for each, part in zip(leaves, back, strict=True) if part is not None)


def _size(node: Node) -> int:
    return int(node.meta["val"].numel())


def _own(node: Node, name: str, mask: torch.Tensor) -> dict[Node, Mask]:
    """Return what an operator asks of those operands of which it does not ask everything."""
    args = [each if isinstance(each, Node) else None for each in node.args]
    shapes = [None if each is None else tuple(each.meta["val"].shape) for each in args]
    own: list[Mask] = [True] * len(args)
    if name == "linear":
        rows = mask.reshape(-1, mask.shape[-1]).any(0)
        own = [mask.any(-1, keepdim=True), rows[:, None], rows]
    elif name in ("matmul", "mm", "bmm") and all(shape is not None and len(shape) > 1 for shape in shapes):
        own = [mask.any(-1, keepdim=True), mask.any(-2, keepdim=True)]
    elif name.startswith("conv") and "transpose" not in name and mask.dim() == len(shapes[1] or ()):
        rows = mask.transpose(0, 1).flatten(1).any(1)
        own[1:3] = [rows.reshape(-1, *[1] * (mask.dim() - 1)), rows]
    elif name == "batch_norm" and node.args[3] is not None:
        own[:5] = [mask, *[mask.transpose(0, 1).flatten(1).any(1)] * 4]
    elif name in ("layer_norm", "rms_norm"):
        axes = tuple(range(-len(node.args[1]), 0))  # type: ignore[arg-type]
        own = [mask.any(axes, keepdim=True), True, mask, mask]
    elif name not in _MIXED and room_of(name) == "elementwise":
        own = [mask] * len(args)
    found: dict[Node, Mask] = {}
    for each, part, shape in zip(args, own, shapes, strict=False):
        if each is not None and shape is not None:
            _join(found, each, part if part is True else _fitted(part, shape))
            found.setdefault(each, torch.zeros(shape, dtype=torch.bool))
    return found


def _fitted(mask: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the mask of an operand that is broadcast to what the mask is of."""
    full = torch.broadcast_shapes(mask.shape, shape)
    return mask.expand(full).to(torch.int64).sum_to_size(shape) > 0
