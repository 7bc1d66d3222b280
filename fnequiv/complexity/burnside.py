r"""Burnside's sum over a chain of layers: how many orbits the networks with K levels fall into.

Notation. widths = (d_0, …, d_{L+1}); the group G = S_{d_1} × ⋯ × S_{d_L} (or the signed one) acts on the K^S networks
whose S weights and biases take K levels. The number of orbits is the mean number of networks that a group element
fixes, and an element fixes K^(number of orbits of weights and biases under it). With cycle types λ_l ⊢ d_l,
λ_0 = 1^{d_0}, λ_{L+1} = 1^{d_{L+1}},

    orbits = Σ_{λ_1..λ_L} Π_{l=1}^{L} 1/z(λ_l) · Π_{l=1}^{L+1} K^{Σ_{a ∈ λ_l, b ∈ λ_{l-1}} gcd(a, b) + |λ_l|}.

Each factor sees two neighbouring layers, so the sum is a product of matrices indexed by cycle types. The first and
the last hidden layer need no matrix: given the type of their one hidden neighbour, the sum over all their types is a
cycle index, which a recurrence gives in d² steps. So one hidden layer has a closed form,
C(K^{d_0+1+d_2} + d_1 - 1, d_1) K^{d_2}; with two, only the types of the narrower are listed; with L ≥ 3, those of the
L - 2 inner ones.

Chapter: "Counting orbits exactly".
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from tqdm import tqdm

from .arithmetic import Arithmetic, Exponents, Numbers
from .cycle_types import MAX_CYCLE_TYPES, Cycles, Table, largest_width, number_of_cycle_types, orbit_signs

# Entries of the largest array held at once: 2^21 float64 are 16 MiB, and a handful of such arrays live together.
MAX_ENTRIES = 2**21


def burnside(widths: tuple[int, ...], arithmetic: Arithmetic, *, signed: bool, progress: bool = False) -> Numbers:
    """Return Burnside's sum, an array of one number: over the group if exact, the mean over it if in logs."""
    hidden = [Cycles(width, signed) for width in widths[1:-1]]
    inputs, outputs = widths[0], widths[-1]
    if not hidden:
        return arithmetic.fixed(np.array([float((inputs + 1) * outputs)]), np.zeros(1))
    bias = arithmetic.fixed(np.array([float(outputs)]), np.zeros(1))
    if len(hidden) == 1:
        words = arithmetic.fixed(*_beside_fixed_points(hidden[0], inputs + outputs + 1))
        return arithmetic.times(bias, arithmetic.multisets(hidden[0], words))
    if len(hidden) == 2 and hidden[0].width > hidden[1].width:
        # Without the output's biases the chain reads the same from both ends: list the narrower layer.
        hidden, inputs, outputs = hidden[::-1], outputs, inputs
    listed = hidden[:1] if len(hidden) == 2 else hidden[1:-1]
    tables = [cycles.table() for cycles in listed]

    if len(hidden) == 2:
        sums = arithmetic.fixed(*_weigh(tables[0], _beside_fixed_points(listed[0], inputs)))
    else:
        sums = _sum_out(arithmetic, hidden[0], inputs, listed[0], tables[0], progress)
    for layer, (cycles, table) in enumerate(zip(listed, tables, strict=True)):
        if layer:
            sums = _step(arithmetic, sums, listed[layer - 1], tables[layer - 1], cycles, table, progress)
        own = arithmetic.fixed(*_weigh(table, _beside_fixed_points(cycles, 1)))
        sums = arithmetic.times(arithmetic.times(sums, own), arithmetic.classes(cycles, table))
    last = _sum_out(arithmetic, hidden[-1], outputs, listed[-1], tables[-1], progress)
    return arithmetic.times(bias, arithmetic.total(arithmetic.times(sums, last)))


def work(widths: tuple[int, ...], *, signed: bool) -> int:
    """Return the number of products in the sum, or of factors in the closed form.

    Raises
    ------
    ValueError
        If a layer whose cycle types must be listed is too wide for the table.
    """
    hidden = widths[1:-1]
    if len(hidden) < 2:
        return sum(hidden)
    listed = (min(hidden),) if len(hidden) == 2 else hidden[1:-1]
    summed_out = (max(hidden),) if len(hidden) == 2 else (hidden[0], hidden[-1])
    fits = largest_width(signed=signed)
    if max(listed) > fits:
        raise ValueError(
            f"widths {widths}: a hidden layer of width {max(listed)} has more than {MAX_CYCLE_TYPES} "
            f"{'signed ' if signed else ''}cycle types, too many to list; listed widths may be up to {fits} "
            "(any width is fine in the only hidden layer, in the wider of two, and in the first and last of more)"
        )
    types = [number_of_cycle_types(width, signed=signed) for width in listed]
    ends = types[0] * summed_out[0] ** 2 // 2 + types[-1] * summed_out[-1] ** 2 // 2
    return ends + sum(a * b for a, b in pairwise(types))


def _beside_fixed_points(cycles: Cycles, points: int) -> tuple[Exponents, Exponents]:
    """Return what each kind of cycle adds to the exponents of K and of z beside ``points`` fixed points."""
    positive, negative = orbit_signs(cycles, Cycles(1, cycles.signed))
    return points * positive[:, 0].astype(np.float64), points * negative[:, 0].astype(np.float64)


def _weigh(table: Table, each: tuple[Exponents, Exponents]) -> tuple[Exponents, Exponents]:
    """Return the exponents of K and of z for every row of ``table``, given those of each kind of cycle."""
    return table @ each[0], table @ each[1]


def _chunks(rows: int, entries_a_row: int) -> list[slice]:
    size = max(1, MAX_ENTRIES // max(1, entries_a_row))
    return [slice(start, start + size) for start in range(0, rows, size)]


def _sum_out(
    arithmetic: Arithmetic, end: Cycles, points: int, neighbour: Cycles, table: Table, progress: bool
) -> Numbers:
    """Sum over all types of the layer at an end, for each type of its hidden neighbour."""
    positive, negative = (matrix.astype(np.float64) for matrix in orbit_signs(neighbour, end))
    own_positive, own_negative = _beside_fixed_points(end, points + 1)  # one more for the bias
    parts = []
    for rows in tqdm(_chunks(len(table), 4 * end.lengths.size), "outer layer", disable=not progress):
        x = arithmetic.fixed(table[rows] @ positive + own_positive, table[rows] @ negative + own_negative)
        parts.append(arithmetic.cycle_index(end, x))
    return np.concatenate(parts)


def _step(
    arithmetic: Arithmetic,
    sums: Numbers,
    left: Cycles,
    left_table: Table,
    right: Cycles,
    right_table: Table,
    progress: bool,
) -> Numbers:
    """Multiply the row of ``sums`` by the matrix between two listed layers, a few columns at a time."""
    positive, negative = (matrix.astype(np.float64) for matrix in orbit_signs(right, left))
    transposed = left_table.T.astype(np.float64)
    no_negative = not (left.signed and negative.any())
    parts = []
    for rows in tqdm(_chunks(len(right_table), len(left_table)), "inner layers", disable=not progress):
        block = right_table[rows].astype(np.float64)
        exponents = block @ positive @ transposed
        broken = np.zeros(1) if no_negative else block @ negative @ transposed
        parts.append(arithmetic.total(arithmetic.times(arithmetic.fixed(exponents, broken), sums)))
    return np.concatenate(parts)
