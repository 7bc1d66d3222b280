"""Paper section 4: convolutional networks, residual networks and attention.

``specs`` writes the symmetry of small, readable networks by hand, ``tracing`` finds that of any ``torch.nn.Module``,
and ``complexity`` bounds covering numbers with it. The modules are loaded on first use, so importing this package does
not import PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["complexity", "specs", "tracing"])
