r"""The probability that a start falls near a copy, estimated: by plain sampling, and where that never hits.

Notation of :mod:`fnequiv.optimization.cubes`: r = δ/2, U is the union of the cubes C(Pθ̂) over all P of the group G of
Π_l d_l! permutations, π the density of a start, and K(θ) the number of P with θ ∈ C(Pθ̂), so U = {K > 0}. Neither
estimate knows d_l*, the product of probabilities or the normal distribution function: both look at points and count.

**Plain.** Draw starts, count those in U; the interval of the share is binomial (Clopper-Pearson's, or Wilson's).

**Rare.** Draw P uniformly from G, then θ near Pθ̂ of a density q_P that is positive on π's support in C(Pθ̂). Then

    w = |G| π(θ) 1[θ ∈ C(Pθ̂)] / (q_P(θ) K(θ))  has the mean  Σ_P ∫_{C(Pθ̂)} π/K = ∫_U π:

each point of U is counted K(θ) times, with weight 1/K(θ). So w is unbiased however small the probability is, cubes may
overlap, and ties need no care. q_P lives on a cube a little wider than C(Pθ̂), in which uniform laws are uniform and
normal ones are logistic, which has an explicit inverse and bounded weights. The wider the cube, the more points miss;
about one in e hits if it is wider by 1/S. Weights are summed in log space; the standard error is that of their mean.

Methods: Clopper and Pearson (1934), Wilson (1927); importance sampling is textbook (Owen 2013, chapter 9). They check
the theorem of section 5.2 in Shen (2024). Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp, ndtri
from scipy.stats import binomtest
from tqdm import tqdm

from ..validation import check_bool, check_integer, check_real, shown
from .cubes import check_cubes, laws_of
from .laws import Array, Law
from .membership import permuted, union
from .rows import Network, Params
from .schemes import Scheme, check_rng, get, uniform

__all__ = ["RareEstimate", "Share", "estimate_rare", "monte_carlo"]

_ENTRIES = 2**20  # numbers of a chunk: its memory, whatever n is


@dataclass(frozen=True)
class Share:
    """A share of starts with its confidence interval: ``hits`` of ``n`` fell into U."""

    hits: int
    n: int
    value: float
    low: float
    high: float


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


def monte_carlo(
    params: Params,
    scheme: str | Scheme,
    n: int,
    rng: np.random.Generator,
    *,
    delta: float | None = None,
    confidence: float = 0.99,
    method: str = "exact",
    progress: bool = False,
) -> Share:
    """Draw n starts and return the share that falls within δ/2 of a permuted copy of ``params``.

    Parameters
    ----------
    params, scheme, delta
        θ̂, the law of a start, and δ ≤ Δ_min, as in :func:`~fnequiv.optimization.cubes.log_start_probability`.
    n
        Number of starts; memory does not grow with it.
    rng
        The only source of randomness.
    confidence
        Of the interval.
    method
        ``"exact"`` (Clopper-Pearson) or ``"wilson"``.
    progress
        Show a progress bar on standard error.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is outside its range, or ties have too many orders.

    Examples
    --------
    >>> import torch
    >>> theta = {"0.weight": torch.tensor([[-0.5], [0.5]]), "2.weight": torch.tensor([[0.1, 0.2]])}
    >>> found = monte_carlo(theta, "pytorch", 10_000, np.random.default_rng(0), delta=0.8)  # 2! · 0.4² · 0.32 = 0.1024
    >>> found.hits, found.low < 0.1024 < found.high
    (1071, True)
    """
    network, _, edge = check_cubes(params, delta)
    drawn, n, level = _check(scheme, rng, n, confidence)
    if method not in ("exact", "wilson"):
        raise ValueError(f"method must be 'exact' or 'wilson', got {shown(method)}")
    cubes, laws = union(network, edge / 2), laws_of(network, drawn)
    hits = 0
    for count in _chunks(network, n, progress):
        pairs = zip(laws, network.tensors, strict=True)
        starts = [law.quantile(uniform(rng, (count, *tensor.shape))) for law, tensor in pairs]
        hits += int(np.isfinite(cubes.log_copies_near(_like(network, starts))).sum())
    interval = binomtest(hits, n).proportion_ci(level, method)
    return Share(hits, n, hits / n, float(interval.low), float(interval.high))


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
        As in :func:`monte_carlo`.
    n
        Number of points; memory does not grow with it.
    widening
        The cubes that points are drawn from are 1 + ``widening`` times as wide as those that count; by default 1/S.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is outside its range, or ties have too many orders.

    Examples
    --------
    >>> import torch
    >>> theta = {"0.weight": torch.tensor([[-0.5], [0.5]]), "2.weight": torch.tensor([[0.1, 0.2]])}
    >>> found = estimate_rare(theta, "pytorch", 10_000, np.random.default_rng(0), delta=2e-8)  # 4e-32
    >>> abs(math.exp(found.log_value) / 4e-32 - 1) < 0.05, found.relative_error < 0.02
    (True, True)
    """
    network, _, edge = check_cubes(params, delta)
    drawn, n, level = _check(scheme, rng, n, confidence)
    wider = 1 / network.size if widening is None else check_real("widening", widening)
    if wider < 0:
        raise ValueError(f"widening must be >= 0, got {wider}: the cubes drawn from hold those that count")
    cubes, laws = union(network, edge / 2), laws_of(network, drawn)
    log_group = sum(float(gammaln(len(network.weights[layer]) + 1)) for layer in network.hidden)
    hits, sums, squares = 0, [-np.inf], [-np.inf]
    for count in _chunks(network, n, progress):
        points, ratio, own = _near_copies(network, laws, (edge / 2, edge / 2 * (1 + wider)), count, rng)
        near = _like(network, [tensor[own] for tensor in points.tensors])
        weights = log_group + ratio[own] - cubes.log_copies_near(near)
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
    return _like(network, points), ratio, own & np.isfinite(ratio)


def _like(network: Network, tensors: list[Array]) -> Network:
    """Return tensors in the order of ``network.tensors`` as a network."""
    rest = iter(tensors)
    pairs = [(next(rest), None if bias is None else next(rest)) for bias in network.biases]
    weights, biases = zip(*pairs, strict=True)
    return Network(weights, biases)


def _summary(hits: int, n: int, log_sum: float, log_squares: float, confidence: float) -> RareEstimate:
    """Return mean and standard error of n weights from the logs of their sum and of the sum of their squares."""
    if not hits:
        return RareEstimate(-math.inf, math.inf, -math.inf, math.inf, 0, n)
    log_value = log_sum - math.log(n)
    error = math.sqrt(max(0.0, n * math.exp(log_squares - 2 * log_sum) - 1) / (n - 1))
    margin = float(ndtri(0.5 + confidence / 2)) * error
    return RareEstimate(log_value, error, log_value - margin, log_value + margin, hits, n)


def _check(scheme: str | Scheme, rng: np.random.Generator, n: int, confidence: float) -> tuple[Scheme, int, float]:
    check_rng(rng)
    level = check_real("confidence", confidence)
    if not 0 < level < 1:
        raise ValueError(f"confidence must be in (0, 1), got {level}: 0.99, say")
    return get(scheme), check_integer("n", n, minimum=2), level


def _chunks(network: Network, n: int, progress: bool) -> Iterator[int]:
    """Yield the sizes of chunks that sum to n, small enough for the starts and their distances to the rows."""
    check_bool("progress", progress)
    size = max(1, _ENTRIES // (network.size + max((len(network.weights[k]) ** 2 for k in network.hidden), default=0)))
    with tqdm(total=n, desc="starts", disable=not progress) as bar:
        for start in range(0, n, size):
            count = min(size, n - start)
            yield count
            bar.update(count)
