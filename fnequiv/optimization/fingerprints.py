"""What makes a sweep the sweep it is: a digest of its task, its data, its recipe and the code that trains.

Notation. Each part of the configuration has a SHA-256 digest: every field of the task and of the recipe by value
(tensors by dtype, shape and bytes), the source of the task's class, and that of the modules that train. Two sweeps with
equal digests train every seed alike; the seeds themselves, their chunks and who trains them are no part of it.
Chapter: "Optimisation".
"""

from __future__ import annotations

import enum
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType

import numpy as np
import torch

from .. import __version__
from ..validation import shown

_CODE = ("members", "optimisers", "recipes", "slots", "stopping", "tasks")


def fingerprint(task: object, recipe: object) -> dict[str, str]:
    """Return a digest for every part of a configuration, by the part's name.

    Parameters
    ----------
    task, recipe
        Dataclasses whose fields hold numbers, texts, tensors, arrays, functions, dataclasses, or tuples, lists and
        dicts of them.

    Raises
    ------
    TypeError
        If a field holds anything else.

    Examples
    --------
    >>> from .optimisers import SGD
    >>> a, b = (fingerprint(SGD(lr=lr), None) for lr in (0.1, 0.2))
    >>> [name for name in a if a[name] != b[name]]
    ['task.lr']
    """
    parts = {"code": _digest(_code)}
    for name, part in (("task", task), ("recipe", recipe)):
        if not is_dataclass(part) or isinstance(part, type):
            parts[name] = _digest(lambda feed, part=part, name=name: _feed(feed, name, part))  # type: ignore[misc]
            continue
        parts[name] = _digest(lambda feed, part=part: _feed_class(feed, type(part)))  # type: ignore[misc]
        for field in fields(part):
            path, value = f"{name}.{field.name}", getattr(part, field.name)
            parts[path] = _digest(lambda feed, path=path, value=value: _feed(feed, path, value))  # type: ignore[misc]
    return parts


Feed = Callable[[bytes], None]


def _digest(write: Callable[[Feed], None]) -> str:
    digest = hashlib.sha256()

    def feed(content: bytes) -> None:
        """Add a piece to the digest."""
        digest.update(len(content).to_bytes(8, "little") + content)  # the length keeps "ab", "c" from "a", "bc"

    write(feed)
    return digest.hexdigest()


def _code(feed: Feed) -> None:
    feed(f"fnequiv {__version__}, torch {torch.__version__}".encode())
    for name in _CODE:
        feed(Path(__file__).with_name(f"{name}.py").read_bytes())


def _feed_class(feed: Feed, kind: type) -> None:
    """Feed a class by its name and its source, and those it inherits from."""
    for each in kind.__mro__[:-1]:
        feed(f"{each.__module__}.{each.__qualname__}".encode())
        feed(_source(each).encode())


def _source(thing: type | FunctionType) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # typed in where no source is kept: the name has to do
        return ""


def _feed(feed: Feed, path: str, value: object) -> None:
    value = value.item() if isinstance(value, np.generic) else value  # a number of NumPy's is that of Python's
    feed(type(value).__qualname__.encode())
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, enum.Enum)):
        feed(repr(value).encode())
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        array = value.detach().cpu().contiguous() if isinstance(value, torch.Tensor) else np.ascontiguousarray(value)
        feed(f"{array.dtype} {tuple(array.shape)}".encode())
        feed((array.flatten().view(torch.uint8).numpy() if isinstance(array, torch.Tensor) else array).tobytes())
    elif isinstance(value, (tuple, list)):
        for index, entry in enumerate(value):
            _feed(feed, f"{path}[{index}]", entry)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            _feed(feed, path, key)
            _feed(feed, f"{path}[{key!r}]", entry)
    elif isinstance(value, FunctionType):
        if value.__closure__:
            names = value.__code__.co_freevars
            raise TypeError(f"{path} is a function that uses {names} from around it: make them fields of the task")
        feed(f"{value.__module__}.{value.__qualname__}".encode())
        feed(_source(value).encode())
    elif is_dataclass(value) and not isinstance(value, type):
        _feed_class(feed, type(value))
        for field in fields(value):
            _feed(feed, f"{path}.{field.name}", getattr(value, field.name))
    else:
        raise TypeError(f"{path} must hold plain values, tensors or functions for a checkpoint, got {shown(value)}")
