r"""How far the output moves when the weights move: the inequality under every bound on a class of networks.

Notation. ``widths = (d_0, …, d_{L+1})``, all parameters in [-B, B], inputs with ‖x‖_2 ≤ B_x ("l2") or ‖x‖_∞ ≤ B_x
("linf"). Layer l reads h_{l-1}, computes z_l = W^(l) h_{l-1} + b^(l), and hidden layers apply σ_l. Paper: the step
before Theorems 1 and 2 of Shen (2024). Chapter: "Covering numbers".

**Ranges.** A_{l-1} = sup ‖h_{l-1}‖_1, with A_0 = √d_0 B_x (or d_0 B_x). Then |z_l| ≤ Z_l = B(A_{l-1} + 1), |h_l| ≤
H_l = sup |σ_l| on [-Z_l, Z_l] and A_l = d_l H_l. Let ρ_l be the least Lipschitz constant of σ_l on [-Z_l, Z_l].

**Inequality.** Let θ, θ' be in the class, the entries of W^(l) - W'^(l) at most δ_{W,l} and those of b^(l) - b'^(l)
at most δ_{b,l}. With G_{L+1} = 1 and G_l = G_{l+1} · B d_l ρ_l,

    sup_x ‖f(x;θ) - f(x;θ')‖_∞ ≤ Σ_{l=1}^{L+1} G_l e_l,    e_l = A_{l-1} δ_{W,l} + δ_{b,l}.

*Proof.* z_l - z'_l = W'^(l)(h_{l-1} - h'_{l-1}) + [(W^(l) - W'^(l)) h_{l-1} + b^(l) - b'^(l)]. The bracket is at
most e_l; the first term is at most B Σ_j |h_j - h'_j| ≤ B d_{l-1} ρ_{l-1} ‖z_{l-1} - z'_{l-1}‖_∞. Induct on l. ∎

Only the bracket uses δ: any other way to bring every row's reading (W_i - W'_i)·h + b_i - b'_i below e_l serves as
well. The refined bound uses the *box* of the layer's input for that, h_j ∈ [c - r, c + r]: c = r = H/2 for ReLU, whose
outputs are never negative. Everything is kept in logs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import activations
from ..activations import Activation
from ..validation import check_numeric, check_positive, check_widths

Array = npt.NDArray[np.float64]
Activations = str | Activation | Sequence[str | Activation]

DOMAINS = ("l2", "linf")
_ROUNDING = 2.0**-49  # of sup |σ|: more than rounding takes from a value of σ or from a difference of two


@dataclass(frozen=True)
class Ranges:
    """What the layers of a class see and pass on; entry l - 1 belongs to layer l, hidden lists end at L. All in logs.

    Attributes
    ----------
    widths, activations
        (d_0, …, d_{L+1}) and σ_1, …, σ_L.
    log_bound
        ln B.
    norms
        p of layer l's input: its rows are covered in ℓ_p, 2 only for the Euclidean ball of inputs.
    log_mass
        ln A_{l-1}.
    log_reach
        ln Z_l of the hidden layers.
    log_sup, log_slope
        ln H_l and ln ρ_l of the hidden layers.
    log_center, log_radius
        ln |c| and ln r of the box of layer l's input (the ball's centre and radius for l = 1 on "l2").
    log_gain
        ln G_l.
    """

    widths: tuple[int, ...]
    activations: tuple[Activation, ...]
    log_bound: Array
    norms: tuple[int, ...]
    log_mass: tuple[Array, ...]
    log_reach: tuple[Array, ...]
    log_sup: tuple[Array, ...]
    log_slope: tuple[Array, ...]
    log_center: tuple[Array, ...]
    log_radius: tuple[Array, ...]
    log_gain: tuple[Array, ...]


def check_activations(activation: object, widths: tuple[int, ...]) -> tuple[Activation, ...]:
    """Return σ_1, …, σ_L from one activation for all hidden layers, or from a sequence of L of them.

    Raises
    ------
    ValueError
        If a name is unknown, a sequence does not hold one activation a hidden layer, or a PReLU's slopes are not one a
        neuron of its layer.
    """
    hidden = len(widths) - 2
    if isinstance(activation, (list, tuple)):
        if len(activation) != hidden:
            raise ValueError(
                f"activation must be one activation or one for each of the {hidden} hidden layers, "
                f"got {len(activation)}"
            )
        sigmas = tuple(activations.get(one) for one in activation)
    else:
        sigmas = (activations.get(activation),) * hidden  # type: ignore[arg-type]
    for sigma, width in zip(sigmas, widths[1:-1], strict=True):
        sigma.check_width(width)
    return sigmas


def propagate(
    widths: tuple[int, ...], log_bound: Array, log_Bx: Array, sigmas: tuple[Activation, ...], domain: str
) -> Ranges:
    """Return the ranges of every layer, from checked arguments; ln B_x = -∞ is the single input x = 0."""
    if not isinstance(domain, str) or domain not in DOMAINS:
        raise ValueError(f'domain must be "l2" or "linf", got {domain!r}')
    log_bound, log_Bx = np.broadcast_arrays(log_bound, log_Bx)
    mass = [log_Bx + math.log(widths[0]) / (2 if domain == "l2" else 1)]
    center, radius = [np.full_like(log_bound, -np.inf)], [log_Bx]
    reach, sup, slope = [], [], []
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for sigma, width in zip(sigmas, widths[1:-1], strict=True):
            reach.append(log_bound + np.logaddexp(mass[-1], 0.0))
            degree = sigma.degree
            image = _image(sigma, reach[-1]) if degree is None else _homogeneous(sigma, degree, reach[-1])
            _check_slope(sigma, reach[-1], image.log_slope)
            slope.append(image.log_slope)
            sup.append(image.log_sup)
            center.append(image.log_center)
            radius.append(image.log_radius)
            mass.append(image.log_sup + math.log(width))
        gain = [np.zeros_like(log_bound)]
        for width, steep in zip(reversed(widths[1:-1]), reversed(slope), strict=True):
            gain.insert(0, gain[0] + log_bound + math.log(width) + steep)
    norms = (2 if domain == "l2" else 1,) + (1,) * len(sigmas)
    lists = (mass, reach, sup, slope, center, radius, gain)
    return Ranges(widths, sigmas, log_bound, norms, *(tuple(entry) for entry in lists))


class _Image(NamedTuple):
    """ln ρ and ln sup |σ| on [-z, z], and ln |c| and ln r of a box [c - r, c + r] that holds σ([-z, z])."""

    log_slope: Array
    log_sup: Array
    log_center: Array
    log_radius: Array


def _homogeneous(sigma: Activation, degree: int, log_z: Array) -> _Image:
    """Return the image where σ(zx) = z^k σ(x): that of [-1, 1] times z^k, even where z^k overflows."""
    low, high = sigma.range(1.0)
    sizes = (sigma.sup(1.0), abs(high + low) / 2, (high - low) / 2)
    log_slope = np.log(sigma.lipschitz(1.0)) + (degree - 1) * log_z
    return _Image(log_slope, *(degree * log_z + np.log(size) for size in sizes))


def _image(sigma: Activation, log_z: Array) -> _Image:
    """Return the image of any σ. The box is the smaller of σ's range and of [σ(0) - ρz, σ(0) + ρz].

    Half of the range is a difference, so it is widened by what rounding can take from it. Where z or the supremum
    overflows, ln (ρz + |σ(0)|) stands in for the supremum.
    """
    z = np.maximum(np.exp(log_z), np.finfo(np.float64).tiny)
    log_slope, exact, log_start = np.log(sigma.lipschitz(z)), np.log(sigma.sup(z)), np.log(abs(sigma.at_zero))
    near = log_slope + log_z
    log_sup = np.where(exact < np.inf, exact, np.logaddexp(near, log_start))
    if sigma.odd:
        return _Image(log_slope, log_sup, np.full_like(log_z, -np.inf), log_sup)
    low, high = sigma.range(z)
    log_center = np.log(abs(high + low) / 2)
    log_radius = np.log((high - low) / 2 + _ROUNDING * np.exp(exact))
    inside = log_radius < near  # false where the range overflows
    return _Image(log_slope, log_sup, np.where(inside, log_center, log_start), np.where(inside, log_radius, near))


def _check_slope(sigma: Activation, log_z: Array, log_slope: Array) -> None:
    steep = ~(log_slope < np.inf)
    if steep.any():
        raise ValueError(
            f"activation must have a finite Lipschitz constant on the range it sees, got {sigma.name!r}, which has "
            f"none below 1.8e308 on [-z, z] for ln z = {float(log_z[steep].flat[0]):.6g}: "
            "lower B, Bx or the depth, or choose another activation"
        )


def sensitivity(
    widths: Sequence[int],
    *,
    B: npt.ArrayLike,
    Bx: npt.ArrayLike,
    activation: Activations,
    weight_step: Sequence[float] | float,
    bias_step: Sequence[float] | float,
    domain: str = "l2",
) -> float | Array:
    r"""Return Σ_l G_l (A_{l-1} δ_{W,l} + δ_{b,l}), the most that the output of any network of the class can move.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}).
    B, Bx
        Bounds on every parameter and on the inputs, > 0; broadcast.
    activation
        Name or :class:`~fnequiv.activations.Activation`, one for all hidden layers or a sequence of L.
    weight_step, bias_step
        δ_{W,l} and δ_{b,l} ≥ 0, one number for all L+1 layers or one a layer.
    domain
        ``"l2"``: ‖x‖_2 ≤ B_x; ``"linf"``: ‖x‖_∞ ≤ B_x.

    Raises
    ------
    ValueError
        If an argument is outside its range, an activation is not Lipschitz on the range it sees, or a PReLU's slopes
        are not one a neuron of its layer.

    Notes
    -----
    Both networks have to lie in the class. The inequality is proved in the docstring of this module. Where the sum
    exceeds 1.8e308 the result is inf.

    Examples
    --------
    Three neurons, all weights 1: a step of 0.01 in every parameter moves the output by 3·(1 + 1)·0.01 in the hidden
    layer and by (3·2 + 1)·0.01 in the last.

    >>> round(sensitivity((1, 3, 1), B=1, Bx=1, activation="relu", weight_step=0.01, bias_step=0.01), 12)
    0.13
    """
    widths = check_widths(widths)
    ranges = propagate(
        widths,
        np.log(check_positive("B", B)),
        np.log(check_positive("Bx", Bx)),
        check_activations(activation, widths),
        domain,
    )
    weights = _check_steps("weight_step", weight_step, len(widths) - 1)
    biases = _check_steps("bias_step", bias_step, len(widths) - 1)
    with np.errstate(divide="ignore", over="ignore"):
        moved = np.zeros_like(ranges.log_bound)
        logs = zip(ranges.log_gain, ranges.log_mass, np.log(weights), np.log(biases), strict=True)
        for log_gain, log_mass, log_weight, log_bias in logs:
            moved = moved + np.exp(log_gain + np.logaddexp(log_mass + log_weight, log_bias))
    return float(moved) if moved.ndim == 0 else moved


def _check_steps(name: str, steps: Sequence[float] | float, layers: int) -> Array:
    array = check_numeric(name, steps)
    if array.ndim > 1 or (array.ndim == 1 and array.size != layers):
        raise ValueError(f"{name} must be one number or one for each of {layers} layers, got shape {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be finite and >= 0, got {steps!r}")
    return np.broadcast_to(array, (layers,))
