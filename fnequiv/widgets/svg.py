"""A frame of a live figure: small, labelled, shrinking with its page, and at peace with its neighbours.

Several hundred SVG pictures share one HTML page, where style sheets and names are common to all.  So a frame brings
no style sheet, its names carry a hash of its content, and it says in words what it shows.  Every chapter's live
figure goes through these functions, which :func:`fnequiv.widgets.explore` calls.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from fnequiv.validation import shown

# An opening tag, whatever its quoted attributes hold.
_ROOT = re.compile(r"""<svg\b(?:[^>"']|"[^"]*"|'[^']*')*>""")


@contextmanager
def figures_closed() -> Iterator[None]:
    """Close the pyplot figures that were opened inside, whatever happens there: a notebook would show them as well.

    Examples
    --------
    >>> with figures_closed():
    ...     _ = plt.figure()
    >>> plt.get_fignums()
    []
    """
    before = set(plt.get_fignums())
    try:
        yield
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def rendered(drawn: object) -> str:
    """The SVG of what was drawn, from ``<svg`` to ``</svg>``.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure or str
        A figure is made compact, and closed; the text of an SVG must have a ``viewBox``.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If the text holds no well-formed SVG, or one without a ``viewBox``: it could not shrink.

    Examples
    --------
    >>> rendered('<?xml version="1.0"?><svg viewBox="0 0 9 1"></svg>')
    '<svg viewBox="0 0 9 1"></svg>'
    """
    if isinstance(drawn, str):
        return _parsed(drawn)
    if not isinstance(drawn, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure or the text of an SVG, got {shown(drawn)}: end it with `return fig`"
        )
    # All frames of one size (no tight box), letters as outlines (no font needed), the same bytes every time.
    settings: Any = {"svg.fonttype": "path", "svg.hashsalt": "fnequiv", "savefig.bbox": "standard"}
    buffer = io.StringIO()
    with mpl.rc_context(settings):
        drawn.savefig(buffer, format="svg")
    plt.close(drawn)
    return _compact(buffer.getvalue())


def _parsed(text: str) -> str:
    found = re.search(r"<svg\b.*</svg>", text, re.DOTALL)
    if not found:
        raise ValueError(f"draw must return an SVG with a viewBox, got no <svg> ... </svg> in {shown(text)}")
    try:
        root = ET.fromstring(found[0])
    except ET.ParseError as error:  # as an <img> it would not show
        raise ValueError(f"draw must return well-formed SVG with a viewBox, got {shown(found[0])}: {error}") from None
    corners = re.split(r"[\s,]+", root.get("viewBox", "").strip())
    try:
        _, _, width, height = map(float, corners)
        sized = 0 < width < float("inf") and 0 < height < float("inf")
    except ValueError:
        sized = False
    if not sized:
        raise ValueError(
            f"draw must return an SVG with a viewBox of a width and a height > 0, so that it fits a phone, "
            f"got viewBox={shown(root.get('viewBox'))}: set viewBox='0 0 WIDTH HEIGHT' on <svg>"
        )
    return found[0]


def _compact(svg: str) -> str:
    """Matplotlib's SVG without comments, metadata, line breaks, idle ids and digits below a hundredth of a point."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Its style sheet would rule the whole page; on the root, the same two properties are inherited.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg style="stroke-linejoin:round;stroke-linecap:butt" ', 1)
    svg = re.sub(r">\s+<", "><", svg).strip()
    svg = re.sub(r'\b(d|x|y)="([^"]*)"', lambda found: f'{found[1]}="{_short(found[2])}"', svg)
    svg = re.sub(r' style="[^"]*"', lambda found: found[0].replace("; ", ";").replace(": ", ":"), svg)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)


def _short(path: str) -> str:
    path = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), path)
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", path).strip()


def labelled(svg: str, alt: str) -> str:
    """The SVG as one labelled picture that shrinks with its page, its inner references its own.

    Several frames share a page, and a browser resolves ``#name`` to the first element of that name, were it in
    another, hidden picture; so names carry a hash of the frame's content.

    Raises
    ------
    ValueError
        If ``svg`` does not begin with its root element, as :func:`rendered` returns it.

    Examples
    --------
    >>> labelled('<svg viewBox="0 0 9 1"></svg>', "A bar")[:64]
    '<svg role="img" aria-label="A bar" style="display:block;max-widt'
    """
    mark = "f" + hashlib.blake2s(svg.encode(), digest_size=4).hexdigest()
    for name in set(re.findall(r"""(?:url\(['"]?|href=['"])#([^'")]+)""", svg)):
        svg = re.sub(rf"""(\bid=['"]|#){re.escape(name)}(?=['")])""", rf"\g<1>{mark}-{name}", svg)
    root, rest = _split(svg)
    root = re.sub(r"""\s(?:role|aria-\w+)=(?:"[^"]*"|'[^']*')""", "", root)
    style = re.search(r"""\sstyle=(?:"([^"]*)"|'([^']*)')""", root)
    own = (style[1] or style[2] or "") if style else ""
    root = root.replace(style[0], "") if style else root
    layout = f"{own};display:block;max-width:100%;height:auto".lstrip(";")
    label = html.escape(alt)
    return f'<svg role="img" aria-label="{label}" style="{layout}"{root.removeprefix("<svg")}>{rest}'


def _split(svg: str) -> tuple[str, str]:
    """The root's opening tag without its ``>``, and what follows."""
    found = _ROOT.match(svg)
    if not found:
        raise ValueError(f"svg must begin with <svg, got {shown(svg)}: pass what rendered() returned")
    return svg[: found.end() - 1], svg[found.end() :]


def static_image(frame: str) -> str:
    """An ``<img>`` of a frame made by :func:`labelled`, for pages and viewers on which widgets do not load.

    As an image it is a document of its own, whose names clash with none.

    Raises
    ------
    ValueError
        If ``frame`` does not begin with its root element.

    Examples
    --------
    >>> static_image(labelled('<svg viewBox="0 0 9 1"></svg>', "A bar"))[:70]
    '<img class="fnequiv-static" alt="A bar" src="data:image/svg+xml,%3Csvg'
    """
    root, _ = _split(frame)
    label = re.search(r'aria-label="([^"]*)"', root)
    alone = frame if " xmlns=" in root else frame.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    source = quote(alone, safe=" /:=;,()'-.+")
    return f'<img class="fnequiv-static" alt="{label[1] if label else ""}" src="data:image/svg+xml,{source}">'
