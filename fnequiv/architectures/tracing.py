"""The symmetry group of any PyTorch module: traced, inferred, and checked on the network itself.

Notation. f(x; θ) is the module in eval mode. :func:`symmetry_of` captures its graph of operators, infers which units of
its tensors move together (:mod:`fnequiv.architectures.inference`), and draws elements g of the group that it found:
f(x; gθ) = f(x; θ) on the example inputs and on others near them, in double precision, or it raises.

Theorem: Proposition 1 and Examples 1-3 of Shen (2024), section 4 for convolutions, residual networks and attention.
Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from torch import nn

from ..symmetry import SymmetrySpec
from ..validation import check_bool
from .capture import capture, tensors_of
from .drift import check_drift
from .inference import infer

__all__ = ["symmetry_of"]


def symmetry_of(model: nn.Module, example_inputs: object, *, check: bool = True) -> SymmetrySpec:
    """Return the symmetry group of ``model`` in eval mode.

    Parameters
    ----------
    model
        Any module that ``torch.export`` can trace. It is copied, and not changed; nor are the inputs.
    example_inputs
        Arguments of one call: a tensor, a tuple of arguments, or a dict of named ones.
    check
        Whether to apply random elements of the group to a copy in double precision and compare outputs.

    Returns
    -------
    SymmetrySpec
        Of the tensors of ``model.state_dict()``, by name. Its notes say what was left unmoved and why.

    Raises
    ------
    TypeError
        If ``model`` is no module or the inputs are of another type.
    ValueError
        If the module does not run on the inputs or cannot be traced, has no entries to check, or
        returns NaN.
    RuntimeError
        If an element of the group changes the function: a fault of the inference, named by its block.

    Notes
    -----
    Elements permute, flip and rescale entries, alike for all weights; dimensions that mix units are counted. Symmetries
    that act differently on different weights are left out: where σ(z) - σ(-z) = cz (ReLU, leaky ReLU, GELU, SiLU,
    softplus), a unit of s ↦ s + v σ(uᵀs) may be flipped, for it leaves the linear term c v uᵀs over, which linear
    layers beside or in front of the skip connection can make good (chapter "Residual networks").

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    >>> spec = symmetry_of(net, torch.zeros(2, 3))
    >>> spec.order(), spec.continuous_dimension()
    (24, 4)
    """
    check_bool("check", check)
    captured = capture(model, example_inputs)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors_of(captured.model).items()}
    spec = infer(captured, shapes)
    if check and spec.blocks:
        if any(tensor.is_meta for tensor in tensors_of(captured.model).values()):
            raise ValueError("a model on the meta device has no entries to check the function with: pass check=False")
        check_drift(captured.model, example_inputs, spec, captured.types)
    return spec
