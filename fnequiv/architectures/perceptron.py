"""Residual perceptrons: the network, and its symmetry written by hand.

Notation. A linear stem writes a *stream* s ∈ R^n; block l adds W_2 σ(W_1 s + b_1) + b_2 to it, with m inner units; a
linear head reads it. *Shared* blocks are one block that is applied again and again.

**The symmetry.** Inner units are those of any hidden layer. The stream is only ever written by linear layers, added to,
and read by linear layers: a linear junction (:mod:`fnequiv.architectures.layers`). So s ↦ A s with any invertible A,
tied over all blocks, is undone by A⁻¹ behind every W_1 and the head: n! permutations, n signs and n scales, and n² - n
dimensions that mix units. Each bias that is written to the stream, the stem's and every b_2, may be shifted: what reads
later has biases to take it up; n dimensions each.

**Used twice.** A shared block is read and written at every step, so the same A serves. But its b_1 is one vector: it
cannot take up a shift that grows from step to step. The stem's bias alone is free, n dimensions: b_2 is not.

Tests compare with the rank of the Jacobian: for at least n inputs and outputs nothing else is free. With fewer, blocks
at the ends read or write directions that hold nothing or that nobody reads.
Besides, there is a discrete symmetry that no specification holds: where σ(z) - σ(-z) = c z (ReLU, GELU, SiLU, softplus)
and blocks are not shared, an inner unit with row u, bias a and column v may be flipped, (u, a, v) ↦ (-u, -a, v), if the
stream before its block is (1 + c v uᵀ) s + c a v in place of s.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024), for residual blocks as its section 4 does. Chapter:
"Residual networks".
"""

from __future__ import annotations

import torch
from torch import nn

from ..symmetry import Block, SymmetrySpec
from ..validation import check_bool, check_integer
from .layers import Draft, function_of, junction


class PerceptronBlock(nn.Module):
    """s ↦ s + W_2 σ(W_1 s + b_1) + b_2, with ``linear1`` and ``linear2``."""

    def __init__(self, width: int, hidden: int, activation: str, bias: bool) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden, bias=bias)
        self.linear2 = nn.Linear(hidden, width, bias=bias)
        self.activation = function_of(activation)

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        """Map the stream [..., n] to the next."""
        return s + self.linear2(self.activation(self.linear1(s)))


class ResidualMLP(nn.Module):
    """A linear stem, residual perceptron blocks, and a linear head.

    Parameters
    ----------
    inputs, width, hidden, outputs
        Number of inputs, n, m, number of outputs.
    depth
        How often a block is applied.
    activation
        Name of σ.
    bias
        Whether layers have biases.
    shared
        Whether all blocks are one.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1, a flag no bool, or the activation unknown.

    Examples
    --------
    >>> ResidualMLP(3, 4, 5, 2, depth=2)(torch.zeros(7, 3)).shape
    torch.Size([7, 2])
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden: int,
        outputs: int,
        *,
        depth: int = 1,
        activation: str = "relu",
        bias: bool = True,
        shared: bool = False,
    ) -> None:
        super().__init__()
        inputs, width, hidden, outputs = _checked(inputs, width, hidden, outputs, depth, bias, shared)
        self.depth = depth
        self.stem, self.head = nn.Linear(inputs, width, bias=bias), nn.Linear(width, outputs, bias=bias)
        self.blocks = nn.ModuleList(
            PerceptronBlock(width, hidden, activation, bias) for _ in range(1 if shared else depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs [..., inputs] to outputs."""
        s = self.stem(x)
        for step in range(self.depth):
            s = self.blocks[step % len(self.blocks)](s)
        return self.head(s)


def residual_mlp(
    inputs: int,
    width: int,
    hidden: int,
    outputs: int,
    *,
    depth: int = 1,
    activation: str = "relu",
    bias: bool = True,
    shared: bool = False,
) -> SymmetrySpec:
    """Return the symmetry of :class:`ResidualMLP` with the same arguments.

    Raises
    ------
    TypeError, ValueError
        As :class:`ResidualMLP`.

    Notes
    -----
    Source: Proposition 1 of Shen (2024), and the module's docstring.

    Examples
    --------
    >>> spec = residual_mlp(3, 4, 5, 2, depth=2)
    >>> spec.only().order() == 24 * 120**2, spec.continuous_dimension()  # 10 scales; GL(4) and three biases, 16 + 12
    (True, 38)
    """
    inputs, width, hidden, outputs = _checked(inputs, width, hidden, outputs, depth, bias, shared)
    draft = Draft()
    stem, head = draft.linear("stem", inputs, width, bias=bias), draft.linear("head", width, outputs, bias=bias)
    stream = stem.rows + head.columns
    function_of(activation)
    for step in range(1 if shared else depth):
        first = draft.linear(f"blocks.{step}.linear1", width, hidden, bias=bias)
        second = draft.linear(f"blocks.{step}.linear2", hidden, width, bias=bias)
        draft.inner.append(Block.behind(f"hidden{step + 1}", hidden, activation, first.rows + second.columns))
        stream += first.columns + second.rows
    free = bias * (1 if shared and depth > 1 else 1 + depth)
    draft.blocks.append(Block("stream", width, "signed_scaled", stream, mixing=junction(width, shifts=free)))
    return draft.spec()


def _checked(
    inputs: int, width: int, hidden: int, outputs: int, depth: int, bias: bool, shared: bool
) -> tuple[int, int, int, int]:
    check_integer("depth", depth), check_bool("bias", bias), check_bool("shared", shared)
    return (
        check_integer("inputs", inputs),
        check_integer("width", width),
        check_integer("hidden", hidden),
        check_integer("outputs", outputs),
    )
