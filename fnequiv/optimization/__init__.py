"""Paper section 5.2, optimisation: what equivalent minima are worth to an algorithm that starts at random.

``initialization`` has the probability that a start falls near a copy of a minimiser, exactly and by simulation.
``teacher`` descends on the exact loss of a teacher and a student, ``population``, and ``solutions`` counts what was
found. ``connectivity`` follows the loss on the line between two networks. ``sweeps`` trains many seeds at once. The
modules are loaded on first use, so importing this package does not import PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["connectivity", "initialization", "population", "schemes", "solutions", "sweeps", "teacher"],
)
