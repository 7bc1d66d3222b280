"""Convolutional networks: ResNet and ResNeXt, VGG, MobileNetV2 and DenseNet.

Sources: He et al. (2016), Xie et al. (2017), Simonyan & Zisserman (2015), Sandler et al. (2018), Huang et al. (2017);
the versions with these parameters are torchvision's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn


class Image:
    """What the classes of sizes below share: their example input is an image."""

    image: int

    def inputs(self, batch: int = 2) -> torch.Tensor:
        """Return random images."""
        return torch.randn(batch, 3, self.image, self.image, generator=torch.Generator().manual_seed(0))


def conv(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without a bias that keeps the image's size up to the stride."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)


@dataclass(frozen=True)
class ResNet(Image):
    """Blocks and channels of each stage; ``groups`` and ``base_width`` make it a ResNeXt."""

    stages: tuple[int, ...] = (2, 2, 2, 2)
    channels: tuple[int, ...] = (64, 128, 256, 512)
    bottleneck: bool = False
    groups: int = 1
    base_width: int = 64
    classes: int = 1000
    image: int = 224

    @property
    def streams(self) -> tuple[int, ...]:
        """Channels of the stream in each stage."""
        return tuple(size * (4 if self.bottleneck else 1) for size in self.channels)

    def inner(self, stage: int) -> tuple[int, ...]:
        """Channels between the layers of a block."""
        size = self.channels[stage]
        return (size * self.base_width // 64 * self.groups,) * 2 if self.bottleneck else (size,)

    def build(self) -> nn.Module:
        """Return the network."""
        return _ResNet(self)


class _ResidualBlock(nn.Module):
    """Convolutions, each with a BatchNorm, ReLU between them and behind the sum with the shortcut."""

    def __init__(self, c_in: int, inner: tuple[int, ...], c_out: int, stride: int, groups: int) -> None:
        super().__init__()
        sizes = [c_in, *inner, c_out]
        kernels = (3, 3) if len(inner) == 1 else (1, 3, 1)
        strided = 0 if len(inner) == 1 else 1
        layers: list[nn.Module] = []
        for i, (below, here) in enumerate(pairwise(sizes)):
            step, parts = (stride, groups) if i == strided else (1, 1)
            layers += [conv(below, here, kernels[i], step, parts), nn.BatchNorm2d(here), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        self.downsample = None
        if stride > 1 or c_in != c_out:
            self.downsample = nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.layers(x) + shortcut)


class _ResNet(nn.Module):
    def __init__(self, config: ResNet) -> None:
        super().__init__()
        size = config.channels[0]
        self.stem = nn.Sequential(conv(3, size, 7, 2), nn.BatchNorm2d(size), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        stages = []
        for stage, (blocks, stream) in enumerate(zip(config.stages, config.streams, strict=True)):
            layers = []
            for i in range(blocks):
                stride = 2 if stage and not i else 1
                layers.append(_ResidualBlock(size, config.inner(stage), stream, stride, config.groups))
                size = stream
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(size, config.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(self.stem(x))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


@dataclass(frozen=True)
class VGG(Image):
    """Channels of each stage of 3×3 convolutions, and the units of the two hidden linear layers."""

    stages: tuple[tuple[int, ...], ...] = ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)
    hidden: int = 4096
    classes: int = 1000
    image: int = 224

    def build(self) -> nn.Module:
        """Return the network."""
        layers: list[nn.Module] = []
        size = 3
        for stage in self.stages:
            for channels in stage:
                layers += [nn.Conv2d(size, channels, 3, padding=1), nn.ReLU(inplace=True)]
                size = channels
            layers.append(nn.MaxPool2d(2))
        layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten()]
        for fan_in in (size * 49, self.hidden):
            layers += [nn.Linear(fan_in, self.hidden), nn.ReLU(inplace=True), nn.Dropout()]
        return nn.Sequential(*layers, nn.Linear(self.hidden, self.classes))


@dataclass(frozen=True)
class MobileNetV2(Image):
    """Channels of the stem, (expansion, channels, blocks, stride) of each stage, channels of the last layer."""

    stem: int = 32
    stages: tuple[tuple[int, int, int, int], ...] = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip
    last: int = 1280
    classes: int = 1000
    image: int = 224

    def build(self) -> nn.Module:
        """Return the network."""
        layers, size = _clipped(3, self.stem, 3, 2), self.stem
        for expansion, channels, blocks, stride in self.stages:
            for i in range(blocks):
                layers.append(_InvertedResidual(size, expansion, channels, 1 if i else stride))
                size = channels
        layers += [*_clipped(size, self.last, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)]
        return nn.Sequential(*layers, nn.Linear(self.last, self.classes))


def _clipped(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [conv(c_in, c_out, kernel, stride, groups), nn.BatchNorm2d(c_out), nn.ReLU6(inplace=True)]


class _InvertedResidual(nn.Module):
    """Expansion 1×1, depthwise 3×3, and a projection that no activation follows."""

    def __init__(self, c_in: int, expansion: int, c_out: int, stride: int) -> None:
        super().__init__()
        inner = c_in * expansion
        layers = _clipped(c_in, inner, 1) if expansion > 1 else []
        layers += [*_clipped(inner, inner, 3, stride, inner), conv(inner, c_out, 1), nn.BatchNorm2d(c_out)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.adds else self.layers(x)


@dataclass(frozen=True)
class DenseNet(Image):
    """Layers of each dense block, the channels each adds, those of the stem, and the width of the 1×1 layers."""

    stages: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = 32
    stem: int = 64
    factor: int = 4
    classes: int = 1000
    image: int = 224

    def build(self) -> nn.Module:
        """Return the network."""
        layers = [conv(3, self.stem, 7, 2), nn.BatchNorm2d(self.stem), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        size = self.stem
        for stage, blocks in enumerate(self.stages):
            if stage:
                layers += [nn.BatchNorm2d(size), nn.ReLU(), conv(size, size // 2, 1), nn.AvgPool2d(2)]
                size //= 2
            for _ in range(blocks):
                layers.append(_DenseLayer(size, self.growth, self.factor * self.growth))
                size += self.growth
        layers += [nn.BatchNorm2d(size), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(size, self.classes))


class _DenseLayer(nn.Module):
    """New channels made from all that is there, and put beside it."""

    def __init__(self, c_in: int, growth: int, inner: int) -> None:
        super().__init__()
        parts = [nn.BatchNorm2d(c_in), nn.ReLU(), conv(c_in, inner, 1)]
        self.layers = nn.Sequential(*parts, nn.BatchNorm2d(inner), nn.ReLU(), conv(inner, growth, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.layers(x)], dim=1)
