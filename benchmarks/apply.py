"""Applying a group element against the floor: one bare ``index_select`` of every tensor into preallocated memory.

``apply`` checks its input and reorders most matrices along both axes, into memory of the caller's (``into``) or into
new tensors (``new``). The floors do not check, and reorder each tensor once: ``rows`` along its first axis (a copy of
whole rows, the least that any reordering can cost) and ``columns`` along its last (an element at a time, as
reordering a layer's inputs must). What ``new`` costs beyond ``into`` is the operating system's price for fresh memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample

NETWORKS = {"784-512-512-512-10": (784, 512, 512, 512, 10), "100 million parameters": (4096,) * 7}


def _best(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least seconds of each call, which other work on the machine disturbs least; the calls take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in seconds.items()}


def _measure(widths: tuple[int, ...], rounds: int) -> dict[str, float]:
    params = mlp.init(widths, torch.Generator().manual_seed(0))
    spec = mlp.spec(widths, "tanh").only()
    element = sample(spec, np.random.default_rng(0))
    kept = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    orders = {size: torch.randperm(size, generator=torch.Generator().manual_seed(size)) for size in set(widths)}

    def floor(axis: int) -> None:
        for name, tensor in params.items():
            torch.index_select(tensor, axis, orders[tensor.shape[axis]], out=kept[name])

    calls = {
        "rows": lambda: floor(0),
        "columns": lambda: floor(-1),
        "into": lambda: apply(params, spec, element, out=kept),
        "new": lambda: apply(params, spec, element),
    }
    return _best(calls, rounds)


def main(*, smoke: bool = False) -> None:
    """Print the least times, and the ratios of ``apply`` to the two floors."""
    names = ("rows", "columns", "into", "new")
    ratios = (("into", "columns"), ("into", "rows"), ("new", "columns"), ("new", "rows"))
    print("  ".join([f"{'network':22}", *(f"{name:>10}" for name in names), *(f"{a}/{b}" for a, b in ratios)]))
    for name, widths in NETWORKS.items():
        if smoke:
            widths = tuple(max(width // 8, 2) for width in widths)
        found = _measure(widths, 3 if smoke else 15 if sum(widths) > 10_000 else 300)
        times = (f"{found[key] * 1e3:7.3f} ms" for key in names)
        quotients = (f"{found[a] / found[b]:{len(a) + len(b) + 1}.2f}" for a, b in ratios)
        print("  ".join([f"{name:22}", *times, *quotients]))


if __name__ == "__main__":
    main()
