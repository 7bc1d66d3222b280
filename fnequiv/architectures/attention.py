"""Attention of every kind: the network, and its symmetry written by hand.

Notation. From tokens x_1, …, x_T in R^C a head makes queries q_i = Q x_i + a, keys k_j = K x_j + a' (in R^{d_k}) and
values v_j = V x_j + b (in R^{d_v}), and answers Σ_j p_ij v_j with p_i = softmax_j(q_i · k_j / √d_k). The layer has h
heads, and adds up O o_i over them, and c. In *grouped queries* r = h/g heads share the keys and values of one of g
groups.

**Inside a head.** q · k is unchanged by q ↦ G q, k ↦ G⁻ᵀ k for any invertible G: GL(d_k), of d_k² dimensions. Its part
that moves single units is d_k! permutations, d_k signs and d_k scales, (``in`` on queries, ``out`` on keys); the others
are counted as ``mixing``. Softmax ignores what is added to all scores of a query, q_i · t, so a' ↦ a' + t is free: d_k
dimensions more if keys have a bias. Values are a linear junction (:mod:`fnequiv.architectures.layers`): v ↦ H v,
O ↦ O H⁻¹, of d_v² dimensions; and d_v more if b can be moved into c, since Σ_j p_ij = 1.

**Heads.** The sum over heads knows no order: h!, and the dimensions of a head go with it. With groups, G and H serve
all heads of a group, groups are exchanged as wholes, g!, and the query heads in a group, r! each. The queries of head j
of group i are a matrix [d_k, C]: all of them are block-diagonal, g blocks of r × d_k rows, as a grouped convolution is.

**Masks**, causal or other, choose scores that become -∞, the same in all heads; no element changes a score, so none of
this depends on the mask.

**Rotary positions** turn the pair (r, r + d_k/2) of query and key i by the angle i ω_r. The score q_iᵀ R_{j-i} k_j
keeps its value for all distances only if G commutes with the rotations: where the ω_r differ, on each pair a turn and a
scale, common to both. So a pair in a head is one unit with a sign and a scale, never permuted; the turn counts as
mixing. The key's bias is not free: q_iᵀ R_{j-i} a' depends on j.

Tests compare the dimensions with the rank of the Jacobian: for d_k, d_v ≤ C and three tokens or more nothing else is
free, but where values have a bias, the output has none and g d_v > C: then a shift of the values that O maps to 0 is
free as well. For larger d_k or d_v the group is what it is, but some of its dimensions move no parameter: fewer are
redundant than it has.

Theorem: Proposition 1 of Shen (2024), for heads and their dimensions as its section 4 does. Chapter: "Attention".
"""

from __future__ import annotations

import torch
from torch import nn

from ..symmetry import SymmetrySpec
from ..validation import check_bool
from .heads import Heads, packed, separate
from .layers import Draft


class Attention(nn.Module):
    """Self-attention with projections ``q_proj``, ``k_proj``, ``v_proj`` and ``o_proj``.

    Parameters
    ----------
    width, heads
        C and h.
    groups
        g, heads of keys and values; h if left out.
    keys, values
        d_k and d_v; C/h and d_k if left out.
    bias, out_bias
        Whether the first three projections, and the last, have biases; the last as the first if left out.
    rotary
        Whether queries and keys are turned.
    causal
        Whether tokens see only those before them, and themselves.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1 or a flag no bool; if h does not divide C, g not h, or 2 not d_k with rotary
        positions.

    Examples
    --------
    >>> Attention(6, 4, groups=2, keys=2)(torch.zeros(5, 3, 6)).shape
    torch.Size([5, 3, 6])
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        groups: int | None = None,
        keys: int | None = None,
        values: int | None = None,
        bias: bool = True,
        out_bias: bool | None = None,
        rotary: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = s = Heads.of(
            width, heads, groups=groups, keys=keys, values=values, bias=bias, out_bias=out_bias, rotary=rotary
        )
        self.causal = check_bool("causal", causal)
        self.q_proj = nn.Linear(s.width, s.heads * s.keys, bias=s.bias)
        self.k_proj = nn.Linear(s.width, s.groups * s.keys, bias=s.bias)
        self.v_proj = nn.Linear(s.width, s.groups * s.values, bias=s.bias)
        self.o_proj = nn.Linear(s.heads * s.values, s.width, bias=s.out_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens [batch, T, C] to as many."""
        s = self.sizes
        q = self.q_proj(x).unflatten(-1, (s.heads, s.keys)).transpose(1, 2)
        k = self.k_proj(x).unflatten(-1, (s.groups, s.keys)).transpose(1, 2)
        v = self.v_proj(x).unflatten(-1, (s.groups, s.values)).transpose(1, 2)
        if s.rotary:
            q, k = turned(q), turned(k)
        k, v = (t.repeat_interleave(s.heads // s.groups, dim=1) for t in (k, v))
        o = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.o_proj(o.transpose(1, 2).flatten(2))


def turned(x: torch.Tensor) -> torch.Tensor:
    """Return rotary positions' x [..., T, d]: units (r, r + d/2) of token i turned by i · 10000^(-2r/d)."""
    half = x.shape[-1] // 2
    frequencies = 10000.0 ** (-torch.arange(half, dtype=x.dtype, device=x.device) / half)
    angles = torch.arange(x.shape[-2], dtype=x.dtype, device=x.device)[:, None] * frequencies
    one, two = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)


def attention(
    width: int,
    heads: int,
    *,
    groups: int | None = None,
    keys: int | None = None,
    values: int | None = None,
    bias: bool = True,
    out_bias: bool | None = None,
    rotary: bool = False,
    causal: bool = False,
) -> SymmetrySpec:
    """Return the symmetry of :class:`Attention` with the same arguments, its tokens and answers as they are.

    Raises
    ------
    TypeError, ValueError
        As :class:`Attention`.

    Notes
    -----
    Source: Shen (2024), section 4, and the module's docstring.

    Examples
    --------
    >>> spec = attention(6, 2)
    >>> spec.only().order(), spec.continuous_dimension()  # 2! (3! 3!)^2; GL(3) and a shift, twice in two heads
    (2592, 48)
    >>> attention(8, 4, groups=2).only().order()  # 2! (2!)^2 (2! 2!)^2
    128
    """
    check_bool("causal", causal)
    sizes = Heads.of(width, heads, groups=groups, keys=keys, values=values, bias=bias, out_bias=out_bias, rotary=rotary)
    draft = Draft()
    separate(draft, "", sizes)
    return draft.spec()


def multihead(width: int, heads: int, *, bias: bool = True) -> SymmetrySpec:
    """Return the symmetry of ``torch.nn.MultiheadAttention(width, heads, bias=bias)`` of a sequence with itself.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer ≥ 1, ``bias`` no bool, or h does not divide C.

    Notes
    -----
    Source: Shen (2024), section 4, and the module's docstring.

    Examples
    --------
    >>> multihead(6, 2).order() == attention(6, 2).order()
    True
    """
    draft = Draft()
    packed(draft, "", Heads.of(width, heads, bias=bias))
    return draft.spec()
