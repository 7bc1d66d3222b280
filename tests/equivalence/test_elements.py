"""Elements as values: what a move holds and refuses, what belongs to a group, what cannot be changed."""

import copy
import pickle

import numpy as np
import pytest
import torch

from fnequiv.equivalence import mlp
from fnequiv.equivalence.elements import GroupElement, Move, check_element
from fnequiv.equivalence.group import identity, sample


def test_a_move_keeps_its_own_copy_and_cannot_be_changed():
    given_permutation = np.array([1, 0])
    move = Move(given_permutation)
    given_permutation[0] = 0
    assert move.permutation.tolist() == [1, 0]
    with pytest.raises(ValueError, match="read-only"):
        move.permutation[0] = 0


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_is_equal_and_just_as_frozen(again):
    g = again(sample(mlp.spec((2, 5, 4, 1), "identity"), np.random.default_rng(0)))
    assert g == sample(mlp.spec((2, 5, 4, 1), "identity"), np.random.default_rng(0))
    for values in (g["layer1"].permutation, g["layer2"].signs, g["layer2"].scales):
        assert not values.flags.writeable
    with pytest.raises(TypeError, match="item assignment"):
        g.moves["layer1"] = Move([0])


def test_elements_do_not_follow_the_dict_they_were_made_of():
    moves = {"b": Move([0, 1])}
    g = GroupElement(moves)
    moves["b"] = Move([1, 0])
    assert g["b"] == Move([0, 1])


@pytest.mark.parametrize("other", [Move([1, 0]), Move([0, 1], signs=[1, -1]), Move([0, 1], scales=[1, 2]), "a move"])
def test_moves_differ_if_one_part_does(other):
    assert Move([0, 1]) != other
    assert Move([0, 1]) == Move([0, 1], signs=[1, 1], scales=[1, 1])


def test_flips_and_rescales_say_what_a_move_does():
    moves = [Move([1, 0]), Move([0, 1], signs=[1, -1]), Move([0, 1], scales=[1, 0.5])]
    assert [(move.flips, move.rescales) for move in moves] == [(False, False), (True, False), (False, True)]


def test_a_copy_of_the_permutation_indexes_a_tensor_without_a_warning():
    assert torch.tensor([3.0, 4.0])[Move([1, 0]).permutation.copy()].tolist() == [4.0, 3.0]


SPEC = mlp.spec((2, 3, 1), "tanh")
ONE = identity(SPEC)
BAD = {
    "a repeated entry": (lambda: Move([0, 0, 1]), ValueError, "each of 0..2 once, got [0 0 1]"),
    "an entry out of range": (lambda: Move([0, 1, 3]), ValueError, "each of 0..2 once"),
    "no entry": (lambda: Move([]), ValueError, "at least one entry"),
    "fractions": (lambda: Move([0.0, 1.0]), TypeError, "must hold integers, got float64"),
    "a matrix": (lambda: Move(np.eye(2)), TypeError, "one-dimensional"),
    "a ragged list": (lambda: Move([[0], [0, 1]]), TypeError, "one-dimensional"),
    "a tensor with gradient": (lambda: Move(torch.ones(2, requires_grad=True)), TypeError, "one-dimensional"),
    "a sign of 0": (lambda: Move([0, 1], signs=[1, 0]), ValueError, "signs must be -1 or +1"),
    "a NaN sign": (lambda: Move([0, 1], signs=[1, np.nan]), ValueError, "signs must be -1 or +1"),
    "a scale of 0": (lambda: Move([0, 1], scales=[1, 0]), ValueError, "scales must be finite and > 0"),
    "a negative scale": (lambda: Move([0, 1], scales=[1, -2]), ValueError, "scales must be finite and > 0"),
    "an infinite scale": (lambda: Move([0, 1], scales=[1, np.inf]), ValueError, "scales must be finite and > 0"),
    "signs of another length": (lambda: Move([0, 1], signs=[1]), ValueError, "signs must have length 2"),
    "a list for a move": (lambda: GroupElement({"layer1": [1, 0]}), TypeError, "needs a Move"),
    "a list for the moves": (lambda: GroupElement([Move([0])]), TypeError, "moves must map names"),
    "a number for a name": (lambda: GroupElement({1: Move([0])}), TypeError, "got the name 1"),
    "the wrong order": (lambda: check_element(SPEC, ONE), TypeError, "the order is params, spec, element"),
    "moves without an element": (lambda: check_element(dict(ONE.moves), SPEC), TypeError, "as in GroupElement(moves)"),
    "a list for an element": (lambda: check_element([1, 0, 2], SPEC), TypeError, "expected a GroupElement"),
    "a name for a spec": (lambda: check_element(ONE, "relu"), TypeError, "expected a SymmetrySpec"),
    "other sizes": (lambda: check_element(ONE, mlp.spec((2, 4, 1), "tanh")), ValueError, "the element moves 3"),
    "other blocks": (
        lambda: check_element(ONE, mlp.spec((2, 3, 3, 1), "tanh")),
        ValueError,
        "the specification has ['layer1', 'layer2']",
    ),
    "a flip behind a ReLU": (
        lambda: check_element(GroupElement({"layer1": Move([0, 1, 2], signs=[1, -1, 1])}), mlp.spec((2, 3, 1), "relu")),
        ValueError,
        "cannot be flipped",
    ),
    "a scale behind a tanh": (
        lambda: check_element(GroupElement({"layer1": Move([0, 1, 2], scales=[1, 2, 1])}), SPEC),
        ValueError,
        "cannot be rescaled",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_rule_and_value(case, refuses):
    refuses(*BAD[case])
