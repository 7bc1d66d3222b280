"""``explore``: the same slider works on the static page, with no kernel, and on Binder, with one.

Notation: a *parameter* is a name with a finite grid of values; a *frame* is the SVG picture of one point of the
product of the grids.  The reader's browser has no Python, so every frame is drawn beforehand: a ``Stack`` an inner
grid holds them, a control a parameter is linked to the stacks with ``jslink``, which lives in the browser.  Frames
that come out the same are stored once, and so are stacks of them.  Every chapter has at least one such figure; this
file has all the code behind them.

All parts are plain ipywidgets, so the figure is the same object in a notebook.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from numbers import Real
from typing import Any

import ipywidgets
import numpy as np
from ipywidgets.widgets.widget_string import HTMLStyle
from matplotlib.figure import Figure
from tqdm import tqdm

from fnequiv.validation import shown
from fnequiv.widgets.svg import figures_closed, labelled, rendered, static_image

#: More frames than this are refused: beyond it nobody waits for the drawing, nor for the page.
FRAME_LIMIT = 200

#: From this weight on, in bytes, the figure warns that it makes its page slow on a phone.
WEIGHT_LIMIT = 1_000_000

_VIEW = "application/vnd.jupyter.widget-view+json"

# What a static page needs beside the widgets themselves: a figure while they have not loaded, names for the controls.
_PAGE = files("fnequiv.widgets").joinpath("page.html")


class Explorer(ipywidgets.VBox):
    """The controls of :func:`explore` above its frames; an ordinary widget, to be displayed or nested.

    Attributes
    ----------
    controls : tuple of ipywidgets.Widget
        One a parameter, in order.
    frames : dict of tuple of str to str
        The SVG for the controls' labels, in order; equal frames are one string.
    weight : int
        The bytes that the distinct frames add to a page's widget state.
    """

    def __init__(self, controls: tuple[Any, ...], frames: dict[tuple[str, ...], str]) -> None:
        self.controls, self.frames = controls, frames
        self.weight = sum(len(json.dumps(frame)) for frame in set(frames.values()))
        super().__init__([*controls, _stacked(controls, frames)], layout=_plain_layout())

    def __repr__(self) -> str:
        names = ", ".join(control.description for control in self.controls)
        distinct = len(set(self.frames.values()))
        return f"<Explorer of {names}: {len(self.frames)} frames, {distinct} distinct, {self.weight} bytes>"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(super()._repr_mimebundle_(**kwargs))
        first = next(iter(self.frames.values()))
        view = f'<script type="{_VIEW}">{json.dumps(bundle[_VIEW])}</script>'
        bundle["text/html"] = _PAGE.read_text(encoding="utf-8") + view + static_image(first)
        return bundle


def explore(
    draw: Callable[..., Figure | str],
    /,
    *,
    alt: str | Callable[..., str] | None = None,
    **parameters: Iterable[Any] | Mapping[str, Any],
) -> Explorer:
    """Draw ``draw`` at every point of a grid, and let the reader move through the pictures.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` returns a matplotlib ``Figure`` or the text of an SVG with a ``viewBox``.  Figures that it
        opens are closed here, once they are rendered or if it fails.
    alt : str or callable, optional
        What a reader who cannot see the figure should know; ``alt(**values)`` if it depends on the frame.  By
        default the first line of ``draw``'s docstring.
    **parameters : iterable, or mapping of label to value
        At least one, each with two values or more, under any name but ``alt``.  Numbers get a slider, anything else
        a drop-down list.  Scalars of NumPy and 0-d tensors of PyTorch reach ``draw`` as Python's numbers.

    Returns
    -------
    Explorer
        Make it the last expression of a notebook's cell, and it is displayed.

    Raises
    ------
    TypeError
        If ``draw`` is not callable or returns something else, if ``parameters`` are not iterables or ``alt`` no text.
    ValueError
        If a parameter has fewer than two values or equal labels, if there are more than ``FRAME_LIMIT`` frames, if
        no alternative text is given, or if a frame is no well-formed SVG with a ``viewBox``.

    Warns
    -----
    UserWarning
        If the figure weighs more than ``WEIGHT_LIMIT`` bytes.

    Examples
    --------
    >>> def bar(width, sign):
    ...     "A bar, as long as the layer is wide."
    ...     return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 1"><path d="M0 0h{width}"/></svg>'
    >>> explore(bar, width=[1, 2, 4], sign=["plus", "minus"])
    <Explorer of width, sign: 6 frames, 3 distinct, 618 bytes>
    """
    if not callable(draw):
        raise TypeError(f"draw must be callable, got {shown(draw)}: pass a function of the parameters")
    if not parameters:
        raise ValueError("explore needs at least one parameter: pass its values, as in width=[1, 2, 4]")
    grids = {name: _labelled(name, values) for name, values in parameters.items()}
    count = int(np.prod([len(grid) for grid in grids.values()], dtype=object))
    if count > FRAME_LIMIT:
        sizes = " x ".join(f"{len(grid)} {name}" for name, grid in grids.items())
        more = " or more" if any(len(grid) > FRAME_LIMIT for grid in grids.values()) else ""
        raise ValueError(f"frames must number <= {FRAME_LIMIT}, got {count}{more} ({sizes}): pass coarser grids")
    describe = _alternative(draw, alt)
    frames: dict[tuple[str, ...], str] = {}
    known: dict[str, str] = {}
    points = itertools.product(*(grid.items() for grid in grids.values()))
    for point in tqdm(points, total=count, desc="drawing frames", delay=5, leave=False, disable=None):
        values = dict(zip(grids, (value for _, value in point), strict=True))
        with figures_closed():
            frame = labelled(rendered(draw(**values)), describe(values))
        frames[tuple(label for label, _ in point)] = known.setdefault(frame, frame)
    explorer = Explorer(_controls(grids), frames)
    if explorer.weight > WEIGHT_LIMIT:
        warnings.warn(
            f"this figure adds {explorer.weight / 1e6:.1f} MB to its page, in {len(known)} distinct frames (limit "
            f"{WEIGHT_LIMIT / 1e6:.1f} MB): pass fewer values, plot fewer points, or rasterize dense artists",
            stacklevel=2,
        )
    return explorer


def _labelled(name: str, values: Iterable[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """The values of a parameter by the label that its control shows."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise TypeError(f"{name} must be an iterable of values, got {shown(values)}: pass a list such as [1, 2, 4]")
    if isinstance(values, Mapping):
        pairs = [(str(label), value) for label, value in values.items()]
    else:
        plain = [_plain(value) for value in itertools.islice(values, FRAME_LIMIT + 1)]  # it may be without end
        pairs = [(f"{value:.4g}" if isinstance(value, float) else str(value), value) for value in plain]
    if len(pairs) < 2:
        raise ValueError(f"{name} must have at least two values, got {len(pairs)}: fix a single one inside draw")
    labels = [label for label, _ in pairs]
    if len(set(labels)) < len(labels):
        double = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"{name} must have distinct labels, got {double!r} twice: pass a dict of label to value")
    return dict(pairs)


def _plain(value: Any) -> Any:
    """Python's own number for a scalar of NumPy or a 0-d tensor of PyTorch, anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _alternative(draw: Callable[..., Any], alt: object) -> Callable[[dict[str, Any]], str]:
    if alt is None:
        alt = (draw.__doc__ or "").strip().split("\n")[0]
    if not isinstance(alt, str) and not callable(alt):
        raise TypeError(
            f"alt must be a text or a function of the parameters, got {shown(alt)}: "
            "a parameter of draw's cannot be called alt, so give that one another name"
        )

    def describe(values: dict[str, Any]) -> str:
        """Return the alternative text of one frame, on one line."""
        text = alt(**values) if callable(alt) else alt
        if not isinstance(text, str) or not text.strip():
            raise ValueError(
                f"every frame needs an alternative text, got {text!r}: pass alt=, or give draw a docstring"
            )
        return " ".join(text.split())

    return describe


def _controls(grids: dict[str, dict[str, Any]]) -> tuple[Any, ...]:
    """A control a parameter, whose options are the labels: values may be anything, and the browser needs none."""
    names = {name: name.replace("_", " ") for name in grids}
    column = {"description_width": f"{max(map(len, names.values())) + 1}ch"}
    controls = []
    for name, grid in grids.items():
        numbers = all(isinstance(value, Real) and not isinstance(value, bool) for value in grid.values())
        kind = ipywidgets.SelectionSlider if numbers else ipywidgets.Dropdown
        style = {**column, "handle_color": "#0072B2"} if numbers else column  # white on white is hard to find
        layout = ipywidgets.Layout(width="auto", max_width="32rem")
        controls.append(kind(options=tuple(grid), index=0, description=names[name], style=style, layout=layout))
    return tuple(controls)


def _plain_layout() -> Any:
    return ipywidgets.Layout(margin="0", min_width="0", overflow="hidden")


def _stacked(controls: tuple[Any, ...], frames: dict[tuple[str, ...], str]) -> Any:
    """Nested stacks, one level a control, each linked to its control in the browser."""
    layout, style = _plain_layout(), HTMLStyle()  # one model for all, not one a frame
    pictures = {svg: ipywidgets.HTML(svg, layout=layout, style=style) for svg in set(frames.values())}
    stacks: dict[tuple[Any, ...], Any] = {}

    def stack(labels: tuple[str, ...]) -> Any:
        """Return what is shown once the first controls stand at these labels."""
        if len(labels) == len(controls):
            return pictures[frames[labels]]
        control = controls[len(labels)]
        children = tuple(stack((*labels, label)) for label in control.options)
        if children not in stacks:
            stacks[children] = ipywidgets.Stack(children, selected_index=0, layout=layout)
            ipywidgets.jslink((control, "index"), (stacks[children], "selected_index"))
        return stacks[children]

    return stack(())
