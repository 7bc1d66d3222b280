"""Reordering against NumPy's own indexing: many axes, large tensors, strides, one thread and several."""

import itertools

import numpy as np
import pytest
import torch

from fnequiv.equivalence import reordering
from fnequiv.equivalence.reordering import empty_like, reorder

SHAPES = [(96, 96), (96, 3000), (2000, 96), (40, 96, 3, 3), (96, 40, 96), (7,), (1, 1), (5, 0)]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("piece", [1, 5000, 1 << 21])
def test_every_set_of_axes_agrees_with_advanced_indexing(shape, piece, monkeypatch):
    monkeypatch.setattr(reordering, "_PIECE_BYTES", piece)
    generator = torch.Generator().manual_seed(0)
    tensor = torch.empty(shape).normal_(generator=generator)
    orders = {axis: torch.randperm(size, generator=generator) for axis, size in enumerate(shape)}
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            expected = tensor.numpy()
            for axis in axes:
                expected = np.take(expected, orders[axis].numpy(), axis=axis)
            out = torch.full(shape, torch.nan)
            reorder(tensor, {axis: orders[axis] for axis in reversed(axes)}, out)
            assert np.array_equal(out.numpy(), expected)


@pytest.mark.usefixtures("threads")
def test_strided_tensors_are_read_right():
    tensor = torch.arange(12.0).view(3, 4).mT
    out = torch.empty(4, 3)
    reorder(tensor, {0: torch.tensor([3, 0, 2, 1]), 1: torch.tensor([2, 0, 1])}, out)
    assert np.array_equal(out.numpy(), tensor.numpy()[[3, 0, 2, 1]][:, [2, 0, 1]])


@pytest.mark.parametrize("shape", [(), (0,), (3, 2), (1500, 1500)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_new_memory_has_the_form_of_the_old_and_is_contiguous(shape, dtype):
    tensor = torch.ones(shape, dtype=dtype).mT if len(shape) == 2 else torch.ones(shape, dtype=dtype)
    found = empty_like(tensor)
    assert (found.shape, found.dtype, found.device) == (tensor.shape, tensor.dtype, tensor.device)
    assert found.is_contiguous()
