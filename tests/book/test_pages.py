"""Every page of the built book: quiet, readable, reachable, and fit for a phone."""

VISIBLE = "elements => elements.filter(element => element.checkVisibility({visibilityProperty: true})).length"
SEARCH = "input[type=search], .search-button-field, .search-button"
RAW_TEX = r"""() => {
    const skipped = 'code, pre, script, style, noscript, mjx-container, textarea, svg';
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [], tex = /\\[()[\]]|\\[A-Za-z]{2,}|\$[^$]+\$/;
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


def test_no_error_of_ours(visit):
    assert visit.errors == []


def test_nothing_unknown_is_loaded(visit):
    assert visit.unknown == []


def test_one_search_box(visit):
    visit.wide()
    # The page of search results is the one that has its own box, besides the sidebar's.
    assert visit.page.locator(SEARCH).evaluate_all(VISIBLE) == (2 if visit.path == "search.html" else 1)


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


def test_no_overflow_on_a_phone(visit):
    visit.phone()
    assert visit.page.evaluate(TOO_WIDE) == []
