"""Feedforward networks as dicts of tensors: initialise, evaluate, and describe their symmetries.

Notation. widths = (d_0, d_1, …, d_L, d_{L+1}); layer l maps h ↦ W^(l) h + b^(l) with W^(l) of shape
[d_l, d_{l-1}], and f(x; θ) = W^(L+1) σ_L(W^(L) … σ_1(W^(1) x + b^(1)) … + b^(L)) + b^(L+1). Tensors carry the
names that ``torch.nn.Sequential`` gives them: ``"0.weight"``, ``"0.bias"``, ``"2.weight"``, … (activations take the odd
places), so that ``net.state_dict()`` is a parameter set and ``net.load_state_dict(params)`` takes one back.

Theorem: Definition 1, Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise

import torch

from ..activations import Activation
from ..symmetry import Axis, Block, SymmetrySpec
from ..validation import check_widths
from .layers import Activations, activations_of, chain_of, facts_a_layer, facts_of_layers, layers_of

__all__ = ["activations_of", "forward", "init", "layers_of", "spec"]


def init(
    widths: Sequence[int],
    generator: torch.Generator,
    *,
    activation: Activations | None = None,
    bias: bool = True,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> dict[str, torch.Tensor]:
    """Draw parameters as ``torch.nn.Linear`` does: every entry of layer l uniform on ±1/√d_{l-1}.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), integers ≥ 1.
    generator
        The only source of randomness; it lives on the device the tensors are made on.
    activation
        Needed only for ``"prelu"``, which adds slopes ``"1.weight"`` [d_1], …, all 1/4.
    bias
        Whether layers have biases.
    dtype, device
        Floating dtype of the tensors, and where they live (the generator's device if left out).

    Returns
    -------
    dict
        ``"0.weight"`` [d_1, d_0], ``"0.bias"`` [d_1], ``"2.weight"`` [d_2, d_1], …

    Raises
    ------
    TypeError
        If ``generator`` is no ``torch.Generator``, ``dtype`` is not floating, or a width is no integer.
    ValueError
        If a width is below 1.

    Examples
    --------
    >>> {name: tuple(t.shape) for name, t in init((2, 3, 1), torch.Generator().manual_seed(0)).items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    widths = check_widths(widths)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {generator!r}: torch.Generator().manual_seed(0)")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating torch dtype, got {dtype!r}")
    params = {}
    for name, shape in _shapes(widths, activation or "identity", bias).items():
        params[name] = torch.full(shape, 0.25, dtype=dtype, device=device or generator.device)
        layer = int(name.split(".")[0])
        if layer % 2 == 0:
            params[name].uniform_(-1, 1, generator=generator).div_(math.sqrt(widths[layer // 2]))
    return params


def forward(params: Mapping[str, torch.Tensor], x: torch.Tensor, activation: Activations) -> torch.Tensor:
    """Evaluate f(x; θ).

    Parameters
    ----------
    params
        Parameter set; differentiable and usable under ``torch.func``.
    x
        Inputs, shape (…, d_0), of the parameters' dtype.
    activation
        Name or facts of σ for all hidden layers, or one for each.

    Returns
    -------
    torch.Tensor
        Outputs (logits), shape (…, d_{L+1}).

    Raises
    ------
    TypeError
        If ``x`` is no tensor of the parameters' dtype.
    ValueError
        If an activation is unknown, their number is not L, or ``x`` does not end in d_0.

    Examples
    --------
    >>> theta = {"0.weight": torch.ones(2, 1), "2.weight": torch.ones(1, 2)}
    >>> forward(theta, torch.tensor([[3.0], [-1.0]]), "relu").tolist()
    [[6.0], [0.0]]
    """
    layers = layers_of(params)
    weight = params[layers[0].weight]
    if not isinstance(x, torch.Tensor) or x.dtype != weight.dtype:
        raise TypeError(f"x must be a tensor of {weight.dtype}, got {getattr(x, 'dtype', type(x).__name__)}")
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x must have shape (..., d_0) with d_0 = {weight.shape[1]}, got {tuple(x.shape)}")
    facts = facts_of_layers(layers, activation)
    for index, layer in enumerate(layers):
        x = torch.nn.functional.linear(x, params[layer.weight], params[layer.bias] if layer.bias else None)
        if index < len(facts):
            x = _evaluate(facts[index], x, params[layer.slope] if layer.slope else None)
    return x


def spec(
    network: Sequence[int] | torch.nn.Sequential | Mapping[str, torch.Tensor],
    activation: Activations | None = None,
    *,
    bias: bool = True,
) -> SymmetrySpec:
    """Return every symmetry of a feedforward network: permutations, and what its activations add.

    Block ``layer{l}`` acts on the rows of W^(l) and b^(l) and on the columns of W^(l+1). Odd or even
    activations let its units be flipped, homogeneous ones let them be rescaled.

    Parameters
    ----------
    network
        The widths (d_0, …, d_{L+1}); or a ``torch.nn.Sequential`` of Linear layers and activations; or
        its ``state_dict()``, whose layers are read off the tensors' names and shapes.
    activation
        σ for all hidden layers, or one for each. A Sequential brings its own, so leave it out there.
    bias
        Whether layers have biases (asked of widths only).

    Raises
    ------
    TypeError
        If the network is of another type, or ``activation`` is missing or superfluous.
    ValueError
        If an activation is unknown, a width is below 1, or the tensors do not form a chain of layers.

    Notes
    -----
    Source: Proposition 1, Examples 1-3 of Shen (2024).

    Examples
    --------
    >>> round(spec((784, 512, 10), "tanh").log_order(), 1)  # log 512! + 512 log 2
    3041.0
    >>> spec(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))).continuous_dimension()
    3
    """
    if isinstance(network, torch.nn.Sequential):
        if activation is not None:
            raise TypeError(f"a Sequential brings its own activations: leave out {activation!r}")
        activation = activations_of(network)
        network = network.state_dict()
    if activation is None:
        raise TypeError("name the activation of the hidden layers, as in spec((2, 3, 1), 'relu')")
    if isinstance(network, Mapping):
        shapes = {name: tuple(tensor.shape) for name, tensor in network.items()}
    else:
        shapes = _shapes(network, activation, bias)
    layers = chain_of(shapes)
    facts = facts_of_layers(layers, activation)
    blocks = []
    for index, fact in enumerate(facts):
        layer, following = layers[index], layers[index + 1]
        axes = [Axis(layer.weight, 0, "in"), Axis(following.weight, 1, "out")]
        if layer.bias:
            axes.insert(1, Axis(layer.bias, 0, "in"))
        size = shapes[layer.weight][0]
        if layer.slope and shapes[layer.slope] == (size,):
            axes.append(Axis(layer.slope, 0, "carry"))
        blocks.append(Block.behind(f"layer{index + 1}", size, fact, axes))
    return SymmetrySpec(tuple(blocks), shapes)


def _evaluate(facts: Activation, z: torch.Tensor, slope: torch.Tensor | None) -> torch.Tensor:
    function = reduce(getattr, facts.torch.split("."), torch)
    if slope is not None:
        return torch.nn.functional.prelu(z.reshape(-1, z.shape[-1]), slope).reshape(z.shape)
    return function(z, **facts.torch_keywords)  # type: ignore[operator]


def _shapes(widths: Sequence[int], activation: Activations, bias: bool) -> dict[str, tuple[int, ...]]:
    widths = check_widths(widths)
    facts = facts_a_layer(activation, len(widths) - 2)
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        shapes[f"{2 * index}.weight"] = (fan_out, fan_in)
        if bias:
            shapes[f"{2 * index}.bias"] = (fan_out,)
        if index < len(facts) and facts[index].name == "prelu":
            shapes[f"{2 * index + 1}.weight"] = (fan_out,)
    return shapes
