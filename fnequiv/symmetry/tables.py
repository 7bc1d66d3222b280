"""A specification as text: one entry a block, the group's size, and the notes, on lines that fit a page.

Notation. d units, kind, ln of the order in nats, and the places t[a]: axis a of tensor or cell t. Theorem: the groups
of Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .spec import SymmetrySpec

# A line of a code cell in the book, and the indent of what does not fit beside its block.
_WIDTH = 79
_INDENT = " " * 4


def table_of(spec: SymmetrySpec) -> str:
    """Return a readable table of a specification.

    Examples
    --------
    >>> from fnequiv.symmetry import Axis, Block, SymmetrySpec
    >>> hidden = Block("h", 3, "permutation", (Axis("w", 0, "in"), Axis("v", 1, "out")))
    >>> print(table_of(SymmetrySpec((hidden,), {"w": (3, 2), "v": (1, 3)})))
    block  units  kind         log order  acts on
    h      3      permutation  1.792      w[0], v[1]
    log order 1.79176 nats, continuous dimension 0
    """
    rows = [("block", "units", "kind", "log order", "acts on")]
    for block in spec.blocks:
        places = ", ".join(f"{axis.tensor}[{axis.axis}]" for axis in block.axes)
        units = str(block.size) if block.groups == 1 else f"{block.groups} x {block.size // block.groups}"
        name = block.name if block.within is None else f"{block.name} (in {block.within})"
        rows.append((name, units, block.kind, f"{block.log_order():.4g}", places))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines: list[str] = []
    for row in rows:
        head = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        whole = f"{head}  {row[4]}"
        lines += [whole] if len(whole) <= _WIDTH else [head.rstrip(), *_wrapped(row[4])]
    mixing = sum(block.mixing for block in spec.blocks)
    dimension = spec.continuous_dimension()
    apart = f" ({dimension - mixing} scales, {mixing} of mixing)" if mixing else ""
    lines.append(f"log order {spec.log_order():.6g} nats, continuous dimension {dimension}{apart}")
    for note in spec.notes:
        lines += textwrap.wrap(note, _WIDTH, subsequent_indent=_INDENT, break_long_words=False)
    return "\n".join(lines)


def _wrapped(places: str) -> list[str]:
    """Break between places, not inside one: a cell's name may hold blanks."""
    kept = places.replace("], ", "],\n").split("\n")
    lines, line = [], _INDENT
    for place in kept:
        if line != _INDENT and len(line) + len(place) > _WIDTH:
            lines.append(line.rstrip())
            line = _INDENT
        line += f"{place} "
    return [*lines, line.rstrip()]
