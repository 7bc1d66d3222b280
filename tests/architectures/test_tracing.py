"""symmetry_of: equal to what is written by hand, of the order that is known, and the function stays."""

import math

import numpy as np
import pytest
import torch
from families import FAMILIES
from specimen import Specimen
from torch import nn
from torch.nn import functional

from fnequiv.architectures import rules
from fnequiv.architectures.tracing import symmetry_of
from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.mlp import spec as mlp_spec


class Applied(nn.Module):
    """Some modules, and what is done with them."""

    def __init__(self, function, **modules):
        super().__init__()
        self.parts, self.function = nn.ModuleDict(modules), function

    def forward(self, *inputs):
        return self.function(*inputs, **self.parts)


def randomised(model, seed=0):
    """The model in float64 with every floating number drawn at random, statistics and affine parameters too."""
    return Specimen("", lambda: model, (), 1).example(seed)[0]


def flat(tree):
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [tensor for each in tree for tensor in flat(each)]


def drift(model, inputs, spec, seed):
    """The greatest relative change of the outputs under a random element."""
    params = model.state_dict()
    moved = apply(params, spec, sample(spec, np.random.default_rng(seed)))
    with torch.no_grad():
        before = flat(model(*inputs))
        after = flat(torch.func.functional_call(model, moved, inputs))
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(before, after, strict=True))


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_traced_specification_is_the_one_written_by_hand(name):
    family = FAMILIES[name]
    assert symmetry_of(family.network(), family.inputs(0)).normalised() == family.spec().normalised()


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid", "sin", "softplus", "selu"])
def test_a_perceptron_has_the_symmetry_of_the_mlp_module(activation):
    class Elementwise(nn.Module):
        def forward(self, x):
            return getattr(torch, activation, getattr(functional, activation, None))(x)

    model = nn.Sequential(nn.Linear(3, 5), Elementwise(), nn.Linear(5, 4), Elementwise(), nn.Linear(4, 2))
    spec = symmetry_of(randomised(model), normal(6, 3))
    assert spec.normalised() == mlp_spec((3, 5, 4, 2), activation).normalised()


def conv(c_in, c_out, size=3, **options):
    return nn.Conv2d(c_in, c_out, size, padding=size // 2, **options)


def twice(x, first, inner, last):
    x = functional.gelu(first(x))
    return last(x + functional.gelu(inner(functional.gelu(inner(x)))))


def tied(tokens, embedding, up, down):
    embedded = embedding(tokens)
    return functional.linear(embedded + down(functional.relu(up(embedded))), embedding.weight)


F3, F4, F5 = math.factorial(3), math.factorial(4), math.factorial(5)
PEERS = {
    "BatchNorm with real statistics": (
        lambda: nn.Sequential(conv(1, 4), nn.BatchNorm2d(4), nn.ReLU(), conv(4, 2)),
        (2, 1, 5, 5),
        F4 * 2**4,
    ),
    "conv, flatten, linear": (
        lambda: nn.Sequential(conv(1, 4), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 9, 2)),
        (2, 1, 3, 3),
        F4 * 2**4,
    ),
    "depthwise": (
        lambda: nn.Sequential(conv(1, 4), nn.ReLU(), conv(4, 4, groups=4), nn.ReLU(), conv(4, 2)),
        (2, 1, 5, 5),
        F4,
    ),
    "grouped": (
        lambda: nn.Sequential(conv(1, 6), nn.ReLU(), conv(6, 4, groups=2), nn.ReLU(), conv(4, 2)),
        (2, 1, 5, 5),
        2 * F3**2 * 2**2,
    ),
    "module used twice": (
        lambda: Applied(twice, first=nn.Linear(2, 4), inner=nn.Linear(4, 4), last=nn.Linear(4, 2)),
        (3, 2),
        F4,
    ),
}


@pytest.mark.parametrize("name", PEERS)
def test_what_others_change_keeps_its_function(name):
    build, shape, order = PEERS[name]
    model = randomised(build())
    spec = symmetry_of(model, normal(*shape))
    assert spec.order() == order
    assert max(drift(model, (normal(*shape),), spec, seed) for seed in range(3)) <= 1e-10


def test_a_tied_embedding_and_head_move_as_one():
    model = randomised(Applied(tied, embedding=nn.Embedding(6, 3), up=nn.Linear(3, 4), down=nn.Linear(4, 3)))
    tokens = torch.tensor([[0, 1, 2, 3, 4, 5]])
    spec = symmetry_of(model, tokens)
    assert spec.order() == F3 * 2**3 * F4
    assert drift(model, (tokens,), spec, 0) <= 1e-10


def test_two_names_of_one_tensor_are_both_listed():
    model = nn.Sequential(nn.Embedding(6, 3), nn.Linear(3, 6, bias=False))
    model[1].weight = model[0].weight
    spec = symmetry_of(randomised(model), torch.tensor([[0, 5]]))
    assert {axis.tensor for block in spec.blocks for axis in block.axes} == {"0.weight", "1.weight"}


def test_units_of_an_lstm_and_their_signs():
    model = randomised(Applied(lambda x, r, head: head(r(x)[0]), r=nn.LSTM(2, 3), head=nn.Linear(3, 2)))
    spec = symmetry_of(model, normal(4, 2, 2))
    assert spec.order() == F3 * 2**3
    assert drift(model, (normal(4, 2, 2),), spec, 1) <= 1e-10


def test_concatenated_parts_keep_symmetries_of_their_own():
    def joined(x, a, b, head):
        return head(torch.cat([functional.relu(a(x)), x, torch.tanh(b(x))], dim=-1))

    model = randomised(Applied(joined, a=nn.Linear(2, 3), b=nn.Linear(2, 4), head=nn.Linear(9, 2)))
    spec = symmetry_of(model, normal(5, 2))
    assert (spec.order(), spec.continuous_dimension()) == (F3 * F4 * 2**4, 3)


def test_group_norm_permutes_in_groups_and_groups():
    model = randomised(nn.Sequential(conv(1, 6), nn.GroupNorm(2, 6), nn.GELU(), conv(6, 2)))
    spec = symmetry_of(model, normal(2, 1, 4, 4))
    assert spec.order() == 2 * F3**2


def test_a_gate_and_what_it_gates_are_two_variables_of_one_unit():
    def gated(x, gate, up, down):
        return down(functional.relu(gate(x)) * up(x))

    model = randomised(Applied(gated, gate=nn.Linear(2, 4), up=nn.Linear(2, 4), down=nn.Linear(4, 2)))
    spec = symmetry_of(model, normal(5, 2))
    assert (spec.order(), spec.continuous_dimension()) == (F4 * 2**4, 8)
    assert drift(model, (normal(5, 2),), spec, 0) <= 1e-10


def test_several_inputs_by_position_and_by_name():
    def both(x, y, a, b, head):
        return head(torch.relu(a(x) + b(y))), a(x)

    class Named(Applied):
        def forward(self, x, y):
            return self.function(x, y, **self.parts)

    model = randomised(Named(both, a=nn.Linear(2, 4), b=nn.Linear(3, 4), head=nn.Linear(4, 2)))
    x, y = normal(5, 2), normal(5, 3)
    by_place, by_name = symmetry_of(model, (x, y)), symmetry_of(model, {"y": y, "x": x})
    assert by_place.normalised() == by_name.normalised()
    assert by_place.order() == 1  # the second output shows every unit of a


def test_the_model_and_the_generators_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.ReLU(), nn.Linear(3, 1)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()
    symmetry_of(model, torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_has_no_rule_is_frozen_and_named():
    model = Applied(lambda x, a, b: b(torch.special.i0e(a(x))), a=nn.Linear(2, 3), b=nn.Linear(3, 2))
    spec = symmetry_of(randomised(model), normal(4, 2))
    assert spec.order() == 1
    assert "special_i0e" in spec.notes[0]


def test_a_wrong_rule_is_found_out_and_its_block_named(monkeypatch):
    symmetry_of(nn.Linear(2, 2), torch.zeros(1, 2))  # loads the rules
    monkeypatch.setitem(rules.RULES, "gelu", rules.RULES["tanh"])
    monkeypatch.setitem(rules.RULES, "tanh", rules.RULES["sigmoid"])
    from fnequiv.architectures import rules_elementwise

    monkeypatch.setitem(rules_elementwise._NAMES, "gelu", "tanh")
    model = randomised(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 1)))
    with pytest.raises(RuntimeError, match="block '2' changes the function"):
        symmetry_of(model, normal(5, 2))


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


REFUSED = {
    "data-dependent branch": (Branching(), torch.zeros(2, 2), "branches or counts on the data in line"),
    "wrong shape": (nn.Linear(3, 2), torch.zeros(2, 4), "does not run on the example inputs"),
    "wrong number": (nn.Linear(3, 2), (torch.zeros(2, 3), torch.zeros(2, 3)), "does not run on the example inputs"),
    "dropout that never stops": (
        Applied(lambda x, a: functional.dropout(a(x), 0.5, training=True), a=nn.Linear(2, 2)),
        torch.zeros(2, 2),
        r"dropout in training mode: aten\.dropout",
    ),
    "random numbers": (
        Applied(lambda x, a: a(x) + torch.randn_like(x), a=nn.Linear(2, 2)),
        torch.zeros(2, 2),
        "draws random numbers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused_in_words(name):
    model, inputs, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        symmetry_of(model, inputs)


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (torch.relu, torch.zeros(1), "expected a torch.nn.Module"),
        (nn.Linear(2, 2), None, "example_inputs must be a tensor"),
        (nn.Linear(2, 2), "x", "example_inputs must be a tensor"),
    ],
)
def test_arguments_of_other_types_are_refused(model, inputs, message):
    with pytest.raises(TypeError, match=message):
        symmetry_of(model, inputs)


def test_check_is_a_bool():
    with pytest.raises(TypeError, match="check must be True or False"):
        symmetry_of(nn.Linear(2, 2), torch.zeros(1, 2), check=1)


def test_a_model_without_entries_is_traced_unchecked():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1)).to("meta")
    assert symmetry_of(model, torch.zeros(2, 3, device="meta"), check=False).order() == F5
    with pytest.raises(ValueError, match="pass check=False"):
        symmetry_of(model, torch.zeros(2, 3, device="meta"))


def test_arguments_that_a_rule_does_not_know_freeze_what_is_read(monkeypatch):
    symmetry_of(nn.Linear(2, 2), torch.zeros(1, 2))  # loads the rules
    monkeypatch.setitem(rules.RULES, "relu", lambda call, value, more: value)
    model = randomised(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)))
    spec = symmetry_of(model, normal(4, 2))
    assert spec.order() == 1
    assert "arguments that the operator's rule does not know" in spec.notes[0]
    assert "aten.relu.default in 1" in spec.notes[0]


def test_variables_of_units_that_keep_their_places_are_counted_in_a_note():
    model = randomised(nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)))
    assert symmetry_of(model, normal(4, 3)).notes == (
        "free scales (3) and signs (3) of units that keep their places are held at 1",
    )


def test_a_model_that_computes_in_single_precision_is_checked_to_that():
    class Single(nn.Module):
        def forward(self, x):
            return functional.relu(x.to(torch.float32)).to(x.dtype)

    model = randomised(nn.Sequential(nn.Linear(2, 5), Single(), nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 1)))
    assert symmetry_of(model, normal(4, 2)).order() == F5 * F3
