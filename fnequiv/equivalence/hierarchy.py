r"""The best move of a block, and of all blocks within it, while the others stay: one step of weight matching.

Notation. G[i, j] is the inner product of what unit i of b and unit j of a own, on the axes that a block lies on; its
best permutation is a linear assignment, which maximises Σ_i G[i, π(i)]. A flip takes \|G\| and its sign. A nested block
cannot be moved alone. Blocks with one permutation (nested with runs of one unit) form a *cluster*, whose gains are
added up. What lies within a cluster is matched for every pair (i, j) of its units first, run i with run j, and the
value of that is added to G[i, j]: so the groups are assigned by all that moves with them.

Two blocks of one hierarchy may meet in a diagonal cell, as the channels before and behind a grouped convolution. Its
gain is a product of both moves: whichever is matched second takes the first as found. Within a cluster it is a product
of two signs, and the best of all signs are found where these couplings form a tree. Any other tensor that two blocks
share counts as if all but one stayed. So a step is exact but for such tensors.

Source: Ainsworth et al. (2023), Algorithm 1, for the wreath products of nested blocks. Chapter: "Telling networks
apart".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import FloatArray, flips, owners_of, rows
from .elements import GroupElement, Move
from .signing import best_signs

IntArray = npt.NDArray[np.int64]
Arrays = Mapping[str, FloatArray]
Signs = dict[str, FloatArray]
_Gains = Mapping[tuple[str, bool], FloatArray]  # by block, and whether its signs reach them
_Found = dict[str, tuple[IntArray, FloatArray]]  # permutation and signs by block


@dataclass(eq=False)
class Cluster:
    """Blocks with one permutation of ``size`` units, and the clusters whose runs these units are."""

    size: int
    above: Cluster | None = None
    blocks: list[Block] = field(default_factory=list)
    children: list[Cluster] = field(default_factory=list)

    def below(self) -> Iterator[Cluster]:
        """Yield the cluster and all that lies within it."""
        yield self
        for child in self.children:
            yield from child.below()


def clusters(spec: SymmetrySpec) -> list[Cluster]:
    """Return the clusters that lie within no other.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> [[block.name for block in root.blocks] for root in clusters(mlp.spec((1, 2, 2, 1), "relu"))]
    [['layer1'], ['layer2']]
    """
    roots: list[Cluster] = []
    owner: dict[str, Cluster] = {}
    for block in spec.blocks:
        above = owner[block.within] if block.within else None
        if above is not None and above.size == block.size:
            owner[block.name] = above
        else:
            owner[block.name] = Cluster(block.size, above)
            (roots if above is None else above.children).append(owner[block.name])
        owner[block.name].blocks.append(block)
    return roots


@dataclass(frozen=True)
class _Coupling:
    """A diagonal cell between two blocks: its entries in b and a [groups, own units, other units, rest], one side."""

    other: str
    b: FloatArray
    a: FloatArray
    own_flips: bool
    other_flips: bool


class Step:
    """The best move of all blocks of ``root``, by the gains that it is given or reads off two networks' pieces.

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> b = {"0.weight": np.array([[1.0], [2.0]]), "2.weight": np.array([[3.0, 4.0]])}
    >>> a = {"0.weight": np.array([[2.0], [1.0]]), "2.weight": np.array([[4.0, 3.0]])}
    >>> spec = mlp.spec((1, 2, 1), "gelu", bias=False)
    >>> step = Step(spec, clusters(spec)[0])
    >>> step.read(a, b, None)
    >>> step.element()["layer1"].permutation
    array([1, 0])
    """

    def __init__(self, spec: SymmetrySpec, root: Cluster) -> None:
        self.spec, self.root = spec, root
        self._where = {block.name: cluster for cluster in root.below() for block in cluster.blocks}
        self._owner = owners_of(spec)
        self._diagonal = {cell.name: cell for cell in spec.cells if cell.diagonal}
        self._gains: dict[tuple[str, bool], FloatArray] = {}
        self._tied: dict[str, list[_Coupling]] = {block: [] for block in self._where}
        self._loose: dict[str, list[_Coupling]] = {block: [] for block in self._where}

    def add(self, block: Block, gains: FloatArray, *, flips: bool) -> None:
        """Add gains [units of b, units of a] to those of a block; ``flips`` says whether its signs reach them."""
        key = block.name, flips
        self._gains[key] = self._gains[key] + gains if key in self._gains else gains

    def read(self, a: Arrays, b: Arrays, known: Collection[str] | None) -> None:
        """Add the gains of all pieces, or of those alone that no other block moves but ``known`` ones."""
        for block in self.spec.blocks:
            for axis in block.axes if block.name in self._where else ():
                self._read_axis(a, b, block, axis, known)

    def element(self) -> GroupElement:
        """Return the move, as an element that leaves all other blocks where they are."""
        everything = np.arange(self.root.size)
        found = {block.name: (np.arange(block.size), np.ones(block.size)) for block in self.spec.blocks}
        self._solve(self.root, everything, everything, {}, found)
        return GroupElement({name: Move(order, signs) for name, (order, signs) in found.items()})

    def _read_axis(self, a: Arrays, b: Arrays, block: Block, axis: Axis, known: Collection[str] | None) -> None:
        """Count one axis: as a coupling, or as gains of the block alone."""
        dims = [dim for dim in range(b[axis.tensor].ndim) if dim != axis.axis]
        others = [self._owner[axis.tensor, dim] for dim in dims if (axis.tensor, dim) in self._owner]
        within = [(other, place) for other, place in others if other.name in self._where]
        if known is not None and not {other.name for other, _ in others} - self._where.keys() <= set(known):
            return
        kind = self._kind(block, axis, *within[0]) if len(within) == 1 else None
        if kind is not None:
            other, place = within[0]
            ours, theirs = (self._compact(array[axis.tensor], axis) for array in (b, a))
            kind[block.name].append(_Coupling(other.name, ours, theirs, flips(block, axis), flips(other, place)))
        elif known is None or not within:
            gains = rows(b[axis.tensor], axis, block) @ rows(a[axis.tensor], axis, block).T
            self.add(block, gains, flips=flips(block, axis))

    def _kind(self, block: Block, axis: Axis, other: Block, place: Axis) -> dict[str, list[_Coupling]] | None:
        """Return where a coupling belongs: of one cluster, or of clusters side by side; None if it is none of these."""
        cell = self._diagonal.get(axis.tensor)
        if cell is None or {axis.axis, place.axis} != {0, 1} or axis.repeat > 1 or place.repeat > 1:
            return None
        own, theirs = self._where[block.name], self._where[other.name]
        if own is theirs or theirs.above is own:
            common: Cluster | None = own
        else:
            common = own.above if own.above in (theirs, theirs.above) else None
        if common is None or common.size != cell.compact(self.spec.shapes[cell.tensor])[0]:
            return None
        return self._tied if own is theirs else self._loose

    def _compact(self, array: FloatArray, axis: Axis) -> FloatArray:
        """Return the blocks of a diagonal cell with the units of ``axis`` first, [groups, own, other, rest]."""
        cell = self._diagonal[axis.tensor]
        groups, m, n, *_ = cell.compact(self.spec.shapes[cell.tensor])
        each = np.arange(groups)
        blocks: FloatArray = array.reshape(groups, m, groups, n, -1)[each, :, each]
        return blocks if axis.axis == 0 else blocks.swapaxes(1, 2)

    def _solve(
        self, cluster: Cluster, ours: IntArray, theirs: IntArray, extra: _Gains, found: _Found | None
    ) -> tuple[float, IntArray, Signs]:
        """Match units ``theirs`` of a with units ``ours`` of b; return the value, the partners and their signs.

        ``extra`` holds gains that only count here. If ``found`` is given, the moves are written there, to the leaves.
        """
        values, signs = self._values(cluster, ours, theirs, extra)
        for x, y in np.ndindex(values.shape) if cluster.children else ():
            own = {name: sign[x, y] for name, sign in signs.items()}
            values[x, y] += self._within(cluster, int(ours[x]), int(theirs[y]), own, None)
        places, columns = linear_sum_assignment(values, maximize=True)
        chosen = {name: sign[places, columns] for name, sign in signs.items()}
        if found is not None:
            for name, sign in chosen.items():
                found[name][0][ours], found[name][1][ours] = theirs[columns], sign
            for x, y in zip(places, columns, strict=True):
                own = {name: sign[x] for name, sign in chosen.items()}
                self._within(cluster, int(ours[x]), int(theirs[y]), own, found)
        return float(values[places, columns].sum()), theirs[columns], chosen

    def _values(
        self, cluster: Cluster, ours: IntArray, theirs: IntArray, extra: _Gains
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return the gains of all pairs of units, summed over the blocks of the cluster, and the best signs."""
        values = np.zeros((len(ours), len(theirs)))
        bound: dict[str, FloatArray] = {}
        coupled: dict[str, dict[str, FloatArray]] = {}
        for block in cluster.blocks:
            parts = {True: np.zeros_like(values), False: np.zeros_like(values)}
            for flip in parts:
                if (block.name, flip) in self._gains:
                    parts[flip] += self._gains[block.name, flip][np.ix_(ours, theirs)]
                if (block.name, flip) in extra:
                    parts[flip] += extra[block.name, flip]
            values += parts[False]
            bound[block.name], coupled[block.name] = parts[True], {}
            for each in (each for each in self._tied[block.name] if each.other in bound):
                gains = each.b[ours].reshape(len(ours), -1) @ each.a[theirs].reshape(len(theirs), -1).T
                if each.own_flips and each.other_flips:
                    coupled[block.name][each.other] = coupled[block.name].get(each.other, 0.0) + gains
                elif each.own_flips or each.other_flips:
                    bound[block.name if each.own_flips else each.other] += gains
                else:
                    values += gains
        gained, signs = best_signs(bound, coupled)
        return values + gained, signs

    def _within(self, cluster: Cluster, i: int, j: int, own: Signs, found: _Found | None) -> float:
        """Match what lies within unit i of b and unit j of a, and return the value of that."""
        seen: dict[str, tuple[IntArray, FloatArray]] = {n: (np.zeros(1, int), np.array([s])) for n, s in own.items()}
        value = 0.0
        for repeated in range(1 if found is None else 2):  # once more, with what was found at first
            for child in sorted(cluster.children, key=self._blind):
                run = child.size // cluster.size
                ours, theirs = i * run + np.arange(run), j * run + np.arange(run)
                gain, partners, signs = self._solve(child, ours, theirs, self._extra(child, i, j, seen), found)
                seen |= {name: (partners - j * run, sign) for name, sign in signs.items()}
                value += gain if not repeated else 0.0
        return value

    def _blind(self, cluster: Cluster) -> bool:
        """Whether a cluster has no gains but where it meets others, so that it has to wait for these."""
        return not any((block.name, flip) in self._gains for block in cluster.blocks for flip in (True, False))

    def _extra(self, cluster: Cluster, i: int, j: int, seen: _Found) -> _Gains:
        """Return the gains of runs i and j where the blocks of a cluster meet others that have been matched."""
        extra: dict[tuple[str, bool], FloatArray] = {}
        for block in cluster.blocks:
            for each in (each for each in self._loose[block.name] if each.other in seen):
                partners, signs = seen[each.other]
                left = each.b[i] * signs[:, None] if each.other_flips else each.b[i]
                gains = np.tensordot(left, each.a[j][:, partners], axes=([1, 2], [1, 2]))
                key = block.name, each.own_flips
                extra[key] = extra[key] + gains if key in extra else gains
        return extra
