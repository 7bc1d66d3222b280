"""Networks with a planted symmetry: b = g·a for a random g, as specifications, parameters and PyTorch modules.

The multilayer perceptrons have PyTorch's own initialisation. The residual ones, x ↦ H h_n with h_0 = E x and
h_i = h_{i-1} + B_i σ(A_i h_{i-1}), have no bias and standard normal weights: most of what weight matching sees of a
unit of the stream are its entries beside units inside the blocks, in an order not yet known. There it gets stuck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, sample
from fnequiv.symmetry import Axis, Block, SymmetrySpec
from fnequiv.symmetry.blocks import Kind

Params = dict[str, torch.Tensor]
ACTIVATIONS: dict[Kind, str] = {"permutation": "gelu", "signed": "tanh", "scaled": "relu"}
SPREAD = 4.0  # scales are drawn between 1/4 and 4


class Residual(torch.nn.Module):
    """A stack of residual blocks without biases between a linear embedding and a linear head."""

    def __init__(self, blocks: int, stream: int, inner: int, activation: str) -> None:
        super().__init__()
        pairs = [(inner, stream), (stream, inner)]
        self.embed = torch.nn.Linear(16, stream, bias=False)
        self.a, self.b = (
            torch.nn.ModuleList(torch.nn.Linear(fan_in, fan_out, bias=False) for _ in range(blocks))
            for fan_out, fan_in in pairs
        )
        self.head = torch.nn.Linear(stream, 4, bias=False)
        self.activation: Callable[[torch.Tensor], torch.Tensor] = getattr(torch.nn.functional, activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate the network, inputs [n, 16] to outputs [n, 4]."""
        h = self.embed(x)
        for a, b in zip(self.a, self.b, strict=True):
            h = h + b(self.activation(a(h)))
        return self.head(h)


@dataclass(frozen=True)
class Architecture:
    """How to make a network of one shape: the group's specification, random parameters, a module, an input of it."""

    name: str
    spec: SymmetrySpec
    draw: Callable[[int], Params]
    module: Callable[[], torch.nn.Module]
    inputs: int


@dataclass(frozen=True)
class Pair:
    """A network a, the element g that was planted, and b = g·a."""

    architecture: Architecture
    a: Params
    b: Params
    element: GroupElement

    def permuted(self) -> Params:
        """Return a under the permutation of g alone, without its signs and scales."""
        order = GroupElement({name: Move(move.permutation) for name, move in self.element.moves.items()})
        return apply(self.a, self.architecture.spec, order)


def perceptron(widths: tuple[int, ...], kind: Kind) -> Architecture:
    """Return the multilayer perceptron of these widths, whose hidden units have symmetries of this kind."""
    activation = ACTIVATIONS[kind]
    spec = mlp.spec(widths, activation)

    def module() -> torch.nn.Module:
        layers: list[torch.nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [torch.nn.Linear(fan_in, fan_out), _Pointwise(activation)]
        return torch.nn.Sequential(*layers[:-1])

    hidden = widths[1:-1]
    name = (
        f"MLP {hidden[0]} wide, {len(hidden)} deep"
        if len(set(widths[:-1])) == 1
        else "MLP " + "-".join(map(str, widths))
    )
    return Architecture(
        name,
        spec,
        lambda seed: mlp.init(widths, torch.Generator().manual_seed(seed)),
        module,
        widths[0],
    )


class _Pointwise(torch.nn.Module):
    def __init__(self, activation: str) -> None:
        super().__init__()
        self.function: Callable[[torch.Tensor], torch.Tensor] = getattr(torch.nn.functional, activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def residual(blocks: int, stream: int, inner: int, kind: Kind) -> Architecture:
    """Return a residual network: the stream's units permute, those inside the blocks have symmetries of this kind."""
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (stream, 16), "head.weight": (4, stream)}
    on_stream = [Axis("embed.weight", 0, "in"), Axis("head.weight", 1, "out")]
    found = []
    for i in range(blocks):
        way_in, way_out = f"a.{i}.weight", f"b.{i}.weight"
        shapes |= {way_in: (inner, stream), way_out: (stream, inner)}
        on_stream += [Axis(way_in, 1, "out"), Axis(way_out, 0, "in")]
        found.append(Block(f"inner{i}", inner, kind, (Axis(way_in, 0, "in"), Axis(way_out, 1, "out"))))
    spec = SymmetrySpec((Block("stream", stream, "permutation", tuple(on_stream)), *found), shapes)

    def draw(seed: int) -> Params:
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}

    name = f"residual {blocks} x {stream}/{inner}"
    return Architecture(name, spec, draw, lambda: Residual(blocks, stream, inner, ACTIVATIONS[kind]), 16)


def plant(architecture: Architecture, seed: int) -> Pair:
    """Draw a network and hide it behind a random element of its group."""
    a, spec = architecture.draw(seed), architecture.spec
    g = sample(spec, np.random.default_rng(seed), spread=SPREAD if spec.continuous_dimension() else 1.0)
    return Pair(architecture, a, apply(a, spec, g), g)
