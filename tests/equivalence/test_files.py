"""Files: tensors come back bit for bit, and nothing in a file is ever run."""

import importlib
import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from fnequiv.equivalence.files import load


class Trap:
    """Unpickling this makes a directory: the proof that code ran."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def theta():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    with torch.no_grad():
        for index, parameter in enumerate(net.parameters()):
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) + index)
    return net.state_dict()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".safetensors"])
def test_tensors_come_back_bit_for_bit(tmp_path, theta, suffix):
    path = tmp_path / f"net{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(theta, path)
    for given in (path, str(path)):
        found = load(given)
        assert type(found) is dict
        assert found.keys() == theta.keys()
        assert all(torch.equal(found[name], theta[name]) and found[name].dtype == theta[name].dtype for name in theta)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors", ".pkl"])
@pytest.mark.parametrize("writer", ["pickle", "torch", "torch, old"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, theta, suffix, writer):
    proof, path = tmp_path / "ran", tmp_path / f"net{suffix}"
    payload = OrderedDict(theta, trap=Trap(str(proof)))
    if writer == "pickle":
        path.write_bytes(pickle.dumps(payload))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(ValueError, match=r"net\."):
        load(path)
    assert not proof.exists()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04N.", bytes(64)])
def test_damaged_files(tmp_path, suffix, content):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\."):
        load(path)


def test_truncated_files(tmp_path, theta):
    for suffix, save in ((".pt", torch.save), (".safetensors", save_file)):
        path = tmp_path / f"net{suffix}"
        save(theta, path)
        path.write_bytes(path.read_bytes()[:-50])
        with pytest.raises(ValueError, match=r"net\."):
            load(path)


def test_what_is_no_parameter_set(tmp_path, theta):
    for content, message in (
        (torch.ones(2), "holds a Tensor, not tensors by name"),
        ({"model": dict(theta), "epoch": 3}, "holds 'model', a dict"),
        ({0: torch.ones(2)}, "holds 0, a Tensor"),
    ):
        torch.save(content, tmp_path / "net.pt")
        with pytest.raises(ValueError, match=message):
            load(tmp_path / "net.pt")


def test_paths(tmp_path, theta):
    with pytest.raises(FileNotFoundError, match="no file at"):
        load(tmp_path / "missing.pt")
    with pytest.raises(FileNotFoundError, match="no file at"):
        load(tmp_path)
    with pytest.raises(TypeError, match="path must be"):
        load(theta)
    (tmp_path / "net.txt").write_text("0.weight = 1", encoding="utf-8")
    with pytest.raises(ValueError, match="no other kind of file is read"):
        load(tmp_path / "net.txt")


def test_without_the_reader_the_error_says_what_to_install(tmp_path, theta, monkeypatch):
    save_file(theta, tmp_path / "net.safetensors")
    known = importlib.import_module

    def missing(name, *rest):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return known(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"fnequiv\[safetensors\]"):
        load(tmp_path / "net.safetensors")


def test_files_without_tensors_and_names_without_files(tmp_path):
    torch.save({}, tmp_path / "none.pt")
    with pytest.raises(ValueError, match="holds no tensors"):
        load(tmp_path / "none.pt")
    (tmp_path / "folder.pt").mkdir()
    for path in (tmp_path / "folder.pt", tmp_path, tmp_path / "missing.pt", "x" * 5000 + ".pt", "a\0b.pt", ""):
        with pytest.raises(FileNotFoundError, match="no file at"):
            load(path)
