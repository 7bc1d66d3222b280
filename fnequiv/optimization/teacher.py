r"""Teacher and student: gradient descent on the exact population loss, and what became of every run.

Notation. The teacher is f(x) = Σ_j σ(v_j·x) with k orthonormal rows v_j in R^d, the student Σ_i σ(w_i·x) with n ≥ k
rows, x ~ N(0, I), σ the ReLU; the loss L is :func:`~fnequiv.optimization.population.population_loss`. No data, no
noise, and a student that can be the teacher: whatever fails is the descent's.

**Start.** Rows from a named scheme of :mod:`fnequiv.optimization.schemes`, fan-in d, fan-out n; ``xavier_normal`` is
N(0, 2/(d + n)). Its law does not change if the inputs are rotated, and neither does L if the teacher is rotated too. So
for such a scheme e_1, …, e_k stand for every orthonormal teacher.

**Steps.** Those of :mod:`fnequiv.optimization.descent`: 1/n, and longer ones once the gradient is small.

**Verdict.** Let |∇L| ≤ 10^-9. A run with L ≤ 10^-8 found a *global minimum*. Else the least eigenvalue of the Hessian
is computed: *spurious minimum* if it is not below -10^-6, else *saddle point*. All others: *not converged* or
*diverged*. A run has **failed** if it ended in a spurious minimum. The eigenvalue is computed in floating point: it is
evidence, which Safran and Shamir (2018) turn into a proof for some such points. The names suppose n ≥ k, where loss 0
can be had, and d ≥ 2: on a line a row can only shrink to 0, where the loss has a kink that a long step may jump.

Source: Safran and Shamir (2018), the experiment: for n = k the share of failed runs grows with k from 6 on, for
n = k + 1 it is far smaller. Chapter: "Optimisation".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from tqdm import tqdm

from ..validation import check_bool, check_finite, check_integer, check_positive, check_probability, check_real, shown
from .descent import descend
from .population import Array, hessian, population_loss
from .sampling import Share
from .schemes import Scheme, check_rng, get, uniform
from .spreading import check_executor, submitted

__all__ = ["STATUSES", "Runs", "TrainingError", "draw_starts", "orthonormal_teacher", "train"]

STATUSES = ("global minimum", "spurious minimum", "saddle point", "not converged", "diverged")

_ZERO_LOSS = 1e-8  # far below any spurious minimum (about 10^-2), far above rounding (10^-14)
_SADDLE = -1e-6
_CHUNK = 125  # runs that are computed together: their angles stay in the cache


@dataclass(frozen=True)
class Runs:
    """Where every run ended.

    Attributes
    ----------
    weights
        Shape [runs, n, d].
    loss, gradient_norm
        L and |∇L| (Euclidean) there.
    steps
        Number of steps taken.
    least_curvature
        Least eigenvalue of the Hessian of those that converged with a loss above 10^-8; NaN for the others.
    status
        For each run one of :data:`STATUSES`.
    """

    weights: Array
    loss: Array
    gradient_norm: Array
    steps: npt.NDArray[np.intp]
    least_curvature: Array
    status: npt.NDArray[np.str_]

    def share(self, status: str = "spurious minimum", confidence: float = 0.95) -> Share:
        """Return the share of runs of a status, with Wilson's interval (1927).

        Raises
        ------
        ValueError
            If the status is none of :data:`STATUSES`, or ``confidence`` not strictly between 0 and 1.

        Examples
        --------
        >>> runs = train(draw_starts(50, 3, 2, np.random.default_rng(0)), orthonormal_teacher(2))
        >>> found = runs.share("global minimum")
        >>> found.hits, round(found.low, 3), found.high
        (50, 0.929, 1.0)
        """
        if not isinstance(status, str) or status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}, got {shown(status)}")
        confidence = check_probability("confidence", confidence)
        hits, n = int((self.status == status).sum()), len(self.status)
        interval = binomtest(hits, n).proportion_ci(confidence, "wilson")
        return Share(hits, n, hits / n, float(interval.low), float(interval.high))


class TrainingError(RuntimeError):
    """An executor did not finish all runs; ``finished``, :class:`Runs`, holds those of the first starts, in a row."""

    finished: Runs


def orthonormal_teacher(k: int, d: int | None = None) -> Array:
    """Return k orthonormal rows in R^d, e_1 to e_k; d = k if it is left out.

    Raises
    ------
    TypeError, ValueError
        If k is no integer ≥ 1, or d none ≥ k.

    Examples
    --------
    >>> orthonormal_teacher(1, 2)
    array([[1., 0.]])
    """
    k = check_integer("k", k)
    return np.eye(k, k if d is None else check_integer("d", d, minimum=k))


def draw_starts(
    runs: int, n: int, d: int, rng: np.random.Generator, *, scheme: str | Scheme = "xavier_normal"
) -> Array:
    """Draw students, shape [runs, n, d]: weights by the scheme's law for fan-in d and fan-out n.

    Raises
    ------
    TypeError, ValueError
        If ``runs``, ``n`` or ``d`` is no integer ≥ 1, ``rng`` no generator of NumPy's, or the scheme unknown.

    Examples
    --------
    >>> starts = draw_starts(1000, 10, 10, np.random.default_rng(0))  # variance 2/(10 + 10)
    >>> starts.shape, round(float(starts.var()), 3)
    ((1000, 10, 10), 0.1)
    """
    shape = tuple(check_integer(name, value) for name, value in (("runs", runs), ("n", n), ("d", d)))
    check_rng(rng)
    law, _ = get(scheme).laws(shape[2], shape[1])
    return law.quantile(uniform(rng, shape))


def train(
    starts: npt.ArrayLike,
    teacher: npt.ArrayLike,
    *,
    tolerance: float = 1e-9,
    max_steps: int = 200_000,
    progress: bool = False,
    executor: Executor | None = None,
) -> Runs:
    """Descend from every start until the gradient's norm is at most ``tolerance``, and say what was found.

    Parameters
    ----------
    starts
        Students, shape [runs, n, d], of :func:`draw_starts` say.
    teacher
        Shape [k, d]. Tolerance and verdicts are meant for rows of length about 1.
    tolerance
        For |∇L|; rounding lets it fall to about 10^-14.
    max_steps
        A run that takes more has not converged.
    progress
        Show a progress bar over the runs.
    executor
        Runs chunks of 125 starts; one after the other in this thread if left out. The result is the same to the bit.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If shapes do not fit, an entry is not finite, or ``tolerance`` or ``max_steps`` is not positive.
    TrainingError
        If the executor is shut down, or breaks. Its ``finished`` holds the runs of the first starts, up to a chunk that
        was lost; ``starts[len(error.finished.loss):]`` are left.

    Examples
    --------
    >>> runs = train(draw_starts(20, 8, 8, np.random.default_rng(5)), orthonormal_teacher(8))
    >>> {status: int((runs.status == status).sum()) for status in STATUSES[:2]}
    {'global minimum': 19, 'spurious minimum': 1}
    """
    starts, teacher = check_finite("starts", starts), check_finite("teacher", teacher)
    if starts.ndim != 3 or teacher.ndim != 2 or starts.shape[-1] != teacher.shape[-1] or not starts.size * teacher.size:
        raise ValueError(
            f"starts must have shape [runs, n, d] and teacher [k, d] with the same d, all >= 1, "
            f"got {starts.shape} and {teacher.shape}"
        )
    check_positive("tolerance", check_real("tolerance", tolerance))
    check_bool("progress", progress)
    check_executor(executor)
    run = partial(_run, teacher=teacher, tolerance=tolerance, max_steps=check_integer("max_steps", max_steps))
    found = [run(starts[:0])]
    try:
        with tqdm(total=len(starts), desc="runs", disable=not progress) as bar:
            for part in _spread(run, list(_chunks(starts)), executor):
                found.append(part)
                bar.update(len(part.loss))
    except TrainingError as error:
        error.finished = _joined(found)
        raise
    return _joined(found)


def _joined(parts: list[Runs]) -> Runs:
    return Runs(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Runs)))


def _chunks(starts: Array) -> Iterator[Array]:
    return (starts[first : first + _CHUNK] for first in range(0, len(starts), _CHUNK))


def _spread(run: Callable[[Array], Runs], chunks: list[Array], executor: Executor | None) -> Iterator[Runs]:
    """Return the runs of every chunk, in order."""
    if executor is None:
        yield from map(run, chunks)
        return
    futures: list[Future[Runs]] = []
    try:
        futures += [submitted(executor, run, chunk) for chunk in chunks]
        for future in futures:
            yield future.result()
    except RuntimeError as error:  # it has been shut down, or a worker died: BrokenExecutor is one, too
        raise TrainingError(
            f"the executor took or finished not all runs, {type(error).__name__}: {error}; the same call with a new "
            "one gives the same runs to the bit, and those of the first starts are in this error's .finished"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def _run(starts: Array, teacher: Array, tolerance: float, max_steps: int) -> Runs:
    with np.errstate(over="ignore", invalid="ignore"):  # a run that leaves float64's range has diverged, as it is told
        weights, norms, steps = descend(starts, teacher, tolerance, max_steps)
        finite = np.isfinite(norms)
        loss = np.full(len(starts), np.nan)
        loss[finite] = population_loss(weights[finite], teacher)
    curvature = np.full(len(starts), np.nan)
    for run in np.flatnonzero((norms <= tolerance) & (loss > _ZERO_LOSS)):
        curvature[run] = np.linalg.eigvalsh(hessian(weights[run], teacher))[0]
    unlike = [~finite, norms > tolerance, loss <= _ZERO_LOSS, curvature < _SADDLE]
    names = ["diverged", "not converged", "global minimum", "saddle point"]
    return Runs(weights, loss, norms, steps, curvature, np.select(unlike, names, "spurious minimum"))
