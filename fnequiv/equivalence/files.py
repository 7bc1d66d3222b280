"""Read a parameter set from a file, and run nothing that the file says.

Notation. A file holds θ as names and tensors (Definition 1 of Shen, 2024). A pickle may hold any code, which runs
when it is read; PyTorch's own files are pickles inside, so they are read with ``weights_only=True``, which allows
tensors and nothing else. A ``.safetensors`` file cannot hold code at all. Chapter: "Telling networks apart".
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from ..validation import shown

_TORCH = (".pt", ".pth", ".ckpt", ".bin")


def load(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Parameters
    ----------
    path
        A file that ``torch.save(module.state_dict(), path)`` wrote (``.pt``, ``.pth``, ``.ckpt``, ``.bin``), or a
        ``.safetensors`` file, for which ``pip install "fnequiv[safetensors]"`` brings the reader.

    Raises
    ------
    TypeError
        If ``path`` is no path.
    FileNotFoundError
        If there is no such file.
    ImportError
        If the file is a ``.safetensors`` one and its reader is not installed.
    ValueError
        If the suffix is another, the file is damaged, holds other things than tensors by name, or would have to run
        code.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save({"w": torch.ones(2)}, Path(folder) / "net.pt")
    ...     load(Path(folder) / "net.pt")
    {'w': tensor([1., 1.])}
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a string or a path, got {shown(path)}")
    file = Path(path)
    if not _is_file(file):
        raise FileNotFoundError(f"no file at {shown(str(file))}: give the path of one .safetensors or .pt file")
    if file.suffix == ".safetensors":
        found = _read_safetensors(file)
    elif file.suffix in _TORCH:
        found = _read_torch(file)
    else:
        raise ValueError(f"{file.name!r} is none of {['.safetensors', *_TORCH]}: no other kind of file is read")
    return _checked(found, file)


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # a name that is too long for the system
        return False


def _read_safetensors(file: Path) -> object:
    try:
        reader = importlib.import_module("safetensors.torch")
    except ImportError:
        raise ImportError(f'reading {file.name!r} needs safetensors: pip install "fnequiv[safetensors]"') from None
    try:
        return reader.load_file(file, device="cpu")
    except Exception as error:  # the reader has its own exception, and raises several others on damaged files
        raise ValueError(f"{file.name!r} cannot be read as safetensors: {_first_line(error)}") from None


def _read_torch(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged zip, a truncated pickle, a refused class: each has a type of its own
        raise ValueError(
            f"{file.name!r} holds more than tensors, or is damaged; nothing in it was run: save a state_dict() again "
            f"({_first_line(error)})"
        ) from None


def _first_line(error: Exception) -> str:
    return shown((str(error).splitlines() or [type(error).__name__])[0])


def _checked(found: object, file: Path) -> dict[str, torch.Tensor]:
    if not isinstance(found, Mapping):
        raise ValueError(f"{file.name!r} holds a {type(found).__name__}, not tensors by name: save module.state_dict()")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ValueError(
                f"{file.name!r} holds {shown(name)}, a {type(value).__name__}: only tensors by name are read, so save "
                "the state_dict() alone"
            )
    if not found:
        raise ValueError(f"{file.name!r} holds no tensors: save module.state_dict() of a network with parameters")
    return dict(found)
