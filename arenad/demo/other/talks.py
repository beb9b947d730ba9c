"""The routes of the other pages: a talk comes in whole, an answer goes out by each transport."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress

import msgspec
from aiohttp import WSMsgType, web

from arenad.demo import faults, scenes
from arenad.demo.faults import Faults
from arenad.demo.generation import TOTAL_TIMEOUT_S, WRITE_TIMEOUT_S, Ending
from arenad.demo.models import Piece
from arenad.demo.other import pages, wire
from arenad.demo.other.wire import Framing, Wish
from arenad.demo.pen import Cut, Pen, hang_up
from arenad.demo.protocol import BODY_LIMIT_BYTES, Refusal, Turn
from arenad.demo.upstream import UpstreamFault
from arenad.demo.voices import Voices

PENDING_LIMIT = 1000
"""Questions whose answer nobody has fetched; the oldest is forgotten first."""

PING_S = 20.0
"""How often a WebSocket is asked whether anybody is there."""

FAULTS_HERE = frozenset({"slow-start", "stall", "model-error", "cut", "split"})
"""What can go wrong on these pages too, by a marker in the prompt; the last two not in sockets."""

Write = Callable[[bytes], Awaitable[None]]


class Talks:
    """One method for each route; the talks live in the pages, not here."""

    def __init__(self, voices: Voices) -> None:
        """Read the pages into memory."""
        self._voices = voices
        talkers = tuple(each for each in voices.entries if each.modality == "chat")
        self._pages = {each.name: pages.page(each, talkers) for each in pages.TRANSPORTS}
        self._policies = {each.name: each.policy for each in pages.TRANSPORTS}
        self._assets = pages.assets()
        self._pending: OrderedDict[str, Wish] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """Everything below `/other`."""
        return [
            web.get("/other/{name}", self.page),
            web.get("/other/parts/{name}", self.asset),
            web.post("/other/eventsource/questions", self.question),
            web.get("/other/eventsource/answers/{answer}", self.events),
            web.post("/other/sse/chat/completions", self.chunks),
            web.post("/other/jsonl/chat", self.lines),
            web.get("/other/websocket/talk", self.json_frames),
            web.get("/other/dom/talk", self.masked_frames),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """One of the pages."""
        name = request.match_info["name"]
        if name not in self._pages:
            raise Refusal(404, "not found", f"there are {', '.join(self._pages)}")
        policy = {"Content-Security-Policy": self._policies[name]}
        return web.Response(text=self._pages[name], content_type="text/html", headers=policy)

    async def asset(self, request: web.Request) -> web.Response:
        """A file that the pages refer to."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise Refusal(404, "not found")
        return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")

    async def question(self, request: web.Request) -> web.Response:
        """Keep a wish; its answer is read by an EventSource, which can only GET."""
        wish = await self._wish(request)
        answer = secrets.token_hex(8)
        self._pending[answer] = wish
        while len(self._pending) > PENDING_LIMIT:
            self._pending.popitem(last=False)
        body = msgspec.json.encode({"id": answer})
        return web.Response(status=201, body=body, content_type="application/json")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The answer to a kept wish; once only, or a reader that reconnects would ask again."""
        wish = self._pending.pop(request.match_info["answer"], None)
        if wish is None:
            raise Refusal(404, "unknown answer", "it was read before, or never asked for")
        return await self._respond(request, wish, wire.Events())

    async def chunks(self, request: web.Request) -> web.StreamResponse:
        """The answer in OpenAI's chunks."""
        wish = await self._wish(request)
        return await self._respond(request, wish, wire.Chunks(wish.model, secrets.token_hex(8)))

    async def lines(self, request: web.Request) -> web.StreamResponse:
        """The answer in JSON lines."""
        wish = await self._wish(request)
        return await self._respond(request, wish, wire.Lines(wish.model))

    async def json_frames(self, request: web.Request) -> web.WebSocketResponse:
        """Answers in frames of text, one connection for a whole talk."""
        socket = await _socket(request)
        frames = wire.JsonFrames()

        async def write(frame: bytes) -> None:
            await socket.send_str(frame.decode())

        return await self._converse(socket, frames, write)

    async def masked_frames(self, request: web.Request) -> web.WebSocketResponse:
        """Answers in binary frames that only the page can read."""
        socket = await _socket(request)
        key = secrets.token_bytes(16)
        await socket.send_bytes(key)
        return await self._converse(socket, wire.MaskedFrames(key), socket.send_bytes)

    async def _wish(self, request: web.Request) -> Wish:
        wish = wire.read_wish(await request.read())
        self._voices.check(wish.model)
        _heard(wish)
        return wish

    async def _respond(
        self, request: web.Request, wish: Wish, framing: wire.Events | wire.Chunks | wire.Lines
    ) -> web.StreamResponse:
        headers = {"Content-Type": framing.content_type, "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        self._voices.check_room()
        await response.prepare(request)
        pen = Pen(response, _heard(wish)[1])
        await self._speak(wish, framing, pen.write)
        if pen.is_cut:
            hang_up(request)
        return response

    async def _converse(
        self, socket: web.WebSocketResponse, framing: Framing, write: Write
    ) -> web.WebSocketResponse:
        """Answer one wish after another until the page leaves; a stop ends the running answer."""
        speaking: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            async for message in socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                try:
                    wish = wire.read_frame(_frame_bytes(message.data))
                    if wish is not None:
                        self._check_wish(wish, speaking)
                        speaking = group.create_task(self._speak(wish, framing, write))
                    elif speaking is not None:
                        speaking.cancel("stop")
                except Refusal as refusal:
                    with suppress(ConnectionError):  # the socket tells by itself that it is over
                        await write(framing.error(str(refusal)))
            if speaking is not None:
                speaking.cancel()
        return socket

    def _check_wish(self, wish: Wish, speaking: "asyncio.Task[None] | None") -> None:
        self._voices.check(wish.model)
        self._voices.check_room()
        _heard(wish)
        if speaking is not None and not speaking.done():
            raise Refusal(409, "still answering", "stop the running answer, or wait for its end")

    async def _speak(self, wish: Wish, framing: Framing, write: Write) -> None:
        counts = self._voices.counts
        counts.running += 1
        counts.started += 1
        ending: Ending = "left"
        try:
            ending = await self._say(wish, framing, write)
        except asyncio.CancelledError as cancelled:
            if cancelled.args != ("stop",):
                raise
            ending = "stopped"
            with suppress(ConnectionError):
                await write(framing.end("stop"))
        finally:
            counts.running -= 1
            counts.end(ending)

    async def _words(self, wish: Wish) -> AsyncGenerator[Piece, None]:
        """What these pages can show: text and reasoning."""
        conversation, wanted = _heard(wish)
        answer = self._voices.answer(wish.model, conversation)
        async with aclosing(scenes.staged(answer, wanted, "a")) as pieces:
            async for piece in pieces:
                if piece.kind in ("text", "reasoning"):
                    yield piece

    async def _say(self, wish: Wish, framing: Framing, write: Write) -> Ending:
        try:
            try:
                async with asyncio.timeout(TOTAL_TIMEOUT_S):
                    async for piece in self._words(wish):
                        await _within(write(framing.piece(piece)))
                await _within(write(framing.end("stop")))
            except TimeoutError:
                await _within(write(framing.end("length")))
                return "cut"
            except UpstreamFault as fault:
                await _within(write(framing.error(str(fault))))
        except Cut:
            return "cut"
        except ConnectionError:
            return "left"
        return "finished"


def _heard(wish: Wish) -> tuple[tuple[Turn, ...], Faults]:
    """The talk without the marker of its newest prompt, and the faults that the marker names.

    Raises `Refusal` (400) for faults that these pages do not have.
    """
    *before, newest = wish.conversation()
    text, marker = faults.split_marker(newest.text)
    wanted = faults.read(marker)
    if strange := wanted.keys() - FAULTS_HERE:
        here = ", ".join(sorted(FAULTS_HERE))
        raise Refusal(400, "bad fault", f"{min(strange)}: this page has {here}")
    return (*before, newest._replace(text=text or newest.text)), wanted


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=BODY_LIMIT_BYTES)
    await socket.prepare(request)
    return socket


def _frame_bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


async def _within(writing: Awaitable[None]) -> None:
    """A page that reads nothing for long is taken for gone. Raises `ConnectionAbortedError`."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await writing
    except TimeoutError:
        raise ConnectionAbortedError("the page reads nothing") from None
