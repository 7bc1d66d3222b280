"""Cells cut in a view of their tensor: rows that lie apart, such as the rotary pairs of all heads."""

import numpy as np
import pytest
import torch

from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.unfolding import fold, unfold
from fnequiv.symmetry import Axis, Block, Cell, SymmetrySpec

HEADS, HALF, COLUMNS = 3, 2, 5


def pairs():
    view = (HEADS, 2, HALF, COLUMNS)
    boxes = [((0, HEADS), (0, 2), (pair, pair + 1), (0, COLUMNS)) for pair in range(HALF)]
    cells = [Cell("q", view=view, box=box, shape=(HEADS * 2, COLUMNS)) for box in boxes]
    blocks = [
        Block(f"pair{i}", HEADS, "signed_scaled", (Axis(cell.name, 0, "in", 2),), within="heads", groups=HEADS)
        for i, cell in enumerate(cells)
    ]
    heads = Block("heads", HEADS, "permutation", ())
    return SymmetrySpec((heads, *blocks), {"q": (HEADS * 2 * HALF, COLUMNS)}, tuple(cells))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_pair_is_two_rows_of_every_head_and_moves_as_one(transposed):
    spec = pairs()
    q = torch.arange(60.0, dtype=torch.float64).view(12, 5) + 1
    params = {"q": q.T.contiguous().T if transposed else q}
    pieces = unfold(params, spec)
    rows = [
        [head * 2 * HALF + half * HALF + pair for head in range(HEADS) for half in range(2)] for pair in range(HALF)
    ]
    for cell, expected in zip(spec.cells, rows, strict=True):
        assert torch.equal(pieces[cell.name], params["q"][expected])
    back = {"q": torch.zeros_like(params["q"])}
    fold(pieces, spec, back)
    assert torch.equal(back["q"], params["q"])

    g = sample(spec, np.random.default_rng(1))
    moved = apply(params, spec, g)["q"].reshape(HEADS, 2, HALF, COLUMNS)
    before = params["q"].reshape(HEADS, 2, HALF, COLUMNS)
    for pair in range(HALF):
        move = g[f"pair{pair}"]
        expected = before[move.permutation.copy(), :, pair] * torch.as_tensor(move.factors)[:, None, None]
        assert torch.allclose(moved[:, :, pair], expected, rtol=1e-15, atol=0)


def test_a_view_splits_axes_and_all_cells_of_a_tensor_share_it(refuses):
    box = ((0, 2), (0, 3), (0, 2))
    refuses(
        lambda: SymmetrySpec((), {"w": (4, 3)}, (Cell("w", view=(2, 3, 2), box=box),)),
        ValueError,
        "view (2, 3, 2) does not split the axes of 'w', whose shape is (4, 3)",
    )
    halves = (Cell("w", view=(2, 2, 3), box=((0, 1), (0, 2), (0, 3))), Cell("w", box=((2, 4), (0, 3))))
    refuses(lambda: SymmetrySpec((), {"w": (4, 3)}, halves), ValueError, "must have one view")
    refuses(lambda: Cell("w", view=(2, 0)), ValueError, "view of a cell of 'w' must be >= 1")
