"""The ledger tells the truth, and notices when it no longer does: each way to lie is tried on a small project."""

import html
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"

CHAPTER = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---

# Sums

```{code-cell} ipython3
assert 0 + 0 == 0
```

```{prf:theorem} Sums commute (Theorem 1 of the paper)
:label: thm-sums

$a + b = b + a$.
```

```{prf:proof}
Count.
```

## A look

```{code-cell} ipython3
---
tags: [hide-input]
---
%config A.b = "svg"
# A sum
assert all(
    a + b == b + a for a in range(9) for b in range(9)
)
```

Also with 7 and 3.25.
"""

ENTRY = """
- label: thm-sums
  paper: Theorem 1
  says: Sums commute.
  verdict: as stated
  found: So they do for 7 and 3.25, and for 0.5 too.
  how: [proof, exact]
  code: [os.path.join]
  tests: ["tests/test_sums.py::test_sums"]
  cells: ["a + b == b + a"]
"""

TEST = """def test_sums():
    assert 0.5 + 1 == 1 + 0.5


def test_nothing():
    sums = 2
    assert True


def test_refusals(refuses):
    refuses(lambda: "a" + 1, TypeError, "concatenate")
"""

CONF = """import sys
sys.path.insert(0, "book/_ext")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_proof", "ledger"]
myst_enable_extensions = ["deflist", "dollarmath"]
nb_execution_mode = "off"
numfig = True
html_static_path = ["static"]
html_theme_options = {}
suppress_warnings = ["myst-nb.lexer"]
root_doc = "book/ledger"
"""

PAGE = "# Ledger\n\n```{toctree}\nsums\nreference\n```\n\n```{ledger}\n```\n"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


checks = load("ledger_checks")


@pytest.fixture
def project(tmp_path):
    """A book of one chapter with one theorem, its test and its ledger."""
    for name, text in {
        "book/sums.md": CHAPTER,
        "book/ledger.yml": ENTRY,
        "tests/test_sums.py": TEST,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def problems(root):
    return checks.problems(checks.entries(root), root)


def test_the_ledger_of_this_book_is_true():
    assert problems(ROOT) == []


def test_the_numbered_statements_of_the_paper_are_all_there():
    numbers = ["Definition 1", "Example 1", "Example 2", "Example 3", "Proposition 1", "Definition 2"]
    named = [entry.paper for entry in checks.entries(ROOT)]
    assert {*numbers, "Theorem 1", "Theorem 2"} <= set(named)
    titles = {
        number
        for page in ROOT.glob("book/*/*.md")
        for number in numbers
        if f"({number} of the paper)" in page.read_text("utf-8")
    }
    assert titles == set(numbers)


def test_a_true_ledger_has_no_problems(project):
    assert problems(project) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "book/ledger.yml",
            "label: thm-sums",
            "label: thm-summs",
            "thm-summs: no chapter has a statement with this label",
        ),
        ("book/ledger.yml", "::test_sums", "::test_sum", "thm-sums: there is no test tests/test_sums.py::test_sum"),
        ("book/ledger.yml", "/test_sums.py", "/test_lost.py", "there is no test tests/test_lost.py::test_sums"),
        (
            "book/ledger.yml",
            "::test_sums",
            "::test_nothing",
            "the test tests/test_sums.py::test_nothing asserts nothing",
        ),
        ("book/ledger.yml", "os.path.join", "os.path.joined", "thm-sums: there is no os.path.joined to import"),
        ("book/ledger.yml", "os.path.join", "nothing.at.all", "thm-sums: there is no nothing.at.all to import"),
        ("book/ledger.yml", "a + b == b + a", "a - b == b - a", "no cell below it in sums.md asserts 'a - b == b - a'"),
        (
            "book/ledger.yml",
            "a + b == b + a",
            "0 + 0 == 0",
            "no cell below it in sums.md asserts '0 + 0 == 0'",
        ),  # above it
        ("book/ledger.yml", "3.25", "3.26", "thm-sums: the number 3.26 stands neither in sums.md nor in its tests"),
        ("book/ledger.yml", "3.25", "25", "thm-sums: the number 25 stands neither in sums.md nor in its tests"),
        ("book/ledger.yml", "[proof, exact]", "[proven]", "thm-sums: 'proven' is none of proof, exact"),
        ("book/ledger.yml", "[proof, exact]", "[]", "thm-sums: it names no how"),
        ("book/ledger.yml", "as stated", "true", "thm-sums: 'True' is none of as stated"),
        ("book/ledger.yml", '["a + b == b + a"]', "[]", "thm-sums: it names no cells"),
        ("book/sums.md", "assert all(", "print(all(", "thm-sums: no cell below it in sums.md asserts"),
        ("book/sums.md", "assert all(", "# assert all(", "thm-sums: no cell below it in sums.md asserts"),
        ("book/sums.md", "[hide-input]", "[skip-execution]", "thm-sums: no cell below it in sums.md asserts"),
        ("book/sums.md", "{prf:proof}", "{note}", "thm-sums: no proof follows it in sums.md"),
        (
            "book/sums.md",
            "## A look",
            "```{prf:lemma} More\n:label: lem-more\n```",
            "lem-more: sums.md states it, the ledger",
        ),
        ("book/sums.md", "## A look", "```{prf:lemma} Less\n```", "Less: sums.md states it, the ledger does not"),
        ("tests/test_sums.py", "assert 0.5", "0.5", "thm-sums: the test tests/test_sums.py::test_sums asserts nothing"),
        ("tests/test_sums.py", "test_sums", "check_sums", "thm-sums: there is no test tests/test_sums.py::test_sums"),
        ("tests/test_sums.py", "def test_sums", "@pytest.mark.skip\ndef test_sums", "::test_sums may be passed over"),
        (
            "tests/test_sums.py",
            "def test_sums",
            "@pytest.mark.xfail()\ndef test_sums",
            "::test_sums may be passed over",
        ),
    ],
)
def test_a_lie_is_found_and_its_entry_named(project, file, old, new, message):
    edit(project / file, old, new)
    found = problems(project)
    assert any(message in problem for problem in found), found


def test_an_error_that_is_expected_is_an_assertion(project):
    edit(project / "book/ledger.yml", "::test_sums", "::test_refusals")
    assert problems(project) == []


def test_an_entry_twice_and_keys_that_are_missing_or_unknown(project):
    path = project / "book/ledger.yml"
    path.write_text(ENTRY + ENTRY, encoding="utf-8")
    assert problems(project) == ["thm-sums: it has more than one entry"]
    for old, new, message in [("says", "tells", "tells"), ("  says: Sums commute.\n", "", "says")]:
        path.write_text(ENTRY.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError, match=f"thm-sums: .*{message}"):
            checks.entries(project)


def test_the_name_of_a_test_is_read_as_a_sentence():
    ledger = load("ledger")
    name = "tests/test_ledger.py::test_a_lie_s_entry"
    assert ledger.test(name, "") == "a lie’s entry (`tests/test_ledger.py`)"
    assert ledger.test(name, "https://site") == (
        f'[a lie’s entry](https://site/blob/main/tests/test_ledger.py#L1 "{name}") (`tests/test_ledger.py`)'
    )


def test_our_own_statements_are_listed_by_chapter():
    ledger = load("ledger")
    sections = {ledger.PAPER: ["a"], "Ours: Two sums": ["b", "c"], "Ours: Products": ["d"]}
    line = ledger.by_chapter(sections)
    assert line.astext() == "Our own statements, by chapter: Two sums (2), Products (1)."
    assert [link["refid"] for link in line if "refid" in getattr(link, "attributes", {})] == [
        "ours-two-sums",
        "ours-products",
    ]


def build(project):
    """Build the small book with warnings as errors; return the exit status, what it said, and the ledger's page."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ".", "out"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    page = project / "out/book/ledger.html"
    return done.returncode, done.stderr, page.read_text(encoding="utf-8") if page.exists() else ""


def test_the_page_follows_the_project_and_a_lie_fails_the_build(project):
    (project / "conf.py").write_text(CONF, encoding="utf-8")
    (project / "static").mkdir()
    (project / "book/ledger.md").write_text(PAGE, encoding="utf-8")
    (project / "book/reference.md").write_text(
        "# API\n\n```{eval-rst}\n.. py:function:: os.path.join()\n```\n", encoding="utf-8"
    )
    (project / "book/_ext").mkdir()
    for name in ("ledger.py", "ledger_checks.py"):
        (project / "book/_ext" / name).write_text((EXTENSIONS / name).read_text(encoding="utf-8"), encoding="utf-8")
    status, said, page = build(project)
    assert status == 0, said
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    assert "1 statements, 1 tests, 1 assertions" in words
    assert "assert all( a + b == b + a for a in range(9) for b in range(9) )" in words  # as the chapter has it
    assert '<a class="reference internal" href="#ledger-thm-sums">' in page  # from the table to the card
    assert "Theorem 1 Sums commute as stated" in words
    assert 'href="sums.html#thm-sums"' in page  # where it is taught
    assert 'href="reference.html#os.path.join"' in page  # where it is coded
    assert 'href="sums.html#a-look"' in page  # where its cell stands
    chapter = (project / "out/book/sums.html").read_text(encoding="utf-8")
    assert '<a class="reference internal" href="ledger.html#ledger-thm-sums">In the ledger</a>' in chapter

    edit(project / "tests/test_sums.py", "assert 0.5", "0.5")  # the page itself has not changed
    status, said, _ = build(project)
    assert status != 0
    assert "ledger: thm-sums: the test tests/test_sums.py::test_sums asserts nothing" in said
    edit(project / "tests/test_sums.py", "    0.5", "    assert 0.5")
    edit(project / "book/ledger.yml", "os.path.join", "os.path.split")
    status, said, _ = build(project)
    assert status != 0
    assert "ledger: thm-sums: the reference has no entry for os.path.split" in said
