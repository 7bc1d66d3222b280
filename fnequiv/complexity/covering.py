r"""Covering numbers of classes of networks: the paper's theorems as stated, and the orbit bound.

Notation. ``widths = (d_0, …, d_{L+1})``, all parameters in [-B, B], inputs with ‖x‖_2 ≤ B_x, N(F, ε) the least
number of sup-norm ε-balls that cover the class F (their centres may be any functions). All results are natural
logarithms. Theorems 1 and 2 of G. Shen, "Exploring the Complexity of Deep Neural Networks through Functional
Equivalence", ICML 2024. Chapter: "Covering numbers".

The rooms behind this door: :mod:`~fnequiv.complexity.theorems` (the paper), :mod:`~fnequiv.complexity.sensitivity` (one
inequality), :mod:`~fnequiv.complexity.words` (counts), :mod:`~fnequiv.complexity.orbit` (the orbit bound on a grid),
:mod:`~fnequiv.complexity.rows`, :mod:`~fnequiv.complexity.matrices`, :mod:`~fnequiv.complexity.shells`,
:mod:`~fnequiv.complexity.reflected` and :mod:`~fnequiv.complexity.shares` (sharper words for the same orbits), and
:mod:`~fnequiv.complexity.functions` (small classes of functions).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..activations import Activation
from ..validation import check_positive, check_widths
from .functions import function_bounds
from .orbit import SYMMETRIES, Candidate, LayerTerms, OrbitBound, Used, grid_bounds
from .sensitivity import Activations, Ranges, check_activations, propagate, sensitivity
from .shares import refined_bounds
from .theorems import deep_theorem, effective_log_volume, shallow_theorem
from .validity import deep_theorem_holds

__all__ = [
    "SYMMETRIES",
    "LayerTerms",
    "OrbitBound",
    "deep_theorem",
    "deep_theorem_holds",
    "effective_log_volume",
    "orbit_bound",
    "orbit_terms",
    "sensitivity",
    "shallow_theorem",
]

Array = npt.NDArray[np.float64]

METHODS = ("grid", "refined")


def orbit_bound(
    widths: Sequence[int],
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    activation: Activations,
    eps: npt.ArrayLike,
    symmetry: str = "permutation",
    domain: str = "l2",
    method: str | None = None,
) -> float | Array:
    r"""Return an upper bound on ln N(F, ε) in nats: valid for every ε > 0, all widths, any outputs.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}); no hidden layer is allowed too.
    B, Bx, eps
        Bound on every parameter, on the inputs, and the radius, all > 0; broadcast against one another.
    activation
        Name or :class:`~fnequiv.activations.Activation`, one for all hidden layers or a sequence of L.
    symmetry
        ``"none"``; ``"permutation"`` (all but a PReLU with a slope a neuron); ``"signed"`` (odd or even); ``"scaled"``
        (positively homogeneous of degree 1); ``"signed_scaled"`` (both, as \|x\|); each includes permutations.
        ``"best"`` is the least of all bounds known here that the activations allow: never above any other choice of
        symmetry and method.
    domain
        ``"l2"``: ‖x‖_2 ≤ B_x; ``"linf"``: ‖x‖_∞ ≤ B_x.
    method
        ``"grid"``, the plain orbit bound of :mod:`~fnequiv.complexity.orbit` and the default for a named symmetry, or
        ``"refined"``, the same symmetry with the words of :mod:`~fnequiv.complexity.rows`. ``"best"`` tries both.

    Returns
    -------
    float or array of the broadcast shape of ``B``, ``Bx`` and ``eps``.

    Raises
    ------
    TypeError
        If an argument is not numeric, or a width is no integer.
    ValueError
        If a number is NaN, infinite or ≤ 0, a name is unknown, a PReLU's slopes are not one a neuron of its layer, the
        activation lacks the symmetry asked for, or it is not Lipschitz on the range that it sees.

    Notes
    -----
    Statements and proofs are in the modules named above. ln N(F, ε) falls with ε and rises with B and B_x, and so does
    the ``"grid"`` bound. Refined bounds divide ε by a search that may stop anywhere, so they need not: of two classes
    of which one holds the other, the larger may get the smaller bound. That bound is then valid for both.

    Arithmetic is float64. Differences that could come out too small are rounded up, and two errors remain. A ceiling
    forgives one part in 10¹² (an exact 8 must not become 9), and a resolution is known to some 10⁻¹⁵ times the largest
    logarithm that enters it; so ε is honoured to one part in 10¹² for logarithms below 10³. A sum of logarithms has a
    relative error of some 10⁻¹⁵.

    Examples
    --------
    >>> network = dict(widths=(1, 100, 1), B=1, Bx=1, activation="relu", eps=0.1)
    >>> [round(orbit_bound(**network, symmetry=name)) for name in ("none", "permutation", "scaled", "best")]
    [2480, 2116, 1443, 167]
    """
    candidates = _candidates(widths, B, Bx, activation, eps, symmetry, domain, method)
    bound = np.minimum.reduce([candidate.log_bound for candidate in candidates])
    return float(bound) if bound.ndim == 0 else bound


def orbit_terms(
    widths: Sequence[int],
    *,
    B: float,
    Bx: float,
    activation: Activations,
    eps: float,
    symmetry: str = "permutation",
    domain: str = "l2",
    method: str | None = None,
) -> OrbitBound:
    """Return the same bound with its terms: per layer resolution, levels, words, nats, and the shares that are saved.

    Parameters are those of :func:`orbit_bound`, as numbers.

    Raises
    ------
    TypeError, ValueError
        As :func:`orbit_bound`; ``ValueError`` too if B, Bx or eps is an array.

    Examples
    --------
    >>> print(orbit_terms((1, 3, 1), B=1, Bx=1, activation="relu", eps=0.25, symmetry="scaled").table())
    layer  fan-in  width  cover  ln δ_W  ln δ_b  ln K_W  ln K_b   ln M   nats  saved  shells
        1       1      3  faces   -4.03   -4.03    4.03    4.03   5.41  14.46   9.70    0.00
        2       3      1   grid   -4.03   -3.33    4.03    3.33  15.41  15.41   0.00    0.00
    ln N <= 29.86 nats (grid, symmetry: scaled)
    """
    for name, value in (("B", B), ("Bx", Bx), ("eps", eps)):
        if np.ndim(value):
            raise ValueError(
                f"{name} must be one number, got an array of shape {np.shape(value)}: use orbit_bound for arrays"
            )
    candidates = _candidates(widths, B, Bx, activation, eps, symmetry, domain, method)
    return min(candidates, key=lambda candidate: float(candidate.log_bound)).at(0)


def _candidates(
    widths: Sequence[int],
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    activation: Activations,
    eps: npt.ArrayLike,
    symmetry: str,
    domain: str,
    method: str | None,
) -> Iterator[Candidate]:
    """Check everything at once and yield the bounds that the choice of symmetry and method allows."""
    widths = check_widths(widths)
    sigmas = check_activations(activation, widths)
    if not isinstance(symmetry, str) or symmetry not in SYMMETRIES:
        raise ValueError(f"symmetry must be one of {', '.join(SYMMETRIES)}, got {symmetry!r}")
    if method is not None and (not isinstance(method, str) or method not in METHODS or symmetry == "best"):
        allowed = "left out, because it tries every method" if symmetry == "best" else " or ".join(METHODS)
        raise ValueError(f"method must be {allowed} for symmetry={symmetry!r}, got {method!r}")
    log_eps = np.log(check_positive("eps", eps))
    used = [_used(symmetry, sigmas)] if symmetry != "best" else _all_used(sigmas)
    ranges = propagate(widths, np.log(check_positive("B", B)), np.log(check_positive("Bx", Bx)), sigmas, domain)
    return _generate(ranges, log_eps, used, symmetry == "best", method)


def _generate(ranges: Ranges, log_eps: Array, used: list[Used], best: bool, method: str | None) -> Iterator[Candidate]:
    for choice in used:
        if method != "refined":
            yield from grid_bounds(ranges, log_eps, choice)
        if best or method == "refined":
            yield from refined_bounds(ranges, log_eps, choice, reflect=best)
    if best:
        yield from function_bounds(ranges, log_eps)


def _used(symmetry: str, sigmas: tuple[Activation, ...]) -> Used:
    """Return the flags of a named symmetry, refusing it if an activation does not have it."""
    permute = symmetry != "none"
    signed, scaled = symmetry.startswith("signed"), symmetry.endswith("scaled")
    for sigma in sigmas:
        has = f"activation {sigma.name!r}"
        if permute and sigma.per_channel:
            raise ValueError(f'{has} has a slope of its own in every neuron: use symmetry="none", or one shared slope')
        if signed and sigma.parity is None:
            raise ValueError(f'{has} is neither odd nor even: symmetry={symmetry!r} needs that; use "permutation"')
        if scaled and not sigma.positively_homogeneous:
            raise ValueError(
                f"{has} is not positively homogeneous of degree 1: symmetry={symmetry!r} needs σ(λx) = λσ(x) "
                'for λ > 0; use "permutation"'
            )
    return Used(symmetry, *((flag,) * len(sigmas) for flag in (permute, signed, scaled)))


def _all_used(sigmas: tuple[Activation, ...]) -> list[Used]:
    """Return the choices that are valid layer by layer. More symmetry need not be better: it may divide ε worse."""
    permute = tuple(not sigma.per_channel for sigma in sigmas)
    signed = tuple(sigma.parity is not None and not sigma.per_channel for sigma in sigmas)
    scaled = tuple(sigma.positively_homogeneous for sigma in sigmas)
    no = (False,) * len(sigmas)
    choices = {
        "none": Used("none", no, no, no),
        "permutation": Used("permutation", permute, no, no),
        "signed": Used("signed", permute, signed, no),
        "scaled": Used("scaled", permute, no, scaled),
        "signed_scaled": Used("signed_scaled", permute, signed, scaled),
    }
    different = {choice[1:]: choice for choice in reversed(choices.values())}  # the first name of equal choices stays
    return list(reversed(different.values()))
