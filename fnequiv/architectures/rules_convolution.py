"""Rules of convolutions: channels are those of a linear layer, places are read one by one.

Notation. A grouped convolution has a weight [g, o, i, ...] whose in-units lie within their group, and so do those of
its input.

Theorem: Proposition 1 of Shen (2024), section 4 for convolutions. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .algebra import added, contracted, frozen, summed, without_shifts
from .rules import Call, rule
from .rules_linear import affine, biased, on_plain, taken_up, with_one
from .structure import Structure
from .values import Value, cut, permute


@rule("im2col")
def unfolded(call: Call, value: Value, *args: Any) -> Value:
    """Patches: the places of a channel, one after the other, for each patch."""
    structure, rank = call.structure, len(value.groups)
    value = summed(frozen(value, structure, range(rank - 2, rank)), range(rank - 2, rank), structure)
    *batch, rows, patches = call.shape
    out = on_plain(value, (), (rows // value.shape[-1], patches))
    return replace(out, groups=(*out.groups[: len(batch)], out.groups[-3] + 1, 1))


@rule("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(call: Call, value: Value, weight: Value, bias: Value | None = None, *args: Any) -> Value:
    """A convolution, grouped or transposed: places are read one by one, channels are those of a linear layer."""
    name, structure = str(call.node.target).split(".")[1], call.structure
    back = "transpose" in name or (name == "convolution" and bool(args[3]))
    groups = groups_of(call.node)
    spatial = len(weight.groups) - 2
    batch = call.shape[: len(call.shape) - spatial - 1]
    places = call.shape[len(call.shape) - spatial :]
    rank = len(value.groups)
    value = frozen(value, structure, range(rank - spatial, rank))
    value = summed(value, range(rank - spatial, rank), structure)
    weight = summed(frozen(weight, structure, range(2, 2 + spatial)), range(2, 2 + spatial), structure)
    if groups == 1:
        out = affine(without_shifts(value), permute(weight, [1, 0]) if back else weight, None, structure)
    else:
        n = len(batch)
        weight = in_groups(weight, 0, groups, structure)
        weight = permute(weight, [0, 2, 1]) if back else weight
        value = with_one(in_groups(value, n, groups, structure), n + 1)
        out = contracted([value, weight], [n + 2], structure)
        out = replace(out, groups=(*out.groups[:n], out.groups[n] + out.groups[n + 1]))
    padded = any(_arguments(call.node, "padding"))
    taken_up(value, None if padded or groups > 1 or back else bias, structure)
    if bias is not None:
        out = biased(out, bias, structure) if len(out.groups) > 1 else added([out, bias], structure)
    return on_plain(out, (), places)


def in_groups(value: Value, axis: int, groups: int, structure: Structure) -> Value:
    """Return the value with an axis cut in two: groups, and what is in each."""
    value = cut(value, axis, (groups, value.shape[axis] // groups), structure)
    start, stop = value.spans[axis]
    first = next(
        k for k in range(1, stop - start) if math.prod(g.size for g in value.legs[start : start + k]) == groups
    )
    return replace(value, groups=(*value.groups[:axis], first, stop - start - first, *value.groups[axis + 1 :]))


def groups_of(node: Any) -> int:
    """Return a convolution's groups."""
    return int(next(iter(_arguments(node, "groups"))))


def _arguments(node: Any, name: str) -> Sequence[Any]:
    """Return an operator's argument by name, as a sequence."""
    schema = node.target._schema.arguments
    where = next(k for k, argument in enumerate(schema) if argument.name == name)
    found = node.kwargs.get(name, node.args[where] if where < len(node.args) else schema[where].default_value)
    return found if isinstance(found, (tuple, list)) else [0 if found == "valid" else found]
