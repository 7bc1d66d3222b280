"""The symmetry of networks that people use: the order of the group, its share of a log bound, the time to find it.

Each network is traced by :func:`fnequiv.architectures.tracing.symmetry_of` on the meta device, where tensors have no
entries, and its group compared with one counted by hand from the sizes alone (``benchmarks/_orders.py``): another log
order, other scales or other mixing dimensions fail the benchmark. Random elements of the group are applied and outputs
compared in float64 (``with check``) on the network itself where it has at most 150 million parameters, and always on a
small twin with the same wiring, whose group is counted by hand as well.

``share`` is the log order as a share of S · 16 · log 2, S the number of parameters: the log number of networks on a
grid of 2^16 values a parameter, hence the log bound that covering with this grid gives, or their code length. The group
takes at most its log order away from that; exactly that much from networks that no element fixes. ``scales`` and
``mixing`` are the redundant dimensions that the specification holds, ``turns`` those it does not: rotations of a stream
whose units only norms and linear layers tell apart. ``dims`` is the share of the three in S. Other redundancy is in
none of them: bases of MobileNetV2's linear streams, trades between two shifts that are added, or between a BatchNorm's
statistics and its affine parameters.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from benchmarks._models import CATALOGUE, Config, Entry, built
from benchmarks._orders import rotations, tally
from fnequiv.architectures.tracing import symmetry_of
from fnequiv.symmetry import SymmetrySpec

RESOLUTION = 16 * math.log(2)  # nats a parameter
LARGEST = 150_000_000  # parameters of a network whose function is checked: in float64, and twice


@dataclass(frozen=True)
class Row:
    """What was found for one network; ``checked`` is None if only its twin's function was compared."""

    entry: Entry
    spec: SymmetrySpec
    seconds: float
    checked: float | None


def traced(config: Config, *, seed: int | None = None) -> tuple[SymmetrySpec, float]:
    """Trace a network, on the meta device or with random entries and a check; compare with the count by hand.

    Raises
    ------
    ValueError
        If the group is another than the one counted by hand.
    """
    dtype = torch.float32 if seed is None else torch.float64
    module, inputs = built(config, seed=seed, dtype=dtype), config.inputs(batch=1)
    inputs = inputs.to("meta" if seed is None else "cpu", dtype if inputs.is_floating_point() else inputs.dtype)
    start = time.perf_counter()
    spec = symmetry_of(module, (inputs,), check=seed is not None)
    seconds = time.perf_counter() - start
    wanted = tally(config)
    scales = sum(block.size for block in spec.blocks if block.scales)
    found = (spec.log_order(), scales, spec.continuous_dimension() - scales)
    if not math.isclose(found[0], wanted.log_order(), rel_tol=1e-12) or found[1:] != (wanted.rescaled, wanted.mixing):
        raise ValueError(
            f"{config}: traced log order {found[0]!r}, {found[1]} scales, {found[2]} mixing; by hand "
            f"{wanted.log_order()!r}, {wanted.rescaled}, {wanted.mixing}\n{spec.table()}"
        )
    return spec, seconds


def row(entry: Entry) -> Row:
    """Trace a network and its twin."""
    traced(entry.twin, seed=0)
    spec, seconds = min((traced(entry.config) for _ in range(3)), key=lambda pair: pair[1])
    checked = traced(entry.config, seed=0)[1] if entry.parameters <= LARGEST else None
    return Row(entry, spec, seconds, checked)


def line(found: Row) -> str:
    """Return a line of the table."""
    entry, spec = found.entry, found.spec
    nats, scales = spec.log_order(), sum(block.size for block in spec.blocks if block.scales)
    mixing, turns = spec.continuous_dimension() - scales, rotations(entry.config)
    share, dims = nats / (entry.parameters * RESOLUTION), (scales + mixing + turns) / entry.parameters
    checked = "twin only" if found.checked is None else f"{found.checked:7.1f} s"
    return (
        f"{entry.name:17} {entry.parameters:13,} {nats:12,.0f} {nats / math.log(2):12,.0f} {scales:8,} {mixing:10,} "
        f"{turns:10,} {share:8.4%} {dims:8.3%} {found.seconds:8.2f} s {checked:>10}"
    )


def main(*, smoke: bool = False) -> None:
    """Print the table and what was left unmoved."""
    if smoke:
        for entry in CATALOGUE:
            spec, seconds = traced(entry.twin, seed=0)
            print(
                f"twin of {entry.name:17} log order {spec.log_order():9.3f} nats, traced and checked in {seconds:.2f} s"
            )
        return
    print(
        f"{'network':17} {'parameters':>13} {'nats':>12} {'bits':>12} {'scales':>8} {'mixing':>10} {'turns':>10} "
        f"{'share':>8} {'dims':>8} {'trace':>10} {'with check':>10}"
    )
    for entry in CATALOGUE:
        found = row(entry)
        print(line(found), flush=True)
        for note in found.spec.notes:
            print(f"    {note}")


if __name__ == "__main__":
    main()
