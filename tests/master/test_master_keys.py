"""The store of keys on a real disk: whole or not at all, ours alone, and what is said when not."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from arenad.errors import Refused
from arenad.master import keys as module
from arenad.master.keys import FILE, KeyStore
from arenad.schema.keys import MAX_KEYS, Key


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    held = os.open(tmp_path, os.O_RDONLY)
    yield held
    os.close(held)


def key(name: str, number: int = 0) -> Key:
    return Key(name=name, id=f"{number:016x}", scopes=("chat",), salt=b"s", digest=b"d")


def store(folder: int, *names: str) -> KeyStore:
    made = KeyStore()
    made.read(folder)
    for number, name in enumerate(names):
        made.add(key(name, number))
    return made


def test_keys_are_read_as_they_were_written(folder: int, tmp_path: Path) -> None:
    """By the next daemon; each has a row of its own, and one that is free is given again."""
    ours = store(folder, "alice", "bob", "carol")
    ours.revoke("bob")
    ours.add(key("dave", 4))
    assert [(each.name, each.row) for each in ours.keys] == [
        ("alice", 0),
        ("carol", 2),
        ("dave", 1),
    ]
    assert store(folder).keys == ours.keys
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_what_cannot_be_is_refused(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name twice, a name that is not there, one key too many; nothing has changed then."""
    ours = store(folder, "alice", "bob")
    before = ours.keys
    with pytest.raises(Refused, match="'alice' already"):
        ours.add(key("alice", 7))
    with pytest.raises(Refused, match="no key 'eve'; there are: alice, bob"):
        ours.revoke("eve")
    monkeypatch.setattr(module, "MAX_KEYS", 2)
    with pytest.raises(Refused, match="2 keys already"):
        ours.add(key("carol", 7))
    assert ours.keys == before == store(folder).keys
    assert MAX_KEYS == 1000


def test_a_locked_file_is_not_written(folder: int, tmp_path: Path) -> None:
    """Its keys go on, are read by the next daemon, and it is said."""
    ours = store(folder, "alice")
    assert ours.trouble() == ""
    with (tmp_path / FILE).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "held locked by another program" in ours.trouble()
        with pytest.raises(Refused, match="held locked"):
            ours.add(key("bob", 1))
        assert store(folder).keys == ours.keys
    assert ours.trouble() == ""
    ours.add(key("bob", 1))


def test_a_read_only_file_is_not_replaced(folder: int, tmp_path: Path) -> None:
    """Whoever took the right to write away meant it, even where root could."""
    ours = store(folder, "alice")
    (tmp_path / FILE).chmod(0o400)
    assert "read-only" in ours.trouble()
    with pytest.raises(Refused, match="read-only"):
        ours.revoke("alice")
    assert [each.name for each in store(folder).keys] == ["alice"]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"{", 0o600, "is damaged"),
        (b'{"keys": [{"name": "a"}]}', 0o600, "is damaged"),
        (b'{"keys": []}', 0o640, "is open to others"),
        (b'{"keys": []}', 0o602, "is open to others"),
    ],
)
def test_what_cannot_be_trusted_is_not_read(
    folder: int, tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    """Then nobody knows the keys; it is said, and nothing is written over it."""
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(mode)
    ours = store(folder)
    assert ours.keys == ()
    assert words in ours.fault
    with pytest.raises(Refused):
        ours.add(key("alice"))
    assert (tmp_path / FILE).read_bytes() == content


def test_what_another_user_made_is_not_trusted(folder: int, tmp_path: Path) -> None:
    """The folder is the children's: one of them could have put its own keys there."""
    if os.getuid() != 0:
        (tmp_path / FILE).symlink_to("/etc/passwd")
        assert "cannot be opened" in store(folder).trouble()
        return
    store(folder, "alice")
    os.chown(tmp_path / FILE, 65534, 65534)
    assert "belongs to user 65534" in store(folder).fault


def test_a_link_is_not_followed(folder: int, tmp_path: Path) -> None:
    """Nor what waits for nobody, such as a pipe."""
    (tmp_path / FILE).symlink_to("/etc/passwd")
    assert "cannot be opened" in store(folder).fault
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE, 0o600)
    assert "no regular file" in store(folder).fault


def test_known_keys_outlive_a_file_that_has_gone_bad(folder: int, tmp_path: Path) -> None:
    """A program that takes over in place goes on with those of the one before."""
    before = store(folder, "alice")
    (tmp_path / FILE).write_bytes(b"{")
    after = KeyStore(before.keys)
    after.read(folder)
    assert after.keys == before.keys
    assert "is damaged" in after.trouble()


def test_without_a_folder_there_is_no_place() -> None:
    """Said in place of a traceback."""
    with pytest.raises(Refused, match="state folder"):
        KeyStore().add(key("alice"))
