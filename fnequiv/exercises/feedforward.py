"""Exercises of the chapter "Functional equivalence"."""

from __future__ import annotations

from .tasks import Task

TASKS: tuple[Task, ...] = ()
