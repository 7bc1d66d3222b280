r"""Attention heads up to mixing: a normal form for the continuous group, and the cover that it gives.

Notation as in :mod:`fnequiv.architectures.attention_class`; Q̃ = (Q, a) with the bias as a column. Past Shen (2024).
Chapter "Attention".

**Normal form.** Any invertible G maps (Q̃, K) to (G^T Q̃, G^{-1} K) and keeps every score: d_k² parameters of a head are
redundant, and what has to be written down is one pair of each orbit *with bounded entries*. Let d_k ≤ C and K be of
full rank. Take the d_k columns J of K with the largest |det K_J|, and G = K_J. Then R = K_J^{-1} K is the identity on
J, and all its entries are at most 1: by Cramer's rule each is the ratio of a minor of K and the largest one. The
entries of Q' = K_J^T Q̃ are at most d_k B². So a head is J, d_k (C + 1) numbers in [-d_k B², d_k B²] and d_k (C - d_k)
numbers in [-1, 1]: d_k² fewer than before. If d_k ≥ C, write the product K^T Q̃ itself, C (C + 1) numbers, and R = 1. In
the same way O = R P with P a set of d_v rows of O, and V' = P V is at most d_v B²; or R = 1 and V' = O V. As the
weights p_ij sum to 1, the value's biases only shift the output: c' = c + Σ_heads O b, at most B (1 + h d_v B), stands
for them. Parameters with K and O of full rank are dense, and a finite union of closed balls that holds their functions
holds the others'.

**Sensitivity.** Let e = min(d_k, C), the number of columns in J, and let A_R and A' be the largest Σ_r |(R x)_r| and
Σ_{j ∉ J} |x_j| of a token. Column j of R adds at most e|x_j|, and |x_j| if it is one of J: A_R = e(C - e + 1) B_x and
A' = (C - e) B_x for "linf"; √(e² (C - e) + e) B_x and √(C - e) B_x for "l2". First change Q' and R, keeping the true
values: their product O V still has entries up to d_v B², so a change u of the scores costs h d_v B² A u, as for the
parameters,

    u = (A_R (A δ_Q + δ_a) + e d_k B² (A + 1) A' δ_K)/√d_k.

Then change the values under the new softmax, which is some mean: with e' = min(d_v, C), m' = 1 if R = 1, else e',

    h m' A δ_V + h e' d_v B² A δ_O + δ_c.

(The centres of this cover are functions, not always networks of the class.)

**What it is worth.** A head loses d_k² + d_k + d_v² + d_v dimensions (the key's bias included): for d_k, d_v ≤ C all
those of attention's group, so that as ε falls the bound grows with the number of parameters that are left. What is left
becomes about ln d dearer a number, since ranges grow by d. With one head R = 1, and mixing pays at once: it halves the
bound. With h heads of d = C/h dimensions it pays when ln K > (2h - 1) ln d, roughly: at small ε.
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
    entries = {"query.weight": rank * channels, "query.bias": rank}
    return _part("query-key", channels, rank, entries, "key.weight", costs, log_size)


def mixed_values(channels: int, heads: int, d_v: int, log_B: Array, log_A: Array) -> Part:
    """Return the normal form of values and output columns, and the output bias's wider range."""
    rank = min(d_v, channels)
    log_size = math.log(d_v) + 2 * log_B  # of an entry of V'
    costs = {
        "value.weight": math.log(heads) + (math.log(rank) if rank < channels else 0.0) + log_A,
        "output.weight": math.log(heads * rank) + log_size + log_A,
    }
    part = _part("value", channels, rank, {"value.weight": rank * channels}, "output.weight", costs, log_size)
    wider = {"output.bias": log_B + np.logaddexp(0.0, math.log(heads * d_v) + log_B)}
    return part._replace(log_ranges={**part.log_ranges, **wider})


def _part(
    name: str,
    channels: int,
    rank: int,
    entries: dict[str, int],
    rest: str,
    costs: Mapping[str, Array],
    log_size: Array,
) -> Part:
    """Return ``entries`` up to exp(log_size), the rank × (C - rank) entries of R in the block ``rest``, and J."""
    ranges = dict.fromkeys(entries, log_size)
    if rank < channels:
        entries = entries | {rest: rank * (channels - rank)}
        ranges[rest] = np.zeros_like(log_size)
    choices = math.lgamma(channels + 1) - math.lgamma(rank + 1) - math.lgamma(channels - rank + 1)
    return Part(Units(name, 1, entries, permuted=False, log_choices=choices), {b: costs[b] for b in entries}, ranges)


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
        parts = (last, *chosen)
        costs = {block: cost for part in parts for block, cost in part.log_coefficients.items()}
        ranges = {block: size for part in parts for block, size in part.log_ranges.items()}
        yield Cover(name, (stage, outputs), costs, ranges)


def _only(values: Mapping[str, Array], units: Units) -> dict[str, Array]:
    return {block: values[block] for block in units.entries}
