"""Decoders of today's language models: the network, and its symmetry written by hand.

Notation. The stream of n numbers a token is read through RMSNorm, N(s) = γ ⊙ s/√(mean s² + ε), by attention with
grouped queries and rotary positions (:mod:`fnequiv.architectures.attention`), and by a gated perceptron, s ↦ s + W_down
(σ(W_gate N(s)) ⊙ W_up N(s)), with σ(z) = z/(1 + e^{-z}): SwiGLU. No layer has a bias.

**The stream.** The mean of squares knows neither order nor signs: n! permutations and 2^n signs, tied over all layers;
no scales. What γ writes is read by the next layers alone: it has a sign and a scale of its own for each unit, tied to
the stream by the permutation. γ holds both signs, as a BatchNorm's weight does: multiply it by what leaves, divide it
by what enters.

**Gated units.** Unit i is σ(g_i) u_i. σ neither is odd nor scales, so the gate's row is carried along as it is; the
product is linear in u_i: the row of W_up may be multiplied by any number but zero, and the column of W_down divided.

**A tied head** reads units with the embedding's numbers: the last norm's units have the stream's signs, and γ of the
last norm is only moved. **What is more**, and not a symmetry of units: the mean of squares does not change under a
rotation of the stream, n(n-1)/2 dimensions, if the layers behind the norms undo it; a tied head forbids it. Nothing
else, with more than n ≥ 3 tokens in the vocabulary: tests compare with the rank of the Jacobian.

Theorem: Proposition 1 of Shen (2024), for attention and residual blocks as its section 4 does. Chapter:
"Attention".
"""

from __future__ import annotations

import torch
from torch import nn

from ..activations import get as get_activation
from ..symmetry import Axis, Block, Cell, SymmetrySpec
from ..validation import check_bool, check_integer
from .attention import Attention
from .heads import Heads, separate
from .layers import Axes, Draft, function_of


class GatedMLP(nn.Module):
    """D (σ(G x) ⊙ U x), with D, G, U named ``down_proj``, ``gate_proj`` and ``up_proj``."""

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)
        self.activation = function_of(activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [..., n] to as many."""
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Attention and a gated perceptron, each behind an RMSNorm and added to the stream."""

    def __init__(self, sizes: Heads, hidden: int, activation: str) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(sizes.width, eps=1e-6)
        self.self_attn = Attention(
            sizes.width, sizes.heads, groups=sizes.groups, bias=False, rotary=sizes.rotary, causal=True
        )
        self.post_attention_layernorm = nn.RMSNorm(sizes.width, eps=1e-6)
        self.mlp = GatedMLP(sizes.width, hidden, activation)

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        """Map the stream [batch, T, n] to the next."""
        s = s + self.self_attn(self.input_layernorm(s))
        return s + self.mlp(self.post_attention_layernorm(s))


class Decoder(nn.Module):
    """A causal language model with the names of Llama's.

    Parameters
    ----------
    vocabulary
        Number of tokens, in and out.
    width, heads, groups, hidden
        n, h, groups of heads that share keys and values (h if left out), gated units.
    depth
        Number of layers.
    rotary
        Whether positions are rotary; else there are none but the causal mask.
    activation
        Name of the gate's σ, one that is neither odd, even nor homogeneous.
    tied
        Whether the head's weight is the embedding's.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1, a flag no bool, or the activation unknown or of another kind; if h does not divide
        n, ``groups`` not h, or 2 not n/h with rotary positions.

    Examples
    --------
    >>> Decoder(7, width=8, heads=2, hidden=5)(torch.zeros(3, 4, dtype=torch.int64)).shape
    torch.Size([3, 4, 7])
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        width: int,
        heads: int,
        hidden: int,
        groups: int | None = None,
        depth: int = 1,
        rotary: bool = True,
        activation: str = "silu",
        tied: bool = False,
    ) -> None:
        super().__init__()
        sizes = _checked(vocabulary, width, heads, hidden, groups, depth, rotary, activation, tied)
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(DecoderLayer(sizes, hidden, activation) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.tied = tied
        if not tied:
            self.lm_head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map token ids [batch, T] to logits [batch, T, vocabulary]."""
        s = self.embed_tokens(ids)
        for layer in self.layers:
            s = layer(s)
        head = self.embed_tokens if self.tied else self.lm_head
        return nn.functional.linear(self.norm(s), head.weight)


def decoder(
    vocabulary: int,
    *,
    width: int,
    heads: int,
    hidden: int,
    groups: int | None = None,
    depth: int = 1,
    rotary: bool = True,
    activation: str = "silu",
    tied: bool = False,
) -> SymmetrySpec:
    """Return the symmetry of :class:`Decoder` with the same arguments.

    Raises
    ------
    TypeError, ValueError
        As :class:`Decoder`.

    Notes
    -----
    Source: Proposition 1 of Shen (2024), and the module's docstring.

    Examples
    --------
    >>> spec = decoder(7, width=8, heads=4, groups=2, hidden=5, rotary=False)
    >>> spec.only().order() == 40320 * 2 * (2 * 2 * 2) ** 2 * 120  # 8!; 2! groups, each of 2! heads, 2! 2! units; 5!
    True
    """
    sizes = _checked(vocabulary, width, heads, hidden, groups, depth, rotary, activation, tied)
    draft = Draft()
    draft.shapes["embed_tokens.weight"] = (vocabulary, width)
    stream: Axes = (Axis("embed_tokens.weight", 1, "in"),)
    for layer in range(depth):
        name = f"layers.{layer}"
        attention = separate(draft, f"{name}.self_attn.", sizes)
        gate = draft.linear(f"{name}.mlp.gate_proj", width, hidden, bias=False)
        up = draft.linear(f"{name}.mlp.up_proj", width, hidden, bias=False)
        down = draft.linear(f"{name}.mlp.down_proj", hidden, width, bias=False)
        units = (Axis(f"{name}.mlp.gate_proj.weight", 0, "carry"), *up.rows, *down.columns)
        draft.blocks.append(Block(f"{name}.gated", hidden, "signed_scaled", units))
        stream += attention.rows + down.rows
        stream += _behind(draft, f"{name}.input_layernorm", width, attention.columns)
        stream += _behind(draft, f"{name}.post_attention_layernorm", width, gate.columns + up.columns)
    if tied:
        draft.layer_norm("norm", width, bias=False)
        stream += (Axis("norm.weight", 0, "carry"),)
    else:
        stream += _behind(draft, "norm", width, draft.linear("lm_head", width, vocabulary, bias=False).columns)
    draft.blocks.append(Block("stream", width, "signed", stream))
    return draft.spec()


def _behind(draft: Draft, norm: str, width: int, readers: Axes) -> Axes:
    """Add an RMSNorm and the block of what it writes; return its place on the stream."""
    draft.layer_norm(norm, width, bias=False)
    gamma = Cell(f"{norm}.weight", shape=(width, 1, 1), diagonal=True)
    draft.cells.append(gamma)
    written = (Axis(gamma.name, 0, "in"), *readers)
    draft.inner.append(Block(f"behind {norm}", width, "signed_scaled", written, within="stream", groups=width))
    return (Axis(gamma.name, 1, "out"),)


def _checked(
    vocabulary: int,
    width: int,
    heads: int,
    hidden: int,
    groups: int | None,
    depth: int,
    rotary: bool,
    activation: str,
    tied: bool,
) -> Heads:
    for name, size in {"vocabulary": vocabulary, "hidden": hidden, "depth": depth}.items():
        check_integer(name, size)
    check_bool("tied", tied)
    function_of(activation)
    facts = get_activation(activation)
    if facts.parity is not None or facts.degree is not None:
        raise ValueError(
            f"activation of a gate must be neither odd, even nor homogeneous, got {activation!r}: its units have more "
            "symmetry than is written down here; take 'silu', 'gelu' or 'sigmoid'"
        )
    return Heads.of(width, heads, groups=groups, bias=False, rotary=rotary)
