"""Counting solutions: brute force over all orders, and over all pairs of functions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.optimization.population import function_distance
from fnequiv.optimization.solutions import count_solutions, solution_spec
from fnequiv.optimization.teacher import draw_starts, orthonormal_teacher, train


def classes(items, alike):
    """Number of classes, by comparing each with one of every class so far."""
    found = []
    for item in items:
        if not any(alike(item, other) for other in found):
            found.append(item)
    return len(found)


def near(a, b):
    return np.abs(a - b).max() < 1e-4


def reordered(a, b):
    return any(near(a[list(order)], b) for order in itertools.permutations(range(len(a))))


def renamed(a, b):
    return any(reordered(a[:, list(order)], b) for order in itertools.permutations(range(a.shape[1])))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_counts_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-1, 2, size=(12, 3, 2)) / 2 + 1.0
    noisy = weights + rng.uniform(-1e-8, 1e-8, size=weights.shape)
    found = count_solutions(noisy)
    assert found.parameters == classes(weights, near)
    assert found.orbits == classes(weights, reordered)
    assert found.functions == classes(weights, lambda a, b: function_distance(a, b) < 1e-4)
    assert found.functions <= found.orbits <= found.parameters
    for i, j in itertools.combinations(range(12), 2):
        assert (found.orbit[i] == found.orbit[j]) == reordered(weights[i], weights[j])
    assert count_solutions(weights).orbits == found.orbits


def test_patterns_are_classes_under_both_renamings():
    rng = np.random.default_rng(0)
    weights = np.array([[1.0, 0.1, 0.1], [0.1, 1.0, 0.1], [0.1, 0.1, 0.7]])
    other = np.array([[1.0, 0.1, 0.1], [0.2, 1.0, 0.1], [0.1, 0.1, 0.7]])
    copies = [each[rng.permutation(3)][:, rng.permutation(3)] for each in [weights, other] * 20]
    found = count_solutions(copies)
    assert found.patterns == classes(copies, renamed) == 2
    assert found.orbits == classes(copies, reordered)
    assert found.pattern[:4].tolist() == [0, 1, 0, 1]


def test_trained_networks_are_few_functions():
    runs = train(draw_starts(150, 8, 8, np.random.default_rng(0)), orthonormal_teacher(8))
    found = count_solutions(runs.weights)
    assert found.parameters > 140
    assert found.orbits == found.functions == len(np.unique(runs.weights.sum(axis=1).round(4), axis=0))
    assert found.patterns == len(np.unique(runs.loss.round(6)))
    for label in range(found.functions):
        members = runs.weights[found.function == label]
        assert function_distance(members, members[0]).max() < 1e-6
    solved = runs.status == "global minimum"
    assert len(set(found.orbit[solved])) == 1
    assert not set(found.orbit[solved]) & set(found.orbit[~solved])


def test_a_neuron_to_spare_makes_many_orbits_of_one_function():
    runs = train(draw_starts(40, 7, 6, np.random.default_rng(1)), orthonormal_teacher(6))
    found = count_solutions(runs.weights)
    assert found.functions == found.patterns == 1
    assert found.orbits > 30


def test_one_student_is_one_solution():
    found = count_solutions(np.ones((1, 2, 3)))
    assert (found.parameters, found.orbits, found.functions, found.patterns) == (1, 1, 1, 1)
    assert solution_spec(2, 3, inputs=True).log_order() == pytest.approx(math.log(2 * 6))


def test_wrong_input_is_named(refuses):
    refuses(lambda: count_solutions(np.ones((2, 3))), ValueError, "weights must have shape [runs, n, d]")
    refuses(lambda: count_solutions(np.ones((0, 2, 3))), ValueError, "all >= 1, got (0, 2, 3)")
    refuses(lambda: count_solutions(np.full((1, 2, 3), math.nan)), ValueError, "weights must be finite")
    refuses(lambda: count_solutions(np.ones((1, 2, 3)), tolerance=1e-9), ValueError, "tolerance must be >= 1e-6")
    refuses(lambda: solution_spec(2, 2, inputs="no"), TypeError, "inputs must be True or False")
    refuses(lambda: solution_spec(2, 0), ValueError, "d must be >= 1, got 0")
    refuses(lambda: solution_spec(2.0, 2), TypeError, "n must be an integer")
    refuses(lambda: count_solutions("networks"), TypeError, "weights must be a real number")


def test_a_chain_of_entries_is_refused_not_counted_as_one():
    with pytest.raises(ValueError, match="entries must fall into clusters"):
        count_solutions(1 + np.arange(60)[:, None, None] * 0.9e-5)  # neighbours are near, the ends 53 tolerances apart


def test_functions_in_a_row_are_one_or_refused_never_two():
    steps = np.array([[[1.0]], [[1 + 1.2e-5]], [[1 + 2.4e-5]]])  # functions are 1/√2 of that apart
    assert count_solutions(steps[[1, 0, 2]]).functions == 1
    for order in ([0, 1, 2], [2, 1, 0], [0, 2, 1]):
        with pytest.raises(ValueError, match="functions must be within"):
            count_solutions(steps[order])
