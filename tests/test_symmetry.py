"""SymmetrySpec: group orders against enumeration, invariants at construction, and what it refuses."""

import copy
import itertools
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from fnequiv import activations
from fnequiv.symmetry import KINDS, Axis, Block, SymmetrySpec, kind_of


def two_layers(kind="permutation"):
    first = Block("layer1", 3, kind, (Axis("0.weight", 0, "in"), Axis("2.weight", 1, "out")))
    second = Block("layer2", 2, "permutation", (Axis("2.weight", 0, "in"), Axis("4.weight", 1, "out")))
    return SymmetrySpec((first, second), {"0.weight": (3, 4), "2.weight": (2, 3), "4.weight": (1, 2)})


@pytest.mark.parametrize(("kind", "signs"), [("permutation", 1), ("signed", 2), ("scaled", 1), ("signed_scaled", 2)])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_order_counts_the_discrete_elements_one_by_one(kind, signs, size):
    elements = set(itertools.product(itertools.permutations(range(size)), itertools.product(range(signs), repeat=size)))
    block = Block("b", size, kind, (Axis("w", 0, "in"),))
    assert block.order() == len(elements)
    assert block.log_order() == pytest.approx(math.log(len(elements)), abs=1e-12)


def test_log_order_agrees_with_the_exact_integer_for_wide_layers():
    blocks = tuple(Block(f"b{d}", d, "signed", (Axis(f"w{d}", 0, "in"),)) for d in (100, 512, 1000))
    spec = SymmetrySpec(blocks, {f"w{d}": (d,) for d in (100, 512, 1000)})
    exact = sum(math.log(i) for d in (100, 512, 1000) for i in range(1, d + 1)) + 1612 * math.log(2)
    assert spec.log_order() == pytest.approx(exact, rel=1e-13)
    assert spec.order().bit_length() == math.floor(exact / math.log(2)) + 1


def test_a_block_of_a_billion_units_has_a_finite_log_order():
    block = Block("wide", 10**9, "permutation", (Axis("w", 0, "in"),))
    assert block.log_order() == pytest.approx(10**9 * (math.log(10**9) - 1), rel=1e-8)


def test_only_keeps_permutations_and_what_it_is_asked_for():
    spec = two_layers("signed_scaled")
    assert [b.kind for b in spec.only().blocks] == ["permutation", "permutation"]
    assert [b.kind for b in spec.only(signs=True).blocks] == ["signed", "permutation"]
    assert [b.kind for b in spec.only(signs=True, scales=True).blocks] == ["signed_scaled", "permutation"]
    assert spec.only(scales=True).continuous_dimension() == 3
    assert spec.only().continuous_dimension() == 0
    assert spec.blocks[0].kind == "signed_scaled"


def test_behind_reads_the_kind_off_the_activation():
    axes = [Axis("w", 0, "in")]
    kinds = {name: Block.behind("b", 2, name, axes).kind for name in ("sigmoid", "tanh", "relu", "identity", "abs")}
    assert kinds == {
        "sigmoid": "permutation",
        "tanh": "signed",
        "relu": "scaled",
        "identity": "signed_scaled",
        "abs": "signed_scaled",
    }
    square = Block.behind("b", 2, "square", axes)
    assert (square.even, square.degree) == (True, 2)


def test_specs_are_values():
    assert two_layers() == two_layers()
    assert two_layers() != two_layers("signed")
    assert len({two_layers(), two_layers()}) == 1
    for again in (copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))):
        assert again(two_layers()) == two_layers()
        with pytest.raises(TypeError, match="item assignment"):
            again(two_layers()).shapes["0.weight"] = (9, 9)


def test_a_spec_does_not_follow_the_dict_it_was_made_of():
    shapes = {"w": (2,)}
    spec = SymmetrySpec((Block("b", 2, "signed", GOOD),), shapes)
    shapes["w"] = (3,)
    assert spec.shapes["w"] == (2,)


def test_places_name_every_tensor_and_its_axes():
    places = two_layers().places
    found = {name: [(axis.axis, axis.role, block.name) for axis, block in pairs] for name, pairs in places.items()}
    assert found == {
        "0.weight": [(0, "in", "layer1")],
        "2.weight": [(1, "out", "layer1"), (0, "in", "layer2")],
        "4.weight": [(1, "out", "layer2")],
    }
    assert SymmetrySpec((), {"counter": ()}).places == {"counter": ()}


def test_sizes_are_plain_integers_whatever_they_were():
    block = Block("b", np.int64(2), "signed", (Axis("w", np.int32(0), "in", repeat=np.int64(3)),))
    assert repr(block) == repr(Block("b", 2, "signed", (Axis("w", 0, "in", repeat=3),)))


def test_the_longest_axis_still_has_a_log_order():
    size = 2**63 - 1
    log_order = Block("b", size, "signed", GOOD).log_order()
    assert log_order == pytest.approx(size * (math.log(size) - 1 + math.log(2)), rel=1e-12)


def test_table_lists_every_block_and_the_total():
    lines = str(two_layers("signed")).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["layer1", "layer2"]
    assert "0.weight[0], 2.weight[1]" in lines[1]
    assert f"{math.log(48 * 2):.6g} nats" in lines[-1]


def test_kind_of_is_the_inverse_of_the_flags():
    for signs, scales in itertools.product((False, True), repeat=2):
        block = Block("b", 2, kind_of(signs=signs, scales=scales), (Axis("w", 0, "in"),))
        assert (block.signs, block.scales) == (signs, scales)


GOOD = (Axis("w", 0, "in"),)
BAD = {
    "a size of 0": (lambda: Block("b", 0, "permutation", GOOD), ValueError, "size of block 'b' must be >= 1, got 0"),
    "a fractional size": (lambda: Block("b", 2.5, "permutation", GOOD), TypeError, "must be an integer, got 2.5"),
    "an unknown kind": (lambda: Block("b", 2, "rotation", GOOD), ValueError, "got 'rotation'"),
    "an axis listed twice": (lambda: Block("b", 2, "signed", GOOD * 2), ValueError, "lists an axis twice"),
    "an unknown role": (lambda: Axis("w", 0, "sideways"), ValueError, "got 'sideways'"),
    "a size no axis has": (lambda: Block("b", 10**310, "signed", GOOD), ValueError, "must be <= 2**63 - 1"),
    "a block without a name": (lambda: Block(None, 2, "signed", GOOD), TypeError, "a block needs a name"),
    "a kind in a list": (lambda: Block("b", 2, ["signed"], GOOD), ValueError, "got ['signed']"),
    "a string of axes": (lambda: Block("b", 2, "signed", "w"), TypeError, "must be a tuple of Axis, got 'w'"),
    "no axes": (lambda: Block("b", 2, "signed", None), TypeError, "must be a tuple of Axis, got None"),
    "one axis": (lambda: Block("b", 2, "signed", GOOD[0]), TypeError, "must be a tuple of Axis, got Axis("),
    "a dict of axes": (lambda: Block("b", 2, "signed", {GOOD[0]: 1}), TypeError, "must be a tuple of Axis"),
    "an array for a kind": (lambda: Block("b", 2, np.array(KINDS), GOOD), ValueError, "kind must be one of"),
    "an array for a role": (lambda: Axis("w", 0, np.array(["in", "out"])), ValueError, "role must be one of"),
    "words for flags": (lambda: kind_of(signs="no", scales=False), TypeError, "signs must be True or False, got 'no'"),
    "a word for signs": (lambda: two_layers().only(signs="no"), TypeError, "signs must be True or False, got 'no'"),
    "None for scales": (lambda: two_layers().only(scales=None), TypeError, "scales must be True or False, got None"),
    "another number of slopes": (
        lambda: Block.behind("b", 3, activations.get("prelu", weight=[0.1, 0.2]), ()),
        ValueError,
        "prelu has 2 slopes, one a neuron, got a layer of width 3",
    ),
    "a factorial that nobody can write out": (
        lambda: Block("b", 2**62, "signed", ()).order(),
        ValueError,
        "must be <= 100000 for an exact order, got 4611686018427387904: use log_order()",
    ),
    "an order that nobody can write out": (
        lambda: SymmetrySpec((Block("b", 10**5 + 1, "signed", ()),), {}).order(),
        ValueError,
        "use log_order()",
    ),
    "an axis that no tensor has": (lambda: SymmetrySpec((), {"w": (2**63,)}), ValueError, "must be <= 2**63 - 1"),
    "even as a number": (
        lambda: Block("b", 2, "signed", GOOD, even=1),
        TypeError,
        "even of block 'b' must be True or False, got 1",
    ),
    "a negative degree": (lambda: Block("b", 2, "scaled", GOOD, degree=-1), ValueError, "must be >= 0, got -1"),
    "an axis without a tensor": (lambda: Axis(None, 0, "in"), TypeError, "the name of its tensor, a string, got None"),
    "no role": (lambda: Axis("w", 0, None), ValueError, "got None for tensor 'w'"),
    "no blocks": (lambda: SymmetrySpec(None, {}), TypeError, "must be a tuple of Block, got None"),
    "one block": (lambda: SymmetrySpec(Block("b", 2, "signed", ()), {}), TypeError, "must be a tuple of Block"),
    "blocks by name": (lambda: SymmetrySpec({"b": 2}, {}), TypeError, "must be a tuple of Block"),
    "no shapes": (lambda: SymmetrySpec((), None), TypeError, "must map the tensors' names to their shapes, got None"),
    "a number for a shape": (lambda: SymmetrySpec((), {"w": 3}), TypeError, "shape of 'w' must be a tuple"),
    "a fraction in a shape": (lambda: SymmetrySpec((), {"w": (2.5,)}), TypeError, "must be an integer, got 2.5"),
    "a number for a name": (lambda: SymmetrySpec((), {1: (3,)}), TypeError, "got the name 1"),
    "arrays for shapes": (
        lambda: two_layers().check_shapes({name: np.ones(shape) for name, shape in two_layers().shapes.items()}),
        TypeError,
        "got ndarray: pass tuple(tensor.shape)",
    ),
    "a list of shapes": (lambda: two_layers().check_shapes([(3, 4)]), TypeError, "must map the tensors' names"),
    "a negative axis": (lambda: Axis("w", -1, "in"), ValueError, "must be >= 0, got -1"),
    "a repeat of 0": (lambda: Axis("w", 0, "in", repeat=0), ValueError, "must be >= 1, got 0"),
    "a tensor without a shape": (
        lambda: SymmetrySpec((Block("b", 2, "signed", GOOD),), {}),
        ValueError,
        "'w', which has no shape",
    ),
    "a size that does not fit": (
        lambda: SymmetrySpec((Block("b", 2, "signed", GOOD),), {"w": (3,)}),
        ValueError,
        "2 x 1 entries on axis 0 of 'w', whose shape is (3,)",
    ),
    "an axis that is not there": (
        lambda: SymmetrySpec((Block("b", 2, "signed", (Axis("w", 1, "in"),)),), {"w": (2,)}),
        ValueError,
        "axis 1 of 'w'",
    ),
    "two blocks on one axis": (
        lambda: SymmetrySpec((Block("a", 2, "signed", GOOD), Block("b", 2, "signed", GOOD)), {"w": (2,)}),
        ValueError,
        "belongs to blocks 'a' and 'b'",
    ),
    "two blocks of one name": (
        lambda: SymmetrySpec((Block("a", 2, "signed", GOOD), Block("a", 2, "signed", ())), {"w": (2,)}),
        ValueError,
        "two blocks are named 'a'",
    ),
    "a block that is not there": (lambda: two_layers().block("layer9"), ValueError, "no block 'layer9'"),
    "a missing tensor": (lambda: two_layers().check_shapes({}), ValueError, "missing ['0.weight'"),
    "a tensor too many": (
        lambda: two_layers().check_shapes({**two_layers().shapes, "extra": (1,)}),
        ValueError,
        "unknown ['extra']",
    ),
    "a tensor of another shape": (
        lambda: two_layers().check_shapes({**two_layers().shapes, "0.weight": (3, 5)}),
        ValueError,
        "'0.weight' must have shape (3, 4), got (3, 5)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_rule_and_value(case, refuses):
    refuses(*BAD[case])


def test_import_needs_no_torch():
    code = "import sys, fnequiv, fnequiv.symmetry, fnequiv.activations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
