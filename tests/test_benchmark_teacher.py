"""What the benchmark of teachers and students prints of the runs of a row."""

from pathlib import Path

import numpy as np
import pytest

from fnequiv.optimization.teacher import Runs

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_flattest_failure_is_no_saddle_point():
    from benchmarks.teacher import row

    status = np.array(["global minimum", "saddle point", "spurious minimum", "spurious minimum"])
    curvature = np.array([np.nan, -1.5, 0.04, 0.02])
    weights = np.eye(2)[None] * np.array([1.0, 2.0, 3.0, 4.0])[:, None, None]
    runs = Runs(weights, np.zeros(4), np.zeros(4), np.ones(4, dtype=np.intp), curvature, status)
    line = row(2, 2, runs, 1.0, 1.0)
    assert line.split()[2:4] == ["2", "50.0%"]
    assert " 0.0200 " in line
    assert "-1.5" not in line
    solved = Runs(weights, np.zeros(4), np.zeros(4), np.ones(4, dtype=np.intp), curvature, status[[0, 1, 0, 0]])
    assert row(2, 2, solved, 1.0, 1.0).split()[8] == "-"


def test_students_that_cannot_be_told_apart_are_not_counted():
    from benchmarks.teacher import row

    weights = 1 + np.arange(60)[:, None, None] * 0.9e-5  # a chain of 53 tolerances
    rest = (np.zeros(60), np.zeros(60), np.ones(60, dtype=np.intp), np.full(60, np.nan))
    line = row(1, 1, Runs(weights, *rest, np.full(60, "global minimum")), 1.0, 1.0)
    assert line.split()[-5:-2] == ["-"] * 3
