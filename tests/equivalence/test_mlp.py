"""Feedforward networks against torch.nn.Sequential, and the specs read off widths, modules and files of tensors."""

import dataclasses

import pytest
import torch
from torch import nn

from fnequiv import activations
from fnequiv.equivalence import mlp

MODULES = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(0.2),
    "prelu": nn.PReLU(5),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(beta=2.0),
    "elu": nn.ELU(0.7),
    "selu": nn.SELU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "softsign": nn.Softsign(),
    "hardtanh": nn.Hardtanh(-0.5, 0.5),
    "relu6": nn.ReLU6(),
    "celu": nn.CELU(0.4),
    "hardsigmoid": nn.Hardsigmoid(),
    "hardswish": nn.Hardswish(),
    "hardshrink": nn.Hardshrink(0.3),
    "logsigmoid": nn.LogSigmoid(),
    "softshrink": nn.Softshrink(0.2),
    "tanhshrink": nn.Tanhshrink(),
}


def sequential(activation, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), activation, nn.Dropout(), nn.Linear(5, 3)).double().eval()


@pytest.fixture(autouse=True)
def _keep_global_random_state():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def test_every_activation_that_torch_has_a_module_for_is_among_these():
    classes = {kind.lower() for kind in nn.modules.activation.__all__}
    assert set(MODULES) == {name for name in activations.names() if name.replace("_", "") in classes} | {"gelu_tanh"}


@pytest.mark.parametrize("name", MODULES)
def test_forward_and_spec_agree_with_the_module(name):
    net = sequential(MODULES[name])
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3
    facts = mlp.activations_of(net)
    assert [fact.name for fact in facts] == [name]
    torch.testing.assert_close(mlp.forward(net.state_dict(), x, facts), net(x), rtol=0, atol=0)
    assert mlp.spec(net) == mlp.spec(net.state_dict(), facts) == mlp.spec(net.state_dict(), MODULES[name])
    torch.testing.assert_close(mlp.forward(net.state_dict(), x, MODULES[name]), net(x), rtol=0, atol=0)


def test_facts_carry_the_parameters_of_the_module():
    own = {"leaky_relu": 0.2, "softplus": 2.0, "elu": 0.7, "celu": 0.4, "hardshrink": 0.3, "softshrink": 0.2}
    for name, value in own.items():
        assert list(mlp.activations_of(sequential(MODULES[name]))[0].parameters.values()) == [value]


def test_init_has_the_names_shapes_and_law_of_torch():
    widths = (400, 300, 200, 10)
    params = mlp.init(widths, torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(400, 300), nn.Tanh(), nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, 10))
    assert {n: t.shape for n, t in params.items()} == {n: t.shape for n, t in net.state_dict().items()}
    for name, fan_in in (("0.weight", 400), ("2.weight", 300), ("4.weight", 200)):
        values = params[name] * fan_in**0.5
        assert 0.99 < values.abs().max() <= 1
        assert abs(values.mean()) < 5 * (1 / 3 / values.numel()) ** 0.5
        assert values.std().item() == pytest.approx(3**-0.5, rel=0.02)
        assert net.state_dict()[name].mul(fan_in**0.5).std().item() == pytest.approx(3**-0.5, rel=0.02)
    net.double().load_state_dict(params)


def test_init_of_narrow_layers_reaches_the_whole_range():
    params = mlp.init((1, 4000, 4, 1), torch.Generator().manual_seed(0))
    for name, fan_in in (("0.weight", 1), ("0.bias", 1), ("2.weight", 4000)):
        assert 0.99 < params[name].abs().max() * fan_in**0.5 <= 1
    many = torch.cat([mlp.init((4, 1), torch.Generator().manual_seed(s))["0.bias"] for s in range(800)])
    assert 0.49 < many.abs().max() <= 0.5


def test_a_block_lies_on_rows_bias_and_columns():
    places = [[(a.tensor, a.axis, a.role) for a in block.axes] for block in mlp.spec((2, 3, 4, 1), "relu").blocks]
    assert places == [
        [("0.weight", 0, "in"), ("0.bias", 0, "in"), ("2.weight", 1, "out")],
        [("2.weight", 0, "in"), ("2.bias", 0, "in"), ("4.weight", 1, "out")],
    ]


def test_init_is_determined_by_its_generator_and_touches_no_other():
    state = torch.get_rng_state()
    first, again = (mlp.init((3, 4, 1), torch.Generator().manual_seed(9)) for _ in range(2))
    other = mlp.init((3, 4, 1), torch.Generator().manual_seed(10))
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not any(torch.equal(first[n], other[n]) for n in first)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_biases():
    params = mlp.init((3, 4, 2), torch.Generator().manual_seed(0), bias=False)
    assert list(params) == ["0.weight", "2.weight"]
    assert mlp.spec(params, "relu") == mlp.spec((3, 4, 2), "relu", bias=False)
    x = torch.ones(1, 3)
    expected = (x @ params["0.weight"].T).relu() @ params["2.weight"].T
    torch.testing.assert_close(mlp.forward(params, x, "relu"), expected)


def test_prelu_slopes_travel_with_their_neurons_and_a_shared_slope_stays():
    per_channel, shared = sequential(nn.PReLU(5)), sequential(nn.PReLU())
    assert [(a.tensor, a.role) for a in mlp.spec(per_channel).blocks[0].axes][-1] == ("1.weight", "carry")
    assert "1.weight" not in [a.tensor for a in mlp.spec(shared).blocks[0].axes]
    assert mlp.spec(per_channel).blocks[0].kind == mlp.spec(shared).blocks[0].kind == "scaled"


def test_the_slopes_of_a_prelu_begin_at_a_quarter_and_act_on_the_last_axis():
    params = mlp.init((4, 5, 3), torch.Generator().manual_seed(0), activation="prelu", dtype=torch.float64)
    assert torch.equal(params["1.weight"], torch.full((5,), 0.25, dtype=torch.float64))
    params["1.weight"] = torch.linspace(-1, 2, 5, dtype=torch.float64)
    net = sequential(nn.PReLU(5))
    net.load_state_dict({name.replace("2.", "3."): tensor for name, tensor in params.items()})
    x = torch.randn(6, 7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))  # batch, time, features
    logits = mlp.forward(params, x, "prelu")
    for step in range(7):
        torch.testing.assert_close(logits[:, step], net(x[:, step]), rtol=0, atol=1e-14)
    torch.testing.assert_close(mlp.forward(params, x[0, 0], "prelu"), logits[0, 0], rtol=0, atol=1e-14)


def test_init_puts_the_tensors_where_it_is_told():
    params = mlp.init((2, 3, 1), torch.Generator(), device="meta")
    assert {tensor.device.type for tensor in params.values()} == {"meta"}
    assert mlp.spec(params, "relu") == mlp.spec((2, 3, 1), "relu")


def test_a_network_without_hidden_layers_needs_no_activation():
    params = mlp.init((3, 2), torch.Generator().manual_seed(0))
    x = torch.ones(1, 3)
    torch.testing.assert_close(mlp.forward(params, x), x @ params["0.weight"].T + params["0.bias"])
    assert mlp.spec((3, 2)) == mlp.spec(params) == mlp.spec((3, 2), "relu")


def test_layers_are_ordered_by_number_whatever_the_order_of_the_mapping():
    params = mlp.init((4, 4, 4, 4, 4, 4, 4), torch.Generator().manual_seed(0), dtype=torch.float64)
    shuffled = {name: params[name] for name in sorted(params)}  # "10.weight" comes before "2.weight"
    assert list(shuffled) != list(params)
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(mlp.forward(shuffled, x, "tanh"), mlp.forward(params, x, "tanh"))
    assert mlp.spec(shuffled, "tanh") == mlp.spec(params, "tanh")


def test_no_hidden_layer_means_no_symmetry():
    spec = mlp.spec((3, 2), "relu")
    assert spec.blocks == ()
    assert spec.order() == 1


def test_forward_is_differentiable_and_batches_over_parameters():
    stacked = {
        n: torch.stack([mlp.init((2, 3, 1), torch.Generator().manual_seed(s), dtype=torch.float64)[n] for s in (0, 1)])
        for n in ("0.weight", "0.bias", "2.weight", "2.bias")
    }
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    both = torch.func.vmap(lambda p: mlp.forward(p, x, "tanh"))(stacked)
    for member in (0, 1):
        alone = mlp.forward({n: t[member] for n, t in stacked.items()}, x, "tanh")
        torch.testing.assert_close(both[member], alone)
    one = {n: t[0].clone().requires_grad_() for n, t in stacked.items()}
    mlp.forward(one, x, "tanh").sum().backward()
    assert all(t.grad is not None and t.grad.shape == t.shape for t in one.values())


def test_one_activation_module_used_twice_is_read_twice():
    act = nn.ReLU()
    net = nn.Sequential(nn.Linear(4, 6), act, nn.Linear(6, 5), act, nn.Linear(5, 3))
    assert [block.kind for block in mlp.spec(net).blocks] == ["scaled", "scaled"]


def tied():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    net[2].weight = net[0].weight
    return net


GENERATOR = torch.Generator()
NORM = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))
X = torch.ones(2, 4)
HOOKED = nn.ReLU()
HOOKED.register_forward_hook(lambda *args: None)
THETA = mlp.init((4, 5, 3), torch.Generator().manual_seed(0))
BAD = {
    "tied weights": (lambda: mlp.spec(tied()), ValueError, "'2.weight' shares memory with '0.weight'"),
    "a width of 0": (lambda: mlp.init((2, 0, 1), GENERATOR), ValueError, "width d_1 must be >= 1, got 0"),
    "a negative width": (lambda: mlp.spec((2, -3, 1), "relu"), ValueError, "width d_1 must be >= 1, got -3"),
    "a fractional width": (lambda: mlp.spec((2, 1.5, 1), "relu"), TypeError, "d_1 must be an integer, got 1.5"),
    "a single width": (lambda: mlp.spec((2,), "relu"), ValueError, "pass at least 2 integers"),
    "a string of widths": (lambda: mlp.spec("231", "relu"), TypeError, "must be a sequence"),
    "an empty name": (lambda: mlp.spec((2, 3, 1), ""), ValueError, "unknown activation ''"),
    "an empty list of activations": (
        lambda: mlp.init((2, 3, 1), GENERATOR, activation=[]),
        ValueError,
        "got 0 activations",
    ),
    "None among the activations": (lambda: mlp.spec((2, 3, 1), [None]), TypeError, "activation must be a name"),
    "a builtin for an activation": (lambda: mlp.spec((2, 3, 1), torch.sin), TypeError, "pass 'sin'"),
    "an activation that PyTorch lacks": (
        lambda: mlp.forward(THETA, X, dataclasses.replace(activations.get("sin"), torch="sine")),
        ValueError,
        "'sin' is torch.sine, which PyTorch does not have",
    ),
    "a number for an activation": (lambda: mlp.init((2, 3, 1), GENERATOR, activation=5), TypeError, "got 5"),
    "a function for an activation": (lambda: mlp.forward(THETA, X, torch.relu), TypeError, "pass 'relu'"),
    "a class for an activation": (lambda: mlp.spec((2, 3, 1), nn.LeakyReLU), TypeError, "pass 'leaky_relu'"),
    "an unknown module for an activation": (lambda: mlp.spec((2, 3, 1), nn.Softmax(-1)), ValueError, "is a Softmax"),
    "a hooked activation": (
        lambda: mlp.spec((2, 3, 1), HOOKED),
        ValueError,
        "module 'activation' (ReLU) has forward hooks",
    ),
    "slopes outside the tensor": (
        lambda: mlp.forward({**THETA, "1.weight": torch.ones(5)}, X, activations.get("prelu", weight=0.1)),
        ValueError,
        "got weight=0.1 as well: pass 'prelu'",
    ),
    "slopes for init": (
        lambda: mlp.init((4, 2, 3), GENERATOR, activation=activations.get("prelu", weight=(0.1, 0.2))),
        ValueError,
        "got weight=(0.1, 0.2) as well",
    ),
    "a bias for a Sequential": (lambda: mlp.spec(sequential(nn.ReLU()), bias=False), TypeError, "leave out bias=False"),
    "a bias for a state dict": (lambda: mlp.spec(THETA, "relu", bias=False), TypeError, "leave out bias=False"),
    "a bias that is no bool": (
        lambda: mlp.init((2, 1), GENERATOR, bias=None),
        TypeError,
        "must be True or False, got None",
    ),
    "no network": (lambda: mlp.spec(None, "relu"), TypeError, "got None"),
    "a module for params": (lambda: mlp.forward(NORM, X, "relu"), TypeError, "got Sequential: pass its state_dict()"),
    "no activation for forward": (lambda: mlp.forward(THETA, X), TypeError, "name the activation"),
    "an array for x": (
        lambda: mlp.forward(THETA, X.numpy(), "relu"),
        TypeError,
        "got ndarray: torch.as_tensor(x, dtype=",
    ),
    "a number for x": (lambda: mlp.forward(THETA, torch.tensor(1.0), "relu"), ValueError, "d_0 = 4, got ()"),
    "mixed dtypes": (
        lambda: mlp.forward({**THETA, "0.bias": torch.ones(5).double()}, X, "relu"),
        TypeError,
        "got ['torch.float32', 'torch.float64']",
    ),
    "integer weights": (
        lambda: mlp.forward({"0.weight": torch.ones(1, 4).long()}, X.long()),
        TypeError,
        "floating dtype",
    ),
    "an unknown activation": (lambda: mlp.spec((2, 3, 1), "rellu"), ValueError, "rellu"),
    "too few activations": (
        lambda: mlp.spec((2, 3, 3, 1), ["relu"]),
        ValueError,
        "2 hidden layers, got 1 activations",
    ),
    "no activation": (lambda: mlp.spec((2, 3, 1)), TypeError, "name the activation"),
    "an activation for a Sequential": (lambda: mlp.spec(sequential(nn.ReLU()), "relu"), TypeError, "brings its own"),
    "a seed": (lambda: mlp.init((2, 3, 1), 0), TypeError, "torch.Generator().manual_seed(0)"),
    "an integer dtype": (lambda: mlp.init((2, 1), GENERATOR, dtype=torch.int64), TypeError, "must be a floating"),
    "inputs of another width": (
        lambda: mlp.forward(THETA, torch.ones(1, 3), "relu"),
        ValueError,
        "d_0 = 4, got (1, 3)",
    ),
    "inputs of another dtype": (
        lambda: mlp.forward(THETA, torch.ones(1, 4).double(), "relu"),
        TypeError,
        "tensor of torch.float32, got torch.float64",
    ),
    "a norm in a Sequential": (lambda: mlp.spec(NORM), ValueError, "module '1' is a LayerNorm"),
    "a norm in a state dict": (lambda: mlp.spec(NORM.state_dict(), "relu"), ValueError, "'1.bias'"),
    "a single vector behind a ReLU": (
        lambda: mlp.spec({**THETA, "1.weight": torch.ones(5)}, "relu"),
        ValueError,
        "'1.weight' would be a PReLU's slope",
    ),
    "a PReLU without its slope": (lambda: mlp.spec(THETA, "prelu"), ValueError, "its slope is missing"),
    "a module of one's own": (
        lambda: mlp.spec(nn.Sequential(nn.Linear(4, 4), nn.Bilinear(4, 4, 4), nn.Linear(4, 4))),
        ValueError,
        "module '1' is a Bilinear",
    ),
    "two activations in a row": (
        lambda: mlp.spec(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Tanh(), nn.Linear(4, 4))),
        ValueError,
        "two activations follow module '0'",
    ),
    "an activation first": (lambda: mlp.spec(nn.Sequential(nn.ReLU(), nn.Linear(4, 4))), ValueError, "must begin with"),
    "another module": (lambda: mlp.activations_of(nn.Linear(2, 2)), TypeError, "got Linear"),
    "no matrices": (lambda: mlp.spec({"a": torch.ones(3)}, "relu"), ValueError, "no weight matrix among ['a']"),
    "tensors that do not chain": (
        lambda: mlp.spec({"a.weight": torch.ones(3, 2), "b.weight": torch.ones(1, 4)}, "relu"),
        ValueError,
        "no chain of layers",
    ),
    "a bias of another length": (
        lambda: mlp.spec({**THETA, "0.bias": torch.ones(4)}, "relu"),
        ValueError,
        "'0.bias' must have shape (5,), got (4,)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_rule_and_value(case):
    call, error, message = BAD[case]
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
