"""The zoo: a tracer is never wrong, and its order is that of an oracle which only evaluates the models."""

import itertools
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from evaluating import Function
from jacobian import redundant_dimensions
from moving import check_part, drift, order_of
from oracle import symmetries
from torch import nn
from zoo import SPECIMENS

from fnequiv.architectures.tracing import symmetry_of

TRACEABLE = [name for name, specimen in SPECIMENS.items() if specimen.expected != "refused"]
KINDS = "exact", "partly", "refused", "wrong"
REFUSED = [name for name in SPECIMENS if name not in TRACEABLE]
pytestmark = pytest.mark.filterwarnings(
    "ignore:There is a performance drop because we have not yet implemented the batching rule",
    "ignore:Using padding='same' with even kernel lengths",
)


@cache
def true_group(name):
    return symmetries(*SPECIMENS[name].example())


@cache
def traced(name):
    return symmetry_of(*SPECIMENS[name].example())


def brute_force(model, inputs):
    """How many permutations of entries, tensor by tensor, leave F as it is: all of them are tried."""
    function = Function(model, inputs)
    rng = np.random.default_rng(0)
    theta = torch.as_tensor(rng.normal(size=(3, len(function.owner))))
    sizes = [tensor.numel() for tensor in function.tensors.values()]
    starts = np.cumsum([0, *sizes[:-1]])
    choices = (
        [np.array(p) + start for p in itertools.permutations(range(n))] for n, start in zip(sizes, starts, strict=True)
    )
    permutations = torch.as_tensor(np.array([np.concatenate(choice) for choice in itertools.product(*choices)]))
    for row in theta:  # what one θ excludes need not be tried at the next
        permutations = permutations[(function(row[permutations]) - function(row[None])).abs().amax(1) < 1e-9]
    return len(permutations)


def sequential(*modules):
    return nn.Sequential(*modules).double().eval()


TINY = {
    "mlp": (sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)), 6),
    "deep mlp": (sequential(nn.Linear(1, 2), nn.Tanh(), nn.Linear(2, 2, bias=False), nn.Tanh(), nn.Linear(2, 1)), 4),
    "a map of two inputs": (sequential(nn.Linear(2, 2, bias=False), nn.Tanh(), nn.Linear(2, 2)), 2),
    "pieces in units": (sequential(nn.Linear(1, 4), nn.MaxPool1d(2), nn.Linear(2, 1)), 8),
    "grouped": (
        sequential(
            *(nn.Unflatten(1, (1, 2)), nn.Conv1d(1, 4, 1, bias=False), nn.ReLU(), nn.Conv1d(4, 2, 1, groups=2)),
            *(nn.ReLU(), nn.Conv1d(2, 1, 2, bias=False)),
        ),
        8,
    ),
    "only inputs": (sequential(nn.Linear(3, 2)), 1),
}


@pytest.mark.parametrize("name", TINY)
def test_the_oracle_agrees_with_trying_everything(name):
    model, order = TINY[name]
    inputs = (torch.randn(5, model[0].in_features if isinstance(model[0], nn.Linear) else 2, dtype=torch.float64),)
    assert brute_force(model, inputs) == symmetries(model, inputs).order == order


@pytest.mark.parametrize("name", TRACEABLE)
def test_the_oracle_agrees_with_the_order_by_hand(name):
    assert true_group(name).order == SPECIMENS[name].order


@pytest.mark.parametrize("name", TRACEABLE[::3])
def test_the_orbits_of_the_oracle_give_the_order_of_what_it_generates(name):
    assert true_group(name).permutations().order() == true_group(name).order


@pytest.mark.parametrize("name", TRACEABLE)
def test_no_sampled_element_changes_the_function(name):
    assert drift(*SPECIMENS[name].example(), traced(name)) <= 1e-10


@pytest.mark.parametrize("name", TRACEABLE)
def test_the_traced_group_is_a_part_of_the_true_one_and_as_large_as_it_says(name):
    check_part(true_group(name), Function(*SPECIMENS[name].example()), traced(name))


@pytest.mark.parametrize("name", TRACEABLE)
def test_the_continuous_dimensions_are_no_more_than_the_jacobian_leaves(name):
    assert traced(name).continuous_dimension() <= redundant_dimensions(SPECIMENS[name])


def verdict(name):
    """What tracing makes of a specimen: exact, partly, wrong, or the message of its refusal."""
    try:
        order = order_of(traced(name))
    except ValueError as error:
        return str(error)
    except RuntimeError:  # tracing's own check failed
        return "wrong"
    share, rest = divmod(true_group(name).order, order)
    return "wrong" if rest else "exact" if share == 1 else "partly"


@pytest.mark.parametrize("name", TRACEABLE)
def test_the_traced_group_is_what_the_zoo_expects(name):
    assert verdict(name) == SPECIMENS[name].expected, SPECIMENS[name].reason


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_refused_with_a_clear_message(name):
    message = verdict(name)
    assert message not in KINDS
    assert re.search(SPECIMENS[name].reason, message)


def test_what_is_found_only_in_part_says_why():
    assert all(specimen.reason for specimen in SPECIMENS.values() if specimen.expected != "exact")


def test_the_share_found_exactly(capsys):
    verdicts = {name: verdict(name) for name in SPECIMENS}
    counts = Counter(v if v in ("exact", "partly", "wrong") else "refused" for v in verdicts.values())
    with capsys.disabled():
        print(f"\nzoo of {len(SPECIMENS)}: " + ", ".join(f"{counts[k]} {k}" for k in KINDS))
    assert counts == Counter(specimen.expected for specimen in SPECIMENS.values())
    assert not counts["wrong"]
    assert counts["exact"] >= 0.9 * len(SPECIMENS) >= 40
