"""The shared boundary checks: what they let pass is unchanged, and what they refuse is named shortly."""

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fnequiv.validation import (
    check_bool,
    check_finite,
    check_integer,
    check_numeric,
    check_positive,
    check_probability,
    check_real,
    check_widths,
    shown,
)

HUGE = 10**6000  # more digits than Python prints
integers = st.integers(-(2**62), 2**62)
floats = st.floats(allow_nan=True, allow_infinity=True)
huge = pytest.param(HUGE, id="huge")
number = integers | floats | st.fractions() | st.integers(2**64, 2**900)
as_scalar = st.sampled_from([int, np.int64, np.array, torch.tensor])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=6,
)
each_check = pytest.mark.parametrize("check", [check_numeric, check_finite, check_positive, check_real])


class Silent:
    def __repr__(self):
        raise RuntimeError("no words")


class TestShown:
    @given(anything)
    def test_it_is_one_short_line_and_the_repr_where_that_is_one(self, value):
        text = shown(value)
        assert len(text) <= 80
        assert "\n" not in text
        if len(repr(value)) <= 80:
            assert text == repr(value)

    @pytest.mark.parametrize(
        "value", [10**400, huge, [HUGE], np.arange(10_000.0), torch.zeros(99, 99), "x" * 10**6, Silent()]
    )
    def test_what_is_long_or_cannot_be_printed_is_cut(self, value):
        assert 0 < len(shown(value)) <= 80

    def test_of_what_is_long_no_more_is_printed_than_is_shown(self):
        printed = []

        class Entry:
            def __repr__(self):
                printed.append(1)
                return "e"

        many = [Entry()] * 10_000
        for value in (many, tuple(many), dict(enumerate(many)), [many] * 10_000, {"a": {"b": many}}):
            assert shown(value).count("e, ") > 10 or isinstance(value, dict)
            assert len(printed) < 2000
            printed.clear()

    def test_no_address_is_shown(self):
        assert shown(object()) == "<object object>"
        assert shown([object()]) == "[<object object>]"

    def test_the_ends_stay(self):
        assert shown(list(range(1000))).startswith("[0, 1, 2, ")
        assert shown(list(range(1000))).endswith(" ... ]")


class TestInteger:
    @given(integers, as_scalar, integers)
    def test_it_is_the_same_integer_or_below_the_minimum(self, value, kind, minimum):
        if value >= minimum:
            found = check_integer("width", kind(value), minimum=minimum)
            assert (type(found), found) == (int, value)
        else:
            with pytest.raises(ValueError, match=f"width must be >= {minimum}, got {value}$"):
                check_integer("width", kind(value), minimum=minimum)

    @pytest.mark.parametrize("kind", [bool, np.bool_, np.array, torch.tensor])
    def test_a_truth_value_is_no_integer(self, kind):
        with pytest.raises(TypeError, match="width must be an integer, got"):
            check_integer("width", kind(True))

    @pytest.mark.parametrize(
        "value", [3.0, "3", b"3", None, [3], (3,), Fraction(3), 3 + 0j, np.array([3]), torch.tensor([3]),
                  torch.tensor(3.0), np.float64(3), np.ma.array(3, mask=True), np.ma.masked, math.nan, {}],
    )  # fmt: skip
    def test_nothing_else_is_one(self, value):
        with pytest.raises(TypeError, match=r"width must be an integer, got .*: pass an int >= 2"):
            check_integer("width", value, minimum=2)

    def test_huge_integers_pass_and_are_not_printed(self):
        assert check_integer("n", HUGE) == HUGE
        with pytest.raises(ValueError, match="n must be >= 1, got a value of type int that cannot be printed"):
            check_integer("n", -HUGE)


class TestBool:
    @pytest.mark.parametrize("value", [True, False])
    def test_the_two_of_them_come_back(self, value):
        assert check_bool("bias", value) is value

    @pytest.mark.parametrize("value", [1, 0, None, "no", "", [], np.True_, torch.tensor(True)])
    def test_what_is_only_true_or_false_by_accident_is_refused(self, value):
        with pytest.raises(TypeError, match="bias must be True or False, got"):
            check_bool("bias", value)


class TestWidths:
    @given(st.lists(st.integers(1, 10**6), min_size=2), st.sampled_from([list, tuple, np.array, torch.Size]))
    def test_every_sequence_of_widths_comes_back_as_integers(self, widths, kind):
        found = check_widths(kind(widths))
        assert found == tuple(widths)
        assert {type(width) for width in found} == {int}

    @given(st.lists(st.integers(1, 9), max_size=6), st.integers(0, 4))
    def test_hidden_layers_are_counted(self, widths, hidden):
        if len(widths) >= hidden + 2:
            assert check_widths(widths, hidden=hidden) == tuple(widths)
            return
        with pytest.raises(ValueError, match=rf"widths must list .* pass at least {hidden + 2} integers") as caught:
            check_widths(widths, hidden=hidden)
        example = caught.value.args[0].rpartition(" as in ")[2]
        check_widths(eval(example), hidden=hidden)  # the remedy works

    @given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
    def test_the_layer_of_a_wrong_width_is_named(self, widths, data):
        layer = data.draw(st.integers(0, len(widths) - 1))
        widths[layer] = data.draw(st.integers(-9, 0))
        with pytest.raises(ValueError, match=f"width d_{layer} must be >= 1, got {widths[layer]}$"):
            check_widths(widths)

    @pytest.mark.parametrize(
        "widths", [np.array(3), np.ones((2, 2), dtype=int), torch.tensor([2, 3]), "23", b"23", bytearray(b"23"),
                   {2: 1, 3: 1}, {2, 3}, iter([2, 3]), 5, None, huge, (2, 2.0), [2, True], [2, None],
                   np.array([2.0, 3.0]), np.ma.array([2, 3], mask=[False, True])],
    )  # fmt: skip
    def test_what_is_no_sequence_of_integers_is_refused(self, widths):
        with pytest.raises(TypeError, match=r"widths must be a sequence|width d_\d must be an integer"):
            check_widths(widths)

    def test_an_empty_list_is_answered_in_words(self):
        with pytest.raises(ValueError, match=r"any number of hidden layers and output, got \(\): pass at least 2"):
            check_widths([])
        with pytest.raises(ValueError, match="input, 1 or more hidden layers and output"):
            check_widths([2, 3], hidden=1)

    def test_huge_widths_are_not_printed(self):
        assert check_widths((2, HUGE)) == (2, HUGE)
        for widths in [(HUGE,), (2, -HUGE)]:
            with pytest.raises(ValueError, match="that cannot be printed"):
                check_widths(widths)


class TestNumbers:
    @given(number)
    def test_one_number_is_rounded_as_python_rounds_it(self, value):
        found = check_numeric("x", value)
        assert (found.dtype, found.shape) == (np.float64, ())
        np.testing.assert_array_equal(found, float(value))

    @given(st.lists(number))
    def test_so_are_many_and_nothing_is_changed(self, values):
        kept = list(values)
        np.testing.assert_array_equal(check_numeric("x", values), [float(value) for value in kept])
        array = np.array([float(value) for value in kept])
        found = check_numeric("x", array)
        assert not np.shares_memory(found, array)

    @given(st.lists(floats, min_size=1), st.booleans())
    def test_finite_and_positive_refuse_the_first_wrong_entry(self, values, positive):
        check = check_positive if positive else check_finite
        wrong = [value for value in values if not (math.isfinite(value) and (value > 0 or not positive))]
        if not wrong:
            np.testing.assert_array_equal(check("eps", values), values)
        else:
            with pytest.raises(ValueError, match="eps must be finite") as caught:
                check("eps", values)
            assert caught.value.args[0].endswith(f"got {wrong[0]!r}")

    @each_check
    @pytest.mark.parametrize("kind", [float, np.float32, np.array, np.ma.array, torch.tensor, Fraction])
    def test_every_kind_of_number_passes(self, check, kind):
        found = check("x", kind(0.5))
        assert float(found) == 0.5
        assert type(found) is float if check is check_real else found.dtype == np.float64

    @each_check
    @pytest.mark.parametrize(
        "value", [True, np.True_, torch.tensor(True), [True], 1j, "1", b"1", None, [None], [1, None], {1: 2}, print,
                  [[1], [1, 2]], np.datetime64("2020"), np.array(["1"]), [[]] * 2 + [1],
                  torch.tensor(0.5, requires_grad=True), torch.tensor([0.5], dtype=torch.bfloat16),
                  torch.tensor(1.0, device="meta")],
    )  # fmt: skip
    def test_anything_else_is_refused(self, check, value):
        with pytest.raises(TypeError, match="x must be a real number or an array of them, got "):
            check("x", value)

    @each_check
    def test_a_tensor_with_a_gradient_is_answered_with_what_to_do(self, check):
        with pytest.raises(TypeError, match="detach"):
            check("x", torch.tensor(0.5, requires_grad=True))

    @each_check
    @pytest.mark.parametrize("value", [np.ma.array([1.0, 2.0], mask=[False, True]), np.ma.masked])
    def test_masked_entries_are_not_looked_under(self, check, value):
        with pytest.raises(ValueError, match="fill the masked entries"):
            check("x", value)

    @each_check
    @pytest.mark.parametrize("value", [10**400, huge, [1, HUGE], (-HUGE, 1)])
    def test_what_float64_cannot_hold_is_no_infinity(self, check, value):
        with pytest.raises(ValueError, match="x must lie within float64's range") as caught:
            check("x", value)
        assert len(caught.value.args[0]) < 160

    @pytest.mark.skipif(np.finfo(np.longdouble).max <= sys.float_info.max, reason="long double is double here")
    def test_nor_is_a_long_double_beyond_it(self):
        with pytest.raises(ValueError, match="within float64's range"):
            check_numeric("x", np.finfo(np.longdouble).max)
        assert check_numeric("x", np.longdouble("inf")) == math.inf

    @given(st.lists(st.floats(allow_nan=False), min_size=0, max_size=3))
    def test_an_array_is_not_one_number(self, values):
        with pytest.raises(ValueError, match=rf"slope must be one number, got an array of shape \({len(values)},\)"):
            check_real("slope", values)

    @given(anything)
    def test_whatever_comes_the_answer_is_a_number_or_a_type_or_value_error(self, value):
        for check in (check_numeric, check_finite, check_positive, check_real):
            try:
                found, message = check("x", value), "x must "
            except (TypeError, ValueError) as error:
                found, message = 0.0, str(error)
            assert np.asarray(found).dtype == np.float64
            assert message.startswith("x must ")


def test_a_probability_is_strictly_between_zero_and_one(refuses):
    assert [check_probability("p", value) for value in (5e-324, 0.5, np.float32(0.25))] == [5e-324, 0.5, 0.25]
    for value in (0, 1, -0.1, 95):
        refuses(lambda value=value: check_probability("p", value), ValueError, "p must be a probability in (0, 1), got")
    refuses(lambda: check_probability("p", float("nan")), ValueError, "p must be finite")
    refuses(lambda: check_probability("p", "0.5"), TypeError, "p must be a real number")
    refuses(lambda: check_probability("p", [0.5]), ValueError, "p must be one number")
