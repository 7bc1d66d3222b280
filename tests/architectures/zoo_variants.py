"""Options of PyTorch's own modules, and the norms in places where they are easily got wrong."""

import torch
from specimen import House, f, floats, tokens
from torch import nn
from torch.nn import functional

house = House()
SEQUENCE = floats(2, 3, 2)
IMAGE = floats(2, 1, 4, 4)
X = floats(6, 2)


class Attending(nn.Module):
    """nn.MultiheadAttention of a learned sequence with itself, with whatever else it returns."""

    def __init__(self, weights=None, **options):
        super().__init__()
        self.stem, self.attention = nn.Linear(2, 4), nn.MultiheadAttention(4, 2, batch_first=True, **options)
        self.head, self.weights = nn.Linear(4, 2), weights

    def forward(self, x, mask=None):
        x = self.stem(x)
        if self.weights is None:
            return self.head(x + self.attention(x, x, x, attn_mask=mask)[0])
        y, weights = self.attention(x, x, x, average_attn_weights=self.weights == "averaged")
        return self.head(x + y), weights


HEADS = f(2) * (f(2) * f(2)) ** 2


@house.add(f(4) * HEADS, SEQUENCE)
def attention_with_averaged_weights():
    return Attending("averaged")


@house.add(f(4) * (f(2) * f(2)) ** 2, SEQUENCE)
def attention_with_weights_of_heads():
    """The weights of each head are an output: heads stay, their units do not."""
    return Attending("heads")


@house.add(f(4) * HEADS, SEQUENCE, floats(3, 3))
def attention_with_additive_mask():
    return Attending()


@house.add(f(4) * HEADS, SEQUENCE)
def attention_with_learned_keys():
    """A learned key and value are appended to the sequence, and one of zeros."""
    return Attending(add_bias_kv=True, add_zero_attn=True)


class Last(nn.Module):
    def __init__(self, network, width):
        super().__init__()
        self.network, self.head = network, nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.network(x)[0])


@house.add(f(3), SEQUENCE)
def rectified_recurrent():
    return Last(nn.RNN(2, 3, nonlinearity="relu", bias=False, batch_first=True), 3)


@house.add(f(3) * f(2), SEQUENCE)
def projected_long_short_term_memory():
    """Three cells, projected to two outputs, which are what is fed back."""
    return Last(nn.LSTM(2, 3, proj_size=2, batch_first=True), 2)


@house.add(f(2) * f(3), SEQUENCE)
class RecurrentEncoderDecoder(nn.Module):
    """The last state of one network begins another: their units are one block."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.GRU(2, 2, batch_first=True), nn.GRU(2, 2, batch_first=True)
        self.head = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

    def forward(self, x):
        return self.head(self.decoder(x.flip(1), self.encoder(x)[1])[0])


@house.add(f(3) * f(2) * f(4), IMAGE)
class DenseNormalised(nn.Module):
    """Batch norm behind a concatenation: its vectors are in two parts."""

    def __init__(self):
        super().__init__()
        self.stem, self.first, self.last = nn.Conv2d(1, 3, 2), nn.Conv2d(3, 2, 1), nn.Conv2d(5, 4, 1)
        self.norms, self.head = nn.ModuleList(nn.BatchNorm2d(size) for size in (3, 5, 4)), nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.first(functional.relu(self.norms[0](x)))], dim=1)
        x = self.last(functional.relu(self.norms[1](x)))
        return self.head(self.norms[2](x).mean((2, 3)))


@house.add(f(2) * f(2) ** 2 * f(3) ** 2, floats(2, 2, 4, 4))
def grouped_and_normalised():
    """Batch norm before, between and behind grouped convolutions."""
    layers = nn.BatchNorm2d(2), nn.Conv2d(2, 4, 2, bias=False), nn.BatchNorm2d(4), nn.ReLU()
    grouped = nn.Conv2d(4, 6, 2, groups=2, bias=False), nn.BatchNorm2d(6), nn.ReLU()
    return nn.Sequential(*layers, *grouped, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))


@house.add(f(3) * f(2) ** 3 * f(2) * f(2), floats(2, 2, 2, 2))
def transposed_and_grouped():
    """Depthwise upwards with two outputs a channel, then grouped upwards."""
    up = nn.ConvTranspose2d(3, 6, 2, groups=3), nn.ReLU(), nn.ConvTranspose2d(6, 2, 2), nn.Tanh()
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), *up, nn.Flatten(), nn.Linear(32, 2), nn.Tanh(), nn.Linear(2, 1))


@house.add(f(2) * f(4) ** 2 * f(3), floats(3, 2))
def normalised_feature_map():
    """From a vector to a map, normalised as a map and flattened again: pixels are free within their channel."""
    layers = nn.Linear(2, 8), nn.Unflatten(1, (2, 2, 2)), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
    return nn.Sequential(*layers, nn.LayerNorm(3), nn.Linear(3, 2))


@house.add(f(3), IMAGE)
def layer_norm_over_maps():
    """Affine parameters for every channel and pixel."""
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.LayerNorm([3, 3, 3]), nn.ReLU(), nn.Conv2d(3, 1, 2))


@house.add(f(3) * f(4), SEQUENCE)
class NormalisedSequence(nn.Module):
    """Batch norm over features that are last: transposed there and back."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(2, 3), nn.BatchNorm1d(3)
        self.second, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        x = self.norm(self.first(x).transpose(1, 2)).transpose(1, 2)
        return self.head(functional.gelu(self.second(x)))


@house.add(f(3), X)
class NormUsedTwice(nn.Module):
    """One batch norm for two layers ties their units."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(2, 3), nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        x = functional.relu(self.norm(self.first(x)))
        return self.head(functional.relu(self.norm(self.second(x))))


@house.add(f(3), X)
class SlopesUsedTwice(nn.Module):
    """One PReLU of three slopes for two layers ties their units, too."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.slopes = nn.Linear(2, 3), nn.Linear(3, 3), nn.PReLU(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.slopes(self.second(self.slopes(self.first(x)))))


@house.add(f(3) * f(3), X)
class OneSlopeUsedTwice(nn.Module):
    """A single slope ties nothing."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.slope = nn.Linear(2, 3), nn.Linear(3, 3), nn.PReLU()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.slope(self.second(self.slope(self.first(x)))))


@house.add(f(3), IMAGE)
class SharedKernel(nn.Module):
    """A kernel and its transpose: an autoencoder of convolutions with one weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 1, 2, 2))

    def forward(self, x):
        return functional.conv_transpose2d(torch.tanh(functional.conv2d(x, self.weight)), self.weight)


@house.add(f(3) * f(2), tokens(5, 2, 4))
class TiedThrice(nn.Module):
    """Encoder's, decoder's and head's table of words are one."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Embedding(5, 3), nn.Embedding(5, 3)
        self.mix, self.head = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 3)), nn.Linear(3, 5)
        self.decoder.weight = self.head.weight = self.encoder.weight

    def forward(self, ids):
        return self.head(self.decoder(ids) + self.mix(self.encoder(ids).mean(dim=1))[:, None])


@house.add(f(4) * f(3), X)
class SpectrallyNormalised(nn.Module):
    """A weight divided by its own norm before use."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 4), nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = functional.relu(self.first(x))
        weight = self.second.weight / self.second.weight.norm()
        weight = weight - weight.mean(dim=1, keepdim=True)
        return self.head(functional.relu(functional.linear(x, weight, self.second.bias)))


@house.add(f(3) * f(2), X)
class StackedBranches(nn.Module):
    """Two branches stacked and weighed by learned numbers."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 3), nn.Linear(2, 3)
        self.mix = nn.Parameter(torch.empty(2, 1))
        self.head = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))

    def forward(self, x):
        both = torch.stack([self.left(x).tanh(), self.right(x).relu()], dim=1)
        return self.head((self.mix.softmax(dim=0) * both).sum(dim=1))
