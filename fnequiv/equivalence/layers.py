"""Read a feedforward network off its modules or its tensors: which layers, in which order, with which activations.

Notation. Layer l holds W^(l) [d_l, d_{l-1}], b^(l) [d_l] and, where a PReLU follows, its slopes [d_l] or [1].
Definition 1 and Proposition 1 of Shen (2024) speak of such networks. Chapter: "Functional equivalence".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from ..activations import Activation
from ..activations import get as get_activation

Activations = str | Activation | Sequence[str | Activation]

# What may stand between two linear layers without changing what a neuron is (Dropout: in evaluation mode).
_TRANSPARENT = (torch.nn.Identity, torch.nn.Dropout, torch.nn.Flatten)


@dataclass(frozen=True)
class Layer:
    """Names of the tensors of one affine layer; ``slope`` belongs to the PReLU behind it.

    Examples
    --------
    >>> Layer("0.weight", "0.bias")
    Layer(weight='0.weight', bias='0.bias', slope=None)
    """

    weight: str
    bias: str | None = None
    slope: str | None = None


def layers_of(params: Mapping[str, torch.Tensor]) -> list[Layer]:
    """Return the layers of a parameter set in the order of the computation.

    Names that differ only by numbers (``0.weight``, ``2.weight``; ``fc1.weight``, ``fc2.weight``) are ordered by those
    numbers, because files often store names in alphabetical order; any others by their order in the mapping.

    Raises
    ------
    ValueError
        If the tensors are not those of a chain of linear layers.

    Examples
    --------
    >>> [layer.weight for layer in layers_of({"fc10.weight": torch.ones(1, 2), "fc2.weight": torch.ones(2, 3)})]
    ['fc2.weight', 'fc10.weight']
    """
    return chain_of({name: tuple(tensor.shape) for name, tensor in params.items()})


def activations_of(network: torch.nn.Sequential) -> tuple[Activation, ...]:
    """Return the facts of the activation behind each hidden layer of a ``torch.nn.Sequential``.

    Dropout, Flatten and Identity are passed over: in evaluation mode they change nothing between linear layers.

    Raises
    ------
    TypeError
        If ``network`` is no ``torch.nn.Sequential``.
    ValueError
        If it holds another kind of module, or two activations in one gap between linear layers.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LeakyReLU(0.2), torch.nn.Linear(3, 1))
    >>> activations_of(net)[0].name
    'leaky_relu'
    """
    if not isinstance(network, torch.nn.Sequential):
        raise TypeError(f"expected a torch.nn.Sequential, got {type(network).__name__}")
    _check_plain(network)
    # named_children would pass over a module that is used a second time
    modules = [(name, module) for name, module in network._modules.items() if not isinstance(module, _TRANSPARENT)]
    places = [index for index, (_, module) in enumerate(modules) if isinstance(module, torch.nn.Linear)]
    if not places or places[0] != 0:
        raise ValueError("the network must begin with a torch.nn.Linear layer")
    facts = []
    for start, stop in pairwise(places):
        between = [_facts_of(name, module) for name, module in modules[start + 1 : stop]]
        if len(between) > 1:
            raise ValueError(f"two activations follow module {modules[start][0]!r}: the spec needs one a layer")
        facts.append(between[0] if between else get_activation("identity"))
    return tuple(facts)


def _check_plain(network: torch.nn.Sequential) -> None:
    if type(network).forward is not torch.nn.Sequential.forward:
        raise ValueError(f"{type(network).__name__} has a forward of its own: only a plain Sequential is read")
    seen: dict[int, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        first = seen.setdefault(id(parameter), name)
        if first != name:
            raise ValueError(f"{name!r} is {first!r}: tied weights move together, which no spec of a chain allows")


# torch.nn class -> our name, and its attributes by our parameter names
_MODULES: dict[str, tuple[str, dict[str, str]]] = {
    "ReLU": ("relu", {}),
    "LeakyReLU": ("leaky_relu", {"negative_slope": "negative_slope"}),
    "PReLU": ("prelu", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "Softplus": ("softplus", {"beta": "beta"}),
    "ELU": ("elu", {"alpha": "alpha"}),
    "SELU": ("selu", {}),
    "SiLU": ("silu", {}),
    "Mish": ("mish", {}),
    "Softsign": ("softsign", {}),
    "Hardtanh": ("hardtanh", {"min_val": "min_val", "max_val": "max_val"}),
    "ReLU6": ("relu6", {}),
}


def _facts_of(name: str, module: torch.nn.Module) -> Activation:
    if type(module) is torch.nn.GELU:
        return get_activation("gelu" if module.approximate == "none" else "gelu_tanh")
    kind = type(module).__name__
    if type(module).__module__ != "torch.nn.modules.activation" or kind not in _MODULES:
        raise ValueError(f"module {name!r} is a {kind}: only Linear layers and {sorted([*_MODULES, 'GELU'])} are read")
    known, attributes = _MODULES[kind]
    return get_activation(known, **{ours: getattr(module, theirs) for ours, theirs in attributes.items()})


def facts_a_layer(activation: Activations, hidden: int) -> list[Activation]:
    """Return the facts of ``hidden`` activations, given one for all or one for each.

    Raises
    ------
    ValueError
        If a name is unknown, or the number of activations is not ``hidden``.
    """
    if isinstance(activation, (str, Activation)):
        return [get_activation(activation)] * hidden
    facts = [get_activation(one) for one in activation]
    if len(facts) != hidden:
        raise ValueError(f"the network has {hidden} hidden layers, got {len(facts)} activations: name one for each")
    return facts


def facts_of_layers(layers: Sequence[Layer], activation: Activations) -> list[Activation]:
    """Return the facts for each hidden layer, and raise unless slopes stand behind PReLUs and nowhere else.

    Raises
    ------
    ValueError
        If the number of activations is wrong, a PReLU lacks its slope, or another activation has one.
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


def chain_of(shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return the layers of :func:`layers_of` from the tensors' names and shapes alone."""
    weights = [name for name, shape in shapes.items() if len(shape) == 2]
    if len({re.sub(r"\d+", "#", name) for name in weights}) == 1:
        weights.sort(key=_numbers)
    if not weights:
        raise ValueError(f"no weight matrix among {list(shapes)}: pass the tensors of linear layers")
    rest = {name: shape for name, shape in shapes.items() if len(shape) != 2}
    layers = []
    for index, weight in enumerate(weights):
        if index and shapes[weight][1] != shapes[weights[index - 1]][0]:
            raise ValueError(
                f"the columns of {weight!r} {shapes[weight]} do not match the rows of "
                f"{weights[index - 1]!r} {shapes[weights[index - 1]]}: these tensors are no chain of layers"
            )
        bias = weight.removesuffix("weight") + "bias"
        has_bias = rest.pop(bias, None)
        if has_bias not in (None, (shapes[weight][0],)):
            raise ValueError(f"tensor {bias!r} must have shape ({shapes[weight][0]},), got {has_bias}")
        layers.append(Layer(weight, bias if has_bias else None))
    for name, shape in rest.items():
        _attach_slope(layers, name, shape, shapes)
    return layers


def _attach_slope(
    layers: list[Layer], name: str, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Give a vector that is no bias, the slope of a PReLU, to the hidden layer before it by number."""
    before = [index for index, layer in enumerate(layers) if _numbers(layer.weight) < _numbers(name)]
    if before and before[-1] < len(layers) - 1:
        host = layers[before[-1]]
        if host.slope is None and shape in ((1,), (shapes[host.weight][0],)):
            layers[before[-1]] = Layer(host.weight, host.bias, slope=name)
            return
    raise ValueError(f"tensor {name!r} of shape {shape} belongs to no hidden layer: this is another kind of network")


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
