"""Whom children become: a user without rights, when the master is root."""

import os
import pwd

from arenad.errors import ConfigError

UNPRIVILEGED_USERS = ("arenad", "nobody")
"""Whom children become when the master is root and `daemon.user` names nobody."""


def user_of(name: str) -> tuple[int, int]:
    """The uid and gid that children run as: our own, unless we are root."""
    candidates = (name,) if name else UNPRIVILEGED_USERS
    entries = [entry for each in candidates if (entry := _entry(each)) is not None]
    if name and not entries:
        raise ConfigError([f"daemon.user: there is no user {name}; create one"])
    if os.getuid() != 0:
        if name and entries[0].pw_uid != os.getuid():
            raise ConfigError(
                [f"daemon.user: is {name}, but only root can become another user; leave it empty"]
            )
        return os.getuid(), os.getgid()
    if not entries:
        users = " nor ".join(UNPRIVILEGED_USERS)
        raise ConfigError([f"daemon.user: there is neither user {users}; create one and name it"])
    return entries[0].pw_uid, entries[0].pw_gid


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
