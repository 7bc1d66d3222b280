"""The book's Sphinx extensions: what makes a chapter execute again, what it took, and bars in docstrings."""

import collections.abc
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sphinx.util.typing import stringify_annotation

from fnequiv.exercises.checking import ROOMS

EXTENSIONS = Path(__file__).parents[1] / "book" / "_ext"

CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# {title}

```{{code-cell}} ipython3
{code}
print("value", VALUE, file=open("../runs.txt", "a"))
VALUE
```
"""

FILES = {
    "constraints.txt": "numpy==1.0\n",
    "fnequiv/__init__.py": "import lazy_loader\n\n__getattr__, *_ = lazy_loader.attach_stub(__name__, __file__)\n",
    "fnequiv/__init__.pyi": "from .shallow import VALUE as VALUE\n",
    "fnequiv/base.py": "NUMBER = 1\n",
    "fnequiv/shallow.py": '"""The first text."""\nfrom .base import NUMBER\n\nVALUE = 10 * NUMBER\n',
    "fnequiv/deep.py": "VALUE = 2\n",
    "book/conf.py": (
        "import sys\nsys.path.insert(0, '_ext')\n"
        "extensions = ['myst_nb', 'sphinx.ext.autodoc', 'chapter_cache']\n"
        "nb_execution_mode = 'cache'\nnb_execution_raise_on_error = True\nnb_execution_cache_path = '../cache'\n"
    ),
    "book/index.md": (
        "# Index\n\n```{toctree}\nshallow\ndeep\n```\n\n"
        "```{eval-rst}\n.. automodule:: fnequiv.shallow\n   :members:\n```\n"
    ),
    "book/shallow.md": CHAPTER.format(title="Shallow", code="from fnequiv import VALUE"),
    "book/deep.md": CHAPTER.format(title="Deep", code="from fnequiv.deep import VALUE"),
}


def extension(name):
    if str(EXTENSIONS) not in sys.path:
        sys.path.append(str(EXTENSIONS))  # an extension may import another, as Sphinx lets it
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def book(tmp_path):
    """A book of two chapters over a package of three modules, with the real extension."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    shutil.copytree(EXTENSIONS, tmp_path / "book" / "_ext", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def build(book):
    """Build as ``make book`` does; return the values that chapters printed because they were executed."""
    (book / "runs.txt").write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ".", "../built/html"]
    environment = {**os.environ, "PYTHONPATH": str(book)}
    done = subprocess.run(command, cwd=book / "book", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (book / "runs.txt").read_text(encoding="utf-8").split("value ")[1:]


def test_a_chapter_is_executed_again_when_what_it_reaches_has_changed(book):
    assert sorted(build(book)) == ["10\n", "2\n"]
    assert build(book) == []  # nothing changed

    (book / "fnequiv/base.py").write_text(
        "NUMBER = 3\n", encoding="utf-8"
    )  # reached by one chapter, through another module
    assert build(book) == ["30\n"]
    assert ">30\n<" in (book / "built/html/shallow.html").read_text(encoding="utf-8")

    (book / "fnequiv/base.py").write_text(
        "NUMBER = 1\n", encoding="utf-8"
    )  # back again: its outputs are still in the cache
    assert build(book) == []
    assert ">10\n<" in (book / "built/html/shallow.html").read_text(encoding="utf-8")

    shallow = book / "fnequiv/shallow.py"
    shallow.write_text(
        shallow.read_text(encoding="utf-8").replace("The first text", "The second text"), encoding="utf-8"
    )
    assert build(book) == ["10\n"]
    assert "The second text" in (book / "built/html/index.html").read_text(encoding="utf-8")  # the API page followed

    (book / "constraints.txt").write_text("numpy==2.0\n", encoding="utf-8")
    assert sorted(build(book)) == ["10\n", "2\n"]


@pytest.mark.parametrize(
    ("cell", "reached", "spared"),
    [
        ("from fnequiv.validation import check_widths", {"fnequiv", "fnequiv.validation"}, {"fnequiv.symmetry"}),
        ("from fnequiv import symmetry", {"fnequiv.symmetry", "fnequiv.validation"}, {"fnequiv.equivalence.mlp"}),
        ("from fnequiv.equivalence import mlp", {"fnequiv.equivalence.mlp", "fnequiv.symmetry"}, {"fnequiv.plotting"}),
        ("from fnequiv import apply", {"fnequiv.equivalence.actions", "fnequiv.symmetry"}, {"fnequiv.plotting"}),
        ("from fnequiv import equivalence", {"fnequiv.equivalence.actions"}, {"fnequiv.widgets"}),
        ("def f():\n    import fnequiv.plotting as p", {"fnequiv.plotting"}, {"fnequiv.equivalence"}),
        ("import fnequiv", {"fnequiv.plotting", "fnequiv.equivalence.actions"}, set()),
        ("from fnequiv import *", {"fnequiv.plotting", "fnequiv.equivalence.actions"}, set()),
        ("%matplotlib inline\nimport numpy", set(), {"fnequiv"}),
        (
            "%config A.b = 'svg'\nif True:\n    !ls\nfrom fnequiv import symmetry",
            {"fnequiv.symmetry"},
            {"fnequiv.plotting"},
        ),
        ("%time import fnequiv.symmetry", {"fnequiv.plotting", "fnequiv.equivalence.actions"}, set()),
        ("%%time\nfrom fnequiv import symmetry", {"fnequiv.symmetry"}, {"fnequiv.plotting"}),
        ("%%bash\nfor f in *; do echo $f; done", {"fnequiv.plotting", "fnequiv.equivalence.actions"}, set()),
        ("x = (7\n% 2)", {"fnequiv.plotting", "fnequiv.equivalence.actions"}, set()),
        ("import numpy as np\nfrom numpy import linalg", set(), {"fnequiv"}),
        (
            'from fnequiv import exercises\nexercises.check("log-copies", None)',
            {"fnequiv.exercises.introduction", "fnequiv.exercises.checking", "fnequiv.exercises.tasks"},
            {"fnequiv.exercises.attention", "fnequiv.exercises.estimation"},
        ),
        ("from fnequiv import exercises", {"fnequiv.exercises.introduction", "fnequiv.exercises.attention"}, set()),
        (
            'from fnequiv import exercises\nexercises.check("log-copies", 1)\nexercises.check(name, 1)',
            {"fnequiv.exercises.introduction", "fnequiv.exercises.attention"},
            set(),
        ),
    ],
)
def test_what_a_cell_reaches(cell, reached, spared):
    found = extension("chapter_cache").reached_modules([cell])
    assert reached <= found
    assert not spared & found


def test_a_chapter_keeps_the_room_of_every_exercise_that_it_checks():
    cache = extension("chapter_cache")
    home = {task.name: room.__name__ for room in ROOMS for task in room.TASKS}
    checked = {}
    for page in sorted(EXTENSIONS.parent.glob("[0-9a]*/*.md")):
        cells = cache.code_cells(page.read_text(encoding="utf-8"))
        rooms = {home[name] for name in cache.CHECKED.findall("\n".join(cells))}
        assert rooms <= cache.reached_modules(cells)
        checked[page.stem] = rooms
    assert sum(map(bool, checked.values())) >= 10


def test_data_beside_a_module_counts_as_the_module(book):
    """A live figure's page is no Python, and every cell that imports ``explore`` shows it."""
    assert "page.html" in [path.name for path in extension("chapter_cache")._files("fnequiv.widgets")]
    (book / "fnequiv/parts").mkdir()
    (book / "fnequiv/parts/__init__.py").write_text("", encoding="utf-8")
    (book / "fnequiv/parts/whole.py").write_text("VALUE = 5\n", encoding="utf-8")
    page = book / "fnequiv/parts/page.html"
    page.write_text("<p>one</p>", encoding="utf-8")
    (book / "book/deep.md").write_text(
        CHAPTER.format(title="Deep", code="from fnequiv.parts.whole import VALUE"), encoding="utf-8"
    )
    keys = {}
    for text in ("<p>one</p>", "<p>two</p>"):
        page.write_text(text, encoding="utf-8")
        script = "import chapter_cache; print(chapter_cache.chapter_key(open('deep.md').read()))"
        path = os.pathsep.join([str(book), str(book / "book/_ext")])
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command,
            cwd=book / "book",
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        keys[text] = done.stdout
    assert len(set(keys.values())) == 2


def told(book):
    """Add the page of the status to the book."""
    with (book / "fnequiv/__init__.py").open("a", encoding="utf-8") as package:
        package.write('__version__ = "1.0"\n')
    conf = book / "book/conf.py"
    conf.write_text(conf.read_text(encoding="utf-8").replace("'chapter_cache'", "'chapter_cache', 'status'"), "utf-8")
    index = "# Index\n\n```{toctree}\nstatus\nshallow\ndeep\n```\n"
    (book / "book/index.md").write_text(index, encoding="utf-8")
    page = "# Status\n\n```{status} chapters\n```\n\n```{status} versions\n```\n"
    (book / "book/status.md").write_text(page, encoding="utf-8")


def test_the_status_tells_what_each_execution_took_also_of_cached_chapters(book):
    told(book)
    hungry = "from fnequiv.deep import VALUE\nheld = b'x' * (150 << 20)\ndel held"
    (book / "book/deep.md").write_text(CHAPTER.format(title="Deep", code=hungry), encoding="utf-8")

    def rows():
        text = (book / "built/html/status.html").read_text(encoding="utf-8")
        cells = [
            re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
            for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL)
        ]
        found = [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in cells]
        assert [row for row in found if row[0] == "built"]
        return [row for row in found if row[0] != "built"]  # the day, and midnight may come between two builds

    assert len(build(book)) == 2
    first = rows()
    (_, shallow_time, shallow, day), (_, _, deep, _) = first[1:3]
    assert [row[0] for row in first[1:4]] == ["Shallow", "Deep", "All"]
    assert re.fullmatch(r"\d+ s", shallow_time)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day)
    if sys.platform == "linux":
        assert int(deep.removesuffix(" MiB")) - int(shallow.removesuffix(" MiB")) > 140
        assert first[3][2] == f"largest: {deep}"
    assert ["fnequiv", "1.0"] in first

    shutil.rmtree(book / "built")  # nothing is known but what the cache keeps
    assert build(book) == []
    assert rows() == first


def test_a_kernel_that_nobody_measured_is_a_warning_where_the_system_tells(monkeypatch):
    status = extension("status")
    measured, unknown = status.Run("one", 1.0, 1 << 20, "2026-01-01"), status.Run("two", 1.0, None, None)
    monkeypatch.setattr(status.sys, "platform", "linux")
    (problem,) = status.unmeasured([measured, unknown])
    assert "kernel of two" in problem
    monkeypatch.setattr(status.sys, "platform", "darwin")
    assert status.unmeasured([measured, unknown]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has held")
def test_a_client_that_does_not_measure_fails_the_build(book):
    """As it would where MyST-NB runs its notebooks in another way than the one that is extended."""
    told(book)
    (book / "book/_ext/measuring.py").write_text("def install():\n    pass\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="nobody knows what the kernel of shallow held"):
        build(book)


def test_the_status_marks_what_is_over_the_budget_and_knows_what_was_not_measured():
    status = extension("status")
    fine, slow = status.Run("fine", 59.9, 1 << 29, "2026-01-01"), status.Run("slow", 60.4, 1025 << 20, "2026-01-01")
    unknown = status.Run("unknown", 1.0, None, None)
    assert status.too_large([fine, slow, unknown]) == ["the kernel of slow held 1025 MiB, over 1024 MiB"]
    table = status.chapters_table([fine, slow]).split("\n")
    assert table[2:4] == [
        "| [](/fine.md) | 60 s | 512 MiB | 2026-01-01 |",
        "| [](/slow.md) | **60 s (over)** | **1025 MiB (over)** | 2026-01-01 |",
    ]
    assert table[4] == "| **All** | 120 s | **largest: 1025 MiB (over)** | |"
    assert status.chapters_table([fine, unknown]).split("\n")[3:5] == [
        "| [](/unknown.md) | 1 s | – | – |",
        "| **All** | 61 s | – | |",
    ]
    late = [status.Run(str(i), 59.0, 1, "2026-01-01") for i in range(7)]
    assert "| **413 s (over)** |" in status.chapters_table(late)


def test_the_key_stays_out_of_pages_without_code():
    cache = extension("chapter_cache")
    assert cache.chapter_key("# Only text\n") is None
    assert cache.chapter_key(FILES["book/deep.md"].replace("{code-cell} ipython3", "python")) is None


@pytest.mark.parametrize(
    ("written", "escaped"),
    [
        ("|x - y| ≤ ρ |x|, sup |σ'|; done", r"\|x - y\| ≤ ρ \|x\|, sup \|σ'\|; done"),
        ("int | None", "int | None"),
        ("``|x|`` and :math:`|y|`", "``|x|`` and :math:`|y|`"),
        (">>> print('|x|')\n|x|", ">>> print('|x|')\n|x|"),
        ("| a | b |", "| a | b |"),
    ],
)
def test_bars_in_docstrings_are_absolute_values(written, escaped):
    lines = ["Title |a|.", "", *written.split("\n")]
    extension("absolute_values").escape_bars(None, "function", "f", None, None, lines)
    assert lines == [r"Title \|a\|.", "", *escaped.split("\n")]


def test_the_account_of_a_module_has_its_name_and_leads_to_its_chapters():
    lines = [
        "Sums.",
        "",
        'Chapters: "Telling',
        'networks apart" and "Optimisation". ``"Attention"`` is a word, "Nothing" no page.',
    ]
    extension("modules").introduce(None, "module", "fnequiv.sums", None, None, lines)
    assert lines[0] == ".. rubric:: ``fnequiv.sums``"
    assert lines[3:] == [
        "Sums.",
        "",
        "Chapters: :doc:`Telling networks apart </book/2_equivalence/telling_apart>` and "
        ":doc:`Optimisation </book/5_generalization_optimization/optimisation>`. "
        '``"Attention"`` is a word, "Nothing" no page.',
    ]


def test_signatures_name_the_types_of_numpy_as_the_source_does():
    cover = collections.abc.Callable[[npt.NDArray[np.floating[npt.NBitBase]]], npt.ArrayLike] | None
    written = f"(cover: {stringify_annotation(cover, 'smart')}, more: dict = <factory>)"
    assert "_SupportsArray" in written
    rewritten = extension("signatures").rewrite(None, "function", "f", None, None, written, None)
    assert rewritten == (
        "(cover: ~collections.abc.Callable[[~numpy.typing.NDArray[~numpy.floating[~numpy.typing.NBitBase]]], "
        "~numpy.typing.ArrayLike] | None, more: dict = ...)",
        None,
    )
    for nothing in ("(*args, **kwargs)", "(*args: t.Any, **kwargs: ~typing.Any)"):
        assert extension("signatures").rewrite(None, "class", "C", None, None, nothing, None) == ("", None)
        assert extension("signatures").rewrite(None, "function", "f", None, None, nothing, None) == (nothing, None)


def test_the_account_of_a_function_stays_as_it_is():
    lines = ['Chapter: "Attention".']
    extension("modules").introduce(None, "function", "fnequiv.sums.add", None, None, lines)
    assert lines == ['Chapter: "Attention".']


def test_what_the_theme_writes_is_mended_and_nothing_else():
    mended = extension("mended").mended
    written = (
        '<script src="../_static/vendor/fontawesome/6.5.2/js/all.min.js?digest=1"></script>'
        '<summary aria-label="Toggle hidden content">'
        '<button class="btn search-button-field search-button__button" title="Search" aria-label="Search" data-x="1">'
        '<button class="btn search-button" title="Search" aria-label="Search">'
        '<details><summary><span class="toctree-toggle" role="presentation">'
        '<div class="pst-scrollable-table-container"><table class="table">'
        '<dl>\n<dd><em class="sig-param">x</em></dd></dl><dl><dt>x</dt></dl><div role="list" class="citation-list">'
        '<th class="head"><p>permutation</p></th><td><p>permutation</p></td>'
        '<code><span class="pre">fnequiv/complexity/norms.py</span></code> <span class="pre">math.log</span>'
        '<div class="output stream"><div class="highlight"><pre><span></span>a   &lt; b\nc   d\n</pre></div></div>'
        '<div class="output stream"><div class="highlight"><pre>two words, and three\n</pre></div></div>'
        '<div class="highlight"><pre>code   code\ncode   code</pre></div>'
    )
    assert mended(written) == (
        "<summary>"
        '<button class="btn search-button-field search-button__button" title="Search" data-x="1">'
        '<button class="btn search-button" title="Search" aria-label="Search">'
        '<details><summary aria-label="Pages of this part"><span class="toctree-toggle" role="presentation">'
        '<div class="pst-scrollable-table-container" tabindex="0"><table class="table">'
        '<dl role="presentation">\n<dd><em class="sig-param">x</em></dd></dl><dl><dt>x</dt></dl>'
        '<div class="citation-list">'
        '<th class="head"><p>permu&shy;tation</p></th><td><p>permutation</p></td>'
        '<code><span class="pre">fnequiv/<wbr>complexity/<wbr>norms.<wbr>py</span></code> '
        '<span class="pre">math.log</span><div class="output stream"><div class="highlight">'
        '<pre style="--columns: 7"><span></span>a   &lt; b\nc   d\n</pre></div></div>'
        '<div class="output stream"><div class="highlight"><pre>two words, and three\n</pre></div></div>'
        '<div class="highlight"><pre>code   code\ncode   code</pre></div>'
    )
    assert mended(mended(written)) == mended(written)


def test_a_formula_stays_on_one_line_with_what_touches_it():
    mended = extension("mended").mended
    formula = '<span class="math notranslate nohighlight">\\(x &lt; y\\)</span>'
    written = f"<p>({formula}, and {formula}-th {formula} “{formula}”<br>{formula}</p>"
    together = '<span class="together">{}</span>'.format
    first, second, third = (together(part) for part in (f"({formula},", f"{formula}-th", f"“{formula}”"))
    assert mended(written) == f"<p>{first} and {second} {formula} {third}<br>{formula}</p>"
    assert mended(mended(written)) == mended(written)


def test_a_title_has_no_bracket_in_a_bracket():
    title = '<p class="admonition-title"><span class="caption-number">Theorem 4.2 </span> ({})</p>'.format
    mended = extension("mended").mended
    assert mended(title("A bound (Theorem 1 of the paper)")) == title("A bound; Theorem 1 of the paper")
    assert mended(title("Barrier (see below)")) == title("Barrier (see below)")
