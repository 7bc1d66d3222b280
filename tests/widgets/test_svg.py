"""A frame is small, says what it shows, and shows what matplotlib drew."""

import io
import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from fnequiv.widgets.svg import figures_closed, labelled, rendered, static_image

NUMBER = re.compile(r"-?\d+\.?\d*")
PLAIN = '<svg viewBox="0 0 9 9"><path d="M0 0"/></svg>'


def figure():
    fig = Figure(figsize=(4, 2))
    left, right = fig.subplots(1, 2)
    left.plot(np.sin(np.arange(40)), "o-", label="$f_\\theta$")
    left.set(title="A title", xlabel="$x_1$")
    left.legend()
    right.imshow(np.eye(3))
    return fig


def elements(svg):
    """Tag, text and the numbers of every element that draws, in order; style sheets and metadata draw nothing."""
    found = []
    for element in ET.fromstring(svg).iter():
        tag = element.tag.split("}")[-1]
        if tag in ("path", "use", "image", "clipPath", "rect"):
            attributes = (element.get(name, "") for name in ("d", "x", "y", "transform", "width", "height"))
            found.append((tag, [float(n) for text in attributes for n in NUMBER.findall(text)]))
    return found


def names(svg):
    return set(re.findall(r'\bid="([^"]*)"', svg))


def references(svg):
    return set(re.findall(r'(?:url\(|href=")#([^)"]*)', svg))


class TestRendered:
    def test_it_draws_what_matplotlib_draws(self):
        frame = rendered(figure())
        with mpl.rc_context({"svg.fonttype": "path"}):
            buffer = io.StringIO()
            figure().savefig(buffer, format="svg")
        before, after = elements(buffer.getvalue()), elements(frame)
        assert [tag for tag, _ in before] == [tag for tag, _ in after]
        for (_, old), (_, new) in zip(before, after, strict=True):
            np.testing.assert_allclose(new, old, atol=0.0051)

    def test_it_is_smaller_and_has_no_style_sheet_for_the_page(self):
        frame = rendered(figure())
        assert len(frame) < 30_000
        for idle in ("<!--", "<metadata", "<style", "<?xml", "<!DOCTYPE", "> "):
            assert idle not in frame
        assert names(frame) == references(frame)

    def test_it_is_the_same_every_time(self):
        assert rendered(figure()) == rendered(figure())

    def test_every_frame_has_the_figures_size(self):
        # A notebook's setting would crop each frame differently.
        with mpl.rc_context({"savefig.bbox": "tight"}):
            root = ET.fromstring(rendered(figure()))
        assert root.get("viewBox") == "0 0 288 144"

    def test_the_figure_is_closed(self):
        rendered(plt.figure())
        assert plt.get_fignums() == []

    def test_settings_are_put_back(self):
        before = dict(mpl.rcParams)
        rendered(figure())
        assert dict(mpl.rcParams) == before

    def test_text_around_an_svg_is_dropped_and_the_svg_kept(self):
        assert rendered(f'<?xml version="1.0"?>\n<!DOCTYPE svg>\n{PLAIN}\n') == PLAIN

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a picture",
            "<svg></svg>",
            '<svg width="3"><g viewBox="0 0 9 9"/></svg>',
            '<svg data-of="viewBox"></svg>',
            '<svg id="a>b" width="3"><g viewBox="0 0 9 9"/></svg>',
            '<svg data-viewBox="0 0 9 9"></svg>',
            '<svg viewBox=""></svg>',
            '<svg viewBox="0 0 9"></svg>',
            '<svg viewBox="0 0 9 0"></svg>',
            '<svg viewBox="0 0 nan 9"></svg>',
            '<svg viewBox="0 0 wide 9"></svg>',
        ],
    )
    def test_text_that_cannot_shrink_is_refused(self, text):
        with pytest.raises(ValueError, match="SVG with a viewBox"):
            rendered(text)

    @pytest.mark.parametrize(
        "text",
        [
            PLAIN.replace("/>", ">"),
            PLAIN.replace("<path", "<use xlink:href='#a'/><path"),
            PLAIN.replace("M0 0", "a & b"),
            f"<!-- <svg> -->{PLAIN}",
        ],
    )
    def test_text_that_no_image_could_show_is_refused(self, text):
        with pytest.raises(ValueError, match="must return well-formed SVG"):
            rendered(text)

    @pytest.mark.parametrize("box", ["0 0 9 9", "0,0,9,9", " -1 , 2.5  1e2 9 "])
    def test_a_viewbox_may_be_written_as_svg_allows(self, box):
        assert rendered(f"<svg viewBox='{box}'></svg>") == f"<svg viewBox='{box}'></svg>"

    @pytest.mark.parametrize("drawn", [None, 3, b"<svg viewBox=''></svg>", [PLAIN]])
    def test_anything_else_is_refused(self, drawn):
        with pytest.raises(TypeError, match="must return a matplotlib Figure or the text of an SVG"):
            rendered(drawn)


class TestLabelled:
    def test_it_is_one_picture_with_a_name(self):
        root = ET.fromstring(labelled(rendered(figure()), 'Two "panels" & <more>, it\'s all'))
        assert root.get("role") == "img"
        assert root.get("aria-label") == 'Two "panels" & <more>, it\'s all'

    def test_it_shrinks_with_its_page_and_keeps_its_own_style(self):
        root = ET.fromstring(labelled(PLAIN.replace("<svg", '<svg style="color:red"'), "Red"))
        assert root.get("style") == "color:red;display:block;max-width:100%;height:auto"

    def test_a_label_it_had_gives_way(self):
        root = ET.fromstring(labelled(PLAIN.replace("<svg", "<svg role='x' aria-label='old'"), "new"))
        assert (root.get("role"), root.get("aria-label")) == ("img", "new")

    def test_references_stay_within_a_frame(self):
        one, other = (labelled(rendered(f), "A figure") for f in (figure(), Figure(figsize=(2, 2))))
        assert references(one)
        assert references(one) == names(one)
        with_axes = Figure(figsize=(4, 2))
        with_axes.subplots(1, 2)[0].plot([1, 2])
        again = labelled(rendered(with_axes), "A figure")
        assert references(again)
        assert not names(one) & (names(again) | names(other))

    @pytest.mark.parametrize("reference", ['href="#a"', "href='#a'", 'fill="url(#a)"', "fill=\"url('#a')\""])
    def test_every_way_to_refer_is_known(self, reference):
        svg = f'<svg viewBox="0 0 1 1"><path id="a"/><path id="ab"/><use {reference}/></svg>'
        frame = labelled(svg, "A use")
        (name,) = re.findall(r'id="(\w+-a)"', frame)
        assert f"#{name}" in frame
        assert "#a" not in frame
        assert 'id="ab"' in frame  # nobody refers to it

    def test_a_root_may_hold_a_bracket_in_quotes(self):
        root = ET.fromstring(labelled('<svg data-of="a > b" viewBox="0 0 9 9"><path/></svg>', "A path"))
        assert (root.get("data-of"), root.get("aria-label"), len(root)) == ("a > b", "A path", 1)

    @pytest.mark.parametrize("prepare", [lambda text: labelled(text, "A text"), static_image])
    def test_what_is_no_svg_is_refused(self, prepare):
        with pytest.raises(ValueError, match="svg must begin with <svg, got 'no picture'"):
            prepare("no picture")


class TestFiguresClosed:
    def test_only_the_figures_opened_inside_are_closed(self):
        mine = plt.figure()
        try:
            with pytest.raises(AttributeError, match="no_such"), figures_closed():
                plt.figure().no_such()
            assert plt.get_fignums() == [mine.number]
        finally:
            plt.close(mine)


class TestStaticImage:
    def test_it_is_the_frame_as_a_document_of_its_own(self):
        frame = labelled(rendered(figure()), "50% of a & b")
        image = static_image(frame)
        source = re.search(r'src="data:image/svg\+xml,([^"]*)"', image)[1]
        assert not set(source) & set('<>"#&\n')
        assert unquote(source) == frame
        assert 'alt="50% of a &amp; b"' in image

    def test_an_image_needs_a_name_space(self):
        source = unquote(re.search(r"xml,([^\"]*)", static_image(labelled(PLAIN, "A path")))[1])
        assert ET.fromstring(source).tag == "{http://www.w3.org/2000/svg}svg"

    def test_a_name_space_of_an_inner_element_is_not_the_roots(self):
        inner = '<svg viewBox="0 0 9 9"><foreignObject><p xmlns="http://www.w3.org/1999/xhtml"/></foreignObject></svg>'
        source = unquote(re.search(r"xml,([^\"]*)", static_image(labelled(inner, "A text")))[1])
        assert ET.fromstring(source).tag == "{http://www.w3.org/2000/svg}svg"
