"""Pair the rows of two matrices that agree within errors, and say which pairs are forced.

Notation. Row p of b and row i of a are *compatible* if |b_pj - a_ij| ≤ allowed_pj for every j (or so after the
leading ``bound`` columns of a changed sign, where that is allowed). Compatible rows have near projections on any ray,
so a sort and a window find all compatible pairs of many rows in little time: a few entries of every row do for most
networks, and where they leave many pairs, random rays through all entries follow. A perfect matching in this graph of
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
from .unitrows import IntArray, Rows, pieces

# So many entries of every row sift pairs first; where more than _FEW pairs a row are left, so many random rays do.
_PROBE = 8
_RAYS = 4
_FEW = 4
# So many pairs are sifted, and so many entries compared, at most.
_MOST_PAIRS = 1 << 23
_MOST_ENTRIES = 1 << 28
# Costs are rounded to this part: SciPy's sparse matching runs for ever where sums of costs tie but for rounding, and
# sums of such multiples are exact.
_COST = 2.0**-20
# Projections are computed with this relative error at most.
_ROUNDING = 1e-11

Pairs = tuple[IntArray, IntArray]


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


def pair(a: Rows, b: Rows, allowed: Rows, bound: int, *, signed: bool) -> Pairing | None:
    """Return the pairing of all rows, or None if there are too many compatible pairs to look at.

    Examples
    --------
    >>> from fnequiv.equivalence.unitrows import Whole
    >>> a, b = Whole(np.array([[1.0], [2.0]])), Whole(np.array([[2.01], [0.99]]))
    >>> pair(a, b, Whole(np.full((2, 1), 0.1)), 1, signed=False).partner
    array([1, 0])
    """
    size = b.shape[0]
    flip = np.ones(a.shape[1])
    flip[:bound] = -1.0
    found = _compatible(a, b, allowed, flip if signed else None)
    if found is None:
        return None
    first, second, plus, minus = found
    costs = 1.0 + np.rint(np.minimum(plus, minus) / _COST) * _COST
    graph = csr_array((costs, (first, second)), shape=(size, size))
    partner = np.asarray(maximum_bipartite_matching(graph, perm_type="column"), dtype=np.int64)
    if (partner < 0).any():
        alone = np.flatnonzero(partner < 0)[:64]
        wanted = b.take(alone)
        gaps = np.full(len(alone), np.inf)
        for piece in pieces(*a.shape):
            gaps = np.minimum(gaps, _distances(a.take(piece), wanted, flip, signed).min(axis=1))
        lonely = int(alone[gaps.argmax()])
        return Pairing(partner, np.ones(size), lonely=lonely, distance=float(gaps.max()))
    if len(first) > size:
        _, partner = min_weight_full_bipartite_matching(graph)
        partner = partner.astype(np.int64)
    back = np.argsort(partner)
    _, component = connected_components(
        csr_array((np.ones(len(first)), (first, back[second])), shape=(size, size)), connection="strong"
    )
    alike = np.flatnonzero(np.bincount(component)[component] > 1)
    alike = alike[np.argsort(component[alike], kind="stable")]
    groups = np.split(alike, np.flatnonzero(np.diff(component[alike])) + 1) if len(alike) else []
    mine = partner[first] == second
    signs, either = np.ones(size), np.zeros(size, dtype=bool)
    signs[first[mine]] = np.where(minus[mine] < plus[mine], -1.0, 1.0)
    either[first[mine]] = np.isfinite(plus[mine]) & np.isfinite(minus[mine]) & signed
    return Pairing(partner, signs, tuple(groups), either)


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
    a: Rows, b: Rows, allowed: Rows, flip: FloatArray | None
) -> tuple[IntArray, IntArray, FloatArray, FloatArray] | None:
    """Return rows of b, rows of a, and the shares of the allowed that they differ by, as they are and flipped."""
    found = _sifted_by_entries(a, b, allowed, flip)
    if found is None or len(found[0]) > _FEW * b.shape[0]:
        found = _sifted_by_rays(a, b, allowed, flip, found)
    if found is None or len(found[0]) * a.shape[1] > _MOST_ENTRIES:
        return None
    first, second = found
    plus, minus = np.full(len(first), np.inf), np.full(len(first), np.inf)
    for piece in pieces(len(first), a.shape[1]):
        plus[piece], minus[piece] = _shares(a, b, allowed, flip, (first[piece], second[piece]))
    fits = np.isfinite(np.minimum(plus, minus))
    return first[fits], second[fits], plus[fits], minus[fits]


def _sifted_by_entries(a: Rows, b: Rows, allowed: Rows, flip: FloatArray | None) -> Pairs | None:
    """Return the pairs that are compatible in a few entries, None if there are too many."""
    columns = np.unique(np.linspace(0, a.shape[1] - 1, min(_PROBE, a.shape[1])).astype(np.int64))
    ray = np.random.default_rng(0).standard_normal((len(columns), 1))
    rays = np.concatenate([ray, np.eye(len(columns))], axis=1)
    few = (np.concatenate([each.take(piece, columns) for piece in pieces(*each.shape)]) for each in (a, b, allowed))
    ours, theirs, most = few
    probe = None if flip is None else flip[columns]
    return _near(_shadows(ours, rays, probe), _shadows(theirs, rays, probe), _reach(theirs, most, rays), None)


def _sifted_by_rays(a: Rows, b: Rows, allowed: Rows, flip: FloatArray | None, pairs: Pairs | None) -> Pairs | None:
    """Return the pairs, of all or of those given, that are near on random rays, None if there are too many."""
    rays = np.random.default_rng(0).standard_normal((a.shape[1], _RAYS))
    left, right, reach = (np.empty((rows.shape[0], _RAYS)) for rows in (a, b, b))
    for piece in pieces(*a.shape):
        left[piece] = _shadows(a.take(piece), rays, flip)
        theirs = b.take(piece)
        right[piece], reach[piece] = _shadows(theirs, rays, flip), _reach(theirs, allowed.take(piece), rays)
    return _near(left, right, reach, pairs)


def _shadows(rows: FloatArray, rays: FloatArray, flip: FloatArray | None) -> FloatArray:
    """Return projections of rows, or the greater ones of them and of their flips: these do not depend on the sign."""
    shadows: FloatArray = rows @ rays
    return shadows if flip is None else np.maximum(shadows, (rows * flip) @ rays)


def _reach(rows: FloatArray, allowed: FloatArray, rays: FloatArray) -> FloatArray:
    """Return how far the projections of compatible rows may be apart."""
    with np.errstate(invalid="ignore"):
        reach = (allowed + _ROUNDING * np.abs(rows)) @ np.abs(rays)
    return np.nan_to_num(reach, nan=np.inf, posinf=np.inf) + _ROUNDING


def _near(a: FloatArray, b: FloatArray, reach: FloatArray, pairs: Pairs | None) -> Pairs | None:
    """Return the pairs, of all or of those given, that are within reach in every column; the first one is sorted."""
    order = np.argsort(a[:, 0])
    ordered = a[order, 0]
    low = np.searchsorted(ordered, b[:, 0] - reach[:, 0])
    counts = np.searchsorted(ordered, b[:, 0] + reach[:, 0], side="right") - low
    if pairs is not None:
        first, second = pairs
    elif counts.sum() > _MOST_PAIRS:
        return None
    else:
        first = np.repeat(np.arange(len(b)), counts)
        second = order[np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)]
    near = np.ones(len(first), dtype=bool)
    for piece in pieces(len(first), b.shape[1]):
        near[piece] = (np.abs(b[first[piece]] - a[second[piece]]) <= reach[first[piece]]).all(axis=1)
    return first[near], second[near]


def _shares(
    a: Rows, b: Rows, allowed: Rows, flip: FloatArray | None, pairs: Pairs
) -> tuple[FloatArray, FloatArray | float]:
    """Return the shares of the allowed that some pairs of rows differ by, as they are and flipped."""
    most = allowed.take(pairs[0])  # the most memory, so before there is more
    rows, gaps = a.take(pairs[1]), b.take(pairs[0])
    if flip is None:
        return _share(np.subtract(gaps, rows, out=gaps), most), np.inf
    plus = _share(gaps - rows, most)
    rows *= flip
    return plus, _share(np.subtract(gaps, rows, out=gaps), most)


def _share(gaps: FloatArray, allowed: FloatArray) -> FloatArray:
    """Return the largest gap of every row as a share of what is allowed, ≤ 1, or inf; ``gaps`` is written to."""
    np.abs(gaps, out=gaps)
    shares = np.full(len(gaps), np.inf)
    fits = (gaps <= allowed).all(axis=1)
    if fits.any():
        gaps, allowed = (gaps, allowed) if fits.all() else (gaps[fits], allowed[fits])
        gaps /= np.maximum(allowed, np.finfo(np.float64).tiny)
        gaps[np.isinf(allowed)] = 0.5  # no preference
        shares[fits] = gaps.max(axis=1, initial=0.0)
    return shares


def _distances(a: FloatArray, b: FloatArray, flip: FloatArray, signed: bool) -> FloatArray:
    """Return the largest difference of every row of b [rows] to every row of a [columns], up to sign."""
    if not a.shape[1]:
        return np.zeros((len(b), len(a)))
    plus: FloatArray = cdist(b, a, "chebyshev")
    return np.minimum(plus, cdist(b, a * flip, "chebyshev")) if signed else plus
