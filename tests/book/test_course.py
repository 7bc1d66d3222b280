"""The sheets and the slides that are cut from the built book, opened from their folder, with no network at all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]
MATHJAX = Path(__file__).parent / "node_modules/mathjax/es5/tex-svg.js"
SCREEN = {"width": 1280, "height": 720}
RAW = r"""() => {
    const skipped = 'code, pre, script, style, template, mjx-container, svg';
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    const raw = /\\[()[\]]|\\[A-Za-z]{2,}|\$[^$]+\$|\{[a-z:-]+\}`|:::|```/;
    for (let node; (node = walker.nextNode());)
        if (!node.parentElement.closest(skipped) && raw.test(node.data)) found.push(node.data.trim());
    for (const broken of document.querySelectorAll('mjx-merror, [data-mjx-error]'))
        found.push(broken.getAttribute('data-mjx-error') ?? broken.textContent);
    return found;
}"""
CUT_OFF = """() => [...document.querySelectorAll('.slide .body')]
    .filter(body => body.scrollHeight > body.clientHeight + 1 || body.scrollWidth > body.clientWidth + 1)
    .map(body => body.parentElement.querySelector('h2').textContent)"""
TITLES = "() => [...document.querySelectorAll('.slide h2')].map(title => title.textContent)"


@pytest.fixture(scope="module")
def course(book, tmp_path_factory):
    """The sheets and the slides of the built book."""
    folder = tmp_path_factory.mktemp("course")
    for program in ("sheets", "slides"):
        command = [sys.executable, ROOT / f"book/_course/{program}.py", book.resolve(), folder, MATHJAX]
        subprocess.run(command, check=True)
    return folder


@pytest.fixture
def opened(course, browser):
    """Open one of the files; what it loads from anywhere else is an error."""
    contexts = []

    def opened(name, **size):
        context = browser.new_context(viewport=size or SCREEN, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(error.message))
        page.on("requestfailed", lambda request: page.problems.append(request.url[:100]))
        page.goto((course / name).as_uri())
        page.evaluate("async () => { await MathJax.startup.promise }")
        return page

    yield opened
    for context in contexts:
        context.close()


def sheets(course, kind):
    return {path.stem.partition("-")[2]: path for path in course.glob(f"{kind}-*.html")}


def outline():
    return yaml.safe_load((ROOT / "book/course/slides.yml").read_text(encoding="utf-8"))["lectures"]


def prose(html):
    """The paragraphs of a page that are long enough to be told from others."""
    return {" ".join(p.get_text().split()) for p in html.find_all("p") if len(p.get_text()) > 40}


def test_what_the_page_for_lecturers_links_on_the_site_is_there(course):
    site = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
    page = (ROOT / "book/course/teaching.md").read_text(encoding="utf-8")
    linked = re.findall(rf"{re.escape(site)}course/([^)#\s]+)", page)
    assert len(linked) == 4
    assert [name for name in linked if not (course / name).is_file()] == []


# --- sheets ---------------------------------------------------------------------------------------------------------


def test_every_exercise_stands_on_both_sheets_and_no_solution_on_the_first(book, course):
    unsolved, solved = sheets(course, "exercises"), sheets(course, "solutions")
    assert unsolved.keys() == solved.keys() == {path.stem for path in book.glob("book/[0-9a]*/*.html")}
    for name in unsolved:
        first, second = (
            BeautifulSoup(found[name].read_text(encoding="utf-8"), "html.parser") for found in (unsolved, solved)
        )
        labels = [section["id"] for section in first.find_all("section", id=True)]
        assert len(labels) >= 3
        assert labels == [section["id"] for section in second.find_all("section", id=True)]
        solutions = second.select("div.solution")
        assert len(solutions) == len(labels)
        assert not first.select("div.solution, .cell_output")
        answers = set().union(*(prose(solution) for solution in solutions))
        assert answers
        assert prose(first) & answers == set()


@pytest.mark.parametrize("kind", ["exercises", "solutions"])
def test_sheets_are_typeset_and_fit_a_phone(course, opened, kind):
    for path in sheets(course, kind).values():
        page = opened(path.name, width=375, height=800)
        assert page.problems == []
        assert page.evaluate(RAW) == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 375, path.name


# --- slides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_deck_has_a_slide_for_every_entry_and_nothing_is_cut_off(opened, number):
    entries = outline()[number - 1]["slides"]
    page = opened(f"lecture-{number}.html")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.problems == []
    assert page.evaluate(RAW) == []
    titles = page.evaluate(TITLES)
    assert len(titles) == len(entries)
    assert all(title == entry.get("title", title) and title for title, entry in zip(titles, entries, strict=True))
    assert page.evaluate(CUT_OFF) == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_keys_turn_the_slides(opened, number):
    page = opened(f"lecture-{number}.html")
    page.wait_for_selector("html[data-ready]", state="attached")
    last = page.locator(".slide").count() - 1
    for key, expected in (("ArrowRight", 1), ("PageDown", 2), (" ", 3), ("ArrowLeft", 2), ("End", last), ("Home", 0)):
        page.keyboard.press(key)
        page.wait_for_function("expected => here() === expected", arg=expected, timeout=3000)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_live_figure_of_a_deck_moves_by_keyboard(opened, number):
    page = opened(f"lecture-{number}.html")
    page.wait_for_selector("html[data-ready]", state="attached")
    figures = page.locator(".live").all()
    assert figures
    for figure in figures:
        for control in figure.locator("input, select").all():
            control.focus()
            slide, shown = page.evaluate("here()"), {figure.locator(".frame").inner_html()}
            for _ in range(int(control.evaluate("control => control.max || control.length - 1"))):
                control.press("ArrowRight" if control.get_attribute("type") else "ArrowDown")
                shown.add(figure.locator(".frame").inner_html())
            assert len(shown) > 1
            assert page.evaluate("here()") == slide


def test_a_deck_prints_one_slide_a_page(opened, tmp_path):
    page = opened("lecture-1.html")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.pdf(path=tmp_path / "deck.pdf", prefer_css_page_size=True)
    assert (tmp_path / "deck.pdf").read_bytes().count(b"/Type /Page\n") == page.locator(".slide").count()
