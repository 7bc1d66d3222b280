"""Coordinate descent over the blocks: the three parts of weight matching.

Notation. *Balancing* gives every unit that may be rescaled the scale at which its entries have the least sum of
squares. *Descending* takes one block after the other, with all that lies within it, and the rest held (see
:mod:`fnequiv.equivalence.hierarchy`); its arrays are the networks' pieces. *Fitting* then moves the scales from where
both networks are balanced to where the distance in the given weights is least: one Gauss-Newton step in log λ a unit,
as far as it brings the unit's entries closer.

Source: Ainsworth et al. (2023), Algorithm 1. Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..symmetry import Block, SymmetrySpec
from .actions import apply
from .axes import FloatArray, along, power, rows
from .compressing import compressed
from .elements import GroupElement, Move
from .group import compose, identity
from .hierarchy import Step, clusters

# Balancing ends when no scale changes by more than this (in logs), or after so many passes; so does fitting.
_SETTLED = 1e-7
_MOST_PASSES = 100
# A step that brings a unit's entries no closer is halved so often, and then not taken.
_HALVINGS = 6
_OVERFLOW = "the squares of the weights leave the range of float64: divide the networks by one number first"


def balance(arrays: dict[str, FloatArray], spec: SymmetrySpec) -> tuple[dict[str, FloatArray], GroupElement]:
    """Return the network at the scales that make Σ entries² least, and the element that takes it there.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = {"0.weight": np.array([[4.0]]), "2.weight": np.array([[1.0]])}
    >>> balanced, _ = balance(theta, mlp.spec((1, 1, 1), "relu", bias=False))
    >>> {name: float(array[0, 0]) for name, array in balanced.items()}
    {'0.weight': 2.0, '2.weight': 2.0}
    """
    total = {block.name: np.ones(block.size) for block in spec.blocks}
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        (current,), free = compressed([arrays], spec)
        change, passes = np.inf if free else 0.0, 0
        while change > _SETTLED and passes < _MOST_PASSES:
            change, passes = 0.0, passes + 1
            for block in free:
                way_in, way_out = (_squares(current, block, role) for role in ("in", "out"))
                alive = (way_in > 0) & (way_out > 0)
                ratio = np.where(alive, block.degree * way_out / way_in, 1.0)
                scales = ratio ** (1.0 / (2 * block.degree + 2))
                current = _rescaled(current, block, scales)
                total[block.name] = total[block.name] * scales
                change = max(change, float(np.abs(np.log(scales)).max()))
    if not all((np.isfinite(scales) & (scales > 0)).all() for scales in total.values()):
        raise ValueError(_OVERFLOW)
    for block in spec.blocks if free else ():
        arrays = _rescaled(arrays, block, total[block.name])
    return arrays, GroupElement({name: Move(np.arange(len(scales)), scales=scales) for name, scales in total.items()})


def _squares(arrays: Mapping[str, FloatArray], block: Block, role: str) -> FloatArray:
    total = np.zeros(block.size)
    for axis in (axis for axis in block.axes if axis.role == role):
        total += (rows(arrays[axis.tensor], axis, block) ** 2).sum(axis=1)
    return total


def _moved(arrays: Mapping[str, FloatArray], spec: SymmetrySpec, element: GroupElement) -> dict[str, FloatArray]:
    tensors = {name: torch.from_numpy(np.asarray(array, order="C")) for name, array in arrays.items()}
    return {name: tensor.numpy() for name, tensor in apply(tensors, spec, element).items()}


def descend(
    a: Mapping[str, FloatArray],
    b: Mapping[str, FloatArray],
    spec: SymmetrySpec,
    sweeps: int,
    first: GroupElement | None,
) -> tuple[GroupElement, float, int]:
    """Improve block after block until a pass changes nothing; return the element, its distance and the passes.

    Without a ``first`` element the first pass places the blocks one after the other, by those placed already.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> spec = mlp.spec((1, 2, 1), "gelu", bias=False)
    >>> a = {"0.weight": np.array([[1.0], [2.0]]), "2.weight": np.array([[3.0, 4.0]])}
    >>> b = {"0.weight": np.array([[2.0], [1.0]]), "2.weight": np.array([[4.0, 3.0]])}
    >>> descend(a, b, spec, 10, None)[1:]
    (0.0, 2)
    """
    current = dict(a)
    element = identity(spec)
    known: set[str] | None = set() if first is None else None  # None: every block has been placed
    if first is not None:
        element, current = first, _moved(a, spec.flat, first)
    least, roots = distance(current, b), clusters(spec)
    passes = 0
    for passes in range(1, sweeps + 1):  # noqa: B007
        improved = False
        for root in roots:
            best = Step(spec, root)
            best.read(current, b, known)
            step = best.element()
            moved = _moved(current, spec.flat, step)
            after = distance(moved, b)
            if known is not None or after < least * (1 - 1e-12):
                improved |= after < least
                element, current, least = compose(step, element), moved, after
            if known is not None:
                known |= {block.name for cluster in root.below() for block in cluster.blocks}
        improved |= known is not None
        known = None
        if not improved:
            break
    return element, least, passes


def fit(
    a: Mapping[str, FloatArray], b: Mapping[str, FloatArray], spec: SymmetrySpec, *, most: int = _MOST_PASSES
) -> GroupElement:
    """Return the scales, and nothing else, that bring a closer to b, after ``most`` passes or at a local least.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> a, b = ({"0.weight": np.array([[w]]), "2.weight": np.array([[v]])} for w, v in ((4.0, 1.0), (2.0, 2.0)))
    >>> fit(a, b, mlp.spec((1, 1, 1), "relu", bias=False))["layer1"].scales.round(6)
    array([0.5])
    """
    total = {block.name: np.ones(block.size) for block in spec.blocks}
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        (current, b), free = compressed([a, b], spec)
        change, passes = np.inf if free else 0.0, 0
        while change > _SETTLED and passes < most:
            change, passes = 0.0, passes + 1
            for block in free:
                step = _step_of_scales(current, b, block)
                current = _rescaled(current, block, np.exp(step))
                total[block.name] = total[block.name] * np.exp(step)
                change = max(change, float(np.abs(step).max()))
    return GroupElement({name: Move(np.arange(len(scales)), scales=scales) for name, scales in total.items()})


def _step_of_scales(a: Mapping[str, FloatArray], b: Mapping[str, FloatArray], block: Block) -> FloatArray:
    """Return how far to move the log of every unit's scale."""
    slope, curvature = np.zeros(block.size), np.zeros(block.size)
    for axis in (axis for axis in block.axes if power(block, axis)):
        ours, theirs = (rows(arrays[axis.tensor], axis, block) for arrays in (a, b))
        slope += power(block, axis) * (ours * (theirs - ours)).sum(axis=1)
        curvature += power(block, axis) ** 2 * (ours**2).sum(axis=1)
    step: FloatArray = np.nan_to_num(np.clip(slope / np.where(curvature > 0, curvature, 1.0), -1.0, 1.0), nan=0.0)
    before = _gaps(a, b, block)
    for halving in range(_HALVINGS + 1):
        worse = ~(_gaps(_rescaled(a, block, np.exp(step)), b, block) <= before)
        step[worse] *= 0.5 if halving < _HALVINGS else 0.0
        if not worse.any():
            break
    return step


def _rescaled(arrays: Mapping[str, FloatArray], block: Block, scales: FloatArray) -> dict[str, FloatArray]:
    moved = dict(arrays)
    for axis in (axis for axis in block.axes if power(block, axis)):
        moved[axis.tensor] = moved[axis.tensor] * along(
            scales ** float(power(block, axis)), axis, moved[axis.tensor].ndim
        )
    return moved


def _gaps(a: Mapping[str, FloatArray], b: Mapping[str, FloatArray], block: Block) -> FloatArray:
    """Return the sum of squared differences of the entries of every unit."""
    axes = [axis for axis in block.axes if power(block, axis)]
    return np.sum([(rows(b[x.tensor] - a[x.tensor], x, block) ** 2).sum(axis=1) for x in axes], axis=0)


def distance(a: Mapping[str, FloatArray], b: Mapping[str, FloatArray]) -> float:
    """Return the Euclidean distance over all tensors.

    Raises
    ------
    ValueError
        If a square leaves the range of float64.

    Examples
    --------
    >>> distance({"w": np.array([0.0, 3.0])}, {"w": np.array([4.0, 0.0])})
    5.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.sqrt(sum(float(((b[name] - a[name]) ** 2).sum()) for name in b)))
    if not np.isfinite(total):
        raise ValueError(
            "the squares of the weights leave the range of float64: divide the networks by one number first"
        )
    return total
