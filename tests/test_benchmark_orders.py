"""The groups counted by hand, against counts that anybody can check, and the rotations that no specification holds."""

import math
from pathlib import Path

import pytest
import torch
from torch.func import functional_call

from fnequiv.architectures.specs import decoder, resnet

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_small_ones_by_hand():
    from benchmarks._models import VGG, DenseNet, MobileNetV2, ResNet
    from benchmarks._orders import tally

    # 3! orders of the stream, 3! inside the one block; flips before three BatchNorms
    found = tally(ResNet((1,), (3,)))
    assert found.log_order() == pytest.approx(math.log(6 * 6 * 2**9))
    assert (found.rescaled, found.mixing) == (9 + 6, 0)
    # 2 groups of 2 channels on either side of the grouped layer; the stem has 2, and the stream 4 · 2 channels
    found = tally(ResNet((1,), (2,), bottleneck=True, groups=2, base_width=64))
    assert found.log_order() == pytest.approx(math.log(2 * math.factorial(8) * 2 * 2**2 * 2**2 * 2 ** (2 + 16 + 8)))
    # 4! channels, 5! units twice
    found = tally(VGG(((4,),), hidden=5))
    assert found.log_order() == pytest.approx(math.log(24 * 120**2))
    assert found.rescaled == 14
    # stem of 2, linear stream of 3, last layer of 4: flips before four BatchNorms, and of the stream
    found = tally(MobileNetV2(2, ((1, 3, 1, 1),), last=4))
    assert found.log_order() == pytest.approx(math.log(2 * 6 * 24 * 2 ** (2 + 2 + 3 + 4 + 3)))
    # stem of 3, one layer of 4 inner and 2 new channels
    found = tally(DenseNet((1,), growth=2, stem=3, factor=2))
    assert found.log_order() == pytest.approx(math.log(6 * 24 * 2 * 2 ** (3 + 4 + 2)))
    assert found.rescaled == 3 + 3 + 3 + 4 + 4 + 2 + 5


def test_the_counts_are_those_of_the_hand_written_specifications():
    from benchmarks._models import Llama, ResNet
    from benchmarks._orders import tally

    widths = (64, 128, 256, 512)
    pairs = [
        (ResNet((2, 2, 2, 2)), resnet(widths, (2, 2, 2, 2), 3, 1000, large=True)),
        (ResNet((3, 4, 6, 3), bottleneck=True), resnet(widths, (3, 4, 6, 3), 3, 1000, bottleneck=True, large=True)),
        (Llama(2, 16, 4, 2, 20, 17), decoder(17, width=16, heads=4, groups=2, hidden=20, depth=2)),
    ]
    for config, spec in pairs:
        found = tally(config)
        assert found.log_order() == pytest.approx(spec.log_order(), rel=1e-14)
        assert found.rescaled + found.mixing == spec.continuous_dimension()


def test_what_is_unknown_has_no_tally():
    from benchmarks._orders import tally

    with pytest.raises(TypeError, match="no tally for str"):
        tally("ResNet-18")


WRITERS = ("out.weight", "out.bias", "down.weight", "patches.weight", "patches.bias", "mlp.3.weight", "mlp.3.bias")
READERS = {"norm1": ("attention.qkv", "q", "k", "v"), "norm2": ("mlp.0", "gate", "up"), "norm": ("head",)}


def turned(params, q):
    """Turn the stream of a transformer by Q: each norm's scales and shift go into the layers that read it."""
    moved = dict(params)
    for name, tensor in params.items():
        module, _, kind = name.rpartition(".")
        path, dot, layer = module.rpartition(".")
        if name in ("tokens.weight", "positions", "token"):
            moved[name] = tensor @ q.T
        elif name.endswith(WRITERS):
            moved[name] = torch.tensordot(q, tensor, 1)
        elif layer in READERS and kind == "weight":
            shift = params.get(f"{module}.bias", torch.zeros_like(tensor))
            moved |= {f"{module}.weight": torch.ones_like(tensor), f"{module}.bias": torch.zeros_like(tensor)}
            for reader in (f"{path}{dot}{each}" for each in READERS[layer]):
                if f"{reader}.weight" in params:
                    weight = params[f"{reader}.weight"]
                    moved[f"{reader}.weight"] = weight * tensor @ q.T
                    moved[f"{reader}.bias"] = params.get(f"{reader}.bias", 0) + weight @ shift
    return {name: moved[name] for name in params}


@pytest.mark.parametrize("name", ["ViT-B/16", "Llama-like 1.1B"])
def test_a_rotated_stream_is_the_same_function(name):
    from benchmarks._models import CATALOGUE, built

    config = next(entry.twin for entry in CATALOGUE if entry.name == name)
    network, x = built(config, seed=0, dtype=torch.float64), config.inputs()
    x = x.double() if x.is_floating_point() else x
    start = torch.randn(config.width, config.width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    free = torch.linalg.qr(start).Q
    start[:, 0] = 1  # the first column of Q is then along (1, …, 1), up to its sign
    basis = torch.linalg.qr(start).Q
    inside = torch.linalg.qr(start[1:, 1:]).Q
    fixing = basis @ torch.block_diag(torch.ones(1, 1, dtype=torch.float64), inside) @ basis.T
    params = {key: tensor.detach() for key, tensor in network.state_dict().items()}

    def drift(q):
        with torch.no_grad():
            f, g = (functional_call(network, theta, (x,)) for theta in (params, turned(params, q)))
        return float((f - g).abs().max() / f.abs().max())

    assert drift(fixing) < 1e-12
    rms = name.startswith("Llama")
    assert (drift(free) < 1e-12) == rms  # LayerNorm takes the mean away: Q has to keep it


def test_a_linear_stream_of_mobilenet_has_any_basis():
    from benchmarks._models import CATALOGUE, built

    config = next(entry.twin for entry in CATALOGUE if entry.name == "MobileNetV2")
    network, x = built(config, seed=0, dtype=torch.float64), config.inputs().double()
    params = network.state_dict()
    basis = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moved = dict(params)
    for block in ("4.layers.", "5.layers."):  # both write to the stream of 4 channels, through a BatchNorm
        norm = f"{block}7."
        slope = params[f"{norm}weight"] / (params[f"{norm}running_var"] + 1e-5).sqrt()
        before = basis * slope / slope[:, None]
        moved[f"{block}6.weight"] = torch.tensordot(before, params[f"{block}6.weight"], 1)
        moved[f"{norm}running_mean"] = before @ params[f"{norm}running_mean"]
        moved[f"{norm}bias"] = basis @ params[f"{norm}bias"]
    for reader in ("5.layers.0.weight", "6.layers.0.weight"):
        moved[reader] = torch.einsum("oihw,ij->ojhw", params[reader], basis.inverse())
    with torch.no_grad():
        torch.testing.assert_close(functional_call(network, moved, (x,)), network(x), rtol=1e-10, atol=1e-12)


def test_the_rotations_are_counted():
    from benchmarks._models import BERT, GPT2, Llama, ViT
    from benchmarks._orders import rotations

    assert [rotations(config) for config in (Llama(width=3), ViT(width=3), GPT2(), BERT())] == [3, 1, 0, 0]


TWINS = ("ResNet-18", "ResNet-50", "ResNeXt-50 32x4d", "VGG-16", "MobileNetV2", "DenseNet-121", "ViT-B/16",
         "GPT-2 small", "BERT-base", "Llama-like 1.1B")  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
def test_a_traced_twin_has_the_group_counted_by_hand(name):
    from benchmarks._models import CATALOGUE
    from benchmarks.architectures import traced

    assert tuple(entry.name for entry in CATALOGUE) == TWINS
    spec, _ = traced(next(entry.twin for entry in CATALOGUE if entry.name == name), seed=0)
    assert not spec.notes


@pytest.mark.parametrize("part", ["flipped", "rescaled", "mixing"])
def test_another_count_fails_the_benchmark(monkeypatch, part):
    from benchmarks import architectures
    from benchmarks._models import ResNet
    from benchmarks._orders import tally

    config = ResNet((1,), (3,), image=32, classes=5)
    found, _ = architectures.traced(config)
    other = tally(config)
    setattr(other, part, getattr(other, part) + 1)
    monkeypatch.setattr(architectures, "tally", lambda _: other)
    with pytest.raises(ValueError, match="traced log order"):
        architectures.traced(config)
    assert found.log_order() == pytest.approx(tally(config).log_order())


def test_a_line_of_the_table_says_what_was_found():
    from benchmarks._models import Entry, ResNet
    from benchmarks.architectures import line, row

    config = ResNet((1,), (3,), image=32, classes=5)
    parameters = 3 * 3 * 49 + 2 * 3 * 3 * 9 + 6 * 3 + 3 * 5 + 5
    found = line(row(Entry("small", config, parameters, config)))
    nats = math.log(6 * 6 * 2**9)
    assert f"{nats:,.0f} " in found
    assert f"{nats / math.log(2):,.0f} " in found
    assert f"{nats / (parameters * 16 * math.log(2)):8.4%}" in found
    assert f"{15 / parameters:8.3%}" in found
