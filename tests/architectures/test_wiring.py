"""Random wiring: whatever is built from these parts, tracing finds a part of the true group, most often all of it."""

from functools import cache

import numpy as np
import pytest
from evaluating import Function
from moving import check_part, drift, order_of
from oracle import symmetries
from specimen import Specimen, floats
from wiring import RandomWiring

from fnequiv.architectures.tracing import symmetry_of

UNHEARD, GAPS = {40, 107, 176, 312, 372, 432}, {188}  # rows that nobody reads; a norm behind units that lie apart
SEEDS = sorted({*range(0, 500, 3), *UNHEARD, *GAPS})
pytestmark = pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")  # PReLU in vmap


def specimen(seed):
    return Specimen(f"wiring {seed}", lambda: RandomWiring(np.random.default_rng(seed)), (floats(6, 2),), order=0)


@cache
def true_group(seed):
    return symmetries(*specimen(seed).example())


@cache
def traced(seed):
    return symmetry_of(*specimen(seed).example())


@pytest.mark.parametrize("seed", SEEDS)
def test_tracing_is_never_wrong_whatever_the_wiring(seed):
    model, inputs = specimen(seed).example()
    check_part(true_group(seed), Function(model, inputs), traced(seed))
    assert drift(model, inputs, traced(seed)) <= 1e-10


def test_most_of_the_symmetry_is_found_whatever_the_wiring(capsys):
    exact = sum(order_of(traced(seed)) == true_group(seed).order for seed in SEEDS)
    with capsys.disabled():
        print(f"\nrandom wiring: {exact} of {len(SEEDS)} exact")
    assert exact > len(SEEDS) / 2
