"""Shapes of named tensors, checked: a mapping from names to tuples of sizes.

Notation. A parameter set θ (Definition 1 of Shen, 2024) is known by its tensors' names and shapes. Chapter: "Functional
equivalence".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..validation import shown
from .blocks import check_length


def check_mapping(shapes: object) -> None:
    """Raise a TypeError unless ``shapes`` is a mapping."""
    if not isinstance(shapes, Mapping):
        raise TypeError(f"shapes must map the tensors' names to their shapes, got {shown(shapes)}")


def check_shape(name: object, shape: object) -> tuple[int, ...]:
    """Return ``shape`` as a tuple of sizes.

    Raises
    ------
    TypeError, ValueError
        If the name is no string, the shape no tuple of integers, or a size negative.

    Examples
    --------
    >>> check_shape("w", [2, 3])
    (2, 3)
    """
    if not isinstance(name, str):
        raise TypeError(f"shapes must map names to shapes, got the name {shown(name)}: names are strings")
    if not isinstance(shape, (tuple, list)):
        raise TypeError(not_a_shape(name, shape))
    return tuple(check_length(f"size of {name!r}", size, minimum=0) for size in shape)


def not_a_shape(name: object, shape: object) -> str:
    """Return the words for what is no shape."""
    return f"shape of {shown(name)} must be a tuple of integers, got {type(shape).__name__}: pass tuple(tensor.shape)"


def several(name: str, values: object, kind: type) -> tuple[Any, ...]:
    """Return ``values``, each of one ``kind``, as a tuple.

    Raises
    ------
    TypeError
        If they are no iterable, or one of them is of another kind.

    Examples
    --------
    >>> several("notes", ["frozen"], str)
    ('frozen',)
    """
    iterable = isinstance(values, Iterable) and not isinstance(values, (str, Mapping))
    found: tuple[Any, ...] = tuple(values) if iterable else ()  # type: ignore[arg-type]
    if not iterable or not all(isinstance(each, kind) for each in found):
        raise TypeError(f"{name} must be a tuple of {kind.__name__}, got {shown(values)}")
    return found
