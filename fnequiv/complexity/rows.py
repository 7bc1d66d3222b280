r"""Words for one row of weights: what a cover can save without any new symmetry.

Notation as in :mod:`fnequiv.complexity.sensitivity` (ranges, boxes, G_l), :mod:`~fnequiv.complexity.words` (counts)
and :mod:`~fnequiv.complexity.orbit` (symmetries). Past Shen (2024). Chapter: "Covering numbers".

The orbit count holds for *any* words: if M_l words bring the reading (W_i - W'_i)·h + b_i - b'_i of every row below
a budget e_l on the layer's input box, and Σ_l G_l e_l ≤ ε, then ln N ≤ Σ_{l≤L} ln C(M_l + d_l - 1, d_l) + d_{L+1}
ln M_{L+1}. Four things make words cheaper.

* **Norm.** The reading is at most r‖W_i - W'_i‖_p + |b_i - b'_i| on a centred box of radius r (p = 1), or on the
  ball of inputs of radius r = B_x (p = 2). So the weights are covered in ℓ_p, by a grid or, in high dimension, by
  the volume argument of :mod:`~fnequiv.complexity.words`, which saves about 1 (or 0.7) nats a weight.
* **Centre.** Let h_j ∈ [c - r, c + r], c ≠ 0 (ReLU: c = r = H/2). Then W_i·h + b_i = W_i·(h - c) + b'_i with b'_i =
  b_i + cΣ_j W_ij: the radius r takes the place of H, half of it for ReLU. Choose the weights' word first; within
  its radius τ, b'_i is known up to ±(B + cτ), so ⌈(B + cτ)/δ⌉ levels do: ln 2 nats a weight for a slightly wider
  bias. A centre's bias may now leave [-B, B] by cτ. Clip its pre-activations to [-Z, Z], which moves none away from
  a network of the class, and the sensitivity inequality stays valid. (The cover's centres are then functions, not
  networks of F.)
* **Signs.** If σ_l has a parity, negate rows until b_i ≥ 0: the bias has half as far to go.
* **Faces.** A scaled row lies on a face of the cube and has a budget of its own on each: on a face |b_i| = B all of it
  goes to the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .words import log_ceil, log_grid_cover, log_volume_cover

Array = npt.NDArray[np.float64]

_NOTHING = -np.inf


class Cover(NamedTuple):
    """Words for one row within a budget: natural logarithms, and the name of the cover, for each entry of an array.

    ``log_words`` counts after sign and scale; ``log_weight_words`` and ``log_bias_words`` before them, at the radius
    and step given here.
    """

    log_words: Array
    log_weight_radius: Array
    log_bias_step: Array
    log_weight_words: Array
    log_bias_words: Array
    name: npt.NDArray[np.str_]


class Rows(NamedTuple):
    """The rows of a layer: fan-in, p, ln B, the box of their input (ln |c|, ln r), and the symmetries they may use.

    ``kinkless`` says that neurons on a face |b| = B need no words (see :mod:`fnequiv.complexity.reflected`).
    """

    fan_in: int
    norm: int
    log_bound: Array
    log_center: Array
    log_radius: Array
    signed: bool = False
    scaled: bool = False
    kinkless: npt.NDArray[np.bool_] | bool = False

    def boxes(self) -> list[Rows]:
        """Return the rows as they are and, where c ≠ 0, with the centred box [-c - r, c + r] in place of theirs."""
        if not (self.log_center > _NOTHING).any():
            return [self]
        log_radius = np.logaddexp(self.log_center, self.log_radius)
        return [self, self._replace(log_center=np.full_like(self.log_center, _NOTHING), log_radius=log_radius)]


def row_cover(rows: Rows, log_budget: Array) -> Cover:
    """Return the fewest words found that read every row to within the budget e = exp(log_budget).

    Examples
    --------
    A row of 400 weights in [-1, 1] that reads [0, 2]^400 to within 0.1: words in nats a weight, and the way.

    >>> one = np.zeros(())
    >>> cover = row_cover(Rows(400, 1, one, one, one), np.log(0.1))
    >>> round(float(cover.log_words) / 400, 2), str(cover.name)
    (7.37, 'volume')
    >>> round(float(log_grid_cover(400, 1, np.log(2 / 0.1))) / 400, 2)
    8.99
    """
    options: list[Cover] = []
    for box in rows.boxes():
        options.extend(_solid(box, log_budget))
        if rows.scaled and rows.fan_in:
            options.extend(_faces(box, log_budget))
    return least(options)


def least(options: list[Cover]) -> Cover:
    """Return, entry by entry, the option with the fewest words."""
    best, *others = options
    for option in others:
        fewer = (option.log_words < best.log_words) | np.isnan(best.log_words)
        best = Cover(*(np.where(fewer, new, old) for new, old in zip(option, best, strict=True)))
    return best


def cube_covers(dimension: int, norm: int, log_ratio: Array) -> list[tuple[str, Array]]:
    """Return the two covers of the cube in ℓ_p with their names, from ln(B/τ)."""
    return [
        ("grid", log_grid_cover(dimension, norm, log_ratio)),
        ("volume", log_volume_cover(dimension, norm, log_ratio)),
    ]


def _split(rows: Rows, weights: int, log_budget: Array) -> tuple[Array, Array]:
    """Return ln τ and ln δ that share a budget, rτ + δ = e, in proportion to ``weights`` dimensions and one bias."""
    total = math.log(weights + 1)
    log_tau = log_budget + (math.log(weights) - total if weights else _NOTHING) - rows.log_radius
    return log_tau, log_budget - total


def shifted(rows: Rows, log_tau: Array) -> Array:
    """Return ln cτ, the room that the centre's shift of the bias takes; none where c = 0, even if τ = ∞."""
    return np.where(rows.log_center > _NOTHING, rows.log_center + log_tau, _NOTHING)


def _bias_levels(rows: Rows, log_half: Array, log_tau: Array, log_delta: Array) -> Array:
    """Return ln ⌈(half-range + cτ)/δ⌉."""
    return log_ceil(np.logaddexp(log_half, shifted(rows, log_tau)) - log_delta)


def _solid(rows: Rows, log_budget: Array) -> Iterator[Cover]:
    """Yield covers of the whole cube of rows, or of its half b ≥ 0 where rows matter up to sign."""
    log_tau, log_delta = _split(rows, rows.fan_in, log_budget)
    whole = _bias_levels(rows, rows.log_bound, log_tau, log_delta)
    levels = _bias_levels(rows, rows.log_bound - math.log(2), log_tau, log_delta) if rows.signed else whole
    for name, words in cube_covers(rows.fan_in, rows.norm, rows.log_bound - log_tau):
        yield Cover(words + levels, log_tau, log_delta, words, whole, np.asarray(name))


def _faces(rows: Rows, log_budget: Array) -> Iterator[Cover]:
    """Yield covers of the boundary of the cube: faces |W_ij| = B, and faces |b_i| = B; one of each pair if signed.

    On a face |b_i| = B the shifted bias b' = ±B + cΣW is known up to ±cτ; or else the box is read from 0.
    """
    n, both = rows.fan_in, 0.0 if rows.signed else math.log(2)
    side_tau, side_delta = _split(rows, n - 1, log_budget)
    side_levels = _bias_levels(rows, rows.log_bound, side_tau, side_delta)
    end_tau, end_delta = _split(rows, n, log_budget)
    shifts = log_ceil(shifted(rows, end_tau) - end_delta)
    whole = _bias_levels(rows, rows.log_bound, end_tau, end_delta)
    far_tau = log_budget - np.logaddexp(rows.log_center, rows.log_radius)
    for (name, sides), (_, near), (_, far) in zip(
        cube_covers(n - 1, rows.norm, rows.log_bound - side_tau),
        cube_covers(n, rows.norm, rows.log_bound - end_tau),
        cube_covers(n, rows.norm, rows.log_bound - far_tau),
        strict=True,
    ):
        ends = np.where(rows.kinkless, _NOTHING, np.minimum(near + shifts, far))
        words = both + np.logaddexp(math.log(n) + sides + side_levels, ends)
        yield Cover(words, end_tau, end_delta, near, whole, np.asarray(f"{name}, faces"))
