"""A blank: a child that is forked in time of rest, and becomes whoever is lost next.

The fork is most of what a new process costs before it can say hello; a blank has it behind it, and
is told who it is over a socket of its own. It is the nursery's like every child, dies with the
master, and leaves when our end of the socket closes.
"""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from arenad.master import zygote
from arenad.master.loop import Loop, Timer
from arenad.schema.process import ForkOrder

REST_S = 1.0
"""A blank is made when nobody was born for so long: no birth is to wait for it."""

logger = logging.getLogger("arenad.master")


class Birth(NamedTuple):
    """A child on order: what only it will need is closed here once it was handed over."""

    order: ForkOrder
    link: socket.socket
    switch: int = -1
    listeners: Sequence[socket.socket] = ()
    group: int = -1

    @property
    def fds(self) -> list[int]:
        """What comes along with the order; a blank has no switch, and only workers have a group."""
        sockets = [end.fileno() for end in (self.link, *self.listeners)]
        return [fd for fd in (self.switch, *sockets, self.group) if fd >= 0]

    def close(self) -> None:
        """It was handed over, or never will be."""
        self.link.close()
        if self.group >= 0:
            os.close(self.group)


class Blanks:
    """At most one blank at a time."""

    def __init__(self, loop: Loop, fork: Callable[[Birth], None]) -> None:
        """`fork` has the blank made; whoever does tells `born` or `unborn`."""
        self._loop = loop
        self._fork = fork
        self._end: socket.socket | None = None
        self._pidfd = -1
        self._timer: Timer | None = None
        self.pid = 0
        """Of the blank that waits; 0 while there is none."""

    def rest(self, order: ForkOrder) -> None:
        """Somebody was ordered: once there was rest, see that there is a blank for the next one."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(REST_S, lambda: self._conceive(order.uid, order.gid))

    def _conceive(self, uid: int, gid: int) -> None:
        self._timer = None
        if self._end is None:
            try:
                self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError as error:
                logger.debug("no blank could be made (%s)", error.strerror)
                return
            self._end.setblocking(False)
            order = ForkOrder(role="worker", name="", generation=0, uid=uid, gid=gid)
            self._fork(Birth(order, theirs))

    def born(self, pid: int) -> None:
        """There is a blank; 0 says that it could not be made."""
        try:
            self._pidfd = os.pidfd_open(pid) if pid else -1
        except OSError:
            pid = 0  # it is nobody's now, and swept
        if not pid:
            self.unborn()
            return
        self.pid = pid
        self._loop.watch(self._pidfd, lambda _: self._forget())  # it ended; SIGCHLD has it swept

    def unborn(self) -> None:
        """There is none, until somebody was ordered again."""
        self.pid = 0
        if self._end is not None:
            self._end.close()
            self._end = None

    def _forget(self) -> None:
        self._loop.unwatch(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self.unborn()

    def become(self, birth: Birth) -> int:
        """Let the blank become this child; gives its pid, 0 when there is none that can."""
        pid, end = self.pid, self._end
        if not pid or end is None:
            return 0
        try:
            zygote.send(end, birth.order, birth.fds)
        except OSError:
            pid = 0  # it is just ending
        self._forget()
        return pid
