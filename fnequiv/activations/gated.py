r"""Gated activations σ(x) = x g(x) with an increasing gate g from 0 to 1: GELU, its tanh form, SiLU, hardswish, Mish.

Notation: x is the argument, z > 0 the half-width of [-z, z], φ and Φ the normal density and distribution function,
s(x) = 1/(1 + e^{-x}). All dip below 0 on the left and overshoot the slope 1 on the right, where σ' peaks at a point
p. Two facts follow.

* For x ≥ 0, |σ(-x)| = x g(-x) ≤ x g(x). So sup |σ| = σ(z), in spite of the dip.
* On [0, p], σ' rises from σ'(0) ≥ 1/2 to its maximum over R. On the left |σ'| is at most σ'(0): where g(-x) = 1 - g(x),
  σ'(-x) = 1 - σ'(x) lies between 1 - σ'(p) ≥ -1/2 and 1/2; Mish, which has no such law, stays above -0.113 and
  below σ'(0) = 0.6. So the least Lipschitz constant is σ'(min(z, p)).

For GELU p = √2, for hardswish the kink 3. For the others p is the root of σ'' as a float64; since σ''(p) = 0, its
rounding does not move σ'(p). On the left σ falls from 0 to its minimum at -v and then rises to 0: v is 3/2 for
hardswish, and for the others the root of σ' as a float64, whose rounding does not move σ(-v) as σ'(-v) = 0.
Paper: the table of activations.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from .facts import Activation
from .laws import Reflection
from .ranges import Array
from .smooth import softplus_of

_GELU_TANH_PEAK, _GELU_TANH_VALLEY = 1.4185040087908283, 0.7524614220710163
_SILU_PEAK, _SILU_VALLEY = 2.3993572805154675, 1.2784645427610737  # the peak solves x tanh(x/2) = 2
_MISH_PEAK, _MISH_VALLEY = 1.4905711794854284, 1.1924312145154952
_GELU_VALLEY = 0.7517915246935645
_CUBIC = 0.044715  # Hendrycks & Gimpel, arXiv:1606.08415


def _gated(
    name: str,
    formula: str,
    gate: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    peak: float,
    valley: float,
    keywords: dict[str, str] | None = None,
) -> Activation:
    return Activation(
        name=name,
        formula=formula,
        torch=f"nn.functional.{name.removesuffix('_tanh')}",
        function=lambda x: x * gate(x),
        steepest=lambda z: slope(np.minimum(z, peak)),
        largest=lambda z: z * gate(z),
        reflection=None if name == "mish" else Reflection(1, -1.0, 0.0),
        valley=valley,
        torch_keywords=keywords or {},
    )


def gelu() -> Activation:
    """Return the facts of x Φ(x): σ'' = φ(x)(2 - x²)."""
    return _gated(
        "gelu",
        r"\frac{x}{2}\,(1 + \mathrm{erf}(\frac{x}{\sqrt{2}}))",
        gate=special.ndtr,
        slope=lambda x: special.ndtr(x) + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
        peak=math.sqrt(2),
        valley=_GELU_VALLEY,
    )


def gelu_tanh() -> Activation:
    """Return the facts of the tanh form of GELU, x (1 + tanh u)/2 with u = √(2/π) (x + 0.044715 x³)."""
    scale = math.sqrt(2 / math.pi)

    def gate(x: Array) -> Array:
        """Return (1 + tanh u)/2."""
        return special.expit(2 * scale * (x + _CUBIC * x**3))  # a sigmoid of 2u: no cancellation

    def slope(x: Array) -> Array:
        """Return the derivative of x times the gate."""
        g = gate(x)
        return g + x * g * (1 - g) * 2 * scale * (1 + 3 * _CUBIC * x**2)

    formula = r"\frac{x}{2}\,(1 + \tanh(\sqrt{\frac{2}{\pi}}\,(x + 0.044715\,x^{3})))"
    return _gated("gelu_tanh", formula, gate, slope, _GELU_TANH_PEAK, _GELU_TANH_VALLEY, {"approximate": "tanh"})


def silu() -> Activation:
    """Return the facts of x s(x), also called swish."""
    return _gated(
        "silu",
        r"\frac{x}{1 + e^{-x}}",
        gate=special.expit,
        slope=lambda x: special.expit(x) * (1 + x * special.expit(-x)),
        peak=_SILU_PEAK,
        valley=_SILU_VALLEY,
    )


def hardswish() -> Activation:
    """Return the facts of x·hardsigmoid(x): the slope x/3 + 1/2 rises to 3/2 at the kink x = 3, and is 1 beyond it."""
    return _gated(
        "hardswish",
        r"x\,\min(1, \max(0, \frac{x}{6} + \frac{1}{2}))",
        gate=lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0),
        slope=lambda x: x / 3 + 0.5,
        peak=3.0,
        valley=1.5,
    )


def mish() -> Activation:
    """Return the facts of x tanh(softplus(x))."""

    def gate(x: Array) -> Array:
        """Return tanh(softplus(x))."""
        return np.tanh(softplus_of(x))

    return _gated(
        "mish",
        r"x\,\tanh(\log(1 + e^{x}))",
        gate=gate,
        slope=lambda x: gate(x) + x * (1 - gate(x) ** 2) * special.expit(x),
        peak=_MISH_PEAK,
        valley=_MISH_VALLEY,
    )
