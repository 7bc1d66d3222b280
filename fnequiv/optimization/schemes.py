r"""Initialisations by name: the law of every weight and every bias of a layer, as the frameworks draw them.

Notation. A layer W [d_out, d_in] has fan-in d_in and fan-out d_out. A *scheme* gives the law of its weights and the law
of its biases; all entries are independent, those of one tensor identically distributed.

====================  ===============================  ===========================================================
name                  weights                          what draws it
====================  ===============================  ===========================================================
``pytorch``           uniform, ±1/√d_in (biases too)   ``torch.nn.Linear``
``xavier_uniform``    uniform, ±√(6/(d_in + d_out))    ``torch.nn.init.xavier_uniform_``, Keras' ``GlorotUniform``
``xavier_normal``     normal, variance 2/(d_in+d_out)  ``torch.nn.init.xavier_normal_``
``he_uniform``        uniform, ±√(6/d_in)              ``torch.nn.init.kaiming_uniform_``, Keras' ``HeUniform``
``he_normal``         normal, variance 2/d_in          ``torch.nn.init.kaiming_normal_``
``lecun_uniform``     uniform, ±√(3/d_in)              Keras' ``LecunUniform``
``lecun_normal``      normal, variance 1/d_in          ``kaiming_normal_`` with ``nonlinearity="linear"``
``xavier_truncated``  normal, cut, 2/(d_in + d_out)    Keras' ``GlorotNormal``, JAX's ``glorot_normal``
``he_truncated``      normal, cut, variance 2/d_in     Keras' ``HeNormal``, JAX's ``he_normal``
``lecun_truncated``   normal, cut, variance 1/d_in     Keras' ``LecunNormal``, JAX's ``lecun_normal``
====================  ===============================  ===========================================================

The cut is at two standard deviations of the law before it, which is 1/0.8796 wider than what is left. So Keras' and
JAX's "LeCun normal" is ``lecun_truncated`` here. Every scheme but ``pytorch`` sets biases to 0, as Keras and JAX do. In
PyTorch, who calls ``torch.nn.init`` on the weights alone keeps the biases of ``nn.Linear``:
``get(name, bias="pytorch")``. A scheme of your own is a :class:`Scheme`. The theorem on initialisation (Shen 2024,
section 5.2) asks no more than independence and one law a tensor. Chapter: "Optimisation".

Sources: LeCun, Bottou, Orr, Müller (1998); Glorot, Bengio (2010); He, Zhang, Ren, Sun (2015); for the truncated laws
the documentation of ``keras.initializers.VarianceScaling``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from ..equivalence.parameters import DTYPES
from ..validation import check_bool, check_integer, check_widths, shown
from .laws import CUT, KEPT, Array, Law, Normal, TruncatedNormal, Uniform, Zero

__all__ = ["LawOfFans", "Scheme", "draw", "get", "names"]

LawOfFans = Callable[[int, int], Law]


@dataclass(frozen=True)
class Scheme:
    """A law for weights and one for biases, each made from fan-in and fan-out.

    Examples
    --------
    >>> Scheme("small", lambda fan_in, fan_out: Normal(0.01), lambda fan_in, fan_out: Zero()).name
    'small'
    """

    name: str
    weight: LawOfFans
    bias: LawOfFans

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not callable(self.weight) or not callable(self.bias):
            raise TypeError(f"a scheme must have a name and two functions of fan-in and fan-out, got {shown(self)}")

    def laws(self, fan_in: int, fan_out: int) -> tuple[Law, Law]:
        """Return the laws of the weights and of the biases of a layer.

        Raises
        ------
        TypeError
            If one that the scheme gives is no law, or a fan no integer.
        ValueError
            If a fan is below 1.

        Examples
        --------
        >>> get("lecun_normal").laws(4, 9)
        (Normal(std=0.5), Zero())
        """
        fan_in, fan_out = check_integer("fan_in", fan_in), check_integer("fan_out", fan_out)
        found = self.weight(fan_in, fan_out), self.bias(fan_in, fan_out)
        for law in found:
            if not isinstance(law, Law):
                raise TypeError(f"scheme {self.name!r} must give laws, such as Normal(0.1), got {shown(law)}")
        return found


def _zero(fan_in: int, fan_out: int) -> Law:
    return Zero()


def _default(fan_in: int, fan_out: int) -> Law:
    return Uniform(1 / math.sqrt(fan_in))


# A truncated law is made wider first, so that the cut leaves it the variance that its name says.
_NARROWED = math.sqrt(1 - 2 * CUT * math.exp(-0.5 * CUT**2) / math.sqrt(2 * math.pi) / KEPT)
_VARIANCES: dict[str, Callable[[int, int], float]] = {
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
_SHAPES: dict[str, Callable[[float], Law]] = {
    "uniform": lambda variance: Uniform(math.sqrt(3 * variance)),
    "normal": lambda variance: Normal(math.sqrt(variance)),
    "truncated": lambda variance: TruncatedNormal(math.sqrt(variance) / _NARROWED),
}
_BIASES: dict[str, LawOfFans] = {"zero": _zero, "pytorch": _default}


def _scheme(rule: str, shape: str) -> Scheme:
    variance, law = _VARIANCES[rule], _SHAPES[shape]
    return Scheme(f"{rule}_{shape}", lambda fan_in, fan_out: law(variance(fan_in, fan_out)), _zero)


_SCHEMES = {"pytorch": Scheme("pytorch", _default, _default)} | {
    f"{rule}_{shape}": _scheme(rule, shape) for rule in _VARIANCES for shape in _SHAPES
}


def names() -> tuple[str, ...]:
    """Return the names of all schemes.

    Examples
    --------
    >>> len(names()), names()[0]
    (10, 'pytorch')
    """
    return tuple(_SCHEMES)


def get(scheme: str | Scheme, *, bias: str | None = None) -> Scheme:
    """Return the scheme of a name; a :class:`Scheme` is returned as it is.

    Parameters
    ----------
    scheme
        One of :func:`names`, or a scheme of your own.
    bias
        ``"zero"`` or ``"pytorch"`` (uniform, ±1/√d_in) replaces the law of the biases.

    Raises
    ------
    TypeError
        If ``scheme`` is neither a name nor a scheme.
    ValueError
        If a name is unknown.

    Examples
    --------
    >>> get("he_normal", bias="pytorch").weight(8, 3), get("he_normal", bias="pytorch").bias(16, 3)
    (Normal(std=0.5), Uniform(bound=0.25))
    """
    if isinstance(scheme, str):
        if scheme not in _SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(names())}, got {shown(scheme)}")
        scheme = _SCHEMES[scheme]
    if not isinstance(scheme, Scheme):
        raise TypeError(f"scheme must be a name or a Scheme, got {shown(scheme)}: pass one of {', '.join(names())}")
    if bias is None:
        return scheme
    if not isinstance(bias, str) or bias not in _BIASES:
        raise ValueError(f"bias must be one of {', '.join(_BIASES)}, got {shown(bias)}")
    return replace(scheme, name=f"{scheme.name}, {bias} biases", bias=_BIASES[bias])


def draw(
    widths: Sequence[int],
    scheme: str | Scheme,
    rng: np.random.Generator,
    *,
    bias: bool = True,
    dtype: torch.dtype = torch.float64,
) -> dict[str, torch.Tensor]:
    """Draw the parameters of a feedforward network, with the names of :func:`fnequiv.equivalence.mlp.init`.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}), integers ≥ 1.
    scheme
        A name or a :class:`Scheme`.
    rng
        The only source of randomness.
    bias
        Whether layers have biases.
    dtype
        Of the tensors; the numbers are drawn in float64.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If the scheme is unknown or a width below 1.

    Examples
    --------
    >>> theta = draw((2, 3, 1), "xavier_normal", np.random.default_rng(0))
    >>> theta["0.weight"].shape, theta["0.bias"].tolist()
    (torch.Size([3, 2]), [0.0, 0.0, 0.0])
    """
    widths, scheme = check_widths(widths), get(scheme)
    check_rng(rng)
    check_bool("bias", bias)
    if not isinstance(dtype, torch.dtype) or dtype not in DTYPES:
        raise TypeError(f"dtype must be one of {DTYPES}, got {shown(dtype)}")
    params = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        weights, biases = scheme.laws(fan_in, fan_out)
        params[f"{2 * index}.weight"] = weights.quantile(uniform(rng, (fan_out, fan_in)))
        if bias:
            params[f"{2 * index}.bias"] = biases.quantile(uniform(rng, (fan_out,)))
    return {name: torch.from_numpy(array).to(dtype) for name, array in params.items()}


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers uniform on (0, 1), both ends left out: no quantile is infinite.

    Examples
    --------
    >>> uniform(np.random.default_rng(0), (2,)).round(3).tolist()
    [0.637, 0.27]
    """
    return np.maximum(rng.random(shape), 2.0**-54)


def check_rng(rng: object) -> None:
    """Raise unless ``rng`` is a generator of NumPy's.

    Raises
    ------
    TypeError
        If it is a seed, or anything else.

    Examples
    --------
    >>> check_rng(np.random.default_rng(0))
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {shown(rng)}: pass np.random.default_rng(seed)")
