"""Counts of the covering bounds against all networks of tiny grids, and covers listed in full."""

import itertools
import math

import numpy as np
import pytest
from bounded import inputs, levels_of, run, shapes

from fnequiv.architectures.complexity import (
    AttentionClass,
    ConvolutionalClass,
    ResidualClass,
    covering_bound,
    covering_terms,
)

# --- orbits: all networks of a tiny grid, all elements of the group, written as permutations of the parameters


def indices(network):
    """Number the parameters in the order of their blocks."""
    found, start = {}, 0
    for name, shape in shapes(network).items():
        found[name] = np.arange(start, start + math.prod(shape)).reshape(shape)
        start += math.prod(shape)
    return found


def orders(count):
    return [list(order) for order in itertools.permutations(range(count))]


def elements(network):
    """Yield every element of the group as the reordered parameters."""
    i = indices(network)
    if isinstance(network, ConvolutionalClass):
        for chosen in itertools.product(*map(orders, network.channels[1:])):
            moved = dict(i)
            for layer, order in enumerate(chosen, 1):
                moved |= {f"conv{layer}.{kind}": moved[f"conv{layer}.{kind}"][order] for kind in ("weight", "bias")}
                if layer < len(chosen):
                    moved[f"conv{layer + 1}.weight"] = moved[f"conv{layer + 1}.weight"][:, order]
            columns = i["output.weight"].reshape(network.outputs, network.channels[-1], -1)[:, chosen[-1]]
            yield moved | {"output.weight": columns.reshape(network.outputs, -1)}
    elif isinstance(network, ResidualClass):
        for stream, *inner in itertools.product(orders(network.stream), *[orders(network.inner)] * network.blocks):
            moved = i | {"stem.weight": i["stem.weight"][stream], "stem.bias": i["stem.bias"][stream]}
            moved["output.weight"] = i["output.weight"][:, stream]
            for block, order in enumerate(inner, 1):
                b = f"block{block}"
                moved[f"{b}.inner.weight"] = i[f"{b}.inner.weight"][np.ix_(order, stream)]
                moved[f"{b}.inner.bias"] = i[f"{b}.inner.bias"][order]
                moved[f"{b}.outer.weight"] = i[f"{b}.outer.weight"][np.ix_(stream, order)]
                moved[f"{b}.outer.bias"] = i[f"{b}.outer.bias"][stream]
            yield moved
    else:
        h, d_k, d_v = network.heads, network.d_k, network.d_v
        inside = list(itertools.product(orders(d_k), orders(d_v)))
        for heads in orders(h):
            for chosen in itertools.product(inside, repeat=h):
                keys = [head * d_k + r for head, (order, _) in zip(heads, chosen, strict=True) for r in order]
                values = [head * d_v + r for head, (_, order) in zip(heads, chosen, strict=True) for r in order]
                rows = {"query": keys, "key": keys, "value": values}
                moved = {f"{n}.{kind}": i[f"{n}.{kind}"][rows[n]] for n in rows for kind in ("weight", "bias")}
                yield moved | {"output.weight": i["output.weight"][:, values], "output.bias": i["output.bias"]}


def flat(parameters):
    return np.concatenate([np.ravel(value) for value in parameters.values()])


def stages(network):
    """Return, for every permuted stage, the parameters that each of its units owns."""
    i = indices(network)
    if isinstance(network, ConvolutionalClass):
        for layer, count in enumerate(network.channels[1:], 1):
            weight, bias = i[f"conv{layer}.weight"], i[f"conv{layer}.bias"]
            yield [[*weight[unit].flat, bias[unit]] for unit in range(count)]
    elif isinstance(network, ResidualClass):
        yield [[*i["stem.weight"][unit], i["stem.bias"][unit]] for unit in range(network.stream)]
        for block in range(1, network.blocks + 1):
            inner, bias, outer = (i[f"block{block}.{name}"] for name in ("inner.weight", "inner.bias", "outer.weight"))
            yield [[*inner[unit], bias[unit], *outer[:, unit]] for unit in range(network.inner)]
    else:
        heads = []
        for head in range(network.heads):
            rows, columns = ([head * d + r for r in range(d)] for d in (network.d_k, network.d_v))
            pairs = [
                np.concatenate([np.ravel(i[f"{n}.{k}"][r]) for n in ("query", "key") for k in KINDS]) for r in rows
            ]
            values = [[*i["value.weight"][r], i["value.bias"][r], *i["output.weight"][:, r]] for r in columns]
            yield pairs
            yield values
            heads.append(np.concatenate([*pairs, *values]))
        yield heads


KINDS = ("weight", "bias")


def grid(network, levels):
    """Return every network of the grid, one row each, entries 0, …, K - 1."""
    each = flat({name: np.full(shape, levels[name]) for name, shape in shapes(network).items()})
    return np.array(list(itertools.product(*map(range, each))), dtype=np.int8), int(each.max())


def codes(rows, base):
    """Number rows of entries below ``base``."""
    return rows @ base ** np.arange(rows.shape[1], dtype=np.int64)


def is_sorted(network, rows, base):
    """Tell for each network whether every permuted stage has its units in the order of their words."""
    kept = np.ones(len(rows), dtype=bool)
    for units in stages(network):
        words = np.stack([codes(rows[:, unit], base) for unit in units], axis=1)
        kept &= (np.diff(words, axis=1) >= 0).all(axis=1)
    return kept


def log_count(network, levels, symmetry="permutation"):
    log_levels = {name: np.log(float(number)) for name, number in levels.items()}
    return float(sum(units.log_count(log_levels, symmetry) for units in network.units))


# name: network, and the levels that differ from 1
COUNTED = {
    "one layer of channels": (
        ConvolutionalClass((1, 2), (1, 3), kernel=1, outputs=1),
        {"conv1.weight": 3, "conv1.bias": 2, "output.weight": 2},
    ),
    "two layers of channels": (
        ConvolutionalClass((1, 1), (1, 2, 3), kernel=1, outputs=1),
        {"conv1.weight": 2, "conv1.bias": 2, "conv2.weight": 2, "conv2.bias": 2, "output.weight": 2},
    ),
    "a stream and a block": (
        ResidualClass(1, 2, 2, blocks=1, outputs=1),
        {"stem.weight": 3, "stem.bias": 2, "block1.inner.weight": 2, "block1.outer.weight": 2, "block1.outer.bias": 2},
    ),
    "a stream of one and two blocks": (
        ResidualClass(1, 1, 3, blocks=2, outputs=1),
        {"stem.bias": 3, "block1.inner.weight": 3, "block2.inner.bias": 2}
        | {"block2.inner.weight": 2, "block2.outer.weight": 2},
    ),
    "dimensions of one head": (
        AttentionClass(2, 2, 1, d_k=3, d_v=2),
        {"query.weight": 2, "key.bias": 2, "value.bias": 3, "output.weight": 2},
    ),
    "dimensions of two heads": (
        AttentionClass(2, 1, 2, d_k=2, d_v=2),
        {"query.weight": 2, "key.weight": 2, "value.weight": 2, "output.weight": 2},
    ),
    "three heads": (
        AttentionClass(2, 1, 3, d_k=1, d_v=1),
        {"query.bias": 2, "key.weight": 3, "value.bias": 2, "output.bias": 4},
    ),
}


@pytest.mark.parametrize("case", COUNTED)
def test_counts_against_all_orbits_of_a_grid(case):
    network, some = COUNTED[case]
    levels = dict.fromkeys(shapes(network), 1) | some
    rows, base = grid(network, levels)
    numbers, kept = codes(rows, base), is_sorted(network, rows, base)
    group = [flat(moved) for moved in elements(network)]
    least, reached, by_number = numbers.copy(), kept.copy(), np.argsort(numbers)
    for element in group:
        images = codes(rows[:, element], base)
        np.minimum(least, images, out=least)
        reached |= kept[by_number[np.searchsorted(numbers, images, sorter=by_number)]]
    orbits = len(np.unique(least))
    assert len(group) == round(math.exp(network.log_order()))
    assert reached.all(), "every orbit has a network whose stages are sorted"
    assert math.exp(log_count(network, levels)) == pytest.approx(kept.sum(), rel=1e-12)
    assert math.exp(log_count(network, levels, "none")) == pytest.approx(len(rows), rel=1e-12)
    assert len(rows) / len(group) < orbits <= kept.sum() < len(rows)
    told_by_one_stage = case not in ("one layer of channels", "two layers of channels", "a stream and a block")
    assert (orbits == kept.sum()) == told_by_one_stage


@pytest.mark.parametrize("case", COUNTED)
def test_the_group_keeps_the_function(case):
    """The elements above are symmetries, also where all networks of the grid are constant."""
    network, rng = COUNTED[case][0], np.random.default_rng(4)
    theta = {name: rng.uniform(-1, 1, size=shape) for name, shape in shapes(network).items()}
    x = inputs(network, 2.0, "l2", rng, 12)
    group = list(elements(network))
    for number in rng.choice(len(group), size=min(6, len(group)), replace=False):
        moved = {name: flat(theta)[index] for name, index in group[number].items()}
        np.testing.assert_allclose(run(network, moved, x), run(network, theta, x), rtol=1e-10, atol=1e-12)


LISTED = [
    (ConvolutionalClass((2, 2), (1, 2), kernel=1, pooling=2, outputs=1), {"B": 0.5, "Bx": 4.0, "eps": 1.5}, 5940),
    (ResidualClass(1, 1, 2, blocks=1, outputs=1), {"B": 0.5, "Bx": 0.1, "eps": 1.13}, 5400),
    (ResidualClass(1, 2, 1, blocks=1, outputs=1), {"B": 0.2, "Bx": 4.0, "eps": 0.655}, 1800),
    (AttentionClass(2, 1, 2, d_k=1, d_v=1), {"B": 0.2, "Bx": 0.5, "eps": 0.192}, 6510),
]


@pytest.mark.parametrize(("network", "numbers", "size"), LISTED, ids=str)
def test_as_many_networks_as_the_bound_says_cover_the_class(network, numbers, size):
    """List the sorted grid points, evaluate them all, and look for one within ε of random networks and corners."""
    rng, B = np.random.default_rng(5), numbers["B"]
    levels = levels_of(covering_terms(network, **numbers))
    rows, base = grid(network, levels)
    rows = rows[is_sorted(network, rows, base)]
    assert len(rows) == size == round(math.exp(covering_bound(network, **numbers)))
    x, index = inputs(network, numbers["Bx"], "l2", rng, 12), indices(network)
    centres = []
    for row in rows:
        theta = {name: ((row[index[name]] + 0.5) / levels[name] * 2 - 1) * B for name in index}
        centres.append(run(network, theta, x).ravel())
    largest = 0.0
    for trial in range(40):
        low = rng.choice([0.0, 1.0]) if trial else 1.0
        signs = [-1, 1] if trial else [1]  # all parameters B first
        theta = {
            name: B * rng.choice(signs, size=shape) * rng.uniform(low, 1, size=shape)
            for name, shape in shapes(network).items()
        }
        value = run(network, theta, x).ravel()
        largest = max(largest, np.abs(value).max())
        assert np.abs(np.array(centres) - value).max(axis=1).min() <= numbers["eps"]
    assert largest > numbers["eps"], "otherwise the zero function would do for all of them"
