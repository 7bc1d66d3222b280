"""Hand-written specifications against their networks: the function stays, and nothing is missing."""

import math
import re
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from families import FAMILIES, GATED, SMALL, Bench, Family, randomised
from oracle import symmetries
from torch.nn.attention import SDPBackend, sdpa_kernel

from fnequiv.architectures import specs
from fnequiv.architectures.specs import ResNet, Transformer, resnet, transformer
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
    outputs = {"head.bias", "fc.bias", "o_proj.bias", "out_proj.bias"}
    assert all(name in outputs or name.endswith("num_batches_tracked") for name in still)


def test_the_normalised_specification_is_of_the_same_group(bench):
    spec = bench.spec.normalised()
    assert spec.order() == bench.spec.order()
    assert spec.continuous_dimension() == bench.spec.continuous_dimension()
    for draw, params in enumerate(bench.params):
        assert bench.drift(draw, apply(params, spec, sample(spec, np.random.default_rng([7, draw])))) <= 1e-10


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
        for i, j in combinations(range(min(block.size, 4)) if block.axes else (), 2):
            holds = i // run == j // run and block.name not in parents
            assert bench.keeps(in_pieces(spec, spec.flat, block.name, swap(block.size, i, j))) == holds


def test_no_place_of_a_block_could_be_left_out(bench):
    """Swap two units on all places of a block but one: the function changes."""
    flat = bench.spec.flat
    for index, block in enumerate(flat.blocks):
        for axis in block.axes if block.size > 1 else ():
            fewer = replace(block, axes=tuple(other for other in block.axes if other is not axis))
            if not bench.sees(axis.tensor):
                assert re.search(r"k_proj.bias$|in_proj_bias\[(6:12|4:8)\]$", axis.tensor)  # softmax ignores them
                continue
            less = replace(flat, blocks=(*flat.blocks[:index], fewer, *flat.blocks[index + 1 :]))
            move = swap(block.size, 0, block.size - 1)
            assert not bench.keeps(in_pieces(bench.spec, less, block.name, move))


def forgetting(spec, block, places):
    """The specification with places of a block left out: all whose piece begins with one of ``places``."""
    index = [each.name for each in spec.blocks].index(block)
    kept = tuple(axis for axis in spec.blocks[index].axes if not axis.tensor.startswith(places))
    assert len(kept) < len(spec.blocks[index].axes)
    return replace(
        spec, blocks=(*spec.blocks[:index], replace(spec.blocks[index], axes=kept), *spec.blocks[index + 1 :])
    )


@pytest.mark.parametrize(
    ("name", "block", "places"),
    [
        ("cnn", "before norms.0", ("norms.0.running_mean", "norms.0.running_var")),
        ("cnn, plain", "channels2", ("head.weight",)),
        ("cnn, depthwise", "channels1", ("filters.1",)),
        ("resnet", "stem", ("layer1.1.conv1",)),
        ("residual perceptron, used twice", "stream", ("blocks.0.linear2",)),
        ("transformer, tied", "stream", ("embed.weight",)),
    ],
    ids=["batch norm statistics", "flatten", "depthwise", "skip connection", "used twice", "tied embedding"],
)
def test_what_others_forget_changes_the_function(name, block, places):
    """The same random element, with and without the places that tools for matching networks have forgotten."""
    bench = Bench(FAMILIES[name])
    wrong = forgetting(bench.spec, block, places)
    for draw, params in enumerate(bench.params):
        element = sample(bench.spec, np.random.default_rng([6, draw]))
        assert bench.drift(draw, apply(params, bench.spec, element)) <= 1e-10
        assert bench.drift(draw, apply(params, wrong, element)) > 1e-3


def test_channels_of_a_grouped_convolution_are_not_free():
    bench = Bench(FAMILIES["resnet, grouped"])
    inner, before = (bench.spec.block(name) for name in ("layer2.0.inner2", "before layer2.0.bn2"))
    across = swap(4, 0, 2).permutation  # from one group to the other
    element = GroupElement({**identity(bench.spec.flat).moves, inner.name: Move(across), before.name: Move(across)})
    for draw, params in enumerate(bench.params):
        pieces = apply(unfold(params, bench.spec), bench.spec.flat, element)
        moved = {name: pieces.get(name, tensor.clone()) for name, tensor in params.items()}
        fold(pieces, bench.spec, moved)
        assert bench.drift(draw, moved) > 1e-3
    torn = GroupElement({**identity(bench.spec).moves, inner.name: Move(across), before.name: Move(across)})
    with pytest.raises(ValueError, match="runs of 2 units must move as the units there"):
        apply(bench.params[0], bench.spec, torn)


TINY = {
    **{name: FAMILIES[name] for name in ("cnn", "cnn, depthwise", "residual perceptron", "multi-query", "decoder")},
    **{name: FAMILIES[name] for name in ("residual perceptron, used twice", "attention", "grouped queries, rotary")},
    "resnet": Family(ResNet, resnet, ((2, 1), (1, 1), 1, 2), {}, (1, 1, 6, 6)),
    "transformer": Family(
        Transformer, transformer, (2, 2), {"width": 3, "heads": 1, "hidden": 2, "length": 2}, (2, 2, 2)
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_the_permutations_are_all_that_keep_the_function(name):
    """Brute force over permutations of entries, each tensor within itself: see ``oracle.py``."""
    family = TINY[name]
    network = family.network()
    network.load_state_dict(randomised(network, 0))
    with sdpa_kernel(SDPBackend.MATH):  # the others have no rule for vmap
        group = symmetries(network, (family.inputs(3),))
    assert group.order == family.spec().only().order()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.cnn((1,), (8, 8), 3), ValueError, "channels must hold at least 2 integers, got 1"),
        (lambda f: f.cnn(8, (8, 8), 3), TypeError, "channels must be a list or a tuple of integers, got int"),
        (lambda f: f.cnn((1, 0), (8, 8), 3), ValueError, "channels[1] must be >= 1, got 0"),
        (lambda f: f.cnn((1, 2), (8, 8, 8), 3), ValueError, "image must be (height, width), got (8, 8, 8)"),
        (lambda f: f.cnn((1, 2, 2), (8, 3), 3), ValueError, "image must not vanish in 2 halvings, got (8, 3)"),
        (lambda f: f.cnn((1, 2), (8, 8), 0), ValueError, "outputs must be >= 1, got 0"),
        (lambda f: f.cnn((1, 2), (8, 8), 3, pool="min"), ValueError, "pool must be one of ('max', 'average')"),
        (lambda f: f.cnn((1, 2), (8, 8), 3, norm=1), TypeError, "norm must be True or False, got 1"),
        (lambda f: f.cnn((1, 2), (8, 8), 3, separable="no"), TypeError, "separable must be True or False"),
        (lambda f: f.cnn((1, 2), (8, 8), 3, activation="relo"), ValueError, "'relo'"),
        (lambda f: f.cnn((1, 2), (8, 8), 3, activation="prelu"), ValueError, "activation must bend and have no param"),
        (lambda f: f.cnn((1, 2), (8, 8), 3, activation="identity"), ValueError, "activation must bend"),
        (lambda f: f.resnet((2, 2), (1,), 1, 3), ValueError, "widths and depths must have one entry a stage"),
        (lambda f: f.resnet((), (), 1, 3), ValueError, "widths must hold at least 1 integers, got 0"),
        (lambda f: f.resnet((2,), (0,), 1, 3), ValueError, "depths[0] must be >= 1, got 0"),
        (lambda f: f.resnet((2,), (1,), 0, 3), ValueError, "inputs must be >= 1, got 0"),
        (lambda f: f.resnet((2,), (1,), 1, 3, groups=2), ValueError, "groups must be 1 without bottlenecks, got 2"),
        (
            lambda f: f.resnet((3,), (1,), 1, 3, groups=2, bottleneck=True),
            ValueError,
            "multiple of groups, got 3 and 2",
        ),
        (lambda f: f.resnet((2,), (1,), 1, 3, large=0), TypeError, "large must be True or False, got 0"),
        (lambda f: f.resnet((2,), (1,), 1, 3, bottleneck=0), TypeError, "bottleneck must be True or False, got 0"),
        (lambda f: f.residual_mlp(1, 2, 3, 4, depth=0), ValueError, "depth must be >= 1, got 0"),
        (lambda f: f.residual_mlp(1, 2, 3.0, 4), TypeError, "hidden must be an integer, got 3.0"),
        (lambda f: f.residual_mlp(1, 2, 3, 4, shared=1), TypeError, "shared must be True or False, got 1"),
        (lambda f: f.residual_mlp(1, 2, 3, 4, bias=None), TypeError, "bias must be True or False, got None"),
        (lambda f: f.transformer(2, 3, **SMALL | {"heads": 3}), ValueError, "width must be a multiple of heads"),
        (lambda f: f.transformer(2, 3, **SMALL | {"length": 0}), ValueError, "length must be >= 1, got 0"),
        (lambda f: f.transformer(2, 3, **SMALL, causal=1), TypeError, "causal must be True or False, got 1"),
        (lambda f: f.transformer(2, 2, **SMALL, tied=True), ValueError, "tied needs a vocabulary"),
        (lambda f: f.transformer(2, 3, **SMALL, vocabulary=True, tied=True), ValueError, "as many outputs as inputs"),
        (lambda f: f.transformer(2, 3, **SMALL, activation="prelu"), ValueError, "activation must bend"),
        (lambda f: f.decoder(0, **GATED), ValueError, "vocabulary must be >= 1, got 0"),
        (lambda f: f.decoder(5, **GATED, groups=3), ValueError, "heads must be a multiple of groups, got 2 and 3"),
        (lambda f: f.decoder(5, **GATED | {"width": 6}), ValueError, "keys must be a multiple of two"),
        (lambda f: f.decoder(5, **GATED, activation="relu"), ValueError, "activation of a gate must be neither odd"),
        (lambda f: f.decoder(5, **GATED, tied=1), TypeError, "tied must be True or False, got 1"),
    ],
)
@pytest.mark.parametrize("network", [False, True])
def test_wrong_arguments_are_named(call, error, message, network, refuses):
    """By the specification and by the network alike."""
    networks = {"cnn": "CNN", "resnet": "ResNet", "residual_mlp": "ResidualMLP"}
    names = ("cnn", "resnet", "residual_mlp", "transformer", "decoder")
    functions = {name: getattr(specs, networks.get(name, name.title()) if network else name) for name in names}
    refuses(lambda: call(SimpleNamespace(**functions)), error, message)


def test_resnet_18_has_the_parameters_that_torchvision_documents():
    with torch.device("meta"):
        network = ResNet((64, 128, 256, 512), (2, 2, 2, 2), 3, 1000, large=True)
    spec = resnet((64, 128, 256, 512), (2, 2, 2, 2), 3, 1000, large=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_689_512
    spec.check_shapes({name: tuple(tensor.shape) for name, tensor in network.state_dict().items()})
    # one order for each of four streams and of eight layers inside blocks
    sizes = {64: 3, 128: 3, 256: 3, 512: 3}
    assert spec.only().log_order() == pytest.approx(sum(n * math.lgamma(d + 1) for d, n in sizes.items()), rel=1e-12)


def test_pytorchs_own_transformer_layer_has_this_symmetry():
    """``nn.TransformerEncoderLayer`` computes what our block does, with parameters of the same names."""
    for norm_first in (False, True):
        family = FAMILIES["transformer, norm last" if not norm_first else "transformer"]
        network = family.network()
        network.load_state_dict(randomised(network, 0))
        ours = network.blocks[0]
        theirs = torch.nn.TransformerEncoderLayer(
            4, 2, 3, dropout=0.0, activation="gelu", layer_norm_eps=0.1, batch_first=True, norm_first=norm_first
        )
        theirs = theirs.double().train()  # with no dropout the same as eval, without its fast path
        theirs.load_state_dict(ours.state_dict())
        s = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        assert torch.allclose(ours(s), theirs(s), rtol=1e-12, atol=1e-12)
