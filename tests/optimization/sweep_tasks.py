"""Tasks for the tests of sweeps, in a module that a spawned worker can import."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch


def _note(log, generator):
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{generator.initial_seed()}\n")


@dataclass(frozen=True, eq=False)
class Bowl:
    """The loss (scale · θ)² / 2 in one parameter, drawn normal; data scale it, if there are any."""

    data: tuple = ()
    scale: float = 1.0
    start: float = 1.0
    log: str = ""  # gets a line for every member that begins
    fuse: str = ""  # while this file is there, the member of seed 5 ends its process

    def init(self, generator):
        if self.fuse and generator.initial_seed() == 5 and Path(self.fuse).exists():
            os._exit(1)
        _note(self.log, generator)
        return {"theta": self.start * torch.randn(1, generator=generator, dtype=torch.float64)}

    def loss(self, params, batch):
        factor = batch[0].mean() if batch else 1.0
        return 0.5 * factor * (self.scale * params["theta"]).square().sum()


@dataclass(frozen=True, eq=False)
class Raising(Bowl):
    """A task that passes its check and cannot be trained: seed 1 raises."""

    def init(self, generator):
        if generator.initial_seed() == 1:
            raise ZeroDivisionError("seed 1")
        return super().init(generator)


@dataclass(frozen=True, eq=False)
class Root:
    """The loss √θ: from a negative start it is NaN, from a positive one it falls to 0 and below, and is NaN then."""

    data: tuple = ()

    def init(self, generator):
        return {"theta": torch.randn((), generator=generator, dtype=torch.float64)}

    def loss(self, params, batch):
        return params["theta"].sqrt()


@dataclass(frozen=True, eq=False)
class Wide:
    """A linear map of many parameters, so that the memory of a member is seen."""

    size: int = 200_000
    data: tuple = ()

    def init(self, generator):
        return {"theta": torch.randn(self.size, generator=generator)}

    def loss(self, params, batch):
        return params["theta"].square().mean()
