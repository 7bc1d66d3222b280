"""Exercises of the chapter "How tight are the bounds?": pack greedily, and carry a packing to a wider class.

Notation: functions are rows of values on common inputs, and their distance is the largest difference. A network
x ↦ Σ v_i relu(w_i x + b_i) + c is a row (w, b, v, c). There are many packings, so an answer is tried by the definition.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from .comparing import brief, changed
from .tasks import Mistake, Task

Array = npt.NDArray[np.float64]

# --- greedy-packing -------------------------------------------------------------------------------------------------


def _greedy(f: Array, delta: float, order: int | None = None, strict: bool = True) -> list[int]:
    """Keep what is far from all that is kept (in another norm, or with equality, if a mistake asks for it)."""
    kept: list[int] = []
    for i, row in enumerate(f):
        gaps = [float(np.linalg.norm(row - f[j], ord=np.inf if order is None else order)) for j in kept]
        if all(gap > delta or (not strict and gap == delta) for gap in gaps):
            kept.append(i)
    return kept


def _chain(f: Array, delta: float) -> list[int]:
    """Look only at the last one that was kept."""
    kept = [0]
    for i in range(1, len(f)):
        if np.abs(f[i] - f[kept[-1]]).max() > delta:
            kept.append(i)
    return kept


def _packing_complaint(got: object, f: Array, delta: float) -> str:
    numbers = np.asarray(sorted(got) if isinstance(got, Set) else got)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        return "the answer is a list of numbers of rows"
    kept = [int(index) for index in numbers]
    if len(set(kept)) < len(kept) or not all(0 <= i < len(f) for i in kept):
        return f"each number is one of 0 to {len(f) - 1} and stands there once"
    gap = np.abs(f[:, None] - f[None]).max(2)
    for i in kept:
        for j in kept:
            if i < j and gap[i, j] <= delta:
                return f"rows {i} and {j} are {brief(float(gap[i, j]))} apart, which is not more than {brief(delta)}"
    left = [i for i in range(len(f)) if i not in kept and all(gap[i, j] > delta for j in kept)]
    return f"row {left[0]} could still join" if left else ""


def _packing_cases() -> list[tuple[Array, float]]:
    line = np.array([[0.0], [0.5], [1.0], [0.25], [2.0]])
    back = np.array([[0.0], [1.0], [0.125], [1.125], [3.0]])
    rng = np.random.default_rng(0)
    cloud = rng.integers(-8, 9, (40, 5)) / 8
    return [(line, 0.5), (back, 0.25), (cloud, 1.0), (cloud, 0.625), (rng.integers(-8, 9, (30, 2)) / 8, 0.5)]


# --- widen ----------------------------------------------------------------------------------------------------------


def _widen(networks: Array) -> Array:
    w, b, v, c = _parted(networks)
    dead = np.zeros((len(networks), 1))
    return np.hstack([w, dead, b, dead, v, dead, c])


def _parted(networks: Array) -> tuple[Array, Array, Array, Array]:
    d = (networks.shape[1] - 1) // 3
    return networks[:, :d], networks[:, d : 2 * d], networks[:, 2 * d : 3 * d], networks[:, 3 * d :]


def _values(networks: Array) -> Array:
    w, b, v, c = _parted(networks)
    x = np.linspace(-1, 1, 17)
    return np.einsum("ni,nix->nx", v, np.maximum(w[:, :, None] * x + b[:, :, None], 0)) + c


def _widen_complaint(got: object, networks: Array) -> str:
    wide = np.asarray(got)
    shape = (len(networks), networks.shape[1] + 3)
    if wide.shape != shape:
        return f"its shape is {wide.shape}, and {shape} was asked"
    if np.abs(wide).max() > 1:
        return "a weight is outside [-1, 1], so it is no member of the class"
    words = changed(_values(wide), _values(networks), 1e-12, "value")
    return f"the functions have changed ({words})" if words else ""


def _widen_cases() -> list[tuple[Array]]:
    rng = np.random.default_rng(3)
    return [(rng.uniform(-1, 1, (n, 3 * d + 1)),) for n, d in ((1, 1), (4, 2), (3, 3))]


def _split(networks: Array) -> Array:
    """Copy the last neuron, and forget to halve its outgoing weight."""
    w, b, v, c = _parted(networks)
    return np.hstack([w, w[:, -1:], b, b[:, -1:], v, v[:, -1:], c])


TASKS = (
    Task(
        name="greedy-packing",
        call="greedy_packing(f, delta)",
        asks="the numbers of rows that are pairwise more than delta apart, such that no other row could join",
        cases=_packing_cases,
        oracle=_greedy,
        against="the definition of a packing that cannot be enlarged",
        complaint=_packing_complaint,
        mistakes=(
            Mistake(_chain, "a new member has to be far from all members, and not only from the last"),
            Mistake(
                lambda f, delta: _greedy(f, delta, strict=False),
                "at a distance of exactly delta two rows are not more than delta apart",
            ),
            Mistake(
                lambda f, delta: _greedy(f, delta, order=2),
                "the distance is the largest difference, and not the Euclidean length",
            ),
            Mistake(
                lambda f, delta: _greedy(f, 2 * delta),
                "this is a packing for 2 delta, and others could still join",
            ),
            Mistake(lambda f, delta: f[_greedy(f, delta)], "return the numbers of the rows, and not the rows"),
        ),
    ),
    Task(
        name="widen-packing",
        call="widen(networks)",
        asks="networks with one hidden neuron more and weights in [-1, 1], one a row, that are the same functions",
        cases=_widen_cases,
        oracle=_widen,
        against="the given networks at 17 inputs",
        complaint=_widen_complaint,
        mistakes=(
            Mistake(
                lambda networks: np.hstack([networks, np.zeros((len(networks), 3))]),
                "a row lists all w, then all b, then all v, so a zero belongs behind each of the three groups",
            ),
            Mistake(
                lambda networks: np.insert(networks, [len(networks[0]) // 3] * 3, 0.0, axis=1),
                "the three zeros stand in one place, and w, b and v each need one",
            ),
            Mistake(
                lambda networks: _split(networks),
                "a neuron that is there twice counts twice, so make it dead or share its outgoing weight",
            ),
        ),
    ),
)
