"""Blocks: the units that a group permutes, flips and rescales, and the axes of tensors where they lie.

Notation. A block has d units, a kind, and axes; see :mod:`fnequiv.symmetry`. On its axes an element (P, D) acts by
W ↦ D P W (``"in"``), W ↦ W Pᵀ D'⁻¹ (``"out"``, where σ(D z) = D' σ(z)) or W ↦ P W (``"carry"``).

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ..activations import Activation
from ..activations import get as get_activation
from ..validation import check_bool, check_integer, shown

Kind = Literal["permutation", "signed", "scaled", "signed_scaled"]
Role = Literal["in", "out", "carry"]
KINDS: tuple[str, ...] = get_args(Kind)
ROLES: tuple[str, ...] = get_args(Role)
_LONGEST_AXIS = 2**63 - 1  # sizes are 64-bit integers in NumPy and PyTorch, and log d! stays far from overflow
_LARGEST_FACTORIAL = 10**5  # 456,574 digits; the time to write them out grows faster than their number


def kind_of(*, signs: bool, scales: bool) -> Kind:
    """Return the kind of a block whose units may be flipped (``signs``) and rescaled (``scales``).

    Raises
    ------
    TypeError
        If one of the two is no bool.

    Examples
    --------
    >>> kind_of(signs=True, scales=False)
    'signed'
    """
    scales = check_bool("scales", scales)
    if check_bool("signs", signs):
        return "signed_scaled" if scales else "signed"
    return "scaled" if scales else "permutation"


@dataclass(frozen=True)
class Axis:
    """One place where the units of a block lie: an axis of a named tensor.

    ``role`` says how signs and scales act there: ``"in"`` multiplies, ``"out"`` divides, ``"carry"`` only moves
    (the per-channel slope of a PReLU, say). Each unit owns ``repeat`` consecutive entries: 1 for a linear layer, h·w
    for a linear layer behind a flattened h×w feature map.

    Raises
    ------
    TypeError
        If ``tensor`` is no name, or ``axis`` or ``repeat`` no integer.
    ValueError
        If ``axis`` is negative, ``repeat`` below 1 or ``role`` unknown.

    Examples
    --------
    >>> Axis("0.weight", 0, "in")
    Axis(tensor='0.weight', axis=0, role='in', repeat=1)
    """

    tensor: str
    axis: int
    role: Role
    repeat: int = 1

    def __post_init__(self) -> None:
        _check_name("an axis needs the name of its tensor", self.tensor)
        object.__setattr__(self, "axis", check_integer(f"axis of {self.tensor!r}", self.axis, minimum=0))
        object.__setattr__(self, "repeat", check_length(f"repeat of {self.tensor!r}", self.repeat))
        if not isinstance(self.role, str) or self.role not in ROLES:
            raise ValueError(f"role must be one of {ROLES}, got {shown(self.role)} for tensor {self.tensor!r}")


@dataclass(frozen=True)
class Block:
    """``size`` interchangeable units, the kind of group that acts on them, and the axes where they lie.

    The group is the wreath product K ≀ S_d: a permutation of the d units and, for each of them, an element of K = {1}
    (``permutation``), {±1} (``signed``), R_{>0} (``scaled``) or R∖{0} (``signed_scaled``). ``even`` and ``degree``
    say what the activation does to them: behind an even activation a flip needs no answer on the way out,
    behind one with σ(λz) = λ^degree σ(z) the way out is divided by λ^degree.

    A *nested* block lies ``within`` another, whose size is ``groups``: its units come in that many runs of consecutive
    units, and run g belongs to unit g of the parent. A permutation moves the runs as the parent moves its units, and is
    free inside each: the wreath product S_m ≀ S_groups with m = size / groups (the dimensions of an attention's heads).
    For m = 1 it ties two permutations and leaves signs and scales apart. ``mixing`` counts continuous dimensions that
    mix units of a run (GL(m) has m² of them, of which the scales are m); they are counted, and no element moves them.

    Raises
    ------
    TypeError
        If ``name`` is no string, ``axes`` hold anything but :class:`Axis`, ``size``, ``degree``, ``groups`` or
        ``mixing`` is no integer, or ``even`` no bool.
    ValueError
        If the size is below 1 or above 2^63 - 1, the degree negative, the kind unknown, an axis is listed twice, the
        size is no multiple of ``groups``, or there are groups without a block to lie within.

    Examples
    --------
    >>> hidden = Block("layer1", 3, "signed", (Axis("0.weight", 0, "in"), Axis("2.weight", 1, "out")))
    >>> hidden.order()  # 3! permutations times 2^3 signs
    48
    >>> Block("heads.qk", 6, "permutation", (), within="heads", groups=2).order()  # (3!)^2; "heads" has its own 2!
    36
    """

    name: str
    size: int
    kind: Kind
    axes: tuple[Axis, ...]
    even: bool = False
    degree: int = 1
    within: str | None = None
    groups: int = 1
    mixing: int = 0

    def __post_init__(self) -> None:
        _check_name("a block needs a name", self.name)
        object.__setattr__(self, "size", check_length(f"size of block {self.name!r}", self.size))
        object.__setattr__(self, "degree", check_integer(f"degree of block {self.name!r}", self.degree, minimum=0))
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {shown(self.kind)} for block {self.name!r}")
        check_bool(f"even of block {self.name!r}", self.even)
        object.__setattr__(self, "axes", self._checked_axes())
        object.__setattr__(self, "mixing", check_integer(f"mixing of block {self.name!r}", self.mixing, minimum=0))
        self._check_nesting()

    def _check_nesting(self) -> None:
        object.__setattr__(self, "groups", check_length(f"groups of block {self.name!r}", self.groups))
        if self.within is not None:
            _check_name(f"block {self.name!r} lies within a block, whose name it needs", self.within)
        elif self.groups > 1:
            raise ValueError(
                f"block {self.name!r} has {self.groups} groups: name the block that moves them in `within`"
            )
        if self.size % self.groups:
            raise ValueError(
                f"size of block {self.name!r} must be a multiple of its groups, got {self.size} units in "
                f"{self.groups} groups"
            )

    def _checked_axes(self) -> tuple[Axis, ...]:
        iterable = isinstance(self.axes, Iterable) and not isinstance(self.axes, Mapping)
        axes = tuple(self.axes) if iterable else ()
        if not iterable or not all(isinstance(axis, Axis) for axis in axes):
            raise TypeError(f"axes of block {self.name!r} must be a tuple of Axis, got {shown(self.axes)}")
        places = [(axis.tensor, axis.axis) for axis in axes]
        if len(set(places)) < len(places):
            raise ValueError(f"block {self.name!r} lists an axis twice: {places}; name each axis once")
        return axes

    @classmethod
    def behind(cls, name: str, size: int, activation: str | Activation, axes: Iterable[Axis]) -> Block:
        """Return the block of ``size`` units that feed ``activation``, with every symmetry it admits.

        Raises
        ------
        TypeError, ValueError
            As the class itself; also if the activation is unknown, or has other than ``size`` slopes, one a unit.

        Examples
        --------
        >>> Block.behind("layer1", 4, "tanh", [Axis("0.weight", 0, "in")]).kind
        'signed'
        >>> Block.behind("layer1", 4, "relu", [Axis("0.weight", 0, "in")]).kind
        'scaled'
        """
        facts = get_activation(activation)
        kind = kind_of(signs=facts.parity is not None, scales=facts.degree is not None)
        degree = 1 if facts.degree is None else facts.degree
        block = cls(name, size, kind, axes, even=facts.parity == "even", degree=degree)  # type: ignore[arg-type]
        facts.check_width(block.size)
        return block

    @property
    def signs(self) -> bool:
        """Whether units may be flipped."""
        return self.kind in ("signed", "signed_scaled")

    @property
    def scales(self) -> bool:
        """Whether units may be rescaled."""
        return self.kind in ("scaled", "signed_scaled")

    def order(self) -> int:
        """Return the exact order of the discrete group: d! permutations, times 2^d if units may be flipped.

        Of a nested block it is (m!)^groups: what moves its groups is counted for the block that it lies within.

        Raises
        ------
        ValueError
            If d > 10^5: such a number takes long to write out, and :meth:`log_order` is there.
        """
        if self.size > _LARGEST_FACTORIAL:
            raise ValueError(
                f"size of block {self.name!r} must be <= {_LARGEST_FACTORIAL} for an exact order, got {self.size}: "
                "use log_order()"
            )
        runs = math.factorial(self.size // self.groups) ** self.groups
        return runs * (2**self.size if self.signs else 1)

    def log_order(self) -> float:
        """Return the log of :meth:`order`, in nats, for any size."""
        runs = self.groups * math.lgamma(self.size // self.groups + 1)
        return runs + (self.size * math.log(2) if self.signs else 0.0)


def _check_name(rule: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{rule}, a string, got {shown(name)}")


def check_length(name: str, value: object, *, minimum: int = 1) -> int:
    """Return ``value`` as the length of an axis, an integer from ``minimum`` to 2^63 - 1.

    Raises
    ------
    TypeError, ValueError
        If it is no integer; if it is out of range.

    Examples
    --------
    >>> check_length("repeat of 'w'", 9)
    9
    """
    length = check_integer(name, value, minimum=minimum)
    if length > _LONGEST_AXIS:
        raise ValueError(f"{name} must be <= 2**63 - 1, got {shown(length)}: no tensor has a longer axis")
    return length
