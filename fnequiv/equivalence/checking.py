"""Decide whether two parameter sets are one network, up to the group, and say why.

Notation. Wanted is g in the group of the specification with b = g·a (tolerance 0), or with |b - g·a| ≤ tolerance ·
max |b| in every tensor. Permutations and flips are decided by canonical forms (:mod:`fnequiv.equivalence.canonical`),
scales and rounding by matching units (:mod:`fnequiv.equivalence.approximating`).

A network may also equal another by a coincidence that is no element of the group (a neuron split in two, say): "not
equivalent" speaks of the group alone. :func:`~fnequiv.equivalence.reduction.reduce` removes the usual such
coincidences. Nor do elements mix units: where a block's :attr:`~fnequiv.symmetry.Block.mixing` counts a group of
matrices, as GL(d_k) for the dimensions of an attention's head, two networks that differ by such a matrix are *not
equivalent* here, though they are one function; the reason says so.

Theorem: Definition 1 and Proposition 1 of Shen (2024). Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from ..validation import check_integer, check_real
from .approximating import approximate
from .arrays import Params, arrays_of
from .axes import power
from .canonical import label_checked
from .elements import GroupElement, check_spec
from .group import compose, invert
from .memberships import lift, lifted, memberships
from .parameters import check_parameters
from .piecewise import moved_parts, relative_difference
from .searching import TooManyTiesError
from .verdicts import Forward, Verdict, with_outputs

__all__ = ["Verdict", "check_pair", "compare"]

# A reason names so many tensors.
_MOST_NAMES = 12


def compare(
    a: Params,
    b: Params,
    spec: SymmetrySpec,
    *,
    tolerance: float = 0,
    forward: Forward | None = None,
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
        Largest |b - g·a| allowed, as a share of the tensor's largest entry in b, ≥ 0. At 0 every bit counts, which
        decides permutations and flips exactly. A copy that was rescaled was rounded as well: allow 1e-12 in float64,
        1e-5 in float32. With one, g·a is computed in float64. Without a tolerance *equivalent* means that
        :func:`~fnequiv.equivalence.actions.apply` gives b bit for bit, and a copy that differs from b by no more than
        the rounding of scales is *undecided*.
    forward, inputs
        Optionally the function ``forward(params, inputs)`` and inputs [n, …] on which outputs are compared as evidence.
    max_nodes
        How many colour refinements ties may cost (see :func:`~fnequiv.equivalence.canonical.canonicalize`).

    Returns
    -------
    Verdict
        Never wrong about the group; *undecided* where ties need more than ``max_nodes``, or where rounding cannot be
        told from a difference.

    Raises
    ------
    TypeError, ValueError
        If either network is not one of ``spec`` with finite entries, their dtypes differ, ``tolerance`` is negative or
        not finite, or only one of ``forward`` and ``inputs`` is given.

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
    check_integer("max_nodes", max_nodes)
    check_pair(a, b, spec)
    if (forward is None) != (inputs is None):
        raise ValueError("forward and inputs go together: pass both or neither")
    verdict = _decide(lift(a, spec), lift(b, spec), lifted(spec), tolerance, max_nodes, memberships(spec))
    verdict = _without_mixing(verdict, spec)
    return verdict if forward is None or inputs is None else with_outputs(verdict, a, b, forward, inputs)


def check_pair(a: Params, b: Params, spec: SymmetrySpec) -> None:
    """Raise unless both are finite parameter sets of ``spec``, with equal dtypes and devices.

    Raises
    ------
    TypeError, ValueError
        Naming the network and the tensor.
    """
    check_spec(spec)
    for name, params in (("a", a), ("b", b)):
        try:
            check_parameters(params, spec)
        except (TypeError, ValueError) as error:
            raise type(error)(f"network {name}: {error}") from None
    for name in spec.shapes:
        if a[name].dtype != b[name].dtype or a[name].device != b[name].device:
            raise TypeError(
                f"tensor {name!r} is {a[name].dtype} on {a[name].device} in a and {b[name].dtype} on {b[name].device} "
                "in b: convert one of them first"
            )


def _without_mixing(verdict: Verdict, spec: SymmetrySpec) -> Verdict:
    """Add to a "not equivalent" what it does not speak of: matrices that mix the units of a run."""
    mixed = [block.name for block in spec.blocks if block.mixing]
    if verdict.answer != "not equivalent" or not mixed:
        return verdict
    text = f"under permutations, signs and scales; a mixing of the units of {', '.join(mixed)} was not looked for"
    return replace(verdict, reason=f"{verdict.reason} ({text})")


def _decide(
    a: Params, b: Params, spec: SymmetrySpec, tolerance: float, max_nodes: int, rigid: Collection[str]
) -> Verdict:
    """Decide for a specification without cells and nested blocks; tensors in ``rigid`` must agree bit for bit."""
    if fixed := _fixed_difference(a, b, spec, tolerance):
        return Verdict("not equivalent", fixed)
    discrete = spec.only(signs=True)
    scaled = bool(spec.continuous_dimension())
    try:
        first, second = (label_checked(params, discrete, max_nodes=max_nodes) for params in (a, b))
    except TooManyTiesError as error:
        exact = None
        if tolerance == 0 and not scaled:
            return Verdict("undecided", str(error))
    else:
        witness = compose(invert(second.element), first.element)
        if all(torch.equal(moved, b[name]) for name, moved in moved_parts(a, discrete, witness)):
            return Verdict("equivalent", "the witness turns a into b, bit for bit", witness, 0.0)
        exact = partial(_explained, a, b, discrete, witness)
        if tolerance == 0 and not scaled:
            return exact()
    if other := _other_numbers(a, b, spec, tolerance):
        return Verdict("not equivalent", other, difference=exact().difference if exact else None)
    return approximate(a, b, spec, tolerance, exact, max_nodes, rigid)


def _fixed_difference(a: Params, b: Params, spec: SymmetrySpec, tolerance: float) -> str | None:
    """Return words for the first tensor that no element moves and that differs."""
    for name in (name for name in spec.shapes if not spec.places[name]):
        if not torch.equal(a[name], b[name]):
            gap = relative_difference(a[name], b[name]) if a[name].is_floating_point() else float("inf")
            if gap > tolerance:
                amount = f" by {gap:.3g}" if np.isfinite(gap) else ""
                return f"tensor {name!r}, which no element of the group moves, differs{amount}"
    return None


def _explained(a: Params, b: Params, discrete: SymmetrySpec, witness: GroupElement) -> Verdict:
    """Say how the canonical forms differ; the witness takes a's to b's place."""
    reason, unequal, difference = None, {}, 0.0
    for name, moved in moved_parts(a, discrete, witness):
        if torch.equal(moved, b[name]):
            continue
        apart = moved != b[name]
        ours, theirs = moved[apart].double(), b[name][apart].double()
        peak = float(b[name].abs().max())
        difference = max(difference, float((ours - theirs).abs().max()) / peak if peak else float("inf"))
        reason = reason or _other_sizes(name, ours.abs(), theirs.abs())
        unequal[name] = len(ours)
    reason = reason or (
        "every tensor holds the same numbers, but in another arrangement: the canonical forms differ in "
        + ", ".join(f"{count} entries of {name!r}" for name, count in list(unequal.items())[:_MOST_NAMES])
        + (f", and {len(unequal) - _MOST_NAMES} more tensors" if len(unequal) > _MOST_NAMES else "")
    )
    return Verdict("not equivalent", reason, difference=difference)


def _other_sizes(name: str, ours: torch.Tensor, theirs: torch.Tensor) -> str | None:
    """Return words if the entries of a tensor that differ are not the same numbers in another order, signs aside."""
    gaps = (ours.sort().values - theirs.sort().values).abs()
    if not (count := int(gaps.count_nonzero())):
        return None
    return f"tensor {name!r} holds other numbers: sorted by size, {count} differ, by up to {float(gaps.max()):.3g}"


def _other_numbers(a: Params, b: Params, spec: SymmetrySpec, tolerance: float) -> str | None:
    """Return words for the first tensor whose sorted |entries| differ by more than the tolerance.

    Permutations and flips keep them, and sorting brings no two numbers further apart. Scales keep nothing.
    """
    places = {name: pairs for name, pairs in spec.places.items() if pairs}
    kept = [n for n, pairs in places.items() if not any(block.scales and power(block, axis) for axis, block in pairs)]
    left, right = arrays_of(a, spec), arrays_of(b, spec)
    for name in kept:
        ours, theirs = (np.sort(np.abs(each[name]), axis=None) for each in (left, right))
        gaps = np.abs(ours.astype(np.float64) - theirs)
        count = int((gaps > tolerance * (1 + 1e-9) * np.max(theirs, initial=0.0)).sum())
        if count:
            return f"tensor {name!r} holds other numbers: sorted by size, {count} differ, by up to {gaps.max():.3g}"
    return None
