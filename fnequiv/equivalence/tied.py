"""Find tied weights: tensors of one network that share memory.

Notation. θ is a set of named tensors. Proposition 1 of Shen (2024) moves each of them by itself; where two are one
piece of memory, as in an autoencoder with W^(2) = (W^(1))ᵀ, the copy g·θ is no longer a network of that kind.
Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations

import torch


def check_untied(params: Mapping[str, torch.Tensor], moved: Collection[str]) -> None:
    """Raise if a tensor that a symmetry moves shares an entry in memory with another tensor.

    Disjoint views of one long vector pass. So do two PReLUs with one slope between them, which nothing moves.

    Raises
    ------
    ValueError
        Naming the two tensors.
    """
    owners: dict[object, list[str]] = {}
    for name, tensor in params.items():
        try:
            memory = tensor.untyped_storage().data_ptr() or id(tensor)  # 0 on the meta device
        except RuntimeError:  # inside torch.func transforms a tensor has no memory to compare
            continue
        owners.setdefault((tensor.device, memory), []).append(name)
    for names in owners.values():
        for first, second in combinations(names, 2):
            if (first in moved or second in moved) and _overlap(params[first], params[second]):
                raise ValueError(
                    f"{second!r} shares memory with {first!r}: tied weights move together, which no spec of a chain "
                    "allows; untie them with clone()"
                )


def _overlap(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return whether two views of one storage share an entry."""
    start, stop = _span(first)
    start_2, stop_2 = _span(second)
    if stop <= start_2 or stop_2 <= start:
        return False
    if first.dtype != second.dtype:
        return True
    low = min(start, start_2)
    marks = torch.zeros((max(stop, stop_2) - low) // first.element_size(), dtype=torch.bool)
    places = [
        torch.as_strided(marks, t.shape, t.stride(), t.storage_offset() - low // t.element_size())
        for t in (first, second)
    ]
    places[0].fill_(True)
    return bool(places[1].any())


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """Return the first byte of the storage that ``tensor`` uses, and the one behind the last."""
    entries = 1 + sum((int(size) - 1) * int(stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    start = int(tensor.storage_offset())
    return start * tensor.element_size(), (start + entries) * tensor.element_size()
