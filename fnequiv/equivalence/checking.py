"""Decide whether two parameter sets are one network, up to the group, and say why.

Notation. Wanted is g in the group of the specification with b = g·a (tolerance 0), or with |b - g·a| ≤ tolerance · max |b|
in every tensor. Permutations and flips are decided by canonical forms; scales and rounding by matching units. Three answers
exist: *equivalent*, with g as the witness, verified by applying it; *not equivalent*, with the reason that excludes every g;
and *undecided*, with what was tried.

A network may also equal another by a coincidence that is no element of the group (a neuron split in two, say): "not
equivalent" speaks of the group alone. :func:`~fnequiv.equivalence.reduction.reduce` removes the usual such coincidences.

Theorem: Definition 1 and Proposition 1 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ..symmetry import SymmetrySpec
from ..validation import check_real
from .actions import apply
from .canonical import Params, arrays_of, label
from .colouring import TooManyTiesError
from .elements import GroupElement
from .group import compose, invert
from .matching import Matcher
from .parameters import check_parameters

Answer = Literal["equivalent", "not equivalent", "undecided"]
Arrays = Mapping[str, npt.NDArray[np.floating]]

# At tolerance 0 and with scales, entries nearer than this (relative) may differ by the rounding of this computation alone.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Verdict:
    """An answer, its reason in words, and what supports it.

    ``witness`` takes the first network to the second (equivalent only). ``difference`` is the largest of
    |b - g·a|/max |b| over the tensors, for the witness or the best candidate. ``outputs`` is the largest difference of
    the two functions on the inputs given, and ``input`` the one where it occurs.
    """

    answer: Answer
    reason: str
    witness: GroupElement | None = None
    difference: float | None = None
    outputs: float | None = None
    input: torch.Tensor | None = None

    @property
    def equivalent(self) -> bool | None:
        """True, False, or None if undecided."""
        return {"equivalent": True, "not equivalent": False}.get(self.answer)

    def __bool__(self) -> bool:
        raise TypeError("a verdict has three answers: ask for .answer, or .equivalent (True, False or None)")

    def __str__(self) -> str:
        return f"{self.answer}: {self.reason}"


def compare(
    a: Params,
    b: Params,
    spec: SymmetrySpec,
    *,
    tolerance: float = 0,
    forward: Callable[[Params, torch.Tensor], torch.Tensor] | None = None,
    inputs: torch.Tensor | None = None,
    max_nodes: int = 10_000,
) -> Verdict:
    """Decide whether b = g·a for an element g of the group of ``spec``.

    Parameters
    ----------
    a, b
        Every tensor of the two networks by name; never modified.
    spec
        The specification of both, of any architecture.
    tolerance
        Largest |b - g·a| allowed, as a share of the tensor's largest entry, ≥ 0. At 0 every bit counts, which decides
        permutations and flips exactly; a copy that was rescaled was rounded as well: allow 1e-12 in float64, 1e-5 in
        float32.
    forward, inputs
        Optionally the function ``forward(params, inputs)`` and inputs [n, …] on which outputs are compared as evidence.
    max_nodes
        How many colour refinements ties may cost (see :func:`~fnequiv.equivalence.canonical.canonicalize`).

    Returns
    -------
    Verdict
        Never wrong about the group; *undecided* where ties need more than ``max_nodes``, or where rounding cannot be told
        from a difference.

    Raises
    ------
    TypeError, ValueError
        If either network is not one of ``spec`` with finite entries, their dtypes differ, ``tolerance`` is negative or not
        finite, or only one of ``forward`` and ``inputs`` is given.

    Notes
    -----
    Source: Definition 1 of Shen (2024) and the group of Proposition 1 with Examples 1 and 2.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> a = {"0.weight": torch.tensor([[2.0], [1.0]]), "2.weight": torch.tensor([[3.0, 4.0]])}
    >>> b = {"0.weight": torch.tensor([[1.0], [2.0]]), "2.weight": torch.tensor([[4.0, 3.0]])}
    >>> verdict = compare(a, b, mlp.spec((1, 2, 1), "gelu", bias=False))
    >>> verdict.answer, verdict.witness["layer1"].permutation.tolist()
    ('equivalent', [1, 0])
    """
    if (tolerance := check_real("tolerance", tolerance)) < 0:
        raise ValueError(f"tolerance must be >= 0, got {tolerance}: 0 compares every bit")
    check_pair(a, b, spec)
    if (forward is None) != (inputs is None):
        raise ValueError("forward and inputs go together: pass both or neither")
    verdict = _by_canonical_forms(a, b, spec, max_nodes)
    if verdict.answer != "equivalent" and (tolerance > 0 or spec.continuous_dimension()):
        verdict = _by_matching(a, b, spec, tolerance, verdict)
    return verdict if forward is None or inputs is None else _with_outputs(verdict, a, b, forward, inputs)


def check_pair(a: Params, b: Params, spec: SymmetrySpec) -> None:
    """Raise unless both are finite parameter sets of ``spec``, with equal dtypes and devices.

    Raises
    ------
    TypeError, ValueError
        Naming the network and the tensor.
    """
    for name, params in (("a", a), ("b", b)):
        try:
            check_parameters(params, spec)
        except (TypeError, ValueError) as error:
            raise type(error)(f"network {name}: {error}") from None
    for name in spec.shapes:
        if a[name].dtype != b[name].dtype or a[name].device != b[name].device:
            raise TypeError(
                f"tensor {name!r} is {a[name].dtype} on {a[name].device} in a and {b[name].dtype} on {b[name].device} in b: "
                "convert one of them first"
            )


def _by_canonical_forms(a: Params, b: Params, spec: SymmetrySpec, max_nodes: int) -> Verdict:
    """Decide permutations and flips, bit for bit."""
    discrete = spec.only(signs=True)
    try:
        first, second = label(a, discrete, max_nodes=max_nodes), label(b, discrete, max_nodes=max_nodes)
    except TooManyTiesError as error:
        reason = _multiset_difference(a, b, spec)
        return Verdict("not equivalent", reason) if reason else Verdict("undecided", str(error))
    witness = compose(invert(second.element), first.element)
    moved = apply(a, discrete, witness)
    if all(torch.equal(moved[name], b[name]) for name in b):
        return Verdict("equivalent", "the witness turns a into b, bit for bit", witness, 0.0)
    unequal = {name: int((moved[name] != b[name]).sum()) for name in b if not torch.equal(moved[name], b[name])}
    reason = _multiset_difference(a, b, spec) or (
        "every tensor holds the same numbers, but in another arrangement: the canonical forms differ in "
        + ", ".join(f"{count} entries of {name!r}" for name, count in unequal.items())
    )
    return Verdict("not equivalent", reason, difference=_difference(arrays_of(moved, spec), arrays_of(b, spec)))


def _multiset_difference(a: Params, b: Params, spec: SymmetrySpec) -> str | None:
    """Return words for the first tensor whose sorted |entries| differ: permutations and flips keep those."""
    for (name, left), right in zip(arrays_of(a, spec).items(), arrays_of(b, spec).values(), strict=True):
        left, right = np.sort(np.abs(left), axis=None), np.sort(np.abs(right), axis=None)
        if (left != right).any():
            gap = np.abs(left.astype(np.float64) - right).max()
            return f"tensor {name!r} holds other numbers: sorted by size, {(left != right).sum()} differ, by up to {gap:.3g}"
    return None


def _by_matching(a: Params, b: Params, spec: SymmetrySpec, tolerance: float, exact: Verdict) -> Verdict:
    """Decide up to scales and rounding. ``exact`` is what holds without them."""
    # float64 holds every smaller dtype, so rounding to those shows up as a difference, not as noise of this computation.
    wide = [{name: t.detach().double() if t.is_floating_point() else t for name, t in p.items()} for p in (a, b)]
    left, right = (arrays_of(params, spec) for params in wide)
    matcher = Matcher(left, right, spec, tolerance)
    if matcher.obstruction:
        hint = "" if tolerance else "; rounding needs a tolerance"
        return Verdict("not equivalent", matcher.obstruction + hint)
    if matcher.element is None:
        return Verdict("undecided", "no order of the blocks lets their units be matched one block after the other")
    try:
        moved = arrays_of(apply(wide[0], spec, matcher.element), spec)
    except ValueError as error:
        return Verdict("undecided", f"a candidate was found, but applying it fails: {error}")
    difference = _difference(moved, right)
    if difference <= tolerance:
        return Verdict("equivalent", f"the witness turns a into b up to {difference:.3g}", matcher.element, difference)
    if not spec.continuous_dimension():
        if matcher.forced:
            reason = f"the only candidate differs from b by {difference:.3g}, more than the tolerance"
            return Verdict("not equivalent", reason, difference=difference)
    elif tolerance == 0 and matcher.forced:
        if not _within_rounding(moved, right):
            reason = f"the only candidate up to scales differs from b by {difference:.3g}"
            return Verdict("not equivalent", reason, difference=difference)
        if _scales_are_one(left, right, spec, matcher.element):
            return Verdict("not equivalent", "all scales must be 1, and " + exact.reason, difference=difference)
    reason = (
        f"the best candidate differs from b by {difference:.3g} (relative), which neither proves nor excludes a witness"
    )
    return Verdict("undecided", reason, difference=difference)


def _difference(moved: Arrays, wanted: Arrays) -> float:
    shares = [0.0]
    for name, array in wanted.items():
        gap = float(np.abs(moved[name].astype(np.float64) - array).max(initial=0.0))
        peak = float(np.abs(array).max(initial=0.0))
        shares.append(gap / peak if peak else (float("inf") if gap else 0.0))
    return max(shares)


def _within_rounding(moved: Arrays, wanted: Arrays) -> bool:
    return all(bool((np.abs(moved[name] - array) <= _ROUNDING * np.abs(array)).all()) for name, array in wanted.items())


def _scales_are_one(a: Arrays, b: Arrays, spec: SymmetrySpec, element: GroupElement) -> bool:
    """Whether every unit has an entry, seen from units known to have scale 1, that no other scale would keep."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in a.items()}
    discrete = GroupElement({name: type(move)(move.permutation, move.signs) for name, move in element.moves.items()})
    moved = {name: tensor.numpy() for name, tensor in apply(tensors, spec.only(signs=True), discrete).items()}
    owner = {(axis.tensor, axis.axis): (block, axis) for block in spec.blocks for axis in block.axes}
    one = {block.name: np.full(block.size, not block.scales) for block in spec.blocks}
    for _ in spec.blocks:
        for block in spec.blocks:
            for axis in (axis for axis in block.axes if axis.role != "carry"):
                same = (moved[axis.tensor] == b[axis.tensor]) & (b[axis.tensor] != 0)
                for dim in range(same.ndim):
                    found = owner.get((axis.tensor, dim))
                    if dim != axis.axis and found is not None and found[1].role != "carry":
                        shape = [-1 if each == dim else 1 for each in range(same.ndim)]
                        same = same & np.repeat(one[found[0].name], found[1].repeat).reshape(shape)
                one[block.name] |= np.moveaxis(same, axis.axis, 0).reshape(block.size, -1).any(axis=1)
    return all(bool(known.all()) for known in one.values())


def _with_outputs(
    verdict: Verdict,
    a: Params,
    b: Params,
    forward: Callable[[Params, torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
) -> Verdict:
    with torch.no_grad():
        gaps = (forward(a, inputs) - forward(b, inputs)).abs().reshape(len(inputs), -1).amax(dim=1)
    worst = int(gaps.argmax())
    return Verdict(
        verdict.answer,
        f"{verdict.reason}; on {len(inputs)} inputs the outputs differ by up to {float(gaps[worst]):.3g}",
        verdict.witness,
        verdict.difference,
        float(gaps[worst]),
        inputs[worst].clone(),
    )
