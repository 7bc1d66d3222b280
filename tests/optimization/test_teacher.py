"""Descent on the population loss: every verdict meets a run that deserves it, and no other."""

import math
import os
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import fields
from multiprocessing import get_context

import numpy as np
import pytest

from fnequiv.optimization import descent, teacher
from fnequiv.optimization.population import gradient, hessian, population_loss
from fnequiv.optimization.teacher import STATUSES, TrainingError, draw_starts, orthonormal_teacher, train


def same(left, right):
    return all(
        np.array_equal(getattr(left, field.name), getattr(right, field.name), equal_nan=field.name != "status")
        for field in fields(left)
    )


@pytest.fixture(scope="module")
def eights():
    return train(draw_starts(200, 8, 8, np.random.default_rng(0)), orthonormal_teacher(8))


def test_every_run_converges_and_successes_are_the_teacher_in_another_order(eights):
    assert set(eights.status) == {"global minimum", "spurious minimum"}
    assert (eights.gradient_norm <= 1e-9).all()
    for run in np.flatnonzero(eights.status == "global minimum"):
        weights = eights.weights[run]
        places = weights.argmax(axis=1)
        assert sorted(places) == list(range(8))
        np.testing.assert_allclose(weights, np.eye(8)[places], atol=1e-7)
    assert np.linalg.norm(gradient(eights.weights, np.eye(8)), axis=(1, 2)).max() <= 1e-9


def test_failed_runs_sit_in_strict_minima_with_a_loss_far_from_zero(eights):
    failed = np.flatnonzero(eights.status == "spurious minimum")
    assert 10 <= len(failed) <= 50
    rng = np.random.default_rng(1)
    for run in failed:
        weights, loss = eights.weights[run], eights.loss[run]
        assert loss > 0.01
        least = np.linalg.eigvalsh(hessian(weights, np.eye(8)))[0]
        assert eights.least_curvature[run] == pytest.approx(least)
        assert least > 1e-3
        around = weights + 1e-3 * rng.normal(size=(200, 8, 8))
        assert (population_loss(around, np.eye(8)) > loss).all()
    assert np.isnan(np.delete(eights.least_curvature, failed)).all()


def test_long_steps_at_the_end_do_not_decide_where_a_run_ends(eights, monkeypatch):
    monkeypatch.setattr(descent, "_FINISHING", 0.0)
    plain = train(draw_starts(60, 8, 8, np.random.default_rng(0)), orthonormal_teacher(8))
    assert (plain.status == eights.status[:60]).all()
    assert len(set(plain.status)) == 2
    np.testing.assert_allclose(plain.weights, eights.weights[:60], atol=1e-6)
    assert plain.steps.sum() > 1.2 * eights.steps[:60].sum()


def test_plain_steps_never_raise_the_loss():
    weights, target = draw_starts(100, 9, 8, np.random.default_rng(2)), np.eye(8)
    before = population_loss(weights, target)
    for _ in range(300):
        weights = weights - gradient(weights, target) / 9
        loss = population_loss(weights, target)
        assert (loss <= before + 1e-14).all()
        before = loss


def test_with_a_neuron_to_spare_the_minima_are_flat_and_all_are_found():
    runs = train(draw_starts(60, 7, 6, np.random.default_rng(3)), orthonormal_teacher(6))
    assert runs.share("global minimum").hits == 60
    curvatures = [np.linalg.eigvalsh(hessian(weights, np.eye(6)))[0] for weights in runs.weights[:20]]
    assert np.max(np.abs(curvatures)) < 1e-3  # no strict minimum among them


def test_neurons_that_start_equal_stay_equal_and_end_in_a_saddle():
    for width in (2, 6):
        runs = train(np.full((1, width, width), 0.1), orthonormal_teacher(width))
        assert runs.status.tolist() == ["saddle point"]
        assert -2 < runs.least_curvature[0] < -0.5
        assert np.ptp(runs.weights) < 1e-6


def test_a_flat_minimum_is_a_minimum():
    # On a line, two rows that point one way have Σ w_i = 1 and nobody plays the teacher's other row: the loss is 1/4.
    runs = train([[[0.4], [0.9]]], [[1.0], [-1.0]])
    assert runs.status.tolist() == ["spurious minimum"]
    assert runs.loss[0] == pytest.approx(0.25)
    assert abs(runs.least_curvature[0]) < 1e-12


def test_runs_that_do_not_end_say_so_and_disturb_nobody():
    starts = draw_starts(3, 6, 6, np.random.default_rng(4))
    assert train(starts, orthonormal_teacher(6), max_steps=5).status.tolist() == ["not converged"] * 3
    assert (train(starts, orthonormal_teacher(6), max_steps=5).steps == 5).all()
    beyond = np.concatenate([starts, np.full((1, 6, 6), 1e308)])
    runs = train(beyond, orthonormal_teacher(6))
    assert runs.status[3] == "diverged"
    assert not np.isfinite(runs.loss[3])
    np.testing.assert_array_equal(runs.weights[:3], train(starts, orthonormal_teacher(6)).weights)


def test_a_solution_is_left_where_it_is():
    runs = train(np.eye(4)[None, ::-1], orthonormal_teacher(4))
    assert runs.steps.tolist() == [0]
    assert runs.status.tolist() == ["global minimum"]
    np.testing.assert_array_equal(runs.weights[0], np.eye(4)[::-1])


def test_chunks_and_executors_change_no_bit(monkeypatch):
    starts, target = draw_starts(20, 6, 6, np.random.default_rng(5)), orthonormal_teacher(6)
    kept = starts.copy()
    alone = train(starts, target)
    monkeypatch.setattr(teacher, "_CHUNK", 7)
    assert same(train(starts, target), alone)
    with ThreadPoolExecutor(2) as threads:
        assert same(train(starts, target, executor=threads), alone)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert same(train(starts, target, executor=processes), alone)
    descent.descend(starts, target, 1e-9, 10)
    np.testing.assert_array_equal(starts, kept)


def test_an_executor_that_takes_no_runs_is_named(refuses):
    starts, target = np.ones((3, 2, 2)), np.eye(2)
    with ThreadPoolExecutor(1) as closed:
        pass
    refuses(lambda: train(starts, target, executor=closed), TrainingError, "the same call with a new one")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as broken:
        with pytest.raises(BrokenExecutor):
            broken.submit(os._exit, 1).result()
        refuses(lambda: train(starts, target, executor=broken), TrainingError, "the same call with a new one")


class Dying(Executor):
    """Breaks at the third chunk, as a pool does whose worker dies: what it had is lost, and what comes after."""

    def __init__(self):
        self.calls = 0

    def submit(self, work, *arguments):
        self.calls += 1
        future = Future()
        if self.calls == 3:
            future.set_exception(BrokenExecutor("a worker died"))
        else:
            future.set_result(work(*arguments))
        return future


def test_what_was_finished_before_a_worker_died_is_kept(monkeypatch):
    starts, target = draw_starts(9, 3, 3, np.random.default_rng(1)), orthonormal_teacher(3)
    whole = train(starts, target)
    monkeypatch.setattr(teacher, "_CHUNK", 2)
    with pytest.raises(
        TrainingError, match=r"BrokenExecutor: a worker died; .* are in this error's .finished"
    ) as caught:
        train(starts, target, executor=Dying())
    kept = caught.value.finished
    assert len(kept.loss) == 4
    rest = train(starts[len(kept.loss) :], target)
    for field in fields(whole):
        both = np.concatenate([getattr(kept, field.name), getattr(rest, field.name)])
        np.testing.assert_array_equal(both, getattr(whole, field.name))
    with ThreadPoolExecutor(1) as closed:
        pass
    with pytest.raises(TrainingError) as caught:
        train(starts, target, executor=closed)
    assert caught.value.finished.weights.shape == (0, 3, 3)


def test_progress_counts_runs(capsys):
    train(draw_starts(3, 2, 2, np.random.default_rng(0)), orthonormal_teacher(2), progress=True)
    assert "3/3" in capsys.readouterr().err


def test_the_interval_is_wilsons(eights):
    found, z = eights.share(confidence=0.99), 2.5758293035489
    n, p = 200, found.hits / 200
    middle, half = (p + z**2 / (2 * n)), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert found.value == p
    assert found.low == pytest.approx((middle - half) / (1 + z**2 / n))
    assert found.high == pytest.approx((middle + half) / (1 + z**2 / n))
    assert sum(eights.share(status).hits for status in STATUSES) == 200


def test_starts_have_the_law_of_the_scheme():
    starts = draw_starts(2000, 12, 4, np.random.default_rng(6))
    assert starts.var() == pytest.approx(2 / (4 + 12), rel=0.02)
    assert np.mean(starts**4) / starts.var() ** 2 == pytest.approx(3, rel=0.05)
    assert abs(draw_starts(10, 12, 4, np.random.default_rng(6), scheme="pytorch")).max() <= 0.5
    np.testing.assert_array_equal(starts, draw_starts(2000, 12, 4, np.random.default_rng(6)))
    np.testing.assert_array_equal(orthonormal_teacher(2, 3), [[1, 0, 0], [0, 1, 0]])


def test_wrong_input_is_named(refuses, eights):
    rng, starts, target = np.random.default_rng(0), np.ones((1, 2, 2)), np.eye(2)
    refuses(lambda: orthonormal_teacher(0), ValueError, "k must be >= 1, got 0")
    refuses(lambda: orthonormal_teacher(3, 2), ValueError, "d must be >= 3, got 2")
    refuses(lambda: draw_starts(0, 2, 2, rng), ValueError, "runs must be >= 1")
    refuses(lambda: draw_starts(1, 2, 2, 0), TypeError, "rng must be a numpy.random.Generator")
    refuses(lambda: draw_starts(1, 2, 2, rng, scheme="xavier"), ValueError, "scheme must be one of")
    refuses(lambda: train(starts[0], target), ValueError, "starts must have shape [runs, n, d]")
    refuses(lambda: train(starts, np.eye(3)), ValueError, "with the same d")
    refuses(lambda: train(starts * math.nan, target), ValueError, "starts must be finite")
    refuses(lambda: train(starts, target, tolerance=0), ValueError, "tolerance must be finite and > 0")
    refuses(lambda: train(starts, target, max_steps=0), ValueError, "max_steps must be >= 1")
    refuses(lambda: train(starts, target, progress=1), TypeError, "progress must be True or False")
    refuses(lambda: train(starts, target, executor=2), TypeError, "executor must be a concurrent.futures.Executor")
    refuses(lambda: train(starts, target, executor=ThreadPoolExecutor), TypeError, "pass an instance")
    refuses(lambda: eights.share(np.array([])), ValueError, "status must be one of")
    refuses(lambda: eights.share("failed"), ValueError, "status must be one of global minimum")
    refuses(lambda: eights.share(confidence=95), ValueError, "confidence must be a probability in (0, 1)")
