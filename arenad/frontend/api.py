"""The OpenAI-compatible endpoint: HTTP around the dispatch of one chat."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from arenad.activity import Activity
from arenad.errors import ModelNotFound, RequestError, UpstreamFailed
from arenad.frontend import fetch, guard, openai
from arenad.frontend.account import Account
from arenad.frontend.dispatch import Answer, Dispatch
from arenad.frontend.kept import Kept
from arenad.frontend.recording import Recording
from arenad.log import wall_time_s
from arenad.schema.chat import (
    Began,
    Citation,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
)
from arenad.schema.history import Outcome
from arenad.schema.process import FrontendSettings

MAX_WHOLE_CHARS = 64 * 1024 * 1024
"""A non-stream answer is held in memory; a longer one is cut with an error."""

MAX_NAME_CHARS = 200

_IMAGE_HEADERS = {
    "Cache-Control": "private, max-age=3600, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
"""What a site drew must never run as a page of ours."""

_BEGAN_S = web.RequestKey("began_s", float)

log = logging.getLogger("arenad.api")


class Api:
    """The routes below /v1, and the health answers."""

    def __init__(
        self, dispatch: Dispatch, settings: FrontendSettings, recording: Recording
    ) -> None:
        """Nothing runs yet."""
        self.activity = Activity()
        self._recording = recording
        self.is_closing = False
        self._dispatch = dispatch
        self.settings = settings
        self.kept = Kept(settings.files_dir, settings.files)
        self._born_unix_s = int(wall_time_s())

    def app(self) -> web.Application:
        """The application to serve."""
        app = guard.application(self.settings.api.max_body_bytes, self._stamp)
        app.middlewares.insert(0, self._count)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.chat_completions),
                web.get("/v1/models", self.models),
                web.get("/v1/models/{id:.+}", self.model),
                web.get("/v1/files/{id}/content", self.file_content),
                web.get("/healthz", self.healthz),
                web.get("/health", self.healthz),
                web.get("/readyz", self.readyz),
            ]
        )
        return app

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with self.activity.one():
            return await handler(request)

    def _stamp(self, request: web.Request, response: web.StreamResponse) -> None:
        began_s = request.get(_BEGAN_S, time.monotonic())
        response.headers["x-request-id"] = guard.request_id(request)
        response.headers["openai-processing-ms"] = f"{1000 * (time.monotonic() - began_s):.0f}"
        if self.is_closing:
            response.force_close()
            response.headers["Connection"] = "close"

    # -- chats ------------------------------------------------------------------------------------

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        request[_BEGAN_S] = time.monotonic()
        guard.check_origin(request)
        body = await guard.body(request, self.settings.api.max_body_bytes)
        files = self.settings.files
        wish = await fetch.filled(openai.parse(body, files), files)
        name = guard.request_id(request)
        account = Account(name, wish.model, streams=wish.stream)
        reply = _Reply(request, wish, self.settings, account)
        self._begin()
        outcome: Outcome = "failed"
        try:
            answer = self._dispatch.answer(wish, name, account)
            if wish.image_format == "file":
                answer = self.kept.answer(answer, f"{request.scheme}://{request.host}")
            async with aclosing(answer) as events:
                is_whole = await (reply.stream(events) if wish.stream else reply.whole(events))
            outcome = "answered" if is_whole else "failed"
        except (asyncio.CancelledError, ConnectionError):
            outcome = "cancelled"
            log.info("request %s: the client left", name)
            raise
        except RequestError as error:
            account.error = error.kind
            raise
        finally:
            self._end(outcome)
            self._recording.put(account, outcome)
        return reply.response

    def _begin(self) -> None:
        self._dispatch.counts["accepted"] += 1
        self._dispatch.running += 1

    def _end(self, outcome: Outcome) -> None:
        self._dispatch.counts[outcome] += 1
        self._dispatch.running -= 1

    async def file_content(self, request: web.Request) -> web.Response:
        """GET /v1/files/{id}/content: an image of an answer, as long as it is kept."""
        kind, content = await self.kept.read(request.match_info["id"])
        return web.Response(body=content, content_type=kind, headers=_IMAGE_HEADERS)

    def adjust(self, settings: FrontendSettings) -> None:
        """Go by these settings from the next request on."""
        self.settings = settings
        self.kept.rules = settings.files

    # -- models and health ------------------------------------------------------------------------

    async def models(self, _request: web.Request) -> web.Response:
        """GET /v1/models."""
        listed = [openai.model_object(each, self._born_unix_s) for each in self._dispatch.models()]
        return _json({"object": "list", "data": listed})

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/{id}."""
        wanted = request.match_info["id"]
        for each in self._dispatch.models():
            if each.id == wanted:
                return _json(openai.model_object(each, self._born_unix_s))
        raise ModelNotFound(
            f"model: there is no {wanted!r}; GET /v1/models lists what there is", param="model"
        )

    async def healthz(self, _request: web.Request) -> web.Response:
        """GET /healthz: this process serves."""
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """GET /readyz: an instance could take a chat."""
        if self._dispatch.is_ready() and not self.is_closing:
            return _json({"status": "ready"})
        return _json({"status": "no instance is ready"}, status=503)


class _Reply:
    """One HTTP answer: as a stream of events or as one object."""

    response: web.StreamResponse

    def __init__(
        self,
        request: web.Request,
        wish: openai.Wish,
        settings: FrontendSettings,
        account: Account,
    ) -> None:
        self._request = request
        self._wish = wish
        self._settings = settings
        self._account = account
        self._has_begun = False
        self._writer = openai.Writer(
            f"chatcmpl-{guard.request_id(request)}",
            wish.model,
            int(wall_time_s()),
            usage=wish.include_usage,
        )

    # -- as one object ----------------------------------------------------------------------------

    async def whole(self, events: Answer) -> bool:
        """Collect the answer and send it, all before the request counts as ended."""
        choices: dict[int, openai.Choice] = {}
        last: Event | None = None
        held = 0
        async for event in events:
            last = event
            if isinstance(event, Heartbeat | Began):
                continue
            choices.setdefault(event.side, openai.Choice(event.side)).take(event)
            self._account.chars += len(_piece(event))
            held += len(event.url) if isinstance(event, Image) else 0
            if self._account.chars + held > MAX_WHOLE_CHARS:
                raise UpstreamFailed(f"the answer is longer than {MAX_WHOLE_CHARS} characters")
        if not isinstance(last, Finish):
            raise UpstreamFailed("the answer has no end")
        await self._send_whole(self._writer.whole(choices.values(), self._usage()))
        return True

    def _usage(self) -> dict[str, int]:
        return openai.usage(self._wish.turns, self._account.chars)

    async def _send_whole(self, body: bytes) -> None:
        notes = _notes(self._wish, self._account)
        response = web.Response(body=body, content_type=guard.JSON, headers=notes)
        self.response = response
        async with _patience(self._request, self._settings.chat.total_timeout_s):
            await response.prepare(self._request)
            await response.write_eof()

    # -- as a stream ------------------------------------------------------------------------------

    async def stream(self, events: Answer) -> bool:
        """Send the events as they come; whether the answer reached its end.

        The status waits for the first event, so that what fails early fails as HTTP. After that a
        failure is one error frame: no finish, no [DONE], and the connection is closed. A finish is
        kept until what comes after it, so that the last one travels with [DONE].
        """
        kept = b""
        try:
            async for event in events:
                frame, kept = kept + self._framed(event), b""
                if isinstance(event, Finish):
                    kept = frame
                else:
                    await self._send(frame)
            await self._send(kept + self._writer.end(self._usage()))
        except ConnectionError:
            raise
        except Exception as error:
            if not self._has_begun:
                raise
            await self._send(openai.error_event(self._told(error)))
            await self._end()
            return False
        await self._end()
        return True

    async def _end(self) -> None:
        async with _patience(self._request, self._settings.chat.idle_timeout_s):
            await self.response.write_eof()

    def _framed(self, event: Event) -> bytes:
        self._account.chars += len(_piece(event))
        role = b"" if self._has_begun else self._writer.first()
        return role + self._writer.event(event)

    def _told(self, error: Exception) -> RequestError:
        """What the client is told of an error in mid-stream; a bug is said in the log alone."""
        self.response.force_close()
        name = guard.request_id(self._request)
        if isinstance(error, RequestError):
            self._account.error = error.kind
            log.warning("request %s: failed in mid-stream: %s", name, error.message)
            return error
        log.error("request %s: ended with a bug in mid-stream", name, exc_info=error)
        return RequestError("internal error; the log of the daemon has more")

    async def _send(self, frame: bytes) -> None:
        async with _patience(self._request, self._settings.chat.idle_timeout_s):
            if not self._has_begun:
                await self._open()
            await self.response.write(frame)

    async def _open(self) -> None:
        self.response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                **_notes(self._wish, self._account),
            }
        )
        self._has_begun = True
        await self.response.prepare(self._request)


@asynccontextmanager
async def _patience(request: web.Request, limit_s: float) -> AsyncGenerator[None]:
    """Hang up on a client that takes nothing of what is sent to it for too long."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError(f"the client took nothing for {limit_s:g} s") from error


def _piece(event: Event) -> str:
    """An event as text, wherever in the answer it goes."""
    match event:
        case ReasoningDelta(text):
            return text
        case TextDelta() | Image() | Citation():
            return openai.text_of(event)
        case Heartbeat() | Began() | Finish() | SideFailed():
            return ""


def _notes(wish: openai.Wish, account: Account) -> dict[str, str]:
    """What a careful client may want to know of the answer, as far as it is known by now."""
    notes = {"x-arenad-usage": "estimated"}
    if (began := account.began) is not None:
        notes["x-arenad-conversation"] = began.course
        for name in ("session", "message"):
            if (told := _plain(getattr(began, f"{name}_id"))) != "":
                notes[f"x-arenad-{name}"] = told
    if wish.ignored:
        named = ", ".join(name for name in wish.ignored if name.isascii() and name.isprintable())
        notes["x-arenad-ignored"] = named[:500]
    return notes


def _plain(name: str) -> str:
    """A name that a site gave, as a header can carry it; what is none is left out."""
    return name[:MAX_NAME_CHARS] if name.isascii() and name.isprintable() else ""


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=guard.JSON)
