"""What keeps the ledger honest: ``book/ledger.yml`` against the chapters, the package and the tests.

The file is written by hand, and nothing in it is believed. ``problems`` looks for the statement and its proof in the
chapters, for the assertion in a cell below it, for the code in the package, for a test that asserts something, and
for each number of the account in the chapter or the tests. And it looks for statements that the file leaves out.
"""

from __future__ import annotations

import ast
import functools
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

HOW = ("proof", "exact", "random search", "certificate", "cited")
VERDICTS = ("as stated", "under a condition", "sharpened", "ours", "classical", "cited")
CLAIMS = ("theorem", "proposition", "lemma", "corollary")
STATEMENT = re.compile(r"^[`:]{3,}\{prf:(\w+)\} ?(.*)\n((?::\w+:.*\n)*)", re.MULTILINE)
CELL_OR_HEADING = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$|^#+ ([^\n]+)$", re.MULTILINE | re.DOTALL)
NOT_PYTHON = re.compile(r"\A---\n.*?\n---$|^:[\w-]+:[^\n]*$|^[ ]*[%!][^\n]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """What ``ledger.yml`` says of a statement; a cell is named by a piece of one of its assertions."""

    label: str
    says: str
    verdict: str
    found: str
    how: list[str]
    code: list[str]
    tests: list[str]
    cells: list[str]
    paper: str = ""


@dataclass(frozen=True)
class Cell:
    """A code cell: where it begins, the heading above it, and what it asserts."""

    start: int
    heading: str
    assertions: list[str]


@dataclass(frozen=True)
class Statement:
    """A statement of a chapter, the text of its page, and the cells below it."""

    label: str
    kind: str
    title: str
    page: Path
    heading: str
    text: str = field(repr=False)
    proved: bool
    cells: list[Cell] = field(repr=False)

    def cell(self, piece: str) -> tuple[Cell, str] | None:
        """Return the first cell below with an assertion that contains the piece, and the assertion."""
        found = ((cell, line) for cell in self.cells for line in cell.assertions if _flat(piece) in line)
        return next(found, None)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _asserts(node: ast.AST) -> bool:
    """Say whether a node checks something: an assertion that could fail, or an error that is expected."""
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return name in ("refuses", "pytest.raises") or name.rpartition(".")[2].startswith("assert_")


def cells_of(text: str) -> Iterator[Cell]:
    """Yield the code cells of a page that are executed, with their assertions."""
    heading = ""
    for match in CELL_OR_HEADING.finditer(text):
        heading = match[2] or heading
        if match[1] is None or "skip-execution" in match[1]:
            continue
        source = NOT_PYTHON.sub("", match[1])
        try:
            found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert) and _asserts(node)]
        except SyntaxError:  # a magic of the whole cell
            found = []
        yield Cell(match.start(), heading, [_flat(ast.get_source_segment(source, node) or "") for node in found])


@functools.cache
def statements_of(page: Path, text: str) -> list[Statement]:
    """Return the statements of a page in their order; one without a label has the label ''."""
    cells, matches = list(cells_of(text)), list(STATEMENT.finditer(text))
    following = [match[1] for match in matches[1:]] + [""]
    return [
        Statement(
            label=next(iter(re.findall(r":label: (\S+)", match[3])), ""),
            kind=match[1],
            title=re.sub(r" \([^()]* the paper\)$", "", match[2]),
            page=page,
            heading=next(iter(re.findall(r"^# (.+)$", text, re.MULTILINE)), page.stem),
            text=text,
            proved=after == "proof",
            cells=[cell for cell in cells if cell.start > match.start()],
        )
        for match, after in zip(matches, following, strict=False)  # a page may have no statement
        if match[1] != "proof"
    ]


def statements(root: Path) -> list[Statement]:
    """Return the statements of all pages of the book."""
    pages = sorted(root.glob("book/**/*.md"))
    return [statement for page in pages for statement in statements_of(page, page.read_text("utf-8"))]


def entries(root: Path) -> list[Entry]:
    """Read ``ledger.yml``; an entry with a missing or an unknown key is named."""
    found = []
    for item in yaml.safe_load((root / "book/ledger.yml").read_text("utf-8")):
        try:
            found.append(Entry(**item))
        except TypeError as error:
            raise ValueError(f"{item.get('label', item)}: {error}") from None
    return found


@functools.cache
def _tests(source: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}


def find_test(root: Path, name: str) -> ast.FunctionDef | None:
    """Return the function that ``file::function`` names, or None."""
    path, _, function = name.partition("::")
    return _tests((root / path).read_text("utf-8")).get(function) if (root / path).is_file() else None


def _wrong_test(root: Path, name: str) -> str:
    found = find_test(root, name)
    if found is None:
        return f"there is no test {name}"
    if re.search(r"\b(mark\.skip|mark\.xfail|pytest\.skip\(|importorskip)", ast.unparse(found)):
        return f"the test {name} may be passed over"
    return "" if any(map(_asserts, ast.walk(found))) else f"the test {name} asserts nothing"


def _wrong_code(name: str) -> str:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return f"there is no {name} to import"
    return ""


def _wrong_words(entry: Entry, statement: Statement, root: Path) -> Iterator[str]:
    """Yield what is wrong with the account: its terms, its claim to a proof, numbers that nobody else says."""
    yield from (f"'{word}' is none of {', '.join(HOW)}" for word in entry.how if word not in HOW)
    if entry.verdict not in VERDICTS:
        yield f"'{entry.verdict}' is none of {', '.join(VERDICTS)}"
    if "proof" in entry.how and not statement.proved:
        yield f"no proof follows it in {statement.page.name}"
    tests = {name.partition("::")[0] for name in entry.tests if (root / name.partition("::")[0]).is_file()}
    said = statement.text + "".join((root / name).read_text("utf-8") for name in sorted(tests))
    for number in re.findall(r"\d[\d.]*\d|\d", entry.found):
        if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", said):
            yield f"the number {number} stands neither in {statement.page.name} nor in its tests"


def _wrong(entry: Entry, statement: Statement, root: Path) -> Iterator[str]:
    yield from _wrong_words(entry, statement, root)
    for part in ("how", "code", "tests", "cells"):
        if not getattr(entry, part):
            yield f"it names no {part}"
    yield from (_wrong_code(name) for name in entry.code)
    yield from (_wrong_test(root, name) for name in entry.tests)
    for piece in entry.cells:
        if statement.cell(piece) is None:
            yield f"no cell below it in {statement.page.name} asserts '{piece}'"


def problems(listed: Iterable[Entry], root: Path) -> list[str]:
    """Compare the ledger with chapters, package and tests; each line names the entry and what is wrong with it."""
    taught, listed = statements(root), list(listed)
    named, labels = {statement.label: statement for statement in taught}, [entry.label for entry in listed]
    found = [f"{label}: it has more than one entry" for label in sorted({x for x in labels if labels.count(x) > 1})]
    for entry in listed:
        if not entry.label or entry.label not in named:
            found.append(f"{entry.label}: no chapter has a statement with this label")
        else:
            found += [f"{entry.label}: {text}" for text in _wrong(entry, named[entry.label], root) if text]
    for statement in taught:
        if statement.kind in CLAIMS and statement.label not in labels:
            found.append(f"{statement.label or statement.title}: {statement.page.name} states it, the ledger does not")
    return found
