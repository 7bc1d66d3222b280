"""Compare what an answer gave with what was asked, and put the difference into words.

Numbers, booleans, texts, arrays, tensors, and tuples, lists, sets and dictionaries of them. A tensor is told by its
``detach``, so that nothing here imports PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from numbers import Number
from typing import Any

import numpy as np

from ..validation import shown

_SMALL = 12  # entries of an array that a message shows whole


def is_array(value: object) -> bool:
    """Say whether a value is an array or a tensor.

    Examples
    --------
    >>> is_array(np.ones(2)), is_array([1.0, 1.0])
    (True, False)
    """
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def _plain(value: Any) -> Any:
    """Return a tensor as an array, and an array without axes as its number."""
    if hasattr(value, "detach"):
        value = np.asarray(value.detach())
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0 else value


def brief(value: Any, digits: int = 4) -> str:
    """Return a value in a few characters.

    Examples
    --------
    >>> brief(3.8712010109), brief((2, 3, 1)), brief([0.5, 1 / 3]), brief(np.eye(2))
    ('3.871', '(2, 3, 1)', '[0.5, 0.3333]', '[[1, 0], [0, 1]]')
    """
    value = _plain(value)
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if is_array(value):
        return brief(value.tolist(), digits) if value.size <= _SMALL else _of_kind(value)
    if isinstance(value, (tuple, list)) and len(value) <= _SMALL:
        inner = ", ".join(brief(entry, digits) for entry in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    return shown(value)


def _of_kind(value: Any) -> str:
    if isinstance(value, Number):
        return "a number" if not isinstance(value, bool) else "True or False"
    if is_array(value):
        return f"an array of shape {value.shape}"
    name = type(value).__name__.lstrip("_")
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _numbers(got: Any, wanted: Any, tolerance: float) -> str | None:
    if isinstance(got, float) and math.isnan(got):
        return "gave NaN, which is no number: look for 0/0 or for inf - inf on the way"
    if got == wanted or (tolerance and abs(got - wanted) <= tolerance * max(1.0, abs(wanted))):
        return None
    if isinstance(got, float) and math.isinf(got):
        return (
            f"gave {got}, and {brief(wanted)} was asked: some number on the way is too large or too small for a float"
        )
    digits = next((d for d in (4, 8) if brief(got, d) != brief(wanted, d)), 17)
    return f"gave {brief(got, digits)}, and {brief(wanted, digits)} was asked"


def _arrays(got: Any, wanted: Any, tolerance: float) -> str | None:
    try:
        got = np.asarray(_plain(got))
    except ValueError:  # rows of several lengths
        return f"gave {shown(got)}, and {_of_kind(wanted)} was asked"
    if got.shape != wanted.shape:
        return f"gave {_of_kind(got)}, and one of shape {wanted.shape} was asked"
    if got.dtype.kind not in "biufc":
        return f"gave {shown(got)}, and numbers were asked"
    for index in np.ndindex(wanted.shape):
        if words := _numbers(got[index].item(), wanted[index].item(), tolerance):
            if wanted.size <= _SMALL and "NaN" not in words:
                digits = next((d for d in (4, 8) if brief(got, d) != brief(wanted, d)), 17)
                return f"gave {brief(got, digits)}, and {brief(wanted, digits)} was asked"
            return f"at {list(index)} {words}"
    return None


def misshapen(got: object, params: Mapping[str, Any]) -> str:
    """Return which of a network's tensors is missing or has another shape than before, or "".

    Examples
    --------
    >>> misshapen({"w": np.ones(3)}, {"w": np.ones((1, 3))}), misshapen({}, {"w": np.ones(3)})
    ('w has shape (3,), and (1, 3) was asked', 'w is missing')
    """
    if not isinstance(got, Mapping):
        return "a dictionary was asked"
    for name, tensor in params.items():
        if name not in got:
            return f"{name} is missing"
        if np.shape(got[name]) != tensor.shape:
            return f"{name} has shape {np.shape(got[name])}, and {tensor.shape} was asked"
    return ""


def changed(got: Any, wanted: Any, tolerance: float, name: str = "output", link: str = "was") -> str:
    """Return the first entry of an output that is not what it was, as "output[0, 2] is 1, and was 2", or "".

    Examples
    --------
    >>> changed(np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]]), 1e-9)
    'output[0, 1] is 2, and was 2.5'
    """
    off = ~(np.abs(got - wanted) <= tolerance * np.maximum(1.0, np.abs(wanted)))  # true for NaN as well
    if not off.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(off)[0])
    is_, was = got[index].item(), wanted[index].item()
    digits = next((d for d in (4, 8) if brief(is_, d) != brief(was, d)), 17)
    return f"{name}{list(index)} is {brief(is_, digits)}, and {link} {brief(was, digits)}"


def difference(got: Any, wanted: Any, tolerance: float) -> str | None:
    """Return None where two values agree, and otherwise the words "gave ..., and ... was asked".

    Examples
    --------
    >>> difference(1.7918, 3.8712, 1e-6), difference([1, 2], (1, 2), 0)
    ('gave 1.792, and 3.871 was asked', None)
    >>> difference({"w": np.zeros(2)}, {"w": np.ones(2)}, 0)
    "at 'w' gave [0, 0], and [1, 1] was asked"
    """
    got, wanted = _plain(got), _plain(wanted)
    text = "" if isinstance(got, Mapping) else f", {brief(got)}"  # a network fills the line, and says nothing
    otherwise = f"gave {_of_kind(got)}{text}, and {_of_kind(wanted)} was asked"
    if is_array(wanted):
        return _arrays(got, wanted, tolerance)
    if isinstance(wanted, Mapping):
        if not isinstance(got, Mapping):
            return otherwise
        if got.keys() != wanted.keys():
            return f"gave the keys {shown(list(got))}, and {shown(list(wanted))} were asked"
        pairs: list[tuple[Any, Any, Any]] = [(repr(key), got[key], wanted[key]) for key in wanted]
    elif isinstance(wanted, (tuple, list)):
        if not isinstance(got, (tuple, list)) and not is_array(got):
            return otherwise
        if len(got) != len(wanted):
            return f"gave {brief(got)} of length {len(got)}, and length {len(wanted)} was asked"
        pairs = [(index, one, other) for index, (one, other) in enumerate(zip(got, wanted, strict=True))]
    elif isinstance(wanted, (bool, str, Set)) or wanted is None:
        if isinstance(got, type(wanted)) or (isinstance(wanted, Set) and isinstance(got, Set)):
            return None if got == wanted else f"gave {brief(got)}, and {brief(wanted)} was asked"
        return otherwise
    else:
        number = isinstance(got, Number) and not isinstance(got, bool)
        return _numbers(got, wanted, tolerance) if number else otherwise
    found = ((place, difference(one, other, tolerance)) for place, one, other in pairs)
    words = next(((place, words) for place, words in found if words), None)
    if words is None:
        return None
    short = isinstance(wanted, (tuple, list)) and len(brief(wanted)) <= 40 and len(brief(got)) <= 40
    if short and "NaN" not in words[1] and brief(got) != brief(wanted):
        return f"gave {brief(got)}, and {brief(wanted)} was asked"
    return f"at {words[0]} {words[1]}"
