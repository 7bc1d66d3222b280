"""Reorder the axes of a tensor into memory that is there already, as fast as memory allows.

Notation. For an order p of the rows and q of the columns, out[i, j] = tensor[p(i), q(j)]: the P W Qᵀ of Proposition 1
of Shen (2024), with no matrix product. Chapter: "Functional equivalence".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

# Rows are gathered in pieces that stay in the cache between the two passes over them.
_PIECE_BYTES = 1 << 21
# Above this size fresh memory costs more than the copy, unless it comes in huge pages.
_LARGE_BYTES = 1 << 22


def reorder(tensor: torch.Tensor, orders: Mapping[int, torch.Tensor], out: torch.Tensor) -> None:
    """Write ``tensor`` with each axis in ``orders`` reordered to ``out``, piece by piece if there are several.

    Examples
    --------
    >>> out = torch.empty(2, 2)
    >>> reorder(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), {0: torch.tensor([1, 0]), 1: torch.tensor([1, 0])}, out)
    >>> out.tolist()
    [[4.0, 3.0], [2.0, 1.0]]
    """
    if not orders:
        out.copy_(tensor)
        return
    (first, rows), *rest = sorted(orders.items(), key=lambda item: item[0])
    if first > 0 or not rest:
        _select(tensor, [(first, rows), *rest], out)
        return
    count = max(1, _PIECE_BYTES // max(1, tensor.nbytes // len(rows)))
    for start in range(0, len(rows), count):
        piece = tensor.index_select(0, rows[start : start + count])
        _select(piece, rest, out[start : start + count])


def _select(tensor: torch.Tensor, orders: list[tuple[int, torch.Tensor]], out: torch.Tensor) -> None:
    *others, (last, order) = orders
    for axis, other in others:
        tensor = tensor.index_select(axis, other)
    if 0 < last == tensor.ndim - 1 and tensor.device.type == "cpu" and torch.get_num_threads() > 1:
        # PyTorch spreads gather over threads, and index_select along the last axis it does not.
        torch.gather(tensor, last, order.expand(tensor.shape), out=out)
    else:
        torch.index_select(tensor, last, order, out=out)


def empty_like(tensor: torch.Tensor) -> torch.Tensor:
    """Return new contiguous memory of the shape, dtype and device of ``tensor``, without its gradient.

    Examples
    --------
    >>> empty_like(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    size = tensor.numel() * tensor.element_size()
    if tensor.device.type != "cpu" or size < _LARGE_BYTES:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    # NumPy asks the system for huge pages and torch does not: a third of the time for a 64 MB tensor.
    return torch.from_numpy(np.empty(size, np.uint8)).view(tensor.dtype).view(tensor.shape)
