"""The notification protocol of systemd, sd_notify(3): one datagram of lines to a socket it names.

The `sdnotify` package swallows errors and cannot pass descriptors, which later needs will want.
"""

import faulthandler
import logging
import os
import socket
from collections.abc import Callable, Sequence

from arenad.master.loop import Loop

EXTEND_S = 20.0
EXTEND_AGAIN_S = 5.0
"""On the way out we ask for so much more time, so often: a master that hangs there is not waited
for until the longest drain would be over. What follows the loop (`run.py`) takes up to 5 s."""

LOOK_AGAIN = 8
"""A master that finds fault with its books looks again after this part of the interval."""

_ONE_LINE = str.maketrans("\r\n", "  ")
"""A site's words may be in a status; a second line would be a second message."""

logger = logging.getLogger("arenad.master")


class Notifier:
    """Tells the service manager where we stand; does nothing when there is none."""

    def __init__(self) -> None:
        """Take the address out of the environment, so that no child speaks for us."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self._told = ""
        watchdog_s = _watchdog_s()
        self.watchdog_s = watchdog_s if self._socket is not None else 0.0
        """How long a sign of life may be missing; 0 when nobody waits for one."""

    @property
    def environment(self) -> dict[str, str]:
        """What was taken out of the environment, for a program that takes our place."""
        if not self.is_present:
            return {}
        address = "@" + self._address[1:] if self._address.startswith("\0") else self._address
        watchdog = {"WATCHDOG_USEC": str(int(self.watchdog_s * 1_000_000))}
        return {"NOTIFY_SOCKET": address, **(watchdog if self.watchdog_s else {})}

    @property
    def is_present(self) -> bool:
        """Whether a service manager listens."""
        return self._socket is not None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return  # a full queue or a gone manager must not stop the daemon

    def ready(self) -> None:
        """Start-up is over."""
        self._send("READY=1", f"MAINPID={os.getpid()}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; sent only when it changes."""
        if text != self._told:
            self._told = text
            self._send(f"STATUS={text.translate(_ONE_LINE)}")

    def alive(self) -> None:
        """The sign of life that the watchdog waits for."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The stop has begun."""
        self._send("STOPPING=1")

    def extend(self, timeout_s: float) -> None:
        """What is under way goes on; give up on us only after so long without another word."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(timeout_s * 1_000_000)}")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _watchdog_s() -> float:
    """What sd_watchdog_enabled(3) reads; taken out of the environment like the address."""
    microseconds, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
    if pid not in ("", str(os.getpid())):
        return 0.0
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() else 0.0


class Pulse:
    """What the service manager is told again and again: that we live, or that we still leave.

    It beats in the master's own loop, so a loop that hangs falls silent, and is replaced.
    """

    def __init__(self, loop: Loop, notifier: Notifier, faults: Callable[[], Sequence[str]]) -> None:
        """`faults` looks at the master's books; while it finds any, the watchdog is not fed."""
        self._loop = loop
        self._notifier = notifier
        self._faults = faults

    def start(self) -> None:
        """Feed the watchdog from now on. Without one there is no timer and no wake-up."""
        if self._notifier.watchdog_s:
            faulthandler.enable()  # the watchdog's SIGABRT then leaves the place where we hung
            self._beat()

    def _beat(self) -> None:
        self._loop.after(self._notifier.watchdog_s / 2, self._beat)
        # One more turn of the loop, so that after a standstill all that was due is done first.
        self._loop.after(0.0, self._feed)

    def _feed(self) -> None:
        faults = self._faults()
        if not faults:
            self._notifier.alive()
            return
        for fault in faults:
            logger.error("the watchdog is not fed: %s", fault)
        # Not fed at the next beat either, we are killed: look again before, it may have mended.
        self._loop.after(self._notifier.watchdog_s / LOOK_AGAIN, self._feed)

    def leave(self) -> None:
        """The stop has begun: say so, and ask for time as long as the loop runs."""
        if self._notifier.is_present:
            self._notifier.stopping()
            self._extend()

    def _extend(self) -> None:
        self._notifier.extend(EXTEND_S)
        self._loop.after(EXTEND_AGAIN_S, self._extend)
