"""The three answers to "are these two networks one, up to the group?", and what supports each.

Notation. *Equivalent* comes with the element g as its witness, verified by applying it; *not equivalent* with a
reason that excludes every g; *undecided* with what was tried. Definition 1 and Proposition 1 of Shen (2024). Chapter:
"Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from ..validation import shown
from .elements import GroupElement

Answer = Literal["equivalent", "not equivalent", "undecided"]
Forward = Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Verdict:
    """An answer, its reason in words, and what supports it.

    ``witness`` takes the first network to the second (equivalent only). ``difference`` is the largest of
    |b - g·a|/max |b| over the tensors, for the witness or the best candidate. ``outputs`` is the largest difference of
    the two functions on the inputs given, and ``input`` the one where it occurs.
    """

    answer: Answer
    reason: str
    witness: GroupElement | None = None
    difference: float | None = None
    outputs: float | None = None
    input: torch.Tensor | None = None

    @property
    def equivalent(self) -> bool | None:
        """True, False, or None if undecided."""
        return {"equivalent": True, "not equivalent": False}.get(self.answer)

    def __bool__(self) -> bool:
        raise TypeError("a verdict has three answers: ask for .answer, or .equivalent (True, False or None)")

    def __str__(self) -> str:
        return f"{self.answer}: {self.reason}"


def with_outputs(
    verdict: Verdict,
    a: Mapping[str, torch.Tensor],
    b: Mapping[str, torch.Tensor],
    forward: Forward,
    inputs: torch.Tensor,
) -> Verdict:
    """Return the verdict with the largest difference of the two functions on some inputs: evidence, never the decision.

    Raises
    ------
    TypeError
        If ``forward`` cannot be called or gives no tensor, or ``inputs`` is none.
    ValueError
        If there are no inputs, or not one output, of at least one number, for each. What ``forward`` raises comes
        through.

    Examples
    --------
    >>> double = lambda params, x: params["w"] * x
    >>> one, two = {"w": torch.tensor(1.0)}, {"w": torch.tensor(2.0)}
    >>> with_outputs(Verdict("not equivalent", "other weights"), one, two, double, torch.tensor([[1.0], [3.0]])).outputs
    3.0
    """
    if not callable(forward):
        raise TypeError(f"forward must be a function of (params, inputs), got {shown(forward)}")
    if not isinstance(inputs, torch.Tensor):
        raise TypeError(f"inputs must be a torch.Tensor [n, ...], got {type(inputs).__name__}")
    if inputs.ndim == 0 or not len(inputs):
        raise ValueError(f"inputs must have shape [n, ...] with n >= 1, got {tuple(inputs.shape)}")
    with torch.no_grad():
        ours, theirs = (_outputs(forward, params, inputs) for params in (a, b))
        if ours.shape != theirs.shape:
            raise ValueError(f"forward gives shapes {tuple(ours.shape)} and {tuple(theirs.shape)} on the same inputs")
        gaps = (ours - theirs).abs().reshape(len(inputs), -1).amax(dim=1)
    worst = int(gaps.argmax())
    reason = f"{verdict.reason}; on {len(inputs)} inputs the outputs differ by up to {float(gaps[worst]):.3g}"
    return replace(verdict, reason=reason, outputs=float(gaps[worst]), input=inputs[worst].clone())


def _outputs(forward: Forward, params: Mapping[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    found = forward(params, inputs)
    if not isinstance(found, torch.Tensor):
        raise TypeError(f"forward must return a torch.Tensor [n, ...], got {shown(found)}")
    if found.ndim == 0 or len(found) != len(inputs) or not found.numel():
        raise ValueError(f"forward must return one output for each of {len(inputs)} inputs, got {tuple(found.shape)}")
    return found
