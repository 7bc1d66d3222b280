"""Scales in every dtype: what rounding costs, measured in float64 on the way back, and what is refused as too lossy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv import activations
from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, sample
from fnequiv.symmetry import Axis, Block, SymmetrySpec

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
HOMOGENEOUS = [name for name in activations.names() if activations.get(name).degree not in (None, 0)]


def rounded(values, dtype):
    return torch.tensor(values, dtype=torch.float64).to(dtype).double().numpy()


def brought_back(moved, spec, g, activation):
    """Undo g in float64, with the scales that the dtype rounds to: what is left is what the tensors were rounded by."""
    back = {n: t.double().numpy() for n, t in moved.items()}
    facts = activations.get(activation)
    for layer, block in enumerate(spec.blocks):
        move, home = g[block.name], np.argsort(g[block.name].permutation)
        lam = rounded(move.scales, moved["0.weight"].dtype)
        way_in, way_out = f"{2 * layer}", f"{2 * layer + 2}.weight"
        back[f"{way_in}.weight"] = (back[f"{way_in}.weight"] / (move.signs * lam)[:, None])[home]
        back[f"{way_in}.bias"] = (back[f"{way_in}.bias"] / (move.signs * lam))[home]
        signs = 1 if facts.even else move.signs
        back[way_out] = (back[way_out] * (signs * lam**facts.degree))[:, home]
    return back


def assert_rounded_a_neuron(params, back, dtype):
    """Assert that every weight came back to within roundings of the largest on the way in to its neuron."""
    # A product, a quotient, a power of the scale, and as many again on the way back, which takes place in float64.
    roundings = 6 if dtype == torch.float64 else 3
    allowed = 1.01 * roundings * torch.finfo(dtype).eps / 2
    for layer in range(sum(name.endswith("bias") for name in params)):
        weight, bias = (params[f"{2 * layer}.{kind}"].double().numpy() for kind in ("weight", "bias"))
        largest = np.maximum(np.abs(weight).max(1), np.abs(bias))
        assert (np.abs(back[f"{2 * layer}.weight"] - weight) <= allowed * largest[:, None]).all()
        assert (np.abs(back[f"{2 * layer}.bias"] - bias) <= allowed * largest).all()


WIDTHS = st.lists(st.integers(1, 40), min_size=3, max_size=5).map(tuple)
SEEDS = st.integers(0, 2**32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", HOMOGENEOUS)
@given(WIDTHS, SEEDS)
@settings(max_examples=8, deadline=None)
def test_no_weight_moves_by_more_than_roundings_of_its_neurons_largest(activation, dtype, widths, seed):
    params = mlp.init(widths, torch.Generator().manual_seed(seed), activation=activation, dtype=dtype)
    spec = mlp.spec(widths, activation)
    g = sample(spec, np.random.default_rng(seed))
    assert_rounded_a_neuron(params, brought_back(apply(params, spec, g), spec, g, activation), dtype)


@pytest.mark.parametrize("dtype", DTYPES[:3])  # float64 judges them
@pytest.mark.parametrize("activation", ["identity", "abs", "square"])
@given(WIDTHS, SEEDS, st.integers(0, 18), st.sampled_from([1.5, 4.0, 40.0]))
@settings(max_examples=60, deadline=None)
def test_near_the_smallest_numbers_a_scale_is_refused_or_accurate(activation, dtype, widths, seed, doublings, spread):
    params = mlp.init(widths, torch.Generator().manual_seed(seed), dtype=torch.float64)
    params = {n: (t * torch.finfo(dtype).tiny * 2.0**doublings).to(dtype) for n, t in params.items()}
    spec = mlp.spec(widths, activation)
    g = sample(spec, np.random.default_rng(seed), spread=spread)
    try:
        moved = apply(params, spec, g)
    except ValueError:
        assert doublings < 18 or spread == 40  # 2^18 times the smallest number leaves room for scales of 4
    else:
        assert_rounded_a_neuron(params, brought_back(moved, spec, g, activation), dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_networks_of_ordinary_size_are_rescaled(dtype):
    widths = (784, 512, 512, 10)
    params = mlp.init(widths, torch.Generator().manual_seed(0), dtype=dtype)
    spec = mlp.spec(widths, "relu")
    subnormal = sum(int((t.abs() < torch.finfo(dtype).tiny).sum()) for t in params.values())
    assert subnormal > 1000 or dtype == torch.bfloat16
    x = torch.empty(16, 784).double().normal_(generator=torch.Generator().manual_seed(1))
    before = mlp.forward({n: t.double() for n, t in params.items()}, x, "relu")
    moved = apply(params, spec, sample(spec, np.random.default_rng(0)))
    after = mlp.forward({n: t.double() for n, t in moved.items()}, x, "relu")
    # independent roundings of the weights: a few units of the last place, not their number times it
    assert (after - before).abs().max() < 4 * torch.finfo(dtype).eps * before.abs().max()


def test_the_way_out_is_divided_by_the_number_that_the_way_in_was_multiplied_by():
    ones = {n: torch.ones(shape) for n, shape in mlp.spec((1, 3, 1), "relu").shapes.items()}
    scales = [1.1, 0.3, 7 / 3]
    g = GroupElement({"layer1": Move([0, 1, 2], scales=scales)})
    single = np.array(scales, np.float32)
    moved = apply(ones, mlp.spec((1, 3, 1), "relu"), g)
    assert np.array_equal(moved["0.weight"][:, 0].numpy(), single)
    assert np.array_equal(moved["2.weight"][0].numpy(), np.float32(1) / single)
    moved = apply(ones, mlp.spec((1, 3, 1), "square"), g)
    squares = (single.astype(np.float64) ** 2).astype(np.float32)
    assert not np.array_equal(squares, (np.array(scales) ** 2).astype(np.float32))  # the two roundings differ here
    assert np.array_equal(moved["2.weight"][0].numpy(), np.float32(1) / squares)


def test_signs_alone_are_exact_and_never_refused():
    tiny = {n: torch.full(shape, 6e-8, dtype=torch.float16) for n, shape in mlp.spec((2, 3, 1), "tanh").shapes.items()}
    g = GroupElement({"layer1": Move([0, 1, 2], signs=[1, -1, 1])})
    moved = apply(tiny, mlp.spec((2, 3, 1), "tanh"), g)
    assert torch.equal(moved["0.weight"][1], -tiny["0.weight"][1])
    assert torch.equal(moved["2.weight"][0, 1], -tiny["2.weight"][0, 1])
    assert torch.equal(moved["0.weight"][::2], tiny["0.weight"][::2])


def half(weights_in, bias, weights_out, scales, dtype=torch.float16):
    """Rescale a network with one input, two units, one output."""
    params = {
        "0.weight": torch.tensor(weights_in, dtype=dtype)[:, None],
        "0.bias": torch.tensor(bias, dtype=dtype),
        "2.weight": torch.tensor(weights_out, dtype=dtype)[None],
    }
    spec = mlp.spec(params, "relu")
    return apply(params, spec, GroupElement({"layer1": Move([0, 1], scales=scales)}))


def test_dead_units_and_zero_weights_lose_nothing():
    moved = half([0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [2.0**-10, 0.5])
    assert moved["0.weight"].flatten().tolist() == [0.0, 0.5]


def test_a_small_bias_beside_a_large_weight_may_lose_digits():
    moved = half([1.0, 1.0], [1e-4, 0.0], [1.0, 1.0], [1 / 7, 1.0])
    assert 0 < moved["0.bias"][0] < torch.finfo(torch.float16).tiny


THETA = mlp.init((2, 3, 1), torch.Generator().manual_seed(0))
SPEC = mlp.spec((2, 3, 1), "relu")


def scaled(params, *scales, spec=SPEC):
    return apply(params, spec, GroupElement({"layer1": Move([0, 1, 2], scales=list(scales))}))


def times(factor):
    return {n: t * factor for n, t in THETA.items()}


def middle_column():
    """Multiply the middle unit's way in, and thereby divide its column of a matrix whose rows then multiply it back."""
    spec = mlp.spec((1, 2, 1, 1), "relu")
    params = {n: torch.ones(shape, dtype=torch.float16) for n, shape in spec.shapes.items()}
    params["2.weight"] = torch.tensor([[1e-4, 1e-4]], dtype=torch.float16)
    params["2.bias"] = torch.zeros(1, dtype=torch.float16)
    params["0.weight"] /= 64
    return apply(
        params, spec, GroupElement({"layer1": Move([0, 1], scales=[64, 64]), "layer2": Move([0], scales=[64])})
    )


SPREAD = SymmetrySpec((Block("b", 2, "scaled", (Axis("w", 0, "out"),)),), {"w": (2, 2)})
BAD = {
    "a scale beyond float32": (lambda: scaled(THETA, 1, 1e39, 1), "a scale of block 'layer1' leaves the range"),
    "a scale below float32": (lambda: scaled(THETA, 1, 1e-46, 1), "a scale of block 'layer1' leaves the range"),
    "a subnormal scale": (lambda: scaled(THETA, 1, 1e-39, 1), "a scale of block 'layer1' leaves the range"),
    "a square beyond float32": (
        lambda: scaled(THETA, 1, 1e20, 1, spec=mlp.spec((2, 3, 1), "square")),
        "a scale of block 'layer1' leaves the range of torch.float32",
    ),
    "a scale beyond float16": (lambda: half([1, 1], [1, 1], [1, 1], [1e5, 1]), "torch.float16: use scales closer to 1"),
    "weights that overflow": (
        lambda: scaled(times(1e20), 1, 1e30, 1),
        "the range of torch.float32 in tensor '0.weight'",
    ),
    "weights that underflow": (lambda: scaled(times(1e-20), 1, 1e25, 1), "in tensor '2.weight'"),
    "a way in that underflows": (lambda: scaled(times(1e-20), 1, 1e-25, 1), "in tensor '0.weight'"),
    "a remedy": (lambda: half([1e-3, 1], [0, 0], [1, 1], [0.01, 1]), "convert the parameters first: tensor.double()"),
    # One entry loses its digits while another leaves the subnormal numbers: a count of them stays the same.
    "losses that compensate": (lambda: half([1e-4, 3e-5], [0, 0], [1, 1], [1 / 3, 3]), "in tensor '0.weight'"),
    "a loss that a row multiplies back": (middle_column, "in tensor '2.weight'"),
    "a way out without a way in": (
        lambda: apply(
            {"w": torch.full((2, 2), 1e-4).half()}, SPREAD, GroupElement({"b": Move([0, 1], scales=[1, 100])})
        ),
        "in tensor 'w'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_scales_that_cost_digits_are_refused(case, refuses):
    call, message = BAD[case]
    refuses(call, ValueError, message)


def test_float64_has_no_remedy_but_other_scales():
    params = {n: t.double() * 1e-200 for n, t in THETA.items()}
    with pytest.raises(ValueError, match=r"use scales closer to 1$"):
        scaled(params, 1, 1e150, 1)
