r"""Certified bounds from both sides on the covering number of a tiny class of networks.

Notation. F is a class of networks with all parameters in [-B, B] on inputs with ‖x‖ ≤ B_x; N(F, ε) is the least number
of sup-norm ε-balls that cover it (Definition 2). A packing gives log N from below, a cover from above; each comes with
a certificate, and :func:`verify` checks certificates with code of its own.

The rooms behind this door: :mod:`~fnequiv.complexity.packing` (search for a packing), :mod:`~fnequiv.complexity.cover`
(build a cover), :mod:`~fnequiv.complexity.certificates` (what they return),
:mod:`~fnequiv.complexity.packing_check` and :mod:`~fnequiv.complexity.cover_check` (what checks them).
Chapter: "How tight are the bounds?"
"""

from __future__ import annotations

import numpy as np

from ..activations import Activation
from .certificates import Bracket, CertificateError, Cover, NetworkClass, Packing
from .cover import cover
from .cover_check import verify_cover
from .packing import packing
from .packing_check import verify_packing

__all__ = ["Bracket", "CertificateError", "Cover", "NetworkClass", "Packing", "bracket", "cover", "packing", "verify"]


def bracket(
    widths: tuple[int, int, int],
    *,
    B: float,
    Bx: float,
    activation: str | Activation,
    eps: float,
    rng: np.random.Generator,
    domain: str = "l2",
    rounds: int = 300,
    cells: int = 60_000,
    progress: bool = False,
) -> Bracket:
    """Return a packing and a cover of a class with one hidden layer, one or two inputs, and one output.

    Parameters
    ----------
    widths
        (d_0, d_1, 1), d_0 ≤ 2. For other classes call :func:`packing` alone.
    B, Bx
        Bounds on parameters and inputs, > 0.
    activation
        Name or :class:`~fnequiv.activations.Activation`.
    eps
        Radius ε > 0 of the balls.
    rng
        The only source of randomness.
    domain
        ``"l2"``: ‖x‖_2 ≤ B_x; ``"linf"``: ‖x‖_∞ ≤ B_x.
    rounds
        Rounds of the search for a packing; more find more.
    cells
        Cells of the cover; more make it smaller.
    progress
        Show a progress bar on standard error.

    Returns
    -------
    Bracket
        ``lower`` ≤ log N(F, ε) ≤ ``upper``, in nats.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is outside its range, or ``cells`` are too few for ε.

    Examples
    --------
    >>> found = bracket((1, 1, 1), B=1, Bx=1, activation="relu", eps=0.5, rng=np.random.default_rng(0), rounds=20)
    >>> verify(found)
    >>> 2 < found.lower < found.upper < 5
    True
    """
    arguments = {"B": B, "Bx": Bx, "activation": activation, "eps": eps, "rng": rng, "domain": domain}
    above = cover(widths, **arguments, cells=cells)  # type: ignore[arg-type]
    below = packing(widths, **arguments, rounds=rounds, progress=progress)  # type: ignore[arg-type]
    return Bracket(below, above)


def verify(certificate: Packing | Cover | Bracket) -> None:
    """Check a certificate, independently of the code that made it.

    Returns nothing if the certificate proves its bound.

    Raises
    ------
    TypeError
        If it is no certificate.
    CertificateError
        (a ``ValueError``) if it does not prove its bound; the message says where it fails.

    Examples
    --------
    >>> family = NetworkClass((1, 1), "relu", B=1, Bx=1)  # f(x) = wx + b
    >>> constants = np.array([[0.0, -1.0], [0.0, 0.0], [0.0, 1.0]])
    >>> verify(Packing(family, 0.4, constants, np.zeros((1, 1))))  # 1 apart, more than 0.8
    >>> verify(Packing(family, 0.5, constants, np.zeros((1, 1))))
    Traceback (most recent call last):
        ...
    fnequiv.complexity.certificates.CertificateError: networks 0 and 1 are within 2 eps of each other at all inputs
    """
    if isinstance(certificate, Bracket):
        if (certificate.packing.family, certificate.packing.eps) != (certificate.cover.family, certificate.cover.eps):
            raise CertificateError("packing and cover are of different classes or radii")
        verify_packing(certificate.packing)
        verify_cover(certificate.cover)
    elif isinstance(certificate, Packing):
        verify_packing(certificate)
    elif isinstance(certificate, Cover):
        verify_cover(certificate)
    else:
        raise TypeError(f"certificate must be a Packing, a Cover or a Bracket, got {certificate!r}")
