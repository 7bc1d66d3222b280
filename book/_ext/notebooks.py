"""A Sphinx extension: every chapter's ``.ipynb``, behind the download button, is a notebook that runs anywhere.

Jupyter Book would hand out its own executed copy, which shows directives as raw text and says nowhere what to
install. Here the chapter is written anew: a first cell that installs what is missing, plain Markdown (``plain``),
numbers as on the page, links to the site, the code as it is and no outputs. All are written at the end of a build.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from plain import LookUp, Plain
from sphinx.application import Sphinx
from sphinx.util import logging

EXTRA = "notebooks"  # the extra of pyproject.toml that has what chapters import
IMPORTS = ("fnequiv", "IPython", "safetensors", "sklearn")
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WELCOME = """\
*This notebook is a chapter of [{book}]({site}). [Its page]({page}) shows what the cells print, and figures that move
without a kernel. Solutions stand right below their exercises: to try first, stop scrolling at the question.*

The next cell installs what the chapter needs, once; it does nothing if all is there. On Linux, pip brings PyTorch
with CUDA libraries, gigabytes that no chapter uses. To do without them, first install PyTorch's build for the CPU, as
[its installation page](https://pytorch.org/get-started/locally/) says."""
INSTALL = """\
from importlib.util import find_spec

if not all(find_spec(name) for name in {imports}):
    %pip install --quiet "fnequiv[{extra}] @ git+{repository}\""""
KERNELSPEC = re.compile(r"---\n(?:(?!---\n).*\n)*?kernelspec:\n")  # in the front matter, not in the text
logger = logging.getLogger(__name__)


def cited(entry: Any, textual: bool) -> str:
    """Return an author-year citation, as the pages show it."""
    people = entry.persons["author"]
    names = [" ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names])) for person in people]
    named = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return f"{named} ({entry.fields['year']})" if textual else f"({named}, {entry.fields['year']})"


def look_up(app: Sphinx) -> LookUp:
    """Return what references of the built book show, and their addresses."""
    env, site = app.env, app.config.html_baseurl
    places: dict[str, tuple[str, str]] = dict(env.get_domain("std").anonlabels)  # type: ignore[attr-defined]
    places |= {label: (proof["docname"], label) for label, proof in getattr(env, "proof_list", {}).items()}
    equations = env.get_domain("math").equations  # type: ignore[attr-defined]
    places |= {label: (page, f"equation-{label}") for label, (page, _) in equations.items()}
    numbers = {
        (page, anchor): f"({count})" if kind == "displaymath" else f"{kind.capitalize()} {count}"
        for page, kinds in env.toc_fignumbers.items()
        for kind, anchors in kinds.items()
        for anchor, number in anchors.items()
        for count in [".".join(map(str, number))]
    }
    cites: Any = env.get_domain("cite") if "cite" in env.domains else None
    entries = {found.key: (found.entry, found) for found in cites.citations} if cites else {}

    def find(kind: str, target: str) -> tuple[str, str]:
        if kind.startswith("cite"):
            entry, citation = entries[target]
            address = f"{app.builder.get_target_uri(citation.bibliography_key.docname)}#{citation.citation_id}"
            return cited(entry, kind == "cite:t"), site + address
        page, anchor = places[target]
        address = f"{site}{app.builder.get_target_uri(page)}#{anchor}"
        return numbers.get((page, anchor), ""), address

    return find


def notebook(text: str, welcome: str, install: str, plain: Plain) -> nbformat.NotebookNode:
    """Return the notebook of a chapter, from the text of its page."""
    cells = [nbformat.v4.new_markdown_cell(welcome), nbformat.v4.new_code_cell(install)]
    for cell in jupytext.reads(plain(text), fmt="md:myst").cells:
        if cell.cell_type == "markdown":
            new = nbformat.v4.new_markdown_cell(cell.source.strip())
        else:
            tags = cell.metadata.get("tags", [])
            hidden = {"jupyter": {"source_hidden": True}} if "hide-input" in tags else {}
            new = nbformat.v4.new_code_cell(cell.source, metadata=hidden)
        cells += [new] if new.source else []
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same at every build
    return nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write the notebook of every page with a kernel over Jupyter Book's own."""
    if exception is not None or app.builder.format != "html":
        return
    site, find = app.config.html_baseurl, look_up(app)
    repository = (app.config.html_theme_options or {}).get("repository_url", "")
    macros = (getattr(app.config, "mathjax3_config", None) or {}).get("tex", {}).get("macros", {})
    for page in sorted(app.env.found_docs):
        source = Path(app.env.doc2path(page))
        text = source.read_text(encoding="utf-8")
        if source.suffix != ".md" or not KERNELSPEC.match(text):
            continue
        welcome = WELCOME.format(book=app.config.html_title, site=site, page=site + app.builder.get_target_uri(page))
        install = INSTALL.format(imports=IMPORTS, extra=EXTRA, repository=repository)
        try:
            made = notebook(text, welcome, install, Plain(page, site, find, macros))
        except (ValueError, LookupError) as problem:
            logger.warning("notebooks: %s", problem, location=page)
            continue
        target = Path(app.outdir, "_sources", page).with_suffix(".ipynb")
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(made, target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
