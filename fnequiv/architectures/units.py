r"""Units that may be reordered, and how many ways there are to write a network down up to that.

Notation. Every parameter lies in [-B, B] and belongs to a *block* (a weight or a bias); on a grid with K_k levels for
block k a parameter takes one of K_k values. *Units* are d alike parts of a network (channels, neurons of a block,
attention heads), each with entries of its own in some blocks, and perhaps with units inside it. M is the number of
values, *words*, that one unit's entries can take. The idea is Shen's (2024), Theorems 1 and 2, for the architectures of
the paper's section 4; the book's chapters on it.

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
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..activations import Activation
from ..complexity.orbit import log_count
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
    """

    name: str
    count: int
    entries: Mapping[str, int]
    inside: tuple[Units, ...] = ()
    permuted: bool = True

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

    def log_words(self, log_levels: Mapping[str, Array], permute: bool) -> Array:
        """Return ln M from ln K_k of every block; inner units are counted up to their order if ``permute``."""
        words = sum((number * log_levels[block] for block, number in self.entries.items()), start=np.zeros(()))
        return words + sum((units.log_count(log_levels, permute) for units in self.inside), start=np.zeros(()))

    def log_count(self, log_levels: Mapping[str, Array], permute: bool) -> Array:
        """Return the log number of multisets of d words, or of sequences if these or any units may not be permuted.

        Examples
        --------
        Two heads with two units of one number each, two levels: 3 multisets a head, so 6 of those.

        >>> heads = Units("heads", 2, {}, inside=(Units("pairs", 2, {"query": 1}),))
        >>> [round(float(np.exp(heads.log_count({"query": np.log(2)}, permute)))) for permute in (True, False)]
        [6, 16]
        """
        return np.asarray(log_count(self.log_words(log_levels, permute), self.count, permute and self.permuted))


class NetworkClass(ABC):
    """All networks of one architecture with parameters in [-B, B]: its units, and what its blocks may cost."""

    @property
    @abstractmethod
    def units(self) -> tuple[Units, ...]:
        """The stages, in an order for which the lemma of :mod:`fnequiv.architectures.units` holds."""

    @abstractmethod
    def log_coefficients(self, log_B: Array, log_Bx: Array, domain: str) -> dict[str, Array]:
        """Return ln c_k of every block, in the order of :attr:`sizes`; -inf where the function ignores the block."""

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers every block has."""
        sizes: dict[str, int] = {}
        for units in self.units:
            for block, number in units.sizes().items():
                sizes[block] = sizes.get(block, 0) + number
        return sizes

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
