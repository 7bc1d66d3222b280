"""Networks trained apart on digits: the loss barrier on the line between them, before and after alignment.

Two networks 64-w-w-10 with different seeds learn one half of scikit-learn's digits. The barrier is the most by which
the loss on the other half, on the line from g·a to b, lies above the straight line between the losses at its ends
(nats, mean cross entropy). All methods start from the same networks, and none sees the half on which barriers are
measured. ``align`` may use the whole group of the activation (flips for tanh, scales for ReLU).

* ``weights alone``: align as it is. Below plain weight matching on most pairs, not on all: which of two local optima
  has the lower barrier, weights do not say.
* ``with a score``: four starts and plain weight matching, judged by the barrier on the half that was learned.
* ``permutations``: align by permutations alone, by weights alone.
* ``activations``: hidden units matched by their outputs on the half that was learned.
* ``plain`` and the other peers: weight matching of weights alone.

For every method: median and mean over the pairs, and on how many of them it is at most plain weight matching's. Of
weights alone and a score the last lines also say by how much it was above plain's at most, and on how many pairs it is
at most plain's on the half that was learned: with a score on all, by construction, and that says nothing certain of
other data.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits

from benchmarks._peers import absences, peers
from benchmarks._planted import ACTIVATIONS, Architecture, Params, perceptron
from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply
from fnequiv.equivalence.alignment import align, align_activations
from fnequiv.optimization import connectivity
from fnequiv.symmetry.blocks import Kind

PAIRS = 10
POINTS = 25
STEPS = 300
STARTS = 4
Data = tuple[torch.Tensor, torch.Tensor]


def digits() -> tuple[Data, Data]:
    """Return scikit-learn's digits in two halves, inputs in [0, 1]: one to learn, one to measure."""
    data = load_digits()
    inputs, labels = torch.from_numpy(data.data / 16).float(), torch.from_numpy(data.target)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    first, second = order[::2], order[1::2]
    return (inputs[first], labels[first]), (inputs[second], labels[second])


def train(widths: tuple[int, ...], activation: str, seed: int, data: Data, steps: int) -> Params:
    """Return parameters after ``steps`` of Adam (learning rate 3e-3) on the whole half."""
    params = {name: t.requires_grad_() for name, t in mlp.init(widths, torch.Generator().manual_seed(seed)).items()}
    optimizer = torch.optim.Adam(params.values(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(mlp.forward(params, data[0], activation), data[1]).backward()
        optimizer.step()
    return {name: tensor.detach() for name, tensor in params.items()}


def barrier(a: Mapping[str, torch.Tensor], b: Params, activation: str, data: Data) -> float:
    """Return max over t of L((1-t) a + t b) - (1-t) L(a) - t L(b), at least 0."""

    def loss(params: Params) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(mlp.forward(params, data[0], activation), data[1])

    return connectivity.barrier(a, b, loss, points=POINTS)


@torch.no_grad()
def outputs(params: Params, activation: str, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the outputs of every hidden layer by the names of the blocks: layer l of a network cut off behind it."""
    sigma = getattr(torch, activation)
    found: dict[str, torch.Tensor] = {}
    for layer, (name, _) in enumerate(pairwise(name for name in params if name.endswith("weight")), start=1):
        inputs = sigma(torch.nn.functional.linear(inputs, params[name], params[name.replace("weight", "bias")]))
        found[f"layer{layer}"] = inputs
    return found


def barriers(
    architecture: Architecture, activation: str, a: Params, b: Params, halves: tuple[Data, Data]
) -> dict[str, tuple[float, float]]:
    """Return the barriers of every method on one pair: on the half that was learned, and on the other."""
    spec = architecture.spec
    score = partial(barrier, b=b, activation=activation, data=halves[0])
    hidden = [outputs(params, activation, halves[0][0]) for params in (a, b)]
    found = {
        "weights alone": align(a, b, spec),
        "with a score": align(a, b, spec, starts=STARTS, generator=np.random.default_rng(0), score=score),
        "permutations": align(a, b, spec.only()),
        "activations": align_activations(a, b, spec.only(), *hidden),
    }
    moved: dict[str, Mapping[str, torch.Tensor]] = {"before": a}
    moved |= {name: apply(a, spec, alignment.element) for name, alignment in found.items()}
    moved |= {peer.name: peer.match(architecture, a, b) for peer in peers() if peer.match is not None}
    return {
        name: (barrier(params, b, activation, halves[0]), barrier(params, b, activation, halves[1]))
        for name, params in moved.items()
    }


def main(*, smoke: bool = False) -> None:
    """Print the barriers, a table for each activation and width."""
    halves, every = digits(), []
    kinds: tuple[Kind, ...] = ("signed", "scaled")
    for kind in kinds:
        activation = ACTIVATIONS[kind]
        for width in (8,) if smoke else (32, 128):
            widths = (64, width, width, 10)
            architecture = perceptron(widths, kind)
            learn = partial(train, widths, activation, data=halves[0], steps=10 if smoke else STEPS)
            rows = [
                barriers(architecture, activation, learn(2 * pair), learn(2 * pair + 1), halves)
                for pair in range(1 if smoke else PAIRS)
            ]
            every += rows
            print(f"{activation}, {width} wide, {len(rows)} pairs: median, mean, pairs at most plain's")
            for name in rows[0]:
                found = [row[name][1] for row in rows]
                lower = sum(row[name][1] <= row["plain"][1] for row in rows)
                print(f"  {name:22}{statistics.median(found):8.4f}{statistics.fmean(found):8.4f}{lower:4}", flush=True)
    for name in ("weights alone", "with a score"):
        learned, measured = ([row[name][half] - row["plain"][half] for row in every] for half in (0, 1))
        print(
            f"{name}: at most plain's on {sum(gap <= 0 for gap in measured)} of {len(every)} pairs and above it by up "
            f"to {max(0.0, *measured):.4f}; on the half that was learned on {sum(gap <= 0 for gap in learned)}"
        )
    if missing := absences(peers()):
        print(missing)


if __name__ == "__main__":
    main()
