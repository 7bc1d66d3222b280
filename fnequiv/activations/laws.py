"""Laws that σ obeys for all x, and the points at which claimed ones are tried (paper: Examples 1-3).

Notation: the reflection law σ(-x) = sign·σ(x) + slope·x + constant, and homogeneity σ(λx) = λ^degree σ(x) for λ > 0;
see :mod:`fnequiv.activations`. The chapter on functional equivalence reads the symmetries off them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from ..validation import check_integer, check_numeric, check_real, shown
from .ranges import QUIET, Array

if TYPE_CHECKING:
    from .facts import Activation

#: Where a claimed law is tried: a claim that fails here is refused, one that holds here may still be wrong elsewhere.
POINTS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


class Reflection(NamedTuple):
    """The law σ(-x) = sign·σ(x) + slope·x + constant, for all x.

    Examples
    --------
    >>> from fnequiv import activations
    >>> activations.get("sigmoid").reflection
    Reflection(sign=-1, slope=0.0, constant=1.0)
    """

    sign: Literal[-1, 1]
    slope: float
    constant: float


ODD = Reflection(-1, 0.0, 0.0)
EVEN = Reflection(1, 0.0, 0.0)


def check_facts(facts: Activation) -> None:
    """Refuse facts of the wrong kind or out of range, and claims that the function contradicts.

    Raises
    ------
    TypeError, ValueError
        As :class:`~fnequiv.activations.Activation` says.

    Examples
    --------
    >>> from fnequiv import activations
    >>> check_facts(activations.get("tanh"))
    """
    for name in ("name", "formula", "torch"):
        text = getattr(facts, name)
        if not isinstance(text, str) or not text.strip():
            raise TypeError(f"{name} must be a text, got {shown(text)}")
    for name in ("function", "steepest", "largest"):
        if not callable(getattr(facts, name)):
            raise TypeError(f"{name} must be a function of an array, got {shown(getattr(facts, name))}")
    for name in ("parameters", "torch_keywords"):
        if not isinstance(getattr(facts, name), Mapping):
            raise TypeError(f"{name} must map keywords to values, got {shown(getattr(facts, name))}")
    if facts.channels is not None:
        check_integer("channels", facts.channels)
    valley = check_numeric("valley", facts.valley)
    if valley.ndim or not valley > 0:
        raise ValueError(f"valley must be one number > 0, got {shown(facts.valley)}: pass inf where σ has none")
    x = np.tile(POINTS[:, None], facts.channels or 1)
    with QUIET():
        values = facts.function(x)
    if not isinstance(values, np.ndarray) or (values.shape, values.dtype) != (x.shape, x.dtype):
        raise TypeError(f"function must turn a float64 array into one of its shape, got {shown(values)} for {shown(x)}")
    check_laws(values, at_zero=facts.at_zero, reflection=facts.reflection, degree=facts.degree)


def check_laws(values: Array, *, at_zero: float, reflection: Reflection | None, degree: int | None) -> None:
    """Refuse claims about σ that are no such claims, or that its ``values`` at :data:`POINTS` (axis 0) contradict.

    Raises
    ------
    TypeError
        If ``reflection`` is no :class:`Reflection`, or ``degree`` no integer.
    ValueError
        If a number is out of its range, or a claim fails.

    Examples
    --------
    >>> check_laws(POINTS**2, at_zero=0.0, reflection=EVEN, degree=2)
    >>> check_laws(POINTS**2, at_zero=0.0, reflection=ODD, degree=2)
    Traceback (most recent call last):
    ValueError: reflection must hold for every x, got Reflection(sign=-1, slope=0.0, constant=0.0), which fails ...
    """
    values = values.reshape(len(POINTS), -1)
    if not np.allclose(values[2], check_real("at_zero", at_zero), rtol=1e-9, atol=0):
        raise ValueError(f"at_zero must be σ(0) = {float(values[2, 0])!r}, got {at_zero!r}")
    if reflection is not None:
        if not isinstance(reflection, Reflection):
            raise TypeError(f"reflection must be a Reflection or None, got {shown(reflection)}")
        if reflection.sign not in (-1, 1):
            raise ValueError(f"reflection's sign must be -1 or 1, got {shown(reflection.sign)}")
        slope, constant = check_real("slope", reflection.slope), check_real("constant", reflection.constant)
        with QUIET():
            claimed = reflection.sign * values + slope * POINTS[:, None] + constant
        _refuse("reflection", reflection, values[::-1], claimed)
    if degree is not None:
        power = check_integer("degree", degree, minimum=0)
        with QUIET():
            claimed = np.exp2(float(power)) * values[[1, 3]]
        _refuse("degree", degree, values[[0, 4]], claimed)


def _refuse(name: str, claim: object, found: Array, claimed: Array) -> None:
    """Raise unless the two agree to rounding."""
    size = np.abs(np.concatenate([found, claimed]))
    if not np.allclose(found, claimed, rtol=1e-9, atol=1e-9 * float(size[np.isfinite(size)].max(initial=0.0))):
        raise ValueError(
            f"{name} must hold for every x, got {shown(claim)}, which fails at one of {POINTS.tolist()}: "
            "pass the law that holds, or None"
        )
