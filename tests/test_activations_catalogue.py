"""The catalogue of activations: names, parameters, the book's table, PReLU's slopes, and what is refused."""

import copy
import math
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from fnequiv import activations

SPECIAL = [activations.get("leaky_relu", negative_slope=1), activations.get("prelu", weight=[0.1, 0.2])]


def test_facts_are_frozen_comparable_and_travel():
    for facts in [*map(activations.get, activations.names()), *SPECIAL]:
        assert activations.get(facts) is facts
        again = activations.get(facts.name, **facts.parameters)
        assert (again, hash(again), again.parameters) == (facts, hash(facts), facts.parameters)
        assert pickle.loads(pickle.dumps(facts)) == copy.deepcopy(facts) == facts
    assert activations.get("elu", alpha=2.0) != activations.get("elu")
    with pytest.raises(AttributeError):
        activations.get("relu").degree = 2
    with pytest.raises(TypeError):
        activations.get("elu").parameters["alpha"] = 2.0
    slopes = np.array([0.1, 0.2])
    facts = activations.get("prelu", weight=slopes)
    slopes[:] = 9.0
    np.testing.assert_allclose(facts([[-1.0, -1.0]]), [[-0.1, -0.2]])


def test_table_says_what_the_facts_say_and_what_the_paper_says():
    rows = {row.name: row for row in activations.table()}
    assert tuple(rows) == activations.names()
    for name, row in rows.items():
        facts = activations.get(name)
        assert (row.formula, row.parity, row.degree) == (facts.formula, facts.parity, facts.degree)
        assert (row.lipschitz, row.at_zero, row.sup) == (facts.lipschitz(), facts.at_zero, facts.sup())
        assert (row.sign_flipping, row.scaling) == (facts.parity is not None, facts.degree is not None)
    admitted = {name: (row.sign_flipping, row.scaling, row.permutation) for name, row in rows.items()}
    assert admitted["sigmoid"] == (False, False, True)
    assert admitted["tanh"] == admitted["sin"] == admitted["erf"] == (True, False, True)
    assert admitted["relu"] == admitted["leaky_relu"] == admitted["prelu"] == (False, True, True)
    assert admitted["identity"] == admitted["square"] == (True, True, True)
    (row,) = activations.table([activations.get("prelu", weight=[0.1, 3.0])])
    assert (row.per_channel, row.lipschitz) == (True, 3.0)


def test_every_asked_for_activation_is_known():
    wanted = "relu leaky_relu prelu identity tanh sigmoid softplus elu selu gelu gelu_tanh silu mish sin erf softsign"
    assert {*wanted.split(), "hardtanh", "relu6", "square"} <= set(activations.names())


def test_importing_and_using_activations_imports_no_torch():
    code = (
        "import sys; from fnequiv import activations; activations.table(); activations.get('gelu')([0.5]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("rleu", {}, ValueError, "unknown activation 'rleu': known names are relu, leaky_relu, prelu, identity"),
        (7, {}, TypeError, "a name or an Activation, got 7"),
        ("relu", {"slope": 1}, ValueError, "unknown parameter 'slope' of activation 'relu': its parameters are: none"),
        ("elu", {"beta": 1}, ValueError, "its parameters are: alpha"),
        (activations.get("elu"), {"alpha": 2}, ValueError, "already has its parameters"),
        ("elu", {"alpha": math.nan}, ValueError, "alpha must be finite, got nan"),
        ("elu", {"alpha": "1"}, TypeError, "alpha must be a real number"),
        ("celu", {"alpha": 0}, ValueError, "alpha must be finite and > 0"),
        ("leaky_relu", {"negative_slope": True}, TypeError, "negative_slope must be a real number"),
        ("leaky_relu", {"negative_slope": [0.1]}, ValueError, "negative_slope must be one number"),
        ("softplus", {"beta": -1}, ValueError, "beta must be finite and > 0"),
        ("hardtanh", {"min_val": 1}, ValueError, "min_val must be < max_val"),
        ("softshrink", {"lambd": -0.1}, ValueError, "lambd must be >= 0"),
        ("prelu", {"weight": []}, ValueError, "one slope or a 1-d array"),
        ("prelu", {"weight": [[0.1]]}, ValueError, r"got shape \(1, 1\)"),
        ("prelu", {"weight": [0.1, math.inf]}, ValueError, "weight must be finite, got inf"),
    ],
)
def test_get_refuses(name, parameters, error, message):
    with pytest.raises(error, match=message):
        activations.get(name, **parameters)


def test_an_unknown_name_is_answered_with_every_known_one():
    with pytest.raises(ValueError, match=re.escape(", ".join(activations.names()))):
        activations.table(["relu", "swish"])
    with pytest.raises(TypeError, match="pass a list"):
        activations.table("relu")


@pytest.mark.parametrize("bound", ["lipschitz", "sup"])
def test_ranges_are_checked(bound):
    for z, error in [
        (-1, ValueError),
        (math.nan, ValueError),
        ([1.0, -1e-9], ValueError),
        ("1", TypeError),
        (1j, TypeError),
    ]:
        with pytest.raises(error, match="z must be"):
            getattr(activations.get("tanh"), bound)(z)


def test_arguments_are_checked():
    relu = activations.get("relu")
    for x, error in [([0.0, math.nan], ValueError), (math.inf, ValueError), (True, TypeError), ("x", TypeError)]:
        with pytest.raises(error, match="x must be"):
            relu(x)
    for x in (np.ones(2), np.ones((4, 3))):
        with pytest.raises(ValueError, match="PReLU's channels are axis 1"):
            activations.get("prelu", weight=[0.1, 0.2])(x)


def test_per_channel_prelu_scales_and_permutes_only_with_its_slopes():
    """A network W₂ prelu(W₁x + b): what the facts say of a layer with a slope for each neuron, run in PyTorch."""
    rng = np.random.default_rng(3)
    slopes = np.array([0.5, -2.0, 1.0])
    facts = activations.get("prelu", weight=slopes)
    incoming, bias, outgoing, x = (torch.tensor(rng.normal(size=s)) for s in ((3, 2), (3,), (2, 3), (50, 2)))

    def gap(incoming2, bias2, outgoing2, slopes2):
        def network(incoming, bias, outgoing, slopes):
            return torch.nn.functional.prelu(x @ incoming.T + bias, torch.tensor(slopes)) @ outgoing.T

        changed = network(incoming2, bias2, outgoing2, slopes2)
        return float((changed - network(incoming, bias, outgoing, slopes)).abs().max())

    scale = torch.tensor([0.3, 1.0, 7.0], dtype=torch.float64)
    assert gap(scale[:, None] * incoming, scale * bias, outgoing / scale, slopes) < 1e-13
    moved = [2, 0, 1]
    assert gap(incoming[moved], bias[moved], outgoing[:, moved], slopes[moved]) < 1e-13
    assert gap(incoming[moved], bias[moved], outgoing[:, moved], slopes) > 0.1
    assert gap(-incoming, -bias, -outgoing, slopes) > 0.1
    assert (facts.per_channel, facts.degree, facts.parity, facts.reflection) == (True, 1, None, None)
    assert (facts.lipschitz(), facts.sup([0.0, 3.0]).tolist()) == (2.0, [0.0, 6.0])
    for shape in ((5, 3), (5, 3, 2)):
        z = rng.normal(size=shape)
        expected = torch.nn.functional.prelu(torch.tensor(z), torch.tensor(facts.torch_keywords["weight"]).double())
        np.testing.assert_array_equal(facts(z), expected.numpy())
    assert activations.get("prelu", weight=[1, 1]).odd
    assert activations.get("prelu", weight=[-1, -1]).even
    assert activations.get("prelu", weight=[1, -1]).parity is None
    assert not activations.get("prelu", weight=[0.5]).per_channel
