"""The networks whose symmetries are written by hand, small, and how to randomise and evaluate them."""

from dataclasses import dataclass, field

import torch
from torch.func import functional_call

from fnequiv.architectures.convolutional import CNN, cnn
from fnequiv.architectures.residual import ResNet, resnet


@dataclass(frozen=True)
class Family:
    """A network and its specification, made with the same arguments, and the shape of its inputs."""

    module: type
    specify: object
    arguments: tuple
    options: dict = field(default_factory=dict)
    shape: tuple = (2, 1, 8, 8)

    def network(self):
        with torch.random.fork_rng(devices=[]):
            return self.module(*self.arguments, **self.options).double().eval()

    def spec(self):
        return self.specify(*self.arguments, **self.options)

    def inputs(self, seed, shape=None):
        return torch.randn(shape or self.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
    "resnet": Family(ResNet, resnet, ((3, 4), (2, 1), 1, 3)),
    "resnet, large": Family(ResNet, resnet, ((3, 4), (1, 1), 1, 3), {"large": True}, (2, 1, 16, 16)),
    "resnet, bottlenecks": Family(ResNet, resnet, ((2, 2), (1, 2), 1, 3), {"bottleneck": True}),
    "resnet, grouped": Family(ResNet, resnet, ((2, 4), (1, 1), 1, 3), {"bottleneck": True, "groups": 2}),
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

    def __init__(self, family, draws=4):
        self.network, self.spec, self.x = family.network(), family.spec(), family.inputs(5)
        self.params = [randomised(self.network, seed) for seed in range(draws)]
        self.outputs = [self.evaluate(params) for params in self.params]

    def evaluate(self, params):
        with torch.no_grad():
            return functional_call(self.network, params, (self.x,))

    def drift(self, draw, moved):
        """The largest difference that ``moved`` makes to the outputs of one draw, relative to the largest output."""
        before = self.outputs[draw]
        return float((before - self.evaluate(moved)).abs().max() / before.abs().max())

    def keeps(self, move):
        """Whether a map of parameters keeps the function of all draws; differences in between fail."""
        for draw, params in enumerate(self.params):
            drift = self.drift(draw, move(params))
            if drift > 1e-8:
                return False
            assert drift <= 1e-10
        return True
