"""The live view's way through a frontend: a viewer's WebSocket, the worker's own socket, and back.

Each viewer has a link of its own to the worker, so that pictures never hold up a chat. It outlives
its worker: while that is replaced the viewer is told so, and then sees the next one.
"""

import asyncio
import logging
import struct
import uuid
from contextlib import suppress
from typing import ClassVar

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from arenad import link
from arenad.errors import LinkLost, RequestError
from arenad.frontend import viewers
from arenad.frontend.pool import Pool
from arenad.frontend.viewers import Viewers
from arenad.schema.frame import Body
from arenad.schema.view import Act, Did, Do, Drawn, Picture, Sight, Take, View

MAX_VIEWERS = 16
"""Of all instances, in one frontend."""

MAX_MESSAGE_BYTES = 512 * 1024
"""One act: a pasted text is the largest."""

IDLE_S = 900.0
"""Who has done nothing for so long is hung up on: a page that nobody looks at costs a browser."""

CONNECT_TIMEOUT_S = 2.0
ACT_TIMEOUT_S = 10.0

CODE_IDLE = 4000
CODE_FAULT = 4001
"""Closed for good: the page does not come back by itself (RFC 6455, 7.4.2: 4000 up is ours)."""

PICTURE = struct.Struct("!IHH")
"""What stands before a picture: its number, and its size in CSS pixels."""

log = logging.getLogger("arenad.view")


class _Shown(msgspec.Struct, tag_field="type", tag="sight"):
    """What a viewer is told beside the pictures: a `Sight`, by the names of its fields."""

    sight: dict[str, object]


class _Gone(msgspec.Struct, tag_field="type", tag="gone"):
    """What a viewer is told while there is nothing to see."""

    reason: str


class _Refused(msgspec.Struct, tag_field="type", tag="refused"):
    """What a viewer is told of an act that was not carried out."""

    reason: str


class LiveView:
    """The route `/gui/view/NAME/ws`, and all viewers on it."""

    def __init__(self, pool: Pool) -> None:
        """`pool` knows where each instance is."""
        self._pool = pool
        self._viewers = Viewers("views", MAX_VIEWERS, MAX_MESSAGE_BYTES)
        self._tasks = link.Tasks()

    async def ws(self, request: web.Request) -> web.StreamResponse:
        """GET /gui/view/w1/ws: what the page shows and how it is; takes a person's acts."""
        async with self._viewers.one(request) as socket:
            await _Viewer(request, socket, self._pool).serve(self._tasks)
        return socket

    async def close(self) -> None:
        """Hang up on every viewer."""
        await self._viewers.close()
        await self._tasks.close()


class _Viewer:
    """One who looks at an instance."""

    _act: ClassVar[msgspec.json.Decoder[Act]] = msgspec.json.Decoder(Act)

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, pool: Pool) -> None:
        """Nothing is shown yet."""
        self._name = request.match_info["name"]
        self._socket = socket
        self._pool = pool
        self._id = uuid.uuid4().hex
        self._link: link.Link | None = None
        self._told: _Shown | _Gone = _Gone(f"looking for {self._name}")

    async def serve(self, tasks: link.Tasks) -> None:
        """Until the viewer leaves."""
        showing = tasks.start(self._show(), f"show {self._name}")
        try:
            await self._hear()
        finally:
            showing.cancel()

    # -- show --------------------------------------------------------------------------------------

    async def _show(self) -> None:
        """Follow the instance through its incarnations."""
        try:
            while not self._socket.closed:
                await self._tell(_Gone(await self._follow()))
                await self._pool.news(viewers.REPEAT_S)
        except ConnectionError as error:
            log.debug("a viewer has left: %s", error)

    async def _follow(self) -> str:
        """Show the instance for as long as it lasts; gives why there is nothing to see any more."""
        seat = self._pool.seat_of(self._name)
        if seat is None:
            return f"{self._name} does not run now; it is shown as soon as it does"
        made = None
        try:
            self._link = made = await link.connect(seat.socket_path, seat.name, CONNECT_TIMEOUT_S)
            await self._pass(made.stream(View(self._id)))
        except LinkLost:
            pass
        except RequestError as error:
            return error.message
        finally:
            if made is not None:
                made.close()
        return f"{self._name} has ended; it is shown again once it is back"

    async def _pass(self, stream: link.Stream) -> None:
        """Hand on what the worker sends. After a silence the last word is said again."""
        while not stream.ended:
            try:
                body = await stream.receive(viewers.REPEAT_S)
            except TimeoutError:
                await self._tell(self._told)
            else:
                await self._hand_on(body)

    async def _hand_on(self, body: Body) -> None:
        if isinstance(body, Sight):
            await self._tell(_Shown(msgspec.structs.asdict(body)))
        elif isinstance(body, Picture):
            head = PICTURE.pack(body.number, body.width, body.height)
            await self._socket.send_bytes(head + body.jpeg)

    async def _tell(self, message: _Shown | _Gone) -> None:
        self._told = message
        await self._say(message)

    async def _say(self, message: _Shown | _Gone | _Refused) -> None:
        await self._socket.send_str(msgspec.json.encode(message).decode())

    # -- act ---------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Pass on acts, one after the other, until the viewer leaves or has been idle for long."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + IDLE_S
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    message = await self._socket.receive()
            except TimeoutError:
                await self._socket.close(code=CODE_IDLE, message=b"nothing was done for a while")
                return
            if message.type is not WSMsgType.TEXT:
                return
            if (act := await self._read(message)) is None:
                return
            if not isinstance(act, Drawn):
                until_s = loop.time() + IDLE_S
            if refused := await self._do(act):
                with suppress(ConnectionError):  # one that has left is noticed above
                    await self._say(_Refused(refused))

    async def _read(self, message: WSMessage) -> Act | None:
        """The act that a message is; whoever sends something else is hung up on."""
        try:
            return self._act.decode(str(message.data))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            await self._socket.close(code=CODE_FAULT, message=b"that is no act of a viewer")
            return None

    async def _do(self, act: Act) -> str:
        """Have the worker carry out an act; gives why not, if not."""
        if self._link is None or self._link.lost.is_set():
            return "" if isinstance(act, Drawn | Take) else f"{self._name} is not there now"
        try:
            did = await self._link.call(Do(self._id, act), ACT_TIMEOUT_S)
        except LinkLost:
            return f"{self._name} is not there any more"
        except TimeoutError:
            return f"{self._name} does not answer"
        except RequestError as error:
            return error.message
        return did.refused if isinstance(did, Did) else ""
