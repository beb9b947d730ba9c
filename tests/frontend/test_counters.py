"""counters: limits held by several processes with one file, whatever becomes of them or of it."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import play, until

from arenad.errors import OverBudget, OverLimit
from arenad.frontend import counters as module
from arenad.frontend.counters import Counters, Refusal
from arenad.schema.keys import Key, Limits
from arenad.usage import LOCKS, SEATS, flock

ID = "00112233445566ff"


def key(row: int = 3, id_: str = ID, **limits: int) -> Key:
    return Key(name="alice", id=id_, scopes=("chat",), limits=Limits(**limits), row=row)


RACER = """
import asyncio, sys
from arenad.frontend.counters import Counters, Refusal
from arenad.schema.keys import Key, Limits

async def main():
    counters = Counters([sys.argv[1]])
    limits = Limits(**{sys.argv[2]: int(sys.argv[3])})
    key = Key(name="alice", id="00112233445566ff", scopes=("chat",), limits=limits, row=3)
    print("there", flush=True)
    sys.stdin.readline()

    async def one():
        try:
            await counters.begin(key, 1)
        except Refusal:
            return 0
        return 1

    print(sum(await asyncio.gather(*(one() for _ in range(int(sys.argv[4]))))), flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""
"""A frontend that begins so many requests at once, ends none, and lives until it is told."""


class Racer:
    """One of several."""

    def __init__(self, path: Path, limit: str, number: int, asks: int) -> None:
        words = [sys.executable, "-c", RACER, str(path), limit, str(number), str(asks)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.hear()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.communicate()


@pytest.mark.parametrize("limit", list(Limits.__struct_fields__))
def test_a_limit_is_exact_over_processes(tmp_path: Path, limit: str) -> None:
    """Four frontends with 64 requests each, all at once: as many begin as may, to the one."""
    racers = [Racer(tmp_path / "counters", limit, 37, 64) for _ in range(4)]
    try:
        for racer in racers:
            racer.go()
        assert sum(int(racer.hear()) for racer in racers) == 37
    finally:
        for racer in racers:
            racer.end()


def test_what_ran_in_one_that_died_runs_no_more(tmp_path: Path) -> None:
    """Its place is free again at once; what it used of the day stays used."""
    path = tmp_path / "counters"
    racer = Racer(path, "concurrency", 5, 3)
    racer.go()
    assert racer.hear() == "3"

    async def story() -> None:
        ours = Counters([str(path)])
        limited = key(concurrency=5, requests_per_day=8)
        for _ in range(2):
            await ours.begin(limited, 1)
        with pytest.raises(Refusal) as refused:
            await ours.begin(limited, 1)
        assert isinstance(refused.value.error, OverLimit)
        racer.end()
        for _ in range(3):
            await ours.begin(limited, 1)
        ours.end(limited, 1)
        with pytest.raises(Refusal) as refused:
            await ours.begin(limited, 1)
        assert isinstance(refused.value.error, OverBudget)
        ours.close()

    play(story())


@pytest.mark.parametrize("broken", [False, True])
def test_a_request_of_several_chats_counts_as_many(broken: bool, tmp_path: Path) -> None:
    """From its begin to its end; also where a frontend counts for itself."""

    async def story() -> None:
        ours = Counters([str(tmp_path / "none" / "counters" if broken else tmp_path / "counters")])
        limited = key(concurrency=3, requests_per_minute=5)
        left = await ours.begin(limited, 1, 3)
        assert left.requests is not None
        assert left.requests.remaining == 2
        with pytest.raises(Refusal):
            await ours.begin(limited, 1)
        ours.end(limited, 5, 3)
        await ours.begin(limited, 1, 2)
        ours.end(limited, 5, 2)
        with pytest.raises(Refusal, match="5 requests a minute"):
            await ours.begin(limited, 1)
        ours.close()

    play(story())


def test_what_ends_makes_room_and_counts(tmp_path: Path) -> None:
    """An answer's tokens count from its end on."""

    async def story() -> None:
        ours = Counters([str(tmp_path / "counters")])
        limited = key(concurrency=1, tokens_per_minute=100)
        left = await ours.begin(limited, 10)
        assert left.tokens is not None
        assert left.tokens.remaining == 90
        ours.end(limited, 50)
        left = await ours.begin(limited, 10)
        assert left.tokens is not None
        assert left.tokens.remaining == 30
        ours.end(limited, 0)
        with pytest.raises(Refusal, match="100 tokens a minute"):
            await ours.begin(limited, 31)
        ours.close()

    play(story())


def test_more_chats_than_can_be_written(tmp_path: Path) -> None:
    """They are as many as can; nobody's request fails by it."""

    async def story() -> None:
        path = str(tmp_path / "counters")
        ours, others = Counters([path]), Counters([path])
        await ours.begin(key(), 1, 70_000)
        with pytest.raises(Refusal, match="has 65535 requests running"):
            await others.begin(key(concurrency=65_535), 1)
        ours.end(key(), 1, 70_000)
        await others.begin(key(concurrency=1), 1)
        ours.close()
        others.close()

    play(story())


def test_a_successor_counts_on(tmp_path: Path) -> None:
    """Another frontend, after a reload, an upgrade or a restart."""

    async def story() -> None:
        limited = key(requests_per_minute=3)
        for number in (2, 1, 0):
            one = Counters([str(tmp_path / "counters")])
            left = await one.begin(limited, 1)
            assert left.requests is not None
            assert left.requests.remaining == number
            one.end(limited, 1)
            one.close()
        last = Counters([str(tmp_path / "counters")])
        with pytest.raises(Refusal):
            await last.begin(limited, 1)
        last.close()

    play(story())


def test_a_row_that_becomes_another_keys_begins_anew(tmp_path: Path) -> None:
    """And a late end of the one before takes nothing from it."""

    async def story() -> None:
        ours = Counters([str(tmp_path / "counters")])
        old, new = key(requests_per_minute=2), key(3, "f" * 16, requests_per_minute=2)
        await ours.begin(old, 1)
        await ours.begin(new, 1)
        ours.end(old, 1000)
        left = await ours.begin(new, 1)
        assert left.requests is not None
        assert left.requests.remaining == 0
        ours.close()

    play(story())


def test_what_a_key_that_is_gone_has_running_takes_nothing_from_its_rows_next(
    tmp_path: Path,
) -> None:
    """Neither while it runs at another frontend, nor once it has ended there."""

    async def story() -> None:
        ours, theirs = (Counters([str(tmp_path / "counters")]) for _ in range(2))
        old, new = key(concurrency=2), key(3, "f" * 16, concurrency=2)
        for _ in range(2):
            await theirs.begin(old, 1)
        await ours.begin(new, 1)
        for _ in range(2):
            theirs.end(old, 1)
        await ours.begin(new, 1)
        with pytest.raises(Refusal):
            await theirs.begin(new, 1)
        for each in (ours, theirs):
            each.close()

    play(story())


def test_the_second_place_is_taken_when_the_first_cannot(tmp_path: Path) -> None:
    """A state folder that is read-only, or gone; all frontends find the same one."""

    async def story() -> None:
        paths = [str(tmp_path / "nowhere" / "counters"), str(tmp_path / "counters")]
        ours = Counters(paths)
        await ours.begin(key(requests_per_minute=1), 1)
        assert ours.fault == ""
        ours.close()
        assert (tmp_path / "counters").stat().st_size

    play(story())


def test_without_any_place_each_counts_for_itself(tmp_path: Path) -> None:
    """A valid key goes on, within its limits as far as we see, and it is said."""

    async def story() -> None:
        ours = Counters([str(tmp_path / "nowhere" / "counters")])
        limited = key(requests_per_minute=2, concurrency=2)
        for _ in range(2):
            await ours.begin(limited, 1)
        assert "No such file" in ours.fault
        with pytest.raises(Refusal):
            await ours.begin(limited, 1)
        ours.end(limited, 1)
        (tmp_path / "nowhere").mkdir()
        ours._reopen_s = 0.0
        await ours.begin(limited, 1)
        assert ours.fault == ""
        ours.close()

    play(story())


def test_a_place_that_comes_back_is_found_under_load(tmp_path: Path) -> None:
    """However often it is asked for meanwhile, it is tried again after a while."""

    async def story() -> None:
        ours = Counters([str(tmp_path / "nowhere" / "counters")])
        limited = key(requests_per_minute=10**6)
        await ours.begin(limited, 1)
        (tmp_path / "nowhere").mkdir()
        again_s = ours._reopen_s
        await ours.begin(limited, 1)
        assert (ours._reopen_s, bool(ours.fault)) == (again_s, True)
        ours.close()

    play(story())


HOLDER = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, 0, int(sys.argv[2]), 1, 0))
print("there", flush=True)
sys.stdin.readline()
"""
"""Holds a row locked, as a frontend would that was stopped at a bad moment."""


def holding(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_locked_row_stops_nobody_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile each counts for itself; what ended in that time is written down afterwards."""
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(module, "REOPEN_S", 0.0)
    path = tmp_path / "counters"
    place = LOCKS + SEATS + 3
    words = [sys.executable, "-c", HOLDER, str(path), str(place)]

    async def story() -> None:
        ours = Counters([str(path)])
        limited = key(requests_per_minute=9, tokens_per_minute=1000)
        await ours.begin(limited, 10)
        with holding(words) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            ours.end(limited, 100)
            await ours.begin(limited, 10)
            assert "locked" in ours.fault
            holder.communicate()
        await until(lambda: not ours._owed)
        left = await ours.begin(limited, 10)
        assert ours.fault == ""
        assert left.tokens is not None
        assert left.tokens.remaining == 1000 - 10 - 100 - 10
        ours.close()

    play(story())


@pytest.mark.parametrize("is_lost", [False, True])
def test_what_runs_is_told_again_when_the_file_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_lost: bool
) -> None:
    """After one write that failed; also in another file, where that one is gone."""
    monkeypatch.setattr(module, "REOPEN_S", 0.0)
    path = tmp_path / "counters"
    limited, other = key(concurrency=2), key(4, "f" * 16, requests_per_minute=9)

    async def story() -> None:
        ours, theirs = Counters([str(path)]), Counters([str(path)])
        await ours.begin(limited, 1)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, ours._fd)
        os.close(full)
        await ours.begin(limited, 1)
        assert "No space left" in ours.fault
        if is_lost:
            path.unlink()
        await ours.begin(other, 1)
        assert ours.fault == ""
        with pytest.raises(Refusal):
            await theirs.begin(limited, 1)
        for _ in range(2):
            ours.end(limited, 1)
        await theirs.begin(limited, 1, 2)
        for each in (ours, theirs):
            each.close()

    play(story())


def test_what_begins_while_its_row_is_locked_is_told_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself: neither does it have to end for that, nor has anything else to begin."""
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(module, "REOPEN_S", 0.0)
    path = tmp_path / "counters"
    words = [sys.executable, "-c", HOLDER, str(path), str(LOCKS + SEATS + 3)]

    async def story() -> None:
        ours, theirs = Counters([str(path)]), Counters([str(path)])
        with holding(words) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            await ours.begin(key(concurrency=2), 1, 2)
            holder.communicate()
        await until(lambda: not ours._owed)
        with pytest.raises(Refusal):
            await theirs.begin(key(concurrency=2), 1)
        for each in (ours, theirs):
            each.close()

    play(story())


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write into the folder could have put it there."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "counters").symlink_to(target)

    async def story() -> None:
        ours = Counters([str(tmp_path / "counters")])
        await ours.begin(key(requests_per_minute=1), 1)
        assert ours.fault
        ours.close()

    play(story())
    assert target.read_bytes() == b"precious"


def test_the_lock_is_the_file_descriptions(tmp_path: Path) -> None:
    """Not the process's: a lock of fcntl(2)'s older kind would be lost by any close of the file."""
    path = tmp_path / "counters"

    async def story() -> None:
        ours = Counters([str(path)])
        await ours.begin(key(concurrency=9), 1)
        os.close(os.open(path, os.O_RDWR))
        look = os.open(path, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.fcntl(look, fcntl.F_OFD_SETLK, flock(fcntl.F_WRLCK, ours._seat))
        os.close(look)
        ours.close()

    play(story())
