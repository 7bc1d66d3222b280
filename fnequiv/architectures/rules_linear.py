"""Rules of contractions: linear layers, convolutions, matrix products, attention, embeddings, sums.

Notation. y_o = Σ_i W_oi x_i is a product, summed: the units of W's second axis are those of x, and its first
axis brings new ones. A grouped convolution has a weight [g, o, i, ...] whose in-units lie within their group. Attention
is softmax(q kᵀ) v: the dimensions of q and k meet in a sum, beside their head.

Theorem: Proposition 1 of Shen (2024); section 4 of it for convolutions and attention. Chapter: "Architectures".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .algebra import added, aligned, contracted, frozen, held, multiplied, summed, use, without_shifts
from .rules import Call, froze, rule
from .structure import Ids, Structure
from .values import Leg, Value, cut, permute, plain, with_axes


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


@rule("matmul", "bmm", "mm", "mv", "dot")
def matrix_product(call: Call, one: Value, two: Value) -> Value:
    """A product of matrices, vectors, or stacks of matrices."""
    return mixed(one, two, call.structure)


def mixed(one: Value, two: Value, structure: Structure) -> Value:
    """Return one @ two, with what is known of shifts: of scores by keys, and of means by values."""
    out = product_of(one, two, structure)
    if min(len(one.groups), len(two.groups)) < 2:
        structure.felt.extend([*one.shifts, *two.shifts])
        return out
    if one.convex:
        rank = len(out.groups)
        shifts = tuple(ids for each in two.shifts if (ids := _over(each, two, out, rank)) is not None)
        structure.felt.extend(one.shifts)
        return replace(out, shifts=shifts)
    return replace(out, scores=(*((ids, -2) for ids in one.shifts), *((ids, -1) for ids in two.shifts)))


def _over(ids: Ids, value: Value, out: Value, rank: int) -> Ids | None:
    """Return an array of a value's legs on those of a product with it, whose last axis it shares."""
    start, stop = value.spans[-1]
    if value.groups[:-2] != out.groups[:-2] or len(value.groups) != rank or value.groups[-1] != out.groups[-1]:
        return None
    rows = out.spans[-2]
    head = ids.shape[: value.spans[-2][0]]
    return ids.reshape(*head, *[1] * (rows[1] - rows[0]), *ids.shape[start:stop])


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


@rule("im2col")
def unfolded(call: Call, value: Value, *args: Any) -> Value:
    """Patches: the places of a channel, one after the other, for each patch."""
    structure, rank = call.structure, len(value.groups)
    value = summed(frozen(value, structure, range(rank - 2, rank)), range(rank - 2, rank), structure)
    *batch, rows, patches = call.shape
    out = on_plain(value, (), (rows // value.shape[-1], patches))
    return replace(out, groups=(*out.groups[: len(batch)], out.groups[-3] + 1, 1))


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


@rule("scaled_dot_product_attention")
def attention(call: Call, q: Value, k: Value, v: Value, mask: Value | None = None, dropout_p: float = 0.0,
              is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False) -> Value:  # fmt: skip
    """softmax(q kᵀ) v: the scores are neither flipped nor rescaled, and q and k meet in a sum."""
    structure = call.structure
    if enable_gqa:
        k, v = (_copied(each, q.shape[-3], structure) for each in (k, v))
    order = [*range(len(k.groups) - 2), len(k.groups) - 1, len(k.groups) - 2]
    scores = mixed(q, permute(k, order), structure)
    if is_causal:
        scores = frozen(scores, structure, range(len(scores.groups) - 2, len(scores.groups)))
    if mask is not None:
        scores = added([held(scores, structure), held(mask, structure)], structure)
    use(scores, structure, [len(scores.groups) - 1])
    structure.absorbed.append((None, tuple(ids for ids, axis in scores.scores if axis == -1)))
    structure.felt.extend(ids for ids, axis in scores.scores if axis != -1)
    return mixed(replace(held(scores, structure), scores=(), convex=True), v, structure)


def _copied(value: Value, heads: int, structure: Structure) -> Value:
    from .rules_shaping import interleaved

    times = heads // value.shape[-3]
    return interleaved(Call(structure, None), value, times, -3) if times > 1 else value  # type: ignore[arg-type]


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
        from .rules_elementwise import plus

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
