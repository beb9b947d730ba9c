"""Socket activation, sd_listen_fds(3): listening sockets that the service manager hands over.

They are told apart by name (`FileDescriptorName=`, see systemd/*.socket) and used instead of
binding. The manager keeps them while the daemon is down or restarts, so nobody is refused.
"""

import logging
import os
import socket
from collections.abc import MutableMapping

from msgspec.structs import replace

from arenad.schema.config import Config
from arenad.schema.paths import split_address

FIRST_FD = 3
MAX_FDS = 64
FIELDS = {"api": "api.listen", "gui": "gui.listen"}
"""The names we know, and the field of the configuration that each stands for."""

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

Handed = dict[str, socket.socket]
"""Listening sockets by the field that they stand for."""

logger = logging.getLogger("arenad.master")


def take(environ: MutableMapping[str, str]) -> Handed:
    """The sockets meant for this process; what cannot be used is closed with a warning.

    The variables are removed, so that no child takes the same numbers for its own.
    """
    pid, count, names, _ = (environ.pop(variable, "") for variable in VARIABLES)
    if pid != str(os.getpid()) or not count:
        return {}
    if not count.isdecimal() or int(count) > MAX_FDS:
        logger.warning("LISTEN_FDS is %.20r: the sockets of the service manager go unused", count)
        return {}
    handed: Handed = {}
    given = names.split(":") if names else []
    given += ["unknown"] * (int(count) - len(given))
    for fd, name in zip(range(FIRST_FD, FIRST_FD + int(count)), given, strict=False):
        _take_one(fd, name, handed)
    return handed


def _take_one(fd: int, name: str, handed: Handed) -> None:
    try:
        os.set_inheritable(fd, False)
        listener = socket.socket(fileno=fd)
    except OSError as error:
        logger.warning("socket %d (%s) is passed over: %s", fd, name, error.strerror)
        return
    field = FIELDS.get(name)
    if field is None:
        fault = f"its name is none of {', '.join(FIELDS)}"
    elif field in handed:
        fault = "there is another of that name"
    else:
        fault = _fault(listener)
    if field is None or fault:
        logger.warning("the socket called %s is passed over: %s", name, fault)
        listener.close()
        return
    listener.setblocking(False)
    handed[field] = listener


def _fault(listener: socket.socket) -> str:
    """Why the socket is of no use; empty if it is."""
    is_tcp = listener.family in (socket.AF_INET, socket.AF_INET6)
    if not is_tcp or listener.type != socket.SOCK_STREAM:
        return "it is no TCP socket"
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "it does not listen"
    return ""


def applied(config: Config, handed: Handed) -> Config:
    """The configuration with the addresses that are really listened at."""
    api, gui = FIELDS["api"], FIELDS["gui"]
    return replace(
        config,
        api=replace(config.api, listen=_address(api, config.api.listen, handed.get(api))),
        gui=replace(config.gui, listen=_address(gui, config.gui.listen, handed.get(gui))),
    )


def _address(field: str, configured: str, listener: socket.socket | None) -> str:
    if listener is None:
        return configured
    host, port = listener.getsockname()[:2]
    configured_host, configured_port = split_address(configured)
    if configured_port == port and configured_host in (host, "localhost"):
        return configured
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    logger.warning("%s: is %s, but systemd listens at %s, which holds", field, configured, address)
    return address
