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

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from ..activations import Activation
from ..validation import check_real, shown
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
        Tensors of smaller or equal shapes. Every layer keeps at least one neuron, of zeros if none is heard. The
        columns of merged neurons are added exactly and rounded once, whatever their order.

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
    return _reduced(params, activation)[0]


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
        coincidence that is not removed here, so that other widths give *undecided*. So does tolerance 0 where reducing
        had to round: what is left is then not quite the function that was given.

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
    if (tolerance := check_real("tolerance", tolerance)) < 0:  # compare is not always reached
        raise ValueError(f"tolerance must be >= 0, got {tolerance}: 0 compares every bit")
    (left, exact_left), (right, exact_right) = _reduced(a, activation), _reduced(b, activation)
    widths = [[len(reduced[layer.weight]) for layer in layers_of(reduced)] for reduced in (left, right)]
    if set(left) != set(right) or widths[0] != widths[1]:
        return Verdict("undecided", f"the reduced networks have other widths, {widths[0]} and {widths[1]}")
    verdict = compare(left, right, mlp.spec(left, activation), tolerance=tolerance)
    if tolerance == 0 and not (exact_left and exact_right):
        text = f"reducing rounds, and the reduced networks are {verdict}; allow a tolerance"
        return Verdict("undecided", text, difference=verdict.difference)
    return replace(verdict, reason=f"reduced to widths {widths[0]}: {verdict.reason}")


def _reduced(params: Params, activation: Activations) -> tuple[dict[str, torch.Tensor], bool]:
    """Return the reduced network, and whether it was reached without rounding."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params must map names to tensors, as state_dict() does, got {shown(params)}")
    check_parameters(params, mlp.spec(params, activation))
    layers = layers_of(params)
    facts = facts_of_layers(layers, activation)
    reduced = {name: tensor.detach().clone() for name, tensor in params.items()}
    exact, width = True, -1
    while width != (width := sum(len(reduced[layer.weight]) for layer in layers)):
        for layer, following, fact in zip(layers, layers[1:], facts, strict=False):
            _keep(reduced, layer, following, (reduced[following.weight] != 0).any(dim=0))  # nothing hears the others
            exact &= _fold_constants(reduced, layer, following, fact)
            exact &= _merge(reduced, layer, following, fact)
    return reduced, exact


def _keep(params: dict[str, torch.Tensor], layer: Layer, following: Layer, keep: torch.Tensor) -> None:
    """Drop all other neurons; where none is left, one of zeros stands in, so that the layer has a width."""
    own = [name for name in (layer.weight, layer.bias) if name is not None]
    if not keep.any():
        keep = torch.arange(len(keep), device=keep.device) == 0
        for name in own:
            params[name][0] = 0
    if layer.slope is not None and len(params[layer.slope]) == len(keep) > 1:
        own.append(layer.slope)
    for name in own:
        params[name] = params[name][keep]
    params[following.weight] = params[following.weight][:, keep]


def _fold_constants(params: dict[str, torch.Tensor], layer: Layer, following: Layer, fact: Activation) -> bool:
    """Move what neurons without incoming weights send into the next bias, drop them, and say whether that was exact."""
    silent = (params[layer.weight] == 0).all(dim=1)
    if layer.bias is None:
        values = params[layer.weight].new_full((len(silent),), fact.at_zero)
    else:
        bias = params[layer.bias].double().numpy(force=True)
        slopes = None if layer.slope is None else params[layer.slope].double().numpy(force=True)
        outputs = np.where(bias > 0, bias, bias * slopes) if slopes is not None else fact(bias)
        values = torch.from_numpy(np.asarray(outputs)).to(params[layer.weight])
    sent = params[following.weight][:, silent] @ values[silent]
    if following.bias is None:
        silent &= values == 0
    elif silent.any():
        params[following.bias] += sent
    if silent.any():
        params[following.weight][:, silent] = 0
        _keep(params, layer, following, ~silent)
    return following.bias is None or not bool(sent.any())


def _merge(params: dict[str, torch.Tensor], layer: Layer, following: Layer, fact: Activation) -> bool:
    """Add the columns of neurons that repeat each other, keep the first of them, and say whether that was exact."""
    rows = _rows(params, layer)
    directions, factors, answers = _directions(params, layer, fact, rows)
    classes: dict[bytes, list[int]] = {}
    for unit, direction in enumerate(directions):
        classes.setdefault(direction.tobytes(), []).append(unit)
    columns, exact = params[following.weight], True
    for members in (members for members in classes.values() if len(members) > 1):
        first = members[0]
        shares = answers[members] / answers[first]
        exact &= bool((np.abs(np.frexp(shares)[0]) == 0.5).all())  # a power of two rounds nothing
        exact &= bool((rows[members] == np.outer(factors[members] / factors[first], rows[first])).all())
        terms = columns[:, members].double().numpy(force=True) * shares
        sums = torch.tensor([math.fsum(row) for row in terms.tolist()], dtype=torch.float64).to(columns)
        columns[:, first] = sums
        exact &= all(math.fsum([*row, -total]) == 0 for row, total in zip(terms.tolist(), sums.tolist(), strict=True))
    keep = torch.zeros(len(rows), dtype=torch.bool, device=columns.device)
    keep[[members[0] for members in classes.values()]] = True
    _keep(params, layer, following, keep)
    return exact


def _rows(params: dict[str, torch.Tensor], layer: Layer) -> FloatArray:
    weight = params[layer.weight]
    joined = weight if layer.bias is None else torch.cat([weight, params[layer.bias][:, None]], dim=1)
    rows: FloatArray = joined.double().numpy(force=True) + 0.0
    return rows


def _directions(
    params: dict[str, torch.Tensor], layer: Layer, fact: Activation, rows: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return rows that are equal where neurons repeat each other, the factors taken out, and what σ answers to them."""
    signs, peaks = np.ones(len(rows)), np.ones(len(rows))
    if fact.parity is not None:
        signs = np.sign(rows[np.arange(len(rows)), (rows != 0).argmax(axis=1)])
        signs[signs == 0] = 1.0
    if fact.degree is not None or layer.slope is not None:
        peaks = np.abs(rows).max(axis=1)
        peaks[peaks == 0] = 1.0
    directions = rows / (signs * peaks)[:, None] + 0.0
    answers = peaks ** float(1 if fact.degree is None else fact.degree)
    if fact.parity == "odd":
        answers = answers * signs
    if layer.slope is not None:
        slopes = params[layer.slope].double().numpy(force=True)
        directions = np.concatenate([directions, np.broadcast_to(slopes, (len(rows),))[:, None]], axis=1)
    return directions, signs * peaks, answers
