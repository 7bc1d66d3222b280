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

import numpy as np
import numpy.typing as npt

from .. import activations
from ..activations import Activation
from ..validation import check_numeric, check_positive, check_widths

Array = npt.NDArray[np.float64]
Activations = str | Activation | Sequence[str | Activation]

DOMAINS = ("l2", "linf")
_NODES = 129
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


def check_activations(activation: object, hidden: int) -> tuple[Activation, ...]:
    """Return σ_1, …, σ_L from one activation for all hidden layers, or from a sequence of L of them.

    Raises
    ------
    ValueError
        If a name is unknown or a sequence does not hold one activation a hidden layer.
    """
    if isinstance(activation, (list, tuple)):
        if len(activation) != hidden:
            raise ValueError(
                f"activation must be one activation or one for each of the {hidden} hidden layers, "
                f"got {len(activation)}"
            )
        return tuple(activations.get(one) for one in activation)
    return (activations.get(activation),) * hidden  # type: ignore[arg-type]


def propagate(
    widths: tuple[int, ...], log_bound: Array, log_Bx: Array, sigmas: tuple[Activation, ...], domain: str
) -> Ranges:
    """Return the ranges of every layer, from checked arguments; ln B_x = -∞ is the single input x = 0."""
    if domain not in DOMAINS:
        raise ValueError(f'domain must be "l2" or "linf", got {domain!r}')
    log_bound, log_Bx = np.broadcast_arrays(log_bound, log_Bx)
    mass = [log_Bx + math.log(widths[0]) / (2 if domain == "l2" else 1)]
    center, radius = [np.full_like(log_bound, -np.inf)], [log_Bx]
    reach, sup, slope = [], [], []
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for sigma, width in zip(sigmas, widths[1:-1], strict=True):
            reach.append(log_bound + np.logaddexp(mass[-1], 0.0))
            z = np.maximum(np.exp(reach[-1]), np.finfo(np.float64).tiny)
            slope.append(np.log(sigma.lipschitz(z)))
            _check_slope(sigma, z, slope[-1])
            sup.append(_log_sup(sigma, z, reach[-1], slope[-1]))
            mass.append(sup[-1] + math.log(width))
            box = _box(sigma, z, reach[-1], sup[-1], slope[-1])
            center.append(box[0])
            radius.append(box[1])
        gain = [np.zeros_like(log_bound)]
        for width, steep in zip(reversed(widths[1:-1]), reversed(slope), strict=True):
            gain.insert(0, gain[0] + log_bound + math.log(width) + steep)
    norms = (2 if domain == "l2" else 1,) + (1,) * len(sigmas)
    lists = (mass, reach, sup, slope, center, radius, gain)
    return Ranges(widths, sigmas, log_bound, norms, *(tuple(entry) for entry in lists))


def _check_slope(sigma: Activation, z: Array, log_slope: Array) -> None:
    if not (log_slope < np.inf).all():
        raise ValueError(
            f"activation must have a finite Lipschitz constant on the range it sees, got {sigma.name!r}, which has "
            f"none on [-z, z] for z = {float(z[~(log_slope < np.inf)].flat[0]):.6g}: "
            "lower B, Bx or the depth, or choose another activation"
        )


def _log_sup(sigma: Activation, z: Array, log_z: Array, log_slope: Array) -> Array:
    """Return ln sup |σ| on [-z, z]; where z or the supremum overflows, ln(ρz + |σ(0)|) stands in for it."""
    exact = np.log(sigma.sup(z))
    return np.where(exact < np.inf, exact, np.logaddexp(log_slope + log_z, np.log(abs(sigma.at_zero))))


def _box(sigma: Activation, z: Array, log_z: Array, log_sup: Array, log_slope: Array) -> tuple[Array, Array]:
    """Return ln |c|, ln r with σ([-z, z]) ⊂ [c - r, c + r] and |c| + r close to sup |σ|.

    Odd: c = 0. Degree 1: two rays, so σ lies between σ(±z) and 0. Otherwise the smaller of [σ(0) - ρz, σ(0) + ρz] and
    an interval with all values: about k/2 where σ(-x) = k - σ(x), and else from nodes h apart, between which σ leaves
    its values by at most ρh/2. That one is a difference, so it is widened by what rounding can take from it.
    """
    law = sigma.reflection
    if sigma.odd or sigma.per_channel:
        return np.full_like(log_z, -np.inf), log_sup
    if sigma.degree == 1:
        ends = sigma(np.array([-1.0, 0.0, 1.0]))
        return log_z + np.log(abs(ends.max() + ends.min()) / 2), log_z + np.log((ends.max() - ends.min()) / 2)
    largest = np.exp(log_sup)
    if law is not None and law.sign == -1:
        center = np.full_like(z, abs(law.constant) / 2)
        radius = largest - center
    else:
        center, radius = _box_of_nodes(sigma, z, largest)
    log_radius = np.log(radius + _ROUNDING * largest)
    log_radius = np.where(log_radius < np.inf, log_radius, log_sup)
    near = log_slope + log_z
    return np.where(near < log_radius, np.log(abs(sigma.at_zero)), np.log(center)), np.minimum(near, log_radius)


def _box_of_nodes(sigma: Activation, z: Array, largest: Array) -> tuple[Array, Array]:
    """Return |c| and r of an interval that holds σ([-z, z]), from σ at nodes; the symmetric one if values overflow."""
    finite = np.isfinite(z) & np.isfinite(largest)
    z = np.where(finite, z, 1.0)
    low, high = np.full_like(z, np.inf), np.full_like(z, -np.inf)
    for node in np.linspace(-1.0, 1.0, _NODES):
        value = sigma(node * z)
        low, high = np.minimum(low, value), np.maximum(high, value)
    slack = sigma.lipschitz(z) * z / (_NODES - 1)
    low, high = np.maximum(low - slack, -largest), np.minimum(high + slack, largest)
    return np.where(finite, np.abs(high + low) / 2, 0.0), np.where(finite, (high - low) / 2, largest)


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
        If an argument is outside its range, or if an activation is not Lipschitz on the range it sees.

    Notes
    -----
    Both networks have to lie in the class. The inequality is proved in the docstring of this module.

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
        check_activations(activation, len(widths) - 2),
        domain,
    )
    weights = _check_steps("weight_step", weight_step, len(widths) - 1)
    biases = _check_steps("bias_step", bias_step, len(widths) - 1)
    moved = np.zeros_like(ranges.log_bound)
    for layer in range(len(widths) - 1):
        step = np.exp(ranges.log_mass[layer]) * weights[layer] + biases[layer]
        moved = moved + np.exp(ranges.log_gain[layer]) * step
    return float(moved) if moved.ndim == 0 else moved


def _check_steps(name: str, steps: Sequence[float] | float, layers: int) -> Array:
    array = check_numeric(name, steps)
    if array.ndim > 1 or (array.ndim == 1 and array.size != layers):
        raise ValueError(f"{name} must be one number or one for each of {layers} layers, got shape {array.shape}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be finite and >= 0, got {steps!r}")
    return np.broadcast_to(array, (layers,))
