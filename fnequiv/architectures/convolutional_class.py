r"""The class of convolutional networks: how far the output moves with each block, and the order of channels.

Notation. An image of h × w pixels with c_0 channels; L layers of convolution with k × k kernels, c_{l-1} → c_l channels
and biases, an activation σ_l and pooling (maximum or mean over p × p windows that do not overlap); the last maps are
flattened into a linear layer. Parameters in [-B, B]; ‖x‖_2 ≤ B_x ("l2") or ‖x‖_∞ ≤ B_x ("linf") over all pixels. Shen
(2024), section 4; chapter "Convolutional networks".

**Sensitivity.** Let q_{l-1} be the number of entries of its input that one unit of layer l reads: c_{l-1} times
min(k, h) min(k, w) with zero padding, k² without, and all pixels and channels for the last layer. A CNN then obeys the
inequality of :mod:`fnequiv.complexity.sensitivity` for fully connected widths (q_0, …, q_L, outputs):

    ‖f_θ - f_θ'‖_∞ ≤ Σ_{l=1}^{L+1} G_l (A_{l-1} δ_{W,l} + δ_{b,l}),    A_l = q_l H_l,    G_l = G_{l+1} B q_l ρ_l.

*Proof.* Look at one pixel of layer l's output: z = W·P + b with P the patch it reads, at most q_{l-1} entries that are
not padding. Then z - z' = W'·(P - P') + [(W - W')·P + b - b']. The bracket is at most A_{l-1} δ_W + δ_b: ‖P‖_1 ≤
q_{l-1} H_{l-1}, and for l = 1 ‖P‖_1 ≤ √q_0 ‖P‖_2 ≤ √q_0 B_x (or q_0 B_x). The first term is at most B q_{l-1} times the
largest change of an entry of h_{l-1}, which is ρ_{l-1} times the largest change of z_{l-1}: maximum and mean over
windows move by no more than their entries do, and stay in their range. Padding is zero in both networks. Induct. ∎

The number of pixels enters through the last layer's q_L only. With all weights B, a constant positive image and no
padding, the first-order change is the bound itself, for ReLU and domain "linf". With padding, pixels at the border see
less, and the bound is loose by what the border is of the image.

**Order.** A channel owns its filter and its bias, and nothing else. Sort the channels of layer 1, carry layer 2's input
channels along, sort layer 2's, and so on; after the flattening a channel carries h_L w_L columns along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..activations import Activation
from ..complexity.sensitivity import Activations, propagate
from ..validation import check_integer, shown
from .units import Array, NetworkClass, Units, check_shared

PADDINGS = ("same", "valid")


@dataclass(frozen=True)
class ConvolutionalClass(NetworkClass):
    r"""Convolutional networks for images, ending in one linear layer.

    Parameters
    ----------
    image
        (h, w), pixels.
    channels
        (c_0, c_1, …, c_L), L ≥ 1 convolutions.
    kernel
        k.
    pooling
        p, one for all layers or a sequence of L; 1 is no pooling. What does not fill a window is dropped, as in
        PyTorch. A window as large as the maps is global pooling.
    outputs
        The number of outputs.
    padding
        ``"same"`` (zeros, maps keep their size) or ``"valid"`` (none).
    activation
        One for all convolutions or a sequence of L; no slopes of their own in the channels.

    Raises
    ------
    TypeError
        If a size is no integer, or ``image`` or ``channels`` is no sequence.
    ValueError
        If a size is below 1, a sequence has the wrong length, an activation is unknown or has a slope a channel, or
        the maps shrink to nothing.

    Examples
    --------
    >>> digits = ConvolutionalClass(image=(8, 8), channels=(1, 8, 16), pooling=2, outputs=10)
    >>> digits.parameters, digits.maps, round(digits.log_order(), 3)
    (1898, ((4, 4), (2, 2)), 41.276)
    """

    image: Sequence[int]
    channels: Sequence[int]
    kernel: int = 3
    pooling: int | Sequence[int] = 1
    outputs: int = 10
    padding: str = "same"
    activation: Activations = "relu"

    def __post_init__(self) -> None:
        image, channels = _integers("image", self.image), _integers("channels", self.channels)
        if len(image) != 2:
            raise ValueError(f"image must be two integers (h, w), got {shown(self.image)}")
        if len(channels) < 2:
            raise ValueError(f"channels must be (c_0, ..., c_L) with L >= 1, got {shown(self.channels)}")
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "channels", channels)
        for name in ("pooling", "activation"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, list) else value)
        for name in ("kernel", "outputs"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name)))
        if self.padding not in PADDINGS:
            raise ValueError(f'padding must be "same" or "valid", got {shown(self.padding)}')
        _ = self.activations, self.maps

    @property
    def activations(self) -> tuple[Activation, ...]:
        """σ_1, …, σ_L."""
        return check_shared(self.activation, (*self.channels, self.outputs))

    @property
    def maps(self) -> tuple[tuple[int, int], ...]:
        """(h_l, w_l) of the maps that layer l = 1, …, L passes on, after pooling."""
        maps, (height, width) = [], self.image
        lost = 0 if self.padding == "same" else self.kernel - 1
        for layer, window in enumerate(_windows(self.pooling, len(self.channels) - 1), 1):
            height, width = (height - lost) // window, (width - lost) // window
            if min(height, width) < 1:
                raise ValueError(
                    f"maps must keep a pixel, got none after layer {layer} (image {self.image}, kernel {self.kernel}, "
                    f"padding {self.padding!r}, pooling {self.pooling}): pool less, or take a larger image"
                )
            maps.append((height, width))
        return tuple(maps)

    @property
    def fan_in(self) -> tuple[int, ...]:
        """q_0, …, q_L, how many entries one unit of layer l + 1 reads at once, padding left out."""
        seen = []
        for channels, (height, width) in zip(self.channels[:-1], (tuple(self.image), *self.maps), strict=False):
            same = self.padding == "same"
            seen.append(channels * (min(self.kernel, height) * min(self.kernel, width) if same else self.kernel**2))
        return (*seen, self.channels[-1] * math.prod(self.maps[-1]))

    @property
    def units(self) -> tuple[Units, ...]:
        """The channels of every layer, and the outputs."""
        layers = []
        windows = _windows(self.pooling, len(self.channels) - 1)
        sizes = zip(pairwise(self.channels), self.activations, windows, strict=True)
        for layer, ((before, count), sigma, window) in enumerate(sizes, 1):
            row = {f"conv{layer}.weight": self.kernel**2 * before, f"conv{layer}.bias": 1}
            signed = sigma.even or (sigma.odd and window == 1)
            scaled = sigma.positively_homogeneous
            layers.append(Units(f"channels {layer}", count, row, row=tuple(row), signed=signed, scaled=scaled))
        rows = {"output.weight": self.fan_in[-1], "output.bias": 1}
        return (*layers, Units("outputs", self.outputs, rows, permuted=False))

    def log_coefficients(self, log_B: Array, log_Bx: Array, domain: str) -> dict[str, Array]:
        """Return ln (G_l A_{l-1}) and ln G_l: those of a fully connected network of widths (q_0, …, q_L, outputs)."""
        ranges = propagate((*self.fan_in, self.outputs), log_B, log_Bx, self.activations, domain)
        names = [f"conv{layer}" for layer in range(1, len(self.channels))] + ["output"]
        coefficients: dict[str, Array] = {}
        for name, log_gain, log_mass in zip(names, ranges.log_gain, ranges.log_mass, strict=True):
            coefficients |= {f"{name}.weight": log_gain + log_mass, f"{name}.bias": log_gain}
        return coefficients


def _windows(pooling: int | Sequence[int], layers: int) -> tuple[int, ...]:
    """Return p of every layer, from one for all or a sequence."""
    if not isinstance(pooling, (list, tuple)):
        return (check_integer("pooling", pooling),) * layers
    if len(pooling) != layers:
        raise ValueError(f"pooling must be one integer or one for each of {layers} convolutions, got {shown(pooling)}")
    return _integers("pooling", pooling)


def _integers(name: str, values: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{name} must be a list or a tuple of integers, got {shown(values)}")
    return tuple(check_integer(f"{name}[{place}]", value) for place, value in enumerate(values))
