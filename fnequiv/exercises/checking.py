"""Try an answer to a coding exercise of the book, and say kindly and exactly what is wrong with it.

``check`` calls the answer on the cases of its task. An answer that is wrong, unfinished or stops with an error gets a
sentence, with the first case that it misses; where it makes a mistake that the task knows, the sentence says which.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
from .trying import Outcome, attempt, guarded, misfit, shown_call

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
    """Return every task of the book by its name.

    Examples
    --------
    >>> tasks()["log-copies"].call
    'log_copies(widths, activation)'
    """
    return {task.name: task for room in ROOMS for task in room.TASKS}


def check(name: str, answer: Any) -> Verdict:
    """Try an answer to an exercise; print what was found and return it.

    Parameters
    ----------
    name
        The exercise, as its cell in the book names it.
    answer
        The function that you wrote. Whatever it does (return nothing, raise, change its arguments), no error leaves
        this call, but an interrupt of yours. It may run for as long as it likes, and what it prints comes once a case.

    Returns
    -------
    Verdict
        True if the answer is right, with the words that were printed.

    Raises
    ------
    ValueError
        If no exercise has this name.

    Examples
    --------
    >>> verdict = check("log-copies", lambda widths, activation: 0.0)
    Not yet: log_copies((1, 1, 1), 'tanh') gave 0, and 0.6931 was asked: at a guess, a tanh neuron may also be flipped.
    >>> bool(verdict)
    False
    """
    known = tasks()
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        meant = f"did you mean {near[0]!r}? The" if near else "the"
        raise ValueError(f"there is no exercise {shown(name)}: {meant} names are {', '.join(sorted(known))}")
    verdict = _judge(known[name], answer)
    try:
        print(verdict.text)
    except UnicodeEncodeError:  # an output that has no λ
        print(verdict.text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding))
    return verdict


def _judge(task: Task, answer: Any) -> Verdict:
    if reason := misfit(task, answer):
        return Verdict(False, f"Not yet: {reason}.")
    cases = task.cases()
    outcomes: list[Outcome] = []
    for arguments in cases:
        outcomes.append(attempt(answer, arguments))
        if words := _fault(task, arguments, outcomes[-1]):
            why = _hint(task, answer, cases, outcomes)
            asked = f" It has to return {task.asks}." if outcomes[-1].unfinished else ""
            return Verdict(False, f"Not yet: {shown_call(task, arguments)} {words}{why}.{asked}")
    return Verdict(True, f"Right: {task.function} agrees with {task.against} in all {len(cases)} cases.")


def _fault(task: Task, arguments: tuple[Any, ...], outcome: Outcome) -> str:
    """Return what is wrong with the outcome of a case, or ""."""
    if outcome.failure:
        return outcome.failure
    wanted = task.oracle(*arguments)

    def found() -> str | None:
        """Return what is wrong with the value, or nothing."""
        if task.complaint is None:
            return difference(outcome.value, wanted, task.tolerance) or ""
        reason = task.complaint(outcome.value, *arguments)
        gave = "does not fit" if isinstance(outcome.value, Mapping) else f"gave {brief(outcome.value)}"
        return f"{gave}: {reason}" if reason else ""

    words = guarded(found, None)
    if words is None:  # a value of another kind than can be compared
        return f"gave {shown(outcome.value)}: it has to return {task.asks}"
    return words


def _hint(task: Task, answer: Any, cases: Sequence[tuple[Any, ...]], outcomes: list[Outcome]) -> str:
    """Return the message of the mistake that gives what the answer gave in every case, or ": ...".

    If there is none, a mistake may still give what the answer gave up to the first fault, as it does where two mistakes
    were made at once. If it is the only one, it is told as a guess, but not from True or False, which say too little.
    """
    if outcomes[-1].unfinished:
        return ""
    near = [mistake for mistake in task.mistakes if _makes(mistake, cases, outcomes, task.tolerance)]
    if not near:
        return ""
    every = [*outcomes, *(attempt(answer, arguments) for arguments in cases[len(outcomes) :])]
    sure = (mistake for mistake in near if _makes(mistake, cases, every, task.tolerance))
    if mistake := next(sure, None):
        return f": {mistake.message}"
    telling = len(near) == 1 and not isinstance(outcomes[-1].value, (bool, np.bool_))
    return f": at a guess, {near[0].message}" if telling else ""


def _makes(mistake: Mistake, cases: Sequence[tuple[Any, ...]], outcomes: list[Outcome], tolerance: float) -> bool:
    """Say whether a mistake gives these outcomes in the first cases."""
    wrong = (attempt(mistake.wrong, arguments) for arguments in cases[: len(outcomes)])
    return all(_same(one, other, tolerance) for one, other in zip(outcomes, wrong, strict=True))


def _same(one: Outcome, other: Outcome, tolerance: float) -> bool:
    if one.failure or other.failure:
        return one.error is other.error and bool(one.failure) == bool(other.failure) and one.error is not None
    return guarded(lambda: difference(one.value, other.value, tolerance) is None, False)
