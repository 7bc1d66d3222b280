"""σ on a range [-z, z]: how a bound is evaluated, and where the extremes lie (paper: Theorems 1 and 2 use both).

Notation: z ≥ 0 is the half-width, inf allowed; see :mod:`fnequiv.activations`. The chapter on covering numbers takes
the range that a layer sees from here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from ..validation import check_numeric

Array = npt.NDArray[np.float64]

#: A formula may overflow, or pass through 0·inf, on its way to a right value.
QUIET = partial(np.errstate, all="ignore")


def number(value: npt.ArrayLike) -> float | Array:
    """Return a ``float`` for a 0-d value, the array for any other."""
    array = np.asarray(value)
    return array if array.ndim else float(array)


def half_width(z: npt.ArrayLike) -> Array:
    """Return ``z`` as float64; ``TypeError`` if it is not numeric, ``ValueError`` if an entry is negative or NaN."""
    radius = check_numeric("z", z)
    wrong = ~(radius >= 0)
    if wrong.any():
        raise ValueError(f"z must be >= 0, got {float(radius[wrong].flat[0])!r}: the range is [-z, z]")
    return radius


def over(z: npt.ArrayLike, bound: Callable[[Array], Array | float], single: float) -> Array:
    """Return the bound on [-z, z], and ``single`` where that is the point 0.

    Examples
    --------
    >>> over([0.0, 3.0], np.square, single=7.0)
    array([7., 9.])
    """
    radius = half_width(z)
    with QUIET():
        return np.where(radius > 0, bound(radius), single)


def extremes(
    z: npt.ArrayLike, function: Callable[[Array], Array], *, valley: float, channels: int
) -> tuple[Array, Array]:
    """Return the least and the largest of σ(0), σ(±z) and σ(±min(z, valley)), over all channels (axis 1 of σ's x).

    Examples
    --------
    >>> low, high = extremes([1.0, 4.0], np.cos, valley=np.pi, channels=1)
    >>> low.round(4), high
    (array([ 0.5403, -1.    ]), array([1., 1.]))
    """
    radius = half_width(z)
    near = np.minimum(radius, valley)
    x = np.stack([np.zeros_like(radius), -near, near, -radius, radius])
    with QUIET():
        values = function(np.tile(x.reshape(-1, 1), channels)).reshape(*x.shape, channels)
    # fmin passes over NaN, which a formula may give at ±inf: 0·inf there has the limit 0, and σ(0) is 0 as well.
    return np.fmin.reduce(values, axis=(0, -1)), np.fmax.reduce(values, axis=(0, -1))
