"""What a model is called with: positional and named arguments, copied before a model may write into them.

Notation. The x of f(x; θ), any tree of tuples, lists and dicts with tensors. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..validation import shown


def arguments(example_inputs: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and named arguments of the call that is traced.

    Raises
    ------
    TypeError
        If they are neither a tensor, nor a tuple or a list, nor a dict with names.
    """
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Mapping) and all(isinstance(key, str) for key in example_inputs):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    raise TypeError(
        f"example_inputs must be a tensor, a tuple of arguments or a dict of named ones, got {shown(example_inputs)}"
    )


def mapped(tree: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return arguments with every tensor changed; tuples, lists and dicts are new, anything else is kept.

    Examples
    --------
    >>> mapped({"x": [torch.ones(1)], "k": 3}, lambda tensor: 2 * tensor)
    {'x': [tensor([2.])], 'k': 3}
    """
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return {key: mapped(each, change) for key, each in tree.items()}
    if isinstance(tree, (tuple, list)):
        parts = [mapped(each, change) for each in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def copied(tree: Any) -> Any:
    """Return arguments with tensors of their own, for a model may write into what it is given.

    Examples
    --------
    >>> one, two = copied((x := torch.ones(2), x))
    >>> one is two, one is x
    (True, False)
    """
    seen: dict[int, torch.Tensor] = {}

    def copy_of(tensor: torch.Tensor) -> torch.Tensor:
        """Return the one copy of a tensor, however often it is met."""
        if id(tensor) not in seen:
            seen[id(tensor)] = tensor.detach().clone()
        return seen[id(tensor)]

    return mapped(tree, copy_of)
