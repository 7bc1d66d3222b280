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
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure


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
        If the text holds no SVG with a ``viewBox``: without one it could not shrink.

    Examples
    --------
    >>> rendered('<?xml version="1.0"?><svg viewBox="0 0 9 1"></svg>')
    '<svg viewBox="0 0 9 1"></svg>'
    """
    if isinstance(drawn, str):
        found = re.search(r"<svg\b.*</svg>", drawn, re.DOTALL)
        if not found or "viewBox" not in found[0].split(">")[0]:
            raise ValueError(f"draw must return an SVG with a viewBox, so that it fits a phone, got {drawn[:60]!r}")
        return found[0]
    if not isinstance(drawn, Figure):
        raise TypeError(
            f"draw must return a matplotlib Figure or the text of an SVG, got {drawn!r}: end it with `return fig`"
        )
    # All frames of one size (no tight box), letters as outlines (no font needed), the same bytes every time.
    settings: Any = {"svg.fonttype": "path", "svg.hashsalt": "fnequiv", "savefig.bbox": "standard"}
    buffer = io.StringIO()
    with mpl.rc_context(settings):
        drawn.savefig(buffer, format="svg")
    plt.close(drawn)
    return _compact(buffer.getvalue())


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
    """
    mark = "f" + hashlib.blake2s(svg.encode(), digest_size=4).hexdigest()
    for name in set(re.findall(r"""(?:url\(['"]?|href=['"])#([^'")]+)""", svg)):
        svg = re.sub(rf"""(\bid=['"]|#){re.escape(name)}(?=['")])""", rf"\g<1>{mark}-{name}", svg)
    root, rest = svg.split(">", 1)
    root = re.sub(r"""\s(?:role|aria-\w+)=(?:"[^"]*"|'[^']*')""", "", root)
    style = re.search(r"""\sstyle=(?:"([^"]*)"|'([^']*)')""", root)
    own = (style[1] or style[2] or "") if style else ""
    root = root.replace(style[0], "") if style else root
    layout = f"{own};display:block;max-width:100%;height:auto".lstrip(";")
    label = html.escape(alt)
    return f'<svg role="img" aria-label="{label}" style="{layout}"{root.removeprefix("<svg")}>{rest}'


def static_image(frame: str) -> str:
    """An ``<img>`` of a frame made by :func:`labelled`, for pages and viewers on which widgets do not load.

    As an image it is a document of its own, whose names clash with none.

    Examples
    --------
    >>> static_image(labelled('<svg viewBox="0 0 9 1"></svg>', "A bar"))[:70]
    '<img class="fnequiv-static" alt="A bar" src="data:image/svg+xml,%3Csvg'
    """
    label = re.search(r'aria-label="([^"]*)"', frame)
    alone = frame if "xmlns=" in frame else frame.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    source = quote(alone, safe=" /:=;,()'-.+")
    return f'<img class="fnequiv-static" alt="{label[1] if label else ""}" src="data:image/svg+xml,{source}">'
