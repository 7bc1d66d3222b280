"""Read a ``torch.nn.Sequential``: its layers in the order of the computation, and the activation behind each.

Notation. Linear layers l = 1, …, L+1 with at most one activation σ_l behind each; see :mod:`fnequiv.equivalence.mlp`. A
symmetry is proved for the formula of Definition 1 in Shen (2024), so a module that may compute anything else (a hook, a
parametrization, a forward of its own) is refused. Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import nn

from ..activations import Activation
from ..activations import get as get_activation
from .hidden import check_plain, class_of, facts_of_module
from .layers import Layer, check_chain

# What may stand between two linear layers without changing what a neuron is (dropout: in evaluation mode).
_TRANSPARENT = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
# What may stand behind the last one besides an activation: it sees the logits alone, which no symmetry changes.
_ON_LOGITS = (nn.Softmax, nn.LogSoftmax, nn.Softmin)


def activations_of(network: nn.Sequential) -> tuple[Activation, ...]:
    """Return the facts of the activation behind each hidden layer of a ``torch.nn.Sequential``.

    Nested Sequentials are read as if they were written out. Dropout, Flatten and Identity are passed over: in
    evaluation mode they change nothing between linear layers. A layer without an activation has the identity.

    Behind the last Linear layer an activation or a softmax may follow. It is no activation of a hidden layer, so it is
    not among the facts: :func:`fnequiv.equivalence.mlp.forward` returns the logits that enter it.

    Raises
    ------
    TypeError
        If ``network`` is no ``torch.nn.Sequential``.
    ValueError
        If it holds another kind of module or two activations in one gap between linear layers, or if a module may
        compute something else than its class says: hooks, parametrizations, a forward of its own.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.2), nn.Linear(3, 1), nn.Sigmoid())
    >>> [facts.name for facts in activations_of(net)]
    ['leaky_relu']
    """
    return tuple(read_sequential(network)[1])


def read_sequential(network: nn.Module) -> tuple[list[Layer], list[Activation]]:
    """Return the layers of a Sequential in the order of the computation, and the facts behind each hidden one.

    Raises
    ------
    TypeError, ValueError
        As :func:`activations_of`; also if the shapes of the weights do not fit, or a tensor belongs to no layer.

    Examples
    --------
    >>> layers, facts = read_sequential(nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.PReLU()), nn.Linear(3, 1)))
    >>> layers[0], facts[0].name
    (Layer(weight='0.0.weight', bias='0.0.bias', slope='0.1.weight'), 'prelu')
    """
    network = _sequential(network)
    modules = list(_flat(network))
    places = [index for index, (_, module) in enumerate(modules) if isinstance(module, nn.Linear)]
    if not places or places[0] != 0:
        found = f"module {modules[0][0]!r} is a {class_of(modules[0][1])}" if modules else "it is empty"
        raise ValueError(f"the network must begin with a torch.nn.Linear layer, but {found}: pass the part that does")
    layers: list[Layer] = []
    facts: list[Activation] = []
    for start, stop in pairwise([*places, len(modules)]):
        (name, linear), behind = modules[start], modules[start + 1 : stop]
        bias = None if linear.bias is None else f"{name}.bias"
        slope = next((f"{place}.weight" for place, module in behind if type(module) is nn.PReLU), None)
        layers.append(Layer(f"{name}.weight", bias, slope))
        if stop < len(modules):
            facts.append(_facts_behind(name, behind))
    _check_output(modules[places[-1] + 1 :])
    _check_tensors(network, layers)
    return layers, facts


def _facts_behind(name: str, behind: Sequence[tuple[str, nn.Module]]) -> Activation:
    found = [facts_of_module(place, module) for place, module in behind]
    if len(found) > 1:
        raise ValueError(f"two activations follow module {name!r}: the spec needs one a layer")
    return found[0] if found else get_activation("identity")


def _sequential(network: object) -> nn.Sequential:
    if isinstance(network, nn.Sequential):
        return network
    kind = type(network).__name__
    inside = next((key for key in ("_orig_mod", "module") if isinstance(getattr(network, key, None), nn.Module)), None)
    if inside:
        hint = f": pass what it wraps, network.{inside}"
    else:
        hint = ": pass its state_dict() and the activation" if isinstance(network, nn.Module) else ""
    raise TypeError(f"expected a torch.nn.Sequential, got {kind}{hint}")


def _flat(network: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of a Sequential and of those nested in it with their full names, without transparent ones."""
    check_plain(prefix.rstrip("."), network, nn.Sequential)
    for key, module in network._modules.items():  # named_children would pass over a module that is used a second time
        name = prefix + key
        if isinstance(module, nn.Sequential):
            yield from _flat(module, f"{name}.")
            continue
        check_plain(name, module, nn.Linear if isinstance(module, nn.Linear) else type(module))
        if type(module) not in _TRANSPARENT:
            yield name, module


def _check_output(behind: Sequence[tuple[str, nn.Module]]) -> None:
    for place, module in behind:
        if type(module) is nn.PReLU:
            raise ValueError(
                f"module {place!r} is a PReLU behind the last Linear layer: its slopes belong to no hidden layer, pass "
                "the network without it"
            )
        if type(module) not in _ON_LOGITS:
            facts_of_module(place, module)  # which refuses what is no activation


def _check_tensors(network: nn.Sequential, layers: Sequence[Layer]) -> None:
    state = network.state_dict()
    plain = {name for layer in layers for name in (layer.weight, layer.bias, layer.slope) if name}
    if strange := sorted(plain ^ set(state)):
        raise ValueError(f"tensors {strange} are not those of plain Linear layers and PReLUs: this is another network")
    check_chain([layer.weight for layer in layers], {name: tuple(tensor.shape) for name, tensor in state.items()})
