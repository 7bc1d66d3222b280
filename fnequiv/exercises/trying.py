"""Call an answer on the arguments of a case, and put what happened into words, whatever it was.

An answer gets copies of the arguments, so that one that changes them spoils no other case, and can be told so.
"""

from __future__ import annotations

import copy
import inspect
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..validation import shown
from .comparing import brief, difference, is_array
from .tasks import Task

_LONGEST = 40  # characters of an argument that a message repeats; a longer one is called by its name


@dataclass(frozen=True)
class Outcome:
    """What a call gave: a value, or the words for why there is none, and the error's type if there was one."""

    value: Any = None
    failure: str = ""
    error: type[BaseException] | None = None
    unfinished: bool = False


def shown_call(task: Task, arguments: tuple[Any, ...]) -> str:
    """Return a call as a reader would write it, long arguments by their names."""
    texts = [brief(argument) for argument in arguments]
    pairs = zip(texts, task.parameters, strict=True)
    return f"{task.function}({', '.join(text if len(text) <= _LONGEST else name for text, name in pairs)})"


def attempt(answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    """Call an answer on copies of the arguments; no error of the answer leaves this function."""
    given = copy.deepcopy(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an overflow shows in what is returned
            value = answer(*given)
    except NotImplementedError:
        return Outcome(failure="is still to be written", unfinished=True)
    except (Exception, SystemExit) as error:
        return Outcome(failure=f"stopped with {_told(error, answer)}", error=type(error))
    if value is None or value is Ellipsis or value is NotImplemented:
        return Outcome(failure="returns nothing", unfinished=True)
    for before, after in zip(arguments, given, strict=True):
        comparable = is_array(before) or isinstance(before, (list, Mapping, set))
        if comparable and difference(after, before, 0.0):
            return Outcome(failure="changed its arguments: work on copies, for the caller may still need them")
    return Outcome(value)


def _told(error: BaseException, answer: Callable[..., Any]) -> str:
    """Name an error and the reader's own line that it came from."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file and frame.line]
    text = shown(str(error))[1:-1]
    where = f", in the line `{lines[-1]}`" if lines else ""
    return f"{type(error).__name__}{f' ({text})' if text else ''}{where}"


def misfit(task: Task, answer: Any) -> str:
    """Return why an answer cannot be called as the task says, or ""."""
    if not callable(answer):
        return f"pass the function {task.function} itself, not {shown(answer)}"
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):  # a built-in function has none
        return ""
    try:
        signature.bind(*task.parameters)
    except TypeError:
        return f"it is called as {task.call}, and yours takes {signature}"
    return ""
