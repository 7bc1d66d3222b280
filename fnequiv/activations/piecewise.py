r"""Activations made of polynomial pieces: ReLU and its relatives, clipped lines, shrinkage, the square.

Notation: x is the argument, z > 0 the half-width of [-z, z]. The least Lipschitz constant is the largest |slope| on
the part of each piece that [-z, z] meets in more than a point. |σ| is largest at an end of the range, because each σ
here is monotone, or even, or two rays from 0. Paper: Example 1 (scaling) and the table of activations.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..validation import check_finite, check_real
from .facts import Activation
from .laws import EVEN, ODD, Reflection
from .ranges import Array


def _bent_line(name: str, formula: str, torch: str, a: float) -> Activation:
    """Return max(0, x) + a min(0, x): degree 1 and σ(-x) = σ(x) - (1 + a) x for every a."""
    steepest = max(1.0, abs(a))
    return Activation(
        name=name,
        formula=formula,
        torch=torch,
        function=lambda x: np.maximum(0.0, x) + a * np.minimum(0.0, x),
        steepest=lambda z: steepest,
        largest=lambda z: steepest * z,
        reflection=ODD if a == 1 else Reflection(1, -1 - a, 0.0),
        degree=1,
    )


def relu() -> Activation:
    """Return the facts of max(0, x)."""
    return _bent_line("relu", r"\max(0, x)", "nn.functional.relu", 0.0)


def identity() -> Activation:
    """Return the facts of x; PyTorch's function for it is ``torch.positive``."""
    return _bent_line("identity", "x", "positive", 1.0)


def absolute() -> Activation:
    """Return the facts of |x|."""
    return _bent_line("abs", "|x|", "abs", -1.0)


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """Return the facts of max(0, x) + a min(0, x): the identity at a = 1, |x| at a = -1, ReLU at a = 0.

    Raises
    ------
    TypeError, ValueError
        If ``negative_slope`` is not one finite real number.

    Examples
    --------
    >>> leaky_relu(-1.0).parity
    'even'
    """
    a = check_real("negative_slope", negative_slope)
    facts = _bent_line("leaky_relu", r"\max(0, x) + a\,\min(0, x)", "nn.functional.leaky_relu", a)
    return replace(facts, parameters={"negative_slope": a}, torch_keywords={"negative_slope": a})


def prelu(weight: npt.ArrayLike = 0.25) -> Activation:
    """Return the facts of a leaky ReLU with learned slope: one number for all neurons, or one for each (1-d).

    The facts of a layer are those that hold for all its neurons, so it is odd only if every slope is 1.

    Raises
    ------
    TypeError, ValueError
        If ``weight`` is not numeric; if it is empty, has two axes or more, or an entry that is not finite.

    Examples
    --------
    >>> prelu([0.5, -2.0]).lipschitz()
    2.0
    """
    slopes = _check_slopes(weight)
    per_channel = slopes.size > 1
    value = tuple(slopes.tolist()) if per_channel else float(slopes[0])
    # Of all the neurons' functions the one with the largest |a| is steepest and largest.
    extreme = float(slopes[np.abs(slopes).argmax()])
    facts = _bent_line("prelu", r"\max(0, x) + a\,\min(0, x)", "nn.functional.prelu", extreme)
    return replace(
        facts,
        function=lambda x: np.maximum(0.0, x) + _along_channels(slopes, x) * np.minimum(0.0, x),
        reflection=facts.reflection if (slopes == slopes[0]).all() else None,
        channels=slopes.size if per_channel else None,
        parameters={"weight": value},
        torch_keywords={"weight": tuple(slopes.tolist())},
    )


def _check_slopes(weight: npt.ArrayLike) -> Array:
    slopes = check_finite("weight", weight)
    if slopes.ndim > 1 or slopes.size == 0:
        raise ValueError(f"weight must be one slope or a 1-d array of slopes, got shape {slopes.shape}")
    return slopes.reshape(-1)


def _along_channels(slopes: Array, x: Array) -> Array:
    if slopes.size == 1:
        return slopes.reshape(())
    if x.ndim < 2 or x.shape[1] != slopes.size:
        raise ValueError(
            f"x must have shape (batch, {slopes.size}, ...) for {slopes.size} slopes, got {x.shape}: "
            "PReLU's channels are axis 1"
        )
    return slopes.reshape(-1, *[1] * (x.ndim - 2))


def _clipped_line(name: str, formula: str, torch: str, low: float, high: float) -> Activation:
    """Return min(high, max(low, x)); it rises only between ``low`` and ``high``."""
    start = max(low, -high)  # [-z, z] meets (low, high) in more than a point iff z > start
    return Activation(
        name=name,
        formula=formula,
        torch=torch,
        function=lambda x: np.clip(x, low, high),
        steepest=lambda z: np.where(z > start, 1.0, 0.0),
        largest=lambda z: np.maximum(np.abs(np.clip(z, low, high)), np.abs(np.clip(-z, low, high))),
        reflection=ODD if low == -high else None,
        at_zero=min(max(low, 0.0), high),
    )


def hardtanh(min_val: float = -1.0, max_val: float = 1.0) -> Activation:
    """Return the facts of min(M, max(m, x)), m < M: odd iff m = -M.

    Raises
    ------
    TypeError, ValueError
        If a limit is not one finite real number; if m ≥ M.

    Examples
    --------
    >>> hardtanh(min_val=0.0, max_val=2.0).range()
    (0.0, 2.0)
    """
    low, high = check_real("min_val", min_val), check_real("max_val", max_val)
    if low >= high:
        raise ValueError(f"min_val must be < max_val, got {low!r} and {high!r}: σ would be constant")
    facts = _clipped_line("hardtanh", r"\min(M, \max(m, x))", "nn.functional.hardtanh", low, high)
    limits = {"min_val": low, "max_val": high}
    return replace(facts, parameters=limits, torch_keywords=limits)


def relu6() -> Activation:
    """Return the facts of min(6, max(0, x))."""
    return _clipped_line("relu6", r"\min(6, \max(0, x))", "nn.functional.relu6", 0.0, 6.0)


def hardsigmoid() -> Activation:
    """Return the facts of min(1, max(0, x/6 + 1/2)): σ(-x) = 1 - σ(x)."""
    return Activation(
        name="hardsigmoid",
        formula=r"\min(1, \max(0, \frac{x}{6} + \frac{1}{2}))",
        torch="nn.functional.hardsigmoid",
        function=lambda x: np.clip(x / 6 + 0.5, 0.0, 1.0),
        steepest=lambda z: 1 / 6,
        largest=lambda z: np.clip(z / 6 + 0.5, 0.0, 1.0),
        reflection=Reflection(-1, 0.0, 1.0),
        at_zero=0.5,
    )


def softshrink(lambd: float = 0.5) -> Activation:
    """Return the facts of x - min(λ, max(-λ, x)), λ ≥ 0: flat on [-λ, λ]; the identity at λ = 0.

    Raises
    ------
    TypeError, ValueError
        If ``lambd`` is not one finite real number; if it is negative.

    Examples
    --------
    >>> softshrink(0.5).sup(2.0)
    1.5
    """
    edge = _check_edge(lambd)
    return Activation(
        name="softshrink",
        formula=r"x - \min(\lambda, \max(-\lambda, x))",
        torch="nn.functional.softshrink",
        function=lambda x: x - np.clip(x, -edge, edge),
        steepest=lambda z: np.where(z > edge, 1.0, 0.0),
        largest=lambda z: np.maximum(z - edge, 0.0),
        reflection=ODD,
        degree=1 if edge == 0 else None,
        parameters={"lambd": edge},
        torch_keywords={"lambd": edge},
    )


def hardshrink(lambd: float = 0.5) -> Activation:
    """Return the facts of x·1(|x| > λ), λ ≥ 0, the identity at 0: it jumps at ±λ, so past λ nothing is Lipschitz.

    Raises
    ------
    TypeError, ValueError
        If ``lambd`` is not one finite real number; if it is negative.

    Examples
    --------
    >>> hardshrink(0.5).lipschitz([0.5, 2.0])
    array([ 0., inf])
    """
    edge = _check_edge(lambd)
    steepest = 1.0 if edge == 0 else math.inf
    return Activation(
        name="hardshrink",
        formula=r"x\,\mathbf{1}(|x| > \lambda)",
        torch="nn.functional.hardshrink",
        function=lambda x: np.where(np.abs(x) > edge, x, 0.0),
        steepest=lambda z: np.where(z > edge, steepest, 0.0),
        largest=lambda z: np.where(z > edge, z, 0.0),
        reflection=ODD,
        degree=1 if edge == 0 else None,
        parameters={"lambd": edge},
        torch_keywords={"lambd": edge},
    )


def _check_edge(lambd: float) -> float:
    edge = check_real("lambd", lambd)
    if edge < 0:
        raise ValueError(f"lambd must be >= 0, got {edge!r}: it is the half-width of the flat part")
    return edge


def square() -> Activation:
    """Return the facts of x²: even, degree 2, with a Lipschitz constant 2z on [-z, z] only."""
    return Activation(
        name="square",
        formula="x^{2}",
        torch="square",
        function=np.square,
        steepest=lambda z: 2 * z,
        largest=np.square,
        reflection=EVEN,
        degree=2,
    )
