"""Find units that are equal in everything where several blocks move as one, so that no search has to tell them apart.

Notation. Blocks are *tied* where a tensor that both only carry is the identity matrix: their permutations are one, and
their signs each block's own (see :mod:`fnequiv.equivalence.memberships`; channels before and behind a BatchNorm are
tied). Two places of tied blocks are *twins* if exchanging the units there, in all blocks at once and with signs,
changes no tensor: dead channels, or copies. Any order of twins gives the same network, so one is chosen freely: the
twins of a class are numbered, and the numbers lie beside the network as one more tensor.

What is compared. A place owns one row on every axis where one of its units lies, and of a diagonal matrix on two axes
of tied blocks its diagonal entry. Each row answers to the signs of some of its units, its *character*. In the normal
form of a place the first nonzero entry of a row is positive, as far as characters that are independent allow. Places
with one normal form are twins. All twins are found, unless some tensor has two axes of tied blocks and is not diagonal
there: an exchange that moves its rows and columns at once may be left to the search.

Source: Example 2 and Proposition 1 of Shen (2024). Chapter: "Convolutional networks".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..symmetry import Axis, Block, SymmetrySpec
from .axes import Array, flips, owners_of

IntArray = npt.NDArray[np.int64]
Classes = dict[str, list[IntArray]]


@dataclass(frozen=True)
class _Row:
    """What the places of tied blocks own on one axis [places, ...], and the bits of the blocks whose signs reach it."""

    entries: Array
    character: int


def numbered_twins(
    arrays: Mapping[str, Array], spec: SymmetrySpec
) -> tuple[Mapping[str, Array], SymmetrySpec, Classes]:
    """Return the network with numbers beside it that tell twins in tied blocks apart, and these twins by block.

    Examples
    --------
    >>> first, second = (Block(n, 3, "permutation", (Axis(t, 0, "in"), Axis("tie", k, "carry"))) for k, (n, t) in
    ...                  enumerate([("f", "w"), ("s", "v")]))
    >>> spec = SymmetrySpec((first, second), {"w": (3,), "v": (3,), "tie": (3, 3)})
    >>> arrays = {"w": np.array([5.0, 5.0, 5.0]), "v": np.array([1.0, 2.0, 1.0]), "tie": np.eye(3)}
    >>> arrays, _, twins = numbered_twins(arrays, spec)
    >>> arrays["twins of f"].tolist(), twins["s"][0].tolist()
    ([0.0, 0.0, 1.0], [0, 2])
    """
    found: Classes = {}
    for tied in _tied(arrays, spec):
        rows = _rows(arrays, spec, tied)
        classes = [group for alike in _alike(rows) for group in _same(rows, alike)]
        if not classes:
            continue
        first = tied[0]
        numbers = np.zeros(first.size, next(iter(arrays.values())).dtype)
        for group in classes:
            numbers[group] = np.arange(len(group))
        name = f"twins of {first.name}"
        while name in spec.shapes:
            name += "'"
        grown = replace(first, axes=(*first.axes, Axis(name, 0, "carry")))
        blocks = tuple(grown if block.name == first.name else block for block in spec.blocks)
        arrays = {**arrays, name: numbers}
        spec = SymmetrySpec(blocks, {**spec.shapes, name: (first.size,)})
        found |= {block.name: classes for block in tied}
    return arrays, spec, found


def _tied(arrays: Mapping[str, Array], spec: SymmetrySpec) -> list[list[Block]]:
    """Return the sets of tied blocks, each in the order of the specification."""
    set_of = {block.name: {block.name} for block in spec.blocks}
    for name, places in spec.places.items():
        if [axis.role for axis, _ in places] != ["carry", "carry"] or arrays[name].ndim != 2:
            continue
        (_, first), (_, second) = places
        array = arrays[name]
        if first.size == second.size and np.count_nonzero(array) == first.size and (array.diagonal() == 1).all():
            joint = set_of[first.name] | set_of[second.name]
            set_of |= dict.fromkeys(joint, joint)
    sets = {id(names): names for names in set_of.values() if len(names) > 1}
    return [[block for block in spec.blocks if block.name in names] for names in sets.values()]


def _rows(arrays: Mapping[str, Array], spec: SymmetrySpec, tied: list[Block]) -> list[_Row]:
    """Return all rows of tied blocks, as views."""
    bits = {block.name: 1 << number for number, block in enumerate(tied)}
    owners = owners_of(spec)
    found = []
    for name in dict.fromkeys(axis.tensor for block in tied for axis in block.axes):
        array = arrays[name]
        own = [owners[name, dim] for dim in range(array.ndim) if (name, dim) in owners]
        own = [(block, axis) for block, axis in own if block.name in bits]
        characters = [bits[block.name] * flips(block, axis) for block, axis in own]
        if len(own) == 2 and all(axis.repeat == 1 for _, axis in own):
            diagonal = np.moveaxis(np.diagonal(array, axis1=own[0][1].axis, axis2=own[1][1].axis), -1, 0)
            if np.count_nonzero(array) == np.count_nonzero(diagonal):
                found.append(_Row(diagonal, characters[0] ^ characters[1]))
                continue
        for (block, axis), character in zip(own, characters, strict=True):
            moved = np.moveaxis(array, axis.axis, 0)
            found.append(_Row(moved.reshape(block.size, axis.repeat, *moved.shape[1:]), character))
    return found


def _alike(rows: list[_Row]) -> list[IntArray]:
    """Return the sets of places that agree in the size of one entry a row: most networks have none."""
    firsts = []
    for entries in (row.entries for row in rows if row.entries.size):
        while entries.ndim > 1:
            entries = entries[:, 0]
        firsts.append(np.abs(entries))
    return _equal(np.stack(firsts, axis=1), np.arange(len(firsts[0])))


def _same(rows: list[_Row], places: IntArray) -> list[IntArray]:
    """Return the classes of twins among some places."""
    own = [(row.entries[places].reshape(len(places), -1), row.character) for row in rows if row.entries.size]
    first = np.stack([np.sign(each[np.arange(len(each)), (each != 0).argmax(axis=1)]) for each, _ in own], axis=1)
    signs = np.array([_signs(seen, [character for _, character in own]) for seen in first])
    return _equal(np.hstack([each * signs[:, [number]] for number, (each, _) in enumerate(own)]), places)


def _signs(first: Array, characters: list[int]) -> list[int]:
    """Return the sign that each row of one place takes in the normal form, given the signs of their first entries."""
    pivots: dict[int, tuple[int, int]] = {}  # by leading bit: a character, and 1 if its sign has to change

    def reduced(character: int) -> tuple[int, int]:
        """Return what the pivots leave of a character, and 1 if its sign has to change."""
        change = 0
        while character and character.bit_length() in pivots:
            other, its = pivots[character.bit_length()]
            character, change = character ^ other, change ^ its
        return character, change

    for sign, character in zip(first, characters, strict=True):
        rest, change = reduced(character)
        if rest and sign:
            pivots[rest.bit_length()] = rest, change ^ int(sign < 0)
    return [-1 if reduced(character)[1] else 1 for character in characters]


def _equal(keys: Array, places: IntArray) -> list[IntArray]:
    """Return the sets of places with equal rows of ``keys``."""
    _, inverse, counts = np.unique(keys + 0.0, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    return [places[inverse == number] for number in np.flatnonzero(counts > 1)]
