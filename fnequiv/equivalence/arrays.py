"""Parameter sets as NumPy arrays: views where NumPy has the dtype, float32 copies of float16 and bfloat16.

Notation. θ maps names to tensors (Definition 1 of Shen, 2024). Conversions here are exact. Chapter: "Telling networks
apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..symmetry import SymmetrySpec
from .axes import Array

Params = Mapping[str, torch.Tensor]


def arrays_of(params: Params, spec: SymmetrySpec) -> dict[str, Array]:
    """Return NumPy views (copies of what NumPy cannot hold) in the order of the specification."""
    return {name: array_of(params[name]) for name in spec.shapes}


def array_of(tensor: torch.Tensor) -> Array:
    """Return one tensor as an array.

    Examples
    --------
    >>> array_of(torch.tensor([1.5], dtype=torch.bfloat16))
    array([1.5], dtype=float32)
    """
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    array: Array = tensor.numpy()
    return array


def bytes_of(tensor: torch.Tensor) -> bytes:
    """Return the bytes of a tensor's numbers, the same for either zero.

    Examples
    --------
    >>> bytes_of(torch.tensor([0.0])) == bytes_of(torch.tensor([-0.0]))
    True
    """
    array = np.ascontiguousarray(array_of(tensor))
    return (array + 0.0 if array.dtype.kind == "f" else array).tobytes()  # -0.0 and 0.0 are one number
