"""Propositions of the chapters, each tried on random cases by a route that the package does not take."""

import math

import numpy as np

from fnequiv.complexity.covering import orbit_terms, shallow_theorem


def test_permutations_save_less_than_their_share_of_a_shallow_bound():
    """Proposition "How much permutations can save": less than 1/(d0 + 2), if ε is small against each block."""
    rng, shares = np.random.default_rng(0), []
    for _ in range(300):
        d0, d1 = int(rng.integers(1, 9)), int(2 ** rng.uniform(1, 14))
        B, Bx = np.exp(rng.uniform(-1, 1, size=2))
        H = B * (math.sqrt(d0) * Bx + 1)  # the largest value of a ReLU
        eps = B * min(B * math.sqrt(d0) * Bx, B, H) * math.exp(-rng.exponential(2))
        given = {"B": B, "Bx": Bx, "activation": "relu", "eps": eps}
        none, permuted = (orbit_terms((d0, d1, 1), **given, symmetry=s).log_bound for s in ("none", "permutation"))
        shares.append((1 - permuted / none) * (d0 + 2))
    assert max(shares) < 1
    assert max(shares) > 0.6  # near enough that a smaller constant would soon be seen


def test_under_its_conditions_theorem_1_exceeds_a_cover_counted_in_integers():
    """Proposition "A condition for Theorem 1", σ(0) = 0: the codes of its proof, ε/4 a block, or a single ball."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(1500):
        d0, d1 = int(rng.integers(1, 6)), int(rng.integers(1, 40))
        B, Bx, rho, eps = np.exp(rng.uniform((-3, -3, -1, -6), (2, 2, 1, 3)))
        n, wide, H = d0 + 1, B * (Bx + 1) * math.sqrt(d0), rho * B * (math.sqrt(d0) * Bx + 1)
        q = 16 * B * wide * d1 / eps
        if wide * d1 < 1 or 3 * wide < H or (q * rho / 4 + 1) ** n + d1 - 1 > (q * rho) ** n:
            continue
        held += 1
        hidden = [4 * B * c / eps for c in (B * rho * d1 * math.sqrt(d0) * Bx, B * rho * d1)]
        words = math.ceil(hidden[0]) ** d0 * math.ceil(hidden[1])
        outputs = math.ceil(4 * B * d1 * H / eps) ** d1 * math.ceil(4 * B / eps)
        codes = math.log(math.comb(words + d1 - 1, d1) * outputs)
        one_ball = B * (d1 * H + 1) <= eps
        stated = shallow_theorem(d0, d1, B=B, Bx=Bx, rho=rho, eps=eps)
        assert codes <= stated + 1e-9 or one_ball
    assert held > 300


def test_distances_of_sums_of_kinks_are_those_of_partial_sums():
    """Proposition "A class whose factorial is exact": its map from biases to functions keeps distances and volumes."""
    rng, kept = np.random.default_rng(2), 0
    for d in (1, 2, 3, 5):
        for _ in range(200):
            first, second = -np.sort(-rng.uniform(-1, 1, size=(2, d)), axis=1)
            # Both functions are linear between kinks, so that their difference is largest at a kink or an end.
            x = np.concatenate([-first, -second, [-1.0, 1.0]])
            apart = np.maximum(x[:, None] + first, 0).sum(1) - np.maximum(x[:, None] + second, 0).sum(1)
            sums = np.abs(np.cumsum(first) - np.cumsum(second)).max()
            assert np.abs(apart).max() <= sums + 1e-12
            kept += np.abs(apart).max() >= sums - 1e-12
        descending = (np.diff(rng.uniform(-1, 1, size=(40_000, d)), axis=1) <= 0).all(axis=1).mean()
        assert abs(descending - 1 / math.factorial(d)) < 0.01
    assert kept == 800
