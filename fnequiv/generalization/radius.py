"""The best radius: every ε gives a valid bound, so the least over any finite set of them is one too.

Notation. An upper bound on ln N(F, ε) is a function of ε, ``log_cover``: it takes an array of radii and returns nats,
as ``lambda eps: orbit_bound(widths, B=1, Bx=1, activation="relu", eps=eps)`` does. It may have steps (counts are
integers), so the search below asks for no derivative: a grid, and two finer ones around its best point. The steps of
the first have the ratio 1.0204. Where ln N does not rise with ε, the grid's next point above the very best radius costs
at most 0.0204 times more for the radius itself, and no more for ln N: a bound misses its least by no more than that.

Source: section 2.1 of Shen (2024) uses one fixed ε; optimising it is ours. Chapter: "Estimation error".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..validation import check_finite, check_numeric, check_positive, check_real, shown

Array = npt.NDArray[np.float64]
LogCover = Callable[[Array], npt.ArrayLike]

# Radii from the largest that can matter down to so small a part of it, on a grid of so many, twice refined.
_SMALLEST = 1e-14
_POINTS = 1600
_FINER = 40


def least(
    log_cover: LogCover, objective: Callable[[Array, Array], Array], largest: float, count: int
) -> tuple[Array, Array, Array]:
    """Return the least of ``count`` objectives over radii up to ``largest``, with the radius and ln N there.

    ``objective`` takes radii and ln N of shape (1, m) and returns (count, m). It rises with both.

    Raises
    ------
    TypeError, ValueError
        As :func:`nats_at`.

    Examples
    --------
    >>> value, radius, nats = least(lambda eps: np.log(1 / eps), lambda eps, nats: eps + nats / 10, 1.0, 1)
    >>> np.round(value, 4), np.round(radius, 2)
    (array([0.3303]), array([0.1]))
    """
    grid = np.geomspace(largest, largest * _SMALLEST, _POINTS)
    step = grid[0] / grid[1]
    best, radius, nats = np.full(count, np.inf), np.full(count, largest), np.full(count, np.inf)
    for refinement in range(3):
        known = nats_at(log_cover, grid)
        values = objective(grid[None], known[None])
        at = np.argmin(values, axis=1)
        found = values[np.arange(count), at]
        better = found < best
        best[better], radius[better], nats[better] = found[better], grid[at][better], known[at][better]
        if refinement < 2:  # one grid that refines around every best point
            around = np.geomspace(1 / step, step, _FINER)
            grid = np.unique(np.minimum(np.unique(radius)[:, None] * around, largest))[::-1]
            step = around[1] / around[0]
    return best, radius, nats


def nats_at(log_cover: LogCover, radii: Array) -> Array:
    """Return ``log_cover`` at the radii, checked.

    Raises
    ------
    TypeError
        If it is no function, or does not return numbers.
    ValueError
        If it returns another shape, NaN or less than 0: N ≥ 1 for every class.

    Examples
    --------
    >>> nats_at(lambda eps: 3 * np.log(1 / eps), np.array([0.5, 1.0]))
    array([2.07944154, 0.        ])
    """
    if not callable(log_cover):
        raise TypeError(f"log_cover must be a function of eps that returns nats, got {shown(log_cover)}")
    try:
        nats = check_numeric("its values", log_cover(radii))
    except (TypeError, ValueError) as error:
        raise type(error)(f"log_cover failed for an array of radii: {error}") from error
    if nats.shape != radii.shape:
        raise ValueError(f"log_cover must return one number a radius, shape {radii.shape}, got {nats.shape}")
    if not (nats >= 0).all():
        raise ValueError(f"log_cover must return nats >= 0 for every radius, got {shown(nats[~(nats >= 0)][0])}")
    return nats


def shaped(values: Array, shape: tuple[int, ...]) -> float | Array:
    """Return values in a shape, a number for the shape of one.

    Examples
    --------
    >>> shaped(np.array([2.0]), ())
    2.0
    """
    return values.reshape(shape) if shape else float(values[0])


def check_samples(n: npt.ArrayLike) -> Array:
    """Return sample sizes: whole numbers ≥ 1, as floats.

    Raises
    ------
    TypeError, ValueError
        If one is no number, or not whole and at least 1.

    Examples
    --------
    >>> check_samples([10, 1000])
    array([  10., 1000.])
    """
    sizes = check_finite("n", n)
    if not sizes.size:
        raise ValueError("n must hold at least one number of samples, got none")
    if (sizes < 1).any() or (sizes != np.floor(sizes)).any():
        raise ValueError(f"n must be a whole number of samples >= 1, got {shown(n)}")
    return sizes


def check_range(name: str, value: npt.ArrayLike) -> float:
    """Return one number > 0.

    Raises
    ------
    TypeError, ValueError
        If it is no number, or not finite and > 0.

    Examples
    --------
    >>> check_range("loss_range", 2)
    2.0
    """
    return float(check_positive(name, check_real(name, value)))
