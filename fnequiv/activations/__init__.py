r"""Frozen facts of activation functions: which symmetries they admit, and how steep and how large they are.

Notation. σ : R → R acts on every entry of a layer's pre-activation W h + b. On the range [-z, z] that the layer sees,

* ``lipschitz(z)`` is the *least* ρ with |σ(x) - σ(y)| ≤ ρ |x - y|,
* ``sup(z)`` is the supremum of |σ(x)|, and
* ``range(z)`` is the pair of the infimum and the supremum of σ(x);

z = ∞ makes them global. Theorems 1 and 2 of Shen (2024) take ρ, the orbit bound takes ρ, σ(0) and the supremum.

The three symmetries of the paper follow from two facts of σ (Examples 1-3 and the table of activations; the chapter on
functional equivalence prints that table from :func:`table`):

* permutation: every elementwise σ;
* sign flipping: σ is odd, σ(-x) = -σ(x), or even, σ(-x) = σ(x) (then the outgoing column keeps its sign);
* scaling: σ(λx) = λ^degree σ(x) for all λ > 0 (then the outgoing column is divided by λ^degree).

A layer of PReLUs with one slope a neuron is no single σ: scaling survives, and permutation does if the slopes travel
with their neurons (``per_channel`` says that they have to).

Many activations that are neither odd nor even still obey a reflection law σ(-x) = sign·σ(x) + slope·x + constant. The
sigmoid has σ(-x) = 1 - σ(x), so a flipped neuron is made good by the next bias; ReLU, GELU, SiLU and softplus have
σ(-x) = σ(x) - x, so it is made good by a linear path. The three symmetries alone do not see these.

References
----------
G. Shen, "Exploring the Complexity of Deep Neural Networks through Functional Equivalence", ICML 2024, arXiv:2305.11417.
"""

from .catalogue import Row, get, names, table
from .facts import Activation
from .laws import Reflection

__all__ = ["Activation", "Reflection", "Row", "get", "names", "table"]
