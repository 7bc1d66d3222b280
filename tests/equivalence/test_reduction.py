"""Reduction keeps the function, removes what it says, and relates networks of different widths."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv import activations
from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.reduction import compare_reduced, reduce

SEEDS = st.integers(0, 2**32)


def network(widths, activation, seed):
    return mlp.init(widths, torch.Generator().manual_seed(seed), activation=activation, dtype=torch.float64)


def inflate(params, activation, rng):
    """Add neurons that change no output: a split one, an unheard one and one without incoming weights, in any place."""
    facts = activations.get(activation)
    names = [name for name in params if params[name].ndim == 2]
    grown = {name: tensor.clone() for name, tensor in params.items()}
    for first, second in pairwise(names):
        bias, slope = first.replace("weight", "bias"), f"{int(first.split('.')[0]) + 1}.weight"
        row, shift, column = grown[first][0], grown[bias][0], grown[second][:, 0].clone()
        share = float(rng.uniform(0.2, 0.8))
        grown[second][:, 0] *= 1 - share
        factor, answer = 1.0, 1.0
        if facts.degree is not None:
            factor, answer = 4.0, 4.0**facts.degree
        elif facts.parity == "odd":
            factor, answer = -1.0, -1.0
        elif facts.parity == "even":
            factor = -1.0
        silent = float(rng.uniform(-1, 1))
        rows = [factor * row, torch.from_numpy(rng.normal(size=len(row))), torch.zeros_like(row)]
        shifts = [factor * shift, shift.new_tensor(0.3), shift.new_tensor(silent)]
        sent = torch.from_numpy(rng.normal(size=len(column)))
        columns = [column * share / answer, torch.zeros_like(column), sent]
        constant = float(facts(np.array(silent)))
        if slope in grown:
            constant = silent if silent > 0 else 0.7 * silent
            grown[slope] = torch.cat([grown[slope], grown[slope].new_tensor([grown[slope][0], 0.2, 0.7])])
        grown[second.replace("weight", "bias")] -= sent * constant
        order = torch.from_numpy(rng.permutation(len(grown[first]) + 3))
        grown[first] = torch.cat([grown[first], torch.stack(rows)])[order]
        grown[bias] = torch.cat([grown[bias], torch.stack(shifts)])[order]
        grown[second] = torch.cat([grown[second], torch.stack(columns, dim=1)], dim=1)[:, order]
        if slope in grown:
            grown[slope] = grown[slope][order]
    return grown


@pytest.mark.parametrize("activation", ["gelu", "sigmoid", "tanh", "abs", "relu", "square", "identity", "prelu", "elu"])
@given(seed=SEEDS, widths=st.sampled_from([(2, 3, 1), (2, 3, 4, 2), (1, 2, 2, 2, 1)]))
@settings(max_examples=8, deadline=None)
def test_added_neurons_are_removed_and_the_function_stays(activation, widths, seed):
    theta = network(widths, activation, seed)
    grown = inflate(theta, activation, np.random.default_rng(seed))
    before = {name: tensor.clone() for name, tensor in grown.items()}
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(16, widths[0])))
    wanted = mlp.forward(theta, x, activation)
    assert torch.allclose(mlp.forward(grown, x, activation), wanted, rtol=1e-9, atol=1e-9)
    small = reduce(grown, activation)
    assert torch.allclose(mlp.forward(small, x, activation), wanted, rtol=1e-9, atol=1e-9)
    assert {name: tensor.shape for name, tensor in small.items()} == {n: t.shape for n, t in theta.items()}
    assert all(torch.equal(grown[name], before[name]) for name in grown)
    verdict = compare_reduced(theta, grown, activation, tolerance=1e-8)
    assert verdict.answer == "equivalent", str(verdict)
    other = network(widths, activation, seed + 1)
    assert compare_reduced(other, grown, activation, tolerance=1e-8).answer == "not equivalent"


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu"])
def test_a_network_without_repetitions_stays_as_it_is(activation):
    theta = network((3, 6, 5, 2), activation, 0)
    spec = mlp.spec(theta, activation)
    moved = apply(theta, spec, sample(spec, np.random.default_rng(0)))
    for params in (theta, moved):
        small = reduce(params, activation)
        assert all(torch.equal(small[name], params[name]) for name in params)


def test_equal_rows_with_other_slopes_are_two_neurons():
    theta = network((2, 2, 1), "prelu", 0)
    for name in ("0.weight", "0.bias"):
        theta[name][1] = theta[name][0]
    theta["1.weight"][:] = torch.tensor([0.1, 0.2])
    assert len(reduce(theta, "prelu")["0.weight"]) == 2
    theta["1.weight"][:] = 0.1
    assert len(reduce(theta, "prelu")["0.weight"]) == 1


def test_a_negative_multiple_is_no_duplicate_for_relu_and_one_for_the_identity():
    theta = {"0.weight": torch.tensor([[1.0], [-2.0]]), "2.weight": torch.tensor([[3.0, 1.0]])}
    assert len(reduce(theta, "relu")["0.weight"]) == 2
    assert reduce(theta, "identity") == {"0.weight": torch.tensor([[1.0]]), "2.weight": torch.tensor([[1.0]])}


def test_a_layer_keeps_a_neuron_even_if_none_is_heard():
    theta = {name: torch.zeros_like(tensor) for name, tensor in network((2, 3, 3, 1), "tanh", 0).items()}
    theta["4.bias"] += 0.25
    small = reduce(theta, "tanh")
    assert small["0.weight"].shape == (1, 2)
    assert small["2.weight"].shape == (1, 1)
    assert float(mlp.forward(small, torch.ones(1, 2, dtype=torch.float64), "tanh")) == 0.25


def test_other_widths_are_undecided_and_bad_input_is_refused():
    a, b = network((2, 3, 1), "tanh", 0), network((2, 4, 1), "tanh", 0)
    verdict = compare_reduced(a, b, "tanh")
    assert verdict.answer == "undecided"
    assert "[3, 1] and [4, 1]" in verdict.reason
    with pytest.raises(ValueError, match="nonsense"):
        reduce(a, "nonsense")
    with pytest.raises(ValueError, match="NaN"):
        reduce({**a, "0.bias": torch.full((3,), torch.nan, dtype=torch.float64)}, "tanh")
    with pytest.raises(TypeError):
        reduce([1, 2], "tanh")


def chain(rows, columns):
    return {"0.weight": torch.tensor(rows, dtype=torch.float64), "2.weight": torch.tensor(columns, dtype=torch.float64)}


def test_a_sum_that_cancels_is_added_exactly():
    lost = chain([[1.0], [1.0], [1.0], [2.0]], [[1e16, 1.0, -1e16, 1.0]])  # tanh(x) + tanh(2x)
    verdict = compare_reduced(lost, chain([[2.0]], [[1.0]]), "tanh")
    assert verdict.answer != "equivalent"
    assert reduce(lost, "tanh")["2.weight"].tolist() == [[1.0, 1.0]]


def test_the_order_of_merged_neurons_does_not_matter_and_rounding_is_said():
    left = chain([[1.0], [1.0], [1.0]], [[0.1, 0.2, 0.3]])
    right = chain([[1.0], [1.0], [1.0]], [[0.3, 0.2, 0.1]])
    assert reduce(left, "tanh")["2.weight"].equal(reduce(right, "tanh")["2.weight"])
    assert compare_reduced(left, right, "tanh").answer == "undecided"  # 0.1 + 0.2 + 0.3 is no float
    assert compare_reduced(left, right, "tanh", tolerance=1e-15).answer == "equivalent"


def test_rows_that_are_proportional_up_to_rounding_only_are_not_called_exact():
    third = chain([[3.0, 1.0], [1.0, 1 / 3]], [[1.0, 1.0]])
    alone = chain([[3.0, 1.0]], [[1.0 + 1 / 3]])
    assert len(reduce(third, "relu")["0.weight"]) == 1
    assert compare_reduced(third, alone, "relu").answer == "undecided"
    assert compare_reduced(third, alone, "relu", tolerance=1e-15).answer == "equivalent"


def test_networks_that_nobody_hears_are_one():
    for left, right in ((1.0, 2.0), (-3.0, 0.0)):
        assert compare_reduced(chain([[left]], [[0.0]]), chain([[right]], [[0.0]]), "tanh").answer == "equivalent"


def test_the_tolerance_is_checked_whatever_the_widths():
    with pytest.raises(ValueError, match="tolerance must be >= 0"):
        compare_reduced(chain([[1.0]], [[1.0]]), chain([[1.0], [2.0]], [[1.0, 1.0]]), "tanh", tolerance=-1)
    with pytest.raises(TypeError, match="params must map names to tensors"):
        reduce(None, "tanh")
