"""Odd ones: orders that matter, symmetry that no block says, and what cannot be traced."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
X = floats(6, 2)


class Middle(nn.Module):
    """Two linear layers with something odd between them."""

    def __init__(self, width, between, after=None):
        super().__init__()
        self.first, self.second, self.between = nn.Linear(2, width), nn.Linear(after or width, 2), between

    def forward(self, x):
        return self.second(self.between(self.first(x)))


@house.add(1, X)
def cumulative_sum():
    """A sum over the first units: each has its place."""
    return Middle(3, lambda h: h.cumsum(dim=-1))


@house.add(f(2) * f(3), X)
def sliced_units():
    """The first two units and the last three see different activations."""
    return Middle(5, lambda h: torch.cat([torch.tanh(h[:, :2]), functional.relu(h[:, 2:])], dim=1))


@house.add(f(2), X)
def overlapping_slices():
    """Units 0-2 are gated by units 2-4: the middle one is both, the outer ones are tied in pairs."""
    return Middle(5, lambda h: torch.tanh(h[:, :3]) * h[:, [3, 4, 2]], 3)


@house.add(5, X, expected="partly", reason="only the rotations of the five units are left")
def rolled_units():
    return Middle(5, lambda h: functional.relu(h) + torch.roll(torch.tanh(h), 1, dims=-1))


@house.add(2**2 * f(2), X, expected="partly", reason="mirrored units stay mirrored")
def mirrored_units():
    return Middle(4, lambda h: functional.relu(h) + h.flip(-1))


@house.add(f(4), X, expected="partly", reason="sorted units have no places to keep")
def sorted_units():
    return Middle(4, lambda h: h.sort(dim=-1).values)


@house.add(f(2) * f(3) * 2**2 * 2**3, X, expected="partly", reason="entries 1 and 3 behind a real transform are added")
def fourier_transformed_units():
    """Two and three units, and pairs of weights that meet only in their sum: no exchange of units."""
    return nn.Sequential(Middle(4, lambda h: torch.fft.fft(h).real), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))


@house.add(f(3), X)
class UnusedBranch(nn.Module):
    """A branch that no output hears, and a tensor that nothing reads."""

    def __init__(self):
        super().__init__()
        self.first, self.aside, self.second = nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(3, 2)
        self.spare = nn.Parameter(torch.empty(3))

    def forward(self, x):
        h = functional.relu(self.first(x))
        self.aside(h)
        return self.second(h)


@house.add(f(4), X, expected="refused", reason="branch|control flow|data-dependent|bool")
class BranchesOnData(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.first(x)
        return self.second(functional.relu(h) if h.sum() > 0 else torch.tanh(h))


@house.add(f(4), X, expected="refused", reason="random|rand|noise")
class DrawsNoise(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x):
        h = self.first(x)
        return self.second(functional.relu(h + torch.randn_like(h)))


@house.add(f(4), X, expected="refused", reason="dropout|random|rand|training")
class DropsOutAlways(nn.Module):
    """Dropout that evaluation mode does not stop, as for Monte Carlo estimates of doubt."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.second(functional.dropout(functional.relu(self.first(x)), 0.5, training=True))
