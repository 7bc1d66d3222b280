r"""The terms of a covering bound, and their table.

Notation as in :mod:`fnequiv.architectures.complexity`: block k has s_k numbers, the coefficient c_k of the sensitivity
inequality, the resolution δ_k and K_k levels; a stage has d units of M words each. Natural logarithms. Shen (2024),
section 4; the book's chapters on it.
"""

from __future__ import annotations

from dataclasses import dataclass


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
    """One stage: d units with M words each, ln M, the nats that they need, and those that their order saves."""

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
        """The nats that the symmetry saves, at most the log order of the group."""
        return sum(units.log_saved for units in self.units)

    @property
    def share(self) -> float:
        """``log_saved`` as a share of the bound without symmetry; 0 if that is 0."""
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
