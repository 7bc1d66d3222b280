"""Every page of the built book: quiet, readable, reachable, light, and fit for a phone."""

from pathlib import Path

import pytest

AXE = (Path(__file__).parent / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")

VISIBLE = "elements => elements.filter(element => element.checkVisibility({visibilityProperty: true})).length"
SEARCH = "input[type=search], .search-button-field, .search-button"
RAW_TEX = r"""() => {
    const skipped = 'code, pre, script, style, noscript, mjx-container, textarea, svg';
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [], tex = /\\[()[\]]|\\[A-Za-z]{2,}|\$|```|:::|\{[\w:]+\}`|^:label:/m;
    if (tex.test(document.title)) found.push(document.title);
    for (let node; (node = walker.nextNode());)
        if (!node.parentElement.closest(skipped) && tex.test(node.data)) found.push(node.data.trim());
    for (const broken of document.querySelectorAll('mjx-merror, [data-mjx-error], mjx-mtext[style*="red"]'))
        found.push(broken.getAttribute('data-mjx-error') ?? broken.textContent);
    return found;
}"""
WITHOUT_ALTERNATIVE = """() => {
    const images = document.querySelectorAll('article img:not([alt]), article img[alt=""]');
    const drawings = [...document.querySelectorAll('article svg')].filter(svg =>
        !svg.closest('mjx-container, button, a, [aria-hidden=true], svg svg')
        && !(svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label')));
    return [...images, ...drawings].map(element => element.outerHTML.slice(0, 200));
}"""
BROKEN_IMAGES = """() => [...document.images]
    .filter(image => image.checkVisibility() && !(image.complete && image.naturalWidth))
    .map(image => image.src.slice(0, 200))"""
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth, range = document.createRange();
    if (document.scrollingElement.scrollWidth <= width) return [];
    const wide = [...document.body.querySelectorAll('*')].filter(element => {
        range.selectNodeContents(element);
        return !element.closest('pre') && !element.children.length && range.getBoundingClientRect().right > width + 1;
    });
    return [`${document.scrollingElement.scrollWidth} px`, ...wide.slice(0, 5).map(e => e.outerHTML.slice(0, 150))];
}"""


WIDER_THAN_ITS_BOX = """() => [...document.querySelectorAll('article mjx-container[display=true], .cell_output pre')]
    .filter(element => element.clientWidth && element.scrollWidth > element.clientWidth + 1)
    .map(element => `${element.scrollWidth} in ${element.clientWidth} px, below #${element.closest('[id]')?.id}: `
        + element.textContent.slice(0, 80))"""
# axe takes its time for each element. Formulas and pictures hold thousands with nothing in them that it looks at, and
# of the words of a colour in a listing, or of the entries of an index, a few are as good as all.
THINNED = """() => {
    for (const drawing of document.querySelectorAll('mjx-math, mjx-assistive-mml, article svg[role=img]')) {
        const {clientWidth: width, clientHeight: height} = drawing;
        drawing.style.cssText += `;display:inline-block;width:${width}px;height:${height}px`;
        drawing.replaceChildren();
    }
    const seen = new Set();
    for (const word of document.querySelectorAll('pre span[class]'))
        if (seen.size === seen.add(word.className).size && !word.id) word.replaceWith(...word.childNodes);
    for (const entry of document.querySelectorAll('.indextable :is(tr:nth-of-type(n + 20), li:nth-of-type(n + 5))'))
        entry.remove();
    document.head.insertAdjacentHTML('beforeend', '<style>* { transition: none !important }</style>');
}"""
VIOLATIONS = """async () =>
    (await axe.run(document, {resultTypes: ['violations']})).violations
        .filter(rule => ['serious', 'critical'].includes(rule.impact))
        .flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 150)} ${node.failureSummary}`))"""
SHIFTED = """() => [...document.querySelectorAll('pre')].every(listing =>
    !listing.checkVisibility() || listing.scrollWidth <= listing.clientWidth || listing.tabIndex === 0)"""


@pytest.mark.last
def test_no_error_of_ours(visit):
    assert visit.errors == []


@pytest.mark.last
def test_nothing_unknown_is_loaded(visit):
    assert visit.unknown == []


def test_first_load_is_at_most_two_megabytes(visit):
    """What we send, with gzip, and what the CDNs do, until the reader scrolls."""
    assert sum(visit.first) <= 2_000_000


def test_one_search_box(visit):
    visit.wide()
    # The page of search results is the one that has its own box, besides the sidebar's.
    wanted = 2 if visit.path == "search.html" else 1
    count = f"wanted => ({VISIBLE})([...document.querySelectorAll('{SEARCH}')]) === wanted"
    assert visit.page.wait_for_function(count, arg=wanted)  # a busy machine lays the page out a moment later


def test_the_search_box_takes_what_is_typed(visit):
    visit.wide()
    visit.page.keyboard.press("Control+k")
    visit.page.keyboard.type("orbit")
    box = visit.page.locator("input[type=search]:focus")
    assert box.is_visible()
    assert box.input_value() == "orbit"
    visit.page.keyboard.press("Escape")
    assert not box.is_visible()


def test_no_raw_tex(visit):
    assert visit.page.evaluate(RAW_TEX) == []


def test_every_picture_is_described(visit):
    assert visit.page.evaluate(WITHOUT_ALTERNATIVE) == []


def test_every_image_loads(visit):
    assert visit.page.evaluate(BROKEN_IMAGES) == []


def test_no_page_is_wider_than_its_screen(visit):
    assert {look: wide for look in visit.looks() if (wide := visit.page.evaluate(TOO_WIDE))} == {}


def test_formulas_and_outputs_fit_a_phone(visit):
    visit.phone()
    assert visit.page.evaluate(WIDER_THAN_ITS_BOX) == []


# After the others: it takes the formulas out of the page.
@pytest.mark.last
def test_nothing_serious_for_axe(visit):
    visit.page.evaluate(AXE)
    visit.page.evaluate(THINNED)
    found = []
    for resize, scheme in ((visit.wide, "light"), (visit.phone, "dark")):
        resize()
        visit.turn(scheme)
        visit.page.wait_for_function(SHIFTED)  # the theme makes listings that scroll reachable, a moment later
        found += visit.page.evaluate(VIOLATIONS)
    assert found == []
