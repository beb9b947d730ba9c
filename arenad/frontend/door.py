"""Accepts connections from a listening socket that other frontends accept from too.

Ours, since libuv's own way with a lack of descriptors is to accept a connection and hang up on it
(uv__emfile_trick): who connects is then lost, though another frontend might have taken them, and
though we may have room again a moment later. Here they wait in the kernel's queue.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from arenad.link import Tasks

BACKLOG = 1024
ACCEPT_AGAIN_S = 0.1
"""Out of descriptors, whoever waits would wake us again at once: look away for so long."""

log = logging.getLogger("arenad.frontend")


class Door:
    """An open listener; must be made where a loop runs."""

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        """`make` gives a new connection its protocol."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._make = make
        self._tasks = Tasks()
        self._pause: asyncio.TimerHandle | None = None
        self._is_short = False
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._open()

    def close(self) -> None:
        """Accept nobody more; those who are in stay. A second time changes nothing."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener.fileno())
        if self._pause is not None:
            self._pause.cancel()
        self._listener.close()

    def _open(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        """One at a time: what is left wakes the other frontends as well."""
        try:
            end, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another frontend was quicker, or the client left again
        except OSError as error:
            if not self._is_short:
                log.warning("nobody is accepted for a while: %s", error.strerror)
            self._is_short = True
            self._loop.remove_reader(self._listener.fileno())
            self._pause = self._loop.call_later(ACCEPT_AGAIN_S, self._open)
            return
        self._is_short = False
        end.setblocking(False)
        self._tasks.start(self._admit(end), "a new connection")

    async def _admit(self, end: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, end)
        except OSError as error:
            log.info("a connection ended before it began: %s", error)
            end.close()
