"""Canonical forms, verdicts and alignment of cells and nested blocks, against orbits that are written out in full."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from fnequiv.equivalence import mlp
from fnequiv.equivalence.actions import GroupElement, Move, apply, invert, sample
from fnequiv.equivalence.alignment import align, align_activations
from fnequiv.equivalence.canonical import canonicalize, fingerprint, label, sort_biases
from fnequiv.equivalence.checking import compare
from fnequiv.equivalence.elements import check_element
from fnequiv.equivalence.hierarchy import Step, clusters
from fnequiv.equivalence.memberships import gathered, lift, lifted, memberships
from fnequiv.equivalence.twinning import numbered_twins
from fnequiv.equivalence.unfolding import unfold
from fnequiv.symmetry import Axis, Block, Cell, SymmetrySpec


def heads(kind="permutation", units=2, mixing=0):
    """Two heads of ``units`` dimensions; a score ignores the order of dimensions, and an output that of heads."""
    d = 2 * units
    axes = (Axis("q", 0, "in"), Axis("k", 0, "out"))
    blocks = (
        Block("heads", 2, "permutation", ()),
        Block("qk", d, kind, axes, within="heads", groups=2, mixing=mixing),
        Block("v", d, kind, (Axis("v", 0, "in"), Axis("o", 1, "out")), within="heads", groups=2, mixing=mixing),
    )
    return SymmetrySpec(blocks, {"q": (d, 2), "k": (d, 2), "v": (d, 2), "o": (2, d)})


def tied(kind="signed", units=3):
    """A linear layer, BatchNorm's weight, and a linear layer: one permutation, two kinds of signs."""
    gamma = Cell("gamma", shape=(units, 1, 1), diagonal=True)
    before = (Axis("w", 0, "in"), Axis("mean", 0, "in"), Axis("var", 0, "carry"), Axis(gamma.name, 1, "out"))
    after = (Axis(gamma.name, 0, "in"), Axis("beta", 0, "in"), Axis("v", 1, "out"))
    blocks = (Block("conv", units, kind, before), Block("norm", units, kind, after, within="conv", groups=units))
    shapes = dict.fromkeys(("mean", "var", "gamma", "beta"), (units,))
    return SymmetrySpec(blocks, {**shapes, "w": (units, 1), "v": (1, units)}, (gamma,))


def grouped(kind="permutation", groups=2, before=2, after=2, outer=1):
    """Groups of so many channels before and after a grouped convolution."""
    cell = Cell("middle", shape=(groups, after, before), diagonal=True)
    axes_before = (Axis("first", 0, "in"), Axis(cell.name, 1, "out"))
    axes_after = (Axis(cell.name, 0, "in"), Axis("last", 1, "out"))
    blocks = (
        Block("groups", groups, "permutation", ()),
        Block("before", groups * before, "permutation", axes_before, within="groups", groups=groups),
        Block("after", groups * after, kind, axes_after, within="groups", groups=groups),
    )
    shapes = {"first": (groups * before, outer), "middle": (groups * after, before), "last": (outer, groups * after)}
    return SymmetrySpec(blocks, shapes, (cell,))


def queries(kind="permutation", groups=2, heads=2, units=2, outer=1):
    """Grouped queries: groups of query heads, which share their keys and so the dimensions of these."""
    cell = Cell("q", shape=(groups, heads, units, outer), diagonal=True)
    own = (Axis(cell.name, 0, "carry"), Axis("o", 1, "out"))
    shared = (Axis(cell.name, 1, "in"), Axis("k", 0, "out"))
    blocks = (
        Block("groups", groups, "permutation", ()),
        Block("heads", groups * heads, "permutation", own, within="groups", groups=groups),
        Block("qk", groups * units, kind, shared, within="groups", groups=groups),
    )
    shapes = {"q": (groups * heads * units, outer), "k": (groups * units, outer), "o": (outer, groups * heads)}
    return SymmetrySpec(blocks, shapes, (cell,))


def levels(kind="permutation", outer=1):
    """Two groups of two heads of two dimensions: blocks three deep."""
    blocks = (
        Block("groups", 2, "permutation", ()),
        Block("heads", 4, "permutation", (Axis("slope", 0, "carry"),), within="groups", groups=2),
        Block("v", 8, kind, (Axis("v", 0, "in"), Axis("o", 1, "out")), within="heads", groups=4),
    )
    return SymmetrySpec(blocks, {"slope": (4,), "v": (8, outer), "o": (outer, 8)})


def chained(units=2):
    """Three blocks one behind the other, joined by two diagonals, with numbers of their own on each side."""
    cells = [Cell(name, shape=(units, 1, 1), diagonal=True) for name in ("first", "second")]
    first, second = (cell.name for cell in cells)
    axes = (
        (Axis("own0", 0, "in"), Axis(first, 1, "out")),
        (Axis("own1", 0, "in"), Axis(first, 0, "in"), Axis(second, 1, "out")),
        (Axis("own2", 0, "in"), Axis(second, 0, "in")),
    )
    nested = ({}, *[{"within": "block0", "groups": units}] * 2)
    blocks = tuple(Block(f"block{n}", units, "signed", axes[n], **nested[n]) for n in range(3))
    return SymmetrySpec(blocks, dict.fromkeys(("own0", "own1", "own2", "first", "second"), (units,)), tuple(cells))


TINY = {
    "heads": heads(),
    "signed heads": replace(heads("signed"), blocks=(*heads("signed").blocks[:2], heads().blocks[2])),
    "tied": tied(),
    "grouped": grouped("signed"),
    "queries": queries("signed"),
    "levels": levels(),
}


@pytest.fixture(params=TINY)
def spec(request):
    return TINY[request.param]


def written_out(params, spec):
    """The tensors with diagonal cells as full matrices, entry by entry."""
    full = {name: tensor.numpy() for name, tensor in params.items()}
    for cell in spec.cells:
        g, m, n, *rest = cell.shape
        compact, matrix = full.pop(cell.tensor).reshape(cell.shape), np.zeros((g * m, g * n, *rest))
        for block, row, column in itertools.product(range(g), range(m), range(n)):
            matrix[block * m + row, block * n + column] = compact[block, row, column]
        full[cell.name] = matrix
    return full


def elements(spec):
    """Every element: parents' permutations first, then those of runs, then signs."""
    found = [{}]
    for block in spec.blocks:
        run = block.size // block.groups
        grown = []
        for element in found:
            outer = element[block.within][0] if block.within else [0]
            inner = itertools.product(itertools.permutations(range(run)), repeat=len(outer))
            signs = list(itertools.product((1, -1), repeat=block.size)) if block.signs else [(1,) * block.size]
            for choice in inner:
                order = [g * run + unit for g, own in zip(outer, choice, strict=True) for unit in own]
                grown += [{**element, block.name: (order, np.array(sign))} for sign in signs]
        found = grown
    return found


def key(full):
    return b"".join((full[name] + 0.0).tobytes() for name in sorted(full))


def acted(full, spec, element):
    moved = dict(full)
    for block in spec.blocks:
        order, signs = element[block.name]
        for axis in block.axes:
            factor = signs if axis.role != "carry" else np.ones(block.size)
            array = np.take(moved[axis.tensor], order, axis=axis.axis)
            shape = [-1 if dim == axis.axis else 1 for dim in range(array.ndim)]
            moved[axis.tensor] = array * factor.reshape(shape)
    return moved


def orbit(params, spec, group):
    full = written_out(params, spec)
    return {key(acted(full, spec, element)) for element in group}


LEVELS = [(-1, 0, 1), (-1, 1), (0, 1), (0, 0, 0, -1), (1,)]  # the later ones leave copies and dead units


def random(spec, generator, levels=(-1, 0, 1)):
    return {n: torch.from_numpy(generator.choice(np.array(levels, float), size)) for n, size in spec.shapes.items()}


def changed(params, generator):
    """A copy with one entry changed, or two exchanged."""
    copy = {name: tensor.clone() for name, tensor in params.items()}
    flat = copy[generator.choice(list(copy))].view(-1)
    i, j = generator.integers(len(flat), size=2)
    if generator.random() < 0.5:
        flat[[i, j]] = flat[[j, i]]
    else:
        flat[i] = 1 - flat[i].abs()
    return copy


LARGER = {
    "heads": heads("signed_scaled", 6),
    "tied": tied("signed_scaled", 12),
    "grouped": grouped("scaled", 4, 3, 5, outer=6),
    "queries": queries("signed_scaled", 3, 4, 4, outer=6),
    "levels": levels("signed", outer=5),
}


@pytest.fixture(params=LARGER)
def larger(request):
    return LARGER[request.param]


def normal(spec, generator):
    return {name: torch.from_numpy(generator.normal(size=shape)) for name, shape in spec.shapes.items()}


def halves_alike(tensor):
    """Every even axis twice its first half: groups, heads and units with copies."""
    for dim, size in enumerate(tensor.shape):
        if size % 2 == 0:
            tensor = torch.cat([tensor.narrow(dim, 0, size // 2)] * 2, dim)
    return tensor


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_verdicts_and_canonical_forms_agree_with_orbits_written_out(spec):
    group = elements(spec)
    assert len(group) == spec.order()
    generator, answers = np.random.default_rng(0), []
    for _ in range(20):
        a = random(spec, generator, levels=LEVELS[generator.integers(len(LEVELS))])
        reached, form = orbit(a, spec, group), canonicalize(a, spec)
        assert key(written_out(form, spec)) in reached
        for copy in (True, True, True, True, False):
            b = apply(a, spec, sample(spec, generator)) if copy else random(spec, generator)
            if generator.random() < 0.6:
                b = changed(b, generator)
            truth = key(written_out(b, spec)) in reached
            verdict = compare(a, b, spec)
            assert verdict.equivalent is truth, verdict
            assert equal(form, canonicalize(b, spec)) is truth
            if truth:
                assert equal(apply(a, spec, verdict.witness), b)  # refuses what is not of the group
            answers.append(truth)
    assert len(answers) == 100
    assert 20 < sum(answers) < 95


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entries", ["random", "few values", "all equal", "all zero", "runs alike"])
def test_canonical_forms_are_one_bit_for_bit_under_permutations_and_flips(larger, entries, seed):
    spec, generator = larger.only(signs=True), np.random.default_rng(seed)
    theta = normal(spec, generator)
    if entries == "runs alike":
        theta = {name: halves_alike(tensor) for name, tensor in theta.items()}
    elif entries != "random":
        some = {"few values": (-1, 0, 1), "all equal": (1,), "all zero": (0,)}[entries]
        theta = random(spec, generator, some)
    moved = apply(theta, spec, sample(spec, generator))
    found = label(moved, spec)
    check_element(found.element, spec)
    assert all(equal(apply(moved, spec, each), moved) for each in found.automorphisms)
    assert equal(canonicalize(moved, spec), canonicalize(theta, spec))
    assert fingerprint(moved, spec) == fingerprint(theta, spec)
    assert equal(apply(theta, spec, compare(theta, moved, spec).witness), moved)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entries", ["random", "few values", "all equal", "runs alike"])
def test_rescaled_copies_are_found_with_a_witness_of_the_group(larger, entries, seed):
    generator = np.random.default_rng(seed)
    theta = normal(larger, generator)
    if entries == "runs alike":
        theta = {name: halves_alike(tensor) for name, tensor in theta.items()}
    elif entries != "random":
        theta = random(larger, generator, {"few values": (-1, 0, 1), "all equal": (1,)}[entries])
    moved = apply(theta, larger, sample(larger, generator))
    verdict = compare(theta, moved, larger, tolerance=1e-12)
    assert verdict.answer == "equivalent", verdict
    check_element(verdict.witness, larger)
    first, second = canonicalize(theta, larger), canonicalize(moved, larger)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-12, atol=1e-12)


def test_one_changed_entry_is_seen(larger):
    generator = np.random.default_rng(0)
    theta = normal(larger, generator)
    for name in theta:
        other = apply(theta, larger, sample(larger, generator))
        other[name].view(-1)[-1] *= 1 + 1e-6
        verdict = compare(theta, other, larger, tolerance=1e-10)
        assert verdict.answer == "not equivalent", verdict


class Attention(nn.Module):
    """Two heads of three dimensions."""

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attend(x, x, x, need_weights=False)[0]


@pytest.fixture
def attention():
    torch.manual_seed(0)
    net, x = Attention().double(), torch.randn(4, 5, 6, dtype=torch.float64)
    theta = {name: torch.randn_like(tensor) for name, tensor in net.state_dict().items()}
    weight, bias = (
        [Cell(f"attend.in_proj_{n}", box=((6 * i, 6 * i + 6), *rest)) for i in range(3)]
        for n, rest in (("weight", [(0, 6)]), ("bias", []))
    )
    qk = tuple(Axis(cell.name, 0, role) for i, role in ((0, "in"), (1, "out")) for cell in (weight[i], bias[i]))
    v = (Axis(weight[2].name, 0, "in"), Axis(bias[2].name, 0, "in"), Axis("attend.out_proj.weight", 1, "out"))
    blocks = (
        Block("heads", 2, "permutation", ()),
        Block("qk", 6, "signed_scaled", qk, within="heads", groups=2, mixing=12),
        Block("v", 6, "signed_scaled", v, within="heads", groups=2, mixing=12),
    )
    shapes = {name: tuple(tensor.shape) for name, tensor in theta.items()}
    spec = SymmetrySpec(blocks, shapes, (*weight, *bias))
    return lambda params: functional_call(net, params, (x,)).detach(), theta, spec


def exchanged(theta, rows):
    """Exchange rows of the queries and, alike, of the keys."""
    order = np.arange(18)
    for start in (0, 6):
        order[[start + row for row in rows]] = order[[start + row for row in reversed(rows)]]
    return {name: tensor[order] if "in_proj" in name else tensor for name, tensor in theta.items()}


def test_dimensions_may_change_places_in_a_head_and_not_across_heads(attention):
    f, theta, spec = attention
    within, across = exchanged(theta, [0, 2]), exchanged(theta, [0, 3])
    assert (f(within) - f(theta)).abs().max() <= 1e-12 * f(theta).abs().max()
    assert (f(across) - f(theta)).abs().max() > 1e-2 * f(theta).abs().max()
    for smaller, tolerance in ((spec.only(), 0), (spec.only(signs=True), 0), (spec, 1e-10)):
        assert compare(theta, within, smaller, tolerance=tolerance).answer == "equivalent"
        verdict = compare(theta, across, smaller, tolerance=tolerance)
        assert verdict.answer == "not equivalent"
    flat = replace(spec, blocks=tuple(replace(b, within=None, groups=1, mixing=0) for b in spec.blocks))
    assert compare(theta, across, flat).answer == "equivalent"  # the runs are what forbids it


def test_a_mixing_of_a_head_is_one_function_and_the_verdict_says_what_it_left_out(attention):
    f, theta, spec = attention
    mixing = torch.eye(6, dtype=torch.float64)
    mixing[:3, :3] += 0.3 * torch.randn(3, 3, dtype=torch.float64)
    mixed = {name: tensor.clone() for name, tensor in theta.items()}
    for name in ("attend.in_proj_weight", "attend.in_proj_bias"):
        mixed[name][:6] = mixing @ theta[name][:6]
        mixed[name][6:12] = torch.linalg.inv(mixing).T @ theta[name][6:12]
    assert (f(mixed) - f(theta)).abs().max() <= 1e-10 * f(theta).abs().max()
    verdict = compare(theta, mixed, spec, tolerance=1e-8)
    assert verdict.answer == "not equivalent"
    assert verdict.reason.endswith("a mixing of the units of qk, v was not looked for)")
    assert "mixing" not in compare(theta, mixed, spec.only(), tolerance=1e-8).reason  # nor is it in that group


@pytest.mark.parametrize("tolerance", [0.3, 0.6, 1.5])
def test_a_generous_tolerance_tears_no_run(spec, tolerance):
    generator = np.random.default_rng(0)
    for _ in range(10):
        a, b = normal(spec, generator), normal(spec, generator)
        verdict = compare(a, b, spec, tolerance=tolerance)
        if verdict.witness is not None:
            moved = apply(a, spec, verdict.witness)
            assert all((moved[n] - b[n]).abs().max() <= tolerance * b[n].abs().max() for n in b)


def test_dead_channels_behind_a_norm_need_no_search():
    spec, generator = tied("signed", 40), np.random.default_rng(0)
    theta = normal(spec, generator)
    for tensor in theta.values():
        tensor.view(-1)[5:25] = 0
    moved = apply(theta, spec, sample(spec, generator))
    found = label(moved, spec)
    assert found.refinements <= 3
    assert [len(group) for group in found.twins["conv"]] == [20]
    assert found.twins["conv"] == found.twins["norm"]
    assert equal(apply(theta, spec, compare(theta, moved, spec).witness), moved)


@pytest.mark.parametrize("seed", range(40))
def test_twins_are_the_places_whose_exchange_changes_nothing(seed):
    spec, generator = tied("signed", 4), np.random.default_rng(seed)
    theta = random(spec, generator, LEVELS[generator.integers(len(LEVELS))])
    group = elements(tied("signed", 2))  # of two places

    def exchangeable(i, j):
        pair = {
            name: tensor.view(-1)[[i, j]].view([2 if s == 4 else s for s in tensor.shape])
            for name, tensor in theta.items()
        }
        full, swaps = written_out(pair, tied("signed", 2)), 0
        for element in (each for each in group if each["conv"][0] == [1, 0]):
            swaps += key(full) in orbit(pair, tied("signed", 2), [element])
        return swaps > 0

    flat = lifted(spec)
    _, _, twins = numbered_twins({name: t.numpy() for name, t in lift(theta, spec).items()}, flat)
    together = {(i, j) for group in twins.get("conv", []) for i, j in itertools.combinations(sorted(group.tolist()), 2)}
    wanted = {(i, j) for i, j in itertools.combinations(range(4), 2) if exchangeable(i, j)}
    assert together == wanted


@pytest.mark.parametrize("seed", range(5))
def test_align_finds_planted_elements_under_noise(larger, seed):
    generator = np.random.default_rng(seed)
    b, planted = normal(larger, generator), sample(larger, generator)
    a = apply(b, larger, invert(planted))
    noisy = {name: tensor + 0.03 * torch.from_numpy(generator.normal(size=tensor.shape)) for name, tensor in b.items()}
    found = align(a, noisy, larger)
    check_element(found.element, larger)
    for name, move in planted.moves.items():
        assert np.array_equal(found.element[name].permutation, move.permutation)


@pytest.mark.parametrize("spec", [TINY["heads"], TINY["signed heads"], levels(), tied(units=2), chained()])
def test_a_step_is_the_best_of_all_elements_where_couplings_form_a_tree(spec):
    generator, group = np.random.default_rng(0), elements(spec)
    for _ in range(5):
        a, b = normal(spec, generator), normal(spec, generator)
        step = Step(spec, clusters(spec)[0])
        pieces = ({n: t.numpy() for n, t in unfold(theta, spec).items()} for theta in (a, b))
        step.read(*pieces, None)

        left, right = written_out(a, spec), written_out(b, spec)

        def distance(element, left=left, right=right):
            return sum(((array - right[name]) ** 2).sum() for name, array in acted(left, spec, element).items())

        found = {name: (move.permutation, move.signs) for name, move in step.element().moves.items()}
        assert distance(found) == pytest.approx(min(distance(each) for each in group), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_units_that_only_what_they_feed_tells_apart_are_matched_in_the_same_step(seed):
    """The channels before a grouped convolution have nothing to say for themselves: those behind it name them."""
    spec, generator = grouped(groups=3, before=4, after=4, outer=8), np.random.default_rng(seed)
    b = normal(spec, generator)
    planted = sample(spec, generator)
    a = apply(b, spec, invert(planted)) | {"first": 0.01 * normal(spec, generator)["first"]}
    step = Step(spec, clusters(spec)[0])
    step.read(*({n: t.numpy() for n, t in unfold(theta, spec).items()} for theta in (a, b)), None)
    found = step.element()
    for name, move in planted.moves.items():
        assert np.array_equal(found[name].permutation, move.permutation)


def test_align_of_copies_is_exact(larger):
    generator = np.random.default_rng(0)
    theta = normal(larger, generator)
    found = align(theta, apply(theta, larger, sample(larger.only(signs=True), generator)), larger)
    assert found.after == 0 < found.before


def test_outputs_of_units_match_runs_as_wholes(refuses):
    spec, generator = heads("signed", 3), np.random.default_rng(0)
    theta, planted = normal(spec, generator), sample(spec, generator)
    moved = apply(theta, spec, planted)
    seen = {name: generator.normal(size=(20, 6)) for name in ("qk", "v")}
    theirs = {
        name: seen[name][:, move.permutation] * move.signs for name, move in planted.moves.items() if name != "heads"
    }
    found = align_activations(theta, moved, spec, seen, theirs)
    assert found.after == 0
    assert all(found.element[name] == move for name, move in planted.moves.items())
    torn = {**theirs, "v": theirs["v"][:, [0, 3, 1, 4, 2, 5]]}  # what no element of the group does
    check_element(align_activations(theta, moved, spec, seen, torn).element, spec)
    refuses(
        lambda: align_activations(theta, moved, spec, {"qk": seen["qk"]}, theirs), ValueError, "must map every block"
    )


def test_biases_are_sorted_run_by_run(refuses):
    blocks = (
        Block("groups", 2, "permutation", (Axis("g", 0, "in"),)),
        Block("v", 4, "permutation", (Axis("v", 0, "in"),), within="groups", groups=2),
        Block("tied", 4, "permutation", (Axis("t", 0, "carry"),), within="v", groups=4),
    )
    spec = SymmetrySpec(blocks, {"g": (2,), "v": (4,), "t": (4,)})
    theta = {"g": torch.tensor([2.0, 1.0]), "v": torch.tensor([7.0, 5.0, 3.0, 9.0]), "t": torch.arange(4.0)}
    found = sort_biases(theta, spec)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "g": [1, 2],
        "v": [3, 9, 5, 7],
        "t": [2, 3, 1, 0],
    }
    refuses(lambda: sort_biases(normal(heads(), np.random.default_rng(0)), heads()), ValueError, "'heads' has no bias")


def test_gathered_runs_depend_on_nothing_but_the_canonical_order():
    spec, generator = levels("signed"), np.random.default_rng(0)
    flat = GroupElement({b.name: Move(generator.permutation(b.size)) for b in spec.blocks})
    found = gathered(flat, spec)
    check_element(found, spec)
    for _ in range(5):
        g = sample(spec, generator)
        moved = GroupElement(
            {name: Move(np.argsort(g[name].permutation)[move.permutation]) for name, move in flat.moves.items()}
        )
        again = gathered(moved, spec)  # the same places, of units that stand elsewhere
        for name, move in found.moves.items():
            assert np.array_equal(g[name].permutation[again[name].permutation], move.permutation)


def test_a_lift_adds_memberships_alone_and_leaves_plain_networks_as_they_are():
    plain = mlp.spec((2, 3, 1), "relu")
    theta = mlp.init((2, 3, 1), torch.Generator().manual_seed(0))
    assert lifted(plain) is plain
    assert lift(theta, plain) is theta
    spec = heads()
    clash = replace(spec, shapes={**spec.shapes, "qk within heads": (3,)})
    assert list(memberships(clash)) == ["qk within heads'", "v within heads"]
    found = lift({name: tensor.half() for name, tensor in normal(clash, np.random.default_rng(0)).items()}, clash)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == dict(lifted(clash).shapes)
    assert all(tensor.dtype == torch.float16 for tensor in found.values())
    assert found["v within heads"].tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]


def test_networks_of_another_shape_are_refused(refuses):
    spec = tied()
    theta = normal(spec, np.random.default_rng(0))
    other = {**theta, "gamma": torch.ones(4, dtype=torch.float64)}
    for verb in (canonicalize, fingerprint, label, sort_biases):
        refuses(lambda verb=verb: verb(other, spec), ValueError, "tensor 'gamma' must have shape (3,)")
    for verb in (compare, align):
        refuses(lambda verb=verb: verb(theta, other, spec), ValueError, "network b: tensor 'gamma'")


def test_numbers_without_an_axis_lie_beside_the_weights():
    shapes = {"w": (3, 2), "gate": ()}
    spec = SymmetrySpec((Block("h", 3, "scaled", (Axis("w", 0, "in"),)),), shapes)
    theta, planted = normal(spec, np.random.default_rng(0)), sample(spec, np.random.default_rng(1))
    theta["gate"] = torch.tensor(2.0, dtype=torch.float64)
    moved = apply(theta, spec, planted)
    assert compare(theta, moved, spec, tolerance=1e-12).answer == "equivalent"
    moved["gate"] += 1
    assert align(theta, moved, spec).after == pytest.approx(1)
