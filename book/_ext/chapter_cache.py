"""A Sphinx extension: a chapter's cached outputs are its own only while what it computes with is unchanged.

jupyter-cache finds a chapter's outputs by its code cells and its ``kernelspec`` metadata. An edit of ``fnequiv``
changes neither. So each chapter gets a key (the contents of ``constraints.txt`` and of every module of ``fnequiv``
that its cells reach through imports, found without running them; of the exercises only those that they check), and the
key is written into the kernelspec as the chapter is read. A chapter is read again whenever its key changes.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grimp
import jupytext
import yaml
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGE = "fnequiv"
ROOT = Path(__file__).resolve().parents[2]
MAGIC = re.compile(rf"^([ \t]*)[%!](?!.*\b{PACKAGE}\b).*", re.MULTILINE)
CHECKED = re.compile(r'\bexercises\.check\(\s*"([\w-]+)"')
KERNELSPEC = re.compile(r"^kernelspec:\n((?:[ ]+.*\n)+)", re.MULTILINE)


def code_cells(text: str) -> list[str]:
    """Return the sources of a MyST notebook's code cells (none for a page without a kernel)."""
    if not KERNELSPEC.search(text):
        return []
    notebook = jupytext.reads(text, fmt="md:myst")
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@functools.cache
def graph() -> grimp.ImportGraph:
    """Return who imports whom in the package."""
    return grimp.build_graph(PACKAGE, cache_dir=None)


@functools.cache
def top_level_names() -> dict[str, str]:
    """Map each lazily loaded name of the package to the module that holds it."""
    stub = ast.parse((ROOT / PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: f"{PACKAGE}.{node.module or alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def named_modules(cell: str) -> Iterator[str]:
    """Yield the modules of the package that a cell names; the package itself where that cannot be told.

    A line of IPython's (``%matplotlib inline``, ``!ls``) is passed over unless it mentions the package.
    """
    try:
        tree = ast.parse(MAGIC.sub(r"\1pass", cell))
    except SyntaxError:  # a magic of the whole cell, or one that mentions the package
        yield PACKAGE
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if node.module == PACKAGE:
                    yield top_level_names().get(alias.name, inner)
                else:
                    yield inner if inner in graph().modules else str(node.module)


def reached_modules(cells: Sequence[str]) -> set[str]:
    """Return every module of the package that running the cells can import."""
    named = {module for cell in cells for module in named_modules(cell)}
    if any(module == PACKAGE or module not in graph().modules for module in named):
        return set(graph().modules)
    reached = named.union(*(graph().find_descendants(module) for module in named))
    reached = reached.union(*(graph().find_upstream_modules(module) for module in reached))
    return (reached | {parent for module in reached for parent in _parents(module)}) - other_rooms(cells)


def other_rooms(cells: Sequence[str]) -> set[str]:
    """Return the modules of exercises that have none of those that the cells check: other chapters' rooms.

    Every chapter that checks an answer would otherwise be executed again after a change of one message in any of them.
    """
    code = "\n".join(cells)
    names = CHECKED.findall(code)
    if not names or code.count("exercises.") > len(names):  # used in another way, too: whatever it reaches
        return set()
    inside = graph().find_descendants(f"{PACKAGE}.exercises")
    sources = {module: _files(module)[0].read_text(encoding="utf-8") for module in inside}
    rooms = {module for module, source in sources.items() if re.search(r"^TASKS\b", source, re.MULTILINE)}
    others = {room for room in rooms if not any(f'"{name}"' in sources[room] for name in names)}
    importers = {module: graph().find_modules_that_directly_import(module) for module in inside - rooms}
    return others | {module for module, found in importers.items() if found and found <= others}


def _parents(module: str) -> Iterator[str]:
    """Yield the packages above a module: importing it runs their ``__init__`` as well."""
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def chapter_key(text: str) -> str | None:
    """Return the key of a chapter's text, or None for a page without code."""
    cells = code_cells(text)
    if not cells:
        return None
    digest = hashlib.sha256(sys.version.encode())
    digest.update((ROOT / "constraints.txt").read_bytes())
    for module in sorted(reached_modules(cells)):
        for path in _files(module):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _files(module: str) -> list[Path]:
    """Return a module's source, and with a package's the data files beside it."""
    path = ROOT.joinpath(*module.split("."))
    if not path.is_dir():
        return [path.with_suffix(".py")]
    data = (file for file in path.iterdir() if file.is_file() and file.suffix not in {".py", ".pyi"})
    return [path / "__init__.py", *sorted(data)]


def outdated(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Name the chapters whose key is no longer the one that they were read with."""
    known = getattr(env, "chapter_keys", {})
    return [
        name for name in env.found_docs if chapter_key(Path(env.doc2path(name)).read_text("utf-8")) != known.get(name)
    ]


def add_key(app: Sphinx, docname: str, source: list[str]) -> None:
    """Write the key into the kernelspec of the text that is about to be read, and keep its number of lines."""
    key = chapter_key(source[0])
    keys = app.env.chapter_keys = {**getattr(app.env, "chapter_keys", {}), docname: key}  # type: ignore[attr-defined]
    if keys[docname] is None:
        return

    def keyed(block: re.Match[str]) -> str:
        spec = {**yaml.safe_load(block[1]), "depends_on": key}
        flow = yaml.safe_dump(spec, default_flow_style=True, width=10_000).strip()
        return f"kernelspec: {flow}\n" + "\n" * block[1].count("\n")

    source[0] = KERNELSPEC.sub(keyed, source[0], count=1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the two steps to Sphinx."""
    app.connect("env-get-outdated", outdated)
    app.connect("source-read", add_key)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
