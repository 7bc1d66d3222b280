"""Rules of sums, means, maxima and the like over axes: functions of all places, whatever their order.

Notation. What is summed has one scale, or none; the places of other axes are told apart.

Theorem: as in :mod:`fnequiv.architectures.structure`. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from typing import Any

from .algebra import frozen, held, summed
from .rules import Call, rule
from .rules_elementwise import plus
from .structure import Structure
from .values import Value


@rule("sum", "mean", "nansum")
def total(call: Call, value: Value, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Value:
    """A sum or a mean over axes: their places count alike."""
    value = one_axis_each(value, dim, call.structure)
    return summed(value, axes_of(value, dim), call.structure, keep=bool(keepdim))


@rule("amax", "amin", "max", "min", "norm", "linalg_vector_norm", "logsumexp", "var", "std", "prod", "all", "any",
      "var_mean", "std_mean", "argmax", "argmin", "median")  # fmt: skip
def symmetric(call: Call, value: Value, *args: Any, **kwargs: Any) -> Any:
    """A function of all places of some axes, whatever their order; factors are held at 1, signs dropped."""
    name, structure = str(call.node.target).split(".")[1], call.structure
    if name in ("max", "min") and args and isinstance(args[0], Value):
        return plus(call, value, args[0])
    if name.startswith("arg") or (name in ("max", "min", "median") and args):
        axes = axes_of(value, args[0] if args else None)
        if name.startswith("arg") or not _unread(call):
            value = frozen(value, structure, axes)
    else:
        first = 1 if name in ("norm", "linalg_vector_norm") else 0
        dims = kwargs.get("dim", args[first] if len(args) > first else None)
        axes = axes_of(value, None if isinstance(dims, bool) else dims)
    structure.pointwise += [leg.units for leg in value.legs if leg.units is not None]
    value = held(value, structure)
    keep = len(call.shape) == len(value.groups)
    out = summed(value, axes, structure, keep=keep)
    several = call.node.meta["val"]
    return (out,) * len(several) if isinstance(several, (tuple, list)) else out


def _unread(call: Call) -> bool:
    """Whether nobody reads where the largest is."""
    return not any(node.args[1] == 1 and node.users for node in call.node.users)


def one_axis_each(value: Value, dim: Any, structure: Structure) -> Value:
    """Return the value after the units of summed axes have been said to count one by one."""
    for axis in axes_of(value, dim):
        structure.pointwise += [u for leg in value.legs[slice(*value.spans[axis])] if (u := leg.units) is not None]
    return value


def axes_of(value: Value, dim: Any) -> list[int]:
    """Return axes from 0, of a dimension, several, or none (all)."""
    rank = len(value.groups)
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return list(range(rank))
    return [d % rank for d in (dim if isinstance(dim, (tuple, list)) else [dim])]
