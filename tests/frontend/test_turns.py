"""turns: the pace held by several processes with one file, and by a queue over real links."""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from scripted import play, roster, stage, until

from arenad.errors import Overloaded
from arenad.frontend.turns import Turns
from arenad.schema.config import QueueConfig
from arenad.schema.process import Pace

SENDS = 5
SPACING_S = 0.05


def _pace(folder: Path, per_minute: float = 0.0, spacing_s: float = 0.0) -> Pace:
    return Pace(per_minute, spacing_s, jitter_percent=0.0, turns_path=str(folder / "w.turns"))


RACER = """
import sys, time
from arenad.frontend.turns import Turns
from arenad.schema.process import Pace
turns = Turns()
turns.paces = {"": Pace(0.0, float(sys.argv[2]), 0.0, sys.argv[1])}
sent = 0
while sent < int(sys.argv[3]):
    before_s = time.monotonic()
    if turns.take(""):
        print(before_s, time.monotonic())
        sent += 1
"""
"""A process that takes turns as fast as it can."""


def test_two_processes_keep_one_pace(tmp_path: Path) -> None:
    """However they race, no two sends of theirs are closer than the spacing."""
    words = [sys.executable, "-c", RACER, str(tmp_path / "w.turns"), str(SPACING_S), str(SENDS)]
    racers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = "".join(each.communicate(timeout=60)[0] for each in racers).splitlines()
    sent_s = [(float(line.split()[0]), float(line.split()[1])) for line in lines]
    assert len(sent_s) == 2 * SENDS
    took_s = max(after for _, after in sent_s) - min(before for before, _ in sent_s)
    assert took_s >= (2 * SENDS - 1) * SPACING_S


def test_a_locked_file_is_not_waited_for(tmp_path: Path) -> None:
    """Who holds the lock may be stopped: the turn is not ours now, and nobody hangs."""
    turns = Turns()
    turns.paces = {"": _pace(tmp_path, spacing_s=1.0)}
    assert turns.wait_s("") == 0
    fd = os.open(tmp_path / "w.turns", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert not turns.take("")
    os.close(fd)
    assert turns.take("")
    assert not turns.take("")
    assert 0 < turns.wait_s("") <= 1.0 < turns.wait_s("", ahead=1)
    turns.close()


def test_a_changed_pace_counts_at_once(tmp_path: Path) -> None:
    """The file holds the last send and no date of the next: a reload or refusal changes the gap."""
    turns = Turns()
    turns.paces = {"": _pace(tmp_path, per_minute=1.0)}
    assert turns.take("")
    assert turns.wait_s("") > 30.0
    turns.paces = {"": _pace(tmp_path, per_minute=60_000.0)}
    assert turns.wait_s("") < 1.0
    turns.paces = {}
    assert turns.wait_s("") == 0
    assert turns.take("")
    turns.close()


def test_a_turn_of_an_earlier_boot_is_none(tmp_path: Path) -> None:
    """The clock begins anew with the machine: a time still to come was of another one."""
    turns = Turns()
    turns.paces = {"": _pace(tmp_path, per_minute=1.0)}
    assert turns.take("")
    file = tmp_path / "w.turns"
    mirror = Turns()
    mirror.paces = turns.paces
    said = bytearray(file.read_bytes())
    said[7] = 0x50  # the exponent of the time: far in the future
    file.write_bytes(said)
    assert mirror.wait_s("") == 0
    turns.close()
    mirror.close()


def test_a_file_that_cannot_be_opened_sends_nothing(tmp_path: Path) -> None:
    """Nobody is asked past a pace that cannot be kept."""
    turns = Turns()
    turns.paces = {"": _pace(tmp_path / "gone", per_minute=1.0)}
    assert turns.wait_s("") == 1.0
    assert not turns.take("")


def test_a_request_waits_for_its_turn(tmp_path: Path) -> None:
    """Two instances are free, and still the second request goes only once the pace allows it."""

    async def story() -> None:
        async with stage(tmp_path, queue=QueueConfig(wait_s=600.0)) as scene:
            first, second = await scene.worker("w1"), await scene.worker("w2")
            await scene.enlist(first, second)
            pace = _pace(tmp_path, per_minute=1.0)
            scene.dispatch.on_roster(replace(roster(first, second), paces={"": pace}))
            answers = [scene.ask(), scene.ask()]
            await until(lambda: first.is_asked or second.is_asked)
            asked, other = (first, second) if first.is_asked else (second, first)
            ask = await asked.asked()
            assert scene.dispatch.seats.queued == 1
            assert not other.is_asked
            scene.dispatch.on_roster(
                replace(roster(first, second), paces={"": replace(pace, per_minute=60_000.0)})
            )
            late = await other.asked()
            await ask.tell("one")
            await late.tell("two")
            await asyncio.gather(*answers)

    play(story())


def test_a_turn_that_cannot_come_in_time_is_said_at_once(tmp_path: Path) -> None:
    """Nobody waits in vain; `retry_after_s` is when the turn would be there."""

    async def story() -> None:
        async with stage(tmp_path, queue=QueueConfig(wait_s=5.0)) as scene:
            worker = await scene.worker("w1")
            await scene.enlist(worker)
            pace = _pace(tmp_path, per_minute=1.0)
            scene.dispatch.on_roster(replace(roster(worker), paces={"": pace}))
            answer = scene.ask()
            await (await worker.asked()).tell("one")
            await answer
            with pytest.raises(Overloaded, match=r"at a pace \(site.pace") as told:
                await scene.ask()
            assert 55 < (told.value.retry_after_s or 0) <= 60

    play(story())
