"""The action on parameters: g·θ is the same function, and the action is an action, for every activation and kind."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv import activations
from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, compose, identity, invert, sample
from fnequiv.symmetry import Axis, Block, SymmetrySpec

WIDTHS = st.lists(st.integers(1, 64), min_size=3, max_size=7).map(tuple)  # depth 1 to 5
SEEDS = st.integers(0, 2**32)


def network(widths, activation, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    params = mlp.init(widths, generator, activation=activation, dtype=dtype)
    x = torch.empty(8, widths[0], dtype=dtype).normal_(generator=generator)
    return params, x


def rounding_bound(params, x, activation):
    """Bound on |f(gθ) - f(θ)| by rounding alone, per output.

    A sum of n products has an error of at most (n + 1) u Σ|w h| in any order; scaling adds a few u to each product. An
    error e in front of σ becomes at most lip·e. So run the network on absolute values and carry the error along.
    """
    unit = torch.finfo(x.dtype).eps
    size, error = x.double().abs(), torch.zeros_like(x, dtype=torch.float64)
    layers = mlp.layers_of(params)
    for index, layer in enumerate(layers):
        weight, bias = params[layer.weight].double().abs(), params[layer.bias].double().abs()
        total = size @ weight.T + bias
        error = error @ weight.T + (weight.shape[1] + 8) * unit * total
        if index < len(layers) - 1:
            reach = total + error
            facts = activations.get(activation)
            if layer.slope:
                slope = params[layer.slope].abs().max().item()
                facts = activations.get("leaky_relu", negative_slope=slope)
            size = torch.from_numpy(np.asarray(facts.sup(reach.numpy())))
            slope = torch.from_numpy(np.asarray(facts.lipschitz(reach.numpy())))
            # hardshrink jumps; rounding carries a weighted sum of random numbers across the jump once in 10^12 times
            slope = torch.where(slope.isinf(), 1.0, slope)
            error = error * slope + 8 * unit * (size + total)
    return 2 * error


def same(a, b, rtol):
    return a.keys() == b.keys() and all(torch.allclose(a[n], b[n], rtol=rtol, atol=0) for n in a)


def identical(a, b):
    return list(a) == list(b) and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", activations.names())
@given(widths=WIDTHS, seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_the_function_stays_the_same(activation, dtype, widths, seed):
    params, x = network(widths, activation, seed, dtype)
    spec = mlp.spec(widths, activation)
    before = mlp.forward(params, x, activation)
    bound = rounding_bound(params, x, activation)
    rng = np.random.default_rng(seed)
    for signs, scales in itertools.product((False, True), repeat=2):
        moved = apply(params, spec.only(signs=signs, scales=scales), sample(spec.only(signs=signs, scales=scales), rng))
        drift = (mlp.forward(moved, x, activation).double() - before.double()).abs()
        assert bool((drift <= bound).all()), f"drift {drift.max():.3g}, bound {bound.max():.3g}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", activations.names())
@given(widths=WIDTHS, seed=SEEDS)
@settings(max_examples=6, deadline=None)
def test_it_is_a_group_action(activation, dtype, widths, seed):
    params, _ = network(widths, activation, seed, dtype)
    spec = mlp.spec(widths, activation)
    rng = np.random.default_rng(seed)
    g, h = sample(spec, rng), sample(spec, rng)
    rtol = 16 * torch.finfo(dtype).eps
    assert identical(apply(params, spec, identity(spec)), params)
    assert same(apply(params, spec, compose(g, h)), apply(apply(params, spec, h), spec, g), rtol)
    assert same(apply(apply(params, spec, g), spec, invert(g)), params, rtol)


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
@settings(max_examples=4, deadline=None)
def test_half_a_permutation_changes_the_function(activation, widths, seed):
    params, x = network(widths, activation, seed)
    spec = mlp.spec(widths, activation)
    cycle = {block.name: Move(np.roll(np.arange(block.size), 1)) for block in spec.blocks}
    moved = apply(params, spec, GroupElement({**cycle, **{b.name: Move(np.arange(b.size)) for b in spec.blocks[1:]}}))
    torn = {**moved, "2.weight": params["2.weight"]}  # the columns of W^(2) did not follow
    weights = np.abs(params["2.weight"].numpy()[:, :1] - params["2.weight"].numpy()[:, 1:]).max()
    drift = (mlp.forward(torn, x, activation) - mlp.forward(params, x, activation)).abs().max()
    saturated = mlp.forward(params, x, activation).std(dim=0).max() < 1e-9  # a dead network has nothing to show
    assert weights > 0
    assert saturated or drift > 0


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
    params = {"conv": torch.randn(3, 2, dtype=torch.float64), "fc": torch.randn(5, 12, dtype=torch.float64)}
    g = GroupElement({"channels": Move([2, 0, 1], scales=[2.0, 4.0, 0.5])})
    moved = apply(params, spec, g)
    expected = params["fc"].reshape(5, 3, 4)[:, [2, 0, 1]] / torch.tensor([2.0, 4.0, 0.5]).double()[:, None]
    assert torch.equal(moved["fc"], expected.reshape(5, 12))


@pytest.mark.parametrize("shape", [(96, 96), (96, 3000), (40, 96, 3, 3), (96, 40, 96)])
def test_large_and_many_axed_tensors_agree_with_advanced_indexing(shape):
    axes = [axis for axis, size in enumerate(shape) if size == 96]
    spec = SymmetrySpec(tuple(Block(f"b{a}", 96, "permutation", (Axis("w", a, "in"),)) for a in axes), {"w": shape})
    params = {"w": torch.randn(shape, generator=torch.Generator().manual_seed(0))}
    g = sample(spec, np.random.default_rng(0))
    expected = params["w"].numpy()
    for axis in axes:
        expected = np.take(expected, g[f"b{axis}"].permutation, axis=axis)
    assert np.array_equal(apply(params, spec, g)["w"].numpy(), expected)


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
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    params = dict(layer.named_parameters())
    spec = mlp.spec(layer)
    moved = apply(params, spec, sample(spec, np.random.default_rng(0)))
    assert not any(t.requires_grad for t in moved.values())
    strided = {n: t.detach().mT.contiguous().mT if t.ndim == 2 else t.detach() for n, t in params.items()}
    assert identical(apply(strided, spec, sample(spec, np.random.default_rng(0))), moved)
    layer.load_state_dict(moved)


@pytest.mark.parametrize("widths", [(3, 4, 5, 2), (300, 600, 400)])
def test_out_receives_the_result_and_is_returned(widths):
    params, _ = network(widths, "identity", 0)
    spec = mlp.spec(widths, "identity")
    out = {name: torch.full_like(tensor, torch.nan) for name, tensor in reversed(params.items())}
    g = sample(spec, np.random.default_rng(0))
    moved = apply(params, spec, g, out=out)
    assert identical(moved, apply(params, spec, g))
    assert all(moved[name] is out[name] for name in params)


THETA, _ = network((2, 3, 1), "relu", 0, torch.float32)
SPEC = mlp.spec((2, 3, 1), "relu")
ONE = identity(SPEC)


def scaled(*scales):
    return GroupElement({"layer1": Move([0, 1, 2], scales=list(scales))})


def flipped():
    return GroupElement({"layer1": Move([0, 1, 2], signs=[1, -1, 1])})


SHARED = torch.empty(1, 3)


def room():
    return {n: torch.empty_like(t) for n, t in THETA.items()}


BAD = {
    "an out of another shape": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "0.bias": torch.empty(4)}),
        ValueError,
        "out['0.bias'] must be a contiguous tensor",
    ),
    "an out of another dtype": (
        lambda: apply(THETA, SPEC, ONE, out={n: t.double() for n, t in THETA.items()}),
        ValueError,
        "out['0.weight'] must be a contiguous tensor",
    ),
    "an out with a tensor missing": (lambda: apply(THETA, SPEC, ONE, out={}), ValueError, "out must hold the tensors"),
    "the input as out": (lambda: apply(THETA, SPEC, ONE, out=THETA), ValueError, "shares memory with '0.weight'"),
    "one tensor twice in out": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "0.bias": SHARED[0], "2.weight": SHARED}),
        ValueError,
        "shares memory",
    ),
    "a spec of another network": (
        lambda: apply(THETA, mlp.spec((2, 4, 1), "relu"), ONE),
        ValueError,
        "the element moves 3",
    ),
    "parameters of another network": (
        lambda: apply(network((3, 3, 1), "relu", 0)[0], SPEC, ONE),
        ValueError,
        "'0.weight' must have shape (3, 2), got (3, 3)",
    ),
    "an element of another network": (
        lambda: apply(THETA, SPEC, identity(mlp.spec((2, 3, 3, 1), "relu"))),
        ValueError,
        "the specification has ['layer1']",
    ),
    "a flip behind a ReLU": (lambda: apply(THETA, SPEC, flipped()), ValueError, "cannot be flipped"),
    "a scale behind a tanh": (
        lambda: apply(THETA, mlp.spec((2, 3, 1), "tanh"), scaled(1, 2, 1)),
        ValueError,
        "cannot be rescaled",
    ),
    "a missing tensor": (
        lambda: apply({n: t for n, t in THETA.items() if n != "0.bias"}, SPEC, ONE),
        ValueError,
        "missing ['0.bias']",
    ),
    "NaN": (lambda: apply({**THETA, "2.bias": torch.tensor([torch.nan])}, SPEC, ONE), ValueError, "'2.bias' holds NaN"),
    "an infinity": (
        lambda: apply({**THETA, "2.bias": torch.tensor([-torch.inf])}, SPEC, ONE),
        ValueError,
        "'2.bias' holds NaN or an infinity",
    ),
    "mixed dtypes": (lambda: apply({**THETA, "2.bias": THETA["2.bias"].double()}, SPEC, ONE), TypeError, "tensors mix"),
    "integers": (
        lambda: apply({n: t.long() for n, t in THETA.items()}, SPEC, ONE),
        TypeError,
        "must be floating point, got torch.int64",
    ),
    "numpy arrays": (
        lambda: apply({n: t.numpy() for n, t in THETA.items()}, SPEC, ONE),
        TypeError,
        "must be a dense torch.Tensor, got ndarray",
    ),
    "a list": (lambda: apply(list(THETA), SPEC, ONE), TypeError, "must map names to tensors"),
    "no element": (lambda: apply(THETA, SPEC, [1, 0, 2]), TypeError, "expected a GroupElement"),
    "no spec": (lambda: apply(THETA, "relu", ONE), TypeError, "expected a SymmetrySpec"),
    "a scale beyond float32": (lambda: apply(THETA, SPEC, scaled(1, 1e39, 1)), ValueError, "leaves the range"),
    "a scale below float32": (lambda: apply(THETA, SPEC, scaled(1, 1e-46, 1)), ValueError, "leaves the range"),
    "weights that overflow": (
        lambda: apply({n: t * 1e20 for n, t in THETA.items()}, SPEC, scaled(1, 1e30, 1)),
        ValueError,
        "leaves the range of torch.float32 in tensor",
    ),
    "weights that underflow": (
        lambda: apply({n: t * 1e-20 for n, t in THETA.items()}, SPEC, scaled(1, 1e25, 1)),
        ValueError,
        "in tensor '2.weight'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_mutated(case):
    call, error, message = BAD[case]
    before = copy.deepcopy(THETA)
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert identical(THETA, before)


def test_large_finite_weights_are_no_infinity():
    huge = {n: torch.full_like(t, 3e38) for n, t in THETA.items()}  # their sum overflows float32
    assert identical(apply(huge, SPEC, ONE), huge)
