"""The chapters keep their form: claims asserted, code that fits a page, paths that exist, solutions for exercises."""

import ast
import re
from pathlib import Path

import jupytext
import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("book/[0-9]_*/*.md")) + sorted(
    path.relative_to(ROOT).as_posix() for path in ROOT.glob("book/appendix/*.md")
)


def text(chapter):
    return (ROOT / chapter).read_text(encoding="utf-8")


def cells(chapter):
    notebook = jupytext.read(ROOT / chapter, fmt="md:myst")
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_chapters():
    assert "book/2_equivalence/feedforward.md" in CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_claims_are_asserted(chapter):
    asserting = [cell for cell in cells(chapter) if re.search(r"^\s*assert ", cell, re.MULTILINE)]
    assert len(asserting) >= 3


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_code_fits_the_page(chapter):
    wide = [line for cell in cells(chapter) for line in cell.splitlines() if len(line) > 79]
    assert not wide, f"lines over 79 characters scroll sideways: {wide[:3]}"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_cell_fits_a_screen(chapter):
    fenced = re.findall(r"^```\{code-cell\}.*\n([\s\S]*?)^```", text(chapter), re.MULTILINE)
    assert len(fenced) == len(cells(chapter))
    assert [cell for cell in fenced if len(cell.splitlines()) > 30] == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_has_a_solution(chapter):
    exercises = set(re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text(chapter)))
    solutions = set(re.findall(r"\{solution(?:-start)?\} (\S+)", text(chapter)))
    assert len(exercises) >= 3
    assert exercises == solutions


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_solutions_hold_cells_only_between_gates(chapter):
    # A code cell inside a directive is printed and never run.
    assert not re.search(r"^`{4,}\{(?!code-cell)", text(chapter), re.MULTILINE)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_live_figure_and_a_recap(chapter):
    assert "explore(" in "".join(cells(chapter))
    assert "\n## Recap" in text(chapter)


@pytest.mark.parametrize("chapter", [*CHAPTERS, "book/index.md", "book/notation.md"])
def test_paths_that_a_page_names_exist(chapter):
    for name in re.findall(r"`((?:fnequiv|tests|book|benchmarks)/[\w./]*)`", text(chapter)):
        assert (ROOT / name).exists(), f"{chapter} names {name}, which is not there"


def test_docstrings_name_chapters_that_exist():
    titles = {re.search(r"^# (.+)$", text(page), re.MULTILINE).group(1) for page in [*CHAPTERS, "book/notation.md"]}
    named = {}
    for path in ROOT.glob("fnequiv/**/*.py"):
        docstring = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
        for sentence in re.findall(r"[Cc]hapters?:? (\"[^.]*)", docstring):
            named |= dict.fromkeys(re.findall(r"\"([^\"]+)\"", sentence), path.name)
    assert len(named) > 5
    assert {title: module for title, module in named.items() if title not in titles} == {}


PAGES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("book/**/*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_in_plain_words_what_a_link_to_it_shows(page):
    front = re.match(r"---\n(.*?\n)---\n", text(page), re.DOTALL)
    said = yaml.safe_load(front[1]).get("description", "") if front else ""
    assert 40 <= len(said) <= 200, "front matter needs a description: one or two sentences for search and link previews"
    assert not re.search(r"[\\$`{}<>\[\]]", said), "a description is shown as it is: no TeX, no Markdown"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_leads_to_its_reference(chapter):
    recap = text(chapter).split("\n## Recap")[1].split("\n## ")[0]
    assert re.search(r"\]\(\.\./reference/\w+\.md", recap)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("book/reference/") and "api" not in page])
def test_a_page_of_the_reference_leads_to_a_chapter(page):
    linked = re.findall(r"\]\(\.\./(\w+/\w+\.md)\)", text(page))
    assert {f"book/{name}" for name in linked} & set(CHAPTERS)


# --- every picture is described -------------------------------------------------------------------------------------


def calls(node, inside=True):
    """Yield the calls below a node as their written names; without those inside of functions, if asked."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield ast.unparse(child.func), child
        if inside or not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield from calls(child, inside)


def undescribed(page):
    """Return the pictures of a page's text that a reader who cannot see them would miss."""
    missing = [f"```{{{kind}}} {name}" for kind, name, options in
               re.findall(r"\{(figure|image)\} *(\S+)\n((?::[\w-]+:.*\n)*)", page)
               if not re.search(r"^:alt: *\S", options, re.MULTILINE)]  # fmt: skip
    missing += re.findall(r"!\[\s*\]\(.*?\)", page)
    missing += [tag for tag in re.findall(r"<img\b[^>]*>", page) if not re.search(r"\balt=[\"'][^\"']", tag)]
    if "kernelspec:" not in page:
        return missing
    drawing, described = {"plt.subplots", "plt.figure", "Figure"}, set()
    for cell in (cell for cell in jupytext.reads(page, fmt="md:myst").cells if cell.cell_type == "code"):
        tree = ast.parse(re.sub(r"^[%!].*", "", cell.source, flags=re.MULTILINE))
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            if drawing & {name for name, _ in calls(function)}:
                drawing.add(function.name)
            if ast.get_docstring(function):
                described.add(function.name)
        for name, call in calls(tree, inside=False):
            if name == "explore":
                named = {keyword.arg for keyword in call.keywords}
                if "alt" not in named and ast.unparse(call.args[0]) not in described:
                    missing.append(ast.unparse(call)[:60])
            elif name in drawing and not (isinstance(alt, str) and alt.strip()):
                missing.append(ast.unparse(call)[:60])
    return missing


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_of_a_page_is_described(page):
    assert undescribed(text(page)) == []


CELL = "---\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n\n```{{code-cell}} ipython3\n{}\n```\n"


@pytest.mark.parametrize(
    "planted",
    [
        "![](picture.png)",
        '<img src="picture.png">',
        '<img src="picture.png" alt="">',
        "```{figure} picture.svg\n:width: 100%\n\nA caption.\n```",
        "```{image} picture.svg\n:alt:\n```",
        CELL.format("fig, ax = plt.subplots()\nax.plot([1, 2])"),
        CELL.format("with plotting.style():\n    plt.figure()"),
        CELL.format('---\nmystnb:\n  image:\n    alt: " "\n---\nplt.subplots()'),
        CELL.format("def draw(k):\n    return plt.subplots()[0]\n\n\ndraw(1)"),
        CELL.format("def draw(k):\n    return plt.subplots()[0]\n\n\nexplore(draw, k=[1, 2])"),
        CELL.format("explore(lambda k: pictures[k], k=[1, 2])"),
    ],
)
def test_a_picture_without_words_is_found(planted):
    assert undescribed(planted)


@pytest.mark.parametrize(
    "fine",
    [
        "![Two curves](picture.png)",
        "```{figure} picture.svg\n:width: 100%\n:alt: Two curves\n```",
        CELL.format("---\nmystnb:\n  image:\n    alt: Two curves\n---\nplt.subplots()"),
        CELL.format('def draw(k):\n    "A curve."\n    return plt.subplots()[0]\n\n\nexplore(draw, k=[1, 2])'),
        CELL.format('explore(draw, k=[1, 2], alt="A curve")'),
    ],
)
def test_a_picture_with_words_is_let_through(fine):
    assert undescribed(fine) == []
