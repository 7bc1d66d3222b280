"""How many dimensions of parameters a function does not see: entries less the rank of its Jacobian.

At generic θ the orbit of a group of symmetries lies in the fibre of F through θ, whose dimension is the number of
entries less the largest rank of ∂F/∂θ over θ, on inputs enough. A group that acts freely has no more dimensions.
"""

from unittest.mock import patch

import torch
from evaluating import Function, leaves, slow_attention

DRAWS = 48  # of inputs: several outputs each, more than the zoo's models have entries
RANK = 1e-10  # singular values relative to the largest: those that count were 1e-9 and more, rounding 1e-15


def redundant_dimensions(specimen, points=3):
    """Dimensions of the fibre of a specimen's function, the least over a few θ."""
    model, inputs = specimen.example()
    function = Function(model, inputs)
    draws = [torch.Generator().manual_seed(1000 + seed) for seed in range(DRAWS)]
    inputs = [tuple(draw(generator) for draw in specimen.inputs) for generator in draws]
    thetas = [function.vector(specimen.example(seed)[0].state_dict()) for seed in range(points)]
    return len(function.owner) - max(rank(jacobian(function, theta, inputs)) for theta in thetas)


def rank(matrix):
    values = torch.linalg.svdvals(matrix)
    return int((values > RANK * values.max()).sum()) if len(values) else 0


def jacobian(function, theta, inputs):
    """∂F/∂θ at θ: a row an input and output."""
    splits = [tensor.numel() for tensor in function.tensors.values()]

    def one(theta, *inputs):
        parts = zip(function.tensors.items(), theta.split(splits), strict=True)
        params = {name: part.view(tensor.shape) for (name, tensor), part in parts}
        outputs = torch.func.functional_call(function.model, params, inputs)
        return torch.cat([out.flatten() for out in leaves(outputs)])

    nn = torch.nn
    # PyTorch differentiates by no running statistics
    norms = patch.multiple(nn.functional, batch_norm=batch_norm, instance_norm=instance_norm)
    with slow_attention(), norms:
        if any(isinstance(module, nn.RNNBase | nn.PReLU) for module in function.model.modules()):  # not for vmap
            return torch.cat([torch.autograd.functional.jacobian(lambda t, x=x: one(t, *x), theta) for x in inputs])
        stacked = [torch.stack(column) for column in zip(*inputs, strict=True)]
        in_dims = (None, *(0 for _ in stacked))
        return torch.vmap(torch.func.jacrev(one), in_dims)(theta, *stacked).flatten(0, 1)


def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """PyTorch's batch norm in eval mode, by its formula."""
    mean, scale, weight, bias = (
        t if t is None else t.view(-1, *(1,) * (x.dim() - 2)) for t in (mean, (var + eps).rsqrt(), weight, bias)
    )
    x = (x - mean) * scale
    return x if weight is None else x * weight + bias


def instance_norm(x, mean=None, var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    """PyTorch's instance norm in eval mode, by its formula."""
    if not use_input_stats:
        return batch_norm(x, mean, var, weight, bias, eps=eps)
    over = tuple(range(2, x.dim()))
    centred = x - x.mean(over, keepdim=True)
    x = centred * (centred.square().mean(over, keepdim=True) + eps).rsqrt()
    return batch_norm(x, torch.zeros(x.shape[1]), torch.ones(x.shape[1]) - eps, weight, bias, eps=eps)
