"""A Sphinx extension: the signatures of the reference name NumPy's types as the source does.

An annotation that stands behind a name of its own (``LogCover = Callable[[Array], npt.ArrayLike]``) comes out as what
NumPy makes of it: a dozen private classes for ``ArrayLike``. And the default that a dataclass makes for each instance
comes out as ``<factory>``, which is no Python, so that Sphinx gives the whole signature up. A protocol has no arguments
to show, nor has a class that leaves them to a parent of another package.
"""

from __future__ import annotations

import re

import numpy.typing as npt
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

ARRAY_LIKE = stringify_annotation(npt.ArrayLike, "smart")
ARRAY = re.compile(r"~numpy\.ndarray\[tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\]")

NOTHING_SAID = re.compile(r"\(\*args(: [\w.~]+)?, \*\*kwargs(: [\w.~]+)?\)")


def readable(signature: str | None) -> str | None:
    """Return a signature, or a part of one, with the names that people write.

    Examples
    --------
    >>> readable("(x: ~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.float64]] = <factory>)")
    '(x: ~numpy.typing.NDArray[~numpy.float64] = ...)'
    """
    if signature is None:
        return None
    signature = signature.replace(ARRAY_LIKE, "~numpy.typing.ArrayLike").replace("<factory>", "...")
    return ARRAY.sub(r"~numpy.typing.NDArray[\1]", signature)


def rewrite(
    app: Sphinx, what: str, name: str, obj: object, options: object, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Give autodoc the signature to print."""
    if what == "class" and NOTHING_SAID.fullmatch(arguments or ""):
        return "", returned
    return readable(arguments), readable(returned)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to autodoc."""
    app.connect("autodoc-process-signature", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
