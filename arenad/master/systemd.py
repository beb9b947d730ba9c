"""The notification protocol of systemd, sd_notify(3): one datagram of lines to a socket it names.

The `sdnotify` package swallows errors and cannot pass descriptors, which later needs will want.
"""

import os
import socket

_ONE_LINE = str.maketrans("\r\n", "  ")
"""A site's words may be in a status; a second line would be a second message."""


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

    def stopping(self, timeout_s: float) -> None:
        """The stop has begun and may take so long."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(timeout_s * 1_000_000)}")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
