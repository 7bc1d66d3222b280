"""The catalogue of activations: names, parameters, the book's table, PReLU's slopes, and what is refused."""

import copy
import dataclasses
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


def own(**changes):
    """sinh, which the catalogue has not; its callables are NumPy's, so that it pickles."""
    facts = {
        "name": "sinh",
        "formula": r"\sinh(x)",
        "torch": "sinh",
        "function": np.sinh,
        "steepest": np.cosh,
        "largest": np.sinh,
        "reflection": activations.Reflection(-1, 0.0, 0.0),
    }
    return activations.Activation(**{**facts, **changes})


def test_an_activation_of_ones_own_works_and_travels():
    sinh = own(parameters={"scale": 1.0})
    assert (sinh.odd, sinh.lipschitz(0), sinh.lipschitz(1.0), sinh.sup()) == (True, 0, np.cosh(1), math.inf)
    for again in (pickle.loads(pickle.dumps(sinh)), copy.deepcopy(sinh), copy.copy(sinh)):
        assert again == sinh
        assert (again.function, dict(again.parameters)) == (np.sinh, {"scale": 1.0})
    assert activations.get(sinh) is sinh


def test_a_changed_catalogue_entry_is_not_mistaken_for_the_entry():
    changed = dataclasses.replace(activations.get("tanh"), function=np.sin, steepest=np.cos, largest=np.sin)
    assert pickle.loads(pickle.dumps(changed)).function is np.sin
    assert copy.deepcopy(changed).function is np.sin
    assert (activations.get("tanh").catalogued, changed.catalogued) == (True, False)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(dataclasses.replace(activations.get("relu"), name="mine"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": ""}, TypeError, "name must be a text, got ''"),
        ({"formula": None}, TypeError, "formula must be a text, got None"),
        ({"torch": torch.sinh}, TypeError, "torch must be a text"),
        ({"function": "sinh"}, TypeError, "function must be a function of an array, got 'sinh'"),
        ({"function": lambda x: 0.0}, TypeError, "function must turn a float64 array into one of its shape, got 0.0"),
        ({"function": lambda x: None}, TypeError, "function must turn a float64 array into one of its shape"),
        ({"function": lambda x: x[:2]}, TypeError, "function must turn a float64 array into one of its shape"),
        ({"function": torch.as_tensor}, TypeError, "function must turn a float64 array into one of its shape"),
        ({"function": lambda x: x * math.nan}, ValueError, "at_zero must be σ"),
        ({"degree": 10**6}, ValueError, "degree must hold for every x, got 1000000"),
        ({"steepest": 1.0}, TypeError, "steepest must be a function of an array, got 1.0"),
        ({"largest": None}, TypeError, "largest must be a function"),
        ({"reflection": (-1, 0.0, 0.0)}, TypeError, "reflection must be a Reflection or None"),
        ({"reflection": "odd"}, TypeError, "reflection must be a Reflection or None, got 'odd'"),
        ({"reflection": activations.Reflection(2, 0.0, 0.0)}, ValueError, "sign must be -1 or 1, got 2"),
        ({"reflection": activations.Reflection(1, math.nan, 0.0)}, ValueError, "slope must be finite, got nan"),
        ({"reflection": activations.Reflection(1, 0.0, 0.0)}, ValueError, "reflection must hold for every x"),
        ({"function": np.cosh, "at_zero": 1.0}, ValueError, "reflection must hold for every x"),
        ({"degree": 1.0}, TypeError, "degree must be an integer"),
        ({"degree": True}, TypeError, "degree must be an integer"),
        ({"degree": -1}, ValueError, "degree must be >= 0"),
        ({"degree": 1}, ValueError, "degree must hold for every x, got 1"),
        ({"at_zero": 0.1}, ValueError, r"at_zero must be σ\(0\) = 0.0, got 0.1"),
        ({"at_zero": math.nan}, ValueError, "at_zero must be finite"),
        ({"at_zero": "0"}, TypeError, "at_zero must be a real number"),
        ({"channels": 0}, ValueError, "channels must be >= 1"),
        ({"channels": "all"}, TypeError, "channels must be an integer"),
        ({"valley": 0}, ValueError, "valley must be one number > 0, got 0"),
        ({"valley": math.nan}, ValueError, "valley must be one number > 0, got nan"),
        ({"valley": [1.0]}, ValueError, "valley must be one number > 0"),
        ({"parameters": [("a", 1)]}, TypeError, "parameters must map keywords to values"),
        ({"torch_keywords": None}, TypeError, "torch_keywords must map keywords to values"),
    ],
)
def test_facts_that_cannot_be_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        own(**changes)


@pytest.mark.parametrize("slope", [1.7e308, -1.7e308, 5e-324])
def test_extreme_parameters_overflow_to_infinity_without_a_warning(slope):
    facts = activations.get("leaky_relu", negative_slope=slope)
    assert facts([-2.0, 3.0]).tolist() == [-2 * slope, 3.0]
    assert facts.range(2.0) == (min(0.0, -2 * slope), max(2.0, -2 * slope))
    assert facts.lipschitz() == max(1.0, abs(slope))


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
        ("rleu", {}, ValueError, "unknown activation 'rleu': did you mean 'relu'[?] known names are relu, leaky_relu"),
        ("ReLU", {}, ValueError, "unknown activation 'ReLU': did you mean 'relu'"),
        ("Leaky-ReLU", {}, ValueError, "did you mean 'leaky_relu'"),
        ("Swish", {}, ValueError, "did you mean 'silu'"),
        ("qqqq", {}, ValueError, "unknown activation 'qqqq': known names are"),
        ("", {}, ValueError, "unknown activation '': known names are"),
        (7, {}, TypeError, "a name or an Activation, got 7: known are relu"),
        (None, {}, TypeError, "a name or an Activation, got None: known are relu"),
        (b"relu", {}, TypeError, "a name or an Activation, got b'relu': known are"),
        (torch.nn.ReLU(), {}, TypeError, r"got ReLU\(\): did you mean 'relu'"),
        (torch.nn.LeakyReLU, {}, TypeError, "did you mean 'leaky_relu'"),
        (torch.tanh, {}, TypeError, "did you mean 'tanh'"),
        (["relu"], {}, TypeError, r"got \['relu'\]: known are"),
        ("x" * 1000, {}, ValueError, r"unknown activation 'x{73} \.\.\. ': known"),
        ("relu", {"slope": 1}, ValueError, "unknown parameter 'slope' of activation 'relu': its parameters are: none"),
        ("elu", {"beta": 1}, ValueError, "its parameters are: alpha"),
        ("softplus", {"beta": 5e-324}, ValueError, "at_zero must be finite, got inf"),
        ("elu", {"alpha": 10**400}, ValueError, "alpha must lie within float64's range"),
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
        activations.table(["relu", "maxout"])
    with pytest.raises(TypeError, match="pass a list"):
        activations.table("relu")
    with pytest.raises(TypeError, match="pass a list"):
        activations.table(activations.get("relu"))
    with pytest.raises(TypeError, match="several names, got 5: pass a list"):
        activations.table(5)
    with pytest.raises(TypeError, match="a name or an Activation, got None"):
        activations.table([None])


@pytest.mark.parametrize("bound", ["lipschitz", "sup", "range"])
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


def test_slopes_have_to_be_as_many_as_the_layer_is_wide():
    prelu = activations.get("prelu", weight=[0.1, 0.2])
    assert (prelu.per_channel, prelu.channels) == (True, 2)
    prelu.check_width(2)
    with pytest.raises(ValueError, match="prelu has 2 slopes, one a neuron, got a layer of width 3: pass 3 slopes"):
        prelu.check_width(3)
    for width in (1, 7):
        activations.get("prelu").check_width(width)
        activations.get("relu").check_width(width)
    for width, error in [(0, ValueError), (2.0, TypeError), (True, TypeError)]:
        with pytest.raises(error, match="width must be"):
            prelu.check_width(width)


def test_the_range_of_slopes_is_that_of_all_neurons_together():
    slopes = [0.5, -2.0, 1.0]
    low, high = activations.get("prelu", weight=slopes).range([0.0, 3.0])
    values = [activations.get("prelu", weight=slope).range(3.0) for slope in slopes]
    assert low.tolist() == [0.0, min(value[0] for value in values)] == [0.0, -3.0]
    assert high.tolist() == [0.0, max(value[1] for value in values)] == [0.0, 6.0]


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
