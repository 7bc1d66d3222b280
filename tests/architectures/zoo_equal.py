"""Models whose sizes are all equal: who is tied to whom cannot be read off the shapes."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
X = floats(3, 3)


@house.add(f(3) * f(3), X)
def equal_mlp():
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))


@house.add(f(3) * f(3), floats(3, 3, 3, 3))
def equal_convolution():
    """Three images of three channels of 3 x 3; the kernels are as wide as their channels are many."""
    layers = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(27, 3))


@house.add(f(2) * f(2) * f(2) ** 4, floats(2, 2, 2))
class EqualAttention(nn.Module):
    """Two sequences of two steps, two heads of two units, two features to begin and to end with."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(2, 4, bias=False) for _ in range(3))
        self.stem, self.out = nn.Linear(2, 2), nn.Linear(4, 2)

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        q, k, v = (layer(x).view(2, 2, 2, 2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = (q @ k.mT).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(2, 2, 4))


@house.add(f(3), X)
class EqualTransposition(nn.Module):
    """A layer over the batch between two over the features: the batch is an input and stays."""

    def __init__(self):
        super().__init__()
        self.first, self.across, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.last(torch.tanh(self.across(x.t()).t()))


@house.add(f(3), X)
class EqualSoftmax(nn.Module):
    """A softmax over the batch, and a sum of features over it."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        x = self.first(x).softmax(dim=0)
        return self.last(x + x.sum(dim=0))


@house.add(f(3) * f(3), floats(3, 3, 3))
class EqualMixer(nn.Module):
    """Over the steps, then over the features, with no skip: the steps are hidden units for once."""

    def __init__(self):
        super().__init__()
        self.steps, self.features, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(9, 3)

    def forward(self, x):
        x = functional.relu(self.steps(x.mT)).mT
        return self.last(functional.relu(self.features(x)).flatten(1))


@house.add(1, X)
class EqualGram(nn.Module):
    """Features of three samples against those of the same three."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)

    def forward(self, x):
        x = torch.sigmoid(self.first(x))
        return x @ x.t(), x.cumsum(dim=1)


@house.add(f(3), X)
class EqualGramOfSamples(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)

    def forward(self, x):
        x = torch.sigmoid(self.first(x))
        return x @ x.t()


@house.add(f(3) ** 2, X)
class EqualMatrices(nn.Module):
    """Three matrices in a row: a product of parameters before it meets the input."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.empty(3, 3)) for _ in range(3))

    def forward(self, x):
        return x @ (self.a @ self.b @ self.c)


@house.add(f(3), X)
class EqualSelfTied(nn.Module):
    """One square weight forth and, transposed, back."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 3))

    def forward(self, x):
        return torch.tanh(x @ self.weight.t()) @ self.weight
