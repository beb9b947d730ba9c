"""A link to a browser that speaks WebDriver BiDi, over a WebSocket on loopback.

https://www.w3.org/TR/webdriver-bidi/ is the protocol; its names are used as they are there.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec

from arenad.worker.page_port import BrowserError, BrowserGone, NoReply

COMMAND_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

Params = dict[str, Any]
OnEvent = Callable[[Params], None]

log = logging.getLogger("arenad.bidi")


class _Incoming(msgspec.Struct):
    """Any message of the browser: a result, an error, or an event."""

    type: str
    id: int | None = None
    method: str = ""
    params: Params = {}
    result: Params = {}
    error: str = ""
    message: str = ""


_decode = msgspec.json.Decoder(_Incoming).decode
_encode = msgspec.json.Encoder().encode


class Bidi:
    """One browser's only session; its pages (contexts) share it."""

    def __init__(
        self, client: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        """Use `open`."""
        self.lost = asyncio.Event()
        self.heard = Counter[str]()
        """How many events have come, by page, and replies by none: whoever speaks lives."""

        self._client = client
        self._socket = socket
        self._last_id = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[Params]]] = {}
        self._listeners: dict[tuple[str, str], OnEvent] = {}
        self._on_lost: list[Callable[[], None]] = []
        self._sending: set[asyncio.Task[None]] = set()
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="hear a browser")

    @classmethod
    async def open(cls, address: str) -> "Bidi":
        """Raises `BrowserError` when nobody answers there."""
        client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        try:
            # Without our own limit a page's markup, or a long answer, would end the link.
            socket = await client.ws_connect(f"{address}/session", max_msg_size=MAX_MESSAGE_BYTES)
        except (aiohttp.ClientError, OSError) as error:
            await client.close()
            raise BrowserError(f"{address} cannot be reached: {error}") from error
        except BaseException:  # a cancel too
            await client.close()
            raise
        return cls(client, socket)

    def on(self, page: str, event: str, listener: OnEvent) -> None:
        """Call `listener(params)` on each such event of the page; replaces an earlier one."""
        self._listeners[page, event] = listener

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Call `listener()` when the link ends."""
        self._on_lost.append(listener)

    def forget(self, page: str) -> None:
        """A page is gone: nobody listens to it, and who waits for its replies is told."""
        self._listeners = {key: on for key, on in self._listeners.items() if key[0] != page}
        self.heard.pop(page, None)
        self.fail(page, BrowserGone("the page is gone"))

    def fail(self, page: str, error: BrowserError) -> None:
        """End those who wait for a reply about this page."""
        for whose, done in list(self._waiting.values()):
            if whose == page and not done.done():
                done.set_exception(error)

    async def command(
        self,
        method: str,
        params: Params | None = None,
        timeout_s: float = COMMAND_TIMEOUT_S,
        page: str = "",
    ) -> Params:
        """Send a command and wait for its result. Raises `BrowserError` of any kind.

        One that is about a `page` also ends by `fail` for that.
        """
        if self.lost.is_set():
            raise BrowserGone("the browser is gone")
        self._last_id += 1
        number = self._last_id
        done: asyncio.Future[Params] = asyncio.get_running_loop().create_future()
        self._waiting[number] = page, done
        message: Params = {"id": number, "method": method, "params": params or {}}
        try:
            async with asyncio.timeout(timeout_s):
                await self._socket.send_str(_encode(message).decode())
                return await done
        except TimeoutError as error:
            raise NoReply(f"{method}: no reply within {timeout_s:g} s") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise BrowserGone("the browser is gone") from error
        finally:
            self._waiting.pop(number, None)

    def send(self, method: str, params: Params) -> None:
        """Send a command whose reply nobody waits for; a refusal is said in the log."""
        task = asyncio.get_running_loop().create_task(self._sent(method, params), name=method)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _sent(self, method: str, params: Params) -> None:
        try:
            await self.command(method, params)
        except BrowserError as error:
            log.info("%s", error)

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._route(message.data)
        finally:
            self.lose()

    def _route(self, message: str) -> None:
        try:
            incoming = _decode(message)
        except msgspec.MsgspecError as error:
            log.warning("skipped a message of the browser that cannot be read: %s", error)
            return
        if incoming.type == "event":
            self._tell(incoming.method, incoming.params)
            return
        page, done = self._waiting.get(incoming.id or 0, ("", None))
        self.heard[page] += 1
        if done is None or done.done():
            return
        if incoming.type == "success":
            done.set_result(incoming.result)
        else:
            done.set_exception(BrowserError(f"{incoming.error}: {incoming.message}"))

    def _tell(self, event: str, params: Params) -> None:
        """A bug in who listens is said, and ends neither link nor order."""
        page = str(params.get("context") or "")
        self.heard[page] += 1
        listener = self._listeners.get((page, event))
        try:
            if listener is not None:
                listener(params)
        except Exception:
            log.exception("a listener failed")

    def lose(self) -> None:
        """End every waiter; nothing will come any more."""
        if self.lost.is_set():
            return
        self.lost.set()
        self._reader.cancel()
        for _, done in list(self._waiting.values()):
            if not done.done():
                done.set_exception(BrowserGone("the browser is gone"))
        listeners, self._on_lost = self._on_lost, []
        for listener in listeners:
            listener()

    async def close(self) -> None:
        """End the link to a browser that has ended, and free what it holds."""
        self.lose()
        await asyncio.wait([self._reader, *self._sending])
        with suppress(TimeoutError):  # a stopped child of it may hold the other end
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close()
        await self._client.close()
