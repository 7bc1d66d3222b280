"""The printed book: `make pdf` runs this on the PDF that it has made (pytest alone does not collect it).

pytest tests/book/printed.py
"""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PDF = ROOT / "_build/course/fnequiv.pdf"


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def titles():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [page["file"] for part in toc["parts"] for page in part["chapters"]]
    texts = [(ROOT / f"{name}.md").read_text(encoding="utf-8") for name in names]
    return [re.search(r"^# (.+)$", text, re.MULTILINE)[1] for text in texts]


@pytest.fixture(scope="module")
def text():
    """The text of each page."""
    return output("pdftotext", PDF, "-").split("\f")


@pytest.fixture(scope="module")
def bookmarks():
    """The page of each bookmark, by its title."""
    root = ElementTree.fromstring(output("pdftohtml", "-xml", "-i", "-stdout", "-f", "1", "-l", "1", PDF))
    return {" ".join("".join(item.itertext()).split()): int(item.get("page")) for item in root.iter("item")}


def test_every_page_of_the_contents_is_a_chapter_with_a_bookmark(text, bookmarks):
    assert len(titles()) > 12
    for title in titles():
        assert title in bookmarks
        assert title in " ".join(text[bookmarks[title] - 1].split())


def test_references_are_resolved(text):
    whole = "\n".join(text)
    assert "??" not in whole
    assert not re.search(r"\{(prf:ref|ref|eq|cite:[tp]|doc)\}", whole)


def test_live_figures_are_pictures(text, bookmarks):
    reference = next(page for title, page in bookmarks.items() if re.fullmatch(r"[IVX]+ Reference", title))
    assert "<Explorer of" not in "\n".join(text[: reference - 1])
    sources = [path.read_text(encoding="utf-8") for path in ROOT.glob("book/*/*.md")]
    live = sum(len(re.findall(r"^explore\(", source, re.MULTILINE)) for source in sources)
    written = (ROOT / "_build/latex/fnequiv.tex").read_text(encoding="utf-8")
    # book/_ext/printed.py names a static picture by 24 digits; MyST-NB names other pictures by more.
    assert len(re.findall(r"\\sphinxincludegraphics(?:\[.*?\])?\{\{[0-9a-f]{24}\}\.pdf\}", written)) == live > 10


def test_the_book_says_where_its_figures_move(text):
    assert "https://fnequiv.github.io/fnequiv/" in text[0]
    assert "Contents" in text[1]
