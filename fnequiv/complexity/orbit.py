r"""The orbit bound on a grid: cover the parameters, and count the grid's orbits instead of its points.

Notation as in :mod:`fnequiv.complexity.sensitivity` (A, G, Z, H, ρ) and :mod:`fnequiv.complexity.words` (words,
multisets); S parameters. The paper's idea (Shen 2024, Theorems 1 and 2), with a count that is right for every grid;
chapter "Covering numbers".

**Grid.** Block k (a W^(l), c_k = G_l A_{l-1}, or a b^(l), c_k = G_l) of s_k numbers gets the resolution
δ_k = ε s_k/(S c_k): it minimises Σ s_k ln(1/δ_k) subject to Σ c_k δ_k = ε. K_k = ⌈B/δ_k⌉ equally spaced centres cover
[-B, B] to within δ_k. Centres are networks of the class, so the sensitivity inequality makes this a cover.

**Orbits.** Go through the hidden layers in order. Round layer l's rows to words, sort the neurons by their words,
carry the columns of layer l + 1 along, and only then round layer l + 1: only a multiset of d_l words has to be
written down.

    N(F, ε) ≤ Π_{l=1}^L C(M_l + d_l - 1, d_l) · M_{L+1}^{d_{L+1}},    M_l = K_{W,l}^{d_{l-1}} K_{b,l}.

This holds for every ε > 0. Because a layer is rounded after the one before it is sorted, the words need no symmetry.

**Signed** (σ_l odd or even). Negating a row changes at most the sign of the neuron's outgoing column. Rows matter
only up to sign, and v ↦ -v maps the grid to itself: M_l becomes (M_l + z)/2, z = 1 iff both K are odd (then the
zero word is its own negative).

**Scaled** (σ_l(λx) = λσ_l(x), λ > 0). Multiply a non-zero row by λ = B/max|entry| ≥ 1 and divide the neuron's
outgoing column by λ: every entry stays in [-B, B], and the row now lies on the *boundary* of the cube. A zero row
computes σ_l(0) = 0; replace it by any boundary row and its column by 0. So F is the class with every hidden row on
the boundary, all ranges being as before, for every B. The 2d_{l-1} faces |W_ij| = B and the two faces |b_i| = B
hold

    M_l = 2 d_{l-1} K_W^{d_{l-1}-1} K_b + 2 K_W^{d_{l-1}}

words: a dimension fewer. The shares s_k may shrink by d_{l-1}/(d_{l-1}+1) with it; the better of both ways is taken.
Opposite faces merge if σ_l has a parity too. A layer may also leave its rows unscaled, so the smaller M_l is taken:
on a grid, scaling never costs more than permutations alone. (Refined bounds promise no such thing: there scaling also
changes how ε is shared.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .sensitivity import Ranges
from .words import log_ceil, log_multisets

Array = npt.NDArray[np.float64]
Count = int | npt.NDArray[np.int64]
Value = float | Array  # arrays inside the computation, floats in an OrbitBound

SYMMETRIES = ("none", "permutation", "signed", "scaled", "signed_scaled", "best")

_HEAD = ("layer", "fan-in", "width", "cover", "ln δ_W", "ln δ_b", "ln K_W", "ln K_b", "ln M", "nats", "saved", "shells")


class Used(NamedTuple):
    """Which symmetries each hidden layer uses, and the name of the choice."""

    name: str
    permute: tuple[bool, ...]
    signed: tuple[bool, ...]
    scaled: tuple[bool, ...]


@dataclass(frozen=True)
class LayerTerms:
    """One layer's part of a bound. Everything but the three integers and ``cover`` is a natural logarithm.

    d_l (log_weight_words + log_bias_words) = log_count + log_saved + log_shells.

    Attributes
    ----------
    layer, fan_in, width
        l, the weights that a row's words hold, and d_l. The fan-in is d_{l-1}, but 0 where the cover drops the layer's
        weights, and d_L + d_{L-1} for the rows (a, v) after a reflected layer (:mod:`fnequiv.complexity.reflected`).
    cover
        How the rows are covered: ``"grid"``, ``"volume"`` or, all at once, ``"matrix"``; with ``"faces"`` where they
        are scaled, and with ``"shells"`` where the layers below profit from them.
    log_weight_resolution, log_bias_resolution
        ln δ_W (for ``"grid"`` bounds; in refined ones the ℓ_p radius τ of a row's weights, or the radius t of a matrix
        in operator norm; of a alone in rows (a, v)) and ln δ_b. For ``"faces"`` in refined bounds, those of the rows
        with |b_i| = B: other faces divide the same budget among one dimension fewer.
    log_weight_words, log_bias_words
        ln of the words for the weights of one row, and of the levels of its bias, at these resolutions and before any
        symmetry. Where the words are for the whole matrix, they are divided by d_l, and so is ``log_words``.
    log_words
        ln M_l, words for a row after sign and scale (for a matrix, after its order too).
    log_count
        The layer's contribution to the bound: ln of the multisets of words, or of their sequences in the last layer,
        less ``log_shells``.
    log_saved
        The symmetry's share: what order, sign and scale take from the nats of words before any symmetry.
    log_shells
        The shells' share (:mod:`fnequiv.complexity.shells`): nats that need no symmetry; 0 without ``"shells"``.
    """

    layer: int
    fan_in: Count
    width: int
    cover: str | npt.NDArray[np.str_]
    log_weight_resolution: Value
    log_bias_resolution: Value
    log_weight_words: Value
    log_bias_words: Value
    log_words: Value
    log_count: Value
    log_saved: Value
    log_shells: Value = 0.0

    @property
    def log_weight_levels(self) -> Value:
        """Levels of one weight, ln K_W = log_weight_words/fan_in, a geometric mean where the cover is not a grid."""
        return self.log_weight_words / np.maximum(self.fan_in, 1)


@dataclass(frozen=True)
class OrbitBound:
    """A bound on ln N(F, ε) with the terms it is the sum of.

    Attributes
    ----------
    log_bound
        The bound, in nats.
    symmetry
        The symmetry it uses.
    method
        ``"grid"`` or ``"refined"``; ``"paths"``, ``"pieces"`` and ``"lines"`` count functions and have no layers.
    layers
        One :class:`LayerTerms` a layer that the cover writes down.
    """

    log_bound: float
    symmetry: str
    method: str
    layers: tuple[LayerTerms, ...]

    def table(self) -> str:
        """Return the terms as a table of text, natural logarithms throughout."""
        rows = [_HEAD, *(_cells(terms) for terms in self.layers)]
        sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True)) for row in rows]
        total = f"ln N <= {self.log_bound:.2f} nats ({self.method}, symmetry: {self.symmetry})"
        return "\n".join([*(lines if self.layers else []), total])


def _cells(terms: LayerTerms) -> tuple[str, ...]:
    resolutions = (terms.log_weight_resolution, terms.log_bias_resolution)
    counts = (terms.log_weight_levels, terms.log_bias_words, terms.log_words, terms.log_count)
    shares = (terms.log_saved, terms.log_shells)
    names = (str(terms.layer), str(terms.fan_in), str(terms.width), str(terms.cover))
    return (*names, *(f"{value:.2f}" for value in (*resolutions, *counts, *shares)))


class Candidate(NamedTuple):
    """A bound over a whole array of arguments; every number in its terms is an array of that shape."""

    log_bound: Array
    symmetry: str
    method: str
    layers: tuple[LayerTerms, ...]

    def at(self, index: int) -> OrbitBound:
        """Return the bound for one entry (flat index) of the array."""
        return OrbitBound(
            float(np.ravel(self.log_bound)[index]),
            self.symmetry,
            self.method,
            tuple(_entry(terms, self.log_bound.shape, index) for terms in self.layers),
        )


def _entry(terms: LayerTerms, shape: tuple[int, ...], index: int) -> LayerTerms:
    values = (getattr(terms, field.name) for field in fields(terms))
    return LayerTerms(*(np.ravel(np.broadcast_to(value, shape))[index].item() for value in values))


def log_count(log_words: Array, width: int, permute: bool) -> Array:
    """Return the log number of multisets of ``width`` words, or of sequences where neurons may not be permuted."""
    return log_multisets(log_words, width) if permute else width * log_words


def grid_bounds(ranges: Ranges, log_eps: Array, used: Used) -> Iterator[Candidate]:
    """Yield the orbit bound of this module's docstring: with scaling, once for each of the two ways to share ε."""
    if any(used.scaled):
        yield _grid_bound(ranges, log_eps, used, used.scaled)
    yield _grid_bound(ranges, log_eps, used, (False,) * len(used.scaled))


def _grid_bound(ranges: Ranges, log_eps: Array, used: Used, fewer: tuple[bool, ...]) -> Candidate:
    """Return the bound whose shares count d_{l-1} dimensions a neuron where ``fewer``, and d_{l-1} + 1 elsewhere."""
    shares = []
    for fan_in, width, less in zip(ranges.widths, ranges.widths[1:], (*fewer, False), strict=False):
        share = fan_in / (fan_in + 1) if less else 1.0
        shares.append((share * fan_in * width, share * width))
    size = sum(map(sum, shares))
    terms = []
    for layer, (weights, biases) in enumerate(shares):
        log_bias = log_eps + math.log(biases / size) - ranges.log_gain[layer]
        log_weight = log_eps + math.log(weights / size) - ranges.log_gain[layer] - ranges.log_mass[layer]
        terms.append(_grid_layer(ranges, layer, log_weight, log_bias, used))
    return Candidate(np.asarray(sum(term.log_count for term in terms)), used.name, "grid", tuple(terms))


def _grid_layer(ranges: Ranges, layer: int, log_weight: Array, log_bias: Array, used: Used) -> LayerTerms:
    fan_in, width = ranges.widths[layer : layer + 2]
    weight_levels = log_ceil(ranges.log_bound - log_weight)
    bias_levels = log_ceil(ranges.log_bound - log_bias)
    plain = words = fan_in * weight_levels + bias_levels
    cover: str | npt.NDArray[np.str_] = "grid"
    permute = False
    if layer < len(ranges.widths) - 2:
        permute, signed = used.permute[layer], used.signed[layer]
        if signed:
            fixed = is_odd(weight_levels) & is_odd(bias_levels)
            words = plain + np.log1p(np.where(fixed, np.exp(-plain), 0.0)) - math.log(2)
        if used.scaled[layer]:
            faces = np.logaddexp(
                math.log(fan_in) + (fan_in - 1) * weight_levels + bias_levels, fan_in * weight_levels
            ) + (0.0 if signed else math.log(2))
            cover = np.where(faces < words, "faces", "grid")
            words = np.minimum(words, faces)
    count = log_count(words, width, permute)
    numbers = (log_weight, log_bias, fan_in * weight_levels, bias_levels, words, count, width * plain - count)
    return LayerTerms(layer + 1, fan_in, width, cover, *numbers)


def is_odd(log_levels: Array) -> npt.NDArray[np.bool_]:
    """Return whether K is odd; too large a K counts as odd, which can only raise the bound, by less than 10⁻¹⁴."""
    levels = np.rint(np.exp(np.minimum(log_levels, 34.0)))
    return (levels % 2 == 1) | (log_levels > 33.0)
