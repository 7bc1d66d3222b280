"""How a parameter is laid on a sheet: its axes read, and what depends on the first axis cut or made block-diagonal.

Notation. A weight whose later axes depend on places of the first (:mod:`fnequiv.architectures.entering`) is cut along
the first where they read differently; where the first axis' units are exchanged with all that lies within them, it is
the diagonal of a larger matrix.

Chapter: "The symmetry of any model". Theorem: Proposition 1 of Shen (2024).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .entering import Parameter
from .reading import Segment, UnreadableError, segments, unshared
from .scaling import Scales
from .solving import Solution
from .structure import Ids, Term
from .values import Value
from .writing import Sheet

Line = tuple[Ids, list[Term]]


def lay(parameter: Parameter, sheet: Sheet, solution: Solution, scales: Scales) -> None:
    """Write one parameter on the sheet, under each of its names."""
    if parameter.groups > 1:
        _lay_grouped(parameter, sheet, solution, scales)
        return
    if parameter.stacked:
        _lay_stack(parameter, sheet, solution, scales)
        return
    if parameter.pieces:
        _lay_pieces(parameter, sheet, solution, scales)
        return
    axes = []
    for axis, (start, stop) in enumerate(parameter.root.spans):
        units = parameter.root.legs[start].units if stop > start else None
        if units is None:
            axes.append([Segment(0, parameter.shape[axis], (parameter.shape[axis],), {}, {})])
            continue
        line, terms = _line(parameter.root, start, units)
        axes.append(segments(line, terms, solution, scales))
    for name in parameter.names:
        sheet.tensor(name, parameter.shape, axes)


def _line(root: Value, leg: int, units: Ids) -> tuple[Ids, list[Term]]:
    """Return the units of a leg that depends on no other, and its factors, as lines."""
    return units.reshape(-1), [replace(t, ids=t.ids.reshape(-1)) for t in root.terms if t.owners == {leg}]


def _lay_grouped(parameter: Parameter, sheet: Sheet, solution: Solution, scales: Scales) -> None:
    """Write a grouped convolution's weight: block-diagonal, or cut along groups that cannot be exchanged."""
    root, groups, shape = parameter.root, parameter.groups, parameter.shape
    rows, columns = shape[0] // groups, shape[1]
    rest = [[Segment(0, n, (n,), {}, {})] for n in shape[2:]]
    parts = []
    for leg, size in ((1, rows), (2, columns)):
        units = root.legs[leg].units
        assert units is not None
        own = [replace(t, ids=t.ids.reshape(-1)) for t in root.terms if t.owners == {0, leg}]
        parts.append((units.reshape(-1), own, size))
    outer = segments(parts[0][0], parts[0][1], solution, scales)
    inner = segments(parts[1][0], parts[1][1], solution, scales)
    whole = Segment(0, columns, (columns,), {}, {})
    for name in parameter.names:
        if not any(segment.strides for segment in inner):
            sheet.tensor(name, shape, [outer, [whole], *rest])
        elif len(inner) == 1 and len(outer) == 1 and not outer[0].strides:
            raise UnreadableError(list(inner[0].strides))
        elif len(inner) == 1 and len(outer) == 1:
            if (
                columns == 1
                and not inner[0].factors.get(next(iter(inner[0].strides)))
                and inner[0].strides.keys() == outer[0].strides.keys()
            ):
                sheet.tensor(name, shape, [outer, [whole], *rest])
            else:
                sheet.grouped(name, shape, groups, outer[0], inner[0])
        else:
            _lay_by_group(name, shape, groups, parts, sheet, solution, scales, rest)


def _lay_by_group(name: str, shape: tuple[int, ...], groups: int, parts: Any, sheet: Sheet, solution: Solution,
                  scales: Scales, rest: list[list[Segment]]) -> None:  # fmt: skip
    """Write a grouped convolution's weight group by group."""
    for g in range(groups):
        axes = []
        for units, terms, size in parts:
            here = slice(g * size, (g + 1) * size)
            own = [replace(t, ids=t.ids[here]) for t in terms]
            axes.append(segments(units[here], own, solution, scales))
        rows = parts[0][2]
        moved = [replace(s, start=s.start + g * rows, stop=s.stop + g * rows) for s in axes[0]]
        for box in itertools.product(moved, axes[1], *rest):
            sheet.piece(name, shape, box, whole=False)


def _lay_pieces(parameter: Parameter, sheet: Sheet, solution: Solution, scales: Scales) -> None:
    """Write a matrix that is cut along its rows, each piece with columns of its own."""
    rows, inner = parameter.root.legs
    assert rows.units is not None
    assert inner.units is not None
    own = [replace(t, ids=t.ids[:, 0]) for t in parameter.root.terms if t.owners == {0}]
    parts = []
    for start, stop in itertools.pairwise(parameter.pieces):
        terms = [replace(t, ids=t.ids[start]) for t in parameter.root.terms if t.owners == {1}]
        columns = segments(inner.units[start], terms, solution, scales)
        here = [replace(t, ids=t.ids[start:stop]) for t in own]
        outer = segments(rows.units[start:stop, 0], here, solution, scales)
        parts.append(([replace(s, start=s.start + start, stop=s.stop + start) for s in outer], columns))
    for name in parameter.names:
        if all(_same(columns, parts[0][1]) for _, columns in parts):
            sheet.tensor(name, parameter.shape, [segments(rows.units[:, 0], own, solution, scales), parts[0][1]])
        else:
            sheet.boxes(name, parameter.shape, [box for part in parts for box in itertools.product(*part)])


def _lay_stack(parameter: Parameter, sheet: Sheet, solution: Solution, scales: Scales) -> None:
    """Write a stack: plainly where all its layers read alike, layer by layer, or as a block-diagonal matrix."""
    root, shape = parameter.root, parameter.shape
    first = root.legs[0].units
    assert first is not None
    top = segments(first.reshape(-1), [], solution, scales)
    family = next((k for segment in top for k in segment.strides), None)
    still = frozenset() if family is None else frozenset([family, *solution.families[family].above])
    inside = {} if family is None else _inside(root, family, solution, scales, still)
    count = 1 if inside else shape[0]
    axes = [axis for axis in range(1, len(shape)) if axis not in inside]
    layers = [{axis: _layer(root, axis, k, solution, scales, still) for axis in axes} for k in range(count)]
    alike = all(_same(each[axis], layers[0][axis]) for each in layers for axis in axes)
    for name in parameter.names:
        if inside:
            if any(len(each) > 1 for each in layers[0].values()) or len(top) > 1:
                raise UnreadableError([family or 0])
            rest = {axis: each[0] for axis, each in layers[0].items()}
            sheet.stack(name, shape, list(inside.values()), list(inside), top[0], rest)
        elif alike:
            sheet.tensor(name, shape, [top, *layers[0].values()])
        elif family is not None:
            raise UnreadableError([family])
        else:
            each_layer = [[[Segment(k, k + 1, (1,), {}, {})], *layer.values()] for k, layer in enumerate(layers)]
            sheet.boxes(name, shape, [box for axes_of in each_layer for box in itertools.product(*axes_of)])


def _inside(root: Value, family: int, solution: Solution, scales: Scales, still: frozenset[int]) -> dict[int, Segment]:
    """Return the segments of the axes whose units lie within those of the first, each read with it."""
    found: dict[int, Segment] = {}
    for axis, leg in enumerate(root.legs):
        assert leg.units is not None
        kinds = np.unique(solution.family[leg.units]).tolist()
        if axis and any(family in solution.families[k].above for k in kinds if k not in still):
            units, terms = _joint(root, axis)
            joint = segments(units, terms, solution, scales, still)
            if len(joint) > 1 or len(found) > 1:
                raise UnreadableError([family])
            found[axis] = joint[0]
    return found


def _layer(root: Value, axis: int, k: int, solution: Solution, scales: Scales, still: frozenset[int]) -> list[Segment]:
    """Return the segments of an axis in one layer of a stack; where layers move, none has a variable to itself."""
    units = root.legs[axis].units
    assert units is not None
    terms = [replace(t, ids=t.ids[k].reshape(-1)) for t in root.terms if t.owners == {0, axis}]
    found = segments(units[k].reshape(-1), terms, solution, scales, still)
    return [unshared(segment) for segment in found] if still else found


def _joint(root: Value, axis: int) -> Line:
    """Return units and factors of the first axis and another, as a line."""
    units = root.legs[axis].units
    assert units is not None
    return units.reshape(-1), [replace(t, ids=t.ids.reshape(-1)) for t in root.terms if t.owners == {0, axis}]


def _same(one: Sequence[Segment], two: Sequence[Segment]) -> bool:
    """Whether two axes read alike: the same families in the same order, with the same factors."""
    if [(s.start, s.stop, s.sizes, s.strides) for s in one] != [(s.start, s.stop, s.sizes, s.strides) for s in two]:
        return False
    for a, b in zip(one, two, strict=True):
        for family in a.factors:
            pairs = itertools.zip_longest(a.factors[family], b.factors[family])
            for x, y in pairs:
                if (
                    x is None
                    or y is None
                    or not all(
                        np.array_equal(*sides) for sides in ((x.scale, y.scale), (x.power, y.power), (x.sign, y.sign))
                    )
                ):
                    return False
    return True
