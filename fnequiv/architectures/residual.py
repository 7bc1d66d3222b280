"""Residual networks of convolutions: the network, and its symmetry written by hand.

Notation. A stage is a *stream* of n channels. Each of its blocks reads the stream, maps it through convolutions to m
inner channels and back, and adds: x ↦ ReLU(x + B(x)). The first block of a stage may change n and the image's size;
then a *projection*, a 1×1 convolution with a BatchNorm, stands in the place of x. A basic block has two 3×3
convolutions, a bottleneck has 1×1, 3×3 (perhaps grouped) and 1×1. Names are those of torchvision's ResNets.

**What a skip connection ties.** Unit i of x is added to unit i of B(x). If a group element reorders the stream before a
block, B(x) has to come in the new order, and so has every block of the stage: one permutation moves the rows and the
columns of all of them, down to the projection that ends the stage. For a scale the same holds: ReLU(λ(x + y)) =
λ ReLU(x + y) for λ > 0, so a channel has one scale through the stage, and no sign. Inner channels, behind a ReLU of
their own, are free. What enters a BatchNorm is freed from what leaves it in sign and scale
(see :mod:`fnequiv.architectures.layers`), so every convolution's output has its own, tied by the permutation alone.

**Groups.** In a convolution with g groups, input group j feeds output group j alone. Channels before and behind it may
be reordered within their groups, independently; and the groups, before and behind together.

**What is more**, and not a symmetry of units: v against γ and μ against β, two dimensions a channel of each BatchNorm,
and the two β that a projection's sum adds up, one dimension a channel. Tests compare with the rank of the Jacobian.

Theorem: Proposition 1 and Example 1 of Shen (2024), for residual blocks as its section 4 does. Chapter:
"Residual networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import relu

from ..symmetry import Block, SymmetrySpec
from ..validation import check_bool, check_integer
from .layers import Axes, Draft, check_multiple, check_sizes

EXPANSION = 4  # of a bottleneck: n = 4 m


class ResidualBlock(nn.Module):
    """ReLU(x + B(x)): ``conv1``, ``bn1``, … with ReLU between them, and ``downsample`` where x has to be projected."""

    def __init__(self, c_in: int, inner: int, *, stride: int, bottleneck: bool, groups: int) -> None:
        super().__init__()
        c_out = inner * (EXPANSION if bottleneck else 1)
        self.depth = 3 if bottleneck else 2
        self.conv1 = _conv(c_in, inner, 1 if bottleneck else 3, 1 if bottleneck else stride)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = _conv(inner, inner, 3, stride if bottleneck else 1, groups)
        self.bn2 = nn.BatchNorm2d(inner)
        if bottleneck:
            self.conv3, self.bn3 = _conv(inner, c_out, 1, 1), nn.BatchNorm2d(c_out)
        projected = stride != 1 or c_in != c_out
        self.downsample = nn.Sequential(_conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out)) if projected else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [batch, c_in, height, width] to [batch, c_out, ...]."""
        skip = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.depth == 3:
            x = self.bn3(self.conv3(relu(x)))
        return relu(x + skip)


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the mean over the image, and a linear layer.

    Parameters
    ----------
    widths
        Inner channels m of each stage; the stream has n = m, or n = 4 m with bottlenecks.
    depths
        Number of blocks of each stage. From the second on, a stage begins by halving the image.
    inputs, outputs
        Channels of the image, and number of outputs.
    bottleneck
        Whether blocks are bottlenecks.
    groups
        Groups of the 3×3 convolution of a bottleneck.
    large
        Whether the stem is the 7×7 one for large images, with stride 2 and pooling: ResNet-18 is
        ``ResNet((64, 128, 256, 512), (2, 2, 2, 2), 3, 1000, large=True)``.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1 or a flag no bool; if ``widths`` and ``depths`` differ in length, or ``groups`` > 1
        does not divide the widths or comes without bottlenecks.

    Examples
    --------
    >>> ResNet((4, 6), (1, 1), 1, 10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        inputs: int,
        outputs: int,
        *,
        bottleneck: bool = False,
        groups: int = 1,
        large: bool = False,
    ) -> None:
        super().__init__()
        plan = _plan(widths, depths, bottleneck, groups, large)
        width = plan[0].inner
        self.conv1 = _conv(check_integer("inputs", inputs), width, 7 if large else 3, 2 if large else 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        self.stages = len(tuple(widths))
        for stage in range(1, self.stages + 1):
            blocks = [
                ResidualBlock(one.c_in, one.inner, stride=one.stride, bottleneck=bottleneck, groups=groups)
                for one in plan
                if one.stage == stage
            ]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(plan[-1].c_out, check_integer("outputs", outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [batch, inputs, height, width] to outputs [batch, outputs]."""
        x = self.pool(relu(self.bn1(self.conv1(x))))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def resnet(
    widths: Sequence[int],
    depths: Sequence[int],
    inputs: int,
    outputs: int,
    *,
    bottleneck: bool = False,
    groups: int = 1,
    large: bool = False,
) -> SymmetrySpec:
    """Return the symmetry of :class:`ResNet` with the same arguments.

    Raises
    ------
    TypeError, ValueError
        As :class:`ResNet`.

    Notes
    -----
    Source: Proposition 1 of Shen (2024), and the module's docstring.

    Examples
    --------
    >>> spec = resnet((2, 3), (2, 1), 1, 10)  # the stem and two blocks share stream "stem"
    >>> [(block.name, block.size) for block in spec.blocks if block.kind == "scaled"]
    [('stem', 2), ('layer2.0', 3), ('layer1.0.inner1', 2), ('layer1.1.inner1', 2), ('layer2.0.inner1', 3)]
    """
    plan = _plan(widths, depths, bottleneck, groups, large)
    draft, stream = Draft(), "stem"
    size = plan[0].inner
    stem = draft.convolution("conv1", check_integer("inputs", inputs), size, 7 if large else 3)
    axes = list(draft.batch_norm("bn1", size, stem.rows, within=stream))
    inner: list[Block] = []
    for block in plan:
        name, projection = block.name, None
        if block.projected:
            projection = draft.convolution(f"{name}.downsample.0", block.c_in, block.c_out, 1)
            axes += projection.columns
        read, written_last, between = _branch(draft, block, bottleneck, groups)
        inner += between
        axes += read
        if projection:  # one stream ends here, another begins
            draft.blocks.append(Block(stream, block.c_in, "scaled", tuple(axes)))
            stream = name
            axes = list(draft.batch_norm(f"{name}.downsample.1", block.c_out, projection.rows, within=stream))
        axes += draft.batch_norm(f"{name}.bn{3 if bottleneck else 2}", block.c_out, written_last, within=stream)
    head = draft.linear("fc", plan[-1].c_out, check_integer("outputs", outputs))
    draft.blocks += [Block(stream, plan[-1].c_out, "scaled", (*axes, *head.columns)), *inner]
    return draft.spec()


def _branch(draft: Draft, block: _Place, bottleneck: bool, groups: int) -> tuple[Axes, Axes, list[Block]]:
    """Add the convolutions of a block: what the first reads, what the last writes, and the channels in between."""
    name, inner = block.name, block.inner
    first = draft.convolution(f"{name}.conv1", block.c_in, inner, 1 if bottleneck else 3)
    nested = {"within": f"{name}.groups", "groups": groups} if groups > 1 else {}
    if groups > 1:
        second = draft.grouped_convolution(f"{name}.conv2", inner, inner, 3, groups)
    else:
        second = draft.convolution(f"{name}.conv2", inner, inner, 3)
    layers = [first, second]
    if bottleneck:
        layers.append(draft.convolution(f"{name}.conv3", inner, block.c_out, 1))
    between = [Block(f"{name}.groups", groups, "permutation", ())] if groups > 1 else []
    for place in range(1, len(layers)):
        channels = f"{name}.inner{place}"
        written = draft.batch_norm(f"{name}.bn{place}", inner, layers[place - 1].rows, within=channels)
        between.append(Block(channels, inner, "scaled", written + layers[place].columns, **nested))  # type: ignore[arg-type]
    return first.columns, layers[-1].rows, between


@dataclass(frozen=True)
class _Place:
    """A block's place in the network."""

    name: str
    stage: int
    c_in: int
    inner: int
    c_out: int
    stride: int

    @property
    def projected(self) -> bool:
        """Whether the shortcut is a convolution of its own: the shape changes."""
        return self.stride != 1 or self.c_in != self.c_out


def _plan(widths: Sequence[int], depths: Sequence[int], bottleneck: bool, groups: int, large: bool) -> list[_Place]:
    """Return every block's place, checked."""
    widths, depths = check_sizes("widths", widths, least=1), check_sizes("depths", depths, least=1)
    check_bool("bottleneck", bottleneck), check_bool("large", large)
    if len(widths) != len(depths):
        raise ValueError(f"widths and depths must have one entry a stage, got {widths} and {depths}")
    if check_integer("groups", groups) > 1 and not bottleneck:
        raise ValueError(f"groups must be 1 without bottlenecks, got {groups}: pass bottleneck=True")
    plan, c_in = [], widths[0]
    for stage, (inner, depth) in enumerate(zip(widths, depths, strict=True), 1):
        check_multiple(f"widths[{stage - 1}]", inner, "groups", groups)
        c_out = inner * (EXPANSION if bottleneck else 1)
        for place in range(depth):
            stride = 2 if stage > 1 and place == 0 else 1
            plan.append(_Place(f"layer{stage}.{place}", stage, c_in, inner, c_out, stride))
            c_in = c_out
    return plan


def _conv(c_in: int, c_out: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
