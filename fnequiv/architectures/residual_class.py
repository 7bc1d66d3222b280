r"""The class of residual networks: how far the output moves with each block, and the order that its stream ties.

Notation. A stem h_0 = W_0 x + b_0 with n rows makes the *stream*; T residual blocks of m inner units follow,

    h_t = h_{t-1} + V_t σ(U_t h_{t-1} + a_t) + v_t,    t = 1, …, T,

and a linear output W h_T + b. Parameters in [-B, B]; ‖x‖_2 ≤ B_x ("l2") or ‖x‖_∞ ≤ B_x ("linf"). Shen (2024),
section 4; chapter "Residual networks".

**Ranges.** A_0 = sup ‖x‖_1 and H_0 = B(A_0 + 1). A block's branch is a small fully connected network n → m → n whose
inputs have ‖h_{t-1}‖_∞ ≤ H_{t-1}: its inner units see |z| ≤ Z_t = B(n H_{t-1} + 1), and with E_t = sup |σ| and ρ_t the
Lipschitz constant of σ on [-Z_t, Z_t] the stream grows to H_t = H_{t-1} + B(m E_t + 1).

**Sensitivity.** Let D_t bound ‖h_t - h'_t‖_∞ for two networks of the class. D_0 = A_0 δ_{W,0} + δ_{b,0}, and

    D_t = (1 + B² n m ρ_t) D_{t-1} + B m ρ_t (n H_{t-1} δ_U + δ_a) + m E_t δ_V + δ_v,
    ‖f_θ - f_θ'‖_∞ ≤ B n D_T + n H_T δ_W + δ_b.

*Proof.* An inner unit's z - z' = U'(h - h') + [(U - U')h + a - a'] is at most B n D_{t-1} + n H_{t-1} δ_U + δ_a, and σ
moves by ρ_t times that. The branch moves by V'(σ - σ') + [(V - V')σ + v - v'], at most B m ρ_t (…) + m E_t δ_V + δ_v.
The stream adds its own D_{t-1}: that is the 1. The output is one more linear layer of fan-in n. ∎

So with R_t = B n Π_{s>t} (1 + B² n m ρ_s) the coefficients are R_0 A_0 and R_0 (stem), R_t B m ρ_t n H_{t-1},
R_t B m ρ_t, R_t m E_t, R_t (block t), n H_T and 1 (output). For ReLU and "linf" the corner with all parameters B and
x = (B_x, …, B_x) attains all of them at once, to first order in δ: they cannot be improved in this form.

**Order.** The skip connection adds unit j of one block's output to unit j of the next, so one permutation of the n
units acts on the whole stream: columns of every U_t, rows of every V_t and v_t, and the output's columns. It is told by
the stem's rows, stage 1. The m inner units of each block are free: each owns its row of U_t, its a_t and its *column*
of V_t, which no other symmetry than the stream's moves. n! once, m! a block. (Between its linear stem and output this
stream has no activation of its own, so in truth any invertible n × n matrix may act on it. Permutations are what is
left in ResNets, where an activation follows the addition.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..activations import Activation
from ..complexity.sensitivity import Ranges, propagate
from ..validation import check_integer
from .units import Array, NetworkClass, Units, check_shared


@dataclass(frozen=True)
class ResidualClass(NetworkClass):
    r"""Residual MLPs with a learned stem and a linear output.

    Parameters
    ----------
    inputs, stream, inner, outputs
        d_0, n, m and the number of outputs, ≥ 1.
    blocks
        T ≥ 0, the number of residual blocks.
    activation
        σ, the same in all blocks; no slopes of their own in the units.

    Raises
    ------
    TypeError
        If a size is no integer.
    ValueError
        If a size is too small, or the activation is unknown or has a slope a unit.

    Examples
    --------
    >>> network = ResidualClass(inputs=64, stream=64, inner=64, blocks=4, outputs=10)
    >>> network.parameters, round(network.log_order(), 3)  # ln 64! for the stream and for each of four blocks
    (38090, 1025.841)
    """

    inputs: int
    stream: int
    inner: int
    blocks: int
    outputs: int
    activation: str | Activation = "relu"

    def __post_init__(self) -> None:
        for name in ("inputs", "stream", "inner", "blocks", "outputs"):
            value = check_integer(name, getattr(self, name), minimum=0 if name == "blocks" else 1)
            object.__setattr__(self, name, value)
        check_shared(self.activation, (self.stream, self.inner, self.stream))

    @property
    def units(self) -> tuple[Units, ...]:
        """The stream by its stem, the inner units of every block with what is left of it, and the outputs."""
        n, m = self.stream, self.inner
        sigma = check_shared(self.activation, (n, m, n))[0]
        stem = {"stem.weight": self.inputs, "stem.bias": 1}
        stages = [Units("stream", n, stem, row=tuple(stem), signed=True)]
        for block in range(1, self.blocks + 1):
            row = {f"block{block}.inner.weight": n, f"block{block}.inner.bias": 1}
            own = row | {f"block{block}.outer.weight": n}
            signed, scaled = sigma.parity is not None, sigma.positively_homogeneous
            stages.append(Units(f"inner {block}", m, own, row=tuple(row), signed=signed, scaled=scaled))
            stages.append(Units(f"shift {block}", n, {f"block{block}.outer.bias": 1}, permuted=False))
        rows = {"output.weight": n, "output.bias": 1}
        return (*stages, Units("outputs", self.outputs, rows, permuted=False))

    def log_coefficients(self, log_B: Array, log_Bx: Array, domain: str) -> dict[str, Array]:
        """Return the logs of this module's coefficients: forward for H_t and the branches, backward for R_t."""
        n = self.stream
        stem = propagate((self.inputs, n), log_B, log_Bx, (), domain).log_mass[0]
        log_height = log_B + np.logaddexp(stem, 0.0)
        branches = []
        for _ in range(self.blocks):
            branch = self._branch(log_B, log_height)
            branches.append(branch)
            log_height = np.logaddexp(log_height, log_B + np.logaddexp(branch.log_mass[1], 0.0))
        log_rest = log_B + math.log(n)  # ln R_T
        backward = [{"output.weight": math.log(n) + log_height, "output.bias": np.zeros_like(log_height)}]
        for number, branch in reversed(list(enumerate(branches, 1))):
            log_inner = log_rest + branch.log_gain[0]
            backward.append(
                {
                    f"block{number}.inner.weight": log_inner + branch.log_mass[0],
                    f"block{number}.inner.bias": log_inner,
                    f"block{number}.outer.weight": log_rest + branch.log_mass[1],
                    f"block{number}.outer.bias": log_rest,
                }
            )
            log_rest = np.logaddexp(log_rest, log_inner + log_B + math.log(n))
        backward.append({"stem.weight": log_rest + stem, "stem.bias": log_rest})
        return {block: value for part in reversed(backward) for block, value in part.items()}

    def _branch(self, log_B: Array, log_height: Array) -> Ranges:
        """Return the ranges of a branch n → m → n on inputs up to exp(log_height)."""
        widths = (self.stream, self.inner, self.stream)
        return propagate(widths, log_B, log_height, check_shared(self.activation, widths), "linf")
