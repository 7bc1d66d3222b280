"""Every link and source of a page that points into the book points at something."""

import functools
import posixpath
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


class References(HTMLParser):
    """The ids of a page, and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.targets = {"", "top"}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.ids |= {attributes.get("id"), attributes.get("name")} - {None}
        self.targets += [attributes[name] for name in ("href", "src") if attributes.get(name)]


@functools.cache
def read(path):
    return References(path.read_text(encoding="utf-8"))


def test_links_lead_somewhere(book, built_page):
    broken = []
    for target in read(book / built_page).targets:
        link = urlsplit(target)
        if link.scheme or link.netloc:
            continue
        path = built_page
        if link.path:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(built_page), unquote(link.path)))
        if not (book / path).is_file() or (
            path.endswith(".html") and unquote(link.fragment) not in read(book / path).ids
        ):
            broken.append(target)
    assert broken == []


def test_the_page_for_what_is_not_found_works_from_any_address(book):
    targets = [urlsplit(target) for target in read(book / "404.html").targets]
    local = [link.path for link in targets if not (link.scheme or link.netloc) and link.path]
    assert "/fnequiv/index.html" in local or "/fnequiv/book/index.html" in local
    for path in local:
        assert path.startswith("/fnequiv/"), f"{path} depends on the address that was asked for"
        assert (book / unquote(path.removeprefix("/fnequiv/"))).is_file()


def test_robots_and_the_sitemap_name_the_chapters(book):
    sitemap = (book / "sitemap.xml").read_text(encoding="utf-8")
    address = "https://fnequiv.github.io/fnequiv/"
    assert f"{address}sitemap.xml" in (book / "robots.txt").read_text(encoding="utf-8")
    chapters = [path.relative_to(book).as_posix() for path in book.glob("book/[0-9]_*/*.html")]
    assert chapters
    assert all(f"{address}{chapter}</loc>" in sitemap for chapter in chapters)


def test_a_shared_link_shows_a_title_and_a_picture(book):
    for path in book.glob("book/[0-9]_*/*.html"):
        text = path.read_text(encoding="utf-8")
        assert '<meta property="og:title"' in text
        picture = text.split('<meta property="og:image" content="')[1].split('"')[0]
        assert (book / picture.removeprefix("https://fnequiv.github.io/fnequiv/")).is_file()


def test_what_a_shared_link_says_is_plain_and_said_once(book):
    described = 0
    for path in book.glob("book/**/*.html"):
        text = path.read_text(encoding="utf-8")
        for name in ('name="description"', 'property="og:description"'):
            (said,) = re.findall(rf'<meta {name} content="([^"]*)"', text)
            assert not re.search(r"[\\$]", said), f"{path.name}: {said}"
            described += 1
    assert described > 40
