r"""An upper bound on a covering number: functions whose ε-balls cover every shallow network of the class.

Notation of :mod:`fnequiv.complexity.certificates`; F = {c + Σ_{i=1}^{d_1} v_i σ(w_i·x + b_i)}, all parameters in
[-B, B], one output. A neuron with bounded weights is nearly a polynomial of low degree, and the polynomials of all
neurons add up to one. So cover only the *bends*, neurons modulo polynomials, and cover the network's polynomial once.

1. *Cells.* Cut the box of (w, b) into cells of half-width δ, and that of v into cells of half-width δ_v. If σ is
   positively homogeneous, v σ(w·x + b) = u σ(ŵ·x + b̂) with max(|ŵ|_∞, |b̂|) = 1 and |u| ≤ B²: cut the faces of the
   unit cube instead, one dimension fewer. Let φ = σ(w·x + b) at the middle of a cell and π a polynomial near φ. Every
   neuron of the cell is vφ + tπ with |t| ≤ δ_v, to within r = δ_v ‖φ - π‖ + (|v| + δ_v) ρ (B_x Σ_k δ_{w,k} + δ_b).
2. *Bends.* Choose neurons ψ_1, …, ψ_n greedily so that every cell has one with ‖vφ - ψ - α‖ + r ≤ ε_1, α a polynomial.
   For each bend record a box that holds the coefficients of α + tπ for all its cells.
3. *Sums.* A network is Σ ψ_{k_i}, for a multiset of d_1 bends, plus a polynomial whose coefficients lie in the sum of
   their boxes and of [-B, B] (for c), to within d_1 ε_1. Chebyshev polynomials are at most 1, so a grid of step
   2ε_p/k in each of k coefficients covers it to within ε_p. Count multisets times points of their grids.
4. *Between nodes.* All this is done at the nodes of a grid of step h on the cube |x|_∞ ≤ B_x, and centres are
   interpolated multilinearly. If every ∂f/∂x_k stays in an interval of length ω, f is within d_0 ωh/4 of its own
   interpolant. So d_1 ε_1 + ε_p + d_0 ωh/4 ≤ ε suffices.

The length ω: σ' ∈ [-ρ, ρ], and if σ(-x) = σ(x) + sx + k then σ'(x) = -s - σ'(-x), so σ' lies in an interval of length
2ρ - |s| (1 for ReLU), and ω = d_1 B² (2ρ - |s|). Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np

from ..activations import Activation
from ..validation import check_integer
from .certificates import Array, Cover, NetworkClass, check_search
from .greedy import greedy_cover, spread
from .neurons import (
    NeuronCells,
    check_coverable,
    choose_grid,
    interpolation_error,
    neuron_cells,
    node_grid,
    polynomial_basis,
    reach,
)

# What is tried: degrees of the polynomials, and the part of ε that the bends may take.
DEGREES = (1, 0, 2, 3)
SHARES = (0.7, 0.55, 0.4)
# Beyond so many multisets one box that holds all of them is counted for each.
MAX_MULTISETS = 1_000_000
# Rounding errors stay below this part of the numbers involved: some hundred operations of relative error 2^-53.
ROUNDING = 1e-12


def cover(
    widths: tuple[int, int, int],
    *,
    B: float,
    Bx: float,
    activation: str | Activation,
    eps: float,
    rng: np.random.Generator,
    domain: str = "l2",
    cells: int = 60_000,
) -> Cover:
    """Build a cover of a class of networks with one hidden layer, one or two inputs, and one output.

    Parameters
    ----------
    widths
        (d_0, d_1, 1) with d_0 ≤ 2 and any d_1.
    B, Bx
        Bounds on parameters and inputs, > 0.
    activation
        Name or :class:`~fnequiv.activations.Activation`, Lipschitz on the range it sees.
    eps
        Radius ε > 0 of the balls.
    rng
        Samples the greedy algorithm's candidates; the only source of randomness.
    domain
        ``"l2"``: ‖x‖_2 ≤ B_x; ``"linf"``: ‖x‖_∞ ≤ B_x. The cover holds on the cube, hence on the ball.
    cells
        About how many cells to cut the neurons' parameters into; more make the cover smaller and the work longer.

    Returns
    -------
    Cover
        :func:`fnequiv.complexity.bracket.verify` checks it independently.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is outside its range, or if the cells or nodes are too coarse for ε.

    Examples
    --------
    >>> found = cover((1, 1, 1), B=1, Bx=1, activation="relu", eps=0.5, rng=np.random.default_rng(0), cells=6000)
    >>> 3 < found.log_size < 6
    True
    """
    family, eps = check_search(widths, B, Bx, activation, eps, domain, rng)
    check_integer("cells", cells, minimum=100)
    check_coverable(family)
    found = min(_covers(family, eps, cells, rng), key=lambda cover: cover.log_size, default=None)
    if found is None:
        raise ValueError(
            f"eps = {eps} is too small for {cells} cells and {widths[1]} hidden neurons of {family.activation.name}: "
            "raise eps or cells, or use orbit_bound"
        )
    return found


def _covers(family: NetworkClass, eps: float, cells: int, rng: np.random.Generator) -> Iterator[Cover]:
    """Yield covers for several degrees and shares; one that cannot beat those before it is given up."""
    grid = choose_grid(family, cells)
    hidden = family.widths[1]
    rounding = ROUNDING * _magnitude(family)
    at_nodes = eps - interpolation_error(family, grid.nodes) - (hidden + 2) * rounding
    points = node_grid(family, grid.nodes)
    neurons = neuron_cells(family, grid)
    values, least = neurons.values(), math.inf
    for degree in DEGREES:
        basis = polynomial_basis(points, family.Bx, degree)
        drifts, residual = _near(neurons.features, basis)
        radii = neurons.radii(residual)
        for share in SHARES:
            bend_radius = share * at_nodes / hidden
            if at_nodes <= 0 or radii.max() > bend_radius:
                continue
            greedy = greedy_cover(values, radii, bend_radius, basis, rng, _most_bends(hidden, least))
            if greedy is None:
                continue
            bends = neurons.middles()[greedy.representatives]
            draft = Cover(
                family=family,
                eps=eps,
                grid=grid,
                degree=degree,
                bends=bends,
                assignment=greedy.assignment,
                parts=greedy.shift,
                drifts=drifts,
                bend_radius=bend_radius + rounding,
                polynomial_radius=(1 - share) * at_nodes,
                log_size=math.nan,
            )
            log_size = _log_count(draft, neurons)
            least = min(least, log_size)
            yield replace(draft, log_size=log_size)


def _magnitude(family: NetworkClass) -> float:
    """Return a number that nothing met on the way exceeds: 4(B + d_1 B (ρZ + |σ(0)|))."""
    sigma, Z = family.activation, reach(family)
    return 4 * (family.B + family.widths[1] * max(1.0, family.B) * (sigma.lipschitz(Z) * Z + abs(sigma.at_zero)))


def _near(features: Array, basis: Array) -> tuple[Array, Array]:
    """Return, for every row, the coefficients of a polynomial near it, and its sup distance."""
    parts = features @ np.linalg.pinv(basis)
    residual, middle = spread(features - parts @ basis)
    parts[:, 0] += middle
    return parts, residual


def _most_bends(hidden: int, log_size: float) -> float:
    """Return an n from which on the multisets of n bends alone outnumber e^log_size."""
    if math.isinf(log_size):
        return math.inf
    return (math.exp(min(700.0, log_size)) * math.factorial(hidden)) ** (1 / hidden)  # C(n+d-1, d) >= n^d/d!


def _log_count(cover: Cover, neurons: NeuronCells) -> float:
    """Return the log of the number of centres: multisets of bends times points of their grids."""
    moved = neurons.half_width * np.abs(np.repeat(cover.drifts, len(neurons.output), axis=0))
    low = np.full((len(cover.bends), cover.parts.shape[1]), np.inf)
    high = -low
    np.minimum.at(low, cover.assignment, cover.parts - moved)
    np.maximum.at(high, cover.assignment, cover.parts + moved)
    hidden, bends = cover.family.widths[1], len(cover.bends)
    multisets = math.comb(bends + hidden - 1, hidden)
    if multisets > MAX_MULTISETS:
        return math.log(multisets) + float(_log_points(cover, hidden * (high.max(axis=0) - low.min(axis=0))))
    chosen = np.array(list(combinations_with_replacement(range(bends), hidden)))
    log_points = _log_points(cover, (high - low)[chosen].sum(axis=1))
    return float(np.logaddexp.reduce(log_points))


def _log_points(cover: Cover, lengths: Array) -> Array:
    """Return the log of the number of grid points that a box of coefficients needs, the bias c added to it."""
    lengths = lengths + np.eye(1, lengths.shape[-1])[0] * 2 * cover.family.B
    step = 2 * cover.polynomial_radius / lengths.shape[-1]
    # A hair more than needed, so that rounding never leaves a gap.
    return np.asarray(np.log(np.maximum(1.0, np.ceil(lengths / step * (1 + 1e-12)))).sum(axis=-1))
