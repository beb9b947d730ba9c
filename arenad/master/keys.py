"""The store of keys: one file in the state folder, written whole or not at all by the master alone.

Frontends are told the keys with their settings, so none of them needs the file: while it cannot be
read or written, the keys that are known go on, and only a change of them is refused.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from arenad.errors import ArenadError, Refused
from arenad.schema.keys import MAX_KEYS, Key, KeyFile

FILE = "keys.json"
COUNTERS = "keys.counters"
"""Beside it: what keys have used, which frontends write."""

MAX_BYTES = 1024 * 1024
PRIVATE = 0o600

_NO_PLACE = "there is no state folder; see daemon.state_dir"

_encode = msgspec.json.Encoder().encode


class Unreadable(ArenadError):
    """The file cannot be used; the message says why and what helps."""


class KeyStore:
    """The keys, as they stand in the folder; `fault` says why they could not be read."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        """These are known from an earlier program in this process."""
        self.keys = tuple(keys)
        self.fault = ""
        self._folder = -1

    def read(self, folder: int) -> None:
        """Take what stands in the folder, of this descriptor; on a fault what is known goes on."""
        self._folder = folder
        try:
            self.keys, self.fault = _read(folder), ""
        except Unreadable as error:
            self.fault = str(error)

    def add(self, key: Key) -> None:
        """Keep one more. Raises `Refused`; then nothing has changed."""
        if any(each.name == key.name for each in self.keys):
            raise Refused(f"name: there is a key {key.name!r} already; revoke it, or take another")
        if len(self.keys) >= MAX_KEYS:
            raise Refused(f"there are {MAX_KEYS} keys already; revoke one")
        row = min(set(range(MAX_KEYS)) - {each.row for each in self.keys})
        self._write((*self.keys, replace(key, row=row)))

    def revoke(self, name: str) -> None:
        """Keep this one no more. Raises `Refused`; then nothing has changed."""
        rest = tuple(each for each in self.keys if each.name != name)
        if len(rest) == len(self.keys):
            known = ", ".join(each.name for each in self.keys[:10]) or "none"
            raise Refused(f"name: there is no key {name[:40]!r}; there are: {known}")
        self._write(rest)

    def trouble(self) -> str:
        """Why the keys could not be read, or could not be written if they were to be now."""
        if self.fault or self._folder < 0:
            return self.fault or _NO_PLACE
        try:
            lock = _locked(self._folder)
            os.close(lock)
        except Unreadable as error:
            return str(error)
        return ""

    def _write(self, keys: tuple[Key, ...]) -> None:
        if why := self.trouble():
            raise Refused(why)
        try:
            lock = _locked(self._folder)
            try:
                _replace(self._folder, _encode(KeyFile(keys=keys)))
            finally:
                os.close(lock)
        except Unreadable as error:
            raise Refused(str(error)) from error
        except OSError as error:
            raise Refused(f"{FILE} cannot be written: {error.strerror}") from error
        self.keys = keys


def _read(folder: int) -> tuple[Key, ...]:
    """Raises `Unreadable`. Whoever owns the folder may have put something else in its place."""
    try:
        file = _opened(folder)
    except FileNotFoundError:
        return ()
    try:
        content = os.read(file, MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{FILE} cannot be read: {error.strerror}") from error
    finally:
        os.close(file)
    try:
        found = msgspec.json.decode(content, type=KeyFile)
    except msgspec.MsgspecError as error:
        remedy = "put an older copy in its place, or remove it and make new keys"
        raise Unreadable(f"{FILE} is damaged ({error}); {remedy}") from error
    return found.keys


def _opened(folder: int) -> int:
    """The file, which must be ours alone. Raises `Unreadable`, or FileNotFoundError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(FILE, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(f"{FILE} cannot be opened: {error.strerror}") from error
    status = os.fstat(file)
    why = ""
    if not stat.S_ISREG(status.st_mode):
        why = "is no regular file; move it away"
    elif status.st_uid != os.getuid():
        why = f"belongs to user {status.st_uid}, not to arenad's; it is not trusted"
    elif status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        why = f"is open to others; run chmod 600 {FILE} there"
    if why:
        os.close(file)
        raise Unreadable(f"{FILE} {why}")
    return file


def _locked(folder: int) -> int:
    """A descriptor that holds the lock, if the file could be written now. Raises `Unreadable`."""
    try:
        probe = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, PRIVATE, dir_fd=folder)
        os.close(probe)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):  # of file systems without such
            told = f"the folder of {FILE} cannot be written: {error.strerror}"
            raise Unreadable(told) from error
    try:
        file = _opened(folder)
    except FileNotFoundError:
        return os.dup(folder)
    why = ""
    if not os.fstat(file).st_mode & stat.S_IWUSR:
        why = f"is read-only; run chmod 600 {FILE} there to change keys"
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        why = "is held locked by another program; end that"
    if why:
        os.close(file)
        raise Unreadable(f"{FILE} {why}")
    return file


def _replace(folder: int, content: bytes) -> None:
    """All of it is on disk, under its name, or nothing has changed. Raises OSError."""
    new = f"{FILE}.new"
    with suppress(FileNotFoundError):
        os.unlink(new, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(new, flags, PRIVATE, dir_fd=folder)
    try:
        with os.fdopen(file, "wb", closefd=False) as out:
            out.write(content)
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(new, FILE, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
