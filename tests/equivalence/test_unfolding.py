"""Cells and nested blocks: grouped convolutions, attention and BatchNorm keep their function under every element."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from fnequiv.equivalence.actions import GroupElement, Move, apply, compose, identity, invert, sample
from fnequiv.equivalence.unfolding import fold, unfold
from fnequiv.symmetry import Axis, Block, Cell, SymmetrySpec


def shapes_of(module):
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def grouped():
    """1 → 4 channels, then two groups of 2 → 3 channels, then 6 → 2."""
    net = nn.Sequential(nn.Conv1d(1, 4, 1), nn.ReLU(), nn.Conv1d(4, 6, 1, groups=2), nn.Tanh(), nn.Conv1d(6, 2, 1))
    cell = Cell("2.weight", shape=(2, 3, 2, 1), diagonal=True)
    before = (Axis("0.weight", 0, "in"), Axis("0.bias", 0, "in"), Axis(cell.name, 1, "out"))
    after = (Axis(cell.name, 0, "in"), Axis("2.bias", 0, "in"), Axis("4.weight", 1, "out"))
    blocks = (
        Block("groups", 2, "permutation", ()),
        Block("before", 4, "scaled", before, within="groups", groups=2),
        Block("after", 6, "signed", after, within="groups", groups=2),
    )
    return net, SymmetrySpec(blocks, shapes_of(net), (cell,)), torch.randn(5, 1, 3, dtype=torch.float64)


class Attention(nn.Module):
    """Attention of 2 heads over 3 channels a head, with a learned way in and out."""

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attend(x, x, x, need_weights=False)[0]


def attention():
    net = Attention()
    weight = [Cell("attend.in_proj_weight", box=((6 * i, 6 * i + 6), (0, 6))) for i in range(3)]
    bias = [Cell("attend.in_proj_bias", box=((6 * i, 6 * i + 6),)) for i in range(3)]
    qk = [Axis(weight[0].name, 0, "in"), Axis(bias[0].name, 0, "in")]
    qk += [Axis(weight[1].name, 0, "out"), Axis(bias[1].name, 0, "out")]
    v = [Axis(weight[2].name, 0, "in"), Axis(bias[2].name, 0, "in"), Axis("attend.out_proj.weight", 1, "out")]
    blocks = (
        Block("heads", 2, "permutation", ()),
        Block("heads.qk", 6, "signed_scaled", tuple(qk), within="heads", groups=2, mixing=12),
        Block("heads.v", 6, "signed_scaled", tuple(v), within="heads", groups=2, mixing=12),
    )
    return net, SymmetrySpec(blocks, shapes_of(net), (*weight, *bias)), torch.randn(4, 5, 6, dtype=torch.float64)


def normalised():
    """A convolution, BatchNorm with real statistics, ReLU: signs and scales before the norm are free of the rest."""
    net = nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.ReLU(), nn.Conv1d(3, 2, 1))
    with torch.no_grad():
        for name, tensor in net.named_buffers():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2.0) if "var" in name else tensor.normal_()
        for tensor in net.parameters():
            tensor.normal_()
    gamma = Cell("1.weight", shape=(3, 1, 1), diagonal=True)
    before = [Axis(name, 0, "in") for name in ("0.weight", "0.bias", "1.running_mean")]
    before += [Axis(gamma.name, 1, "out"), Axis("1.running_var", 0, "carry")]
    after = [Axis(gamma.name, 0, "in"), Axis("1.bias", 0, "in"), Axis("3.weight", 1, "out")]
    blocks = (
        Block("conv", 3, "signed_scaled", tuple(before)),
        Block("norm", 3, "scaled", tuple(after), within="conv", groups=3),
    )
    return net, SymmetrySpec(blocks, shapes_of(net), (gamma,)), torch.randn(5, 2, 4, dtype=torch.float64)


NETWORKS = {"grouped": grouped, "attention": attention, "normalised": normalised}


@pytest.fixture(params=NETWORKS)
def case(request):
    torch.manual_seed(3)
    net, spec, x = NETWORKS[request.param]()
    net = net.double().eval()
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return (lambda theta: functional_call(net, theta, (x,)).detach()), params, spec


@pytest.mark.parametrize("seed", range(5))
def test_every_element_leaves_the_function_as_it_is(case, seed):
    f, params, spec = case
    moved = apply(params, spec, sample(spec, np.random.default_rng(seed)))
    assert any(not torch.equal(moved[name], params[name]) for name in params)
    assert (f(moved) - f(params)).abs().max() <= 1e-12 * f(params).abs().max()


def test_the_action_is_an_action(case):
    _, params, spec = case
    g, h = (sample(spec, np.random.default_rng(seed)) for seed in (1, 2))
    once, twice = apply(params, spec, compose(g, h)), apply(apply(params, spec, h), spec, g)
    back = apply(apply(params, spec, g), spec, invert(g))
    for name, tensor in params.items():
        torch.testing.assert_close(once[name], twice[name], rtol=1e-13, atol=0)
        torch.testing.assert_close(back[name], tensor, rtol=1e-13, atol=0)
    assert all(torch.equal(tensor, params[name]) for name, tensor in apply(params, spec, identity(spec)).items())


def test_out_is_written_and_params_are_not(case):
    _, params, spec = case
    before = {name: tensor.clone() for name, tensor in params.items()}
    out = {name: torch.full_like(tensor, 7) for name, tensor in params.items()}
    g = sample(spec, np.random.default_rng(0))
    moved = apply(params, spec, g, out=out)
    assert all(moved[name] is out[name] for name in params)
    assert all(torch.equal(moved[name], tensor) for name, tensor in apply(params, spec, g).items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in params.items())


def test_unfold_and_fold_are_inverse_to_each_other(case):
    _, params, spec = case
    pieces = unfold(params, spec)
    assert {name: tuple(piece.shape) for name, piece in pieces.items()} == dict(spec.pieces)
    out = {name: torch.full_like(tensor, 7) for name, tensor in params.items()}
    fold(pieces, spec, out)
    for cell in spec.cells:
        assert torch.equal(out[cell.tensor], params[cell.tensor])


def test_the_order_of_a_grouped_convolution_counts_what_keeps_its_zeros_in_place():
    _, spec, _ = grouped()
    pattern = unfold({name: torch.ones(shape) for name, shape in spec.shapes.items()}, spec)[spec.cells[0].name][..., 0]
    kept = sum(
        bool((pattern[list(p)][:, list(q)] == pattern).all())
        for p in itertools.permutations(range(6))
        for q in itertools.permutations(range(4))
    )
    assert kept == spec.only().order() == math.factorial(2) * math.factorial(2) ** 2 * math.factorial(3) ** 2
    assert spec.flat.only().order() == math.factorial(2) * math.factorial(4) * math.factorial(6)


def test_samples_reach_every_permutation_of_the_wreath_product():
    spec = SymmetrySpec(
        (Block("h", 2, "permutation", ()), Block("d", 4, "permutation", (Axis("w", 0, "in"),), within="h", groups=2)),
        {"w": (4,)},
    )
    generator = np.random.default_rng(0)
    seen = {tuple(sample(spec, generator)["d"].permutation.tolist()) for _ in range(400)}
    assert len(seen) == spec.order() == 8


def test_a_move_that_tears_a_run_apart_is_refused(refuses):
    spec = SymmetrySpec(
        (Block("h", 2, "permutation", ()), Block("d", 4, "permutation", (Axis("w", 0, "in"),), within="h", groups=2)),
        {"w": (4,)},
    )
    params = {"w": torch.arange(4.0)}
    torn = GroupElement({"h": Move([0, 1]), "d": Move([0, 2, 1, 3])})
    left = GroupElement({"h": Move([1, 0]), "d": Move([0, 1, 2, 3])})
    for wrong in (torn, left):
        refuses(lambda wrong=wrong: apply(params, spec, wrong), ValueError, "'d' lies within 'h'")
    moved = apply(params, spec, GroupElement({"h": Move([1, 0]), "d": Move([3, 2, 0, 1])}))
    assert moved["w"].tolist() == [3, 2, 0, 1]
