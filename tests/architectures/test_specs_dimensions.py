"""Continuous dimensions of hand-written specifications against the rank of the Jacobian of θ ↦ f(·; θ)."""

import pytest
import torch
from families import FAMILIES, randomised
from torch.func import functional_call, jacrev, vmap

# What the docstrings name beyond units: dimensions that trade one tensor against another.
BEYOND = {}


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
    """Parameters of which few units are dead: filters with mean zero, and the statistics of the inputs."""
    params = randomised(network, seed)
    for tensor in params.values():
        if tensor.ndim > 1 and tensor[0].numel() > 1:
            tensor -= tensor.flatten(1).mean(1).view(-1, *[1] * (tensor.ndim - 1))
    network.load_state_dict(params)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    network(x)
    network.eval()
    return network.state_dict()


def redundant(family, seed=2):
    """Number of parameters and float buffers, less the rank of the Jacobian on many inputs."""
    network = family.network()
    count = sum(t.numel() for t in randomised(network, 0).values())
    x = family.inputs(seed, (count, *family.shape[1:])) * 3
    params = lively(network, x, seed)
    counters = {name: tensor for name, tensor in params.items() if not tensor.is_floating_point()}
    thetas = {name: tensor for name, tensor in params.items() if tensor.is_floating_point()}

    def outputs(params, one):
        return functional_call(network, params | counters, (one[None],))[0]

    jacobian = vmap(jacrev(outputs), (None, 0))(thetas, x)
    matrix = torch.cat([part.reshape(-1, thetas[name].numel()) for name, part in jacobian.items()], 1)
    matrix = matrix / matrix.norm(dim=0).clamp(min=1e-300)
    values = torch.linalg.svdvals(matrix)
    rank = int((values > 1e-9 * values[0]).sum())
    return matrix.shape[1] - rank


# What the docstrings name beyond units, and how much it is.
BEYOND = {
    "cnn": 2 * 7,  # v against gamma and mu against beta, for each channel that a BatchNorm sees
    "cnn, plain": 0,
    "cnn, odd, average": 0,
    "cnn, odd, maximum": 0,
    "cnn, even, maximum": 0,
    "cnn, square": 2 * 7,
    "cnn, gelu": 2 * 7,
    "cnn, depthwise": 2 * 7,
    "cnn, depthwise, plain": 0,
    "resnet": 2 * 27 + 4,  # and the two beta that a projection adds up
    "resnet, bottlenecks": 2 * 54 + 16,
    "resnet, grouped": 2 * 62 + 24,
}


@pytest.mark.parametrize("name", BEYOND)
def test_the_jacobian_has_the_redundancy_that_the_specification_counts(name):
    family = FAMILIES[name]
    expected, found = family.spec().continuous_dimension() + BEYOND[name], []
    for seed in range(12, 24):  # the rank is largest at almost all parameters, and smaller where a unit is dead
        found.append(redundant(family, seed))
        if found[-1] <= expected:
            break
    assert min(found) == expected, found
