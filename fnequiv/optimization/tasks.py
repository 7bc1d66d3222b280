"""What is learned: a task draws parameters and measures their loss; one of them is ready, a perceptron on given data.

Notation. A task is a frozen dataclass with three names: ``init(generator)`` draws one parameter set θ,
``loss(θ, batch)`` is a scalar, the mean over the examples of ``batch``, and ``data`` is a tuple of tensors with one
example a row, ``()`` for a loss that needs none. Chapter: "Optimisation".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Protocol

import torch

from ..equivalence import mlp
from ..validation import check_widths, shown

Params = Mapping[str, torch.Tensor]


class Task(Protocol):
    """What a sweep trains. Both methods have to be pure: no other randomness, nothing remembered.

    ``loss`` runs under ``torch.func.vmap``; a module's is ``torch.func.functional_call(module, params, inputs)``.
    """

    @property
    def data(self) -> tuple[torch.Tensor, ...]:
        """Tensors with one example a row, each of the same number of rows; ``()`` if the loss needs no data."""
        ...

    def init(self, generator: torch.Generator) -> Params:
        """Draw the parameters of one member."""
        ...

    def loss(self, params: Params, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the mean loss of one member over a batch of examples, a scalar: NaN, no error, where it has none.

        What raises ends all members that train beside this one, too.
        """
        ...


@dataclass(frozen=True, eq=False)
class Perceptron:
    """A feedforward network that learns ``targets`` from ``inputs``.

    The loss is the mean cross entropy (nats) if targets are integers, class numbers of shape (n,), and the mean squared
    error over all entries if they are floating, of shape (n, d_{L+1}).

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}).
    inputs
        Shape (n, d_0), floating; the parameters take its dtype.
    targets
        Shape (n,), integers in 0 … d_{L+1} - 1; or (n, d_{L+1}) of the inputs' dtype.
    activation
        Name of σ, for every hidden layer.

    Raises
    ------
    TypeError
        If inputs or targets are no tensors, or of a dtype that does not fit.
    ValueError
        If a tensor is sparse or has no entries, shapes do not fit the widths, a class is outside its range, a number is
        not finite, or σ is unknown.

    Examples
    --------
    >>> xor = Perceptron((2, 3, 2), torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([0, 1, 1, 0]))
    >>> start = xor.init(torch.Generator().manual_seed(0))
    >>> f"{xor.loss(start, xor.data):.4f}"
    '0.6964'
    """

    widths: tuple[int, ...]
    inputs: torch.Tensor
    targets: torch.Tensor
    activation: str = "tanh"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", check_widths(self.widths))
        mlp.spec(self.widths, self.activation)  # knows which activations there are
        for name, tensor in (("inputs", self.inputs), ("targets", self.targets)):
            if not isinstance(tensor, torch.Tensor):
                raise TypeError(f"{name} must be a torch.Tensor, got {shown(tensor)}")
            if tensor.is_meta or tensor.layout != torch.strided:
                raise ValueError(f"{name} must be a dense tensor with entries, got {tensor.layout} on {tensor.device}")
        if not self.inputs.is_floating_point() or self.targets.dtype not in (torch.int64, self.inputs.dtype):
            raise TypeError(
                "inputs must be floating, and targets class numbers (torch.int64) or of the inputs' dtype, got "
                f"{self.inputs.dtype} and {self.targets.dtype}"
            )
        n, (first, last) = len(self.inputs) if self.inputs.ndim else 0, (self.widths[0], self.widths[-1])
        wanted = (n, last) if self.targets.is_floating_point() else (n,)
        if not n or self.inputs.shape != (n, first) or self.targets.shape != wanted:
            raise ValueError(
                f"inputs must have shape (n, d_0 = {first}), n >= 1, and targets {wanted}, got "
                f"{tuple(self.inputs.shape)} and {tuple(self.targets.shape)}"
            )
        if not self.inputs.isfinite().all() or not self.targets.isfinite().all():
            raise ValueError("inputs and targets must be finite: drop the examples that are not")
        if not self.targets.is_floating_point() and not 0 <= self.targets.min() <= self.targets.max() < last:
            raise ValueError(f"targets must lie in 0 .. {last - 1}, got {int(self.targets.max())}: widen the output")

    @property
    def data(self) -> tuple[torch.Tensor, ...]:
        """(inputs, targets)."""
        return self.inputs, self.targets

    def init(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Draw parameters as ``torch.nn.Linear`` does."""
        return mlp.init(self.widths, generator, activation=self.activation, dtype=self.inputs.dtype)

    def predict(self, params: Params, inputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs (logits) of one member, shape (…, d_{L+1})."""
        return mlp.forward(params, inputs, self.activation)

    def loss(self, params: Params, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the mean cross entropy or the mean squared error."""
        inputs, targets = batch
        outputs = self.predict(params, inputs)
        if targets.is_floating_point():
            return torch.nn.functional.mse_loss(outputs, targets)
        # what cross_entropy computes, without the decomposition that it takes under vmap, in Python
        return (outputs.logsumexp(-1) - outputs.gather(-1, targets[:, None]).squeeze(-1)).mean()


def check_task(task: Task, seed: int, held_out: tuple[torch.Tensor, ...] | None = None) -> int:
    """Return the number of a member's parameters; raise unless ``task`` is a task, all its parts together.

    Its parts are there, its data fit, and a member has a gradient.

    Members can be judged on data that are held out, too, if there are any.

    Raises
    ------
    TypeError
        If it is no frozen dataclass, a part is missing or of another type, or parameters are not of one floating dtype.
    ValueError
        If the data have different numbers of rows, the loss is no scalar that depends on the parameters, or held-out
        data are not finite or not in the form of the task's own.

    Examples
    --------
    >>> check_task(Perceptron((1, 1), torch.ones(2, 1), torch.ones(2, 1)), 0)
    2
    """
    frozen = is_dataclass(task) and not isinstance(task, type) and task.__dataclass_params__.frozen
    if not frozen or not callable(getattr(task, "init", None)) or not callable(getattr(task, "loss", None)):
        raise TypeError(f"task must be a frozen dataclass with init, loss and data, got {shown(task)}")
    data = getattr(task, "data", None)
    if not isinstance(data, tuple) or not all(isinstance(tensor, torch.Tensor) and tensor.ndim for tensor in data):
        raise TypeError(f"task.data must be a tuple of tensors, one example a row, got {shown(data)}")
    _check_rows("task.data", data)
    params = task.init(torch.Generator().manual_seed(seed))
    if not isinstance(params, Mapping) or not params or not all(isinstance(p, torch.Tensor) for p in params.values()):
        raise TypeError(f"task.init must return tensors by name, got {shown(params)}")
    kinds = {tensor.dtype for tensor in params.values()}
    if len(kinds) > 1 or not next(iter(kinds)).is_floating_point:
        raise TypeError(f"the parameters must be of one floating dtype, got {sorted(map(str, kinds))}")
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in params.items()}
    loss = task.loss(leaves, tuple(data))
    if not isinstance(loss, torch.Tensor) or loss.ndim or not loss.requires_grad:
        raise ValueError(f"task.loss must return a scalar tensor that depends on the parameters, got {shown(loss)}")
    if held_out is not None:
        _check_held_out(task, params, held_out)
    return sum(tensor.numel() for tensor in params.values())


def _check_held_out(task: Task, params: Params, held_out: tuple[torch.Tensor, ...]) -> None:
    if len(held_out) != len(task.data):
        raise ValueError(f"until.data must hold {len(task.data)} tensors, as task.data does, got {len(held_out)}")
    _check_rows("until.data", held_out)
    if not all(tensor.isfinite().all() for tensor in held_out):
        raise ValueError("until.data must be finite: every member would be taken for diverged")
    try:
        with torch.no_grad():
            task.loss(params, held_out)
    except Exception as error:  # whatever the task's own loss makes of a wrong shape or dtype
        raise ValueError(f"until.data must fit task.loss as task.data does, and it raised {error}") from error


def _check_rows(name: str, data: tuple[torch.Tensor, ...]) -> None:
    rows = {len(tensor) if tensor.ndim else 0 for tensor in data}
    if len(rows) > 1 or 0 in rows:
        raise ValueError(f"the tensors of {name} must have one number of rows >= 1, got {sorted(rows)}")
