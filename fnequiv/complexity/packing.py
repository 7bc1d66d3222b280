r"""A lower bound on a covering number: many networks of the class, pairwise more than 2ε apart.

Notation of :mod:`fnequiv.complexity.certificates`. Two functions in one ball of radius ε are at most 2ε apart, whatever
its centre is. So a set P ⊂ F whose members differ pairwise by more than 2ε at some input gives N(F, ε) ≥ |P|.

The search keeps such a set P and proposes networks: fresh ones, many of whose parameters lie at ±B, where packings
live; members of P, perturbed; and members of P with a hidden neuron taken from another member, which finds most. A
proposal that is far from all of P joins it. Proposals that are near to one member alone and far from each other
replace it: two for one is a gain; one for one changes P, so that the search does not get stuck. P never shrinks.

Theorem: the duality of packing and covering (A. N. Kolmogorov and V. M. Tikhomirov, 1959).
Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ..activations import Activation
from ..validation import check_integer
from .certificates import Array, Integers, NetworkClass, Packing, as_inputs, check_search

# The members of P are this much further apart than 2ε, far above the rounding error of an evaluation.
SLACK = 1e-9
# Proposals near to at most one member that a round looks at: their number enters squared.
MAX_CONSTANTS = 10**5
MAX_LOOSE = 500


def packing(
    widths: tuple[int, ...],
    *,
    B: float,
    Bx: float,
    activation: str | Activation,
    eps: float,
    rng: np.random.Generator,
    domain: str = "l2",
    inputs: npt.ArrayLike | None = None,
    rounds: int = 300,
    proposals: int = 1000,
    progress: bool = False,
) -> Packing:
    """Search for a large packing of a class of networks of any shape.

    Parameters
    ----------
    widths
        (d_0, …, d_{L+1}); the search is meant for tiny classes, but any depth and any output dimension will do.
    B, Bx
        Bounds on parameters and inputs, > 0.
    activation
        Name or :class:`~fnequiv.activations.Activation` of all hidden layers.
    eps
        Radius ε > 0 of the balls.
    rng
        The only source of randomness.
    domain
        ``"l2"``: ‖x‖_2 ≤ B_x; ``"linf"``: ‖x‖_∞ ≤ B_x.
    inputs
        [m, d_0], where networks are compared; by default 17 points of an interval, or 64 points drawn in the domain,
        most of them on its boundary.
    rounds, proposals
        How many rounds of how many proposals. More find more.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Packing
        Never empty; :func:`fnequiv.complexity.bracket.verify` checks it independently.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is outside its range.

    Examples
    --------
    >>> found = packing((1, 1, 1), B=1, Bx=1, activation="relu", eps=0.5, rng=np.random.default_rng(0), rounds=20)
    >>> found.size > 8, found.network(0)["2.weight"].shape
    (True, (1, 1))
    """
    family, eps = check_search(widths, B, Bx, activation, eps, domain, rng)
    check_integer("rounds", rounds, minimum=0)
    check_integer("proposals", proposals)
    if eps * MAX_CONSTANTS < family.B:
        raise ValueError(f"eps must be at least B/{MAX_CONSTANTS}, got {eps}: a packing starts from B/eps constants")
    points = _default_inputs(family, rng) if inputs is None else as_inputs(inputs, family)
    search = _Search(family, 2 * eps * (1 + SLACK) + SLACK * family.B, points, rng)
    for _ in tqdm(range(rounds), "packing", disable=not progress):
        search.round(proposals)
    return Packing(family, eps, search.networks, points)


def _default_inputs(family: NetworkClass, rng: np.random.Generator) -> Array:
    dimension = family.widths[0]
    if dimension == 1:
        return np.linspace(-family.Bx, family.Bx, 17)[:, None]
    directions = rng.normal(size=(64, dimension))
    norm = np.abs(directions).max(axis=1) if family.domain == "linf" else np.linalg.norm(directions, axis=1)
    radii = np.where(np.arange(64) < 48, 1.0, np.linspace(0, 1, 64)) * (1 - 1e-14)
    return directions * (radii / norm * family.Bx)[:, None]


class _Search:
    """A packing that grows: ``networks`` and their ``values`` at the inputs, more than ``distance`` apart."""

    def __init__(self, family: NetworkClass, distance: float, inputs: Array, rng: np.random.Generator) -> None:
        self.family, self.distance, self.inputs, self.rng = family, distance, inputs, rng
        # Start from constants: every output is a bias, so these alone need B/ε balls.
        step = distance * (1 + SLACK)
        count = int(2 * family.B / step) + 1
        self.networks = np.zeros((count, family.size))
        self.networks[:, -1] = -family.B + step * np.arange(count)
        self.values = family.evaluate(self.networks, inputs)
        self.neurons = _neurons(family.widths)

    def round(self, proposals: int) -> None:
        """Propose, and take what enlarges or changes the packing."""
        fresh = max(1, proposals // 10)
        candidates = np.concatenate([self._fresh(fresh), self._perturbed(fresh), self._crossed(proposals - 2 * fresh)])
        values = self.family.evaluate(candidates, self.inputs)
        near, member = self._conflicts(values, self.values)
        conflicts = np.bincount(near, minlength=len(values))
        owner = np.full(len(values), -1)
        owner[near] = member  # the only one, where there is only one
        loose = self.rng.permutation(np.flatnonzero(conflicts <= 1))[:MAX_LOOSE]
        candidates, values, owner = candidates[loose], values[loose], owner[loose]
        touching = np.zeros((len(loose), len(loose)), dtype=bool)
        touching[self._conflicts(values, values)] = True

        taken: list[int] = []
        leaving: list[int] = []
        blocked = np.zeros(len(loose), dtype=bool)
        for place in [-1, *np.unique(owner[owner >= 0]).tolist()]:
            group: list[int] = []
            closed = blocked.copy()
            for candidate in np.flatnonzero((owner == place) & ~blocked):
                if not closed[candidate]:
                    group.append(int(candidate))
                    closed |= touching[candidate]
            if place < 0 or len(group) > 1 or (group and self.rng.random() < 0.5):
                taken += group
                leaving += [place] if place >= 0 else []
                blocked = closed
        staying = np.ones(len(self.networks), dtype=bool)
        staying[leaving] = False
        self.networks = np.concatenate([self.networks[staying], candidates[taken]])
        self.values = np.concatenate([self.values[staying], values[taken]])

    def _conflicts(self, left: Array, right: Array) -> tuple[Integers, Integers]:
        """Return the pairs (i, j) that are within the distance at every input; few survive the first inputs."""
        columns = left.shape[1]
        order = [0, columns - 1, columns // 2, *range(1, columns // 2), *range(columns // 2 + 1, columns - 1)]
        i, j = np.nonzero(np.abs(left[:, order[0], None] - right[None, :, order[0]]) <= self.distance)
        for column in order[1:]:
            within = np.abs(left[i, column] - right[j, column]) <= self.distance
            i, j = i[within], j[within]
        return i, j

    def _fresh(self, count: int) -> Array:
        networks = self.rng.uniform(-1, 1, (count, self.family.size))
        snapped = self.rng.random(networks.shape) < self.rng.choice([0.0, 0.3, 0.6, 0.8, 0.9], (count, 1))
        return self.family.B * np.where(snapped, np.sign(networks), networks)

    def _perturbed(self, count: int) -> Array:
        networks = self.networks[self.rng.integers(len(self.networks), size=count)]
        steps = self.family.B * self.rng.choice([0.05, 0.2, 0.6], (count, 1)) * self.rng.normal(size=networks.shape)
        moved = self.rng.random(networks.shape) < self.rng.choice([0.1, 0.2, 0.4], (count, 1))
        return np.clip(networks + np.where(moved, steps, 0.0), -self.family.B, self.family.B)

    def _crossed(self, count: int) -> Array:
        """Give members a hidden neuron, with its row, bias and outgoing column, of another member."""
        if not self.neurons:
            return self._perturbed(count)
        first, second = self.rng.integers(len(self.networks), size=(2, count))
        networks = self.networks[first].copy()
        layer = self.rng.integers(len(self.neurons), size=count)
        for index, places in enumerate(self.neurons):
            chosen = np.flatnonzero(layer == index)
            target, source = self.rng.integers(len(places), size=(2, len(chosen)))
            networks[chosen[:, None], places[target]] = self.networks[second[chosen, None], places[source]]
        return networks


def _neurons(widths: tuple[int, ...]) -> list[Integers]:
    """Return, a hidden layer, [d_l, d_{l-1} + 1 + d_{l+1}]: where each neuron's numbers stand in a row of S."""
    starts = np.cumsum([0] + [(below + 1) * here for below, here in pairwise(widths)])
    neurons = []
    for layer in range(len(widths) - 2):
        below, here, above = widths[layer : layer + 3]
        units = np.arange(here)[:, None]
        rows = starts[layer] + units * below + np.arange(below)
        biases = starts[layer] + here * below + units
        columns = starts[layer + 1] + np.arange(above) * here + units
        neurons.append(np.concatenate([rows, biases, columns], axis=1))
    return neurons
