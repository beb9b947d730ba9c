"""The file of a login: private, whole or not there, and nobody else's."""

import logging
import os
import stat
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
