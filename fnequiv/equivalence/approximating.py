"""Decide equivalence up to scales and rounding: a candidate that is verified, or a proof that there is none.

Notation. Wanted is g with |b - g·a| ≤ tolerance · max |b| in every tensor. Two ways lead to candidates and to proofs:
matching units by whole rows (:mod:`fnequiv.equivalence.matching`), which holds for large networks, and clusters of
equal entries (:mod:`fnequiv.equivalence.clustering`), which decide ties. Without a tolerance both allow for the
rounding of the scales in b's dtype, so that "not equivalent" also excludes every rescaled copy that was rounded on
the way (but for entries that underflowed to 0).

Theorem: Definition 1 and Examples 1-3 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from .actions import apply
from .arrays import Params, arrays_of
from .axes import FloatArray, moving
from .clustering import Clusters
from .elements import GroupElement
from .matching import Matcher
from .measuring import Error
from .pinning import Classes, classes_of_colours, classes_of_element, scales_are_one
from .verdicts import Verdict

# Relative error of float64 arithmetic here, with room to spare; a dtype's own comes on top without a tolerance.
_ROUNDING = 1e-13
# A scale is rounded, its power, the product and the quotient.
_ROUNDINGS = 4
# The search through ties reads every entry once a refinement; beyond so many reads it stops.
_MOST_READS = 10_000_000

Arrays = Mapping[str, FloatArray]


def approximate(
    a: Params, b: Params, spec: SymmetrySpec, tolerance: float, verdict: Verdict, max_nodes: int
) -> Verdict:
    """Return the verdict up to scales and rounding, given the one under permutations and flips, bit for bit."""
    question = _Question(a, b, spec, tolerance)
    if tolerance == 0 and (name := _more_nonzeros(question.left, question.right)):
        return Verdict("not equivalent", f"tensor {name!r} of b has fewer zeros, and no scale makes 0 anything else")
    exact = verdict if tolerance == 0 and verdict.answer == "not equivalent" else None
    found = question.by_rows(exact)
    if found is None:
        found = question.by_clusters(exact, max_nodes)
    return question.undecided() if found is None else found


class _Question:
    """Two networks in the forms that are needed, and the difference of the best candidate so far."""

    def __init__(self, a: Params, b: Params, spec: SymmetrySpec, tolerance: float) -> None:
        fixed = (relative_difference(a[name], b[name]) for name in spec.shapes if not spec.places[name])
        self.fixed = max(fixed, default=0.0)  # of tensors that no element moves
        self.spec = moving(spec)
        self.a, self.b = ({name: params[name].detach() for name in self.spec.shapes} for params in (a, b))
        # float64 holds every smaller dtype, so rounding to those shows up as a difference, not as noise of float64.
        self.wide = {name: tensor.double() for name, tensor in self.a.items()}
        self.left, self.right = (
            {name: array.astype(np.float64) for name, array in arrays_of(params, self.spec).items()}
            for params in (self.a, self.b)
        )
        self.tolerance, self.best = tolerance, float("inf")
        self.eps = max((torch.finfo(tensor.dtype).eps for tensor in self.b.values()), default=0.0)
        absolute = {name: tolerance * float(np.abs(array).max(initial=0.0)) for name, array in self.right.items()}
        self.error = Error(absolute, _ROUNDING + (0.0 if tolerance else _ROUNDINGS * self.eps))

    def by_rows(self, exact: Verdict | None) -> Verdict | None:
        """Decide by matching whole rows. ``exact`` is the verdict that holds if all scales are 1, if it says no."""
        matcher = Matcher(self.left, self.right, self.spec, self.error)
        if matcher.obstruction:
            return Verdict("not equivalent", matcher.obstruction)
        if matcher.element is None:
            return None
        moved = self._moved(matcher.element)
        found = self._verified(matcher.element, moved)
        if found is not None or not matcher.unique or moved is None:
            return found
        if matcher.excess(moved):
            text = f"the only candidate, but for its scales, differs from b by {self.best:.3g}"
            return Verdict("not equivalent", text, difference=self.best)
        return self._pinned(exact, classes_of_element(matcher.element))

    def by_clusters(self, exact: Verdict | None, max_nodes: int) -> Verdict | None:
        """Decide by entries that may be equal."""
        clusters = Clusters(self.left, self.right, self.spec, self.error)
        found = clusters.candidate(max_nodes=max(1, min(max_nodes, _MOST_READS // max(1, clusters.entries))))
        verdict = None if found is None else self._verified(found, self._moved(found))
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

    def _pinned(self, exact: Verdict | None, classes: Classes) -> Verdict | None:
        if exact is None or not scales_are_one(self.left, self.right, self.spec, classes):
            return None
        difference = self.best if np.isfinite(self.best) else exact.difference
        return Verdict("not equivalent", "all scales must be 1, and " + exact.reason, difference=difference)

    def _moved(self, element: GroupElement) -> Arrays | None:
        try:
            return {name: tensor.numpy(force=True) for name, tensor in apply(self.wide, self.spec, element).items()}
        except ValueError:  # scales that leave the range of float64: no candidate
            return None

    def _verified(self, element: GroupElement, moved: Arrays | None) -> Verdict | None:
        """Return the verdict if g·a is b within the tolerance, or bit for bit in the networks' own dtype."""
        if moved is None:
            return None
        gaps = (relative_difference(torch.from_numpy(moved[name]), self.b[name].cpu()) for name in self.b)
        gap = max([self.fixed, *gaps])
        if self.tolerance == 0 and gap > 0 and self._bit_for_bit(element):
            gap = 0.0
        self.best = min(self.best, gap)
        if gap > self.tolerance:
            return None
        size = f"up to {gap:.3g}" if gap else "bit for bit"
        return Verdict("equivalent", f"the witness turns a into b {size}", element, gap)

    def _bit_for_bit(self, element: GroupElement) -> bool:
        try:
            own = apply(self.a, self.spec, element)
        except ValueError:
            return False
        return all(torch.equal(own[name], self.b[name]) for name in self.b)


def relative_difference(moved: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return max |moved - wanted| / max |wanted|, 0 where both vanish.

    Examples
    --------
    >>> relative_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0]))
    0.25
    """
    if not wanted.numel() or torch.equal(moved, wanted):
        return 0.0
    gap, peak = float((moved.double() - wanted.double()).abs().max()), float(wanted.double().abs().max())
    return gap / peak if peak else float("inf")


def _more_nonzeros(a: Arrays, b: Arrays) -> str | None:
    """Return the first tensor with more nonzero entries in b. Fewer prove nothing: an entry may have underflowed."""
    return next((name for name in b if np.count_nonzero(b[name]) > np.count_nonzero(a[name])), None)
