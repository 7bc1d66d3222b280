r"""Check a cover, sharing no code with what built it.

Notation of :mod:`fnequiv.complexity.certificates`, steps of :mod:`fnequiv.complexity.cover`. Every number is computed
anew: the cells, the radius of each, its distance from its bend plus its polynomial, the boxes, the number of
centres, and the sum of all radii. Float64, with 1e-12 of the largest number involved as margin, far above what some
hundred operations of relative error 2^-53 can add up to. Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

from .certificates import Array, Cover, require

MARGIN = 1e-12


def verify_cover(cover: Cover) -> None:
    """Raise unless the balls about the centres of ``cover`` hold the whole class, and their number is as claimed.

    Raises
    ------
    CertificateError
        Naming what fails.
    """
    family, sigma = cover.family, cover.family.activation
    inputs, hidden, outputs = family.widths
    require(inputs <= 2 and outputs == 1, "a cover is of a class with d_0 <= 2 and one output")
    _check_shapes(cover)
    axis = np.linspace(-family.Bx, family.Bx, cover.grid.nodes)
    points = np.stack(np.meshgrid(*[axis] * inputs, indexing="ij"), axis=-1).reshape(-1, inputs)
    basis = _chebyshev_products(points / family.Bx, cover.degree)
    middles, steps, output, output_step = _cells(cover)

    features = sigma(middles[:, -1:] + sum(middles[:, k, None] * points[:, k] for k in range(inputs)))
    away = np.abs(features - cover.drifts @ basis).max(axis=1)
    reach = family.Bx * (np.abs(middles) + steps)[:, :-1].sum(axis=1) + np.abs(middles[:, -1]) + steps[:, -1]
    moved = sigma.lipschitz(reach) * (family.Bx * steps[:, :-1].sum(axis=1) + steps[:, -1])
    w, b, v = cover.bends[:, :inputs], cover.bends[:, inputs], cover.bends[:, -1]
    bends = v[:, None] * sigma(w @ points.T + b[:, None])
    margin = MARGIN * (np.abs(bends).max() + np.abs(features).max() * np.abs(output).max() + 1)

    assignment = cover.assignment.reshape(len(middles), len(output))
    parts = cover.parts.reshape(len(middles), len(output), len(basis))
    low = np.full((len(bends), len(basis)), np.inf)
    high = np.full((len(bends), len(basis)), -np.inf)
    for place, value in enumerate(output):
        gap = np.abs(value * features - bends[assignment[:, place]] - parts[:, place] @ basis).max(axis=1)
        radius = gap + output_step * away + (abs(value) + output_step) * moved
        worst = int(radius.argmax())
        require(
            bool(radius[worst] + margin <= cover.bend_radius),
            f"the neurons of cell {worst}, {place} may be {radius[worst]:.6g} from their bend, more than bend_radius",
        )
        drift = output_step * np.abs(cover.drifts)
        np.minimum.at(low, assignment[:, place], parts[:, place] - drift)
        np.maximum.at(high, assignment[:, place], parts[:, place] + drift)

    total = hidden * cover.bend_radius + cover.polynomial_radius + _between_nodes(cover)
    require(total <= cover.eps, f"the radii add up to {total!r}, more than eps = {cover.eps}")
    count = _log_count(cover, high - low)
    require(cover.log_size >= count - 1e-9, f"there are e^{count:.6f} centres, more than e^{cover.log_size:.6f}")


def _check_shapes(cover: Cover) -> None:
    inputs, grid = cover.family.widths[0], cover.grid
    require(min(grid.hidden, grid.output) >= 1 and grid.nodes >= 2 and cover.degree >= 0, "a count is too small")
    require(cover.bend_radius > 0 and cover.polynomial_radius > 0, "a radius is not positive")
    faces = 2 * (inputs + 1) if cover.family.activation.degree == 1 else grid.hidden
    cells, terms = faces * grid.hidden**inputs, math.comb(cover.degree + inputs, inputs)
    require(cover.drifts.shape == (cells, terms), f"drifts must have shape {(cells, terms)}, got {cover.drifts.shape}")
    shape = (cells * grid.output, terms)
    require(cover.parts.shape == shape, f"parts must have shape {shape}, got {cover.parts.shape}")
    require(cover.assignment.shape == shape[:1], "assignment must name a bend for every cell")
    used = np.unique(cover.assignment)
    complete = len(used) == len(cover.bends) and used[0] == 0 and used[-1] == len(used) - 1
    require(complete, "every bend must stand for a cell, and every cell must name a bend")


def _cells(cover: Cover) -> tuple[Array, Array, Array, float]:
    """Return middles and half-widths of the cells of (w, b), and of v, in the order that the certificate uses."""
    family, count = cover.family, cover.grid.hidden
    inputs, B = family.widths[0], family.B
    homogeneous = family.activation.degree == 1
    ticks = [Fraction(2 * k + 1 - count, count) for k in range(count)]
    middles: list[list[float]] = []
    steps: list[list[float]] = []
    if homogeneous:
        for place, side in itertools.product(range(inputs + 1), (-1.0, 1.0)):
            for rest in itertools.product(map(float, ticks), repeat=inputs):
                middles.append([*rest[:place], side, *rest[place:]])
                steps.append([0.0 if k == place else 1 / count for k in range(inputs + 1)])
    else:
        middles = [[B * float(tick) for tick in cell] for cell in itertools.product(ticks, repeat=inputs + 1)]
        steps = [[B / count] * (inputs + 1)] * len(middles)
    largest = B * B if homogeneous else B
    output = np.array([largest * (2 * k + 1 - cover.grid.output) / cover.grid.output for k in range(cover.grid.output)])
    # A hair wider, so that neighbours overlap although their middles are rounded.
    return np.array(middles), np.array(steps) * (1 + 1e-14), output, largest / cover.grid.output * (1 + 1e-14)


def _chebyshev_products(points: Array, degree: int) -> Array:
    """Return T_i(x) or T_i(x) T_j(y), i + j ≤ degree, j counting faster, by T_n(x) = 2x T_{n-1}(x) - T_{n-2}(x)."""
    singles = []
    for coordinate in points.T:
        values = [np.ones_like(coordinate), coordinate]
        while len(values) <= degree:
            values.append(2 * coordinate * values[-1] - values[-2])
        singles.append(values[: degree + 1])
    if len(singles) == 1:
        return np.array(singles[0])
    return np.array([singles[0][i] * singles[1][j] for i in range(degree + 1) for j in range(degree + 1 - i)])


def _between_nodes(cover: Cover) -> float:
    """Return d_0 ωh/4, step 4 of :mod:`fnequiv.complexity.cover`."""
    family, sigma = cover.family, cover.family.activation
    inputs, hidden, _ = family.widths
    steepest = sigma.lipschitz(family.B * (inputs * family.Bx + 1))
    reflected = sigma.reflection is not None and sigma.reflection.sign == 1
    interval = 2 * steepest - (abs(sigma.reflection.slope) if sigma.reflection and reflected else 0.0)
    return inputs * hidden * family.B**2 * interval * (2 * family.Bx / (cover.grid.nodes - 1)) / 4


def _log_count(cover: Cover, lengths: Array) -> float:
    """Return the log of the number of centres, multiset by multiset in integers."""
    hidden, bends = cover.family.widths[1], len(lengths)
    step = 2 * cover.polynomial_radius / lengths.shape[1]

    def points(length: list[float]) -> int:
        """Return the number of grid points in a box with these sides."""
        length = [length[0] + 2 * cover.family.B, *length[1:]]
        return math.prod(max(1, math.ceil(entry / step)) for entry in length)

    if math.comb(bends + hidden - 1, hidden) > 1_000_000:
        largest = points([hidden * float(entry) for entry in lengths.max(axis=0)])
        return math.log(math.comb(bends + hidden - 1, hidden) * largest)
    rows = lengths.tolist()
    chosen = itertools.combinations_with_replacement(rows, hidden)
    return math.log(sum(points([sum(entry) for entry in zip(*group, strict=True)]) for group in chosen))
