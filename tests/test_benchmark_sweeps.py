"""The benchmark of sweeps runs in small, and notices if loop and sweep do not train the same networks."""

from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_smoke_sizes_run(capsys):
    from benchmarks import sweeps

    sweeps.main(smoke=True)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("chunks, float") for line in lines) == 2
    assert [line.split()[:3] for line in lines[-2:]] == [["16", "16", "float64"], ["16", "16", "float32"]]


def test_other_networks_fail_the_benchmark(monkeypatch):
    from benchmarks import sweeps

    task = sweeps.digits(4)
    gap = float(sweeps.measure(task, 2, 3, 8, rounds=1, sample=1).split()[-1])
    assert 0 <= gap <= 1e-12  # rounding alone, or none
    swept = sweeps.swept
    monkeypatch.setattr(sweeps, "swept", lambda *args: replace(swept(*args), loss=swept(*args).loss + 2e-5))
    with pytest.raises(ValueError, match="do not train the same networks"):
        sweeps.measure(task, 2, 3, 8, rounds=1, sample=1)
