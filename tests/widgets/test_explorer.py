"""What the reader sees, read off the widget state as a browser reads it: no Python object, no kernel."""

import itertools
import json
import re
import warnings

import ipywidgets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets.embed import dependency_state
from matplotlib import pyplot as plt

from fnequiv.widgets import Explorer, explore, explorer


def drawing(text):
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>{text}</text></svg>'


def sketch(**values):
    "The values, written out."
    return drawing(" ".join(map(str, values.values())))


def wave(k):
    "A wave."
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot(np.sin(k * np.arange(9)))
    return figure


class Reader:
    """A browser with no kernel: models in JSON, and the links between them."""

    def __init__(self, figure):
        self.models = {
            key: (model["model_name"], dict(model["state"]))
            for key, model in dependency_state([figure], drop_defaults=False).items()
        }
        *controls, self.top = map(self.key, self.models[figure.model_id][1]["children"])
        self.controls = {self.models[key][1]["description"]: key for key in controls}

    @staticmethod
    def key(reference):
        return reference.removeprefix("IPY_MODEL_")

    def move(self, description, index):
        self.models[self.controls[description]][1]["index"] = index
        for name, state in self.models.values():
            if name == "LinkModel" and self.key(state["source"][0]) == self.controls[description]:
                model, trait = state["target"]
                self.models[self.key(model)][1][trait] = index

    @property
    def shown(self):
        name, state = self.models[self.top]
        while name == "StackModel":
            name, state = self.models[self.key(state["children"][state["selected_index"]])]
        assert name == "HTMLModel"
        return state["value"]

    def count(self, wanted):
        return sum(name == wanted for name, _ in self.models.values())


class TestWhatIsShown:
    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_every_position_of_the_controls_shows_its_own_frame(self, data):
        sizes = data.draw(st.lists(st.integers(2, 4), min_size=1, max_size=3))
        # Values that some frames do not depend on, so that frames and whole stacks of them are shared.
        table = {point: data.draw(st.integers(0, 3)) for point in itertools.product(*map(range, sizes))}
        names = "abc"[: len(sizes)]
        grids = {name: range(size) for name, size in zip(names, sizes, strict=True)}
        reader = Reader(explore(lambda **at: drawing(table[tuple(at.values())]), alt="A number.", **grids))
        visits = data.draw(st.permutations(list(table)))
        for point in [next(iter(table)), *visits]:
            for name, index in zip(names, point, strict=True):
                reader.move(name, index)
            assert f"<text>{table[point]}</text>" in reader.shown
        assert reader.count("HTMLModel") == len(set(table.values()))

    def test_the_first_frame_is_shown_first(self):
        assert "<text>3 x</text>" in Reader(explore(sketch, n=[3, 1], s=["x", "y"])).shown

    def test_frames_are_given_by_label(self):
        figure = explore(sketch, n=[1, 2], s=["x", "y"])
        assert list(figure.frames) == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]
        assert "<text>2 x</text>" in figure.frames["2", "x"]

    def test_draw_is_asked_once_a_point_with_the_values_given(self):
        asked = []

        def draw(**values):
            asked.append(values)
            return sketch(**values)

        explore(draw, alt="Values.", flag=[True, False], order={"as is": (0, 1), "swapped": (1, 0)})
        assert asked == [{"flag": f, "order": o} for f in (True, False) for o in ((0, 1), (1, 0))]

    def test_matplotlib_figures_are_drawn_and_closed(self):
        figure = explore(wave, k=[1, 2])
        assert plt.get_fignums() == []
        assert len(set(figure.frames.values())) == 2
        assert figure.frames == explore(wave, k=[1, 2]).frames

    def test_no_figure_is_left_open(self):
        mine = plt.figure()

        def fails(k):
            plt.subplots()
            raise ZeroDivisionError

        def returns_axes(k):
            return plt.subplots()[1]

        def leaves_one(k):
            plt.figure()
            return wave(k)

        try:
            with pytest.raises(ZeroDivisionError):
                explore(fails, alt="Nothing.", k=[1, 2])
            with pytest.raises(TypeError, match="end it with `return fig`"):
                explore(returns_axes, alt="Nothing.", k=[1, 2])
            explore(leaves_one, alt="A wave.", k=[1, 2])
            assert plt.get_fignums() == [mine.number]
        finally:
            plt.close(mine)

    @pytest.mark.parametrize("values", [torch.arange(2), list(torch.arange(2)), np.arange(2), [np.array(0), 1]])
    def test_scalars_come_as_pythons_numbers(self, values):
        asked = []
        explore(lambda n: (asked.append(n), sketch(n=n))[1], alt="A number.", n=values)
        assert [(type(n), n) for n in asked] == [(int, 0), (int, 1)]

    def test_nothing_is_printed(self, capfd):
        explore(sketch, n=[1, 2])
        assert capfd.readouterr() == ("", "")


class TestControls:
    @pytest.mark.parametrize(
        "values", [[1, 2, 4], np.linspace(0, 1, 3), torch.tensor([0.1, 0.5]), {"small": 0.1, "large": 10}]
    )
    def test_numbers_have_a_slider(self, values):
        assert isinstance(explore(sketch, n=values).controls[0], ipywidgets.SelectionSlider)

    @pytest.mark.parametrize("values", [["none", "signed"], [True, False], {"as is": (0, 1), "swapped": (1, 0)}])
    def test_anything_else_has_a_list(self, values):
        assert isinstance(explore(sketch, n=values).controls[0], ipywidgets.Dropdown)

    @pytest.mark.parametrize(
        ("values", "labels"),
        [
            ([1, 10], ("1", "10")),
            (np.array([1, 10]), ("1", "10")),
            (torch.tensor([1, 10]), ("1", "10")),
            ([torch.tensor(0.25, requires_grad=True), torch.tensor(1e-9)], ("0.25", "1e-09")),
            ([0.1, 1 / 3, 2.0], ("0.1", "0.3333", "2")),
            ((value for value in "ab"), ("a", "b")),
            ({"one": 1, 2: "two"}, ("one", "2")),
        ],
    )
    def test_labels_are_short(self, values, labels):
        assert explore(sketch, n=values).controls[0].options == labels

    def test_a_control_bears_its_parameters_name(self):
        assert [c.description for c in explore(sketch, first_width=[1, 2], k=[1, 2]).controls] == ["first width", "k"]

    def test_in_a_kernel_the_values_can_be_read(self):
        assert explore(sketch, n=[1, 2]).controls[0].value == "1"


class TestWeight:
    def test_equal_frames_and_equal_stacks_are_stored_once(self):
        before = set(ipywidgets.widgets.widget._instances)
        explore(lambda a, b, c: drawing(b), alt="Only b matters.", a=range(4), b=range(3), c=range(2))
        made = [w for key, w in ipywidgets.widgets.widget._instances.items() if key not in before]
        counts = {kind: sum(type(w) is kind for w in made) for kind in (ipywidgets.HTML, ipywidgets.Stack)}
        # One stack for a, one for b, and one for c at each b; without sharing there were 1 + 4 + 12.
        assert counts == {ipywidgets.HTML: 3, ipywidgets.Stack: 1 + 1 + 3}

    def test_weight_is_what_the_frames_add_to_the_state(self):
        reader = Reader(explore(sketch, n=[1, 2, 3]))
        stored = [json.dumps(state["value"]) for name, state in reader.models.values() if name == "HTMLModel"]
        assert explore(sketch, n=[1, 2, 3]).weight == sum(map(len, stored))

    def test_layouts_are_shared(self):
        assert Reader(explore(sketch, n=range(20))).count("LayoutModel") < 6

    def test_a_heavy_figure_warns_with_its_size_and_a_remedy(self, monkeypatch):
        monkeypatch.setattr(explorer, "WEIGHT_LIMIT", 10_000)
        with pytest.warns(UserWarning, match=r"adds 0\.1 MB .* 2 distinct frames .* pass fewer values") as caught:
            explore(lambda n: drawing(str(n) * 50_000), alt="Digits.", n=[1, 2])
        assert caught[0].filename == __file__

    def test_a_figure_of_just_the_limit_does_not(self, monkeypatch):
        weight = explore(sketch, n=[1, 2]).weight
        for limit, warned in [(weight, []), (weight - 1, [UserWarning])]:
            monkeypatch.setattr(explorer, "WEIGHT_LIMIT", limit)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                explore(sketch, n=[1, 2])
            assert [warning.category for warning in caught] == warned


class TestAlternativeText:
    def test_it_may_follow_the_frame(self):
        figure = explore(sketch, alt=lambda n: f"Width {n}.", n=[1, 2])
        assert 'aria-label="Width 2."' in figure.frames[("2",)]

    def test_it_may_be_one_for_all(self):
        assert all('aria-label="Both."' in frame for frame in explore(sketch, alt="Both.", n=[1, 2]).frames.values())

    def test_by_default_it_is_the_docstring(self):
        assert 'aria-label="The values, written out."' in explore(sketch, n=[1, 2]).frames[("1",)]

    @pytest.mark.parametrize("alt", ["", "  ", lambda n: "", lambda n: None])
    def test_there_is_no_frame_without(self, alt):
        with pytest.raises(ValueError, match="every frame needs an alternative text"):
            explore(sketch, alt=alt, n=[1, 2])

    def test_a_function_without_docstring_needs_one(self):
        with pytest.raises(ValueError, match="pass alt=, or give draw a docstring"):
            explore(lambda n: drawing(n), n=[1, 2])


class TestDisplay:
    def test_notebooks_get_the_widget_and_others_a_picture_with_it(self):
        figure = explore(sketch, n=[1, 2])
        bundle = figure._repr_mimebundle_()
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == figure.model_id
        assert figure.model_id in bundle["text/html"]
        assert re.search(r'<img [^>]*alt="The values, written out\." src="data:image/svg', bundle["text/html"])
        assert bundle["text/plain"].startswith("<Explorer of n: 2 frames, 2 distinct, ")

    def test_it_is_an_ordinary_widget(self):
        figure = explore(sketch, n=[1, 2])
        assert isinstance(figure, Explorer)
        assert isinstance(ipywidgets.HBox([figure]).children[0], ipywidgets.VBox)
        assert figure.get_state()["_model_name"] == "VBoxModel"  # no front end has to learn a new one


class TestRefusals:
    @pytest.mark.parametrize(
        ("draw", "parameters", "error", "message"),
        [
            ("sine", {"n": [1, 2]}, TypeError, "draw must be callable, got 'sine'"),
            (sketch, {}, ValueError, "at least one parameter"),
            (sketch, {"n": "abc"}, TypeError, "n must be an iterable of values, got 'abc'"),
            (sketch, {"n": 3}, TypeError, "n must be an iterable of values, got 3"),
            (sketch, {"n": []}, ValueError, "n must have at least two values, got 0"),
            (sketch, {"n": [1]}, ValueError, "n must have at least two values, got 1"),
            (sketch, {"n": [1, 2, 1]}, ValueError, "n must have distinct labels, got '1' twice"),
            (sketch, {"n": [1, 1.0]}, ValueError, "n must have distinct labels, got '1' twice"),
            (sketch, {"n": itertools.count()}, ValueError, r"<= 200, got 201 or more \(201 n\)"),
            (sketch, {"n": range(15), "m": range(14)}, ValueError, r"<= 200, got 210 \(15 n x 14 m\)"),
            (sketch, {"n": np.array(3)}, TypeError, "n must be an iterable of values"),
            (sketch, {"n": torch.tensor(3)}, TypeError, "n must be an iterable of values"),
            (sketch, {"n": [1, 2], "alt": 3}, TypeError, "alt must be a text or a function"),
            (sketch, {"n": [1, 2], "alt": [1, 2]}, TypeError, "a parameter of draw's cannot be called alt"),
            (
                lambda n: None,
                {"n": [1, 2], "alt": "Nothing."},
                TypeError,
                "return a matplotlib Figure or the text of an",
            ),
            (lambda n: "text", {"n": [1, 2], "alt": "Text."}, ValueError, "SVG with a viewBox"),
        ],
    )
    def test_what_cannot_be_explored_is_refused(self, draw, parameters, error, message):
        with pytest.raises(error, match=message):
            explore(draw, **parameters)

    def test_too_many_frames_are_refused_before_the_first_is_drawn(self):
        with pytest.raises(ValueError, match="got 1000000000000"):
            explore(lambda **_: pytest.fail("drawn"), alt="-", **{name: range(100) for name in "abcdef"})
