"""A Sphinx extension: what the theme writes on every page, mended for phones, keyboards and screen readers.

Each rule stands with its reason. Where the theme is written anew and a rule finds nothing, the browser tests find the
fault (`tests/book/test_pages.py`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from sphinx.application import Sphinx


def breakable(name: re.Match[str]) -> str:
    """Let a path, a dotted name or a call break between its parts."""
    return re.sub(r"([/.(\[=,])(?=[\w&])", r"\1<wbr>", name[0])


def measured(listing: re.Match[str]) -> str:
    """Write the length of a listing's longest line into its tag, for pages.css, if its words stand in columns."""
    lines = html.unescape(re.sub(r"<[^>]*>", "", listing[2])).split("\n")
    if sum(re.search(r"\S {2,}\S", line) is not None for line in lines) < 2:
        return listing[0]
    return f'{listing[1]} style="--columns: {max(map(len, lines))}">{listing[2]}'


def together(formula: re.Match[str]) -> str:
    """Keep a formula on one line with what touches it on either side, by pages.css."""
    return f'<span class="together">{formula[0]}</span>' if formula[1] or formula[3] else formula[0]


RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    # Font Awesome comes twice, as fonts and as a script of 1.5 MB that draws the same icons. The fonts do.
    (re.compile(r'<script src="[^"]*/fontawesome/[^"]*"></script>'), ""),
    # A button that shows words must not be called by others: who speaks to the browser says what he sees.
    (re.compile(r'(<summary) aria-label="Toggle hidden content"'), r"\1"),
    (re.compile(r'(<button class="btn search-button-field [^>]*?) aria-label="Search"'), r"\1"),
    # The arrows that open a part of the table of contents are drawings without a name.
    (re.compile(r'<summary>(?=<span class="toctree-toggle")'), '<summary aria-label="Pages of this part">'),
    # A table that scrolls sideways on a phone has to be reached by keyboard, too.
    (re.compile(r'(<div class="pst-scrollable-table-container")>'), r'\1 tabindex="0">'),
    # The parameters of a signature are laid out as a list of definitions that define nothing, and the works cited as a
    # list of other things than items.
    (re.compile(r'<dl>(?=\s*<dd><em class="sig-param">)'), '<dl role="presentation">'),
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
    # A line never ends between a formula and the bracket before it, or the full stop after it.
    (re.compile(r'(?<![(“])(?<!together">)([(“]*)(<span class="math [^"]*">\\\(.*?</span>)([^\s<&]{0,12})'), together),
    # "Theorem 4.1 (The count (Theorem 1 of the paper))" has a bracket in a bracket.
    (re.compile(r" \((\w+ \d+ of the paper|from the paper)\)(?=\)</p>)"), r"; \1"),
    # Three long words stand over narrow columns: they may be hyphenated.
    (re.compile(r"(<th\b[^>]*><p>(?:[^<]* )?(?:permu(?=tation)|acti(?=vation)|sym(?=metry)))"), r"\1&shy;"),
    # Long names, and what cells print, are as wide as they are; on a phone they have to fit.
    (re.compile(r'(?<=<span class="pre">)[^<]{12,}(?=</span>)'), breakable),
    (re.compile(r'(<div class="output [^>]*><div class="highlight"><pre)>(.*?)(?=</pre>)', re.DOTALL), measured),
]


def mended(page: str) -> str:
    """Return a page with the theme's faults repaired.

    Examples
    --------
    >>> mended('<summary><span class="toctree-toggle" role="presentation"></span></summary>')
    '<summary aria-label="Pages of this part"><span class="toctree-toggle" role="presentation"></span></summary>'
    """
    for fault, repair in RULES:
        page = fault.sub(repair, page)
    return page


def mend(app: Sphinx) -> None:
    """Let every page go through `mended` as it comes out of its template."""
    if app.builder.format != "html":
        return
    render: Callable[..., str] = app.builder.templates.render
    app.builder.templates.render = lambda *args: mended(render(*args))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("builder-inited", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
