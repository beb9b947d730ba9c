"""The dashboard: the files of `web/`, the master's state as it changes, and actions passed on to it."""

import asyncio
import logging
import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from arenad import link
from arenad.errors import InvalidRequest, LinkLost, RequestError, UpstreamFailed
from arenad.frontend import guard
from arenad.frontend.openai import error_object
from arenad.schema.control import Done, DrainOne, Restart, Scale, StateNow, Watch

ACTION_TIMEOUT_S = 5.0
REPEAT_S = 2.0
"""A viewer hears from us at least this often, and takes silence for a lost connection."""

MAX_VIEWERS = 32
WATCH_SILENCE_S = 3600.0

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; "
        "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

log = logging.getLogger("arenad.gui")


def _web_folder() -> Path:
    """`web/` beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "web"
    return inside if inside.is_dir() else package.parent / "web"


def _load() -> dict[str, tuple[str, bytes]]:
    """Every file of the dashboard, in memory: the process may later be unable to read the folder."""
    folder = _web_folder()
    return {
        str(path.relative_to(folder)): (
            mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            path.read_bytes(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


FILES = _load()


class Gui:
    """Routes of the dashboard. Viewers share one watch of the master's state."""

    def __init__(self, master: link.Link) -> None:
        """Nobody watches yet, so nothing is asked of the master."""
        self._master = master
        self._latest = b""
        self._changed = asyncio.Event()
        self._viewers: set[web.WebSocketResponse] = set()
        self._tasks = link.Tasks()
        self._watching: asyncio.Task[None] | None = None

    def app(self) -> web.Application:
        """The application to serve."""
        app = web.Application(middlewares=[_boundary], client_max_size=64 * 1024)
        app.add_routes(
            [
                web.get("/", _to_dashboard),
                web.get("/gui/", _to_dashboard),
                web.get("/gui/dashboard", _dashboard),
                web.get("/gui/static/{path:.+}", _static),
                web.get("/gui/ws", self.ws),
                web.post("/gui/api/scale", self._action(Scale, "instances", int)),
                web.post("/gui/api/restart", self._action(Restart, "name", str)),
                web.post("/gui/api/drain", self._action(DrainOne, "name", str)),
            ]
        )
        return app

    # -- the feed -----------------------------------------------------------------------------------

    async def ws(self, request: web.Request) -> web.StreamResponse:
        """GET /gui/ws: the state now and after every change."""
        guard.check_origin(request)
        if len(self._viewers) >= MAX_VIEWERS:
            raise InvalidRequest(f"{MAX_VIEWERS} dashboards are open already; close one")
        socket = web.WebSocketResponse(heartbeat=30.0, max_msg_size=4096)
        await socket.prepare(request)
        self._viewers.add(socket)
        if self._watching is None:
            self._watching = self._tasks.start(self._watch(), "watch the master's state")
        sending = self._tasks.start(self._send_states(socket), "send the state to a dashboard")
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            self._viewers.discard(socket)
            sending.cancel()
            self._stop_watching_alone()
        return socket

    async def _send_states(self, socket: web.WebSocketResponse) -> None:
        while not socket.closed:
            if self._latest:
                await socket.send_str(self._latest.decode())
            try:
                async with asyncio.timeout(REPEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _stop_watching_alone(self) -> None:
        if not self._viewers and self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._latest = b""

    async def _watch(self) -> None:
        try:
            stream = self._master.stream(Watch())
            try:
                while not stream.ended:
                    body = await stream.receive(WATCH_SILENCE_S)
                    if isinstance(body, StateNow):
                        self._show({"type": "state", "state": body.state})
            finally:
                stream.cancel()
        except LinkLost:
            self._show({"type": "gone", "reason": "the master is gone; so will this frontend be"})

    def _show(self, message: dict[str, Any]) -> None:
        self._latest = msgspec.json.encode(message)
        self._changed.set()
        self._changed = asyncio.Event()

    # -- actions ------------------------------------------------------------------------------------

    def _action(
        self, command: type[Scale | Restart | DrainOne], field: str, kind: type[int | str]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def act(request: web.Request) -> web.Response:
            guard.check_origin(request)
            if request.content_type != guard.JSON:
                raise InvalidRequest(f"Content-Type: must be {guard.JSON}")
            value = _field(await request.read(), field, kind)
            log.info("the dashboard commands %s %r", command.__name__, value)
            done = await self._ask(command(value))  # pyright: ignore[reportArgumentType] - as checked
            return web.Response(
                body=msgspec.json.encode({"text": done.text}), content_type=guard.JSON
            )

        return act

    async def _ask(self, command: Scale | Restart | DrainOne) -> Done:
        try:
            answer = await self._master.call(command, ACTION_TIMEOUT_S)
        except (LinkLost, TimeoutError) as error:
            raise UpstreamFailed("the master does not answer") from error
        if not isinstance(answer, Done):
            raise UpstreamFailed("the master answered something else")
        return answer

    async def close(self) -> None:
        """Hang up on every viewer."""
        for socket in list(self._viewers):
            await socket.close(code=1001, message=b"the frontend stops")
        await self._tasks.close()


def _field(body: bytes, field: str, kind: type[int | str]) -> int | str:
    try:
        value = msgspec.json.decode(body, type=dict[str, object]).get(field)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the body is not a JSON object: {error}") from error
    if not isinstance(value, kind) or isinstance(value, bool):
        name = "a whole number" if kind is int else "a text"
        raise InvalidRequest(f"{field}: is {value!r}; must be {name}", param=field)
    return value


@web.middleware
async def _boundary(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        guard.check_host(request)
        response = await handler(request)
    except RequestError as error:
        response = web.Response(
            body=error_object(error), status=error.http_status, content_type=guard.JSON
        )
    if not response.prepared:
        response.headers.update(HEADERS)
    return response


async def _to_dashboard(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/gui/dashboard")


async def _dashboard(_request: web.Request) -> web.Response:
    return _file("dashboard.html")


async def _static(request: web.Request) -> web.Response:
    return _file(request.match_info["path"])


def _file(name: str) -> web.Response:
    if name not in FILES:
        raise web.HTTPNotFound
    content_type, body = FILES[name]
    charset = "utf-8" if content_type.startswith("text/") else None
    return web.Response(body=body, content_type=content_type, charset=charset)
