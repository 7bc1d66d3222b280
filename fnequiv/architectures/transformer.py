"""Transformers with layer norms: the network, and its symmetry written by hand.

Notation. An embedding writes a *stream* of n numbers a token, positions are added, and each block adds attention
(:mod:`fnequiv.architectures.attention`) and a perceptron of m units behind σ. LayerNorm is N(s) = γ ⊙ (s - mean)/√(var
+ ε) + β over the n numbers of a token. With the norm *first*, s ↦ s + B(N(s)), and a last N stands before the head;
else, as at first, s ↦ N(s + B(s)). The head gives an output for every token, or reads their mean.

**The stream.** It is read and written everywhere, so one permutation is tied over all layers; mean and variance know no
order. But they pin signs and scales: flip or stretch one unit, and what is subtracted from all, or divides all, is
another. So the stream has n! and, of symmetries of single units, no more.

**Behind a norm.** What γ and β write is normalised no more. With the norm first it is read by the next linear layers
alone, so each of its units has a sign and a scale of its own: γ ↦ D γ, β ↦ D β, W ↦ W D⁻¹, the permutation being the
stream's. With the norm last it is also the stream, and the next norm forbids that, except for the very last one, which
the head alone reads.

**A tied head**, whose weight is the embedding's, reads units with the numbers that write them. A sign behind the last
norm would have to be one of the stream: only the permutation is left.

**What is more**, and not a symmetry of units. A LayerNorm writes numbers with Σ (x_i - β_i)/γ_i = 0 and takes no notice
of a shift of all units alike. So, with biases, (1) β can be moved into those behind, n dimensions a norm; (2) a row
that reads a norm may add multiples of 1/γ; (3) a column or a bias that writes to the stream may add multiples of (1, …,
1). With the norm first, (4) rotations that keep (1, …, 1) are undone behind the norms, (n-1)(n-2)/2; (5) positions and
the embedding may exchange a constant, n - 1 more. With the norm last (3) holds for blocks, rows of the first attention
are not in (2), and the embedding may be mapped by 1 + (1, …, 1)ᵀw for any w, which leaves n dimensions, and shifted and
exchange a constant with positions, 2n. One block with the norm last has one dimension more: rotations on both sides of
its first norm make good a change of γ that keeps the singular values of diag γ on the vectors of sum 0. A tied head
forbids what moves the embedding or the last norm. One sign common to the whole stream is a symmetry as well. The mask
plays no part in any of it. Tests hold the Jacobian's rank to exactly these dimensions, for n ≥ 3, at least two tokens,
and h ≥ 2: a single head behind a norm has d_v = n, and one dimension of GL(n) is made of (2) and (3). With the norm
last, inputs and tokens together have to be more than n, or the first attention does not see all of its columns.

Theorem: Proposition 1 of Shen (2024), section 4. Chapter: "Attention".
"""

from __future__ import annotations

import torch
from torch import nn

from ..symmetry import Axis, Block, SymmetrySpec
from ..validation import check_bool, check_integer
from .heads import Heads, packed
from .layers import Axes, Draft, Layer, function_of


class TransformerBlock(nn.Module):
    """Attention and a perceptron, with the names and the function of ``torch.nn.TransformerEncoderLayer``."""

    def __init__(
        self, width: int, heads: int, hidden: int, *, activation: str, norm_first: bool, bias: bool, causal: bool
    ) -> None:
        super().__init__()
        self.norm_first, self.causal = norm_first, causal
        self.self_attn = nn.MultiheadAttention(width, heads, bias=bias, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden, bias=bias), nn.Linear(hidden, width, bias=bias)
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=bias), nn.LayerNorm(width, bias=bias)
        self.activation = function_of(activation)

    def attend(self, s: torch.Tensor) -> torch.Tensor:
        """Return the attention of tokens [batch, T, n] among themselves."""
        mask = None
        if self.causal:
            mask = torch.full((s.shape[1], s.shape[1]), -torch.inf, dtype=s.dtype, device=s.device).triu(1)
        return self.self_attn(s, s, s, attn_mask=mask, need_weights=False)[0]

    def feed(self, s: torch.Tensor) -> torch.Tensor:
        """Return the perceptron's output for each token."""
        return self.linear2(self.activation(self.linear1(s)))

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        """Map the stream [batch, T, n] to the next."""
        if self.norm_first:
            s = s + self.attend(self.norm1(s))
            return s + self.feed(self.norm2(s))
        s = self.norm1(s + self.attend(s))
        return self.norm2(s + self.feed(s))


class Transformer(nn.Module):
    """An embedding with learned positions, transformer blocks, and a linear head.

    Parameters
    ----------
    inputs, outputs
        Numbers of each token, or the size of the vocabulary; number of outputs.
    width, heads, hidden
        n, h, m.
    depth, length
        Number of blocks, and of tokens.
    activation
        Name of σ.
    norm_first
        Where the norms stand.
    bias
        Whether layers and norms have biases.
    causal
        Whether tokens see only those before them, and themselves.
    vocabulary
        Whether inputs are token ids [batch, T], and outputs are given for each token; else inputs are numbers
        [batch, T, inputs], and outputs are those of the mean token.
    tied
        Whether the head's weight is the embedding's; with a vocabulary only.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1, a flag no bool, or the activation unknown; if h does not divide n, or ``tied``
        comes without a vocabulary or with ``outputs`` other than ``inputs``.

    Examples
    --------
    >>> Transformer(8, 10, width=6, heads=2, hidden=7, length=8)(torch.zeros(5, 8, 8)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        heads: int,
        hidden: int,
        length: int,
        depth: int = 1,
        activation: str = "gelu",
        norm_first: bool = True,
        bias: bool = True,
        causal: bool = False,
        vocabulary: bool = False,
        tied: bool = False,
    ) -> None:
        super().__init__()
        _check(inputs, outputs, hidden, length, depth, (norm_first, causal), vocabulary, tied)
        Heads.of(width, heads, bias=bias)
        self.tied = tied
        self.embed: nn.Module = nn.Embedding(inputs, width) if vocabulary else nn.Linear(inputs, width, bias=bias)
        self.positions = nn.Parameter(torch.randn(length, width) / 8)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width, heads, hidden, activation=activation, norm_first=norm_first, bias=bias, causal=causal
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, bias=bias) if norm_first else nn.Identity()
        self.pool = not vocabulary
        if not tied:
            self.head = nn.Linear(width, outputs, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens to outputs."""
        s = self.embed(x) + self.positions
        for block in self.blocks:
            s = block(s)
        s = self.norm(s)
        if self.tied:
            return nn.functional.linear(s, self.embed.weight)  # type: ignore[arg-type]
        return self.head(s.mean(1) if self.pool else s)


def transformer(
    inputs: int,
    outputs: int,
    *,
    width: int,
    heads: int,
    hidden: int,
    length: int,
    depth: int = 1,
    activation: str = "gelu",
    norm_first: bool = True,
    bias: bool = True,
    causal: bool = False,
    vocabulary: bool = False,
    tied: bool = False,
) -> SymmetrySpec:
    """Return the symmetry of :class:`Transformer` with the same arguments; ``causal`` changes nothing.

    Raises
    ------
    TypeError, ValueError
        As :class:`Transformer`.

    Notes
    -----
    Source: Proposition 1 of Shen (2024), and the module's docstring.

    Examples
    --------
    >>> spec = transformer(8, 10, width=6, heads=2, hidden=7, length=8)
    >>> spec.only().order() == 720 * 2 * (6 * 6) ** 2 * 5040  # 6! and, in the block, 2! (3! 3!)^2 7!
    True
    """
    _check(inputs, outputs, hidden, length, depth, (norm_first, causal), vocabulary, tied)
    sizes, draft = Heads.of(width, heads, bias=bias), Draft()
    function_of(activation)
    stream = _embedded(draft, inputs, length, sizes, vocabulary=vocabulary)
    readers: list[Layer] = []
    for layer in range(depth):
        attention, first, second = _block(draft, f"blocks.{layer}", sizes, hidden, activation)
        stream += attention.rows + second.rows
        readers += [attention, first]
    readers.append(Layer((), ()) if tied else draft.linear("head", width, outputs, bias=bias))
    norms = [f"blocks.{layer}.norm{place}" for layer in range(depth) for place in (1, 2)]
    if norm_first:
        norms.append("norm")
    else:
        stream += readers.pop(0).columns  # the first attention reads the embedding
    for norm, reader in zip(norms, readers, strict=True):
        behind = draft.layer_norm(norm, width, bias=bias) + reader.columns
        last = reader is readers[-1]
        if (norm_first or last) and not (tied and last):
            draft.inner.append(Block(f"behind {norm}", width, "signed_scaled", behind, within="stream", groups=width))
        else:
            stream += behind
    draft.blocks.append(Block("stream", width, "permutation", stream))
    return draft.spec()


def _embedded(draft: Draft, inputs: int, length: int, sizes: Heads, *, vocabulary: bool) -> Axes:
    """Add the embedding and the positions; return their places on the stream."""
    draft.shapes["positions"], positions = (length, sizes.width), Axis("positions", 1, "in")
    if not vocabulary:
        return (*draft.linear("embed", inputs, sizes.width, bias=sizes.bias).rows, positions)
    draft.shapes["embed.weight"] = (inputs, sizes.width)
    return (Axis("embed.weight", 1, "in"), positions)


def _block(draft: Draft, name: str, sizes: Heads, hidden: int, activation: str) -> tuple[Layer, Layer, Layer]:
    """Add a block; return its attention, and the two layers of its perceptron."""
    attention = packed(draft, f"{name}.self_attn.", sizes)
    first = draft.linear(f"{name}.linear1", sizes.width, hidden, bias=sizes.bias)
    second = draft.linear(f"{name}.linear2", hidden, sizes.width, bias=sizes.bias)
    draft.inner.append(Block.behind(f"{name}.hidden", hidden, activation, first.rows + second.columns))
    return attention, first, second


def _check(inputs: int, outputs: int, hidden: int, length: int, depth: int, flags: tuple[bool, bool],
           vocabulary: bool, tied: bool) -> None:  # fmt: skip
    sizes = {"inputs": inputs, "outputs": outputs, "hidden": hidden, "length": length, "depth": depth}
    for name, size in sizes.items():
        check_integer(name, size)
    for name, flag in zip(("norm_first", "causal", "vocabulary", "tied"), (*flags, vocabulary, tied), strict=True):
        check_bool(name, flag)
    if tied and not (vocabulary and inputs == outputs):
        raise ValueError(
            f"tied needs a vocabulary and as many outputs as inputs, got vocabulary={vocabulary}, {inputs} inputs and "
            f"{outputs} outputs: untie the head, or give both one size"
        )
