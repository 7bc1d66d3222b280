r"""Covering numbers of convolutional networks, residual networks and attention, with their factorials.

Notation. All parameters in [-B, B], inputs bounded by B_x, N(F, ε) the least number of sup-norm ε-balls that cover the
class F of functions. A network's parameters come in *blocks* k (a weight or a bias) of s_k numbers, S in all. All
results are natural logarithms. The paper's section 4 (Shen 2024) says that its argument carries over to these
architectures; here is what it gives, with the same conventions as :mod:`fnequiv.complexity.covering`: valid for every
ε > 0, all widths and any number of outputs.

**The bound.** Each class proves an inequality ‖f_θ - f_θ'‖_∞ ≤ Σ_k c_k δ_k for parameters that differ by at most δ_k in
block k. The resolutions δ_k = ε s_k/(S c_k) minimise Σ_k s_k ln(1/δ_k) subject to Σ_k c_k δ_k = ε (blocks with c_k = 0
need no words and do not count in S). K_k = ⌈B/δ_k⌉ equally spaced centres cover [-B, B] to within δ_k, so K = Π_k
K_k^{s_k} networks cover F; and of those that differ by the order of their units only one has to be kept.

The rooms behind this door: :mod:`~fnequiv.architectures.units` (how many networks are left up to order),
:mod:`~fnequiv.architectures.convolutional_class`, :mod:`~fnequiv.architectures.residual_class` and
:mod:`~fnequiv.architectures.attention_class` (the inequalities, each with its proof), and
:mod:`~fnequiv.architectures.mixing` (attention up to its continuous group).

**How much the order saves.** ln d! for d units, little against the nats of all their words.

>>> classes = {
...     "CNN, digits": ConvolutionalClass(image=(8, 8), channels=(1, 8, 16), pooling=2, outputs=10),
...     "residual MLP": ResidualClass(inputs=64, stream=64, inner=64, blocks=4, outputs=10),
...     "attention": AttentionClass(tokens=16, channels=64, heads=4),
... }
>>> for name, network in classes.items():
...     terms = covering_terms(network, B=1, Bx=1, eps=0.1)
...     print(f"{name}: {terms.log_bound:.0f} nats, {terms.log_saved:.1f} saved, {100 * terms.share:.2f} %")
CNN, digits: 24432 nats, 41.3 saved, 0.17 %
residual MLP: 1673015 nats, 1025.8 saved, 0.06 %
attention: 211377 nats, 248.6 saved, 0.12 %

A continuous symmetry is worth more, because it takes dimensions away: half of the bound where one head has them all.

>>> one_head = AttentionClass(tokens=16, channels=64, heads=1)
>>> [round(covering_bound(one_head, B=1, Bx=1, eps=0.1, symmetry=name)) for name in SYMMETRIES]
[217348, 216938, 215799, 103175]
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..validation import check_finite, check_positive, shown
from .attention_class import AttentionClass
from .convolutional_class import ConvolutionalClass
from .residual_class import ResidualClass
from .terms import BlockTerms, CoveringTerms, Grid, UnitTerms, make_grid, terms_of
from .units import NetworkClass, Units

__all__ = [
    "SYMMETRIES",
    "AttentionClass",
    "BlockTerms",
    "ConvolutionalClass",
    "CoveringTerms",
    "NetworkClass",
    "ResidualClass",
    "UnitTerms",
    "Units",
    "covering_bound",
    "covering_terms",
    "log_coefficients",
    "sensitivity",
]

Array = npt.NDArray[np.float64]

SYMMETRIES = ("none", "permutation", "signed_scaled", "best")


def covering_bound(
    network: NetworkClass,
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    eps: npt.ArrayLike,
    symmetry: str = "permutation",
    domain: str = "l2",
) -> float | Array:
    r"""Return an upper bound on ln N(F, ε) in nats: valid for every ε > 0 and all widths.

    Parameters
    ----------
    network
        A :class:`ConvolutionalClass`, :class:`ResidualClass` or :class:`AttentionClass`.
    B, Bx, eps
        Bound on every parameter, on the inputs, and the radius, all > 0; broadcast against one another.
    symmetry
        ``"none"``: all networks on the grid; ``"permutation"``: one an order of units; ``"signed_scaled"``: and one a
        sign and a scale of every unit that has them (always so in attention); ``"best"``: the least bound known here,
        which for attention also tries one network an orbit of the continuous group.
    domain
        ``"l2"``: ‖x‖_2 ≤ B_x (of every token, for attention); ``"linf"``: ‖x‖_∞ ≤ B_x.

    Returns
    -------
    float or numpy.ndarray
        Nats, of the broadcast shape of ``B``, ``Bx`` and ``eps``. Never below 0; falls with ε, rises with B and B_x;
        never more with a symmetry named later.

    Raises
    ------
    TypeError
        If ``network`` is no such class, or an argument is not numeric.
    ValueError
        If a number is NaN, infinite or ≤ 0, a name is unknown, or an activation is not Lipschitz on the range it sees.

    Notes
    -----
    Proofs: :mod:`fnequiv.architectures.units` for the count, the class's module for the inequality. Float64 is used as
    in :func:`~fnequiv.complexity.covering.orbit_bound`: ε is honoured to one part in 10¹².

    Examples
    --------
    >>> digits = ConvolutionalClass(image=(8, 8), channels=(1, 8, 16), pooling=2, outputs=10)
    >>> [round(covering_bound(digits, B=1, Bx=1, eps=0.1, symmetry=name)) for name in SYMMETRIES]
    [24473, 24432, 24212, 24212]
    """
    bound = np.minimum.reduce([grid.log_bound for grid in _grids(network, B, Bx, eps, symmetry, domain)])
    return float(bound) if bound.ndim == 0 else bound


def covering_terms(
    network: NetworkClass, *, B: float, Bx: float, eps: float, symmetry: str = "permutation", domain: str = "l2"
) -> CoveringTerms:
    """Return the same bound with its terms: coefficients, resolutions and levels of the blocks, nats of the stages.

    Parameters are those of :func:`covering_bound`, as numbers.

    Raises
    ------
    TypeError, ValueError
        As :func:`covering_bound`; ``ValueError`` too if B, Bx or eps is an array.

    Examples
    --------
    The key's bias needs no words. The group has 2! (2! 2!)² = 32 elements, ln 32 = 3.47.

    >>> print(covering_terms(AttentionClass(tokens=4, channels=4, heads=2), B=1, Bx=1, eps=0.1).table())
    block          numbers  ln c   ln δ  ln K
    query.weight        16  3.81  -7.67  7.67
    query.bias           4  3.12  -8.37  8.37
    key.weight          16  4.22  -8.08  8.08
    key.bias             4  -inf    inf  0.00
    value.weight        16  2.08  -5.94  5.94
    value.bias           4  1.39  -6.63  6.63
    output.weight       16  2.48  -6.35  6.35
    output.bias          4  0.00  -5.25  5.25
    <BLANKLINE>
    units    number    ln M    nats  saved
    heads         2  252.91  505.14   3.47
    outputs       4    5.25   20.99   0.00
    ln N <= 526.12 nats (symmetry: permutation)
    """
    for name, value in (("B", B), ("Bx", Bx), ("eps", eps)):
        if np.ndim(value):
            raise ValueError(
                f"{name} must be one number, got an array of shape {np.shape(value)}: use covering_bound for arrays"
            )
    grids = _grids(network, B, Bx, eps, symmetry, domain)
    return terms_of(min(grids, key=lambda grid: float(grid.log_bound)))


def log_coefficients(
    network: NetworkClass, *, B: npt.ArrayLike, Bx: npt.ArrayLike, domain: str = "l2"
) -> dict[str, Array]:
    """Return ln c_k of every block: what its step costs in the inequality; -inf where the function ignores it.

    Errors are those of :func:`covering_bound`.

    Examples
    --------
    >>> network = ResidualClass(inputs=1, stream=2, inner=3, blocks=1, outputs=1)
    >>> {block: round(float(np.exp(cost))) for block, cost in log_coefficients(network, B=1, Bx=1).items()}
    {'stem.weight': 14, 'stem.bias': 14, 'block1.inner.weight': 24, 'block1.inner.bias': 6, 'block1.outer.weight': 30,
    'block1.outer.bias': 2, 'output.weight': 36, 'output.bias': 1}
    """
    log_B, log_Bx = _check_class(network, B, Bx)
    return network.log_coefficients(log_B, log_Bx, domain)


def sensitivity(
    network: NetworkClass,
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    steps: float | Mapping[str, float],
    domain: str = "l2",
) -> float | Array:
    """Return Σ_k c_k δ_k, the most that the output of any network of the class can move; inf above 1.8e308.

    Parameters
    ----------
    steps
        δ_k ≥ 0, one number for all blocks or one for each by name; a block that is left out does not move.
    network, B, Bx, domain
        As in :func:`covering_bound`. Both networks have to lie in the class.

    Raises
    ------
    TypeError, ValueError
        As :func:`covering_bound`; ``ValueError`` too if a step is negative or its block unknown.

    Examples
    --------
    >>> network = ResidualClass(inputs=1, stream=2, inner=3, blocks=1, outputs=1)
    >>> round(sensitivity(network, B=1, Bx=1, steps={"stem.bias": 0.01}), 12)
    0.14
    """
    coefficients = log_coefficients(network, B=B, Bx=Bx, domain=domain)
    if not isinstance(steps, Mapping):
        steps = dict.fromkeys(coefficients, steps)
    unknown = [name for name in steps if name not in coefficients]
    if unknown:
        raise ValueError(f"steps must name blocks of the network, got {shown(unknown[0])}: it has {[*coefficients]}")
    moved = np.zeros(np.broadcast_shapes(np.shape(B), np.shape(Bx)))
    with np.errstate(divide="ignore", over="ignore"):
        for name, step in steps.items():
            size = check_finite(f"steps[{name!r}]", step)
            if size.ndim or size < 0:
                raise ValueError(f"steps[{name!r}] must be one number >= 0, got {shown(step)}")
            moved = moved + np.exp(coefficients[name] + np.log(size))
    return float(moved) if moved.ndim == 0 else moved


def _grids(
    network: NetworkClass, B: npt.ArrayLike, Bx: npt.ArrayLike, eps: npt.ArrayLike, symmetry: str, domain: str
) -> list[Grid]:
    """Check everything and return the grids of which the least bound is taken."""
    if not isinstance(symmetry, str) or symmetry not in SYMMETRIES:
        raise ValueError(f"symmetry must be one of {', '.join(SYMMETRIES)}, got {shown(symmetry)}")
    log_B, log_Bx = _check_class(network, B, Bx)
    log_eps = np.log(check_positive("eps", eps))
    covers = network.covers(log_B, log_Bx, domain)
    if symmetry in ("none", "permutation"):
        return [make_grid(covers[0], log_eps, symmetry)]
    tried = covers if symmetry == "best" else covers[:1]
    return [make_grid(cover, log_eps, "signed_scaled", fewer=fewer) for cover in tried for fewer in (False, True)]


def _check_class(network: NetworkClass, B: npt.ArrayLike, Bx: npt.ArrayLike) -> list[Array]:
    if not isinstance(network, NetworkClass):
        raise TypeError(
            f"network must be a ConvolutionalClass, ResidualClass or AttentionClass, got {shown(network)}: "
            "for widths use complexity.covering.orbit_bound"
        )
    return list(np.broadcast_arrays(np.log(check_positive("B", B)), np.log(check_positive("Bx", Bx))))
