"""turns: the pace held by several processes with one file, and by a queue over real links."""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from scripted import Stage, Worker, roster, staged, until

from arenad import wire as wire_module
from arenad.errors import Busy, Overloaded, TooLong
from arenad.frontend import turns as module
from arenad.frontend.queue import Ticket
from arenad.frontend.speeds import Speeds
from arenad.frontend.turns import Turns
from arenad.schema.config import BreakerConfig, QueueConfig
from arenad.schema.process import Pace

SENDS = 5
SPACING_S = 0.05

FULL = "/dev/full"
"""Any write to it fails, as on a full disk (null(4))."""


def _pace(folder: Path, per_minute: float = 0.0, spacing_s: float = 0.0) -> Pace:
    return Pace(per_minute, spacing_s, jitter_percent=0.0, turns_path=str(folder / "w.turns"))


RACER = """
import sys, time
from arenad.frontend.queue import Ticket
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


def test_a_file_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    """It reads well, as on a disk that is full, and still there is no turn before a while is over."""
    turns = Turns()
    turns.paces = {"": replace(_pace(tmp_path, spacing_s=0.001), turns_path=FULL)}
    assert turns.wait_s("") == 0
    assert turns.take("") is None
    turns.paces = {"": _pace(tmp_path, spacing_s=0.001)}
    assert 0 < turns.wait_s("") <= module.FAULT_S
    assert turns.take("") is None
    turns.close()


def test_a_turn_that_cannot_be_given_back_stays_taken(tmp_path: Path) -> None:
    """That is said, and harms nobody who leaves."""
    turns = Turns()
    turns.paces = {"": _pace(tmp_path, per_minute=1.0)}
    turn = turns.take("")
    assert turn is not None
    with (tmp_path / "w.turns").open("rb") as read_only:
        os.dup2(read_only.fileno(), turns._files[turn.path])
    turns.give_back(turn)
    assert turns.wait_s("") > 30.0
    turns.close()


def test_a_turn_that_was_not_used_is_given_back(tmp_path: Path) -> None:
    """Then the next one is there as before; what somebody has taken since stays taken."""
    turns, others = Turns(), Turns()
    turns.paces = others.paces = {"": _pace(tmp_path, spacing_s=0.05)}
    first = turns.take("")
    assert first is not None
    assert turns.wait_s("") > 0
    turns.give_back(first)
    assert turns.wait_s("") == 0
    assert (tmp_path / "w.turns").read_bytes() == b""
    ours = turns.take("")
    assert ours is not None
    while (theirs := others.take("")) is None:
        pass
    turns.give_back(ours)
    assert others.take("") is None
    others.give_back(theirs)
    assert (tmp_path / "w.turns").read_bytes() == ours.since
    for each in (turns, others):
        each.close()
        each.give_back(ours)


def _set_pace(scene: Stage, *workers: Worker) -> Pace:
    """One request a minute on the site itself, from now on."""
    pace = _pace(scene.folder, per_minute=1.0)
    scene.dispatch.on_roster(replace(roster(*workers), paces={"": pace}))
    return pace


@staged("w1", "w2", queue=QueueConfig(wait_s=600.0))
async def test_a_request_waits_for_its_turn(scene: Stage, first: Worker, second: Worker) -> None:
    """Two instances are free, and still the second request goes only once the pace allows it."""
    pace = _set_pace(scene, first, second)
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


@staged("w1", queue=QueueConfig(wait_s=5.0))
async def test_a_turn_that_cannot_come_in_time_is_said_at_once(
    scene: Stage, worker: Worker
) -> None:
    """Nobody waits in vain; `retry_after_s` is when the turn would be there."""
    _set_pace(scene, worker)
    answer = scene.ask()
    await (await worker.asked()).tell("one")
    await answer
    with pytest.raises(Overloaded, match=r"at a pace \(site.pace") as told:
        await scene.ask()
    assert 55 < (told.value.retry_after_s or 0) <= 60


@staged("w1", queue=QueueConfig(wait_s=600.0))
async def test_a_worker_that_was_full_costs_no_turn(scene: Stage, worker: Worker) -> None:
    """The site was asked nothing: the request goes again at once, not a minute later."""
    _set_pace(scene, worker)
    answer = scene.ask()
    (await worker.asked()).fail(Busy("full"))
    await (await worker.asked()).tell("one")
    await answer
    assert scene.dispatch.seats._turns.wait_s("") > 50


@staged("w1")
async def test_a_chat_that_cannot_be_sent_costs_no_turn(
    scene: Stage, worker: Worker, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told why, and nobody else: neither pace nor breaker nor speed knows of it."""
    monkeypatch.setattr(wire_module, "MAX_FRAME_BYTES", 1000)
    _set_pace(scene, worker)
    scene.dispatch.seats.adjust(QueueConfig(), BreakerConfig(failures=1))
    for _ in range(2):
        with pytest.raises(TooLong, match=r"[0-9]{4} bytes are over the limit of 1000; send less"):
            await scene.ask("x" * 1000)
    assert not worker.is_asked
    beat, seats = scene.dispatch.beat(), scene.dispatch.seats
    assert (beat.asked_last, beat.busy, seats._turns.wait_s("")) == ({}, {}, 0.0)
    assert seats._speeds.turn_s(0, 1) == Speeds().turn_s(0, 1)
    answer = scene.ask()
    await (await worker.asked()).tell("thrée")
    await answer


@staged("w1")
async def test_who_leaves_before_it_is_asked_costs_no_turn(scene: Stage, worker: Worker) -> None:
    """A seat and a turn that were given in the moment of leaving are there for the next."""
    _set_pace(scene, worker)
    seats = scene.dispatch.seats
    for is_asked in (False, True):
        ticket = Ticket(1, "echo")
        assert (await seats.join(ticket)).name == "w1"
        seats.leave(ticket, is_asked=is_asked)
        assert (seats._turns.wait_s("") > 0) is is_asked


@staged(queue=QueueConfig(wait_s=600.0))
async def test_the_estimate_counts_those_ahead_alone(scene: Stage) -> None:
    """The first of three who wait is told its own turn, the third one two gaps more."""
    worker = await scene.worker("w1", slots=9)
    worker.models = ("echo", "poet")
    await scene.enlist(worker)
    _set_pace(scene, worker)
    seats = scene.dispatch.seats
    for model in ("echo", "echo", "echo,poet", "poet"):
        scene.ask(model=model)
    await until(lambda: seats.queued == 3)
    told_s = [seats.too_late(each).retry_after_s or 0 for each in seats._queue.tickets()]
    for place, retry_after_s in enumerate(told_s):
        assert 60 * place + 50 < retry_after_s <= 60 * place + 60


@staged(queue=QueueConfig(limit=1, wait_s=600.0))
async def test_the_pace_of_one_site_holds_up_no_other(scene: Stage) -> None:
    """The queue is full of those who wait for a turn; who wants another site is seated at once."""
    slow, quick = await scene.worker("w1"), await scene.worker("up-1")
    quick.models = ("poet",)
    await scene.enlist(slow, quick)
    _set_pace(scene, slow, quick)
    scene.ask()
    await (await slow.asked()).tell("one")
    scene.ask()
    await until(lambda: scene.dispatch.seats.queued == 1)
    other = scene.ask(model="poet")
    await (await quick.asked()).tell("two")
    await other
    with pytest.raises(Overloaded, match=r"queue\.limit"):
        await scene.ask()


@staged(queue=QueueConfig(wait_s=600.0))
async def test_a_newcomer_does_not_take_the_turn_of_who_waits(scene: Stage) -> None:
    """The turn is there before anybody looks: the one who has waited gets it."""
    worker = await scene.worker("w1", slots=9)
    await scene.enlist(worker)
    pace = _set_pace(scene, worker)
    scene.ask("first")
    await worker.asked()
    scene.ask("waits")
    await until(lambda: scene.dispatch.seats.queued == 1)
    scene.dispatch.seats._turns.paces = {"": replace(pace, per_minute=60_000.0)}
    scene.ask("newcomer")
    assert (await worker.asked()).chat.request_id == "waits"


@staged("w1", "w2", queue=QueueConfig(wait_s=600.0))
async def test_a_turn_that_is_there_but_locked_is_waited_for(
    scene: Stage, first: Worker, second: Worker
) -> None:
    """Nothing has to pass until the turn comes, and still it is looked for again."""
    pace = _pace(scene.folder, spacing_s=0.001)
    with (scene.folder / "w.turns").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        scene.dispatch.on_roster(replace(roster(first, second), paces={"": pace}))
        answers = [scene.ask(), scene.ask()]
        await until(lambda: scene.dispatch.seats.queued == 2)
        scene.dispatch.seats._match()  # as when anything else happens meanwhile
        assert not first.is_asked
        assert not second.is_asked
    asked = [await first.asked(), await second.asked()]
    for each in asked:  # only now: an instance that is free again may be asked for both
        await each.tell("one")
    await asyncio.gather(*answers)


@staged("w1", queue=QueueConfig(wait_s=600.0))
async def test_a_full_disk_holds_up_and_fails_nobody(
    scene: Stage, worker: Worker, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes meanwhile waits, and is asked by itself once there is room again."""
    monkeypatch.setattr(module, "FAULT_S", 0.05)
    pace = replace(_pace(scene.folder, spacing_s=0.001), turns_path=FULL)
    scene.dispatch.on_roster(replace(roster(worker), paces={"": pace}))
    answer = scene.ask()
    await until(lambda: scene.dispatch.seats.queued == 1)
    assert not worker.is_asked
    scene.dispatch.seats._turns.paces = {"": _pace(scene.folder, spacing_s=0.001)}
    await (await worker.asked()).tell("one")
    await answer
