r"""Smooth and exponential activations: sigmoids, softplus, the ELU family, sine and cosine.

Notation: x is the argument, z > 0 the half-width of [-z, z], s(x) = 1/(1 + e^{-x}). The least Lipschitz constant on
[-z, z] is the largest |σ'|; each docstring says where it lies. Paper: Example 2 (sign flipping: tanh, sin, erf) and the
table of activations.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from ..validation import check_positive, check_real
from .facts import Activation
from .laws import EVEN, ODD, Reflection
from .ranges import Array

# Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017: the fixed point (mean 0, variance 1).
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def softplus_of(x: Array, beta: float = 1.0) -> Array:
    """Return log(1 + e^{βx})/β without overflow and without cancellation."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(beta * x))) / beta


def tanh() -> Activation:
    """Return the facts of tanh: σ' = 1 - tanh² is largest at 0."""
    return Activation(
        name="tanh",
        formula=r"\tanh(x)",
        torch="tanh",
        function=np.tanh,
        steepest=lambda z: 1.0,
        largest=np.tanh,
        reflection=ODD,
    )


def sigmoid() -> Activation:
    """Return the facts of s: σ' = s(1 - s) is largest at 0; σ(-x) = 1 - σ(x)."""
    return Activation(
        name="sigmoid",
        formula=r"\frac{1}{1 + e^{-x}}",
        torch="sigmoid",
        function=special.expit,
        steepest=lambda z: 0.25,
        largest=special.expit,
        reflection=Reflection(-1, 0.0, 1.0),
        at_zero=0.5,
    )


def logsigmoid() -> Activation:
    """Return the facts of log s(x) = -softplus(-x): σ' = s(-x), so both maxima lie at -z."""
    return Activation(
        name="logsigmoid",
        formula=r"-\log(1 + e^{-x})",
        torch="nn.functional.logsigmoid",
        function=lambda x: -softplus_of(-x),
        steepest=special.expit,
        largest=softplus_of,
        reflection=Reflection(1, -1.0, 0.0),
        at_zero=-math.log(2),
    )


def softplus(beta: float = 1.0) -> Activation:
    """Return the facts of log(1 + e^{βx})/β, β > 0: σ' = s(βx), so both maxima lie at z.

    PyTorch's function switches to x where βx > 20 and is off by up to 2.1e-9/β there. The facts are the formula's.
    """
    b = float(check_positive("beta", check_real("beta", beta)))
    return Activation(
        name="softplus",
        formula=r"\frac{1}{\beta}\,\log(1 + e^{\beta\,x})",
        torch="nn.functional.softplus",
        function=lambda x: softplus_of(x, b),
        steepest=lambda z: special.expit(b * z),
        largest=lambda z: softplus_of(z, b),
        reflection=Reflection(1, -1.0, 0.0),
        at_zero=math.log(2) / b,
        parameters={"beta": b},
        torch_keywords={"beta": b},
    )


def elu(alpha: float = 1.0) -> Activation:
    """Return the facts of x for x > 0 and α(e^x - 1) below: |σ'| is 1 on the right and tends to |α| at 0 from the left.

    α = 0 is ReLU, which is homogeneous; no other α is.
    """
    a = check_real("alpha", alpha)
    return Activation(
        name="elu",
        formula=r"\max(0, x) + \alpha\,\min(0, e^{x} - 1)",
        torch="nn.functional.elu",
        function=lambda x: np.maximum(0.0, x) + a * np.expm1(np.minimum(0.0, x)),
        steepest=lambda z: max(1.0, abs(a)),
        largest=lambda z: np.maximum(z, -abs(a) * np.expm1(-z)),
        reflection=Reflection(1, -1.0, 0.0) if a == 0 else None,
        degree=1 if a == 0 else None,
        parameters={"alpha": a},
        torch_keywords={"alpha": a},
    )


def selu() -> Activation:
    """Return the facts of λ·ELU with α > 1: steepest at 0 from the left, λα; largest there too for small z."""
    return Activation(
        name="selu",
        formula=r"\lambda\,(\max(0, x) + \alpha\,\min(0, e^{x} - 1))",
        torch="nn.functional.selu",
        function=lambda x: _SELU_SCALE * (np.maximum(0.0, x) + _SELU_ALPHA * np.expm1(np.minimum(0.0, x))),
        steepest=lambda z: _SELU_SCALE * _SELU_ALPHA,
        largest=lambda z: _SELU_SCALE * np.maximum(z, -_SELU_ALPHA * np.expm1(-z)),
    )


def celu(alpha: float = 1.0) -> Activation:
    """Return the facts of x for x > 0 and α(e^{x/α} - 1) below, α > 0: continuously differentiable, σ' ≤ 1."""
    a = float(check_positive("alpha", check_real("alpha", alpha)))

    def celu_of(x: Array) -> Array:
        left = np.minimum(0.0, x)
        t = left / a  # may underflow for a large α; near 0 the series needs no division to be undone
        return np.maximum(0.0, x) + np.where(t > -1e-8, left * (1 + t / 2), a * np.expm1(t))

    return Activation(
        name="celu",
        formula=r"\max(0, x) + \alpha\,\min(0, e^{\frac{x}{\alpha}} - 1)",
        torch="nn.functional.celu",
        function=celu_of,
        steepest=lambda z: 1.0,
        largest=lambda z: z,
        parameters={"alpha": a},
        torch_keywords={"alpha": a},
    )


def sine() -> Activation:
    """Return the facts of sin: steepest at 0, largest at π/2."""
    return Activation(
        name="sin",
        formula=r"\sin(x)",
        torch="sin",
        function=np.sin,
        steepest=lambda z: 1.0,
        largest=lambda z: np.sin(np.minimum(z, math.pi / 2)),
        reflection=ODD,
    )


def cosine() -> Activation:
    """Return the facts of cos: largest at 0, steepest at π/2."""
    return Activation(
        name="cos",
        formula=r"\cos(x)",
        torch="cos",
        function=np.cos,
        steepest=lambda z: np.sin(np.minimum(z, math.pi / 2)),
        largest=lambda z: 1.0,
        reflection=EVEN,
        at_zero=1.0,
        valley=math.pi,
    )


def erf() -> Activation:
    """Return the facts of the error function: σ' = (2/√π) e^{-x²} is largest at 0."""
    return Activation(
        name="erf",
        formula=r"\mathrm{erf}(x)",
        torch="erf",
        function=special.erf,
        steepest=lambda z: 2 / math.sqrt(math.pi),
        largest=special.erf,
        reflection=ODD,
    )


def softsign() -> Activation:
    """Return the facts of x/(1 + |x|): σ' = 1/(1 + |x|)² is largest at 0."""
    return Activation(
        name="softsign",
        formula=r"\frac{x}{1 + |x|}",
        torch="nn.functional.softsign",
        function=lambda x: x / (1 + np.abs(x)),
        steepest=lambda z: 1.0,
        largest=lambda z: 1 / (1 + 1 / z),
        reflection=ODD,
    )


def _tanhshrink(x: Array) -> Array:
    # The difference cancels near 0, where the series is exact: its next term is below 1e-13 of the first.
    x = np.asarray(x, dtype=np.float64)
    small = np.clip(x, -0.03, 0.03)
    s = small**2
    series = small * s * (1 / 3 - s * (2 / 15 - s * (17 / 315 - s * 62 / 2835)))
    return np.where(np.abs(x) < 0.03, series, x - np.tanh(x))


def tanhshrink() -> Activation:
    """Return the facts of x - tanh(x): σ' = tanh² grows with |x|."""
    return Activation(
        name="tanhshrink",
        formula=r"x - \tanh(x)",
        torch="nn.functional.tanhshrink",
        function=_tanhshrink,
        steepest=lambda z: np.tanh(z) ** 2,
        largest=_tanhshrink,
        reflection=ODD,
    )
