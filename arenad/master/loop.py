"""epoll, timers and channels: all that the master waits for. One thread, nothing blocks.

The loop never waits without knowing why: file descriptors with a callback, timers with a callback.
"""

import heapq
import itertools
import logging
import select
import socket
import time
from collections.abc import Callable

from arenad.schema.frame import Body, Frame
from arenad.wire import Peer

READ_BYTES = 256 * 1024
MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""A child or an operator that reads nothing for so long is cut off rather than remembered."""

logger = logging.getLogger("arenad.master")


class Timer:
    """A callback to be made once, unless it is cancelled before."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        """Made by `Loop.at`."""
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call back."""
        self.callback = None


class Loop:
    """epoll over descriptors and a heap of timers."""

    def __init__(self) -> None:
        """Nothing watched yet."""
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self.running = True

    def watch(
        self, fd: int, on_ready: Callable[[int], None], events: int = select.EPOLLIN
    ) -> None:
        """Call `on_ready(events)` whenever the descriptor is ready; replaces an earlier watch."""
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watched[fd] = on_ready

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, when_s: float, callback: Callable[[], None]) -> Timer:
        """Call back at this time of the monotonic clock."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when_s, next(self._order), timer))
        return timer

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back in `delay_s` seconds."""
        return self.at(time.monotonic() + delay_s, callback)

    def run(self) -> None:
        """Until `running` is cleared."""
        while self.running:
            for fd, events in self._epoll.poll(self._timeout_s()):
                if (on_ready := self._watched.get(fd)) is not None:
                    on_ready(events)
            self._fire()

    def _timeout_s(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _fire(self) -> None:
        now_s = time.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            timer = heapq.heappop(self._timers)[2]
            if timer.callback is not None:
                timer.callback()


class Channel:
    """One end of a link, for the master's loop: frames in by callback, bytes out as the socket takes them."""

    def __init__(
        self,
        loop: Loop,
        end: socket.socket,
        peer: Peer,
        on_frame: Callable[[Frame], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`on_end` is called once, with the reason: the other end closed, or broke the protocol."""
        end.setblocking(False)
        self.peer = peer
        self._loop = loop
        self._end = end
        self._on_frame = on_frame
        self._on_end = on_end
        self._unsent = bytearray()
        self.open = True
        loop.watch(end.fileno(), self._on_ready)

    def note(self, body: Body) -> None:
        """Send a message that gets no answer."""
        self.send(self.peer.note(body))

    def send(self, packed: bytes) -> None:
        """Send now what the socket takes, the rest when it can."""
        if not self.open or not packed:
            return
        self._unsent += packed
        self._flush()
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self._finish("does not read what it is sent")

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._end.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            self._finish(f"closed the link ({error.strerror})")
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._loop.watch(self._end.fileno(), self._on_ready, wanted)

    def _on_ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if self.open and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read()

    def _read(self) -> None:
        try:
            chunk = self._end.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(f"closed the link ({error.strerror})")
            return
        for frame in self.peer.receive(chunk):
            if self.open:
                self._on_frame(frame)
        if self.peer.fault is not None:
            self._finish(f"broke the protocol: {self.peer.fault}")
        elif not chunk:
            self._finish("closed the link")

    def _finish(self, reason: str) -> None:
        if self.open:
            self.close()
            self._on_end(reason)

    def close(self) -> None:
        """Close without calling `on_end`."""
        if self.open:
            self.open = False
            self._loop.unwatch(self._end.fileno())
            self._end.close()
