"""Rules of operators that move places about: views, slices, concatenations, copies.

Notation. Nothing is computed, so factors pass. A slice marks the units it takes as a set; a concatenation, or a gather
that takes a place twice, makes a new leg whose units are related to those they copy.

Theorem: as in :mod:`fnequiv.architectures.structure`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .algebra import aligned
from .rules import Call, froze, rule, values_in
from .structure import Ids, Structure
from .values import Leg, Value, merge_legs, permute, plain, reshape, with_axes


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
      "_reshape_alias", "ravel", "squeeze_", "unsqueeze_")  # fmt: skip
def viewed(call: Call, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Another shape, row-major."""
    if value.shape == call.shape:
        return value
    return reshape(value, call.shape, call.structure)


@rule("permute", "transpose", "t", "movedim", "swapaxes", "swapdims", "adjoint", "moveaxis", "numpy_T", "mT", "mH")
def transposed(call: Call, value: Value, *args: Any) -> Value:
    """Another order of the axes, found by running the operator on an index of axes."""
    probe = torch.empty(tuple(range(2, 2 + len(value.groups))), device="meta")
    order = [size - 2 for size in call.node.target(probe, *args).shape]  # type: ignore[operator]
    return permute(value, order)


@rule("expand", "expand_as", "broadcast_to", "expand_copy")
def expanded(call: Call, value: Value, *args: Any, **kwargs: Any) -> Value:
    """Copies along axes of size 1: the value is constant there."""
    target = replace(plain(call.shape), legs=tuple(Leg(size, None, True) for size in call.shape))
    return aligned([value, target], call.structure)[0]


@rule("repeat", "tile")
def repeated(call: Call, value: Value, repeats: Sequence[int]) -> Value:
    """Copies of the whole along axes."""
    repeats = [1] * (len(value.groups) - len(repeats)) + list(repeats)
    value = replace(value, groups=(0,) * (len(repeats) - len(value.groups)) + value.groups)
    kept: list[int | None] = []
    sizes, groups = [], []
    for times, (start, stop) in zip(repeats, value.spans, strict=True):
        extra = [None] if times > 1 else []
        kept += [*extra, *range(start, stop)]
        sizes += [times] * len(extra) + [leg.size for leg in value.legs[start:stop]]
        groups.append(len(extra) + stop - start)
    return replace(with_axes(value, kept, sizes), groups=tuple(groups))


@rule("repeat_interleave")
def interleaved(call: Call, value: Value, repeats: Any, dim: int | None = None, **kwargs: Any) -> Value:
    """Every place along an axis several times in a row."""
    if not isinstance(repeats, int) or dim is None:
        return froze(call, list(values_in((value, repeats))), "copies by a tensor of counts")
    _start, stop = value.spans[dim % len(value.groups)]
    kept: list[int | None] = [*range(stop), None, *range(stop, len(value.legs))]
    sizes = [leg.size for leg in value.legs]
    sizes.insert(stop, repeats)
    groups = [n + (axis == dim % len(value.groups)) for axis, n in enumerate(value.groups)]
    return replace(with_axes(value, kept, sizes), groups=tuple(groups))


def gathered(value: Value, axis: int, places: Ids, structure: Structure) -> Value:
    """Return the value at some places of an axis, in their order."""
    start, stop = value.spans[axis]
    if stop - start > 1:
        value = merge_legs(value, start, stop, structure)
    size = value.legs[start].size
    leg = value.legs[start]

    def change(ids: Ids) -> Ids:
        """Return the identifiers at the chosen places."""
        return ids.take(places, axis=start) if ids.shape[start] > 1 else ids

    out = value.mapped(change, value.legs, lambda k: {k})
    units = out.legs[start].units
    if units is not None and len(np.unique(places)) < len(places):
        copies = structure.fresh(units.shape)
        structure.relate(copies, units)
        structure.mark(copies)
        units = copies
    if units is not None and size > 1 and not np.array_equal(np.unique(places), np.arange(size)):
        structure.mark(out.legs[start].units)  # type: ignore[arg-type]
    legs = [*out.legs]
    legs[start] = Leg(len(places), units, leg.constant)
    return replace(out, legs=tuple(legs))


@rule("select", "unbind")
def selected(call: Call, value: Value, dim: int = 0, index: int | None = None) -> Any:
    """One place of an axis, or each of them."""
    axis = dim % len(value.groups)
    size = value.shape[axis]
    kept = [n for k, n in enumerate(value.shape) if k != axis]
    places = range(size) if index is None else [index % size]
    found = [gathered(value, axis, np.array([place]), call.structure) if size > 1 else value for place in places]
    found = [reshape(each, kept, call.structure) for each in found]
    return tuple(found) if index is None else found[0]


@rule("slice", "narrow", "split", "split_with_sizes", "chunk", "flip", "roll", "tensor_split", "unsafe_chunk",
      "unsafe_split")  # fmt: skip
def sliced(call: Call, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Some places of an axis, found by running the operator on an index of each axis."""
    out = call.node.meta["val"]
    results = [value] * (len(out) if isinstance(out, (tuple, list)) else 1)
    rank = len(value.groups)
    for axis, size in enumerate(value.shape):
        line = torch.arange(size).reshape([-1 if k == axis else 1 for k in range(rank)]).expand(value.shape)
        taken = call.node.target(line, *args, **kwargs)  # type: ignore[operator]
        for k, index in enumerate(taken if isinstance(taken, (tuple, list)) else [taken]):
            places = index[tuple(slice(None) if j == axis else 0 for j in range(rank))].numpy()
            if not np.array_equal(places, np.arange(size)):
                results[k] = gathered(results[k], axis, places, call.structure)
    return tuple(results) if isinstance(out, (tuple, list)) else results[0]


@rule("index_select", "index")
def indexed(call: Call, value: Value, *args: Any) -> Any:
    """Places of one axis, if the code says which; else they are read one by one."""
    if len(args) == 2:
        axis, index = args[0] % len(value.groups), args[1]
    else:
        given = [(axis, index) for axis, index in enumerate(args[0]) if index is not None]
        axis, index = given[0] if len(given) == 1 else (0, None)
    if index is None or index.content is None or len(index.groups) != 1 or index.content.dtype == torch.bool:
        return froze(call, list(values_in((value, args))), "places chosen by a tensor are left unmoved")
    places = index.content.numpy() % value.shape[axis]
    return gathered(value, axis, places, call.structure)


@rule("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def shuffled(call: Call, value: Value, factor: int) -> Value:
    """Channels and places exchanged in blocks."""
    name, structure = str(call.node.target).split(".")[1], call.structure
    *batch, c, h, w = value.shape if name != "channel_shuffle" else (*value.shape[:1], *value.shape[1:2], 1, 1)
    b, n = len(batch), factor
    if name == "channel_shuffle":
        rest = value.shape[2:]
        split = reshape(value, (*batch, n, c // n, math.prod(rest)), structure)
        return reshape(permute(split, (*range(b), b + 1, b, b + 2)), call.shape, structure)
    if name == "pixel_shuffle":
        split = reshape(value, (*batch, c // n**2, n, n, h, w), structure)
        order = (*range(b), b, b + 3, b + 1, b + 4, b + 2)
    else:
        split = reshape(value, (*batch, c, h // n, n, w // n, n), structure)
        order = (*range(b), b, b + 2, b + 4, b + 1, b + 3)
    return reshape(permute(split, order), call.shape, structure)
