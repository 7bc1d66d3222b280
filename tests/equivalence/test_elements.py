"""The group itself: laws over every kind and mixture, against permutation matrices; what a move refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, compose, identity, invert, sample
from fnequiv.symmetry import KINDS, Axis, Block, SymmetrySpec


@st.composite
def specs(draw):
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5))
    sizes = [draw(st.integers(1, 64)) for _ in kinds]
    pairs = enumerate(zip(sizes, kinds, strict=True))
    blocks = tuple(Block(f"b{i}", size, kind, (Axis(f"w{i}", 0, "in"),)) for i, (size, kind) in pairs)
    return SymmetrySpec(blocks, {f"w{i}": (size,) for i, size in enumerate(sizes)})


def matrices(element):
    """The monomial matrices D P of an element: an independent picture of the group."""
    found = {}
    for name, move in element.moves.items():
        matrix = np.zeros((len(move.permutation),) * 2)
        for i, p in enumerate(move.permutation):
            matrix[i, p] = move.signs[i] * move.scales[i]
        found[name] = matrix
    return found


def close(a, b):
    return all(
        np.array_equal(a[n].permutation, b[n].permutation) and np.allclose(a[n].factors, b[n].factors, rtol=1e-14)
        for n in a.moves
    )


@given(specs(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_group_laws(spec, seed):
    rng = np.random.default_rng(seed)
    g, h, k = (sample(spec, rng) for _ in range(3))
    one = identity(spec)
    assert compose(one, g) == g == compose(g, one)
    assert close(compose(g, invert(g)), one)
    assert close(compose(invert(g), g), one)
    assert close(compose(compose(g, h), k), compose(g, compose(h, k)))
    assert close(invert(compose(g, h)), compose(invert(h), invert(g)))


@given(specs(), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_product_is_the_product_of_matrices(spec, seed):
    rng = np.random.default_rng(seed)
    g, h = sample(spec, rng), sample(spec, rng)
    product, inverse = matrices(compose(g, h)), matrices(invert(g))
    for name, (left, right) in {n: (matrices(g)[n], matrices(h)[n]) for n in g.moves}.items():
        np.testing.assert_allclose(product[name], left @ right, rtol=1e-14)
        np.testing.assert_allclose(inverse[name], np.linalg.inv(left), rtol=1e-12, atol=1e-14)


def test_permutations_and_signs_are_uniform():
    spec = mlp.spec((1, 3, 1), "tanh")
    rng = np.random.default_rng(7)
    counts = {}
    for _ in range(4800):
        move = sample(spec, rng)["layer1"]
        key = (tuple(move.permutation), tuple(move.signs))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 48
    chi2 = sum((n - 100) ** 2 / 100 for n in counts.values())
    assert chi2 < 90.0  # 47 degrees of freedom: exceeded with probability 2e-4 by a uniform sampler, seed fixed


def test_scales_fill_the_spread():
    move = sample(mlp.spec((1, 4000, 1), "relu"), np.random.default_rng(1), spread=8.0)["layer1"]
    logs = np.log(move.scales) / np.log(8.0)
    assert logs.min() < -0.99
    assert logs.max() > 0.99
    assert abs(logs.mean()) < 4 * np.sqrt(1 / 3 / 4000)
    assert (sample(mlp.spec((1, 9, 1), "relu"), np.random.default_rng(1), spread=1.0)["layer1"].scales == 1).all()


def test_a_seed_determines_the_element_for_numpy_and_torch():
    spec = mlp.spec((2, 50, 50, 1), "identity")
    assert sample(spec, np.random.default_rng(5)) == sample(spec, np.random.default_rng(5))
    first = sample(spec, torch.Generator().manual_seed(5))
    assert first == sample(spec, torch.Generator().manual_seed(5))
    assert first != sample(spec, torch.Generator().manual_seed(6))


def test_sampling_leaves_global_random_state_alone():
    before, before_torch = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    sample(mlp.spec((2, 50, 1), "tanh"), torch.Generator().manual_seed(5))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before_torch)


def test_a_move_keeps_its_own_copy_and_cannot_be_changed():
    given_permutation = np.array([1, 0])
    move = Move(given_permutation)
    given_permutation[0] = 0
    assert move.permutation.tolist() == [1, 0]
    with pytest.raises(ValueError, match="read-only"):
        move.permutation[0] = 0


SPEC = mlp.spec((2, 3, 1), "tanh")
BAD = {
    "a repeated entry": (lambda: Move([0, 0, 1]), ValueError, "each of 0..2 once, got [0 0 1]"),
    "an entry out of range": (lambda: Move([0, 1, 3]), ValueError, "each of 0..2 once"),
    "fractions": (lambda: Move([0.0, 1.0]), TypeError, "must hold integers, got float64"),
    "a matrix": (lambda: Move(np.eye(2)), TypeError, "one-dimensional"),
    "a sign of 0": (lambda: Move([0, 1], signs=[1, 0]), ValueError, "signs must be -1 or +1"),
    "a NaN sign": (lambda: Move([0, 1], signs=[1, np.nan]), ValueError, "signs must be -1 or +1"),
    "a scale of 0": (lambda: Move([0, 1], scales=[1, 0]), ValueError, "scales must be finite and > 0"),
    "a negative scale": (lambda: Move([0, 1], scales=[1, -2]), ValueError, "scales must be finite and > 0"),
    "an infinite scale": (lambda: Move([0, 1], scales=[1, np.inf]), ValueError, "scales must be finite and > 0"),
    "signs of another length": (lambda: Move([0, 1], signs=[1]), ValueError, "signs must have length 2"),
    "a list for a move": (lambda: GroupElement({"layer1": [1, 0]}), TypeError, "needs a Move"),
    "a seed for a generator": (lambda: sample(SPEC, 0), TypeError, "np.random.default_rng(0)"),
    "a spread below 1": (lambda: sample(SPEC, np.random.default_rng(0), spread=0.5), ValueError, "spread must be"),
    "an infinite spread": (lambda: sample(SPEC, np.random.default_rng(0), spread=np.inf), ValueError, "spread must be"),
    "elements of two groups": (
        lambda: compose(identity(SPEC), identity(mlp.spec((2, 4, 1), "tanh"))),
        ValueError,
        "different groups",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_rule_and_value(case):
    call, error, message = BAD[case]
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
