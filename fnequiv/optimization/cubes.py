r"""The probability that a random start falls near a copy of a minimiser: the paper's bound, and when it is exact.

Notation of :mod:`fnequiv.optimization.rows`. θ̂ has L hidden layers, Pθ̂ is its copy under a permutation of the
neurons of each, and C(θ) = {θ' : ‖θ' - θ‖_∞ < δ/2} is the open cube around θ. All entries of a start θ^(0) are
independent, those of one tensor have one law (a *scheme*).

**Theorem.** Let δ ≤ Δ_min. (a) There are Π_l d_l* copies of θ̂ whose cubes are disjoint and equally likely. The union
of these has exactly the probability Π_l d_l* · P(θ^(0) ∈ C(θ̂)). (b) So a start falls into the cube of *some* copy with
at least this probability, and with exactly this one if θ̂ has no more than Π_l d_l* copies. That is so without ties,
and whenever rows of a hidden layer that are equal have equal columns, too.

*Proof.* P_l R is determined by the coset of P_l modulo the stabiliser of R, the rows of layer l. There are d_l* cosets;
take one P_l from each, for all l. Two of the copies Pθ̂, P'θ̂ so chosen first differ at some layer l. Up to there, their
columns are in one order, so in layer l both have the same rows R, in different orders: at some place two distinct rows
meet. They are Δ_min ≥ δ apart, as the order of columns does not enter a sup norm, and the open cubes are disjoint.
C(Pθ̂) is C(θ̂) with entries exchanged inside tensors, the output layer's inside its rows. The law of a start is
invariant under that, which proves (a). (b) Any copy of θ̂ is covered unless some P in the product of the stabilisers
gives a new one, and exchanging equal rows with equal columns changes nothing. ∎

**What the paper says on top.** If an algorithm converges to θ̂ from all of C(θ̂), and commutes with permutations (as
gradient descent and Adam do), it converges from C(Pθ̂) to Pθ̂, which is the same function. As it stands, this can hold
only where minimisers are isolated: a neuron that may be rescaled, or two equal rows whose outgoing weights are trained,
put other minimisers into every cube, and gradient descent does not move from there. "Ends at a network equivalent to
θ̂" in place of "converges to θ̂" is enough for the conclusion. The paper's cubes are closed. For laws with a density that
is no difference. For biases that start at 0 it is one: two rows whose weights are equal and whose biases are ±δ/2 have
closed cubes with a common part of positive probability.

**The factorial never wins.** Given layers 1, …, l - 1, a start's row in layer l is near the distinct rows c with
probabilities p_c, Σ_c p_c ≤ 1, and (a) has the factor d_l* Π_c p_c^{m_c}, which is greatest at p_c = m_c/d_l. Without
ties this is d_l!/d_l^{d_l} ≈ √(2πd_l) e^{-d_l} for any scheme and any δ ≤ Δ_min: see
:func:`~fnequiv.optimization.rows.log_ceiling`.

Source: section 5.2 of Shen (2024), for the bound; that it is exact, the condition and the ceiling are proved here.
Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..validation import check_bool, check_positive, check_real, check_widths
from .laws import Law
from .membership import Union, stacked, union
from .rows import Network, Params, delta_min, log_distinct_permutations, read
from .schemes import Scheme, get

LEAST_EDGE = 2.0**-1021  # half of it is the least number that float64 has with all digits

__all__ = ["StartProbability", "effective_log_volume", "log_start_probability"]


@dataclass(frozen=True)
class StartProbability:
    """The probability that a start falls near a copy of θ̂, and its parts, in nats.

    Attributes
    ----------
    log_value
        Σ_l ln d_l* + ln P(cube): the theorem's lower bound, -inf if no start can come near.
    log_orders
        (ln d_1*, …, ln d_L*).
    log_cube
        ln P(θ^(0) ∈ C(θ̂)).
    delta, delta_min
        δ, the edge of the cubes, and Δ_min, the largest for which rows alone guarantee that they are disjoint.
    exact
        Whether the bound is known to be the probability that a start falls near a copy. If not, equal rows have
        different columns: θ̂ has more copies than Π d_l* (or too many ties to tell), and the bound is a lower one.
    """

    log_value: float
    log_orders: tuple[float, ...]
    log_cube: float
    delta: float
    delta_min: float
    exact: bool


def log_start_probability(params: Params, scheme: str | Scheme, *, delta: float | None = None) -> StartProbability:
    """Return the theorem's bound for a minimiser θ̂ = ``params`` and starts drawn by ``scheme``.

    Parameters
    ----------
    params
        θ̂ [S numbers], with the names of :func:`fnequiv.equivalence.mlp.init`.
    scheme
        A name of :func:`fnequiv.optimization.schemes.names` or a :class:`~fnequiv.optimization.schemes.Scheme`.
    delta
        δ ≤ Δ_min, the edge of the cubes: starts closer than δ/2 to a copy count. By default Δ_min.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the scheme is unknown, δ not in [4.5e-308, Δ_min], or left out where Δ_min is infinite.

    Notes
    -----
    Source: Shen (2024), section 5.2; proof in :mod:`fnequiv.optimization.cubes`.

    Examples
    --------
    >>> import torch
    >>> theta = {"0.weight": torch.tensor([[-0.5], [0.5]]), "2.weight": torch.tensor([[0.1, 0.2]])}
    >>> found = log_start_probability(theta, "pytorch", delta=0.2)
    >>> found.exact, round(math.exp(found.log_value), 6)  # 2! · 0.1² · (0.2/√2)²
    (True, 0.0004)
    """
    scheme = get(scheme)
    network, separation, delta = check_cubes(params, delta)
    laws = laws_of(network, scheme)
    with np.errstate(invalid="ignore"):
        parts = [law.log_probability(x, delta / 2).sum() for law, x in zip(laws, network.tensors, strict=True)]
    orders = log_distinct_permutations(params)
    cube = float(sum(parts))
    return StartProbability(sum(orders) + cube, orders, cube, delta, separation, _is_exact(network))


def effective_log_volume(widths: Sequence[int], scheme: str | Scheme, *, bias: bool = True) -> float:
    """Return the entropy of a random start, counted up to permutations: the log effective volume, in nats.

    It is Σ h - Σ_l ln d_l!, h the differential entropies of all parameters that are not constant. Where weights are
    uniform, e^{Σh} is the volume of the box that they fill, and this is the log volume of a set of representatives. In
    general a start of density π has on that set the density Π_l d_l! · π, almost surely without ties.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), integers ≥ 1.
    scheme
        A name or a :class:`~fnequiv.optimization.schemes.Scheme`.
    bias
        Whether layers have biases; those that start at 0 add no dimension.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the scheme is unknown or a width below 1.

    Notes
    -----
    The effective parameter volume (2B)^S / Π d_l! of Shen (2024), for the boxes that starts are drawn from.

    Examples
    --------
    >>> round(effective_log_volume((1, 4, 1), "pytorch"), 4), round(math.log(2**8 * 1**5 / 24), 4)
    (2.3671, 2.3671)
    """
    widths, scheme, bias = check_widths(widths), get(scheme), check_bool("bias", bias)
    total = 0.0
    for fan_in, fan_out in pairwise(widths):
        weights, biases = scheme.laws(fan_in, fan_out)
        for law, count in [(weights, fan_in * fan_out), (biases, fan_out if bias else 0)]:
            total += 0.0 if law.constant else count * law.entropy()
    return total - sum(math.lgamma(width + 1) for width in widths[1:-1])


def check_cubes(params: Params, delta: float | None) -> tuple[Network, float, float]:
    """Return the network, Δ_min, and δ.

    Raises
    ------
    TypeError, ValueError
        If ``params`` is no network or ``delta`` not in [4.5e-308, Δ_min].

    Examples
    --------
    >>> import torch
    >>> check_cubes({"0.weight": torch.tensor([[1.0], [3.0]]), "2.weight": torch.ones(1, 2)}, None)[1:]
    (2.0, 2.0)
    """
    network, separation = read(params), delta_min(params)
    if delta is None:
        if math.isinf(separation):
            raise ValueError("delta must be given: no hidden layer has two distinct rows, so Delta_min is infinite")
        edge = separation
    else:
        edge = float(check_positive("delta", check_real("delta", delta)))
    if edge < LEAST_EDGE:
        raise ValueError(f"delta must be >= {LEAST_EDGE:.3g}, got {edge!r}: the radius delta/2 would lose its digits")
    if edge > separation:
        raise ValueError(
            f"delta must be at most Delta_min = {separation!r}, got {edge!r}: larger cubes may overlap, and then the "
            "sum of their probabilities is not that of their union"
        )
    return network, separation, edge


def laws_of(network: Network, scheme: Scheme) -> list[Law]:
    """Return the law of every tensor of a network, in the order of ``network.tensors``.

    Examples
    --------
    >>> laws_of(Network((np.ones((2, 4)),), (np.ones(2),)), get("lecun_normal"))
    [Normal(std=0.5), Zero()]
    """
    laws: list[Law] = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        fan_out, fan_in = weight.shape
        laws += scheme.laws(fan_in, fan_out)[: 1 if bias is None else 2]
    return laws


def _is_exact(network: Network) -> bool:
    """Return whether every order of ties gives a copy that keeping ties in order gives, too."""
    try:
        copies = union(network, 1.0).arrangements
    except ValueError:
        return False
    if len(copies) == 1:  # itself, for nothing is tied or all ties are twins; a search takes long in wide layers
        return True
    smallest = float(np.nextafter(0, 1))  # what is nearer than the least positive number is equal
    return all(np.isfinite(Union((network,), 0.0, smallest).log_copies_near(stacked([copy]))[0]) for copy in copies)
