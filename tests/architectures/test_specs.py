"""Hand-written specifications against their networks: the function stays, and nothing is missing."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from families import FAMILIES, Bench

from fnequiv.equivalence.actions import GroupElement, Move, apply, identity, sample
from fnequiv.equivalence.unfolding import fold, unfold
from fnequiv.symmetry import kind_of


@pytest.fixture(params=list(FAMILIES), scope="module")
def bench(request):
    return Bench(FAMILIES[request.param])


def test_group_elements_keep_the_function(bench):
    bench.spec.check_shapes({name: tuple(tensor.shape) for name, tensor in bench.params[0].items()})
    still = set(bench.spec.shapes)
    for draw, params in enumerate(bench.params):
        for seed in range(3):
            moved = apply(params, bench.spec, sample(bench.spec, np.random.default_rng([draw, seed])))
            still -= {name for name in params if not torch.equal(params[name], moved[name])}
            assert bench.drift(draw, moved) <= 1e-10
    fixed = {"head.bias", "fc.bias", "o_proj.bias", "out_proj.bias"}  # outputs
    assert all(name in fixed or name.endswith("num_batches_tracked") for name in still)


def alone(spec, name, move):
    """The map of parameters that moves one block, and nothing of the others."""
    element = GroupElement({**identity(spec).moves, name: move})
    return lambda params: apply(params, spec, element)


def in_pieces(spec, pieces_spec, name, move):
    """The same for the pieces of parameters, each a tensor of its own; what leaves a diagonal is lost."""
    act = alone(pieces_spec, name, move)

    def moved(params):
        pieces = act(unfold(params, spec))
        out = {name: pieces.get(name, tensor.clone()) for name, tensor in params.items()}
        fold(pieces, spec, out)
        return out

    return moved


def test_no_kind_could_be_larger(bench):
    """A flip or a scale that a block's kind excludes changes the function."""
    for index, block in enumerate(bench.spec.blocks):
        freed = replace(block, kind=kind_of(signs=True, scales=True))
        larger = replace(bench.spec, blocks=(*bench.spec.blocks[:index], freed, *bench.spec.blocks[index + 1 :]))
        order, one = np.arange(block.size), np.ones(block.size)
        acting = any(axis.role != "carry" for axis in block.axes)
        if acting and not block.signs:
            one[-1] = -1
            assert not bench.keeps(alone(larger, block.name, Move(order, signs=one)))
        if acting and not block.scales:
            one[-1] = 1.5
            assert not bench.keeps(alone(larger, block.name, Move(order, scales=one)))


def swap(size, i, j):
    order = np.arange(size)
    order[[i, j]] = j, i
    return Move(order)


def test_a_block_that_lies_within_another_cannot_move_without_it(bench):
    """Swap two units of a block alone: that holds in one run, if the block has no others within, and never else."""
    spec = bench.spec
    parents = {block.within for block in spec.blocks}
    for block in spec.blocks:
        run = block.size // block.groups
        for i, j in combinations(range(min(block.size, 6)) if block.axes else (), 2):
            holds = i // run == j // run and block.name not in parents
            assert bench.keeps(in_pieces(spec, spec.flat, block.name, swap(block.size, i, j))) == holds


def test_no_place_of_a_block_could_be_left_out(bench):
    """Swap two units on all places of a block but one: the function changes."""
    flat = bench.spec.flat
    for index, block in enumerate(flat.blocks):
        for axis in block.axes if block.size > 1 else ():
            fewer = replace(block, axes=tuple(other for other in block.axes if other is not axis))
            if not bench.sees(axis.tensor):
                assert axis.tensor in ("k_proj.bias", "in_proj_bias[6:12]")  # softmax ignores them
                continue
            less = replace(flat, blocks=(*flat.blocks[:index], fewer, *flat.blocks[index + 1 :]))
            move = swap(block.size, 0, block.size - 1)
            assert not bench.keeps(in_pieces(bench.spec, less, block.name, move))
