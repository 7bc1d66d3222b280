r"""Count networks up to symmetry: group orders, orbits of quantised networks, stabilisers.

Notation. widths = (d_0, d_1, …, d_L, d_{L+1}), S = Σ_{l=0}^{L} (d_l + 1) d_{l+1} weights and biases. The group
G = S_{d_1} × ⋯ × S_{d_L} permutes hidden neurons (Proposition 1); the signed group also flips their signs, which leaves
the function alone if the activations are odd (Example 2). Logs are in nats.

With K levels a parameter there are K^S networks. They fall into no fewer than K^S/|G| orbits, because a network with
ties has a smaller orbit: |orbit| = |G|/|stabiliser|. They are about as many where neurons have far more words than
there are neurons, so that ties are rare. :func:`orbits` is the exact number (Burnside).
Its log2, :func:`bits`, is what a code for quantised networks has to spend if it keeps only the orbit.

Theorem: Proposition 1, Examples 2 and 3 of Shen (2024) for the groups; Burnside's lemma for the count.
Chapter: "Counting orbits exactly".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..symmetry import KINDS, SymmetrySpec
from ..validation import check_integer, check_widths
from .arithmetic import Exact, Logs
from .burnside import burnside, work
from .cycle_types import Cycles
from .stabilisers import orbit_size, stabiliser_order

__all__ = ["bits", "log_group_order", "log_orbits", "orbit_size", "orbits", "stabiliser_order"]

# Products that are still done: about a minute of integers, and some minutes of logarithms.
MAX_EXACT_WORK = 50_000_000
MAX_LOG_WORK = 20_000_000_000


def orbits(widths: Sequence[int], levels: int, *, signed: bool = False, progress: bool = False) -> int:
    r"""Return the exact number of networks with K levels a parameter, up to symmetry.

    (1/|G|) Σ_{g ∈ G} K^{number of orbits of g on the S parameters}, summed over cycle types; see
    :mod:`fnequiv.complexity.burnside`. For one hidden layer it is C(M + d_1 - 1, d_1) K^{d_2},
    M = K^{d_0 + 1 + d_2}.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), integers ≥ 1; any depth, no hidden layer included.
    levels
        K ≥ 1, the number of values that each weight and bias may take.
    signed
        Also identify networks that differ by sign flips of hidden neurons (odd activations). The K levels are then
        symmetric about 0, so that 0 is one of them if K is odd.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    int
        The number of orbits; no float is involved.

    Raises
    ------
    TypeError
        If a width or ``levels`` is no integer.
    ValueError
        If a width or ``levels`` is below 1, or if the sum is too long (the message says what would fit).

    See Also
    --------
    log_orbits : for sizes where the digits are pointless.

    Examples
    --------
    >>> orbits((1, 2, 1), 3), orbits((1, 2, 1), 3, signed=True), 3**7
    (1134, 315, 2187)
    >>> orbits((1, 2, 2, 1), 2)
    2336
    """
    widths, levels = _check(widths, levels, signed, MAX_EXACT_WORK, "call log_orbits, or make the layers narrower")
    total = int(burnside(widths, Exact(levels), signed=signed, progress=progress)[0])
    return total // math.prod(Cycles(width, signed).group_order() for width in widths[1:-1])


def log_orbits(widths: Sequence[int], levels: int, *, signed: bool = False, progress: bool = False) -> float:
    """Return log :func:`orbits` in nats, in float64 logarithms throughout: nothing overflows.

    The parameters are those of :func:`orbits`. All terms are positive, so the relative error stays near the
    rounding error of float64 (below 1e-13 wherever it was compared with exact integers). Memory is bounded: at most a
    table of the cycle types of each inner layer and a few arrays of 16 MiB.

    Raises
    ------
    TypeError
        If a width or ``levels`` is no integer.
    ValueError
        If a width or ``levels`` is below 1, or if the sum is too long (the message says what would fit).

    Examples
    --------
    >>> round(log_orbits((10, 30, 30, 10), 16), 6)
    4203.647821
    >>> round(log_orbits((784, 512, 10), 2**32), 3)  # one hidden layer of any width: a closed form
    9025971.855
    """
    widths, levels = _check(widths, levels, signed, MAX_LOG_WORK, "make the inner layers narrower")
    if levels == 1:
        return 0.0
    return float(burnside(widths, Logs(levels), signed=signed, progress=progress)[0])


def bits(widths: Sequence[int], levels: int, *, signed: bool = False) -> float:
    """Return log2 of the number of orbits: what a code for networks with K levels must spend, and can reach.

    A code that tells networks apart up to symmetry needs at least this many bits for some network, and numbering
    the orbits reaches it, rounded up. Without symmetry the networks need S log2 K bits.

    Raises
    ------
    TypeError, ValueError
        As :func:`log_orbits`.

    Examples
    --------
    >>> round(bits((1, 3, 1), 2), 4)  # log2 of 240, where the parameters alone have 10 bits
    7.9069
    """
    return log_orbits(widths, levels, signed=signed) / math.log(2)


def log_group_order(network: Sequence[int] | SymmetrySpec, *, kind: str | None = None) -> float:
    r"""Return the log of the order of the discrete symmetry group, in nats.

    Σ_l log d_l! for permutations; plus log 2 · Σ_l d_l with sign flips. Scales form a continuous group and add
    nothing here: a scaled kind counts as its discrete part.

    Parameters
    ----------
    network
        Widths (d_0, …, d_{L+1}), or a :class:`~fnequiv.symmetry.SymmetrySpec`, which knows its own kinds.
    kind
        For widths, one of :data:`fnequiv.symmetry.KINDS` (``"permutation"`` if left out).

    Raises
    ------
    TypeError
        If ``network`` is neither.
    ValueError
        If a width is below 1, the kind is unknown, or a kind is given with a specification.

    Examples
    --------
    >>> round(log_group_order((1, 3, 1)), 4), round(log_group_order((1, 3, 1), kind="signed"), 4)
    (1.7918, 3.8712)
    """
    if isinstance(network, SymmetrySpec):
        if kind is not None:
            raise ValueError(
                f"kind goes with widths, got kind={kind!r} with a SymmetrySpec: use spec.only(signs=..., scales=...)"
            )
        return network.log_order()
    widths = check_widths(network)
    if kind not in (None, *KINDS):
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    flips = math.log(2) if kind in ("signed", "signed_scaled") else 0.0
    return math.fsum(math.lgamma(width + 1) + flips * width for width in widths[1:-1])


def _check(widths: Sequence[int], levels: int, signed: bool, limit: int, remedy: str) -> tuple[tuple[int, ...], int]:
    widths = check_widths(widths)
    levels = check_integer("levels", levels)
    if not isinstance(signed, bool):
        raise TypeError(f"signed must be True or False, got {signed!r}")
    terms = work(widths, signed=signed)
    if terms > limit:
        raise ValueError(f"widths {widths} need {terms:.2g} products, more than {limit:.2g}: {remedy}")
    return widths, levels
