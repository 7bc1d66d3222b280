"""What no output hears: found entry by entry, and left unmoved."""

import math

import numpy as np
import pytest
import torch
from moving import drift, outputs
from specimen import Specimen, floats
from torch import nn
from torch.nn import functional
from wiring import RandomWiring

from fnequiv.architectures.capture import capture
from fnequiv.architectures.hearing import hearing
from fnequiv.architectures.tracing import symmetry_of

X = (floats(6, 2),)


class Applied(nn.Module):
    """Some modules, and what is done with them."""

    def __init__(self, function, **modules):
        super().__init__()
        self.parts, self.function = nn.ModuleDict(modules), function

    def forward(self, *inputs):
        return self.function(*inputs, **self.parts)


def unheard(model, inputs):
    """For every tensor of a model the entries that no output depends on, as the graph tells."""
    captured = capture(model, inputs)
    heard = hearing(captured.nodes)
    masks = {name: torch.ones_like(each, dtype=torch.bool) for name, each in model.state_dict().items()}
    for node in captured.nodes:
        for name in captured.names.get(node.name, ()) if node in heard else ():
            masks[name] &= ~torch.as_tensor(heard[node])
    return masks


def check(model, inputs):
    """Nothing changes where all entries that are not heard become NaN; return how many there are."""
    masks, before = unheard(model, inputs), outputs(model, inputs)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor[masks[name]] = math.nan
    after = outputs(model, inputs)
    assert torch.equal(before.isnan(), after.isnan())
    assert torch.equal(before.nan_to_num(), after.nan_to_num())
    return sum(int(mask.sum()) for mask in masks.values())


@pytest.mark.parametrize("seed", [15, 18, 40, 53, 103, 105, 107, 147, 164, 183])
def test_what_is_not_heard_may_be_nothing_at_all_whatever_the_wiring(seed):
    build = lambda: RandomWiring(np.random.default_rng(seed))  # noqa: E731
    assert check(*Specimen("", build, X, 0).example()) > 0


def first(net):
    return Applied(lambda x, net: net(x)[:, 0], net=net)


IMAGE, TEXT = (floats(2, 3, 5, 5),), (floats(2, 4, 2),)
PARTS = {
    "a part of a layer": (lambda: first(nn.Linear(2, 4)), X, {"weight": 6, "bias": 3}),
    "behind a norm over channels": (
        lambda: first(nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU())),
        X,
        {"0.weight": 6, "0.bias": 3, "1.weight": 3, "1.bias": 3, "1.running_mean": 3, "1.running_var": 3},
    ),
    "behind a norm over units": (
        lambda: first(nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4))),
        X,
        {"1.weight": 3, "1.bias": 3},
    ),
    "channels of a convolution": (lambda: first(nn.Conv2d(3, 4, 2)), IMAGE, {"weight": 36, "bias": 3}),
    "behind another layer": (lambda: first(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))), X,
                             {"2.weight": 3, "2.bias": 1}),
    "of several results": (lambda: Applied(lambda x, net: net(x).split([1, 3], -1)[1], net=nn.Linear(2, 4)), X,
                           {"weight": 2, "bias": 1}),
    "a row of tokens": (lambda: first(nn.Linear(2, 4)), TEXT, {}),
    "an unused unit of a table": (lambda: Applied(lambda x, net: (x @ net.weight)[:, 1:], net=nn.Linear(4, 2)), X,
                                  {"weight": 2, "bias": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_what_is_not_heard_is_found_entry_by_entry(name):
    build, inputs, counts = PARTS[name]
    model, example = Specimen(name, build, inputs, 0).example()
    found = {key.removeprefix("parts.net."): int(mask.sum()) for key, mask in unheard(model, example).items()}
    assert {key: count for key, count in found.items() if count and "num_batches" not in key} == counts
    check(model, example)


def test_units_of_a_part_that_nothing_hears_are_left_unmoved():
    def read(x, a, b):
        return b(torch.tanh(a(x)[:, 0:2]))

    model, inputs = Specimen("", lambda: Applied(read, a=nn.Linear(2, 5), b=nn.Linear(2, 3)), X, 0).example()
    spec = symmetry_of(model, inputs)
    assert (spec.order(), spec.continuous_dimension()) == (2 * 2**2, 0)
    assert spec.notes == ("units that no output hears are left unmoved: parts.a.weight, parts.a.bias",)
    assert drift(model, inputs, spec) <= 1e-10


def test_a_layer_whose_readers_are_cut_off_is_left_unmoved():
    def read(x, a, b, c):
        return c(torch.cat([x, functional.relu(b(functional.relu(a(x))))], dim=-1)[:, :2])

    build = lambda: Applied(read, a=nn.Linear(2, 3), b=nn.Linear(3, 4), c=nn.Linear(2, 2))  # noqa: E731
    spec = symmetry_of(*Specimen("", build, X, 0).example())
    assert spec.blocks == ()
    assert "parts.b.bias" in spec.notes[0]


def test_what_is_not_heard_moves_with_what_is():
    """Both layers' outputs are added, and a part of the sum is cut off: the first layer is heard elsewhere."""

    def read(x, a, b, c):
        h, side = a(x), b(x)
        return c(torch.cat([functional.relu(h), (h + side)[:, 0:2]], dim=-1))

    build = lambda: Applied(read, a=nn.Linear(2, 4), b=nn.Linear(2, 4), c=nn.Linear(6, 2))  # noqa: E731
    model, inputs = Specimen("", build, X, 0).example()
    spec = symmetry_of(model, inputs)
    assert spec.only().order() == 2 * 2
    assert drift(model, inputs, spec) <= 1e-10
