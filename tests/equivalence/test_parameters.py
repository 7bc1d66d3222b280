"""What `apply` lets in and where it may write: every wrong tensor is named, and no byte is written that is read."""

import copy
import itertools
import warnings

import numpy as np
import pytest
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply
from fnequiv.equivalence.group import identity, sample
from fnequiv.equivalence.parameters import check_out, check_parameters, is_finite
from fnequiv.symmetry import Axis, Block, SymmetrySpec

THETA = mlp.init((2, 3, 1), torch.Generator().manual_seed(0))
SPEC = mlp.spec((2, 3, 1), "relu")
ONE = identity(SPEC)


def room():
    return {n: torch.empty_like(t) for n, t in THETA.items()}


def every(convert):
    return {n: convert(t) for n, t in THETA.items()}


def identical(a, b):
    return list(a) == list(b) and all(torch.equal(a[n], b[n]) for n in a)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("convert", "error", "message"),
    [
        (lambda t: t.long(), TypeError, "'0.weight' must be floating point, got torch.int64"),
        (lambda t: t.to(torch.complex64), TypeError, "'0.weight' must be floating point, got torch.complex64"),
        (lambda t: t.numpy(), TypeError, "'0.weight' must be a dense torch.Tensor, got ndarray"),
        (lambda t: t.to_sparse(), TypeError, "got a torch.sparse_coo one"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), TypeError, "got a quantised one"),
        (lambda t: t.to(torch.float8_e4m3fn), TypeError, "got torch.float8_e4m3fn: convert them first"),
        (lambda t: t.to("meta"), ValueError, "on the meta device and hold no numbers"),
    ],
)
def test_tensors_of_another_kind_are_refused(convert, error, message, refuses):
    refuses(lambda: apply(every(convert), SPEC, ONE), error, message)


def test_nested_tensors_are_refused(refuses):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls them a prototype
        nested = torch.nested.nested_tensor([torch.ones(2)] * 3)
    refuses(lambda: apply({**THETA, "0.weight": nested}, SPEC, ONE), TypeError, "got a nested one")


def test_an_integer_beside_the_weights_is_left_alone_wherever_it_lives():
    spec = SymmetrySpec(SPEC.blocks, {**SPEC.shapes, "counter": ()})
    check_parameters({**THETA, "counter": torch.tensor(3, device="meta")}, spec)
    moved = apply({**THETA, "counter": torch.tensor(3)}, spec, ONE)
    assert moved["counter"] == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", THETA)
def test_one_entry_that_is_not_finite_is_found_and_named(dtype, wrong, name, refuses):
    params = every(lambda t: t.to(dtype, copy=True))
    params[name].flatten()[-1] = wrong
    refuses(lambda: apply(params, SPEC, ONE), ValueError, f"tensor {name!r} holds NaN or an infinity")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_large_finite_weights_are_no_infinity(dtype):
    huge = every(lambda t: torch.full_like(t, torch.finfo(dtype).max, dtype=dtype))  # their sum overflows
    assert identical(apply(huge, SPEC, ONE), huge)
    assert not is_finite(*huge.values(), torch.tensor([torch.inf, -torch.inf], dtype=dtype))
    assert is_finite()


# --- out ------------------------------------------------------------------------------------------------------------


def test_any_two_pieces_of_one_buffer_are_told_apart_byte_by_byte(refuses):
    """Every placement of two contiguous pieces in one NumPy buffer, against the sets of their bytes."""
    buffer = np.zeros(32, np.uint8)
    for size, start, offset in itertools.product((0, 1, 5), range(12), range(12)):
        read, written = (torch.from_numpy(buffer)[first : first + size] for first in (start, offset))
        if set(range(start, start + size)) & set(range(offset, offset + size)):
            refuses(lambda r=read, w=written: check_out({"w": w}, {"w": r}), ValueError, "shares memory with")
        else:
            check_out({"w": written}, {"w": read})


def test_a_piece_that_is_read_does_not_hide_the_rest_of_a_longer_one(refuses):
    buffer = torch.zeros(8)
    params = {"long": buffer, "short": buffer[1:2], "v": torch.empty(2)}
    out = {"long": torch.empty(8), "short": torch.empty(1), "v": buffer[4:6]}
    refuses(lambda: check_out(out, params), ValueError, "out['v'] shares memory with 'long'")


def test_an_empty_piece_inside_another_shares_nothing():
    buffer = torch.zeros(8)
    check_out({"v": torch.empty(8), "w": buffer[4:4]}, {"v": buffer, "w": torch.empty(0)})


def test_a_buffer_shared_with_numpy_is_not_overwritten_while_it_is_read():
    buffer = np.arange(16, dtype=np.float32)
    spec = SymmetrySpec((Block("b", 4, "permutation", (Axis("w", 0, "in"),)),), {"w": (4, 2)})
    g = sample(spec, np.random.default_rng(0))
    params = {"w": torch.from_numpy(buffer[:8]).view(4, 2)}
    expected = params["w"].numpy()[g["b"].permutation]
    out = {"w": torch.from_numpy(buffer[8:]).view(4, 2)}
    assert np.array_equal(apply(params, spec, g, out=out)["w"].numpy(), expected)
    assert np.array_equal(buffer[:8], np.arange(8))
    with pytest.raises(ValueError, match="shares memory"):
        apply(params, spec, g, out={"w": torch.from_numpy(buffer[1:9]).view(4, 2)})


def test_strided_input_owns_all_bytes_between_its_first_and_its_last(refuses):
    buffer = torch.zeros(4, 4)
    refuses(lambda: check_out({"w": buffer[1, :2]}, {"w": buffer[::3, 0]}), ValueError, "shares memory")
    check_out({"w": buffer[3, :2]}, {"w": buffer[:2, 0]})
    refuses(lambda: check_out({"w": buffer[0]}, {"w": buffer[0, :1].expand(4)}), ValueError, "shares memory")


def test_parameters_may_share_memory_among_themselves_and_empty_tensors_share_none():
    weight = torch.ones(2)
    check_out({"v": torch.empty(2), "w": torch.empty(2)}, {"v": weight, "w": weight})
    empty = torch.empty(0)
    check_out({"w": empty}, {"w": empty})


@torch.inference_mode()
def made_in_inference_mode():
    return room()


SHARED = torch.empty(1, 3)
BAD = {
    "an out of another shape": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "0.bias": torch.empty(4)}),
        ValueError,
        "out['0.bias'] must be a contiguous tensor",
    ),
    "an out of another dtype": (
        lambda: apply(THETA, SPEC, ONE, out={n: t.double() for n, t in THETA.items()}),
        ValueError,
        "out['0.weight'] must be a contiguous tensor",
    ),
    "an out on another device": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "2.bias": torch.empty(1, device="meta")}),
        ValueError,
        "out['2.bias'] must be a contiguous tensor",
    ),
    "an out that is not contiguous": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "0.weight": torch.empty(2, 3).mT}),
        ValueError,
        "out['0.weight'] must be a contiguous tensor",
    ),
    "an out with gradient": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "0.bias": torch.empty(3, requires_grad=True)}),
        ValueError,
        "without gradient",
    ),
    "an out made in inference mode": (
        lambda: apply(THETA, SPEC, ONE, out=made_in_inference_mode()),
        ValueError,
        "cannot be written outside: clone it",
    ),
    "an out of arrays": (
        lambda: apply(THETA, SPEC, ONE, out=every(lambda t: t.numpy().copy())),
        TypeError,
        "out['0.weight'] must be a dense torch.Tensor, got ndarray",
    ),
    "a list for out": (lambda: apply(THETA, SPEC, ONE, out=[]), TypeError, "out must map names to tensors, got list"),
    "an out with a tensor missing": (lambda: apply(THETA, SPEC, ONE, out={}), ValueError, "out must hold the tensors"),
    "an out with one too many": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "extra": torch.empty(1)}),
        ValueError,
        "out must hold the tensors",
    ),
    "the input as out": (lambda: apply(THETA, SPEC, ONE, out=THETA), ValueError, "shares memory with"),
    "one tensor twice in out": (
        lambda: apply(THETA, SPEC, ONE, out={**room(), "0.bias": SHARED[0], "2.weight": SHARED}),
        ValueError,
        "shares memory with out['0.bias']",
    ),
    "parameters of another network": (
        lambda: apply(mlp.init((3, 3, 1), torch.Generator().manual_seed(0)), SPEC, ONE),
        ValueError,
        "'0.weight' must have shape (3, 2), got (3, 3)",
    ),
    "a missing tensor": (
        lambda: apply({n: t for n, t in THETA.items() if n != "0.bias"}, SPEC, ONE),
        ValueError,
        "missing ['0.bias']",
    ),
    "mixed dtypes": (lambda: apply({**THETA, "2.bias": THETA["2.bias"].double()}, SPEC, ONE), TypeError, "tensors mix"),
    "mixed devices": (
        lambda: apply({**THETA, "2.bias": THETA["2.bias"].to("meta")}, SPEC, ONE),
        TypeError,
        "mix torch.float32 on cpu and torch.float32 on meta",
    ),
    "no spec": (lambda: check_parameters(THETA, None), TypeError, "expected a SymmetrySpec, got None"),
    "widths for a spec": (lambda: check_parameters(THETA, (2, 3, 1)), TypeError, "expected a SymmetrySpec"),
    "a number for a name": (lambda: apply({**THETA, 5: torch.ones(1)}, SPEC, ONE), TypeError, "got the key 5"),
    "a list": (lambda: apply(list(THETA), SPEC, ONE), TypeError, "must map names to tensors"),
    "a module": (
        lambda: apply(torch.nn.Linear(2, 3), SPEC, ONE),
        TypeError,
        "as state_dict() does, got Linear: pass its state_dict()",
    ),
    "the wrong order": (lambda: apply(THETA, ONE, SPEC), TypeError, "the order is params, spec, element"),
    "no element": (lambda: apply(THETA, SPEC, None), TypeError, "expected a GroupElement, got None"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_nothing_is_mutated(case, refuses):
    before = copy.deepcopy(THETA)
    refuses(*BAD[case])
    assert identical(THETA, before)
