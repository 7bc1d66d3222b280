r"""How many solutions are there? Trained students counted as parameters, as orbits, and as functions.

Notation. Students W [n, d] as in :mod:`fnequiv.optimization.population`: f_W(x) = Σ_i σ(w_i·x), so that permuting the
rows of W changes nothing (Proposition 1 of Shen, 2024). Descent ends near a solution, not on it, so entries that are
near each other are made one number first: all entries of all students are sorted, and split where two neighbours
differ by more than the tolerance. Such a chain may be longer than the tolerance; one that is ten times as long tells
nothing apart, and is refused. Then equality is exact, orbits have
:func:`fingerprints <fnequiv.equivalence.canonical.fingerprint>`, and counting is counting hashes. Three numbers come of
it:

* ``parameters``, the distinct matrices W;
* ``orbits``, the distinct matrices up to the order of their rows;
* ``functions``, the distinct f_W by their distance (E (f_W - f_V)²)^½, where no group is asked. Two are one if they are
  within the tolerance; if a pair lies between one and two tolerances apart, the answer would depend on the order of the
  students, and is refused.

Of students that are equal exactly, orbits ≥ functions. If n = k they agree as a rule: for rows that are not parallel,
W is determined by f_W up to the order of its rows. If n > k, two parallel rows may share one of the teacher's in
infinitely many ways, and nearly every run ends in an orbit of its own, all of one function: the group of permutations
does not see that.

A fourth number, ``patterns``, lets the inputs be renamed as well. That changes the function. But the teacher Σ_j σ(x_j)
and the law of the inputs stay as they are, so solutions come in families. ``patterns`` counts those, by one student for
each function: if n > k, where a function has many orbits, it may count a family more than once.
Chapter: "Optimisation".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..equivalence.canonical import fingerprint
from ..symmetry import Axis, Block, SymmetrySpec
from ..validation import check_bool, check_finite, check_integer, check_positive, check_real
from .population import Array, function_distance

__all__ = ["Solutions", "count_solutions", "solution_spec"]

Labels = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Solutions:
    """How many different ones there are among the students, and which is which.

    Attributes
    ----------
    parameters, orbits, functions, patterns
        The numbers of distinct ones, as the module says.
    orbit, function, pattern
        For every student the number of its own, from 0 on in the order of first appearance, shape [runs].
    """

    parameters: int
    orbits: int
    functions: int
    patterns: int
    orbit: Labels
    function: Labels
    pattern: Labels


def count_solutions(weights: npt.ArrayLike, *, tolerance: float = 1e-5) -> Solutions:
    """Count the distinct students among many.

    Parameters
    ----------
    weights
        Shape [runs, n, d], rows of length about 1.
    tolerance
        Entries linked by steps of at most this are one number, and functions nearer than this are one. Descent to
        |∇L| = 10^-9 leaves entries correct to about 10^-8 where the minimum is strict, and functions to 10^-6 always.

    Raises
    ------
    TypeError
        If an argument is not numeric.
    ValueError
        If ``weights`` has not three axes, none empty, or an entry is not finite, or ``tolerance`` is below 10^-6, which
        is what rounding leaves of a distance of functions, or does not separate the entries or the functions.

    Examples
    --------
    >>> teacher = np.eye(3)
    >>> found = count_solutions([teacher, teacher[[1, 0, 2]], teacher[[1, 0, 2]] + 1e-8, 2 * teacher])
    >>> found.parameters, found.orbits, found.functions, found.orbit.tolist()
    (3, 2, 2, [0, 0, 0, 1])
    """
    weights = check_finite("weights", weights)
    if weights.ndim != 3 or not weights.size:
        raise ValueError(f"weights must have shape [runs, n, d], all >= 1, got {weights.shape}")
    if check_positive("tolerance", check_real("tolerance", tolerance)) < 1e-6:
        raise ValueError(f"tolerance must be >= 1e-6, got {tolerance}: functions are told apart by 10^-7 at best")
    whole = _numbered(weights, tolerance)
    matrix = _labels([student.tobytes() for student in whole])
    orbit = _through(matrix, whole, solution_spec(*whole.shape[1:]))
    function = _functions(weights, tolerance)
    pattern = _through(function, whole, solution_spec(*whole.shape[1:], inputs=True))
    parameters, orbits, functions, patterns = (int(each.max()) + 1 for each in (matrix, orbit, function, pattern))
    return Solutions(parameters, orbits, functions, patterns, orbit, function, pattern)


def solution_spec(n: int, d: int, *, inputs: bool = False) -> SymmetrySpec:
    """Return the group of one matrix ``weight`` [n, d]: permutations of its rows, and of its columns if asked.

    Raises
    ------
    TypeError, ValueError
        If n or d is no integer ≥ 1, or ``inputs`` not True or False.

    Examples
    --------
    >>> round(solution_spec(6, 6).log_order(), 3), round(solution_spec(6, 6, inputs=True).log_order(), 3)
    (6.579, 13.159)
    """
    n, d = check_integer("n", n), check_integer("d", d)
    blocks = [Block("neurons", n, "permutation", (Axis("weight", 0, "in"),))]
    if check_bool("inputs", inputs):
        blocks.append(Block("inputs", d, "permutation", (Axis("weight", 1, "out"),)))
    return SymmetrySpec(tuple(blocks), {"weight": (n, d)})


def _numbered(weights: Array, tolerance: float) -> Array:
    """Return every entry as the number of its cluster: sorted, split at gaps above the tolerance."""
    order = np.argsort(weights, axis=None)
    entries = weights.ravel()[order]
    starts = np.diff(entries, prepend=-np.inf) > tolerance
    ends = np.append(starts[1:], True)
    if (widest := (entries[ends] - entries[starts]).max()) > 10 * tolerance:
        raise ValueError(
            f"entries must fall into clusters that are narrow beside the tolerance, got a chain {widest:.1e} long with "
            f"steps of at most {tolerance:.1e}: a smaller tolerance, or fewer students, would tell them apart"
        )
    numbers = np.empty(weights.size)
    numbers[order] = np.cumsum(starts)
    return numbers.reshape(weights.shape)


def _through(known: Labels, whole: Array, spec: SymmetrySpec) -> Labels:
    """Return the labels of orbits, one fingerprint for each student that ``known`` tells apart."""
    _, first = np.unique(known, return_index=True)
    prints = [fingerprint({"weight": torch.from_numpy(whole[at])}, spec) for at in first]
    return _labels([prints[label] for label in known])


def _labels(keys: list[bytes] | list[str]) -> Labels:
    numbers: dict[bytes | str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)


def _functions(weights: Array, tolerance: float) -> Labels:
    """Return labels: a student belongs to the first one before it that is within the tolerance.

    If nobody else is within twice the tolerance of that one, nobody else is near any of its own: these are the
    connected components, whatever the order of the students.
    """
    labels = np.full(len(weights), -1, dtype=np.intp)
    count = 0
    while (left := np.flatnonzero(labels < 0)).size:
        distance = function_distance(weights[left], weights[left[0]])
        near = distance <= tolerance
        near[0] = True  # to itself, whatever rounding says
        if (distance[~near] <= 2 * tolerance).any():
            raise ValueError(
                f"functions must be within the tolerance of each other or more than twice as far apart, got a distance "
                f"of {distance[~near].min():.1e} with tolerance {tolerance:.1e}: choose another tolerance"
            )
        labels[left[near]] = count
        count += 1
    return labels
