"""Rules of norms, softmax and pooling.

Notation. BatchNorm in eval mode is y = (x - mean)/√(var + ε)·γ + β, entry by entry: x may be flipped and rescaled apart
from y, and γ undoes the one and does the other. A LayerNorm mixes its channels and ε holds their scale and signs; an
RMSNorm does not see signs; what comes out of either is multiplied by γ, and is flipped and rescaled with it.

Theorem: Proposition 1 and Examples 1-2 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from .algebra import added, frozen, held, multiplied, summed, use
from .rules import Call, froze, rule
from .rules_linear import on_plain
from .structure import Structure
from .values import Value, plain, reshape


def on_channels(value: Value, rank: int, axis: int = 1) -> Value:
    """Return a vector as a value of ``rank`` axes along one of them."""
    return replace(value, groups=tuple(len(value.legs) if k == axis else 0 for k in range(rank)))


def scaled_by(value: Value, weight: Value | None, bias: Value | None, axis: int, structure: Structure) -> Value:
    """Return value * weight + bias, both vectors along one axis."""
    rank = len(value.groups)
    if weight is not None:
        value = multiplied([value, on_channels(weight, rank, axis)], structure)
    if bias is not None:
        value = added([value, on_channels(bias, rank, axis)], structure)
    return value


@rule("batch_norm", "instance_norm")
def batch_norm(call: Call, value: Value, weight: Value | None, bias: Value | None, mean: Value | None = None,
               variance: Value | None = None, train: bool = False, *args: Any) -> Any:  # fmt: skip
    """BatchNorm with stored statistics, or an InstanceNorm with the input's own (odd, of no degree)."""
    structure, rank = call.structure, len(value.groups)
    name = str(call.node.target).split(".")[1]
    own = train or mean is None or variance is None
    if own and name == "batch_norm":
        return froze(call, [v for v in (value, weight, bias) if v is not None], "BatchNorm over its batch")
    if own:
        use(value, structure, range(2, rank))
        value = held(frozen_places(value, range(2, rank), structure), structure, sign=False)
        value = replace(value, terms=tuple(replace(t, scale=0) for t in value.terms if t.sign))
    else:
        value = added([value, on_channels(mean, rank)], structure)  # type: ignore[arg-type]
        value = multiplied([value, on_channels(held(variance, structure), rank)], structure)  # type: ignore[arg-type]
    return scaled_by(value, weight, bias, 1, structure)


@rule("_native_batch_norm_legit_no_training")
def stored_batch_norm(call: Call, value: Value, weight: Value | None, bias: Value | None, mean: Value,
                      variance: Value, *args: Any) -> Any:  # fmt: skip
    """BatchNorm with stored statistics, as decomposition writes it."""
    return batch_norm(call, value, weight, bias, mean, variance)


def frozen_places(value: Value, axes: Collection[int], structure: Structure) -> Value:
    """Return the value with the places of some axes read one by one."""
    return frozen(value, structure, axes)


@rule("layer_norm", "rms_norm", "native_layer_norm")
def layer_norm(call: Call, value: Value, sizes: Sequence[int], weight: Value | None = None,
               bias: Value | None = None, *args: Any) -> Value:  # fmt: skip
    """A norm over the last axes."""
    structure, rank = call.structure, len(value.groups)
    rms = "rms" in str(call.node.target)
    use(value, structure, range(rank - len(sizes), rank))
    structure.pointwise += [leg.units for leg in value.legs if leg.units is not None]
    value = held(value, structure, sign=not rms)
    value = replace(value, terms=tuple(replace(t, scale=0) for t in value.terms if t.sign))
    for factor, combine in ((weight, multiplied), (None if rms else bias, added)):
        if factor is not None:
            shaped = replace(factor, groups=(0,) * (rank - len(sizes)) + factor.groups)
            value = combine([value, shaped], structure)
    return value


@rule("group_norm", "native_group_norm")
def group_norm(call: Call, value: Value, groups: int, weight: Value | None = None, bias: Value | None = None,
               *args: Any) -> Value:  # fmt: skip
    """A norm over groups of channels: they move within their group, and groups as a whole."""
    structure, rank = call.structure, len(value.groups)
    shape = value.shape
    if groups > 1:
        split = reshape(value, (shape[0], groups, shape[1] // groups, *shape[2:]), structure)
        value = replace(split, groups=(split.groups[0], split.groups[1] + split.groups[2], *split.groups[3:]))
    structure.pointwise += [leg.units for leg in value.legs if leg.units is not None]
    use(value, structure)
    alone = groups == shape[1]  # an InstanceNorm: odd in each channel
    value = held(value, structure, sign=not alone)
    value = replace(value, terms=tuple(replace(t, scale=0) for t in value.terms if t.sign))
    assert len(value.groups) == rank
    return scaled_by(value, weight, bias, 1, structure)


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax")
def softmax(call: Call, value: Value, *args: Any, **kwargs: Any) -> Value:
    """A softmax: whatever the order of its places, and of no other symmetry."""
    structure, dim = call.structure, args[0] - len(value.groups) if args and args[0] >= 0 else (args or [-1])[0]
    use(value, structure, [dim % len(value.groups)])
    structure.pointwise += [leg.units for leg in value.legs if leg.units is not None]
    structure.absorbed.append((None, tuple(ids for ids, axis in value.scores if axis == dim)))
    structure.felt.extend(ids for ids, axis in value.scores if axis != dim)
    structure.felt.extend(value.shifts)
    plainly = "log" not in str(call.node.target)
    return replace(held(value, structure), scores=(), shifts=(), convex=plainly and dim == -1)


@rule("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "adaptive_max_pool1d",
      "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
      "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "upsample_nearest1d",
      "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_linear1d", "upsample_trilinear3d",
      "upsample_bicubic2d", "lp_pool2d")  # fmt: skip
def pooled(call: Call, value: Value, *args: Any, **kwargs: Any) -> Any:
    """Pooling or interpolation over places, channel by channel: a maximum is homogeneous, a mean linear."""
    name, structure = str(call.node.target).split(".")[1], call.structure
    spatial = (
        int(name[name.index("d", name.index("pool" if "pool" in name else "upsample")) - 1])
        if "1d" in name or "2d" in name or "3d" in name
        else 2
    )
    rank = len(value.groups)
    value = frozen(value, structure, range(rank - spatial, rank))
    if "max" in name:
        structure.pointwise += [leg.units for leg in value.legs if leg.units is not None]
        value = held(value, structure, scale=False)
        value = replace(value, terms=tuple(replace(t, sign=0) for t in value.terms if t.scale))
    out = on_plain(summed(value, range(rank - spatial, rank), structure), (), call.shape[rank - spatial :])
    several = call.node.meta["val"]
    return (out, *(on_plain_plain(each) for each in several[1:])) if isinstance(several, (tuple, list)) else out


def on_plain_plain(tensor: Any) -> Value:
    """Return a value of the tensor's shape whose places are read one by one."""
    return plain(tensor.shape)


@rule("cumsum", "cumprod", "sort", "topk", "argsort", "fft_fft")
def ordered(call: Call, value: Value, *args: Any, **kwargs: Any) -> Any:
    """An operator for which the order of places counts."""
    return froze(call, [value], "the order of places counts, what is read is left unmoved")
