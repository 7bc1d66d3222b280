"""The initialisation probability: how likely a random start falls near some permuted copy of a minimiser.

Notation. θ̂ is a minimiser, d_l* the number of distinct orders of the rows of hidden layer l, Δ_min the least distance
of two distinct rows. A start falls within δ/2 ≤ Δ_min/2 of a copy of θ̂ with a probability of Π_l d_l* times that for θ̂
alone: the paper's lower bound, which is exact without ties. The names here come from five rooms, each with its
derivation: :mod:`~fnequiv.optimization.cubes` (the probability and its proof), :mod:`~fnequiv.optimization.rows` (d_l*,
Δ_min, Δ_max, a ceiling), :mod:`~fnequiv.optimization.sampling` and :mod:`~fnequiv.optimization.rare` (two estimates
that check it), and :mod:`~fnequiv.optimization.schemes` (the laws of PyTorch, Xavier, He and LeCun).

Theorem: the one on initialisation in section 5.2 of Shen (2024). Chapter: "Optimisation".
"""

from .cubes import StartProbability, effective_log_volume, log_start_probability
from .laws import Normal, TruncatedNormal, Uniform, Zero
from .rare import RareEstimate, estimate_rare
from .rows import delta_max, delta_min, log_ceiling, log_distinct_permutations
from .sampling import Share, monte_carlo
from .schemes import Scheme, draw, get, names

__all__ = [
    "Normal",
    "RareEstimate",
    "Scheme",
    "Share",
    "StartProbability",
    "TruncatedNormal",
    "Uniform",
    "Zero",
    "delta_max",
    "delta_min",
    "draw",
    "effective_log_volume",
    "estimate_rare",
    "get",
    "log_ceiling",
    "log_distinct_permutations",
    "log_start_probability",
    "monte_carlo",
    "names",
]
