"""Which members train side by side, so that none of them depends on the others, not by a single bit.

Notation. A member with seed s trains in slot s mod G of a batch with G slots, never in another, and a slot that no
member has holds a copy of one. G follows from the task and the recipe, never from the seeds or their chunks. All shapes
are therefore the same whatever trains beside a member, and so are the place of its numbers in each array and the
instructions that compute them: in larger batches a product of matrices may add its terms in another order, and what
stands at an array's end is computed one by one, not in a vector with its neighbours. Chapter: "Optimisation".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..validation import check_integer, shown

_WORK = 2**23  # products for one step of all slots: a few times as long as its calls alone, so their price is shared
_MOST = 128
_MANY = 10**8  # seeds counted from 0: their list alone takes 4 GB


def check_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Return the seeds of a sweep, which may be given by their number alone.

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If there are none, one repeats, or one is outside 0 … 2⁶³ - 1; or if their number is above 10⁸.

    Examples
    --------
    >>> check_seeds(3), check_seeds([8, 2])
    ([0, 1, 2], [8, 2])
    """
    if isinstance(seeds, (str, bytes, bytearray, memoryview)):  # which iterate as texts and as small integers
        raise TypeError(f"seeds must be integers, or how many, got {shown(seeds)}")
    try:
        each = iter(seeds)  # type: ignore[arg-type]
    except TypeError:
        number = check_integer("seeds", seeds)
        if number > _MANY:
            raise ValueError(f"seeds must be at most {_MANY}, got {shown(number)}: sweep range by range") from None
        return list(range(number))
    found = [check_integer("seed", seed, minimum=0) for seed in each]
    if not found or len(set(found)) < len(found) or max(found) >= 2**63:
        raise ValueError(f"seeds must be different integers below 2**63, at least one, got {shown(seeds)}")
    return found


def fitting_slots(parameters: int, batch: int) -> int:
    """Return G: the power of two, 128 at most, with which a step does about 8 million products.

    A step has a fixed price, that of its calls, and one for each slot, which grows with its parameters and examples.
    Few slots share the first among too few; many make a sweep of few seeds pay for empty ones, and need memory.

    Parameters
    ----------
    parameters
        Of one member, ≥ 1.
    batch
        Examples that a step uses, ≥ 0.

    Raises
    ------
    TypeError, ValueError
        If either is no integer, or below its range.

    Examples
    --------
    >>> [fitting_slots(parameters, 16) for parameters in (13, 1210, 4810, 400_000)]
    [128, 128, 64, 1]
    """
    examples = max(check_integer("batch", batch, minimum=0), 16)
    fitting = _WORK // (check_integer("parameters", parameters) * examples)
    return min(_MOST, 2 ** (max(fitting, 1).bit_length() - 1))


def grouped(seeds: Sequence[int], slots: int) -> list[list[int]]:
    """Return groups of seeds that find a slot each, in as few groups as that takes; seeds in a row fill them.

    Raises
    ------
    TypeError, ValueError
        If ``slots`` is no integer, or below 1.

    Examples
    --------
    >>> grouped([0, 1, 2, 3, 4, 8], 4)  # 0, 4 and 8 have one slot
    [[0, 1, 2, 3], [4], [8]]
    """
    check_integer("slots", slots)
    groups: list[list[int]] = []
    taken: Counter[int] = Counter()
    for seed in seeds:
        turn = taken[seed % slots]
        taken[seed % slots] += 1
        if turn == len(groups):
            groups.append([])
        groups[turn].append(seed)
    return groups
