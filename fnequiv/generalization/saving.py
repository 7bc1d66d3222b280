r"""What a symmetry is worth in data: the estimation error split into network size and symmetry.

Notation. ln N_none bounds the covering number of all networks on a grid, and ln N_sym that of one network an orbit, at
one radius ε. Their difference is what the symmetry saves: at most the log order of the group, Σ_l ln d_l! for
permutations. In the uniform bound (:mod:`fnequiv.generalization.uniform`) n ∝ ln N + ln(2/η) for a fixed ε and target,
so the *share of samples* saved is the share of ln N saved, nearly. That share is what the paper's remark on Theorem 2
of Shen (2024) is about; the book shows how large it is. Chapter: "Estimation error".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..validation import shown
from .radius import LogCover, nats_at
from .uniform import sample_size, uniform_bound


@dataclass(frozen=True)
class Saving:
    """One way to count, against the first: the bound at n samples, and the samples that a target needs.

    Attributes
    ----------
    name
        Which symmetry is used.
    bound
        The uniform bound on |R - R_n| at n samples (at most M).
    nats
        ln N at the radius of the first way, at which all are compared.
    saved_nats
        How much less that is than the first.
    samples
        The least n for the target.
    saved_samples
        How many fewer than the first.
    """

    name: str
    bound: float
    nats: float
    saved_nats: float
    samples: int
    saved_samples: int


def savings(
    log_covers: Mapping[str, LogCover],
    n: int,
    target: float,
    *,
    loss_range: float = 1.0,
    lipschitz: float = 1.0,
    eta: float = 0.05,
) -> tuple[Saving, ...]:
    """Return what each symmetry saves against the first of ``log_covers``, in nats and in samples.

    The loss and η are as in :func:`~fnequiv.generalization.uniform.uniform_bound`.

    Parameters
    ----------
    log_covers
        Name ↦ log cover (see :func:`~fnequiv.generalization.uniform.uniform_bound`), the one without symmetry first.
    n
        Number of samples at which the bounds are compared.
    target
        The bound that the sample sizes are for.

    Raises
    ------
    TypeError, ValueError
        As there; also if ``log_covers`` is no mapping, or empty, or ``n`` not one number.

    Examples
    --------
    >>> from functools import partial
    >>> from fnequiv import orbit_bound
    >>> def cover(eps, symmetry):
    ...     return orbit_bound((1, 8, 1), B=1, Bx=1, activation="relu", eps=eps, symmetry=symmetry)
    >>> names = ("none", "permutation", "scaled")
    >>> for row in savings({name: partial(cover, symmetry=name) for name in names}, 10_000, 0.1):
    ...     print(row.name, round(row.nats), round(row.saved_nats, 1), row.samples, row.saved_samples)
    none 232 0.0 13269 0
    permutation 222 10.6 12680 589
    scaled 159 73.0 9157 4112
    """
    if not isinstance(log_covers, Mapping):
        raise TypeError(f"log_covers must map names to log covers, got {shown(log_covers)}")
    if not log_covers:
        raise ValueError("log_covers must map at least one name to a log cover, got none")
    options = {"loss_range": loss_range, "lipschitz": lipschitz, "eta": eta}
    found, sizes = {}, {}
    for name, cover in log_covers.items():
        try:
            found[name] = uniform_bound(cover, n, **options)
            sizes[name] = sample_size(cover, target, **options)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{error} (log cover {shown(name)})") from error
    first = next(iter(log_covers))
    radius = found[first].eps
    if not isinstance(radius, float):
        raise ValueError(f"n must be one number, got {shown(n)}: call savings once a number")
    nats = {name: float(nats_at(cover, np.array([radius]))[0]) for name, cover in log_covers.items()}
    return tuple(
        Saving(
            name,
            float(found[name].value),
            nats[name],
            nats[first] - nats[name],
            sizes[name],
            sizes[first] - sizes[name],
        )
        for name in log_covers
    )
