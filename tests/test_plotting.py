"""The style comes and goes; the colours can be told apart; the network that is drawn is the network that was given."""

import itertools
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure

from fnequiv import plotting

WEIGHTS = [np.array([[1.0, -0.5], [0.0, 2.0], [4.0, 1.0]]), np.array([[-1.0, 0.5, 3.0]])]

# Machado, Oliveira and Fernandes (2009), severity 1, in linear RGB.
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    channels = np.array(to_rgb(color))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of a linear RGB triple."""
    ratio = XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, other):
    low, high = sorted(float(XYZ[1] @ linear(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def drawn(*args, **options):
    ax = Figure().subplots()
    plotting.network(ax, *args, **options)
    lines = [c for c in ax.collections if isinstance(c, LineCollection)]
    neurons = [c for c in ax.collections if isinstance(c, EllipseCollection)]
    return ax, lines, neurons


def edges(lines, neurons):
    """The drawn lines between two layers as {(to, of): (rgba, thickness, dashed)}, found by their end points."""
    of, to = ({tuple(xy): i for i, xy in enumerate(layer.get_offsets())} for layer in neurons)
    styles = zip(lines.get_segments(), lines.get_colors(), lines.get_linewidths(), lines.get_linestyles(), strict=True)
    return {
        (to[tuple(b)], of[tuple(a)]): (tuple(color), width, dash[1] is not None)
        for (a, b), color, width, dash in styles
    }


class TestStyle:
    def test_what_was_set_before_is_set_after(self):
        before = dict(mpl.rcParams)
        with plotting.style():
            assert mpl.rcParams["font.size"] == 12
            mpl.rcParams["lines.linewidth"] = 17
        assert dict(mpl.rcParams) == before

    def test_it_is_put_back_after_an_error(self):
        before = dict(mpl.rcParams)
        with pytest.raises(ZeroDivisionError), plotting.style():
            _ = 1 / 0
        assert dict(mpl.rcParams) == before

    def test_it_decorates_a_function_again_and_again(self):
        @plotting.style()
        def size():
            return mpl.rcParams["font.size"]

        assert [size(), size()] == [12, 12]
        assert mpl.rcParams["font.size"] != 12

    def test_interactive_mode_stays_on_once_a_figure_has_switched_it_on(self):
        # Otherwise a notebook whose first figure is drawn inside shows none of the later ones.
        assert not mpl.is_interactive()
        try:
            with plotting.style():
                mpl.interactive(True)
            assert mpl.is_interactive()
        finally:
            mpl.interactive(False)

    def test_figures_are_opaque_and_white(self):
        with plotting.style():
            figure = Figure()
            ax = figure.subplots()
        assert to_rgba(figure.get_facecolor()) == to_rgba(ax.get_facecolor()) == (1, 1, 1, 1)

    def test_importing_leaves_matplotlib_alone(self):
        code = (
            "import sys, matplotlib; before = matplotlib.rcParams.copy(); import fnequiv.plotting; "
            "assert matplotlib.rcParams.copy() == before; "
            "assert not {'matplotlib.pyplot', 'torch'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestPalette:
    @pytest.mark.parametrize("color", plotting.PALETTE)
    def test_every_colour_stands_out_on_white(self, color):
        assert contrast(color, "white") >= 3  # WCAG 2.1, success criterion 1.4.11

    @pytest.mark.parametrize("matrix", SEEN_BY.values(), ids=SEEN_BY.keys())
    def test_no_two_colours_look_alike(self, matrix):
        seen = [lab(np.array(matrix) @ linear(color)) for color in plotting.PALETTE]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15

    def test_the_check_rejects_a_colour_that_was_left_out(self):
        # Okabe and Ito's orange, next to their vermillion, on white.
        assert contrast("#E69F00", "white") < 3


class TestNetwork:
    @given(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    def test_one_circle_a_neuron_and_one_line_a_weight(self, widths):
        _, lines, neurons = drawn(widths)
        assert [len(layer.get_offsets()) for layer in neurons] == widths
        assert [len(pair.get_segments()) for pair in lines] == [a * b for a, b in itertools.pairwise(widths)]

    def test_neuron_0_is_on_top_and_layers_go_right(self):
        _, _, neurons = drawn((2, 3, 1))
        x = [set(layer.get_offsets()[:, 0]) for layer in neurons]
        assert all(len(column) == 1 for column in x)
        assert [*map(min, x)] == sorted(map(min, x))
        for layer in neurons:
            assert (np.diff(layer.get_offsets()[:, 1]) < 0).all()
            assert layer.get_offsets()[:, 1].mean() == pytest.approx(0)

    def test_everything_is_within_the_axes(self):
        ax, _, neurons = drawn((2, 5, 1))
        for layer in neurons:
            (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
            radius = layer._widths[0]  # half the given diameters
            x, y = layer.get_offsets().T
            assert left <= (x - radius).min()
            assert right >= (x + radius).max()
            assert low <= (y - radius).min()
            assert high >= (y + radius).max()

    def test_lines_tell_sign_size_and_absence(self):
        _, lines, neurons = drawn((2, 3, 1), WEIGHTS)
        first = edges(lines[0], neurons[:2])
        assert set(first) == {(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)}  # W[1, 0] = 0 has no line
        blue, vermillion = (to_rgba(color) for color in plotting.PALETTE[:2])
        for (to, of), (color, width, dashed) in first.items():
            weight = WEIGHTS[0][to, of]
            assert color == (blue if weight > 0 else vermillion)
            assert dashed == (weight < 0)
            assert width == pytest.approx(first[2, 0][1] * abs(weight) / 4)  # 4 is the largest of all

    def test_a_common_scale_makes_frames_comparable(self):
        thin, thick = (
            edges(lines[0], neurons[:2])[2, 0][1]
            for _, lines, neurons in (drawn((2, 3, 1), [factor * WEIGHTS[0], WEIGHTS[1]], scale=8) for factor in (1, 2))
        )
        assert thick == pytest.approx(2 * thin)

    def test_a_weight_beyond_the_scale_is_drawn_no_thicker(self):
        _, lines, _ = drawn((2, 1), [[[1e308, 1e-308]]], scale=1e-308)
        assert len(set(lines[0].get_linewidths())) == 1

    def test_a_permuted_network_is_the_same_picture_with_its_neurons_elsewhere(self):
        order = [2, 0, 1]
        colors = np.array(plotting.PALETTE[:3])
        _, lines, neurons = drawn((2, 3, 1), WEIGHTS, colors={1: colors})
        permuted = [WEIGHTS[0][order], WEIGHTS[1][:, order]]
        _, lines_p, neurons_p = drawn((2, 3, 1), permuted, colors={1: colors[order]})
        for i, j in enumerate(order):
            assert tuple(neurons_p[1].get_facecolors()[i]) == tuple(neurons[1].get_facecolors()[j])
        before, after = edges(lines[0], neurons[:2]), edges(lines_p[0], neurons_p[:2])
        assert after == {(i, of): before[j, of] for i, j in enumerate(order) for of in range(2) if (j, of) in before}

    def test_labels_stand_on_their_neurons_and_out_from_them(self):
        ax, _, neurons = drawn((1, 2), labels={1: ["one", "two"]}, colors={1: ["black", "white"]})
        assert [text.get_text() for text in ax.texts] == ["one", "two"]
        for text, place, face in zip(ax.texts, neurons[1].get_offsets(), ["black", "white"], strict=True):
            assert text.get_position() == tuple(place)
            assert contrast(text.get_color(), face) > 4.5

    @pytest.mark.parametrize("color", plotting.PALETTE)
    def test_labels_are_readable_on_every_colour(self, color):
        ax, _, _ = drawn((1, 1), labels={0: "a"}, colors={0: [color]})
        assert contrast(ax.texts[0].get_color(), color) > 4.5

    @pytest.mark.parametrize(
        ("labels", "texts"),
        [
            ([0, 1, 2], ["0", "1", "2"]),
            (np.array([0.0, 0.5, 1.0]), ["0.0", "0.5", "1.0"]),
            (torch.arange(3), ["0", "1", "2"]),
            (["a", "", None], ["a"]),
            ([False, True, "x"], ["False", "True", "x"]),
        ],
    )
    def test_a_label_may_be_a_number_zero_too(self, labels, texts):
        ax, _, _ = drawn((2, 3, 1), labels={1: labels})
        assert [text.get_text() for text in ax.texts] == texts

    def test_a_network_of_zeros_has_no_line(self):
        _, lines, _ = drawn((2, 2), [np.zeros((2, 2))])
        assert lines[0].get_segments() == []

    def test_nothing_given_is_changed(self):
        weights = [weight.copy() for weight in WEIGHTS]
        drawn((2, 3, 1), weights, scale=2)
        for kept, given_ in zip(WEIGHTS, weights, strict=True):
            np.testing.assert_array_equal(kept, given_)

    @pytest.mark.parametrize(
        ("widths", "options", "message"),
        [
            ((2,), {}, "widths must list"),
            ((2, 0), {}, "width d_1 must be >= 1, got 0"),
            ((2, 3, 1), {"weights": WEIGHTS[:1]}, "one array a pair of layers, 2, got 1"),
            (
                (2, 3, 1),
                {"weights": [WEIGHTS[0].T, WEIGHTS[1]]},
                r"weights\[0\] must have shape .* = \(3, 2\), got \(2, 3\)",
            ),
            ((2, 3, 1), {"weights": [WEIGHTS[0] * np.nan, WEIGHTS[1]]}, r"weights\[0\] must be finite"),
            ((2, 3, 1), {"weights": WEIGHTS, "scale": 0.0}, "scale must be finite and > 0"),
            ((2, 3, 1), {"scale": -1}, "scale must be finite and > 0"),
            ((2, 3, 1), {"scale": [1.0, 2.0]}, "scale must be one number"),
            ((2, 3, 1), {"colors": {3: ["red"]}}, "colors must name layers from 0 to 2, got 3"),
            ((2, 3, 1), {"colors": {1: ["red"]}}, r"colors\[1\] must hold one value a neuron, 3, got 1"),
            ((2, 3, 1), {"colors": {2: ["reddish"]}}, "colours that matplotlib knows, got 'reddish'"),
            ((2, 3, 1), {"labels": {0: "abc"}}, r"labels\[0\] must hold one value a neuron, 2, got 3"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, widths, options, message):
        ax = Figure().subplots()
        with pytest.raises(ValueError, match=message):
            plotting.network(ax, widths, **options)
        assert len(ax.collections) == 0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"weights": [WEIGHTS[0] * 1j, WEIGHTS[1]]}, r"weights\[0\] must be a real number or an array"),
            ({"weights": [WEIGHTS[0], WEIGHTS[1] > 0]}, r"weights\[1\] must be a real number or an array"),
            ({"weights": [WEIGHTS[0].astype(str), WEIGHTS[1]]}, r"weights\[0\] must be a real number or an array"),
            ({"weights": [torch.ones(3, 2, requires_grad=True), WEIGHTS[1]]}, "detach"),
            ({"weights": 1.0}, "weights must be a sequence, one array a pair of layers, got 1.0"),
            ({"weights": np.array(1.0)}, "weights must be a sequence"),
            ({"scale": "large"}, "scale must be a real number"),
            ({"scale": True}, "scale must be a real number"),
            ({"labels": "abc"}, "labels must map layers to one value a neuron, as in {1: 'abc'}, got 'abc'"),
            ({"colors": ["red"]}, "colors must map layers"),
            ({"labels": {1: 3}}, r"labels\[1\] must be a sequence, one value a neuron, got 3"),
        ],
    )
    def test_what_is_of_another_kind_is_refused(self, options, message):
        ax = Figure().subplots()
        with pytest.raises(TypeError, match=message):
            plotting.network(ax, (2, 3, 1), **options)
        assert len(ax.collections) == 0

    @pytest.mark.parametrize("ax", [None, Figure(), Figure().subplots(1, 2)])
    def test_it_draws_on_axes_alone(self, ax):
        with pytest.raises(TypeError, match="ax must be a matplotlib Axes, got"):
            plotting.network(ax, (2, 3, 1))
