"""Boundary checks that several rooms share: each error names the rule, the value and the remedy.

Notation: a *width* is a number of neurons (an integer ≥ 1); ``widths = (d_0, d_1, …, d_L, d_{L+1})`` lists
input, hidden layers and output, as everywhere in the book (chapter "Notation").
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from itertools import islice
from numbers import Real

import numpy as np
import numpy.typing as npt

_LONGEST = 80  # characters of a value that a message repeats
_ENTRIES = 27  # so many entries take more than that: "0, " and so on
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")  # another one in each process


def _cut(value: object, levels: int = 4) -> object:
    """Return a value without the entries that a message would not repeat: the whole text may take seconds to make."""
    if not levels or type(value) not in (str, bytes, list, tuple, set, frozenset, dict):
        return value
    if isinstance(value, (str, bytes)):
        return value[: 2 * _LONGEST]
    kept: object
    if isinstance(value, dict):
        kept = {key: _cut(entry, levels - 1) for key, entry in islice(value.items(), _ENTRIES)}
        same = all(kept[key] is value[key] for key in kept)
    else:
        first = list(islice(value, _ENTRIES))  # type: ignore[call-overload]
        entries = [_cut(entry, levels - 1) for entry in first]
        kept = type(value)(entries)  # type: ignore[call-arg]
        same = all(one is other for one, other in zip(first, entries, strict=True))
    return value if same and len(value) <= _ENTRIES else kept  # type: ignore[arg-type]


def shown(value: object) -> str:
    """Return ``repr(value)`` on one line, without addresses, cut to 80 characters, for an error message.

    Examples
    --------
    >>> shown([1, 2]), shown("x" * 1000)[-9:]
    ('[1, 2]', "xxx ... '")
    >>> shown((10**5000,))
    'a value of type tuple that cannot be printed'
    """
    try:
        text = _ADDRESS.sub("", " ".join(repr(_cut(value)).split()))
    except KeyboardInterrupt:
        raise
    except BaseException:  # more digits than Python prints, or a repr of its own that fails: the message has to come
        return f"a value of type {type(value).__name__[:40]} that cannot be printed"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 6]} ... {text[-1]}"


def check_integer(name: str, value: object, *, minimum: int = 1) -> int:
    """Return ``value`` as an ``int`` of at least ``minimum``; a 0-d integer array or tensor is one, too.

    Raises
    ------
    TypeError
        If ``value`` is no integer (a ``bool``, a ``float``, a masked value or an array of one entry is none).
    ValueError
        If it is below ``minimum``.

    Examples
    --------
    >>> check_integer("width", 3)
    3
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
        array = np.asarray(value)  # tells what index() lets pass: True, tensor(True) and tensor([3])
        if array.dtype.kind == "b" or array.ndim or np.ma.is_masked(value):
            raise TypeError
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {shown(value)}: pass an int >= {minimum}") from None
    if number < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {shown(number)}")
    return number


def check_bool(name: str, value: object) -> bool:
    """Return ``value``, which has to be True or False themselves: a text or a number is true by accident.

    Raises
    ------
    TypeError
        If it is anything else.

    Examples
    --------
    >>> check_bool("bias", False)
    False
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def check_widths(widths: object, *, hidden: int = 0) -> tuple[int, ...]:
    """Return ``(d_0, …, d_{L+1})`` as a tuple of integers ≥ 1 with at least ``hidden`` hidden layers.

    Raises
    ------
    TypeError
        If ``widths`` is no sequence (a list, a tuple, a 1-d array) of integers.
    ValueError
        If it is too short or holds a width below 1.

    Examples
    --------
    >>> check_widths([2, 3, 1])
    (2, 3, 1)
    """
    text = isinstance(widths, (str, bytes, bytearray, memoryview))
    sequence = widths.ndim == 1 if isinstance(widths, np.ndarray) else isinstance(widths, Sequence)
    if text or not sequence:
        raise TypeError(
            f"widths must be a sequence (d_0, ..., d_{{L+1}}) of integers, got {shown(widths)}: pass a list or a tuple"
        )
    entries: tuple[object, ...] = tuple(widths)  # type: ignore[arg-type]
    if len(entries) < 2 + hidden:
        layers = f"{hidden} or more" if hidden else "any number of"
        raise ValueError(
            f"widths must list input, {layers} hidden layers and output, got {shown(entries)}: "
            f"pass at least {2 + hidden} integers, as in {(2, 3, 1) if hidden < 2 else (2, *[3] * hidden, 1)}"
        )
    return tuple(check_integer(f"width d_{layer}", width) for layer, width in enumerate(entries))


def check_numeric(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return ``value`` (a real number or an array of them) as a float64 array; NaN and infinities pass.

    Any real number of Python's will do, a ``Fraction`` too; it is rounded to the nearest float64.

    Raises
    ------
    TypeError
        If ``value`` is not numeric (a ``bool`` or a complex number is not), or a tensor that NumPy cannot read.
    ValueError
        If an entry is masked, or finite but beyond float64's range.

    Examples
    --------
    >>> check_numeric("x", [1, 2.5])
    array([1. , 2.5])
    """
    rule = f"{name} must be a real number or an array of them"
    if np.ma.is_masked(value):
        raise ValueError(f"{rule}, none masked, got {shown(value)}: fill the masked entries")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # a ragged list; a tensor with a gradient or on a device
        raise TypeError(f"{rule}, got {shown(value)}: {error}") from None
    if array.dtype == object:  # Fraction, or an int of more than 64 bits
        numeric = all(isinstance(entry, Real) and not isinstance(entry, bool) for entry in array.flat)
    else:
        numeric = array.dtype.kind in "iuf"
    if not numeric:
        raise TypeError(f"{rule}, got {shown(value)}")
    try:
        with np.errstate(over="raise"):
            return array.astype(np.float64)
    except (OverflowError, FloatingPointError):
        raise ValueError(f"{name} must lie within float64's range, up to 1.8e308, got {shown(value)}") from None


def check_finite(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return ``value`` (a number or an array) as float64, all entries finite.

    Raises
    ------
    TypeError
        If ``value`` is not numeric.
    ValueError
        If an entry is NaN or infinite.

    Examples
    --------
    >>> check_finite("x", [-1, 0.5])
    array([-1. ,  0.5])
    """
    array = check_numeric(name, value)
    wrong = ~np.isfinite(array)
    if wrong.any():
        raise ValueError(f"{name} must be finite, got {float(array[wrong].flat[0])!r}")
    return array


def check_real(name: str, value: npt.ArrayLike) -> float:
    """Return ``value``, one finite real number, as a ``float``.

    Raises
    ------
    TypeError
        If ``value`` is no real number.
    ValueError
        If it is an array, NaN or infinite.

    Examples
    --------
    >>> check_real("negative_slope", -1)
    -1.0
    """
    array = check_numeric(name, value)
    if array.ndim:
        raise ValueError(f"{name} must be one number, got an array of shape {array.shape}")
    return float(check_finite(name, array))


def check_probability(name: str, value: npt.ArrayLike) -> float:
    """Return ``value``, a probability strictly between 0 and 1, as a ``float``.

    Raises
    ------
    TypeError
        If ``value`` is no real number.
    ValueError
        If it is an array, NaN, or not inside (0, 1).

    Examples
    --------
    >>> check_probability("confidence", 0.95)
    0.95
    """
    number = check_real(name, value)
    if not 0 < number < 1:
        raise ValueError(f"{name} must be a probability in (0, 1), got {number}: write 0.95 for 95 %")
    return number


def check_positive(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return ``value`` (a number or an array) as float64, all entries finite and > 0.

    Raises
    ------
    TypeError
        If ``value`` is not numeric.
    ValueError
        If an entry is NaN, infinite, zero or negative.

    Examples
    --------
    >>> float(check_positive("eps", 0.1))
    0.1
    """
    array = check_numeric(name, value)
    wrong = ~(np.isfinite(array) & (array > 0))
    if wrong.any():
        raise ValueError(f"{name} must be finite and > 0, got {float(array[wrong].flat[0])!r}")
    return array
