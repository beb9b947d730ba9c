"""epoll, timers and channels: all that the master waits for. One thread, nothing blocks.

The loop never waits without knowing why: file descriptors with a callback, timers with a callback.
"""

import heapq
import itertools
import select
import socket
import time
from collections.abc import Callable

from arenad.schema.frame import Body, Frame
from arenad.wire import Peer

READ_BYTES = 256 * 1024
MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""A child or an operator that reads nothing for so long is cut off rather than remembered."""

MIN_TIMERS = 64
"""So many timers are kept, cancelled ones among them, before it is worth to look through them."""

MAX_LAST_READS = 64
"""Enough for all that a socket holds; a process that leaked its end cannot hold us up with more."""


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
        self._new: set[int] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._tidy_at = MIN_TIMERS
        self._order = itertools.count()
        self.running = True

    def watch(self, fd: int, on_ready: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        """Call `on_ready(events)` whenever the descriptor is ready; replaces an earlier watch."""
        if fd in self._watched:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
            self._new.add(fd)
        self._watched[fd] = on_ready

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, when_s: float, callback: Callable[[], None]) -> Timer:
        """Call back at this time of the monotonic clock."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when_s, next(self._order), timer))
        if len(self._timers) >= self._tidy_at:
            self._tidy()
        return timer

    def _tidy(self) -> None:
        """Forget cancelled timers, of which many deaths in a row leave many, due long after."""
        self._timers = [each for each in self._timers if each[2].callback is not None]
        heapq.heapify(self._timers)
        self._tidy_at = max(MIN_TIMERS, 2 * len(self._timers))

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back in `delay_s` seconds; never from within this call."""
        return self.at(time.monotonic() + delay_s, callback)

    def run(self) -> None:
        """Until `running` is cleared."""
        while self.running:
            self._new.clear()
            for fd, events in self._epoll.poll(self._timeout_s()):
                # A number that an earlier callback closed and opened anew is not what was ready.
                if fd not in self._new and (on_ready := self._watched.get(fd)) is not None:
                    on_ready(events)
            self._fire()

    def _timeout_s(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _fire(self) -> None:
        """All that are due now; what these add is due in the next turn at the earliest."""
        now_s, due = time.monotonic(), list[Timer]()
        while self._timers and self._timers[0][0] <= now_s:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            if timer.callback is not None:
                timer.callback()


class Channel:
    """One end of a link in the master: frames in by callback, bytes out as the socket takes them.

    A callback may close its own channel, or send on it; nothing is sent or called back after that.
    """

    def __init__(
        self,
        loop: Loop,
        end: socket.socket,
        peer: Peer,
        on_frame: Callable[[Frame], None],
        on_end: Callable[[str], None],
        unsent: bytes = b"",
    ) -> None:
        """`on_end` is called once, with the reason: the other end closed, or broke the protocol.

        `unsent` is what an earlier channel on this end could not send any more.
        """
        end.setblocking(False)
        self.peer = peer
        self._loop = loop
        self._end = end
        self._on_frame = on_frame
        self._on_end = on_end
        self._unsent = bytearray()
        self._is_writing = False
        self._is_unheard = False
        self.open = True
        loop.watch(end.fileno(), self._on_ready)
        self.send(unsent)

    @property
    def fd(self) -> int:
        """The descriptor of this end."""
        return self._end.fileno()

    @property
    def unsent(self) -> bytes:
        """What the other end has not taken yet."""
        return bytes(self._unsent)

    def note(self, body: Body) -> None:
        """Send a message that gets no answer."""
        self.send(self.peer.note(body))

    def send(self, packed: bytes) -> None:
        """Send now what the socket takes, the rest when it can."""
        if not self.open or self._is_unheard or not packed:
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
        except OSError:  # nobody hears us any more; what was said before is still to be read
            self._is_unheard = True
            self._unsent.clear()
        if self._is_writing is not bool(self._unsent):
            self._is_writing = bool(self._unsent)
            wanted = select.EPOLLIN | (select.EPOLLOUT if self._is_writing else 0)
            self._loop.watch(self._end.fileno(), self._on_ready, wanted)

    def _on_ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if self.open and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self._read()

    def read_rest(self) -> None:
        """Take the last words of a process that has ended, instead of waiting for them."""
        for _ in range(MAX_LAST_READS):
            if not (self.open and self._read()):
                return

    def _read(self) -> bool:
        """Take one chunk; false when there is none yet."""
        try:
            chunk = self._end.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._finish(f"closed the link ({error.strerror})")
            return False
        for frame in self.peer.receive(chunk):
            if self.open:
                self._on_frame(frame)
        if self.peer.fault is not None:
            self._finish(f"broke the protocol: {self.peer.fault}")
        elif not chunk:
            self._finish("closed the link")
        return True

    def _finish(self, reason: str) -> None:
        if self.open:
            self.close()
            self._on_end(reason)

    def close(self) -> None:
        """Close without calling `on_end`."""
        if self.open:
            self.open = False
            self._unsent.clear()
            self._loop.unwatch(self._end.fileno())
            self._end.close()
