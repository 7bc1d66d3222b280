"""Wiring by hand: slices of parameters, windows, memories, masks, padding, writing in place."""

import torch
from specimen import House, f, floats, tokens
from torch import nn
from torch.nn import functional

house = House()
X = floats(6, 2)


@house.add(f(3) * f(4), X)
class FlatParameters(nn.Module):
    """All weights and biases in one vector, cut and shaped on the way."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Parameter(torch.empty(9 + 16 + 10))

    def forward(self, x):
        start = 0
        for rows, columns in ((3, 2), (4, 3), (2, 4)):
            weight = self.flat[start : start + rows * columns].view(rows, columns)
            start += rows * columns
            x = functional.linear(torch.tanh(x) if start > 6 else x, weight, self.flat[start : start + rows])
            start += rows
        return x


@house.add(f(2) * f(3), X)
class SlicedWeight(nn.Module):
    """Two layers are two slices of one weight."""

    def __init__(self):
        super().__init__()
        self.weight, self.left, self.right = nn.Parameter(torch.empty(5, 2)), nn.Linear(2, 2), nn.Linear(3, 2)

    def forward(self, x):
        left, right = functional.linear(x, self.weight[:2]), functional.linear(x, self.weight[2:])
        return self.left(functional.relu(left)) + self.right(torch.tanh(right))


@house.add(f(3), X)
class WrittenInPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = self.first(x)
        y = self.second(x)
        y += x
        y.mul_(2).clamp_(max=3).relu_()
        return self.head(y)


@house.add(f(3) * f(2), floats(2, 1, 4, 4))
class PaddedChannels(nn.Module):
    """A stream of three grows to five by zeros: the two that are new are free among themselves."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Conv2d(1, 3, 2), nn.Conv2d(3, 5, 1), nn.Linear(5, 2)

    def forward(self, x):
        x = self.stem(x)
        x = functional.pad(x, (0, 0, 0, 0, 0, 2)) + self.block(functional.relu(x))
        return self.head(functional.relu(x).mean((2, 3)))


@house.add(f(2) * f(3), X)
class PartialSkip(nn.Module):
    """Only the first two of five units are added to."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Linear(2, 5), nn.Linear(5, 2), nn.Linear(5, 2)

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        return self.head(torch.cat([x[:, :2] + self.block(x), x[:, 2:]], dim=-1))


@house.add(f(2) ** 3 * f(3), X)
class SummedRuns(nn.Module):
    """Units on a grid of 2 x 3, summed over its rows: those of a column change places, and the columns do."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(2, 6), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(torch.tanh(self.first(x)).view(-1, 2, 3).sum(dim=1))


@house.add(f(3), X)
class MaskedLinear(nn.Module):
    """A mask is a buffer: a unit takes its row of the mask along."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)
        self.register_buffer("mask", torch.empty(3, 2))

    def forward(self, x):
        return self.second(torch.tanh(functional.linear(x, self.first.weight * self.mask, self.first.bias)))


@house.add(1, X)
class MaskedByConstant(nn.Module):
    """A mask that is no parameter differs from row to row: no unit can take its place."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x):
        mask = torch.arange(1, 4, dtype=x.dtype)[:, None] / torch.arange(2, 4, dtype=x.dtype)
        return self.second(torch.tanh(functional.linear(x, self.first.weight * mask, self.first.bias)))


@house.add(f(2), X)
class ConstantOfTwoValues(nn.Module):
    """A fixed vector scales the units: two of them alike, the third not."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)) * torch.tensor([2.0, 2.0, 3.0], dtype=x.dtype))


@house.add(f(3) * f(4), X)
class AssociativeMemory(nn.Module):
    """Four memories, keys and values, read by a softmax: they change places."""

    def __init__(self):
        super().__init__()
        self.query = nn.Linear(2, 3)
        self.keys, self.values = nn.Parameter(torch.empty(4, 3)), nn.Parameter(torch.empty(4, 2))

    def forward(self, x):
        return (self.query(x) @ self.keys.t()).softmax(dim=-1) @ self.values


@house.add(f(3) * f(4), floats(5, 5), floats(5, 2))
class GraphConvolution(nn.Module):
    """Nodes pass on what they know along the edges given; a second layer attends to neighbours."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 2)
        self.sends, self.hears = nn.Linear(4, 1, bias=False), nn.Linear(4, 1, bias=False)

    def forward(self, edges, x):
        x = self.second(functional.relu(edges @ self.first(x)))
        scores = functional.leaky_relu(self.hears(x) + self.sends(x).t()).masked_fill(edges < -1, -1e9)
        return self.head(functional.elu(scores.softmax(dim=-1) @ x))


@house.add(f(4) * f(2) * (f(2) * f(2)) ** 2, floats(1, 4, 4, 2))
class ShiftedWindows(nn.Module):
    """Attention in windows of 2 x 2 of a rolled map, with a table of relative biases for every head."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.head = nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2)
        self.qkv, self.out, self.table = nn.Linear(4, 12), nn.Linear(4, 4), nn.Parameter(torch.empty(9, 2))
        at = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        between = (at[:, :, None] - at[:, None, :] + 1).permute(1, 2, 0)
        self.register_buffer("index", between[..., 0] * 3 + between[..., 1])

    def forward(self, x):
        x = self.stem(x)
        y = torch.roll(self.norm(x), (-1, -1), (1, 2))
        y = y.view(1, 2, 2, 2, 2, 4).permute(0, 1, 3, 2, 4, 5).reshape(4, 4, 4)
        q, k, v = self.qkv(y).view(4, 4, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(4, 4, 2).permute(2, 0, 1)
        y = ((q @ k.transpose(-2, -1) + bias).softmax(dim=-1) @ v).transpose(1, 2).reshape(4, 4, 4)
        y = self.out(y).view(1, 2, 2, 2, 2, 4).permute(0, 1, 3, 2, 4, 5).reshape(1, 4, 4, 4)
        return self.head(x + torch.roll(y, (1, 1), (1, 2)))


@house.add(f(3) * f(4), floats(2, 1, 4, 4), floats(2, 5))
class ModulatedConvolution(nn.Module):
    """A style scales the channels of the kernel, which is then normalised, as in StyleGAN."""

    def __init__(self):
        super().__init__()
        self.stem, self.style, self.head = nn.Conv2d(1, 3, 2), nn.Linear(5, 3), nn.Conv2d(4, 1, 1)
        self.weight = nn.Parameter(torch.empty(4, 3, 2, 2))

    def forward(self, x, z):
        x = functional.leaky_relu(self.stem(x), 0.2)
        weight = self.weight * self.style(z)[:, None, :, None, None]
        weight = weight * torch.rsqrt(weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
        x = functional.conv2d(x.reshape(1, 6, 3, 3), weight.reshape(8, 3, 2, 2), groups=2)
        return self.head(functional.leaky_relu(x.view(2, 4, 2, 2), 0.2))


@house.add(f(3) * f(2), floats(2, 1, 4, 4), floats(2, 5))
class AdaptiveInstanceNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.style, self.last = nn.Conv2d(1, 3, 2), nn.Linear(5, 6), nn.Conv2d(3, 2, 2)
        self.norm, self.head = nn.InstanceNorm2d(3), nn.Conv2d(2, 1, 1)

    def forward(self, x, z):
        scale, shift = self.style(z).view(2, 2, 3, 1, 1).unbind(1)
        return self.head(functional.relu(self.last(scale * self.norm(self.conv(x)) + shift)))


@house.add(2, floats(2, 1, 4, 4), expected="partly", reason="channels and the kernel over them are read backwards")
class ConvolvedChannels(nn.Module):
    """Efficient channel attention: a convolution over the channels gives each its place, up to reading backwards."""

    def __init__(self):
        super().__init__()
        self.conv, self.across, self.head = nn.Conv2d(1, 4, 2), nn.Conv1d(1, 1, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x):
        x = functional.relu(self.conv(x))
        gate = torch.sigmoid(self.across(x.mean((2, 3))[:, None]))[:, 0, :, None, None]
        return self.head((x * gate).mean((2, 3)))


@house.add(f(3) * f(2), floats(2, 1, 4, 4))
class CoordinatesAppended(nn.Module):
    """Two channels of coordinates are constants and stay where they are."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(5, 2, 1), nn.Linear(2, 2)

    def forward(self, x):
        x = functional.relu(self.first(self.located(x)))
        return self.head(functional.relu(self.second(self.located(x))).mean((2, 3)))

    def located(self, x):
        down = torch.linspace(-1, 1, x.shape[2], dtype=x.dtype)[:, None].expand(x.shape[0], 1, -1, x.shape[3])
        along = torch.linspace(-1, 1, x.shape[3], dtype=x.dtype).expand(x.shape[0], 1, x.shape[2], -1)
        return torch.cat([down, x, along], dim=1)


@house.add(f(3) * f(4), floats(2, 1, 4, 4))
class UnfoldedPatches(nn.Module):
    """A convolution as a product with unfolded patches: a channel owns a run of their rows."""

    def __init__(self):
        super().__init__()
        self.stem, self.weight, self.head = nn.Conv2d(1, 3, 2), nn.Linear(12, 4), nn.Linear(4, 2)

    def forward(self, x):
        patches = functional.unfold(functional.relu(self.stem(x)), 2).transpose(1, 2)
        return self.head(functional.relu(self.weight(patches)).mean(dim=1))


@house.add(f(3) * f(2) * f(4), X)
class SharedAndOwn(nn.Module):
    """One encoder read by two heads, one of which also sees what the other made of it."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({"encoder": nn.Linear(2, 3), "first": nn.Linear(3, 2), "second": nn.Linear(5, 4)})
        self.heads = nn.ParameterList(torch.empty(size) for size in (2, 4))

    def forward(self, x):
        x = functional.selu(self.parts["encoder"](x))
        first = functional.mish(self.parts["first"](x))
        second = functional.softsign(self.parts["second"](torch.hstack((x, first))))
        return first @ self.heads[0], second @ self.heads[1]


@house.add(f(4), X)
class PooledInManyWays(nn.Module):
    """Everything that pools units and asks nothing of their places."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 4)

    def forward(self, x):
        x = self.layer(x)
        pools = [x.amax(1), x.min(dim=1).values, x.std(dim=1), x.norm(dim=1), x.logsumexp(1), x.prod(dim=1)]
        return torch.stack([*pools, torch.var_mean(x, dim=1)[0], x.abs().sum(1), x.median(dim=1).values], dim=1)


@house.add(f(3) * f(2), tokens(5, 2, 4), floats(2, 4, 2))
class TokensWithFeatures(nn.Module):
    """A sparse and a dense input, joined at every step, with padding left out of the mean."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dense = nn.Embedding(5, 3, padding_idx=0), nn.Linear(2, 3)
        self.head = nn.Sequential(nn.Linear(3, 2), nn.CELU(), nn.Linear(2, 2))

    def forward(self, ids, x):
        mask = (ids != 0).to(x.dtype)[..., None]
        x = (self.embedding(ids) * torch.tanh(self.dense(x)) * mask).sum(1) / mask.sum(1).clamp(min=1)
        return self.head(x)


@house.add(f(3), X)
class KolmogorovArnold(nn.Module):
    """A learned function on every edge, in a basis of three: edges own no place of the basis."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Parameter(torch.empty(3, 2, 3)), nn.Parameter(torch.empty(2, 3, 3))

    def forward(self, x):
        for weight in (self.first, self.second):
            basis = torch.stack([x, torch.sin(x), torch.exp(-x * x)], dim=-1)
            x = torch.einsum("bik,oik->bo", basis, weight)
        return x


@house.add(1, X)
def no_parameters():
    return nn.Sequential(nn.Softmax(dim=-1), nn.Tanh())
