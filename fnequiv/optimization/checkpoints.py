"""A folder that keeps what a sweep has finished, one file a chunk, and refuses what belongs to another sweep.

Notation. The folder holds ``sweep.json``, the digests of the configuration
(:mod:`~fnequiv.optimization.fingerprints`), and a file for every finished chunk. A file is written beside its place,
flushed to the disk and moved there with ``os.replace``: it is whole or it is not there. A process that is killed while
it writes leaves a ``.NAME.PID.tmp`` behind, which is never read and may be removed. Chapter: "Optimisation".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ..validation import shown
from .results import Sweep, from_bytes

_HEAD = "sweep.json"
Key = TypeVar("Key", bound=Hashable)


class Checkpoint:
    """The folder of one sweep.

    Parameters
    ----------
    folder
        Made if it is not there.
    parts
        Digests of the configuration by the name of the part.

    Raises
    ------
    TypeError
        If ``folder`` is no path.
    ValueError
        If the folder cannot be made or written to, belongs to another sweep, or its ``sweep.json`` is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = Checkpoint(folder, {"task.widths": "12ab", "code": "77"})
    ...     Checkpoint(folder, {"task.widths": "34cd", "code": "77"})  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ValueError: ... holds another sweep: task.widths differs. Give another folder, or remove this one
    """

    def __init__(self, folder: str | os.PathLike[str], parts: Mapping[str, str]) -> None:
        self._folder = self.check(folder)
        self.digest = hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()
        head = self._folder / _HEAD
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not head.exists():
                self._write(_HEAD, json.dumps(dict(parts), indent=1).encode())
        except OSError as error:  # a full disk, no permission, a name that is too long
            raise ValueError(f"checkpoint {shown(folder)} cannot be written, {error}: name another folder") from error
        self._check(head, parts)

    @staticmethod
    def check(folder: object) -> Path:
        """Return a folder's path, of a folder that is there or can be made.

        Raises
        ------
        TypeError
            If it is no path.
        ValueError
            If it is empty, a file, or no path that a file system could have.

        Examples
        --------
        >>> Checkpoint.check("runs/first").name
        'first'
        """
        if not isinstance(folder, (str, os.PathLike)) or not isinstance(os.fspath(folder), str):
            raise TypeError(f"checkpoint must be a folder's path, got {shown(folder)}")
        path, text = Path(folder), os.fspath(folder)
        try:
            fits = bool(text) and "\0" not in text and (path.is_dir() or not path.exists())
        except OSError:  # a name that is too long, a folder that may not be looked into
            fits = False
        if not fits:
            raise ValueError(
                f"checkpoint must be a folder's path, got {shown(folder)}: name a folder, or one to be made"
            )
        return path

    def finished(self) -> Iterator[Sweep]:
        """Return the finished chunks, one after the other.

        Raises
        ------
        ValueError
            If a file is damaged or was made by another sweep.
        """
        for file in sorted(self._folder.glob("*.pt")):
            try:
                sweep, digest = from_bytes(file.read_bytes())
            except (ValueError, OSError) as error:
                raise ValueError(f"{file} is damaged ({error}): remove it, and its members train again") from None
            if digest != self.digest:
                raise ValueError(f"{file} belongs to another sweep: move it out of this folder")
            yield sweep

    def write(self, name: str, content: bytes) -> None:
        """Keep a finished chunk, as :func:`~fnequiv.optimization.results.to_bytes` wrote it.

        Raises
        ------
        OSError
            If the disk is full or the folder cannot be written to; what was there before is untouched.
        """
        self._write(f"{name}.pt", content)

    def _write(self, name: str, content: bytes) -> None:
        beside = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._folder / name)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise

    def _check(self, head: Path, parts: Mapping[str, str]) -> None:
        try:
            found = json.loads(head.read_text())
        except (ValueError, OSError):
            found = None
        if not isinstance(found, dict):
            raise ValueError(f"{head} is damaged: give another folder, or remove this one")
        other = sorted(name for name in found.keys() | parts.keys() if found.get(name) != parts.get(name))
        if other:
            what = f"{', '.join(other)} {'differ' if other[1:] else 'differs'}"
            raise ValueError(
                f"checkpoint {str(self._folder)!r} holds another sweep: {what}. Give another folder, or remove this one"
            )


def folders(checkpoint: str | os.PathLike[str] | None, keys: Sequence[Key]) -> dict[Key, Path | None]:
    """Return a folder in ``checkpoint`` for each task, by ``str`` of its name; None for each if there is none.

    Raises
    ------
    TypeError, ValueError
        As :meth:`Checkpoint.check`, or if a name makes no folder of its own there.

    Examples
    --------
    >>> folders("runs", [16, 32])[32].parts
    ('runs', '32')
    """
    if checkpoint is None:
        return dict.fromkeys(keys)
    parent, names = Checkpoint.check(checkpoint), [str(key) for key in keys]
    for name in names:
        if name in ("", "..") or name != Path(name).name or names.count(name) > 1:
            raise ValueError(f"names of tasks must make one folder each for a checkpoint, got {shown(name)}")
    return {key: parent / name for key, name in zip(keys, names, strict=True)}
