"""The state folder: what outlives the daemon is kept there by the children's user alone."""

import fcntl
import os
import stat
from pathlib import Path

from arenad.errors import ArenadError

LOGINS = "logins"
"""The folder of the logins that instances keep."""

OURS = ("history.db", LOGINS, "keys.")
"""How the names in it begin: the first are the recorder's, the last those of `keys`."""

PRIVATE = 0o700


class Unusable(ArenadError):
    """The folder cannot be used; the message says why."""


def claim(folder: Path, user: tuple[int, int]) -> int:
    """Make the folder, or check it, for this uid and gid; gives a descriptor to hold.

    As long as that is open no other daemon gets the folder. One that somebody else made is given
    away, or closed to others, only while there is nothing in it but what is ours. Raises
    `Unusable`.
    """
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Unusable(f"{folder} cannot be made or opened: {error.strerror}") from error
    try:
        _check(folder, held, user)
    except OSError as error:
        os.close(held)
        raise Unusable(f"{folder}: {error.strerror}") from error
    except Unusable:
        os.close(held)
        raise
    return held


def _check(folder: Path, held: int, user: tuple[int, int]) -> None:
    status = os.fstat(held)
    strange = sorted(name for name in os.listdir(held) if not name.startswith(OURS))
    if status.st_uid not in (user[0], os.getuid()):
        raise Unusable(f"{folder} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Unusable(f"others may write into {folder}")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unusable(f"another arenad uses {folder}; give each its own") from None
    if status.st_uid != user[0]:
        if strange:
            raise Unusable(f"{folder} is root's and holds other things, such as {strange[0]}")
        os.fchown(held, *user)
    if not strange:
        os.fchmod(held, PRIVATE)
