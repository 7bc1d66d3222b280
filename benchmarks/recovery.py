"""Planted symmetries found again: ours and the peers', 20 networks of each architecture.

A network a is hidden as b = g·a, g drawn from its group. ``compare`` has recovered g if it answers "equivalent" and its
witness turns a into b, bit for bit, or with scales up to 1e-5 of the largest entry. ``align`` has if g·a is as close
(of the Euclidean length). A peer moves units and knows neither signs nor scales: it has recovered g if it found its
permutation. Each cell is a number of recovered networks, and the median time of one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks._peers import absences, peers
from benchmarks._planted import ACTIVATIONS, Architecture, Pair, perceptron, plant, residual
from fnequiv.equivalence.actions import apply
from fnequiv.equivalence.alignment import align
from fnequiv.equivalence.checking import compare
from fnequiv.symmetry.blocks import Kind

SEEDS = 20
TOLERANCE = 1e-5  # for float32 that was rescaled
Method = Callable[[Pair], Callable[[], bool]]  # runs, and returns what tells whether it found the element
RESIDUAL = ((1, 64, 64), (4, 64, 64), (8, 64, 64), (8, 256, 256))


def architectures(kind: Kind, *, smoke: bool = False) -> list[Architecture]:
    """Return the architectures of the table, tiny ones for a smoke test."""
    wide = (12, 16, 16, 3) if smoke else (784, 512, 512, 512, 10)
    blocks = ((1, 8, 8), (2, 8, 8)) if smoke else RESIDUAL
    return [perceptron(wide, kind), perceptron((4,) * 8 + (1,), kind), *(residual(*sizes, kind) for sizes in blocks)]


def methods() -> dict[str, Method]:
    """Return all methods by their names."""
    found: dict[str, Method] = {"compare": by_compare, "align": _align}
    return found | {peer.name: by_peer(peer.match) for peer in peers() if peer.match is not None}


def by_compare(pair: Pair) -> Callable[[], bool]:
    """Decide whether the networks of a pair are equivalent; the witness is applied once more, in float64."""
    spec = pair.architecture.spec
    tolerance = TOLERANCE if spec.continuous_dimension() else 0
    verdict = compare(pair.a, pair.b, spec, tolerance=tolerance)

    def found() -> bool:
        if verdict.witness is None:
            return False
        a, b = ({name: tensor.double() for name, tensor in each.items()} for each in (pair.a, pair.b))
        moved = apply(a, spec, verdict.witness)
        gaps = {name: float((moved[name] - b[name]).abs().max()) for name in b}
        return all(gap <= tolerance * float(b[name].abs().max()) for name, gap in gaps.items())

    return found


def _align(pair: Pair) -> Callable[[], bool]:
    result = align(pair.a, pair.b, pair.architecture.spec)
    length = sum(float(tensor.double().square().sum()) for tensor in pair.b.values()) ** 0.5
    return lambda: result.after <= TOLERANCE * length


def by_peer(match: Callable[..., Mapping[str, torch.Tensor]]) -> Method:
    """Return the method that matches the weights of a pair."""

    def run(pair: Pair) -> Callable[[], bool]:
        moved = match(pair.architecture, pair.a, pair.b)
        return lambda: all(torch.equal(moved[name], tensor) for name, tensor in pair.permuted().items())

    return run


def recover(architecture: Architecture, seeds: int, runs: Mapping[str, Method]) -> dict[str, tuple[int, float]]:
    """Return for every method how many of ``seeds`` planted elements it found, and its median seconds."""
    recovered = dict.fromkeys(runs, 0)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for seed in range(seeds):
        pair = plant(architecture, seed)
        for name, run in runs.items():
            start = time.perf_counter()
            check = run(pair)
            seconds[name].append(time.perf_counter() - start)
            recovered[name] += check()
    return {name: (recovered[name], statistics.median(seconds[name])) for name in runs}


def main(*, smoke: bool = False) -> None:
    """Print the table, one part for each kind of symmetry."""
    seeds = 2 if smoke else SEEDS
    runs = methods()
    names = list(runs)
    print("".join([f"recovered of {seeds}, median time".ljust(40), *(f"{name:>22}" for name in names)]))
    for kind in ACTIVATIONS:
        for architecture in architectures(kind, smoke=smoke):
            found = recover(architecture, seeds, runs)
            cells = (f"{found[name][0]:5d} {found[name][1] * 1e3:12.1f} ms " for name in names)
            print(f"{kind:12}{architecture.name:28}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    if missing := absences(peers()):
        print(missing)


if __name__ == "__main__":
    main()
