"""The live figures of the built book, moved by keyboard, mouse and touch in a browser that has no kernel to ask."""

import functools

import pytest
from playwright.sync_api import TimeoutError

FIGURE = ".widget-subarea"
# html-manager sometimes tells a picture its new size when a drag has just replaced it; the next one is there.
REPLACED = "Cannot read properties of null (reading 'processLuminoMessage')"
STATIC = "img.fnequiv-static"
CONTROLS = ".noUi-handle, select"
SHOWN = "figure => figure.querySelector('svg').outerHTML"
CONTRAST = """element => {
    const luminance = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const parse = color => color.match(/[\\d.]+/g).map(Number);
    let ground = element;
    while (ground.parentElement && parse(getComputedStyle(ground).backgroundColor)[3] === 0)
        ground = ground.parentElement;
    const colors = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(parse);
    const [low, high] = colors.map(c => luminance(c.slice(0, 3))).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""
OUTSIDE = """figure => [...figure.querySelectorAll('svg[role=img], .noUi-handle, select, .widget-readout')]
    .filter(part => part.getBoundingClientRect().right > innerWidth || part.getBoundingClientRect().left < 0)
    .map(part => part.outerHTML.slice(0, 120))"""


def figures(visit):
    return visit.page.locator(FIGURE).all()


def moves(visit, figure, act):
    """Do something, and say whether the figure shows another picture shortly after."""
    before, page = figure.evaluate(SHOWN), visit.page
    act()
    try:
        page.wait_for_function(f"([figure, before]) => ({SHOWN})(figure) !== before", timeout=1000,
                               arg=[figure.element_handle(), before])  # fmt: skip
    except TimeoutError:
        return False
    return True


def test_every_control_changes_its_figure_by_keyboard(live, theme):
    live.wide()
    live.turn(theme)
    for figure in figures(live):
        controls = figure.locator(CONTROLS).all()
        assert controls
        for control in controls:
            slider = control.get_attribute("role") == "slider"
            forth, back = ("ArrowRight", "ArrowLeft") if slider else ("ArrowDown", "ArrowUp")
            steps = control.evaluate("control => +control.getAttribute('aria-valuemax') || control.length - 1")
            start = figure.evaluate(SHOWN)
            control.focus()
            # Two neighbouring frames may be equal: an invariance is what some figures are about.
            assert any(moves(live, figure, functools.partial(control.press, forth)) for _ in range(int(steps)))
            for _ in range(int(steps)):
                control.press(back)
            live.page.wait_for_function(f"([figure, start]) => ({SHOWN})(figure) === start",
                                        arg=[figure.element_handle(), start])  # fmt: skip


def drag_by_mouse(visit, start, end):
    mouse = visit.page.mouse
    mouse.move(*start)
    mouse.down()
    mouse.move(*end, steps=8)
    mouse.up()


def drag_by_touch(visit, start, end):
    touch = visit.page.context.new_cdp_session(visit.page)
    path = [[a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)] for step in range(9)]
    for step, (x, y) in enumerate(path):
        kind = "touchMove" if step else "touchStart"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touch.detach()


def dragged(visit, figure, track, drag):
    """Drag a slider to its end, to its middle and back: say whether the figure changed, and where the slider stands."""
    handle = track.locator(".noUi-handle")
    track.scroll_into_view_if_needed()
    place, changed = track.bounding_box(), False
    for part in (1.0, 0.5, -0.1):
        knob = handle.bounding_box()
        start = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
        end = max(1, place["x"] + place["width"] * part), start[1]
        changed |= moves(visit, figure, functools.partial(drag, visit, start, end))
    return changed, handle.get_attribute("aria-valuenow")


@pytest.mark.parametrize("drag", [drag_by_mouse, drag_by_touch])
def test_every_slider_is_dragged_on_a_phone(live, drag):
    live.phone()
    with live.expecting(REPLACED):
        for figure in figures(live):
            for track in figure.locator(".noUi-target").all():
                assert dragged(live, figure, track, drag) == (True, "0.0")


def test_a_finger_finds_the_slider(live):
    live.phone()
    for handle in live.page.locator(f"{FIGURE} .noUi-handle").all():
        area = handle.locator(".noUi-touch-area").bounding_box()
        assert min(area["width"], area["height"]) >= 44  # WCAG 2.5.5


def test_every_control_says_its_name_and_value(live):
    for figure in figures(live):
        for slider in figure.locator(".widget-slider").all():
            name, value = (slider.locator(part).inner_text() for part in (".widget-label", ".widget-readout"))
            handle = slider.get_by_role("slider", name=name, exact=True)
            assert handle.get_attribute("aria-valuetext") == value
        for listed in figure.locator(".widget-dropdown").all():
            name = listed.locator(".widget-label").inner_text()
            assert listed.get_by_role("combobox", name=name, exact=True).is_visible()


def test_the_focused_control_is_seen(live):
    for control in live.page.locator(f"{FIGURE} :is({CONTROLS})").all():
        control.press("Shift")  # a focus that comes by keyboard
        assert control.evaluate("control => getComputedStyle(control).outlineStyle") == "solid"


def test_controls_are_readable(live, theme):
    live.turn(theme)
    for part in live.page.locator(f"{FIGURE} .widget-label, {FIGURE} .widget-readout, {FIGURE} select").all():
        if part.is_visible():
            assert part.evaluate(CONTRAST) >= 4.5


def test_figures_fit_a_phone(live):
    live.phone()
    for figure in figures(live):
        assert figure.evaluate(OUTSIDE) == []


def test_the_static_figure_makes_room_for_the_live_one(live):
    pictures = live.page.locator(STATIC).all()
    assert len(pictures) == len(figures(live))
    assert not any(picture.is_visible() for picture in pictures)


def test_nothing_jumps_when_figures_come_alive(live):
    before, after = live.heights
    assert before
    assert before == pytest.approx(after, abs=10)  # pixels, of 200 to 500


def test_a_figure_comes_alive_when_it_has_the_focus(live, open_page):
    visit = open_page(live.path)
    figure = visit.page.locator(".cell_output", has=visit.page.locator(STATIC)).last
    assert "embed-amd.js" not in {path.name for path in visit.foreign}
    assert figure.get_attribute("tabindex") == "0"
    figure.evaluate("figure => figure.focus({preventScroll: true})")
    figure.locator("svg").first.wait_for()
    visit.page.keyboard.press("Tab")
    assert figure.locator(f":is({CONTROLS}):focus").count() == 1
    visit.page.context.close()


@pytest.mark.parametrize("options", [{"java_script_enabled": False}, {"cdn": False}], ids=["no script", "no CDN"])
def test_a_static_figure_stands_in_where_widgets_do_not_load(live, open_page, options):
    visit = open_page(live.path, settle=False, **options)
    pictures = visit.page.locator(STATIC).all()
    assert len(pictures) == len(figures(live))
    for picture in pictures:
        picture.scroll_into_view_if_needed()
        assert picture.is_visible()
        assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 0
        assert picture.get_attribute("alt")
    visit.page.wait_for_timeout(100)
    asked = any(address.endswith("/embed-amd.js") for address in visit.unknown)
    assert asked == ("cdn" in options)
    visit.page.context.close()
