"""The benchmarks run in small, and what they call true is true: their oracles meet networks that anybody can check."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import apply, sample
from fnequiv.equivalence.checking import compare
from fnequiv.equivalence.group import identity

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_smoke_sizes_run_and_absent_peers_are_named():
    environment = {name: value for name, value in os.environ.items() if name != "GIT_RE_BASIN_PYTORCH"}
    names = ["recovery", "deciding", "verdicts", "barrier", "resnet18", "teacher"]
    command = [sys.executable, "-m", "benchmarks", "--smoke", *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("absent: git-re-basin-pytorch (clone ") == 4
    assert ", 0 wrong" in done.stdout
    assert "30 runs a row" in done.stdout


@pytest.mark.parametrize("kind", ["permutation", "signed", "scaled"])
def test_the_modules_compute_the_planted_networks(kind):
    from benchmarks._planted import perceptron, plant, residual

    for architecture in (perceptron((3, 5, 5, 2), kind), residual(2, 4, 3, kind)):
        pair = plant(architecture, 0)
        module, x = (
            architecture.module(),
            torch.randn(7, architecture.inputs, generator=torch.Generator().manual_seed(1)),
        )
        outputs = []
        for params in (pair.a, pair.b, pair.permuted()):
            module.load_state_dict(params)
            outputs.append(module(x))
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(outputs[2], outputs[0], rtol=1e-4, atol=1e-5)
        assert architecture.module().state_dict().keys() == architecture.spec.shapes.keys()
        assert all(
            new is not old for new, old in zip(architecture.module().parameters(), module.parameters(), strict=True)
        )


def test_plain_weight_matching_reaches_a_local_optimum():
    from benchmarks._peers import weight_matching

    spec = mlp.spec((3, 4, 4, 2), "gelu")
    a, b = (mlp.init((3, 4, 4, 2), torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (0, 1))
    moved = weight_matching(a, b, spec)

    def distance(params):
        return sum(float((b[name] - params[name]).square().sum()) for name in b)

    assert distance(moved) < distance(a)
    for order in itertools.permutations(range(4)):  # no other order of one layer alone is nearer
        order = list(order)
        first = moved | {
            "0.weight": moved["0.weight"][order],
            "0.bias": moved["0.bias"][order],
            "2.weight": moved["2.weight"][:, order],
        }
        second = moved | {
            "2.weight": moved["2.weight"][order],
            "2.bias": moved["2.bias"][order],
            "4.weight": moved["4.weight"][:, order],
        }
        assert min(distance(first), distance(second)) >= distance(moved) - 1e-6


@pytest.mark.parametrize("activation", ["gelu", "tanh", "relu", "square", "abs", "identity"])
def test_the_invariants_hold_on_an_orbit_and_see_a_changed_weight(activation):
    from benchmarks._truth import arrays, differ

    spec = mlp.spec((2, 3, 3, 1), activation)
    degree = spec.blocks[0].degree
    a = mlp.init((2, 3, 3, 1), torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = sample(spec, np.random.default_rng(0), spread=1.0)
    b = apply(a, spec, exact)
    scaled = bool(spec.continuous_dimension())
    assert not differ(arrays(a), arrays(b), degree, scaled=scaled, tolerance=0)
    rounded = apply(a, spec, sample(spec, np.random.default_rng(0), spread=4.0))
    assert not differ(arrays(a), arrays(rounded), degree, scaled=scaled, tolerance=1e-12)
    for name, tensor in b.items():
        other = b | {name: tensor.clone()}
        other[name].view(-1)[0] *= 1 + 1e-12
        assert differ(arrays(a), arrays(other), degree, scaled=scaled, tolerance=0)
        assert not differ(arrays(a), arrays(other), degree, scaled=scaled, tolerance=1e-9)
        other[name].view(-1)[0] *= 1.1
        assert differ(arrays(a), arrays(other), degree, scaled=scaled, tolerance=1e-9)


def test_the_two_strongly_regular_graphs_are_two():
    from benchmarks.verdicts import rook, shrikhande

    for graph in (rook(), shrikhande()):
        assert (graph == graph.T).all()
        assert (graph @ graph == 6 * np.eye(16) + 2 * graph + 2 * (1 - np.eye(16) - graph)).all()
    cliques = [
        sum(
            all(graph[i, j] for i, j in itertools.combinations(four, 2))
            for four in itertools.combinations(range(16), 4)
        )
        for graph in (rook(), shrikhande())
    ]
    assert cliques == [8, 0]


def test_a_wrong_answer_and_a_false_witness_are_counted():
    from benchmarks.verdicts import Case, wrong

    spec = mlp.spec((2, 3, 1), "tanh")
    a = mlp.init((2, 3, 1), torch.Generator().manual_seed(0), dtype=torch.float64)
    b = apply(a, spec, sample(spec, np.random.default_rng(0)))
    case = Case(a, b, spec, 0.0, True)
    right = compare(a, b, spec)
    assert not wrong(case, right)
    assert wrong(replace(case, truth=False), right)
    assert wrong(case, replace(right, answer="not equivalent", witness=None))
    assert wrong(case, replace(right, witness=identity(spec)))
    assert not wrong(case, replace(right, answer="undecided", witness=None))


def test_every_kind_of_pair_is_drawn_and_its_truth_mostly_known():
    from benchmarks.verdicts import CHANGES, TEXTURES, draw

    rng = np.random.default_rng(0)
    known = {}
    for change, texture in itertools.product(CHANGES, TEXTURES):
        truths = [draw(texture, change, rng).truth for _ in range(6)]
        known[change, texture] = sum(truth is not None for truth in truths)
        if change in ("equivalent", "scaled", "scaled, rounded"):
            assert truths == [True] * 6
    assert all(known[change, "random"] >= 5 for change in CHANGES)


def test_the_barrier_of_a_straight_line_is_zero():
    from benchmarks.barrier import barrier, digits, outputs

    (_, _), data = digits()
    a = mlp.init((64, 8, 8, 10), torch.Generator().manual_seed(0))
    b = mlp.init((64, 8, 8, 10), torch.Generator().manual_seed(1))
    assert barrier(a, a, "tanh", data) == pytest.approx(0, abs=1e-6)
    assert barrier(a, b, "tanh", data) >= 0
    hidden = outputs(a, "tanh", data[0])
    last = torch.nn.functional.linear(hidden["layer2"], a["4.weight"], a["4.bias"])
    torch.testing.assert_close(last, mlp.forward(a, data[0], "tanh"))


def test_scores_judge_the_middle_on_digits_that_are_neither_learned_nor_measured(monkeypatch):
    from benchmarks import barrier
    from benchmarks._planted import perceptron

    halves = barrier.digits(1)
    assert not torch.equal(halves[0][0], barrier.digits(0)[0][0])
    a, b = (mlp.init((64, 4, 4, 10), torch.Generator().manual_seed(seed)) for seed in (0, 1))
    seen = {"judged": [], "measured": []}
    losses, height = barrier.middle_losses, barrier.barrier

    def judge(moved, b, activation, data):
        seen["judged"].append(data[0])
        found = losses(moved, b, activation, data)
        middle = {name: 0.5 * moved[name] + 0.5 * b[name] for name in b}
        torch.testing.assert_close(
            found.mean(), torch.nn.functional.cross_entropy(mlp.forward(middle, data[0], "tanh"), data[1])
        )
        return found

    def measure(a, b, activation, data):
        seen["measured"].append(data[0])
        return height(a, b, activation, data)

    monkeypatch.setattr(barrier, "middle_losses", judge)
    monkeypatch.setattr(barrier, "barrier", measure)
    found = barrier.barriers(perceptron((64, 4, 4, 10), "signed"), "tanh", a, b, halves)
    assert {"weights alone", "least score", "tested score", "plain"} <= set(found)
    rows = {name: {tuple(row) for data in parts for row in data.tolist()} for name, parts in seen.items()}
    learned = {tuple(row) for row in halves[0][0].tolist()}
    assert len(seen["judged"]) == 2 * (barrier.STARTS + 1)
    assert not rows["judged"] & (rows["measured"] | learned)
    assert not rows["measured"] & learned
    assert len(rows["judged"]) + len(rows["measured"]) == len({tuple(row) for row in halves[1][0].tolist()})


def test_the_flat_permutations_of_a_resnet_are_those_of_the_nested_blocks():
    from benchmarks.resnet18 import architectures
    from fnequiv.architectures.specs import ResNet

    found = architectures(smoke=True)
    flat, nested = found["channels"], found["nested"]
    assert flat.spec.log_order() == pytest.approx(nested.spec.log_order(), rel=1e-14)
    network = ResNet((4, 6), (2, 1), 3, 5).double().eval()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in flat.draw(0).items()}
    for architecture in found.values():
        b = apply(a, architecture.spec, sample(architecture.spec, np.random.default_rng(1)))
        assert sum(not torch.equal(a[name], b[name]) for name in a) > len(a) / 2
        outputs = [torch.func.functional_call(network, theta, (x,)) for theta in (a, b)]
        torch.testing.assert_close(*outputs, rtol=1e-11, atol=1e-12)


def test_runs_of_several_units_are_no_flat_permutation():
    from benchmarks.resnet18 import permutations
    from fnequiv.architectures.specs import resnet

    with pytest.raises(ValueError, match="runs of several units"):
        permutations(resnet((4, 6), (1, 1), 3, 5, bottleneck=True, groups=2))


def test_a_false_witness_recovers_nothing(monkeypatch):
    from benchmarks import recovery
    from benchmarks._planted import perceptron, plant

    pair = plant(perceptron((3, 5, 5, 2), "permutation"), 0)
    assert recovery.by_compare(pair)()
    verdict = compare(pair.a, pair.b, pair.architecture.spec)
    false = replace(verdict, witness=identity(pair.architecture.spec))
    monkeypatch.setattr(recovery, "compare", lambda *args, **kwargs: false)
    assert not recovery.by_compare(pair)()


def test_the_exponent_of_a_line_is_one():
    from benchmarks.deciding import exponent

    rows = [{"parameters": n, "seconds": 3e-9 * n} for n in (1e4, 1e6, 1e7, 1e8)]
    assert exponent(rows) == pytest.approx(1)
