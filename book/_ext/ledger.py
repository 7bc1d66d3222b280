"""A Sphinx extension: the page of the ledger, written anew from ``book/ledger.yml`` whenever the book is built.

A table of the paper's statements with our verdicts, then one card a statement: what it says, what we found, where it
is taught and coded, which tests and which cells verify it. Assertions are quoted from the chapters, not from the file.
What ``ledger_checks`` finds wrong is a warning each, and so is code without a page in the reference; a warning fails
the build.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from ledger_checks import Entry, Statement, entries, find_test, problems, statements
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
PAPER, OURS = "The paper's statements", "Ours: "
logger = logging.getLogger(__name__)


def listed(items: list[str]) -> str:
    """Return the items as one line or, if there are more, as a list inside a definition."""
    return items[0] if len(items) == 1 else "- " + "\n  - ".join(items)


def test(name: str, repository: str) -> str:
    """Return a test as a sentence, which its name is, linked to its source, and the file that it stands in.

    Examples
    --------
    >>> test("tests/test_sums.py::test_a_sum_s_order_does_not_matter", "")
    'a sum’s order does not matter (`tests/test_sums.py`)'
    """
    file, _, function = name.partition("::")
    sentence = re.sub(r" s(?= )", "’s", function.removeprefix("test_").replace("_", " "))
    found = find_test(ROOT, name)
    address = f'({repository}/blob/main/{file}#L{found.lineno if found else 1} "{name}")'
    return (f"[{sentence}]{address}" if repository else sentence) + f" (`{file}`)"


def card(entry: Entry, statement: Statement, page: str, repository: str) -> str:
    """Return an entry as MyST Markdown; ``page`` is the name of the chapter, ``repository`` an address or ''."""
    named_after_the_chapter = statement.title == statement.heading
    name = entry.label if named_after_the_chapter else f"{statement.title} <{entry.label}>"
    cells = [found for piece in entry.cells if (found := statement.cell(piece))]
    rows = {
        "We found": f"*{entry.verdict}.* {entry.found}",
        "Checked by": ", ".join(entry.how),
        "Taught": f"{{prf:ref}}`{name}` in {{doc}}`/{page}`",
        "Coded": listed([f"{{py:obj}}`{name}`" for name in entry.code]),
        "Tests": listed([test(name, repository) for name in entry.tests]),
        "Cells": listed([f"{{ledger-cell}}`{cell.heading} <{page}>`: `` {line} ``" for cell, line in cells]),
    }
    head = f"**{entry.paper or statement.kind.capitalize()}: {statement.title}.** {entry.says}"
    body = "\n\n".join(f"{term}\n: {text}" for term, text in rows.items() if text)
    return f"````{{container}} ledger-card\n:name: ledger-{entry.label}\n\n{head}\n\n{body}\n````\n"


def verdicts(found: list[Entry], taught: dict[str, Statement]) -> str:
    """Return the paper's statements with our verdicts as a Markdown table; each leads to its card."""
    rows = [
        f"| {entry.paper} | {{ref}}`{taught[entry.label].title} <ledger-{entry.label}>` | *{entry.verdict}* |"
        for entry in found
        if entry.paper
    ]
    return "\n".join(["| in the paper | statement | we found |", "|:---|:---|:---|", *rows])


def by_chapter(sections: dict[str, list[str]]) -> nodes.paragraph:
    """Return a line of links to the sections of our own statements, with how many there are."""
    line = nodes.paragraph("", "Our own statements, by chapter: ")
    for title, cards in sections.items():
        if title != PAPER:
            name = title.removeprefix(OURS)
            line += [nodes.Text(", ")] * (len(line) > 1)
            line += nodes.reference("", name, internal=True, refid=nodes.make_id(title))
            line += nodes.Text(f" ({len(cards)})")
    line += nodes.Text(".")
    return line


class Ledger(SphinxDirective):
    """The directive: what is wrong is a warning; it writes the table, its own content, the paper's cards, then ours."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table, one section for the paper and one for each chapter with statements of our own."""
        self.env.note_reread()  # what it depends on is the whole project
        found = entries(ROOT)
        for problem in problems(found, ROOT):
            logger.warning("ledger: %s", problem, location=self.get_location())
        self.env.ledger_code = [(entry.label, name) for entry in found for name in entry.code]  # type: ignore[attr-defined]
        self.env.ledger_page = self.env.docname  # type: ignore[attr-defined]
        taught = {statement.label: statement for statement in statements(ROOT)}
        sections: dict[str, list[str]] = {}
        known = [entry for entry in found if entry.label in taught]
        for entry in known:
            statement = taught[entry.label]
            page = Path(statement.page).relative_to(self.env.srcdir).with_suffix("").as_posix()
            title = PAPER if entry.paper else OURS + statement.heading
            sections.setdefault(title, []).append(card(entry, statement, page, self.repository()))
        count = (
            f"{len(found)} statements, {len({name for entry in found for name in entry.tests})} tests, "
            f"{sum(len(entry.cells) for entry in found)} assertions in chapters: all of them were there when this "
            "page was built."
        )
        table = nodes.container()
        self.parse(verdicts(known, taught), table)
        head = [nodes.paragraph(count, count), *table.children]
        if sections.keys() - {PAPER}:
            head.append(by_chapter(sections))
        words = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, words)
        return [*head, *words.children, *(self.section(*pair) for pair in sections.items())]

    def parse(self, text: str, node: nodes.Element) -> None:
        """Put Markdown into a node."""
        self.state.nested_parse(StringList(text.split("\n"), source="ledger.yml"), 0, node)

    def repository(self) -> str:
        """Return the address of the sources, '' if the theme is told none."""
        return (self.config.html_theme_options or {}).get("repository_url", "")

    def section(self, title: str, cards: list[str]) -> nodes.section:
        """Return a section of cards."""
        section = nodes.section(ids=[nodes.make_id(title)], names=[nodes.fully_normalize_name(title)])
        section += nodes.title(title, title)
        self.state.document.note_implicit_target(section, section)
        self.parse("\n".join(cards), section)
        return section


def link_cell(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> nodes.Element | None:
    """Resolve the link to a cell: the section that it stands in, or its page where the heading has no such anchor."""
    if node["reftype"] != "ledger-cell":
        return None
    page, anchor = node["reftarget"], "#" + nodes.make_id(text.astext())
    anchors = {link["anchorname"] for link in env.tocs[page].findall(nodes.reference)}
    address = app.builder.get_relative_uri(node["refdoc"], page) + (anchor if anchor in anchors else "")
    return nodes.reference("", text.astext(), internal=True, refuri=address)


def link_back(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put below each statement that has a card a link to it; paper has no use for it."""
    if app.builder.format != "html":
        return
    labels = {label for label, _ in getattr(app.env, "ledger_code", [])}
    for node in doctree.findall(nodes.Element):
        if "proof" in node.get("classes", ()) and node.get("label") in labels:
            address = f"{app.builder.get_relative_uri(docname, app.env.ledger_page)}#ledger-{node['label']}"  # type: ignore[attr-defined]
            link = nodes.reference("", "In the ledger", internal=True, refuri=address)
            node[-1] += nodes.paragraph("", "", link, classes=["to-ledger"])


def check_reference(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of code that the ledger names and the reference does not describe."""
    described = {name for name, *_ in env.get_domain("py").get_objects()}
    for label, name in getattr(env, "ledger_code", []):
        if name not in described:
            logger.warning("ledger: %s: the reference has no entry for %s", label, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, the links to cells and to cards, and the style of the cards."""
    app.add_directive("ledger", Ledger)
    app.add_role("ledger-cell", XRefRole())
    app.connect("missing-reference", link_cell)
    app.connect("doctree-resolved", link_back)
    app.connect("env-check-consistency", check_reference)
    app.add_css_file("ledger.css")
    return {"parallel_read_safe": False, "parallel_write_safe": True}
