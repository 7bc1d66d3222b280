"""The group itself: laws over every kind and mixture, against monomial matrices; what its operations refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.equivalence.elements import GroupElement, Move
from fnequiv.equivalence.group import compose, identity, invert, sample
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


SPEC = mlp.spec((2, 3, 1), "tanh")
ONE = identity(SPEC)


def rng():
    return np.random.default_rng(0)


def scale(value):
    return GroupElement({"b": Move([0], scales=[value])})


BAD = {
    "a seed for a generator": (lambda: sample(SPEC, 0), TypeError, "np.random.default_rng(0)"),
    "a spread below 1": (lambda: sample(SPEC, rng(), spread=0.5), ValueError, "spread must be >= 1, got 0.5"),
    "an infinite spread": (lambda: sample(SPEC, rng(), spread=np.inf), ValueError, "spread must be finite"),
    "two spreads": (lambda: sample(SPEC, rng(), spread=[2, 3]), ValueError, "spread must be one number"),
    "a word for a spread": (lambda: sample(SPEC, rng(), spread="wide"), TypeError, "spread must be"),
    "no spec to sample": (lambda: sample(None, rng()), TypeError, "expected a SymmetrySpec, got None"),
    "no spec to leave alone": (lambda: identity("relu"), TypeError, "expected a SymmetrySpec, got 'relu'"),
    "no second factor": (lambda: compose(ONE, None), TypeError, "expected a GroupElement, got None"),
    "no first factor": (lambda: compose(SPEC, ONE), TypeError, "expected a GroupElement, got SymmetrySpec"),
    "nothing to invert": (lambda: invert(None), TypeError, "expected a GroupElement, got None"),
    "elements of two groups": (
        lambda: compose(ONE, identity(mlp.spec((2, 4, 1), "tanh"))),
        ValueError,
        "different groups",
    ),
    "a product that overflows": (lambda: compose(scale(1e200), scale(1e200)), ValueError, "the range of float64"),
    "a product that underflows": (lambda: compose(scale(1e-160), scale(1e-160)), ValueError, "the range of float64"),
    "an inverse that overflows": (lambda: invert(scale(5e-324)), ValueError, "block 'b' leaves the range of float64"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_rule_and_value(case, refuses):
    refuses(*BAD[case])
