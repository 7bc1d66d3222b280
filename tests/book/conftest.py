"""The built book in Chromium, with no network: what the pages load from CDNs comes from ``node_modules``.

    npm ci --prefix tests/book
    pytest tests/book [--book _build/html] [--screenshots FOLDER]

Every page is opened once, and all tests of it follow each other in the one browser tab: at the end of the run a line
says what the heaviest page weighs.

Nothing here is skipped: a missing book, browser or npm package is a failure.
"""

import contextlib
import functools
import gzip
import itertools
import json
import os
import re
import shutil
import threading
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

HERE = Path(__file__).parent
WIDE, TABLET, PHONE = ({"width": width, "height": height} for width, height in ((1280, 900), (768, 1024), (375, 812)))
CHROMIUM_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NOISE = (
    # sphinx-thebe loads a script twice, whatever the configuration says.
    "Identifier 'THEBE_JS_URL' has already been declared",
)
LIVE = "application/vnd.jupyter.widget-view+json"
# Of the files that pages load these are compressed already; the book's host (GitHub Pages) sends the others with gzip.
COMPRESSED = {".woff2", ".png", ".gz"}
# The height of each live figure, or of the picture that stands in for it.
HEIGHTS = """() => [...document.querySelectorAll('img.fnequiv-static')].map(
    picture => picture.parentElement.getBoundingClientRect().height)"""
UNFOLD = """() => {
    for (const folded of document.querySelectorAll('article details')) folded.open = true;
    for (const button of document.querySelectorAll('article .toggle-hidden .toggle-button')) button.click();
}"""
WEIGHED = pytest.StashKey[dict]()


def pytest_addoption(parser):
    parser.addoption("--book", default=HERE.parents[1] / "_build/html", type=Path, help="the built book")
    parser.addoption("--screenshots", type=Path, help="a folder for a picture of every page, light and dark")


def pages(config, containing=""):
    book = config.getoption("book")
    # The page for what is not found is written for the site's own address: test_links looks at it by itself.
    # Sheets and slides, which the site has in a folder of its own, are no pages of the book: see test_course.
    found = sorted(
        path
        for path in book.rglob("*.html")
        if path.relative_to(book).parts[0] not in ("_static", "_sources", "course", "404.html")
    )
    if not found:
        raise pytest.UsageError(f"no built book in {book}: run `make book` first")
    return [path.relative_to(book).as_posix() for path in found if containing in path.read_text(encoding="utf-8")]


def pytest_generate_tests(metafunc):
    if "built_page" in metafunc.fixturenames:
        metafunc.parametrize("built_page", pages(metafunc.config))
    if "visit" in metafunc.fixturenames:
        # A book without live figures must not pass by having no parameters.
        live = "live" in metafunc.fixturenames
        found = pages(metafunc.config, f'<script type="{LIVE}"' if live else "") or [None]
        metafunc.parametrize("visit", found, indirect=True, scope="session", ids=str)


def pytest_collection_modifyitems(items):
    """All tests of a page before the next page, whatever their modules; the last one asks for errors on the way."""

    def place(item):
        page = item.callspec.params.get("visit") if hasattr(item, "callspec") else None
        return page or "", item.get_closest_marker("last") is not None

    items.sort(key=place)


def pytest_configure(config):
    config.addinivalue_line("markers", "last: the last test of its page")
    config.stash[WEIGHED] = {}


def pytest_terminal_summary(terminalreporter, config):
    if weighed := config.stash[WEIGHED]:
        page, (first, later) = max(weighed.items(), key=lambda pair: sum(pair[1][0]))
        terminalreporter.write_line(
            f"heaviest page at first: {page}, {first[0] / 1e6:.2f} MB sent by us and {first[1] / 1e6:.2f} MB by CDNs; "
            f"{sum(later) / 1e6:.2f} MB once its figures are live"
        )


@pytest.fixture(scope="session")
def book(pytestconfig):
    return pytestconfig.getoption("book")


@pytest.fixture(scope="session")
def address(book):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=book))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, f"none of {', '.join(names)} is on the PATH: install Chromium, or name it in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


def from_npm(url):
    """The installed file that a CDN's address names, or None; a version other than the installed one is an error."""
    found = re.fullmatch(r"https://cdn\.jsdelivr\.net/npm/((?:@[^/]+/)?[^/@]+)@([^/]+)/([^?#]+)", url)
    if not found:
        return None
    package, version, path = found.groups()
    folder = HERE / "node_modules" / package
    assert folder.is_dir(), f"the book loads {package}, which is not in {folder}: run `npm ci --prefix tests/book`"
    installed = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
    assert installed == version, f"the book loads {package} {version}, installed is {installed}"
    return folder / path


@functools.cache
def size(path):
    """The bytes of a file as it is sent."""
    content = path.read_bytes()
    return len(content) if path.suffix in COMPRESSED else len(gzip.compress(content, 6))


@dataclass
class Visit:
    """One page, loaded, and what its browser had to say."""

    page: Page
    path: str
    cdn: bool
    errors: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    own: set[Path] = field(default_factory=set)
    foreign: set[Path] = field(default_factory=set)
    noise: tuple[str, ...] = NOISE
    first: tuple[int, int] = (0, 0)
    heights: list[list[float]] = field(default_factory=list)

    def note(self, problem):
        if not any(noise in problem for noise in self.noise):
            self.errors.append(problem)

    @contextlib.contextmanager
    def expecting(self, noise):
        """Leave out errors that say this, until the page has come to rest."""
        self.noise += (noise,)
        yield
        self.page.wait_for_timeout(200)
        self.noise = NOISE

    def serve(self, route: Route):
        """Answer what a CDN would, with a file from npm; the pages' own integrity hashes are held against it."""
        url = route.request.url
        if urlsplit(url).scheme == "data":
            return route.continue_()
        try:
            path = from_npm(url) if self.cdn else None
        except AssertionError as problem:
            self.errors.append(str(problem))
            return route.abort()
        if path and path.is_file():
            self.foreign.add(path)
            return route.fulfill(path=path, headers={"Access-Control-Allow-Origin": "*"})
        self.unknown.append(url)
        return route.abort()

    def listen(self, address, book):
        """Note what the page asks for, and what goes wrong in it."""

        def request(request):
            path = book / unquote(urlsplit(request.url).path.removeprefix("/"))
            if request.url.startswith(address) and path.is_file():
                self.own.add(path)

        def line(line):
            if line.type == "error":
                self.note(f"{line.text} ({line.location['url']})")

        # What a page loads from beside it needs nobody's help.
        self.page.route(re.compile(rf"^(?!{re.escape(address)})"), self.serve)
        self.page.on("request", request)
        self.page.on("pageerror", lambda error: self.note(error.message))
        self.page.on("console", line)

    def wide(self):
        self.page.set_viewport_size(WIDE)

    def phone(self):
        self.page.set_viewport_size(PHONE)

    def looks(self):
        """Show the page in every width and scheme, and yield the two."""
        for size, theme in itertools.product([WIDE, TABLET, PHONE], ["light", "dark"]):
            self.page.set_viewport_size(size)
            self.turn(theme)
            yield size["width"], theme

    def weight(self):
        """The bytes that came with the page up to now: sent by us, and by CDNs."""
        return sum(map(size, self.own)), sum(map(size, self.foreign))

    def turn(self, theme):
        self.page.emulate_media(color_scheme=theme)
        self.page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)

    def settle(self):
        """Wait until mathematics is typeset, and widgets, if any figure is near, are on their way."""
        self.page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise }")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")
        self.page.wait_for_load_state("networkidle")

    def come_near(self):
        """Scroll to the first live figure, and wait until every one has its picture."""
        if not (count := self.page.locator(f'script[type="{LIVE}"]').count()):
            return
        self.page.locator("img.fnequiv-static").first.evaluate("picture => picture.parentElement.scrollIntoView()")
        self.page.wait_for_function(
            "count => document.querySelectorAll('.widget-subarea').length === count"
            " && [...document.querySelectorAll('.widget-subarea')].every(area => area.querySelector('svg'))",
            arg=count,
        )


@pytest.fixture(scope="session")
def open_page(address, book, browser: Browser):
    def open_page(path, settle=True, cdn=True, **options):
        context = browser.new_context(viewport=options.pop("viewport", WIDE), **options)
        page = context.new_page()
        page.set_default_timeout(20_000)
        visit = Visit(page, path, cdn)
        visit.listen(address, book)
        page.goto(address + path)
        if 'http-equiv="Refresh"' in (book / path).read_text(encoding="utf-8"):
            page.wait_for_load_state("networkidle")
        try:
            if settle:
                visit.settle()
        except Exception as problem:
            visit.errors.append(f"the page did not settle: {problem}")
        return visit

    return open_page


@pytest.fixture(scope="session")
def visit(request, open_page):
    assert request.param, "the book has no live figure"
    visit = open_page(request.param, has_touch=True)
    visit.first = visit.weight()
    visit.page.evaluate(UNFOLD)
    visit.heights.append(visit.page.evaluate(HEIGHTS))
    try:
        visit.come_near()
    except Exception as problem:
        visit.errors.append(f"the live figures did not come: {problem}")
    visit.heights.append(visit.page.evaluate(HEIGHTS))
    request.config.stash[WEIGHED][visit.path] = visit.first, visit.weight()
    yield visit
    if folder := request.config.getoption("screenshots"):
        for width, theme in visit.looks():
            name = f"{visit.path.removesuffix('.html').replace('/', '-')}-{theme}-{width}.png"
            visit.page.screenshot(path=folder / name, full_page=True)
    visit.page.context.close()


@pytest.fixture
def live(visit):
    """A page with a live figure."""
    return visit


@pytest.fixture(params=["light", "dark"])
def theme(request):
    return request.param
