"""The choice among candidates is the paired test's, made by another route, and errs as seldom as it says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fnequiv.equivalence.choosing import choose


@given(seed=st.integers(0, 2**32), candidates=st.integers(1, 6), examples=st.integers(2, 40))
@settings(max_examples=100, deadline=None)
def test_the_choice_is_that_of_paired_tests_with_a_shared_error(seed, candidates, examples):
    rng = np.random.default_rng(seed)
    first = rng.exponential(size=examples)
    others = [first + rng.normal(-0.3, 0.5, size=examples) for _ in range(candidates)]
    better = {
        place: other.mean()
        for place, other in enumerate(others, start=1)
        if stats.ttest_rel(other, first, alternative="less").pvalue < 0.05 / candidates
    }
    assert choose([first, *others]) == min(better, key=better.get, default=0)


@pytest.mark.parametrize("candidates", [1, 4, 16])
def test_what_is_no_better_replaces_the_first_in_one_of_twenty_cases_at_most(candidates):
    rng = np.random.default_rng(candidates)
    trials, replaced = 1500, 0
    for _ in range(trials):
        first = rng.normal(size=50)
        replaced += choose([first, *(first + rng.normal(size=(candidates, 50)))]) > 0
    assert 0.035 < replaced / trials < 0.065  # unshared, the error would be 0.19 for 4 and 0.56 for 16


def test_a_better_candidate_is_found_and_of_two_the_better():
    rng = np.random.default_rng(0)
    first, noise = rng.exponential(size=300), 0.1 * rng.normal(size=(2, 300))
    assert choose([first, first - 0.1 + noise[0], first - 0.2 + noise[1]]) == 2
    assert choose([first, first - 0.2 + noise[0], first - 0.1 + noise[1]]) == 1
    assert choose([first, first + 0.1 + noise[0], first - 0.1 + noise[1]]) == 2
    assert choose([first, first - 1e-9]) == 1  # lower everywhere by the same: nothing is left to chance


def test_of_equal_numbers_the_first_is_taken():
    assert choose([2.0, 2.0, 3.0]) == 0
    assert choose([3.0, 2.0, 2.0]) == 1
    assert choose([torch.tensor(1.0, requires_grad=True), torch.tensor(0.5, dtype=torch.bfloat16)]) == 1
    assert choose([np.ones(9), np.ones(9)]) == 0


@pytest.mark.parametrize("size", [5e-324, 1.0, 1e308])
def test_losses_of_any_size(size):
    assert choose([size * np.array([1.0, 1.0, 1.0, 1.0]), size * np.array([0.0, 1.0, 1.0, -1.0])]) == 0
    assert choose([size * np.ones(4), -size * np.ones(4)]) == 1
    assert choose([0 * size * np.ones(4), 0 * size * np.ones(4)]) == 0


@pytest.mark.parametrize(
    "scores",
    [[], [1.0], [1.0, [1.0, 2.0]], [[1.0], [2.0]], [[], []], [[1.0, 2.0], [1.0, 2.0, 3.0]], [[[1.0, 2.0]]] * 2],
)
def test_scores_that_cannot_be_compared_are_refused(scores):
    with pytest.raises(ValueError, match="score must be one number, or one for each of two examples or more"):
        choose(scores)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="score must be finite, got nan"):
        choose([[1.0, 2.0], [1.0, np.nan]])
    with pytest.raises(TypeError, match="score must be"):
        choose(["a", "b"])
