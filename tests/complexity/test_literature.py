"""The comparison bounds against their formulas written out by hand, and against what they claim to bound."""

import dataclasses
import math

import numpy as np
import pytest

from fnequiv.complexity import literature
from fnequiv.complexity.literature import (
    ASSUMPTIONS,
    anthony_1999,
    bartlett_2017,
    comparison,
    golowich_2018,
    neyshabur_2018,
    ou_2024,
    spectral_complexity,
)

A = [np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]]), np.array([[1.0, 2.0, 2.0]])]
# by hand: spectral norms 4 and 3, Frobenius norms 5 and 3, (2,1) norms of the transposes 7 and 3


def test_spectral_complexity_by_hand():
    root = (7 / 4) ** (2 / 3) + 1.0
    assert spectral_complexity(A) == pytest.approx(12 * root**1.5, rel=1e-12)
    assert spectral_complexity(A, rho=[0.5, 2.0]) == pytest.approx(12 * root**1.5, rel=1e-12)
    assert spectral_complexity(A, rho=3.0) == pytest.approx(9 * 12 * root**1.5, rel=1e-12)


def test_spectral_complexity_measures_the_distance_from_references():
    assert spectral_complexity(A, references=A) == 0.0
    half = [matrix / 2 for matrix in A]
    assert spectral_complexity(A, references=half) == pytest.approx(spectral_complexity(A) / 2, rel=1e-12)


def test_bartlett_2017_by_hand():
    expected = 4.0 / 0.01 * math.log(2 * 9) * spectral_complexity(A) ** 2
    assert bartlett_2017(A, data_norm=2.0, eps=0.1) == pytest.approx(expected, rel=1e-12)
    grid = bartlett_2017(A, data_norm=[[1.0], [2.0]], eps=[0.1, 0.2, 0.4])
    assert grid.shape == (2, 3)
    np.testing.assert_allclose(grid[:, 0] / grid[:, 2], 16.0)


def test_bartlett_2017_covers_a_packing_of_linear_maps():
    """One layer, two inputs, spectral and (2,1) norm at most 1: vectors of the unit disc, far apart on the data."""
    data, eps = np.eye(2), 0.2
    angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    vectors = np.array([[r * math.cos(t), r * math.sin(t)] for r in np.linspace(0, 1, 12) for t in angles])
    chosen = vectors[:1]
    for vector in vectors[1:]:
        if np.linalg.norm((chosen - vector) @ data, axis=1).min() > 2 * eps:
            chosen = np.vstack([chosen, vector])
    bound = bartlett_2017([np.array([[1.0, 0.0]])], data_norm=np.linalg.norm(data), eps=eps)
    assert len(chosen) >= 5
    assert math.log(len(chosen)) <= bound


def test_golowich_2018_by_hand():
    expected = 2.0 * (math.sqrt(4 * math.log(2)) + 1) * 15 / math.sqrt(50)
    assert golowich_2018(A, radius=2.0, samples=50) == pytest.approx(expected, rel=1e-12)


def test_golowich_2018_bounds_the_rademacher_complexity_of_linear_maps():
    """For one layer of Frobenius norm M the complexity is M E‖Σ s_i x_i‖/n, estimated here."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(40, 3))
    signs = rng.choice([-1.0, 1.0], size=(4000, 40))
    complexity = 5.0 * np.linalg.norm(signs @ inputs, axis=1).mean() / 40
    radius = np.linalg.norm(inputs, axis=1).max()
    assert complexity <= golowich_2018([np.array([[3.0, 4.0, 0.0]])], radius=radius, samples=40)


def test_neyshabur_2018_by_hand_and_invariant_under_rescaling_layers():
    norms = (4 * 3) ** 2 * (25 / 16 + 1)
    expected = 2.0 / 0.5 * math.sqrt(4 * 3 * math.log(6) * norms / 100)
    assert neyshabur_2018(A, radius=2.0, margin=0.5, samples=100) == pytest.approx(expected, rel=1e-12)
    scaled = [7.0 * A[0], A[1] / 7.0]
    assert neyshabur_2018(scaled, radius=2.0, margin=0.5, samples=100) == pytest.approx(expected, rel=1e-12)


def test_anthony_1999_by_hand_and_at_least_the_sum_it_bounds():
    D, n, B, eps = 4, 30, 2.0, 0.5
    got = anthony_1999(dimension=D, length=B, eps=eps, points=n)
    assert got == pytest.approx(D * math.log(math.e * n * B / (eps * D)), rel=1e-12)
    assert got >= math.log(sum(math.comb(n, i) * (B / eps) ** i for i in range(1, D + 1)))


def test_anthony_1999_is_no_negative_number_of_nats():
    """A radius beyond the length of the interval: the theorem's hypothesis fails, and one function is enough."""
    got = anthony_1999(dimension=3, length=1.0, eps=[0.9, 1.0, 1.1, 5.0], points=3)
    np.testing.assert_allclose(got, [3 * (1 - math.log(0.9)), 3.0, 0.0, 0.0])
    assert "length B ≥ ε" in ASSUMPTIONS["anthony_1999"].activations


@pytest.mark.parametrize("power", [-200, -3, 120, 200])
def test_powers_of_ten_leave_every_norm_as_they_should(power):
    """A multiple of all matrices multiplies each bound; it is inf or 0 where that leaves float64."""
    scaled = [matrix * 10.0**power for matrix in A]
    bounds = [
        (2, lambda m: spectral_complexity(m)),
        (2, lambda m: spectral_complexity(m, references=[-m[0], m[1]])),
        (4, lambda m: bartlett_2017(m, data_norm=2.0, eps=0.1)),
        (2, lambda m: golowich_2018(m, radius=2.0, samples=50)),
        (2, lambda m: neyshabur_2018(m, radius=2.0, margin=0.5, samples=100)),
    ]
    for degree, bound in bounds:
        got, log_expected = bound(scaled), math.log(bound(A)) + degree * power * math.log(10)
        if -700 < log_expected < 700:
            assert math.log(got) == pytest.approx(log_expected, rel=1e-12)
        else:
            assert got == (math.inf if log_expected > 0 else 0.0)


def test_entries_of_any_size_and_references_of_opposite_sign():
    assert spectral_complexity([[[3e300, 4e300]]]) == pytest.approx(5e300, rel=1e-12)
    assert golowich_2018([[[3e300], [4e300]], [[1e-300, 0.0]]], radius=1.0, samples=1) == pytest.approx(
        5 * (math.sqrt(4 * math.log(2)) + 1), rel=1e-12
    )
    far = spectral_complexity([[[1e308]]], references=[[[-1e308]]])  # the difference is 2e308
    assert far == math.inf
    assert spectral_complexity([[[1e308]]], rho=1e-3, references=[[[-1e308]]]) == pytest.approx(2e305, rel=1e-12)


def test_neyshabur_2018_says_nothing_of_one_number():
    """ln(Lh) = 0: as in the comparison table, no order, and not the claim that the gap is 0."""
    assert math.isnan(neyshabur_2018([[[3.0]]], radius=1.0, margin=1.0, samples=10))
    assert np.isnan(
        {row.key: row for row in comparison((1, 1, 1), rho=1, s=1, Bx=1, eps=1)}["neyshabur_2018"].log_value
    )


def test_the_comparison_table_is_its_expressions():
    widths, rho, s, Bx, eps = (10, 64, 32, 1), 2.0, 3.0, 1.5, 0.1
    S, U, L, W = 10 * 64 + 64 + 64 * 32 + 32 + 33, 96, 2, 64
    rows = {row.key: math.exp(row.log_value) for row in comparison(widths, rho=rho, s=s, Bx=Bx, eps=eps)}
    factorials = math.factorial(64) * math.factorial(32)
    expected = {
        "bartlett_2017": Bx**2 * 36 * U * math.log(W) / eps**2,
        "neyshabur_2018": Bx**2 * 36 * S * L**2 * math.log(W * L) / eps**2,
        "lin_2019": Bx * 6 * S**2 * L / eps,
        "bartlett_2019": L * S * math.log(S) * math.log(Bx / eps),
        "shen_2024": L * S * math.log(6 * Bx ** (1 / L) / (factorials ** (1 / S) * eps ** (1 / L))),
    }
    assert list(rows) == list(expected)
    for key, value in expected.items():
        assert rows[key] == pytest.approx(value, rel=1e-9)


def test_an_order_that_is_not_positive_says_nothing():
    rows = {row.key: row.log_value for row in comparison((2, 3, 1), rho=1.0, s=1.0, Bx=1.0, eps=[0.1, 5.0])}
    assert np.isfinite(rows["bartlett_2019"][0])
    assert np.isnan(rows["bartlett_2019"][1])


def test_ou_2024_by_hand():
    expected = 100**2 * 60 * math.log(101.0**60 * 2.0**60 / 0.1)
    assert math.exp(ou_2024(100, 60, B=2.0, eps=0.1).log_value) == pytest.approx(expected, rel=1e-9)


def test_every_bound_has_its_assumptions():
    keys = {row.key for row in comparison((2, 3, 1), rho=1.0, s=1.0, Bx=1.0, eps=0.1)} | {"ou_2024"}
    keys |= {name for name in literature.__all__ if name.rsplit("_", 1)[-1].isdigit()}
    assert keys == set(ASSUMPTIONS)
    for entry in ASSUMPTIONS.values():
        assert entry.constants == entry.checked.startswith("formula")
        assert bool(entry.metric) == ("covering" in entry.quantity)
        with pytest.raises(dataclasses.FrozenInstanceError):
            entry.source = "elsewhere"
    assert [key for key, entry in ASSUMPTIONS.items() if entry.permutation_invariant] == ["shen_2024"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: spectral_complexity([]), ValueError, "non-empty list"),
        (lambda: spectral_complexity(np.eye(2)), ValueError, "non-empty list"),
        (lambda: spectral_complexity([[1.0, 2.0]]), ValueError, "must be a matrix"),
        (lambda: spectral_complexity([[["a"]]]), TypeError, r"weights\[0\] must be"),
        (lambda: spectral_complexity([np.zeros((2, 2))]), ValueError, "not all zero"),
        (lambda: spectral_complexity([np.full((2, 2), np.nan)]), ValueError, "must be finite"),
        (lambda: spectral_complexity([A[0], A[0]]), ValueError, "must read the 3 outputs before it"),
        (lambda: spectral_complexity(A, rho=[1.0, 1.0, 1.0]), ValueError, "one for each of 2 layers"),
        (lambda: spectral_complexity(A, rho=-1.0), ValueError, "rho must be finite and > 0"),
        (lambda: spectral_complexity(A, references=1.0), TypeError, "references must be a list of matrices"),
        (lambda: ou_2024(60, 10**400, B=1.0, eps=0.1), ValueError, "depth must lie within float64's range"),
        (lambda: spectral_complexity(A, references=[A[0]]), ValueError, "shapes of weights"),
        (lambda: spectral_complexity(A, references=[A[0], [[math.inf, 0, 0]]]), ValueError, "must be finite"),
        (lambda: bartlett_2017(A, data_norm=1.0, eps=0.0), ValueError, "eps must be finite and > 0"),
        (lambda: golowich_2018(A[:1], radius=1.0, samples=5), ValueError, "one output, got 3"),
        (lambda: anthony_1999(dimension=5, length=1.0, eps=0.1, points=4), ValueError, "points must be >= dimension"),
        (lambda: comparison((2, 1), rho=1.0, s=1.0, Bx=1.0, eps=0.1), ValueError, "hidden"),
        (lambda: ou_2024(60, 60, B=0.5, eps=0.1), ValueError, "B must be >= 1"),
        (lambda: ou_2024(60, 60, B=1.0, eps=0.5), ValueError, "eps must be < 1/2"),
    ],
)
def test_errors_name_rule_and_value(call, error, message):
    with pytest.raises(error, match=message):
        call()
