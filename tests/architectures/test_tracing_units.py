"""Single units, units with a gap between them, signs that go where scales do not."""

import math

import pytest
import torch
from jacobian import redundant_dimensions
from moving import drift
from specimen import Specimen, floats
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from fnequiv.architectures.tracing import symmetry_of
from fnequiv.equivalence.canonical import canonicalize
from fnequiv.equivalence.checking import compare

X = (floats(6, 2),)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")  # weight norm in vmap
F3, F4 = math.factorial(3), math.factorial(4)


class Applied(nn.Module):
    """Some modules, and what is done with them."""

    def __init__(self, function, **modules):
        super().__init__()
        self.parts, self.function = nn.ModuleDict(modules), function

    def forward(self, *inputs):
        return self.function(*inputs, **self.parts)


def traced(build, inputs=X):
    """The specification, after elements of it have left the function alone."""
    model, example = Specimen("", build, inputs, 1).example()
    spec = symmetry_of(model, example)
    assert drift(model, example, spec) <= 1e-10
    return spec


NORMS = {
    "BatchNorm": lambda: nn.BatchNorm1d(4),
    "RMSNorm": lambda: nn.RMSNorm(4),
    "a product": lambda: Applied(lambda x, a: x * a.weight[0], a=nn.Linear(4, 1)),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("start", "pairs"), [(0, 2), (1, 1)])
def test_a_norm_behind_units_that_lie_apart_takes_their_signs_along(norm, start, pairs):
    def read(x, layer, norm, side, head):
        h = functional.relu(norm(layer(x)))
        return head(torch.cat([h, side(h[:, start : start + 2])], dim=-1))

    def build():
        layer, side, head = nn.Linear(2, 4, bias=False), nn.Linear(2, 3), nn.Linear(7, 2)
        return Applied(read, layer=layer, norm=NORMS[norm](), side=side, head=head)

    spec = traced(build)
    assert spec.only().order() == 2**pairs * F3  # two units that lie apart are not exchanged
    assert spec.order() == 2**pairs * 2**4 * F3 * 2**3


def test_the_sign_function_lets_signs_through_and_takes_scales():
    def build():
        return Applied(lambda x, a, b: b(torch.sign(a(x))), a=nn.Linear(2, 3), b=nn.Linear(3, 2))

    spec = traced(build)
    assert (spec.order(), spec.continuous_dimension()) == (F3 * 2**3, 3)
    assert [block.degree for block in spec.blocks] == [0]


@pytest.mark.parametrize("width", [1, 3])
def test_two_layers_whose_signs_are_tied_and_whose_scales_are_not(width):
    def build():
        def signs(x, a, b, head):
            return head(torch.sign(a(x)) + torch.sign(b(x)))

        return Applied(signs, a=nn.Linear(2, width), b=nn.Linear(2, width), head=nn.Linear(width, 2))

    spec = traced(build)
    assert spec.order() == math.factorial(width)
    assert any("no block can say are held at 1: parts.a.bias" in note for note in spec.notes)


def test_a_variable_that_cancels_on_two_axes_of_one_tensor_is_none():
    """Σ_ik B_ik W_ik: a scale on the first axis of W and its inverse on the second."""

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.side = nn.Parameter(torch.empty(2, 3)), nn.Linear(2, 3)

        def forward(self, x):
            basis = torch.stack([x, torch.sin(x), torch.exp(-x * x)], dim=-1)
            return torch.einsum("bik,ik->b", basis, self.weight) * torch.sigmoid(self.side(x)).sum(-1)

    spec = traced(Product)
    assert (spec.order(), spec.continuous_dimension()) == (F3, 0)


@pytest.mark.parametrize(("activation", "flips"), [(nn.Tanh, 2), (nn.ReLU, 1), (nn.GELU, 1)])
@pytest.mark.parametrize("width", [1, 4])
def test_weight_norm_ignores_the_direction_s_scale_and_a_sign_of_both(activation, flips, width):
    """W = g v/|v|: v may be rescaled, (g, v) flipped, and g alone with what comes out."""

    def build():
        return nn.Sequential(weight_norm(nn.Linear(2, width)), activation(), nn.Linear(width, 2))

    specimen = Specimen("", build, X, 1)
    spec = traced(build)
    assert spec.order() == math.factorial(width) * 2 ** (flips * width)
    assert spec.continuous_dimension() == redundant_dimensions(specimen)


def test_weight_norm_of_a_convolution_has_a_normal_form():
    def build():
        return nn.Sequential(weight_norm(nn.Conv1d(2, 4, 2)), nn.Tanh(), nn.Conv1d(4, 2, 2))

    inputs = (floats(2, 2, 5),)
    spec = traced(build, inputs)
    assert spec.order() == F4 * 2**8
    params = Specimen("", build, inputs, 1).example()[0].state_dict()
    moved = {name: tensor.clone() for name, tensor in params.items()}
    for name in ("original0", "original1"):
        moved[f"0.parametrizations.weight.{name}"] *= torch.tensor([-1.0, 1.0, 1.0, -1.0])[:, None, None]
    one, two = (canonicalize(each, spec) for each in (params, moved))
    assert all(torch.allclose(one[name], two[name]) for name in one)
    assert compare(params, moved, spec).equivalent


LAWS = [functional.relu, functional.leaky_relu, functional.gelu, functional.silu, functional.softplus]


@pytest.mark.parametrize("sigma", LAWS)
def test_flips_that_a_linear_path_makes_good_are_left_out(sigma):
    """V σ(W x + b) + A x + a with σ(z) - σ(-z) = cz: unit 0 is flipped, and A, a take up what that leaves over."""

    def build():
        def read(x, inner, outer, beside):
            return outer(sigma(inner(x))) + beside(x)

        return Applied(read, inner=nn.Linear(2, 3), outer=nn.Linear(3, 2), beside=nn.Linear(2, 2))

    model, inputs = Specimen("", build, X, 1).example()
    before, state = model(*inputs), {name.removeprefix("parts."): t for name, t in model.state_dict().items()}
    one = torch.ones((), dtype=torch.float64)
    left = (sigma(one) - sigma(-one)) * state["outer.weight"][:, 0]
    state["beside.weight"] += torch.outer(left, state["inner.weight"][0])
    state["beside.bias"] += left * state["inner.bias"][0]
    state["inner.weight"][0] *= -1
    state["inner.bias"][0] *= -1
    assert torch.allclose(model(*inputs), before, rtol=1e-12, atol=1e-12)
    assert traced(build).order() == F3  # permutations alone
