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
from ..validation import check_bool, check_widths, shown
from .hidden import Activations, facts_a_layer, facts_of_layers
from .layers import Layer, chain_of, layers_of, shapes_of
from .parameters import DTYPES, check_input
from .sequential import activations_of, read_sequential
from .tied import check_untied

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
    """Draw parameters as ``torch.nn.Linear`` does: every entry of layer l uniform on [-1/√d_{l-1}, 1/√d_{l-1}].

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), integers ≥ 1.
    generator
        The only source of randomness; it lives on the device the tensors are made on.
    activation
        Needed only for ``"prelu"``, which adds slopes ``"1.weight"`` [d_1], …, all 1/4.
    bias
        Whether layers have biases, True or False.
    dtype, device
        Floating dtype of the tensors, of 16 bits or more, and where they live: on the generator's device, which they do
        if this is left out, or on ``"meta"``, without numbers.

    Returns
    -------
    dict
        ``"0.weight"`` [d_1, d_0], ``"0.bias"`` [d_1], ``"2.weight"`` [d_2, d_1], …

    Raises
    ------
    TypeError
        If ``generator`` is no ``torch.Generator``, ``dtype`` is not floating or of 8 bits, ``bias`` no bool, or a width
        no integer.
    ValueError
        If a width is below 1, an activation is unknown, or ``device`` is no device or another than the generator's.

    Examples
    --------
    >>> {name: tuple(t.shape) for name, t in init((2, 3, 1), torch.Generator().manual_seed(0)).items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    widths = check_widths(widths)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {shown(generator)}: torch.Generator().manual_seed(0)"
        )
    if not isinstance(dtype, torch.dtype) or dtype not in DTYPES:
        raise TypeError(f"dtype must be one of {DTYPES}, got {shown(dtype)}")
    shapes = _shapes(widths, "identity" if activation is None else activation, bias)
    device = _device(device, generator)
    params = {name: torch.full(shape, 0.25, dtype=dtype, device=device) for name, shape in shapes.items()}
    for name, tensor in params.items():
        layer = int(name.split(".")[0])
        if layer % 2 == 0:
            tensor.uniform_(-1, 1, generator=generator).div_(math.sqrt(widths[layer // 2]))
    return params


def forward(params: Mapping[str, torch.Tensor], x: torch.Tensor, activation: Activations | None = None) -> torch.Tensor:
    """Evaluate f(x; θ).

    Parameters
    ----------
    params
        Parameter set; differentiable and usable under ``torch.func``.
    x
        Inputs, shape (…, d_0), of the parameters' dtype.
    activation
        σ for all hidden layers, or one for each: a name, its facts, or a ``torch.nn`` module like ``nn.ReLU()``. Only
        a network without hidden layers can do without. The slopes of a PReLU are those in ``params``, one for each
        entry of the last axis (``nn.PReLU`` takes axis 1, which is the same for inputs of shape (batch, d_0)).

    Returns
    -------
    torch.Tensor
        Outputs (logits), shape (…, d_{L+1}): what a Sequential gives before any module behind its last Linear layer.

    Raises
    ------
    TypeError
        If ``params`` maps no names to dense tensors of one floating dtype on one device, ``x`` is no tensor of that
        dtype and device, or an activation is missing or none.
    ValueError
        If the tensors do not form a chain of layers, an activation is unknown, their number is not L, or ``x`` does
        not end in d_0.

    Examples
    --------
    >>> theta = {"0.weight": torch.ones(2, 1), "2.weight": torch.ones(1, 2)}
    >>> forward(theta, torch.tensor([[3.0], [-1.0]]), "relu").tolist()
    [[6.0], [0.0]]
    """
    layers = layers_of(params)
    width = params[layers[0].weight].shape[1]
    check_input(params, x)
    if x.ndim == 0 or x.shape[-1] != width:
        raise ValueError(f"x must have shape (..., d_0) with d_0 = {width}, got {tuple(x.shape)}")
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
    """Return every permutation, flip and scale of the hidden neurons of a feedforward network.

    Block ``layer{l}`` acts on the rows of W^(l) and b^(l) and on the columns of W^(l+1). Odd or even activations let
    its units be flipped, homogeneous ones let them be rescaled. More exist: identity layers mix neurons, a sigmoid
    flips if the next bias takes a constant, a sine's bias may turn by 2π, and zero or equal rows bring their own.

    Parameters
    ----------
    network
        The widths (d_0, …, d_{L+1}); or a ``torch.nn.Sequential`` of Linear layers and activations in evaluation mode,
        as :func:`~fnequiv.equivalence.sequential.activations_of` reads it; or a ``state_dict()``, as
        :func:`~fnequiv.equivalence.layers.layers_of` does. An activation or a softmax behind the last Linear layer
        changes f and no symmetry.
    activation
        σ for all hidden layers, or one for each: a name, its facts, or a ``torch.nn`` module like ``nn.ReLU()``. A
        Sequential brings its own, so leave it out there.
    bias
        Whether layers have biases; only widths leave that open.

    Raises
    ------
    TypeError
        If the network is of another type, or ``activation`` or ``bias`` is missing, superfluous or of another type.
    ValueError
        If an activation is unknown, a width is below 1, the tensors do not form a chain of layers, weights are tied,
        or a module may compute something else than its class says.

    Notes
    -----
    A PReLU whose slopes are stored in a tensor is of kind ``scaled`` whatever they are: slopes that are all 1 or all -1
    admit flips too, but training moves them.
    Source: Proposition 1, Examples 1-3 of Shen (2024).

    Examples
    --------
    >>> round(spec((784, 512, 10), "tanh").log_order(), 1)  # log 512! + 512 log 2
    3041.0
    >>> spec(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))).continuous_dimension()
    3
    """
    layers, facts, shapes = _read(network, activation, bias)
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
    params = network.state_dict(keep_vars=True) if isinstance(network, torch.nn.Module) else network
    if isinstance(params, Mapping):
        check_untied(params, {axis.tensor for block in blocks for axis in block.axes})
    return SymmetrySpec(tuple(blocks), shapes)


def _read(
    network: object, activation: Activations | None, bias: bool
) -> tuple[list[Layer], list[Activation], dict[str, tuple[int, ...]]]:
    if isinstance(network, (torch.nn.Module, Mapping)) and bias is not True:
        raise TypeError(f"only widths leave the biases open: leave out bias={shown(bias)}, the tensors tell")
    if isinstance(network, torch.nn.Module):
        layers, facts = read_sequential(network)
        if activation is not None:
            raise TypeError(f"a Sequential brings its own activations: leave out {shown(activation)}")
        return layers, facts, shapes_of(network.state_dict())
    shapes = shapes_of(network) if isinstance(network, Mapping) else _shapes(network, activation, bias)
    layers = chain_of(shapes)
    return layers, facts_of_layers(layers, activation), shapes


def _device(device: object, generator: torch.Generator) -> torch.device:
    try:
        found = generator.device if device is None else torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be one of PyTorch's, got {shown(device)}: 'cpu', say") from None
    if found.type not in (generator.device.type, "meta"):
        raise ValueError(
            f"device must be the generator's, {generator.device}, got {found}: use torch.Generator({str(found)!r})"
        )
    return found


def _evaluate(facts: Activation, z: torch.Tensor, slope: torch.Tensor | None) -> torch.Tensor:
    if slope is not None:
        return torch.nn.functional.prelu(z.reshape(-1, z.shape[-1]), slope).reshape(z.shape)
    try:
        function = reduce(getattr, facts.torch.split("."), torch)
    except AttributeError:
        raise ValueError(f"activation {facts.name!r} is torch.{facts.torch}, which PyTorch does not have") from None
    return function(z, **facts.torch_keywords)  # type: ignore[operator]


def _shapes(widths: object, activation: Activations | None, bias: bool) -> dict[str, tuple[int, ...]]:
    widths = check_widths(widths)
    check_bool("bias", bias)
    facts = facts_a_layer(activation, len(widths) - 2)
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        shapes[f"{2 * index}.weight"] = (fan_out, fan_in)
        if bias:
            shapes[f"{2 * index}.bias"] = (fan_out,)
        if index < len(facts) and facts[index].name == "prelu":
            shapes[f"{2 * index + 1}.weight"] = (fan_out,)
    return shapes
