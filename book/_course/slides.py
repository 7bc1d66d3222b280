"""Slides for the lectures, cut from the built chapters as ``book/course/slides.yml`` says (`make slides`).

    python book/_course/slides.py [BOOK [FOLDER [MATHJAX]]]

Statements, figures, cells and sentences are the chapters' own; the outline adds titles and what to ask. An entry that
finds nothing in the chapter is an error, so a deck cannot go stale in silence.
"""

from __future__ import annotations

import functools
import html
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from bs4 import Tag
from exercises import classes
from live import player
from pages import ROOT, Chapter, CourseError, assets, chapter, listed, taken, written

OUTLINE = ROOT / "book/course/slides.yml"
VIEW = "application/vnd.jupyter.widget-view+json"


def outline(path: Path = OUTLINE) -> list[dict[str, Any]]:
    """Return the lectures of the outline."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))["lectures"]


class Material:
    """The built book, asked for one piece after another."""

    def __init__(self, book: Path) -> None:
        self.book = book
        self.pages = {page.rpartition("/")[2]: page for page in listed()}

    @functools.cache  # noqa: B019 (one object in the life of the program)
    def chapter(self, name: str) -> Chapter:
        """Return a chapter by the last part of its path."""
        if name not in self.pages:
            raise CourseError(f"there is no chapter {name!r}: one of {', '.join(self.pages)}")
        return chapter(self.book, self.pages[name])

    def section(self, place: str) -> tuple[Chapter, Tag]:
        """Return the chapter and the section of a place, as in 'feedforward#is-that-all'."""
        name, _, anchor = place.partition("#")
        source = self.chapter(name)
        found = source.article.find("section", id=anchor) if anchor else source.article.find("section")
        if not isinstance(found, Tag):
            known = [str(one.get("id")) for one in source.article.find_all("section")]
            raise CourseError(f"{place}: there is no such section; the chapter has {', '.join(known)}")
        return source, found

    def piece(self, place: str, kind: str, what: Any, rows: list[str]) -> str:
        """Return one piece of a section as HTML; of a table only the rows that begin with these words, if any."""
        source, section = self.section(place)
        if kind == "live":
            return self.live(source, section, what)
        if kind not in FINDERS:
            raise CourseError(f"{place}: {kind!r} is not something to show: one of {', '.join([*FINDERS, 'live'])}")
        found = FINDERS[kind](section, what)
        if found is None:
            raise CourseError(f"{place}: the section has no {kind} {what!r}")
        piece = taken(found, source)
        _keep_rows(piece, rows)
        return str(piece)

    def live(self, source: Chapter, section: Tag, number: int) -> str:
        """Return the live figure of this number in the section, with its controls."""
        views = section.find_all("script", type=VIEW)
        if not 1 <= number <= len(views):
            raise CourseError(f"{source.name}: the section has {len(views)} live figures, not a number {number}")
        return player(source.widgets, json.loads(views[number - 1].get_text())["model_id"])


def _keep_rows(table: Tag, rows: list[str]) -> None:
    """Take out of a table every row but those that begin with these words; without words keep all."""
    names = [(row.find("td") or row).get_text().strip() for row in table.select("tbody tr")]
    if missing := sorted(set(rows) - set(names)):
        raise CourseError(f"the table has no rows {', '.join(missing)}, only {', '.join(names)}")
    for name, row in zip(names, table.select("tbody tr"), strict=True):
        if rows and name not in rows:
            row.decompose()


def _nth(selector: str) -> Callable[[Tag, Any], Tag | None]:
    def find(section: Tag, number: Any) -> Tag | None:
        found = section.select(selector)
        return found[int(number) - 1] if 1 <= int(number) <= len(found) else None

    return find


def _with_text(selector: str) -> Callable[[Tag, Any], Tag | None]:
    def find(section: Tag, text: Any) -> Tag | None:
        words = " ".join(str(text).split())
        return next((one for one in section.select(selector) if words in " ".join(one.get_text().split())), None)

    return find


def _statement(section: Tag, label: Any) -> Tag | None:
    found = section.find(id=str(label))
    return found if isinstance(found, Tag) and classes(found) & {"proof", "exercise"} else None


def _equation(section: Tag, label: Any) -> Tag | None:
    found = section.find(id=f"equation-{label}")
    return found if isinstance(found, Tag) else None


FINDERS: dict[str, Callable[[Tag, Any], Tag | None]] = {
    "statement": _statement,  # or an exercise, by its label
    "equation": _equation,
    "text": _with_text("p, li"),  # the paragraph or item that has these words
    "cell": _with_text(".cell_input"),  # the code that has these words
    "output": _with_text(".cell_output"),
    "figure": _nth(".cell_output img:not(.fnequiv-static)"),
    "formula": _nth("div.math"),
    "table": _nth("table"),
    "list": _nth("ul, ol"),
}


def slide(entry: dict[str, Any], material: Material) -> str:
    """Return a slide: a title, pieces of one section or of those that they name, and what to ask."""
    source, section = material.section(entry["from"])
    heading = heading_of(section)
    body = ""
    for shown in entry["show"]:
        pieces = dict(shown)
        place, rows = pieces.pop("from", entry["from"]), pieces.pop("rows", [])
        body += "\n".join(material.piece(place, kind, what, rows) for kind, what in pieces.items())
    ask = f'<p class="ask">{html.escape(entry["ask"])}</p>' if entry.get("ask") else ""
    anchor = entry["from"].partition("#")[2]
    link = f'<a href="{source.address}{"#" + anchor if anchor else ""}">{html.escape(f"{source.title}: {heading}")}</a>'
    title = entry.get("title") or re.sub(r"^[\d.]+ ", "", heading)
    return (
        f'<section class="slide"><header><h2>{html.escape(title)}</h2></header><div class="body">{body}</div>{ask}'
        f"<footer>{link}</footer></section>"
    )


def heading_of(section: Tag) -> str:
    """Return the heading of a section, with its number."""
    heading = section.find(["h1", "h2", "h3"])
    return heading.get_text().rstrip("#").strip() if isinstance(heading, Tag) else ""


def deck(lecture: dict[str, Any], material: Material) -> str:
    """Return the slides of a lecture, the first its title."""
    opening = (
        f'<section class="slide first"><h1>{html.escape(lecture["title"])}</h1><p>{html.escape(lecture["says"])}</p>'
        "<p class=source>From <i>Exploring the Complexity of Deep Neural Networks through Functional Equivalence</i>, "
        "an executable book. Arrow keys, space and Page Down turn the slides. Text: CC BY 4.0.</p></section>"
    )
    return opening + "\n".join(slide(entry, material) for entry in lecture["slides"])


def write(book: Path, folder: Path, mathjax: Path) -> list[Path]:
    """Write a deck for each lecture."""
    assets(book, folder, mathjax)
    material, paths = Material(book), []
    for lecture in outline():
        path = folder / f"{re.sub(r'[^a-z0-9]+', '-', lecture['name'].lower())}.html"
        written(path, lecture["title"], deck(lecture, material), "slides.css", "slides.js")
        paths.append(path)
    return paths


def main(book: str = "_build/html", folder: str = "_build/course", mathjax: str = "") -> None:
    """Write the slides and say where they are."""
    script = Path(mathjax) if mathjax else ROOT / "tests/book/node_modules/mathjax/es5/tex-svg.js"
    for path in write(ROOT / book, ROOT / folder, script):
        print(f"The slides are at {path.as_uri()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
