"""Continuous dimensions of hand-written specifications against the rank of the Jacobian of θ ↦ f(·; θ).

A direction of the group is in the kernel at every θ, so parameters less rank is never below the group's dimension. At
almost all θ the rank is largest; it is smaller where a unit is dead. So the least of several draws is compared.
"""

import pytest
import torch
from families import FAMILIES, randomised
from torch.func import jacrev, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

# What the docstrings name beyond units, and how much of it there is.
BEYOND = {
    "cnn": 2 * 7,  # v against gamma and mu against beta, for each channel that a BatchNorm sees
    "cnn, plain": 0,
    "cnn, odd, average": 0,
    "cnn, odd, maximum": 0,
    "cnn, even, maximum": 0,
    "cnn, square": 2 * 7,
    "cnn, gelu": 2 * 7,
    "cnn, depthwise": 2 * 7,
    "cnn, depthwise, silu": 2 * 7,
    "cnn, depthwise, plain": 0,
    "resnet": 2 * 27 + 4,  # and the two beta that a projection adds up
    "resnet, bottlenecks": 2 * 54 + 16,
    "resnet, grouped": 2 * 62 + 24,
    "residual perceptron": 0,
    "residual perceptron, no biases": 0,
    "residual perceptron, used twice": 0,
    # A LayerNorm's bias; rows that read a norm; columns (and biases) that write to one; turns of the stream; exchanges.
    "transformer": 3 * 4 + (12 + 3 + 3) + (2 + 1 + 3 + 5 + 4) + 3 + 3,
    # d_v = n exceeds what a norm lets through: u wᵀ of GL(n) is a sum of rows that read and columns that write.
    "transformer, one head": 3 * 4 + (12 + 3 + 3) + (2 + 1 + 3 + 5 + 4) + 3 + 3 - 1,
    "transformer, no biases": (12 + 3 + 3) + (2 + 3 + 4 + 3) + 3,
    "transformer, causal": 5 * 4 + (2 * (12 + 3) + 3) + (2 + 1 + 3 + 2 * (5 + 4)) + 3 + 3,
    "transformer, vocabulary": 3 * 4 + (12 + 3 + 3) + (5 + 3 + 5 + 4) + 3 + 3,
    "transformer, tied": 2 * 4 + (12 + 3) + (3 + 5 + 4),
    "transformer, norm last": 4 * 4 + (3 + 12 + 3 + 3) + 2 * (5 + 4) + 4 + 2 * 4,
    "transformer, norm last, one block": 2 * 4 + (3 + 3) + (5 + 4) + 4 + 2 * 4 + 1,
    "transformer, norm last, no biases": (3 + 12 + 3 + 3) + 2 * (4 + 3) + 4,
    "transformer, norm last, tied": 3 * 4 + (3 + 12 + 3) + 2 * (5 + 4) + 4,
    "wide attention": -(5 - 3) * (5 - 3 - 1),  # the G that keep 5 x 4 queries and 5 x 3 keys
    "decoder": 6,  # turns of the stream
    "decoder, no positions": 6,
    "decoder, multi-query": 15,
    "decoder, tied": 0,
    **{name: 0 for name in FAMILIES if name.startswith(("attention", "grouped", "multi-query", "rotary"))},
}


def plain_batch_norm(x, mean, var, weight, bias, training, momentum, eps):
    """PyTorch's has no derivative with respect to its statistics."""
    if training:
        return torch.batch_norm(x, weight, bias, mean, var, training, momentum, eps, False)
    mean, var, weight, bias = (tensor[:, None, None] for tensor in (mean, var, weight, bias))
    return (x - mean) / torch.sqrt(var + eps) * weight + bias


@pytest.fixture(autouse=True)
def differentiable(monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "batch_norm", plain_batch_norm)


def lively(network, x, seed):
    """Parameters of which few units are dead: rows with mean nearly zero, and the statistics of the inputs."""
    params = randomised(network, seed)
    for tensor in params.values():
        if tensor.ndim > 1 and tensor[0].numel() > 1:
            tensor -= 0.9 * tensor.flatten(1).mean(1).view(-1, *[1] * (tensor.ndim - 1))
    network.load_state_dict(params)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with torch.no_grad():
        network(x)
    network.eval()
    return network.state_dict()


def redundant(family, seed):
    """Number of parameters and float buffers, less the rank of the Jacobian on many inputs."""
    network = family.network()
    size = sum(tensor.numel() for tensor in network.state_dict().values())
    count = 3 * size // network(family.inputs(0))[0].numel() + 1
    x = family.inputs(seed, count)
    params = lively(network, x, seed)
    thetas = {name: tensor for name, tensor in params.items() if tensor.is_floating_point()}

    def outputs(thetas, one):
        return family.evaluate(network, params | thetas, one[None])[0]

    with sdpa_kernel(SDPBackend.MATH):  # the others have no rule for vmap
        jacobian = vmap(jacrev(outputs), (None, 0))(thetas, x)
    matrix = torch.cat([jacobian[name].reshape(-1, tensor.numel()) for name, tensor in thetas.items()], 1)
    lengths = matrix.norm(dim=0)
    values = torch.linalg.svdvals(matrix / lengths.clamp(min=1e-6 * lengths.max()))
    rank = int((values > 1e-9 * values[0]).sum())
    assert rank == len(values) or values[rank] < 1e-4 * values[rank - 1]  # a clear gap
    return matrix.shape[1] - rank


@pytest.mark.parametrize("name", BEYOND)
def test_the_jacobian_has_the_redundancy_that_the_specification_counts(name):
    family = FAMILIES[name]
    expected, found = family.spec().continuous_dimension() + BEYOND[name], []
    for seed in range(12, 24):
        found.append(redundant(family, seed))
        if found[-1] <= expected:
            break
    assert min(found) == expected, found
