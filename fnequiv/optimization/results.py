"""What a sweep found: for every member its seed, how its run ended, after how many steps, with which loss.

Notation. A sweep of m members has one entry a member in each array, in the order of the seeds, and parameters stacked
along a first axis of size m, as ``torch.func.vmap`` takes them. As bytes it is a SHA-256 digest of what follows, so
that no flipped bit is taken for a result, and a file of PyTorch's, which is read with ``weights_only=True``: tensors,
numbers and texts, nothing that runs. Chapter: "Optimisation".
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..validation import check_integer, shown
from .stopping import STATUSES

_CHECKSUM = 32  # bytes of a SHA-256 digest


@dataclass(frozen=True, eq=False)
class Sweep:
    """Members of one task by seed.

    Attributes
    ----------
    seeds
        Shape (m,), int64.
    status
        Shape (m,), texts: ``"converged"`` (reached a goal), ``"stopped"`` (out of patience), ``"diverged"`` or
        ``"exhausted"`` (out of steps).
    steps
        Shape (m,): steps taken.
    loss
        Shape (m,), float64: the loss on all of the task's data at the parameters that the member ended with; of one
        that diverged, the loss that said so.
    message
        Why each member ended, m texts.
    parameters
        Tensors [m, …] by name, ready for ``torch.func.vmap``; empty if only losses were kept.

    Examples
    --------
    >>> from .sweeps import Perceptron, sweep
    >>> line = Perceptron((1, 1), torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    >>> found = sweep(line, seeds=3, steps=500)
    >>> found.counts(), found.parameters["0.weight"].shape
    ({'exhausted': 3}, torch.Size([3, 1, 1]))
    """

    seeds: npt.NDArray[np.int64]
    status: npt.NDArray[np.str_]
    steps: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    message: tuple[str, ...]
    parameters: Mapping[str, torch.Tensor]

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        return f"Sweep({len(self)} members: {self.counts()})"

    def counts(self) -> dict[str, int]:
        """Return how many members ended how, by status; a status that none has is left out.

        Examples
        --------
        >>> Ledger([]).sweep().counts()
        {}
        """
        return {name: int(n) for name in STATUSES if (n := (self.status == name).sum())}

    def member(self, index: int) -> dict[str, torch.Tensor]:
        """Return the parameters of one member, by its place 0 … m-1, as a copy.

        Raises
        ------
        TypeError
            If ``index`` is no integer.
        ValueError
            If there is no such member, or only losses were kept.

        Examples
        --------
        >>> from .sweeps import Perceptron, sweep
        >>> line = Perceptron((1, 1), torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
        >>> {name: tuple(tensor.shape) for name, tensor in sweep(line, seeds=3, steps=5).member(2).items()}
        {'0.weight': (1, 1), '0.bias': (1,)}
        """
        if check_integer("index", index, minimum=0) >= len(self):
            raise ValueError(f"index must be below the number of members, {len(self)}, got {index}")
        if not self.parameters:
            raise ValueError('only losses were kept: sweep with keep="parameters"')
        return {name: tensor[index].clone() for name, tensor in self.parameters.items()}

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Sweep:
        """Return some members as a sweep of their own, by their places 0 … m-1; a place may come more than once.

        Raises
        ------
        TypeError
            If ``rows`` is no one-dimensional sequence of integers (a mask is none: pass ``np.flatnonzero(mask)``).
        ValueError
            If there is no such member.

        Examples
        --------
        >>> from .sweeps import Perceptron, sweep
        >>> line = Perceptron((1, 1), torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
        >>> found = sweep(line, seeds=[7, 8, 9], steps=5)
        >>> found.take([2, 0]).seeds
        array([9, 7])
        """
        rows = _places(rows, len(self))
        index = torch.from_numpy(rows)
        return Sweep(
            self.seeds[rows],
            self.status[rows],
            self.steps[rows],
            self.loss[rows],
            tuple(self.message[row] for row in rows),
            {name: tensor[index] for name, tensor in self.parameters.items()},
        )


def _places(rows: object, m: int) -> npt.NDArray[np.int64]:
    try:
        places = np.asarray(rows)
    except (TypeError, ValueError, RuntimeError):  # a ragged list; a tensor on a device
        places = np.asarray(None)
    if places.ndim != 1 or (places.size and places.dtype.kind not in "iu"):
        raise TypeError(
            f"rows must be a list or a 1-d array of integers, got {shown(rows)}: pass np.flatnonzero(mask) for a mask"
        )
    if places.size and not 0 <= places.min() <= places.max() < m:
        raise ValueError(f"rows must lie in 0 .. {m - 1}, got {shown(rows)}")
    return places.astype(np.int64)


class SweepError(RuntimeError):
    """A sweep could not be finished; ``finished`` holds the members that were.

    ``finished`` is a :class:`Sweep`, or one for every key if several tasks were swept.
    """

    finished: Sweep | Mapping[Hashable, Sweep]


class Ledger:
    """Takes members in as they finish, in any order, and gives them back in the order of the seeds."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._row = {seed: row for row, seed in enumerate(seeds)}
        m = len(seeds)
        self._done = np.zeros(m, dtype=bool)
        none = np.zeros(m, dtype=np.int64)
        self._sweep = Sweep(np.array(seeds, dtype=np.int64), np.full(m, "", "U10"), none, np.full(m, np.nan), (), {})
        self._message = [""] * m
        self._parameters: dict[str, torch.Tensor] = {}

    def missing(self) -> list[int]:
        """Return the seeds that are not finished, in order."""
        return [seed for seed, row in self._row.items() if not self._done[row]]

    def add(self, part: Sweep) -> int:
        """Take in the members that were asked for and are not there yet; return how many that are.

        Raises
        ------
        ValueError
            If their parameters differ from the others' in names, shapes or dtype.
        """
        seeds = part.seeds.tolist()
        wanted = [i for i, seed in enumerate(seeds) if seed in self._row and not self._done[self._row[seed]]]
        if wanted and self._done.any() and _kinds(part.parameters) != _kinds(self._parameters):
            raise ValueError("task.init must return the same names, shapes and dtype for every seed, and does not")
        part = part.take(wanted)
        rows = np.array([self._row[seed] for seed in part.seeds.tolist()], dtype=np.int64)
        for name in ("status", "steps", "loss"):
            getattr(self._sweep, name)[rows] = getattr(part, name)
        for row, message in zip(rows.tolist(), part.message, strict=True):
            self._message[row] = message
        for name, tensor in part.parameters.items():
            whole = self._parameters.setdefault(name, tensor.new_empty((len(self._row), *tensor.shape[1:])))
            whole[torch.from_numpy(rows)] = tensor
        self._done[rows] = True
        return len(rows)

    def sweep(self) -> Sweep:
        """Return what is finished."""
        whole = replace(self._sweep, message=tuple(self._message), parameters=self._parameters)
        return whole if self._done.all() else whole.take(self._done.nonzero()[0])


def _kinds(parameters: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape[1:], tensor.dtype) for name, tensor in parameters.items()}


def to_bytes(sweep: Sweep, digest: str) -> bytes:
    """Return a sweep, and the digest of what it belongs to, as the content of a file.

    Examples
    --------
    >>> from_bytes(to_bytes(Ledger([]).sweep(), "12ab"))
    (Sweep(0 members: {}), '12ab')
    """
    content: dict[str, Any] = {name: torch.from_numpy(getattr(sweep, name)) for name in ("seeds", "steps", "loss")}
    content["status"] = torch.tensor([STATUSES.index(str(name)) for name in sweep.status], dtype=torch.int8)
    content |= {"message": list(sweep.message), "parameters": dict(sweep.parameters), "digest": digest}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return _checksum(buffer.getvalue()) + buffer.getvalue()


def from_bytes(content: bytes) -> tuple[Sweep, str]:
    """Return the sweep and the digest that :func:`to_bytes` wrote; nothing in the bytes is run.

    Raises
    ------
    ValueError
        If the bytes are damaged or hold something else.
    """
    checksum, payload = content[:_CHECKSUM], content[_CHECKSUM:]
    if checksum != _checksum(payload):
        raise ValueError("no members can be read: the bytes are not those that were written")
    try:
        found = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        seeds, steps, loss = (found[name].numpy() for name in ("seeds", "steps", "loss"))
        status = np.array([STATUSES[code] for code in found["status"].tolist()], dtype="U10")
        sweep = Sweep(seeds, status, steps, loss, tuple(found["message"]), found["parameters"])
        lengths = {len(each) for each in (status, steps, loss, sweep.message, *sweep.parameters.values())}
        if lengths - {len(seeds)}:
            raise ValueError("members are missing")
        return sweep, str(found["digest"])
    except Exception as error:  # something else under a right checksum, a refused class: each has a type of its own
        raise ValueError(f"no members can be read: {type(error).__name__}") from None


def _checksum(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()
