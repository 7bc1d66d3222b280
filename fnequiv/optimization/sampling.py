r"""The probability that a start falls near a copy, by plain sampling.

Notation of :mod:`fnequiv.optimization.cubes`: r = δ/2, U is the union of the cubes of radius r around all copies of θ̂.
Draw starts, and count those in U as :mod:`fnequiv.optimization.membership` finds them; the interval of the share is
binomial, Clopper and Pearson's (1934) or Wilson's (1927). Nothing of the product formula is used, so this checks the
theorem on initialisation in section 5.2 of Shen (2024), where U is hit at all. Where it is not,
:mod:`fnequiv.optimization.rare` has an estimate. Chapter: "Optimisation".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from ..validation import check_bool, check_integer, check_probability, shown
from .cubes import check_cubes, laws_of
from .laws import Array
from .membership import union
from .rows import Network, Params
from .schemes import Scheme, check_rng, get, uniform

__all__ = ["Share", "monte_carlo"]

ENTRIES = 2**20  # numbers of a chunk: its memory, whatever n is


@dataclass(frozen=True)
class Share:
    """A share of starts with its confidence interval: ``hits`` of ``n`` fell into U."""

    hits: int
    n: int
    value: float
    low: float
    high: float


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
    drawn, n, level = check_sampling(scheme, rng, n, confidence)
    if not isinstance(method, str) or method not in ("exact", "wilson"):
        raise ValueError(f"method must be 'exact' or 'wilson', got {shown(method)}")
    cubes, laws = union(network, edge / 2), laws_of(network, drawn)
    hits = 0
    for count in chunks(network, n, progress):
        pairs = zip(laws, network.tensors, strict=True)
        starts = [law.quantile(uniform(rng, (count, *tensor.shape))) for law, tensor in pairs]
        hits += int(np.isfinite(cubes.log_copies_near(like(network, starts))).sum())
    interval = binomtest(hits, n).proportion_ci(level, method)
    return Share(hits, n, hits / n, float(interval.low), float(interval.high))


def like(network: Network, tensors: list[Array]) -> Network:
    """Return tensors in the order of ``network.tensors`` as a network.

    Examples
    --------
    >>> like(Network((np.ones((1, 2)),), (None,)), [np.zeros((5, 1, 2))]).weights[0].shape
    (5, 1, 2)
    """
    rest = iter(tensors)
    pairs = [(next(rest), None if bias is None else next(rest)) for bias in network.biases]
    weights, biases = zip(*pairs, strict=True)
    return Network(weights, biases)


def check_sampling(
    scheme: str | Scheme, rng: np.random.Generator, n: int, confidence: float
) -> tuple[Scheme, int, float]:
    """Return the scheme, the number of draws and the level of confidence.

    Raises
    ------
    TypeError, ValueError
        If one of them is of the wrong type or out of its range.

    Examples
    --------
    >>> check_sampling("pytorch", np.random.default_rng(0), 10, 0.99)[1:]
    (10, 0.99)
    """
    check_rng(rng)
    level = check_probability("confidence", confidence)
    return get(scheme), check_integer("n", n, minimum=2), level


def chunks(network: Network, n: int, progress: bool) -> Iterator[int]:
    """Yield the sizes of chunks that sum to n, small enough for the starts and their distances to the rows.

    Examples
    --------
    >>> list(chunks(Network((np.ones((1, 2**18)),), (None,)), 10, False))
    [4, 4, 2]
    """
    check_bool("progress", progress)
    size = max(1, ENTRIES // (network.size + max((len(network.weights[k]) ** 2 for k in network.hidden), default=0)))
    with tqdm(total=n, desc="starts", disable=not progress) as bar:
        for start in range(0, n, size):
            count = min(size, n - start)
            yield count
            bar.update(count)
