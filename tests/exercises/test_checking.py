"""What `check` says about an answer: on a small task whose answers can be foreseen."""

import asyncio
import gc
import io
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch

from fnequiv.exercises import Verdict, check, checking
from fnequiv.exercises.comparing import brief, changed, difference
from fnequiv.exercises.tasks import Mistake, Task

DOUBLE = Task(
    name="double",
    call="double(values, times)",
    asks="the values doubled that often",
    cases=lambda: [([1.0, 2.0], 1), ([3.0], 2), ([float(i) for i in range(30)], 1)],
    oracle=lambda values, times: [value * 2**times for value in values],
    against="a multiplication",
    tolerance=1e-9,
    mistakes=(
        Mistake(lambda values, times: [value * 2 for value in values], "once is not often"),
        Mistake(lambda values, times: [value * values[3] for value in values], "the fourth value is not always there"),
    ),
)
NEAR = Task(
    name="near",
    call="near(x)",
    asks="a number within 1 of x",
    cases=lambda: [(0.0,), (5.0,)],
    oracle=lambda x: x,
    against="the definition",
    complaint=lambda got, x: "" if abs(got - x) <= 1 else f"it is {brief(abs(got - x))} away",
)


@pytest.fixture(autouse=True)
def _two_tasks(monkeypatch):
    monkeypatch.setattr(checking, "tasks", lambda: {"double": DOUBLE, "near": NEAR})


def said(answer, task="double"):
    return check(task, answer).text


def test_a_right_answer_may_be_of_a_kindred_type():
    for kind in (list, tuple, np.array, torch.tensor):
        verdict = check("double", lambda values, times, kind=kind: kind([v * 2**times for v in values]))
        assert verdict == Verdict(True, "Right: double agrees with a multiplication in all 3 cases.")


def test_a_wrong_answer_hears_the_first_case_that_it_misses():
    text = said(lambda values, times: [v + times * v if v < 3 else 7.0 for v in values])
    assert text == "Not yet: double([3], 2) gave [7], and [12] was asked."


def test_a_known_mistake_is_named_and_a_crash_can_be_one():
    text = said(lambda values, times: [v + v for v in values])
    assert text == "Not yet: double([3], 2) gave [6], and [12] was asked: once is not often."
    text = said(lambda values, times: [v * values[3] for v in values])
    assert "double([1, 2], 1) stopped with IndexError (list index out of range), in the line `text = said(" in text
    assert text.endswith("`: the fourth value is not always there.")


def test_long_arguments_are_called_by_their_name():
    text = said(lambda values, times: [v * 2**times for v in values[:10]])
    assert text == (
        "Not yet: double(values, 1) gave [0, 2, 4, 6, 8, 10, 12, 14, 16, 18] of length 10, and length 30 was asked."
    )


def test_an_answer_that_changes_its_arguments_is_told_so_and_spoils_no_case():
    def answer(values, times):
        values[:] = [v * 2**times for v in values]
        return values

    assert said(answer) == (
        "Not yet: double([1, 2], 1) changed its arguments: work on copies, for the caller may still need them."
    )


def test_an_unfinished_answer_hears_what_is_asked():
    def answer(values, times):
        raise NotImplementedError

    assert said(answer).endswith("is still to be written. It has to return the values doubled that often.")


def test_a_task_with_many_right_answers():
    assert check("near", lambda x: x + 0.5)
    assert said(lambda x: 2.0, "near") == "Not yet: near(0) gave 2: it is 2 away."
    assert said(lambda x: "2", "near") == "Not yet: near(0) gave '2': it has to return a number within 1 of x."


def test_what_is_no_function_or_takes_other_arguments():
    assert said(3) == "Not yet: pass the function double itself, not 3."
    text = said(lambda values: values)
    assert text == "Not yet: it is called as double(values, times), and yours takes (values)."


def test_an_unknown_name_lists_those_there_are(refuses):
    meant = "there is no exercise 'duble': did you mean 'double'? The names are double, near"
    refuses(lambda: check("duble", max), ValueError, meant)
    refuses(lambda: check("entropy", max), ValueError, "there is no exercise 'entropy': the names are double, near")
    refuses(lambda: check(["double"], max), ValueError, "names are double, near")


def test_a_verdict_is_its_text_and_shows_nothing_twice(capsys):
    verdict = check("near", lambda x: x)
    assert bool(verdict)
    assert capsys.readouterr().out == verdict.text + "\n"
    verdict._ipython_display_()
    assert capsys.readouterr().out == ""


class Hostile:
    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError

    __eq__ = __len__ = __iter__ = __array__ = __repr__
    __hash__ = None


class Leaving(Hostile):
    def __repr__(self):
        raise SystemExit

    __eq__ = __len__ = __iter__ = __array__ = __reduce_ex__ = __deepcopy__ = __repr__


class _Hidden:
    def __repr__(self):
        return "me"


def in_itself():
    values = [1.0]
    values.append(values)
    return values


@pytest.mark.parametrize(
    "value",
    [
        Hostile(),
        Leaving(),
        [Leaving()],
        in_itself(),
        {"a": in_itself()},
        10**5000,
        [10**5000, 1],
        np.array([1.0, None]),
        [[1], [2, 3]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_value_is_too_strange(value):
    for task in ("double", "near"):
        assert said(lambda *arguments: value, task).startswith("Not yet: ")
        assert said(value, task).startswith("Not yet: ")


class WordlessError(Exception):
    def __str__(self):
        raise RuntimeError


class Callable:
    def __getattr__(self, name):
        raise RuntimeError(name)

    def __call__(self, x):
        raise WordlessError


@pytest.mark.parametrize("error", [WordlessError, asyncio.CancelledError, GeneratorExit, SystemExit])
def test_no_error_leaves_the_call(error):
    def answer(x):
        raise error

    assert said(answer, "near").startswith(f"Not yet: near(0) stopped with {error.__name__}")


def test_objects_that_fail_when_looked_at_are_told_apart_from_their_answers():
    assert "stopped with WordlessError (no words for it)" in said(Callable(), "near")
    hostile = Hostile()
    assert said(lambda x, y, z=hostile: x, "near") == (
        "Not yet: it is called as near(x), and yours takes (other parameters)."
    )
    assert len(said(lambda a, b, c, d=list(range(99)): 0)) < 200


def test_a_value_that_warns_when_it_is_looked_at_is_a_value(capfd):
    class Loud(float):
        """A number that warns where it is compared, as some operations of libraries do."""

        def __sub__(self, other):
            warnings.warn("loud", stacklevel=2)
            return float(self) - other

    assert check("near", lambda x: Loud(x + 0.5))  # here a warning is an error
    assert said(lambda x: Loud(x + 3), "near") == "Not yet: near(0) gave 3: it is 3 away."
    assert "loud" not in capfd.readouterr().err


def test_what_waits_or_yields_is_told_so():
    async def waits(x):
        return x

    async def both(x):
        yield x

    def yields(x):
        yield x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for answer in (waits, both):
            assert said(answer, "near") == "Not yet: near(0) waits to be awaited: write def, without async."
            gc.collect()
    assert said(yields, "near").startswith("Not yet: near(0) gave a generator: use return, not yield")


def test_no_address_is_shown():
    assert said(lambda x: object(), "near") == (
        "Not yet: near(0) gave <object object>: it has to return a number within 1 of x."
    )


def test_an_answer_may_keep_one_list_for_all_its_calls():
    kept = []

    def right(values, times):
        kept[:] = [value * 2**times for value in values]
        return kept

    def wrong(values, times, out=[]):  # noqa: B006
        out.extend(value * 2**times for value in values)
        return out

    assert check("double", right)
    assert said(wrong) == "Not yet: double([3], 2) gave [2, 4, 12] of length 3, and length 1 was asked."


def test_two_mistakes_at_once_get_a_guess_if_one_explains_the_first_fault():
    once = lambda values, times: [value * 2 for value in values[:10]]  # noqa: E731
    assert said(once) == "Not yet: double([3], 2) gave [6], and [12] was asked: at a guess, once is not often."


def test_nothing_is_called_behind_the_first_fault_unless_a_hint_needs_it():
    calls = []
    said(lambda values, times: calls.append(values))
    assert calls == [[1.0, 2.0]]


def test_an_output_without_greek_letters(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", narrow)
    verdict = check("near", lambda x: "λ")
    narrow.flush()
    assert "λ" in verdict.text
    assert b"gave '\\u03bb'" in narrow.buffer.getvalue()


def test_an_output_of_a_network_is_named_where_it_moved():
    assert changed(np.zeros((2, 2)), np.zeros((2, 2)), 0.0) == ""
    assert changed(np.array([0.0, 1.0 + 1e-7]), np.array([0.0, 1.0]), 1e-9) == "output[1] is 1.0000001, and was 1"
    assert changed(np.array([np.nan]), np.array([0.0]), 1e-9) == "output[0] is nan, and was 0"


def test_an_interrupt_is_the_readers_own():
    def answer(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("near", answer)


@pytest.mark.parametrize(
    ("got", "wanted", "words"),
    [
        (1, 1.0, None),
        (10**30 + 1, 10**30, f"gave {10**30 + 1}, and {10**30} was asked"),
        (1.0 + 1e-7, 1.0, "gave 1.0000001, and 1 was asked"),
        (float("inf"), 1.0, "too large or too small for a float"),
        (True, 1, "gave True or False, True, and a number was asked"),
        (1, True, "gave a number, 1, and True or False was asked"),
        (np.bool_(False), True, "gave False, and True was asked"),
        ({1, 2}, frozenset({1, 2}), None),
        ([[1], [2, 3]], np.zeros((2, 2)), "and an array of shape (2, 2) was asked"),
        (np.zeros(3), np.zeros((3, 1)), "gave an array of shape (3,), and one of shape (3, 1) was asked"),
        (np.arange(20.0), np.zeros(20), "at [1] gave 1, and 0 was asked"),
        ([1.0, float("nan")], np.zeros(2), "gave [1, nan], and [0, 0] was asked"),
        ([0.0, float("nan")], np.zeros(2), "at [1] gave NaN, which is no number"),
        ({"a": 1}, {"a": 1, "b": 2}, "gave the keys ['a'], and ['a', 'b'] were asked"),
        (torch.ones(2, requires_grad=True), np.ones(2), None),
        (torch.tensor(2.0), 2.0, None),
        (Fraction(1, 2), 0.5, None),
        (Fraction(1, 3), 0.5, "gave Fraction(1, 3), and 0.5 was asked"),
        (np.longdouble(1) / 2, 0.5, None),
        ({"a": [1] * 9}, True, "gave a dict, and True or False was asked"),
        (_Hidden(), 1.0, "gave a Hidden, me, and a number was asked"),
        ("b", "a", "gave 'b', and 'a' was asked"),
        (3, (3,), "gave a number, 3, and a tuple was asked"),
    ],
)
def test_differences_in_words(got, wanted, words):
    found = difference(got, wanted, 0.0 if isinstance(got, int) else 1e-9)
    assert found is None if words is None else words in found


def test_the_exercises_need_no_torch():
    code = (
        "import sys; from fnequiv import exercises\nexercises.check('log-copies', 0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
