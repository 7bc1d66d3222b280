"""The action on parameters: g·θ is the same function, and the action is an action, for every activation and kind."""

import copy
import itertools
from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fnequiv import activations
from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, compose, identity, invert, sample
from fnequiv.symmetry import Axis, Block, SymmetrySpec

WIDTHS = st.lists(st.integers(1, 64), min_size=3, max_size=7).map(tuple)  # depth 1 to 5
SEEDS = st.integers(0, 2**32)
CORNERS = [example(widths=widths, seed=1) for widths in ((1,) * 3, (1,) * 7, (1, 64, 1), (64,) * 7)]


def corners(test):
    """Always try depth 1 and 5, and width 1 and 64."""
    return reduce(lambda decorated, add: add(decorated), CORNERS, test)


def network(widths, activation, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    params = mlp.init(widths, generator, activation=activation, dtype=dtype)
    x = torch.empty(8, widths[0], dtype=dtype).normal_(generator=generator)
    return params, x


def sigma(activation, slope):
    facts = activations.get(activation)
    if slope is not None:
        return lambda z: torch.where(z > 0, z, slope * z)
    return lambda z: reduce(getattr, facts.torch.split("."), torch)(z, **facts.torch_keywords)


def rounding_bound(params, x, activation):
    """Bound on |f(gθ) - f(θ)| by rounding alone, per output.

    A sum of n products has an error of at most (n + 1) u Σ|w h| in any order; scaling adds a few u to each product.
    What an error e in front of σ becomes is read off σ itself at z - e, z and z + e, with slopes from autograd: the
    jump between the ends, and the steepest of the three times e. So run the network and carry the error along.
    """
    unit = torch.finfo(x.dtype).eps
    h, error = x.double(), torch.zeros_like(x, dtype=torch.float64)
    layers = mlp.layers_of(params)
    for index, layer in enumerate(layers):
        weight, bias = params[layer.weight].double(), params[layer.bias].double()
        total = h.abs() @ weight.abs().T + bias.abs()
        error = error @ weight.abs().T + (weight.shape[1] + 8) * unit * total
        h = h @ weight.T + bias
        if index < len(layers) - 1:
            f = sigma(activation, params[layer.slope].double() if layer.slope else None)
            ends = torch.stack([h - error, h, h + error]).requires_grad_()
            values = f(ends)
            (slopes,) = torch.autograd.grad(values.sum(), ends)
            values = values.detach()
            jump = (values - values[1]).abs().amax(0)
            h, error = values[1], jump + slopes.abs().amax(0) * error + 8 * unit * (values[1].abs() + total)
    return 2 * error


def same(a, b, rtol):
    return a.keys() == b.keys() and all(torch.allclose(a[n], b[n], rtol=rtol, atol=0) for n in a)


def identical(a, b):
    return list(a) == list(b) and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", activations.names())
@given(widths=WIDTHS, seed=SEEDS)
@corners
@settings(max_examples=6, deadline=None)
def test_the_function_stays_the_same(activation, dtype, widths, seed):
    params, x = network(widths, activation, seed, dtype)
    spec = mlp.spec(widths, activation)
    before = mlp.forward(params, x, activation)
    bound = rounding_bound(params, x, activation)
    # The bound itself must say something: rounding is a vanishing part of the largest output.
    cap = (1e-9 if dtype == torch.float64 else 1e-3) * before.abs().max().item()
    assume(activation != "hardshrink" or bool((bound <= cap).all()))  # no neuron within rounding of its jump
    bound = bound.clamp(max=cap)
    rng = np.random.default_rng(seed)
    for signs, scales in itertools.product((False, True), repeat=2):
        group = spec.only(signs=signs, scales=scales)
        moved = apply(params, group, sample(group, rng))
        drift = (mlp.forward(moved, x, activation).double() - before.double()).abs()
        assert bool((drift <= bound).all()), f"drift {drift.max():.3g}, bound {bound.max():.3g}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", activations.names())
@given(widths=WIDTHS, seed=SEEDS)
@corners
@settings(max_examples=4, deadline=None)
def test_it_is_a_group_action(activation, dtype, widths, seed):
    params, _ = network(widths, activation, seed, dtype)
    spec = mlp.spec(widths, activation)
    rng = np.random.default_rng(seed)
    g, h, k = (sample(spec, rng) for _ in range(3))
    rtol = 16 * torch.finfo(dtype).eps  # a weight is rounded twice a step, and so is each factor
    assert identical(apply(params, spec, identity(spec)), params)
    assert same(apply(params, spec, compose(g, h)), apply(apply(params, spec, h), spec, g), rtol)
    assert same(apply(apply(params, spec, g), spec, invert(g)), params, rtol)
    left, right = compose(compose(g, h), k), compose(g, compose(h, k))
    assert same(apply(params, spec, left), apply(params, spec, right), rtol)


@given(widths=WIDTHS, seed=SEEDS, activation=st.sampled_from(["tanh", "sin", "softsign", "identity"]))
@settings(max_examples=30, deadline=None)
def test_permutations_and_flips_keep_every_bit(widths, seed, activation):
    params, _ = network(widths, activation, seed, torch.float32)
    spec = mlp.spec(widths, activation).only(signs=True)
    g, h = (sample(spec, np.random.default_rng(seed + i)) for i in (0, 1))
    moved = apply(params, spec, g)
    for name in params:
        assert torch.equal(moved[name].abs().flatten().sort().values, params[name].abs().flatten().sort().values)
    assert identical(apply(moved, spec, invert(g)), params)
    assert identical(apply(params, spec, compose(h, g)), apply(moved, spec, h))


def test_proposition_1_written_with_matrices():
    widths, seed = (5, 7, 4, 3), 3
    params, _ = network(widths, "sigmoid", seed)
    spec = mlp.spec(widths, "sigmoid")
    g = sample(spec, np.random.default_rng(seed))
    P1, P2 = (torch.eye(d, dtype=torch.float64)[g[b].permutation.copy()] for b, d in (("layer1", 7), ("layer2", 4)))
    moved = apply(params, spec, g)
    assert torch.equal(moved["0.weight"], P1 @ params["0.weight"])
    assert torch.equal(moved["0.bias"], P1 @ params["0.bias"])
    assert torch.equal(moved["2.weight"], P2 @ params["2.weight"] @ P1.T)
    assert torch.equal(moved["2.bias"], P2 @ params["2.bias"])
    assert torch.equal(moved["4.weight"], params["4.weight"] @ P2.T)
    assert torch.equal(moved["4.bias"], params["4.bias"])


@pytest.mark.parametrize("activation", [name for name in activations.names() if activations.get(name).parity is None])
def test_a_flip_changes_the_function_where_the_activation_has_no_parity(activation):
    params, x = network((3, 6, 2), activation, 0)
    wrong = {**params, **{n: -params[n] for n in ("0.weight", "0.bias", "2.weight")}}
    drift = (mlp.forward(wrong, x, activation) - mlp.forward(params, x, activation)).abs()
    assert drift.max() > 1e3 * rounding_bound(params, x, activation).max()


@pytest.mark.parametrize("activation", [name for name in activations.names() if activations.get(name).degree is None])
def test_a_scale_changes_the_function_where_the_activation_is_not_homogeneous(activation):
    params, x = network((3, 6, 2), activation, 0)
    lam = 16.0  # wide enough to leave the linear pieces of hardtanh and its kin
    wrong = {**params, "0.weight": lam * params["0.weight"], "0.bias": lam * params["0.bias"]}
    wrong["2.weight"] = params["2.weight"] / lam
    drift = (mlp.forward(wrong, x, activation) - mlp.forward(params, x, activation)).abs()
    assert drift.max() > 1e3 * rounding_bound(params, x, activation).max()


@pytest.mark.parametrize("activation", activations.names())
@given(widths=st.lists(st.integers(2, 32), min_size=3, max_size=6).map(tuple), seed=SEEDS)
@settings(max_examples=6, deadline=None)
def test_half_a_permutation_changes_the_function(activation, widths, seed):
    params, x = network(widths, activation, seed)
    spec = mlp.spec(widths, activation)
    moves = {block.name: Move(np.arange(block.size)) for block in spec.blocks}
    moved = apply(params, spec, GroupElement({**moves, "layer1": Move(np.roll(np.arange(widths[1]), 1))}))
    # The columns of W^(2) do not follow. How far that moves f is known to first order, if the network is not dead.
    torn = {**moved, "2.weight": params["2.weight"]}
    weight = moved["2.weight"].clone().requires_grad_()
    outputs = mlp.forward({**moved, "2.weight": weight}, x, activation).flatten()
    slopes = [torch.autograd.grad(output, weight, retain_graph=True)[0] for output in outputs]
    assume(max(abs((slope * (torn["2.weight"] - weight)).sum().item()) for slope in slopes) > 1e-6)
    drift = (mlp.forward(torn, x, activation) - mlp.forward(params, x, activation)).abs()
    assert drift.max() > 1e3 * rounding_bound(params, x, activation).max()


def test_any_mixture_of_activations():
    widths, sigmas = (4, 6, 5, 7, 3, 2), ("tanh", "relu", "sigmoid", "identity")
    params, x = network(widths, "tanh", 11)
    spec = mlp.spec(widths, sigmas)
    assert [b.kind for b in spec.blocks] == ["signed", "scaled", "permutation", "signed_scaled"]
    before = mlp.forward(params, x, sigmas)
    for seed in range(20):
        moved = apply(params, spec, sample(spec, np.random.default_rng(seed)))
        torch.testing.assert_close(mlp.forward(moved, x, sigmas), before, rtol=1e-12, atol=1e-13)


def test_repeat_moves_whole_groups_of_columns():
    axes = (Axis("conv", 0, "in"), Axis("fc", 1, "out", repeat=4))
    spec = SymmetrySpec((Block("channels", 3, "scaled", axes),), {"conv": (3, 2), "fc": (5, 12)})
    generator = torch.Generator().manual_seed(0)
    params = {n: torch.empty(shape).double().normal_(generator=generator) for n, shape in spec.shapes.items()}
    g = GroupElement({"channels": Move([2, 0, 1], scales=[2.0, 4.0, 0.5])})
    moved = apply(params, spec, g)
    expected = params["fc"].reshape(5, 3, 4)[:, [2, 0, 1]] / torch.tensor([2.0, 4.0, 0.5]).double()[:, None]
    assert torch.equal(moved["fc"], expected.reshape(5, 12))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_order_and_untouched_tensors_are_kept_and_the_input_is_not_changed(dtype):
    params, _ = network((300, 3000, 300), "relu", 0, dtype)  # large enough for the huge-page path
    params["counter"] = torch.tensor(3)
    spec = mlp.spec((300, 3000, 300), "tanh")
    spec = SymmetrySpec(spec.blocks, {**spec.shapes, "counter": ()})
    before = copy.deepcopy(params)
    moved = apply(params, spec, sample(spec, np.random.default_rng(0)))
    assert identical(params, before)
    assert list(moved) == list(params)
    assert {n: t.dtype for n, t in moved.items()} == {n: t.dtype for n, t in params.items()}
    assert all(moved[n].data_ptr() != params[n].data_ptr() for n in params)
    assert all(t.is_contiguous() for t in moved.values())


def test_parameters_with_gradients_and_odd_strides_are_accepted():
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    params = dict(layer.named_parameters())
    assert all(t.requires_grad for t in params.values())
    spec = mlp.spec(layer)
    moved = apply(params, spec, sample(spec, np.random.default_rng(0)))
    assert not any(t.requires_grad for t in moved.values())
    assert all(t.requires_grad and t.grad is None for t in params.values())
    strided = {n: t.detach().mT.contiguous().mT if t.ndim == 2 else t.detach() for n, t in params.items()}
    assert identical(apply(strided, spec, sample(spec, np.random.default_rng(0))), moved)
    layer.load_state_dict(moved)


def test_a_default_device_elsewhere_changes_nothing():
    params, _ = network((3, 4, 2), "relu", 0)
    spec = mlp.spec((3, 4, 2), "relu")
    g = sample(spec, np.random.default_rng(0))
    with torch.device("meta"):
        moved = apply(params, spec, g)
    assert identical(moved, apply(params, spec, g))


@pytest.mark.parametrize("widths", [(3, 4, 5, 2), (300, 600, 400)])
def test_out_receives_the_result_and_is_returned(widths):
    params, _ = network(widths, "identity", 0)
    spec = mlp.spec(widths, "identity")
    out = {name: torch.full_like(tensor, torch.nan) for name, tensor in reversed(params.items())}
    g = sample(spec, np.random.default_rng(0))
    moved = apply(params, spec, g, out=out)
    assert identical(moved, apply(params, spec, g))
    assert all(moved[name] is out[name] for name in params)
