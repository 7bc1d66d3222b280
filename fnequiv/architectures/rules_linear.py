"""Rules of contractions: linear layers, sums of products with named axes, embeddings.

Notation. y_o = Σ_i W_oi x_i is a product, summed: the units of W's second axis are those of x, and its first axis
brings new ones. A bias that comes after takes up what shifts x alike at all its other places.

Theorem: Proposition 1 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .algebra import added, aligned, contracted, frozen, multiplied, summed
from .rules import Call, froze, rule
from .structure import Ids, Structure
from .values import Leg, Value, permute, plain, with_axes


def with_one(value: Value, axis: int) -> Value:
    """Return the value with an axis of size 1 put in."""
    axis %= len(value.groups) + 1
    return replace(value, groups=(*value.groups[:axis], 0, *value.groups[axis:]))


def affine(value: Value, weight: Value, bias: Value | None, structure: Structure) -> Value:
    """Return weight @ value + bias along the last axis."""
    rank = len(value.groups)
    taken_up(value, bias, structure)
    out = contracted([with_one(value, rank - 1), weight], [rank], structure)
    return out if bias is None else biased(out, bias, structure)


def taken_up(value: Value, bias: Value | None, structure: Structure) -> None:
    """Note that a layer's bias takes up what shifts its input, or that there is none to do so."""
    units = next((leg.units for leg in bias.legs if leg.units is not None), None) if bias is not None else None
    if units is None:
        structure.felt.extend(value.shifts)
    else:
        structure.absorbed.append((int(units.flat[0]), value.shifts))


def biased(value: Value, bias: Value, structure: Structure) -> Value:
    """Return value + bias along the last axis, shifted by the bias' units."""
    axis = len(value.groups) - 1
    own = aligned([value, bias], structure)[1]
    return replace(added([value, bias], structure), shifts=_units_of(own, axis))


def _units_of(value: Value, axis: int) -> tuple[Ids, ...]:
    """Return the units along an axis of one leg that has some."""
    start, stop = value.spans[axis]
    units = value.legs[start].units if stop == start + 1 else None
    return () if units is None else (units,)


@rule("linear")
def linear(call: Call, value: Value, weight: Value, bias: Value | None = None) -> Value:
    """A linear layer."""
    return affine(value, weight, bias, call.structure)


def product_of(one: Value, two: Value, structure: Structure) -> Value:
    """Return one @ two."""
    if len(one.groups) == 1 and len(two.groups) == 1:
        return contracted([one, two], [0], structure)
    if len(two.groups) == 1:
        return contracted([one, two], [len(one.groups) - 1], structure)
    if len(one.groups) == 1:
        rank = len(two.groups)
        return contracted([with_one(one, 1), two], [rank - 2], structure)
    rank = max(len(one.groups), len(two.groups)) + 1
    return contracted([with_one(one, -1), with_one(two, len(two.groups) - 2)], [rank - 2], structure)


@rule("addmm", "addbmm", "baddbmm")
def added_product(call: Call, bias: Value, one: Value, two: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """A bias plus a product of matrices."""
    return added([product_of(one, two, call.structure), bias], call.structure)


@rule("einsum")
def einsum(call: Call, equation: str, values: Sequence[Value], **kwargs: Any) -> Value:
    """A sum of products with named axes."""
    left, _, right = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if "." in equation or any(len(set(name)) < len(name) for name in names):
        return froze(call, list(values), f"einsum {equation!r} with a diagonal or an ellipsis is left unmoved")
    if not right and "->" not in equation:
        letters = "".join(names)
        right = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    gone = [c for c in dict.fromkeys("".join(names)) if c not in right]
    axes = [*right, *gone]
    laid = []
    for name, value in zip(names, values, strict=True):
        value = permute(value, [name.index(c) for c in axes if c in name])
        counts = iter(value.groups)
        laid.append(replace(value, groups=tuple(next(counts) if c in name else 0 for c in axes)))
    if len(laid) == 1:
        return summed(laid[0], range(len(right), len(axes)), call.structure)
    return contracted(laid, range(len(right), len(axes)), call.structure)


@rule("bilinear")
def bilinear(call: Call, one: Value, two: Value, weight: Value, bias: Value | None = None) -> Value:
    """A bilinear layer: a sum over two axes of the weight."""
    rank = len(one.groups)
    lifted = [with_one(with_one(one, rank - 1), rank + 1), with_one(with_one(two, rank - 1), rank), weight]
    out = contracted(lifted, [rank, rank + 1], call.structure)
    return out if bias is None else added([out, bias], call.structure)


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(call: Call, direction: Value, size: Value, dim: int = 0) -> Any:
    """G v/|v|: what scales v along its own axis cancels, signs pass."""
    structure = call.structure
    own = set(range(*direction.spans[dim % len(direction.groups)]))
    structure.pointwise += [leg.units for leg in direction.legs if leg.units is not None]
    for term in direction.terms:
        if not term.owners <= own:
            structure.variables.pin(term, sign=False)
    direction = replace(direction, terms=tuple(replace(term, scale=0) for term in direction.terms if term.sign))
    out = multiplied([direction, size], structure)
    several = call.node.meta["val"]
    return (out, call.result()[1]) if isinstance(several, (tuple, list)) else out


@rule("embedding")
def embedding(call: Call, weight: Value, index: Value, *args: Any, **kwargs: Any) -> Value:
    """Rows of a table: its rows are read one by one."""
    return _rows(call, weight, len(call.shape) - 1)


@rule("embedding_bag", "_embedding_bag")
def bag(call: Call, weight: Value, *args: Any, **kwargs: Any) -> Any:
    """Sums or means of rows of a table."""
    out = call.node.meta["val"]
    value = _rows(call, weight, 1)
    return (value, *(plain(each.shape) for each in out[1:])) if isinstance(out, (tuple, list)) else value


def _rows(call: Call, weight: Value, rank: int) -> Value:
    row = summed(frozen(weight, call.structure, [0]), [0], call.structure)
    return on_plain(row, call.shape[:rank], ())


def on_plain(value: Value, before: Sequence[int], behind: Sequence[int]) -> Value:
    """Return the value with axes put before and behind it whose places are read one by one."""
    kept: list[int | None] = [*[None] * len(before), *range(len(value.legs)), *[None] * len(behind)]
    sizes = [*before, *(leg.size for leg in value.legs), *behind]
    out = with_axes(value, kept, sizes)
    legs = [Leg(leg.size) if k is None else leg for k, leg in zip(kept, out.legs, strict=True)]
    return replace(out, legs=tuple(legs), groups=(*[1] * len(before), *value.groups, *[1] * len(behind)))
