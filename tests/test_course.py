"""The course kit, from a small book: what a sheet leaves out, and that a deck cannot show what is not there."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from docutils.parsers.rst import DirectiveError

ROOT = Path(__file__).parents[1]
COURSE = ROOT / "book/_course"
LIVE = "application/vnd.jupyter.widget-view+json"

PAGE = """# A chapter

## A section

First words of a paragraph.

```{prf:theorem} Named
:label: thm-named

The statement of the theorem, $a = b$.
```

$$
c = d
$$ (labelled)

```python
print("a cell to show")
```

| name | value |
|---|---|
| one | 1 |
| two | 2 |

```{raw} html
<div class="cell_output"><div><script type="application/vnd.jupyter.widget-view+json">{"model_id": "fig"}</script>
<img class="fnequiv-static" alt="A figure" src="data:image/svg+xml,static"></div></div>
```

::::::{admonition} Check yourself
:class: tip

What is asked?

::::{dropdown} (a) The wrong option.

No. An explanation of the first option.
::::

::::{dropdown} (b) The right option, $x$.

Yes. An explanation of the second option.
::::
::::::

## Small <b & more

A paragraph.

## Exercises

```{exercise} By hand
:label: ex-hand

The statement of one exercise.
```

```{solution} ex-hand
:class: dropdown

The answer of the first solution.
```

```{exercise} To code
:label: ex-code

The statement of another.
```

```python
def stub(): ...
```

```{raw} html
<div class="cell"><div class="cell_output">Not yet, says the check.</div></div>
```

```{solution-start} ex-code
:class: dropdown
```

The answer of the second solution.

```python
def solved(): return 1
```

```{solution-end}
```
"""
CONFIGURATION = (
    "extensions = ['myst_parser', 'sphinx_design', 'sphinx_proof', 'sphinx_exercise']\n"
    "myst_enable_extensions = ['dollarmath', 'colon_fence']\nhtml_permalinks_icon = '#'  # as the book's theme\n"
)
SECRETS = (
    "The answer of the first solution",
    "The answer of the second solution",
    "def solved",
    "An explanation of the first option",
    "An explanation of the second option",
)


def module(name):
    if str(COURSE) not in sys.path:
        sys.path.append(str(COURSE))
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, COURSE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A built book of one chapter."""
    source = tmp_path_factory.mktemp("source")
    page = source / "book/1_one/chapter.md"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE, encoding="utf-8")
    (source / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    (source / "index.md").write_text("# Index\n\n```{toctree}\nbook/1_one/chapter\n```\n", encoding="utf-8")
    built = source / "built"
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", source, built], check=True)
    html = built / "book/1_one/chapter.html"
    # the theme of this small book has no <article>, the book's own has one
    body = html.read_text(encoding="utf-8").replace('<div class="body" role="main">', '<article class="body">')
    html.write_text(body.replace("</body>", f"{widgets()}</body>"), encoding="utf-8")
    return built


def widgets():
    """The state of a live figure with a slider of two values and a list of two: four frames, one of them twice."""
    frames = {name: {"model_name": "HTMLModel", "state": {"value": f"<svg>{name}</svg>"}} for name in "xyz"}
    stack = (
        {
            "model_name": "StackModel",
            "state": {"children": ["IPY_MODEL_x", "IPY_MODEL_y"]},
        },
        {"model_name": "StackModel", "state": {"children": ["IPY_MODEL_x", "IPY_MODEL_z"]}},
    )
    models = {
        **frames,
        "s0": stack[0],
        "s1": stack[1],
        "s": {"model_name": "StackModel", "state": {"children": ["IPY_MODEL_s0", "IPY_MODEL_s1"]}},
        "slider": control("SelectionSliderModel", "width", ["1", "2"]),
        "list": control("DropdownModel", "sort", ["a & b", "c"]),
        "fig": {"model_name": "VBoxModel", "state": {"children": [f"IPY_MODEL_{m}" for m in ("slider", "list", "s")]}},
    }
    return f'<script type="application/vnd.jupyter.widget-state+json">{json.dumps({"state": models})}</script>'


def control(kind, name, labels):
    state = {"_model_name": kind, "description": name, "_options_labels": labels}
    return {"model_name": kind, "state": state}


@pytest.fixture(scope="module")
def chapter(book):
    return module("pages").chapter(book, "book/1_one/chapter")


@pytest.fixture
def material(book):
    material = module("slides").Material(book)
    material.pages = {"chapter": "book/1_one/chapter"}
    return material


def text(html):
    return " ".join(BeautifulSoup(html, "html.parser").get_text(" ").split())


# --- sheets ---------------------------------------------------------------------------------------------------------


def test_a_sheet_without_solutions_has_none(chapter):
    sheet = module("sheets").sheet(chapter, solved=False)
    for secret in SECRETS:
        assert secret not in text(sheet)
    assert "Solution" not in text(sheet)


def test_a_sheet_with_solutions_has_them_with_their_cells(chapter):
    sheet = text(module("sheets").sheet(chapter, solved=True))
    for secret in SECRETS:
        assert secret in sheet


@pytest.mark.parametrize("solved", [False, True])
def test_both_sheets_have_every_exercise_with_its_stub_and_every_option(chapter, solved):
    sheet = module("sheets").sheet(chapter, solved)
    labels = [section["id"] for section in BeautifulSoup(sheet, "html.parser").find_all("section", id=True)]
    assert labels == ["ex-hand", "ex-code"]
    assert "The statement of one exercise" in text(sheet)
    assert "def stub" in text(sheet)
    assert "Not yet" not in text(sheet)
    assert "What is asked?" in text(sheet)
    assert "(a) The wrong option" in text(sheet)


def test_titles_are_text_not_html(chapter, material, tmp_path):
    titled = dataclasses.replace(chapter, title="When a <b & c")
    for solved in (False, True):
        heading = BeautifulSoup(module("sheets").sheet(titled, solved), "html.parser").h1
        assert heading.get_text().startswith("When a <b & c: exercises")
    module("pages").written(tmp_path / "page.html", "When a <b & c", "", "sheet.css")
    assert "<title>When a &lt;b &amp; c</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (place,) = [one["id"] for one in chapter.article.find_all("section") if one["id"].startswith("small")]
    slide = BeautifulSoup(module("slides").slide({"from": f"chapter#{place}", "show": []}, material), "html.parser")
    assert slide.h2.get_text() == "Small <b & more"
    assert slide.footer.get_text() == "A chapter: Small <b & more"


def test_an_exercise_without_a_solution_is_an_error(book, tmp_path):
    page = tmp_path / "book/1_one/chapter.html"
    page.parent.mkdir(parents=True)
    whole = (book / "book/1_one/chapter.html").read_text(encoding="utf-8")
    page.write_text(whole.replace('href="#ex-code"', 'href="#elsewhere"'), encoding="utf-8")
    broken = module("pages").chapter(tmp_path, "book/1_one/chapter")
    with pytest.raises(ValueError, match="ex-code has no solution"):
        module("exercises").exercises(broken)


def test_every_chapter_of_the_contents_exists():
    listed = module("pages").listed()
    assert len(listed) >= 12
    assert all((ROOT / f"{page}.md").is_file() for page in listed)


# --- slides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "what", "expected"),
    [
        ("statement", "thm-named", "The statement of the theorem"),
        ("equation", "labelled", "c = d"),
        ("formula", 1, "c = d"),
        ("text", "First words", "First words of a paragraph."),
        ("table", 1, "two"),
    ],
)
def test_a_piece_of_a_section_is_found(material, kind, what, expected):
    assert expected in text(material.piece("chapter#a-section", kind, what, []))


@pytest.mark.parametrize(
    ("place", "kind", "what", "rows", "message"),
    [
        ("nowhere", "statement", "thm-named", [], "there is no chapter 'nowhere'"),
        ("chapter#nowhere", "statement", "thm-named", [], "no such section; the chapter has .*a-section"),
        ("chapter#exercises", "statement", "thm-named", [], "no statement 'thm-named'"),
        ("chapter#a-section", "text", "words of nobody", [], "no text 'words of nobody'"),
        ("chapter#a-section", "table", 2, [], "no table 2"),
        ("chapter#a-section", "table", 1, ["three"], "no rows three, only one, two"),
        ("chapter#a-section", "live", 2, [], "has 1 live figures, not a number 2"),
        ("chapter#a-section", "song", 1, [], "'song' is not something to show"),
    ],
)
def test_what_a_chapter_does_not_have_is_an_error(material, place, kind, what, rows, message):
    with pytest.raises(ValueError, match=message):
        material.piece(place, kind, what, rows)


def test_a_table_may_be_cut_to_some_rows(material):
    piece = text(material.piece("chapter#a-section", "table", 1, ["two"]))
    assert "two" in piece
    assert "one" not in piece


def test_a_live_figure_has_its_controls_and_all_its_frames(material):
    figure = BeautifulSoup(material.piece("chapter#a-section", "live", 1, []), "html.parser")
    frames = {frame["data-at"]: frame.get_text() for frame in figure.find_all("template")}
    assert frames == {"0 0": "x", "0 1": "y", "1 0": "x", "1 1": "z"}
    assert figure.select_one(".frame").get_text() == "x"
    assert figure.find("input")["max"] == "1"
    assert figure.find("input")["data-labels"] == '["1", "2"]'
    assert [option.get_text() for option in figure.find_all("option")] == ["a & b", "c"]


def test_pieces_stand_alone(material):
    piece = material.piece("chapter#a-section", "statement", "thm-named", [])
    assert " id=" not in piece
    assert "headerlink" not in piece
    assert all(link["href"].startswith("https://") for link in BeautifulSoup(piece, "html.parser").find_all("a"))


# --- the outline and the page for lecturers -------------------------------------------------------------------------


def test_a_lecture_fills_its_hour_and_a_half():
    lectures = module("slides").outline()
    assert len(lectures) == 3
    assert [sum(slide["minutes"] for slide in lecture["slides"]) for lecture in lectures] == [90, 90, 90]
    assert all(any("live" in shown for slide in lecture["slides"] for shown in slide["show"]) for lecture in lectures)


def slugs(source):
    """The anchors of a chapter's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```\{code-cell\}.*?^```$", "", source, flags=re.M | re.S), re.M)
    return {re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") for heading in headings}


def test_the_outline_names_sections_and_labels_of_the_chapters():
    pages = {page.rpartition("/")[2]: page for page in module("pages").listed()}
    for lecture in module("slides").outline():
        for slide in lecture["slides"]:
            for shown in slide["show"]:
                name, _, anchor = shown.get("from", slide["from"]).partition("#")
                source = (ROOT / f"{pages[name]}.md").read_text(encoding="utf-8")
                assert anchor in slugs(source), f"{name} has no section {anchor}: see book/course/slides.yml"
                assert f":label: {shown['statement']}\n" in source if "statement" in shown else True


@pytest.fixture(scope="module")
def lectures():
    """The Sphinx extension."""
    spec = importlib.util.spec_from_file_location("lectures", ROOT / "book/_ext/lectures.py")
    lectures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lectures)
    return lectures


def written(lectures, argument, monkeypatch):
    """Return what the directive `{lecture}` writes, and the names of the files that it depends on."""
    noted, lines = [], []
    environment = SimpleNamespace(note_dependency=lambda name: noted.append(Path(name).name))
    state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=environment)))
    monkeypatch.setattr(lectures.Lecture, "parsed", lambda self, text, source: lines.append(text))
    machine = SimpleNamespace(reporter=None)
    lectures.Lecture("lecture", [argument], {}, [], 1, 0, "", state, machine).run()
    return lines[0], set(noted)


def test_the_plan_follows_the_outline_and_the_table_of_contents(lectures, monkeypatch):
    plan, noted = written(lectures, "2", monkeypatch)
    assert plan.splitlines()[2].startswith("| 0–")
    assert noted == {"slides.yml", "_toc.yml"}


@pytest.mark.parametrize("number", ["0", "4", "-1", "two"])
def test_a_lecture_that_is_not_there_is_an_error(lectures, number, monkeypatch):
    with pytest.raises(DirectiveError) as caught:
        written(lectures, number, monkeypatch)
    assert f"slides.yml has lectures 1, 2, 3, not '{number}'" in caught.value.msg


def test_the_plan_has_every_slide_with_its_minutes(lectures):
    lecture = {
        "slides": [
            {"from": "one#first", "minutes": 4, "title": "A title", "show": [{"live": 1}], "ask": "Why?"},
            {"from": "one#last", "minutes": 6, "show": [{"list": 1}]},
        ]
    }
    assert lectures.plan(lecture, {"one": "book/one"}).splitlines()[2:] == [
        "| 0–4 | [A title](/book/one.md#first) **Move the figure.** | Why? |",
        "| 4–10 | [](/book/one.md#last) |  |",
    ]
    rows = list(lectures.times({page.rpartition("/")[2]: page for page in module("pages").listed()}))
    assert len(rows) == 2 + len(module("pages").listed())


# --- paper ----------------------------------------------------------------------------------------------------------


def test_missing_debian_packages_are_named(monkeypatch):
    printing = module("printing")
    monkeypatch.setattr(printing.shutil, "which", lambda program: None)
    assert {"latexmk", "texlive-xetex", "librsvg2-bin", "poppler-utils", "fonts-freefont-otf"} <= set(
        printing.missing()
    )
    with pytest.raises(SystemExit, match=r"apt install --no-install-recommends .*latexmk"):
        printing.main()


def test_the_error_in_a_log_is_found():
    log = "This is XeTeX\n! Undefined control sequence.\nl.7 \\nonsense\n./fnequiv.tex:12: Missing $ inserted.\nrest\n"
    assert module("printing").errors(log) == [
        "! Undefined control sequence.",
        "./fnequiv.tex:12: Missing $ inserted.",
    ]
