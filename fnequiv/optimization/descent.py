r"""Gradient descent on the population loss, many students at once.

Notation. Students W [n, d], their loss L and its gradient as in :mod:`fnequiv.optimization.population`.

**Plain steps.** First W ← W - ∇L/n. Every d x d block ∂²k/∂w_i∂w_j of the Hessian has norm (π - φ + sin φ)/(2π) ≤ 1/2,
so these blocks together have norm ≤ n/2; descent with step 1/n is monotone while all eigenvalues are below 2n. The
diagonal's other part, bounded by Σ_j |w_j| / (π|w_i|), has the difference as its room.

**Long steps.** Where the gradient is below 10^-4 a run is finished with the steps of Barzilai and Borwein (1988),
|ΔW|²/⟨ΔW, ΔG⟩ and ⟨ΔW, ΔG⟩/|ΔG|² by turns and at least 1/n. For n > k they are needed: two rows that share one of the
teacher's may differ by an angle, L grows with its third power alone, and by plain steps the angle falls as 1/steps.

A run never hears of another one, so results do not depend on which are computed together. Chapter: "Optimisation".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .population import Array, lengths_and_units, slope

_FINISHING = 1e-4  # norm of the gradient from which on a run takes longer steps
_LONGEST = 1e7  # step: flat minima have curvature near 0


def descend(
    starts: Array, teacher: Array, tolerance: float, max_steps: int
) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """Return for every start where it ended, the norm of the gradient there, and the number of steps.

    Parameters
    ----------
    starts, teacher
        Shapes [runs, n, d] and [k, d], finite. No run hears of another one.
    tolerance, max_steps
        A run ends where |∇L| ≤ ``tolerance``, after so many steps, or where float64's range ends (a norm of NaN or
        infinity; NumPy warns unless told otherwise).

    Returns
    -------
    weights, norms, steps
        Shapes [runs, n, d], [runs], [runs].

    Examples
    --------
    >>> weights, norms, steps = descend(np.array([[[0.5]], [[2.0]]]), np.array([[1.0]]), 1e-9, 1000)
    >>> weights.round(6).ravel(), steps  # L = (w - 1)²/4
    (array([1., 1.]), array([13, 14]))
    """
    ends, norms, steps = starts.copy(), np.empty(len(starts)), np.zeros(len(starts), dtype=np.intp)
    lengths, units = lengths_and_units(teacher)
    plain = 1 / starts.shape[1]
    going, weights, old = np.arange(len(starts)), starts, starts
    slopes = old_slopes = slope(weights, lengths, units)
    finishing = np.zeros(len(starts), dtype=bool)
    for count in range(max_steps + 1):
        size = np.sqrt(_inner(slopes, slopes))
        done = ~(size > tolerance) | (count == max_steps) | ~np.isfinite(size)
        if done.any():
            ends[going[done]], norms[going[done]], steps[going[done]] = weights[done], size[done], count
            left = ~done
            going, size, finishing = going[left], size[left], finishing[left]
            weights, slopes, old, old_slopes = weights[left], slopes[left], old[left], old_slopes[left]
        if not going.size:
            break
        finishing |= size < _FINISHING
        step = np.full(len(going), plain)
        if count and finishing.any():
            step[finishing] = _long_steps(
                (weights - old)[finishing], (slopes - old_slopes)[finishing], plain, even=count % 2 == 0
            )
        old, old_slopes = weights, slopes
        weights = weights - step[:, None, None] * slopes
        slopes = slope(weights, lengths, units)
    return ends, norms, steps


def _long_steps(moved: Array, change: Array, plain: float, *, even: bool) -> Array:
    """Return the steps of Barzilai and Borwein, and the plain one where the curvature on the way was not positive."""
    across = _inner(moved, change)
    over, under = (_inner(moved, moved), across) if even else (across, _inner(change, change))
    positive = (across > 0) & (under > 0)
    return np.where(positive, np.clip(over / np.where(positive, under, 1), plain, _LONGEST), plain)


def _inner(a: Array, b: Array) -> Array:
    product: Array = np.einsum("rnd,rnd->r", a, b)
    return product
