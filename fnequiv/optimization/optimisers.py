"""Gradient descent for many networks at once: SGD, momentum and Adam on a matrix with one network a row.

Notation. θ [m, P] holds the parameters of m members, flattened, and g [m, P] the gradients of their losses; t = 1, 2, …
counts the steps. Every operation is entry by entry, so that a row never sees another row. The formulas are those of
``torch.optim`` (Kingma & Ba, 2015, for Adam; Loshchilov & Hutter, 2019, for decoupled decay), whose defaults they
share. Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch

from ..validation import check_bool, check_positive, check_real

State = dict[str, torch.Tensor]


class Optimiser(Protocol):
    """What a sweep needs of an optimiser: buffers with one row a member, and one step in place."""

    def start(self, theta: torch.Tensor) -> State:
        """Return the buffers, each of shape [m, …], before the first step."""
        ...

    def step(self, theta: torch.Tensor, grad: torch.Tensor, state: State, t: int) -> None:
        """Move ``theta`` [m, P] and ``state`` in place; ``t`` counts from 1. May overwrite ``grad``."""
        ...


@dataclass(frozen=True)
class SGD:
    """Gradient descent θ ← θ - lr·v, with v = g, or with momentum v ← momentum·v + g.

    Parameters
    ----------
    lr
        Learning rate, > 0.
    momentum
        In [0, 1).
    nesterov
        Whether to step along g + momentum·v instead of v.
    weight_decay
        λ ≥ 0: g ← g + λθ beforehand.

    Raises
    ------
    TypeError
        If a number is none, or ``nesterov`` is not True or False.
    ValueError
        If a number is outside its range, or ``nesterov`` comes without momentum.

    Examples
    --------
    >>> theta = torch.tensor([[1.0], [2.0]])
    >>> SGD(lr=0.5).step(theta, torch.ones(2, 1), {}, 1)
    >>> theta.tolist()
    [[0.5], [1.5]]
    """

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_positive("lr", check_real("lr", self.lr))
        _check_share("momentum", self.momentum)
        check_bool("nesterov", self.nesterov)
        _check_decay(self.weight_decay)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs momentum > 0, got 0.0: pass momentum=0.9, say")

    def start(self, theta: torch.Tensor) -> State:
        """Return the velocities v = 0, if there is momentum."""
        return {"velocity": torch.zeros_like(theta)} if self.momentum else {}

    def step(self, theta: torch.Tensor, grad: torch.Tensor, state: State, t: int) -> None:
        """Move all members by one step."""
        if self.weight_decay:
            grad.add_(theta, alpha=self.weight_decay)
        if self.momentum:
            velocity = state["velocity"].mul_(self.momentum).add_(grad)
            grad = grad.add_(velocity, alpha=self.momentum) if self.nesterov else velocity
        theta.add_(grad, alpha=-self.lr)


@dataclass(frozen=True)
class Adam:
    """Adam: θ ← θ - lr·m̂/(√v̂ + eps), with m̂ and v̂ the bias-corrected running means of g and g².

    m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ).

    Parameters
    ----------
    lr
        Learning rate, > 0.
    betas
        (β₁, β₂), each in [0, 1).
    eps
        > 0, outside the root.
    weight_decay
        λ ≥ 0.
    decoupled
        Where the decay goes: g ← g + λθ (False, Adam), or θ ← (1 - lr·λ)θ (True, AdamW).

    Raises
    ------
    TypeError
        If a number is none, ``betas`` is no pair, or ``decoupled`` is not True or False.
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> adam, theta = Adam(lr=0.5), torch.zeros(2, 1, dtype=torch.float64)
    >>> adam.step(theta, torch.tensor([[3.0], [-7.0]], dtype=torch.float64), adam.start(theta), 1)
    >>> theta.round(decimals=6).tolist()  # the first step is lr, whatever the gradient's size
    [[-0.5], [0.5]]
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        check_positive("lr", check_real("lr", self.lr))
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise TypeError(f"betas must be a pair, got {self.betas!r}: pass (0.9, 0.999), say")
        for index, beta in enumerate(self.betas, start=1):
            _check_share(f"beta_{index}", beta)
        check_positive("eps", check_real("eps", self.eps))
        _check_decay(self.weight_decay)
        check_bool("decoupled", self.decoupled)

    def start(self, theta: torch.Tensor) -> State:
        """Return the running means, 0."""
        return {"mean": torch.zeros_like(theta), "square": torch.zeros_like(theta)}

    def step(self, theta: torch.Tensor, grad: torch.Tensor, state: State, t: int) -> None:
        """Move all members by one step."""
        first, second = self.betas
        if self.weight_decay and self.decoupled:
            theta.mul_(1 - self.lr * self.weight_decay)
        elif self.weight_decay:
            grad.add_(theta, alpha=self.weight_decay)
        mean = state["mean"].lerp_(grad, 1 - first)
        square = state["square"].mul_(second).addcmul_(grad, grad, value=1 - second)
        root = torch.sqrt(square, out=grad).div_(math.sqrt(1 - second**t)).add_(self.eps)
        theta.addcdiv_(mean, root, value=-self.lr / (1 - first**t))


def _check_share(name: str, value: float) -> None:
    if not 0 <= check_real(name, value) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")


def _check_decay(value: float) -> None:
    if check_real("weight_decay", value) < 0:
        raise ValueError(f"weight_decay must be >= 0, got {value!r}: decay shrinks the parameters")
