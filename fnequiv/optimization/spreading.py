"""Chunks as jobs, here or on any executor: they come back as they finish, and an error takes none of the others along.

Notation. A job is a chunk of seeds of one task. What comes back is bytes, the content of a checkpoint's file
(:func:`~fnequiv.optimization.results.to_bytes`), so that nothing has to be shared between processes and nothing that a
worker sends is run. Chapter: "Optimisation".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..validation import shown
from .members import train
from .recipes import Recipe
from .results import SweepError, to_bytes
from .tasks import Task

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
_OUTSTANDING = 128  # chunks that an executor holds at a time


@dataclass(frozen=True, eq=False)
class Job(Generic[Key]):
    """A chunk of seeds of the task called ``key``, trained by this recipe, for the sweep with this digest."""

    key: Key
    task: Task
    recipe: Recipe
    seeds: list[int]
    digest: str

    @property
    def name(self) -> str:
        """A name for the chunk's file: a digest of its seeds."""
        return hashlib.sha256(repr(self.seeds).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        of = "" if self.key is None else f" of task {self.key!r}"
        return f"the chunk of seeds {self.seeds[0]} to {self.seeds[-1]}{of}"


def spread(jobs: Sequence[Job[Key]], executor: Executor | None) -> Generator[tuple[Job[Key], bytes], None, None]:
    """Return chunks as they finish; after an error start no more, wait for those that run, then raise it.

    Parameters
    ----------
    jobs
        The chunks.
    executor
        Who trains them; here, one after the other, if there is none.

    Raises
    ------
    SweepError
        If a chunk raised or a worker died, after all others that had begun have come back.
    TypeError
        If ``executor.submit`` returns no ``concurrent.futures.Future``.

    Examples
    --------
    >>> import torch
    >>> from .tasks import Perceptron
    >>> line = Perceptron((1, 1), torch.ones(2, 1), torch.ones(2, 1))
    >>> jobs = [Job(None, line, Recipe(steps=10), [seed], "") for seed in (5, 6)]
    >>> [job.seeds for job, _ in spread(jobs, None)]
    [[5], [6]]
    """
    if executor is None:
        for job in jobs:
            yield job, _work(job)
        return
    waiting, unfinished = iter(jobs), len(jobs)
    running: dict[Future[bytes], Job[Key]] = {}
    failed: tuple[Job[Key], Exception] | None = None
    try:
        while True:
            while failed is None and len(running) < _OUTSTANDING and (following := next(waiting, None)):
                try:
                    running[submitted(executor, _work, following)] = following
                except Exception as error:  # a pool that has broken or is shut down takes nothing more
                    failed = following, error
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                if future not in running:
                    continue  # cancelled a moment ago
                job = running.pop(future)
                try:
                    content = future.result()
                except Exception as error:  # concurrent.futures.CancelledError is one
                    failed = failed or (job, error)
                    _cancel(running)
                    continue
                unfinished -= 1
                yield job, content
    finally:
        _cancel(running)
    if failed is not None:
        raise _failure(*failed, unfinished)


def check_executor(executor: object) -> None:
    """Raise unless ``executor`` is None or an instance of something like ``concurrent.futures.Executor``.

    Raises
    ------
    TypeError
        If it is a class, or has no ``submit``.

    Examples
    --------
    >>> check_executor(None)
    """
    if executor is not None and (isinstance(executor, type) or not callable(getattr(executor, "submit", None))):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {shown(executor)}: pass an instance")


def submitted(executor: Executor, work: Callable[..., Result], *arguments: object) -> Future[Result]:
    """Return the future of a call.

    Raises
    ------
    TypeError
        If ``submit`` returns something else.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(1) as executor:
    ...     submitted(executor, pow, 2, 5).result()
    32
    """
    future = executor.submit(work, *arguments)
    if not isinstance(future, Future):
        raise TypeError(f"executor.submit must return a concurrent.futures.Future, got {shown(future)}")
    return future


def _work(job: Job[Key]) -> bytes:
    try:
        return to_bytes(train(job.task, job.seeds, job.recipe), job.digest)
    except Exception as error:
        raise SweepError(f"{job} ended with {type(error).__name__}: {error}") from error


def _failure(job: Job[Key], error: Exception, unfinished: int) -> Exception:
    if isinstance(error, (SweepError, TypeError)):
        return error
    broken = isinstance(error, BrokenExecutor)  # all chunks that it had end with one error, and which was it?
    what = f"the executor broke, chunks unfinished: {unfinished}" if broken else f"{job} was not finished"
    failed = SweepError(
        f"{what}, {type(error).__name__}: {error}; what was finished is kept, and the same call with a "
        "checkpoint and a new executor goes on from there"
    )
    failed.__cause__ = error
    return failed


def _cancel(running: dict[Future[bytes], Job[Key]]) -> None:
    """Cancel what has not begun, and forget it: not every executor tells those who wait that a future was cancelled."""
    for future in list(running):
        if future.cancel():
            del running[future]
