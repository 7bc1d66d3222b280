"""The built book as material: what the sheets and the slides are cut from.

A page of ``_build/html`` holds executed cells, resolved links and numbered statements. ``chapters`` reads those pages,
``taken`` makes a copy of a piece that stands alone: pictures inside, links to the site, nothing that needs a script.
``written`` makes a page of such pieces; formulas are typeset by the copy of MathJax beside it.
"""

from __future__ import annotations

import base64
import copy
import functools
import html
import json
import mimetypes
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CHAPTER = re.compile(r"book/(\d_\w+|appendix)/")
STATE = "application/vnd.jupyter.widget-state+json"
NOT_COPIED = ".headerlink, script, style, .sd-summary-state-marker, .copybtn, .to-ledger"


class CourseError(ValueError):
    """What was asked for is not in the built book."""


@dataclass(frozen=True)
class Chapter:
    """A built chapter; ``page`` is its path below the book without the suffix."""

    page: str
    title: str  # plain text, not HTML
    article: Tag = field(repr=False)
    book: Path = field(repr=False)
    widgets: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.page.rpartition("/")[2]

    @property
    def address(self) -> str:
        """Where the site has the page."""
        return f"{configuration()['html']['baseurl']}{self.page}.html"


@functools.cache
def configuration() -> dict:
    """Return the book's configuration."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def listed() -> list[str]:
    """Return the chapters in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [name for name in files if CHAPTER.match(name)]


def chapter(book: Path, page: str) -> Chapter:
    """Read a built chapter."""
    path = book / f"{page}.html"
    if not path.is_file():
        raise CourseError(f"{path} is not there: run `make book` first")
    whole = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    article, state = whole.find("article"), whole.find("script", type=STATE)
    if not isinstance(article, Tag) or article.h1 is None:
        raise CourseError(f"{path} has no article with a title")
    for link in article.select("h1 .headerlink"):
        link.decompose()
    return Chapter(
        page, article.h1.get_text().strip(), article, book, json.loads(state.get_text())["state"] if state else {}
    )


def chapters(book: Path) -> list[Chapter]:
    """Read every chapter of the built book."""
    return [chapter(book, page) for page in listed()]


def taken(piece: Tag, source: Chapter) -> Tag:
    """Return a copy of a piece of a page that stands alone; a live figure becomes its static picture."""
    piece = copy.copy(piece)
    for unwanted in piece.select(NOT_COPIED):
        unwanted.decompose()
    for tag in [piece, *piece.find_all(True)]:
        tag.attrs.pop("id", None)
        if tag.name == "details" and "sd-dropdown" not in tag.get_attribute_list("class"):
            tag["open"] = ""  # a cell that the page folds away
        if tag.get("href"):
            tag["href"] = urljoin(source.address, str(tag["href"]))
        if tag.name == "img":
            tag["src"] = _inline(str(tag["src"]), source)
    return piece


def _inline(address: str, source: Chapter) -> str:
    """Return a picture as an address that holds it."""
    if urlsplit(address).scheme:
        return address
    path = (source.book / source.page).parent / address
    data = base64.b64encode(path.read_bytes()).decode()
    return f"data:{mimetypes.guess_type(path.name)[0]};base64,{data}"


def written(path: Path, title: str, body: str, style: str, script: str = "") -> None:
    """Write a page: our styles and scripts inside it, MathJax and the colours of code beside it; the title is text."""
    tex = configuration()["sphinx"]["config"]["mathjax3_config"]["tex"]
    styles = "".join((HERE / name).read_text(encoding="utf-8") for name in ("pieces.css", style))
    code = (HERE / script).read_text(encoding="utf-8") if script else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en" data-theme="light">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n"
        f'<link rel="stylesheet" href="assets/pygments.css">\n<style>\n{styles}</style>\n'
        f"<script>window.MathJax = {json.dumps({'tex': tex})};</script>\n"
        '<script defer src="assets/mathjax.js"></script>\n'
        f"</head>\n<body>\n{body}\n<script>\n{code}</script>\n</body>\n</html>\n",
        encoding="utf-8",
    )


def assets(book: Path, folder: Path, mathjax: Path) -> None:
    """Copy what the written pages need beside them."""
    if not mathjax.is_file():
        raise CourseError(f"{mathjax} is not there: run `npm ci --prefix tests/book` first")
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(mathjax, folder / "assets/mathjax.js")
    shutil.copyfile(book / "_static/pygments.css", folder / "assets/pygments.css")
