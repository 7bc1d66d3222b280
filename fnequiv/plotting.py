"""One style for every figure, and the picture of a network: arrays in, artists on an ``Axes`` out.

Notation: ``widths = (d_0, d_1, …, d_L, d_{L+1})`` lists input, hidden layers and output, and the weight ``W_l``
from layer ``l`` to layer ``l + 1`` is an array of shape ``(d_{l+1}, d_l)``, as in PyTorch.  The figures of every
chapter use this module; the permutations of chapter "Functional equivalence" are what :func:`network` makes visible.

A figure keeps an opaque white face, so that it reads the same on a light and on a dark page, and its letters are
large enough for a phone.  Nothing here touches matplotlib's defaults: :func:`style` puts them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import MappingProxyType
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import is_color_like

from fnequiv.validation import check_finite, check_positive, check_real, check_widths, shown

#: Five colours of Okabe and Ito (2008) and a brown.  The set's orange, sky blue and yellow are left out, for they
#: fall below a contrast of 3 to 1 against white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#7A5200")

#: What :func:`style` sets, for ``matplotlib.rcParams.update`` where a whole notebook wants it.
STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "figure.constrained_layout.use": True,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "figure.figsize": (5.6, 3.4),
        "font.size": 12.0,
        "legend.frameon": False,
        "lines.linewidth": 2.0,
        "savefig.facecolor": "white",
        "svg.fonttype": "path",  # letters look alike on every machine, and no font has to be there
        "svg.hashsalt": "fnequiv",  # the same figure is the same file, byte for byte
    }
)

_NEUTRAL = "#D9D9D9"  # a neuron nobody has asked to tell apart
_LAYER_GAP = 3.0  # in units of the distance between two neurons of a layer
_DIAMETER = 0.72
_THICKEST = 4.5  # points


@contextmanager
def style() -> Iterator[None]:
    """The book's style, as a context manager or as a decorator of a function that draws.

    Inside, ``matplotlib.rcParams`` hold :data:`STYLE`; afterwards, what they held before.  The one exception is
    ``interactive``: a notebook's first figure switches it on, wherever it is drawn, and it has to stay on for the
    later figures to be shown.

    Examples
    --------
    >>> before = mpl.rcParams["font.size"]
    >>> with style():
    ...     print(mpl.rcParams["font.size"])
    12.0
    >>> mpl.rcParams["font.size"] == before
    True
    """
    interactive = mpl.is_interactive()
    try:
        with mpl.rc_context(cast(Any, dict(STYLE))):
            try:
                yield
            finally:
                interactive = mpl.is_interactive()
    finally:
        mpl.interactive(interactive)


def network(
    ax: Axes,
    widths: Sequence[int],
    weights: Sequence[npt.ArrayLike] | None = None,
    *,
    colors: Mapping[int, Sequence[Any]] | None = None,
    labels: Mapping[int, Sequence[Any]] | None = None,
    scale: float | None = None,
) -> None:
    """Draw a multilayer perceptron on ``ax``: layers from left to right, neuron 0 of each on top.

    A weight is a line as thick as it is large; a positive one is blue and solid, a negative one vermillion and
    dashed, a zero is absent.  To show a permutation, permute ``weights`` and ``colors`` (or ``labels``) alike: each
    neuron then keeps its colour and its lines on its way to its new place.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw; its axis lines are switched off and its aspect is made equal.
    widths : sequence of int
        ``(d_0, …, d_{L+1})``.
    weights : sequence of array_like, optional
        ``W_l`` of shape ``(d_{l+1}, d_l)`` for each ``l``; without it every line is thin and grey.
    colors, labels : mapping of int to sequence, optional
        For the layers named (0 is the input), one colour and one short text a neuron; a number is written out,
        ``None`` leaves its neuron bare.
    scale : float, optional
        The size of a weight that is drawn at full thickness, the largest of ``weights`` by default.  Frames that
        are to be compared need one common value; a larger weight is drawn no thicker.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind: no ``Axes``, no real weights, no mapping of layers.
    ValueError
        If a width, a weight's shape or value, a layer, a colour or ``scale`` cannot be drawn.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().subplots()
    >>> network(ax, (2, 3, 1), [np.eye(3, 2), [[1.0, -2.0, 0.5]]], labels={1: "abc"})
    >>> [text.get_text() for text in ax.texts]
    ['a', 'b', 'c']
    """
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes, got {shown(ax)}: pass what plt.subplots() returned with it")
    widths = check_widths(widths)
    if scale is not None:
        scale = float(check_positive("scale", check_real("scale", scale)))
    colors, labels = ({} if given is None else given for given in (colors, labels))
    _check_per_neuron("colors", colors, widths)
    _check_per_neuron("labels", labels, widths)
    for color in (color for layer in colors.values() for color in layer):
        if not is_color_like(color):
            raise ValueError(f"colors must be colours that matplotlib knows, got {shown(color)}")
    places = [
        np.column_stack([np.full(width, layer * _LAYER_GAP), (width - 1) / 2 - np.arange(width)])
        for layer, width in enumerate(widths)
    ]
    for lines in _lines(places, None if weights is None else _check_weights(weights, widths), scale):
        ax.add_collection(lines)
    for layer, (width, at) in enumerate(zip(widths, places, strict=True)):
        _neurons(ax, at, colors.get(layer, [_NEUTRAL] * width), labels.get(layer, [None] * width))
    margin = 0.6 * _DIAMETER
    tallest = (max(widths) - 1) / 2
    ax.set(xlim=(-margin, (len(widths) - 1) * _LAYER_GAP + margin), ylim=(-tallest - margin, tallest + margin))
    ax.set_aspect("equal")
    ax.axis("off")


def _neurons(ax: Axes, places: npt.NDArray[Any], colors: Sequence[Any], labels: Sequence[Any]) -> None:
    size = np.full(len(places), _DIAMETER)
    circles = EllipseCollection(
        size, size, np.zeros(len(places)), units="xy", offsets=places, offset_transform=ax.transData,
        facecolors=colors, edgecolors="black", linewidths=1.0, zorder=2,
    )  # fmt: skip
    ax.add_collection(circles)
    for (x, y), label, color in zip(places, labels, colors, strict=True):
        text = "" if label is None else f"{label}"  # 0 is a label; a tensor of one number is written as its number
        if text:
            ax.text(x, y, text, color=_ink(color), ha="center", va="center_baseline", zorder=3)


def _lines(
    places: list[npt.NDArray[Any]], weights: list[npt.NDArray[Any]] | None, scale: float | None
) -> Iterator[LineCollection]:
    """One collection a pair of layers, its lines ordered by receiving neuron, then by sending neuron."""
    if weights is None:
        for start, end in pairwise(places):
            yield LineCollection([(a, b) for b in end for a in start], colors="#8C8C8C", linewidths=1.0, zorder=1)
        return
    largest = max(float(np.abs(weight).max()) for weight in weights) or 1.0
    full = largest if scale is None else scale
    for (start, end), weight in zip(pairwise(places), weights, strict=True):
        to, of = np.nonzero(weight)
        values = weight[to, of]
        yield LineCollection(
            [(start[j], end[i]) for i, j in zip(to, of, strict=True)],
            colors=[PALETTE[0] if value > 0 else PALETTE[1] for value in values],
            linestyles=["-" if value > 0 else (0, (3.0, 1.2)) for value in values],
            linewidths=_THICKEST * (np.minimum(np.abs(values), full) / full),
            zorder=1,
        )


def _ink(face: Any) -> str:
    """Black or white, whichever stands out against ``face`` (WCAG's relative luminance)."""
    channels = np.array(mpl.colors.to_rgb(face))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"


def _check_weights(weights: Sequence[npt.ArrayLike], widths: tuple[int, ...]) -> list[npt.NDArray[np.float64]]:
    shapes = list(zip(widths[1:], widths, strict=False))
    _check_length("weights", weights, len(shapes), "array a pair of layers")
    matrices = [check_finite(f"weights[{layer}]", weight) for layer, weight in enumerate(weights)]
    for layer, (matrix, shape) in enumerate(zip(matrices, shapes, strict=True)):
        if matrix.shape != shape:
            raise ValueError(
                f"weights[{layer}] must have shape (d_{layer + 1}, d_{layer}) = {shape}, got {matrix.shape}"
            )
    return matrices


def _check_per_neuron(name: str, by_layer: Mapping[int, Sequence[Any]], widths: tuple[int, ...]) -> None:
    if not isinstance(by_layer, Mapping):
        raise TypeError(f"{name} must map layers to one value a neuron, as in {{1: 'abc'}}, got {shown(by_layer)}")
    for layer, values in by_layer.items():
        if layer not in range(len(widths)):
            raise ValueError(f"{name} must name layers from 0 to {len(widths) - 1}, got {shown(layer)}")
        _check_length(f"{name}[{layer}]", values, widths[layer], "value a neuron")


def _check_length(name: str, values: Any, length: int, each: str) -> None:
    try:
        found = len(values)
    except TypeError:
        raise TypeError(f"{name} must be a sequence, one {each}, got {shown(values)}") from None
    if found != length:
        raise ValueError(f"{name} must hold one {each}, {length}, got {found}")
