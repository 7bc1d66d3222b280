"""What is true of a pair of small networks, found without any of the code under test, in exact rational arithmetic.

Let |θ| be the network with the absolute values of all weights, and F_θ(x) its output on x ≥ 0 with the activation z^k,
k the degree of the one at hand (1 where it has none). Permutations of units, flips and scales leave F as it is: signs
disappear, and what λ multiplies on the way in, λ^k divides on the way out. So F_a(x) ≠ F_b(x) at one x proves that no
g takes a to b. With a tolerance: F grows with every weight, so F of g·a lies between F of |b| less, and |b| plus, the
most that is allowed; F_a outside of this proves it as well. Where there are no scales, the sorted |entries| of every
tensor are one more invariant.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fnequiv.symmetry import SymmetrySpec

Array = npt.NDArray[np.float64]
Arrays = Mapping[str, Array]
Exact = npt.NDArray[np.object_]


def absolute_output(a: Arrays, degree: int, points: list[list[int]], change: Mapping[str, float], sign: int) -> Exact:
    """Return F on every point, every |weight| moved by ``sign`` times its tensor's ``change`` first (not below 0)."""
    moved = {name: np.maximum(_exact(array) + sign * Fraction(change[name]), 0) for name, array in a.items()}
    values = _exact(np.array(points))
    layers = sorted({int(name.split(".")[0]) for name in a})
    for layer in layers:
        values = values @ moved[f"{layer}.weight"].T + moved[f"{layer}.bias"]
        if layer != layers[-1]:
            values = values**degree
    return values


def _exact(array: npt.NDArray[Any]) -> Exact:
    """Return the absolute values as fractions."""
    return np.array([abs(Fraction(entry)) for entry in array.ravel().tolist()], dtype=object).reshape(array.shape)


def differ(a: Arrays, b: Arrays, degree: int, *, scaled: bool, tolerance: float) -> bool:
    """Whether some invariant proves that no element of the group takes a to b within the tolerance."""
    widths = next(iter(a.values())).shape[1]
    points = [[1] * widths, [2 + 3 * i for i in range(widths)]]
    nothing = dict.fromkeys(a, 0.0)
    allowed = {name: tolerance * float(np.abs(b[name]).max(initial=0.0)) for name in b}
    least, most = (absolute_output(b, degree, points, allowed, sign) for sign in (-1, 1))
    given = absolute_output(a, degree, points, nothing, 1)
    if ((given < least) | (given > most)).any():
        return True
    if scaled:
        return False
    gaps = {name: np.abs(np.sort(np.abs(a[name]), axis=None) - np.sort(np.abs(b[name]), axis=None)).max() for name in a}
    return any(gaps[name] > 2 * allowed[name] for name in a)


def is_witness(
    a: Arrays, b: Arrays, spec: SymmetrySpec, moves: Mapping[str, tuple[Array, Array]], tolerance: float
) -> bool:
    """Whether the moves, (permutation, factors) by block, take a to b: own indexing, no call of ``apply``."""
    for name, wanted in b.items():
        array = a[name]
        for block in spec.blocks:
            order, factors = moves[block.name]
            for axis in (axis for axis in block.axes if axis.tensor == name):
                array = np.take(array, order.astype(np.int64), axis.axis)
                power = factors if axis.role == "in" else _leaving(factors, block.degree, even=block.even)
                array = array * power.reshape([-1 if dim == axis.axis else 1 for dim in range(array.ndim)])
        if not (np.abs(array - wanted) <= (tolerance + 1e-15) * np.abs(wanted).max(initial=0.0)).all():
            return False
    return True


def _leaving(factors: Array, degree: int, *, even: bool) -> Array:
    scales: Array = np.abs(factors) ** -float(degree)
    return scales if even else scales * np.sign(factors)


def arrays(params: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Return float64 copies, in which every number of the network is exact."""
    return {name: tensor.double().numpy() for name, tensor in params.items()}
