"""What a task is: a call, what is asked, cases to try it on, an oracle, and the mistakes that it can name.

The oracle shares no code with what the reader could call: it counts by brute force, or takes another route.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation that readers write, and what it earns.

    Attributes
    ----------
    wrong
        The wrong implementation. An answer that gives what it gives, in every case, gets the message.
    message
        What went wrong, as the end of a sentence: "each neuron may also be flipped".
    """

    wrong: Callable[..., Any]
    message: str


@dataclass(frozen=True)
class Task:
    """One coding exercise.

    Attributes
    ----------
    name
        What :func:`fnequiv.exercises.check` calls it, such as "log-copies".
    call
        The function to write with its parameters, such as "log_copies(widths, activation)".
    asks
        What it has to return, in one line, as the end of "It has to return ...".
    cases
        Makes the arguments to try it on, one tuple a case, small ones first.
    oracle
        Returns what is asked for the arguments of a case.
    against
        How the oracle knows, as the end of "It agrees with ...", such as "a count of all moves".
    tolerance
        How far a number may be off: by this, absolutely or relative to what is asked. Zero: not at all.
    mistakes
        The mistakes that get a message of their own. The first that fits is told.
    complaint
        For tasks with several right answers: takes the value and the arguments of the case, and returns what is wrong
        with it ("" if nothing is). It then decides in the oracle's place; the oracle gives one right answer.
    """

    name: str
    call: str
    asks: str
    cases: Callable[[], Sequence[tuple[Any, ...]]]
    oracle: Callable[..., Any]
    against: str
    tolerance: float = 0.0
    mistakes: tuple[Mistake, ...] = ()
    complaint: Callable[..., str] | None = None

    @property
    def function(self) -> str:
        """The name of the function to write."""
        return self.call.partition("(")[0]

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters."""
        return [name.strip() for name in self.call.partition("(")[2].rstrip(")").split(",")]
