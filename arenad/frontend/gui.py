"""The dashboard: the files of `web/`, the master's state as it changes, actions passed on to it."""

import asyncio
import logging
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import WSMsgType, web

from arenad import link
from arenad.errors import InvalidRequest, LinkLost, Overloaded, RequestError, UpstreamFailed
from arenad.frontend import guard
from arenad.frontend.view import LiveView
from arenad.schema.control import Done, DrainOne, Restart, Scale, State, StateNow, Watch

ACTION_TIMEOUT_S = 5.0
REPEAT_S = 2.0
"""A viewer hears from us at least this often, and takes silence for a lost connection."""

MAX_BODY_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 4096
MAX_VIEWERS = 32
WATCH_SILENCE_S = 60.0
"""After so long without news we ask anew; the master speaks with every sample of an instance."""

STALL_S = 10.0
"""A viewer that takes nothing for so long is hung up on."""

PING_S = 30.0
CLOSE_TIMEOUT_S = 1.0

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; "
        "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

log = logging.getLogger("arenad.gui")


def _web_folder() -> Path:
    """`web/` beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "web"
    return inside if inside.is_dir() else package.parent / "web"


def _load() -> dict[str, tuple[str, bytes]]:
    """Every file of the dashboard, in memory: the process may later be unable to read them."""
    folder = _web_folder()
    return {
        path.relative_to(folder).as_posix(): (
            CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


FILES = _load()


class _News(msgspec.Struct, tag_field="type", tag="state"):
    """What a viewer is told of the daemon."""

    state: State


class _Gone(msgspec.Struct, tag_field="type", tag="gone"):
    """What a viewer is told when nobody knows the state."""

    reason: str


class _Instances(msgspec.Struct):
    instances: int


class _Named(msgspec.Struct):
    name: str


_Order = TypeVar("_Order", _Instances, _Named)


class Gui:
    """Routes of the dashboard. Viewers share one watch of the master's state."""

    def __init__(self, master: link.Link, live_view: LiveView) -> None:
        """Nobody watches yet, so nothing is asked of the master."""
        self._master = master
        self._live_view = live_view
        self._latest = ""
        self._changed = asyncio.Event()
        self._viewers: set[web.WebSocketResponse] = set()
        self._tasks = link.Tasks()
        self._watching: asyncio.Task[None] | None = None

    def app(self) -> web.Application:
        """The application to serve."""
        app = guard.application(MAX_BODY_BYTES, _stamp)
        app.add_routes(
            [
                web.get("/", _to_dashboard),
                web.get("/gui/", _to_dashboard),
                web.get("/gui/dashboard", _dashboard),
                web.get("/gui/static/{path:.+}", _static),
                web.get("/gui/ws", self.ws),
                web.get("/gui/view/{name}", _view),
                web.get("/gui/view/{name}/ws", self._live_view.ws),
                web.post("/gui/api/scale", self.scale),
                web.post("/gui/api/restart", self.restart),
                web.post("/gui/api/drain", self.drain),
            ]
        )
        return app

    # -- the feed ---------------------------------------------------------------------------------

    async def ws(self, request: web.Request) -> web.StreamResponse:
        """GET /gui/ws: the state now and after every change."""
        guard.check_origin(request)
        if len(self._viewers) >= MAX_VIEWERS:
            raise Overloaded(
                f"{MAX_VIEWERS} dashboards are open already; close one", retry_after_s=REPEAT_S
            )
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S,
            heartbeat=PING_S,
            compress=False,  # it would take a thread for long messages
            max_msg_size=MAX_MESSAGE_BYTES,
        )
        self._viewers.add(socket)
        try:
            await socket.prepare(request)
            await self._serve(request, socket)
        finally:
            self._viewers.discard(socket)
            if not self._viewers:
                self._watch_no_more()
        return socket

    async def _serve(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        if self._watching is None:
            self._watching = self._tasks.start(self._watch(), "watch the master's state")
        sending = self._tasks.start(
            self._send_states(request, socket), "send the state to a dashboard"
        )
        try:
            async for message in socket:  # viewers only listen; this notices that one leaves
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            sending.cancel()

    async def _send_states(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        """Each change, and the latest again when there is none for a while.

        A viewer that falls behind misses what came in between: only the latest state is kept.
        """
        while not socket.closed:
            changed = self._changed
            try:
                if self._latest:
                    async with asyncio.timeout(STALL_S):
                        await socket.send_str(self._latest)
            except ConnectionError:
                return
            except TimeoutError:
                log.info("a dashboard took nothing for %g s; hanging up on it", STALL_S)
                if request.transport is not None:
                    request.transport.abort()
                return
            try:
                async with asyncio.timeout(REPEAT_S):
                    await changed.wait()
            except TimeoutError:
                continue

    def _watch_no_more(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._latest = ""

    async def _watch(self) -> None:
        """Keep the latest state, for as long as somebody looks at it."""
        while True:
            try:
                await self._follow(self._master.stream(Watch()))
            except LinkLost:
                self._show(_Gone("the master is gone; so will this frontend be"))
                return
            except TimeoutError:
                continue  # a quiet master answers at once when it is asked anew
            except RequestError as error:
                self._show(_Gone(f"the master refuses to tell its state: {error.message}"))
            await asyncio.sleep(REPEAT_S)

    async def _follow(self, stream: link.Stream) -> None:
        try:
            while not stream.ended:
                body = await stream.receive(WATCH_SILENCE_S)
                if isinstance(body, StateNow):
                    self._show(_News(body.state))
        finally:
            stream.cancel()

    def _show(self, message: _News | _Gone) -> None:
        self._latest = msgspec.json.encode(message).decode()
        self._changed.set()
        self._changed = asyncio.Event()

    # -- actions ----------------------------------------------------------------------------------

    async def scale(self, request: web.Request) -> web.Response:
        """POST /gui/api/scale `{"instances": 3}`."""
        return await self._command(Scale((await _order(request, _Instances)).instances))

    async def restart(self, request: web.Request) -> web.Response:
        """POST /gui/api/restart `{"name": "w1"}`."""
        return await self._command(Restart((await _order(request, _Named)).name))

    async def drain(self, request: web.Request) -> web.Response:
        """POST /gui/api/drain `{"name": "w1"}`."""
        return await self._command(DrainOne((await _order(request, _Named)).name))

    async def _command(self, command: Scale | Restart | DrainOne) -> web.Response:
        log.info("the dashboard commands %s", command)
        try:
            answer = await self._master.call(command, ACTION_TIMEOUT_S)
        except (LinkLost, TimeoutError) as error:
            raise UpstreamFailed("the master does not answer") from error
        if not isinstance(answer, Done):
            raise UpstreamFailed(f"the master answered with {type(answer).__name__}")
        return web.Response(
            body=msgspec.json.encode({"text": answer.text}), content_type=guard.JSON
        )

    async def close(self) -> None:
        """Hang up on every viewer."""
        leaving = [
            viewer.close(code=1001, message=b"the frontend stops")
            for viewer in self._viewers
            if viewer.prepared
        ]
        await asyncio.gather(*leaving, return_exceptions=True)
        await self._live_view.close()
        await self._tasks.close()


async def _order(request: web.Request, kind: type[_Order]) -> _Order:
    """The body of an action that this dashboard itself sends."""
    guard.check_origin(request)
    if request.content_type != guard.JSON:
        raise InvalidRequest(f"Content-Type: is {request.content_type}; must be {guard.JSON}")
    body = await guard.body(request, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        field = kind.__struct_fields__[0]
        raise InvalidRequest(f"{field}: the body must name it: {error}", param=field) from error


def _stamp(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


async def _to_dashboard(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/gui/dashboard")


async def _dashboard(_request: web.Request) -> web.Response:
    return _file("dashboard.html")


async def _view(_request: web.Request) -> web.Response:
    """GET /gui/view/w1: the page asks for the instance that its own address names."""
    return _file("view.html")


async def _static(request: web.Request) -> web.Response:
    return _file(request.match_info["path"])


def _file(name: str) -> web.Response:
    if name not in FILES:
        raise web.HTTPNotFound
    content_type, body = FILES[name]
    charset = "utf-8" if content_type.startswith("text/") else None
    return web.Response(body=body, content_type=content_type, charset=charset)
