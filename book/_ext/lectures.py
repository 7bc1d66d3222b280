"""A Sphinx extension: the tables of the page for lecturers, made from what they describe.

``{lecture} 2`` writes the plan of the second lecture from ``book/course/slides.yml``, so it has the minutes and the
questions of the slides. ``{chapter-times}`` reads from each chapter how long it takes, what it needs and how many
exercises it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
CONTENTS, OUTLINE = ROOT / "_toc.yml", ROOT / "book/course/slides.yml"
CHAPTER = re.compile(r"book/(\d_\w+|appendix)/(\w+)$")
TIME = re.compile(r"\*\*Time:\*\*\s+about\s+(\d+)\s+minutes")
EXERCISE = re.compile(r"^```\{exercise\} (.*)$", re.MULTILINE)


def plan(lecture: dict[str, Any], pages: dict[str, str]) -> str:
    """Return a lecture's plan as a Markdown table; ``pages`` maps a chapter's short name to its page."""
    lines = ["| minutes | shown | ask |", "|---|---|---|"]
    start = 0
    for slide in lecture["slides"]:
        name, _, anchor = slide["from"].partition("#")
        link = f"[{slide.get('title', '')}](/{pages[name]}.md#{anchor})"
        live = " **Move the figure.**" if any("live" in shown for shown in slide["show"]) else ""
        lines.append(f"| {start}–{start + slide['minutes']} | {link}{live} | {slide.get('ask', '')} |")
        start += slide["minutes"]
    return "\n".join(lines)


def times(pages: dict[str, str], root: Path = ROOT) -> Iterator[str]:
    """Yield the lines of a Markdown table of chapters, with their reading time and exercises."""
    yield from ("| chapter | minutes to read | exercises | open questions |", "|---|---:|---:|---:|")
    for page in pages.values():
        text = (root / f"{page}.md").read_text(encoding="utf-8")
        found = TIME.search(text)
        if found is None:
            raise ValueError(f"{page}.md does not say how long it takes: write **Time:** about N minutes")
        titles = EXERCISE.findall(text)
        unsolved = sum(title.startswith("Open") for title in titles)
        yield f"| [](/{page}.md) | {found[1]} | {len(titles)} | {unsolved} |"


class FromTheBook(SphinxDirective):
    """A directive that writes Markdown."""

    def pages(self) -> dict[str, str]:
        """Map each chapter's short name to its page, in the order of the table of contents."""
        self.env.note_dependency(str(CONTENTS))
        toc = yaml.safe_load(CONTENTS.read_text(encoding="utf-8"))
        files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
        return {found[2]: name for name in files if (found := CHAPTER.match(name))}

    def parsed(self, text: str, source: str) -> list[nodes.Node]:
        """Return Markdown as nodes."""
        holder = nodes.container()
        self.state.nested_parse(StringList(text.split("\n"), source=source), 0, holder)
        return holder.children


class Lecture(FromTheBook):
    """The plan of one lecture."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table of the lecture with this number."""
        self.env.note_dependency(str(OUTLINE))
        lectures = yaml.safe_load(OUTLINE.read_text(encoding="utf-8"))["lectures"]
        numbered = {str(number): lecture for number, lecture in enumerate(lectures, 1)}
        if self.arguments[0] not in numbered:
            raise self.error(f"{OUTLINE.name} has lectures {', '.join(numbered)}, not {self.arguments[0]!r}")
        return self.parsed(plan(numbered[self.arguments[0]], self.pages()), OUTLINE.name)


class ChapterTimes(FromTheBook):
    """How long each chapter takes."""

    def run(self) -> list[nodes.Node]:
        """Return the table of chapters."""
        for page in self.pages().values():
            self.env.note_dependency(str(ROOT / f"{page}.md"))
        return self.parsed("\n".join(times(self.pages())), "chapters")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the two directives."""
    app.add_directive("lecture", Lecture)
    app.add_directive("chapter-times", ChapterTimes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
