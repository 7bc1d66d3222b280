r"""The probability that a start falls near a copy, where plain sampling never hits: importance sampling.

Notation of :mod:`fnequiv.optimization.cubes`: r = δ/2, G is the group of all Π_l d_l! permutations, C(Pθ̂) the open cube
of radius r around Pθ̂, U their union, π the density of a start, and K(θ) the number of P ∈ G with θ ∈ C(Pθ̂), so that
U = {K > 0}. Draw P uniformly from G, then θ near Pθ̂ of a density q_P that is positive on π's support in C(Pθ̂). Then

    w = |G| π(θ) 1[θ ∈ C(Pθ̂)] / (q_P(θ) K(θ))  has the mean  Σ_P ∫_{C(Pθ̂)} π/K = ∫_U π:

each point of U is reached from K(θ) permutations, with weight 1/K(θ). So w is unbiased however small the probability
is, and ties need no care. Neither d_l*, nor the product of probabilities, nor the normal distribution function enters:
points are drawn, their densities evaluated and their permutations counted.

q_P lives on a cube a little wider than C(Pθ̂). Uniform parameters are uniform in it; normal ones are logistic, which
has an explicit inverse and bounded weights. The wider the cube, the more points miss; about one in e hits if it is
wider by 1/S. Weights are summed in log space; the standard error is that of their mean.

Source: importance sampling is textbook (Owen 2013, chapter 9). It checks the theorem on initialisation in section 5.2
of Shen (2024). Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp, ndtri

from ..validation import check_real
from .cubes import check_cubes, laws_of
from .laws import Array, Law
from .membership import permuted, union
from .rows import Network, Params
from .sampling import check_sampling, chunks, like
from .schemes import Scheme, uniform

__all__ = ["RareEstimate", "estimate_rare"]

RESOLUTION = 2.0**-30  # the least radius, against the largest parameter, within which float64 tells points apart


@dataclass(frozen=True)
class RareEstimate:
    """An estimate of a small probability, in nats.

    Attributes
    ----------
    log_value
        ln of the estimate; -inf if no point hit.
    relative_error
        Standard error of the estimate, divided by it; infinite without a hit.
    log_low, log_high
        The confidence interval on the log scale (from the central limit theorem).
    hits, n
        How many of the points fell into their cube with a positive weight.
    """

    log_value: float
    relative_error: float
    log_low: float
    log_high: float
    hits: int
    n: int


def estimate_rare(
    params: Params,
    scheme: str | Scheme,
    n: int,
    rng: np.random.Generator,
    *,
    delta: float | None = None,
    confidence: float = 0.99,
    widening: float | None = None,
    progress: bool = False,
) -> RareEstimate:
    """Estimate by importance sampling the probability that a start falls within δ/2 of a copy of ``params``.

    Parameters
    ----------
    params, scheme, delta, rng, confidence, progress
        As in :func:`~fnequiv.optimization.sampling.monte_carlo`.
    n
        Number of points; memory does not grow with it.
    widening
        The cubes that points are drawn from are 1 + ``widening`` times as wide as those that count; by default 1/S.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is outside its range, ties have too many orders, or δ is too small for float64.

    Examples
    --------
    >>> import torch
    >>> theta = {"0.weight": torch.tensor([[-0.5], [0.5]]), "2.weight": torch.tensor([[0.1, 0.2]])}
    >>> found = estimate_rare(theta, "pytorch", 10_000, np.random.default_rng(0), delta=2e-8)  # 4e-32
    >>> abs(math.exp(found.log_value) / 4e-32 - 1) < 0.05, found.relative_error < 0.02
    (True, True)
    """
    network, _, edge = check_cubes(params, delta)
    drawn, n, level = check_sampling(scheme, rng, n, confidence)
    wider = 1 / network.size if widening is None else check_real("widening", widening)
    if wider < 0:
        raise ValueError(f"widening must be >= 0, got {wider}: the cubes drawn from hold those that count")
    largest = max(float(np.abs(tensor).max()) for tensor in network.tensors)
    if edge / 2 < RESOLUTION * largest:
        raise ValueError(f"delta must be >= {2 * RESOLUTION * largest:.3g}, got {edge!r}: float64 rounds points away")
    cubes, laws = union(network, edge / 2), laws_of(network, drawn)
    log_group = sum(float(gammaln(len(network.weights[layer]) + 1)) for layer in network.hidden)
    hits, sums, squares = 0, [-np.inf], [-np.inf]
    for count in chunks(network, n, progress):
        points, ratio, own = _near_copies(network, laws, (edge / 2, edge / 2 * (1 + wider)), count, rng)
        near = like(network, [tensor[own] for tensor in points.tensors])
        copies = cubes.log_copies_near(near)
        weights = (log_group + ratio[own] - copies)[np.isfinite(copies)]
        hits += weights.size
        if weights.size:
            sums.append(float(logsumexp(weights)))
            squares.append(float(logsumexp(2 * weights)))
    return _summary(hits, n, float(logsumexp(sums)), float(logsumexp(squares)), level)


def _near_copies(
    network: Network, laws: list[Law], edges: tuple[float, float], count: int, rng: np.random.Generator
) -> tuple[Network, Array, npt.NDArray[np.bool_]]:
    """Return points near random copies, ln(π/q) there, and which are in the cube of their own copy.

    ``edges`` are the half-length of the cubes that count and of those that points are drawn from.
    """
    widths = [len(network.weights[layer]) for layer in network.hidden]
    orders = tuple(rng.permuted(np.tile(np.arange(width), (count, 1)), axis=1) for width in widths)
    copies = permuted(network, orders)
    ratio, own, points = np.zeros(count), np.ones(count, dtype=bool), []
    for law, original, copy in zip(laws, network.tensors, copies.tensors, strict=True):
        shape = (count, *original.shape)
        centre = np.broadcast_to(copy, shape)  # the output bias is one for all copies
        point, part = law.near(centre, edges[1], uniform(rng, shape))
        axes = tuple(range(1, point.ndim))
        ratio += part.sum(axis=axes)
        own &= (np.abs(point - centre) < edges[0]).all(axis=axes)
        points.append(point)
    return like(network, points), ratio, own & np.isfinite(ratio)


def _summary(hits: int, n: int, log_sum: float, log_squares: float, confidence: float) -> RareEstimate:
    """Return mean and standard error of n weights from the logs of their sum and of the sum of their squares."""
    if not hits:
        return RareEstimate(-math.inf, math.inf, -math.inf, math.inf, 0, n)
    log_value = log_sum - math.log(n)
    error = math.sqrt(max(0.0, n * math.exp(log_squares - 2 * log_sum) - 1) / (n - 1))
    margin = float(ndtri(0.5 + confidence / 2)) * error
    return RareEstimate(log_value, error, log_value - margin, log_value + margin, hits, n)
