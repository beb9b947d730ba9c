"""The history's file: real SQLite on a real disk, and all that can befall both."""

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import BASE_S, FULL, line, lines, no_file_grows, request, small_disk

from arenad.log import wall_time_s
from arenad.recorder import store as module
from arenad.recorder.store import MAX_ASIDE, PAGE_ROWS, Store, StoreFailed
from arenad.recorder.tables import MIGRATIONS
from arenad.schema.config import HistoryConfig
from arenad.schema.history import (
    Entry,
    GetHistory,
    InstanceSample,
    Remember,
    StoryLine,
    TrafficSample,
)
from arenad.schema.process import LogLine

RULES = HistoryConfig()

SAMPLES = (
    InstanceSample(BASE_S, "w1", 2, "ready", 1, 5, 0, 2**31, 9, 12.5, 0.25),
    InstanceSample(BASE_S, "w2", 1, "opening", 0, 0, 0, 0, 0, 0.0, 0.0),
    TrafficSample(BASE_S, 1, 2, 1, 3, 0.5, 9, 5, 1, 0, 2),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path, RULES)
    yield made
    made.close()


def stories(store: Store) -> list[str]:
    found: list[str] = []
    before = 0
    while True:
        page = store.read(GetHistory("story", limit=PAGE_ROWS, before=before))
        found = [each.text for each in page.entries if isinstance(each, StoryLine)] + found
        if not (before := page.before):
            return found


def fault(store: Store, *batches: Remember) -> str:
    with pytest.raises(StoreFailed) as caught:
        store.append(batches or (lines("late", 1, 1),))
    return str(caught.value)


# -- keeping and reading ----------------------------------------------------------------------------


def test_each_kind_comes_back_as_it_was(store: Store) -> None:
    """Requests, story, log and samples: the same values, each by its own question."""
    log = LogLine(BASE_S, "error", "w1", "broke\nin two lines")
    batch = (request(1), request(2), line(3), log, *SAMPLES)
    assert store.append([Remember("master", 1, batch)]) == 0

    def answer(kind, about="") -> tuple[Entry, ...]:
        return store.read(GetHistory(kind, about=about)).entries

    assert answer("requests") == (request(1), request(2))
    assert answer("story") == (line(3),)
    assert answer("log") == (log,)
    assert answer("samples") == (SAMPLES[2],)
    assert answer("samples", "w1") == (SAMPLES[0],)
    assert answer("requests", "w9") == ()


def test_what_is_given_twice_is_kept_once(store: Store) -> None:
    """By source and number: all of it again, some of it again, and the same from somebody else."""
    store.append([lines("a", 1, 3)])
    store.append([lines("a", 1, 3)])
    store.append([lines("a", 2, 4), lines("b", 1, 1)])
    assert [each.at_unix_s for each in store.read(GetHistory("story")).entries] == [
        BASE_S + number for number in (1, 2, 3, 4, 5, 1)
    ]


def test_it_knows_them_after_its_death(store: Store, tmp_path: Path) -> None:
    """The numbers stand in the file beside the entries: another process knows them too."""
    store.append([lines("a", 1, 3)])
    other = Store(tmp_path, RULES)
    other.append([lines("a", 1, 4)])
    assert len(stories(other)) == 4
    other.close()


def test_what_was_dropped_is_said_where_it_is_missing(store: Store) -> None:
    """Once, however often the batch is given."""
    batch = Remember("a", 9, (line(9),), dropped=8)
    assert store.append([batch]) == 8
    assert store.append([batch]) == 0
    assert stories(store) == ["ready", "8 entries are missing here: they could not be kept in time"]


def test_pages_lead_back_to_the_oldest(store: Store) -> None:
    """Newest page first, each oldest first, none twice, and the last one says that it is."""
    store.append([Remember("a", 1, tuple(request(n, f"w{n % 2}") for n in range(10)))])
    first = store.read(GetHistory("requests", limit=4))
    second = store.read(GetHistory("requests", limit=4, before=first.before))
    third = store.read(GetHistory("requests", limit=4, before=second.before))
    both = tuple(request(number, f"w{number % 2}") for number in range(10))
    assert (*third.entries, *second.entries, *first.entries) == both
    assert third.before == 0
    assert len(store.read(GetHistory("requests", about="w1")).entries) == 5


def test_a_page_stays_below_what_a_link_takes(store: Store) -> None:
    """Long lines make it short, but never empty."""
    store.append([lines("a", 1, 100, FULL)])
    page = store.read(GetHistory("story", limit=100))
    assert sum(len(each.text) for each in page.entries) <= module.PAGE_CHARS
    assert page.before
    assert len(stories(store)) == 100


def test_only_what_is_young_enough(store: Store) -> None:
    """`since_s` is an age, by the clock of the daemon."""
    young = request(0, at_unix_s=wall_time_s() - 60)
    store.append([Remember("a", 1, (request(1), young))])
    assert store.read(GetHistory("requests", since_s=3600)).entries == (young,)


# -- bounds -----------------------------------------------------------------------------------------


def test_the_old_goes(tmp_path: Path) -> None:
    """By age: after a look that comes with a commit."""
    store = Store(tmp_path, HistoryConfig(keep_days=1))
    young = StoryLine(wall_time_s() - 3600, "w1", "young")
    store.append([Remember("a", 1, (line(1), young))])
    assert stories(store) == ["young"]
    store.close()


def test_the_file_stays_within_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the oldest go, and the file gives their room back."""
    monkeypatch.setattr(module, "PRUNE_ENTRIES", 100)
    limit_bytes = 1024 * 1024
    store = Store(tmp_path, HistoryConfig(max_bytes=limit_bytes))
    for first in range(1, 2001, 100):
        store.append([lines("a", first, 100, f"{first} {FULL}")])
    kept = stories(store)
    assert kept[-1].startswith("1901 ")
    assert 100 <= len(kept) < limit_bytes / len(FULL)
    store.close()  # what is still in the WAL goes into the file
    assert store.path.stat().st_size <= limit_bytes + 64 * 1024


def test_a_question_has_a_deadline(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would look through everything for nothing is broken off, and said so."""
    monkeypatch.setattr(module, "READ_TIMEOUT_S", -1.0)
    monkeypatch.setattr(module, "READ_STEPS", 10)
    store.append([lines("a", 1, 1000)])
    with pytest.raises(StoreFailed, match="ask for less"):
        store.read(GetHistory("story", about="nobody"))
    assert store.append([lines("a", 1001, 1)]) == 0


# -- versions ---------------------------------------------------------------------------------------

LATER = (*MIGRATIONS, ("ALTER TABLE story ADD COLUMN mood TEXT NOT NULL DEFAULT ''",))


def version(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_an_older_file_is_brought_up(store: Store, tmp_path: Path) -> None:
    """Step by step, with all that it has."""
    store.append([lines("a", 1, 2)])
    store.close()
    later = Store(tmp_path, RULES, LATER)
    assert len(stories(later)) == 2
    later.close()
    assert version(store.path) == len(LATER)


def test_a_step_that_fails_leaves_the_file_as_it_was(store: Store, tmp_path: Path) -> None:
    """All or nothing; the version tells which."""
    store.append([lines("a", 1, 2)])
    store.close()
    wrong = (*MIGRATIONS, ("ALTER TABLE story ADD COLUMN mood TEXT", "ALTER TABLE nothing"))
    assert "syntax error" in fault(Store(tmp_path, RULES, wrong))
    assert version(store.path) == len(MIGRATIONS)
    assert len(stories(store)) == 2


def test_a_newer_file_is_left_alone(store: Store, tmp_path: Path) -> None:
    """What we do not know we do not write, nor move."""
    later = Store(tmp_path, RULES, LATER)
    later.append([lines("a", 1, 1)])
    later.close()
    before = store.path.read_bytes()
    assert "a newer arenad made it" in fault(store)
    assert store.path.read_bytes() == before


# -- what can befall it -----------------------------------------------------------------------------


def test_no_file_at_all_is_said(tmp_path: Path) -> None:
    """A folder that is not there, or not ours, is named."""
    said = fault(Store(tmp_path / "nowhere", RULES))
    assert said == (
        f"{tmp_path}/nowhere/history.db: cannot be opened; check that the folder is there, "
        "and its owner"
    )


def test_a_full_disk_passes(tmp_path: Path) -> None:
    """While it is full nothing is kept by halves; once there is room all of it is."""
    with small_disk(tmp_path / "disk", 1024 * 1024) as folder:
        store = Store(folder, RULES)
        store.append([lines("a", 1, 1)])
        with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        big = lines("a", 2, 50, FULL)
        assert "no space is left on that disk; free some" in fault(store, big)
        assert "no space" in fault(store, big)
        (folder / "filler").unlink()
        store.append([big])
        assert len(stories(store)) == 51
        store.close()


def test_a_limit_of_the_file_size_passes(store: Store) -> None:
    """The same with a quota that takes no root: nothing by halves, everything afterwards."""
    store.append([lines("a", 1, 1)])
    big = lines("a", 2, 50, FULL)
    with no_file_grows(4096):
        assert "the disk refuses" in fault(store, big)
    store.append([big])
    assert len(stories(store)) == 51


def test_a_disk_that_becomes_read_only_passes(tmp_path: Path) -> None:
    """As a disk does on which the kernel has found errors."""
    with small_disk(tmp_path / "disk", 4 * 1024 * 1024) as folder:
        store = Store(folder, RULES)
        store.append([lines("a", 1, 1)])
        store.close()
        remount = ["mount", "-o", "remount,size=4m,mode=700"]
        subprocess.run([*remount, "-r", str(folder)], check=True)
        assert "cannot be" in fault(store, lines("a", 2, 1))
        subprocess.run([*remount, "-w", str(folder)], check=True)
        store.append([lines("a", 2, 1)])
        assert len(stories(store)) == 2
        store.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_passes(tmp_path: Path) -> None:
    """Somebody took the right away, and gave it back."""
    tmp_path.chmod(0o500)
    store = Store(tmp_path, RULES)
    assert "cannot be opened" in fault(store)
    tmp_path.chmod(0o700)
    store.append([lines("a", 1, 1)])
    store.close()


def test_a_lock_passes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the file: that is said after a while, and over when it lets go."""
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.05)
    store.append([lines("a", 1, 1)])
    store.close()
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another program holds it locked" in fault(store, lines("a", 2, 1))
        other.execute("COMMIT")
    store.append([lines("a", 2, 1)])
    assert len(stories(store)) == 2


def damage(store: Store) -> None:
    """Overwrite all but the head of the file."""
    store.close()
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (size - 100))


def test_a_damaged_file_is_moved_aside(store: Store, tmp_path: Path) -> None:
    """It is said where to, nothing of it is deleted, and a new one begins."""
    store.append([lines("a", 1, 100)])
    damage(store)
    broken = store.path.read_bytes()
    said = fault(store, lines("a", 101, 1))
    (aside,) = tmp_path.glob("history.db.damaged-*")
    assert f"it was moved to {aside}, a new one is begun" in said
    assert aside.read_bytes() == broken
    store.append([lines("a", 101, 1)])
    assert len(stories(store)) == 1


def test_a_file_that_is_none_is_moved_aside(store: Store, tmp_path: Path) -> None:
    """Whatever stands there under our name."""
    store.path.write_text("a letter\n" * 1000)
    assert "was damaged" in fault(store)
    (aside,) = tmp_path.glob("history.db.damaged-*")
    assert aside.read_text().startswith("a letter")


def test_damage_is_found_by_questions_too(store: Store, tmp_path: Path) -> None:
    """Whoever meets it first moves it."""
    store.append([lines("a", 1, 100)])
    damage(store)
    with pytest.raises(StoreFailed, match="was damaged"):
        store.read(GetHistory("story"))
    assert len(list(tmp_path.glob("history.db.damaged-*"))) == 1


def test_a_disk_that_damages_everything_is_not_filled(store: Store, tmp_path: Path) -> None:
    """After a few damaged files somebody has to look before there is another."""
    for _ in range(MAX_ASIDE):
        store.path.write_text("a letter\n" * 1000)
        assert "it was moved to" in fault(store)
    store.path.write_text("a letter\n" * 1000)
    assert "look at that disk, then move them away" in fault(store)
    assert store.path.exists()
    assert len(list(tmp_path.glob("history.db.damaged-*"))) == MAX_ASIDE


def test_a_file_that_was_removed_is_begun_anew(store: Store) -> None:
    """Instead of going on into what nobody can read any more."""
    store.append([lines("a", 1, 1)])
    for path in store.path.parent.iterdir():
        path.unlink()
    store.append([lines("a", 2, 1)])
    assert len(stories(store)) == 1
    assert store.path.exists()
