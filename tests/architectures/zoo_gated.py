"""Gates, mixtures and activations with parameters."""

import torch
from specimen import House, f, floats
from torch import nn
from torch.nn import functional

house = House()
X = floats(6, 2)


@house.add(f(3), X)
def gated_linear_unit():
    return nn.Sequential(nn.Linear(2, 6), nn.GLU(), nn.Linear(3, 2))


@house.add(f(4), X)
class Swiglu(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(*sizes, bias=False) for sizes in ((2, 4), (2, 4), (4, 2)))

    def forward(self, x):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


@house.add(f(4), X)
class SwigluFused(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(2, 8), nn.Linear(4, 3)

    def forward(self, x):
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * value)


@house.add(f(3) * 2**3, X, expected="partly", reason="the two factors of a product change places in each unit")
class BilinearUnitFused(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(2, 6), nn.Linear(3, 2)

    def forward(self, x):
        left, right = self.up(x).chunk(2, dim=-1)
        return self.down(left * right)


@house.add(f(3) * f(2) ** 3, X)
class Maxout(nn.Module):
    """Three units of two pieces: the pieces of a unit change places, and the units do."""

    def __init__(self):
        super().__init__()
        self.pieces, self.head = nn.Linear(2, 6), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.pieces(x).view(-1, 3, 2).amax(dim=-1))


@house.add(f(3), X)
class Highway(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(2, 3), nn.Linear(3, 2)
        self.change, self.gate = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        x = self.stem(x)
        gate = torch.sigmoid(self.gate(x))
        return self.head(gate * functional.relu(self.change(x)) + (1 - gate) * x)


@house.add(f(3) * f(4) * f(2), X, floats(6, 5))
class Film(nn.Module):
    """Scales and shifts of three features come from another input."""

    def __init__(self):
        super().__init__()
        self.trunk, self.condition = nn.Linear(2, 3), nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 6))
        self.head = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))

    def forward(self, x, z):
        scale, shift = self.condition(z).chunk(2, dim=1)
        return self.head(functional.relu(self.trunk(x) * (1 + scale) + shift))


@house.add(f(4) * f(3), X)
class SoftmaxGate(nn.Module):
    """Attention over features: each is weighted by a softmax over all."""

    def __init__(self):
        super().__init__()
        self.value, self.gate = nn.Linear(2, 4), nn.Linear(2, 4)
        self.head = nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1))

    def forward(self, x):
        return self.head(self.value(x) * self.gate(x).softmax(dim=-1))


@house.add(f(3) * f(2) * f(4), X)
class MixtureOfExperts(nn.Module):
    """Experts in modules of their own, weighted by a gate: an expert does not leave its module."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(2, h), nn.ReLU(), nn.Linear(h, 2)) for h in (3, 2, 4))
        self.gate = nn.Linear(2, 3)

    def forward(self, x):
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (self.gate(x).softmax(dim=-1)[..., None] * outputs).sum(dim=1)


@house.add(f(4) * f(3) * f(2), X)
class ExpertsWithFixedRouting(nn.Module):
    """Tokens are routed by their place: the first half to one expert, the others to the second."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(2, 4), nn.Linear(4, 1)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(4, h), nn.ReLU(), nn.Linear(h, 4)) for h in (3, 2))

    def forward(self, x):
        x = self.stem(x)
        first, second = x[:3], x[3:]
        return self.head(x + torch.cat([self.experts[0](first), self.experts[1](second)]))


@house.add(f(2) * f(3) ** 2, X)
class ExpertsInOneTensor(nn.Module):
    """Two experts of three units in stacked weights: they change places with their gates."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Parameter(torch.empty(2, 3, 2)), nn.Parameter(torch.empty(2, 4, 3))
        self.gate = nn.Linear(2, 2)

    def forward(self, x):
        hidden = functional.relu(torch.einsum("bi,ehi->beh", x, self.up))
        outputs = torch.einsum("beh,eoh->beo", hidden, self.down)
        return torch.einsum("be,beo->bo", self.gate(x).softmax(dim=-1), outputs)


@house.add(f(3) * f(4), X)
def prelu_per_channel():
    return nn.Sequential(nn.Linear(2, 3), nn.PReLU(3), nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 2))


@house.add(f(4) * f(3), X)
class SnakeActivation(nn.Module):
    """An activation with a learned frequency for every unit, written out."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 4), nn.Linear(4, 3), nn.Linear(3, 2)
        self.alpha, self.beta = nn.Parameter(torch.empty(4)), nn.Parameter(torch.empty(1, 3))

    def forward(self, x):
        x = self.first(x)
        x = x + torch.sin(self.alpha * x) ** 2 / self.alpha
        return self.head(torch.relu(self.second(x)).pow(2) * self.beta)


@house.add(f(3) * f(2), X)
class FeatureGate(nn.Module):
    """A learned scale and offset for every feature, and one for all of them."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(2, 2)
        self.scale, self.offset, self.whole = (nn.Parameter(torch.empty(size)) for size in (3, 3, 1))

    def forward(self, x):
        x = torch.addcmul(self.offset, self.scale, functional.relu(self.first(x)))
        return self.whole * self.head(functional.hardtanh(self.second(x)))


@house.add(f(3) * f(2), X)
class GateByWhere(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(2, 2)
        self.slope = nn.Parameter(torch.empty(3))

    def forward(self, x):
        x = self.first(x)
        x = torch.where(x > 0, x, self.slope * x)
        return self.head(torch.maximum(self.second(x), torch.zeros(())))
