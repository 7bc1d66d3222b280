r"""Reduce a feedforward network: merge neurons that repeat each other, drop those that reach nothing.

Notation. Neuron i of hidden layer l has the row w_i of W^(l), the bias b_i and the column v_i of W^(l+1). Three things
change the width and not the function:

- v_i = 0: nothing hears the neuron; it is dropped.
- w_i = 0: its output is the constant σ(b_i); v_i σ(b_i) is added to the next bias, and it is dropped.
- (w_j, b_j) = ±λ (w_i, b_i), with the sign and the scale that σ answers: v_j times that answer is added to v_i.

So two networks of different widths can be one function although no group relates them; :func:`compare_reduced`
decides the group's question for what is left. For tanh networks with one hidden layer these are all coincidences
there are (Sussmann, 1992); for ReLU and for deep networks there are others. Chapter: "Telling networks apart".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from ..activations import Activation
from . import mlp
from .axes import FloatArray
from .checking import Verdict, compare
from .hidden import Activations, facts_of_layers
from .layers import Layer, layers_of
from .parameters import check_parameters

Params = Mapping[str, torch.Tensor]


def reduce(params: Params, activation: Activations) -> dict[str, torch.Tensor]:
    """Return the network without repeated and unheard neurons, in new tensors under the same names.

    Parameters
    ----------
    params
        The tensors of a chain of linear layers (see :func:`~fnequiv.equivalence.layers.layers_of`); never modified.
    activation
        The activation behind every hidden layer, or one for each. Neurons with slopes of their own (PReLU) are merged
        only where their slopes agree.

    Returns
    -------
    dict
        Tensors of smaller or equal shapes. Every layer keeps at least one neuron. Merging adds entries and so rounds
        once for each neuron merged.

    Raises
    ------
    TypeError, ValueError
        If the tensors are no chain of layers with finite entries, or the activation is not known.

    Notes
    -----
    Source: Sussmann (1992), reducible networks. Equal rows are found bit for bit, after division by their largest entry
    where the activation is positively homogeneous.

    Examples
    --------
    >>> theta = {"0.weight": torch.tensor([[1.0], [-1.0], [2.0]]), "2.weight": torch.tensor([[3.0, 1.0, 0.0]])}
    >>> reduce(theta, "tanh")  # the second neuron is minus the first, the third is not heard
    {'0.weight': tensor([[1.]]), '2.weight': tensor([[2.]])}
    """
    check_parameters(params, mlp.spec(params, activation))
    layers = layers_of(params)
    facts = facts_of_layers(layers, activation)
    reduced = {name: tensor.detach().clone() for name, tensor in params.items()}
    width = -1
    while width != (width := sum(len(reduced[layer.weight]) for layer in layers)):
        for layer, following, fact in zip(layers, layers[1:], facts, strict=False):
            _drop_unheard(reduced, layer, following)
            _fold_constants(reduced, layer, following, fact)
            _merge(reduced, layer, following, fact)
    return reduced


def compare_reduced(a: Params, b: Params, activation: Activations, *, tolerance: float = 0) -> Verdict:
    """Decide whether two feedforward networks, of any widths, are related by the group once both are reduced.

    Parameters
    ----------
    a, b
        The tensors of two chains of linear layers under the same names.
    activation, tolerance
        As for :func:`reduce` and :func:`~fnequiv.equivalence.checking.compare`.

    Returns
    -------
    Verdict
        *equivalent*: the two are one function (the witness relates the reduced networks). *not equivalent*: the reduced
        networks are not related by the group; for deep or ReLU networks they may still be one function by a
        coincidence that is not removed here, so that other widths give *undecided*.

    Raises
    ------
    TypeError, ValueError
        As :func:`reduce` and :func:`~fnequiv.equivalence.checking.compare`.

    Examples
    --------
    >>> narrow = {"0.weight": torch.tensor([[1.0]]), "2.weight": torch.tensor([[2.0]])}
    >>> split = {"0.weight": torch.tensor([[1.0], [1.0]]), "2.weight": torch.tensor([[0.5, 1.5]])}
    >>> compare_reduced(narrow, split, "relu").answer
    'equivalent'
    """
    left, right = reduce(a, activation), reduce(b, activation)
    widths = [[len(reduced[layer.weight]) for layer in layers_of(reduced)] for reduced in (left, right)]
    if set(left) != set(right) or widths[0] != widths[1]:
        return Verdict("undecided", f"the reduced networks have other widths, {widths[0]} and {widths[1]}")
    verdict = compare(left, right, mlp.spec(left, activation), tolerance=tolerance)
    return replace(verdict, reason=f"reduced to widths {widths[0]}: {verdict.reason}")


def _keep(params: dict[str, torch.Tensor], layer: Layer, following: Layer, keep: torch.Tensor) -> None:
    if not keep.any():
        keep = keep.clone()
        keep[0] = True
    width = len(keep)
    params[layer.weight] = params[layer.weight][keep]
    if layer.bias is not None:
        params[layer.bias] = params[layer.bias][keep]
    if layer.slope is not None and len(params[layer.slope]) == width > 1:
        params[layer.slope] = params[layer.slope][keep]
    params[following.weight] = params[following.weight][:, keep]


def _drop_unheard(params: dict[str, torch.Tensor], layer: Layer, following: Layer) -> None:
    _keep(params, layer, following, (params[following.weight] != 0).any(dim=0))


def _fold_constants(params: dict[str, torch.Tensor], layer: Layer, following: Layer, fact: Activation) -> None:
    """Move what neurons without incoming weights send into the next bias, and drop them."""
    silent = (params[layer.weight] == 0).all(dim=1)
    if layer.bias is None:
        values = params[layer.weight].new_full((len(silent),), fact.at_zero)
    else:
        bias = params[layer.bias].double().numpy(force=True)
        slopes = None if layer.slope is None else params[layer.slope].double().numpy(force=True)
        outputs = np.where(bias > 0, bias, bias * slopes) if slopes is not None else fact(bias)
        values = torch.from_numpy(np.asarray(outputs)).to(params[layer.weight])
    if following.bias is None:
        silent &= values == 0
    elif silent.any():
        params[following.bias] += params[following.weight][:, silent] @ values[silent]
    if silent.any():
        params[following.weight][:, silent] = 0
        _keep(params, layer, following, ~silent)


def _merge(params: dict[str, torch.Tensor], layer: Layer, following: Layer, fact: Activation) -> None:
    """Add the column of every neuron that repeats an earlier one to that one's."""
    rows, answers = _directions(params, layer, fact)
    first: dict[bytes, int] = {}
    keep = torch.ones(len(rows), dtype=torch.bool)
    columns = params[following.weight]
    for unit, row in enumerate(rows):
        host = first.setdefault(row.tobytes(), unit)
        if host != unit:
            columns[:, host] += columns[:, unit] * float(answers[unit] / answers[host])
            keep[unit] = False
    _keep(params, layer, following, keep)


def _directions(params: dict[str, torch.Tensor], layer: Layer, fact: Activation) -> tuple[FloatArray, FloatArray]:
    """Return rows that are equal where neurons repeat each other, and what σ answers to the factors taken out."""
    weight = params[layer.weight]
    joined = weight if layer.bias is None else torch.cat([weight, params[layer.bias][:, None]], dim=1)
    rows: FloatArray = joined.double().numpy(force=True) + 0.0
    answers = np.ones(len(rows))
    if fact.parity is not None:
        signs = np.sign(rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)])
        signs[signs == 0] = 1.0
        rows = rows * signs[:, None] + 0.0
        answers = signs if fact.parity == "odd" else answers
    if fact.degree is not None or layer.slope is not None:
        peaks = np.abs(rows).max(axis=1)
        peaks[peaks == 0] = 1.0
        rows = rows / peaks[:, None]
        answers = answers * peaks ** float(fact.degree if fact.degree is not None else 1)
    if layer.slope is not None:
        slopes = params[layer.slope].double().numpy(force=True)
        rows = np.concatenate([rows, np.broadcast_to(slopes, (len(rows),))[:, None]], axis=1)
    return rows, answers
