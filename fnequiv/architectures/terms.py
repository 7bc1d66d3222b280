r"""A covering bound from a cover: resolutions, levels, counts, and the table of its terms.

Notation as in :mod:`fnequiv.architectures.complexity`: block k has s_k numbers, the coefficient c_k of the sensitivity
inequality, the resolution δ_k and K_k levels; a stage has d units of M words each. Natural logarithms. Shen (2024),
section 4; chapters "Convolutional networks", "Residual networks" and "Attention".

With shares s_k of the dimensions, δ_k = ε s_k/(c_k Σ s) over the blocks with c_k > 0 minimises Σ_k s_k ln(1/δ_k)
subject to Σ_k c_k δ_k = ε: the derivatives s_k/δ_k are the same multiple of c_k for all k.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..complexity.words import log_ceil
from .units import Array, Cover


class Grid(NamedTuple):
    """A cover on a grid: ln δ_k and ln K_k of every block, the symmetry that its count uses, and the bound."""

    cover: Cover
    symmetry: str
    log_resolutions: Mapping[str, Array]
    log_levels: Mapping[str, Array]
    log_bound: Array


def make_grid(cover: Cover, log_eps: Array, symmetry: str, *, fewer: bool = False) -> Grid:
    """Return the grid that shares ε by the blocks' sizes, or (``fewer``) with a dimension less for scaled rows."""
    shares: dict[str, float] = {}
    for units in cover.units:
        shares |= units.shares() if fewer else units.sizes()
    moving = [float(shares[block]) * (cost > -np.inf) for block, cost in cover.log_coefficients.items()]
    log_whole = np.log(sum(moving, start=np.zeros(())))
    resolutions = {
        block: log_eps + math.log(shares[block]) - log_whole - cost for block, cost in cover.log_coefficients.items()
    }
    levels = {block: log_ceil(cover.log_ranges[block] - step) for block, step in resolutions.items()}
    counts = (units.log_count(levels, symmetry) for units in cover.units)
    return Grid(cover, symmetry, resolutions, levels, sum(counts, start=np.zeros(())))


@dataclass(frozen=True)
class BlockTerms:
    """One block: its name, s_k numbers, ln c_k, ln δ_k (inf where c_k = 0) and ln K_k."""

    name: str
    size: int
    log_coefficient: float
    log_resolution: float
    log_levels: float


@dataclass(frozen=True)
class UnitTerms:
    """One stage: d units with M words each, ln M, the nats that they need, and those that the symmetry saves."""

    name: str
    count: int
    log_words: float
    log_count: float
    log_saved: float


@dataclass(frozen=True)
class CoveringTerms:
    """A bound on ln N(F, ε) with the terms it is the sum of: ``log_bound`` is the sum of the stages' ``log_count``."""

    log_bound: float
    symmetry: str
    blocks: tuple[BlockTerms, ...]
    units: tuple[UnitTerms, ...]

    @property
    def log_saved(self) -> float:
        """The nats that the symmetry saves of all points of the same grid, for orders at most the group's log order."""
        return sum(units.log_saved for units in self.units)

    @property
    def share(self) -> float:
        """``log_saved`` as a share of the bound without symmetry on the same grid; 0 if that is 0."""
        whole = self.log_bound + self.log_saved
        return self.log_saved / whole if whole > 0 else 0.0

    def table(self) -> str:
        """Return two tables of text, blocks and stages; natural logarithms throughout."""
        blocks: list[tuple[str, ...]] = [("block", "numbers", "ln c", "ln δ", "ln K")]
        for block in self.blocks:
            values = (block.log_coefficient, block.log_resolution, block.log_levels)
            blocks.append((block.name, str(block.size), *(f"{value:.2f}" for value in values)))
        stages: list[tuple[str, ...]] = [("units", "number", "ln M", "nats", "saved")]
        for units in self.units:
            values = (units.log_words, units.log_count, units.log_saved)
            stages.append((units.name, str(units.count), *(f"{value:.2f}" for value in values)))
        total = f"ln N <= {self.log_bound:.2f} nats (symmetry: {self.symmetry})"
        return "\n".join([*_aligned(blocks), "", *_aligned(stages), total])


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(sizes[0]), *(cell.rjust(size) for cell, size in zip(row[1:], sizes[1:], strict=True))])
        for row in rows
    ]


def terms_of(grid: Grid) -> CoveringTerms:
    """Return the terms of a grid that was made of numbers, not of arrays."""
    cover = grid.cover
    sizes = {block: number for units in cover.units for block, number in units.sizes().items()}
    values = (cover.log_coefficients, grid.log_resolutions, grid.log_levels)
    blocks = tuple(BlockTerms(block, sizes[block], *(float(one[block]) for one in values)) for block in grid.log_levels)
    stages = []
    for units in cover.units:
        plain, count = (float(units.log_count(grid.log_levels, name)) for name in ("none", grid.symmetry))
        words = float(units.log_words(grid.log_levels, grid.symmetry))
        stages.append(UnitTerms(units.name, units.count, words, count, plain - count))
    name = f"{grid.symmetry}, {cover.name}" if cover.name else grid.symmetry
    return CoveringTerms(sum(stage.log_count for stage in stages), name, blocks, tuple(stages))
