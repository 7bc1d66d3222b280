"""From a graph of operators to a specification.

Notation. A parameter enters with a new unit for every place of its axes, and a variable for each; the rules
(:mod:`fnequiv.architectures.rules`) write down what operators ask; what the network reads and returns is frozen.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "Architectures".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from .algebra import frozen
from .capture import Captured
from .reading import Segment, UnreadableError, segments
from .rules import Call, apply_rule, operator_name
from .rules_linear import groups_of
from .scaling import Scales
from .solving import Solution, solve
from .structure import Ids, Structure, Term
from .values import Leg, Value, plain
from .writing import Sheet, blocks

_STACKED = frozenset(["matmul", "bmm", "baddbmm", "einsum", "linear"])


@dataclass(frozen=True, eq=False)
class Parameter:
    """A tensor of the state: its names, its shape, and how it entered."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    root: Value
    groups: int  # of a grouped convolution's weight; else 1


def infer(captured: Captured, shapes: Mapping[str, tuple[int, ...]]) -> SymmetrySpec:
    """Return the specification of a captured network with these tensors."""
    structure = Structure()
    parameters = walk(captured, structure)
    for name in captured.strange:
        structure.notes.append(f"{name} shares its memory with a tensor of another shape, and is left unmoved")
    while True:
        solution = solve(structure)
        scales = Scales(structure.variables)
        try:
            found, cells = _write(parameters, solution, scales, structure)
        except UnreadableError as error:
            structure.notes.append("units whose places along an axis follow no regular order are left unmoved")
            units = np.flatnonzero(np.isin(solution.family, error.families))
            structure.mark(units, 0)
            continue
        return SymmetrySpec(found, dict(shapes), cells, tuple(dict.fromkeys(structure.notes)))


def _write(
    parameters: list[Parameter], solution: Solution, scales: Scales, structure: Structure
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return blocks and cells; variables that no block can say are given up first."""
    pointwise = (
        set(np.unique(np.concatenate([solution.family[u.ravel()] for u in structure.pointwise])).tolist())
        if structure.pointwise
        else set()
    )
    while True:
        lost = len(scales.lost)
        sheet = Sheet(solution)
        for parameter in parameters:
            _lay(parameter, sheet, solution, scales)
        if len(scales.lost) == lost:
            found = blocks(sheet, pointwise, _free_shifts(structure))
            return found, tuple(dict.fromkeys(sheet.cells))


def _free_shifts(structure: Structure) -> Ids:
    """Return the units of biases that are made good wherever they are felt: one bias takes up one shift at all uses."""
    absorbed, felt = set[int](), set(np.concatenate([[], *map(np.ravel, structure.felt)]).astype(int).tolist())
    uses: dict[int, list[Counter[int]]] = {}
    for bias, shifts in structure.absorbed:
        counts = Counter(np.concatenate([[], *map(np.unique, shifts)]).astype(int).tolist())
        absorbed |= set(counts)
        if bias is not None:
            uses.setdefault(bias, []).append(counts)
    for several in uses.values():
        felt |= {unit for counts in several for unit in counts if any(each[unit] != counts[unit] for each in several)}
    return np.array(sorted(absorbed - felt), dtype=np.int64)


def _lay(parameter: Parameter, sheet: Sheet, solution: Solution, scales: Scales) -> None:
    """Write one parameter on the sheet, under each of its names."""
    if parameter.groups > 1:
        _lay_grouped(parameter, sheet, solution, scales)
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
        import itertools

        for box in itertools.product(moved, axes[1], *rest):
            sheet.piece(name, shape, box, whole=False)


def walk(captured: Captured, structure: Structure) -> list[Parameter]:
    """Return the parameters after every operator has added to the structure what it asks."""
    values: dict[torch.fx.Node, Any] = {}
    entered: dict[tuple[str, ...], Parameter] = {}
    strange = set(captured.strange)
    live = _live(captured.nodes)
    for node in captured.nodes:
        if node not in live:
            values[node] = None
            continue
        if node.op == "placeholder":
            tensor = node.meta.get("val")
            names = captured.names.get(node.name)
            if not isinstance(tensor, torch.Tensor):
                values[node] = tensor
            elif names is None or not tensor.dim() or strange & set(names) or not tensor.is_floating_point():
                values[node] = plain(tensor.shape)
            else:
                if names not in entered:
                    entered[names] = _entering(names, node, captured, structure)
                values[node] = entered[names].root
        elif node.op == "call_function":
            args, kwargs = torch.fx.map_arg((node.args, node.kwargs), values.__getitem__)
            if operator_name(node) == "getitem":
                values[node] = args[0][args[1]]  # type: ignore[index]
            else:
                values[node] = apply_rule(Call(structure, node), args, kwargs)
        elif node.op == "output":
            for value in _outputs(torch.fx.map_arg(node.args, values.__getitem__)):
                structure.felt.extend([*value.shifts, *(ids for ids, _ in value.scores)])
                frozen(value, structure)
        else:
            values[node] = plain(node.meta["val"].shape) if "val" in node.meta else None
    return list(entered.values())


def _live(nodes: Sequence[torch.fx.Node]) -> set[torch.fx.Node]:
    """Return the nodes that an output depends on."""
    found: set[torch.fx.Node] = set()
    for node in reversed(nodes):
        if node.op == "output" or any(user in found for user in node.users):
            found.add(node)
    return found


def _outputs(tree: Any) -> Iterator[Value]:
    from .rules import values_in

    yield from values_in(tree)


def _entering(names: tuple[str, ...], node: torch.fx.Node, captured: Captured, structure: Structure) -> Parameter:
    """Return a parameter with new units and variables."""
    shape = tuple(node.meta["val"].shape)
    users = [user for leaf in captured.nodes if captured.names.get(leaf.name) == names for user in leaf.users]
    convolving = [user for user in users if operator_name(user).startswith("conv") and len(shape) > 2]
    groups = max((groups_of(user) for user in convolving), default=1)
    if groups > 1:
        return Parameter(names, shape, _grouped(shape, groups, structure), groups)
    moving = range(2) if convolving else range(len(shape))
    legs, terms = [], []
    for axis, size in enumerate(shape):
        line = tuple(size if k == axis else 1 for k in range(len(shape)))
        if axis not in moving:
            legs.append(Leg(size))
            continue
        units = structure.fresh(line)
        structure.mark(units)
        legs.append(Leg(size, units))
        terms.append(Term(structure.variables.fresh(line), frozenset({axis})))
    return Parameter(names, shape, Value((1,) * len(shape), tuple(legs), tuple(terms)), 1)


def _grouped(shape: tuple[int, ...], groups: int, structure: Structure) -> Value:
    """Return the weight of a grouped convolution: legs (groups, out, in, places), in and out within their group."""
    rank = len(shape) + 1
    rows, columns = shape[0] // groups, shape[1]
    heads = structure.fresh((groups, *(1,) * (rank - 1)))
    structure.mark(heads)
    structure.pointwise.append(heads)
    legs, terms = [Leg(groups, heads)], []
    for leg, size in ((1, rows), (2, columns)):
        line = (groups, *(size if k == leg else 1 for k in range(1, rank)))
        units = structure.fresh(line)
        structure.mark(units)
        structure.relate(units, heads)
        legs.append(Leg(size, units))
        terms.append(Term(structure.variables.fresh(line), frozenset({0, leg})))
    legs += [Leg(size) for size in shape[2:]]
    return Value((2, *(1,) * (len(shape) - 1)), tuple(legs), tuple(terms))
