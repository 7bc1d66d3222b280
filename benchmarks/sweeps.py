"""Many seeds of a digits MLP at once (``sweep``) against a Python loop over the seeds with ``torch.optim``.

Both train 64-16-10 tanh networks on one half of scikit-learn's digits from the same starts, in the same order of
examples, in float64, and have to end with the same losses to 1e-5. The loop is timed on a few of the seeds, each of
which takes the same number of steps, and scaled to all of them; it has PyTorch's own threads, as the sweep has, and
both are timed by turns, the best of several.

* ``chunks``: whether all members are the same bit by bit if they train in other chunks, as they have to be.
* ``memory``: by how much a sweep raises the peak of the process. It follows the slots, not the number of seeds.
* ``ratio``: members trained per second by the sweep, over those by the loop.
* The rows below the first show where it comes from: what a small step costs the loop is mostly calls, the same for
  any width, while the sweep pays for arithmetic; larger networks and batches therefore gain less.
"""

from __future__ import annotations

import resource
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from fnequiv.optimization.sweeps import Adam, Perceptron, Sweep, sweep

SEEDS = 256
STEPS = 280
LR = 3e-3
CHUNK = 256


def digits(width: int, dtype: torch.dtype = torch.float64) -> Perceptron:
    """Return the task: one half of scikit-learn's digits, inputs in [0, 1], one hidden layer."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))[::2]
    inputs, targets = torch.from_numpy(data.data / 16).to(dtype)[order], torch.from_numpy(data.target)[order]
    return Perceptron((64, width, 10), inputs, targets)


def looped(task: Perceptron, seed: int, steps: int, batch: int) -> float:
    """Train one member as anybody would, with ``torch.optim``, and return its loss on all examples."""
    generator = torch.Generator().manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(64, task.widths[1]), torch.nn.Tanh(), torch.nn.Linear(task.widths[1], 10))
    net.to(task.inputs.dtype).load_state_dict(task.init(generator))
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    epoch = len(task.inputs) // batch
    for step in range(steps):
        if step % epoch == 0:
            order = torch.randperm(len(task.inputs), generator=generator)
        chosen = order[step % epoch * batch :][:batch]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(task.inputs[chosen]), task.targets[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(net(task.inputs), task.targets))


def swept(task: Perceptron, seeds: int, steps: int, batch: int, chunk: int = CHUNK, slots: int | None = None) -> Sweep:
    """Train all members in chunks."""
    return sweep(task, seeds, optimiser=Adam(LR), steps=steps, batch=batch, chunk=chunk, slots=slots, keep="losses")


def measure(task: Perceptron, seeds: int, steps: int, batch: int, *, rounds: int, sample: int) -> str:
    """Return a line: seconds a member of both, their ratio, and by how much the losses differ."""
    loop, batched = [], []
    for turn in range(rounds):
        for seed in range(turn * sample, (turn + 1) * sample):
            start = time.perf_counter()
            looped(task, seed, steps, batch)
            loop.append(time.perf_counter() - start)
        start = time.perf_counter()
        found = swept(task, seeds, steps, batch)
        batched.append((time.perf_counter() - start) / seeds)
    gap = max(abs(looped(task, seed, steps, batch) - found.loss[seed]) for seed in range(sample))
    if not gap <= (1e-5 if task.inputs.dtype == torch.float64 else 1e-2):
        raise ValueError(f"the losses of loop and sweep differ by {gap:.1e}: they do not train the same networks")
    ratio = min(loop) / min(batched)
    return f"{min(loop) * 1e3:10.1f}{min(batched) * 1e3:10.2f}{ratio:9.1f}{gap:12.1e}"


def peak() -> float:
    """Return the peak memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory(task: Perceptron, seeds: int, few: int) -> str:
    """Return a line: by how much each of three sweeps raises the peak, the largest last."""
    found = []
    for number, slots in ((few, few), (seeds, few), (seeds, seeds)):
        before = peak()
        swept(task, number, 2, 16, slots=slots)
        found.append(f"{peak() - before:+.0f} MB for {number} seeds in {slots} slots")
    return "memory, one after the other: " + "; ".join(found)


def chunks(task: Perceptron, seeds: int, steps: int) -> str:
    """Return a line: what other chunks, or other slots, change in the losses of members."""
    whole, found = swept(task, seeds, steps, 16, seeds).loss, []
    for size in (1, 3, seeds // 2):
        equal = int((swept(task, seeds, steps, 16, size).loss == whole).sum())
        if equal < seeds:
            raise ValueError(f"{seeds - equal} of {seeds} members differ where {size} train in a chunk")
        found.append(f"{equal} of {seeds} equal with {size} a chunk")
    gap = np.abs(swept(task, seeds, steps, 16, slots=7).loss - whole)
    found.append(f"{(gap == 0).sum()}, gap {gap.max():.1e}, with 7 slots")
    return f"chunks, {str(task.inputs.dtype)[6:]}, against {seeds} a chunk: " + "; ".join(found)


def main(*, smoke: bool = False) -> None:
    """Print the memory, then the ratio by width, batch and dtype."""
    seeds, steps, rounds, sample = (8, 28, 1, 2) if smoke else (SEEDS, STEPS, 3, 4)
    task = digits(16)
    looped(task, 0, 2, 16)
    swept(task, 2, 2, 16, slots=2)
    print(memory(digits(256), seeds, seeds // 8))
    for dtype in (torch.float64, torch.float32):
        print(chunks(digits(33, dtype), 8 if smoke else 16, steps))
    print(
        f"{seeds} seeds, {steps} steps of Adam, {min(CHUNK, seeds)} a chunk, {torch.get_num_threads()} threads; "
        f"the loop on {rounds * sample} seeds, scaled"
    )
    print(
        f"{'width':>7}{'batch':>7}{'dtype':>9}{'loop ms':>10}{'sweep ms':>10}{'ratio':>9}{'gap of loss':>12}   a member"
    )
    sizes = [(16, 16)] if smoke else [(16, 16), (8, 16), (32, 16), (64, 16), (16, 64)]
    for dtype in (torch.float64, torch.float32):
        for width, batch in sizes[: None if dtype == torch.float64 else 3]:
            line = measure(digits(width, dtype), seeds, steps, batch, rounds=rounds, sample=sample)
            print(f"{width:7}{batch:7}{str(dtype)[6:]:>9}{line}", flush=True)


if __name__ == "__main__":
    main()
