"""A Sphinx extension: in a docstring, ``|x - y|`` is an absolute value.

reStructuredText takes it for the name of a substitution, which no docstring here uses.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

# A bar that touches a character is escaped, outside literals and roles; the bars of `int | None` touch none.
BAR = re.compile(r"(``.+?``|:[\w:]+:`.+?`)|(?<=\S)\||\|(?=\S)", re.DOTALL)


def escaped(paragraph: str) -> str:
    """Return a paragraph of a docstring with its bars escaped; examples stay as they are."""
    if paragraph.lstrip().startswith(">>>"):
        return paragraph
    return BAR.sub(lambda match: match[1] or r"\|", paragraph)


def escape_bars(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape the bars of a docstring in place."""
    lines[:] = "\n\n".join(map(escaped, "\n".join(lines).split("\n\n"))).split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to autodoc."""
    app.connect("autodoc-process-docstring", escape_bars)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
