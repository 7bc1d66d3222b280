"""Models and inputs that are out of the ordinary: what is given is left alone, and blame goes where it belongs."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from fnequiv.architectures.drift import _elements, check_drift
from fnequiv.architectures.tracing import symmetry_of
from fnequiv.symmetry import Axis, Block, SymmetrySpec

ORDER = math.factorial(5)


class Around(nn.Module):
    """A network with something done to its inputs and its outputs."""

    def __init__(self, before: Callable = lambda *args: args[0], after: Callable = lambda y: y) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
        self.before, self.after = before, after

    def forward(self, *args: object) -> object:
        return self.after(self.net(self.before(*args)))


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def test_a_model_that_writes_into_its_input_gets_copies(x: torch.Tensor) -> None:
    given = x.double()
    kept = given.clone()
    assert symmetry_of(Around(lambda x: x.mul_(2)).double(), given).order() == ORDER
    assert torch.equal(given, kept)


def test_one_tensor_given_twice_is_one_tensor() -> None:
    x = torch.zeros(2, 3, 4)
    model = nn.MultiheadAttention(4, 2, batch_first=True)
    assert symmetry_of(model, (x, x, x)) == symmetry_of(model, (x, x.clone(), x.clone()))


def test_threads_trace_one_after_the_other(x: torch.Tensor) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: symmetry_of(Around(), x).order(), range(8)))
    assert found == [ORDER] * 8


def test_named_tuples_are_inputs(x: torch.Tensor) -> None:
    pair = namedtuple("pair", "left right")
    assert symmetry_of(Around(lambda p: p.left + p.right), (pair(x, x),)).order() == ORDER


def test_extra_states_stay_beside_the_tensors(x: torch.Tensor) -> None:
    class Extra(Around):
        def get_extra_state(self) -> dict[str, int]:
            return {"epoch": 3}

        def set_extra_state(self, state: dict[str, int]) -> None:
            raise AssertionError("nothing is restored")

    spec = symmetry_of(Extra(), x)
    assert spec.order() == ORDER
    assert "_extra_state" not in spec.shapes


@pytest.mark.parametrize("model", [Around(after=lambda y: y * math.nan), Around(lambda x: (-x.abs()).log())])
def test_nan_is_the_inputs_fault(model: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="NaN on the example inputs"):
        symmetry_of(model, x)


def test_a_domain_that_noise_leaves(x: torch.Tensor) -> None:
    assert symmetry_of(Around(torch.log), x.abs()).order() == ORDER


def test_infinities_of_a_mask_are_equal_to_themselves(x: torch.Tensor) -> None:
    mask = torch.tensor([True, False])
    assert symmetry_of(Around(after=lambda y: y.masked_fill(mask, -math.inf)), x).order() == ORDER


def _wrong(after: Callable) -> tuple[nn.Module, SymmetrySpec]:
    """Return a model and a false group: the last layer's rows move, and nothing answers."""
    model = Around(after=after)
    with torch.no_grad():
        model.net[2].bias.copy_(torch.tensor([1.0, -1.0]))
    block = Block("rows", 2, "permutation", (Axis("net.2.weight", 0, "in"), Axis("net.2.bias", 0, "in")))
    return model, SymmetrySpec((block,), {name: tuple(t.shape) for name, t in model.state_dict().items()})


@pytest.mark.parametrize(
    "after",
    [
        lambda y: y,
        lambda y: torch.complex(torch.zeros_like(y), y),  # all of it lies in the imaginary part
        lambda y: torch.where(y == y.max(dim=-1, keepdim=True).values, -math.inf, 0.0),  # only where the infinities lie
    ],
)
def test_a_false_group_is_found_out(after: Callable, x: torch.Tensor) -> None:
    model, spec = _wrong(after)
    with pytest.raises(RuntimeError, match="'rows' changes the function"):
        check_drift(model, x, spec)


def test_one_flip_that_changes_the_function_is_found_out(x: torch.Tensor) -> None:
    model = nn.Sequential(nn.Linear(3, 1))
    block = Block("unit", 1, "signed", (Axis("0.weight", 0, "in"), Axis("0.bias", 0, "in")))
    spec = SymmetrySpec((block,), {"0.weight": (1, 3), "0.bias": (1,)})
    with pytest.raises(RuntimeError, match="'unit' changes the function"):
        check_drift(model, x, spec)


def test_layers_without_units_and_lazy_layers(x: torch.Tensor) -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        empty = nn.Sequential(nn.Linear(3, 0), nn.ReLU(), nn.Linear(0, 2))
    assert symmetry_of(empty, x).order() == 1
    with pytest.raises(ValueError, match=r"lazy modules.*call it once"):
        symmetry_of(nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2)), x)


def test_complex_entries_are_left_unmoved_and_said_so(x: torch.Tensor) -> None:
    class Complex(Around):
        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Parameter(torch.randn(2, 2, dtype=torch.complex64))

        def forward(self, *args: object) -> object:
            return (super().forward(*args).to(torch.complex64) @ self.turn).abs()

    spec = symmetry_of(Complex(), x)
    assert spec.order() == ORDER
    assert any("turn has complex entries" in note for note in spec.notes)


def test_layers_reached_past_the_module_are_named():
    class Closed(nn.Module):
        def __init__(self):
            super().__init__()
            first, second = nn.Linear(3, 4), nn.Linear(4, 2)
            self.first, self.second = first, second
            self.run = lambda x: second(torch.relu(first(x)))  # a copy of the module still calls these two

        def forward(self, x):
            return self.run(x)

    spec = symmetry_of(Closed(), torch.randn(2, 3))
    assert spec.order() == 1
    assert any("first.weight" in note and "left unmoved" in note for note in spec.notes)


def test_two_single_units_that_may_only_be_flipped_together_are_seen_apart() -> None:
    """sign(w x + b) v: flips of (w, b) and of v are a symmetry together, and no flip alone is."""

    class Signs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sign(x)

    model = nn.Sequential(nn.Linear(3, 1), Signs(), nn.Linear(1, 2))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    ins, out = (Axis("0.weight", 0, "in"), Axis("0.bias", 0, "in")), Axis("2.weight", 1, "out")
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    check_drift(model, x, SymmetrySpec((Block("both", 1, "signed", (*ins, out)),), shapes))
    apart = SymmetrySpec((Block("rows", 1, "signed", ins), Block("columns", 1, "signed", (out,))), shapes)
    with pytest.raises(RuntimeError, match="changes the function"):
        check_drift(model, x, apart)
    for seed in range(20):
        drawn = list(_elements(apart, np.random.default_rng(seed)))
        assert any(element["rows"].flips != element["columns"].flips for element in drawn)
