"""Exercises, their solutions and the questions to check oneself, as they stand in a built chapter.

An exercise is its directive and what follows up to its solution: the cell that a reader completes. What that cell
printed, "not yet", is left out. A solution knows its exercise by the link in its title. A question is an admonition
"Check yourself" whose options are dropdowns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bs4 import Tag
from pages import Chapter, CourseError, taken

QUESTION = "Check yourself"


@dataclass(frozen=True)
class Exercise:
    """An exercise: the pieces of its statement, and its solution."""

    label: str
    statement: list[Tag] = field(repr=False)
    solution: Tag = field(repr=False)


@dataclass(frozen=True)
class Question:
    """A question, and for each option its text and what is said of it."""

    asked: list[Tag] = field(repr=False)
    options: list[tuple[str, Tag]] = field(repr=False)


def classes(tag: Tag) -> set[str]:
    """Return the classes of an element."""
    return {str(name) for name in tag.get_attribute_list("class")}


def exercises(chapter: Chapter) -> list[Exercise]:
    """Return the exercises of a chapter, in their order."""
    return [_exercise(found, chapter) for found in chapter.article.select("div.exercise")]


def _exercise(found: Tag, chapter: Chapter) -> Exercise:
    label = str(found.get("id"))
    title = f'div.solution > .admonition-title a[href="#{label}"]'
    link = chapter.article.select_one(title)
    solution = link and link.find_parent("div", class_="solution")
    if solution is None:
        raise CourseError(f"{chapter.page}: exercise {label} has no solution")
    statement = [taken(piece, chapter) for piece in (found, *_up_to_solution(found))]
    for piece in statement:
        for output in piece.select(".cell_output"):
            output.decompose()
    return Exercise(label, statement, taken(solution, chapter))


def _up_to_solution(found: Tag) -> Iterator[Tag]:
    """Yield what belongs to an exercise behind its directive."""
    for sibling in found.find_next_siblings():
        if sibling.name == "section" or classes(sibling) & {"exercise", "solution"}:
            return
        yield sibling


def questions(chapter: Chapter) -> list[Question]:
    """Return the questions of a chapter, in their order."""
    titles = chapter.article.select("div.admonition > p.admonition-title")
    boxes = [title.parent for title in titles if title.get_text().strip() == QUESTION]
    return [_question(box, chapter) for box in boxes if box is not None]


def _question(found: Tag, chapter: Chapter) -> Question:
    options, asked = [], []
    for piece in found.find_all(True, recursive=False):
        summary, body = piece.find("summary"), piece.select_one(".sd-summary-content")
        if isinstance(summary, Tag) and body is not None:
            text = taken(summary.select_one(".sd-summary-text") or summary, chapter)
            options.append((text.decode_contents().strip(), taken(body, chapter)))
        elif "admonition-title" not in classes(piece):
            asked.append(taken(piece, chapter))
    if not options:
        raise CourseError(f"{chapter.page}: a question without options: {found.get_text()[:60]!r}")
    return Question(asked, options)
