"""The peers: functions that move the units of a network a so that its weights come close to those of b.

* ``plain``: weight matching as Algorithm 1 of Ainsworth et al. (2023) describes it, in a few lines of our own.
* ``rebasin``: the package of that name, https://github.com/snimu/rebasin (``pip install "fnequiv[bench]"``).
* ``git-re-basin-pytorch``: a repository without a package, https://github.com/themrzmaster/git-re-basin-pytorch. Clone
  it and set the environment variable GIT_RE_BASIN_PYTORCH to the folder. None of its code is here.

A peer that is not installed is listed with the reason, never left out in silence.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from scipy.optimize import linear_sum_assignment

from benchmarks._planted import Architecture, Params
from fnequiv.symmetry import Axis, Block, SymmetrySpec

Match = Callable[[Architecture, Params, Params], Mapping[str, torch.Tensor]]
VARIABLE = "GIT_RE_BASIN_PYTORCH"


@dataclass(frozen=True)
class Peer:
    """A peer's name and its function (a's units moved), or None and why it is absent."""

    name: str
    match: Match | None
    absent: str = ""


@cache
def peers() -> tuple[Peer, ...]:
    """Return all peers, the absent ones included."""
    return Peer("plain", _plain), _git_re_basin_pytorch(), _rebasin()


def absences(found: tuple[Peer, ...]) -> str:
    """Return a line for every peer that is not installed."""
    return "\n".join(f"absent: {peer.name} ({peer.absent})" for peer in found if peer.match is None)


def _rows(tensor: torch.Tensor, axis: Axis, block: Block) -> torch.Tensor:
    return tensor.movedim(axis.axis, 0).reshape(block.size, -1)


def weight_matching(a: Params, b: Params, spec: SymmetrySpec, seed: int = 0) -> Params:
    """Permute one block after the other, in random order, by linear assignment, until no block gains any more."""
    moved, generator = dict(a), torch.Generator().manual_seed(seed)
    improved = True
    while improved:
        improved = False
        for number in torch.randperm(len(spec.blocks), generator=generator).tolist():
            block = spec.blocks[number]
            parts = [
                _rows(b[axis.tensor], axis, block) @ _rows(moved[axis.tensor], axis, block).T for axis in block.axes
            ]
            gains = torch.stack(parts).sum(0)
            order = torch.from_numpy(linear_sum_assignment(gains.numpy(), maximize=True)[1])
            held = gains.trace()
            if gains.gather(1, order[:, None]).sum() > held + 1e-6 * held.abs():  # a gain beyond float32's rounding
                improved = True
                for axis in block.axes:
                    moved[axis.tensor] = moved[axis.tensor].index_select(axis.axis, order)
    return moved


def _plain(architecture: Architecture, a: Params, b: Params) -> Params:
    return weight_matching(a, b, architecture.spec)


def _rebasin() -> Peer:
    try:
        from rebasin import PermutationCoordinateDescent
    except ImportError as error:
        return Peer("rebasin", None, f"{error}: pip install 'fnequiv[bench]'")

    def match(architecture: Architecture, a: Params, b: Params) -> Mapping[str, torch.Tensor]:
        target, moved = architecture.module(), architecture.module()
        target.load_state_dict(b)
        moved.load_state_dict(a)
        PermutationCoordinateDescent(target, moved, torch.zeros(1, architecture.inputs)).rebasin()
        return {name: tensor.detach() for name, tensor in moved.state_dict().items()}

    return Peer("rebasin", match)


def _git_re_basin_pytorch() -> Peer:
    name, folder = "git-re-basin-pytorch", os.environ.get(VARIABLE)
    if not folder:
        return Peer(name, None, f"clone https://github.com/themrzmaster/{name} and set {VARIABLE} to the folder")
    path = Path(folder) / "utils" / "weight_matching.py"
    if not path.is_file():
        return Peer(name, None, f"{VARIABLE} is {folder!r}, which holds no utils/weight_matching.py")
    theirs = _load(path)

    def match(architecture: Architecture, a: Params, b: Params) -> Mapping[str, torch.Tensor]:
        spec = architecture.spec
        owner = {(axis.tensor, axis.axis): block.name for block in spec.blocks for axis in block.axes}
        places = {key: tuple(owner.get((key, dim)) for dim in range(len(shape))) for key, shape in spec.shapes.items()}
        permutations = theirs.permutation_spec_from_axes_to_perm(places)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints every step
            found = theirs.weight_matching(permutations, b, a)
        moved: Mapping[str, torch.Tensor] = theirs.apply_permutation(permutations, found, a)
        return moved

    return Peer(name, match)


def _load(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("git_re_basin_pytorch", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
