"""Products of features and weights: low rank, generated weights, bilinear forms, distances, angles."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
X = floats(6, 2)


@house.add(f(3) * f(2), floats(6, 4))
class LowRankUpdate(nn.Module):
    """A frozen weight and a rank-two update of it; the hidden units lie on both."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 3), nn.Linear(3, 2)
        self.down, self.up = nn.Parameter(torch.empty(2, 4)), nn.Parameter(torch.empty(3, 2))

    def forward(self, x):
        return self.head(functional.relu(self.layer(x) + functional.linear(functional.linear(x, self.down), self.up)))


@house.add(f(2) * f(3), X, floats(6, 4))
class Hypernetwork(nn.Module):
    """A network of z draws the weight of a layer of three units."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 2), nn.Linear(2, 12), nn.Linear(3, 2)

    def forward(self, z, x):
        weight = self.second(torch.tanh(self.first(z))).view(-1, 3, 4)
        return self.head(functional.relu(torch.einsum("bij,bj->bi", weight, x)))


@house.add(f(3) * f(2), X, floats(6, 4))
class EinsumBilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 3), nn.Linear(4, 2)
        self.form = nn.Parameter(torch.empty(4, 3, 2))

    def forward(self, x, y):
        return torch.einsum("bi,oij,bj->bo", functional.relu(self.left(x)), self.form, functional.relu(self.right(y)))


@house.add(f(3) * f(2), X, floats(6, 4))
class BilinearLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.form = nn.Linear(2, 3), nn.Linear(4, 2), nn.Bilinear(3, 2, 4)

    def forward(self, x, y):
        return self.form(torch.tanh(self.left(x)), torch.tanh(self.right(y)))


@house.add(f(3) * f(4), X)
class CosineHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
        self.prototypes = nn.Parameter(torch.empty(5, 4))

    def forward(self, x):
        return functional.linear(functional.normalize(self.layers(x)), functional.normalize(self.prototypes))


@house.add(f(3) * f(4), X)
class RadialBasis(nn.Module):
    """Distances to four centres: the centres are units, the coordinates another block."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(2, 3), nn.Linear(4, 2)
        self.centres = nn.Parameter(torch.empty(4, 3))

    def forward(self, x):
        differences = torch.sigmoid(self.layer(x))[:, None, :] - self.centres
        return self.head(torch.exp(-differences.square().sum(dim=-1)))


@house.add(f(3) * f(4), X)
class FourierFeatures(nn.Module):
    """Random frequencies in a buffer, which moves with what follows like any other tensor."""

    def __init__(self):
        super().__init__()
        self.register_buffer("frequencies", torch.empty(3, 2))
        self.head = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1))

    def forward(self, x):
        angles = x @ self.frequencies.t()
        return self.head(torch.cat([angles.sin(), angles.cos()], dim=-1))
