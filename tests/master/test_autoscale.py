"""The body of autoscaling, on a real loop with a pool that does as it is told."""

import time
from pathlib import Path

import msgspec
import pytest

from arenad.master.autoscale import Autoscaler
from arenad.master.loop import Loop
from arenad.master.scale import Room, Sample
from arenad.master.settings import Settings
from arenad.schema.config import Config

TIMEOUT_S = 10.0


class ObedientPool:
    """Has at once what is wished for."""

    def __init__(self, demand: int) -> None:
        self.wanted = 1
        self.demand = demand
        self.affordable = 100
        self.whys: list[str] = []

    def load(self) -> Sample:
        busy = min(self.wanted, self.demand)
        return Sample(time.monotonic(), self.wanted, 0, busy, self.demand - busy)

    def room(self) -> Room:
        return Room(8, self.affordable, 1)

    def follow(self, instances: int, why: str) -> None:
        self.wanted = instances
        self.whys.append(why)


class Scene:
    def __init__(self, folder: Path, demand: int, **rules: float) -> None:
        quick = {"enabled": True, "window_s": 0.1, "up_cooldown_s": 0.05, "down_cooldown_s": 0.1}
        none = {"cpu_veto_percent": 100, "memory_veto_bytes": 0}
        sections = {"daemon": {"runtime_dir": str(folder)}, "autoscale": {**quick, **none, **rules}}
        self.loop = Loop()
        self.pool = ObedientPool(demand)
        self.told: list[str] = []
        settings = Settings(msgspec.convert(sections, Config))
        self.scaler = Autoscaler(
            self.loop, settings, self.pool, lambda _, text: self.told.append(text)
        )

    def run_until(self, condition) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S

        def look() -> None:
            assert time.monotonic() < deadline_s, "did not get there"
            self.loop.running = not condition()
            if self.loop.running:
                self.loop.after(0.005, look)

        self.loop.running = True
        look()
        self.loop.run()


def test_the_wish_follows_the_load_up_and_down(tmp_path):
    """From samples to wishes, with the reasons passed on."""
    scene = Scene(tmp_path, demand=3)
    scene.scaler.start()
    scene.run_until(lambda: scene.pool.wanted == 5)
    scene.pool.demand = 0
    scene.run_until(lambda: scene.pool.wanted == 1)
    assert scene.pool.whys[0].startswith("from 1 to 5: utilisation 300 %")


def test_what_is_off_has_no_timer(tmp_path):
    """A daemon that does not autoscale is not woken for it."""
    scene = Scene(tmp_path, demand=3, enabled=False)
    scene.scaler.start()
    assert scene.loop._timeout_s() is None
    assert scene.scaler.hold(4) == ""


def test_a_stopped_one_looks_no_more(tmp_path):
    """On the way out nothing is scaled."""
    scene = Scene(tmp_path, demand=3)
    scene.scaler.start()
    scene.scaler.stop()
    assert scene.loop._timeout_s() is None


def test_an_operators_wish_stands_for_a_while(tmp_path):
    """`arenactl scale` while autoscaling: held, then the load decides again."""
    scene = Scene(tmp_path, demand=0, hold_s=0.3)
    scene.scaler.start()
    note = scene.scaler.hold(6)
    scene.pool.wanted = 6
    held_until_s = scene.scaler.aim.held_until_s
    scene.run_until(lambda: scene.pool.wanted < 6)
    assert scene.scaler.aim.changed_s >= held_until_s
    assert note == "; autoscaling goes on in 0.3 s"


def test_a_veto_is_told_once(tmp_path):
    """Not at every look, but again after it had gone."""
    scene = Scene(tmp_path, demand=3)
    scene.pool.affordable = 1
    scene.scaler.start()
    looks: list[float] = []
    load = scene.pool.load
    scene.pool.load = lambda: (looks.append(0.0), load())[1]
    scene.run_until(lambda: len(looks) > 8)
    (text,) = scene.told
    assert text.startswith("autoscaling stays at 1: utilisation 300 %")
    assert "fleet.memory_budget_bytes" in text
    scene.pool.affordable = 9
    scene.run_until(lambda: scene.pool.wanted == 5)


@pytest.mark.parametrize("demand", [0, 1])
def test_a_calm_pool_is_left_alone(tmp_path, demand):
    """Nothing to change, nothing to tell."""
    scene = Scene(tmp_path, demand=demand, utilisation_percent=100)
    scene.scaler.start()
    looks: list[float] = []
    load = scene.pool.load
    scene.pool.load = lambda: (looks.append(0.0), load())[1]
    scene.run_until(lambda: len(looks) > 15)
    assert (scene.pool.whys, scene.told) == ([], [])
