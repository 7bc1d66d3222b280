"""Models of random wiring: layers, sums, products, concatenations, slices, norms and shared weights in any order."""

import torch
from torch import nn
from torch.nn import functional

KINDS = ("linear",) * 3 + ("activation",) * 3 + ("sum", "gate", "join", "cut", "norm", "again", "back")
ACTIVATIONS = torch.tanh, functional.relu, functional.gelu, torch.abs, functional.softplus, functional.leaky_relu
NORMS = nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm, nn.PReLU
WIDTHS = 2, 3, 4


class RandomWiring(nn.Module):
    """Six to nine steps, each on what the input or one of the last three steps gave; a layer reads two of them."""

    def __init__(self, rng, inputs=2):
        super().__init__()
        self.layers, self.steps, self.widths = nn.ModuleList(), [], [inputs]
        while len(self.steps) < rng.integers(6, 10):
            at = int(rng.integers(max(0, len(self.widths) - 3), len(self.widths)))
            if step := self.draw(rng, str(rng.choice(KINDS)), at):
                self.steps.append(step[:-1])
                self.widths.append(step[-1])
        self.read = sorted({len(self.steps), int(rng.integers(1, len(self.widths)))})
        self.head = nn.Linear(sum(self.widths[at] for at in self.read), 2)

    def draw(self, rng, kind, at):
        """A step (its kind, the value it starts from, what else it needs, the width it gives), or None."""
        width = self.widths[at]
        if kind == "linear":
            self.layers.append(nn.Linear(width, int(rng.choice(WIDTHS)), bias=bool(rng.random() < 0.7)))
            return "layer", at, len(self.layers) - 1, self.layers[-1].out_features
        if kind == "activation":
            return kind, at, int(rng.integers(len(ACTIVATIONS))), width
        if kind == "cut":
            return (kind, at, int(rng.integers(2)), 2) if width > 2 else None
        if kind == "norm":
            self.layers.append(NORMS[rng.integers(len(NORMS))](width))
            return "layer", at, len(self.layers) - 1, width
        if kind == "join":
            others = [other for other, size in enumerate(self.widths) if size + width < 9 and other != at]
            other = int(rng.choice(others)) if others else None
            return (kind, at, other, width + self.widths[other]) if others else None
        if kind in ("sum", "gate"):
            others = [other for other, size in enumerate(self.widths) if size == width and other != at]
            return (kind, at, int(rng.choice(others)), width) if others else None
        linear = [(i, layer) for i, layer in enumerate(self.layers) if isinstance(layer, nn.Linear)]
        if kind == "again":
            fits = [i for i, layer in linear if layer.in_features == width]
            i = int(rng.choice(fits)) if fits else None
            return ("layer", at, i, self.layers[i].out_features) if fits else None
        fits = [i for i, layer in linear if layer.out_features == width]
        i = int(rng.choice(fits)) if fits else None
        return (kind, at, i, self.layers[i].in_features) if fits else None

    def forward(self, x):
        values = [x]
        for kind, at, other in self.steps:
            x = values[at]
            if kind == "layer":
                values.append(self.layers[other](x))
            elif kind == "activation":
                values.append(ACTIVATIONS[other](x))
            elif kind == "cut":
                values.append(x[:, other : other + 2])
            elif kind == "join":
                values.append(torch.cat([x, values[other]], dim=-1))
            elif kind == "sum":
                values.append(x + values[other])
            elif kind == "gate":
                values.append(x * torch.sigmoid(values[other]))
            else:
                values.append(x @ self.layers[other].weight)
        return self.head(torch.cat([values[at] for at in self.read], dim=-1))
