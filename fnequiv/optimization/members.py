"""One chunk of a sweep: members that train side by side, each in a slot of its own, and end one by one.

Notation. θ [G, P] holds the parameters in G slots (:mod:`fnequiv.optimization.slots`), flattened in the order of their
names; a member has a generator of its own, made from its seed, which draws its θ first and then the order of its
examples, epoch by epoch. The losses of all slots come from one ``torch.func.vmap`` and the gradients from one backward
pass through their sum, in which ∂/∂θ_i sees loss i alone. A member that has ended keeps its slot until all have: if
others moved up, what they become would depend on when it left. Chapter: "Optimisation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from .recipes import Recipe
from .results import Ledger, Sweep
from .slots import grouped
from .tasks import Task

Batch = tuple[torch.Tensor, ...]
_SLICE = 2**15  # examples in all slots that minibatch training judges at once: memory must not follow the data's size


def train(task: Task, seeds: Sequence[int], recipe: Recipe) -> Sweep:
    """Train one member for every seed, as many at once as there are slots, and return how each ended.

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
    found = Ledger(seeds)
    for group in grouped(seeds, recipe.slots):
        found.add(_trained(_Members(task, group, recipe), recipe))
    return found.sweep()


def _trained(members: _Members, recipe: Recipe) -> Sweep:
    until = recipe.until
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
    """Members that train side by side, of which some may have ended already, and a record of how each did."""

    def __init__(self, task: Task, seeds: Sequence[int], recipe: Recipe) -> None:
        self._task, self._recipe, self._seeds = task, recipe, seeds
        self._data, held_out = _laid_out(task.data), recipe.until.data
        self._judged_on = self._data if held_out is None else _laid_out(held_out)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [task.init(generator) for generator in self._generators]
        self._kinds = _kinds(drawn[0])
        if any(_kinds(params) != self._kinds for params in drawn):
            raise ValueError("task.init must return the same names, shapes and dtype for every seed, and does not")
        self._slot = torch.tensor([seed % recipe.slots for seed in seeds])
        # Whose numbers each slot holds: a copy of the first member's, where it is free.
        self._tenant = torch.zeros(recipe.slots, dtype=torch.int64)
        self._tenant[self._slot] = torch.arange(len(seeds))
        flat = [torch.cat([params[name].detach().flatten() for name in self._kinds]) for params in drawn]
        self._theta = torch.stack(flat)[self._tenant]
        self._order = torch.empty(recipe.slots, 0, dtype=torch.int64)
        self._optimiser = recipe.optimiser.start(self._theta)
        self._rules = recipe.until.start(self._losses(self._judged_on)[self._slot])
        self._ended: dict[int, tuple[str, str, int, float]] = {}
        self._final = torch.stack(flat) if recipe.keep == "parameters" else None

    @property
    def live(self) -> int:
        """How many members train."""
        return len(self._seeds) - len(self._ended)

    def step(self, step: int) -> None:
        """Move all slots by one step; a member whose loss is no number ends before it."""
        if self._recipe.batch is None:
            losses, grad = self._gradients(self._data)
        else:
            losses, grad = self._gradients(self._batch(step, self._recipe.batch), each=True)
        losses = losses[self._slot]
        wrong = set((~losses.isfinite()).nonzero().flatten().tolist()) - self._ended.keys()
        if wrong:
            self._end({member: ("diverged", f"loss {losses[member].item()}") for member in wrong}, losses, step)
        self._recipe.optimiser.step(self._theta, grad, self._optimiser, step + 1)

    def judge(self, step: int, *, last: bool = False) -> None:
        """End the runs of those that a rule ends, or of all that are left."""
        losses, norms = self._losses(self._judged_on)[self._slot], None
        if self._recipe.until.gradient is not None:
            slices = self._slices(self._data)
            grad = sum((share * self._gradients(batch)[1] for share, batch in slices), torch.tensor(0.0))
            norms = grad.norm(dim=1)[self._slot]
        ends = self._recipe.until.judge(losses, norms, self._rules)
        if last:
            ends = dict.fromkeys(range(len(losses)), ("exhausted", f"all {step} steps taken")) | ends
        if ends:
            own = self._judged_on is self._data
            self._end(ends, losses if own else self._losses(self._data)[self._slot], step)

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

    def _end(self, ends: Mapping[int, tuple[str, str]], losses: torch.Tensor, step: int) -> None:
        """Record members that end here, but for those that had ended before."""
        for member, (status, message) in ends.items():
            if member not in self._ended:
                self._ended[member] = (status, f"{message} after {step} steps", step, losses[member].item())
                if self._final is not None:
                    self._final[member] = self._theta[self._slot[member]]

    def _batch(self, step: int, size: int) -> Batch:
        """Return the examples of this step, [G, size, …]: a new order each epoch, an incomplete batch left out."""
        n = len(self._data[0])
        turn = step % (n // size)
        if turn == 0:
            orders = [torch.randperm(n, generator=generator) for generator in self._generators]
            self._order = torch.stack(orders)[self._tenant]
        chosen = self._order[:, turn * size : (turn + 1) * size]
        return tuple(data.index_select(0, chosen.flatten()).unflatten(0, chosen.shape) for data in self._data)

    def _slices(self, data: Batch) -> Iterator[tuple[float, Batch]]:
        """Return pieces of ``data``, each with its share: one if full batches are trained on, anyway."""
        if not data or self._recipe.batch is None:
            yield 1.0, data
            return
        size = max(self._recipe.batch, _SLICE // self._recipe.slots)
        for batch in zip(*(tensor.split(size) for tensor in data), strict=True):
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
        """Return the loss in every slot, on one batch for all or on one ``each``."""
        return torch.func.vmap(self._task.loss, in_dims=(0, 0 if each else None))(self._stacked(theta), batch)

    def _stacked(self, theta: torch.Tensor) -> dict[str, torch.Tensor]:
        pieces = theta.split([shape.numel() for shape, _ in self._kinds.values()], dim=1)
        named = zip(self._kinds.items(), pieces, strict=True)
        return {name: piece.reshape(len(theta), *shape) for (name, (shape, _)), piece in named}


def _laid_out(data: Batch) -> Batch:
    """Return equal data with the strides and the alignment of a new tensor: sums of products round by both."""
    return tuple(
        tensor
        if tensor.stride() == torch.empty(tensor.shape, device="meta").stride() and tensor.data_ptr() % 64 == 0
        else tensor.clone(memory_format=torch.contiguous_format)
        for tensor in data
    )


def _kinds(params: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in params.items()}
