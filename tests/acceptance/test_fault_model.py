"""Random histories against a toy model; a failure names its seed and tells its story."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from faults.machine import Machine, machine
from faults.model import SETTINGS, Model, Zygote, clear
from faults.watched import Watched

STEPS = 14


@dataclass
class World:
    """What histories share: a server, a database and a maker of watchers."""

    machine: Machine
    watched: Watched
    zygote: Zygote

    def history(self, seed: int) -> None:
        """One history from a clean start."""
        clear(self.watched.url)
        folder = self.watched.projects / str(seed)
        folder.mkdir()
        model = Model(self.machine, self.watched, self.zygote, random.Random(seed), folder)
        try:
            model.run(STEPS)
        except BaseException:
            print(f"seed {seed}")
            raise
        finally:
            model.database_back()
            self.zygote.end()
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("model")
    with machine(settings="fsync = off\n") as server, server.database() as url:
        watched = Watched(directory, url, settings=SETTINGS)
        zygote = Zygote(watched)
        try:
            yield World(server, watched, zygote)
        finally:
            zygote.close()


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.long) for first in (20, 40))]
)
def test_some_histories(world: World, first: int) -> None:
    for seed in range(first, first + 20):
        world.history(seed)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", range(20))
def test_many_histories(world: World, block: int, request: pytest.FixtureRequest) -> None:
    first = time.time_ns() // 1_000_000 + 1_000_000_000 * block
    for seed in range(first, first + 100):
        world.history(seed)
    record = request.getfixturevalue("record_property")
    record("figures", f"histories of seeds {first} to {first + 99}: as the model says")
