r"""Smooth activations: sigmoids, softplus, sine and cosine.

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


def softplus_of(x: Array, beta: float = 1.0) -> Array:
    """Return log(1 + e^{βx})/β without overflow and without cancellation.

    Examples
    --------
    >>> float(softplus_of(np.array(1000.0)))
    1000.0
    """
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

    Raises
    ------
    TypeError, ValueError
        If ``beta`` is not one finite real number; if it is not > 0, or so small that σ(0) = log(2)/β overflows.

    Examples
    --------
    >>> softplus(2.0).lipschitz()
    1.0
    """
    b = float(check_positive("beta", check_real("beta", beta)))
    at_zero = math.log(2) / b
    if math.isinf(at_zero):
        raise ValueError(f"beta must be >= 4e-309, got {b!r}: σ(0) = log(2)/beta would leave float64's range")
    return Activation(
        name="softplus",
        formula=r"\frac{1}{\beta}\,\log(1 + e^{\beta\,x})",
        torch="nn.functional.softplus",
        function=lambda x: softplus_of(x, b),
        steepest=lambda z: special.expit(b * z),
        largest=lambda z: softplus_of(z, b),
        reflection=Reflection(1, -1.0, 0.0),
        at_zero=at_zero,
        parameters={"beta": b},
        torch_keywords={"beta": b},
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
    # The difference cancels near 0. Lambert's tanh(x) = x/(1 + c), c = s/(3 + s/(5 + s/(7 + ...))) with s = x², leaves
    # xc/(1 + c), which has no difference; for s ≤ 1 the terms beyond 19 do not show.
    x = np.asarray(x, dtype=np.float64)
    s = np.clip(x, -1.0, 1.0) ** 2
    c = s / 19
    for odd in range(17, 1, -2):
        c = s / (odd + c)
    return np.where(np.abs(x) < 1.0, x * c / (1 + c), x - np.tanh(x))


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
