"""Every link and source of a page that points into the book points at something."""

import functools
import posixpath
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
