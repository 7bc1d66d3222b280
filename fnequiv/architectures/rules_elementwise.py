"""Rules of operators that act entry by entry: activations, sums, products, choices.

Notation. The facts of σ come from :mod:`fnequiv.activations`: a sign passes where σ is odd, is dropped where it is
even, and is held at + else; a scale passes with power ``degree`` where σ(λz) = λ^degree σ(z), and is held at 1 else.

Theorem: Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import activations
from .algebra import added, aligned, frozen, held, met, multiplied
from .capture import where
from .rules import Call, RefusedError, rule
from .rules_shaping import gathered
from .values import Value

_NAMES = {
    "relu": "relu", "leaky_relu": "leaky_relu", "tanh": "tanh", "sigmoid": "sigmoid", "elu": "elu", "selu": "selu",
    "celu": "celu", "silu": "silu", "mish": "mish", "sin": "sin", "erf": "erf", "softplus": "softplus",
    "relu6": "relu6", "hardsigmoid": "hardsigmoid", "hardswish": "hardswish", "log_sigmoid": "logsigmoid",
    "softshrink": "softshrink", "hardshrink": "hardshrink", "abs": "abs", "gelu": "gelu", "square": "square",
    "hardtanh": "hardtanh",
}  # fmt: skip
_ODD = {"asinh", "atan", "sinh", "tan", "asin", "erfinv", "atanh", "arctan"}
_NEITHER = [
    "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "cos", "cosh", "floor", "ceil", "round",
    "trunc", "frac", "erfc", "log2", "log10", "exp2", "isnan", "isinf", "logical_not", "bitwise_not", "rrelu",
    "threshold"
]  # fmt: skip
_SAME = [
    "clone", "contiguous", "detach", "alias", "to", "_to_copy", "lift_fresh_copy", "lift_fresh", "type_as", "neg",
    "positive", "_assert_tensor_metadata", "conj", "resolve_conj", "resolve_neg", "double", "float", "real"
]  # fmt: skip


def passed(call: Call, value: Value, *, parity: str | None, degree: int | None) -> Value:
    """Return σ(value) for a σ of this parity and degree."""
    call.structure.pointwise += [leg.units for leg in value.legs if leg.units is not None]
    value = held(value, call.structure, scale=degree is None, sign=parity is None)
    terms = []
    for term in value.terms:
        scale = term.scale * (degree or 0)
        sign = term.sign if parity == "odd" else 0
        if scale or sign:
            terms.append(replace(term, scale=scale, sign=sign))
    return replace(value, terms=tuple(terms))


@rule(*_NAMES)
def activation(call: Call, value: Value, *args: Any, **kwargs: Any) -> Value:
    """An activation whose facts are known."""
    name = str(call.node.target).split(".")[1]
    facts = activations.get(_NAMES[name])
    if name == "hardtanh":
        low, high = (*args, -1.0, 1.0)[:2] if len(args) < 2 else args[:2]
        return passed(call, value, parity="odd" if low == -high else None, degree=None)
    return passed(call, value, parity=facts.parity, degree=facts.degree)


@rule(*_ODD)
def odd(call: Call, value: Value) -> Value:
    """An odd function that is not homogeneous."""
    return passed(call, value, parity="odd", degree=None)


@rule(*_NEITHER)
def neither(call: Call, value: Value, *args: Any, **kwargs: Any) -> Value:
    """A function of which no symmetry is known but that it acts entry by entry."""
    return passed(call, value, parity=None, degree=None)


@rule("sign", "sgn")
def sign(call: Call, value: Value) -> Value:
    """The sign: odd, of degree 0."""
    return passed(call, value, parity="odd", degree=0)


@rule(*_SAME)
def same(call: Call, value: Value, *args: Any, **kwargs: Any) -> Value:
    """The value itself, or its negative."""
    kept = call.node.meta["val"].dtype.is_floating_point
    return value if kept else passed(call, value, parity=None, degree=None)


@rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
def dropout(call: Call, value: Value, p: float = 0.5, train: bool = False) -> Value:
    """Dropout in eval mode: the identity; in training mode it is refused."""
    if train and p > 0:
        raise RefusedError(
            f"dropout in training mode: {where(call.node)} draws at random in eval mode too, so there is no function "
            "to compare: pass training=self.training to it"
        )
    return value


@rule("add", "sub", "rsub", "maximum", "minimum")
def plus(call: Call, one: Value | float, two: Value | float, *, alpha: float = 1) -> Value:
    """A sum, a difference, or the larger of two: one scale for both."""
    name = str(call.node.target).split(".")[1]
    if not (isinstance(one, Value) and isinstance(two, Value)):
        value, constant = (one, two) if isinstance(one, Value) else (two, one)
        assert isinstance(value, Value)
        return value if constant == 0 and name in ("add", "sub") else passed(call, value, parity=None, degree=None)
    total = added([one, two], call.structure)
    if name in ("maximum", "minimum"):
        return passed(call, total, parity=None, degree=1)
    return total


@rule("mul")
def times(call: Call, one: Value | float, two: Value | float) -> Value:
    """A product; a number leaves all symmetries."""
    if isinstance(one, Value) and isinstance(two, Value):
        if one is two:
            return passed(call, one, parity="even", degree=2)
        return multiplied([one, two], call.structure)
    return one if isinstance(one, Value) else two  # type: ignore[return-value]


@rule("glu")
def gated(call: Call, value: Value, dim: int = -1) -> Value:
    """The first half of an axis, times the sigmoid of the second."""
    axis = dim % len(value.groups)
    half = value.shape[axis] // 2
    one, two = (gathered(value, axis, np.arange(k * half, (k + 1) * half), call.structure) for k in range(2))
    return multiplied([one, passed(call, two, parity=None, degree=None)], call.structure)


@rule("div", "true_divide")
def divided(call: Call, one: Value | float, two: Value | float, *, rounding_mode: str | None = None) -> Value:
    """A quotient: the factors of the divisor are inverted."""
    if rounding_mode is not None:
        operands = [value for value in (one, two) if isinstance(value, Value)]
        return passed(call, held(added(operands, call.structure), call.structure), parity=None, degree=None)
    if not isinstance(two, Value):
        assert isinstance(one, Value)
        return one
    inverse = replace(two, terms=tuple(term.negated() for term in two.terms))
    if not isinstance(one, Value):
        return inverse
    return multiplied([one, inverse], call.structure)


@rule("pow")
def power(call: Call, base: Value | float, exponent: Value | float) -> Value:
    """A power: even or odd, of its degree, for whole exponents from 1."""
    if isinstance(base, Value) and isinstance(exponent, (int, float)):
        if exponent == int(exponent) and exponent >= 1:
            return passed(call, base, parity="even" if exponent % 2 == 0 else "odd", degree=int(exponent))
        return passed(call, base, parity=None, degree=None)
    return blind(call, base, exponent)


@rule("prelu", "_prelu_kernel")
def prelu(call: Call, value: Value, slope: Value) -> Value:
    """A PReLU: homogeneous; its slopes lie along the channels and only move."""
    slope = held(slope, call.structure)
    if slope.shape[0] == 1:
        slope = replace(slope, groups=()) if not slope.legs else replace(slope, groups=(1,))
    elif len(value.groups) > 1:
        slope = replace(slope, groups=(*slope.groups, *(0,) * (len(value.groups) - 2)))
    out = passed(call, value, parity=None, degree=1)
    first, second = aligned([out, slope], call.structure)
    return replace(first, legs=met([first, second], call.structure))


@rule("where")
def chosen(call: Call, condition: Value, one: Value | float, two: Value | float) -> Value:
    """One value or the other, as a condition says: one scale for both."""
    return _choice(call, condition, [one, two])


@rule("masked_fill")
def filled(call: Call, value: Value, mask: Value, fill: Value | float) -> Value:
    """A number (0 leaves scales alone) at masked places."""
    return _choice(call, mask, [value, fill])


def _choice(call: Call, condition: Value, options: Iterable[Value | float]) -> Value:
    values = []
    constant = False
    for option in options:
        if isinstance(option, Value):
            values.append(option)
        else:
            constant = constant or option != 0
    total = added(values, call.structure)
    if constant:
        total = held(total, call.structure)
    first, second = aligned([total, held(condition, call.structure)], call.structure)
    call.structure.pointwise += [leg.units for leg in first.legs if leg.units is not None]
    return replace(first, legs=met([first, second], call.structure))


@rule("tril", "triu")
def triangle(call: Call, value: Value, diagonal: int = 0) -> Value:
    """A triangle of a matrix: its rows and columns are read one by one."""
    return frozen(value, call.structure, range(len(value.groups) - 2, len(value.groups)))


@rule("clamp", "clamp_min", "clamp_max", "clip")
def clamped(call: Call, value: Value, low: Any = None, high: Any = None, **kwargs: Any) -> Value:
    """Values cut off: homogeneous at 0, odd if symmetric."""
    if str(call.node.target).split(".")[1] == "clamp_max":
        low, high = None, low
    low, high = kwargs.get("min", low), kwargs.get("max", high)
    if isinstance(low, Value) or isinstance(high, Value):
        return blind(call, value, low, high)
    homogeneous = {low, high} <= {None, 0}
    symmetric = low is not None and high is not None and low == -high
    return passed(call, value, parity="odd" if symmetric else None, degree=1 if homogeneous else None)


@rule("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "bitwise_and", "bitwise_or", "atan2",
      "floor_divide", "remainder", "fmod", "logaddexp", "lerp", "addcmul", "addcdiv", "hypot")  # fmt: skip
def blind(call: Call, *operands: Any, **kwargs: Any) -> Value:
    """An operator entry by entry, of which nothing else is known."""
    values = [held(value, call.structure) for value in (*operands, *kwargs.values()) if isinstance(value, Value)]
    return passed(call, added(values, call.structure), parity=None, degree=None)
