r"""Check a packing, sharing no code with the search that found it.

Notation of :mod:`fnequiv.complexity.certificates`. Networks are evaluated one neuron after the other. Where σ maps
rationals to rationals this is done in rational arithmetic (``fractions``): the values, and the distances that are
compared with 2ε, are exact. For other σ they are float64, and distances must exceed 2ε by more than rounding errors
could make up (:func:`rounding_bound`). Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from .certificates import Array, NetworkClass, Packing, require

# Activations that map rationals to rationals, with their parameters.
EXACT: dict[str, Callable[..., Fraction]] = {
    "relu": lambda z: max(z, Fraction(0)),
    "identity": lambda z: z,
    "abs": abs,
    "square": lambda z: z * z,
    "leaky_relu": lambda z, negative_slope: max(z, Fraction(0)) + Fraction(negative_slope) * min(z, Fraction(0)),
    "hardtanh": lambda z, min_val, max_val: min(max(z, Fraction(min_val)), Fraction(max_val)),
    "relu6": lambda z: min(max(z, Fraction(0)), Fraction(6)),
}
# How many units in the last place a NumPy or SciPy activation may be off, generously.
ULPS = 64


def verify_packing(packing: Packing) -> None:
    """Raise unless all networks are in the class, all inputs in the domain, and all pairs more than 2ε apart.

    Raises
    ------
    CertificateError
        Naming what fails.
    """
    family, eps = packing.family, packing.eps
    require(packing.networks.ndim == 2 and packing.networks.shape[1] == family.size, "networks must have S columns")
    require(len(packing.networks) >= 1, "a packing has at least one network")
    require(bool(np.isfinite(packing.inputs).all()), "an input is not finite")
    require(bool((np.abs(packing.networks) <= family.B).all()), "a parameter lies outside [-B, B]")
    require(packing.inputs.ndim == 2 and packing.inputs.shape[1] == family.widths[0], "inputs must have d_0 columns")
    for point in packing.inputs.tolist():
        exact = [Fraction(value) for value in point]
        inside = (
            sum(value * value for value in exact) <= Fraction(family.Bx) ** 2
            if family.domain == "l2"
            else max(map(abs, exact)) <= Fraction(family.Bx)
        )
        require(inside, f"the input {point} lies outside the domain")
    if family.activation.name in EXACT:
        _check_exactly(packing)
        return
    values = np.array([_float_outputs(packing, network) for network in packing.networks])
    error = 2 * rounding_bound(family)
    for first, row in enumerate(values[:-1]):
        distance = np.abs(values[first + 1 :] - row).max(axis=1) * (1 - 2**-52)
        require(bool((distance > 2 * eps + error).all()), f"network {first} is not 2 eps away from a later one")


def _check_exactly(packing: Packing) -> None:
    points = [[Fraction(value) for value in point] for point in packing.inputs.tolist()]
    rows = [_exact_outputs(packing.family, network, points) for network in packing.networks]
    values = np.array([[float(value) for value in row] for row in rows])
    twice = 2 * Fraction(packing.eps)
    # A float is within 2^-53 of its fraction and so is a difference: only pairs this near to 2ε need the fractions.
    doubt = 2**-50 * (2 * np.abs(values).max() + float(twice))
    for first, row in enumerate(values[:-1]):
        distance = np.abs(values[first + 1 :] - row)
        for other in first + 1 + np.flatnonzero(distance.max(axis=1) <= float(twice) + doubt):
            apart = any(abs(a - b) > twice for a, b in zip(rows[first], rows[other], strict=True))
            require(apart, f"networks {first} and {other} are within 2 eps of each other at all inputs")


def _exact_outputs(family: NetworkClass, network: Array, points: list[list[Fraction]]) -> list[Fraction]:
    sigma, parameters = EXACT[family.activation.name], family.activation.parameters
    numbers = map(Fraction, network.tolist())
    layers = []
    for below, here in itertools.pairwise(family.widths):
        rows = [list(itertools.islice(numbers, below)) for _ in range(here)]
        layers.append(list(zip(rows, itertools.islice(numbers, here), strict=True)))
    outputs: list[Fraction] = []
    for values in points:
        for depth, layer in enumerate(layers, 1):
            sums = [b + sum(w * h for w, h in zip(row, values, strict=True)) for row, b in layer]
            values = sums if depth == len(layers) else [sigma(z, **parameters) for z in sums]
        outputs += values
    return outputs


def _float_outputs(packing: Packing, network: Array) -> Array:
    family = packing.family
    values, start = packing.inputs.T, 0
    for layer, (below, here) in enumerate(itertools.pairwise(family.widths)):
        W = network[start : start + below * here].reshape(here, below)
        start += (below + 1) * here
        values = np.einsum("ij,jm->im", W, values) + network[start - here : start, None]
        if layer < len(family.widths) - 2:
            values = family.activation(values)
    return values.ravel()


def rounding_bound(family: NetworkClass) -> float:
    """Return a bound on |computed - exact| for every output of every network of the class.

    A sum of n products has an error of at most n 2^-53/(1 - n 2^-53) times the sum of their absolute values. Errors of
    the layer below grow by at most B d_{l-1}, and by ρ_l through σ_l, which adds a few units in the last place.

    Examples
    --------
    >>> rounding_bound(NetworkClass((1, 3, 1), "tanh", B=1, Bx=1)) < 1e-12
    True
    """
    sigma, error, largest = family.activation, 0.0, family.Bx
    for layer, below in enumerate(family.widths[:-1]):
        rounding = (below + 2) * 2.0**-53 / (1 - (below + 2) * 2.0**-53)
        largest = family.B * (below * (largest + error) + 1)
        error = family.B * below * error + rounding * largest
        if layer < len(family.widths) - 2:
            reach = largest + error
            error = sigma.lipschitz(reach) * error + ULPS * 2.0**-52 * (1 + sigma.sup(reach))
            largest = sigma.sup(reach)
    return error
