"""A Sphinx extension: the page of the status, written anew from the last build.

It tells what every chapter's execution took (of a cached chapter: when it was executed), against a budget, and the
versions of what the build ran on. A kernel over its memory, or not measured on Linux, is a warning, and a warning fails
the build; time depends on the machine and its other work, so a slow chapter is only marked.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import measuring
from docutils import nodes
from docutils.statemachine import StringList
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import fnequiv

PAGE = "status"
SECONDS, BOOK_SECONDS, BYTES = 60, 360, 2**30
PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "matplotlib", "ipywidgets", "jupyter-book", "sphinx", "myst-nb")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One chapter's last execution; None for what was not measured."""

    page: str
    seconds: float | None
    peak_bytes: int | None
    day: str | None


def runs(env: BuildEnvironment) -> list[Run]:
    """Return the executions of all pages with code, in the order of the book."""
    data = NbMetadataCollector.get_doc_data(env)
    found = {page: entry["exec_data"] for page, entry in data.items() if entry.get("exec_data")}
    order = [page for page in _pages(env, str(env.config.root_doc)) if page in found]
    return [Run(page, *(found[page].get(key) for key in ("runtime", "peak_bytes", "day"))) for page in order]


def _pages(env: BuildEnvironment, page: str) -> Iterable[str]:
    yield page
    for child in env.toctree_includes.get(page, []):
        yield from _pages(env, child)


def marked(value: float | None, limit: float, text: str) -> str:
    """Return a figure as Markdown: a dash where it is not known, bold and marked where it is over the limit."""
    if value is None:
        return "–"
    return f"**{text} (over)**" if value > limit else text


def chapters_table(found: list[Run]) -> str:
    """Return the executions as a Markdown table, with their sum and the largest kernel in the last row."""
    seconds = [run.seconds for run in found if run.seconds is not None]
    peaks = [run.peak_bytes for run in found if run.peak_bytes is not None]
    rows = [
        f"| [](/{run.page}.md) | {marked(run.seconds, SECONDS, f'{run.seconds or 0:.0f} s')} "
        f"| {marked(run.peak_bytes, BYTES, f'{(run.peak_bytes or 0) / 2**20:.0f} MiB')} | {run.day or '–'} |"
        for run in found
    ]
    total = marked(sum(seconds), BOOK_SECONDS, f"{sum(seconds):.0f} s") if len(seconds) == len(found) else "–"
    most = max(peaks, default=0)
    largest = marked(most, BYTES, f"largest: {most / 2**20:.0f} MiB") if len(peaks) == len(found) and found else "–"
    head = "| page | time | peak memory | executed |\n|:---|---:|---:|---:|"
    limits = f"| **Budget** | {SECONDS} s a page, {BOOK_SECONDS} s in all | {BYTES / 2**20:.0f} MiB a kernel | |"
    return "\n".join([head, *rows, f"| **All** | {total} | {largest} | |", limits])


def too_large(found: list[Run]) -> list[str]:
    """Name the kernels that held more than their budget."""
    return [
        f"the kernel of {run.page} held {run.peak_bytes / 2**20:.0f} MiB, over {BYTES / 2**20:.0f} MiB"
        for run in found
        if run.peak_bytes is not None and run.peak_bytes > BYTES
    ]


def unmeasured(found: list[Run]) -> list[str]:
    """Name the kernels whose memory is not known although the system tells it: then nothing enforces the budget."""
    return [
        f"nobody knows what the kernel of {run.page} held: book/_ext/measuring.py did not reach it"
        for run in found
        if run.peak_bytes is None and sys.platform == "linux"
    ]


def versions_table() -> str:
    """Return what the build ran on: Python, the package, what it needs most, the system and the number of cores."""
    pairs = [("fnequiv", fnequiv.__version__), ("Python", platform.python_version())]
    pairs += [(name, importlib.metadata.version(name)) for name in PACKAGES]
    pairs += [("system", f"{platform.system()}, {platform.machine()}"), ("processor cores", str(_cores()))]
    pairs += [("built", f"{datetime.now(UTC):%Y-%m-%d}")]
    return "\n".join(["| what | version or number |\n|:---|:---|", *(f"| {name} | {value} |" for name, value in pairs)])


def _cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Status(SphinxDirective):
    """The directive: ``{status} chapters`` or ``{status} versions``; a kernel over its memory is a warning."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return one of the two tables."""
        self.env.note_reread()  # the figures of the last build, whatever it executed
        table = versions_table() if self.arguments[0] == "versions" else self.chapters()
        holder = nodes.container()
        self.state.nested_parse(StringList(table.split("\n"), source="status"), 0, holder)
        return holder.children

    def chapters(self) -> str:
        """Return the table of the chapters, and warn of the kernels that were too large or not measured."""
        found = runs(self.env)
        for problem in [*too_large(found), *unmeasured(found)]:
            logger.warning("status: %s", problem)
        return chapters_table(found)


def read_last(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Put the page of the status at the end of what is read: then the others have been executed."""
    pages.sort(key=lambda page: page.rpartition("/")[2] == PAGE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and have kernels measured."""
    measuring.install()
    app.add_directive("status", Status)
    app.connect("env-before-read-docs", read_last)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
