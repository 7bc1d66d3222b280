r"""Which of several matched networks to take, when a score has judged each: plain weight matching, or one better.

Notation. Candidate 0 is plain weight matching, candidates 1, ..., K are others. The score is one number a candidate,
or its loss ℓ_k(i) on each of n examples. On examples, the differences d_k(i) = ℓ_k(i) - ℓ_0(i) have mean m_k and
standard deviation s_k, and candidate k counts as better if

m_k + t s_k / √n < 0,

t being the quantile of Student's distribution with n - 1 degrees of freedom at 1 - α / K, α = 5 %: a paired test on one
side, its error shared among the K (Bonferroni). Where no candidate's expected loss is lower, one of them replaces
candidate 0 with a chance of about α at most: about, as losses are not normal. That is for examples that neither network
has learned. What it has learned a network fits too well, and differences there may have another sign elsewhere.

Sources: Student (1908), the test; Dunn (1961), the shared error. Chapter: "Telling networks apart".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import stdtrit

from ..validation import check_finite
from .arrays import array_of

__all__ = ["choose"]

_ERROR = 0.05


def choose(scores: Sequence[npt.ArrayLike]) -> int:
    """Return the place of the candidate to take.

    Parameters
    ----------
    scores
        For every candidate, plain weight matching first: one number each, or losses on common examples, [examples].

    Returns
    -------
    int
        Of numbers the place of the least, of equals the first. Of losses on examples the place of the least mean among
        the candidates that the test finds better than the first; 0 if there is none.

    Raises
    ------
    TypeError
        If a score is no real number or array of them.
    ValueError
        If there are fewer than two candidates, scores differ in shape, are for one example, or are not finite.

    Examples
    --------
    Lower by 1 on average, first with a standard error of 0.58, which is too much to be sure, and then with 0.06.

    >>> choose([[4.0, 6.0, 5.0], [3.0, 6.0, 3.0]]), choose([[4.0, 6.0, 5.0], [3.0, 5.1, 3.9]]), choose([5.0, 4.0])
    (0, 1, 1)
    """
    values = [check_finite("score", array_of(score) if isinstance(score, torch.Tensor) else score) for score in scores]
    shapes = sorted({value.shape for value in values})
    if len(values) < 2 or len(shapes) > 1 or len(shapes[0]) > 1 or math.prod(shapes[0]) < len(shapes[0]) * 2:
        raise ValueError(
            "score must be one number, or one for each of two examples or more, of the same shape for every network, "
            f"got {len(values)} of shapes {shapes}"
        )
    if not shapes[0]:
        return int(np.argmin(values))
    table = np.stack(values)
    largest = np.abs(table).max()
    gaps = table[1:] / (largest or 1.0) - table[0] / (largest or 1.0)  # within [-2, 2]: no square overflows
    means, errors = gaps.mean(axis=1), gaps.std(axis=1, ddof=1) / math.sqrt(gaps.shape[1])
    better = means + stdtrit(gaps.shape[1] - 1, 1 - _ERROR / len(gaps)) * errors < 0
    return int(np.argmin([0.0, *np.where(better, means, np.inf)]))
