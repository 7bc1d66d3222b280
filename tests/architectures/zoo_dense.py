"""Linear layers wired in many ways: chains, skips, concatenation, shared and generated weights."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
X = floats(6, 2)


@house.add(f(3) * f(4), X)
def mlp():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@house.add(f(3) * f(4), X)
def mlp_without_biases():
    layers = (2, 3), (3, 4), (4, 2)
    first, second, last = (nn.Linear(*sizes, bias=False) for sizes in layers)
    return nn.Sequential(first, nn.GELU(), nn.Dropout(0.5), second, nn.SiLU(), last, nn.LogSoftmax(1))


@house.add(f(3), floats(6, 4))
def two_linear_layers():
    """Nothing between them: any invertible change of the three features keeps the function."""
    return nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5))


class Residual(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return x + self.down(functional.relu(self.up(x)))


@house.add(f(3) * f(2) * f(4), X)
def residual_mlp():
    return nn.Sequential(nn.Linear(2, 3), Residual(3, 2), Residual(3, 4), nn.Linear(3, 2))


@house.add(f(2) * f(3), floats(6, 4))
def residual_on_the_input():
    """The stream is the input itself: nothing permutes it."""
    return nn.Sequential(Residual(4, 2), Residual(4, 3))


@house.add(f(3) * f(2) * f(4), X)
class DenseConnections(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 3), nn.Linear(5, 2), nn.Linear(7, 4)
        self.head = nn.Linear(11, 2)

    def forward(self, x):
        for layer in (self.first, self.second, self.third):
            x = torch.cat([x, torch.tanh(layer(x))], dim=1)
        return self.head(x)


@house.add(f(3), floats(6, 4))
class WeightTiedAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 3)
        self.bias = nn.Parameter(torch.empty(4))

    def forward(self, x):
        return functional.linear(torch.sigmoid(self.encoder(x)), self.encoder.weight.t(), self.bias)


@house.add(f(3) * f(4) * f(2), X, floats(6, 2))
class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
        self.head = nn.Sequential(nn.Linear(4, 2), nn.Softplus(), nn.Linear(2, 1))

    def forward(self, x, y):
        return self.head((self.encoder(x) - self.encoder(y)).abs())


@house.add(f(4), X)
class ModuleUsedTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.shared, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.shared(torch.tanh(self.shared(self.stem(x))))))


@house.add(f(3) * f(2), X)
class ResidualBlockIterated(nn.Module):
    """Three steps of one block, as in a neural differential equation or a deep equilibrium."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Linear(2, 3), Residual(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = self.block(x)
        return self.head(x)


@house.add(f(3) * f(2) * f(4), X, floats(6, 3))
class TwoInputsJoined(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.join = nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(5, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x, y):
        return self.head(
            functional.elu(self.join(torch.cat([functional.relu(self.left(x)), torch.tanh(self.right(y))], dim=-1)))
        )


@house.add(f(4), X, floats(6, 3))
class TwoInputsAdded(nn.Module):
    """Adding ties the units of both encoders to each other."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.head = nn.Linear(2, 4), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x, y):
        return self.head(functional.relu(self.left(x) + self.right(y)))


@house.add(f(3) * f(2) * f(4), X)
class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.mean = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
        self.spread = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, x):
        h = functional.leaky_relu(self.trunk(x))
        return {"mean": self.mean(h), "spread": functional.softplus(self.spread(h))}


@house.add(f(3), X)
class OutputAndFeatures(nn.Module):
    """The second layer's features are an output: they stay where they are."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        features = functional.relu(self.second(functional.relu(self.first(x))))
        return self.head(features), features


@house.add(f(4), X)
class MeanOverUnits(nn.Module):
    """A head that averages: nothing leads out of the units but their mean."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 4)

    def forward(self, x):
        return functional.relu(self.layer(x)).mean(dim=1)


@house.add(f(3) * f(4) * f(2), floats(3, 5, 2))
class DeepSet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
        self.outer = nn.Sequential(nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 1))

    def forward(self, x):
        return self.outer(self.inner(x).sum(dim=1))


@house.add(f(3) * f(2), X)
def weight_normalised():
    hidden = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    return nn.Sequential(hidden, nn.ReLU(), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
