"""The frozen record of what is known of one activation function σ (paper: Examples 1-3, Theorems 1 and 2).

Notation: x is an argument of σ, z ≥ 0 the half-width of a range [-z, z]; see :mod:`fnequiv.activations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, overload

import numpy.typing as npt

from ..validation import check_finite, check_integer
from .laws import EVEN, ODD, Reflection, check_facts
from .ranges import QUIET, Array, extremes, number, over

Parameter = float | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Activation:
    r"""Facts of σ, made by :func:`fnequiv.activations.get`, which is the way to obtain one of the catalogue.

    Equality compares everything but the callables; two activations from the same call are equal. One of your own is
    made by keyword; it pickles if its callables do (functions of a module, no lambdas).

    Attributes
    ----------
    name, formula
        Name in the catalogue, and σ(x) in LaTeX. Its letters are the parameters: a (``negative_slope``, ``weight``),
        α (``alpha``), β (``beta``), λ (``lambd``; SELU: 1.0507…, with α = 1.6732…), m (``min_val``), M (``max_val``).
    torch, torch_keywords
        Dotted path of PyTorch's function below ``torch``, so that nothing here has to import it, and its keywords
        beside ``x``; a tuple stands for a tensor of ``x``'s dtype (the slopes of PReLU).
    function, steepest, largest
        x ↦ σ(x), z ↦ least Lipschitz constant and z ↦ sup |σ| for z > 0, without checks. Use the methods.
    reflection
        The law σ(-x) = sign·σ(x) + slope·x + constant, or None where no such law holds.
    degree
        The k with σ(λx) = λ^k σ(x) for all λ > 0, or None where there is none.
    at_zero
        σ(0).
    channels
        The number of slopes of a PReLU with one for each neuron: the layer has this width, and a permutation carries
        the slopes along. The other facts are those of the whole layer. None where any width will do.
    valley
        The v > 0 with σ lowest over R at -v or v; inf where it is lowest at 0 or towards an end. On [-z, z], σ has to
        be lowest at 0, ±z or, for v < z, ±v, and, unless it is odd, highest at 0 or ±z.
    parameters
        Keywords with which ``get`` makes this activation again.
    catalogued
        Whether ``get`` made it; not an argument.

    Raises
    ------
    TypeError
        If an argument is of another kind than above.
    ValueError
        If a number is out of range, or ``function`` contradicts ``at_zero`` or a law at one of 0, ±1/2, ±1.

    Examples
    --------
    >>> from fnequiv import activations
    >>> tanh = activations.get("tanh")
    >>> tanh.parity, tanh.degree, tanh.lipschitz(), tanh.sup()
    ('odd', None, 1.0, 1.0)
    """

    name: str
    formula: str
    torch: str
    function: Callable[[Array], Array] = field(repr=False, compare=False)
    steepest: Callable[[Array], Array | float] = field(repr=False, compare=False)
    largest: Callable[[Array], Array | float] = field(repr=False, compare=False)
    reflection: Reflection | None = None
    degree: int | None = None
    at_zero: float = 0.0
    channels: int | None = None
    valley: float = math.inf
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    torch_keywords: Mapping[str, Parameter | str] = field(default_factory=dict, hash=False)
    catalogued: bool = field(init=False, default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_facts(self)
        for mapping in ("parameters", "torch_keywords"):
            object.__setattr__(self, mapping, MappingProxyType(dict(getattr(self, mapping))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the call that made it: the catalogue's closures do not pickle, a name and numbers do."""
        from .catalogue import get

        if self.catalogued:
            return partial(get, **self.parameters), (self.name,)
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        mappings = {name: dict(values[name]) for name in ("parameters", "torch_keywords")}
        return partial(Activation, **{**values, **mappings}), ()

    @property
    def odd(self) -> bool:
        """Whether σ(-x) = -σ(x) for all x."""
        return self.reflection == ODD

    @property
    def even(self) -> bool:
        """Whether σ(-x) = σ(x) for all x."""
        return self.reflection == EVEN

    @property
    def parity(self) -> Literal["odd", "even"] | None:
        """``"odd"``, ``"even"`` or None."""
        return "odd" if self.odd else "even" if self.even else None

    @property
    def positively_homogeneous(self) -> bool:
        """Whether σ(λx) = λσ(x) for all λ > 0 (and so, σ being continuous, for λ = 0)."""
        return self.degree == 1

    @property
    def per_channel(self) -> bool:
        """Whether each neuron has a slope of its own, which a permutation of the neurons has to carry along."""
        return self.channels is not None

    def check_width(self, width: int) -> None:
        """Refuse a layer of ``width`` neurons (channels, in a convolution) that σ does not fit.

        Raises
        ------
        TypeError, ValueError
            If ``width`` is no integer ≥ 1, or if σ has another number of slopes.

        Examples
        --------
        >>> from fnequiv import activations
        >>> activations.get("prelu", weight=[0.1, 0.2]).check_width(3)
        Traceback (most recent call last):
        ValueError: prelu has 2 slopes, one a neuron, got a layer of width 3: pass 3 slopes, or one number for all
        """
        width = check_integer("width", width)
        if self.channels not in (None, width):
            slopes = f"{self.name} has {self.channels} slopes, one a neuron"
            raise ValueError(f"{slopes}, got a layer of width {width}: pass {width} slopes, or one number for all")

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return σ(x) entry by entry, in float64; PReLU's channels are axis 1, as in PyTorch.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not numeric; if an entry is NaN or infinite, or axis 1 does not match a PReLU's slopes.

        Examples
        --------
        >>> from fnequiv import activations
        >>> activations.get("leaky_relu", negative_slope=0.5)([-2.0, 0.0, 3.0])
        array([-1.,  0.,  3.])
        """
        array = check_finite("x", x)
        with QUIET():
            return self.function(array)

    @overload
    def lipschitz(self, z: float = ...) -> float: ...
    @overload
    def lipschitz(self, z: Sequence[Any] | npt.NDArray[Any]) -> Array: ...
    def lipschitz(self, z: Any = math.inf) -> float | Array:
        """Return the least ρ with |σ(x) - σ(y)| ≤ ρ |x - y| for all x, y in [-z, z]; inf where there is none.

        For z > 0 and a continuous σ it is the essential supremum of |σ'|; it is 0 at z = 0 and never decreases.

        Parameters
        ----------
        z
            Half-width of the range, ≥ 0, inf allowed; a number, or an array to broadcast over.

        Raises
        ------
        TypeError, ValueError
            If ``z`` is not numeric; if an entry is negative or NaN.

        Examples
        --------
        >>> from fnequiv import activations
        >>> round(activations.get("silu").lipschitz(), 6)
        1.099839
        >>> activations.get("square").lipschitz([0.5, 2.0])
        array([1., 4.])
        """
        return number(over(z, self.steepest, 0.0))

    @overload
    def sup(self, z: float = ...) -> float: ...
    @overload
    def sup(self, z: Sequence[Any] | npt.NDArray[Any]) -> Array: ...
    def sup(self, z: Any = math.inf) -> float | Array:
        """Return the supremum of |σ| over [-z, z]; inf where it is unbounded. It never decreases in z.

        Parameters
        ----------
        z
            Half-width of the range, ≥ 0, inf allowed; a number, or an array to broadcast over.

        Raises
        ------
        TypeError, ValueError
            If ``z`` is not numeric; if an entry is negative or NaN.

        Examples
        --------
        >>> from fnequiv import activations
        >>> activations.get("sin").sup(2.0), activations.get("relu6").sup([1.0, 9.0]), activations.get("relu").sup()
        (1.0, array([1., 6.]), inf)
        """
        return number(over(z, self.largest, abs(self.at_zero)))

    @overload
    def range(self, z: float = ...) -> tuple[float, float]: ...
    @overload
    def range(self, z: Sequence[Any] | npt.NDArray[Any]) -> tuple[Array, Array]: ...
    def range(self, z: Any = math.inf) -> tuple[float, float] | tuple[Array, Array]:
        """Return the infimum and the supremum of σ over [-z, z]; the larger of their sizes is :meth:`sup`.

        Parameters
        ----------
        z
            Half-width of the range, ≥ 0, inf allowed; a number, or an array to broadcast over.

        Raises
        ------
        TypeError, ValueError
            If ``z`` is not numeric; if an entry is negative or NaN.

        Examples
        --------
        >>> from fnequiv import activations
        >>> activations.get("tanh").range(), activations.get("relu").range(3.0)
        ((-1.0, 1.0), (0.0, 3.0))
        >>> activations.get("hardswish").range([1.0, 2.0])
        (array([-0.33333333, -0.375     ]), array([0.66666667, 1.66666667]))
        """
        if self.odd:
            high = over(z, self.largest, 0.0)
            low = 0.0 - high
        else:
            low, high = extremes(z, self.function, valley=self.valley, channels=self.channels or 1)
        return number(low), number(high)  # type: ignore[return-value]
