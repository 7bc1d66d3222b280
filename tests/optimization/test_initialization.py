"""The initialisation probability: counts against brute force, the bound against its ceiling and its own symmetry."""

import math
from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from starts import SCHEMES, all_copies, split, spread, tie

from fnequiv.equivalence import group, mlp
from fnequiv.equivalence.actions import apply
from fnequiv.optimization.initialization import (
    Scheme,
    Uniform,
    Zero,
    delta_max,
    delta_min,
    draw,
    effective_log_volume,
    get,
    log_ceiling,
    log_distinct_permutations,
    log_start_probability,
    names,
)


@st.composite
def networks(draw_from):
    """Networks of few levels, so that rows are often equal."""
    widths = draw_from(st.lists(st.integers(1, 4), min_size=3, max_size=5))
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32 - 1)))
    levels, bias = draw_from(st.integers(1, 3)), draw_from(st.booleans())
    params = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(widths)):
        params[f"{2 * index}.weight"] = torch.from_numpy(rng.integers(levels, size=(fan_out, fan_in)) / 8)
        if bias:
            params[f"{2 * index}.bias"] = torch.from_numpy(rng.integers(levels, size=fan_out) / 8)
    return params


def rows(params):
    weights, biases = split(params)
    for weight, bias in list(zip(weights, biases, strict=True))[:-1]:
        yield [(*row, *([] if bias is None else [bias[i]])) for i, row in enumerate(weight.tolist())]


@settings(max_examples=60, deadline=None)
@given(networks())
def test_distinct_permutations_and_least_distance_are_those_of_brute_force(params):
    counted = [len(set(permutations(layer))) for layer in rows(params)]
    assert np.exp(log_distinct_permutations(params)) == pytest.approx(counted)
    distances = [
        max(abs(x - y) for x, y in zip(one, other, strict=True))
        for layer in rows(params)
        for one, other in product(layer, repeat=2)
        if one != other
    ]
    assert delta_min(params) == min(distances, default=math.inf)


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(0, 2**32 - 1), st.sampled_from(SCHEMES))
def test_every_copy_has_the_same_probability(params, seed, scheme):
    widths = [params["0.weight"].shape[1]] + [len(weight) for weight in split(params)[0]]
    spec = mlp.spec(widths, "sigmoid", bias="0.bias" in params)
    copy = apply(params, spec, group.sample(spec, np.random.default_rng(seed)))
    one, other = (log_start_probability(theta, scheme, delta=0.1) for theta in (params, copy))
    assert other.log_value == pytest.approx(one.log_value, rel=1e-12)
    assert (other.log_orders, other.delta_min, other.exact) == (one.log_orders, one.delta_min, one.exact)


@settings(max_examples=60, deadline=None)
@given(networks(), st.sampled_from(SCHEMES), st.floats(0.001, 1))
def test_no_scheme_and_no_radius_passes_the_ceiling(params, scheme, share):
    delta = share * min(delta_min(params), 10.0)
    found = log_start_probability(params, scheme, delta=delta)
    assert found.log_value <= log_ceiling(params) + 1e-9
    assert log_ceiling(params) <= 1e-12
    assert found.log_value == pytest.approx(sum(found.log_orders) + found.log_cube)


def test_the_ceiling_is_reached_by_rows_that_tile_the_support():
    scheme = Scheme("tiled", lambda fan_in, fan_out: Uniform(1.0 if fan_in == 1 else 0.1), lambda *fans: Zero())
    rows = torch.tensor([[-0.75], [0.75], [0.25], [-0.25]], dtype=torch.float64)
    params = {"0.weight": rows, "2.weight": torch.zeros(1, 4, dtype=torch.float64)}
    found = log_start_probability(params, scheme)
    assert found.delta == 0.5
    assert found.log_value == pytest.approx(math.log(24 / 4**4)) == pytest.approx(log_ceiling(params))


def test_the_ceiling_counts_every_tie():
    params = {"0.weight": torch.tensor([[1.0], [1.0], [2.0]]), "2.weight": torch.ones(1, 3)}
    assert log_ceiling(params) == pytest.approx(math.log(3 * (2 / 3) ** 2 * (1 / 3)), rel=1e-14)  # 112, 121, 211


def test_the_least_distance_is_found_in_every_block(monkeypatch):
    rows = torch.arange(5000, dtype=torch.float64)[:, None]
    for place in (0, 2500, 4998):
        near = rows.clone()
        near[place] += 0.75
        assert delta_min({"0.weight": near, "2.weight": torch.ones(1, 5000)}) == 0.25
    few = np.random.default_rng(0).integers(1000, size=(12, 2)) / 8
    params = {"0.weight": torch.from_numpy(few), "2.weight": torch.ones(1, 12)}
    least = min(np.abs(one - other).max() for one, other in combinations(few, 2))
    for entries in (1, 24, 60):  # blocks of 1, 2 and 5 rows
        monkeypatch.setattr("fnequiv.optimization.rows._ENTRIES", entries)
        assert delta_min(params) == least


@settings(max_examples=80, deadline=None)
@given(networks())
def test_exact_says_whether_there_are_no_more_copies_than_orders(params):
    copies = len(np.unique(all_copies(params), axis=0))
    orders = round(math.exp(sum(log_distinct_permutations(params))))
    found = log_start_probability(params, "pytorch", delta=0.1)
    assert copies >= orders
    assert found.exact == (copies == orders)


def test_a_product_by_hand():
    params = {
        "0.weight": torch.tensor([[0.4], [-0.4], [0.4]], dtype=torch.float64),
        "0.bias": torch.tensor([0.0, 0.9, 0.0], dtype=torch.float64),
        "2.weight": torch.tensor([[0.1, 0.5, 0.1]], dtype=torch.float64),
        "2.bias": torch.tensor([0.3], dtype=torch.float64),
    }
    found = log_start_probability(params, "pytorch", delta=0.4)  # rows uniform on [-1, 1], then on ±1/√3
    hidden = (0.4 / 2) ** 3 * (0.4 / 2) ** 2 * ((1 - 0.7) / 2)
    a = 1 / math.sqrt(3)
    output = (0.4 / (2 * a)) ** 2 * ((a - 0.3) / (2 * a)) * (0.4 / (2 * a))
    assert found.exact
    assert math.exp(found.log_value) == pytest.approx(3 * hidden * output)
    assert found.delta_min == pytest.approx(0.9)
    assert log_start_probability(params, "pytorch").delta == found.delta_min


def test_biases_that_start_at_zero_leave_the_cube_at_once():
    params = spread((1, 2, 1), "pytorch", np.random.default_rng(0))
    params["0.bias"] = torch.tensor([0.01, -0.02], dtype=torch.float64)
    params["2.bias"] = torch.tensor([0.1], dtype=torch.float64)
    near, far = (log_start_probability(params, "xavier_uniform", delta=delta).log_value for delta in (0.21, 0.19))
    assert np.isfinite(near)
    assert far == -math.inf


def test_closed_cubes_of_constant_biases_would_overlap():
    """The paper's cubes are closed. Here they share every start that either has, so 2!·P is twice their union's."""
    params = {
        "0.weight": torch.tensor([[0.5], [0.5]], dtype=torch.float64),
        "0.bias": torch.tensor([0.125, -0.125], dtype=torch.float64),
        "2.weight": torch.tensor([[0.1, 0.1]], dtype=torch.float64),
    }
    assert delta_min(params) == 0.25
    starts = np.random.default_rng(0).uniform(-1, 1, (20_000, 2))
    inside = [(np.abs(starts - 0.5) <= 0.125).all(axis=1) & (abs(0 - b) <= 0.125) for b in (0.125, -0.125)]
    assert inside[0].sum() > 100
    assert (inside[0] == inside[1]).all()
    assert log_start_probability(params, "xavier_uniform").log_value == -math.inf  # the open cubes have no start at all


def test_too_many_ties_to_tell_are_not_called_exact():
    params = draw((2, 12, 1), "pytorch", np.random.default_rng(0))
    tie(params, 0, range(7), columns=False)
    assert not log_start_probability(params, "pytorch").exact
    tie(params, 0, range(7))
    assert log_start_probability(params, "pytorch").exact


def test_wide_networks_and_tiny_probabilities_stay_finite():
    params = draw((784, 256, 256, 10), "he_normal", np.random.default_rng(0))
    found = log_start_probability(params, "he_normal", delta=1e-6)
    assert found.log_value < -1e6
    assert sum(found.log_orders) == pytest.approx(2 * math.lgamma(257))
    twins = {"0.weight": torch.ones(3000, 1), "2.weight": torch.ones(1, 3000)}
    assert log_start_probability(twins, "pytorch", delta=0.1).log_orders == (0.0,)


@pytest.mark.parametrize("name", names())
def test_effective_volumes(name):
    scheme, widths = get(name), (3, 5, 4, 3)  # the outputs may not be renamed: no 3!
    expected = -math.log(math.factorial(5) * math.factorial(4))
    for fan_in, fan_out in [(3, 5), (5, 4), (4, 3)]:
        law = scheme.weight(fan_in, fan_out)
        u = (np.arange(200_000) + 0.5) / 200_000
        slope = np.log(np.diff(law.quantile(u)) * 200_000)  # h = ∫ ln q'(u) du
        expected += fan_in * fan_out * slope.mean()
        if name == "pytorch":
            expected += fan_out * math.log(2 / math.sqrt(fan_in))
    assert effective_log_volume(widths, scheme) == pytest.approx(expected, abs=0.01)
    without = effective_log_volume(widths, scheme, bias=False)
    assert (without == effective_log_volume(widths, scheme)) == (name != "pytorch")


def test_the_smallest_cubes_have_all_their_digits(refuses):
    params = draw((2, 3, 1), "pytorch", np.random.default_rng(0))
    found = log_start_probability(params, "pytorch", delta=2.0**-1021)
    sides = [9 * math.log(math.sqrt(2)), 4 * math.log(math.sqrt(3))]  # of the laws' supports, 2/√d_in, over 2
    assert found.log_cube == pytest.approx(sum(sides) - 13 * 1022 * math.log(2), rel=1e-14)
    for delta in (2.0**-1022, 5e-324):
        refuses(lambda delta=delta: log_start_probability(params, "pytorch", delta=delta), ValueError, "delta must be")
    near = {"0.weight": torch.tensor([[0.0], [1e-310]]).double(), "2.weight": torch.ones(1, 2).double()}
    near["0.weight"][1] = 1e-310
    refuses(lambda: log_start_probability(near, "pytorch"), ValueError, "delta must be >= 4.45e-308, got 1e-310")


def test_wrong_input_is_named(refuses):
    params = draw((2, 3, 1), "pytorch", np.random.default_rng(0))
    least = delta_min(params)
    call = log_start_probability
    refuses(lambda: call(params, "kaiming"), ValueError, "scheme must be one of")
    refuses(
        lambda: call(params, "pytorch", delta=2 * least), ValueError, f"delta must be at most Delta_min = {least!r}"
    )
    refuses(lambda: call(params, "pytorch", delta=0), ValueError, "delta must be finite and > 0, got 0.0")
    refuses(lambda: call(params, "pytorch", delta=math.nan), ValueError, "delta must be finite")
    refuses(lambda: call(params, "pytorch", delta="1"), TypeError, "delta must be a real number")
    refuses(lambda: call([1], "pytorch"), TypeError, "params must map names to tensors")
    linear = draw((2, 1), "pytorch", np.random.default_rng(0))
    refuses(lambda: call(linear, "pytorch"), ValueError, "delta must be given: no hidden layer has two distinct rows")
    slopes = mlp.init((2, 3, 1), torch.Generator().manual_seed(0), activation="prelu")
    refuses(lambda: call(slopes, "pytorch"), ValueError, "is the slope of a PReLU")
    broken = params | {"0.weight": params["0.weight"] * math.nan}
    refuses(lambda: delta_min(broken), ValueError, "0.weight must be finite, got nan")
    refuses(lambda: delta_max(None, params), TypeError, "params must map names to tensors")
    refuses(lambda: delta_max(params, linear), ValueError, "both networks must have tensors of one name and shape")
    refuses(lambda: effective_log_volume((2, 3, 1), "pytorch", bias=0), TypeError, "bias must be True or False")
    refuses(lambda: call({name: tensor.cfloat() for name, tensor in params.items()}, "pytorch"), TypeError, "be real")
    refuses(lambda: call({name: tensor.to("meta") for name, tensor in params.items()}, "pytorch"), ValueError, "meta")
    refuses(lambda: call(broken, "kaiming"), ValueError, "scheme must be one of")  # at once, before what takes long
    square = torch.ones(2, 2)
    tied = {"0.weight": square, "2.weight": square}
    refuses(lambda: delta_min(tied), ValueError, "shares memory with")


def test_without_ties_no_row_is_sought_among_all(monkeypatch):
    monkeypatch.setattr("fnequiv.optimization.membership._matched", lambda *_: pytest.fail("a search"))
    params = draw((2, 5, 5, 1), "pytorch", np.random.default_rng(0))
    assert log_start_probability(params, "pytorch").exact
    twins = {"0.weight": torch.ones(2, 1) / 8, "2.weight": torch.ones(1, 2) / 8}
    assert log_start_probability(twins, "pytorch", delta=0.1).exact


def test_a_linear_network_has_one_cube():
    params = {"0.weight": torch.tensor([[0.1, -0.2]], dtype=torch.float64)}
    found = log_start_probability(params, "pytorch", delta=0.2)
    assert found.log_orders == ()
    assert found.exact
    assert found.log_value == pytest.approx(2 * math.log(0.2 * math.sqrt(2) / 2))
    assert log_ceiling(params) == 0


def test_delta_max_is_the_sup_norm_of_the_difference():
    one, other = (draw((2, 3, 1), "pytorch", np.random.default_rng(seed)) for seed in (0, 1))
    assert delta_max(one, other) == max(float((one[name] - other[name]).abs().max()) for name in one)
    assert delta_max(one, one) == 0
