"""Convolutions: plain, strided, grouped, depthwise, transposed, of one to three dimensions."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
IMAGE = floats(2, 1, 5, 5)


@house.add(f(3) * f(2), IMAGE)
def convolution_flattened():
    """A linear layer behind a flattened feature map: every channel owns a run of columns."""
    features = nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Conv2d(3, 2, 2, padding=1), nn.Tanh(), nn.MaxPool2d(2)
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(8, 2))


@house.add(f(3) * f(4), IMAGE)
def global_average_pooling():
    features = nn.Conv2d(1, 3, 2, stride=2), nn.ReLU(), nn.Conv2d(3, 4, 2, bias=False), nn.SiLU()
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@house.add(f(3) * f(2), IMAGE)
class ChannelsLastFlattened(nn.Module):
    """Flattened with the channels last: a channel owns every third column."""

    def __init__(self):
        super().__init__()
        self.conv, self.hidden, self.head = nn.Conv2d(1, 3, 4), nn.Linear(12, 2), nn.Linear(2, 1)

    def forward(self, x):
        x = functional.relu(self.conv(x)).permute(0, 2, 3, 1)
        return self.head(functional.relu(self.hidden(x.flatten(1))))


@house.add(f(3) * f(2), floats(2, 2, 6))
def adaptive_pooling_flattened():
    features = nn.Conv1d(2, 3, 2, dilation=2), nn.ELU(), nn.AdaptiveAvgPool1d(2), nn.Flatten()
    return nn.Sequential(*features, nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 1))


class Causal(nn.Module):
    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        self.conv, self.padding = nn.Conv1d(inputs, outputs, 2, dilation=dilation), dilation

    def forward(self, x):
        return functional.relu(self.conv(functional.pad(x, (self.padding, 0))))


@house.add(f(3) * f(4), floats(2, 2, 5))
class TemporalConvolution(nn.Module):
    """Dilated causal convolutions with a projected skip; the last step is read."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Causal(2, 3, 1), Causal(3, 4, 2)
        self.skip, self.head = nn.Conv1d(2, 4, 1), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(functional.relu(self.second(self.first(x)) + self.skip(x))[:, :, -1])


@house.add(f(2) * f(3), floats(2, 1, 3, 4, 3))
def convolution_3d():
    features = nn.Conv3d(1, 2, 2), nn.LeakyReLU(0.2), nn.AvgPool3d((1, 2, 1)), nn.Conv3d(2, 3, (2, 1, 2)), nn.GELU()
    return nn.Sequential(*features, nn.AdaptiveMaxPool3d(1), nn.Flatten(), nn.Linear(3, 2))


@house.add(f(4) * f(3) * f(2), floats(3, 2))
def transposed_decoder():
    """From a vector to an image: unflattened, then two transposed convolutions."""
    features = nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 12), nn.Unflatten(1, (3, 2, 2)), nn.ReLU()
    upward = nn.ConvTranspose2d(3, 2, 2, stride=2), nn.Tanh(), nn.ConvTranspose2d(2, 1, 2)
    return nn.Sequential(*features, *upward)


@house.add(f(3) * f(2) * f(4), floats(2, 1, 4, 4))
class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.outer, self.inner = nn.Conv2d(1, 3, 2, padding="same"), nn.Conv2d(3, 2, 2, padding="same")
        self.up, self.join = nn.ConvTranspose2d(2, 4, 2, stride=2), nn.Conv2d(7, 2, 1)

    def forward(self, x):
        outer = functional.relu(self.outer(x))
        inner = functional.relu(self.inner(functional.max_pool2d(outer, 2)))
        return self.join(torch.cat([outer, self.up(inner)], dim=1))


@house.add(f(3) * f(2), floats(2, 1, 4, 4))
class UpsamplingAndCircularPadding(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 3, 2, padding=1, padding_mode="circular")
        self.second, self.head = nn.Conv2d(3, 2, 2), nn.Conv2d(2, 1, 1)

    def forward(self, x):
        x = functional.interpolate(functional.relu(self.first(x)), scale_factor=2, mode="nearest")
        return self.head(functional.interpolate(functional.relu(self.second(x)), size=(4, 4), mode="bilinear"))


@house.add(f(3) * f(4), IMAGE)
class SqueezeExcitation(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 2), nn.Linear(4, 2)
        self.squeeze, self.excite = nn.Conv2d(4, 3, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))))
        return self.head((gate * x).mean(dim=(2, 3)))


@house.add(f(3), IMAGE)
class SpatialAttention(nn.Module):
    """A gate from the mean and the maximum over the channels, the same for all of them."""

    def __init__(self):
        super().__init__()
        self.conv, self.gate, self.head = nn.Conv2d(1, 3, 2), nn.Conv2d(2, 1, 2, padding="same"), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return self.head(x * torch.sigmoid(self.gate(pooled)))


@house.add(f(2) * f(3) * f(2), IMAGE)
class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.point, self.wide = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 3, padding=1)
        self.pooled, self.head = nn.Conv2d(1, 2, 1), nn.Linear(7, 2)

    def forward(self, x):
        branches = self.point(x), self.wide(x), self.pooled(functional.max_pool2d(x, 3, stride=1, padding=1))
        return self.head(functional.relu(torch.cat(branches, dim=1)).amax(dim=(2, 3)))


@house.add(f(3) * f(2) * f(4), floats(2, 1, 4, 4))
class ConvolutionalDenseConnections(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.first, self.second = nn.Conv2d(1, 3, 2), nn.Conv2d(3, 2, 1), nn.Conv2d(5, 4, 2)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.first(functional.relu(x))], dim=1)
        return self.head(self.second(functional.relu(x)).flatten(2).mean(-1))


@house.add(f(3) * f(4), floats(2, 2, 4, 4))
def depthwise_separable():
    """A depthwise convolution acts channel by channel: its channels are those that come in."""
    depthwise = nn.Conv2d(3, 3, 2, groups=3)
    features = nn.Conv2d(2, 3, 1), nn.ReLU(), depthwise, nn.ReLU(), nn.Conv2d(3, 4, 1, bias=False), nn.ReLU()
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))


@house.add(f(3) * f(2) ** 3 * f(2), floats(2, 2, 4))
def depthwise_with_multiplier():
    """Two outputs for each of three channels: the pairs move with their channel, and each may be swapped."""
    features = nn.Conv1d(2, 3, 1), nn.ReLU(), nn.Conv1d(3, 6, 2, groups=3), nn.Tanh(), nn.Conv1d(6, 2, 2)
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(4, 1))


@house.add(f(2) * f(2) ** 2 * f(3) ** 2, floats(2, 2, 4, 4))
def grouped_convolution():
    """Two groups of two channels in and three out: groups change places, channels within theirs."""
    features = nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Conv2d(4, 6, 2, groups=2), nn.ReLU()
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))


@house.add(f(2) ** 2 * f(3) ** 2, floats(2, 4, 3))
def grouped_convolution_of_the_input():
    """The groups of an input stay where they are; so do those of all that is grouped behind it."""
    layers = nn.Conv1d(4, 4, 2, groups=2), nn.ReLU(), nn.Conv1d(4, 6, 1, groups=2), nn.ReLU(), nn.Conv1d(6, 2, 2)
    return nn.Sequential(*layers)


@house.add(f(3) * f(2) * f(2) ** 2 * f(2) ** 2, floats(2, 2, 4, 4))
class Resnext(nn.Module):
    """Two grouped paths of a bottleneck between dense convolutions, with a skip."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(2, 3, 1), nn.Linear(3, 2)
        self.down, self.up = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 3, 1)
        self.middle = nn.Conv2d(4, 4, 3, padding=1, groups=2)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.up(functional.relu(self.middle(functional.relu(self.down(x)))))
        return self.head(functional.relu(x).mean(dim=(-2, -1)))


@house.add(
    f(2) * f(3) * f(2) ** 2 * f(2) ** 3,
    floats(2, 2, 4),
    expected="partly",
    reason="channels lie on a grid of two groups",
)
class ChannelShuffle(nn.Module):
    """Shuffled, the 2 x 3 channels are in 2 groups on their way in and in 3 on their way out: a grid."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv1d(2, 4, 1), nn.Linear(6, 2)
        self.first, self.second = nn.Conv1d(4, 6, 2, groups=2), nn.Conv1d(6, 6, 2, groups=3)

    def forward(self, x):
        x = functional.relu(self.first(functional.relu(self.stem(x))))
        x = x.view(-1, 2, 3, x.shape[-1]).transpose(1, 2).flatten(1, 2)
        return self.head(functional.relu(self.second(x)).mean(-1))


@house.add(f(3) * f(2), floats(2, 2, 3, 3))
def pixel_shuffle():
    """Four channels become the pixels of one: the runs of four move together."""
    features = nn.Conv2d(2, 12, 2), nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Tanh()
    return nn.Sequential(*features, nn.Conv2d(2, 1, 1))


@house.add(f(3) * f(2), floats(2, 1, 4, 4))
class LocalResponse(nn.Module):
    """Softmax over channels at every pixel, and a norm over each channel's map."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 2), nn.Conv2d(3, 2, 1)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        x = self.second(self.first(x).softmax(dim=1))
        return self.head(torch.linalg.vector_norm(x, dim=(2, 3)))
