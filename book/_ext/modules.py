"""A Sphinx extension: in the reference, the account of a module stands under its name and leads to its chapter.

autodoc writes what a module says of itself without saying whose words they are, so that the accounts of many modules
run into one another. And a chapter that an account names, in double quotes, is not a link.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
QUOTED = re.compile(r'``.+?``|`[^`]+`|"([^"`]+)"', re.DOTALL)  # literals and roles stay as they are


@functools.cache
def chapters(root: Path = ROOT) -> dict[str, str]:
    """Map the title of each page in a folder of the book to its name for Sphinx."""
    pages = sorted(root.glob("book/*/*.md"))
    titles = {page: re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE) for page in pages}
    return {
        title[1]: "/" + page.relative_to(root).with_suffix("").as_posix() for page, title in titles.items() if title
    }


def linked(text: str, pages: dict[str, str]) -> str:
    """Return reStructuredText in which the quoted title of a page is a link to it; line breaks do not matter."""

    def link(quoted: re.Match[str]) -> str:
        title = " ".join((quoted[1] or "").split())
        return f":doc:`{title} <{pages[title]}>`" if title in pages else quoted[0]

    return QUOTED.sub(link, text)


def introduce(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Put the name of a module above its docstring, and links into it, in place."""
    if what == "module":
        heading = [f".. rubric:: ``{name}``", "   :class: module-name", ""]
        lines[:] = heading + linked("\n".join(lines), chapters()).split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to autodoc."""
    app.connect("autodoc-process-docstring", introduce)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
