"""Tied weights: found wherever two tensors share an entry, and nowhere else."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.tied import check_untied


@st.composite
def views(draw):
    """Return two strided views of the numbers 0, …, 39, which say themselves where they lie."""
    memory = torch.arange(40)
    drawn = []
    for _ in range(2):
        sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
        strides = [draw(st.integers(0, 5)) for _ in sizes]
        drawn.append(torch.as_strided(memory, sizes, strides, draw(st.integers(0, 9))))
    return drawn


@given(pair=views())
@settings(max_examples=300, deadline=None)
def test_tied_is_to_share_an_entry(pair):
    shared = set(pair[0].flatten().tolist()) & set(pair[1].flatten().tolist())
    params = {"a": pair[0], "b": pair[1]}
    if shared:
        for moved in params:
            with pytest.raises(ValueError, match="'b' shares memory with 'a'"):
                check_untied(params, {moved})
        check_untied(params, ())
    else:
        check_untied(params, {"a", "b"})


def test_views_of_one_vector_and_slices_of_a_stack_are_not_tied():
    shapes = {name: tuple(tensor.shape) for name, tensor in mlp.init((2, 3, 1), torch.Generator()).items()}
    ends = list(itertools.accumulate(torch.Size(shape).numel() for shape in shapes.values()))
    vector = torch.ones(ends[-1])
    pieces = zip(shapes.items(), [0, *ends], ends, strict=False)
    params = {name: vector[start:stop].view(shape) for (name, shape), start, stop in pieces}
    assert mlp.spec(params, "relu") == mlp.spec((2, 3, 1), "relu")
    columns = torch.ones(3, 4)
    slices = {"0.weight": columns[:, :2], "0.bias": columns[:, 3], "2.weight": torch.ones(1, 3)}
    assert mlp.spec(slices, "relu").order() == 6


def test_views_of_another_dtype_are_tied_where_their_bytes_meet():
    memory = torch.zeros(16)
    doubles = memory.view(torch.float64)
    check_untied({"a": memory[:8], "b": doubles[4:]}, {"a", "b"})
    with pytest.raises(ValueError, match="'b' shares memory with 'a'"):
        check_untied({"a": memory[:9], "b": doubles[4:]}, {"a", "b"})


def test_tensors_without_memory_are_told_apart():
    params = mlp.init((2, 3, 1), torch.Generator(), device="meta")
    check_untied(params, set(params))
    with pytest.raises(ValueError, match=r"'copy' shares memory with '0\.weight'"):
        check_untied({**params, "copy": params["0.weight"]}, set(params))


def autoencoder(weight):
    return {"0.weight": weight, "2.weight": weight.T}


def tied_modules(device):
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 4, device=device), torch.nn.Tanh(), torch.nn.Linear(4, 4, device=device)
    )
    net[2].weight = net[0].weight
    return net


@pytest.mark.parametrize(
    "network",
    [
        lambda: (autoencoder(torch.ones(3, 5)), "relu"),
        lambda: (tied_modules("cpu").state_dict(), "tanh"),
        lambda: (tied_modules("cpu"),),
        lambda: (tied_modules("meta"),),
        lambda: (
            {
                "0.weight": torch.ones(3, 2),
                **dict.fromkeys(("0.bias", "1.weight"), torch.ones(3)),
                "2.weight": torch.ones(1, 3),
            },
            "prelu",
        ),
    ],
)
def test_tied_networks_are_refused(network):
    with pytest.raises(ValueError, match="shares memory with '0"):
        mlp.spec(*network())


def test_an_end_that_only_the_narrower_of_two_dtypes_reaches_is_tied():
    wide = torch.zeros(2, dtype=torch.float64)
    with pytest.raises(ValueError, match="'narrow' shares memory with 'wide'"):
        check_untied({"wide": wide, "narrow": wide.view(torch.float32)[3:]}, {"wide"})


def test_a_tied_network_can_be_untied():
    params = {name: tensor.clone() for name, tensor in autoencoder(torch.ones(3, 5)).items()}
    assert mlp.spec(params, "relu") == mlp.spec((5, 3, 5), "relu", bias=False)


def test_one_slope_between_two_layers_moves_with_nothing():
    slope = torch.full((1,), 0.25)
    params = mlp.init((2, 3, 3, 1), torch.Generator(), activation="prelu")
    shared = {**params, "1.weight": slope, "3.weight": slope}
    assert [block.size for block in mlp.spec(shared, "prelu").blocks] == [3, 3]
    with pytest.raises(ValueError, match=r"'3.weight' shares memory with '1.weight'"):
        mlp.spec({**params, "3.weight": params["1.weight"]}, "prelu")


def test_inside_a_transform_there_is_no_memory_to_compare():
    weight = torch.ones(6, 3, 2)
    orders = torch.func.vmap(lambda w: w.sum() * mlp.spec({"0.weight": w, "2.weight": w.T}, "tanh").order())(weight)
    assert orders.tolist() == [6.0 * 6 * 8] * 6
