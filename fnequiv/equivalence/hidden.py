"""Read the activations of the hidden layers off what a caller passes: names, facts or ``torch.nn`` modules.

Notation. σ_l follows hidden layer l = 1, …, L of Definition 1 in Shen (2024). One activation stands for all of them, a
sequence names one for each. Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from ..activations import Activation, names
from ..activations import get as get_activation
from .layers import Layer

Activations = str | Activation | nn.Module | Sequence[str | Activation | nn.Module]

# torch.nn class -> our name; GELU has two. The classes are ours without the underscores: nn.LeakyReLU is leaky_relu.
_CLASSES = {kind.lower(): getattr(nn, kind) for kind in nn.modules.activation.__all__}
_MODULES = {_CLASSES[key]: name for name in names() if (key := name.replace("_", "")) in _CLASSES}
_READ = ", ".join(sorted(kind.__name__ for kind in _MODULES))


def facts_a_layer(activation: Activations | None, hidden: int) -> list[Activation]:
    """Return the facts of ``hidden`` activations, given one for all or one for each.

    Raises
    ------
    TypeError
        If an activation is no name, facts or ``torch.nn`` module, or is missing.
    ValueError
        If one is unknown, their number is not ``hidden``, or a PReLU comes with slopes outside its tensor.

    Examples
    --------
    >>> [facts.name for facts in facts_a_layer(nn.Tanh(), 2)]
    ['tanh', 'tanh']
    """
    if activation is None and hidden:
        raise TypeError("name the activation of the hidden layers, as in spec((2, 3, 1), 'relu')")
    if isinstance(activation, str) or not isinstance(activation, Sequence | None):
        return [_facts_of(activation)] * hidden
    facts = [_facts_of(one) for one in activation or ()]
    if len(facts) != hidden:
        raise ValueError(f"the network has {hidden} hidden layers, got {len(facts)} activations: name one for each")
    return facts


def facts_of_layers(layers: Sequence[Layer], activation: Activations | None) -> list[Activation]:
    """Return the facts for each hidden layer, and raise unless slopes stand behind PReLUs and nowhere else.

    Raises
    ------
    TypeError, ValueError
        As :func:`facts_a_layer`; also if a PReLU lacks its slope, or another activation has one.

    Examples
    --------
    >>> [facts.name for facts in facts_of_layers([Layer("0.weight"), Layer("2.weight")], "relu")]
    ['relu']
    """
    facts = facts_a_layer(activation, len(layers) - 1)
    for layer, fact in zip(layers, facts, strict=False):
        if fact.name == "prelu" and layer.slope is None:
            raise ValueError(
                f"a PReLU follows {layer.weight!r} but its slope is missing: add the tensor to the mapping"
            )
        if fact.name != "prelu" and layer.slope is not None:
            raise ValueError(
                f"tensor {layer.slope!r} would be a PReLU's slope, but {fact.name!r} follows {layer.weight!r}"
            )
    return facts


def _facts_of(activation: object) -> Activation:
    if isinstance(activation, nn.Module):
        check_plain("activation", activation, type(activation))
        return facts_of_module("activation", activation)
    if not isinstance(activation, (str, Activation)):
        called = getattr(activation, "__name__", None)  # torch.relu, nn.ReLU without parentheses
        guess = {**{kind.__name__: name for kind, name in _MODULES.items()}, **{name: name for name in names()}}
        hint = f": pass {guess[called]!r}" if called in guess else ""
        raise TypeError(
            "activation must be a name, an Activation or a torch.nn activation module, or a list of these with one for "
            f"each hidden layer, got {activation!r}{hint}"
        )
    facts = get_activation(activation)
    if facts.name == "prelu" and facts != get_activation("prelu"):
        raise ValueError(
            f"the slopes of a PReLU are a tensor of the network, got weight={facts.parameters.get('weight')} as well: "
            "pass 'prelu', and write the slopes to the tensor"
        )
    return facts


def facts_of_module(name: str, module: nn.Module) -> Activation:
    """Return the facts of an activation module; ``name`` says in messages which one it is.

    The facts of a PReLU leave its slopes out: they are a tensor of the network. Those of a Softplus are exact; PyTorch
    replaces it by the line x where βx > 20, and is off by at most log(1 + e⁻²⁰)/β = 2.1e-9/β there.

    Raises
    ------
    ValueError
        If the module is no elementwise activation that :mod:`fnequiv.activations` knows.

    Examples
    --------
    >>> facts_of_module("1", nn.LeakyReLU(0.2)).parameters["negative_slope"]
    0.2
    """
    if type(module) is nn.Identity:
        return get_activation("identity")
    if type(module) is nn.Softplus and module.threshold != 20:
        raise ValueError(
            f"module {name!r} is a Softplus with threshold {module.threshold}: only PyTorch's own, 20, is read"
        )
    if type(module) not in _MODULES:
        known = f"it is no torch.nn.Linear and none of the activations that are read, {_READ}"
        raise ValueError(f"module {name!r} is a {class_of(module)}: {known}")
    known = "gelu_tanh" if getattr(module, "approximate", None) == "tanh" else _MODULES[type(module)]
    stored = () if known == "prelu" else get_activation(known).parameters  # the slopes of a PReLU stay in its tensor
    return get_activation(known, **{parameter: getattr(module, parameter) for parameter in stored})


def check_plain(name: str, module: nn.Module, kind: type[nn.Module]) -> None:
    """Raise unless calling ``module`` runs the forward of ``kind`` on its own weights, and nothing else.

    Raises
    ------
    ValueError
        If the module is lazy and has no weights yet, is parametrized, has forward hooks or a forward of its own.
    """
    problem = None
    if any(is_lazy(parameter) for parameter in module.parameters(recurse=False)):
        problem = "has no weights yet: run one batch through the network first"
    elif is_parametrized(module):
        problem = "is parametrized: torch.nn.utils.parametrize.remove_parametrizations leaves plain weights"
    elif module._forward_hooks or module._forward_pre_hooks:
        problem = (
            "has forward hooks, which may change what it computes: remove them (weight_norm, spectral_norm and pruning "
            "each have a function that does)"
        )
    elif "forward" in vars(module) or (type(module).forward, type(module).__call__) != (kind.forward, kind.__call__):
        problem = "has a forward of its own, which may compute anything"
    if problem:
        label = f"module {name!r}" if name else "the network"
        raise ValueError(f"{label} ({class_of(module)}) {problem}")


def class_of(module: nn.Module) -> str:
    """Return the name of a module's class, with its path unless it is one of ``torch.nn``.

    Examples
    --------
    >>> class_of(nn.ReLU())
    'ReLU'
    """
    kind = type(module)
    return kind.__name__ if getattr(nn, kind.__name__, None) is kind else f"{kind.__module__}.{kind.__qualname__}"
