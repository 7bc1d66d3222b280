r"""Attention heads up to mixing: a normal form for the continuous group, and the cover that it gives.

Notation as in :mod:`fnequiv.architectures.attention_class`; Q̃ = (Q, a) and Ṽ = (V, b) with the biases as columns. Past
Shen (2024). Chapter "Attention".

**Normal form.** Any invertible G maps (Q̃, K) to (G^T Q̃, G^{-1} K) and keeps every score: d_k² parameters of a head are
redundant, and what has to be written down is one pair of each orbit *with bounded entries*. Let d_k ≤ C and K be of
full rank. Take the d_k columns J of K with the largest |det K_J|, and G = K_J. Then R = K_J^{-1} K is the identity on
J, and all its entries are at most 1: by Cramer's rule each is the ratio of a minor of K and the largest one. The
entries of Q' = K_J^T Q̃ are at most d_k B². So a head is J, d_k (C + 1) numbers in [-d_k B², d_k B²] and d_k (C - d_k)
numbers in [-1, 1]: d_k² fewer than before. If d_k ≥ C, write the product K^T Q̃ itself, C (C + 1) numbers, and R = 1. In
the same way O = R P with P a set of d_v rows of O, and V' = P Ṽ is at most d_v B²; or R = 1 and V' = O Ṽ. Parameters
with K and O of full rank are dense, and a finite union of closed balls that holds their functions holds the others'.

**Sensitivity.** Let e = min(d_k, C), the number of columns in J, and let A_R and A' be the largest Σ_r |(R x)_r| and
Σ_{j ∉ J} |x_j| of a token. Column j of R adds at most e|x_j|, and |x_j| if j is in J: A_R = e(C - e + 1) B_x and A' =
(C - e) B_x for "linf"; √(e² (C - e) + e) B_x and √(C - e) B_x for "l2". First change Q' and R, keeping the true values:
their product O V still has entries up to d_v B², so a change u of the scores costs h d_v B² A u, as for the parameters,

    u = (A_R (A δ_Q + δ_a) + e d_k B² (A + 1) A' δ_K)/√d_k.

Then change the values under the new softmax, which is some mean: with e' = min(d_v, C), m' = 1 if R = 1, else e',

    h m' (A δ_V + δ_b) + h e' d_v B² (A + 1) δ_O + δ_c.

(The centres of this cover are functions, not always networks of the class.)

**What it is worth.** A head loses d_k² + d_v² dimensions, and the others become about ln d dearer each: ranges grow by
d. With one head R = 1, which pays at once and halves the bound. With h heads of d = C/h dimensions it pays when
ln K > (2h - 1) ln d, roughly: at small ε.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from .units import Array, Cover, Units


class Part(NamedTuple):
    """What is written down for half of a head: its units, the costs of its blocks, their ranges."""

    units: Units
    log_coefficients: Mapping[str, Array]
    log_ranges: Mapping[str, Array]


def mixed_queries(channels: int, d_k: int, log_slope: Array, log_B: Array, log_A: Array, domain: str) -> Part:
    """Return the normal form of queries and keys; exp(log_slope) is what a change of all scores by 1 costs."""
    rank = min(d_k, channels)
    off = channels - rank
    spread, rest = rank * (off + 1) / channels, off / channels  # A_R/A and A'/A
    if domain == "l2":
        spread, rest = math.sqrt(rank * (rank * off + 1) / channels), math.sqrt(off / channels)
    log_query = log_slope + math.log(spread) + log_A - 0.5 * math.log(d_k)
    costs = {"query.weight": log_query + log_A, "query.bias": log_query}
    log_size = math.log(d_k) + 2 * log_B  # of an entry of Q'
    if off:
        log_reach = log_size + np.logaddexp(log_A, 0.0)
        costs["key.weight"] = log_slope + math.log(rank * rest) + log_reach + log_A - 0.5 * math.log(d_k)
    return _part("query-key", channels, rank, ("query.weight", "query.bias", "key.weight"), costs, log_size)


def mixed_values(channels: int, heads: int, d_v: int, log_B: Array, log_A: Array) -> Part:
    """Return the normal form of values and output columns."""
    rank = min(d_v, channels)
    log_value = np.full_like(log_A, math.log(heads) + (math.log(rank) if rank < channels else 0.0))
    log_size = math.log(d_v) + 2 * log_B  # of an entry of V'
    log_output = math.log(heads * rank) + log_size + np.logaddexp(log_A, 0.0)
    costs = {"value.weight": log_value + log_A, "value.bias": log_value, "output.weight": log_output}
    return _part("value", channels, rank, ("value.weight", "value.bias", "output.weight"), costs, log_size)


def _part(
    name: str, channels: int, rank: int, blocks: tuple[str, str, str], costs: dict[str, Array], log_size: Array
) -> Part:
    """Return rank × C weights and rank biases up to exp(log_size), the rank × (C - rank) entries of R, and J."""
    weight, bias, rest = blocks
    entries = {weight: rank * channels, bias: rank, rest: rank * (channels - rank)}
    ranges = {weight: log_size, bias: log_size, rest: np.zeros_like(log_size)}
    choices = math.lgamma(channels + 1) - math.lgamma(rank + 1) - math.lgamma(channels - rank + 1)
    units = Units(
        name, 1, {block: number for block, number in entries.items() if number}, (), False, log_choices=choices
    )
    return Part(units, _only(costs, units), _only(ranges, units))


def mixed_covers(plain: Cover, queries: Part, values: Part) -> Iterator[Cover]:
    """Yield the covers with queries and keys, values and outputs, or both in normal form, from that with neither."""
    (heads, outputs), (own_queries, own_values) = plain.units, plain.units[0].inside
    whole = (plain.log_coefficients, plain.log_ranges)
    kept = [Part(units, *(_only(one, units) for one in whole)) for units in (own_queries, own_values)]
    last = Part(outputs, *(_only(one, outputs) for one in whole))
    for name, chosen in {
        "mixed queries": (queries, kept[1]),
        "mixed values": (kept[0], values),
        "mixed": (queries, values),
    }.items():
        stage = Units(heads.name, heads.count, {}, tuple(part.units for part in chosen))
        parts = (*chosen, last)
        costs = {block: cost for part in parts for block, cost in part.log_coefficients.items()}
        ranges = {block: size for part in parts for block, size in part.log_ranges.items()}
        yield Cover(name, (stage, outputs), costs, ranges)


def _only(values: Mapping[str, Array], units: Units) -> dict[str, Array]:
    return {block: values[block] for block in units.entries}
