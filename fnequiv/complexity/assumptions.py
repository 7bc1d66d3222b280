"""What each cited bound is a bound on, and under which conditions: data for :mod:`fnequiv.complexity.literature`.

Notation: A_1, …, A_L are matrices without biases, ρ_i Lipschitz constants. Paper: the other columns of Shen's
comparison table (2024); chapter "How tight are the bounds?"
"""

from __future__ import annotations

from dataclasses import dataclass

READ = "formula as in the cited theorem"
RECALLED = "formula as in the cited theorem, recalled and not compared with the print"
ORDER = "an order: the constants are not given"
TABLE = "an order, as the paper's comparison table gives it; not compared with the cited work"


@dataclass(frozen=True)
class Assumptions:
    """What a cited result bounds, and under which conditions.

    Attributes
    ----------
    source, item
        The work, and the theorem in it.
    quantity, metric
        What is bounded, and in which distance a covering number is meant (empty otherwise).
    biases
        Whether the layers may have biases.
    activations
        Which activations are allowed.
    permutation_invariant
        Whether the proof uses that permuted networks are the same function.
    constants
        True if the formula holds with its constants, False for an order.
    checked
        How sure the formula is.
    """

    source: str
    item: str
    quantity: str
    metric: str
    biases: bool
    activations: str
    permutation_invariant: bool
    constants: bool
    checked: str


ASSUMPTIONS: dict[str, Assumptions] = {
    "bartlett_2017": Assumptions(
        "Bartlett, Foster & Telgarsky, NeurIPS 2017",
        "Theorem 3.3",
        "log covering number",
        "unnormalised ℓ_2 on the data: ‖F_A(X) - F_B(X)‖_F",
        False,
        "ρ_i-Lipschitz with σ_i(0) = 0",
        False,
        True,
        READ,
    ),
    "neyshabur_2018": Assumptions(
        "Neyshabur, Bhojanapalli & Srebro, ICLR 2018",
        "Theorem 1",
        "margin generalisation gap",
        "",
        False,
        "ReLU",
        False,
        False,
        ORDER,
    ),
    "golowich_2018": Assumptions(
        "Golowich, Rakhlin & Shamir, COLT 2018",
        "Theorem 1",
        "Rademacher complexity",
        "",
        False,
        "1-Lipschitz and positively homogeneous",
        False,
        True,
        RECALLED,
    ),
    "bartlett_2019": Assumptions(
        "Bartlett, Harvey, Liaw & Mehrabian, JMLR 2019",
        "abstract",
        "pseudo-dimension",
        "",
        True,
        "piecewise linear",
        False,
        False,
        ORDER,
    ),
    "anthony_1999": Assumptions(
        "Anthony & Bartlett, Neural Network Learning, 1999",
        "Theorem 12.2",
        "log covering number",
        "largest difference on n points",
        True,
        "any; the class has values in an interval of length B ≥ ε",
        False,
        True,
        RECALLED,
    ),
    "lin_2019": Assumptions(
        "Lin & Zhang, arXiv:1910.01487",
        "as cited by Shen (2024)",
        "log covering number",
        "sup norm",
        False,
        "Lipschitz",
        False,
        False,
        TABLE,
    ),
    "ou_2024": Assumptions(
        "Ou & Bölcskei, arXiv:2410.06378",
        "abstract",
        "log covering number, upper and lower",
        "L^p on [0, 1]^d",
        True,
        "ReLU",
        False,
        False,
        ORDER,
    ),
    "shen_2024": Assumptions(
        "Shen, ICML 2024",
        "comparison table",
        "log covering number",
        "sup norm",
        True,
        "locally Lipschitz",
        True,
        False,
        TABLE,
    ),
}
