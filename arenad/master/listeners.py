"""The sockets that others accept from, given to us or our own; the master never accepts.

They live here, so that a frontend that dies or is replaced refuses nobody, and what frontends tell
a recorder that is away waits for the next one.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from arenad.errors import ConfigError
from arenad.master import activation
from arenad.master.handover import KeptListener
from arenad.master.settings import Settings
from arenad.schema.paths import split_address
from arenad.schema.process import ProcessRole

LISTEN_BACKLOG = 1024

RECORDER = "the recorder's socket"
RECORDER_BACKLOG = 128

FIELDS: dict[str, ProcessRole] = {
    "api.listen": "frontend",
    "gui.listen": "frontend",
    "demo.listen": "demo",
    RECORDER: "recorder",
}
"""The fields that name an address, and whose sockets those are, in the order that roles expect."""


class Listener(NamedTuple):
    """A socket that listens, and the address by which the configuration calls for it."""

    address: str
    socket: socket.socket


class Listeners:
    """Listening sockets by the field that each stands for."""

    def __init__(self, given: activation.Handed) -> None:
        """`given` are those of a service manager: they hold, whatever the configuration says."""
        self.given = given
        self.open: dict[str, Listener] = {
            field: Listener("", listener) for field, listener in given.items()
        }

    @classmethod
    def resumed(cls, kept: Mapping[str, KeptListener]) -> "Listeners":
        """Those of an earlier program in this process."""
        sockets = {field: socket.socket(fileno=each.fd) for field, each in kept.items()}
        made = cls({field: sockets[field] for field, each in kept.items() if each.is_given})
        made.open = {f: Listener(each.address, sockets[f]) for f, each in kept.items()}
        return made

    @property
    def kept(self) -> dict[str, KeptListener]:
        """For the program that takes our place."""
        return {
            field: KeptListener(each.socket.fileno(), each.address, field in self.given)
            for field, each in self.open.items()
        }

    def open_recorder(self, settings: Settings) -> None:
        """Listen for the recorder, if there is to be one; no reload changes that.

        Raises `ConfigError`.
        """
        path = settings.recorder_socket
        if settings.records and RECORDER not in self.open:
            try:
                self.open[RECORDER] = Listener(str(path), _listen_at(path, settings.user))
            except OSError as error:
                fault = f"daemon.runtime_dir: cannot listen at {path}: {error.strerror}"
                raise ConfigError([fault]) from error

    def follow(self, settings: Settings) -> None:
        """Listen where these settings want it, and nowhere else; what is open already stays open.

        Raises `ConfigError` with every address that cannot be had; then nothing has changed.
        """
        wanted = _addresses(settings)
        faults: list[str] = []
        fresh = {
            field: Listener(address, listener)
            for field, address in wanted.items()
            if not self._has(field, address)
            and (listener := _listen(field, address, faults)) is not None
        }
        if faults:
            for listener in fresh.values():
                listener.socket.close()
            raise ConfigError(faults)
        for field in set(self.open) - set(wanted) - {RECORDER} | (set(fresh) & set(self.open)):
            self.open.pop(field).socket.close()
        self.open.update(fresh)

    def _has(self, field: str, address: str) -> bool:
        return field in self.given or (field in self.open and self.open[field].address == address)

    def of(self, role: ProcessRole) -> tuple[socket.socket, ...]:
        """The sockets of a role, in the order in which it expects them."""
        return tuple(
            self.open[field].socket
            for field, whose in FIELDS.items()
            if whose == role and field in self.open
        )


def _addresses(settings: Settings) -> dict[str, str]:
    config = settings.config
    addresses = {"api.listen": config.api.listen, "gui.listen": config.gui.listen}
    if settings.runs_demo:
        addresses["demo.listen"] = config.demo.listen
    return addresses


def _listen(field: str, address: str, faults: list[str]) -> socket.socket | None:
    """A socket, or one fault more."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = None
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(LISTEN_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        remedy = "free it or name another"
        faults.append(f"{field}: cannot listen at {address}: {error.strerror}; {remedy}")
        return None
    return listener


def _listen_at(path: Path, user: tuple[int, int]) -> socket.socket:
    """For this user and root alone, from the first moment. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)
        path.unlink(missing_ok=True)
        made.bind(str(path))
        os.chown(path, *user)
        made.listen(RECORDER_BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
