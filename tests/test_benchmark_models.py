"""The architectures of the benchmarks have the published numbers of parameters, and their twins run."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
NAMES = (
    "ResNet-18",
    "ResNet-50",
    "ResNeXt-50 32x4d",
    "VGG-16",
    "MobileNetV2",
    "DenseNet-121",
    "ViT-B/16",
    "GPT-2 small",
    "BERT-base",
    "Llama-like 1.1B",
)


@pytest.fixture(params=NAMES)
def entry(request, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks._models import CATALOGUE

    assert tuple(each.name for each in CATALOGUE) == NAMES
    return CATALOGUE[NAMES.index(request.param)]


def test_the_number_of_parameters_is_the_published_one(entry):
    from benchmarks._models import built

    network = built(entry.config)
    assert sum(parameter.numel() for parameter in network.parameters()) == entry.parameters
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}
    assert network(entry.config.inputs().to("meta")).device.type == "meta"


def test_a_twin_has_the_wiring_and_every_tensor_is_random(entry):
    from benchmarks._models import built

    first, again, other = (built(entry.twin, seed=seed, dtype=torch.float64).state_dict() for seed in (0, 0, 1))
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name])
        if tensor.is_floating_point():
            assert not (tensor == other[name]).any()
    x = entry.twin.inputs()
    y = built(entry.twin, seed=0, dtype=torch.float64)(x.double() if x.is_floating_point() else x)
    assert y.isfinite().all()
    assert y.std() > 0
    kinds = [
        {type(module) for module in built(config).modules() if not isinstance(module, torch.nn.Identity)}
        for config in (entry.config, entry.twin)
    ]
    assert kinds[0] == kinds[1]
