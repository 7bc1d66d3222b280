r"""The best signs of blocks that move as one and meet where each other's signs count.

Notation. Unit u of a cluster, one of every block, takes the sign s_u. It gains s_u·bound_u by itself, and
s_u·s_v·coupled_uv with the unit v of a block before it, as the channels on both sides of a BatchNorm's weight do. The
signs that make the sum largest are read off in two passes where these pairs form a tree: from the last block on each
tells its partner what it will gain by the partner's sign, max over s_u = (\|bound_u + c\| ± \|bound_u - c\|)/2; then
each takes its best sign, from the first block on. Signs count by Example 2 of Shen (2024). Chapter: "Telling networks
apart".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .axes import FloatArray

Signs = dict[str, FloatArray]


def best_signs(bound: Signs, coupled: Mapping[str, Signs]) -> tuple[FloatArray, Signs]:
    """Return the largest sum and its signs, entry by entry; ``coupled`` holds pairs by the later block, then the other.

    Exact where every block is coupled with at most one before it; a block with several is told nothing in advance.

    Examples
    --------
    >>> bound = {"before": np.array([-1.0]), "after": np.array([2.0])}
    >>> best_signs(bound, {"before": {}, "after": {"before": np.array([3.0])}})
    (array([4.]), {'before': array([1.]), 'after': array([1.])})
    """
    ahead, signs, total = dict(bound), dict(bound), np.zeros_like(next(iter(bound.values())))
    for name in reversed(bound):
        for other, gains in coupled[name].items() if len(coupled[name]) == 1 else ():
            ahead[other] = ahead[other] + (np.abs(ahead[name] + gains) - np.abs(ahead[name] - gains)) / 2
    for name, own in bound.items():
        pull = sum((gains * signs[other] for other, gains in coupled[name].items()), np.zeros_like(own))
        signs[name] = np.where(ahead[name] + pull < 0, -1.0, 1.0)
        total += signs[name] * (own + pull)
    return total, signs
