"""The frozen record of what is known of one activation function σ (paper: Examples 1-3, Theorems 1 and 2).

Notation: x is an argument of σ, z ≥ 0 the half-width of a range [-z, z]; see :mod:`fnequiv.activations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from ..validation import check_numeric

Array = npt.NDArray[np.float64]
Parameter = float | tuple[float, ...]


class Reflection(NamedTuple):
    """The law σ(-x) = sign·σ(x) + slope·x + constant, for all x.

    Examples
    --------
    >>> from fnequiv import activations
    >>> activations.get("sigmoid").reflection
    Reflection(sign=-1, slope=0.0, constant=1.0)
    """

    sign: Literal[-1, 1]
    slope: float
    constant: float


ODD = Reflection(-1, 0.0, 0.0)
EVEN = Reflection(1, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Activation:
    r"""Facts of σ, made by :func:`fnequiv.activations.get`, which is the way to obtain one.

    Equality compares everything but the callables; two activations from the same call are equal.

    Attributes
    ----------
    name
        Name in the catalogue.
    formula
        σ(x) in LaTeX. Its letters are the parameters: a (``negative_slope``, ``weight``), α (``alpha``), β (``beta``),
        λ (``lambd``; SELU: 1.0507…, with α = 1.6732…), m (``min_val``), M (``max_val``).
    torch
        Dotted path of PyTorch's function below ``torch``, so that nothing here has to import it. It is called as
        ``function(x, **torch_keywords)``.
    torch_keywords
        Keywords for that function; a tuple stands for a tensor of ``x``'s dtype (the slopes of PReLU).
    parameters
        Keywords with which ``get`` makes this activation again.
    reflection
        The law σ(-x) = sign·σ(x) + slope·x + constant, or None where no such law holds.
    degree
        The k with σ(λx) = λ^k σ(x) for all λ > 0, or None where there is none.
    at_zero
        σ(0).
    per_channel
        True for PReLU with a slope for each neuron: a permutation of the neurons has to carry the slopes along.
        One shared slope needs nothing. The other facts then are those of the whole layer.
    function, steepest, largest
        x ↦ σ(x), z ↦ least Lipschitz constant and z ↦ sup |σ| for z > 0, without checks. Use the methods.

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
    per_channel: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    torch_keywords: Mapping[str, Parameter | str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for mapping in ("parameters", "torch_keywords"):
            object.__setattr__(self, mapping, MappingProxyType(dict(getattr(self, mapping))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as the call that made it: closures do not pickle, a name and numbers do."""
        from .catalogue import get

        return partial(get, **self.parameters), (self.name,)

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

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return σ(x) entry by entry, in float64; PReLU's channels are axis 1, as in PyTorch.

        Raises
        ------
        TypeError
            If ``x`` is not numeric.
        ValueError
            If an entry is NaN or infinite, or if axis 1 does not match the slopes of a per-channel PReLU.

        Examples
        --------
        >>> from fnequiv import activations
        >>> activations.get("leaky_relu", negative_slope=0.5)([-2.0, 0.0, 3.0])
        array([-1.,  0.,  3.])
        """
        array = check_numeric("x", x)
        if not np.isfinite(array).all():
            raise ValueError(f"x must be finite, got {float(array[~np.isfinite(array)].flat[0])!r}")
        with np.errstate(over="ignore", under="ignore"):
            return self.function(array)

    @overload
    def lipschitz(self, z: float = ...) -> float: ...
    @overload
    def lipschitz(self, z: Sequence[Any] | npt.NDArray[Any]) -> Array: ...
    def lipschitz(self, z: Any = math.inf) -> float | Array:
        """Return the least ρ with |σ(x) - σ(y)| ≤ ρ |x - y| for all x, y in [-z, z]; inf where there is none.

        For z > 0 it is the essential supremum of |σ'|; on the single point z = 0 it is 0. It never decreases in z.

        Parameters
        ----------
        z
            Half-width of the range, ≥ 0, inf allowed; a number, or an array to broadcast over.

        Raises
        ------
        TypeError
            If ``z`` is not numeric.
        ValueError
            If an entry is negative or NaN.

        Examples
        --------
        >>> from fnequiv import activations
        >>> round(activations.get("silu").lipschitz(), 6)
        1.099839
        >>> activations.get("square").lipschitz([0.5, 2.0])
        array([1., 4.])
        """
        radius = _radius(z)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return _like(z, np.where(radius > 0, self.steepest(radius), 0.0))

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
        TypeError
            If ``z`` is not numeric.
        ValueError
            If an entry is negative or NaN.

        Examples
        --------
        >>> from fnequiv import activations
        >>> activations.get("sin").sup(2.0), activations.get("relu6").sup([1.0, 9.0]), activations.get("relu").sup()
        (1.0, array([1., 6.]), inf)
        """
        radius = _radius(z)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            return _like(z, np.where(radius > 0, self.largest(radius), abs(self.at_zero)))


def _like(z: object, value: Array) -> float | Array:
    return float(value) if np.ndim(z) == 0 else value  # type: ignore[arg-type]


def _radius(z: npt.ArrayLike) -> Array:
    radius = check_numeric("z", z)
    wrong = ~(radius >= 0)
    if wrong.any():
        raise ValueError(f"z must be >= 0, got {float(radius[wrong].flat[0])!r}: the range is [-z, z]")
    return radius
