"""The demo arena as an aiohttp application: routes, refusals, and who is answering right now."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from arenad.demo import pages, protocol
from arenad.demo.chats import Chats, Message, find_answer, history
from arenad.demo.generation import Ending, Generation
from arenad.demo.other.talks import Talks
from arenad.demo.protocol import Refusal
from arenad.demo.voices import Voices
from arenad.schema.process import DemoSettings

SHUTDOWN_TIMEOUT_S = 1.0
"""Once the site is told to stop, running answers have this long before they are cut."""

STREAM_PATH = "/nextjs-api/stream"
_POLICY = (
    "default-src 'self'; script-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """The site's memory and its replies, one method for each route."""

    def __init__(self, voices: Voices) -> None:
        """Read the page into memory; nothing is read from disk later."""
        self._voices = voices
        self._models = {entry.id: entry.public_name for entry in voices.entries}
        self._page = pages.page(voices.entries)
        self._assets = pages.assets()
        self._chats = Chats()
        self._running: dict[tuple[str, str], Generation] = {}

    async def page(self, _request: web.Request) -> web.Response:
        """The one page: a new chat, or the chat of the address."""
        return web.Response(text=self._page, content_type="text/html", charset="utf-8")

    async def asset(self, request: web.Request) -> web.Response:
        """A file that the page refers to."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise Refusal(404, "not found")
        return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")

    async def counts(self, _request: web.Request) -> web.Response:
        """`Counts` as JSON."""
        return _json(200, self._voices.counts)

    async def history(self, request: web.Request) -> web.Response:
        """A chat as JSON."""
        return _json(200, history(self._chats.get(request.match_info["session"])))

    async def create(self, request: web.Request) -> web.StreamResponse:
        """The first message of a new chat; answers with the stream."""
        ask = protocol.read_create(await request.read())
        self._check_model(ask.model)
        self._voices.check_room()
        return await self._answer(request, ask.session, self._chats.open(ask))

    async def follow_up(self, request: web.Request) -> web.StreamResponse:
        """A later message of a chat; answers with the stream."""
        ask = protocol.read_follow_up(await request.read(), request.match_info["session"])
        self._check_model(ask.model)
        self._voices.check_room()
        return await self._answer(request, ask.session, self._chats.extend(ask))

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Another answer in the place of one; answers with the stream."""
        again = protocol.read_retry(await request.read())
        if again.model is not None:
            self._check_model(again.model)
        self._voices.check_room()
        session, message = request.match_info["session"], request.match_info["message"]
        return await self._answer(request, session, self._chats.retry(session, message, again))

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a running answer, named by its own id or by that of the message it answers."""
        session = request.match_info["session"]
        answer = find_answer(self._chats.get(session), request.match_info["message"])
        running = self._running.get((session, answer.id))
        if running is not None:
            running.stop()
        return _json(200, {"stopped": running is not None})

    def _check_model(self, model: str) -> None:
        if model not in self._models:
            raise Refusal(400, "unknown model", f"modelAId: {model} is not in this site's list")

    async def _answer(
        self, request: web.Request, session: str, answer: Message
    ) -> web.StreamResponse:
        chat = self._chats.get(session)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_HEADERS})
        generation = Generation(response)
        self._running[session, answer.id] = generation
        counts = self._voices.counts
        counts.running += 1
        counts.started += 1
        ending: Ending = "left"
        try:
            await response.prepare(request)
            prompt_bytes = len(chat.messages[-2].text)
            name = self._models[answer.model or ""]
            pieces = self._voices.answer(name, chat.conversation())
            ending = await generation.run(answer.id, prompt_bytes, pieces)
        finally:
            # A client that left cancels this very task: it ends here, as `left`.
            del self._running[session, answer.id]
            self._chats.finish(chat, answer, bytes(generation.text), bytes(generation.reasoning))
            counts.running -= 1
            counts.end(ending)
        return response


def make_app(settings: DemoSettings) -> web.Application:
    """The whole site. Serve it with `handler_cancellation=True` (see `make_runner`)."""
    voices = Voices(settings)
    site = Site(voices)
    app = web.Application(
        middlewares=[_refuse_strangers, _tell_refusals], client_max_size=protocol.BODY_LIMIT_BYTES
    )
    app.cleanup_ctx.append(voices.hold_upstream)
    app.add_routes(
        [
            web.get("/", site.page),
            web.get("/text/direct", site.page),
            web.get("/c/{session}", site.page),
            web.get("/demo/stats", site.counts),
            web.get("/demo/{name}", site.asset),
            web.get("/api/evaluation/{session}", site.history),
            web.post(f"{STREAM_PATH}/create-evaluation", site.create),
            web.post(f"{STREAM_PATH}/post-to-evaluation/{{session}}", site.follow_up),
            web.post(f"{STREAM_PATH}/stop/{{session}}/messages/{{message}}", site.stop),
            web.put(
                f"{STREAM_PATH}/retry-evaluation-session-message/{{session}}/messages/{{message}}",
                site.retry,
            ),
            *Talks(voices).routes(),
        ]
    )
    return app


def make_runner(settings: DemoSettings) -> web.AppRunner:
    """The site, ready to be given a socket; a client that leaves cancels its answer at once."""
    return web.AppRunner(
        make_app(settings),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
    )


@web.middleware
async def _refuse_strangers(request: web.Request, handler: Reply) -> web.StreamResponse:
    # Another site's page could name this one as its own host (DNS rebinding), or post to it.
    host = request.headers.get("Host", "")
    if not is_loopback(host):
        return web.Response(status=400, text="This site answers to loopback names only.\n")
    origin = request.headers.get("Origin", "")
    if origin and not is_loopback(urlsplit(origin).netloc):
        return web.Response(status=403, text="This site takes no requests of other sites.\n")
    return await handler(request)


@web.middleware
async def _tell_refusals(request: web.Request, handler: Reply) -> web.StreamResponse:
    try:
        response = await handler(request)
    except Refusal as refusal:
        told = {"error": refusal.error}
        if refusal.message:
            told["message"] = refusal.message
        return _json(refusal.status, told)
    except web.HTTPException as error:
        return _json(error.status, {"error": error.reason.lower()})
    if not response.prepared:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
    return response


def is_loopback(host: str) -> bool:
    """Whether a Host value (with or without a port) names this machine for itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _json(status: int, value: object) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=_HEADERS)
