r"""A class of networks, and two certificates about its covering number: a packing and a cover.

Notation. F is the class of networks with ``widths = (d_0, …, d_{L+1})``, one activation σ, all S parameters in
[-B, B], on inputs with ‖x‖_2 ≤ B_x (``"l2"``) or ‖x‖_∞ ≤ B_x (``"linf"``). N(F, ε) is the least number of sup-norm
ε-balls that cover F; their centres may be any functions (Definition 2).

A certificate holds only data that somebody else can check: :mod:`fnequiv.complexity.packing_check` and
:mod:`fnequiv.complexity.cover_check` do, with code of their own. Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..activations import Activation, get
from ..validation import check_finite, check_positive, check_widths

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
DOMAINS = ("l2", "linf")


class CertificateError(ValueError):
    """The certificate does not prove its bound; the message says where it fails."""


def require(condition: bool, message: str) -> None:
    """Raise :class:`CertificateError` unless ``condition`` holds."""
    if not condition:
        raise CertificateError(message)


@dataclass(frozen=True)
class NetworkClass:
    """The class F: widths, activation, and the bounds B on parameters and B_x on inputs.

    A network is a row of S numbers: W^(1) row by row, b^(1), W^(2), b^(2), ….

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If a width is below 1, a bound is not one finite positive number, or a name is unknown.

    Examples
    --------
    >>> F = NetworkClass((1, 3, 1), "relu", B=1, Bx=1)
    >>> F.size
    10
    """

    widths: tuple[int, ...]
    activation: Activation
    B: float
    Bx: float
    domain: str = "l2"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", check_widths(self.widths))
        object.__setattr__(self, "activation", get(self.activation))
        for name in ("B", "Bx"):
            value = check_positive(name, getattr(self, name))
            if value.ndim:
                raise ValueError(f"{name} must be one number, got an array of shape {value.shape}")
            object.__setattr__(self, name, float(value))
        if self.activation.per_channel:
            raise ValueError("activation must be one function for all neurons, got a PReLU with a slope for each")
        if self.domain not in DOMAINS:
            raise ValueError(f'domain must be "l2" or "linf", got {self.domain!r}')

    @property
    def size(self) -> int:
        """S, the number of parameters."""
        return sum((below + 1) * here for below, here in pairwise(self.widths))

    def layers(self, networks: Array) -> list[tuple[Array, Array]]:
        """Split rows of S parameters into [(W [n, d_l, d_{l-1}], b [n, d_l]), …]."""
        layers, start = [], 0
        for below, here in pairwise(self.widths):
            middle, stop = start + below * here, start + (below + 1) * here
            layers.append((networks[:, start:middle].reshape(-1, here, below), networks[:, middle:stop]))
            start = stop
        return layers

    def evaluate(self, networks: Array, inputs: Array) -> Array:
        """Return the outputs of n networks at m inputs, as rows of m·d_{L+1} numbers."""
        *hidden, last = self.layers(networks)
        values = inputs[None]
        for W, b in hidden:
            values = self.activation(values @ W.swapaxes(1, 2) + b[:, None, :])
        return (values @ last[0].swapaxes(1, 2) + last[1][:, None, :]).reshape(len(networks), -1)


def check_search(
    widths: Sequence[int], B: float, Bx: float, activation: str | Activation, eps: float, domain: str, rng: object
) -> tuple[NetworkClass, float]:
    """Return the class and ε, from the arguments that all searches for certificates share."""
    family = NetworkClass(widths, activation, B, Bx, domain)  # type: ignore[arg-type]
    radius = check_positive("eps", eps)
    if radius.ndim:
        raise ValueError(f"eps must be one number, got an array of shape {radius.shape}")
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator, got {rng!r}: pass np.random.default_rng(seed)")
    return family, float(radius)


@dataclass(frozen=True, eq=False)
class Packing:
    """Networks of F that differ pairwise by more than 2ε at some input: no ε-ball holds two, so N(F, ε) ≥ their number.

    Attributes
    ----------
    family, eps
        F and ε.
    networks
        [size, S], the parameters.
    inputs
        [m, d_0], the points of the domain at which they differ.
    """

    family: NetworkClass
    eps: float
    networks: Array
    inputs: Array

    @property
    def size(self) -> int:
        """How many networks."""
        return len(self.networks)

    @property
    def log_size(self) -> float:
        """The lower bound on log N(F, ε), in nats."""
        return math.log(self.size)

    def network(self, index: int) -> dict[str, Array]:
        """Return one network under PyTorch's names: ``"0.weight"``, ``"0.bias"``, ``"2.weight"``, …."""
        layers = self.family.layers(self.networks[index : index + 1])
        return {
            f"{2 * place}.{name}": tensor[0].copy()
            for place, layer in enumerate(layers)
            for name, tensor in zip(("weight", "bias"), layer, strict=True)
        }


class Grid(NamedTuple):
    """Cells a coordinate: of a hidden neuron's (w, b), of its outgoing weight; and nodes a coordinate of the input."""

    hidden: int
    output: int
    nodes: int


@dataclass(frozen=True, eq=False)
class Cover:
    r"""Functions whose ε-balls cover F = {c + Σ_{i ≤ d_1} v_i σ(w_i·x + b_i)}, so N(F, ε) ≤ their number.

    Attributes
    ----------
    family, eps
        F, with one hidden layer and one output, and ε.
    grid
        The cells into which the neurons' parameters are cut, and the nodes at which functions are compared.
    degree
        Neurons are compared modulo polynomials of this degree.
    bends
        [n, d_0 + 2], neurons (w, b, v); every neuron is one of them plus a polynomial, to within ``bend_radius``.
    assignment
        For every cell of (w, b, v), which bend.
    parts
        [cells, k], for every cell the polynomial that is added to its bend, in the Chebyshev basis.
    drifts
        [cells of (w, b), k], a polynomial near σ(w·x + b): what is added more when v moves within its cell.
    bend_radius, polynomial_radius
        ε_1 and ε_p: sup-norm radii at the nodes.
    log_size
        The upper bound on log N(F, ε), in nats.
    """

    family: NetworkClass
    eps: float
    grid: Grid
    degree: int
    bends: Array
    assignment: Integers
    parts: Array
    drifts: Array
    bend_radius: float
    polynomial_radius: float
    log_size: float


@dataclass(frozen=True)
class Bracket:
    """A lower and an upper bound on log N(F, ε), each with its certificate.

    Attributes
    ----------
    packing, cover
        The certificates.
    """

    packing: Packing
    cover: Cover

    @property
    def lower(self) -> float:
        """The log of the packing's size, in nats."""
        return self.packing.log_size

    @property
    def upper(self) -> float:
        """The log of the cover's size, in nats."""
        return self.cover.log_size


def in_domain(point: Sequence[float], family: NetworkClass) -> bool:
    """Whether a point lies in the domain, in rational arithmetic."""
    exact = [Fraction(value) for value in point]
    if family.domain == "l2":
        return sum(value * value for value in exact) <= Fraction(family.Bx) ** 2
    return max(map(abs, exact)) <= Fraction(family.Bx)


def as_inputs(inputs: npt.ArrayLike | Sequence[Sequence[float]], family: NetworkClass) -> Array:
    """Return inputs as [m, d_0] float64, all in the domain.

    Raises
    ------
    ValueError
        If the shape is wrong, or a point lies outside the domain.
    """
    points = check_finite("inputs", inputs)
    if points.ndim != 2 or points.shape[1] != family.widths[0] or not len(points):
        raise ValueError(f"inputs must have shape [m, {family.widths[0]}], got {points.shape}")
    for point in points.tolist():
        if not in_domain(point, family):
            raise ValueError(f"inputs must have norm <= Bx = {family.Bx}, got {point}: scale them down, if by a hair")
    return points
