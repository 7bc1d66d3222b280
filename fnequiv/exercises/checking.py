"""Try an answer to a coding exercise of the book, and say kindly and exactly what is wrong with it.

``check`` calls the answer on the cases of its task. An answer that is wrong, unfinished or stops with an error gets a
sentence, with the first case that it misses; where it makes a mistake that the task knows, the sentence says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..validation import shown
from . import (
    any_model,
    attention,
    convolutional,
    covering_numbers,
    estimation,
    exact_counting,
    feedforward,
    how_tight,
    introduction,
    optimisation,
    residual,
    telling_apart,
)
from .comparing import brief, difference
from .tasks import Mistake, Task
from .trying import Outcome, attempt, misfit, shown_call

ROOMS = (
    introduction,
    feedforward,
    telling_apart,
    covering_numbers,
    how_tight,
    convolutional,
    residual,
    attention,
    any_model,
    estimation,
    optimisation,
    exact_counting,
)  # in the order of the chapters


@dataclass(frozen=True)
class Verdict:
    """What ``check`` found: true if the answer is right. ``text`` is what was printed."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def _ipython_display_(self) -> None:
        """Show nothing in a notebook: the text stands there already."""


def tasks() -> dict[str, Task]:
    """Return every task of the book by its name."""
    return {task.name: task for room in ROOMS for task in room.TASKS}


def check(name: str, answer: Any) -> Verdict:
    """Try an answer to an exercise; print what was found and return it.

    Parameters
    ----------
    name
        The exercise, as its cell in the book names it.
    answer
        The function that you wrote. Whatever it does (return nothing, raise, change its arguments), no error leaves
        this call. It may run for as long as it likes.

    Raises
    ------
    ValueError
        If no exercise has this name.

    Examples
    --------
    >>> verdict = check("log-copies", lambda widths, activation: 0.0)
    Not yet: log_copies((1, 1, 1), 'tanh') gave 0, and 0.6931 was asked.
    >>> bool(verdict)
    False
    """
    known = tasks()
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"there is no exercise {name!r}: the names are {', '.join(sorted(known))}")
    verdict = _judge(known[name], answer)
    print(verdict.text)
    return verdict


def _judge(task: Task, answer: Any) -> Verdict:
    if reason := misfit(task, answer):
        return Verdict(False, f"Not yet: {reason}.")
    cases = task.cases()
    outcomes = [attempt(answer, arguments) for arguments in cases]
    for arguments, outcome in zip(cases, outcomes, strict=True):
        if words := _fault(task, arguments, outcome):
            why = _known_mistake(task, cases, outcomes)
            asked = f" It has to return {task.asks}." if outcome.unfinished else ""
            call = shown_call(task, arguments)
            return Verdict(False, f"Not yet: {call} {words}{': ' * bool(why)}{why}.{asked}")
    return Verdict(True, f"Right: {task.function} agrees with {task.against} in all {len(cases)} cases.")


def _fault(task: Task, arguments: tuple[Any, ...], outcome: Outcome) -> str:
    """Return what is wrong with the outcome of a case, or ""."""
    if outcome.failure:
        return outcome.failure
    wanted = task.oracle(*arguments)
    try:
        if task.complaint is None:
            return difference(outcome.value, wanted, task.tolerance) or ""
        reason = task.complaint(outcome.value, *arguments)
        return f"gave {brief(outcome.value)}: {reason}" if reason else ""
    except Exception:  # a value of another kind than can be compared
        return f"gave {shown(outcome.value)}: it has to return {task.asks}"


def _known_mistake(task: Task, cases: Sequence[tuple[Any, ...]], outcomes: list[Outcome]) -> str:
    """Return the message of the first mistake that gives what the answer gave, or ""."""

    def makes(mistake: Mistake) -> bool:
        wrong = (attempt(mistake.wrong, arguments) for arguments in cases)
        return all(_same(one, other, task.tolerance) for one, other in zip(outcomes, wrong, strict=True))

    return next((mistake.message for mistake in task.mistakes if makes(mistake)), "")


def _same(one: Outcome, other: Outcome, tolerance: float) -> bool:
    if one.failure or other.failure:
        return one.error is other.error and bool(one.failure) == bool(other.failure) and one.error is not None
    try:
        return difference(one.value, other.value, tolerance) is None
    except Exception:  # as above
        return False
