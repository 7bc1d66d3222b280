"""The catalogue: one name an activation, one place that knows them all (paper: the table of activations)."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

from ..validation import shown
from . import exponential, gated, piecewise, smooth
from .facts import Activation

# In the order of the book's table; the signature of each function is the list of its parameters.
_MAKERS: dict[str, Callable[..., Activation]] = {
    "relu": piecewise.relu,
    "leaky_relu": piecewise.leaky_relu,
    "prelu": piecewise.prelu,
    "identity": piecewise.identity,
    "abs": piecewise.absolute,
    "square": piecewise.square,
    "tanh": smooth.tanh,
    "sin": smooth.sine,
    "cos": smooth.cosine,
    "erf": smooth.erf,
    "softsign": smooth.softsign,
    "hardtanh": piecewise.hardtanh,
    "tanhshrink": smooth.tanhshrink,
    "softshrink": piecewise.softshrink,
    "hardshrink": piecewise.hardshrink,
    "sigmoid": smooth.sigmoid,
    "hardsigmoid": piecewise.hardsigmoid,
    "logsigmoid": smooth.logsigmoid,
    "softplus": smooth.softplus,
    "relu6": piecewise.relu6,
    "elu": exponential.elu,
    "selu": exponential.selu,
    "celu": exponential.celu,
    "gelu": gated.gelu,
    "gelu_tanh": gated.gelu_tanh,
    "silu": gated.silu,
    "hardswish": gated.hardswish,
    "mish": gated.mish,
}


class Row(NamedTuple):
    """One line of the book's table of activations, at the default parameters unless others were asked for.

    ``sign_flipping`` holds for odd and even σ, ``scaling`` for any ``degree``; ``parity`` and ``degree`` say how the
    outgoing column answers. ``permutation`` holds for every elementwise σ (``per_channel``: with the slopes carried
    along). ``lipschitz`` and ``sup`` are the global ones.
    """

    name: str
    formula: str
    sign_flipping: bool
    scaling: bool
    permutation: bool
    parity: Literal["odd", "even"] | None
    degree: int | None
    per_channel: bool
    lipschitz: float
    at_zero: float
    sup: float


def names() -> tuple[str, ...]:
    """Return the known names, in the order of the book's table.

    Examples
    --------
    >>> names()[:3]
    ('relu', 'leaky_relu', 'prelu')
    """
    return tuple(_MAKERS)


def get(name: str | Activation, /, **parameters: Any) -> Activation:
    """Return the facts of an activation.

    Parameters
    ----------
    name
        A name of :func:`names`, or an :class:`Activation`, which comes back unchanged.
    **parameters
        PyTorch's own: ``negative_slope`` (leaky_relu), ``weight`` (prelu: a number, or one slope a neuron), ``alpha``
        (elu, celu), ``beta`` (softplus), ``min_val`` and ``max_val`` (hardtanh), ``lambd`` (softshrink, hardshrink).

    Raises
    ------
    TypeError
        If ``name`` is neither (as a PyTorch module is), or a parameter is not a real number.
    ValueError
        If the name or a parameter is unknown, or a parameter is out of range.

    Examples
    --------
    >>> [get("leaky_relu", negative_slope=slope).parity for slope in (0.01, 1, -1)]
    [None, 'odd', 'even']
    >>> get("square").degree
    2
    """
    if isinstance(name, Activation):
        if parameters:
            raise ValueError(
                f"{name.name!r} already has its parameters {dict(name.parameters)}, got {parameters} as well: "
                "pass the name to choose others"
            )
        return name
    if not isinstance(name, str):
        meant = _meant(getattr(name, "__name__", type(name).__name__), cutoff=1.0)
        raise TypeError(
            f"activation must be a name or an Activation, got {shown(name)}: {meant}known are {', '.join(_MAKERS)}"
        )
    if name not in _MAKERS:
        raise ValueError(f"unknown activation {shown(name)}: {_meant(name)}known names are {', '.join(_MAKERS)}")
    accepted = inspect.signature(_MAKERS[name]).parameters
    for parameter in parameters:
        if parameter not in accepted:
            known = ", ".join(accepted) or "none"
            raise ValueError(f"unknown parameter {parameter!r} of activation {name!r}: its parameters are: {known}")
    facts = _MAKERS[name](**parameters) if parameters else _default(name)
    object.__setattr__(facts, "catalogued", True)
    return facts


@functools.cache
def _default(name: str) -> Activation:
    return _MAKERS[name]()  # frozen, so that one serves all, and the bounds need not check it again


def _meant(text: str, cutoff: float = 0.6) -> str:
    """Ask whether the known name nearest to ``text`` was meant, letter case and punctuation aside."""
    folded = {name.replace("_", ""): name for name in _MAKERS} | {"swish": "silu", "linear": "identity"}
    near = difflib.get_close_matches(re.sub(r"[\W_]", "", text.casefold()), folded, n=1, cutoff=cutoff)
    return f"did you mean {folded[near[0]]!r}? " if near else ""


def table(activations: Iterable[str | Activation] | None = None) -> list[Row]:
    """Return the book's table of activations: formula, admitted symmetries and constants, a row each.

    Parameters
    ----------
    activations
        Names or activations, in the order of the rows; all known names by default.

    Raises
    ------
    TypeError
        If ``activations`` is one instead of several, or one of them neither a name nor an :class:`Activation`.
    ValueError
        If a name is unknown.

    Examples
    --------
    >>> [(row.name, row.sign_flipping, row.scaling, row.permutation) for row in table(["sigmoid", "tanh", "relu"])]
    [('sigmoid', False, False, True), ('tanh', True, False, True), ('relu', False, True, True)]
    """
    if activations is not None and (isinstance(activations, str) or not isinstance(activations, Iterable)):
        raise TypeError(f"activations must be several names, got {shown(activations)}: pass a list")
    return [_row(get(activation)) for activation in (names() if activations is None else activations)]


def _row(facts: Activation) -> Row:
    return Row(
        name=facts.name,
        formula=facts.formula,
        sign_flipping=facts.parity is not None,
        scaling=facts.degree is not None,
        permutation=True,
        parity=facts.parity,
        degree=facts.degree,
        per_channel=facts.per_channel,
        lipschitz=facts.lipschitz(),
        at_zero=facts.at_zero,
        sup=facts.sup(),
    )
