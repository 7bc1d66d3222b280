"""Normalisation of every kind, and the networks that live on it: ResNet, MobileNet, ConvNeXt."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
X = floats(6, 2)


def normalised(inputs, outputs, kernel, **options):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs))


@house.add(f(3) * f(4), X)
def batch_norm_mlp():
    layers = nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False), nn.Tanh()
    return nn.Sequential(*layers, nn.Linear(4, 2))


@house.add(f(3) * f(4), X)
def layer_norm_mlp():
    layers = nn.Linear(2, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 4), nn.LayerNorm(4, elementwise_affine=False)
    return nn.Sequential(*layers, nn.Linear(4, 2))


@house.add(f(3) * f(4), X)
def rms_norm_mlp():
    layers = nn.RMSNorm(2), nn.Linear(2, 3, bias=False), nn.RMSNorm(3), nn.SiLU(), nn.Linear(3, 4), nn.RMSNorm(4)
    return nn.Sequential(*layers, nn.Linear(4, 2))


@house.add(f(3), X)
class RmsNormByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(2, 3), nn.Linear(3, 2)
        self.weight = nn.Parameter(torch.empty(3))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)))


@house.add(f(2) * f(2) ** 2 * f(3), floats(2, 1, 4, 4))
def group_norm():
    """Two groups of two: channels change places within a group, and whole groups do."""
    features = nn.Conv2d(1, 4, 2), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.GroupNorm(1, 3), nn.SiLU()
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


@house.add(f(3) * f(2), floats(2, 1, 4, 4))
def instance_norm():
    tracked = nn.InstanceNorm2d(2, affine=True, track_running_stats=True)
    features = nn.Conv2d(1, 3, 2), nn.InstanceNorm2d(3, affine=True), nn.ReLU(), nn.Conv2d(3, 2, 2), tracked, nn.ReLU()
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(8, 2))


@house.add(f(3) * f(4), floats(2, 1, 4, 4))
def batch_norm_cnn():
    features = normalised(1, 3, 2), nn.ReLU(), normalised(3, 4, 2, padding=1), nn.LeakyReLU(), nn.AvgPool2d(2)
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(16, 2))


class Basic(nn.Module):
    def __init__(self, inputs, inner, outputs):
        super().__init__()
        self.first, self.second = normalised(inputs, inner, 3, padding=1), normalised(inner, outputs, 1)
        self.shortcut = nn.Identity() if inputs == outputs else normalised(inputs, outputs, 1)

    def forward(self, x):
        return functional.relu(
            self.second(functional.relu(self.first(x), inplace=True)) + self.shortcut(x), inplace=True
        )


@house.add(f(3) * f(2) * f(2) * f(4), floats(2, 1, 4, 4))
def resnet():
    """One basic block on a stream of three, one with a projected shortcut to a stream of four."""
    blocks = normalised(1, 3, 2), nn.ReLU(), Basic(3, 2, 3), Basic(3, 2, 4)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


class Bottleneck(nn.Module):
    """Pre-activation: normalise, ReLU, convolve, three times."""

    def __init__(self, width, first, second):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in (width, first, second))
        self.convs = nn.ModuleList(
            (nn.Conv2d(width, first, 1), nn.Conv2d(first, second, 2, padding="same"), nn.Conv2d(second, width, 1))
        )

    def forward(self, x):
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(functional.relu(norm(y)))
        return x + y


@house.add(f(4) * f(3) * f(2), floats(2, 1, 3, 3))
def bottleneck_resnet():
    return nn.Sequential(
        nn.Conv2d(1, 4, 2), Bottleneck(4, 3, 2), nn.Flatten(2), nn.AvgPool1d(4), nn.Flatten(), nn.Linear(4, 2)
    )


@house.add(f(3) * f(4), floats(2, 2, 3, 3))
class InvertedResidual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = normalised(2, 3, 2), nn.Linear(3, 2)
        depthwise = normalised(4, 4, 3, padding=1, groups=4)
        self.block = nn.Sequential(normalised(3, 4, 1), nn.ReLU6(), depthwise, nn.ReLU6(), normalised(4, 3, 1))

    def forward(self, x):
        x = functional.relu6(self.stem(x))
        return self.head((x + self.block(x)).mean([2, 3]))


@house.add(f(3) * f(4), floats(2, 1, 4, 4))
class Convnext(nn.Module):
    """Depthwise, then layer norm and an MLP with the channels last, a scale per channel, a skip."""

    def __init__(self):
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(1, 3, 2, stride=2), nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.mlp = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3))
        self.scale, self.head = nn.Parameter(torch.empty(3)), nn.Linear(3, 2)

    def forward(self, x):
        x = self.stem(x)
        y = self.scale * self.mlp(self.depthwise(x).permute(0, 2, 3, 1))
        return self.head((x + y.permute(0, 3, 1, 2)).mean((-2, -1)))


@house.add(f(3) * f(4), floats(2, 2, 5))
def norm_over_channels_and_time():
    """Convolution, normalised over channels and time at once, which leaves only the channels free."""
    features = nn.Conv1d(2, 3, 2), nn.LayerNorm([3, 4], elementwise_affine=False), nn.ReLU(), nn.Conv1d(3, 4, 2)
    return nn.Sequential(*features, nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(12, 2))


@house.add(f(3) * f(4) * f(2), floats(3, 4, 2))
class MlpMixer(nn.Module):
    """Tokens stay where they are; the units that mix them and the channels do not."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(2, 3), nn.Linear(12, 2)
        self.norms = nn.ModuleList(nn.LayerNorm(3) for _ in range(2))
        self.tokens = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4))
        self.channels = nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 3))

    def forward(self, x):
        x = self.stem(x)
        x = x + self.tokens(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norms[1](x))
        return self.head(x.flatten(1))
