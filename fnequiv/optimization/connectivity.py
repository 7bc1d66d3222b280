r"""The loss on the straight line between two networks, and the barrier on it, before and after alignment.

Notation. θ_t = (1 - t) a + t b for t in [0, 1], and for a loss 𝓛 the *barrier*

max_t 𝓛(θ_t) - (1 - t) 𝓛(a) - t 𝓛(b),

the maximum over ``points`` equally spaced t, both ends among them: never below 0, and a lower bound on the maximum over
all t. The points are stacked along a new first axis and evaluated at once with ``torch.func.vmap``. If the networks
were trained apart, much of the barrier is a matter of naming: :func:`before_and_after` moves a near b first.

Sources: Frankle et al. (2020), linear mode connectivity; Entezari et al. (2022), the barrier as it stands here, and
the conjecture that a permutation takes it away; Ainsworth et al. (2023), matching. Running variances of a
normalisation are interpolated like all else; Jordan et al. (2023) say why one may want to estimate them anew.
Chapters: "Telling networks apart" and "Optimisation".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..equivalence.actions import apply
from ..equivalence.alignment import align
from ..equivalence.arrays import Params
from ..equivalence.checking import check_pair
from ..equivalence.layers import shapes_of
from ..symmetry import SymmetrySpec
from ..validation import check_bool, check_integer, shown

__all__ = ["Loss", "Profile", "barrier", "before_and_after", "line", "profile"]

Loss = Callable[[dict[str, torch.Tensor]], torch.Tensor]
_MOST = 10**6


@dataclass(frozen=True)
class Profile:
    """The losses on a line: ``shares`` t [points] from 0 to 1, and ``losses`` 𝓛(θ_t) [points], both float64.

    Made by :func:`profile`, which checks them.

    Examples
    --------
    >>> found = Profile(np.array([0.0, 0.5, 1.0]), np.array([1.0, 5.0, 3.0]))
    >>> found.barrier, found.excess.tolist()
    (3.0, [0.0, 3.0, 0.0])
    """

    shares: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]

    @property
    def excess(self) -> npt.NDArray[np.float64]:
        """𝓛(θ_t) less what the straight line between the ends has there; exactly 0 at the ends."""
        ends = (1 - self.shares) * self.losses[0] + self.shares * self.losses[-1]
        return self.losses - ends

    @property
    def barrier(self) -> float:
        """The largest excess."""
        return float(self.excess.max())


def line(a: Params, b: Params, points: int = 25) -> dict[str, torch.Tensor]:
    """Return the networks θ_t at equally spaced t, stacked: every tensor gets a new first axis of ``points``.

    The first is a and the last b, exactly. Integers and booleans (a counter of batches, a mask) cannot be mixed:
    they are those of the nearer end, in the middle those of a. Gradients flow back to a and b.

    Parameters
    ----------
    a, b
        Networks with equal names, shapes, dtypes and devices, all floating tensors finite and of one dtype.
    points
        2 to 10⁶.

    Raises
    ------
    TypeError
        If a network maps no names to dense tensors, or dtypes or devices differ.
    ValueError
        If there are no tensors, names or shapes differ, an entry is not finite, or ``points`` is out of its range.

    Examples
    --------
    >>> line({"w": torch.tensor([0.0, 1.0])}, {"w": torch.tensor([4.0, 1.0])}, 3)["w"].tolist()
    [[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]
    """
    if check_integer("points", points, minimum=2) > _MOST:
        raise ValueError(f"points must be at most {_MOST}, got {shown(points)}: each is a network in memory")
    check_pair(a, b, SymmetrySpec((), shapes_of(a)))
    if not a:
        raise ValueError("a and b must hold at least one tensor each, got none")
    shares = torch.linspace(0, 1, points, dtype=torch.float64)
    return {name: _between(a[name], b[name], shares) for name in a}


def profile(
    a: Params, b: Params, loss: Loss, *, points: int = 25, chunk: int | None = None, batched: bool = True
) -> Profile:
    """Return the losses on the line from a to b.

    Parameters
    ----------
    a, b, points
        As for :func:`line`.
    loss
        Takes a network, its tensors by name, and returns one number as a tensor: the mean cross entropy of
        ``mlp.forward(params, x, "relu")``, or of ``torch.func.functional_call(module, params, (x,))``, on some data.
    chunk
        Points evaluated at once, all if left out: memory grows with it.
    batched
        Whether ``loss`` may see all points at once, through ``torch.func.vmap``. One that calls ``.item()``, branches
        on numbers or draws random ones may not: it is called point by point if this is False. That is no slower on a
        CPU where a network is wide or its data are many, and takes the memory of one point.

    Raises
    ------
    TypeError
        If ``loss`` is no function or returns no floating tensor, or as :func:`line`.
    ValueError
        If ``loss`` returns more than one number, NaN or an infinity, or does not run under ``vmap`` though ``batched``,
        or as :func:`line`.

    Examples
    --------
    >>> a, b = ({"w": torch.tensor([value])} for value in (-1.0, 1.0))
    >>> profile(a, b, lambda params: (params["w"] ** 2 - 1).square().sum(), points=5).losses
    array([0.    , 0.5625, 1.    , 0.5625, 0.    ])
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function of a network's tensors by name, got {shown(loss)}")
    check_bool("batched", batched)
    size = None if chunk is None else check_integer("chunk", chunk)
    stacked = line(a, b, points)
    with torch.no_grad():
        if batched:
            values = _at_once(loss, stacked, size)
        else:
            networks = ({name: tensor[at] for name, tensor in stacked.items()} for at in range(points))
            values = torch.stack([_one_number(loss)(network) for network in networks])
    losses: npt.NDArray[np.float64] = values.double().cpu().numpy()
    shares = np.linspace(0, 1, points)
    if not np.isfinite(losses).all():
        wrong = int(np.flatnonzero(~np.isfinite(losses))[0])
        raise ValueError(f"loss must be finite on the line, got {losses[wrong]} at t = {shares[wrong]:g}")
    return Profile(shares, losses)


def barrier(
    a: Params, b: Params, loss: Loss, *, points: int = 25, chunk: int | None = None, batched: bool = True
) -> float:
    """Return max_t 𝓛(θ_t) - (1 - t) 𝓛(a) - t 𝓛(b) over ``points`` equally spaced t, at least 0.

    Parameters and what is raised are those of :func:`profile`.

    Examples
    --------
    >>> a, b = ({"w": torch.tensor([value])} for value in (-1.0, 1.0))
    >>> barrier(a, b, lambda params: (params["w"] ** 2 - 1).square().sum())
    1.0
    """
    return profile(a, b, loss, points=points, chunk=chunk, batched=batched).barrier


def before_and_after(
    a: Params,
    b: Params,
    spec: SymmetrySpec,
    loss: Loss,
    *,
    points: int = 25,
    chunk: int | None = None,
    batched: bool = True,
    **options: Any,
) -> tuple[Profile, Profile]:
    """Return the losses on the line from a to b, and on that from g·a to b, where g is what ``align`` finds.

    Parameters
    ----------
    a, b, spec
        Networks of one specification; its group is what ``align`` may use, ``spec.only()`` for permutations alone.
    loss, points, chunk, batched
        As for :func:`profile`.
    options
        For :func:`~fnequiv.equivalence.alignment.align`: starts, generator, score and so on.

    Raises
    ------
    TypeError, ValueError
        As :func:`profile` and :func:`~fnequiv.equivalence.alignment.align`.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> from fnequiv.equivalence.group import sample
    >>> spec = mlp.spec((1, 8, 1), "tanh")
    >>> b = mlp.init((1, 8, 1), torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> a, x = apply(b, spec, sample(spec, np.random.default_rng(0))), torch.linspace(-9, 9, 99).double()[:, None]
    >>> def loss(params):  # the squared distance from what b computes: a computes it, too
    ...     return (mlp.forward(params, x, "tanh") - mlp.forward(b, x, "tanh")).square().mean()
    >>> [round(each.barrier, 3) for each in before_and_after(a, b, spec, loss)]
    [0.043, 0.0]
    """
    before = profile(a, b, loss, points=points, chunk=chunk, batched=batched)
    moved = apply(a, spec, align(a, b, spec, **options).element)
    return before, profile(moved, b, loss, points=points, chunk=chunk, batched=batched)


def _between(a: torch.Tensor, b: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    shares = shares.to(a.device).view(-1, *[1] * a.ndim)
    if a.is_floating_point():
        late = shares.to(a.dtype)
        return (1 - late) * a[None] + late * b[None]  # lerp's b - a could overflow
    return torch.where(shares <= 0.5, a[None], b[None])


def _at_once(loss: Loss, stacked: dict[str, torch.Tensor], size: int | None) -> torch.Tensor:
    try:
        return torch.func.vmap(_one_number(loss), chunk_size=size)(stacked)
    except RuntimeError as error:
        if "vmap" not in str(error):  # the loss's own
            raise
        raise ValueError(f"loss must run under torch.func.vmap, or pass batched=False; it said: {error}") from error


def _one_number(loss: Loss) -> Loss:
    """Return the loss with its result checked; under ``vmap`` a result has the shape that it has for one network."""

    def checked(params: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss of one network, one floating number."""
        value = loss(params)
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"loss must return a tensor with one number, got {type(value).__name__}: leave out .item()")
        if not value.is_floating_point():
            raise TypeError(f"loss must return a floating tensor, got {value.dtype}: a count wants .double()")
        if value.ndim:
            raise ValueError(f"loss must return one number, got shape {tuple(value.shape)}: take its mean")
        return value

    return checked
