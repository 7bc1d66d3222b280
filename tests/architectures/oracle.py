"""The permutation group of a small network, found by evaluating it and in no other way.

Notation. θ is the vector of all floating entries of the state dictionary (a tied tensor once), F(θ) the outputs on
fixed inputs. G is the group of permutations π of the entries that keep every tensor to itself and F(πθ) = F(θ)
for every θ. Entries that F does not see at all (the key bias of an attention) are left out.

Why the search is complete. Let every tensor be constant at θ_0: then π θ_0 = θ_0 for *every* π that keeps tensors to
themselves. So for π in G and entries a_1, ..., a_k, c

    F(θ_0 + Σ s_i e_{a_i} + t e_c) = F(θ_0 + Σ s_i e_{π a_i} + t e_{π c}),

which is a necessary condition on the images of a_1, ..., a_k, c and needs only evaluations. The search fixes a base
a_1, ..., a_k that tells all entries apart by these values, tries all images of the base that the condition admits
and completes each to a permutation, and keeps it if F(πθ) = F(θ) at generic θ. What is found is thus
certain, what is not found is excluded, and the order is the product of the orbits along the base (Schreier and Sims).
Nothing here reads a graph, a module's type or a specification.
"""

from dataclasses import dataclass

import numpy as np
import torch
from evaluating import Function
from sympy.combinatorics import Permutation, PermutationGroup

TOLERANCE = 1e-9  # at generic θ, relative to the largest output: rounding leaves 1e-13
SLACK = 1e-6  # at symmetric θ: norms of constant features swell rounding to 7e-9; too much of it costs only time
PATIENCE = 5000  # evaluations of all single changes before the search gives up


@dataclass(frozen=True)
class Group:
    """A group of permutations of the entries that the function sees."""

    order: int
    live: np.ndarray  # the entries that F sees, by their place in the vector
    generators: tuple[np.ndarray, ...]  # images of the live entries, as indices into ``live``

    def contains(self, permutation):
        """Whether a permutation of all entries, restricted to the live ones, is an element."""
        restricted = self.restricted(permutation).tolist()
        return self.permutations().contains(Permutation(restricted, size=max(len(restricted), 1)))

    def restricted(self, permutation):
        """Images of the live entries under a permutation of all entries, which must keep them among themselves."""
        place = np.full(len(permutation), -1)
        place[self.live] = np.arange(len(self.live))
        restricted = place[permutation[self.live]]
        assert (restricted >= 0).all(), "an entry that the function sees is exchanged with one it does not see"
        return restricted

    def permutations(self):
        """The group for SymPy, whose own algorithms check the order."""
        return generated(self.generators, len(self.live))


def generated(permutations, degree):
    """The group that some permutations generate."""
    size = max(degree, 1)  # SymPy has no group on nothing
    return PermutationGroup([Permutation(size=size), *(Permutation(p.tolist(), size=size) for p in permutations)])


def symmetries(model, inputs, seed=0):
    """The group of all tensor-keeping permutations of entries that leave the model's function as it is."""
    search = Search(Function(model, inputs), np.random.default_rng(seed))
    return search.group()


def split(cells, signatures):
    """Cells of equal old cell and equal signature."""
    codes, slack = [cells], SLACK * max(1.0, np.abs(signatures).max(initial=0.0))
    for row in signatures:
        order = np.argsort(row)
        code = np.empty(len(row), dtype=int)
        code[order] = np.cumsum(np.diff(row[order], prepend=-np.inf) > slack)
        codes.append(code)
    return np.unique(codes, axis=1, return_inverse=True)[1].reshape(-1)


def apart(cells, entry):
    """The same cells, but one entry has a cell of its own."""
    cells = cells.copy()
    cells[entry] = cells.max() + 1
    return cells


@dataclass(frozen=True)
class Round:
    """One step of a refinement: θ constant on the old cells, F there with each entry changed, the new cells."""

    values: np.ndarray  # [draws, old cells], of θ
    signatures: np.ndarray  # [draws, entries], of F
    old: np.ndarray  # the cell of every entry
    new: np.ndarray
    parted: np.ndarray  # which old cells are more than one new cell: only they need measuring again

    def follow(self, cells, signatures):
        """The new cells of images with these old cells and signatures, or None if they are not like ours."""
        joint = split(np.append(self.old, cells), np.append(self.signatures, signatures, axis=1))
        ours, theirs = np.split(joint, 2)
        names = np.full(joint.max() + 1, -1)
        names[ours] = self.new
        alike = np.array_equal(names[ours], self.new) and np.array_equal(np.sort(ours), np.sort(theirs))
        return names[theirs] if alike else None


class Search:
    """The search through the images of a base."""

    def __init__(self, function, rng):
        self.function, self.rng, self.evaluations = function, rng, 0
        self.generic = torch.as_tensor(self.draw(function.owner, 6))
        self.values = function(self.generic)
        self.scale = self.values.abs().max().item()
        self.live = self.seen()
        self.projection = torch.as_tensor(rng.normal(size=self.values.shape[1]) / self.values.shape[1] ** 0.5)
        self.base, self.levels = self.choose_base()

    def draw(self, tensors, draws):
        """Values for cells in these tensors; variances are positive."""
        size = draws, len(tensors)
        values = self.rng.uniform(0.2, 1.0, size) * self.rng.choice([-1, 1], size)
        return np.where(self.function.positive[tensors], np.abs(values), values)

    def seen(self):
        """The entries that change F at some generic θ: draws go on until twelve in a row show no other."""
        unseen, idle = np.arange(len(self.function.owner)), 0
        while len(unseen) and idle < 12:
            theta = torch.as_tensor(self.draw(self.function.owner, 1))
            steps = torch.eye(theta.shape[1], dtype=torch.float64)[unseen]
            change = (self.function(theta + 0.7 * steps) - self.function(theta)).abs().amax(1).numpy()
            idle = 0 if (change > TOLERANCE * self.scale).any() else idle + 1
            unseen = unseen[change <= TOLERANCE * self.scale]
        return np.setdiff1d(np.arange(len(self.function.owner)), unseen)

    def measure(self, values, cells, moved):
        """F, projected to a number, at θ constant on cells but for one entry, for every entry that is to be moved."""
        self.evaluations += 1
        assert self.evaluations < PATIENCE, "the search takes too long: the model is too large or too symmetric"
        theta = np.full((len(values), len(self.function.owner)), 0.5)
        theta[:, self.live] = values[:, cells]
        steps = 0.7 * torch.eye(theta.shape[1], dtype=torch.float64)[self.live[moved]]
        outputs = self.function((torch.as_tensor(theta)[:, None] + steps).flatten(0, 1))
        signatures = np.zeros((len(values), len(cells)))
        signatures[:, moved] = (outputs @ self.projection).view(len(values), -1)
        return signatures

    def refine(self, cells):
        """Rounds of refinement until the cells stay as they are, and these cells."""
        rounds = []
        while cells.max(initial=-1) + 1 < len(cells):
            tensors = self.function.owner[self.live[np.unique(cells, return_index=True)[1]]]
            values = self.draw(tensors, 2)
            signatures = self.measure(values, cells, np.bincount(cells)[cells] > 1)
            finer = split(cells, signatures)
            if finer.max() == cells.max():
                break
            parts = np.bincount(np.unique([cells, finer], axis=1)[0])
            rounds.append(Round(values, np.where(parts[cells] > 1, signatures, 0), cells, finer, parts > 1))
            cells = finer
        return rounds, cells

    def choose_base(self):
        """Entries a_1, ..., a_k that tell all entries apart, and the rounds behind each of them."""
        base, levels = [], [self.refine(np.unique(self.function.owner[self.live], return_inverse=True)[1])]
        while True:
            cells = levels[-1][1]
            sizes = np.bincount(cells)[cells]
            if (sizes == 1).all():
                return base, levels
            base.append(int(np.where(sizes > 1, sizes, sizes.max() + 1).argmin()))
            levels.append(self.refine(apart(cells, base[-1])))

    def candidates(self, level, cells):
        """The images of the next entry of the base that these cells admit."""
        return (cells == self.levels[level][1][self.base[level]]).nonzero()[0]

    def extend(self, level, cells, image):
        """A permutation in G that follows these cells and maps the next entry of the base to this image, or None."""
        cells = apart(cells, image)
        rounds, ours = self.levels[level + 1]
        for step in rounds:
            cells = step.follow(cells, self.measure(step.values, cells, step.parted[cells]))
            if cells is None:
                return None
        if level + 1 == len(self.base):
            permutation = np.argsort(cells)[ours]
            return permutation if self.preserves(permutation) else None
        extensions = (self.extend(level + 1, cells, image) for image in self.candidates(level + 1, cells))
        return next((found for found in extensions if found is not None), None)

    def preserves(self, permutation):
        """Whether F(πθ) = F(θ) at generic θ, for π as images of the live entries."""
        moved = self.generic.clone()
        moved[:, self.live[permutation]] = self.generic[:, self.live]
        return bool(((self.function(moved) - self.values).abs() <= TOLERANCE * self.scale).all())

    def group(self):
        """All of G: from the last entry of the base to the first, whatever else it can be mapped to."""
        generators, order = [], 1
        for level in reversed(range(len(self.base))):
            cells = self.levels[level][1]  # every generator so far fixes the entries before this one
            orbit, barren = orbit_of(self.base[level], generators), set()
            for image in self.candidates(level, cells):
                if image in orbit or image in barren:
                    continue
                found = self.extend(level, cells, image)
                if found is None:
                    barren |= orbit_of(int(image), generators)
                else:
                    generators.append(found)
                    orbit = orbit_of(self.base[level], generators)
            order *= len(orbit)
        return Group(order, self.live, tuple(generators))


def orbit_of(point, generators):
    """All images of a point under products of the generators."""
    orbit, new = {point}, [point]
    while new:
        at = new.pop()
        for image in {int(generator[at]) for generator in generators} - orbit:
            orbit.add(image)
            new.append(image)
    return orbit
