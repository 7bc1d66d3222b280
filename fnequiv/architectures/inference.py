"""From a graph of operators to a specification.

Notation. A parameter enters with a new unit for every place of its axes, and a variable for each; the rules
(:mod:`fnequiv.architectures.rules`) write down what operators ask; what the network reads and returns is frozen.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024). Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from ..symmetry import Block, Cell, SymmetrySpec
from .algebra import frozen
from .blocking import blocks
from .capture import Captured, tensors_of
from .entering import Parameter, enter
from .factors import Factors
from .hearing import Mask, hearing
from .laying import lay
from .reading import UnreadableError
from .rules import Call, apply_rule, constant, operator_name, values_in
from .scaling import Scales
from .solving import Solution, solve
from .structure import Ids, Structure
from .turning import turned
from .values import plain
from .writing import Sheet

_NAMED = 12  # tensors that a note names at most


def infer(captured: Captured, shapes: Mapping[str, tuple[int, ...]]) -> SymmetrySpec:
    """Return the specification of a captured network with these tensors."""
    structure = Structure()
    heard = hearing(captured.nodes)
    parameters = walk(captured, structure, heard)
    for name in captured.strange:
        structure.notes.append(f"{name} shares its memory with a tensor of another shape, and is left unmoved")
    for leaf, entries in captured.constants.items():
        if leaf in captured.names and entries.is_complex():
            structure.notes.append(f"{captured.names[leaf][0]} has complex entries, and is left unmoved")
    if unread := _unread(captured, heard):
        structure.notes.append(f"tensors that no output depends on are left unmoved: {_listed(unread)}")
    masks = _masks(captured, heard)
    while True:
        solution = solve(structure)
        scales = Scales(structure.variables)
        try:
            found, cells, more = _write(parameters, solution, scales, structure, masks)
        except UnreadableError as error:
            units = np.flatnonzero(np.isin(solution.family, error.families))
            structure.complaints.append(("units whose places along an axis follow no order are left unmoved", units))
            structure.mark(units, 0)
            continue
        notes = [*structure.notes, *more, *(_named(each, parameters) for each in structure.complaints)]
        return SymmetrySpec(found, dict(shapes), cells, tuple(dict.fromkeys(notes)))


def _write(
    parameters: list[Parameter], solution: Solution, scales: Scales, structure: Structure,
    masks: Mapping[str, torch.Tensor],
) -> tuple[tuple[Block, ...], tuple[Cell, ...], list[str]]:  # fmt: skip
    """Return blocks, cells and notes; variables that no block can say are given up first."""
    pointwise = (
        set(np.unique(np.concatenate([solution.family[u.ravel()] for u in structure.pointwise])).tolist())
        if structure.pointwise
        else set()
    )
    turns = set(scales.scale[np.concatenate(structure.turning)].tolist()) - {-1} if structure.turning else set()
    while True:
        lost = len(scales.lost)
        sheet = Sheet(solution, masks)
        for parameter in parameters:
            lay(parameter, sheet, solution, scales)
        sheet.give_up_idle()
        if len(scales.lost) == lost:
            break
    notes = [_held(scales.lost)] if scales.lost else []
    if unheard := sheet.dropped():
        notes.append(f"units that no output hears are left unmoved: {_listed(unheard)}")
    factors = Factors(sheet.slots)
    if factors.held:
        notes.append(f"scales or signs that no block can say are held at 1: {_listed(factors.held)}")
    found = blocks(sheet, factors, pointwise, _free_shifts(structure), turns)
    return found, tuple(dict.fromkeys(sheet.cells)), notes


def _masks(captured: Captured, heard: Mapping[torch.fx.Node, Mask]) -> dict[str, torch.Tensor]:
    """Return the entries that are heard of each tensor of which not all are."""
    masks: dict[str, Mask] = {}
    for node in captured.nodes:
        for name in captured.names.get(node.name, ()) if node in heard else ():
            before, mask = masks.get(name, False), heard[node]
            masks[name] = True if before is True or mask is True else mask | before
    return {name: mask for name, mask in masks.items() if mask is not True}


def _unread(captured: Captured, heard: Collection[torch.fx.Node]) -> list[str]:
    """Return names of tensors that no output depends on: without use, or reached past the module that holds them."""
    read = {name for node in captured.nodes if node in heard for name in captured.names.get(node.name, ())}
    own = tensors_of(captured.model)
    return [name for name, each in own.items() if each.dim() and each.is_floating_point() and name not in read]


def _listed(names: Iterable[str]) -> str:
    """Return some names, and dots for more."""
    names = list(names)
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _held(lost: set[int]) -> str:
    """Return a note on variables that no block can say."""
    scales, signs = sum(1 for root in lost if root >= 0), sum(1 for root in lost if root < 0)
    return f"free scales ({scales}) and signs ({signs}) of units that keep their places are held at 1"


def _named(complaint: tuple[str, Ids], parameters: list[Parameter]) -> str:
    """Return a note with the tensors that it is about."""
    text, units = complaint
    names = []
    for parameter in parameters:
        own = [leg.units for leg in parameter.root.legs if leg.units is not None]
        if any(np.isin(ids, units).any() for ids in own):
            names.append(parameter.names[0])
    return f"{text}: {', '.join(names) or 'of no tensor'}"


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


def walk(captured: Captured, structure: Structure, live: Collection[torch.fx.Node]) -> list[Parameter]:
    """Return the parameters after every operator that an output depends on has added what it asks."""
    values: dict[torch.fx.Node, Any] = {}
    entered: dict[tuple[str, ...], Parameter] = {}
    strange = set(captured.strange)
    turning = turned(captured.nodes)
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
                content = captured.constants.get(node.name)
                values[node] = plain(tensor.shape) if content is None else constant(content, structure)
            else:
                if names not in entered:
                    entered[names] = enter(names, node, captured, structure)
                values[node] = entered[names].root
        elif node.op == "call_function":
            args, kwargs = torch.fx.map_arg((node.args, node.kwargs), values.__getitem__)
            if operator_name(node) == "getitem":
                values[node] = args[0][args[1]]  # type: ignore[index]
            else:
                values[node] = apply_rule(Call(structure, node), args, kwargs)
            if node in turning:
                structure.turning += [
                    term.ids.ravel() for term in structure.variables.expanded(list(values[node].terms))
                ]
        elif node.op == "output":
            for value in values_in(torch.fx.map_arg(node.args, values.__getitem__)):
                structure.felt.extend([*value.shifts, *(ids for ids, _ in value.scores)])
                frozen(value, structure)
        else:
            values[node] = plain(node.meta["val"].shape) if "val" in node.meta else None
    return list(entered.values())
