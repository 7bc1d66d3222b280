"""What a specimen of the zoo is: a tiny model, and what is known of it.

Every specimen has a builder, example inputs and the order of its permutation group, derived by hand: the number of
ways to permute entries of its tensors, each tensor within itself, that change the function of no weights. Sizes differ
wherever they can (2, 3, 4, 5), so that no tie is accidental. Weights, biases, slopes, affine parameters and
statistics are drawn at random in float64.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

import torch

__all__ = ["House", "Specimen", "f", "floats", "tokens"]

f = factorial


def floats(*shape):
    """Inputs of normal numbers."""
    return lambda generator: torch.randn(shape, generator=generator, dtype=torch.float64)


def tokens(vocabulary, *shape):
    """Inputs of token ids, among them every id."""

    def draw(generator):
        count = torch.Size(shape).numel()
        assert count >= vocabulary
        ids = torch.cat(
            [torch.arange(vocabulary), torch.randint(vocabulary, (count - vocabulary,), generator=generator)]
        )
        return ids[torch.randperm(count, generator=generator)].view(shape)

    return draw


@dataclass(frozen=True)
class Specimen:
    """One model: what it is, and what tracing is expected to make of it.

    ``order`` is the order of its permutation group by hand. ``expected`` is ``"exact"`` (tracing finds all of it),
    ``"partly"`` (a part, for the ``reason`` given) or ``"refused"`` (with a message that matches ``reason``).
    """

    name: str
    build: Callable[[], torch.nn.Module]
    inputs: tuple[Callable[[torch.Generator], torch.Tensor], ...]
    order: int
    expected: str = "exact"
    reason: str = ""

    def example(self, seed=0):
        """The model in float64 and eval mode, every floating number drawn at random, and its inputs."""
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):  # building a module draws from the global generator
            model = self.build().double().eval()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.normal_(0.0, 0.7, generator=generator)
                if "running_var" in name:
                    tensor.abs_().add_(0.3)
        return model, tuple(draw(generator) for draw in self.inputs)


class House:
    """The specimens of one file, in order."""

    def __init__(self):
        self.specimens = []

    def add(self, order, *inputs, expected="exact", reason=""):
        """Decorate a function or class that builds a model; its name is the specimen's."""

        def register(build):
            name = re.sub(r"_|(?<!^)(?=[A-Z])", " ", build.__name__).lower()
            self.specimens.append(Specimen(name, build, inputs, order, expected, reason))
            return build

        return register
