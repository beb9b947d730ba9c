"""The file of a login: private, whole or not there, and nobody else's."""

import logging
import os
import stat
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from msgspec.structs import replace

from arenad.schema.login import SavedCookie, SavedLogin
from arenad.worker import login

SITE = "http://site/"
COOKIE = SavedCookie(name="auth", value="SECRET-1", domain="site", path="/", httpOnly=True)
LOGIN = SavedLogin(site=SITE, origin="http://site", cookies=(COOKIE,), local={"t": "SECRET-2"})


def test_it_comes_back(tmp_path: Path) -> None:
    """Written anew as often as one likes; only its owner may read it."""
    path = tmp_path / "logins" / "w1.json"
    assert login.read(path, SITE) is None
    for number in range(2):
        kept = replace(LOGIN, local={"n": f"{number}"})
        assert login.write(path, kept)
        assert login.read(path, SITE) == kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["w1.json"]
    login.remove(path)
    login.remove(path)
    assert login.read(path, SITE) is None


def test_nothing_of_it_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a traceback, not in the log, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "logins" / "w1.json"
    assert login.write(path, LOGIN)
    assert login.read(path, "http://other/") is None
    path.write_bytes(path.read_bytes()[:-2])
    assert login.read(path, SITE) is None
    assert "remove the file" in caplog.text
    assert "SECRET" not in f"{LOGIN!r} {LOGIN} {COOKIE!r} {caplog.text}"


@pytest.mark.parametrize("damage", [b'{"site": "\xff"}', b"[" * 100_000, b'{"x":' * 100_000])
def test_what_is_damaged_is_no_login(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    """No text, or nested without end: said once, and gone on without."""
    path = tmp_path / "w1.json"
    path.write_bytes(damage)
    assert login.read(path, SITE) is None
    assert caplog.text.count("remove the file") == 1


def test_what_is_forgotten_stays_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write under way in a thread brings nothing back, and neither does a later one."""
    path = tmp_path / "w1.json"
    kept, at_disk, go_on = login.Kept(path), threading.Event(), threading.Event()

    def slow(_: int) -> None:
        at_disk.set()
        assert go_on.wait(30)

    monkeypatch.setattr(os, "fsync", slow)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(kept.write, LOGIN)
        assert at_disk.wait(30)
        kept.forget()
        go_on.set()
        writing.result(30)
    assert not kept.write(LOGIN)
    assert list(tmp_path.iterdir()) == []


def test_writes_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody waits for any more takes nothing away from the next one."""
    path = tmp_path / "w1.json"
    kept, at_disk, go_on = login.Kept(path), threading.Event(), threading.Event()

    def slow_at_first(_: int) -> None:
        if not at_disk.is_set():
            at_disk.set()
            assert go_on.wait(30)

    monkeypatch.setattr(os, "fsync", slow_at_first)
    later = replace(LOGIN, local={"n": "2"})
    with ThreadPoolExecutor(2) as pool:
        writes = [pool.submit(kept.write, LOGIN)]
        assert at_disk.wait(30)
        writes.append(pool.submit(kept.write, later))
        wait(writes, timeout=0.2, return_when=FIRST_COMPLETED)
        go_on.set()
        assert [each.result(30) for each in writes] == [True, True]
    assert login.read(path, SITE) == later


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    """Neither read nor written through: what was planted there is replaced."""
    path = tmp_path / "w1.json"
    other = tmp_path / "other.json"
    assert login.write(other, LOGIN)
    path.symlink_to(other)
    assert login.read(path, SITE) is None
    assert login.write(path, replace(LOGIN, local={}))
    assert not path.is_symlink()
    assert login.read(other, SITE) == LOGIN
    path.unlink()
    os.mkfifo(path)
    assert login.read(path, SITE) is None


def test_what_is_too_large_or_cannot_be_written_is_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one stays, and the log says why."""
    path = tmp_path / "w1.json"
    assert login.write(path, LOGIN)
    monkeypatch.setattr(login, "MAX_BYTES", 300)
    assert not login.write(path, replace(LOGIN, local={"t": "x" * 300}))
    assert login.read(path, SITE) == LOGIN
    (tmp_path / "file").write_text("")
    assert not login.write(tmp_path / "file" / "w1.json", LOGIN)
    assert "the login is not kept: it takes" in caplog.text
    assert "cannot be kept at" in caplog.text
