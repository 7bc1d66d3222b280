"""Train many seeds of a network at once, and many widths beside each other; what is finished survives a kill.

Notation. A member is one run of a task from one seed: the seed's own ``torch.Generator`` draws its start and the order
of its examples. Members train side by side under ``torch.func.vmap``, each in a slot that its seed alone decides
(:mod:`fnequiv.optimization.slots`). A chunk is a number of members that are trained in one go, from their first step to
their last. Chunks know nothing of each other, so any executor may train them anywhere, in any order, and memory follows
slots and chunk, not the number of seeds. Chapter: "Optimisation".

A member is the same bit by bit whatever seeds are swept with it, in whatever chunks and order, and whenever others end:
on machines of one kind with the same number of threads and the same version of PyTorch, for a task whose ``loss`` is
deterministic. Other threads, or another number of slots, change its rounding: in float64 by about 1e-12 after hundreds
of steps of a stable run, in float32 by about 1e-6.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from tqdm import tqdm

from ..validation import check_bool, check_integer, shown
from .checkpoints import Checkpoint, folders
from .fingerprints import fingerprint
from .optimisers import SGD, Adam, Optimiser
from .recipes import Keep, Recipe
from .results import Ledger, Sweep, SweepError, from_bytes
from .slots import check_seeds, fitting_slots
from .spreading import Job, check_executor, spread
from .stopping import Until
from .tasks import Perceptron, Task, check_task

__all__ = ["SGD", "Adam", "Perceptron", "Sweep", "SweepError", "Task", "Until", "sweep", "sweep_each"]

Key = TypeVar("Key", bound=Hashable)
Folder = str | os.PathLike[str]


def sweep(
    task: Task,
    seeds: int | Sequence[int],
    *,
    optimiser: Optimiser | None = None,
    steps: int = 1000,
    batch: int | None = None,
    until: Until | None = None,
    keep: Keep = "parameters",
    chunk: int = 128,
    slots: int | None = None,
    checkpoint: Folder | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> Sweep:
    """Train one member of ``task`` for every seed.

    Parameters
    ----------
    task
        What is learned: a :class:`~fnequiv.optimization.tasks.Perceptron`, or any frozen dataclass with ``init``,
        ``loss`` and ``data`` as :class:`~fnequiv.optimization.tasks.Task` says.
    seeds
        Different integers in 0 … 2⁶³ - 1, one a member; or how many, for 0, 1, ….
    optimiser
        :class:`~fnequiv.optimization.optimisers.SGD` (with momentum, if wanted) or
        :class:`~fnequiv.optimization.optimisers.Adam`, the default, ``Adam(lr=1e-3)``.
    steps
        The most steps that a member takes, ≥ 0.
    batch
        Examples a step; every member goes through the data in an order of its own, a new one each epoch, and leaves
        out what does not fill a batch. All examples at every step if left out.
    until
        When a member ends earlier; :class:`~fnequiv.optimization.stopping.Until`.
    keep
        ``"parameters"``, or ``"losses"`` if the parameters would need too much memory.
    chunk
        Members that are trained in one go, and kept in one file of the checkpoint. It changes no member.
    slots
        Members that train side by side, ≥ 1; by default as many, 128 at most, as the parameters and examples of one
        step make worth while (:func:`~fnequiv.optimization.slots.fitting_slots`). Seed s has slot s mod ``slots``, so
        give seeds in a row: two that share a slot train one after the other. Fewer need less memory, and for a
        handful of seeds their number is the fastest.
    checkpoint
        A folder that keeps every finished chunk. The same call resumes from it, with other seeds, chunks or another
        executor, too; a folder of another task, data, recipe or code is refused. Functions that ``task.loss`` calls
        outside its own class are not seen as code.
    executor
        Any ``concurrent.futures.Executor``; it is left open. Processes have to be spawned, not forked:
        ``ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))``, with ``OMP_NUM_THREADS=1`` in the
        environment, so that they do not fight for the cores.
    progress
        Whether to show a bar.

    Returns
    -------
    Sweep
        In the order of the seeds. Divergence is a status of its member, never an error.

    Raises
    ------
    TypeError
        If an argument is of another type, or the task's parts are.
    ValueError
        If a number is below its range, seeds repeat, the task's data do not fit, ``batch`` exceeds them, ``keep`` is
        unknown, or ``checkpoint`` belongs to another sweep or is damaged.
    SweepError
        If a chunk raised, a worker died, or a checkpoint could not be written. Its ``finished`` holds every member
        that was finished, and the checkpoint holds them, too, where it could be written.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> xor = Perceptron((2, 3, 1), x, (x[:, :1] - x[:, 1:]).abs())
    >>> found = sweep(xor, seeds=20, optimiser=Adam(lr=0.1), until=Until(loss=1e-3, patience=20), steps=2000)
    >>> set(found.status) <= {"converged", "stopped"}, bool((found.status == "converged").any())
    (True, True)
    """
    recipe = Recipe(Adam() if optimiser is None else optimiser, steps, batch, Until() if until is None else until, keep)
    try:
        return _run({None: task}, {None: checkpoint}, seeds, recipe, chunk, slots, executor, progress)[None]
    except SweepError as error:
        error.finished = error.finished[None]  # type: ignore[index]
        raise


def sweep_each(
    tasks: Mapping[Key, Task],
    seeds: int | Sequence[int],
    *,
    optimiser: Optimiser | None = None,
    steps: int = 1000,
    batch: int | None = None,
    until: Until | None = None,
    keep: Keep = "parameters",
    chunk: int = 128,
    slots: int | None = None,
    checkpoint: Folder | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> dict[Key, Sweep]:
    """Train several tasks, one for each width, say; chunks of all of them share the executor.

    Parameters
    ----------
    tasks
        By a name for each, such as its width.
    checkpoint
        A folder with one folder for each task, by ``str`` of its name.
    seeds, optimiser, steps, batch, until, keep, chunk, slots, executor, progress
        As for :func:`sweep`, the same for all tasks.

    Raises
    ------
    TypeError, ValueError, SweepError
        As :func:`sweep`, or if there are no tasks or a name makes no folder.

    Examples
    --------
    >>> import torch
    >>> x = torch.linspace(-1, 1, 9)[:, None]
    >>> tasks = {width: Perceptron((1, width, 1), x, x.abs()) for width in (1, 16)}
    >>> losses = {width: found.loss for width, found in sweep_each(tasks, 8, steps=200, optimiser=Adam(0.05)).items()}
    >>> bool(losses[1].min() > losses[16].max())
    True
    """
    if not isinstance(tasks, Mapping) or not tasks:
        raise TypeError(f"tasks must be a mapping from names to tasks, got {shown(tasks)}: sweep takes one task")
    recipe = Recipe(Adam() if optimiser is None else optimiser, steps, batch, Until() if until is None else until, keep)
    return _run(tasks, folders(checkpoint, list(tasks)), seeds, recipe, chunk, slots, executor, progress)


def _run(
    tasks: Mapping[Key, Task],
    kept: Mapping[Key, Folder | None],
    seeds: int | Sequence[int],
    recipe: Recipe,
    chunk: int,
    slots: int | None,
    executor: Executor | None,
    progress: bool,
) -> dict[Key, Sweep]:
    """Bring every task to its end, from the checkpoints and by training."""
    chunk = check_integer("chunk", chunk)
    check_bool("progress", progress)
    check_executor(executor)
    wanted = check_seeds(seeds)
    fitting = {key: _slots(task, wanted[0], recipe) for key, task in tasks.items()}
    recipes = {key: replace(recipe, slots=fitting[key] if slots is None else slots) for key in tasks}
    stores = {
        key: Checkpoint(folder, fingerprint(tasks[key], recipes[key]))
        for key, folder in kept.items()
        if folder is not None
    }
    ledgers = {key: Ledger(wanted) for key in tasks}
    with tqdm(total=len(tasks) * len(wanted), desc="members", disable=not progress) as bar:
        for key, store in stores.items():
            for part in store.finished():
                bar.update(ledgers[key].add(part))
        jobs = []
        for key, ledger in ledgers.items():
            missing, digest = ledger.missing(), stores[key].digest if key in stores else ""
            chunks = (missing[i : i + chunk] for i in range(0, len(missing), chunk))
            jobs += [Job(key, tasks[key], recipes[key], seeds, digest) for seeds in chunks]
        try:
            with closing(spread(jobs, executor)) as results:
                for job, content in results:
                    bar.update(_taken(job, content, ledgers[job.key], stores.get(job.key)))
        except SweepError as error:
            error.finished = {key: ledger.sweep() for key, ledger in ledgers.items()}
            raise
    return {key: ledger.sweep() for key, ledger in ledgers.items()}


def _taken(job: Job[Key], content: bytes, ledger: Ledger, store: Checkpoint | None) -> int:
    """Take a finished chunk in and keep it; return how many members that are."""
    try:
        taken = ledger.add(from_bytes(content)[0])
        if store is not None:
            store.write(job.name, content)
    except ValueError as error:
        raise SweepError(f"{job} does not go with those before it: {error}") from error
    except OSError as error:
        raise SweepError(
            f"the checkpoint of {job} could not be written, {error}: make room, and the same call goes on; what was "
            "finished is in this error's .finished, and what was written before is in the checkpoint"
        ) from error
    return taken


def _slots(task: Task, seed: int, recipe: Recipe) -> int:
    """Return the slots that fit a task, and raise unless it is one."""
    parameters = check_task(task, seed, recipe.until.data)
    n, batch = len(task.data[0]) if task.data else 0, recipe.batch
    if batch is not None and batch > n:
        raise ValueError(f"batch must be at most the number of examples, {n}, got {shown(batch)}: leave it out for all")
    return fitting_slots(parameters, n if batch is None else batch)
