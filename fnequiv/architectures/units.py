r"""Units that may be reordered, and how many ways there are to write a network down up to that.

Notation. Every parameter lies in [-B, B] and belongs to a *block* (a weight or a bias); on a grid with K_k levels for
block k a parameter takes one of K_k values. *Units* are d alike parts of a network (channels, neurons of a block,
attention heads), each with entries of its own in some blocks, and perhaps with units inside it. M is the number of
values, *words*, that one unit's entries can take. The idea is Shen's (2024), Theorems 1 and 2, for the architectures of
the paper's section 4; chapters "Convolutional networks", "Residual networks" and "Attention".

**Lemma (sorting in order).** Let the parameters of a class belong to units of stages t = 1, …, T, and let every stage
with d_t ≥ 2 that we call *permuted* have this property: for each permutation π of its units there is a map of the class
to itself which keeps the function, reorders the entries of stage t by π, leaves those of the stages before t alone, and
moves those after t anyhow. Let the sensitivity inequality ‖f_θ - f_θ'‖_∞ ≤ Σ_k c_k δ_k hold, δ_k bounding the change
in block k, and let Σ_k c_k δ_k ≤ ε for the grid's resolutions δ_k. Then for every ε > 0 and all widths

    N(F, ε) ≤ Π_{t permuted} C(M_t + d_t - 1, d_t) · Π_{other t} M_t^{d_t}.

*Proof.* Take any θ. For t = 1, …, T in turn: round the entries of stage t to the grid. If t is permuted, sort its units
by their words and apply the map for that order, *before* any later stage is rounded. The map keeps the function and the
stages that are done. At the end θ has become a θ' of the class with f_θ' = f_θ whose rounding has sorted words in every
permuted stage. That rounding is one of as many networks as there are multisets of d_t words in permuted stages and
sequences in the others, and it is within Σ_k c_k δ_k ≤ ε of f_θ' = f_θ. ∎

Nothing is divided by d_t!, so ties cost nothing and the count is never below 1; it is M^d/d! up to a factor near 1 once
M ≫ d². **Units inside units** (the dimensions of a head): if the inner units may be reordered in every outer unit on
its own, an outer unit has M = K^{entries} Π C(M_inner + d_inner - 1, d_inner) words up to that: sort inside each unit,
then sort the units. Where all of a group's action is told by one stage, as for attention, the count is exactly the
number of orbits on the grid.

**Signs and scales.** A unit may have a *row*: the entries that it is read in with, which are rounded before its others.
If negating the row can be undone elsewhere, in later stages or in the unit's other entries (or need not be undone),
rows matter up to sign: R words become (R + z)/2, z = 1 iff the zero word is on the grid. If multiplying the row by λ ≥
1 can be undone by dividing entries of later stages or of the unit's others by λ, and a zero row does what any row with
zeros there does, every row may be taken on the boundary of its cube: Σ 2 n_k R/K_k words, two faces for each of its n_k
entries in block k, and one of the two if signs go too. These are the rules of :mod:`fnequiv.complexity.orbit`, unit by
unit; as there, a unit takes the fewer of these words and of all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..activations import Activation
from ..complexity.orbit import is_odd, log_count
from ..complexity.sensitivity import Activations, check_activations

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Units:
    """A stage: ``count`` alike units.

    Attributes
    ----------
    name
        What they are, for tables.
    count
        d, their number.
    entries
        Block by block, how many numbers one unit has of its own.
    inside
        Units inside each of them.
    permuted
        Whether they may be reordered; False for the rows of an output.
    row
        The blocks among ``entries`` that make up a unit's row.
    signed, scaled
        Whether the row's sign, and its scale, can be undone elsewhere.
    log_choices
        ln of what else has to be written down for each unit.
    """

    name: str
    count: int
    entries: Mapping[str, int]
    inside: tuple[Units, ...] = ()
    permuted: bool = True
    row: tuple[str, ...] = ()
    signed: bool = False
    scaled: bool = False
    log_choices: float = 0.0

    def sizes(self) -> dict[str, int]:
        """Return how many numbers of every block belong to these units.

        Examples
        --------
        >>> Units("heads", 2, {"scale": 1}, inside=(Units("pairs", 3, {"query": 4, "key": 4}),)).sizes()
        {'scale': 2, 'query': 24, 'key': 24}
        """
        sizes = {block: self.count * number for block, number in self.entries.items()}
        for units in self.inside:
            sizes |= {block: self.count * number for block, number in units.sizes().items()}
        return sizes

    def log_order(self) -> float:
        """Return the log order of the group that reorders them: ln d! for each level, inner ones once a unit.

        Examples
        --------
        >>> round(math.exp(Units("heads", 2, {}, inside=(Units("pairs", 3, {"query": 4}),)).log_order()))
        72
        """
        own = math.lgamma(self.count + 1) if self.permuted else 0.0
        return own + self.count * math.fsum(units.log_order() for units in self.inside)

    def shares(self) -> dict[str, float]:
        """Return :meth:`sizes` with a dimension less for every row that may be scaled: how to share ε with scales."""
        sizes: dict[str, float] = {}
        length = sum(self.entries[block] for block in self.row)
        for block, number in self.entries.items():
            less = (length - 1) / length if self.scaled and block in self.row else 1.0
            sizes[block] = less * self.count * number
        for units in self.inside:
            sizes |= {block: self.count * share for block, share in units.shares().items()}
        return sizes

    def log_words(self, log_levels: Mapping[str, Array], symmetry: str) -> Array:
        """Return ln M from ln K_k of every block, inner units up to their own symmetry."""
        each = {block: np.asarray(number * log_levels[block]) for block, number in self.entries.items()}
        row = sum((each.pop(block) for block in self.row), start=np.zeros(()))
        if symmetry == "signed_scaled":
            row = self._log_rows(row, log_levels)
        inside = (units.log_count(log_levels, symmetry) for units in self.inside)
        return sum((*each.values(), *inside), start=row + self.log_choices)

    def _log_rows(self, log_row: Array, log_levels: Mapping[str, Array]) -> Array:
        """Return the log number of rows up to sign and scale, from that of all rows."""
        words = log_row
        if self.signed:
            odd = [is_odd(log_levels[block]) for block in self.row]
            words = log_row + np.log1p(np.where(np.all(odd, axis=0), np.exp(-log_row), 0.0)) - math.log(2)
        if self.scaled:
            faces = [math.log(self.entries[block]) + log_row - log_levels[block] for block in self.row]
            words = np.minimum(words, np.logaddexp.reduce(faces) + (0.0 if self.signed else math.log(2)))
        return words

    def log_count(self, log_levels: Mapping[str, Array], symmetry: str) -> Array:
        """Return the log number of multisets of d words, or of sequences without a symmetry or order.

        ``symmetry`` is ``"none"``, ``"permutation"`` or ``"signed_scaled"``.

        Examples
        --------
        Two heads with two units of one number each, two levels: 3 multisets a head, so 6 of those.

        >>> heads = Units("heads", 2, {}, inside=(Units("pairs", 2, {"query": 1}),))
        >>> [round(float(np.exp(heads.log_count({"query": np.log(2)}, name)))) for name in ("permutation", "none")]
        [6, 16]
        """
        permute = symmetry != "none" and self.permuted
        return np.asarray(log_count(self.log_words(log_levels, symmetry), self.count, permute))


class Cover(NamedTuple):
    """What a bound needs: its name, the stages, ln c_k of every block, and ln of the half-length of its range."""

    name: str
    units: tuple[Units, ...]
    log_coefficients: Mapping[str, Array]
    log_ranges: Mapping[str, Array]


class NetworkClass(ABC):
    """All networks of one architecture with parameters in [-B, B]: its units, and what its blocks may cost."""

    @property
    @abstractmethod
    def units(self) -> tuple[Units, ...]:
        """The stages, in an order for which the lemma of :mod:`fnequiv.architectures.units` holds."""

    @abstractmethod
    def log_coefficients(self, log_B: Array, log_Bx: Array, domain: str) -> dict[str, Array]:
        """Return ln c_k of every block, in the order of :attr:`sizes`; -inf where the function ignores the block."""

    def covers(self, log_B: Array, log_Bx: Array, domain: str) -> tuple[Cover, ...]:
        """Return ways to cover the class, the parameters as they are first."""
        coefficients = self.log_coefficients(log_B, log_Bx, domain)
        return (Cover("", self.units, coefficients, dict.fromkeys(coefficients, log_B)),)

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers every block has."""
        return {block: number for units in self.units for block, number in units.sizes().items()}

    @property
    def parameters(self) -> int:
        """The number of parameters, weights and biases."""
        return sum(self.sizes.values())

    def log_order(self) -> float:
        """Return the log order of the permutation group, in nats."""
        return math.fsum(units.log_order() for units in self.units)


def check_shared(activation: Activations, widths: tuple[int, ...]) -> tuple[Activation, ...]:
    """Return the activations of the hidden layers, each the same function in every unit, so that units may move.

    Raises
    ------
    ValueError
        If a name is unknown, a sequence has the wrong length, or units have slopes of their own.
    """
    sigmas = check_activations(activation, widths)
    for sigma in sigmas:
        if sigma.per_channel:
            raise ValueError(
                f"activation must be one function for all units of a layer, got {sigma.name!r} with a slope of its own "
                "in every unit: give it one shared slope"
            )
    return sigmas
