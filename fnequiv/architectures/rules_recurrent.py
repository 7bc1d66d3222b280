"""Rules of recurrent layers: one step, whose state is what it was.

Notation. A layer's state h (and c) has units that the step h' = step(x, h) takes to themselves: new units stand for the
state, one step is written down with the rules of its operators, and its result is equated with the state. Gates are
segments of the first axis of ``weight_ih`` and ``weight_hh``. The state starts at 0, which asks for nothing.

Theorem: Proposition 1 of Shen (2024), through time. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .algebra import added, frozen, multiplied, summed
from .rules import Call, operator_name, rule
from .rules_elementwise import passed
from .rules_joining import join, stacked
from .rules_linear import affine
from .rules_shaping import gathered
from .structure import Structure, Term
from .values import Leg, Value, with_axes

State = list[Value]


def parts(value: Value, count: int, structure: Structure) -> list[Value]:
    """Return the segments of the last axis."""
    size = value.shape[-1] // count
    axis = len(value.groups) - 1
    return [gathered(value, axis, np.arange(k * size, (k + 1) * size), structure) for k in range(count)]


def lstm_step(call: Call, x: Value, h: Value, state: State) -> State:
    """i, f, g, o: c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'); ``x`` and ``h`` are what each adds to the gates."""
    i, f, g, o = parts(added([x, h], call.structure), 4, call.structure)
    i, f, o = (passed(call, gate, parity=None, degree=None) for gate in (i, f, o))
    g = passed(call, g, parity="odd", degree=None)
    one, two = multiplied([f, state[1]], call.structure), multiplied([i, g], call.structure)
    c = added([one, two], call.structure)
    return [multiplied([o, passed(call, c, parity="odd", degree=None)], call.structure), c]


def gru_step(call: Call, x: Value, h: Value, state: State) -> State:
    """r, z, n: n = tanh(x_n + σ(r) h_n), h' = (1 - σ(z)) n + σ(z) h."""
    xs, hs = (parts(each, 3, call.structure) for each in (x, h))
    r, z = (
        passed(call, added([a, b], call.structure), parity=None, degree=None)
        for a, b in zip(xs[:2], hs[:2], strict=True)
    )
    n = added([xs[2], multiplied([r, hs[2]], call.structure)], call.structure)
    n = passed(call, n, parity="odd", degree=None)
    new, old = multiplied([z, n], call.structure), multiplied([z, state[0]], call.structure)
    return [added([new, old], call.structure)]


def tanh_step(call: Call, x: Value, h: Value, state: State) -> State:
    """H' = tanh(x + h)."""
    return [passed(call, added([x, h], call.structure), parity="odd", degree=None)]


def relu_step(call: Call, x: Value, h: Value, state: State) -> State:
    """H' = relu(x + h)."""
    return [passed(call, added([x, h], call.structure), parity=None, degree=1)]


STEPS: dict[str, tuple[Callable[[Call, Value, Value, State], State], int]] = {
    "lstm": (lstm_step, 2), "gru": (gru_step, 1), "rnn_tanh": (tanh_step, 1), "rnn_relu": (relu_step, 1),
}  # fmt: skip


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(call: Call, value: Value, hidden: Any, weights: Sequence[Value], biases: bool, layers: int,
              dropout: float, train: bool, both: bool, *args: Any) -> Any:  # fmt: skip
    """A stack of recurrent layers, in one direction or both."""
    step, states = STEPS[operator_name(call.node)]
    structure = call.structure
    start = call.node.args[1]
    starts = list(start) if isinstance(start, (tuple, list)) else [start]
    given = [each for node, each in zip(starts, hidden if isinstance(hidden, (tuple, list)) else [hidden], strict=True)
             if operator_name(node) not in ("zeros", "new_zeros")]  # type: ignore[arg-type]  # fmt: skip
    count = (4 if biases else 2) + (states == 2 and len(weights) % (5 * layers * (1 + both)) == 0 and biases)
    value = frozen(value, structure, range(len(value.groups) - 1))
    last: list[State] = []
    for layer in range(layers):
        found = []
        for direction in range(1 + both):
            at = (layer * (1 + both) + direction) * count
            state = _settled(call, step, states, value, weights[at : at + count], biases)
            if given:
                state = [added([one, _start(two, len(last) + direction, one, call)], structure)
                         for one, two in zip(state, given, strict=True)]  # fmt: skip
            found.append(state)
        last += found
        tops = [state[0] for state in found]
        value = tops[0] if len(tops) == 1 else join(tops, len(tops[0].groups) - 1, structure)
    ends = [_ends([state[k] for state in last], call, structure) for k in range(states)]
    return (value, *ends)


def _settled(call: Call, step: Callable[[Call, Value, Value, State], State], states: int, value: Value,
             weights: Sequence[Value], biases: bool) -> State:  # fmt: skip
    """Return the state of a layer after one step, which is what it was before."""
    structure = call.structure
    axis = len(value.groups) - 1
    before = []
    for k in range(states):
        size = weights[1].shape[1] if k == 0 else weights[1].shape[0] // 4  # a projected state is smaller than the cell
        line = (*(1,) * axis, size)
        legs = [*(Leg(n, None, True) for n in value.shape[:-1]), Leg(size, structure.fresh(line))]
        term = Term(structure.variables.fresh(line), frozenset({axis}))
        before.append(Value((1,) * len(line), tuple(legs), (term,)))
    x = affine(value, weights[0], weights[2] if biases else None, structure)
    h = affine(before[0], weights[1], weights[3] if biases else None, structure)
    after = step(call, x, h, before)
    if len(weights) == 5 or (not biases and len(weights) == 3):
        after[0] = affine(after[0], weights[-1], None, structure)
    return [added([one, two], structure) for one, two in zip(after, before, strict=True)]


def _start(value: Value, k: int, state: Value, call: Call) -> Value:
    """Return the state that layer k starts with, one of those given, on the axes of a state."""
    axis = gathered(value, 0, np.array([k]), call.structure) if value.shape[0] > 1 else value
    row = summed(frozen(axis, call.structure, range(len(axis.groups) - 1)), range(len(axis.groups) - 1), call.structure)
    return replace(row, groups=(*[0] * (len(state.groups) - 1), *row.groups))


def _ends(states: Sequence[Value], call: Call, structure: Structure) -> Value:
    """Return the last states of all layers and directions, [layers, batch, units]."""
    flat = []
    for state in states:
        rank = len(state.groups)
        row = summed(state, range(rank - 1), structure)
        flat.append(row)
    if any(each.shape != flat[0].shape for each in flat):
        for each in flat:
            frozen(each, structure)
        return call.result()[1]
    batch = call.node.meta["val"][1].shape[1:-1]
    out = stacked([replace(each, groups=(0, *each.groups)) for each in flat], 0, structure)
    kept: list[int | None] = [0, *[None] * len(batch), *range(1, len(out.legs))]
    sizes = [out.legs[0].size, *batch, *(leg.size for leg in out.legs[1:])]
    whole = with_axes(out, kept, sizes)
    legs = tuple(Leg(leg.size) if k is None else leg for k, leg in zip(kept, whole.legs, strict=True))
    return replace(whole, legs=legs, groups=(1, *[1] * len(batch), out.groups[-1]))


@rule("gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(call: Call, value: Value, hidden: Any, ih: Value, hh: Value, bih: Value | None = None,
         bhh: Value | None = None) -> Any:  # fmt: skip
    """One step of a recurrent layer."""
    step, states = STEPS[operator_name(call.node).removesuffix("_cell")]
    before = list(hidden) if states == 2 else [hidden]
    x = affine(value, ih, bih, call.structure)
    h = affine(before[0], hh, bhh, call.structure)
    after = step(call, x, h, before)
    return tuple(after) if states == 2 else after[0]
