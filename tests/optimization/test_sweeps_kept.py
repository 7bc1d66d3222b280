"""What a sweep has finished survives: kills, dead workers, a full disk; and no other sweep takes it for its own."""

import errno
import io
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from fnequiv.optimization import fingerprints, members
from fnequiv.optimization.results import from_bytes, to_bytes
from fnequiv.optimization.sweeps import SGD, Adam, Perceptron, SweepError, Until, sweep, sweep_each

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from sweep_tasks import Bowl, Raising  # noqa: E402

sys.path.pop(0)


@pytest.fixture
def importable(monkeypatch):
    """Let workers import the tasks, and give each one thread."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def begun(log):
    return sorted(int(line) for line in Path(log).read_text(encoding="utf-8").split()) if Path(log).exists() else []


def same(found, wanted):
    assert (found.seeds == wanted.seeds).all()
    assert (found.status == wanted.status).all()
    assert found.message == wanted.message
    assert (found.loss == wanted.loss).all()
    torch.testing.assert_close(found.parameters, wanted.parameters, rtol=0, atol=0)


KILLED = """
import sys
from sweep_tasks import Bowl
from fnequiv.optimization.sweeps import SGD, sweep
folder, log, fuse = sys.argv[1:]
sweep(Bowl(log=log, fuse=fuse), 8, optimiser=SGD(0.1), steps=5, chunk=2, checkpoint=folder)
"""


def test_a_killed_sweep_loses_at_most_the_chunk_it_was_in(tmp_path, importable):
    folder, log, fuse = (str(tmp_path / name) for name in ("folder", "log", "fuse"))
    Path(fuse).touch()
    done = subprocess.run([sys.executable, "-c", KILLED, folder, log, fuse], check=False, timeout=60)
    assert done.returncode == 1
    assert begun(log) == [0, 0, 1, 2, 3, 4]  # the check of the task draws 0, too; 5 ends the process
    Path(fuse).unlink()
    arguments = {"optimiser": SGD(0.1), "steps": 5, "chunk": 2}
    found = sweep(Bowl(log=log, fuse=fuse), 8, checkpoint=folder, **arguments)
    assert begun(log)[-1] == 7
    assert [begun(log).count(seed) for seed in range(8)] == [3, 1, 1, 1, 2, 1, 1, 1]  # only 4 was begun twice
    same(found, sweep(Bowl(), 8, **arguments))


def test_what_a_killed_process_was_writing_is_never_read(tmp_path):
    arguments = {"optimiser": SGD(0.1), "steps": 4, "chunk": 2}
    wanted = sweep(Bowl(), 6, **arguments)
    for number, stage in enumerate(("head", "chunk")):  # killed while it wrote sweep.json, or the second chunk
        folder = tmp_path / stage
        if stage == "chunk":
            sweep(Bowl(), 2, checkpoint=folder, **arguments)
        folder.mkdir(exist_ok=True)
        torn = [folder / f".{name}.{pid}.tmp" for name in ("sweep.json", "0f.pt") for pid in (os.getpid(), 4)]
        for file in torn:
            file.write_bytes(b"half of it")
        same(sweep(Bowl(), 6, checkpoint=folder, **arguments), wanted)
        assert len(list(folder.glob("*.pt"))) == 3
        assert torn[1].read_bytes() == torn[3].read_bytes() == b"half of it"  # another process may be writing there
        assert torn[0].exists() == bool(number)  # written over and moved to its place


def test_a_worker_that_dies_takes_nothing_that_was_finished(tmp_path, importable):
    folder, log, fuse = (str(tmp_path / name) for name in ("folder", "log", "fuse"))
    Path(fuse).touch()
    task, arguments = Bowl(log=log, fuse=fuse), {"optimiser": SGD(0.1), "steps": 5, "chunk": 1, "checkpoint": folder}
    spawning = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawning) as pool,
        pytest.raises(SweepError, match=r"the executor broke, chunks unfinished: 3, .* goes on from") as caught,
    ):
        sweep(task, 8, executor=pool, **arguments)
    assert isinstance(caught.value.__cause__, BrokenProcessPool)
    finished = caught.value.finished
    assert finished.seeds.tolist() == [0, 1, 2, 3, 4]
    assert len(list(Path(folder).glob("*.pt"))) == 5
    Path(fuse).unlink()
    with ProcessPoolExecutor(1, mp_context=spawning) as pool:
        found = sweep(task, 8, executor=pool, **arguments)
    assert [begun(log).count(seed) for seed in range(8)] == [3, 1, 1, 1, 1, 1, 1, 1]  # the check draws 0, twice
    same(found.take(range(5)), finished)
    same(found, sweep(Bowl(), 8, optimiser=SGD(0.1), steps=5))


def test_on_a_dask_cluster(importable):
    distributed = pytest.importorskip("distributed", reason='Dask is not installed: pip install "fnequiv[test]"')
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    tasks = {width: Perceptron((3, width, 2), inputs, (inputs[:, 0] > 0).long()) for width in (2, 4)}
    arguments = {"optimiser": Adam(0.01), "steps": 20, "batch": 6, "chunk": 2}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = sweep_each(tasks, 4, executor=client.get_executor(), **arguments)
        with pytest.raises(SweepError, match="ZeroDivisionError"):
            sweep(Raising(), 2, executor=client.get_executor(), chunk=1)
    for width, here in sweep_each(tasks, 4, **arguments).items():
        same(found[width], here)


def test_a_chunk_that_raises_is_named_and_the_others_are_kept(tmp_path):
    for executor in (None, ThreadPoolExecutor(1)):
        with pytest.raises(
            SweepError, match="the chunk of seeds 1 to 1 ended with ZeroDivisionError: seed 1"
        ) as caught:
            sweep(Raising(), [4, 1, 3], chunk=1, steps=3, executor=executor)
        assert caught.value.finished.seeds.tolist() in ([4], [4, 3] if executor else [4])  # 3 may have begun
        with pytest.raises(SweepError, match="of seeds 1 to 1 of task 'a' ended") as caught:
            sweep_each({"a": Raising()}, [4, 1, 3], chunk=1, steps=3, executor=executor)
        assert caught.value.finished["a"].seeds.tolist()[0] == 4
    executor.shutdown()
    with pytest.raises(SweepError, match="was not finished, RuntimeError"):
        sweep(Bowl(), 2, steps=1, executor=executor)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path, monkeypatch):
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 3:  # the head and two chunks have room
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    arguments = {"optimiser": SGD(0.1), "steps": 4, "chunk": 2, "checkpoint": tmp_path}
    with pytest.raises(SweepError, match=r"seeds 4 to 5 could not be written, .*No space left.*: make room") as caught:
        sweep(Bowl(), 10, **arguments)
    assert caught.value.finished.seeds.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert not list(tmp_path.glob(".*"))  # nothing half written stays
    monkeypatch.setattr(os, "fsync", fsync)
    same(sweep(Bowl(), 10, **arguments), sweep(Bowl(), 10, optimiser=SGD(0.1), steps=4))


def test_a_checkpoint_serves_other_seeds_and_other_chunks(tmp_path, monkeypatch):
    asked, inner = [], members._Members.__init__
    monkeypatch.setattr(members._Members, "__init__", lambda *args: asked.append(args[2]) or inner(*args))
    arguments = {"optimiser": SGD(0.1), "steps": 4, "checkpoint": tmp_path}
    sweep(Bowl(), 5, chunk=2, **arguments)
    assert asked == [[0, 1], [2, 3], [4]]
    found = sweep(Bowl(), [9, 4, 0, 7], chunk=3, **arguments)
    assert asked[3:] == [[9, 7]]
    same(found, sweep(Bowl(), [9, 4, 0, 7], optimiser=SGD(0.1), steps=4))
    del asked[:]
    with ThreadPoolExecutor(1) as pool:
        sweep(Bowl(), 5, executor=pool, **arguments)
    assert asked == []
    sweep_each({2: Bowl(), "x": Bowl(start=2.0)}, 2, optimiser=SGD(0.1), steps=4, checkpoint=tmp_path / "each")
    assert {path.name for path in (tmp_path / "each").iterdir()} == {"2", "x"}


DATA = (torch.ones(3, dtype=torch.float64),)
OTHERS = {
    "task.scale": {"task": Bowl(DATA, scale=2.0)},
    "task.data": {"task": Bowl((torch.full((3,), 2.0, dtype=torch.float64),))},
    "recipe.steps": {"steps": 5},
    "recipe.batch": {"batch": 2},
    "recipe.optimiser": {"optimiser": SGD(0.2)},
    "recipe.until": {"until": Until(loss=0.1)},
    "recipe.keep": {"keep": "losses"},
    "recipe.slots": {"slots": 4},
}


@pytest.mark.parametrize("part", OTHERS)
def test_a_checkpoint_of_another_sweep_is_refused(tmp_path, part):
    arguments = {"optimiser": SGD(0.1), "steps": 4, "checkpoint": tmp_path, "task": Bowl(DATA)}
    sweep(seeds=2, **arguments)
    before = sorted(path.read_bytes() for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"holds another sweep: {part} differs. Give another folder, or remove"):
        sweep(seeds=2, **arguments | OTHERS[part])
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == before


def test_other_code_is_another_sweep(tmp_path, monkeypatch):
    class Changed(Bowl):
        def loss(self, params, batch):
            return 2 * super().loss(params, batch)

    sweep(Bowl(), 2, steps=1, checkpoint=tmp_path / "a")
    with pytest.raises(ValueError, match="another sweep: task differs"):
        sweep(Changed(), 2, steps=1, checkpoint=tmp_path / "a")
    monkeypatch.setattr(fingerprints, "__version__", "0.0.0")
    with pytest.raises(ValueError, match="another sweep: code differs"):
        sweep(Bowl(), 2, steps=1, checkpoint=tmp_path / "a")


def test_a_fingerprint_sees_every_kind_of_value(refuses):
    def same(a, b):
        def digest(value):
            return fingerprints.fingerprint(replace(Bowl(), data=value), None)

        return digest(a) == digest(b)

    def plain(x):
        return x

    def shifted(x):
        return x + 1

    one = torch.arange(6.0)
    assert same((one, {"a": [1, 2.5, None]}), (one.clone(), {"a": [1, 2.5, None]}))
    for a, b in [
        (one, one.double()),
        (one, one.reshape(2, 3)),
        (one, one.numpy()),
        (one.reshape(2, 3), one.reshape(3, 2).T),
        ((1, 2), [1, 2]),
        (("ab", "c"), ("a", "bc")),
        (1, True),
        ({"a": 1}, {"b": 1}),
        (SGD(0.1), SGD(0.2)),
        (torch.float32, torch.float64),
        (plain, shifted),
        (0.1, 0.1 + 1e-16),
    ]:
        assert same(a, a)
        assert not same(a, b)
    rule = "task.data must hold plain values, tensors or functions for a checkpoint"
    refuses(lambda: same(object(), 1), TypeError, rule)
    refuses(lambda: same(lambda x: x + one, 1), TypeError, "task.data is a function that uses ('one',) from around it")


def test_damaged_and_strange_files_are_named_and_nothing_in_them_runs(tmp_path, monkeypatch):
    arguments = {"optimiser": SGD(0.1), "steps": 4}
    sweep(Bowl(), 2, checkpoint=tmp_path / "a", **arguments)
    sweep(Bowl(start=2.0), 2, checkpoint=tmp_path / "b", **arguments)
    (file,) = (tmp_path / "a").glob("*.pt")
    content = file.read_bytes()
    file.write_bytes(next((tmp_path / "b").glob("*.pt")).read_bytes())
    with pytest.raises(ValueError, match="belongs to another sweep: move it"):
        sweep(Bowl(), 2, checkpoint=tmp_path / "a", **arguments)

    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    buffer = io.BytesIO()
    torch.save({"seeds": Harmful()}, buffer)
    harmful = buffer.getvalue()
    for wrong in (content[: len(content) // 2], b"", pickle.dumps(Harmful()), sha256(harmful).digest() + harmful):
        file.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"is damaged .*: remove it, and its members train again"):
            sweep(Bowl(), 2, checkpoint=tmp_path / "a", **arguments)
    assert not (tmp_path / "ran").exists()
    file.unlink()
    assert len(sweep(Bowl(), 2, checkpoint=tmp_path / "a", **arguments)) == 2
    (tmp_path / "a" / "sweep.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"sweep.json is damaged"):
        sweep(Bowl(), 2, checkpoint=tmp_path / "a", **arguments)


def test_bytes_go_both_ways():
    found = sweep(Bowl(), 3, optimiser=SGD(0.1), steps=4)
    again, digest = from_bytes(to_bytes(found, "12ab"))
    same(again, found)
    assert digest == "12ab"


def test_no_flipped_bit_is_taken_for_a_result():
    content = to_bytes(sweep(Bowl(), 2, optimiser=SGD(0.1), steps=4), "12ab")
    for bit in range(0, 8 * len(content), 7):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="not those that were written"):
            from_bytes(bytes(damaged))


MEMORY = """
import re, torch
from pathlib import Path
from sweep_tasks import Wide
from fnequiv.optimization.sweeps import SGD, sweep
def peak(seeds, chunk, slots):
    sweep(Wide(), seeds, optimiser=SGD(0.1, 0.9), steps=2, chunk=chunk, slots=slots, keep="losses")
    # getrusage would begin with the memory of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
peak(1, 1, 1)
print(peak(8, 4, 4), peak(64, 4, 4), peak(64, 64, 4), peak(64, 64, 32))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_memory_follows_slots_and_chunk_not_the_number_of_seeds(importable):
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=60)
    few, many, whole, wide = map(float, done.stdout.split())
    member = 200_000 * 4 / 2**20  # MB of one member's parameters
    assert many - few < 8 * member  # 56 members more, 14 chunks
    assert whole - many < 8 * member  # 60 members more in a chunk, of which losses are kept
    assert wide - whole > 28 * member  # 28 members more side by side


@pytest.mark.parametrize("name", ["", ".."])
def test_a_checkpoint_stays_in_its_folder(refuses, tmp_path, name):
    refuses(
        lambda: sweep_each({name: Bowl()}, 2, optimiser=SGD(0.1), steps=1, checkpoint=tmp_path / "kept"),
        ValueError,
        "one folder each",
    )
    file = tmp_path / "file"
    file.write_text("not a folder", encoding="utf-8")
    for wrong in ("", file, "a\0b", "x" * 300, file / "below", tmp_path / ("x" * 300)):
        for call in (sweep, lambda task, *args, **options: sweep_each({"k": task}, *args, **options)):
            with pytest.raises(ValueError, match=r"a folder's path|cannot be written") as caught:
                call(Bowl(), 2, optimiser=SGD(0.1), steps=1, checkpoint=wrong)
            assert type(caught.value) is ValueError
    for odd in (3, b"bytes"):
        refuses(lambda odd=odd: sweep_each({"k": Bowl()}, 2, checkpoint=odd), TypeError, "a folder's path")


def test_a_folder_that_takes_nothing_is_named_before_anything_is_trained(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match=r"cannot be written, .*No space left.*: name another folder"):
        sweep(Bowl(), 2, steps=1, checkpoint=tmp_path / "full")
    assert not list((tmp_path / "full").iterdir())
    monkeypatch.undo()
    sweep(Bowl(), 2, steps=1, checkpoint=tmp_path / "a")
    (tmp_path / "a" / "x.pt").mkdir()
    with pytest.raises(ValueError, match=r"x.pt is damaged .*: remove it"):
        sweep(Bowl(), 2, steps=1, checkpoint=tmp_path / "a")
