r"""Measure the size of every unit, so that networks that differ by scales become equal up to rounding.

Notation. The *size* s of a unit is its largest |entry| on the way in, taken after all units that those entries come
from were divided by their own sizes. Where all of these are zero, it is the s at which the largest entry on the way
out is 1. Dividing every way in by s and multiplying every way out by s^k (k the degree) is the group element λ = 1/s;
what it makes of θ is the same for every rescaled copy of θ. The largest entry, not a norm: it does not depend on an
order, so copies that are only permuted get equal bits.

Errors. If every entry w of b is known up to e = absolute + relative·\|w\|, then s is known up to a factor exp(±ℓ):
with E the largest error in the row, \|s - s*\| ≤ E and ℓ = -log(1 - E/s). An entry of a row that was divided by sizes
with errors ℓ_1, ℓ_2, … is known up to e + (\|w\| + e)(exp(Σℓ) - 1).

Source: Example 1 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import Array, FloatArray, along, owners_of, power, rows


@dataclass(frozen=True)
class Error:
    """How far an entry w of a tensor may be off: ``absolute[tensor] + relative * |w|``."""

    absolute: Mapping[str, float]
    relative: float

    def of(self, tensor: str, sizes: FloatArray, logs: FloatArray | float) -> FloatArray:
        """Return the error of entries of the given sizes that were divided by factors known up to exp(±logs)."""
        error: FloatArray = self.relative * sizes
        error += self.absolute[tensor]
        if not np.any(logs):
            return error
        moved = spread(sizes + error, logs)
        moved += error
        return moved


def spread(values: FloatArray, logs: FloatArray | float) -> FloatArray:
    """Return how far values ≥ 0 move by factors up to exp(±logs); 0 stays 0.

    Examples
    --------
    >>> spread(np.array([2.0, 0.0]), np.log(3.0)).round(12).tolist()
    [4.0, 0.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        moved: FloatArray = values * np.expm1(logs)
    moved[np.isnan(moved)] = 0.0  # 0 times infinity
    return moved


def exact(spec: SymmetrySpec) -> Error:
    """Return the error of entries that are known exactly.

    Examples
    --------
    >>> exact(SymmetrySpec((), {"w": (2,)})).relative
    0.0
    """
    return Error(dict.fromkeys(spec.shapes, 0.0), 0.0)


class Sizes:
    """The sizes of all units, ``slack`` ℓ of their logs, and whether zero rows could be told from small ones."""

    def __init__(self, arrays: Mapping[str, Array], spec: SymmetrySpec, error: Error) -> None:
        self.arrays, self.spec, self.error = arrays, spec, error
        self.owner = owners_of(spec)
        self.sizes = {block.name: np.ones(block.size) for block in spec.blocks}
        self.slack = {block.name: np.zeros(block.size) for block in spec.blocks}
        self.certain = True
        self._open = {block.name: np.full(block.size, block.scales) for block in spec.blocks}
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            while self._pass("in", list(spec.blocks)) or self._pass("out", list(reversed(spec.blocks))):
                pass
        if any(mask.any() and self._linked(self.spec.block(name), mask) for name, mask in self._open.items()):
            self.certain = False

    @property
    def usable(self) -> bool:
        """Whether every size is a normal number, and no entry overflows when divided by sizes."""
        tiny = np.finfo(np.float64).tiny
        normal = all(bool((np.isfinite(size) & (size >= tiny)).all()) for size in self.sizes.values())
        return normal and all(bool(np.isfinite(self.divided(name)[0]).all()) for name in self.arrays)

    def divided(self, tensor: str) -> tuple[FloatArray, FloatArray]:
        """Return a tensor after the division by all sizes, and the errors of its entries."""
        array = self.arrays[tensor].astype(np.float64)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            factor, logs = self._factor(tensor, skip=None)
            return array * factor, self.error.of(tensor, np.abs(array), logs) * factor

    def _pass(self, role: str, blocks: list[Block]) -> bool:
        """Measure units on one side, block after block; a pass over ways out stops at the first block with news."""
        news = False
        for block in blocks:
            if not self._open[block.name].any() or (role == "out" and not block.degree):
                continue
            peak, worst = np.zeros(block.size), np.zeros(block.size)
            for axis in (axis for axis in block.axes if axis.role == role):
                here, off = self._peaks(block, axis)
                peak, worst = np.maximum(peak, here), np.maximum(worst, off)
            if bool((self._open[block.name] & (worst > 0) & (peak <= worst)).any()):
                self.certain = False  # zero, or just small?
            found = self._open[block.name] & (peak > worst)
            exponent = 1.0 if role == "in" else -1.0 / block.degree
            self.sizes[block.name][found] = peak[found] ** exponent
            self.slack[block.name][found] = -np.log1p(-worst[found] / peak[found]) * abs(exponent)
            self._open[block.name] &= ~found
            news |= bool(found.any())
            if news and role == "out":
                break
        return news

    def _peaks(self, block: Block, axis: Axis) -> tuple[FloatArray, FloatArray]:
        """Return the largest |entry| of every unit on one axis, and the largest error, over entries of known units."""
        factor, logs = self._factor(axis.tensor, skip=axis.axis)
        values = np.abs(self.arrays[axis.tensor]).astype(np.float64)
        error = np.broadcast_to(self.error.of(axis.tensor, values, logs) * factor, values.shape)
        return (
            rows(values * factor, axis, block).max(axis=1, initial=0.0),
            rows(error, axis, block).max(axis=1, initial=0.0),
        )

    def _factor(self, tensor: str, skip: int | None) -> tuple[FloatArray, FloatArray]:
        """Return what the sizes of all units but those on axis ``skip`` make of entries (0: not known yet)."""
        ndim = self.arrays[tensor].ndim
        factor, logs = np.ones((1,) * ndim), np.zeros((1,) * ndim)
        for dim in range(ndim):
            found = self.owner.get((tensor, dim))
            if found is None or dim == skip or not found[0].scales:
                continue
            block, axis = found
            exponent = power(block, axis)
            known = ~self._open[block.name] if skip is not None and exponent else np.ones(block.size, dtype=bool)
            factor = factor * along(self.sizes[block.name] ** -float(exponent) * known, axis, ndim)
            logs = logs + along(abs(exponent) * self.slack[block.name], axis, ndim)
        return factor, logs

    def _linked(self, block: Block, units: FloatArray) -> bool:
        """Whether units that could not be measured have entries: they hang together with such units alone."""
        return any(
            bool(rows(self.arrays[axis.tensor], axis, block)[units.astype(bool)].any())
            for axis in block.axes
            if power(block, axis)
        )
