"""Read a feedforward network off the names and shapes of its tensors: which layers, in which order.

Notation. Layer l holds W^(l) [d_l, d_{l-1}], b^(l) [d_l] and, where a PReLU follows, its slopes [d_l] or [1].
A *chain* is an order of the matrices in which the columns of each match the rows of the one before.
Definition 1 and Proposition 1 of Shen (2024) speak of such networks. Chapter: "Functional equivalence".

Files store names in alphabetical order, so the order of a mapping proves nothing. Numbers do: two names first differ in
one of the parts between their dots, and where those parts differ by numbers alone (``2`` and ``10``, ``fc1`` and
``fc2``), the lower comes first. What the numbers leave open, the shapes have to settle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cmp_to_key
from itertools import pairwise

import torch

Shapes = Mapping[str, tuple[int, ...]]

# Orders are tried depth first; beyond so many partial ones the shapes are called undecided.
_MOST_STEPS = 10_000


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

    Names that differ by numbers (``0.weight``, ``2.weight``; ``fc1.weight``, ``fc2.weight``) are ordered by those.
    Names that differ otherwise (``net.0.weight``, ``out.weight``) are ordered by their shapes, if one order alone is a
    chain. The order of the mapping never counts.

    A layer holds ``<name>.weight`` and perhaps ``<name>.bias``, the PReLU behind it ``<another name>.weight``. Tensors
    of other names (``weight_g``, ``weight_orig``, ``in_proj_weight``) belong to other modules and are refused. But
    names and shapes cannot tell an embedding from a layer, nor a residual block from two: in doubt, read a Sequential.

    Raises
    ------
    TypeError
        If ``params`` is no mapping from names to tensors.
    ValueError
        If the tensors are not those of a chain of linear layers, or of several chains with nothing to choose by.

    Examples
    --------
    >>> theta = {"fc10.weight": torch.ones(4, 2), "fc2.weight": torch.ones(2, 3), "head.weight": torch.ones(1, 4)}
    >>> [layer.weight for layer in layers_of(theta)]
    ['fc2.weight', 'fc10.weight', 'head.weight']
    """
    return chain_of(shapes_of(params))


def shapes_of(params: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by name.

    Raises
    ------
    TypeError
        If ``params`` is no mapping, a name is no string, or a value no tensor.

    Examples
    --------
    >>> shapes_of({"0.weight": torch.ones(2, 3)})
    {'0.weight': (2, 3)}
    """
    if not isinstance(params, Mapping):
        hint = ": pass its state_dict()" if isinstance(params, torch.nn.Module) else ""
        raise TypeError(f"params must map names to tensors, as state_dict() does, got {type(params).__name__}{hint}")
    for name, tensor in params.items():
        if not isinstance(name, str):
            raise TypeError(f"params must map names to tensors, got the key {name!r}: names are strings")
        if not isinstance(tensor, torch.Tensor):
            hint = "pass the tensors in it" if isinstance(tensor, Mapping) else "torch.as_tensor makes one of an array"
            raise TypeError(f"tensor {name!r} must be a torch.Tensor, got {type(tensor).__name__}: {hint}")
    return {name: tuple(tensor.shape) for name, tensor in params.items()}


def chain_of(shapes: Shapes) -> list[Layer]:
    """Return the layers of :func:`layers_of` from the tensors' names and shapes alone.

    Examples
    --------
    >>> chain_of({"1.weight": (3,), "2.weight": (1, 3), "0.weight": (3, 2)})[0]
    Layer(weight='0.weight', bias=None, slope='1.weight')
    """
    weights = [name for name, shape in shapes.items() if len(shape) == 2 and _is_weight(name)]
    if not weights:
        raise ValueError(f"no weight matrix among {list(shapes)}: pass the tensors of linear layers, as 'fc1.weight'")
    rest = {name: shape for name, shape in shapes.items() if name not in weights}
    layers = []
    for weight in _in_order(weights, shapes):
        bias = weight.removesuffix("weight") + "bias"
        has_bias = rest.pop(bias, None)
        if has_bias not in (None, (shapes[weight][0],)):
            raise ValueError(f"tensor {bias!r} must have shape ({shapes[weight][0]},), got {has_bias}")
        layers.append(Layer(weight, bias if has_bias else None))
    for name, shape in rest.items():
        _attach_slope(layers, name, shape, shapes)
    return layers


def check_chain(weights: Sequence[str], shapes: Shapes) -> None:
    """Raise unless the columns of each matrix match the rows of the one before.

    Raises
    ------
    ValueError
        Naming the first pair that does not.
    """
    for first, second in pairwise(weights):
        if not _chains(first, second, shapes):
            raise ValueError(
                f"the columns of {second!r} {shapes[second]} do not match the rows of {first!r} {shapes[first]}: "
                "these tensors are no chain of layers, each [outputs, inputs]"
            )


def _chains(first: str, second: str, shapes: Shapes) -> bool:
    return shapes[first][0] == shapes[second][1]


def _in_order(weights: Sequence[str], shapes: Shapes) -> Sequence[str]:
    by_number = sorted(weights, key=cmp_to_key(_compare))
    if all(_compare(first, second) < 0 for first, second in pairwise(by_number)):
        check_chain(by_number, shapes)
        return by_number
    orders = _orders(weights, shapes)
    if not orders:
        listed = ", ".join(f"{name!r} {shapes[name]}" for name in weights)
        raise ValueError(f"in no order do the columns of each match the rows before: {listed} are no chain of layers")
    if len(orders) > 1:
        listed = " and ".join(" -> ".join(order) for order in orders)
        raise ValueError(
            f"several orders are a chain of layers, as {listed}, and the names do not say which is computed: number "
            "all of them alike (0.weight, 1.weight, ...), or pass a torch.nn.Sequential"
        )
    return orders[0]


def _orders(weights: Sequence[str], shapes: Shapes) -> list[tuple[str, ...]]:
    """Return up to two of the orders that are chains and keep to the numbers."""
    earlier = {name: {other for other in weights if _compare(other, name) < 0} for name in weights}
    found: list[tuple[str, ...]] = []
    stack: list[tuple[str, ...]] = [()]
    for _ in range(_MOST_STEPS):
        if not stack or len(found) == 2:
            return found
        chain = stack.pop()
        if len(chain) == len(weights):
            found.append(chain)
            continue
        ready = [name for name in weights if name not in chain and earlier[name].issubset(chain)]
        stack += [(*chain, name) for name in reversed(ready) if not chain or _chains(chain[-1], name, shapes)]
    raise ValueError(
        f"too many orders of {list(weights)} to try: number the names by the order of the computation "
        "(0.weight, 1.weight, ...), or pass a torch.nn.Sequential"
    )


def _is_weight(name: str) -> bool:
    return name.rpartition(".")[2] == "weight"


def _compare(first: str, second: str) -> int:
    """Return -1 or 1 if the numbers say that ``first`` comes before or after ``second``, 0 if they say nothing."""
    for one, other in zip(first.split("."), second.split("."), strict=False):
        if one != other:
            if re.sub(r"\d+", "#", one) != re.sub(r"\d+", "#", other):
                return 0
            mine, theirs = ([int(number) for number in re.findall(r"\d+", part)] for part in (one, other))
            return (mine > theirs) - (mine < theirs)
    return 0


def _attach_slope(layers: list[Layer], name: str, shape: tuple[int, ...], shapes: Shapes) -> None:
    """Give a vector that is no bias, the slope of a PReLU, to the one hidden layer that it fits."""
    hosts = [
        index
        for index, (layer, following) in enumerate(pairwise(layers))
        if layer.slope is None
        and shape in ((1,), (shapes[layer.weight][0],))
        and _compare(layer.weight, name) <= 0 <= _compare(following.weight, name)
        and _is_weight(name)
    ]
    if not hosts:
        raise ValueError(
            f"tensor {name!r} of shape {shape} belongs to no hidden layer: a layer holds 'fc.weight' and 'fc.bias', "
            "a PReLU 'act.weight', and other networks are not read"
        )
    if len(hosts) > 1:
        places = " or ".join(repr(layers[index].weight) for index in hosts)
        raise ValueError(
            f"tensor {name!r} of shape {shape} may be the slope of the PReLU behind {places}: name the tensors by "
            "their place (0.weight, 1.weight, ...), or pass a torch.nn.Sequential"
        )
    layers[hosts[0]] = replace(layers[hosts[0]], slope=name)
