"""Hand-written specifications of convolutional, residual and attention networks, each beside the network it describes.

Notation. Every function takes the arguments of its network, a plain ``torch.nn.Module`` of the same module, and returns
a :class:`~fnequiv.symmetry.SymmetrySpec` whose tensors are those of its ``state_dict()``. What a symmetry is and why it
holds is proved in the module's docstring. They are small, to be read; :mod:`fnequiv.architectures.tracing` finds the
same groups from the networks themselves.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024) and its section 4. Chapter: "The symmetry of any model".
"""

from .attention import Attention, attention, multihead
from .convolutional import CNN, cnn
from .decoder import Decoder, decoder
from .perceptron import ResidualMLP, residual_mlp
from .residual import ResNet, resnet
from .transformer import Transformer, transformer

__all__ = [
    "CNN",
    "Attention",
    "Decoder",
    "ResNet",
    "ResidualMLP",
    "Transformer",
    "attention",
    "cnn",
    "decoder",
    "multihead",
    "residual_mlp",
    "resnet",
    "transformer",
]
