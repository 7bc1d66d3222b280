"""A symmetry planted in ResNet-18 found again: 11.7 million parameters, BatchNorm's statistics and scales random.

b = g·a is made as in the benchmark ``recovery``, which says what counts as recovered. Four groups: ``channels``, the
permutations alone, written as the peers need it; ``nested``, the same group as
:func:`fnequiv.architectures.specs.resnet` writes it, where γ has two axes; ``signs``, with the flips that a BatchNorm
hides; ``full``, with all scales, between 1/4 and 4. The peers get the permutations in each. Every cell is a number of
recovered networks of so many, and the median time of one. With permutations the methods take turns; beyond, where the
peers recover nothing and take long, they get three networks. ``ratio`` is the time of ``compare`` to that of
git-re-basin's weight matching of ``channels``, or of our own where that is absent.
"""

from __future__ import annotations

import math
from functools import partial

import torch

from benchmarks._peers import Match, absences, peers
from benchmarks._planted import Architecture, Params
from benchmarks.recovery import Method, by_compare, by_peer, recover
from fnequiv.architectures.specs import resnet
from fnequiv.symmetry import Axis, Block, SymmetrySpec

SEEDS, FEW = 20, 3
PEERS = ("plain", "git-re-basin-pytorch")


def permutations(spec: SymmetrySpec) -> SymmetrySpec:
    """Return the permutations of a network with BatchNorms: blocks that move together are one, vectors stay uncut."""
    root: dict[str, str] = {}
    for block in spec.blocks:
        if block.groups > 1 and block.groups != block.size:
            raise ValueError(f"block {block.name!r} has runs of several units: a flat permutation cannot say it")
        root[block.name] = root[block.within] if block.within else block.name
    vectors = {cell.name: cell.tensor for cell in spec.cells if len(spec.shapes[cell.tensor]) == 1}
    axes: dict[str, dict[tuple[str, int], Axis]] = {}
    for block in spec.blocks:
        for axis in block.axes:
            place = (vectors[axis.tensor], 0) if axis.tensor in vectors else (axis.tensor, axis.axis)
            axes.setdefault(root[block.name], {})[place] = Axis(*place, "carry", axis.repeat)
    blocks = [
        Block(block.name, block.size, "permutation", tuple(axes[block.name].values()))
        for block in spec.blocks
        if root[block.name] == block.name
    ]
    return SymmetrySpec(tuple(blocks), spec.shapes)


def drawn(spec: SymmetrySpec, seed: int) -> Params:
    """Draw every tensor of a network with BatchNorms: variances from 1/2 to 2, weights as He et al. (2015) do."""
    generator, params = torch.Generator().manual_seed(seed), {}
    for name, shape in spec.shapes.items():
        if name.endswith("num_batches_tracked"):
            params[name] = torch.zeros(shape, dtype=torch.long)
        elif name.endswith("running_var"):
            params[name] = torch.rand(shape, generator=generator) * 1.5 + 0.5
        else:
            spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.3
            params[name] = torch.randn(shape, generator=generator) * spread
    return params


def architectures(*, smoke: bool = False) -> dict[str, Architecture]:
    """Return ResNet-18, or a small one, with each of the four groups."""
    spec = resnet((4, 6), (2, 1), 3, 5) if smoke else resnet((64, 128, 256, 512), (2, 2, 2, 2), 3, 1000, large=True)
    groups = {"channels": permutations(spec), "nested": spec.only(), "signs": spec.only(signs=True), "full": spec}

    def module() -> torch.nn.Module:
        raise NotImplementedError("the methods of this benchmark read tensors alone")

    return {name: Architecture(name, group, partial(drawn, group), module, 0) for name, group in groups.items()}


def matchings(flat: Architecture) -> dict[str, Method]:
    """Return the peers by their names; they see the permutations of ``flat``."""

    def of_flat(match: Match) -> Method:
        return by_peer(lambda _, a, b: match(flat, a, b))

    return {peer.name: of_flat(peer.match) for peer in peers() if peer.match is not None and peer.name in PEERS}


def main(*, smoke: bool = False) -> None:
    """Print the table."""
    seeds, found = 2 if smoke else SEEDS, architectures(smoke=smoke)
    ours, theirs = {"compare": by_compare}, matchings(found["channels"])
    print(f"recovered, median time; {sum(math.prod(shape) for shape in found['full'].spec.shapes.values()):,} numbers")
    pace = math.nan
    for name, architecture in found.items():
        few = seeds if name == "channels" else min(seeds, FEW)
        row = recover(architecture, few, ours | theirs)
        pace = row[list(theirs)[-1]][1] if name == "channels" else pace
        runs = dict.fromkeys(row, few)
        if few < seeds:
            row |= recover(architecture, seeds, ours)
            runs["compare"] = seeds
        cells = (f"{method} {row[method][0]:3d} of {runs[method]:2d} {row[method][1] * 1e3:9.1f} ms" for method in row)
        print(f"{name:9}" + "   ".join(cells) + f"   ratio {row['compare'][1] / pace:.3f}", flush=True)
    if missing := absences(tuple(peer for peer in peers() if peer.name in PEERS)):
        print(missing)


if __name__ == "__main__":
    main()
