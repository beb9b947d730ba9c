"""The body of recycling, with lives that are put where a test wants them."""

from pathlib import Path

import msgspec

from arenad.master.life import Life
from arenad.master.recycler import Recycler
from arenad.master.settings import Settings
from arenad.master.supervised import Supervised
from arenad.schema.config import Config
from arenad.schema.process import Beat


class Crew:
    def __init__(self, folder: Path, names: tuple[str, ...], **rules: float) -> None:
        sections = {"daemon": {"runtime_dir": str(folder)}, "recycle": rules}
        self.children = {name: Supervised(name, "worker") for name in names}
        self.gone: list[tuple[str, str]] = []
        self.readings = 0
        settings = Settings(msgspec.convert(sections, Config))
        self.recycler = Recycler(
            settings, self.children, lambda child, why: self.gone.append((child.name, why))
        )
        for name in names:
            self.ready(name, 1)

    def ready(self, name: str, generation: int) -> None:
        child = self.children[name]
        child.life = Life(phase="ready", wanted=True, generation=generation)
        child.condition = "ready"
        child.beat = Beat(0, 0, 0, 0, 0, 0.0, 0.0)

    def beat(self, name: str, answered: int = 0, memory_bytes: int = 0) -> None:
        child = self.children[name]
        self.readings += 1
        child.beat = Beat(0, answered, 0, memory_bytes, 9, 0.0, 0.0, 99, self.readings)
        self.recycler.look(child, len(self.children))

    def names(self) -> list[str]:
        return [name for name, _ in self.gone]


def test_one_at_a_time_and_the_next_once_it_is_back(tmp_path):
    """Two are worn: the second waits until the first is ready in a new generation."""
    crew = Crew(tmp_path, ("w1", "w2"), requests=5, jitter_percent=0)
    crew.beat("w1", answered=5)
    crew.beat("w2", answered=9)
    assert crew.names() == ["w1"]
    crew.children["w1"].life = Life(phase="draining", wanted=True, generation=1)
    crew.beat("w2", answered=9)
    assert crew.names() == ["w1"]
    crew.ready("w1", 2)
    crew.beat("w2", answered=9)
    assert crew.names() == ["w1", "w2"]


def test_one_that_nobody_wants_back_is_not_awaited(tmp_path):
    """It was recycled, then drained for good or scaled away."""
    crew = Crew(tmp_path, ("w1", "w2"), requests=5, jitter_percent=0)
    crew.beat("w1", answered=5)
    del crew.children["w1"]
    crew.beat("w2", answered=9)
    assert crew.names() == ["w1", "w2"]


def test_memory_counts_twice_in_a_row(tmp_path):
    """A peak between two small readings is none, and a new process begins anew."""
    crew = Crew(tmp_path, ("w1", "w2"), memory_bytes=1000)
    for memory_bytes in (2000, 500, 2000):
        crew.beat("w1", memory_bytes=memory_bytes)
    crew.ready("w1", 2)
    crew.beat("w1", memory_bytes=2000)
    assert crew.gone == []
    crew.beat("w1", memory_bytes=2000)
    assert crew.names() == ["w1"]


def test_the_draw_stays_for_a_life(tmp_path):
    """Jitter is drawn once for each process: not a new chance at each beat."""
    crew = Crew(tmp_path, ("w1",), requests=100, jitter_percent=100)
    child = crew.children["w1"]
    draws = {crew.recycler._of(child).draw for _ in range(5)}
    crew.ready("w1", 2)
    draws |= {crew.recycler._of(child).draw for _ in range(5)}
    assert len(draws) == 2


def test_nobody_goes_while_one_is_missing(tmp_path):
    """An instance that is down already is enough."""
    crew = Crew(tmp_path, ("w1", "w2"), requests=5, jitter_percent=0)
    crew.children["w2"].life = Life(phase="backoff", wanted=True, generation=1)
    crew.beat("w1", answered=9)
    assert crew.gone == []
