"""The time of a decision: against weight matching, against the least copying that it needs, and over sizes.

The first table is one decision of 784-512-512-512-10, the calls taking turns so that a slow minute meets all of them.
``gather`` is the floor of the benchmark ``apply``: one bare ``index_select`` of every tensor, by columns or by rows,
into preallocated memory. ``differ`` is the same network with one weight changed by one bit.

The second table goes up to 100 million parameters, six square layers, each size in processes of its own, one for the
time and one for memory. ``peak`` is the most memory held during the decision over that of one network: 2 for both
networks, and what the process grows by while it decides. What does not grow with the network is left out, for it is
several times the smallest of them, 0.4 MB: PyTorch itself, pages of libraries that a decision about networks 32 wide
reads for the first time, and freed memory that the C library keeps for later, a quarter of a megabyte or so unless it
is told, as here, to give it back at once. The exponent is fitted to the sizes from a million on: 1 is linear.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.figure
import numpy as np
import torch

from benchmarks._peers import absences, peers
from benchmarks._planted import Params, perceptron, plant
from fnequiv.equivalence.alignment import align
from fnequiv.equivalence.checking import compare
from fnequiv.symmetry.blocks import Kind

ROOT = Path(__file__).parents[1]
PLOT = ROOT / "_build" / "benchmarks" / "deciding.svg"
TOLERANCE = 1e-5
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
CASES: dict[str, Kind] = {"permutation": "permutation", "signed": "signed", "scaled": "scaled", "differ": "permutation"}


def medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call over rounds in which they take turns, one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gather(params: Params, axis: int) -> Callable[[], None]:
    """Return the floor: reorder every tensor once along ``axis``, into memory that is there already."""
    kept = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    sizes = {tensor.shape[axis] for tensor in params.values()}
    orders = {size: torch.randperm(size, generator=torch.Generator().manual_seed(size)) for size in sizes}

    def run() -> None:
        for name, tensor in params.items():
            torch.index_select(tensor, axis, orders[tensor.shape[axis]], out=kept[name])

    return run


def decisions(widths: tuple[int, ...], case: str, seed: int = 0) -> tuple[Params, Callable[[], str]]:
    """Return a network and the decision about it and a copy: reordered, flipped, rescaled, or a bit off."""
    architecture = perceptron(widths, CASES[case])
    pair = plant(architecture, seed)
    if case == "differ":
        weight = pair.b["2.weight"]
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(torch.inf))
    tolerance = TOLERANCE if case == "scaled" else 0
    a, b, spec = pair.a, pair.b, architecture.spec  # and no third network is held
    return a, lambda: compare(a, b, spec, tolerance=tolerance).answer


def against_peers(widths: tuple[int, ...], rounds: int) -> None:
    """Print the times of one architecture, ours and the peers', and their ratios to the exact decision."""
    architecture = perceptron(widths, "permutation")
    pair = plant(architecture, 0)
    calls: dict[str, Callable[[], object]] = {f"compare, {case}": decisions(widths, case)[1] for case in CASES}
    calls |= {"gather, columns": gather(pair.a, -1), "gather, rows": gather(pair.a, 0)}
    calls["align"] = lambda: align(pair.a, pair.b, architecture.spec)
    for peer in peers():
        if peer.match is not None:
            calls[peer.name] = partial(peer.match, architecture, pair.a, pair.b)
    found = medians(calls, rounds)
    ours = found["compare, permutation"]
    print(f"{architecture.name:26} {'median':>12} {'over the exact decision':>26}")
    for name, seconds in found.items():
        print(f"{name:26} {seconds * 1e3:9.2f} ms {seconds / ours:26.3f}")
    by_columns, by_rows = ours / found["gather, columns"], ours / found["gather, rows"]
    print(f"the exact decision is {by_columns:.1f} x the gather by columns, {by_rows:.1f} x the one by rows")


def held(key: str) -> int:
    """Return a line of /proc/self/status (VmRSS: memory now, VmHWM: most so far), in bytes; 0 where there is none."""
    try:
        found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except FileNotFoundError:
        return 0
    return int(found[1]) * 1024 if found else 0


def settle() -> None:
    """Give back memory that was freed, from now on at once, and forget the peak so far (Linux with glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        for option, size in ((_TRIM_THRESHOLD, 0), (_MMAP_THRESHOLD, 1 << 14)):
            library.mallopt(option, size)
        library.malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def measure(width: int, case: str, rounds: int) -> dict[str, float]:
    """Return parameters, seconds, and seconds of the gather, in this process."""
    a, decide = decisions((width,) * 7, case)
    answer = decide()
    assert answer == ("not equivalent" if case == "differ" else "equivalent"), answer
    found = medians({"decide": decide, "gather": gather(a, 0)}, rounds)
    count = sum(tensor.numel() for tensor in a.values())
    return {"parameters": count, "seconds": found["decide"], "gather": found["gather"]}


def measure_memory(width: int, case: str) -> dict[str, float]:
    """Return peak memory over one network's, in this process; NaN where the system does not say."""
    settle()
    _, decide = decisions((32,) * 7, case)
    decide()  # what the first call loads and keeps is no part of a decision
    a, decide = decisions((width,) * 7, case)
    settle()
    before = held("VmRSS")
    decide()
    grown = held("VmHWM") - before if before else math.nan
    return {"peak": 2 + grown / sum(tensor.nbytes for tensor in a.values())}


def apart(call: str) -> dict[str, float]:
    """Return what a function of this module returns in a fresh process."""
    code = f"import json; from benchmarks import deciding; print(json.dumps(deciding.{call}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{call}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def growth(case: str, widths: tuple[int, ...]) -> list[dict[str, float]]:
    """Measure every width."""
    calls = [(f"measure({width}, {case!r}, 3)", f"measure_memory({width}, {case!r})") for width in widths]
    return [apart(seconds) | apart(memory) for seconds, memory in calls]


def exponent(rows: list[dict[str, float]]) -> float:
    """Return the slope of log seconds over log parameters, from a million parameters on."""
    large = [row for row in rows if row["parameters"] >= 1e6]
    if len(large) < 2:
        return math.nan
    logs = np.log([[row["parameters"], row["seconds"]] for row in large])
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def plot(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw time against size, and the gather beneath it."""
    figure = matplotlib.figure.Figure(figsize=(6, 4), facecolor="white", layout="constrained")
    axes = figure.subplots()
    for case, rows in found.items():
        axes.loglog(
            [row["parameters"] for row in rows], [row["seconds"] for row in rows], "o-", label=f"compare, {case}"
        )
    rows = next(iter(found.values()))
    axes.loglog([row["parameters"] for row in rows], [row["gather"] for row in rows], "k--", label="gather, rows")
    axes.set(xlabel="parameters", ylabel="seconds")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(*, smoke: bool = False) -> None:
    """Print the tables and write the plot."""
    against_peers((24, 16, 16, 16, 3) if smoke else (784, 512, 512, 512, 10), 2 if smoke else 15)
    if missing := absences(peers()):
        print(missing)
    widths = (16, 32) if smoke else (128, 256, 512, 1024, 2048, 4096)
    found = {}
    print(f"\n{'case':12} {'parameters':>12} {'median':>13} {'a parameter':>13} {'over gather':>12} {'peak':>8}")
    for case in ("differ",) if smoke else CASES:
        found[case] = growth(case, widths)
        for row in found[case]:
            seconds, count = row["seconds"], row["parameters"]
            print(
                f"{case:12} {count:12,.0f} {seconds * 1e3:10.1f} ms {seconds / count * 1e9:10.2f} ns "
                f"{seconds / row['gather']:12.1f} {row['peak']:7.2f} x"
            )
        print(f"{case:12} exponent {exponent(found[case]):.2f}", flush=True)
    path = PLOT.with_name("deciding-smoke.svg") if smoke else PLOT
    plot(found, path)
    print(f"plot: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
