"""Parameter sets: what :func:`~fnequiv.equivalence.actions.apply` takes in, and where it may write.

Notation. A parameter set θ maps names to tensors with the shapes of a :class:`~fnequiv.symmetry.SymmetrySpec`, all of
finite numbers of one dtype on one device. A tensor of integers, such as a counter of batches, may lie beside them if no
block acts on it.

Theorem: Definition 1 and Proposition 1 of Shen (2024). Chapter: "Functional equivalence".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch

from ..symmetry import SymmetrySpec
from .elements import check_spec
from .layers import check_dense, shapes_of

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_parameters(params: Mapping[str, torch.Tensor], spec: SymmetrySpec) -> None:
    """Raise unless ``params`` is a finite parameter set of the network that ``spec`` describes.

    Raises
    ------
    TypeError
        If it is no mapping, ``spec`` no specification, a value no dense tensor, a block acts on integers or complex
        numbers, floating dtypes or devices are mixed, or a floating dtype is of 8 bits.
    ValueError
        If names or shapes differ from those of ``spec``, or a tensor holds NaN or an infinity, or nothing at all (on
        the meta device).

    Examples
    --------
    >>> from fnequiv.equivalence import mlp
    >>> check_parameters(mlp.init((1, 2, 1), torch.Generator().manual_seed(0)), mlp.spec((1, 2, 1), "relu"))
    """
    check_spec(spec)
    spec.check_shapes(shapes_of(params))
    floating = {name: tensor for name, tensor in params.items() if tensor.is_floating_point()}
    if any(device.type == "meta" for _, device in _one_kind(floating.values())):
        raise ValueError("the tensors are on the meta device and hold no numbers: load the parameters first")
    cut = {cell.name: cell.tensor for cell in spec.cells}
    for name in (cut.get(piece, piece) for piece, places in spec.places.items() if places):
        if name not in floating:
            raise TypeError(f"tensor {name!r} must be floating point, got {params[name].dtype}")
    _check_finite(floating)


def check_input(params: Mapping[str, torch.Tensor], x: object) -> None:
    """Raise unless ``x`` is a tensor of the one dtype and device that all of ``params`` have.

    Raises
    ------
    TypeError
        If ``x`` is no tensor or of another dtype or device, or if ``params`` have several or one that is not floating.

    Examples
    --------
    >>> check_input({"0.weight": torch.ones(1, 2)}, torch.ones(5, 2))
    """
    ((dtype, device),) = _one_kind(params.values())
    if not isinstance(x, torch.Tensor):
        remedy = f"torch.as_tensor(x, dtype={dtype}) makes one"
        raise TypeError(f"x must be a torch.Tensor, got {type(x).__name__}: {remedy}")
    if x.dtype != dtype:
        raise TypeError(f"x must be a tensor of {dtype}, got {x.dtype}: x.to({dtype}) converts it")
    if x.device != device:
        raise TypeError(f"x must lie on {device}, with the parameters, got {x.device}: x.to({str(device)!r}) moves it")


def _one_kind(tensors: Iterable[torch.Tensor]) -> set[tuple[torch.dtype, torch.device]]:
    """Return dtype and device of all ``tensors`` (nothing if there are none), and raise if they are mixed or unfit."""
    kinds = {(tensor.dtype, tensor.device) for tensor in tensors}
    if len(kinds) > 1:
        names = sorted(f"{dtype} on {device}" for dtype, device in kinds)
        raise TypeError(f"tensors mix {' and '.join(names)}: convert them to one dtype and device first")
    if wrong := [dtype for dtype, _ in kinds if dtype not in DTYPES]:
        raise TypeError(f"tensors must be of one of {DTYPES}, got {wrong[0]}: convert them first, as with .float()")
    return kinds


def _check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    if not is_finite(*tensors.values()):
        wrong = next(name for name, tensor in tensors.items() if not is_finite(tensor))
        raise ValueError(f"tensor {wrong!r} holds NaN or an infinity: every weight must be finite")


def is_finite(*tensors: torch.Tensor) -> bool:
    """Return whether every entry of all tensors, of one dtype on one device, is finite.

    Examples
    --------
    >>> is_finite(torch.tensor([3e38, 3e38])), is_finite(torch.tensor([torch.inf, -torch.inf]))
    (True, False)
    """
    with torch.no_grad():
        # A sum is finite unless an entry is not, or the sum itself overflows. The slower test tells these two apart.
        sums = [tensor.sum() for tensor in tensors]
        if not sums or math.isfinite(torch.stack(sums).sum()):
            return True
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def check_out(out: Mapping[str, torch.Tensor], params: Mapping[str, torch.Tensor]) -> None:
    """Raise unless ``out`` has a place for every tensor of ``params``, in memory of its own.

    Raises
    ------
    TypeError
        If ``out`` is no mapping or a value is no dense tensor.
    ValueError
        If names differ, a tensor is not contiguous, needs a gradient or differs in shape, dtype or device, or its bytes
        overlap those of another tensor of ``out`` or ``params``.

    Examples
    --------
    >>> check_out({"w": torch.empty(2)}, {"w": torch.ones(2)})
    """
    if not isinstance(out, Mapping):
        raise TypeError(f"out must map names to tensors, got {type(out).__name__}")
    if out.keys() != params.keys():
        raise ValueError(f"out must hold the tensors {list(params)}, got {list(out)}")
    spans = []
    for name, tensor in params.items():
        found = out[name]
        check_dense(f"out[{name!r}]", found)
        alike = found.shape == tensor.shape and found.dtype == tensor.dtype and found.device == tensor.device
        if found.is_inference() and not torch.is_inference_mode_enabled():
            raise ValueError(f"out[{name!r}] was made in inference mode and cannot be written outside: clone it first")
        if not alike or not found.is_contiguous() or found.requires_grad:
            raise ValueError(
                f"out[{name!r}] must be a contiguous tensor without gradient like params[{name!r}], of "
                f"{tuple(tensor.shape)}, {tensor.dtype}, {tensor.device}: make it with torch.empty_like"
            )
        spans += [(*_span(tensor), False, name), (*_span(found), True, name)]
    _check_apart(spans)


def _check_apart(spans: list[tuple[int, int, bool, str]]) -> None:
    """Raise if a span of bytes that is written overlaps another one; spans that are only read may overlap."""
    read_end = written_end = 0
    reader = writer = ""
    for start, end, written, name in sorted(spans):
        overlaps = writer if start < written_end else reader if written and start < read_end else ""
        if overlaps and start < end:
            label = f"out[{name!r}]" if written else repr(name)
            raise ValueError(f"{label} shares memory with {overlaps}: make out with torch.empty_like")
        if written and end > written_end:
            written_end, writer = end, f"out[{name!r}]"
        elif not written and end > read_end:
            read_end, reader = end, repr(name)


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """Return the first byte of ``tensor`` and the one behind its last; what lies between may not all be its own."""
    start = tensor.data_ptr()
    if tensor.is_contiguous():
        return start, start + tensor.nbytes
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size() * (tensor.numel() > 0)
