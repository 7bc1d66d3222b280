r"""Is a start within δ/2 of a permuted copy of θ̂, and of how many? Decided exactly, for many starts at once.

Notation. P = (P_1, …, P_L) permutes the hidden neurons of θ̂; Pθ̂ is a *copy* and C(Pθ̂) the open cube of radius
r = δ/2 ≤ Δ_min/2 around it. *Ties* are equal rows of one hidden layer, *twins* are ties whose columns are equal too.

**Why no assignment problem has to be solved.** A point is within r of at most one of several points that are 2r or more
apart. So each row of the start's first layer is near at most one distinct row of θ̂, and the number of rows near each
must be its multiplicity. That settles P_1 up to ties. With it the columns of the second layer can be put in θ̂'s order,
and the same argument settles P_2; and so on to the output layer, where the entries are compared.

**Ties.** P_l factors as t τ w: w moves twins, which leaves θ̂ as it is; τ runs through the orders of ties that move
their columns; t keeps ties in order. The argument above finds t for each copy τθ̂, of which there is one alone unless
ties have different columns. So the number of P with the start in C(Pθ̂) is Π |w| times the number of τ that fit.

The theorem on initialisation in section 5.2 of Shen (2024) is about this union. Chapter: "Optimisation".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from ..validation import shown
from .laws import Array
from .rows import Network, classes

__all__ = ["Union", "permuted", "union"]

Order = npt.NDArray[np.intp]
MAX_ARRANGEMENTS = 720


@dataclass(frozen=True)
class Union:
    """The cubes of radius ``radius`` around all copies of a network.

    ``arrangements`` are the copies τθ̂, ``log_twins`` is ln Π|w|, of the number of permutations that leave each alone.
    """

    arrangements: tuple[Network, ...]
    log_twins: float
    radius: float

    def log_copies_near(self, starts: Network) -> Array:
        """Return for every start ln K, K the number of permutations P with the start in C(Pθ̂); -inf for none.

        ``starts`` holds weights [n, d_out, d_in] and biases [n, d_out].
        """
        found = np.sum([_near(copy, starts, self.radius) for copy in self.arrangements], axis=0)
        with np.errstate(divide="ignore"):
            return np.log(found) + self.log_twins


def union(network: Network, radius: float) -> Union:
    """Return the cubes around all copies of a network; the radius must be at most Δ_min/2.

    Raises
    ------
    ValueError
        If ties with different columns can be ordered in more than 720 ways.

    Examples
    --------
    >>> twins = Network((np.ones((2, 1)), np.ones((1, 2))), (None, None))
    >>> ties = Network((np.ones((2, 1)), np.array([[1.0, 2.0]])), (None, None))
    >>> [(round(found.log_twins, 4), len(found.arrangements)) for found in (union(twins, 0.1), union(ties, 0.1))]
    [(0.6931, 1), (0.0, 2)]
    """
    groups = [_tied(network, layer) for layer in network.hidden]
    flat = [labels for layer in groups for _, labels in layer]
    twins = math.prod(math.factorial(count) for labels in flat for count in np.bincount(labels).tolist())
    number = math.prod(math.factorial(len(labels)) for labels in flat) // twins
    if number > MAX_ARRANGEMENTS:
        raise ValueError(
            f"ties with different outgoing weights must have at most {MAX_ARRANGEMENTS} orders, got {shown(number)}: "
            "perturb the equal rows, or make their columns equal too"
        )
    orders = [_orders(len(network.weights[layer]), groups[layer]) for layer in network.hidden]
    return Union(tuple(permuted(network, choice) for choice in product(*orders)), math.log(twins), radius)


def permuted(network: Network, orders: tuple[Order, ...]) -> Network:
    """Return the copy of a network whose hidden layer l has the rows ``orders[l]``, columns moved along.

    Orders of shape [n, d_l] give n copies at once.

    Examples
    --------
    >>> network = Network((np.array([[1.0], [2.0]]), np.array([[3.0, 4.0]])), (np.array([5.0, 6.0]), None))
    >>> [tensor.tolist() for tensor in permuted(network, (np.array([1, 0]),)).tensors]
    [[[2.0], [1.0]], [6.0, 5.0], [[4.0, 3.0]]]
    """
    weights, biases = [], []
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if layer in network.hidden:
            weight, bias = weight[orders[layer]], None if bias is None else bias[orders[layer]]
        if layer:
            columns = orders[layer - 1][..., None, :]
            shape = (*columns.shape[:-2], *weight.shape[-2:])
            weight = np.take_along_axis(np.broadcast_to(weight, shape), columns, axis=-1)
        weights.append(weight)
        biases.append(bias)
    return Network(tuple(weights), tuple(biases))


def stacked(networks: Sequence[Network]) -> Network:
    """Return networks of one shape as starts, their tensors stacked along a first axis.

    Examples
    --------
    >>> network = Network((np.ones((2, 1)), np.ones((1, 2))), (np.ones(2), None))
    >>> [tensor.shape for tensor in stacked([network, network, network]).tensors]
    [(3, 2, 1), (3, 2), (3, 1, 2)]
    """
    weights = zip(*(network.weights for network in networks), strict=True)
    biases = zip(*(network.biases for network in networks), strict=True)
    return Network(
        tuple(np.stack(same) for same in weights),
        tuple(None if same[0] is None else np.stack(same) for same in biases),
    )


def _tied(network: Network, layer: int) -> list[tuple[Order, npt.NDArray[np.intp]]]:
    """Return the neurons of every class of ties of a hidden layer, with numbers that are equal for twins."""
    rows, columns = classes(network.rows(layer)), classes(network.weights[layer + 1].T)
    places = [np.flatnonzero(rows == number) for number in np.flatnonzero(np.bincount(rows) > 1)]
    return [(place, np.unique(columns[place], return_inverse=True)[1]) for place in places]


def _orders(width: int, groups: list[tuple[Order, npt.NDArray[np.intp]]]) -> Iterator[Order]:
    """Yield one permutation of a layer for every way to order its ties, twins taken as one."""
    choices = [list(_places(range(len(labels)), np.bincount(labels).tolist())) for _, labels in groups]
    for choice in product(*choices):
        order = np.arange(width)
        for (place, labels), chosen in zip(groups, choice, strict=True):
            for label, taken in enumerate(chosen):
                order[place[list(taken)]] = place[labels == label]
        yield order


def _places(free: Sequence[int], counts: list[int]) -> Iterator[list[Sequence[int]]]:
    """Yield every way to share out the free places, so many to each kind."""
    if len(counts) == 1:
        yield [free]
        return
    for taken in combinations(free, counts[0]):
        rest = [place for place in free if place not in set(taken)]
        for others in _places(rest, counts[1:]):
            yield [taken, *others]


def _near(network: Network, starts: Network, radius: float) -> npt.NDArray[np.bool_]:
    """Return whether each start is in the cube of a copy that keeps ties in order."""
    total = len(starts.weights[0])
    alive = np.arange(total)
    match: Order | None = None  # the start's neuron that plays each neuron of θ̂, of the layer before
    for layer, (weight, bias) in enumerate(zip(starts.weights, starts.biases, strict=True)):
        rows = weight[alive]
        if match is not None:
            rows = np.take_along_axis(rows, match[:, None, :], axis=2)
        if bias is not None:
            rows = np.concatenate([rows, bias[alive][:, :, None]], axis=2)
        centres = network.rows(layer)
        if layer in network.hidden:
            fits, match = _matched(rows, centres, radius)
            match = match[fits]
        else:
            fits = np.asarray((np.abs(rows - centres) < radius).all(axis=(1, 2)))
        alive = alive[fits]
    found = np.zeros(total, dtype=bool)
    found[alive] = True
    return found


def _matched(rows: Array, centres: Array, radius: float) -> tuple[npt.NDArray[np.bool_], Order]:
    """Return whether rows [n, d, D] are near ``centres`` [d, D] in some order, and the row that plays each centre."""
    labels = classes(centres)
    distinct = np.unique(centres, axis=0)
    near = np.ones((*rows.shape[:2], len(distinct)), dtype=bool)
    for entry in range(centres.shape[1]):
        near &= np.abs(rows[:, :, entry, None] - distinct[:, entry]) < radius
    found = np.where(near.any(axis=2), near.argmax(axis=2), len(distinct))
    order, own = np.argsort(found, axis=1, kind="stable"), np.argsort(labels, kind="stable")
    match = np.empty_like(order)
    match[:, own] = order
    return (np.take_along_axis(found, order, axis=1) == labels[own]).all(axis=1), match
