"""Rules of matrix products and attention: what meets in a sum, and what shifts all scores or means alike.

Notation. Attention is softmax(q kᵀ) v: the dimensions of q and k meet in a sum, beside their head. A bias of k shifts
all scores of a row alike, which softmax ignores; a bias of v shifts the mean, since a row of softmax sums to 1.

Theorem: Proposition 1 of Shen (2024), section 4 for attention. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

from dataclasses import replace

from .algebra import added, frozen, held, use
from .rules import Call, rule
from .rules_linear import product_of
from .rules_shaping import interleaved
from .structure import Ids, Structure
from .values import Value, permute


@rule("matmul", "bmm", "mm", "mv", "dot")
def matrix_product(call: Call, one: Value, two: Value) -> Value:
    """A product of matrices, vectors, or stacks of matrices."""
    return mixed(one, two, call.structure)


def mixed(one: Value, two: Value, structure: Structure) -> Value:
    """Return one @ two, with what is known of shifts: of scores by keys, and of means by values."""
    out = product_of(one, two, structure)
    if min(len(one.groups), len(two.groups)) < 2:
        structure.felt.extend([*one.shifts, *two.shifts])
        return out
    if one.convex:
        rank = len(out.groups)
        shifts = tuple(ids for each in two.shifts if (ids := _over(each, two, out, rank)) is not None)
        structure.felt.extend(one.shifts)
        return replace(out, shifts=shifts)
    return replace(out, scores=(*((ids, -2) for ids in one.shifts), *((ids, -1) for ids in two.shifts)))


def _over(ids: Ids, value: Value, out: Value, rank: int) -> Ids | None:
    """Return an array of a value's legs on those of a product with it, whose last axis it shares."""
    start, stop = value.spans[-1]
    if value.groups[:-2] != out.groups[:-2] or len(value.groups) != rank or value.groups[-1] != out.groups[-1]:
        return None
    rows = out.spans[-2]
    head = ids.shape[: value.spans[-2][0]]
    return ids.reshape(*head, *[1] * (rows[1] - rows[0]), *ids.shape[start:stop])


@rule("scaled_dot_product_attention")
def attention(call: Call, q: Value, k: Value, v: Value, mask: Value | None = None, dropout_p: float = 0.0,
              is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False) -> Value:  # fmt: skip
    """softmax(q kᵀ) v: the scores are neither flipped nor rescaled, and q and k meet in a sum."""
    structure = call.structure
    if enable_gqa:
        k, v = (_copied(each, q.shape[-3], structure) for each in (k, v))
    order = [*range(len(k.groups) - 2), len(k.groups) - 1, len(k.groups) - 2]
    scores = mixed(q, permute(k, order), structure)
    if is_causal:
        scores = frozen(scores, structure, range(len(scores.groups) - 2, len(scores.groups)))
    if mask is not None:
        scores = added([held(scores, structure), held(mask, structure)], structure)
    use(scores, structure, [len(scores.groups) - 1])
    structure.absorbed.append((None, tuple(ids for ids, axis in scores.scores if axis == -1)))
    structure.felt.extend(ids for ids, axis in scores.scores if axis != -1)
    return mixed(replace(held(scores, structure), scores=(), convex=True), v, structure)


def _copied(value: Value, heads: int, structure: Structure) -> Value:
    times = heads // value.shape[-3]
    return interleaved(Call(structure, None), value, times, -3) if times > 1 else value  # type: ignore[arg-type]
