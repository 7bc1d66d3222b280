"""Architectures that people use, from plain ``torch.nn``: the layers and the tensors' shapes of the originals.

Each is a dataclass of sizes with a method ``build``. The same wiring in small sizes is a *twin*. ``CATALOGUE`` lists
the networks that people use, with their published number of parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from .convolutional import VGG, DenseNet, MobileNetV2, ResNet
from .transformers import BERT, GPT2, Llama, ViT

__all__ = ["BERT", "CATALOGUE", "GPT2", "VGG", "DenseNet", "Entry", "Llama", "MobileNetV2", "ResNet", "ViT", "built"]


class Config(Protocol):
    """Sizes of an architecture."""

    def build(self) -> torch.nn.Module:
        """Return the network, with PyTorch's own initialisation."""

    def inputs(self, batch: int = 2) -> torch.Tensor:
        """Return an example input for it."""


@dataclass(frozen=True)
class Entry:
    """A network that people use, its published number of parameters, and a small twin of it."""

    name: str
    config: Config
    parameters: int
    twin: Config


CATALOGUE = (
    Entry("ResNet-18", ResNet((2, 2, 2, 2)), 11_689_512, ResNet((2, 1), (4, 6), image=32, classes=5)),
    Entry(
        "ResNet-50",
        ResNet((3, 4, 6, 3), bottleneck=True),
        25_557_032,
        ResNet((2, 1), (4, 6), bottleneck=True, image=32, classes=5),
    ),
    Entry(
        "ResNeXt-50 32x4d",
        ResNet((3, 4, 6, 3), bottleneck=True, groups=32, base_width=4),
        25_028_904,
        ResNet((2, 1), (4, 8), bottleneck=True, groups=2, base_width=32, image=32, classes=5),
    ),
    Entry("VGG-16", VGG(), 138_357_544, VGG(((4, 4), (6,)), hidden=8, image=28, classes=5)),
    Entry(
        "MobileNetV2",
        MobileNetV2(),
        3_504_872,
        MobileNetV2(4, ((1, 3, 1, 1), (2, 4, 2, 2), (2, 5, 1, 1)), last=8, image=16, classes=5),
    ),
    Entry("DenseNet-121", DenseNet(), 7_978_856, DenseNet((2, 2), growth=3, stem=4, image=32, classes=5)),
    Entry("ViT-B/16", ViT(), 86_567_656, ViT(2, 12, 2, 20, patch=4, image=8, classes=5)),
    Entry("GPT-2 small", GPT2(), 124_439_808, GPT2(2, 12, 2, vocabulary=17, positions=8, tokens=5)),
    Entry("BERT-base", BERT(), 109_482_240, BERT(2, 12, 2, 20, vocabulary=17, positions=8, tokens=5)),
    Entry("Llama-like 1.1B", Llama(), 1_100_048_384, Llama(2, 16, 4, 2, 20, vocabulary=17, tokens=5)),
)


def built(config: Config, *, seed: int | None = None, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """Return the network in evaluation mode: on the meta device, or with every tensor random if there is a seed.

    The scales and shifts of norms, their statistics and all biases are drawn too: with the values of an initialisation,
    all 0 or 1, a wrong symmetry of these would go unnoticed.
    """
    if seed is None:
        with torch.device("meta"):
            return config.build().eval().to(dtype)
    with torch.random.fork_rng(devices=[]):
        module = config.build().eval().to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if not tensor.is_floating_point():
                tensor.zero_()
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif tensor.ndim < 2:  # the scales of norms around 1; biases and means
                tensor.normal_(float(name.endswith("weight")), 0.3, generator=generator)
            else:
                tensor.normal_(0.0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
    return module
