"""Exercise sheets, one for each chapter without solutions and one with (`make sheets`).

    python book/_course/sheets.py [BOOK [FOLDER [MATHJAX]]]

They are cut from the built pages, so they hold what the chapters hold; nothing is kept.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from exercises import Exercise, Question, exercises, questions
from pages import ROOT, Chapter, assets, chapters, written

LICENCE = 'Text: <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>. Code: MIT.'


def sheet(chapter: Chapter, solved: bool) -> str:
    """Return the body of a chapter's sheet."""
    found = exercises(chapter)
    asked = "".join(question(one, solved) for one in questions(chapter))
    parts = [
        f"<h1>{escape(chapter.title)}: {'exercises and solutions' if solved else 'exercises'}</h1>",
        f'<p>From <a href="{chapter.address}">the chapter</a> of <i>Exploring the Complexity of Deep Neural Networks '
        f"through Functional Equivalence</i>. A cell of code belongs behind the cells of the chapter. {LICENCE}</p>",
        f"<h2>Check yourself</h2>\n<ol>{asked}</ol>" if asked else "",
        "<h2>Exercises</h2>",
        *(exercise(one, solved) for one in found),
    ]
    return "\n".join(part for part in parts if part)


def exercise(found: Exercise, solved: bool) -> str:
    """Return an exercise and, if it is to be solved, its solution."""
    pieces = [*found.statement, *([found.solution] if solved else [])]
    return f'<section id="{found.label}">' + "\n".join(map(str, pieces)) + "</section>"


def question(found: Question, solved: bool) -> str:
    """Return a question with its options and, if it is to be solved, what is said of them."""
    options = "".join(f"<li>{text}{body if solved else ''}</li>" for text, body in found.options)
    return f'<li class="question">{"".join(map(str, found.asked))}<ul>{options}</ul></li>\n'


def write(book: Path, folder: Path, mathjax: Path) -> None:
    """Write both sheets of every chapter that has exercises, and a page that lists them."""
    assets(book, folder, mathjax)
    lines = []
    for chapter in chapters(book):
        if not chapter.article.select_one("div.exercise"):
            continue
        names = f"exercises-{chapter.name}.html", f"solutions-{chapter.name}.html"
        for name, solved in zip(names, (False, True), strict=True):
            title = f"{chapter.title}: {'solutions' if solved else 'exercises'}"
            written(folder / name, title, sheet(chapter, solved), "sheet.css")
        links = f'<a href="{names[0]}">exercises</a>, <a href="{names[1]}">solutions</a>'
        lines.append(f"<li>{escape(chapter.title)} – {links}</li>")
    body = f"<h1>Exercise sheets</h1>\n<p>To print one, use the browser.</p>\n<ul>{''.join(lines)}</ul>"
    written(folder / "sheets.html", "Exercise sheets", body, "sheet.css")


def main(book: str = "_build/html", folder: str = "_build/course", mathjax: str = "") -> None:
    """Write the sheets and say where they are."""
    script = Path(mathjax) if mathjax else ROOT / "tests/book/node_modules/mathjax/es5/tex-svg.js"
    write(ROOT / book, ROOT / folder, script)
    print(f"The sheets are at {(ROOT / folder / 'sheets.html').as_uri()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
