"""Boundary checks that several rooms share: each error names the rule, the value and the remedy.

Notation: a *width* is a number of neurons (an integer ≥ 1); ``widths = (d_0, d_1, …, d_L, d_{L+1})`` lists
input, hidden layers and output, as everywhere in the book (chapter "Notation").
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def check_integer(name: str, value: object, *, minimum: int = 1) -> int:
    """Return ``value`` as an ``int`` of at least ``minimum``.

    Raises
    ------
    TypeError
        If ``value`` is no integer (a ``bool`` or a ``float`` is none).
    ValueError
        If it is below ``minimum``.

    Examples
    --------
    >>> check_integer("width", 3)
    3
    """
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}: pass an int >= {minimum}") from None
    if number < minimum:
        raise ValueError(f"{name} must be >= {minimum}, got {number}")
    return number


def check_widths(widths: object, *, hidden: int = 0) -> tuple[int, ...]:
    """Return ``(d_0, …, d_{L+1})`` as a tuple of integers ≥ 1 with at least ``hidden`` hidden layers.

    Raises
    ------
    TypeError
        If ``widths`` is no sequence of integers.
    ValueError
        If it is too short or holds a width below 1.

    Examples
    --------
    >>> check_widths([2, 3, 1])
    (2, 3, 1)
    """
    if isinstance(widths, (str, bytes)) or not isinstance(widths, (Sequence, np.ndarray)):
        raise TypeError(f"widths must be a sequence (d_0, ..., d_{{L+1}}) of integers, got {widths!r}")
    if len(widths) < 2 + hidden:
        raise ValueError(
            f"widths must list input, {hidden or 'any'} or more hidden layers and output, "
            f"got {tuple(widths)!r}: pass at least {2 + hidden} integers, as in (2, 3, 1)"
        )
    return tuple(check_integer(f"width d_{layer}", width) for layer, width in enumerate(widths))


def check_numeric(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return ``value`` (a real number or an array of them) as a float64 array; NaN and infinities pass.

    Raises
    ------
    TypeError
        If ``value`` is not numeric (a ``bool`` or a complex number is not).

    Examples
    --------
    >>> check_numeric("x", [1, 2.5])
    array([1. , 2.5])
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number or an array of them, got {value!r}") from None
    return array.astype(np.float64)


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
    if not np.isfinite(array):
        raise ValueError(f"{name} must be finite, got {float(array)!r}")
    return float(array)


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
