"""When a run ends: goals that it reaches, patience that it exhausts, and losses that blow up.

Notation. L is the mean loss of one member, judged every few steps on whole data; ∇L its gradient in all P parameters.
A member is *converged* (a goal is reached), *stopped* (no better for a while), *diverged* (its loss is no finite
number, or far above its first), or *exhausted* (its steps are used up). Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch

from ..validation import check_integer, check_positive, check_real, shown

STATUSES: Final = ("converged", "stopped", "diverged", "exhausted")
State = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Until:
    """Rules that end a member's run before its steps are used up; without any, only divergence does.

    Parameters
    ----------
    loss
        Converged once L is at most this.
    gradient
        Converged once the Euclidean norm ‖∇L‖₂ on the task's data is at most this, > 0.
    patience
        Stopped after this many judgements in a row without an L below the best so far by more than ``margin``.
    margin
        What counts as better, ≥ 0.
    every
        Steps between two judgements. Without a goal and without patience there is one, after the last step.
    blowup
        Diverged if L exceeds this times max(1, |its first value|), > 1. A loss that is NaN or infinite always is, at
        the step where it shows.
    data
        What L is judged on, in the form of the task's own data: held-out data, for early stopping. The task's own if
        left out.

    Raises
    ------
    TypeError
        If a number is none, or ``data`` is no tuple of tensors.
    ValueError
        If a number is outside its range.

    Examples
    --------
    >>> Until(gradient=1e-6, every=100).gradient
    1e-06
    """

    loss: float | None = None
    gradient: float | None = None
    patience: int | None = None
    margin: float = 0.0
    every: int = 10
    blowup: float = 1e6
    data: tuple[torch.Tensor, ...] | None = None

    def __post_init__(self) -> None:
        if self.loss is not None:
            check_real("loss", self.loss)
        if self.gradient is not None:
            check_positive("gradient", check_real("gradient", self.gradient))
        if self.patience is not None and check_integer("patience", self.patience) >= 2**63:
            raise ValueError(f"patience must be below 2**63, got {shown(self.patience)}: leave it out for none")
        object.__setattr__(self, "every", check_integer("every", self.every))  # a small int of NumPy's would overflow
        if check_real("margin", self.margin) < 0:
            raise ValueError(f"margin must be >= 0, got {self.margin!r}")
        if check_real("blowup", self.blowup) <= 1:
            raise ValueError(f"blowup must be > 1, got {self.blowup!r}: it multiplies the first loss")
        if self.data is not None and not (
            isinstance(self.data, tuple) and all(isinstance(tensor, torch.Tensor) for tensor in self.data)
        ):
            raise TypeError(f"data must be a tuple of tensors, as the task's own, got {shown(self.data)}")

    @property
    def goals(self) -> bool:
        """Whether a rule can end a run before its last step."""
        return not (self.loss is None and self.gradient is None and self.patience is None)

    def start(self, loss: torch.Tensor) -> State:
        """Return what has to be remembered of each member, by its first losses, shape [m]."""
        ceiling = self.blowup * loss.abs().clamp(min=1)
        return {"ceiling": ceiling, "best": torch.full_like(loss, math.inf), "since": torch.zeros_like(loss)}

    def judge(self, loss: torch.Tensor, norm: torch.Tensor | None, state: State) -> dict[int, tuple[str, str]]:
        """Return status and reason for every member that ends now, by its row; ``state`` is brought up to date.

        Parameters
        ----------
        loss
            L of every member, shape [m].
        norm
            ‖∇L‖₂, shape [m], if ``gradient`` asks for it.
        state
            As :meth:`start` returned it.

        Examples
        --------
        >>> rule, loss = Until(loss=0.1), torch.tensor([0.05, 0.5, float("nan")])
        >>> rule.judge(loss, None, rule.start(torch.ones(3)))
        {2: ('diverged', 'loss nan'), 0: ('converged', 'loss 0.05 <= 0.1')}
        """
        better = loss < state["best"] - self.margin
        state["since"] = torch.where(better, 0.0, state["since"] + 1)
        state["best"] = torch.where(better, loss, state["best"])
        ended: dict[int, tuple[str, str]] = {}

        def end(rows: torch.Tensor, status: str, reason: str, values: torch.Tensor) -> None:
            """Note for each row that is true how it ended, unless it has ended already."""
            for row in rows.nonzero().flatten().tolist():
                ended.setdefault(row, (status, reason.format(values[row].item())))

        end(~loss.isfinite(), "diverged", "loss {:.6g}", loss)
        end(loss > state["ceiling"], "diverged", f"loss {{:.6g}}, more than {self.blowup:g} times the first", loss)
        if self.loss is not None:
            end(loss <= self.loss, "converged", f"loss {{:.6g}} <= {self.loss:g}", loss)
        if norm is not None and self.gradient is not None:
            end(norm <= self.gradient, "converged", f"gradient norm {{:.3g}} <= {self.gradient:g}", norm)
        if self.patience is not None:
            late = state["since"] >= self.patience
            end(late, "stopped", f"best loss {{:.6g}}, not improved on in {self.patience} judgements", state["best"])
        return ended
