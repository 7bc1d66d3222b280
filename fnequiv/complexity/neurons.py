r"""Cells of neurons: finitely many v σ(w·x + b) that stand for all of them, each with a certified radius.

Notation and steps of :mod:`fnequiv.complexity.cover`. Two neurons of one cell, (w, b, v) its middle and φ = σ(w·x + b):

    v' φ' - vφ = (v' - v) φ + v' (φ' - φ),   |φ' - φ| ≤ ρ (B_x Σ_k δ_{w,k} + δ_b),

and (v' - v) φ is t π + t (φ - π) for a polynomial π near φ, |t| ≤ δ_v. Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from .certificates import Array, Grid, NetworkClass


def check_coverable(family: NetworkClass) -> None:
    """Raise unless the class has one hidden layer, at most two inputs, one output, and a Lipschitz activation."""
    if len(family.widths) != 3 or family.widths[0] > 2 or family.widths[2] != 1:
        raise ValueError(
            f"a cover needs widths (d_0, d_1, 1) with d_0 <= 2, got {family.widths}: "
            "packing works for any widths, and orbit_bound gives an upper bound"
        )
    if not np.isfinite(family.activation.lipschitz(reach(family))):
        raise ValueError(f"activation must be Lipschitz on the range it sees, got {family.activation.name!r}")


def reach(family: NetworkClass) -> float:
    """Return Z = B(d_0 B_x + 1), the largest |w·x + b| on the cube."""
    return family.B * (family.widths[0] * family.Bx + 1)


def node_grid(family: NetworkClass, nodes: int) -> Array:
    """Return the nodes of the cube [-B_x, B_x]^{d_0}, ``nodes`` a coordinate, as [m, d_0]."""
    axis = np.linspace(-family.Bx, family.Bx, nodes)
    return np.array(list(product(axis, repeat=family.widths[0])))


def polynomial_basis(points: Array, Bx: float, degree: int) -> Array:
    """Return the products of Chebyshev polynomials T_i(x_1/B_x) T_j(x_2/B_x), i + j ≤ degree, as [k, m].

    The first is 1, and none exceeds 1 on the cube.
    """
    single = np.polynomial.chebyshev.chebvander(points / Bx, degree)  # [m, d_0, degree + 1]
    powers = [power for power in product(range(degree + 1), repeat=points.shape[1]) if sum(power) <= degree]
    return np.array([np.prod([single[:, k, n] for k, n in enumerate(power)], axis=0) for power in powers])


def interpolation_error(family: NetworkClass, nodes: int) -> float:
    """Return d_0 ωh/4: how far a network of the class may be from its multilinear interpolant at the nodes."""
    sigma, inputs, hidden = family.activation, *family.widths[:2]
    length = 2 * sigma.lipschitz(reach(family))
    if sigma.reflection is not None and sigma.reflection.sign == 1:
        length -= abs(sigma.reflection.slope)
    step = 2 * family.Bx / (nodes - 1)
    return inputs * hidden * family.B**2 * length * step / 4


@dataclass(frozen=True)
class NeuronCells:
    """All cells, those of (w, b) times those of v; the latter count faster.

    Attributes
    ----------
    hidden
        [h, d_0 + 1], the middles of the cells of (w, b).
    output, half_width
        [k], the middles of the cells of v, and δ_v.
    features
        [h, m], φ at the nodes.
    moved
        [h], how far φ may move within its cell: ρ (B_x Σ_k δ_{w,k} + δ_b).
    """

    hidden: Array
    output: Array
    half_width: float
    features: Array
    moved: Array

    def values(self) -> Array:
        """Return vφ at the nodes, for every cell."""
        return (self.features[:, None, :] * self.output[:, None]).reshape(-1, self.features.shape[1])

    def radii(self, residual: Array) -> Array:
        """Return, for every cell, how far its neurons are from vφ + tπ, given ‖φ - π‖ for every cell of (w, b)."""
        largest = np.abs(self.output) + self.half_width
        return (self.half_width * residual[:, None] + largest * self.moved[:, None]).ravel()

    def middles(self) -> Array:
        """Return (w, b, v), for every cell."""
        hidden = np.repeat(self.hidden, len(self.output), axis=0)
        return np.column_stack([hidden, np.tile(self.output, len(self.hidden))])


def choose_grid(family: NetworkClass, cells: int) -> Grid:
    """Choose about ``cells`` cells; v needs few, because what it changes is mostly a polynomial."""
    inputs = family.widths[0]
    nodes = 129 if inputs == 1 else 21
    if family.activation.positively_homogeneous:
        output = 40
        return Grid(max(1, round((cells / output / (2 * inputs + 2)) ** (1 / inputs))), output, nodes)
    output = 10
    return Grid(max(1, round((cells / output) ** (1 / (inputs + 1)))), output, nodes)


def neuron_cells(family: NetworkClass, grid: Grid) -> NeuronCells:
    """Cut the neurons of the class into cells.

    The order is part of the certificate. Homogeneous σ: the faces of the unit cube of (w, b), coordinate by
    coordinate, first the face at -1 and then that at 1; else the whole cube. Within a face or cube the last
    coordinate counts fastest, and v faster still.
    """
    inputs, sigma = family.widths[0], family.activation
    axis = (2 * np.arange(grid.hidden) + 1) / grid.hidden - 1
    if sigma.positively_homogeneous:
        face = np.array(list(product(axis, repeat=inputs)))
        sides = [(place, side) for place in range(inputs + 1) for side in (-1.0, 1.0)]
        hidden = np.concatenate([np.insert(face, place, side, axis=1) for place, side in sides])
        on_side = np.repeat(np.eye(inputs + 1, dtype=bool), 2 * len(face), axis=0)
        steps = np.where(on_side, 0.0, 1.0 / grid.hidden)
        largest = family.B**2
    else:
        hidden = family.B * np.array(list(product(axis, repeat=inputs + 1)))
        steps = np.full(hidden.shape, family.B / grid.hidden)
        largest = family.B
    output = largest * ((2 * np.arange(grid.output) + 1) / grid.output - 1)
    points = node_grid(family, grid.nodes)
    features = sigma(hidden[:, :-1] @ points.T + hidden[:, -1:])
    stretch = np.append(np.full(inputs, family.Bx), 1.0)
    moved = sigma.lipschitz((np.abs(hidden) + steps) @ stretch) * (steps @ stretch)
    return NeuronCells(hidden, output, largest / grid.output, features, moved)
