"""The OpenAI-compatible endpoint: HTTP around the dispatch of one chat."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import msgspec
from aiohttp import web

from arenad.errors import InvalidRequest, ModelNotFound, RequestError, UpstreamFailed
from arenad.frontend import guard, openai
from arenad.frontend.dispatch import Dispatch
from arenad.log import wall_time_s
from arenad.schema.chat import Citation, Event, Finish, Image, ReasoningDelta, TextDelta
from arenad.schema.process import FrontendSettings

MAX_WHOLE_CHARS = 64 * 1024 * 1024
"""A non-stream answer is held in memory; a longer one is cut with an error."""

log = logging.getLogger("arenad.api")

Answer = AsyncGenerator[Event | Finish]


class Api:
    """The routes below /v1, and the two health answers."""

    def __init__(self, dispatch: Dispatch, settings: FrontendSettings) -> None:
        """Nothing runs yet."""
        self.idle = asyncio.Event()
        self.idle.set()
        self.is_closing = False
        self._dispatch = dispatch
        self._settings = settings
        self._born_unix_s = int(wall_time_s())

    def app(self) -> web.Application:
        """The application to serve."""
        app = web.Application(
            middlewares=[self._boundary], client_max_size=self._settings.api.max_body_bytes
        )
        app.add_routes(
            [
                web.post("/v1/chat/completions", self.chat_completions),
                web.get("/v1/models", self.models),
                web.get("/v1/models/{id:.+}", self.model),
                web.get("/healthz", self.healthz),
                web.get("/health", self.healthz),
                web.get("/readyz", self.readyz),
            ]
        )
        return app

    @web.middleware
    async def _boundary(self, request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:
        """Every error leaves as an OpenAI error object, every answer with its request's id."""
        request_id = _request_id(request)
        request["id"] = request_id
        request["began_s"] = time.monotonic()
        try:
            guard.check_host(request)
            response = await handler(request)  # pyright: ignore[reportCallIssue, reportUnknownVariableType] - aiohttp's own name for it
        except RequestError as error:
            response = self._failed(request, error)
        except web.HTTPException as error:
            response = self._failed(request, _routing_error(request, error))
        if not response.prepared:
            response.headers.update(self._headers(request))
        return response

    def _headers(self, request: web.Request) -> dict[str, str]:
        took_ms = 1000 * (time.monotonic() - request["began_s"])
        headers = {"x-request-id": request["id"], "openai-processing-ms": f"{took_ms:.0f}"}
        if self.is_closing:
            headers["Connection"] = "close"
        return headers

    def _failed(self, request: web.Request, error: RequestError) -> web.Response:
        headers: dict[str, str] = {}
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
        level = logging.INFO if error.fault == "client" else logging.WARNING
        log.log(level, "request %s: %d %s", request["id"], error.http_status, error.message)
        return web.Response(
            body=openai.error_object(error),
            status=error.http_status,
            content_type=guard.JSON,
            headers=headers,
        )

    # -- chats --------------------------------------------------------------------------------------

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        body = await _body(request)
        wish = openai.parse(body)
        self._begin()
        try:
            events = cast("Answer", self._dispatch.answer(wish, request["id"]))
            async with aclosing(events):
                respond = self._stream if wish.stream else self._whole
                response = await respond(request, wish, events)
            self._dispatch.counts["answered"] += 1
            return response
        except _StreamFailed as failed:
            self._dispatch.counts["failed"] += 1
            return failed.response
        except RequestError:
            self._dispatch.counts["failed"] += 1
            raise
        except (asyncio.CancelledError, ConnectionError):
            self._dispatch.counts["cancelled"] += 1
            log.info("request %s: the client left", request["id"])
            raise
        finally:
            self._end()

    def _begin(self) -> None:
        self._dispatch.counts["accepted"] += 1
        self._dispatch.running += 1
        self.idle.clear()

    def _end(self) -> None:
        self._dispatch.running -= 1
        if not self._dispatch.running:
            self.idle.set()

    async def _whole(
        self, request: web.Request, wish: openai.Wish, events: Answer
    ) -> web.StreamResponse:
        text: list[str] = []
        reasoning: list[str] = []
        chars = 0
        async for event in events:
            match event:
                case Finish(reason):
                    usage = openai.usage(wish.turns, chars)
                    writer = self._writer(request, wish)
                    whole = writer.whole("".join(text), "".join(reasoning), reason, usage)
                    return web.Response(
                        body=whole, content_type=guard.JSON, headers=_notes(wish)
                    )
                case ReasoningDelta(piece):
                    reasoning.append(piece)
                case TextDelta() | Image() | Citation():
                    text.append(openai.text_of(event))
                case _:
                    continue
            chars += len(text[-1]) if text else 0
            if chars > MAX_WHOLE_CHARS:
                raise UpstreamFailed(f"the answer is longer than {MAX_WHOLE_CHARS} characters")
        raise UpstreamFailed("the answer has no end")

    async def _stream(
        self, request: web.Request, wish: openai.Wish, events: Answer
    ) -> web.StreamResponse:
        """The status waits for the first event, so that what fails early fails as HTTP.

        After `chat.keepalive_s` without one, comments keep the connection alive.
        """
        writer = self._writer(request, wish)
        response: web.StreamResponse | None = None
        chars = 0
        waiting = _next(events)
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=self._settings.chat.keepalive_s)
                event = waiting.result() if done else None
                if response is None:
                    response = await self._open(request, wish)
                    await response.write(writer.first())
                if isinstance(event, Finish):
                    await response.write(
                        writer.last(event.reason, openai.usage(wish.turns, chars))
                    )
                    return response
                await response.write(writer.event(event) if event else openai.KEEP_ALIVE)
                if event is not None:
                    chars += len(event.text) if isinstance(event, TextDelta) else 0
                    waiting = _next(events)
        except RequestError as error:
            if response is None:
                raise
            log.warning("request %s: failed in mid-stream: %s", request["id"], error.message)
            await response.write(openai.error_event(error))
            response.force_close()
            raise _StreamFailed(response) from error
        finally:
            if not waiting.done():
                waiting.cancel()
                await asyncio.wait({waiting})

    async def _open(self, request: web.Request, wish: openai.Wish) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                **_notes(wish),
                **self._headers(request),
            }
        )
        await response.prepare(request)
        return response

    def _writer(self, request: web.Request, wish: openai.Wish) -> openai.Writer:
        completion_id = f"chatcmpl-{request['id']}"
        created = int(wall_time_s())
        return openai.Writer(completion_id, wish.model, created, usage=wish.include_usage)

    # -- models and health --------------------------------------------------------------------------

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
        raise ModelNotFound(f"model: there is no {wanted!r}", param="model")

    async def healthz(self, _request: web.Request) -> web.Response:
        """GET /healthz: this process serves."""
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """GET /readyz: an instance could take a chat."""
        if self._dispatch.is_ready() and not self.is_closing:
            return _json({"status": "ready"})
        return _json({"status": "no instance is ready"}, status=503)


class _StreamFailed(Exception):  # noqa: N818 - a way out of the stream, not an error of its own
    """The stream has told its client of the failure; the response only has to be returned."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self.response = response


def _next(events: Answer) -> "asyncio.Future[Event | Finish]":
    """The next event as a future, so that waiting for it can be interrupted by a comment."""
    return asyncio.ensure_future(anext(events))  # noqa: TID251 - awaited or cancelled by the caller


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        limit = request.app["max_body_bytes"] if "max_body_bytes" in request.app else ""
        raise _TooLarge(f"the body is larger than api.max_body_bytes {limit}".strip()) from error


class _TooLarge(InvalidRequest):
    """The body is over the limit."""

    http_status = 413
    code = "request_too_large"


class _NotServed(InvalidRequest):
    """No such path or method."""

    http_status = 404
    code = "not_found"


def _routing_error(request: web.Request, error: web.HTTPException) -> RequestError:
    served = _NotServed(f"{request.method} {request.path} is not served here")
    served.http_status = error.status  # pyright: ignore[reportAttributeAccessIssue] - 404 or 405
    return served


def _request_id(request: web.Request) -> str:
    """The client's own id when it is a sane one, else a new one."""
    given = request.headers.get("X-Client-Request-Id", "") or request.headers.get("X-Request-Id", "")
    if 0 < len(given) <= 128 and given.isascii() and given.replace("-", "").isalnum():  # noqa: PLR2004
        return given
    return uuid.uuid4().hex


def _notes(wish: openai.Wish) -> dict[str, str]:
    """What a careful client may want to know of the answer."""
    notes = {"x-arenad-usage": "estimated"}
    if wish.ignored:
        named = ", ".join(name for name in wish.ignored if name.isascii() and name.isprintable())
        notes["x-arenad-ignored"] = named[:500]
    return notes


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=guard.JSON)
