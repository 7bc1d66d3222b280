"""Applying a group element against the floor: one bare ``index_select`` of every tensor into preallocated memory.

``apply`` checks its input, allocates its output and reorders most matrices along both axes. The floors neither check
nor allocate, and reorder each tensor once: ``rows`` along its first axis (a copy of whole rows, the least that any
reordering can cost) and ``columns`` along its last (an element at a time, as reordering a layer's inputs must).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample

NETWORKS = {"784-512-512-512-10": (784, 512, 512, 512, 10), "100 million parameters": (4096,) * 7}


def _medians(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that a slow minute of the machine meets them all."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _measure(widths: tuple[int, ...], rounds: int) -> dict[str, float]:
    # A process that has run for a while reuses freed memory; a fresh one meets page faults that dwarf the copies.
    # Freeing one large allocation puts the C library's allocator into that state.
    torch.zeros(3 << 20, dtype=torch.float64)
    params = mlp.init(widths, torch.Generator().manual_seed(0))
    spec = mlp.spec(widths, "tanh").only()
    element = sample(spec, np.random.default_rng(0))
    kept = {name: torch.empty_like(tensor) for name, tensor in params.items()}
    orders = {size: torch.randperm(size, generator=torch.Generator().manual_seed(size)) for size in set(widths)}

    def floor(axis: int) -> None:
        for name, tensor in params.items():
            torch.index_select(tensor, axis, orders[tensor.shape[axis]], out=kept[name])

    calls = {"rows": lambda: floor(0), "columns": lambda: floor(-1), "apply": lambda: apply(params, spec, element)}
    return _medians(calls, rounds)


def main(*, smoke: bool = False) -> None:
    """Print the median times and the ratios of ``apply`` to the two floors."""
    print(f"{'network':24} {'apply':>10} {'rows':>10} {'columns':>10} {'apply/rows':>11} {'apply/columns':>14}")
    for name, widths in NETWORKS.items():
        if smoke:
            widths = tuple(max(width // 8, 2) for width in widths)
        found = _measure(widths, 3 if smoke else 9 if sum(widths) > 10_000 else 200)
        cells = [f"{found[key] * 1e3:7.3f} ms" for key in ("apply", "rows", "columns")]
        ratios = f"{found['apply'] / found['rows']:11.2f} {found['apply'] / found['columns']:14.2f}"
        print(f"{name:24} {' '.join(cells)} {ratios}")


if __name__ == "__main__":
    main()
