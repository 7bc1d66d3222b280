"""How far the orbit bound lies below Theorem 2 as the paper states it, over widths, depths and radii.

The architectures are a full cross of widths (1 to 10^5) and depths (1 to 20) with the radius and the input dimension
cycling through theirs, so that none is picked by its result, and a few that people know. ReLU, B_x = 1, ‖x‖_2 ≤ B_x.
``plain`` is ``symmetry="permutation"`` on a grid, ``scaled`` the same with scaling, ``best`` the least bound. All are
ratios of nats to Theorem 2 where it is informative (positive).
"""

from __future__ import annotations

import statistics
from itertools import cycle, product
from typing import NamedTuple

from fnequiv.complexity.covering import deep_theorem, deep_theorem_holds, orbit_bound, orbit_terms

WIDTHS = (1, 10, 100, 1_000, 10_000, 100_000)
DEPTHS = (1, 2, 3, 5, 10, 20)
RADII = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 0.03)
INPUTS = (1, 10, 784, 3)
KNOWN = (
    ((1, 3, 1), 1.0, 0.25),
    ((1, 100, 1), 1.0, 0.1),
    ((10, 64, 64, 1), 1.0, 0.1),
    ((784, 512, 512, 10), 0.5, 0.1),
    ((784, 512, 512, 512, 10), 1.0, 0.1),
    ((784, 512, 512, 512, 10), 0.1, 0.1),
    ((3072, 4096, 4096, 10), 0.05, 1.0),
)


class Row(NamedTuple):
    """A class of networks and its bounds, in nats."""

    widths: tuple[int, ...]
    B: float
    eps: float
    theorem: float
    proved: bool
    plain: float
    scaled: float
    best: float
    how: str


def networks() -> list[tuple[tuple[int, ...], float, float]]:
    """Return (widths, B, eps): the cross at B = 1, then the ones that people know."""
    radii, inputs = cycle(RADII), cycle(INPUTS)
    cross = [((next(inputs), *(width,) * depth, 1), 1.0, next(radii)) for width, depth in product(WIDTHS, DEPTHS)]
    return [*cross, *KNOWN]


def row(widths: tuple[int, ...], B: float, eps: float) -> Row:
    """Evaluate every bound for one class."""
    shared = {"B": B, "Bx": 1.0, "eps": eps}
    best = orbit_terms(widths, **shared, activation="relu", symmetry="best")  # type: ignore[arg-type]
    plain, scaled = (
        float(orbit_bound(widths, **shared, activation="relu", symmetry=name))  # type: ignore[arg-type]
        for name in ("permutation", "scaled")
    )
    return Row(
        widths,
        B,
        eps,
        float(deep_theorem(widths, **shared, rho=1.0)),
        bool(deep_theorem_holds(widths, **shared, rho=1.0)),
        plain,
        scaled,
        best.log_bound,
        f"{best.method}: {best.symmetry}",
    )


def main(smoke: bool = False) -> None:
    table = [row(*network) for network in networks()[:: 6 if smoke else 1]]
    print(f"{'widths':>22} {'B':>5} {'eps':>7} {'Theorem 2':>12} {'plain':>6} {'scaled':>6} {'best':>6}  how")
    for entry in table:
        cells = [f"{bound / entry.theorem:6.3f}" for bound in (entry.plain, entry.scaled, entry.best)]
        print(
            f"{_name(entry.widths):>22} {entry.B:5} {entry.eps:7} {entry.theorem:12.5g} {' '.join(cells)}  {entry.how}"
            + ("" if entry.theorem > 0 else "  (Theorem 2 is not informative)")
        )
    informative = [entry for entry in table if entry.theorem > 0]
    for kind in ("plain", "scaled", "best"):
        ratios: list[float] = [getattr(entry, kind) / entry.theorem for entry in informative]
        print(f"{kind:>8}: median {statistics.median(ratios):.3f}, least {min(ratios):.4f}, greatest {max(ratios):.3f}")
    print(
        f"{len(table)} classes, Theorem 2 informative for {len(informative)}, "
        f"proved by deep_theorem_holds for {sum(entry.proved for entry in table)}"
    )


def _name(widths: tuple[int, ...]) -> str:
    hidden = widths[1:-1]
    middle = f"{hidden[0]}^{len(hidden)}" if len(set(hidden)) == 1 else "-".join(map(str, hidden))
    return f"{widths[0]}-{middle}-{widths[-1]}"
