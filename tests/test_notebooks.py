"""The notebooks that pages offer: plain Markdown, the chapter's own code, and a first cell that installs."""

import functools
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jupytext
import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from jupytext.config import load_jupytext_config

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"
CHAPTERS = [*sorted(ROOT.glob("book/[0-9]_*/*.md")), *sorted(ROOT.glob("book/appendix/*.md"))]
# What only the book's extensions understand: roles, directives, labels, breaks of cells, options, macros.
MARKS = re.compile(r"(?m)\{[\w:-]+\}`|(?:```|:::)\s*\{|^:::|^\([\w-]+\)=|^\+\+\+|^:[\w-]+:|\\[RN](?![A-Za-z])")


def extension(name):
    if str(EXTENSIONS) not in sys.path:
        sys.path.append(str(EXTENSIONS))
    return importlib.import_module(name)


def look_up(kind, target):
    said = "(7.1)" if target.startswith("eq") else f"Item {target}"
    return said if kind == "label" else f"{kind} {target}", f"https://at#{target}"


def plain(text, macros=None):
    convert = extension("plain").Plain("book/2_two/page", "https://site/", look_up, macros or {})
    return convert(text)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_jupyter_knows_a_chapter_for_a_myst_notebook(path):
    """Told nothing but the file, as JupyterLab is on Binder; without `extension: .md` it would see no code."""
    notebook = jupytext.read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.source for cell in notebook.cells] == [
        cell.source for cell in jupytext.read(path, fmt="md:myst").cells
    ]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_saved_in_jupyter_keeps_its_description(path):
    notebook = jupytext.read(path)
    saved = jupytext.writes(notebook, fmt="md:myst", config=load_jupytext_config(str(path)))
    described = [next(yaml.safe_load_all(text))["description"] for text in (path.read_text(encoding="utf-8"), saved)]
    assert described[0] == described[1]


@functools.cache
def made(path):
    notebooks = extension("notebooks")
    page = path.relative_to(ROOT).with_suffix("").as_posix()
    convert = extension("plain").Plain(page, "https://site/", look_up, {"R": "\\mathbb{R}", "N": "\\mathcal{N}"})
    install = notebooks.INSTALL.format(imports=notebooks.IMPORTS, extra=notebooks.EXTRA, repository="https://r")
    return notebooks.notebook(path.read_text(encoding="utf-8"), "Welcome", install, convert)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "See {prf:ref}`thm` and {ref}`an\nexercise <ex>`.",
            "See [Item thm](https://at#thm) and [an\nexercise](https://at#ex).",
        ),
        ("{cite}`A, B`; {cite:t}`A`", "[cite:p A](https://at#A), [cite:p B](https://at#B); [cite:t A](https://at#A)"),
        ("$$\na = b\n$$ (eq)\nBy {eq}`eq`", "$$\na = b \\tag{7.1}\n$$\nBy [(7.1)](https://at#eq)"),
        ("(here)=\n## Head", "## Head"),
        ("[c](../3_three/c.md#x) [w](https://w/a.md)", "[c](https://site/book/3_three/c.html#x) [w](https://w/a.md)"),
        ("[here](#part)", "[here](https://site/book/2_two/page.html#part)"),
        ("$\\R^n \\Re$", "$\\mathbb{R}^n \\Re$"),
        ("{py:func}`~a.b` {doc}`the ledger </book/ledger>` {term}`orbit`", "`a.b` the ledger orbit"),
        (
            "```{prf:theorem} Big\n:label: thm\n\nFor all:\n\n$$\na &= b \\\\\nc &= d\n$$\n```",
            "> **Item thm (Big).**\n>\n> For all:\n>\n> $$a &= b \\\\ c &= d$$",
        ),
        ("```{prf:proof}\nOne.\n\n$$\nx\n$$\n```", "*Proof.* One.\n\n$$\nx\n$$\n\n∎"),
        ("```{prf:proof}\nOne line.\n```", "*Proof.* One line. ∎"),
        ("```{note}\n- a\n  b\n```", "> **Note.**\n>\n> - a\n>   b"),
        (
            "::::{admonition} Check\n:class: tip\n\nWhich?\n\n:::{dropdown} (a) `x`\nNo.\n:::\n::::",
            "**Check.**\n\nWhich?\n\n<details>\n<summary>(a) <code>x</code></summary>\n\nNo.\n\n</details>",
        ),
        (
            "```{exercise} A\n:label: ex\n\nDo.\n```\n```{solution-start} ex\n:class: dropdown\n```\nSo.",
            "+++\n\n### Item ex: A\n\nDo.\n+++\n\n#### Solution to Item ex\nSo.",
        ),
        ("[the ledger](/book/ledger.md#x)", "[the ledger](https://site/book/ledger.html#x)"),
        ("```python\n{ref}`x`\n```", "```python\n{ref}`x`\n```"),  # code stays as it is
        ("`{ref}` is a role, `$\\R$` and ``[](`c`.md)``", "`{ref}` is a role, `$\\R$` and ``[](`c`.md)``"),
        ("{ref}`An <ex>`, `\\R` and {ref}`B <ex>`", "[An](https://at#ex), `\\R` and [B](https://at#ex)"),
    ],
)
def test_plain(text, expected):
    assert plain(text, {"R": "\\mathbb{R}"}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{sparkline}`1,2`",
        "```{mermaid}\ngraph\n```",
        "```{prf:proof}\n```",
        "Read [](../3_three/c.md).",
        '[c](../3_three/c.md "A title")',
        "[c](<../3_three/c d.md>)",
        "![A picture](picture.png)",
        '<img alt="A picture" src="picture.png">',
    ],
)
def test_what_has_no_plain_form_is_an_error(text):
    with pytest.raises(ValueError, match="no plain form"):
        plain(text)


@pytest.mark.parametrize("text", ["{ref}`bare`", "```{prf:lemma}\n:label: bare\nSo.\n```", "$$\nx\n$$ (bare)"])
def test_a_number_that_is_missing_is_an_error(text):
    convert = extension("plain").Plain("page", "https://site/", lambda kind, target: ("", "https://at"))
    assert convert("{ref}`With words <bare>`") == "[With words](https://at)"
    with pytest.raises(ValueError, match="bare has no number"):
        convert(text)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_as_a_notebook(path):
    notebook = made(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    source = [cell for cell in jupytext.read(path, fmt="md:myst").cells if cell.cell_type == "code"]
    assert [cell.source for cell in code[1:]] == [cell.source for cell in source]
    assert "%pip install" in code[0].source
    assert not any(cell.outputs for cell in code)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert not MARKS.search(re.sub(r"`[^`{}\n]+`", "code", cell.source)), cell.source


@pytest.mark.parametrize("missing", [None, "fnequiv", "sklearn"])
def test_the_first_cell_installs_only_what_is_missing(missing, monkeypatch):
    notebooks = extension("notebooks")
    asked = []
    install = notebooks.INSTALL.format(imports=notebooks.IMPORTS, extra=notebooks.EXTRA, repository="https://r")
    code = TransformerManager().transform_cell(install)
    shell = SimpleNamespace(run_line_magic=lambda *command: asked.append(command))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else name)
    exec(code, {"get_ipython": lambda: shell})
    assert asked == ([("pip", 'install --quiet "fnequiv[notebooks] @ git+https://r"')] if missing else [])


CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", "sphinx_proof", "sphinx_exercise", "sphinxcontrib.bibtex", "notebooks"]
nb_execution_mode, suppress_warnings = "off", ["myst-nb.lexer"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_title, html_baseurl, numfig, math_numfig = "The Book", "https://site/", True, True
html_theme_options = {{}}
bibtex_bibfiles = ["all.bib"]
mathjax3_config = {{"tex": {{"macros": {{"R": r"\\mathbb{{R}}"}}}}}}
"""
PAGE = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---
# One

```{prf:lemma} Small
:label: lem
In $\\R$.
```

$$
x
$$ (formula)

By {prf:ref}`lem`, {eq}`formula`, {ref}`the last <ex>`, {cite:t}`Two`, {cite}`Three`.

```{exercise} Last
:label: ex
Go.
```

```{solution-start} ex
```

```{code-cell} ipython3
1
```

```{solution-end}
```
"""
BIB = """
@book{Two, author = {van Dam, A. and B{\\"o}hm, C.}, title = {T}, year = 2001, publisher = {P}}
@book{Three, author = {X, A. and Y, C. and Z, D.}, title = {T}, year = 2002, publisher = {P}}
"""


def test_a_built_book_gives_its_notebooks_the_numbers_of_its_pages(tmp_path):
    files = {
        "conf.py": CONF.format(extensions=str(EXTENSIONS)),
        "all.bib": BIB,
        "index.md": "# Book\n\n```{toctree}\n:numbered:\none\ntext\n```\n\n```{bibliography}\n```\n",
        "text.md": "---\na: b\n---\n# Text\n\n```yaml\nkernelspec:\n---\n```\n",
        "one.md": PAGE,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", tmp_path, tmp_path / "built"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    notebook = nbformat.read(tmp_path / "built/_sources/one.ipynb", as_version=4)
    said = "\n".join(cell.source for cell in notebook.cells)
    assert "chapter of [The Book](https://site/). [Its page](https://site/one.html)" in said
    assert "> **Lemma 1.1 (Small).**" in said
    assert "> In $\\mathbb{R}$." in said
    assert "x \\tag{1.1}" in said
    assert "[Lemma 1.1](https://site/one.html#lem), [(1.1)](https://site/one.html#equation-formula)" in said
    assert "[the last](https://site/one.html#ex)" in said
    assert re.search(r"\[van Dam and Böhm \(2001\)\]\(https://site/index.html#id\d+\)", said)
    assert re.search(r"\[\(X et al\., 2002\)\]\(https://site/index.html#id\d+\)", said)
    assert "### Exercise 1.1: Last" in said
    assert "#### Solution to Exercise 1.1" in said
    assert not (tmp_path / "built/_sources/index.ipynb").exists()
    assert not (tmp_path / "built/_sources/text.ipynb").exists()  # its text alone speaks of a kernel
