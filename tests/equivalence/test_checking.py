"""Verdicts are right or undecided, never wrong: against brute force, exact arithmetic and a linear program."""

import collections
import itertools
import os
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, sample
from fnequiv.equivalence.checking import compare
from fnequiv.equivalence.verdicts import Verdict, with_outputs
from fnequiv.symmetry import Axis, Block, SymmetrySpec

PAIRS = int(os.environ.get("FNEQUIV_PAIRS", "1000"))  # FNEQUIV_PAIRS=10000 pytest -s -k shares tests/equivalence
ACTIVATIONS = ["gelu", "tanh", "abs", "relu", "square", "identity", "prelu"]


def arrangements(params, spec):
    """Every permuted and flipped copy, by brute force on the shapes."""
    choices = []
    for block in spec.blocks:
        signs = itertools.product((1.0, -1.0), repeat=block.size) if block.signs else [(1.0,) * block.size]
        choices.append(list(itertools.product(itertools.permutations(range(block.size)), signs)))
    for moves in itertools.product(*choices):
        moved = {name: tensor.double().numpy().copy() for name, tensor in params.items()}
        for block, (order, signs) in zip(spec.blocks, moves, strict=True):
            for axis in block.axes:
                flipped = axis.role == "in" or (axis.role == "out" and not block.even)
                parts = np.split(moved[axis.tensor], block.size, axis=axis.axis)
                parts = [parts[unit] * (sign if flipped else 1.0) for unit, sign in zip(order, signs, strict=True)]
                moved[axis.tensor] = np.concatenate(parts, axis=axis.axis)
        yield moved


def equations(spec):
    """For every entry: its tensor and index, and by which power of each unit's scale it is multiplied."""
    first, size = {}, 0
    for block in spec.blocks:
        first[block.name], size = size, size + (block.size if block.scales else 0)
    for name, shape in spec.shapes.items():
        for index in np.ndindex(*shape):
            powers = [0] * size
            for axis, block in spec.places[name]:
                if block.scales and axis.role != "carry":
                    power = 1 if axis.role == "in" else -block.degree
                    powers[first[block.name] + index[axis.axis] // axis.repeat] += power
            yield name, index, powers


def consistent(rows):
    """Whether positive scales exist with Π λ^powers = ratio for all rows: elimination with exact fractions."""
    rows = [(list(powers), ratio) for powers, ratio in rows]
    while rows:
        powers, ratio = rows.pop()
        pivot = next((i for i, power in enumerate(powers) if power), None)
        if pivot is None:
            if ratio != 1:
                return False
            continue
        rest = []
        for others, value in rows:
            if factor := others[pivot]:
                own = powers[pivot]
                others = [own * x - factor * y for x, y in zip(others, powers, strict=True)]
                value = value**own / ratio**factor
            rest.append((others, value))
        rows = rest
    return True


def exactly_equivalent(a, b, spec):
    wanted = {name: tensor.double().numpy() for name, tensor in b.items()}
    entries = list(equations(spec))
    for moved in arrangements(a, spec):
        if any((np.sign(moved[name]) != np.sign(wanted[name])).any() for name in wanted):
            continue
        rows = {
            (*powers, Fraction(float(wanted[name][index])) / Fraction(float(moved[name][index])))
            for name, index, powers in entries
            if moved[name][index]
        }
        if consistent([(row[:-1], row[-1]) for row in rows]):
            return True
    return False


def equivalent_within(a, b, spec, tolerance):
    """Whether some g has |b - g·a| <= tolerance max |b|: a linear program in the logs of scales an arrangement."""
    wanted = {name: tensor.double().numpy() for name, tensor in b.items()}
    error = {name: tolerance * np.abs(array).max(initial=0.0) for name, array in wanted.items()}
    entries = list(equations(spec))
    for moved in arrangements(a, spec):
        upper, bounds = [], []
        for name, index, powers in entries:
            value, low, high = moved[name][index], wanted[name][index] - error[name], wanted[name][index] + error[name]
            if value < 0:
                value, low, high = -value, -high, -low
            if (value == 0 and not low <= 0 <= high) or (value > 0 and high <= 0):
                break
            if value > 0 and not any(powers) and not low <= value <= high:
                break
            if value > 0 and any(powers):
                upper.append(powers)
                bounds.append(np.log(high / value))
                if low > 0:
                    upper.append([-power for power in powers])
                    bounds.append(-np.log(low / value))
        else:
            if not upper or linprog([0] * len(upper[0]), A_ub=upper, b_ub=bounds, bounds=(None, None)).status == 0:
                return True
    return False


def check(verdict, a, b, spec, tolerance=0.0):
    """Hold a positive verdict to its witness, in the networks' own arithmetic or in float64."""
    if verdict.answer != "equivalent":
        assert verdict.witness is None
        return
    for dtype in (None, torch.float64):
        left, right = ({n: t.to(dtype or t.dtype) for n, t in p.items()} for p in (a, b))
        moved = apply(left, spec, verdict.witness)
        gaps = [float((moved[n].double() - right[n].double()).abs().max()) for n in moved]
        peaks = [float(right[n].double().abs().max()) for n in moved]
        if all(gap <= tolerance * peak for gap, peak in zip(gaps, peaks, strict=True)):
            return
    pytest.fail(f"the witness does not hold: {verdict}")


# --- against brute force --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_exact_verdicts_agree_with_brute_force_in_fractions(networks, flavours, activation):
    rng = np.random.default_rng(len(activation))
    answers = collections.Counter()
    for trial in range(40):
        widths = [(1, 2, 1), (2, 2, 1), (1, 2, 2, 1), (1, 1, 2, 1), (2, 3, 1)][trial % 5]
        spec = mlp.spec(widths, activation)
        a = networks(spec, trial, flavours[rng.integers(len(flavours))])
        b = apply(a, spec, sample(spec, rng, spread=1.0))
        for block in spec.blocks if trial % 2 else ():  # powers of two: rescaled without rounding
            for unit in range(block.size if block.scales else 0):
                scale = 2.0 ** rng.integers(-3, 4)
                for axis in block.axes:
                    power = {"in": 1, "out": -block.degree, "carry": 0}[axis.role]
                    b[axis.tensor].movedim(axis.axis, 0)[unit] *= scale**power
        if trial % 4 > 1:
            name = list(b)[rng.integers(len(b))]
            entries = b[name].view(-1)
            entries[rng.integers(len(entries))] *= (1 + 2.0**-20, 1 + 2.0**-52, -1.0, 0.0)[rng.integers(4)]
        verdict = compare(a, b, spec)
        check(verdict, a, b, spec)
        answers[verdict.answer] += 1
        if verdict.answer != "undecided":
            assert verdict.equivalent == exactly_equivalent(a, b, spec), (trial, str(verdict))
    assert answers["undecided"] <= 2, answers
    assert answers["equivalent"] >= 10
    assert answers["not equivalent"] >= 4


@pytest.mark.parametrize("tolerance", [1e-3, 0.05, 0.3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_verdicts_with_a_tolerance_agree_with_a_linear_program(networks, flavours, activation, tolerance):
    rng = np.random.default_rng([len(activation), int(1e9 * tolerance)])
    answers = collections.Counter()
    for trial in range(25):
        spec = mlp.spec([(1, 2, 1), (2, 2, 1), (1, 2, 2, 1)][trial % 3], activation)
        a = networks(spec, trial, flavours[rng.integers(len(flavours))])
        b = apply(a, spec, sample(spec, rng, spread=3.0))
        for tensor in b.values():  # about as far away as the tolerance allows
            reach = rng.choice([0.5, 1.0, 2.0]) * tolerance * float(tensor.abs().max())
            tensor += torch.from_numpy(rng.uniform(-1, 1, tuple(tensor.shape)) * reach)
        verdict = compare(a, b, spec, tolerance=tolerance)
        check(verdict, a, b, spec, tolerance)
        answers[verdict.answer] += 1
        if verdict.answer == "not equivalent":
            assert not equivalent_within(a, b, spec, tolerance * (1 - 1e-3)), (trial, str(verdict))
        if verdict.answer == "equivalent":
            assert equivalent_within(a, b, spec, tolerance * (1 + 1e-3)), (trial, str(verdict))
    assert answers["equivalent"] >= 3, answers


@pytest.mark.parametrize("share", [0.1, 0.6])
@pytest.mark.parametrize("widths", [(2, 3, 1), (20, 64, 64, 5), (4,) * 6 + (1,)])
@pytest.mark.parametrize("activation", ["relu", "square"])
def test_a_rescaled_copy_with_noise_below_the_tolerance_is_recognised(activation, widths, share):
    """The largest entry of a unit has noise as well: scales from it alone miss the tolerance that all entries meet."""
    spec, tolerance = mlp.spec(widths, activation), 1e-4
    for seed in range(3):
        rng = np.random.default_rng(seed)
        a = mlp.init(widths, torch.Generator().manual_seed(seed), dtype=torch.float64)
        b = apply(a, spec, sample(spec, rng, spread=4.0))
        for tensor in b.values():
            reach = share * tolerance * float(tensor.abs().max())
            tensor += torch.from_numpy(rng.uniform(-reach, reach, tuple(tensor.shape)))
        verdict = compare(a, b, spec, tolerance=tolerance)
        check(verdict, a, b, spec, tolerance)
        assert verdict.answer == "equivalent", str(verdict)


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu"])
def test_a_generous_tolerance_does_not_hide_a_close_copy(activation):
    """At a tolerance of 0.3 nearly all units of a wide network may be partners; at a part of it the right ones are."""
    widths = (200, 256, 256, 5)
    spec = mlp.spec(widths, activation)
    a = mlp.init(widths, torch.Generator().manual_seed(0))
    b = apply(a, spec, sample(spec, np.random.default_rng(0), spread=2.0))
    b = {
        name: tensor * (1 + 1e-4 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(1)))
        for name, tensor in b.items()
    }
    verdict = compare(a, b, spec, tolerance=0.3)
    check(verdict, a, b, spec, 0.3)
    assert verdict.answer == "equivalent", str(verdict)


# --- many pairs, with the truth known by construction ---------------------------------------------------------------


def test_many_pairs_and_the_shares_of_the_answers(pairs):
    exact, rounded = collections.Counter(), collections.Counter()
    for seed in range(PAIRS):
        pair = pairs(seed)
        tolerance = 1e-5 if next(iter(pair.a.values())).dtype == torch.float32 else 1e-12
        for counter, allowed in ((exact, 0.0), (rounded, tolerance)):
            verdict = compare(pair.a, pair.b, pair.spec, tolerance=allowed)
            check(verdict, pair.a, pair.b, pair.spec, allowed)
            counter[pair.kind, verdict.answer] += 1
            counter[verdict.answer] += 1
            if pair.kind == "copy":
                assert verdict.answer == "equivalent", (seed, str(verdict))
            if pair.truth is True:
                assert verdict.answer != "not equivalent", (seed, str(verdict))
            if pair.truth is False and allowed == 0:
                assert verdict.answer != "equivalent", (seed, str(verdict))
    for title, counter in (("every bit", exact), ("with a tolerance", rounded)):
        print(f"\n{title}, {PAIRS} pairs")
        for kind in sorted({key[0] for key in counter if isinstance(key, tuple)}):
            shares = {answer: counter[kind, answer] for answer in ("equivalent", "not equivalent", "undecided")}
            print(f"  {kind:24}", "  ".join(f"{name} {count:5}" for name, count in shares.items()))
    assert exact["undecided"] - exact["rescaled", "undecided"] <= 0.02 * PAIRS
    assert rounded["undecided"] <= 0.02 * PAIRS


def test_strongly_regular_graphs():
    rook, shrikhande = torch.zeros(16, 16), torch.zeros(16, 16)
    for (i, j), (k, m) in itertools.product(itertools.product(range(4), repeat=2), repeat=2):
        rook[4 * i + j, 4 * k + m] = (i == k) != (j == m)
        shrikhande[4 * i + j, 4 * k + m] = ((k - i) % 4, (m - j) % 4) in {
            (0, 1),
            (0, 3),
            (1, 0),
            (3, 0),
            (1, 1),
            (3, 3),
        }
    block = Block("state", 16, "permutation", (Axis("loop", 0, "in"), Axis("loop", 1, "out")))
    loop = SymmetrySpec((block,), {"loop": (16, 16)})
    assert compare({"loop": rook}, {"loop": shrikhande}, loop).answer == "not equivalent"
    assert compare({"loop": rook}, {"loop": shrikhande}, loop, tolerance=1e-3).answer == "not equivalent"
    for activation in ("gelu", "tanh", "relu"):
        nets = [layered(incidence(graph)) for graph in (rook, shrikhande)]
        spec = mlp.spec(nets[0], activation)
        assert compare(*nets, spec).answer == "not equivalent"
        for net in nets:
            copy = apply(net, spec, sample(spec, np.random.default_rng(0), spread=1.0))
            assert compare(net, copy, spec).answer == "equivalent"
        # Rows and columns apart, the two are one: both adjacency matrices are incidence matrices of one block design.
        nets = [layered(graph) for graph in (rook, shrikhande)]
        verdict = compare(*nets, mlp.spec(nets[0], activation))
        assert verdict.answer == "equivalent"
        check(verdict, *nets, mlp.spec(nets[0], activation))


def incidence(graph):
    """Edges by vertices: equivalent as a layer if and only if the graphs are isomorphic."""
    edges = torch.triu(graph).nonzero()
    return torch.zeros(len(edges), len(graph)).scatter_(1, edges, 1.0)


def layered(weight):
    rows, columns = weight.shape
    return {"0.weight": torch.ones(columns, 1), "2.weight": weight, "4.weight": torch.ones(1, rows)}


# --- particular cases -----------------------------------------------------------------------------------------------


def test_the_zoo(zoo_spec, networks, flavours):
    for seed, flavour in enumerate(flavours):
        a = networks(zoo_spec, seed, flavour)
        b = apply(a, zoo_spec, sample(zoo_spec, np.random.default_rng(seed), spread=1.0))
        verdict = compare(a, b, zoo_spec)
        assert verdict.answer == "equivalent"
        check(verdict, a, b, zoo_spec)
        b = apply(a, zoo_spec, sample(zoo_spec, np.random.default_rng(seed)))
        assert compare(a, b, zoo_spec).answer != "not equivalent"
        assert compare(a, b, zoo_spec, tolerance=1e-12).answer != "not equivalent"
        if flavour == "random":
            assert compare(a, b, zoo_spec, tolerance=1e-12).answer == "equivalent"
            other = networks(zoo_spec, seed + 50, flavour)
            if any(tensor.is_floating_point() for tensor in a.values()):
                assert compare(a, other, zoo_spec, tolerance=1e-3).answer == "not equivalent"


def test_ties_beyond_the_limit_are_undecided_and_prove_nothing(networks):
    for activation in ("gelu", "relu"):
        a = {
            "0.weight": torch.ones(6, 1),
            "2.weight": torch.eye(6) + torch.eye(6).roll(1, 0),
            "4.weight": torch.ones(1, 6),
        }
        spec = mlp.spec(a, activation)
        b = apply(a, spec, sample(spec, np.random.default_rng(0), spread=1.0))
        verdict = compare(a, b, spec, max_nodes=1)
        assert verdict.answer != "not equivalent"
        assert compare(a, b, spec).answer == "equivalent"


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e200, 1e-200, 1e-310])
def test_huge_and_tiny_weights(networks, scale):
    for activation in ("gelu", "relu", "square"):
        spec = mlp.spec((2, 4, 3, 2), activation)
        a = {name: tensor * (scale if name[0] == "2" else 1.0) for name, tensor in networks(spec, 0).items()}
        b = apply(a, spec, sample(spec.only(signs=True), np.random.default_rng(0)))
        assert compare(a, b, spec).answer == "equivalent"
        assert compare(a, b, spec, tolerance=1e-9).answer == "equivalent"
        b["0.weight"][0, 0] *= 1.5
        assert compare(a, b, spec).answer != "equivalent"


@pytest.mark.parametrize("tolerance", [0.0, 1e-9])
def test_units_that_hang_together_with_one_another_alone(networks, tolerance):
    spec = mlp.spec((1, 2, 2, 1), "relu", bias=False)
    a = networks(spec, 0)
    a["0.weight"], a["4.weight"] = torch.zeros_like(a["0.weight"]), torch.zeros_like(a["4.weight"])
    b = apply(a, spec, GroupElement({"layer1": Move([0, 1], scales=[2, 8]), "layer2": Move([1, 0], scales=[0.5, 4])}))
    assert exactly_equivalent(a, b, spec)
    assert compare(a, b, spec, tolerance=tolerance).answer != "not equivalent"


def test_rescaled_by_powers_of_two_is_exact(networks):
    spec = mlp.spec((3, 5, 4, 2), "relu")
    a = networks(spec, 0, dtype=torch.float32)
    b = {name: tensor.clone() for name, tensor in a.items()}
    b["0.weight"][2] *= 8
    b["0.bias"][2] *= 8
    b["2.weight"][:, 2] /= 8
    verdict = compare(a, b, spec)
    assert (verdict.answer, verdict.difference) == ("equivalent", 0.0)
    assert verdict.witness["layer1"].scales[2] == 8


def test_a_tensor_that_nothing_moves_has_to_agree(networks):
    inner = mlp.spec((2, 3, 1), "relu")
    spec = SymmetrySpec(inner.blocks, {**inner.shapes, "counter": (), "shift": (2,)})
    a = {**networks(inner, 0), "counter": torch.tensor(2**53), "shift": torch.zeros(2, dtype=torch.float64)}
    assert compare(a, a, spec).answer == "equivalent"
    verdict = compare(a, {**a, "counter": torch.tensor(2**53 + 1)}, spec, tolerance=0.1)
    assert verdict.answer == "not equivalent"
    assert "counter" in verdict.reason
    assert compare(a, {**a, "shift": torch.tensor([0.0, 1.0], dtype=torch.float64)}, spec).answer == "not equivalent"
    shifted = {**a, "shift": torch.tensor([1.0, 2.0], dtype=torch.float64)}
    verdict = compare(shifted, {**a, "shift": torch.tensor([1.1, 2.0], dtype=torch.float64)}, spec, tolerance=0.1)
    assert verdict.answer == "equivalent"
    assert verdict.difference == pytest.approx(0.05)


def test_half_precision_and_gradients(networks):
    for dtype in (torch.float16, torch.bfloat16):
        spec = mlp.spec((3, 6, 2), "tanh")
        a = networks(spec, 0, dtype=dtype)
        b = apply(a, spec, sample(spec, np.random.default_rng(0)))
        assert compare(a, b, spec).answer == "equivalent"
        spec = mlp.spec((3, 6, 2), "relu")
        a = {name: tensor.requires_grad_() for name, tensor in networks(spec, 0, dtype=dtype).items()}
        b = apply(a, spec, sample(spec, np.random.default_rng(0)))
        assert compare(a, b, spec, tolerance=0.02).answer == "equivalent"
        assert compare(a, b, spec).answer != "not equivalent"


def test_outputs_are_evidence(networks):
    spec = mlp.spec((2, 3, 1), "tanh")
    a = networks(spec, 0)
    b = {**a, "2.bias": a["2.bias"] + 0.5}

    def forward(params, inputs):
        return mlp.forward(params, inputs, "tanh")

    inputs = torch.linspace(-1, 1, 8, dtype=torch.float64).view(4, 2)
    verdict = compare(a, b, spec, forward=forward, inputs=inputs)
    assert verdict.answer == "not equivalent"
    assert verdict.outputs == pytest.approx(0.5)
    assert "differ by up to 0.5" in verdict.reason
    with pytest.raises(ValueError, match="go together"):
        compare(a, b, spec, forward=forward)
    with pytest.raises(ValueError, match="n >= 1"):
        compare(a, b, spec, forward=forward, inputs=inputs[:0])
    with pytest.raises(TypeError, match=r"torch\.Tensor"):
        compare(a, b, spec, forward=forward, inputs=[[1.0, 2.0]])


@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (lambda params, inputs: [1.0], TypeError, r"must return a torch\.Tensor"),
        (lambda params, inputs: inputs[:1], ValueError, r"one output for each of 3 inputs, got \(1, 2\)"),
        (lambda params, inputs: inputs.sum(), ValueError, r"one output for each of 3 inputs, got \(\)"),
        (lambda params, inputs: inputs[:, :0], ValueError, r"one output for each of 3 inputs, got \(3, 0\)"),
        (lambda params, inputs: inputs[:, : 1 + ("b" in params)], ValueError, r"shapes \(3, 1\) and \(3, 2\)"),
    ],
)
def test_functions_that_give_no_outputs_are_refused(forward, error, message):
    with pytest.raises(error, match=message):
        with_outputs(Verdict("undecided", ""), {}, {"b": torch.ones(1)}, forward, torch.ones(3, 2))


def test_a_verdict_is_no_truth_value(networks):
    spec = mlp.spec((1, 2, 1), "tanh")
    verdict = compare(networks(spec, 0), networks(spec, 0), spec)
    assert verdict.equivalent is True
    assert str(verdict).startswith("equivalent: ")
    with pytest.raises(TypeError, match="three answers"):
        bool(verdict)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"0.weight": torch.ones(3, 2)}, TypeError, r"network b: tensors mix"),
        (
            {"0.weight": torch.ones(2, 3, dtype=torch.float64)},
            ValueError,
            r"network b: tensor '0.weight' must have shape",
        ),
        ({"extra": torch.ones(1)}, ValueError, r"network b: .*unknown \['extra'\]"),
        (
            {"0.bias": torch.full((3,), torch.inf, dtype=torch.float64)},
            ValueError,
            r"network b: tensor '0.bias' holds NaN",
        ),
        ({"0.bias": b"cos\nsystem"}, TypeError, r"network b: tensor '0.bias' must be a dense torch.Tensor, got bytes"),
        ({"0.bias": torch.ones(3, dtype=torch.int64)}, TypeError, r"network b: tensor '0.bias' must be floating"),
    ],
)
def test_bad_networks_are_named(networks, change, error, message):
    spec = mlp.spec((2, 3, 1), "relu")
    a = networks(spec, 0)
    with pytest.raises(error, match=message):
        compare(a, {**a, **change}, spec)


def test_bad_arguments(networks):
    spec = mlp.spec((2, 3, 1), "relu")
    a = networks(spec, 0)
    for tolerance in (-1e-3, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="tolerance must be"):
            compare(a, a, spec, tolerance=tolerance)
    with pytest.raises(TypeError, match="tolerance must be"):
        compare(a, a, spec, tolerance="0")
    with pytest.raises(TypeError, match="SymmetrySpec"):
        compare(a, a, {"layer1": 3})
    with pytest.raises(ValueError, match="max_nodes must be >= 1"):
        compare(a, a, spec, max_nodes=0)
    half = {name: tensor.float() for name, tensor in a.items()}
    with pytest.raises(TypeError, match="convert one of them first"):
        compare(a, half, spec)
    with pytest.raises(TypeError, match="params must map names"):
        compare(b"\x80\x04N.", a, spec)
