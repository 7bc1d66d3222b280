"""Attempts to break what the bounds rest on, and the bounds themselves; the oracles evaluate networks by hand."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from fnequiv import activations
from fnequiv.complexity.covering import orbit_bound, orbit_terms, sensitivity
from fnequiv.complexity.orbit import Used
from fnequiv.complexity.reflected import folded
from fnequiv.complexity.sensitivity import check_activations, propagate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    specification = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


falsification = load("falsification")


def ranges_of(widths, B, Bx, name, domain="l2"):
    sigmas = check_activations(name, widths)
    return propagate(widths, np.log(np.float64(B)), np.log(np.float64(Bx)), sigmas, domain)


def network(widths, B, rng, kind="uniform"):
    shapes = list(zip(widths[1:], widths, strict=False))
    return (
        [falsification.draw(kind, shape, B, rng) for shape in shapes],
        [falsification.draw(kind, shape[:1], B, rng) for shape in shapes],
    )


def evaluate(weights, biases, inputs, sigma, clip=None):
    """f on rows of inputs; with ``clip``, hidden pre-activations are clipped to [-clip[l], clip[l]]."""
    hidden = inputs
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        hidden = hidden @ weight.T + bias
        if index < len(weights) - 1:
            if clip is not None:
                hidden = np.clip(hidden, -clip[index], clip[index])
            hidden = sigma(hidden)
    return hidden


# --- the sensitivity inequality


def test_no_pair_of_networks_violates_the_sensitivity_inequality():
    found = falsification.search(batches=8, size=25, seed=3)
    assert 0.99 <= max(found.values()) <= 1 + 1e-9
    for name in falsification.ACTIVATIONS:
        assert max(found[name, kind] for kind in falsification.KINDS) > 0.3
    assert {name for name, _ in found} == set(falsification.ACTIVATIONS)


@pytest.mark.parametrize("block", range(8))
@pytest.mark.parametrize("name", ["relu", "identity", "softplus"])
def test_every_coefficient_is_attained(block, name):
    """Move one block of a network with all parameters +B: no constant in the inequality can be lowered."""
    widths, B, Bx, step = (3, 4, 2, 5, 2), 1.3, 0.7, 1e-6
    steps = np.zeros((4, 2))
    steps[block // 2, block % 2] = step
    weights = [np.full(shape, B) for shape in zip(widths[1:], widths, strict=False)]
    biases = [np.full(width, B) for width in widths[1:]]
    inputs, sigma = np.full((1, 3), Bx / math.sqrt(3)), activations.get(name)
    moved = evaluate(
        [w - s for w, s in zip(weights, steps[:, 0], strict=True)],
        [b - s for b, s in zip(biases, steps[:, 1], strict=True)],
        inputs,
        sigma,
    )
    bound = sensitivity(
        widths, B=B, Bx=Bx, activation=name, weight_step=steps[:, 0].tolist(), bias_step=steps[:, 1].tolist()
    )
    ratio = np.abs(evaluate(weights, biases, inputs, sigma) - moved).max() / bound
    # softplus is as steep as its Lipschitz constant only at the end of the range, which layer 1 does not reach
    assert (0.99 if name != "softplus" else 0.8) <= ratio <= 1 + 1e-8


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "abs", "softplus", "leaky_relu"])
@pytest.mark.parametrize("kind", ["aligned", "corner", "uniform"])
def test_no_pair_violates_the_euclidean_form(name, kind):
    """The form behind the operator-norm cover: centred boxes, shifted biases, clipped centres outside the cube."""
    rng = np.random.default_rng(7)
    for _ in range(60):
        widths = tuple(rng.integers(1, 5, size=4).tolist())
        B, Bx = float(np.exp(rng.uniform(-1, 1))), float(np.exp(rng.uniform(-1, 1)))
        ranges, sigma = ranges_of(widths, B, Bx, name), activations.get(name)
        weights, biases = network(widths, B, rng, kind)
        size = B * math.exp(rng.uniform(-8, 0))
        direction = -1.0 if kind == "aligned" else 0.0
        moves = [
            (rng.normal(direction, 1, w.shape) * size, rng.normal(direction, 1, b.shape) * size)
            for w, b in zip(weights, biases, strict=True)
        ]
        bound = 0.0
        for index, (dw, db) in enumerate(moves):
            c = _signed_center(ranges, index, sigma)
            r = math.exp(ranges.log_radius[index])
            radius = r if index == 0 else r * math.sqrt(widths[index])
            gain, shift = math.exp(ranges.log_gain[index]), db + c * dw.sum(axis=1)
            if index < len(moves) - 1:
                error = np.linalg.norm(dw, 2) * radius + np.linalg.norm(shift)
                bound += gain / math.sqrt(widths[index + 1]) * error
            else:
                norm = 1 if index else 2
                row = np.linalg.norm(dw, ord=norm, axis=1) * r
                bound += float((row + np.abs(shift)).max())
        inputs = falsification.points("l2", widths[0], Bx, rng)
        clip = [math.exp(reach) for reach in ranges.log_reach]
        centre = evaluate(
            [w + m[0] for w, m in zip(weights, moves, strict=True)],
            [b + m[1] for b, m in zip(biases, moves, strict=True)],
            inputs,
            sigma,
            clip,
        )
        difference = np.abs(evaluate(weights, biases, inputs, sigma) - centre).max()
        assert difference <= bound * (1 + 1e-9)


def _signed_center(ranges, index, sigma):
    """The box stores |c|; its sign is that of the middle of σ's values."""
    if index == 0:
        return 0.0
    z = np.linspace(-1, 1, 2001) * math.exp(ranges.log_reach[index - 1])
    values = sigma(z)
    return math.copysign(math.exp(ranges.log_center[index]), values.max() + values.min())


@pytest.mark.parametrize("name", activations.names())
def test_boxes_hold_every_value_and_are_tight(name):
    sigma = activations.get(name)
    for B, Bx in [(0.3, 0.2), (1.0, 1.0), (2.0, 5.0)]:
        if not np.isfinite(sigma.lipschitz(B * (Bx + 1))):
            continue
        ranges = ranges_of((1, 1, 1), B, Bx, name)
        values = sigma(np.linspace(-1, 1, 20001) * math.exp(ranges.log_reach[0]))
        c, r = _signed_center(ranges, 1, sigma), math.exp(ranges.log_radius[1])
        assert np.abs(values - c).max() <= r * (1 + 1e-9) + 1e-12
        assert math.isclose(math.exp(ranges.log_sup[0]), np.abs(values).max(), rel_tol=1e-6)
        # never wider than the symmetric box, nor than the values
        assert r <= math.exp(ranges.log_sup[0]) * (1 + 1e-9)
        assert r <= (values.max() - values.min()) / 2 * (1 + 1e-6)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "gelu", "silu", "softplus", "sigmoid", "tanh", "abs", "cos"])
def test_the_reflected_form_is_the_network_and_its_ranges_hold(name):
    """f = Σ a τ(z) + v·h + c' is unchanged when rows flip; v, c' and τ stay within what the cover writes down."""
    rng, widths = np.random.default_rng(5), (2, 3, 4, 2)
    sigma = activations.get(name)
    law = sigma.reflection
    alpha, offset = -law.slope / 2, (law.constant / 2 if law.sign == -1 else 0.0)
    for kind in ["aligned", "corner", "uniform"] * 10:
        B, Bx = math.exp(rng.uniform(-1, 1)), math.exp(rng.uniform(-1, 1))
        ranges = ranges_of(widths, B, Bx, name)
        fold = folded(ranges, _everything(2))
        (w1, w2, a), (b1, b2, b) = network(widths, B, rng, kind)
        inputs = falsification.points("l2", 2, Bx, rng)
        hidden = sigma(inputs @ w1.T + b1)
        v, constant = alpha * a @ w2, b + a @ (alpha * b2 + offset)
        assert np.abs(v).max() <= math.exp(fold.log_linear) * (1 + 1e-9)
        assert np.abs(constant).max() <= (B + math.exp(fold.log_constant)) * (1 + 1e-9)
        z = hidden @ w2.T + b2
        flips = rng.choice([-1.0, 1.0], size=z.shape[1])
        tau = sigma(flips * z) - alpha * flips * z - offset
        signs = flips if law.sign == -1 else np.ones_like(flips)
        folded_form = tau @ (signs * a).T + hidden @ v.T + constant
        np.testing.assert_allclose(folded_form, evaluate([w1, w2, a], [b1, b2, b], inputs, sigma), atol=1e-9, rtol=1e-9)
        reach = np.linspace(-1, 1, 4001) * math.exp(ranges.log_reach[1])
        even = sigma(reach) - alpha * reach - offset
        width = math.exp(fold.log_center) + math.exp(fold.log_radius)
        assert np.abs(even).max() <= width * (1 + 1e-9)
        slope = np.abs(np.diff(even) / np.diff(reach)).max()
        assert slope * B * widths[2] <= math.exp(fold.log_gain) * (1 + 1e-6)


def test_neurons_without_a_kink_fit_into_the_linear_part():
    """Shallow and homogeneous, |x| ≤ 1: a scaled neuron on a face |b| = B is linear, and v and c' hold it too."""
    rng, B, sigma = np.random.default_rng(9), 1.7, activations.get("leaky_relu")
    alpha = (1 + 0.01) / 2
    ranges = ranges_of((1, 6, 2), B, 1.0, "leaky_relu")
    fold = folded(ranges, _everything(1))
    x = np.linspace(-1, 1, 101)[:, None]
    for kind in ["aligned", "corner", "uniform"] * 20:
        (w, a), (b1, b) = network((1, 6, 2), B, rng, kind)
        face = rng.random(6) < 0.7
        b1 = np.where(face, B * np.sign(b1), b1)
        slopes = np.where(face, np.where(b1 > 0, 1.0, 0.01), alpha)
        v, constant = (slopes * a) @ w, b + a @ (slopes * b1)
        assert np.abs(v).max() <= math.exp(fold.log_linear) * (1 + 1e-9)
        assert np.abs(constant).max() <= (B + math.exp(fold.log_constant)) * (1 + 1e-9)
        z = x @ w.T + b1
        bent = (sigma(z) - alpha * z) * ~face
        np.testing.assert_allclose(bent @ a.T + x @ v.T + constant, evaluate([w, a], [b1, b], x, sigma), atol=1e-12)
    assert bool(fold.kinkless)
    assert not folded(ranges_of((1, 6, 2), B, 1.01, "leaky_relu"), _everything(1)).kinkless
    assert not folded(ranges_of((1, 2, 6, 2), 0.1, 0.1, "leaky_relu"), _everything(2)).kinkless


def _everything(hidden):
    return Used("all", (True,) * hidden, (False,) * hidden, (True,) * hidden)


# --- covers: networks are encoded, decoded, and compared


def nearest(values, B, levels):
    """The nearest of ``levels`` centres of equal cells of [-B, B]."""
    cell = np.clip(np.floor((values + B) / (2 * B) * levels), 0, levels - 1)
    return -B + (2 * cell + 1) * B / levels


@pytest.mark.parametrize(
    ("name", "symmetry"),
    [
        ("relu", "permutation"),
        ("relu", "scaled"),
        ("tanh", "signed"),
        ("abs", "signed_scaled"),
        ("sigmoid", "permutation"),
    ],
)
def test_encoded_networks_decode_to_within_eps(name, symmetry):
    """Scale rows to the boundary, flip them, sort them, round: what comes back is within ε, from the counted levels."""
    rng, sigma = np.random.default_rng(11), activations.get(name)
    for trial in range(40):
        widths = tuple(rng.integers(1, 5, size=4).tolist())
        B, Bx = math.exp(rng.uniform(-1, 1)), math.exp(rng.uniform(-1, 1))
        eps = 10 ** rng.uniform(-2, 1)
        bound = orbit_terms(widths, B=B, Bx=Bx, activation=name, eps=eps, symmetry=symmetry)
        weights, biases = network(widths, B, rng, ["uniform", "corner", "sparse"][trial % 3])
        inputs = falsification.points("l2", widths[0], Bx, rng)
        before = evaluate(weights, biases, inputs, sigma)
        words = []
        for index, terms in enumerate(bound.layers):
            w, b = weights[index], biases[index]
            if index < len(weights) - 1:
                out = weights[index + 1]
                if "scaled" in symmetry and terms.cover == "faces":
                    largest = np.maximum(np.abs(w).max(axis=1), np.abs(b))
                    dead = largest == 0
                    factor = np.where(dead, 1.0, B / np.where(dead, 1.0, largest))
                    w, b = factor[:, None] * w, factor * b
                    w[dead, 0] = B
                    out = np.where(dead, 0.0, out / factor)
                    assert np.abs(out).max(initial=0) <= B * (1 + 1e-12)
                    np.testing.assert_allclose(np.maximum(np.abs(w).max(axis=1), np.abs(b)), B)
                order = np.lexsort((b, *w.T))
                weights[index], biases[index], weights[index + 1] = w[order], b[order], out[:, order]
            levels = round(math.exp(terms.log_weight_levels)), round(math.exp(terms.log_bias_words))
            edge = np.abs(weights[index]) >= B * (1 - 1e-12), np.abs(biases[index]) >= B * (1 - 1e-12)
            w, b = nearest(weights[index], B, levels[0]), nearest(biases[index], B, levels[1])
            if terms.cover == "faces":  # coordinates on the boundary are written down exactly
                w, b = np.where(edge[0], weights[index], w), np.where(edge[1], biases[index], b)
            words.append((w, b))
        np.testing.assert_allclose(evaluate(weights, biases, inputs, sigma), before, rtol=1e-9, atol=1e-9)
        after = evaluate([w for w, _ in words], [b for _, b in words], inputs, sigma)
        assert np.abs(after - before).max() <= eps * (1 + 1e-9)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_a_path_of_bits_follows_every_network_of_one_input(name):
    """The encoder of the one-input bound: greedy steps of slope ±V from a rounded start stay within ε."""
    rng, sigma = np.random.default_rng(2), activations.get(name)
    for kind in ["aligned", "corner", "uniform"] * 15:
        widths, B, Bx = (1, 3, 2, 1), math.exp(rng.uniform(-1, 0.5)), math.exp(rng.uniform(-1, 1))
        eps = math.exp(rng.uniform(-3, 1))
        ranges = ranges_of(widths, B, Bx, name)
        slope = math.exp(ranges.log_gain[0]) * B
        weights, biases = network(widths, B, rng, kind)
        steps = math.ceil(Bx * slope / eps)
        for side in (-1.0, 1.0):
            x = side * np.minimum(np.linspace(0, steps, 8 * steps + 1) * eps / slope, Bx)
            f = evaluate(weights, biases, x[:, None], sigma)[:, 0]
            phi = [f[0] + rng.uniform(-eps, eps)]
            for start in range(0, 8 * steps, 8):
                up = phi[-1] + eps
                sign = 1.0 if abs(f[start + 8] - up) <= eps * (1 + 1e-9) and f[start + 8] >= phi[-1] else -1.0
                phi.extend(phi[-1] + sign * eps * np.arange(1, 9) / 8)
            whole = np.abs(x) < Bx * (1 - 1e-12)
            assert np.abs(f - phi)[whole].max(initial=0.0) <= eps * (1 + 1e-6)


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu"])
@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_slopes_and_bits_follow_every_shallow_network_of_one_input(name, k):
    """The encoder of the bound by pieces: coded slopes, bits spent where f bends, one walk through the domain."""
    rng, sigma = np.random.default_rng(8), activations.get(name)
    jump = abs(float(sigma(1.0)) + float(sigma(-1.0)))
    for trial in range(30):
        width = int(rng.integers(1, 7))
        B, Bx = math.exp(rng.uniform(-1, 0.7)), math.exp(rng.uniform(-1, 1))
        eps, delta = B * math.exp(rng.uniform(-3, 1)), B * math.exp(rng.uniform(-3, 1))
        (w, a), (b1, b2) = network((1, width, 1), B, rng, ["aligned", "corner", "uniform"][trial % 3])
        U, length = jump * width * B**2, 2 * Bx / k
        bits, levels, phi = 0, [], float(evaluate([w, a], [b1, b2], np.array([[-Bx]]), sigma)[0, 0])
        phi += rng.uniform(-eps, eps)
        for piece in range(k):
            left = -Bx + piece * length
            kinks = -b1[w[:, 0] != 0] / w[w[:, 0] != 0, 0]
            knots = np.concatenate([[left], np.sort(kinks[(kinks > left) & (kinks < left + length)]), [left + length]])
            values = evaluate([w, a], [b1, b2], knots[:, None], sigma)[:, 0]
            apart = np.diff(knots) > 1e-9
            slopes = np.diff(values)[apart] / np.diff(knots)[apart]
            middle, spread = (slopes.max() + slopes.min()) / 2, slopes.max() - slopes.min()
            levels.append(round(middle / (2 * delta)))
            coded = 2 * delta * levels[-1]
            n = max(math.ceil(length * (spread / 2 + delta) / eps), 1)
            bits += n
            for step in range(n):
                x = left + length * np.linspace(step, step + 1, 5) / n
                f = evaluate([w, a], [b1, b2], x[:, None], sigma)[:, 0] - coded * (x - left)
                base = phi - (eps if f[-1] < phi else -eps)
                rise = np.linspace(phi, base, 5)
                assert np.abs(f - rise).max() <= eps * (1 + 1e-6)
                phi = base
            phi += coded * length
        assert bits <= math.floor(Bx * U / (k * eps) + 2 * Bx * delta / eps + k + 1e-9)
        assert np.abs(np.diff(levels)).sum() <= U / (2 * delta) + k - 1 + 1e-9


# --- the bounds against packings


def packing(widths, B, Bx, name, eps, samples, rng):
    """Greedily pick sampled networks that differ by more than 2ε somewhere on a finite set of inputs."""
    sigma = activations.get(name)
    inputs = np.concatenate([falsification.points("l2", widths[0], Bx, rng) for _ in range(3)])
    chosen = np.empty((0, len(inputs) * widths[-1]))
    for index in range(samples):
        kind = ["aligned", "corner", "uniform", "sparse"][index % 4]
        weights, biases = network(widths, B, rng, kind)
        if kind == "aligned":
            biases[-1] = biases[-1] * rng.uniform(-1, 1)
            weights[-1] = weights[-1] * rng.choice([-1.0, 0.0, 1.0])
        f = evaluate(weights, biases, inputs, sigma).ravel()
        if not len(chosen) or np.abs(chosen - f).max(axis=1).min() > 2 * eps * (1 + 1e-12):
            chosen = np.vstack([chosen, f])
    return len(chosen)


@pytest.mark.parametrize(
    ("widths", "name", "symmetries"),
    [
        ((1, 1, 1), "relu", ("permutation", "scaled", "best")),
        ((1, 2, 1), "relu", ("permutation", "scaled", "best")),
        ((2, 2, 1), "relu", ("scaled", "best")),
        ((1, 2, 2, 1), "relu", ("scaled", "best")),
        ((1, 2, 1), "tanh", ("signed", "best")),
        ((1, 2, 2), "abs", ("signed_scaled", "best")),
        ((2, 2, 1), "sigmoid", ("permutation", "best")),
        ((1, 2, 1), "identity", ("signed_scaled", "best")),
        ((2, 1), "relu", ("none", "best")),
    ],
)
def test_no_bound_falls_below_a_packing(widths, name, symmetries):
    rng = np.random.default_rng(1)
    for B, eps in [(1.0, 0.25), (1.0, 1.0), (0.3, 0.05), (2.0, 6.0)]:
        least = math.log(packing(widths, B, 1.0, name, eps, 600, rng))
        for symmetry in symmetries:
            assert orbit_bound(widths, B=B, Bx=1.0, activation=name, eps=eps, symmetry=symmetry) >= least - 1e-9


@pytest.mark.parametrize("widths", [(1, 1, 1), (1, 3, 1), (3, 4, 2), (2, 3, 2, 1), (5, 1)])
@pytest.mark.parametrize("B", [0.2, 1.0, 3.0])
def test_the_largest_and_smallest_network_are_never_covered_by_too_few_balls(widths, B):
    """t·f, t in [-1, 1], f the ReLU network with all parameters +B, reaches R at the diagonal: N ≥ (R/ε)^outputs."""
    weights = [np.full(shape, B) for shape in zip(widths[1:], widths, strict=False)]
    biases = [np.full(width, B) for width in widths[1:]]
    inputs = np.full((1, widths[0]), 1 / math.sqrt(widths[0]))
    R = evaluate(weights, biases, inputs, activations.get("relu")).max()
    for ratio in [0.013, 0.2, 0.31, 0.499, 0.5, 0.7, 0.99, 1.0 + 1e-9, 3.0]:
        shared = {"B": B, "Bx": 1.0, "activation": "relu", "eps": R * ratio}
        needed = widths[-1] * math.log(math.ceil(1 / ratio * (1 - 1e-9)))
        for symmetry in ("none", "permutation", "scaled", "best"):
            assert orbit_bound(widths, **shared, symmetry=symmetry) >= needed - 1e-9
        if ratio >= 1:
            assert orbit_bound(widths, **shared, symmetry="best") == 0
