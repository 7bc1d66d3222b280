r"""How much of ε each layer gets: the orbit bound with the words of :mod:`fnequiv.complexity.rows`.

Notation as in :mod:`fnequiv.complexity.sensitivity`. Past Shen (2024). Chapter: "Covering numbers".

* **Shares.** The budgets e_l = ε w_l/G_l make a cover for all weights w ≥ 0 with Σ w = 1. At the best weights w_l
  is proportional to the layer's nats gained per unit of ln(1/e_l). For d_l neurons of n_l dimensions that is d_l
  n_l where M_l ≫ d_l, and less where the multisets of few words saturate. Repeat that assignment from two starts, the
  dimensions and the nats that the first came to. Every iterate is a bound, so the least is taken. It is a search, and
  may miss the best weights: the bound need not be monotone in B, B_x or ε.
* **Cut.** If ε exceeds what the weights of layer t can do, G_t B A_{t-1}, set them to 0 in every centre and spend the
  rest of ε on the biases of layer t and on the later layers: layers before t need no words. For ε ≥ B(A_L + 1) the cut
  at t = L + 1 gives ln N = 0: one function is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .matrices import matrix_cover
from .orbit import Candidate, Count, LayerTerms, Used, log_count
from .reflected import Fold, folded, output_cover
from .rows import Cover, Rows, row_cover
from .sensitivity import Ranges
from .shells import shelled

Array = npt.NDArray[np.float64]

_STARTS = 2
_ROUNDS = 4
_NUDGE = 1e-3
_NOTHING = -np.inf


def refined_bounds(ranges: Ranges, log_eps: Array, used: Used, *, reflect: bool = False) -> Iterator[Candidate]:
    """Yield refined bounds for every cut and round of shares; each is valid, and the least of them is meant.

    ``reflect`` adds the covers of :mod:`fnequiv.complexity.reflected` where the last hidden layer has a reflection law.
    """
    hidden = len(ranges.widths) - 2
    shape = np.broadcast_shapes(log_eps.shape, ranges.log_bound.shape)
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        for cut in range(hidden + 2):
            log_rest = np.broadcast_to(log_eps, shape)
            if cut:
                lost = ranges.log_gain[cut - 1] + ranges.log_bound + ranges.log_mass[cut - 1]
                log_rest = log_rest + np.log(np.maximum(-np.expm1(lost - log_rest), 0.0))
            if not (log_rest > _NOTHING).any():
                continue
            yield from _rounds(ranges, log_rest, used, cut, None)
            if reflect and cut < hidden and (fold := folded(ranges, used)) is not None:
                yield from _rounds(ranges, log_rest, used, cut, fold)


def _rounds(ranges: Ranges, log_rest: Array, used: Used, cut: int, fold: Fold | None) -> Iterator[Candidate]:
    """Yield a bound for each set of shares; it is infinite where a cut leaves nothing of ε."""
    layers = range(max(cut, 1), len(ranges.widths))
    sizes = [_dimensions(ranges, layer, used, cut, fold) for layer in layers]
    name = used.name if fold is None else f"{used.name}+reflection"
    weights = [np.full(log_rest.shape, size) for size in sizes]
    for _ in range(_STARTS):
        shares = _normalised(weights)
        for _ in range(_ROUNDS):
            terms = tuple(
                _terms(ranges, layer, log_rest + np.log(share), used, cut, fold)
                for layer, share in zip(layers, shares, strict=True)
            )
            yield _candidate(log_rest, name, terms)
            rates = (_rate(term, used, len(ranges.widths) - 1) for term in terms)
            previous, shares = shares, _normalised([rate * size for rate, size in zip(rates, sizes, strict=True)])
            if all(np.array_equal(old, new) for old, new in zip(previous, shares, strict=True)):
                break
        yield _candidate(log_rest, name, shelled(ranges, terms))
        weights = [np.nan_to_num(term.log_count, nan=0.0, posinf=0.0) + _NUDGE for term in terms]


def _candidate(log_rest: Array, name: str, terms: tuple[LayerTerms, ...]) -> Candidate:
    bound = np.nan_to_num(sum(term.log_count for term in terms), nan=np.inf)
    return Candidate(np.where(log_rest > _NOTHING, bound, np.inf), name, "refined", terms)


def _normalised(weights: list[Array]) -> list[Array]:
    total = np.asarray(sum(weights))
    return [weight / total for weight in weights]


def _dimensions(ranges: Ranges, layer: int, used: Used, cut: int, fold: Fold | None) -> float:
    """Return the number of dimensions that a layer's words have to resolve."""
    fan_in, width = 0 if layer == cut else ranges.widths[layer - 1], ranges.widths[layer]
    if layer == len(ranges.widths) - 1:
        return width * (fan_in + 1 + (ranges.widths[-3] if fold else 0))
    return width * max(fan_in + 1 - used.scaled[layer - 1], 0.5)


def _rate(term: LayerTerms, used: Used, last: int) -> Array:
    """Return what a nat more a word costs the layer, as a fraction of its width; the floor keeps shares positive."""
    log_words = np.asarray(term.log_words)
    if term.layer == last or not used.permute[term.layer - 1]:
        return np.ones_like(log_words)
    more = log_count(log_words + _NUDGE, term.width, True) - log_count(log_words, term.width, True)
    return np.where(
        np.char.startswith(term.cover, "matrix"), 1.0, np.maximum(np.nan_to_num(more / (_NUDGE * term.width)), 1e-9)
    )


def _terms(ranges: Ranges, layer: int, log_share: Array, used: Used, cut: int, fold: Fold | None) -> LayerTerms:
    """Return the terms of the layer whose part of ε is exp(log_share)."""
    index, last = layer - 1, len(ranges.widths) - 1
    fan_in, width = 0 if layer == cut else ranges.widths[index], ranges.widths[layer]
    log_budget = log_share - ranges.log_gain[index]
    box = (ranges.log_center[index], ranges.log_radius[index])
    rows = Rows(fan_in, ranges.norms[index], ranges.log_bound, *box)
    if layer < last:
        rows = rows._replace(signed=used.signed[index], scaled=used.scaled[index])
    if fold is not None and layer == last - 1:
        log_budget = log_share - fold.log_gain
        rows = rows._replace(signed=True, kinkless=fold.kinkless)
    if fold is not None and layer == last:
        reads = fan_in + np.where(fold.skips, ranges.widths[-3], 0)
        return _finish(layer, reads, width, output_cover(ranges, fold, log_budget), None, False)
    permute = layer < last and used.permute[index]
    whole = matrix_cover(rows, width, permute, log_budget) if layer < last and fan_in else None
    return _finish(layer, fan_in, width, row_cover(rows, log_budget), whole, permute)


def _finish(layer: int, fan_in: Count, width: int, cover: Cover, whole: Cover | None, permute: bool) -> LayerTerms:
    """Return the terms of a layer whose rows are covered one by one or, where that is cheaper, all at once."""
    count = log_count(cover.log_words, width, permute)
    one = (cover.log_weight_words, cover.log_bias_words, cover.log_words)
    name, radius, step = cover.name, cover.log_weight_radius, cover.log_bias_step
    if whole is not None:
        better = whole.log_words < count
        name = np.where(better, whole.name, name)
        radius = np.where(better, whole.log_weight_radius, radius)
        step = np.where(better, whole.log_bias_step, step)
        all_at_once = (whole.log_weight_words, whole.log_bias_words, whole.log_words)
        weights, biases, words = (np.where(better, a / width, b) for a, b in zip(all_at_once, one, strict=True))
        one = (weights, biases, words)
        count = np.minimum(count, whole.log_words)
    saved = width * (one[0] + one[1]) - count
    return LayerTerms(layer, fan_in, width, name, radius, step, *one, count, saved)
