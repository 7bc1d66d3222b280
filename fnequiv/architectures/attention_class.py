r"""The class of multi-head attention: how far the output moves with each block, and the order of heads and dimensions.

Notation. T tokens x_j ∈ R^C; h heads with queries q_i = Q x_i + a and keys k_j = K x_j + a' in R^{d_k} and values v_j =
V x_j + b in R^{d_v}; p_i = softmax_j(q_i·k_j/√d_k), over all j or those, at least one, that a mask allows; o_i =
Σ_j p_ij v_j, and token i's output is Σ_heads O o_i + c ∈ R^C. Parameters in [-B, B]; every token has ‖x_j‖_2 ≤ B_x
("l2") or ‖x_j‖_∞ ≤ B_x ("linf"); A = sup ‖x_j‖_1. Shen (2024), section 4; chapter "Attention".

**Sensitivity.** The output of any token moves by at most

    B h d_v (u · B A + A δ_V + δ_b) + h d_v B (A + 1) δ_O + δ_c,    u = √d_k (B A (A δ_Q + δ_a) + B (A + 1) A δ_K).

*Proof.* (1) q·a' is the same for all keys j, and softmax ignores it: the function does not depend on the key's bias a',
and we take a' = 0. So |k_j| ≤ B A, |q_i| ≤ B(A + 1), and the d_k products of q·k - q'·k' = (q - q')·k + q'·(k - k')
give a score's change |s_j - s'_j| ≤ u after division by √d_k. (2) Along s + τ(s' - s), d/dτ Σ_j p_j v_j =
Cov_p(s' - s, v), a covariance of a variable in [-u, u] and one in [b - B A, b + B A]: at most u · B A, the product of
the standard deviations. (The value's bias cancels here; bounding ‖p - p'‖_1 |v| instead would give B(A + 1).) (3)
Σ_j p'_j (v_j - v'_j) is a mean, at most A δ_V + δ_b, and |o_i| ≤ B(A + 1). The last layer reads h d_v such numbers. ∎

The number of tokens does not enter, masks included, except that one token has nothing to compare: for T = 1 queries and
keys do not matter, and neither do their δ. Each coefficient is attained by a network of the class with two tokens, to
first order in its δ; not all at once.

**Order.** A dimension r of a head owns row r of Q, a_r, row r of K (and a'_r); a dimension of the values owns row r of
V, b_r and column r of O. They may be reordered in every head on its own, and then the heads: h! (d_k! d_v!)^h. No other
entry moves, so the count is exactly the number of orbits on the grid. The true group is continuous: K ↦ G^{-T} K with
Q ↦ G Q for any invertible d_k × d_k matrix G, and likewise for V and O, h (d_k² + d_v²) dimensions. They do not map a
grid to itself; :mod:`fnequiv.architectures.mixing` writes down one of each orbit another way.

x + attention(x) differs from attention(x) by a fixed function, so both classes have the same covering numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..complexity.sensitivity import propagate
from ..validation import check_integer, shown
from .mixing import mixed_covers, mixed_queries, mixed_values
from .units import Array, Cover, NetworkClass, Units


@dataclass(frozen=True)
class AttentionClass(NetworkClass):
    r"""Multi-head self-attention with biases, as in ``torch.nn.MultiheadAttention``.

    Parameters
    ----------
    tokens
        T, the longest sequence.
    channels
        C.
    heads
        h.
    d_k, d_v
        Dimensions of a head's queries and keys, and of its values; C/h if left out.

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size is below 1, or d_k or d_v is left out and the heads do not divide the channels.

    Examples
    --------
    >>> attention = AttentionClass(tokens=16, channels=64, heads=4)
    >>> attention.parameters, round(attention.log_order(), 3)  # 4! (16! 16!)^4
    (16640, 248.553)
    """

    tokens: int
    channels: int
    heads: int
    d_k: int | None = None
    d_v: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "channels", "heads"):
            object.__setattr__(self, name, check_integer(name, getattr(self, name)))
        for name in ("d_k", "d_v"):
            value = getattr(self, name)
            if value is None and self.channels % self.heads:
                raise ValueError(
                    f"heads must divide channels where {name} is left out, got heads={shown(self.heads)} and "
                    f"channels={shown(self.channels)}: give {name}"
                )
            value = self.channels // self.heads if value is None else check_integer(name, value)
            object.__setattr__(self, name, value)

    @property
    def dimensions(self) -> tuple[int, int]:
        """d_k and d_v."""
        assert self.d_k is not None
        assert self.d_v is not None  # __post_init__ filled them in
        return self.d_k, self.d_v

    @property
    def units(self) -> tuple[Units, ...]:
        """The heads with the dimensions inside them, and the outputs' biases."""
        (d_k, d_v), rows = self.dimensions, self.channels
        keys = {"query.weight": rows, "query.bias": 1, "key.weight": rows, "key.bias": 1}
        values = {"value.weight": rows, "value.bias": 1, "output.weight": rows}
        inside = (
            Units("query-key", d_k, keys, row=("query.weight", "query.bias"), signed=True, scaled=True),
            Units("value", d_v, values, row=("value.weight", "value.bias"), signed=True, scaled=True),
        )
        return (
            Units("heads", self.heads, {}, inside),
            Units("outputs", self.channels, {"output.bias": 1}, permuted=False),
        )

    def log_coefficients(self, log_B: Array, log_Bx: Array, domain: str) -> dict[str, Array]:
        """Return the logs of this module's coefficients; -inf for what the softmax ignores."""
        d_k, d_v = self.dimensions
        log_A = self._log_mass(log_B, log_Bx, domain)
        log_read = math.log(self.heads * d_v)  # numbers that the last layer reads
        log_mean = log_B + log_read  # of a change in all values
        log_score = self._log_slope(log_B, log_A) + 0.5 * math.log(d_k)  # of a change in all products of a score
        log_query = log_score + log_B + log_A
        log_reach = log_B + np.logaddexp(log_A, 0.0)  # of queries and values
        return {
            "query.weight": log_query + log_A,
            "query.bias": log_query,
            "key.weight": log_score + log_reach + log_A,
            "key.bias": np.full_like(log_A, -np.inf),
            "value.weight": log_mean + log_A,
            "value.bias": log_mean,
            "output.weight": log_read + log_reach,
            "output.bias": np.zeros_like(log_A),
        }

    def covers(self, log_B: Array, log_Bx: Array, domain: str) -> tuple[Cover, ...]:
        """Return the parameters as they are, and the normal forms of :mod:`~fnequiv.architectures.mixing`."""
        plain = super().covers(log_B, log_Bx, domain)[0]
        (d_k, d_v), log_A = self.dimensions, self._log_mass(log_B, log_Bx, domain)
        queries = mixed_queries(self.channels, d_k, self._log_slope(log_B, log_A), log_B, log_A, domain)
        values = mixed_values(self.channels, self.heads, d_v, log_B, log_A)
        return (plain, *mixed_covers(plain, queries, values))

    def _log_mass(self, log_B: Array, log_Bx: Array, domain: str) -> Array:
        """Return ln A."""
        return propagate((self.channels, self.channels), log_B, log_Bx, (), domain).log_mass[0]

    def _log_slope(self, log_B: Array, log_A: Array) -> Array:
        """Return ln (h d_v B² A), what a change of all scores by 1 costs; one token has nothing to compare."""
        return np.where(self.tokens > 1, math.log(self.heads * self.dimensions[1]) + 2 * log_B + log_A, -np.inf)
