"""Networks in fewer numbers keep every distance that scales can change."""

import numpy as np
import pytest

from fnequiv.equivalence.axes import along, power
from fnequiv.equivalence.compressing import compressed
from fnequiv.symmetry import Axis, Block, SymmetrySpec

HIDDEN = Block("hidden", 3, "scaled", (Axis("conv", 0, "in"), Axis("next", 1, "out"), Axis("norm", 1, "out")))
NORM = Block("norm", 3, "scaled", (Axis("norm", 0, "in"), Axis("head", 1, "out", repeat=2)), degree=2)
LAST = Block("last", 2, "signed_scaled", (Axis("next", 0, "in"), Axis("var", 0, "carry")))
SHAPES = {"conv": (3, 4, 5, 5), "next": (2, 3, 3), "norm": (3, 3), "head": (7, 6), "var": (2,), "bias": (7,)}
SPEC = SymmetrySpec((HIDDEN, NORM, LAST), SHAPES)


def rescaled(arrays, blocks, scales):
    moved = dict(arrays)
    for block in blocks:
        for axis in block.axes:
            if axis.tensor in moved:
                factor = scales[block.name] ** float(power(block, axis))
                moved[axis.tensor] = moved[axis.tensor] * along(factor, axis, moved[axis.tensor].ndim)
    return moved


def gap(a, b):
    return sum(((a[name] - b[name]) ** 2).sum() for name in b)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("diagonal", [False, True])
def test_distances_change_alike_under_scales(seed, diagonal):
    rng = np.random.default_rng(seed)
    a, b = ({name: rng.normal(size=shape) for name, shape in SHAPES.items()} for _ in "ab")
    if diagonal:
        a["norm"], b["norm"] = (np.diag(np.diag(network["norm"])) for network in (a, b))
    a["conv"][1] = 0
    (small_a, small_b), blocks = compressed([a, b], SPEC)
    assert sum(array.size for array in small_b.values()) < sum(array.size for array in b.values()) / 4
    whole, small = [], []
    for _ in range(3):
        scales = {block.name: np.exp(rng.normal(size=block.size)) for block in SPEC.blocks}
        whole.append(gap(rescaled(a, SPEC.blocks, scales), b))
        small.append(gap(rescaled(small_a, blocks, scales), small_b))
    np.testing.assert_allclose(np.diff(small), np.diff(whole), rtol=1e-10)


def test_near_copies_lose_no_digits():
    rng = np.random.default_rng(0)
    b = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    a = {name: array * (1 + 1e-9 * rng.normal(size=array.shape)) for name, array in b.items()}
    (small_a, small_b), _ = compressed([a, b], SPEC)
    moved = {name: array for name, array in b.items() if name in small_b}
    assert gap(small_a, small_b) == pytest.approx(gap(a, moved), rel=1e-5)


def test_one_network_keeps_its_lengths_and_nothing_that_no_scale_reaches():
    rng = np.random.default_rng(0)
    a = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    (small,), blocks = compressed([a], SPEC)
    assert {name: array.shape[:2] for name, array in small.items()} == {
        "conv": (3, 1),
        "next": (2, 3),
        "norm": (3, 3),
        "head": (1, 6),
    }
    np.testing.assert_allclose((small["conv"] ** 2).ravel(), (a["conv"] ** 2).sum(axis=(1, 2, 3)))
    assert [axis.tensor for axis in blocks[2].axes] == ["next"]
    assert compressed([a], SPEC.only(signs=True)) == ([{}], [])


def test_small_networks_are_large_ones_made_small():
    rng = np.random.default_rng(0)
    pair = [{name: rng.normal(size=shape) for name, shape in SHAPES.items()} for _ in "ab"]
    large, _ = compressed(pair, SPEC)
    small, _ = compressed([{name: array * 1e-6 for name, array in network.items()} for network in pair], SPEC)
    for one, other in zip(large, small, strict=True):
        for name in one:
            assert np.allclose(one[name] * 1e-6, other[name], rtol=1e-9, atol=0)
