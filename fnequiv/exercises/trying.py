"""Call an answer on the arguments of a case, and put what happened into words, whatever it was.

An answer gets copies of the arguments, so that one that changes them spoils no other case, and can be told so. What it
returns is copied, so that a later call cannot change it.
"""

from __future__ import annotations

import copy
import inspect
import traceback
import types
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..validation import shown
from .comparing import brief, difference, is_array
from .tasks import Task

_LONGEST = 40  # characters of an argument that a message repeats; a longer one is called by its name
_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome:
    """What a call gave: a value, or the words for why there is none, and the error's type if there was one."""

    value: Any = None
    failure: str = ""
    error: type[BaseException] | None = None
    unfinished: bool = False


def guarded(action: Callable[[], _T], otherwise: _T) -> _T:
    """Return what ``action()`` gives, or ``otherwise`` where it raises; an interrupt is the reader's own and passes.

    Whatever touches a reader's object may run the reader's code: its text, its copy, its comparison.

    Examples
    --------
    >>> guarded(lambda: str(2), "no words"), guarded(lambda: str(1 / 0), "no words")
    ('2', 'no words')
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action()
    except KeyboardInterrupt:
        raise
    except BaseException:
        return otherwise


def shown_call(task: Task, arguments: tuple[Any, ...]) -> str:
    """Return a call as a reader would write it, long arguments by their names.

    Examples
    --------
    >>> task = Task("double", "double(values)", "the double", lambda: [], lambda values: values, "a sum")
    >>> shown_call(task, ([1, 2],)), shown_call(task, ([1] * 99,))
    ('double([1, 2])', 'double(values)')
    """
    texts = [brief(argument) for argument in arguments]
    pairs = zip(texts, task.parameters, strict=True)
    return f"{task.function}({', '.join(text if len(text) <= _LONGEST else name for text, name in pairs)})"


def attempt(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    """Call an answer on copies of the arguments; no error of the answer leaves this function.

    Returns
    -------
    Outcome
        A copy of the value, or the words for what happened instead.

    Examples
    --------
    >>> attempt(lambda x: 2 * x, (3,)).value, attempt(lambda x: x / 0, (3,)).error
    (6, <class 'ZeroDivisionError'>)
    """
    given = copy.deepcopy(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an overflow shows in what is returned
            value = answer(*given)
    except KeyboardInterrupt:
        raise
    except NotImplementedError:
        return Outcome(failure="is still to be written", unfinished=True)
    except BaseException as error:
        return Outcome(failure=f"stopped with {_told(error, answer)}", error=type(error))
    if value is None or value is Ellipsis or value is NotImplemented:
        return Outcome(failure="returns nothing", unfinished=True)
    if words := _postponed(value):
        return Outcome(failure=words)
    if any(map(_differ, arguments, given)):
        return Outcome(failure="changed its arguments: work on copies, for the caller may still need them")
    return Outcome(guarded(lambda: copy.deepcopy(value), value))


def _differ(before: Any, after: Any) -> bool:
    """Say whether an argument has been changed."""
    comparable = is_array(before) or isinstance(before, (list, Mapping, set))
    return comparable and guarded(lambda: difference(after, before, 0.0) is not None, True)


def _postponed(value: Any) -> str:
    """Return the words for a value that is no value yet, or ""."""
    if issubclass(type(value), (types.CoroutineType, types.AsyncGeneratorType)):
        if isinstance(value, types.CoroutineType):
            value.close()  # or Python warns that nobody awaited it
        return "waits to be awaited: write def, without async"
    if issubclass(type(value), types.GeneratorType):
        return "gave a generator: use return, not yield, and a list where several values are asked"
    return ""


def _told(error: BaseException, answer: Callable[..., Any]) -> str:
    """Name an error and the reader's own line that it came from."""
    file = guarded(lambda: answer.__code__.co_filename, None)
    frames: list[traceback.FrameSummary] = guarded(lambda: list(traceback.extract_tb(error.__traceback__)), [])
    lines = [frame.line for frame in frames if frame.filename == file and frame.line]
    text = shown(guarded(lambda: str(error), "no words for it"))[1:-1]
    where = f", in the line `{lines[-1]}`" if lines else ""
    return f"{type(error).__name__}{f' ({text})' if text else ''}{where}"


def misfit(task: Task, answer: Any) -> str:
    """Return why an answer cannot be called as the task says, or "".

    Examples
    --------
    >>> task = Task("double", "double(values)", "the double", lambda: [], lambda values: values, "a sum")
    >>> misfit(task, lambda values: values), misfit(task, lambda: 0)
    ('', 'it is called as double(values), and yours takes ()')
    """
    if not callable(answer):
        return f"pass the function {task.function} itself, not {shown(answer)}"
    signature = guarded(lambda: inspect.signature(answer), None)
    if signature is None:  # a built-in function has none
        return ""
    try:
        signature.bind(*task.parameters)
    except TypeError:
        takes = shown(guarded(lambda: str(signature), "(other parameters)"))[1:-1]
        return f"it is called as {task.call}, and yours takes {takes}"
    return ""
