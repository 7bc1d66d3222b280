"""fnequiv: functional equivalence of neural networks, computed.

Two parameter vectors are functionally equivalent when they give the same function. The package finds the
symmetries of an architecture, acts with them, decides whether two networks are one up to them, and counts what
they save in covering-number bounds.

The names that users reach for stand here as well as in their modules. They are listed in ``__init__.pyi`` and
loaded on first use, so ``import fnequiv`` imports neither PyTorch nor Matplotlib.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
