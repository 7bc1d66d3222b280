"""From a module to its graph of operators, and from the tracer's errors to sentences.

Notation. The graph holds ATen operators, as ``torch.export`` finds them in eval mode (not strict: it runs the module on
tensors without numbers). Its leaves are parameters and buffers, known by their names in ``state_dict()``, constants,
and inputs. Chapter: "The symmetry of any model".
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind
from torch.nn.parameter import is_lazy

from ..validation import shown
from .given import arguments, copied

_TRACER = threading.RLock()  # torch.export, and what keeps it quiet, are one to a process


@dataclass(frozen=True)
class Captured:
    """A module's graph: nodes in order, state-dict names of the leaves that have one, and the rest of the leaves."""

    nodes: tuple[torch.fx.Node, ...]
    names: Mapping[str, tuple[str, ...]]  # leaf -> the names of one tensor
    model: nn.Module  # the copy that was traced, in eval mode
    strange: tuple[str, ...]  # tensors that share memory in another shape
    types: tuple[torch.dtype, ...]  # floating types that values are converted to
    constants: Mapping[str, torch.Tensor]  # leaf -> its entries, where the code wrote them down


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of the state dict, which may hold extra states of other types.

    Examples
    --------
    >>> list(tensors_of(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def capture(model: nn.Module, example_inputs: object) -> Captured:
    """Return the graph of ``model`` on inputs like ``example_inputs``; the model is copied first and left alone.

    Raises
    ------
    TypeError
        If ``model`` is no module, or the inputs are of another type.
    ValueError
        If the module is lazy, cannot be copied, does not run on the inputs, or cannot be traced: with the place.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {shown(model)}: pass the model itself")
    if any(is_lazy(each) for each in (*model.parameters(), *model.buffers())):
        raise ValueError("the model has lazy modules, whose shapes are not known yet: call it once on the inputs first")
    args, kwargs = arguments(example_inputs)
    try:
        twin = copy.deepcopy(model).eval()
    except Exception as error:
        raise ValueError(f"the model cannot be copied ({_line(error)}), and it is traced as a copy") from error
    _run(twin, *copied((args, kwargs)))
    args, kwargs = copied((args, kwargs))
    try:
        with _TRACER, torch.no_grad(), _quiet(), torch.random.fork_rng(devices=[]):
            program = torch.export.export(twin, args, kwargs or None, strict=False)
            if any(_in_place(node) for node in program.graph.nodes):
                program = program.run_decompositions({})
    except Exception as error:
        raise ValueError(_words(error)) from error
    names, strange = _state_names(model, program)
    written = {
        spec.arg.name: program.constants[spec.target]
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.CONSTANT_TENSOR and spec.target in program.constants
    }
    state = model.state_dict()
    written |= {leaf: state[own[0]] for leaf, own in names.items() if not state[own[0]].is_floating_point()}
    return Captured(tuple(program.graph.nodes), names, twin, strange, _types(program.graph.nodes), written)


def _types(nodes: Iterable[torch.fx.Node]) -> tuple[torch.dtype, ...]:
    """Return the floating types that operators are told to convert to."""
    given = [each for node in nodes for each in (*node.args, *node.kwargs.values()) if isinstance(each, torch.dtype)]
    return tuple({each for each in given if each.is_floating_point})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer's warnings, logs and prints to itself."""
    level = logging.root.manager.disable
    sink = io.StringIO()
    try:
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _in_place(node: torch.fx.Node) -> bool:
    """Whether an operator writes into its operand."""
    schema = getattr(node.target, "_schema", None)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


def _run(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise unless the module runs on the inputs."""
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            model(*args, **kwargs)
    except Exception as error:
        given = ", ".join(_described(each) for each in (*args, *kwargs.values()))
        raise ValueError(
            f"{type(model).__name__} does not run on the example inputs ({given}): {_line(error)}; "
            "pass the arguments of one call, of the shapes and types it takes"
        ) from error


def _described(value: object) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else shown(value)


def _line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def _words(error: Exception) -> str:
    """Return the tracer's error in our words, with the line of the model's code where it arose."""
    text = str(error)
    place = ""
    frames = re.findall(r'File "([^"]+)", line (\d+), in (forward\w*)', text)
    frame = error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        if code.co_name == "forward" and "/torch/" not in code.co_filename:
            place = f" in line {frame.tb_lineno} of {code.co_filename}"
        frame = frame.tb_next
    if not place and frames:
        place = f" in line {frames[-1][1]} of {frames[-1][0]}"
    kind = "GuardOnDataDependent" in type(error).__name__ or "data-dependent" in text.lower()
    if kind or "Could not guard" in text or "aten._local_scalar_dense" in text:
        return (
            f"the model branches or counts on the data{place}, so it has no one graph of operators: {_line(error)}; "
            "trace the part without that branch"
        )
    return f"the model cannot be traced{place}: {_line(error)}"


def _state_names(
    model: nn.Module, program: torch.export.ExportedProgram
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return all state-dict names of every leaf (tied weights have several), and what shares memory otherwise."""
    state = model.state_dict(keep_vars=True)
    known = {target: tensor for target, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    same: dict[object, list[str]] = {}
    for name, tensor in known.items():
        same.setdefault(_identity(name, tensor), []).append(name)
    bases: dict[int, set[object]] = {}
    for name, tensor in known.items():
        if tensor.numel() and not tensor.is_meta:
            bases.setdefault(tensor.untyped_storage().data_ptr(), set()).add(_identity(name, tensor))
    overlapping = {key for keys in bases.values() if len(keys) > 1 for key in keys}
    strange = tuple(name for key in overlapping for name in same[key])
    leaves = {}
    for spec in program.graph_signature.input_specs:
        stated = spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target in known
        if stated and spec.target is not None:
            leaves[spec.arg.name] = tuple(same[_identity(spec.target, known[spec.target])])
    return leaves, strange


def _identity(name: str, tensor: torch.Tensor) -> object:
    """Return what tells one tensor from another: its memory, and how it is read."""
    if tensor.is_meta or not tensor.numel():
        return id(tensor)
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())


def where(node: torch.fx.Node) -> str:
    """Return the operator and its place in the tree of modules, for a note."""
    stack: Sequence[Any] = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return f"{node.target} in {path or 'the model itself'}"
