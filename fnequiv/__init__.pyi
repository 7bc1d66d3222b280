# What `fnequiv` offers at its top level. `lazy_loader` reads this file when the package is imported, and so do
# type checkers and the book's execution cache.

from . import activations as activations
from . import architectures as architectures
from . import complexity as complexity
from . import equivalence as equivalence
from . import exercises as exercises
from . import generalization as generalization
from . import optimization as optimization
from . import plotting as plotting
from . import symmetry as symmetry
from . import validation as validation
from . import widgets as widgets
from .architectures.tracing import symmetry_of as symmetry_of
from .complexity.counting import orbits as orbits
from .complexity.covering import orbit_bound as orbit_bound
from .equivalence import mlp as mlp
from .equivalence.actions import apply as apply
from .equivalence.alignment import align as align
from .equivalence.canonical import canonicalize as canonicalize
from .equivalence.canonical import fingerprint as fingerprint
from .equivalence.checking import compare as compare
from .equivalence.elements import GroupElement as GroupElement
from .equivalence.elements import Move as Move
from .equivalence.group import compose as compose
from .equivalence.group import identity as identity
from .equivalence.group import invert as invert
from .equivalence.group import sample as sample
from .symmetry import SymmetrySpec as SymmetrySpec
from .widgets import explore as explore

__version__: str
