"""Plain convolutional networks: the network, and its symmetry written by hand.

Notation. Layer l maps c_{l-1} to c_l channels: a 3×3 convolution with W^(l) [c_l, c_{l-1}, 3, 3] (and b^(l)), a
BatchNorm if asked for, σ, and 2×2 pooling. The last feature map, c_L channels of h×w, is flattened into a linear layer.

**The symmetry.** A convolution is linear in channels, so its units are channels: reorder the filters of layer l, and
the second axis of W^(l+1) with them. Pooling acts on every channel alike, so it passes permutations and positive
scales; average pooling is linear and passes signs, maximum pooling does not (max(-z) = -min z), unless σ is even and
has removed them. Flattening puts the h·w entries of a channel next to each other, so in the columns of the linear layer
each unit owns h·w entries. BatchNorm (see :mod:`fnequiv.architectures.layers`) frees what enters it from what leaves
it. A *separable* layer first filters each channel by itself (a depthwise convolution, w_i ∗ x_i, no σ behind it) and
then mixes channels 1×1. Its filtered channels are tied to the channels they come from by one permutation, and have
signs and scales of their own, since w_i ∗ (λ x_i) = (λ w_i) ∗ x_i.

**What is more**, and not a symmetry of units: with every BatchNorm, v can be traded against γ and μ against β, two
dimensions a channel. Otherwise scales are all that is continuous: tests compare with the rank of the Jacobian of
θ ↦ f(·; θ), which says nothing about further discrete moves.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024), for channels as its section 4 does. Chapter: "Convolutional
networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from ..activations import get as get_activation
from ..symmetry import Block, SymmetrySpec, kind_of
from ..validation import check_bool, check_integer, shown
from .layers import Axes, Draft, Function, check_sizes, function_of

_POOLS: dict[str, Function] = {"max": nn.functional.max_pool2d, "average": nn.functional.avg_pool2d}


class CNN(nn.Module):
    """3×3 convolutions with padding, each followed by BatchNorm, σ and 2×2 pooling; then flatten and a linear layer.

    Parameters
    ----------
    channels
        (c_0, …, c_L), c_0 those of the image.
    image
        Height and width of the image; each is halved L times, rounding down.
    outputs
        Number of outputs.
    activation
        Name of σ.
    norm
        Whether there is a BatchNorm behind each convolution, which has no bias then.
    pool
        ``"max"`` or ``"average"``.
    separable
        Whether layers 2, …, L are a depthwise 3×3 and a 1×1 convolution.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1, a flag no bool, or a name unknown; if nothing of the image is left after pooling.

    Examples
    --------
    >>> CNN((1, 4, 6), (8, 8), 10)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        channels: Sequence[int],
        image: Sequence[int],
        outputs: int,
        *,
        activation: str = "relu",
        norm: bool = True,
        pool: str = "max",
        separable: bool = False,
    ) -> None:
        super().__init__()
        channels, area = _checked(channels, image, pool, norm, separable)
        self.activation, self.pool = function_of(activation), _POOLS[pool]
        self.filters, self.convs, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for layer, (c_in, c_out) in enumerate(pairwise(channels)):
            depthwise = separable and layer > 0
            self.filters.append(_depthwise(c_in) if depthwise else nn.Identity())
            kernel = 1 if depthwise else 3
            self.convs.append(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=not norm))
            self.norms.append(nn.BatchNorm2d(c_out) if norm else nn.Identity())
        self.head = nn.Linear(channels[-1] * area, check_integer("outputs", outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [batch, c_0, height, width] to outputs [batch, outputs]."""
        for filters, conv, norm in zip(self.filters, self.convs, self.norms, strict=True):
            x = self.pool(self.activation(norm(conv(filters(x)))), 2)
        return self.head(x.flatten(1))


def cnn(
    channels: Sequence[int],
    image: Sequence[int],
    outputs: int,
    *,
    activation: str = "relu",
    norm: bool = True,
    pool: str = "max",
    separable: bool = False,
) -> SymmetrySpec:
    """Return the symmetry of :class:`CNN` with the same arguments.

    Raises
    ------
    TypeError, ValueError
        As :class:`CNN`.

    Notes
    -----
    Source: Proposition 1 of Shen (2024), and the module's docstring.

    Examples
    --------
    >>> spec = cnn((1, 4, 6), (8, 8), 10, norm=False)
    >>> round(spec.log_order(), 4), spec.continuous_dimension()  # log 4! + log 6!, and a scale for each channel
    (9.7573, 10)
    """
    channels, area = _checked(channels, image, pool, norm, separable)
    depth, draft = len(channels) - 1, Draft()
    convs, filters = [], []
    for layer, (c_in, c_out) in enumerate(pairwise(channels)):
        depthwise = separable and layer > 0
        if depthwise:
            filters.append(draft.grouped_convolution(f"filters.{layer}", c_in, c_in, 3, groups=c_in))
        convs.append(draft.convolution(f"convs.{layer}", c_in, c_out, 1 if depthwise else 3, bias=not norm))
    head = draft.linear("head", channels[-1] * area, check_integer("outputs", outputs)).repeated(area)
    for layer, size in enumerate(channels[1:]):
        name, readers = f"channels{layer + 1}", [*convs[1:], head][layer].columns
        written = convs[layer].rows
        if norm:
            written = draft.batch_norm(f"norms.{layer}", size, written, within=name)
        if separable and layer + 1 < depth:
            filtered = filters[layer].rows + readers
            readers = filters[layer].columns
            draft.inner.append(Block(f"filtered{layer + 1}", size, "signed_scaled", filtered, within=name, groups=size))
        draft.blocks.append(_behind(name, size, activation, pool, written + readers))
    return draft.spec()


def _depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)


def _behind(name: str, size: int, activation: str, pool: str, axes: Axes) -> Block:
    """Return the block of channels behind σ and pooling."""
    function_of(activation)
    block = Block.behind(name, size, activation, axes)
    if pool == "max" and get_activation(activation).odd:  # max(-z) = -min(z): no flip passes
        return Block(name, size, kind_of(signs=False, scales=block.scales), axes, degree=block.degree)
    return block


def _checked(
    channels: Sequence[int], image: Sequence[int], pool: str, norm: bool, separable: bool
) -> tuple[tuple[int, ...], int]:
    """Return the channels, and the area of the last feature map."""
    channels, sides = check_sizes("channels", channels, least=2), check_sizes("image", image, least=2)
    check_bool("norm", norm), check_bool("separable", separable)
    if pool not in _POOLS:
        raise ValueError(f"pool must be one of {tuple(_POOLS)}, got {shown(pool)}")
    if len(sides) != 2:
        raise ValueError(f"image must be (height, width), got {sides}")
    height, width = (side >> (len(channels) - 1) for side in sides)
    if not height * width:
        raise ValueError(
            f"image must not vanish in {len(channels) - 1} halvings, got {sides}: take fewer layers or a larger image"
        )
    return channels, height * width
