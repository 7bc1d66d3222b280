"""What the elements of a traced group do: to a model's outputs, and to the entries of its tensors."""

import math

import numpy as np
import torch
from evaluating import leaves
from oracle import generated

from fnequiv.equivalence.actions import apply, sample


def drift(model, inputs, spec, elements=3):
    """By how much random elements, with signs and scales, move the outputs, relative to the largest output."""
    params = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    before = outputs(model, inputs)
    drifts = []
    for seed in range(elements):
        moved = apply(params, spec, sample(spec, np.random.default_rng(seed)))
        model.load_state_dict(moved)
        assert all(torch.equal(stored, moved[key]) for key, stored in model.state_dict().items())  # names of one tensor
        drifts.append(((outputs(model, inputs) - before).abs().max() / before.abs().max()).item())
    return max(drifts)


def outputs(model, inputs):
    with torch.no_grad():
        return torch.cat([out.flatten() for out in leaves(model(*inputs))])


def order_of(spec):
    """The order of the permutations of a specification, as it states it."""
    return round(math.exp(spec.only().log_order()))


def check_part(group, function, spec):
    """Every element of the traced group is in the oracle's, and they are as many as the specification says."""
    permutations = entry_permutations(function, spec.only())
    assert all(group.contains(permutation) for permutation in permutations)
    assert group.order % order_of(spec) == 0
    assert generated([group.restricted(p) for p in permutations], len(group.live)).order() == order_of(spec)


def entry_permutations(function, spec, count=24):
    """Permutations of the entries by random elements, as images of entries: they generate the group, almost surely."""
    numbers = torch.arange(len(function.owner), dtype=torch.float64)
    params = dict(zip(function.tensors, numbers.split([t.numel() for t in function.tensors.values()]), strict=True))
    stored = function.model.state_dict()
    numbered = {key: named(function, params, key, tensor) for key, tensor in stored.items()}
    moved = [apply(numbered, spec, sample(spec, np.random.default_rng(seed))) for seed in range(count)]
    return [np.argsort(function.vector(after).numpy().astype(int)) for after in moved]


def named(function, params, key, tensor):
    """The numbers of the entries of a tensor: of the first of its names, if it has several."""
    if not tensor.is_floating_point():
        return tensor
    same = (name for name, first in function.tensors.items() if first.data_ptr() == tensor.data_ptr())
    return params[next(same)].view(tensor.shape)
