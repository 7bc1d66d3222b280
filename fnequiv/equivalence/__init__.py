"""Paper section 2, functional equivalence: networks, group elements, and the action of one on the other.

The book's chapter "Functional equivalence" runs every name here. The modules are loaded on first use, so importing this
package does not import PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "actions",
        "alignment",
        "canonical",
        "checking",
        "elements",
        "files",
        "group",
        "mlp",
        "reduction",
    ],
)
