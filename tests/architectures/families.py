"""The networks whose symmetries are written by hand, small, and how to randomise and evaluate them."""

from dataclasses import dataclass, field

import torch
from torch.func import functional_call

from fnequiv.architectures.attention import Attention, attention, multihead
from fnequiv.architectures.convolutional import CNN, cnn
from fnequiv.architectures.decoder import Decoder, decoder
from fnequiv.architectures.perceptron import ResidualMLP, residual_mlp
from fnequiv.architectures.residual import ResNet, resnet
from fnequiv.architectures.transformer import Transformer, transformer
from fnequiv.equivalence.unfolding import fold, unfold


@dataclass(frozen=True)
class Family:
    """A network and its specification, made with the same arguments, and the shape of its inputs."""

    module: type
    specify: object
    arguments: tuple
    options: dict = field(default_factory=dict)
    shape: tuple = (2, 1, 8, 8)
    vocabulary: int = 0

    def network(self):
        with torch.random.fork_rng(devices=[]):
            network = self.module(*self.arguments, **self.options).double().eval()
        for module in network.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = 0.1  # a small one hides that scales of a whole stream are no symmetry
        return network

    def spec(self):
        return self.specify(*self.arguments, **self.options)

    def inputs(self, seed, count=None):
        shape = (count or self.shape[0], *self.shape[1:])
        generator = torch.Generator().manual_seed(seed)
        if self.vocabulary:
            return torch.randint(self.vocabulary, shape, generator=generator)
        return 2 * torch.randn(shape, generator=generator, dtype=torch.float64)

    @staticmethod
    def evaluate(network, params, x):
        return functional_call(network, params, (x,))


class SelfAttention(torch.nn.MultiheadAttention):
    """PyTorch's layer, of a sequence with itself."""

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class Packed(SelfAttention):
    def __init__(self, width, heads, **options):
        super().__init__(width, heads, batch_first=True, **options)


TOKENS = (2, 4, 6)
CNN_SIZES = ((1, 3, 4), (8, 8), 3)
FAMILIES = {
    "cnn": Family(CNN, cnn, CNN_SIZES),
    "cnn, plain": Family(CNN, cnn, CNN_SIZES, {"norm": False}),
    "cnn, odd, average": Family(CNN, cnn, CNN_SIZES, {"norm": False, "activation": "tanh", "pool": "average"}),
    "cnn, odd, maximum": Family(CNN, cnn, CNN_SIZES, {"norm": False, "activation": "tanh"}),
    "cnn, even, maximum": Family(CNN, cnn, CNN_SIZES, {"norm": False, "activation": "abs"}),
    "cnn, square": Family(CNN, cnn, CNN_SIZES, {"activation": "square"}),
    "cnn, gelu": Family(CNN, cnn, CNN_SIZES, {"activation": "gelu"}),
    "cnn, depthwise": Family(CNN, cnn, CNN_SIZES, {"separable": True}),
    "cnn, depthwise, plain": Family(CNN, cnn, ((1, 3, 4), (9, 8), 3), {"separable": True, "norm": False}, (2, 1, 9, 8)),
    "cnn, depthwise, silu": Family(CNN, cnn, CNN_SIZES, {"separable": True, "activation": "silu"}),
    "resnet": Family(ResNet, resnet, ((3, 4), (2, 1), 1, 3)),
    "resnet, large": Family(ResNet, resnet, ((3, 4), (1, 1), 1, 3), {"large": True}, (2, 1, 16, 16)),
    "resnet, bottlenecks": Family(ResNet, resnet, ((2, 2), (1, 2), 1, 3), {"bottleneck": True}),
    "resnet, grouped": Family(ResNet, resnet, ((2, 4), (1, 1), 1, 3), {"bottleneck": True, "groups": 2}),
    "residual perceptron": Family(ResidualMLP, residual_mlp, (3, 3, 4, 3), {"depth": 2}, (6, 3)),
    "residual perceptron, no biases": Family(
        ResidualMLP, residual_mlp, (3, 3, 4, 3), {"depth": 2, "bias": False, "activation": "tanh"}, (6, 3)
    ),
    "residual perceptron, used twice": Family(
        ResidualMLP, residual_mlp, (2, 3, 4, 2), {"depth": 2, "shared": True, "activation": "tanh"}, (6, 2)
    ),
    "attention, PyTorch's": Family(Packed, multihead, (6, 2), {}, TOKENS),
    "attention, PyTorch's, no biases": Family(Packed, multihead, (6, 2), {"bias": False}, TOKENS),
    "attention": Family(Attention, attention, (5, 2), {"keys": 3, "values": 2}, (2, 4, 5)),
    "attention, no biases": Family(Attention, attention, (6, 3), {"bias": False}, TOKENS),
    "attention, causal": Family(Attention, attention, (6, 2), {"causal": True}, TOKENS),
    "attention, no bias out": Family(Attention, attention, (6, 2), {"out_bias": False}, TOKENS),
    "attention, only bias out": Family(Attention, attention, (6, 2), {"bias": False, "out_bias": True}, TOKENS),
    "grouped queries": Family(Attention, attention, (6, 4), {"groups": 2, "keys": 2, "values": 3}, TOKENS),
    "grouped queries, no biases": Family(Attention, attention, (6, 6), {"groups": 2, "keys": 2, "bias": False}, TOKENS),
    "multi-query": Family(Attention, attention, (6, 3), {"groups": 1}, TOKENS),
    "rotary": Family(Attention, attention, (6, 2), {"keys": 4, "rotary": True}, (2, 5, 6)),
    "rotary, no biases": Family(Attention, attention, (6, 2), {"keys": 4, "rotary": True, "bias": False}, (2, 5, 6)),
    "grouped queries, rotary": Family(
        Attention, attention, (6, 4), {"groups": 2, "keys": 4, "values": 2, "rotary": True}, (2, 5, 6)
    ),
    "grouped queries, one rotary pair": Family(
        Attention, attention, (6, 4), {"groups": 2, "keys": 2, "values": 3, "rotary": True}, (2, 5, 6)
    ),
    "multi-query, rotary": Family(
        Attention, attention, (6, 3), {"groups": 1, "keys": 4, "values": 2, "rotary": True}, (2, 5, 6)
    ),
}

SMALL = {"width": 4, "heads": 2, "hidden": 3, "length": 3}
FAMILIES |= {
    "wide attention": Family(Attention, attention, (3, 1), {"keys": 5, "values": 2}, (2, 4, 3)),
    "transformer": Family(Transformer, transformer, (2, 3), SMALL, (3, 3, 2)),
    "transformer, one head": Family(Transformer, transformer, (2, 3), SMALL | {"heads": 1}, (3, 3, 2)),
    "transformer, no biases": Family(Transformer, transformer, (2, 3), SMALL | {"bias": False}, (3, 3, 2)),
    "transformer, causal": Family(Transformer, transformer, (2, 3), SMALL | {"causal": True, "depth": 2}, (3, 3, 2)),
    "transformer, norm last": Family(
        Transformer, transformer, (2, 3), SMALL | {"norm_first": False, "depth": 2}, (3, 3, 2)
    ),
    "transformer, norm last, one block": Family(
        Transformer, transformer, (2, 3), SMALL | {"norm_first": False}, (3, 3, 2)
    ),
    "transformer, norm last, no biases": Family(
        Transformer, transformer, (2, 3), SMALL | {"norm_first": False, "bias": False, "depth": 2}, (3, 3, 2)
    ),
    "transformer, vocabulary": Family(
        Transformer, transformer, (5, 3), SMALL | {"vocabulary": True, "causal": True}, (6, 3), 5
    ),
    "transformer, tied": Family(
        Transformer, transformer, (5, 5), SMALL | {"vocabulary": True, "causal": True, "tied": True}, (6, 3), 5
    ),
    "transformer, norm last, tied": Family(
        Transformer,
        transformer,
        (5, 5),
        SMALL | {"vocabulary": True, "norm_first": False, "tied": True, "depth": 2},
        (6, 3),
        5,
    ),
}

GATED = {"width": 4, "heads": 2, "hidden": 3}
FAMILIES |= {
    "decoder": Family(Decoder, decoder, (5,), GATED, (6, 5), 5),
    "decoder, no positions": Family(Decoder, decoder, (5,), GATED | {"rotary": False, "depth": 2}, (6, 4), 5),
    "decoder, multi-query": Family(
        Decoder, decoder, (7,), GATED | {"width": 6, "heads": 3, "groups": 1, "hidden": 2}, (6, 4), 7
    ),
    "decoder, tied": Family(Decoder, decoder, (6,), GATED | {"tied": True}, (6, 4), 6),
}


def randomised(network, seed):
    """Every tensor drawn at random: norm statistics, biases and affine parameters, too."""
    generator = torch.Generator().manual_seed(seed)
    params = {}
    for name, tensor in network.state_dict().items():
        fan_in = tensor[0].numel() if tensor.ndim else 1
        values = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) / fan_in**0.5
        if name.endswith("running_var"):
            values = values.abs() + 0.3
        if name.endswith(("running_mean", "bias")):
            values = values / 4  # so that few units are dead
        params[name] = values if tensor.is_floating_point() else torch.tensor(7)
    return params


class Bench:
    """A family's network with its inputs, some parameters, and the outputs they give."""

    def __init__(self, family, draws=3):
        self.network, self.spec, self.x = family.network(), family.spec(), family.inputs(5)
        self.params = [randomised(self.network, seed) for seed in range(draws)]
        self.outputs = [self.evaluate(params) for params in self.params]

    def evaluate(self, params):
        with torch.no_grad():
            return Family.evaluate(self.network, params, self.x)

    def drift(self, draw, moved):
        """The largest difference that ``moved`` makes to the outputs of one draw, relative to the largest output."""
        before = self.outputs[draw]
        return float((before - self.evaluate(moved)).abs().max() / before.abs().max())

    def sees(self, piece):
        """Whether the function depends on a piece of the parameters at all."""

        def changed(params):
            pieces = unfold(params, self.spec)
            noise = torch.randn(pieces[piece].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
            pieces[piece] = pieces[piece] + noise
            out = {name: pieces.get(name, tensor.clone()) for name, tensor in params.items()}
            fold(pieces, self.spec, out)
            return out

        return not self.keeps(changed)

    def keeps(self, move):
        """Whether a map of parameters keeps the function of all draws; differences in between fail."""
        for draw, params in enumerate(self.params):
            drift = self.drift(draw, move(params))
            if not drift <= 1e-8:  # or not a number, where a variance became negative
                return False
            assert drift <= 1e-10
        return True
