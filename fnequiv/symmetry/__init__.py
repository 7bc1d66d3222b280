"""Symmetry specifications: which parts of a parameter set move together, and how.

Notation. A *block* is one set of d interchangeable units (the neurons of a hidden layer, the channels of a
convolution, a residual stream). A group element moves unit i of the block to a new place, and may multiply it
by a sign s_i ∈ {-1, +1} and a scale λ_i > 0. What a unit owns is spread over several tensors; each place is an
*axis*: the rows of W^(l) and the entries of b^(l) come *in* to the unit and are multiplied by s_i λ_i, the
columns of W^(l+1) go *out* of it and are divided, so that the network's function stays the same.

Theorem: Proposition 1 of Shen (2024) for permutations, Examples 1 and 2 for scaling and sign flipping.
Chapter: "Functional equivalence". Nothing here imports torch: a specification is only names and shapes.
"""

from .blocks import KINDS, ROLES, Axis, Block, kind_of
from .cells import Cell
from .spec import SymmetrySpec

__all__ = ["KINDS", "ROLES", "Axis", "Block", "Cell", "SymmetrySpec", "kind_of"]
