"""How the members of a sweep are trained: optimiser, steps, size of a batch, rules to end on, and what is kept.

Notation. Everything here changes what a member becomes, if only by rounding, and is therefore part of a checkpoint's
digest; chunks and executors are not here, since they change nothing. Chapter: "Optimisation".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..validation import check_integer, shown
from .optimisers import Adam, Optimiser
from .stopping import Until

Keep = Literal["parameters", "losses"]


@dataclass(frozen=True, eq=False)
class Recipe:
    """How members are trained.

    Parameters
    ----------
    optimiser
        :class:`~fnequiv.optimization.optimisers.SGD`, :class:`~fnequiv.optimization.optimisers.Adam` or the like.
    steps
        The most steps that a member takes, ≥ 0.
    batch
        Examples a step, ≥ 1; None for all of them.
    until
        When a member ends earlier.
    keep
        ``"parameters"`` or ``"losses"``.
    slots
        Members that train side by side, ≥ 1 (:mod:`fnequiv.optimization.slots`).

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If a number is below its range, or ``keep`` is unknown.

    Examples
    --------
    >>> Recipe(steps=10).optimiser.lr
    0.001
    """

    optimiser: Optimiser = field(default_factory=Adam)
    steps: int = 1000
    batch: int | None = None
    until: Until = field(default_factory=Until)
    keep: Keep = "parameters"
    slots: int = 128

    def __post_init__(self) -> None:
        parts = (getattr(self.optimiser, name, None) for name in ("start", "step"))
        if isinstance(self.optimiser, type) or not all(map(callable, parts)):
            raise TypeError(f"optimiser must be SGD(...), Adam(...) or the like, got {shown(self.optimiser)}")
        for name, minimum in (("steps", 0), ("batch", 1), ("slots", 1)):
            if (value := getattr(self, name)) is not None or name != "batch":
                # as Python's int: small ones of NumPy's overflow, and a checkpoint takes 5 for another number
                object.__setattr__(self, name, check_integer(name, value, minimum=minimum))
        if self.slots >= 2**63:
            raise ValueError(f"slots must be below 2**63, got {shown(self.slots)}: each needs memory of its own")
        if not isinstance(self.until, Until):
            raise TypeError(f"until must be Until(...), got {shown(self.until)}")
        if not isinstance(self.keep, str) or self.keep not in ("parameters", "losses"):
            raise ValueError(f"keep must be 'parameters' or 'losses', got {shown(self.keep)}")
