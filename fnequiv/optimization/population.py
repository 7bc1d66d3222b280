r"""The population loss of a teacher and a student with one hidden ReLU layer, its gradient and its Hessian, exactly.

Notation. Inputs are x ~ N(0, I_d); a network is a matrix W [n, d] of rows w_i and computes f_W(x) = Σ_i σ(w_i·x), σ the
ReLU, without biases and with outgoing weights 1. With φ in [0, π] the angle between w and v,

k(w, v) = E[σ(w·x) σ(v·x)] = |w||v| (sin φ + (π - φ) cos φ) / (2π)        (the arc-cosine kernel of degree 1),

L(W) = ½ E (f_W - f_V)² = ½ Σ_ij k(w_i, w_j) - Σ_ij k(w_i, v_j) + ½ Σ_ij k(v_i, v_j),

∂k/∂w = (|v| sin φ w/|w| + (π - φ) v) / (2π).

Write a, b for the unit vectors along w/|w| + v/|v| and w/|w| - v/|v|, and n for the one along v less its part along w:

∂²k/∂w∂v = ((π - φ) I + sin φ (aaᵀ - bbᵀ)) / (2π),        ∂²k/∂w² = |v| sin φ (I - wwᵀ/|w|² + nnᵀ) / (2π|w|).

**Rounding.** The angle itself is known to 10^-8 only where φ is near 0 or π, since its cosine is flat there. Neither
the loss nor the gradient minds: sin φ and φ are taken from one cosine, so the result is that of vectors turned by as
much as the cosine was rounded, and there the derivative by the cosine is finite. Both are correct to about 10^-15 of
Σ|w_i|·Σ|v_j|. The Hessian, which does mind, takes its angles from w/|w| ± v/|v|.

Sources: Cho and Saul (2009), the kernel; Safran and Shamir (2018), loss, gradient and Hessian for this teacher.
Chapter: "Optimisation".
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..validation import check_finite

__all__ = ["function_distance", "gradient", "hessian", "kernel", "population_loss"]

Array = npt.NDArray[np.float64]


def kernel(w: npt.ArrayLike, v: npt.ArrayLike) -> Array:
    """Return k(w_i, v_j) for all rows.

    Parameters
    ----------
    w, v
        Rows, shapes [..., n, d] and [..., m, d]; leading axes broadcast.

    Returns
    -------
    ndarray
        Shape [..., n, m].

    Raises
    ------
    TypeError
        If one is no array of real numbers.
    ValueError
        If one has fewer than two axes or an entry that is not finite, or if their last axes differ.

    Examples
    --------
    >>> kernel([[1.0, 0.0]], [[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]]).round(6)  # parallel, orthogonal, opposite
    array([[1.     , 0.31831, 0.     ]])
    """
    return _kernel(*_pair("w", w, "v", v))


def population_loss(student: npt.ArrayLike, teacher: npt.ArrayLike) -> Array:
    """Return L(W) = ½ E (Σ_i σ(w_i·x) - Σ_j σ(v_j·x))² over x ~ N(0, I).

    It is a difference of larger sums, so it is correct to about 10^-15 of Σ|w_i||w_j|, and a loss of 0 may come out
    as ±10^-15.

    Parameters
    ----------
    student
        W, shape [..., n, d]: any number of students at once.
    teacher
        V, shape [k, d].

    Returns
    -------
    ndarray
        Shape [...].

    Raises
    ------
    TypeError, ValueError
        As :func:`kernel`.

    Examples
    --------
    >>> population_loss([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], np.eye(2)).round(6)  # 0, and 1/2 + 1/(2π)
    array([0.      , 0.659155])
    """
    return _loss(*_pair("student", student, "teacher", teacher))


def function_distance(w: npt.ArrayLike, v: npt.ArrayLike) -> Array:
    """Return the distance of two functions, (E (f_W - f_V)²)^½, correct to about 10^-7 near 0.

    Raises
    ------
    TypeError, ValueError
        As :func:`kernel`.

    Examples
    --------
    >>> float(function_distance([[1.0, 2.0]], [[0.25, 0.5], [0.75, 1.5]]))  # two parallel rows are one
    0.0
    """
    return np.sqrt(2 * _loss(*_pair("w", w, "v", v)))


def gradient(student: npt.ArrayLike, teacher: npt.ArrayLike) -> Array:
    """Return ∂L/∂W, shape [..., n, d].

    A row of zeros, where L has no derivative, gets the mean of those around it (σ'(0) = 1/2).

    Parameters
    ----------
    student, teacher
        As for :func:`population_loss`.

    Raises
    ------
    TypeError, ValueError
        As :func:`kernel`.

    Examples
    --------
    >>> gradient([[1.0, 0.0], [0.0, 2.0]], np.eye(2)).round(4)  # the second row is twice as long as it should be
    array([[0.1592, 0.25  ],
           [0.    , 0.5   ]])
    """
    student, teacher = _pair("student", student, "teacher", teacher)
    return slope(student, *lengths_and_units(teacher))


def hessian(student: npt.ArrayLike, teacher: npt.ArrayLike) -> Array:
    """Return ∂²L/∂W∂W, shape [..., n·d, n·d], the rows of W one behind the other.

    Parameters
    ----------
    student, teacher
        As for :func:`population_loss`.

    Raises
    ------
    TypeError, ValueError
        As :func:`kernel`; and if a row of the student is zero.

    Examples
    --------
    >>> np.linalg.eigvalsh(hessian(np.eye(2), np.eye(2))).round(4)  # a minimum
    array([0.0908, 0.4092, 0.5908, 0.9092])
    """
    student, teacher = _pair("student", student, "teacher", teacher)
    if not student.any(axis=-1).all():
        raise ValueError("student must have no row of zeros: the loss has no second derivative there")
    *batch, n, d = student.shape
    mixed, bent = _curvature(student, student)
    bent -= _curvature(student, teacher)[1]
    mixed[..., np.arange(n), np.arange(n), :, :] += bent
    return mixed.swapaxes(-3, -2).reshape(*batch, n * d, n * d)


def lengths_and_units(rows: Array) -> tuple[Array, Array]:
    """Return |w| [..., n, 1] and w/|w| of rows; the unit of a row of zeros is zero. Nothing overflows on the way.

    Examples
    --------
    >>> length, unit = lengths_and_units(np.array([[3e-200, 4e-200], [0.0, 0.0]]))
    >>> length[0, 0], unit.tolist()
    (np.float64(5e-200), [[0.6, 0.8], [0.0, 0.0]])
    """
    largest = np.abs(rows).max(axis=-1, keepdims=True)
    scaled = rows / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))[..., None]
    return largest * length, scaled / np.where(length > 0, length, 1)


def slope(student: Array, lengths: Array, units: Array) -> Array:
    """Return the gradient for a teacher of given lengths and units: what descent evaluates, without checks.

    Examples
    --------
    >>> slope(np.array([[2.0]]), *lengths_and_units(np.array([[1.0]])))
    array([[0.5]])
    """
    own, directions = lengths_and_units(student)
    inside, across = _cosines(directions, directions), _cosines(directions, units)
    pull = _sines(inside) @ own - _sines(across) @ lengths
    angles = (np.pi - np.arccos(inside)) @ student - (np.pi - np.arccos(across)) @ (lengths * units)
    return (pull * directions + angles) / (2 * math.pi)


def _cosines(units: Array, others: Array) -> Array:
    return np.clip(units @ np.swapaxes(others, -1, -2), -1, 1)


def _sines(cosines: Array) -> Array:
    return np.sqrt((1 - cosines) * (1 + cosines))


def _kernel(w: Array, v: Array) -> Array:
    (w_lengths, w_units), (v_lengths, v_units) = lengths_and_units(w), lengths_and_units(v)
    cosines = _cosines(w_units, v_units)
    bend = _sines(cosines) + (np.pi - np.arccos(cosines)) * cosines
    return w_lengths * np.swapaxes(v_lengths, -1, -2) * bend / (2 * math.pi)


def _loss(w: Array, v: Array) -> Array:
    within = _kernel(w, w).sum(axis=(-2, -1)) + _kernel(v, v).sum(axis=(-2, -1))
    return np.maximum(within / 2 - _kernel(w, v).sum(axis=(-2, -1)), 0)


def _curvature(w: Array, v: Array) -> tuple[Array, Array]:
    """Return ∂²k/∂w∂v [..., n, m, d, d], and ∂²k/∂w² summed over the rows of v [..., n, d, d]."""
    (w_lengths, w_units), (v_lengths, v_units) = lengths_and_units(w), lengths_and_units(v)
    here, there = w_units[..., :, None, :], v_units[..., None, :, :]
    total, gap = here + there, here - there
    cosine_half, sine_half = (np.linalg.norm(each, axis=-1)[..., None, None] / 2 for each in (total, gap))
    sine = 2 * sine_half * cosine_half
    total, gap = (lengths_and_units(each)[1] for each in (total, gap))
    identity = np.eye(w.shape[-1])
    mixed = (np.pi - 2 * np.arctan2(sine_half, cosine_half)) * identity + sine * (_outer(total) - _outer(gap))
    # What v has across w has no direction of its own where w and v are parallel; the sine takes it away there.
    across = lengths_and_units(there - (there * here).sum(axis=-1, keepdims=True) * here)[1]
    share = v_lengths[..., None, :, :, None] * sine / w_lengths[..., :, None, :, None]
    bent = (share * (identity - _outer(here) + _outer(across))).sum(axis=-3)
    return mixed / (2 * math.pi), bent / (2 * math.pi)


def _outer(rows: Array) -> Array:
    return rows[..., :, None] * rows[..., None, :]


def _pair(name: str, first: npt.ArrayLike, other: str, second: npt.ArrayLike) -> tuple[Array, Array]:
    arrays = []
    for label, value in ((name, first), (other, second)):
        array = check_finite(label, value)
        if array.ndim < 2 or 0 in array.shape[-2:]:
            raise ValueError(f"{label} must hold rows, shape [..., n, d] with n, d >= 1, got shape {array.shape}")
        arrays.append(array)
    if arrays[0].shape[-1] != arrays[1].shape[-1]:
        raise ValueError(
            f"{name} and {other} must have rows of one length d, got {arrays[0].shape[-1]} and {arrays[1].shape[-1]}"
        )
    return arrays[0], arrays[1]
