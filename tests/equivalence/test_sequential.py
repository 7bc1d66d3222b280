"""Sequentials read module by module: what is read agrees with what they compute, and what may differ is refused."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample


@pytest.fixture(autouse=True)
def _fixed_global_random_state():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stack(*between):
    """Return Linear(4, 5), ``between``, Linear(5, 3)."""
    return nn.Sequential(nn.Linear(4, 5), *between, nn.Linear(5, 3))


def named(*pairs):
    net = nn.Sequential()
    for name, module in pairs:
        net.add_module(name, module)
    return net


ACCEPTED = {
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(4, 5), nn.Tanh()),
        nn.Sequential(nn.Sequential(nn.Linear(5, 6)), nn.ReLU(), nn.Sequential()),
        nn.Linear(6, 3),
    ),
    "names that run backwards": lambda: named(
        ("9", nn.Linear(4, 4)), ("b", nn.Tanh()), ("2", nn.Linear(4, 4)), ("a", nn.ReLU()), ("1", nn.Linear(4, 4))
    ),
    "flattened images": lambda: nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Flatten(), nn.Mish(), nn.Linear(5, 3)),
    "every kind of dropout": lambda: nn.Sequential(
        nn.Dropout(), nn.Linear(4, 5), nn.SELU(), nn.AlphaDropout(), nn.Dropout1d(), nn.Linear(5, 3), nn.Identity()
    ),
    "no activation": lambda: stack(),
    "a mixture of biases": lambda: nn.Sequential(nn.Linear(4, 5, bias=False), nn.CELU(0.3), nn.Linear(5, 3)),
    "slopes, one of them shared by two layers": lambda: (
        lambda act: nn.Sequential(
            nn.Linear(4, 5), act, nn.Linear(5, 5), nn.PReLU(5), nn.Linear(5, 5), act, nn.Linear(5, 3)
        )
    )(nn.PReLU()),
    "one Linear": lambda: nn.Sequential(nn.Linear(4, 3)),
    "a softmax behind the last layer": lambda: nn.Sequential(*stack(nn.GELU()), nn.Softmax(-1)),
    "a sigmoid and dropout behind the last layer": lambda: nn.Sequential(*stack(nn.ReLU()), nn.Sigmoid(), nn.Dropout()),
    "a Linear by another name": lambda: stack(nn.ReLU(), nn.modules.linear.NonDynamicallyQuantizableLinear(5, 5)),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_moved_network_computes_the_same_and_another_move_does_not(case):
    net = ACCEPTED[case]().double().eval()
    x = normal(7, 2, 2) if isinstance(net[0], nn.Flatten) else normal(7, 4)
    before, spec = net(x), mlp.spec(net)
    moved = apply(net.state_dict(), spec, sample(spec, np.random.default_rng(1)))
    assert not spec.blocks or not torch.equal(
        moved[spec.blocks[0].axes[0].tensor], net.state_dict()[spec.blocks[0].axes[0].tensor]
    )
    net.load_state_dict(moved)
    torch.testing.assert_close(net(x), before, rtol=1e-10, atol=1e-12)
    if spec.blocks:  # the way out of the first block back in place, and the function is another one
        with torch.no_grad():
            way_out = net.state_dict()[next(axis.tensor for axis in spec.blocks[0].axes if axis.role == "out")]
            way_out.copy_(way_out.roll(1, 1))
        assert not torch.allclose(net(x), before, atol=1e-3)


@pytest.mark.parametrize("case", [name for name in ACCEPTED if "backwards" not in name])
def test_forward_gives_what_enters_the_modules_behind_the_last_layer(case):
    net = ACCEPTED[case]().double().eval()
    x = normal(7, 4)
    last = max(index for index, module in enumerate(net) if isinstance(module, nn.Linear))
    torch.testing.assert_close(
        mlp.forward(net.state_dict(), x, mlp.activations_of(net)), net[: last + 1](x), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("Dropout", (6, 4)),
        ("Dropout1d", (2, 3, 4)),
        ("Dropout2d", (2, 3, 2, 4)),
        ("Dropout3d", (2, 3, 2, 2, 4)),
        ("AlphaDropout", (6, 4)),
        ("FeatureAlphaDropout", (2, 3, 2, 4)),
    ],
)
def test_dropout_is_passed_over_as_evaluation_does(kind, shape):
    net, x = stack(getattr(nn, kind)(), nn.Tanh()).double().eval(), normal(*shape)
    assert [facts.name for facts in mlp.activations_of(net)] == ["tanh"]
    state = {name.replace("3.", "2."): tensor for name, tensor in net.state_dict().items()}
    torch.testing.assert_close(mlp.forward(state, x, "tanh"), net(x), rtol=0, atol=0)


@pytest.mark.parametrize("behind", [nn.Softmax(-1), nn.LogSoftmax(-1), nn.Softmin(-1), nn.Tanh(), nn.Identity()])
def test_modules_on_the_logits_leave_the_symmetries(behind):
    net = stack(nn.ReLU())
    assert mlp.spec(nn.Sequential(*net, behind)) == mlp.spec(net)


def test_a_sequential_is_read_by_its_modules_and_never_by_its_names():
    spec = mlp.spec(ACCEPTED["names that run backwards"]())
    assert [(block.kind, block.axes[0].tensor, block.axes[-1].tensor) for block in spec.blocks] == [
        ("signed", "9.weight", "2.weight"),
        ("scaled", "2.weight", "1.weight"),
    ]


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Called(nn.Linear):
    def __call__(self, x):
        return 2 * super().__call__(x)


class ReLU(nn.Module):
    def forward(self, x):
        return x.relu() ** 2


class Skip(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Noisy(nn.Dropout):
    def forward(self, x):
        return x + 1


def hooked(register):
    net = stack(nn.ReLU())
    getattr(net[1] if "pre" in register else net, register)(lambda *args: None)
    return net


def patched():
    net = stack(nn.ReLU())
    net[1].forward = lambda x: x
    return net


def pruned():
    net = stack(nn.ReLU())
    prune.l1_unstructured(net[0], "weight", 0.5)
    return net


def with_buffer():
    net = stack(nn.ReLU())
    net.register_buffer("mean", torch.zeros(4))
    return net


REFUSED = {
    "a forward hook": (lambda: hooked("register_forward_hook"), "the network (Sequential) has forward hooks"),
    "a forward pre-hook": (lambda: hooked("register_forward_pre_hook"), "module '1' (ReLU) has forward hooks"),
    "weight_norm": (
        lambda: stack(nn.ReLU(), parametrizations.weight_norm(nn.Linear(5, 5))),
        "(torch.nn.utils.parametrize.ParametrizedLinear) is parametrized",
    ),
    "pruning": (pruned, "module '0' (Linear) has forward hooks"),
    "a Linear with a forward of its own": (
        lambda: stack(nn.ReLU(), Doubled(5, 5)),
        "Doubled) has a forward of",
    ),
    "a Linear with a call of its own": (lambda: stack(nn.ReLU(), Called(5, 5)), "Called) has a forward of"),
    "a patched forward": (patched, "module '1' (ReLU) has a forward of its own"),
    "a Dropout with a forward of its own": (lambda: stack(Noisy(), nn.ReLU()), "Noisy: it is no torch.nn.Linear"),
    "a nested Skip": (lambda: nn.Sequential(nn.Linear(4, 4), Skip(nn.Linear(4, 4))), "Skip) has a forward of its own"),
    "a lazy layer": (
        lambda: nn.Sequential(nn.LazyLinear(3)),
        "module '0' (LazyLinear) has no weights yet: run one batch",
    ),
    "a buffer": (with_buffer, "tensors ['mean'] are not those of plain Linear layers"),
    "shapes that do not fit": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(6, 3)),
        "'1.weight' (3, 6) do not match",
    ),
    "another threshold": (lambda: stack(nn.Softplus(threshold=5)), "module '1' is a Softplus with threshold 5"),
    "a random slope": (
        lambda: stack(nn.RReLU()),
        "module '1' is a RReLU: it is no torch.nn.Linear and none of the activations that are read, CELU, ",
    ),
    "a hidden softmax": (lambda: stack(nn.Softmax(-1)), "module '1' is a Softmax"),
    "a PReLU behind the last layer": (
        lambda: nn.Sequential(*stack(nn.ReLU()), nn.PReLU()),
        "'3' is a PReLU behind the last",
    ),
    "a norm behind the last layer": (
        lambda: nn.Sequential(*stack(nn.ReLU()), nn.LayerNorm(3)),
        "module '3' is a LayerNorm",
    ),
    "a compiled layer": (
        lambda: stack(torch.compile(nn.Linear(5, 5), backend="eager")),
        "module '1' (torch._dynamo.eval_frame.OptimizedModule) has a forward of its own",
    ),
    "an activation of one's own": (lambda: stack(ReLU()), "ReLU: it is no torch.nn.Linear"),
    "a convolution first": (lambda: nn.Sequential(nn.Conv1d(4, 5, 1), nn.Linear(5, 3)), "but module '0' is a Conv1d"),
    "nothing": (nn.Sequential, "must begin with a torch.nn.Linear layer, but it is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_compute_something_else_is_refused(case):
    network, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        mlp.spec(network())


def test_backward_hooks_change_no_function():
    net = stack(nn.ReLU())
    net[0].register_full_backward_hook(lambda *args: None)
    assert mlp.spec(net) == mlp.spec(stack(nn.ReLU()))


def test_parameters_made_plain_again_are_read():
    net = pruned()
    prune.remove(net[0], "weight")
    assert mlp.spec(net) == mlp.spec(stack(nn.ReLU()))


class OwnNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 5), nn.Linear(5, 3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (OwnNet, "got OwnNet: pass its state_dict() and the activation"),
        (lambda: nn.DataParallel(stack(nn.ReLU())), "got DataParallel: pass what it wraps, network.module"),
        (
            lambda: torch.compile(stack(nn.ReLU()), backend="eager"),
            "got OptimizedModule: pass what it wraps, network._orig_mod",
        ),
        (lambda: nn.ModuleList([nn.Linear(4, 3)]), "got ModuleList"),
    ],
)
def test_other_modules_are_refused_with_what_to_pass(network, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        mlp.spec(network())
