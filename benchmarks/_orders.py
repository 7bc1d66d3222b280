"""The symmetry of the architectures, counted by hand from their sizes alone: what tracing is compared with.

Notation. A tally holds the sets of interchangeable units (n of them: n! orders), the units that may be flipped (a
factor 2 each), those that may be rescaled (a dimension each), and the dimensions that mix units otherwise (GL(m) has
m² - m beside its scales). What enters a BatchNorm or leaves one, channel by channel, is flipped and rescaled by itself:
two sets of units in one order. The order's logarithm is Σ log n! + log 2 · (units flipped), in nats.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import singledispatch

from benchmarks._models import BERT, GPT2, VGG, DenseNet, Llama, MobileNetV2, ResNet, ViT


@dataclass
class Tally:
    """Sets of units by their number, units that are flipped, units that are rescaled, dimensions that mix."""

    sets: Counter[int] = field(default_factory=Counter)
    flipped: int = 0
    rescaled: int = 0
    mixing: int = 0

    def log_order(self) -> float:
        """Return the logarithm of the order of the discrete group, in nats."""
        orders = math.fsum(times * math.lgamma(size + 1) for size, times in self.sets.items())
        return orders + self.flipped * math.log(2)

    def permute(self, size: int, times: int = 1) -> None:
        """Count so many sets of ``size`` units."""
        self.sets[size] += times

    def scale(self, units: int) -> None:
        """Count units that are rescaled by positive numbers."""
        self.rescaled += units

    def flip(self, units: int) -> None:
        """Count units that are rescaled by any number but zero."""
        self.flipped += units
        self.rescaled += units


@singledispatch
def tally(config: object) -> Tally:
    """Return the tally of an architecture."""
    raise TypeError(f"no tally for {type(config).__name__}")


@tally.register
def _(config: ResNet) -> Tally:
    """One order for the stream of a stage, one for each layer inside a block; signs are free before each BatchNorm."""
    found = Tally()
    stem = config.channels[0]
    found.flip(stem)
    if config.streams[0] != stem:  # else the stem writes to the first stage's stream
        found.permute(stem)
        found.scale(stem)
    below = stem
    for stage, (blocks, stream) in enumerate(zip(config.stages, config.streams, strict=True)):
        found.permute(stream)
        found.scale(stream)
        if stage or below != stream:
            found.flip(stream)  # the projection of the shortcut
        found.flip(stream * blocks)
        below = stream
        for size in config.inner(stage):
            found.flip(size * blocks)
            found.scale(size * blocks)
            if config.groups == 1:
                found.permute(size, blocks)
            else:  # channels keep to their group
                found.permute(size // config.groups, blocks * config.groups)
        if config.groups > 1:  # both layers beside the grouped one move their groups together
            found.permute(config.groups, blocks)
    return found


@tally.register
def _(config: VGG) -> Tally:
    """ReLU behind everything, no norm."""
    found = Tally()
    for size in [channels for stage in config.stages for channels in stage] + [config.hidden] * 2:
        found.permute(size)
        found.scale(size)
    return found


@tally.register
def _(config: MobileNetV2) -> Tally:
    """ReLU6 has no scales; a depthwise layer keeps the order; the stream between blocks is linear, signs pass."""
    found = Tally()
    below, hidden = config.stem, [config.last]
    found.flip(config.stem)
    found.permute(config.stem)
    for expansion, channels, blocks, _ in config.stages:
        found.permute(channels)
        found.flip(channels)
        for _ in range(blocks):
            inner = below * expansion
            if expansion > 1:
                hidden.append(inner)
            found.flip(inner + channels)  # before the BatchNorms of the depthwise layer and of the projection
            below = channels
    for size in hidden:
        found.permute(size)
        found.flip(size)
    return found


@tally.register
def _(config: DenseNet) -> Tally:
    """Channels, once written, are read by many BatchNorms, each with a scale of its own behind its ReLU."""
    found = Tally()
    found.permute(config.stem)
    found.flip(config.stem)
    found.scale(config.stem)  # behind the stem's ReLU
    size, inner = config.stem, config.factor * config.growth
    for stage, blocks in enumerate(config.stages):
        if stage:
            found.scale(size)
            size //= 2
            found.permute(size)
            found.flip(size)
        for _ in range(blocks):
            found.scale(size)
            found.permute(inner)
            found.flip(inner)
            found.scale(inner)
            found.permute(config.growth)
            found.flip(config.growth)
            size += config.growth
    found.scale(size)
    return found


def _transformer(config: ViT | GPT2 | BERT) -> Tally:
    """The stream, and in each block the heads, their dimensions twice, and the perceptron behind GELU."""
    found = Tally()
    found.permute(config.width)
    for _ in range(config.depth):
        found.permute(config.heads)
        for _ in range(2):  # queries and keys, then values and the way out
            _heads(found, config.heads, config.width // config.heads)
            found.mixing += config.width  # the key's bias is free; the value's moves into that of the way out
        found.permute(config.hidden)
    return found


def _heads(found: Tally, heads: int, size: int) -> None:
    """Dimensions that queries and keys share, or values and the way out: any basis of each head."""
    found.permute(size, heads)
    found.flip(heads * size)
    found.mixing += heads * (size * size - size)


@tally.register
def _(config: ViT) -> Tally:
    """What a LayerNorm before a layer writes is flipped and rescaled: two in a block, and the last one."""
    found = _transformer(config)
    found.flip(config.width * (2 * config.depth + 1))
    return found


@tally.register
def _(config: GPT2) -> Tally:
    """As ViT, but the last LayerNorm is read by the embedding's own weight, which cannot be flipped."""
    found = _transformer(config)
    found.flip(config.width * 2 * config.depth)
    return found


@tally.register
def _(config: BERT) -> Tally:
    """A LayerNorm behind a sum writes to the stream itself; only the last one is read by a layer alone, the pooler."""
    found = _transformer(config)
    found.flip(config.width)
    return found


@tally.register
def _(config: Llama) -> Tally:
    """RMSNorm knows no signs, so the stream has some, and what each norm writes has signs and scales of its own."""
    found = Tally()
    head = config.width // config.heads
    found.permute(config.width)
    found.flipped += config.width
    found.flip(config.width * (2 * config.depth + 1))
    for _ in range(config.depth):
        found.permute(config.kv_heads)
        found.permute(config.heads // config.kv_heads, config.kv_heads)
        _heads(found, config.kv_heads, head)  # values; every query head of a group reads the same
        pairs = config.kv_heads * head // 2  # that rotary positions turn: a sign, a scale and a turn each
        found.flip(pairs)
        found.mixing += pairs
        found.permute(config.hidden)
        found.flip(config.hidden)  # the linear factor of SwiGLU
    return found


def rotations(config: object) -> int:
    """Return the dimensions of the rotations of a stream that norms read, which are no symmetry of single units.

    The mean of squares that RMSNorm takes is the same for Q x as for x, Q orthogonal. For LayerNorm, Q has to keep the
    mean as well, which is (1, …, 1) · x / n. If each norm is read by layers of its own, these undo Q. The last norm of
    GPT-2 is read by the embedding, which is turned already, and the norms of BERT write to the stream: nothing there
    undoes Q.
    """
    if isinstance(config, Llama):
        return config.width * (config.width - 1) // 2
    if isinstance(config, ViT):
        return (config.width - 1) * (config.width - 2) // 2
    return 0
