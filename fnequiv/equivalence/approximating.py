"""Decide equivalence up to scales and rounding: a candidate that is verified, or a proof that there is none.

Notation. Wanted is g with |b - g·a| ≤ tolerance · max |b| in every tensor. Two ways lead to candidates and to proofs:
matching units by whole rows (:mod:`fnequiv.equivalence.matching`), which holds for large networks, and clusters of
equal entries (:mod:`fnequiv.equivalence.clustering`), which decide ties. Without a tolerance both allow for the
rounding of the scales in b's dtype, so that "not equivalent" also excludes every rescaled copy that was rounded on
the way (but for entries that underflowed to 0).

Theorem: Definition 1 and Examples 1-3 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import starmap

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from .arrays import Params, arrays_of
from .axes import Array, moving
from .clustering import Clusters
from .descending import fit
from .elements import GroupElement
from .group import compose
from .matching import Matcher
from .measuring import Error
from .piecewise import moved_parts, relative_difference
from .pinning import Classes, classes_of_colours, classes_of_element, scales_are_one
from .unitrows import peak_of
from .verdicts import Verdict

# Relative error of float64 arithmetic here, with room to spare; a dtype's own comes on top without a tolerance.
_ROUNDING = 1e-13
# A scale is rounded, its power, the product and the quotient.
_ROUNDINGS = 4
# Shares of a generous tolerance at which candidates are looked for.
_SHARES = (0.1, 1e-2, 1e-3, 1e-5)
# Scales are fitted in so many passes: they start close.
_MOST_FITS = 20
# The search through ties reads every entry once a refinement; beyond so many reads it stops.
_MOST_READS = 10_000_000

Arrays = Mapping[str, Array]
# Gives the verdict that holds if all scales are 1, where that is "not equivalent": its words take time to find.
Exact = Callable[[], Verdict]


def approximate(
    a: Params,
    b: Params,
    spec: SymmetrySpec,
    tolerance: float,
    exact: Exact | None,
    max_nodes: int,
    rigid: Collection[str] = (),
) -> Verdict:
    """Return the verdict up to scales and rounding; ``exact`` is given if permutations and flips alone cannot do it.

    Of the tensors in ``rigid``, memberships say, no entry may be off, whatever the tolerance.
    """
    question = _Question(a, b, spec, tolerance, rigid)
    if tolerance == 0 and (name := _more_nonzeros(question.left, question.right)):
        return Verdict("not equivalent", f"tensor {name!r} of b has fewer zeros, and no scale makes 0 anything else")
    exact = exact if tolerance == 0 else None
    found = question.by_rows(exact)
    if found is None:
        found = question.by_closer_rows()
    if found is None:
        found = question.by_clusters(exact, max_nodes)
    return question.undecided() if found is None else found


class _Question:
    """Two networks as arrays, and the difference of the best candidate so far."""

    def __init__(self, a: Params, b: Params, spec: SymmetrySpec, tolerance: float, rigid: Collection[str]) -> None:
        fixed = (relative_difference(a[name], b[name]) for name in spec.shapes if not spec.places[name])
        self.fixed = max(fixed, default=0.0)  # of tensors that no element moves
        self.spec = moving(spec)
        self.a, self.b = ({name: params[name].detach() for name in self.spec.shapes} for params in (a, b))
        self.left, self.right = (arrays_of(params, self.spec) for params in (self.a, self.b))
        self.tolerance, self.rigid, self.best = tolerance, rigid, float("inf")
        self.eps = max((torch.finfo(tensor.dtype).eps for tensor in self.b.values()), default=0.0)
        absolute = {name: tolerance * (name not in rigid) * peak_of(array) for name, array in self.right.items()}
        self.error = Error(absolute, _ROUNDING + (0.0 if tolerance else _ROUNDINGS * self.eps))

    def by_rows(self, exact: Exact | None) -> Verdict | None:
        """Decide by matching whole rows."""
        matcher = Matcher(self.left, self.right, self.spec, self.error)
        if matcher.obstruction:
            return Verdict("not equivalent", matcher.obstruction)
        if matcher.element is None:
            return None
        found = self._verified(matcher.element)
        if found is not None or not np.isfinite(self.best):
            return found
        if matcher.unique and any(matcher.excess(name, each.numpy()) for name, each in self._moved(matcher.element)):
            text = f"the only candidate, but for its scales, differs from b by {self.best:.3g}"
            return Verdict("not equivalent", text, difference=self.best)
        if self.tolerance:
            return self._verified_when_fitted(matcher.element)
        return self._pinned(exact, classes_of_element(matcher.element)) if matcher.unique else None

    def by_closer_rows(self) -> Verdict | None:
        """Look for candidates with a part of the tolerance: where that is generous, too many rows are alike."""
        for share in _SHARES if self.tolerance else ():
            absolute = {name: share * error for name, error in self.error.absolute.items()}
            element = Matcher(self.left, self.right, self.spec, Error(absolute, self.error.relative)).element
            if element is None:
                continue
            found = self._verified(element)
            if found is not None or (found := self._verified_when_fitted(element)) is not None:
                return found
        return None

    def by_clusters(self, exact: Exact | None, max_nodes: int) -> Verdict | None:
        """Decide by entries that may be equal."""
        clusters = Clusters(self.left, self.right, self.spec, self.error)
        found = clusters.candidate(max_nodes=max(1, min(max_nodes, _MOST_READS // max(1, clusters.entries))))
        verdict = None if found is None else self._verified(found)
        if verdict is not None:
            return verdict
        if clusters.excluded:
            text = "no entries that may be equal, up to scales and rounding, are arranged alike"
            return Verdict("not equivalent", text)
        if exact is None or not clusters.certain:
            return None
        return self._pinned(exact, classes_of_colours(clusters.a, clusters.b, self.spec))

    def undecided(self) -> Verdict:
        """Say what was tried."""
        gap = self.best
        if not np.isfinite(gap):
            return Verdict(
                "undecided", "neither whole rows nor clusters of equal entries give a candidate or exclude one"
            )
        text = f"the best candidate differs from b by {gap:.3g} (relative), which neither proves nor excludes a witness"
        if self.tolerance == 0 and gap < 1e3 * self.eps:
            text = f"b is a rescaled copy up to {gap:.3g} (relative), as rounding may leave it: allow a tolerance"
        return Verdict("undecided", text, difference=gap)

    def _pinned(self, exact: Exact | None, classes: Classes) -> Verdict | None:
        if exact is None or not scales_are_one(self.left, self.right, self.spec, classes):
            return None
        verdict = exact()
        difference = self.best if np.isfinite(self.best) else verdict.difference
        return Verdict("not equivalent", "all scales must be 1, and " + verdict.reason, difference=difference)

    def _moved(self, element: GroupElement) -> Iterator[tuple[str, torch.Tensor]]:
        # float64 holds every smaller dtype, so rounding to those shows up as a difference, not as noise of float64.
        return moved_parts(self.a, self.spec, element, torch.float64)

    def _gap(self, name: str, moved: torch.Tensor) -> tuple[str, float]:
        return name, relative_difference(moved, self.b[name].cpu())

    def _verified_when_fitted(self, element: GroupElement) -> Verdict | None:
        """Verify the element at the scales where all entries agree best: a largest entry alone may be far off."""
        if not self.spec.continuous_dimension():
            return None
        peaks = {name: peak_of(array) or 1.0 for name, array in self.right.items()}
        wanted = {name: array / np.float64(peaks[name]) for name, array in self.right.items()}
        try:
            moved = {name: tensor.numpy() / peaks[name] for name, tensor in self._moved(element)}
            element = compose(fit(moved, wanted, self.spec, most=_MOST_FITS), element)
        except ValueError:  # scales that leave the range of float64
            return None
        return self._verified(element)

    def _verified(self, element: GroupElement) -> Verdict | None:
        """Return the verdict if g·a is b within the tolerance, or bit for bit in the networks' own dtype."""
        try:
            gaps = dict(starmap(self._gap, self._moved(element)))  # a loop would hold a tensor beside the next one
        except ValueError:  # scales that leave the range of float64: no candidate
            return None
        gap = max([self.fixed, *gaps.values()])
        if self.tolerance == 0 and gap > 0 and self._bit_for_bit(element):
            gap = 0.0
        self.best = min(self.best, gap)
        if gap > self.tolerance or any(gaps.get(name) for name in self.rigid):
            return None
        size = f"up to {gap:.3g}" if gap else "bit for bit"
        return Verdict("equivalent", f"the witness turns a into b {size}", element, gap)

    def _bit_for_bit(self, element: GroupElement) -> bool:
        try:
            return all(torch.equal(own, self.b[name]) for name, own in moved_parts(self.a, self.spec, element))
        except ValueError:
            return False


def _more_nonzeros(a: Arrays, b: Arrays) -> str | None:
    """Return the first tensor with more nonzero entries in b. Fewer prove nothing: an entry may have underflowed."""
    return next((name for name in b if np.count_nonzero(b[name]) > np.count_nonzero(a[name])), None)
