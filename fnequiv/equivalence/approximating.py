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
from .pinning import classes_of_colours, classes_of_element, scales_are_one
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
    pinnable = tolerance == 0 and verdict.answer == "not equivalent"
    fixed = [relative_difference(a[name], b[name]) for name in spec.shapes if not spec.places[name]]
    spec = moving(spec)
    a, b = ({name: params[name].detach() for name in spec.shapes} for params in (a, b))
    eps = max((torch.finfo(tensor.dtype).eps for tensor in b.values()), default=0.0)
    # float64 holds every smaller dtype, so rounding to those shows up as a difference, not as noise of float64.
    wide = {name: tensor.double() for name, tensor in a.items()}
    left, right = ({name: array.astype(np.float64) for name, array in arrays_of(p, spec).items()} for p in (a, b))
    peaks = {name: float(np.abs(array).max(initial=0.0)) for name, array in right.items()}
    relative = _ROUNDING + (0.0 if tolerance else _ROUNDINGS * eps)
    error = Error({name: tolerance * peak for name, peak in peaks.items()}, relative)
    if tolerance == 0 and (name := _more_nonzeros(left, right)):
        return Verdict("not equivalent", f"tensor {name!r} of b has fewer zeros, and no scale makes 0 anything else")
    matcher = Matcher(left, right, spec, error)
    if matcher.obstruction:
        return Verdict("not equivalent", matcher.obstruction)
    gaps = [float("inf")]
    if matcher.element is not None:
        moved = _moved(wide, spec, matcher.element)
        gaps.append(max([_verify(a, b, moved, spec, matcher.element, tolerance), *fixed]))
        if gaps[-1] <= tolerance:
            return _equivalent(matcher.element, gaps[-1])
        if matcher.unique and moved is not None:
            if matcher.excess(moved):
                text = f"the only candidate, but for its scales, differs from b by {gaps[-1]:.3g}"
                return Verdict("not equivalent", text, difference=gaps[-1])
            if pinnable and scales_are_one(left, right, spec, classes_of_element(matcher.element)):
                return Verdict("not equivalent", "all scales must be 1, and " + verdict.reason, difference=gaps[-1])
    clusters = Clusters(left, right, spec, error)
    found = clusters.candidate(max_nodes=max(1, min(max_nodes, _MOST_READS // max(1, clusters.entries))))
    if found is not None:
        gaps.append(max([_verify(a, b, _moved(wide, spec, found), spec, found, tolerance), *fixed]))
        if gaps[-1] <= tolerance:
            return _equivalent(found, gaps[-1])
    if clusters.excluded:
        return Verdict("not equivalent", "no entries that may be equal, up to scales and rounding, are arranged alike")
    if pinnable and clusters.certain:
        classes = classes_of_colours(clusters.a, clusters.b, spec)
        if scales_are_one(left, right, spec, classes):
            return Verdict("not equivalent", "all scales must be 1, and " + verdict.reason, difference=min(gaps))
    return _undecided(min(gaps), tolerance, eps)


def _more_nonzeros(a: Arrays, b: Arrays) -> str | None:
    """Return the first tensor with more nonzero entries in b. Fewer prove nothing: an entry may have underflowed."""
    return next((name for name in b if np.count_nonzero(b[name]) > np.count_nonzero(a[name])), None)


def relative_difference(moved: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return max |moved - wanted| / max |wanted|, 0 where both vanish.

    Examples
    --------
    >>> relative_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0]))
    0.25
    """
    if not wanted.numel():
        return 0.0
    if torch.equal(moved, wanted):
        return 0.0
    gap, peak = float((moved.double() - wanted.double()).abs().max()), float(wanted.double().abs().max())
    return gap / peak if peak else (float("inf") if gap else 0.0)


def _equivalent(witness: GroupElement, difference: float) -> Verdict:
    size = f"up to {difference:.3g}" if difference else "bit for bit"
    return Verdict("equivalent", f"the witness turns a into b {size}", witness, difference)


def _undecided(gap: float, tolerance: float, eps: float) -> Verdict:
    if not np.isfinite(gap):
        return Verdict("undecided", "neither whole rows nor clusters of equal entries give a candidate or exclude one")
    text = f"the best candidate differs from b by {gap:.3g} (relative), which neither proves nor excludes a witness"
    if tolerance == 0 and gap < 1e3 * eps:
        text = f"b is a rescaled copy up to {gap:.3g} (relative), as rounding may leave it: allow a tolerance"
    return Verdict("undecided", text, difference=gap)


def _moved(wide: Params, spec: SymmetrySpec, element: GroupElement) -> Arrays | None:
    try:
        return {name: tensor.numpy(force=True) for name, tensor in apply(wide, spec, element).items()}
    except ValueError:  # scales that leave the range of float64: no candidate
        return None


def _verify(
    a: Params, b: Params, moved: Arrays | None, spec: SymmetrySpec, element: GroupElement, tolerance: float
) -> float:
    """Return the relative difference of g·a from b; 0 also if there is none in the arithmetic of their own dtype."""
    if moved is None:
        return float("inf")
    difference = max((relative_difference(torch.from_numpy(moved[name]), b[name].cpu()) for name in b), default=0.0)
    if tolerance == 0 and difference > 0:
        try:
            own = apply(a, spec, element)
        except ValueError:
            return difference
        if all(torch.equal(own[name], b[name]) for name in b):
            return 0.0
    return difference
