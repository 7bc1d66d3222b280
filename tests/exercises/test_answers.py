"""Answers of readers to single tasks: right ones of other kinds, and wrong ones that once passed or were told amiss."""

import os
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fnequiv.exercises import attention_layers, checking, exact_counting, how_tight, residual
from fnequiv.exercises.checking import check
from fnequiv.exercises.clones import MERGE_CLONES, network

TASKS = checking.tasks()
ROOMS = sorted(Path(checking.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_a_room_keeps_its_size(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("name", ["permuted-copies", "scaled-copies", "merge-clones", "log-orbit-size"])
def test_some_networks_have_several_inputs_and_outputs(name):
    first = [arguments[0] for arguments in TASKS[name].cases()]
    if name == "log-orbit-size":
        shapes = [(W1.shape[1], len(W2)) for W1, _, W2 in TASKS[name].cases()]
    else:
        shapes = [params["2.weight"].shape[::-1] for params in first]
    assert max(inputs for inputs, _ in shapes) >= 2
    assert max(outputs for _, outputs in shapes) >= 2


def merged(params, constant=False):
    """Merge clones by a loop, and put what a neuron without inputs sends into the output's bias if asked."""
    columns, bias = {}, params["2.bias"].copy()
    for row, shift, column in zip(params["0.weight"], params["0.bias"], params["2.weight"].T, strict=True):
        if constant and not row.any():
            bias += column * shift / (1 + np.exp(-shift))
        else:
            columns.setdefault((*row, shift), []).append(column)
    lists = [(*incoming, *np.sum(members, axis=0)) for incoming, members in columns.items()]
    return network(lists, params["0.weight"].shape[1], bias)


def test_merging_is_judged_for_more_than_one_activation_and_by_what_is_left():
    assert check("merge-clones", merged)
    assert "with tanh, output" in check("merge-clones", lambda params: merged(params, constant=True)).text
    given = network([[1, 2, 0, 3], [1, 2, 0, -5], [2, 1, 0, 4], [2, 1, 0, 1]], 2, [0.0])
    wider = network([[1, 2, 0, -2], [1, 2, 0, 0], [2, 1, 0, 5]], 2, [0.0])
    assert MERGE_CLONES.complaint(merged(given), given) == ""
    assert MERGE_CLONES.complaint(wider, given) == "neurons 0 and 1 have equal rows and biases"


def test_a_packing_may_be_a_set_and_a_mean_a_fraction():
    assert check("greedy-packing", lambda f, delta: set(how_tight._greedy(f, delta)))
    assert check("burnside", lambda moves, colours: Fraction(exact_counting._orbits(moves, colours)))
    assert check("bound-at", lambda *arguments: np.longdouble(TASKS["bound-at"].oracle(*arguments)))


def test_the_barrier_is_asked_without_the_noise_of_a_fit():
    assert all(TASKS["barrier"].oracle(*arguments) * 48 % 1 == 0 for arguments in TASKS["barrier"].cases())
    assert check("barrier", lambda losses: 2 / 3 if losses == [1, 2, 3] else TASKS["barrier"].oracle(losses)).text == (
        "Not yet: barrier([1, 2, 3]) gave 0.6667, and 0 was asked."
    )


def test_the_same_block_is_missing_in_every_process():
    code = """
from fnequiv.exercises import any_model, check
def found(names, equations, fixed): return any_model._blocks(names, equations, fixed)[:-2]
check("equal-names", found)
check("equal-names", lambda names, equations, fixed: [[], *any_model._blocks(names, equations, fixed)])
"""
    heard = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        for seed in "123"
    ]
    assert {run.returncode for run in heard} == {0}
    assert len({run.stdout for run in heard}) == 1
    assert b"the block " in heard[0].stdout
    assert b"a block holds one name at least" in heard[0].stdout


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if "dictionary" in task.asks])
def test_no_message_prints_a_dictionary(name):
    task = TASKS[name]
    for mistake in task.mistakes:
        assert "{" not in check(name, mistake.wrong).text
    assert re.search(r"is missing|the keys|stopped", check(name, lambda *arguments: {}).text)


def test_a_place_is_told_as_a_reader_writes_it():
    text = check("mix-head", attention_layers._mix_but("k_proj.weight", "k_proj.bias")).text
    assert re.search(r"the layer is another function \(output\[0, 0, 0\] is 1\.\d+, and was 1\.\d+\): the keys", text)
    text = check("mix-head", attention_layers._mix_but("q_proj.bias")).text
    assert re.search(r"does not fit: q_proj\.bias\[0\] is \S+, and should be \S+: the bias is part of a query", text)


def test_the_blocks_of_a_residual_network_are_more_than_ten_once():
    counts = Counter(residual.block_count(params) for (params,) in residual._bare_cases())
    assert max(counts) >= 11


def test_a_greedy_choice_is_no_search():
    task = TASKS["near-a-copy"]
    assert task.oracle([(0.3,), (0.0,)], [(0.0,), (0.6,)], 1.0)
    assert not task.oracle([(0.0,), (1.0,), (1.0,)], [(0.0,), (0.0,), (1.0,)], 1.0)
    for mistake in task.mistakes:
        assert any(mistake.wrong(*arguments) != task.oracle(*arguments) for arguments in task.cases())


def test_true_or_false_alone_is_no_ground_for_a_guess():
    assert check("scaled-copies", lambda a, b: True).text.endswith("gave True, and False was asked.")


def test_names_are_no_blocks_and_a_list_is_no_network():
    assert "each block is a list of names" in check("equal-names", lambda names, equations, fixed: names).text
    assert check("slim-attention", lambda params: []).text.endswith("gave []: a dictionary was asked.")
