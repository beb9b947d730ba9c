"""Secrets: read from where they stand, and never shown."""

import os
from pathlib import Path

import pytest

from arenad.errors import ConfigError
from arenad.master import secrets


def _fault(place: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        secrets.read("site.key_from", place, environment or {})
    (fault,) = raised.value.faults
    return fault


def _file(folder: Path, content: bytes = b"S3CRET\n", mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_no_place_no_secret() -> None:
    """An empty field is none."""
    assert secrets.read("site.key_from", "", {}) == ""


def test_a_secret_is_read_from_each_place(tmp_path: Path) -> None:
    """A private file, the environment, and what systemd holds ready; without its line end."""
    path = _file(tmp_path)
    assert secrets.read("f", f"file:{path}", {}) == "S3CRET"
    assert secrets.read("f", "env:KEY", {"KEY": " S3CRET\n"}) == "S3CRET"
    path.chmod(0o444)  # systemd guards the folder
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert secrets.read("f", "credential:key", given) == "S3CRET"


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """With the remedy, and without its content."""
    path = _file(tmp_path, mode=0o640)
    fault = _fault(f"file:{path}")
    assert fault == f"site.key_from: others may read {path}; run chmod 600 {path}"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"two\nlines"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, no text, several lines."""
    assert str(_file(tmp_path, content)) in _fault(f"file:{tmp_path / 'key'}")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Not there, a folder, a device, a pipe that nobody writes to: no wait for any of them."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "No such file" in _fault(f"file:{tmp_path / 'nothing'}")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        fault = _fault(f"file:{path}")
        assert fault == f"site.key_from: {path} is no regular file; name one that is"


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """It is not read to its end, nor is its beginning taken for the key."""
    path = _file(tmp_path, b"x" * (secrets.MAX_BYTES + 1))
    assert "is over 65536 bytes; that is no key" in _fault(f"file:{path}")


def test_what_was_not_passed_is_told() -> None:
    """A variable, a credential."""
    assert "the environment has no KEY" in _fault("env:KEY")
    assert "add LoadCredential=" in _fault("credential:key")


@pytest.mark.parametrize(
    "place", ["sk-S3CRET", "file:", "env:", "credential:../S3CRET", "x:S3CRET"]
)
def test_a_secret_in_its_place_is_not_shown(place: str) -> None:
    """Whoever writes the key itself into the field is told what belongs there."""
    fault = _fault(place, {"CREDENTIALS_DIRECTORY": "/"})
    assert fault == f"site.key_from: is no place of a secret; must be {secrets.PLACES}"
