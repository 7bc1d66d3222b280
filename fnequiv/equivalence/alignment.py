r"""Bring a network close to another that is similar, not equal: weight matching and activation matching.

Notation. Wanted is the g that makes Σ_T |b_T - (g·a)_T|² least over the tensors T. No fast algorithm finds it for
certain; *weight matching* improves one block after the other. With the other blocks held, the best permutation of a
block is a linear assignment: maximise Σ_i G[i, π(i)], where G[i, j] is the inner product of what unit i of b and unit
j of a own. A flip takes |G| and its sign. Where units may be rescaled both networks are balanced first (every unit
gets the scale at which its entries have the least sum of squares), matched, and brought back. *Activation matching*
takes for G the inner products of the units' outputs on given inputs.

Sources: Ainsworth et al. (2023), weight and activation matching; the group is that of Proposition 1 of Shen (2024).
To decide whether two networks are *equal* up to the group use :mod:`fnequiv.equivalence.checking`. Chapter: "Telling
networks apart".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from ..symmetry import SymmetrySpec
from ..validation import check_bool, check_integer, shown
from .actions import apply
from .arrays import Params, arrays_of
from .axes import FloatArray
from .checking import check_pair, compare
from .choosing import choose
from .descending import balance, descend, distance, fit
from .elements import GroupElement
from .group import compose, identity, invert, sample
from .outputs import element_of, outputs_of
from .unfolding import unfold

# A copy is recognised with this many roundings of its dtype, and with few refinements where units are tied.
_ROUNDINGS = 32
_FEW_NODES = 100
# Scales are fitted to the distance where that leaves less than this share of b's length. Further away the least
# distance says more of the noise than of the scale: it draws units that are badly matched towards 0.
_NEAR = 0.5

Score = Callable[[dict[str, torch.Tensor]], npt.ArrayLike]


@dataclass(frozen=True)
class Alignment:
    """The element found, and the distances |b - a| before and |b - g·a| after it (Euclidean, over floating tensors).

    ``sweeps`` counts the passes over the blocks of the best start (0: b is a copy of a up to rounding, and its units
    were matched one by one); ``start`` is its number (0: block by block from the inputs, others: random, and the
    number of starts itself: plain weight matching, than which a score found nothing better).
    """

    element: GroupElement
    before: float
    after: float
    sweeps: int
    start: int


def align(
    a: Params,
    b: Params,
    spec: SymmetrySpec,
    *,
    starts: int = 1,
    generator: np.random.Generator | torch.Generator | None = None,
    sweeps: int = 100,
    score: Score | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> Alignment:
    """Return an element g that brings g·a close to b, by weight matching.

    Parameters
    ----------
    a, b, spec
        As for :func:`~fnequiv.equivalence.checking.compare`.
    starts
        How many starts to take the best of: the first follows the blocks from the inputs, the others are random.
    generator
        Needed for more than one start.
    sweeps
        Most passes over all blocks a start; a start ends with the first that improves nothing.
    score
        Judges a moved network g·a, every tensor by name: say, by the loss of its average with b. It returns one number
        or the losses on common examples, [examples]. Of numbers the least decides, among plain weight matching
        (permutations alone, in the given weights, from the units as they are) and all starts, of equals plain weight
        matching. With losses on examples a start replaces plain weight matching only if it is better by more than
        chance, as :func:`~fnequiv.equivalence.choosing.choose` tests it. If left out: the start with the least
        distance of the balanced weights. Not asked about a copy.
    executor
        Runs the starts; one after the other in this thread if left out.
    progress
        Show a progress bar over the starts.

    Returns
    -------
    Alignment
        With its distances before and after, measured in the given weights (not the balanced ones).

    Raises
    ------
    TypeError, ValueError
        As :func:`~fnequiv.equivalence.checking.compare` for networks; and if ``starts`` or ``sweeps`` is below 1, more
        than one start lacks a generator, ``score`` is no function or gives what ``choose`` refuses, ``executor`` is
        none, or ``progress`` is no bool.

    Notes
    -----
    A copy up to rounding is found first, by :func:`~fnequiv.equivalence.checking.compare`: there weight matching may
    stop at a local optimum, and matching units by what they receive does not. Scales bring a unit to the size that
    its partner has beside balanced weights; for a near copy they are then fitted to the distance.

    Weights alone do not say how the loss runs between two networks that were trained apart: of two matches about as
    close, either may have the lower barrier, and at times that is plain weight matching. A ``score`` that sees data
    chooses among them. Let it see examples that neither network has learned, and return a loss for each: if in truth
    none of the starts is better by that loss, plain weight matching is replaced with a chance of about 5 % at most.
    Source: Ainsworth et al. (2023), Algorithm 1, extended by signs, scales and a start that follows the inputs.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> spec = mlp.spec((3, 4, 2), "tanh")
    >>> b = mlp.init((3, 4, 2), torch.Generator().manual_seed(0))
    >>> a = apply(b, spec, sample(spec, np.random.default_rng(1)))
    >>> align(a, b, spec).after
    0.0
    """
    check_integer("starts", starts)
    check_integer("sweeps", sweeps)
    check_bool("progress", progress)
    _check_functions(score, executor)
    check_pair(a, b, spec)
    if starts > 1 and generator is None:
        raise ValueError(f"starts={starts} draws random starts: pass a generator, np.random.default_rng(0) say")
    whole = a, spec  # what a score sees: counters and masks too
    a, b, spec = _floating(a, b, spec)
    eps = max((torch.finfo(tensor.dtype).eps for tensor in b.values()), default=0.0)
    copy = compare(a, b, spec, tolerance=_ROUNDINGS * eps, max_nodes=_FEW_NODES)
    if copy.witness is not None:
        return _report(a, b, spec, copy.witness, 0, 0)
    balanced, discrete = [balance(_pieces(params, spec), spec.flat) for params in (a, b)], spec.only(signs=True)
    first = [sample(discrete, generator) if number and generator is not None else None for number in range(starts)]
    run = partial(descend, balanced[0][0], balanced[1][0], discrete, sweeps)
    found = list(tqdm((executor.map if executor else map)(run, first), "starts", starts, disable=not progress))
    candidates = []
    order = sorted(range(starts), key=lambda number: found[number][1])
    for number in order[:1] if score is None else order:
        element = compose(invert(balanced[1][1]), compose(found[number][0], balanced[0][1]))
        candidates.append(_report(a, b, spec, _fitted(a, b, spec, element), found[number][2], number))
    if score is None:
        return candidates[0]
    plain, _, passes = descend(_pieces(a, spec), _pieces(b, spec), spec.only(), sweeps, identity(spec))
    candidates.insert(0, _report(a, b, spec, plain, passes, starts))
    return candidates[choose([score(apply(*whole, candidate.element)) for candidate in candidates])]


def _check_functions(score: Score | None, executor: Executor | None) -> None:
    if score is not None and not callable(score):
        raise TypeError(f"score must be a function of a network's tensors by name, got {shown(score)}")
    if executor is not None and not callable(getattr(executor, "map", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {shown(executor)}")


def _fitted(a: Params, b: Params, spec: SymmetrySpec, element: GroupElement) -> GroupElement:
    """Return the element with its scales fitted, if that makes a near copy of b."""
    if not spec.flat.continuous_dimension():
        return element
    target = _pieces(b, spec)
    fitted = compose(fit(_pieces(apply(a, spec, element), spec), target, spec.flat), element)
    length = distance({name: np.zeros_like(array) for name, array in target.items()}, target)
    return fitted if _report(a, b, spec, fitted, 0, 0).after < _NEAR * length else element


def align_activations(
    a: Params,
    b: Params,
    spec: SymmetrySpec,
    outputs_a: Mapping[str, npt.ArrayLike],
    outputs_b: Mapping[str, npt.ArrayLike],
) -> Alignment:
    """Return an element g that brings the units' outputs on common inputs together, by activation matching.

    Parameters
    ----------
    a, b, spec
        As for :func:`align`.
    outputs_a, outputs_b
        For every block the outputs of its units, shape [inputs, units]: of a, and of b, on the same inputs. Blocks that
        lie on no tensor, and only hold others together, need none.

    Returns
    -------
    Alignment
        ``after`` is the distance of the weights, which this does not minimise: it may be larger than ``before``.

    Raises
    ------
    TypeError, ValueError
        As :func:`align`; and if outputs of a block are missing, not finite, or of other shapes than [inputs, units],
        if there are none, or a block is not known.

    Notes
    -----
    Source: Ainsworth et al. (2023), Section 3.1. A scale is the ratio of the lengths of two matched units' outputs,
    and 1 where either is shorter than a hundredth of the median of its layer (dead units left out): the ratio of two
    nearly dead units says nothing, and can be of any size.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> theta = mlp.init((1, 2, 1), torch.Generator().manual_seed(0))
    >>> seen = {"layer1": [[1.0, 5.0], [2.0, 4.0]]}
    >>> swapped = {"layer1": [[5.0, 1.0], [4.0, 2.0]]}
    >>> align_activations(theta, theta, mlp.spec((1, 2, 1), "gelu"), seen, swapped).element["layer1"].permutation
    array([1, 0])
    """
    check_pair(a, b, spec)
    a, b, spec = _floating(a, b, spec)
    left, right = outputs_of("outputs_a", outputs_a, spec), outputs_of("outputs_b", outputs_b, spec)
    return _report(a, b, spec, element_of(left, right, spec), 1, 0)


def _floating(a: Params, b: Params, spec: SymmetrySpec) -> tuple[Params, Params, SymmetrySpec]:
    """Return what distances are measured over: not counters and masks, which lie beside the weights."""
    shapes = {name: shape for name, shape in spec.shapes.items() if a[name].is_floating_point()}
    a, b = ({name: params[name] for name in shapes} for params in (a, b))
    return a, b, replace(spec, shapes=shapes, cells=tuple(cell for cell in spec.cells if cell.tensor in shapes))


def _double(params: Params, spec: SymmetrySpec) -> dict[str, FloatArray]:
    return {name: array.astype(np.float64) for name, array in arrays_of(params, spec).items()}


def _pieces(params: Params, spec: SymmetrySpec) -> dict[str, FloatArray]:
    return _double(unfold(params, spec), spec.flat)


def _report(a: Params, b: Params, spec: SymmetrySpec, element: GroupElement, sweeps: int, start: int) -> Alignment:
    left, right = _double(a, spec), _double(b, spec)
    before, after = distance(left, right), distance(_double(apply(a, spec, element), spec), right)
    return Alignment(element, before, after, sweeps, start)
