"""Layers read off names and shapes: against a search of all orders, in alphabetical files, where nothing decides."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.layers import chain_of


def test_a_head_of_another_name_comes_where_the_shapes_put_it():
    """``classifier`` and ``out`` stand before or behind ``net`` in an alphabetical file, and net.10 before net.2."""
    widths = {f"net.{2 * i}": (4, 5 if i == 0 else 4) for i in range(6)}
    for head in ("classifier", "out"):
        shapes = {f"{name}.weight": shape for name, shape in {**widths, head: (3, 4)}.items()}
        expected = [*(f"net.{2 * i}.weight" for i in range(6)), f"{head}.weight"]
        for names in (list(shapes), sorted(shapes), sorted(shapes, reverse=True)):
            assert [layer.weight for layer in chain_of({name: shapes[name] for name in names})] == expected


def test_forward_is_the_module_whatever_the_order_of_the_file():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(
                *[torch.nn.Linear(4, 4) if i % 2 == 0 else torch.nn.Tanh() for i in range(12)]
            )
            self.first = torch.nn.Linear(2, 4)
            self.classifier = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.classifier(self.net(torch.tanh(self.first(x))))

    generator = torch.Generator().manual_seed(3)
    with torch.random.fork_rng(devices=[]):
        net = Net().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    state = net.state_dict()
    for names in (list(state), sorted(state)):
        params = {name: state[name] for name in names}
        torch.testing.assert_close(mlp.forward(params, x, "tanh"), net(x), rtol=0, atol=0)


def test_numbers_decide_inside_nested_names():
    shapes = {f"{name}.weight": (4, 4) for name in ("2", "1.2", "1.0", "0")}
    assert [layer.weight for layer in chain_of(shapes)] == ["0.weight", "1.0.weight", "1.2.weight", "2.weight"]


NAMES = st.lists(
    st.sampled_from(["a", "b", "head", "0", "1", "2", "10", "fc1", "fc2", "fc10", "net.0", "net.2", "net.a", "b1.fc"]),
    unique=True,
    min_size=1,
    max_size=6,
)


def numbers_agree(order):
    """Whether no later name is put before an earlier one by the first part in which the two differ."""
    for first, second in itertools.combinations(order, 2):
        parts = next(p for p in itertools.zip_longest(first.split("."), second.split(".")) if p[0] != p[1])
        (text, number), (text_2, number_2) = (re.match(r"(\D*)(\d*)$", part or "").groups() for part in parts)
        if number and number_2 and text == text_2 and int(number) > int(number_2):
            return False
    return True


@given(names=NAMES, data=st.data())
@settings(max_examples=300, deadline=None)
def test_the_order_is_the_only_one_of_all_that_chains_and_keeps_to_the_numbers(names, data):
    names = [f"{name}.weight" for name in names]
    if data.draw(st.booleans()):  # most random shapes chain in no order, so draw a chain half of the time
        widths = data.draw(st.lists(st.integers(1, 3), min_size=len(names) + 1, max_size=len(names) + 1))
        shapes = {
            name: (rows, columns) for name, (columns, rows) in zip(names, itertools.pairwise(widths), strict=True)
        }
    else:
        shapes = {name: data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2))) for name in names}
    orders = [
        list(order)
        for order in itertools.permutations(names)
        if numbers_agree(order) and all(shapes[a][0] == shapes[b][1] for a, b in itertools.pairwise(order))
    ]
    if len(orders) == 1:
        assert [layer.weight for layer in chain_of(shapes)] == orders[0]
    else:
        with pytest.raises(ValueError, match="several orders" if orders else "no chain of layers"):
            chain_of(shapes)


def test_slopes_find_the_one_hidden_layer_that_fits():
    numbered = {"0.weight": (4, 2), "1.weight": (4,), "2.weight": (4, 4), "3.weight": (1,), "4.weight": (1, 4)}
    assert [layer.slope for layer in chain_of(numbered)] == ["1.weight", "3.weight", None]
    named = {"act1.weight": (5,), "act2.weight": (6,), "fc1.weight": (5, 2), "fc2.weight": (6, 5), "fc3.weight": (1, 6)}
    assert [layer.slope for layer in chain_of(named)] == ["act1.weight", "act2.weight", None]


BAD = {
    "an autoencoder, which chains in both orders": (
        {"decoder.weight": (8, 2), "encoder.weight": (2, 8)},
        "decoder.weight -> encoder.weight and encoder.weight -> decoder.weight",
    ),
    "square matrices": ({"a.weight": (4, 4), "b.weight": (4, 4)}, "number all of them alike"),
    "numbers against the shapes": ({"0.weight": (1, 3), "1.weight": (3, 2)}, "'1.weight' (3, 2) do not match the rows"),
    "equal numbers": ({"fc1.weight": (4, 4), "fc01.weight": (4, 4)}, "several orders"),
    "two chains": ({"a.weight": (2, 1), "b.weight": (4, 3)}, "'a.weight' (2, 1), 'b.weight' (4, 3) are no chain"),
    "more orders than can be tried": (
        {**{f"{letter}.weight": (4, 4) for letter in "abcdefghijklmn"}, "odd.weight": (9, 7)},
        "too many orders",
    ),
    "a slope for one of two": (
        {"fc1.weight": (4, 2), "fc2.weight": (4, 4), "fc3.weight": (1, 4), "act.weight": (4,)},
        "behind 'fc1.weight' or 'fc2.weight'",
    ),
    "two slopes for one layer": (
        {"fc1.weight": (4, 2), "a.weight": (4,), "b.weight": (4,), "fc2.weight": (1, 4)},
        "'b.weight' of shape (4,) belongs to no hidden layer",
    ),
    "a slope behind the last layer": (
        {"0.weight": (4, 2), "2.weight": (4, 4), "3.weight": (4,)},
        "'3.weight' of shape",
    ),
    "a slope of another length": (
        {"0.weight": (4, 2), "1.weight": (3,), "2.weight": (1, 4)},
        "'1.weight' of shape (3,)",
    ),
    "a bias without its weight": (
        {"0.weight": (4, 2), "1.bias": (4,), "2.weight": (1, 4)},
        "a layer holds 'fc.weight' and 'fc.bias'",
    ),
    "a scalar for a bias": ({"0.weight": (4, 2), "0.bias": ()}, "'0.bias' must have shape (4,), got ()"),
    "a convolution": ({"0.weight": (4, 2, 3, 3), "2.weight": (1, 4)}, "'0.weight' of shape (4, 2, 3, 3)"),
    "a bias that may pass for slopes": (
        {"0.weight": (4, 2), "b1": (4,), "1.weight": (1, 4)},
        "'b1' of shape (4,) belongs to no hidden layer: a layer holds 'fc.weight' and 'fc.bias'",
    ),
    "names of one's own": ({"W1": (4, 2), "W2": (1, 4)}, "no weight matrix among ['W1', 'W2']"),
    "a normalised layer, which chains": (
        {"0.weight_g": (4, 1), "0.weight_v": (4, 4), "2.weight": (1, 4)},
        "'0.weight_g' of shape (4, 1) belongs to no hidden layer",
    ),
    "attention, which chains": ({"in_proj_weight": (12, 4), "out_proj.weight": (4, 4)}, "'in_proj_weight' of shape"),
    "matrices as [inputs, outputs]": ({"0.weight": (2, 4), "2.weight": (4, 1)}, "each [outputs, inputs]"),
    "nothing": ({}, "no weight matrix among []"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_chain_or_several_is_refused(case):
    shapes, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        mlp.layers_of({name: torch.ones(shape) for name, shape in shapes.items()})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (torch.nn.Linear(2, 2), "got Linear: pass its state_dict()"),
        (None, "got NoneType"),
        ([("0.weight", torch.ones(2, 2))], "got list"),
        ({"model": {"0.weight": torch.ones(2, 2)}}, "tensor 'model' must be a torch.Tensor, got dict: pass the"),
        ({0: torch.ones(2, 2)}, "got the key 0"),
    ],
)
def test_what_is_no_mapping_of_tensors_is_refused(params, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        mlp.layers_of(params)
