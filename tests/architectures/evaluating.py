"""A model as a function of the vector of its entries, evaluated in batches."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Function:
    """The outputs of a model as a function of the vector of its floating entries."""

    model: torch.nn.Module
    inputs: tuple[torch.Tensor, ...]

    def __post_init__(self):
        stored = self.model.state_dict()
        tensors = [*self.model.named_parameters(), *self.model.named_buffers()]  # each tied tensor once
        tensors = {name: t.detach() for name, t in tensors if name in stored and t.is_floating_point()}
        object.__setattr__(self, "tensors", tensors)
        owner = [np.full(t.numel(), i) for i, t in enumerate(tensors.values())]
        object.__setattr__(self, "owner", np.concatenate([np.empty(0, int), *owner]))
        object.__setattr__(self, "positive", np.array(["running_var" in name for name in tensors], dtype=bool))

    def vector(self, params):
        """The entries of ``params`` as one vector."""
        return torch.cat(
            [torch.empty(0).double(), *(params[name].detach().double().flatten() for name in self.tensors)]
        )

    def __call__(self, thetas):
        """F at every row of ``thetas``: [rows, entries] to [rows, outputs]."""
        splits = [t.numel() for t in self.tensors.values()]

        def one(theta):
            parts = zip(self.tensors.items(), theta.split(splits), strict=True)
            params = {name: part.view(t.shape) for (name, t), part in parts}
            outputs = torch.func.functional_call(self.model, params, self.inputs)
            return torch.cat([out.flatten() for out in leaves(outputs)])

        with torch.no_grad(), slow_attention():
            if any(isinstance(module, torch.nn.RNNBase) for module in self.model.modules()):  # not for vmap
                return torch.stack([one(theta) for theta in thetas])
            return torch.vmap(one)(thetas)


def leaves(outputs):
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [leaf for out in (outputs.values() if isinstance(outputs, dict) else outputs) for leaf in leaves(out)]


@contextmanager
def slow_attention():
    """The fused kernels of PyTorch's transformer layers do not run under ``vmap``."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
