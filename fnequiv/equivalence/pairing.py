"""Pair the rows of two matrices that agree within errors, and say which pairs are forced.

Notation. Row p of b and row i of a are *compatible* if |b_pj - a_ij| ≤ allowed_pj for every j (or so after the
leading ``bound`` columns of a changed sign, where that is allowed). Compatible rows have near projections on any ray,
so a sort and a window find all compatible pairs of many rows in little time. A perfect matching in this graph of
pairs is found or excluded (Hall's theorem). Two perfect matchings differ by cycles, so a pair is forced if it is a
strongly connected component of its own in the graph p → q, "p is compatible with the partner of q".

Chapter: "Telling networks apart".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching, min_weight_full_bipartite_matching
from scipy.spatial.distance import cdist

from .axes import FloatArray

IntArray = npt.NDArray[np.int64]

# Random projections: one sorts, the others sift pairs before whole rows are compared.
_RAYS = 4
# Compatible pairs are compared entry by entry in pieces of so many entries; beyond _MOST_ENTRIES in all they are not.
_PIECE = 1 << 20
_MOST_ENTRIES = 1 << 28
# Projections are computed with this relative error at most.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class Pairing:
    """Row p of b goes with row ``partner[p]`` of a, times ``signs[p]``.

    ``groups`` are the sets of rows of b among which other partners are compatible as well; ``either`` marks rows that
    are compatible with both signs. ``lonely`` (then nothing else counts) is a row of b without a partner: of all rows
    that could not be matched the one that is furthest from any row of a, ``distance`` away.
    """

    partner: IntArray
    signs: FloatArray
    groups: tuple[IntArray, ...] = ()
    either: npt.NDArray[np.bool_] | None = None
    lonely: int | None = None
    distance: float = 0.0


def pair(a: FloatArray, b: FloatArray, allowed: FloatArray, bound: int, *, signed: bool) -> Pairing | None:
    """Return the pairing of all rows, or None if there are too many compatible pairs to look at.

    Examples
    --------
    >>> a, b = np.array([[1.0], [2.0]]), np.array([[2.01], [0.99]])
    >>> pair(a, b, np.full((2, 1), 0.1), 1, signed=False).partner
    array([1, 0])
    """
    size = len(b)
    flip = np.ones(a.shape[1])
    flip[:bound] = -1.0
    found = _compatible(a, b, allowed, flip if signed else None)
    if found is None:
        return None
    first, second, plus, minus = found
    costs = np.minimum(plus, minus)
    graph = csr_array((1.0 + costs, (first, second)), shape=(size, size))
    partner = np.asarray(maximum_bipartite_matching(graph, perm_type="column"), dtype=np.int64)
    if (partner < 0).any():
        gaps = np.array([_distances(a, b[[row]], flip, signed).min() for row in np.flatnonzero(partner < 0)[:64]])
        lonely = int(np.flatnonzero(partner < 0)[gaps.argmax()])
        return Pairing(partner, np.ones(size), lonely=lonely, distance=float(gaps.max()))
    if len(first) > size:
        _, partner = min_weight_full_bipartite_matching(graph)
        partner = partner.astype(np.int64)
    back = np.argsort(partner)
    _, component = connected_components(
        csr_array((np.ones(len(first)), (first, back[second])), shape=(size, size)), connection="strong"
    )
    order = np.argsort(component, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    mine = partner[first] == second
    signs, either = np.ones(size), np.zeros(size, dtype=bool)
    signs[first[mine]] = np.where(minus[mine] < plus[mine], -1.0, 1.0)
    either[first[mine]] = np.isfinite(plus[mine]) & np.isfinite(minus[mine]) & signed
    return Pairing(partner, signs, tuple(group for group in groups if len(group) > 1), either)


def closest(a: FloatArray, b: FloatArray, bound: int, *, signed: bool) -> tuple[IntArray, FloatArray]:
    """Return the partners that make the sum of the largest differences least, and their signs, whatever is allowed.

    Examples
    --------
    >>> closest(np.array([[1.0], [2.0]]), np.array([[-2.2], [1.1]]), 1, signed=True)
    (array([1, 0]), array([-1.,  1.]))
    """
    flip = np.ones(a.shape[1])
    flip[:bound] = -1.0
    _, partner = linear_sum_assignment(_distances(a, b, flip, signed))
    plus, minus = (np.abs(b - a[partner] * sign).max(axis=1, initial=0.0) for sign in (1.0, flip))
    return partner.astype(np.int64), np.where(minus < plus, -1.0, 1.0) if signed else np.ones(len(b))


def _compatible(
    a: FloatArray, b: FloatArray, allowed: FloatArray, flip: FloatArray | None
) -> tuple[IntArray, IntArray, FloatArray, FloatArray] | None:
    """Return rows of b, rows of a, and the shares of the allowed that they differ by, as they are and flipped."""
    rays = np.random.default_rng(0).standard_normal((a.shape[1], _RAYS))
    with np.errstate(invalid="ignore"):
        reach = np.nan_to_num((allowed + _ROUNDING * np.abs(b)) @ np.abs(rays), nan=np.inf) + _ROUNDING
    shadows_a, shadows_b = a @ rays, b @ rays
    if flip is not None:
        shadows_a = np.maximum(shadows_a, (a * flip) @ rays)
        shadows_b = np.maximum(shadows_b, (b * flip) @ rays)
    order = np.argsort(shadows_a[:, 0])
    ordered = shadows_a[order, 0]
    low = np.searchsorted(ordered, shadows_b[:, 0] - reach[:, 0])
    counts = np.searchsorted(ordered, shadows_b[:, 0] + reach[:, 0], side="right") - low
    if counts.sum() * max(1, a.shape[1]) > _MOST_ENTRIES:
        return None
    first = np.repeat(np.arange(len(b)), counts)
    second = order[np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)]
    near = (np.abs(shadows_b[first] - shadows_a[second]) <= reach[first]).all(axis=1)
    first, second = first[near], second[near]
    plus, minus = np.full(len(first), np.inf), np.full(len(first), np.inf)
    step = max(1, _PIECE // max(1, a.shape[1]))
    for start in range(0, len(first), step):
        piece = slice(start, start + step)
        left, right, most = b[first[piece]], a[second[piece]], allowed[first[piece]]
        plus[piece] = _share(left, right, most)
        if flip is not None:
            minus[piece] = _share(left, right * flip, most)
    fits = np.isfinite(np.minimum(plus, minus))
    return first[fits], second[fits], plus[fits], minus[fits]


def _share(left: FloatArray, right: FloatArray, allowed: FloatArray) -> FloatArray:
    """Return the largest difference of every pair of rows as a share of what is allowed, ≤ 1; inf where it is more."""
    gaps = np.abs(left - right)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.nan_to_num(gaps / allowed, nan=0.0)
    shares[np.isinf(allowed)] = 0.5  # no preference
    return np.where((gaps <= allowed).all(axis=1), shares.max(axis=1, initial=0.0), np.inf)


def _distances(a: FloatArray, b: FloatArray, flip: FloatArray, signed: bool) -> FloatArray:
    """Return the largest difference of every row of b [rows] to every row of a [columns], up to sign."""
    if not a.shape[1]:
        return np.zeros((len(b), len(a)))
    plus: FloatArray = cdist(b, a, "chebyshev")
    return np.minimum(plus, cdist(b, a * flip, "chebyshev")) if signed else plus
