"""One chunk of a sweep: members that train together, one a row, and leave one by one.

Notation. θ [m, P] holds the parameters of m members, flattened in the order of their names; row i has a generator of
its own, made from its seed, which draws θ_i first and then the order of the examples, epoch by epoch. The losses of all
rows come from one ``torch.func.vmap`` and the gradients from one backward pass through their sum, in which ∂/∂θ_i sees
loss i alone. Chapter: "Optimisation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from .recipes import Recipe
from .results import Sweep
from .tasks import Task

Batch = tuple[torch.Tensor, ...]
_SLICE = 1024  # examples that minibatch training judges at once, at least: memory must not follow the data's size


def train(task: Task, seeds: Sequence[int], recipe: Recipe) -> Sweep:
    """Train one member for every seed, all of them at once, and return how each ended.

    Parameters
    ----------
    task
        What is learned.
    seeds
        One for each member, as ``torch.Generator.manual_seed`` takes them.
    recipe
        How.

    Raises
    ------
    ValueError
        If the members' parameters differ in names, shapes or dtype.

    Examples
    --------
    >>> from .optimisers import SGD
    >>> from .stopping import Until
    >>> from .tasks import Perceptron
    >>> line = Perceptron((1, 1), torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [3.0]]))
    >>> found = train(line, [3, 4], Recipe(SGD(lr=0.5), until=Until(loss=1e-9)))
    >>> [round(weight, 3) for weight in found.parameters["0.weight"].flatten().tolist()]
    [2.0, 2.0]
    """
    members, until = _Members(task, seeds, recipe), recipe.until
    for step in range(recipe.steps):
        if until.goals and step % until.every == 0:
            members.judge(step)
        if not members.live:
            break
        members.step(step)
    if members.live:
        members.judge(recipe.steps, last=True)
    return members.sweep()


class _Members:
    """The rows that train, of which some may have left already, and a record of all that began."""

    def __init__(self, task: Task, seeds: Sequence[int], recipe: Recipe) -> None:
        self._task, self._recipe, self._seeds = task, recipe, seeds
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [task.init(generator) for generator in self._generators]
        self._kinds = _kinds(drawn[0])
        if any(_kinds(params) != self._kinds for params in drawn):
            raise ValueError("task.init must return the same names, shapes and dtype for every seed, and does not")
        flat = [torch.cat([params[name].detach().flatten() for name in self._kinds]) for params in drawn]
        self._rows: dict[str, torch.Tensor] = {
            "theta": torch.stack(flat),
            "member": torch.arange(len(seeds)),
            "order": torch.empty(len(seeds), 0, dtype=torch.int64),
        }
        self._optimiser = recipe.optimiser.start(self._theta)
        self._rules = recipe.until.start(self._losses(self._judged_on))
        self._ended: dict[int, tuple[str, str, int, float]] = {}
        self._final = self._theta.clone() if recipe.keep == "parameters" else None

    @property
    def live(self) -> int:
        """How many members train."""
        return len(self._seeds) - len(self._ended)

    @property
    def _theta(self) -> torch.Tensor:
        return self._rows["theta"]

    @property
    def _judged_on(self) -> Batch:
        data = self._recipe.until.data
        return self._task.data if data is None else data

    def step(self, step: int) -> None:
        """Move all rows by one step; a member whose loss is no number leaves before it."""
        self._compact()
        if self._recipe.batch is None:
            losses, grad = self._gradients(self._task.data)
        else:
            losses, grad = self._gradients(self._batch(step, self._recipe.batch), each=True)
        wrong = (~losses.isfinite()).nonzero().flatten().tolist()
        if wrong:
            self._leave({row: ("diverged", f"loss {losses[row].item()}") for row in wrong}, losses, step)
        self._recipe.optimiser.step(self._theta, grad, self._optimiser, step + 1)

    def judge(self, step: int, *, last: bool = False) -> None:
        """Let those go that a rule ends, or all that are left."""
        self._compact()
        losses, norms = self._losses(self._judged_on), None
        if self._recipe.until.gradient is not None:
            slices = self._slices(self._task.data)
            norms = sum((share * self._gradients(batch)[1] for share, batch in slices), torch.tensor(0.0)).norm(dim=1)
        ends = self._recipe.until.judge(losses, norms, self._rules)
        if last:
            ends = dict.fromkeys(range(len(losses)), ("exhausted", f"all {step} steps taken")) | ends
        if ends:
            own = self._recipe.until.data is None
            self._leave(ends, losses if own else self._losses(self._task.data), step)

    def sweep(self) -> Sweep:
        """Return the record."""
        status, message, steps, losses = zip(*(self._ended[i] for i in range(len(self._seeds))), strict=True)
        parameters = {} if self._final is None else self._stacked(self._final)
        return Sweep(
            np.array(self._seeds, dtype=np.int64),
            np.array(status, dtype="U10"),
            np.array(steps, dtype=np.int64),
            np.array(losses, dtype=np.float64),
            message,
            {name: tensor.clone() for name, tensor in parameters.items()},
        )

    def _leave(self, ends: Mapping[int, tuple[str, str]], losses: torch.Tensor, step: int) -> None:
        """Record rows that end here, but for those that had ended before."""
        member = self._rows["member"].tolist()
        for row, (status, message) in ends.items():
            if member[row] not in self._ended:
                self._ended[member[row]] = (status, f"{message} after {step} steps", step, losses[row].item())
                if self._final is not None:
                    self._final[member[row]] = self._theta[row]

    def _compact(self) -> None:
        """Drop the rows of members that have left, once they are half of all."""
        member = self._rows["member"].tolist()
        if 2 * self.live > len(member):
            return
        stay = [row for row, each in enumerate(member) if each not in self._ended]
        index = torch.tensor(stay, dtype=torch.int64)
        self._generators = [self._generators[row] for row in stay]
        for state in (self._rows, self._optimiser, self._rules):
            for name, tensor in state.items():
                state[name] = tensor[index]

    def _batch(self, step: int, size: int) -> Batch:
        """Return the examples of this step, [rows, size, …]: a new order each epoch, an incomplete batch left out."""
        n = len(self._task.data[0])
        turn = step % (n // size)
        if turn == 0:
            orders = [torch.randperm(n, generator=generator) for generator in self._generators]
            self._rows["order"] = torch.stack(orders)
        chosen = self._rows["order"][:, turn * size : (turn + 1) * size]
        return tuple(data.index_select(0, chosen.flatten()).unflatten(0, chosen.shape) for data in self._task.data)

    def _slices(self, data: Batch) -> Iterator[tuple[float, Batch]]:
        """Return pieces of ``data``, each with its share: one if full batches are trained on, anyway."""
        if not data or self._recipe.batch is None:
            yield 1.0, data
            return
        for batch in zip(*(tensor.split(max(self._recipe.batch, _SLICE)) for tensor in data), strict=True):
            yield len(batch[0]) / len(data[0]), batch

    def _losses(self, data: Batch) -> torch.Tensor:
        with torch.no_grad():
            losses = [share * self._vmapped(self._theta, batch) for share, batch in self._slices(data)]
            return torch.stack(losses).sum(0)

    def _gradients(self, batch: Batch, *, each: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = self._theta.detach().requires_grad_()
        with torch.enable_grad():
            losses = self._vmapped(leaf, batch, each=each)
            (grad,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), grad

    def _vmapped(self, theta: torch.Tensor, batch: Batch, *, each: bool = False) -> torch.Tensor:
        """Return the loss of every row, on one batch for all or on one ``each``."""
        return torch.func.vmap(self._task.loss, in_dims=(0, 0 if each else None))(self._stacked(theta), batch)

    def _stacked(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        pieces = theta.split([shape.numel() for shape, _ in self._kinds.values()], dim=1)
        named = zip(self._kinds.items(), pieces, strict=True)
        return {name: piece.reshape(len(theta), *shape) for (name, (shape, _)), piece in named}


def _kinds(params: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in params.items()}
