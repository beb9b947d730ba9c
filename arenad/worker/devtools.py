"""A DevTools link to Chromium over its remote-debugging pipe: NUL-terminated JSON, no Node between.

Replies and events are handed on strictly in the order of the wire, synchronously: a reply that says
"so far there was this text" must be seen before the event that brings the next piece.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from arenad.worker.inflow import NEVER_S, Inflow
from arenad.worker.page_port import BrowserError, BrowserGone, NoReply
from arenad.worker.valve import Reason, Valve

COMMAND_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
UNSENT_LIMIT_BYTES = 64 * 1024 * 1024
"""A browser that reads so little is not going to read the next command either."""

_FAST: Reason = "it brings too much at once"
_NEWS = b'{"method":"Network.'

Params = dict[str, Any]
OnEvent = Callable[[Params], None]
Decode = Callable[[msgspec.Raw], Params]

log = logging.getLogger("arenad.devtools")


class Reply(msgspec.Struct):
    """How a command ended: a result, or an error."""

    result: Params
    error: str = ""
    is_gone: bool = False


OnReply = Callable[[Reply], None]


class _Incoming(msgspec.Struct):
    """Any message of the browser: a reply has an `id`, an event a `method`."""

    id: int = 0
    method: str = ""
    sessionId: str = ""  # noqa: N815 - the protocol's name
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"{}")
    error: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Incoming).decode
_decode_params = msgspec.json.Decoder(Params).decode
_encode = msgspec.json.Encoder().encode


class DevTools(asyncio.Protocol):
    """One browser's link; sessions (targets) share it."""

    def __init__(self) -> None:
        """Use `open`."""
        self.lost = asyncio.Event()
        self.heard = Counter[str]()
        """How many messages have come, by session: whoever speaks lives, asked or not."""

        self.valve: Valve | None = None
        """Holds back what the browser's network brings; whoever started the process gives it."""

        self.frame_turn: asyncio.Lock | None = None
        """Held for each frame of a page where only we have them drawn (`frames`)."""

        self._received = bytearray()
        self._inflow = Inflow()
        self._is_news = False
        self._looking: asyncio.TimerHandle | None = None
        self._last_id = 0
        self._waiting: dict[int, tuple[str, OnReply]] = {}
        self._listeners: dict[tuple[str, str], tuple[OnEvent, Decode]] = {}
        self._on_lost: list[Callable[[], None]] = []
        self._in: asyncio.ReadTransport | None = None
        self._out: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, read_fd: int, write_fd: int) -> "DevTools":
        """A link over two pipe ends, which it owns from now on."""
        loop = asyncio.get_running_loop()
        link = cls()
        source, target = os.fdopen(read_fd, "rb", 0), os.fdopen(write_fd, "wb", 0)
        try:
            link._in, _ = await loop.connect_read_pipe(lambda: link, source)
            link._out, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, target)
        except BaseException:  # a cancel too
            link.close()
            raise
        return link

    def on(self, session: str, event: str, listener: OnEvent, decode: Decode | None = None) -> None:
        """Call `listener(params)` on each such event of the session; replaces an earlier one.

        `decode` makes the params of their JSON, where it is not simply what JSON says.
        """
        self._listeners[session, event] = listener, decode or _decode_params

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Call `listener()` when the link ends."""
        self._on_lost.append(listener)

    def off_lost(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._on_lost = [each for each in self._on_lost if each != listener]

    def send(self, session: str, method: str, params: Params, on_reply: OnReply) -> int:
        """Send a command; `on_reply` is called in wire order. Raises `BrowserGone`, `NoReply`."""
        if self.lost.is_set() or self._out is None:
            raise BrowserGone("the browser is gone")
        if self._out.get_write_buffer_size() > UNSENT_LIMIT_BYTES:
            raise NoReply(f"{method}: the browser does not read what it is told")
        self._last_id += 1
        message: Params = {"id": self._last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._waiting[self._last_id] = session, on_reply
        self._out.write(_encode(message) + b"\0")
        return self._last_id

    async def command(
        self,
        method: str,
        params: Params | None = None,
        session: str = "",
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> Params:
        """Send a command and wait for its result. Raises `BrowserError` of any kind."""
        done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def settle(reply: Reply) -> None:
            if not done.done():
                done.set_result(reply)

        number = self.send(session, method, params or {}, settle)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await done
        except TimeoutError as error:
            # Never as a TimeoutError: the caller has deadlines of his own to tell this one from.
            raise NoReply(f"{method}: no reply within {timeout_s:g} s") from error
        finally:
            self._waiting.pop(number, None)
        if reply.error:
            kind = BrowserGone if reply.is_gone else BrowserError
            raise kind(f"{method}: {reply.error}")
        return reply.result

    def forget(self, session: str) -> None:
        """A target is gone, and nobody waits for it: its listeners and replies are dropped."""
        self._listeners = {key: on for key, on in self._listeners.items() if key[0] != session}
        self.end_session(session, "the target is gone")

    def end_session(self, session: str, why: str) -> None:
        """A target is gone: end those who wait for its replies, which will never come."""
        self.heard.pop(session, None)
        self._end_waiters([n for n, (whose, _) in self._waiting.items() if whose == session], why)

    def _end_waiters(self, numbers: list[int], why: str) -> None:
        for number in numbers:
            _, on_reply = self._waiting.pop(number)
            _call(on_reply, Reply({}, why, is_gone=True))

    # -- asyncio.Protocol --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Cut at NULs, hand on each message. What was scanned once is not scanned again."""
        self._note(data)
        *whole, rest = data.split(b"\0")
        if whole and self._received:
            self._received += whole.pop(0)
            first, self._received = self._received, bytearray()
            self._route(first)
        for message in whole:
            self._route(message)
        self._received += rest
        if len(self._received) > MAX_MESSAGE_BYTES:
            log.error("the browser sent a message without end; hanging up on it")
            self.close()

    def _note(self, data: bytes) -> None:
        """What the network brings counts from its first bytes on, before a message is whole."""
        if not self._received:
            self._is_news = data.startswith(_NEWS)
        if self._is_news and self.valve is not None:
            was_held = self._inflow.is_held
            self._inflow.came(len(data), time.monotonic())
            if self._inflow.is_held and not was_held:
                self._look()

    def _look(self) -> None:
        """Hold the network back, or let it in, as is wise by now; look again when due."""
        self._stop_looking()
        now_s = time.monotonic()
        self._inflow.look(now_s)
        if (valve := self.valve) is None:
            return
        if self._inflow.is_held:
            valve.shut(_FAST)
        else:
            valve.open(_FAST)
        if (at_s := self._inflow.look_at_s) != NEVER_S:
            loop = asyncio.get_running_loop()
            self._looking = loop.call_later(max(0.0, at_s - now_s), self._look)

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _route(self, message: bytes | bytearray) -> None:
        try:
            incoming = _decode(message)
            self.heard[incoming.sessionId] += 1
            if incoming.id:
                _, on_reply = self._waiting.pop(incoming.id, ("", None))
                if on_reply is not None:
                    _call(on_reply, _reply(incoming))
                return
            if heard := self._listeners.get((incoming.sessionId, incoming.method)):
                listener, decode = heard
                _call(listener, decode(incoming.params))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            log.warning("skipped a message of the browser that cannot be read: %s", error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The browser's end is closed."""
        del exc
        self.close()

    def close(self) -> None:
        """Close our ends, on which a browser started with a pipe ends, and end every waiter."""
        for transport in (self._in, self._out):
            if transport is not None:
                transport.close()
        self.lost.set()
        self._stop_looking()
        self._received.clear()
        self._end_waiters(list(self._waiting), "the browser is gone")
        listeners, self._on_lost = self._on_lost, []
        for listener in listeners:
            listener()


def _call(listener: Callable[[Any], None], value: Params | Reply) -> None:
    """The boundary to whoever listens: a bug there is said, and ends neither link nor order."""
    try:
        listener(value)
    except Exception:
        log.exception("a listener failed")


def _reply(incoming: _Incoming) -> Reply:
    if incoming.error is not None:
        return Reply({}, str(incoming.error.get("message", "an error without a message")))
    return Reply(_decode_params(incoming.result))
