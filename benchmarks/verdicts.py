"""Never wrong: the three answers on 10,000 random pairs whose truth is known by construction or by an invariant.

Rows are what was done to a copy of a network, disguised by a random element of its group: nothing more ("equivalent"),
with scales too (powers of 2, which round nothing, or any scales at a tolerance), one weight changed by one bit, or two
neurons swapped in one tensor alone. Columns are shares of the answers. ``known`` counts pairs of which the truth is
known (``benchmarks/_truth.py``): a pair that was changed may by chance still be equivalent. ``wrong`` counts answers
against the truth, and witnesses that do not take one network to the other.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks._truth import Array, arrays, differ, is_witness
from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, sample
from fnequiv.equivalence.checking import Verdict, compare
from fnequiv.symmetry import Axis, Block, SymmetrySpec

PAIRS = 10_000
Params = dict[str, torch.Tensor]
ACTIVATIONS = ("gelu", "tanh", "relu", "identity", "abs", "square")
CHANGES = ("equivalent", "scaled", "scaled, rounded", "one bit", "swapped")
TEXTURES = ("random", "ties", "duplicates", "dead", "zero layer", "all equal", "circulant", "strongly regular")
ROUNDED = 1e-9  # the tolerance in float64 for scales that round


@dataclass(frozen=True)
class Case:
    """A pair of networks and what is true of it: True (equivalent), False or None (not known)."""

    a: Params
    b: Params
    spec: SymmetrySpec
    tolerance: float
    truth: bool | None


def draw(texture: str, change: str, rng: np.random.Generator) -> Case:
    """Draw one pair."""
    if texture == "strongly regular":
        return _graphs(change, rng)
    activation = str(rng.choice(ACTIVATIONS if "scaled" not in change else ACTIVATIONS[2:]))
    widths = tuple(int(width) for width in rng.integers(1, 6, size=rng.integers(3, 6)))
    spec = mlp.spec(widths, activation)
    a = {name: _texture(tensor, texture, rng) for name, tensor in _drawn(spec, rng).items()}
    if texture in ("duplicates", "dead"):
        _pattern(a, spec, texture, rng)
    disguised = apply(a, spec, _element(spec, change, rng))
    b, moved = _changed(disguised, change, rng)
    tolerance = ROUNDED if change == "scaled, rounded" else 0.0
    truth: bool | None = not moved or None
    degree = max([block.degree for block in spec.blocks], default=1)
    if moved and differ(arrays(a), arrays(b), degree, scaled=bool(spec.continuous_dimension()), tolerance=tolerance):
        truth = False
    return Case(a, b, spec, tolerance, truth)


def _drawn(spec: SymmetrySpec, rng: np.random.Generator) -> Params:
    return {name: torch.from_numpy(rng.uniform(-1, 1, size=shape)) for name, shape in spec.shapes.items()}


def _texture(tensor: torch.Tensor, texture: str, rng: np.random.Generator) -> torch.Tensor:
    if texture == "ties":
        return torch.from_numpy(rng.integers(-1, 2, size=tuple(tensor.shape)).astype(np.float64))
    if texture == "all equal":
        return torch.full_like(tensor, 0.5)
    if texture == "zero layer" and rng.random() < 0.4:
        return torch.zeros_like(tensor)
    if texture == "circulant" and tensor.ndim == 2:
        rows, columns = tensor.shape
        return tensor[0, torch.from_numpy((np.arange(columns) - np.arange(rows)[:, None]) % columns)]
    return torch.full_like(tensor, 0.25) if texture == "circulant" else tensor


def _pattern(a: Params, spec: SymmetrySpec, texture: str, rng: np.random.Generator) -> None:
    """Make unit 1 of a hidden layer a duplicate of unit 0, in full or on one side alone, or silence it."""
    block = spec.blocks[rng.integers(len(spec.blocks))]
    sides = [("in", "out"), ("in",), ("out",)][rng.integers(3)]
    for axis in (axis for axis in block.axes if axis.role in sides and block.size > 1):
        units = a[axis.tensor].movedim(axis.axis, 0)
        units[1] = units[0].clone() if texture == "duplicates" else 0.0


def _element(spec: SymmetrySpec, change: str, rng: np.random.Generator) -> GroupElement:
    if change == "scaled, rounded":
        return sample(spec, rng, spread=4.0)
    element = sample(spec, rng, spread=1.0)
    if change != "scaled":
        return element
    moves = {}
    for block in spec.blocks:
        scales = 2.0 ** rng.integers(-3, 4, size=block.size) if block.scales else None
        moves[block.name] = Move(element[block.name].permutation, element[block.name].signs, scales)
    return GroupElement(moves)


def _changed(disguised: Params, change: str, rng: np.random.Generator) -> tuple[Params, bool]:
    """Return the copy with its change, and whether there was one."""
    b = {name: tensor.clone() for name, tensor in disguised.items()}
    name = str(rng.choice(sorted(b)))
    if change == "one bit":
        words = b[name].view(torch.int64).reshape(-1)
        words[rng.integers(len(words))] ^= 1 << int(rng.integers(52))  # of the mantissa: finite, and of another size
    elif change == "swapped":
        name = str(rng.choice([name for name in sorted(b) if b[name].ndim == 2]))
        axis = int(rng.integers(2))
        order = np.arange(b[name].shape[axis])
        if len(order) > 1:
            i, j = rng.choice(len(order), size=2, replace=False)
            order[[i, j]] = order[[j, i]]
        b[name] = b[name].index_select(axis, torch.from_numpy(order))
    return b, any(not torch.equal(b[name], disguised[name]) for name in b)


def rook() -> Array:
    """Return the adjacency of the 4 x 4 rook's graph, strongly regular with parameters (16, 6, 2, 2)."""
    row, column = np.divmod(np.arange(16), 4)
    return ((row[:, None] == row) != (column[:, None] == column)).astype(np.float64)


def shrikhande() -> Array:
    """Return the adjacency of the Shrikhande graph: the same parameters, yet no 4 vertices that all are neighbours."""
    x, y = np.divmod(np.arange(16), 4)
    steps = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
    pairs = ((x[:, None] - x) % 4, (y[:, None] - y) % 4)
    return np.vectorize(lambda i, j: float((i, j) in steps))(*pairs)


def _graphs(change: str, rng: np.random.Generator) -> Case:
    """Return 16 units that feed each other along a strongly regular graph, and it or the other one relabelled."""
    block = Block("units", 16, "permutation", (Axis("w", 0, "in"), Axis("w", 1, "out")))
    spec = SymmetrySpec((block,), {"w": (16, 16)})
    pair = [rook(), shrikhande()]
    if rng.random() < 0.5:
        pair.reverse()
    a = {"w": torch.from_numpy(pair[0])}
    if change in ("equivalent", "scaled", "scaled, rounded"):
        return Case(a, apply(a, spec, sample(spec, rng)), spec, 0.0, True)
    if change == "swapped":  # the other graph: every entry of the tensor is there again
        return Case(a, apply({"w": torch.from_numpy(pair[1])}, spec, sample(spec, rng)), spec, 0.0, False)
    b = apply(a, spec, sample(spec, rng))
    b["w"][tuple(rng.integers(16, size=2))] += 2.0**-52 * (1 + int(rng.integers(7)))
    return Case(a, b, spec, 0.0, False)


def wrong(case: Case, verdict: Verdict) -> bool:
    """Whether the answer contradicts the truth, or a witness does not do what it says."""
    if verdict.answer == "undecided":
        return False
    if case.truth is not None and verdict.equivalent != case.truth:
        return True
    if verdict.answer == "not equivalent":
        return False
    assert verdict.witness is not None
    moves = {name: (move.permutation.astype(np.float64), move.factors) for name, move in verdict.witness.moves.items()}
    return not is_witness(arrays(case.a), arrays(case.b), case.spec, moves, case.tolerance)


def run(pairs: int, seed: int = 0) -> dict[tuple[str, str], Counter[str]]:
    """Return for every change and texture how often each answer was given, the truth known, and the answer wrong."""
    rng = np.random.default_rng(seed)
    found = {(change, texture): Counter[str]() for change in CHANGES for texture in TEXTURES}
    for number in range(pairs):
        key = list(found)[number % len(found)]
        case = draw(key[1], key[0], rng)
        verdict = compare(case.a, case.b, case.spec, tolerance=case.tolerance)
        counts = {verdict.answer: 1, "pairs": 1, "known": case.truth is not None, "wrong": wrong(case, verdict)}
        found[key].update({name: int(count) for name, count in counts.items()})
    return found


def main(*, smoke: bool = False) -> None:
    """Print shares by kind, and how many answers were wrong."""
    answers = ("equivalent", "not equivalent", "undecided")
    start = time.perf_counter()
    found = run(80 if smoke else PAIRS)
    seconds = time.perf_counter() - start
    total: Counter[str] = Counter()
    print(f"{'change':18}{'texture':18}" + "".join(f"{name:>16}" for name in (*answers, "pairs", "known", "wrong")))
    for (change, texture), counts in found.items():
        total.update(counts)
        shares = "".join(f"{counts[answer] / max(1, counts['pairs']):15.1%} " for answer in answers)
        print(
            f"{change:18}{texture:18}{shares}" + "".join(f"{counts[name]:16d}" for name in ("pairs", "known", "wrong"))
        )
    shares = ", ".join(f"{answer} {total[answer] / total['pairs']:.1%}" for answer in answers)
    print(f"{total['pairs']} pairs in {seconds:.0f} s: {shares}; {total['known']} known, {total['wrong']} wrong")


if __name__ == "__main__":
    main()
