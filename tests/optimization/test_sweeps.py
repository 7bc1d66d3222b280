"""A sweep trains what a loop with torch.optim trains, whatever its chunks, and says how each member ended."""

import itertools
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fnequiv.equivalence import mlp
from fnequiv.optimization import members
from fnequiv.optimization.slots import fitting_slots, grouped
from fnequiv.optimization.sweeps import SGD, Adam, Perceptron, SweepError, Until, sweep, sweep_each

sys.path.insert(0, str(Path(__file__).parent))
from sweep_tasks import Bowl, Root

sys.path.pop(0)


def classes(n=24, dtype=torch.float64, widths=(3, 5, 4)):
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(n, widths[0], generator=generator, dtype=dtype)
    return Perceptron(widths, inputs, torch.randint(widths[-1], (n,), generator=generator))


def curve(n=24):
    x = torch.linspace(-1, 1, n, dtype=torch.float64)[:, None]
    return Perceptron((1, 6, 2), x, torch.cat([x.abs(), x**2], 1), "sigmoid")


def loop(task, seed, optimiser, steps, batch):
    """Train one member with a module and torch.optim: no part of the package but the start."""
    generator = torch.Generator().manual_seed(seed)
    sigma = {"tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[task.activation]
    first, hidden, last = task.widths
    net = torch.nn.Sequential(torch.nn.Linear(first, hidden), sigma(), torch.nn.Linear(hidden, last)).double()
    net.load_state_dict(task.init(generator))
    loss = torch.nn.CrossEntropyLoss() if task.targets.dtype == torch.int64 else torch.nn.MSELoss()
    optimizer, n = optimiser(net.parameters()), len(task.inputs)
    for step in range(steps):
        size = batch or n
        if step % (n // size) == 0:
            order = torch.randperm(n, generator=generator) if batch else torch.arange(n)
        rows = order[step % (n // size) * size :][:size]
        optimizer.zero_grad()
        loss(net(task.inputs[rows]), task.targets[rows]).backward()
        optimizer.step()
    return net.state_dict(), float(loss(net(task.inputs), task.targets).detach())


OPTIMISERS = {
    "sgd": (SGD(0.3), lambda p: torch.optim.SGD(p, 0.3)),
    "decay": (SGD(0.3, weight_decay=0.1), lambda p: torch.optim.SGD(p, 0.3, weight_decay=0.1)),
    "momentum": (SGD(0.1, 0.9), lambda p: torch.optim.SGD(p, 0.1, 0.9)),
    "nesterov": (
        SGD(0.1, 0.8, True, 0.01),
        lambda p: torch.optim.SGD(p, 0.1, 0.8, nesterov=True, weight_decay=0.01),
    ),
    "adam": (Adam(0.02), lambda p: torch.optim.Adam(p, 0.02)),
    "adam decay": (
        Adam(0.02, (0.8, 0.99), 1e-6, 0.1),
        lambda p: torch.optim.Adam(p, 0.02, (0.8, 0.99), 1e-6, weight_decay=0.1),
    ),
    "adamw": (Adam(0.02, weight_decay=0.1, decoupled=True), lambda p: torch.optim.AdamW(p, 0.02, weight_decay=0.1)),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_step_is_that_of_torch_optim(name):
    ours, theirs = OPTIMISERS[name]
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(3, 8, generator=generator, dtype=torch.float64)
    leaves = [row.clone().requires_grad_() for row in theta]
    optimizers, state = [theirs([leaf]) for leaf in leaves], ours.start(theta)
    for step in range(1, 30):
        grad = torch.randn(3, 8, generator=generator, dtype=torch.float64)
        for leaf, optimizer, row in zip(leaves, optimizers, grad, strict=True):
            leaf.grad = row.clone()
            optimizer.step()
        ours.step(theta, grad.clone(), state, step)
        torch.testing.assert_close(theta, torch.stack(leaves).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch", [None, 7])
@pytest.mark.parametrize("task", [classes(), curve()], ids=["classes", "curve"])
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_members_are_those_of_a_loop_with_torch_optim(task, batch, name):
    ours, theirs = OPTIMISERS[name]
    found = sweep(task, [4, 0, 9], optimiser=ours, steps=40, batch=batch)
    for index, seed in enumerate((4, 0, 9)):
        params, loss = loop(task, seed, theirs, 40, batch)
        torch.testing.assert_close(found.member(index), dict(params), rtol=0, atol=1e-12)
        assert found.loss[index] == pytest.approx(loss, abs=1e-12)
    assert found.counts() == {"exhausted": 3}
    assert found.steps.tolist() == [40] * 3
    assert found.seeds.tolist() == [4, 0, 9]


def same(one, other):
    """Whether two sweeps of the same seeds, in any order, are equal bit by bit."""
    one = one.take([one.seeds.tolist().index(seed) for seed in other.seeds.tolist()])
    arrays = ((getattr(one, part), getattr(other, part)) for part in ("seeds", "status", "steps", "loss"))
    tensors = ((one.parameters[name], other.parameters[name]) for name in one.parameters)
    return (
        all((left == right).all() for left, right in arrays)
        and all(torch.equal(left, right) for left, right in tensors)
        and one.message == other.message
        and one.parameters.keys() == other.parameters.keys()
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("batch", [None, 5])
def test_a_member_is_the_same_bit_by_bit_in_all_chunks_and_whoever_trains_beside_it(batch, dtype):
    # 33 hidden neurons: rows that end within a vector, where place and number of members show otherwise (see below).
    task, rule = classes(n=48, dtype=dtype, widths=(6, 33, 10)), Until(loss=1.5, every=1)
    run = partial(sweep, task, optimiser=Adam(0.02), steps=60, batch=batch, until=rule)
    whole = run(11, chunk=11)
    assert len(set(whole.steps.tolist())) > 2  # members end at several times
    assert all(same(run(11, chunk=chunk), whole) for chunk in (1, 2, 3, 7))
    assert same(run(range(10, -1, -1), chunk=4), whole)
    assert all(same(run([seed]), whole.take([seed])) for seed in (3, 10))
    crowd = run([5, 200, 133, 7, 9000, 8], chunk=5)  # 5 and 133 have one slot: one after the other
    assert same(crowd.take([0, 3, 5]), whole.take([5, 7, 8]))


def test_other_slots_round_differently_and_no_more():
    # Were they the same bits on this machine, the test above would show nothing: its sizes were chosen so that they
    # differ where each member trains in as many slots as there are members in its chunk.
    task = classes(n=48, widths=(6, 33, 10))
    runs = [sweep(task, 11, optimiser=Adam(0.02), steps=60, batch=5, slots=slots) for slots in (11, 7, 2, 1)]
    for run in runs[1:]:
        torch.testing.assert_close(run.parameters, runs[0].parameters, rtol=0, atol=1e-12)
    assert not all(same(run, runs[0]) for run in runs)


def test_where_data_lie_in_memory_changes_no_bit():
    # Products of matrices round by the place and the strides of what they are given: these sizes show it here.
    task = classes(n=300, widths=(64, 33, 10))
    odd = torch.empty(300 * 64 + 1, dtype=torch.float64)[1:].view(300, 64).copy_(task.inputs)
    for inputs in (odd, task.inputs.T.contiguous().T, task.inputs.repeat(1, 2)[:, :64]):
        assert torch.equal(inputs, task.inputs)
        for batch, held_out in ((None, None), (150, task.data)):
            runs = [
                sweep(
                    replace(task, inputs=each),
                    3,
                    optimiser=Adam(0.02),
                    steps=15,
                    batch=batch,
                    until=Until(patience=50, every=1, data=held_out and (each, task.targets)),
                )
                for each in (inputs, task.inputs)
            ]
            assert same(*runs)


def test_small_integers_of_numpy_are_numbers_like_others(tmp_path):
    task, u8 = classes(n=300, widths=(3, 2, 4)), np.uint8
    plain = {"steps": 3, "batch": 100, "chunk": 200, "slots": 128, "until": Until(loss=-1.0, every=1)}
    small = plain | {"steps": u8(3), "batch": u8(100), "chunk": u8(200), "slots": u8(128)}
    wanted = sweep(task, 300, optimiser=SGD(0.1), checkpoint=tmp_path, **plain)
    assert same(sweep(task, 300, optimiser=SGD(0.1), **small), wanted)
    small["optimiser"] = SGD(np.float64(0.1))
    assert same(sweep(task, 300, checkpoint=tmp_path, **small), wanted)
    late = sweep(Bowl(), 2, optimiser=SGD(0.01), steps=300, until=Until(patience=2, every=u8(200)))
    assert late.steps.tolist() == [300, 300]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=25), st.integers(1, 16))
def test_groups_hold_every_seed_once_and_no_slot_twice_in_as_few_as_can_be(seeds, slots):
    groups = grouped(seeds, slots)
    assert sorted(seed for group in groups for seed in group) == sorted(seeds)
    assert all(len({seed % slots for seed in group}) == len(group) > 0 for group in groups)
    assert len(groups) == max(sum(seed % slots == slot for seed in seeds) for slot in range(slots))


def test_wrong_slots_are_named():
    with pytest.raises(ValueError, match="parameters must be >= 1, got 0"):
        fitting_slots(0, 16)
    with pytest.raises(ValueError, match="batch must be >= 0, got -1"):
        fitting_slots(13, -1)
    with pytest.raises(ValueError, match="slots must be >= 1, got 0"):
        grouped([1, 2], 0)


def test_slots_are_as_many_as_keep_a_step_short():
    for parameters, batch in itertools.product((1, 610, 2410, 4810, 400_000), (0, 1, 16, 60_000)):
        slots = fitting_slots(parameters, batch)
        assert slots in {1, 2, 4, 8, 16, 32, 64, 128}
        assert slots == 1 or slots * parameters * max(batch, 16) <= 2**23
        assert slots == 128 or 2 * slots * parameters * max(batch, 16) > 2**23


def test_the_same_sweep_is_the_same_bit_by_bit_and_global_randomness_is_left_alone():
    before = torch.get_rng_state()
    first, second = (sweep(classes(), 5, steps=30, batch=4) for _ in range(2))
    assert all(torch.equal(first.parameters[name], second.parameters[name]) for name in first.parameters)
    assert not torch.equal(first.parameters["0.weight"][0], first.parameters["0.weight"][1])
    assert torch.equal(before, torch.get_rng_state())


def test_each_member_goes_through_all_examples_once_an_epoch_in_its_own_order(monkeypatch):
    task = classes(n=7, widths=(3, 4))
    seen = []
    inner = members._Members._batch
    monkeypatch.setattr(members._Members, "_batch", lambda *args: seen.append(inner(*args)) or seen[-1])
    sweep(task, 2, steps=6, batch=2, slots=2)
    rows = torch.stack([(inputs[:, :, None] == task.inputs).all(-1).int().argmax(-1) for inputs, _ in seen])
    assert rows.shape == (6, 2, 2)  # step, member, example: two epochs of three batches, one example left out
    for member in (0, 1):
        epochs = rows[:, member].reshape(2, 6).tolist()
        assert all(len(set(epoch)) == 6 for epoch in epochs)
        assert epochs[0] != epochs[1]
    assert (rows[:, 0] != rows[:, 1]).any()


# --- how members end ------------------------------------------------------------------------------------------------


def test_goals_end_a_member_at_the_judgement_that_first_sees_them():
    # θ halves at every step, so that the loss is θ₀² 4^-t / 2 and the gradient θ₀ 2^-t, exactly
    starts = torch.stack([Bowl().init(torch.Generator().manual_seed(seed))["theta"][0] for seed in range(6)])
    for rule, wanted in (
        (Until(loss=1e-3, every=3), (starts.square() / 2e-3).log() / math.log(4)),
        (Until(gradient=1e-3, every=3), (starts.abs() / 1e-3).log2()),
    ):
        found = sweep(Bowl(), 6, optimiser=SGD(0.5), until=rule, steps=100)
        assert found.counts() == {"converged": 6}
        assert found.steps.tolist() == [3 * max(0, math.ceil(steps / 3)) for steps in wanted.tolist()]
        torch.testing.assert_close(found.parameters["theta"][:, 0], starts * 0.5 ** torch.from_numpy(found.steps))
        assert "<= 0.001 after" in found.message[0]


def test_patience_judges_held_out_data_and_the_loss_is_that_of_the_tasks_own():
    task = Bowl(data=(torch.ones(4, dtype=torch.float64),))
    worse = (torch.full((2,), -1.0, dtype=torch.float64),)  # on which the loss rises from below while θ shrinks
    found = sweep(task, 3, optimiser=SGD(0.5), until=Until(patience=2, every=1, data=worse), steps=50)
    assert found.counts() == {"stopped": 3}
    assert found.steps.tolist() == [2] * 3
    np.testing.assert_allclose(found.loss, found.parameters["theta"][:, 0].square() / 2)
    assert "not improved on in 2 judgements" in found.message[0]
    assert sweep(task, 3, optimiser=SGD(0.5), until=Until(patience=2), steps=50).counts() == {"exhausted": 3}


def ends(rule, *losses):
    """The statuses with which a rule ends one member, judgement by judgement; the first loss is that of the start."""
    first, *rest = (torch.tensor([loss]) for loss in losses)
    state = rule.start(first)
    return [rule.judge(loss, None, state).get(0, ("going",))[0] for loss in rest]


def test_patience_wants_more_than_the_margin():
    assert ends(Until(patience=2, margin=0.5), 9.0, 8.0, 7.75, 7.5) == ["going", "going", "stopped"]
    assert ends(Until(patience=2, margin=0.5), 9.0, 8.0, 7.75, 7.25) == ["going"] * 3  # from 8.0, the best so far
    assert ends(Until(patience=2), 9.0, 8.0, 7.75, 7.5) == ["going"] * 3


def test_a_loss_that_starts_small_blows_up_from_one_on():
    assert ends(Until(blowup=10.0), 0.01, 9.0, 11.0) == ["going", "diverged"]
    assert ends(Until(blowup=10.0), -3.0, 29.0, 31.0) == ["going", "diverged"]


def test_members_that_are_nan_or_blow_up_diverge_and_the_others_do_not_notice():
    found = sweep(Root(), 12, optimiser=SGD(0.05), steps=400)
    starts = np.array([Root().init(torch.Generator().manual_seed(seed))["theta"] for seed in range(12)])
    assert (found.status == "diverged").all()
    assert (found.steps[starts < 0] == 0).all()
    assert (found.steps[starts > 0] > 0).all()
    assert np.isnan(found.loss).all()
    assert found.message[int((starts < 0).argmax())] == "loss nan after 0 steps"
    mixed = sweep(Root(), 12, optimiser=SGD(0.05), steps=5)
    alive = mixed.status == "exhausted"
    assert 0 < alive.sum() < 12
    alone = sweep(Root(), np.flatnonzero(alive).tolist(), optimiser=SGD(0.05), steps=5, chunk=1)
    assert (alone.loss == mixed.loss[alive]).all()
    loud = sweep(Bowl(), 2, optimiser=SGD(3.0), steps=40)  # θ doubles: finite, and far above its start
    assert loud.counts() == {"diverged": 2}
    assert "more than 1e+06 times the first after 40 steps" in loud.message[0]
    assert sweep(Bowl(), 2, optimiser=SGD(3.0), steps=2000).message[0].startswith("loss inf after 5")


def test_a_group_is_over_once_its_last_member_has_ended():
    rows = []

    class Counting(SGD):
        def step(self, theta, grad, state, t):
            rows.append((len(theta), t))
            super().step(theta, grad, state, t)

    rule = Until(loss=1.0, every=1)
    found = sweep(Bowl(start=1e3), 32, optimiser=Counting(0.5), until=rule, steps=60, slots=8)
    assert len(set(found.steps.tolist())) > 2
    longest = found.steps.reshape(4, 8).max(axis=1)  # groups of eight seeds in a row
    assert rows == [(8, t) for steps in longest for t in range(1, steps + 1)]


def test_steps_may_be_none_at_all():
    found = sweep(classes(), 3, steps=0)
    assert found.counts() == {"exhausted": 3}
    torch.testing.assert_close(found.member(1), classes().init(torch.Generator().manual_seed(1)))


# --- the rest -------------------------------------------------------------------------------------------------------


def test_several_widths_beside_each_other():
    tasks = {width: classes(widths=(3, width, 4)) for width in (2, 6)}
    found = sweep_each(tasks, 3, steps=20, chunk=2)
    for width, task in tasks.items():
        alone = sweep(task, 3, steps=20, chunk=2)
        assert (found[width].loss == alone.loss).all()
        assert found[width].parameters["0.weight"].shape == (3, width, 3)


def test_the_perceptron_is_the_mlp_of_the_package():
    task = classes()
    params = task.init(torch.Generator().manual_seed(0))
    logits = mlp.forward(params, task.inputs, "tanh")
    assert torch.equal(task.predict(params, task.inputs), logits)
    wanted = torch.nn.functional.cross_entropy(logits, task.targets)
    assert task.loss(params, task.data) == pytest.approx(float(wanted), abs=1e-14)
    far = Perceptron((1, 2), torch.tensor([[1e4]]), torch.tensor([0]))
    params = {"0.weight": torch.tensor([[-1.0], [1.0]]), "0.bias": torch.zeros(2)}
    assert float(far.loss(params, far.data)) == 2e4  # logits that an exponential does not survive


def test_only_losses():
    found = sweep(classes(), 4, steps=3, keep="losses", chunk=3)
    assert (found.loss == sweep(classes(), 4, steps=3, chunk=3).loss).all()
    assert found.parameters == {}
    with pytest.raises(ValueError, match="only losses were kept"):
        found.member(0)


def test_a_bar_is_shown_on_demand(capfd):
    sweep(classes(), 4, steps=2, chunk=3, progress=True)
    assert "4/4" in capfd.readouterr().err
    sweep(classes(), 4, steps=2, chunk=3)
    assert capfd.readouterr().err == ""


class Numbers:
    """No executor."""

    def submit(self, *_):
        return 4


NAN = torch.full((1, 3), math.nan, dtype=torch.float64)
GOOD = classes()
BAD = [
    ({"seeds": 0}, ValueError, "seeds must be >= 1, got 0"),
    ({"seeds": []}, ValueError, "seeds must be different"),
    ({"seeds": [1, 1]}, ValueError, "seeds must be different"),
    ({"seeds": [-1]}, ValueError, "seed must be >= 0, got -1"),
    ({"seeds": [2**63]}, ValueError, "below 2**63"),
    ({"seeds": 10**30}, ValueError, "seeds must be at most 100000000, got 1000000000000000000000000000000"),
    ({"slots": 2**63}, ValueError, "slots must be below 2**63"),
    ({"batch": 10**5000}, ValueError, "number of examples, 24, got a value of type int that cannot be printed"),
    ({"seeds": "ab"}, TypeError, "seeds must be integers, or how many, got 'ab'"),
    ({"seeds": b"x"}, TypeError, "seeds must be integers, or how many, got b'x'"),
    ({"seeds": 1.5}, TypeError, "seeds must be an integer"),
    ({"steps": -1}, ValueError, "steps must be >= 0"),
    ({"batch": 0}, ValueError, "batch must be >= 1"),
    ({"batch": 25}, ValueError, "batch must be at most the number of examples, 24, got 25"),
    ({"chunk": 0}, ValueError, "chunk must be >= 1"),
    ({"slots": 0}, ValueError, "slots must be >= 1"),
    ({"slots": 2.0}, TypeError, "slots must be an integer"),
    ({"keep": "all"}, ValueError, "keep must be 'parameters' or 'losses', got 'all'"),
    ({"optimiser": "adam"}, TypeError, "optimiser must be SGD(...), Adam(...)"),
    *(({"optimiser": wrong}, TypeError, "optimiser must be SGD(...), Adam(...)") for wrong in (0, {}, [], Adam)),
    ({"optimiser": np.ones(2)}, TypeError, "optimiser must be SGD(...), Adam(...)"),
    ({"until": 0.1}, TypeError, "until must be Until(...), got 0.1"),
    *(({"until": wrong}, TypeError, "until must be Until(...)") for wrong in (0, {}, [], np.ones(2))),
    ({"keep": np.array([])}, ValueError, "keep must be 'parameters' or 'losses'"),
    ({"executor": 4}, TypeError, "executor must be a concurrent.futures.Executor, got 4"),
    ({"executor": ThreadPoolExecutor}, TypeError, "executor must be a concurrent.futures.Executor, got <class"),
    ({"executor": Numbers()}, TypeError, "executor.submit must return a concurrent.futures.Future, got 4"),
    ({"until": Until(data=())}, ValueError, "until.data must hold 2 tensors, as task.data does, got 0"),
    ({"until": Until(data=(torch.ones(2, 9).double(), torch.ones(2).long()))}, ValueError, "until.data must fit"),
    ({"until": Until(data=(torch.ones(2, 3), torch.ones(2).long()))}, ValueError, "until.data must fit"),
    ({"until": Until(data=(torch.ones(1, 3).double(), torch.ones(2).long()))}, ValueError, "one number of rows >= 1"),
    ({"until": Until(data=(NAN, torch.ones(1).long()))}, ValueError, "until.data must be finite"),
    ({"progress": 1}, TypeError, "progress must be True or False"),
    ({"checkpoint": 3}, TypeError, "checkpoint must be a folder's path, got 3"),
    ({"task": "digits"}, TypeError, "task must be a frozen dataclass with init, loss and data"),
    ({"task": Perceptron}, TypeError, "task must be a frozen dataclass with init, loss and data"),
    ({"task": Bowl(data=None)}, TypeError, "task.data must be a tuple of tensors"),
    ({"task": Bowl(data=(torch.ones(2), torch.ones(3)))}, ValueError, "one number of rows >= 1, got [2, 3]"),
]


def test_members_are_taken_by_their_places_and_by_nothing_else(refuses):
    found = sweep(GOOD, [5, 6, 7], steps=0)
    for rows in ([2, 0, 2], np.array([2, 0, 2], dtype=np.uint8), torch.tensor([2, 0, 2])):
        taken = found.take(rows)
        assert taken.seeds.tolist() == [7, 5, 7]
        assert torch.equal(taken.parameters["0.weight"][1], found.parameters["0.weight"][0])
    assert len(found.take([])) == len(found.take(np.flatnonzero(found.status == "diverged"))) == 0
    for wrong in ([0.9, 1.7], [True, False, True], ["1"], 0, [math.nan], None, [[0]], [None], [[0], [1, 2]]):
        refuses(lambda wrong=wrong: found.take(wrong), TypeError, "rows must be a list or a 1-d array of integers")
    for wrong in ([-1], [99], [3]):
        refuses(lambda wrong=wrong: found.take(wrong), ValueError, "rows must lie in 0 .. 2")


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_makes_no_sense_is_refused(refuses, change, error, message):
    arguments = {"task": GOOD, "seeds": 2, "steps": 2} | change
    refuses(lambda: sweep(arguments.pop("task"), arguments.pop("seeds"), **arguments), error, message)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SGD(0.0), ValueError, "lr must be finite and > 0, got 0.0"),
        (lambda: SGD(0.1, 1.0), ValueError, "momentum must lie in [0, 1), got 1.0"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "nesterov needs momentum > 0"),
        (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay must be >= 0"),
        (lambda: Adam(betas=(0.9, 1.0)), ValueError, "beta_2 must lie in [0, 1), got 1.0"),
        (lambda: Adam(betas=0.9), TypeError, "betas must be a pair"),
        (lambda: Adam(eps=0), ValueError, "eps must be finite and > 0"),
        (lambda: Until(gradient=0), ValueError, "gradient must be finite and > 0"),
        (lambda: Until(loss=math.nan), ValueError, "loss must be finite"),
        (lambda: Until(every=0), ValueError, "every must be >= 1"),
        (lambda: Until(patience=0), ValueError, "patience must be >= 1"),
        (lambda: Until(patience=10**400), ValueError, "patience must be below 2**63"),
        (lambda: Until(margin=-1), ValueError, "margin must be >= 0"),
        (lambda: Until(blowup=1), ValueError, "blowup must be > 1"),
        (lambda: Until(data=torch.ones(2)), TypeError, "data must be a tuple of tensors"),
        (
            lambda: Perceptron((2, 1), torch.ones(3, 2), torch.ones(3)),
            ValueError,
            "targets (3, 1), got (3, 2) and (3,)",
        ),
        (lambda: Perceptron((2, 1), torch.ones(3, 2), torch.tensor([0, 1, 0])), ValueError, "lie in 0 .. 0, got 1"),
        (lambda: Perceptron((2, 1), torch.full((1, 2), math.nan), torch.tensor([0])), ValueError, "must be finite"),
        (lambda: Perceptron((2, 1), [[1.0, 2.0]], torch.tensor([0])), TypeError, "inputs must be a torch.Tensor"),
        (lambda: Perceptron((2, 1), torch.ones(1, 2, device="meta"), torch.tensor([0])), ValueError, "with entries"),
        (lambda: Perceptron((2, 1), torch.ones(1, 2).to_sparse(), torch.tensor([0])), ValueError, "be a dense tensor"),
        (lambda: Perceptron((2, 1), torch.ones(1, 2).int(), torch.tensor([0])), TypeError, "inputs must be floating"),
        (lambda: sweep_each({}, 2), TypeError, "tasks must be a mapping"),
        (lambda: sweep_each({"a": GOOD}, 2, optimiser=0), TypeError, "optimiser must be SGD"),
        (lambda: sweep_each({"a": GOOD}, 2, until=[]), TypeError, "until must be Until"),
        (lambda: sweep_each({"a/b": GOOD}, 2, checkpoint="x"), ValueError, "one folder each"),
        (lambda: sweep(GOOD, 2, steps=0).member(2), ValueError, "below the number of members, 2, got 2"),
    ],
)
def test_numbers_outside_their_range_are_refused(refuses, call, error, message):
    refuses(call, error, message)


def test_tasks_that_are_none_are_refused(refuses):
    @dataclass(frozen=True, eq=False)
    class Odd(Bowl):
        kind: str = ""

        def init(self, generator):
            one, seed = torch.ones(1), generator.initial_seed()
            return {
                "mixed": {"a": one, "b": one.double()},
                "none": {},
                "shapes": {"theta": torch.ones(3 - seed)},
                "names": {f"theta{seed}": one},
                "dtypes": {"theta": one.double() if seed else one},
            }.get(self.kind, super().init(generator))

        def loss(self, params, batch):
            if self.kind == "vector":
                return params["theta"]
            return torch.tensor(1.0) if self.kind == "constant" else next(iter(params.values())).sum()

    refuses(lambda: sweep(Odd(kind="mixed"), 1), TypeError, "must be of one floating dtype")
    refuses(lambda: sweep(Odd(kind="none"), 1), TypeError, "task.init must return tensors by name")
    refuses(lambda: sweep(Odd(kind="vector"), 1), ValueError, "must return a scalar tensor")
    refuses(lambda: sweep(Odd(kind="constant"), 1), ValueError, "depends on the parameters")
    for kind in ("shapes", "names", "dtypes"):
        for chunk, slots, finished in ((2, 2, []), (2, 1, []), (1, 2, [0])):
            with pytest.raises(SweepError, match="must return the same names, shapes and dtype for every") as caught:
                sweep(Odd(kind=kind), 2, steps=1, chunk=chunk, slots=slots)
            assert caught.value.finished.seeds.tolist() == finished
