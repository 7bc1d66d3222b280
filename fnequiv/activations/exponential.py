r"""The ELU family: the identity on the right, an exponential that levels off on the left.

Notation: x is the argument, z > 0 the half-width of [-z, z]. The least Lipschitz constant on [-z, z] is the largest
|σ'|, which each docstring places; |σ| is largest at an end. Paper: the table of activations.
"""

from __future__ import annotations

import numpy as np

from ..validation import check_positive, check_real
from .facts import Activation
from .laws import Reflection
from .ranges import Array

# Klambauer et al., "Self-Normalizing Neural Networks", NeurIPS 2017: the fixed point (mean 0, variance 1).
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def elu(alpha: float = 1.0) -> Activation:
    """Return the facts of x for x > 0 and α(e^x - 1) below: |σ'| is 1 on the right and tends to |α| at 0 from the left.

    α = 0 is ReLU, which is homogeneous; no other α is.

    Raises
    ------
    TypeError, ValueError
        If ``alpha`` is not one finite real number.

    Examples
    --------
    >>> elu(-3.0).range()
    (0.0, inf)
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
    """Return the facts of λ·ELU with α > 1: steepest at 0 from the left, λα; |σ| is largest at -z for small z."""
    return Activation(
        name="selu",
        formula=r"\lambda\,(\max(0, x) + \alpha\,\min(0, e^{x} - 1))",
        torch="nn.functional.selu",
        function=lambda x: _SELU_SCALE * (np.maximum(0.0, x) + _SELU_ALPHA * np.expm1(np.minimum(0.0, x))),
        steepest=lambda z: _SELU_SCALE * _SELU_ALPHA,
        largest=lambda z: _SELU_SCALE * np.maximum(z, -_SELU_ALPHA * np.expm1(-z)),
    )


def celu(alpha: float = 1.0) -> Activation:
    """Return the facts of x for x > 0 and α(e^{x/α} - 1) below, α > 0: continuously differentiable, σ' ≤ 1.

    Raises
    ------
    TypeError, ValueError
        If ``alpha`` is not one finite real number; if it is not > 0.

    Examples
    --------
    >>> celu(2.0).range()
    (-2.0, inf)
    """
    a = float(check_positive("alpha", check_real("alpha", alpha)))

    def celu_of(x: Array) -> Array:
        """Return max(0, x) + α min(0, e^(x/α) - 1), exact near 0."""
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
