"""Attention's continuous group acts, and ends where it should."""

import pytest
import torch
from families import FAMILIES, randomised
from torch.func import functional_call

from fnequiv.architectures.attention import Attention, attention, multihead

HEADS, KEYS, WIDTH = 2, 3, 6


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def setting():
    network = Attention(WIDTH, HEADS, keys=KEYS, values=KEYS).double()
    return network, randomised(network, 0), draw(1, 3, 4, WIDTH)


def outputs(network, params, x):
    return functional_call(network, params, (x,))


def rows(matrices, tensor):
    """A matrix for each head, acting on the rows of that head."""
    heads = tensor.unflatten(0, (len(matrices), -1))
    return torch.einsum("hij,hj...->hi...", matrices, heads).flatten(0, 1)


def changed(params, G, H):
    """q by G, k by the transposed inverse, v by H, and the output's columns by its inverse."""
    parts = {"q_proj": G, "k_proj": torch.linalg.inv(G).mT, "v_proj": H}
    new = {name: rows(parts[name.split(".")[0]], t) for name, t in params.items() if name.split(".")[0] in parts}
    new["o_proj.weight"] = rows(torch.linalg.inv(H).mT, params["o_proj.weight"].T).T
    return params | new


def test_every_invertible_matrix_between_queries_and_keys_and_behind_values_keeps_the_function(setting):
    network, params, x = setting
    before = outputs(network, params, x)
    for seed in range(5):
        G, H = draw(seed, 2, HEADS, KEYS, KEYS) + torch.eye(KEYS, dtype=torch.float64)
        new = changed(params, G, H)
        assert not torch.allclose(new["q_proj.weight"], params["q_proj.weight"], rtol=0.1)
        assert torch.allclose(outputs(network, new, x), before, rtol=1e-10, atol=1e-10)
        torn = new | {"k_proj.weight": params["k_proj.weight"]}
        assert not torch.allclose(outputs(network, torn, x), before, rtol=1e-3, atol=1e-3)


def test_the_key_bias_is_free_and_the_value_bias_is_against_the_one_behind(setting):
    network, params, x = setting
    t, u = draw(3, 2, HEADS * KEYS)
    new = params | {
        "k_proj.bias": params["k_proj.bias"] + t,
        "v_proj.bias": params["v_proj.bias"] + u,
        "o_proj.bias": params["o_proj.bias"] - params["o_proj.weight"] @ u,
    }
    assert torch.allclose(outputs(network, new, x), outputs(network, params, x), rtol=1e-10, atol=1e-10)


def test_rotary_positions_leave_turns_and_scales_of_pairs_and_nothing_else_of_the_matrices():
    network = Attention(WIDTH, 1, keys=4, values=2, rotary=True).double()
    params, x = randomised(network, 0), draw(1, 3, 5, WIDTH)
    before = outputs(network, params, x)

    def acts(G):
        parts = {"q_proj": G[None], "k_proj": torch.linalg.inv(G).mT[None]}
        new = {name: rows(parts[name[:6]], t) for name, t in params.items() if name[:6] in parts}
        return torch.allclose(outputs(network, params | new, x), before, rtol=1e-10, atol=1e-10)

    def complex_numbers(a, b):  # on the pairs of units (0, 2) and (1, 3)
        G = torch.zeros(4, 4, dtype=torch.float64)
        for pair, z in enumerate((a, b)):
            G[[pair, pair + 2], [pair, pair + 2]] = z.real
            G[pair, pair + 2], G[pair + 2, pair] = -z.imag, z.imag
        return G

    assert acts(complex_numbers(0.7 - 0.4j, -1.3 + 0.2j))
    assert not acts(draw(2, 4, 4))
    swap = torch.eye(4, dtype=torch.float64)[[1, 0, 3, 2]]
    assert not acts(swap)
    assert not acts(torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0], dtype=torch.float64)))
    assert not outputs(network, params | {"k_proj.bias": params["k_proj.bias"] + 1}, x).allclose(before, rtol=1e-3)


def test_masks_and_layouts_do_not_change_the_group():
    assert attention(6, 2, causal=True) == attention(6, 2)
    one, other = multihead(6, 2), attention(6, 2)
    assert (one.order(), one.continuous_dimension()) == (other.order(), other.continuous_dimension())
    grouped = attention(6, 2, groups=2)
    assert grouped == other


@pytest.mark.parametrize("name", ["transformer", "transformer, norm last"])
def test_a_sign_common_to_the_whole_stream_keeps_the_function(name):
    """What the docstring says beyond units."""
    family = FAMILIES[name]
    network, x = family.network(), family.inputs(1)
    params = randomised(network, 0)
    flipped = ("embed", "positions", "out_proj", "linear2")
    if name == "transformer":  # γ answers: what the layers behind read stays
        flipped += ("norm1.weight", "norm2.weight", "norm.weight")
    else:  # what the norms write is the stream: β turns, and so do the columns that read it
        flipped += ("norm1.bias", "norm2.bias", "linear1.weight", "in_proj_weight", "head.weight")
    turned = {key: -tensor if any(part in key for part in flipped) else tensor for key, tensor in params.items()}
    before = outputs(network, params, x)
    assert torch.allclose(outputs(network, turned, x), before, rtol=1e-10, atol=1e-10)
    wrong = turned | {"positions": params["positions"]}
    assert not torch.allclose(outputs(network, wrong, x), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((6, 4), {}, ValueError, "width must be a multiple of heads, got 6 and 4"),
        ((6, 3), {"groups": 2}, ValueError, "heads must be a multiple of groups, got 3 and 2"),
        ((6, 2), {"keys": 3, "rotary": True}, ValueError, "keys must be a multiple of two"),
        ((6, 0), {}, ValueError, "heads must be >= 1, got 0"),
        ((6, 2), {"keys": 0}, ValueError, "keys must be >= 1, got 0"),
        ((6, 2), {"values": 1.5}, TypeError, "values must be an integer, got 1.5"),
        ((6, 2), {"bias": 1}, TypeError, "bias must be True or False, got 1"),
        ((6, 2), {"out_bias": "no"}, TypeError, "out_bias must be True or False, got 'no'"),
        ((6, 2), {"causal": None}, TypeError, "causal must be True or False, got None"),
    ],
)
def test_wrong_sizes_are_named(arguments, options, error, message, refuses):
    refuses(lambda: attention(*arguments, **options), error, message)
    refuses(lambda: Attention(*arguments, **options), error, message)
