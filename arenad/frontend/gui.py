"""The dashboard: the files of `web/`, the master's state as it changes, actions passed on to it."""

import asyncio
import logging
from typing import TypeVar

import msgspec
from aiohttp import WSMsgType, web

from arenad import link
from arenad.errors import InvalidRequest, LinkLost, RequestError, UpstreamFailed
from arenad.frontend import guard, pages, viewers
from arenad.frontend.keys import Keyring
from arenad.frontend.view import LiveView
from arenad.frontend.viewers import Viewers
from arenad.schema.control import Done, DrainOne, Restart, Scale, State, StateNow, Watch

ACTION_TIMEOUT_S = 5.0
MAX_BODY_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 4096
MAX_VIEWERS = 32
CHALLENGE = 'Basic realm="arenad: any name, and a key for admin", charset="UTF-8"'
"""Has a browser ask for the key, and send it along from then on (RFC 7617)."""

WATCH_SILENCE_S = 60.0
"""After so long without news we ask anew; the master speaks with every sample of an instance."""

log = logging.getLogger("arenad.gui")


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

    def __init__(self, master: link.Link, live_view: LiveView, keys: Keyring | None = None) -> None:
        """Nobody watches yet, so nothing is asked of the master."""
        self._keys = keys or Keyring()
        self._master = master
        self._live_view = live_view
        self._latest = ""
        self._changed = asyncio.Event()
        self._viewers = Viewers("dashboards", MAX_VIEWERS, MAX_MESSAGE_BYTES)
        self._tasks = link.Tasks()
        self._watching: asyncio.Task[None] | None = None

    def app(self) -> web.Application:
        """The application to serve."""
        doorman = guard.Doorman(self._admit, CHALLENGE)
        app = guard.application(_stamp, doorman=doorman)
        app.add_routes(
            [
                web.get("/", _to_dashboard),
                web.get("/gui/", _to_dashboard),
                web.get("/gui/dashboard", _dashboard),
                web.get("/gui/static/{path:.+}", _static),
                web.get("/gui/ws", self.ws),
                web.get("/gui/view/{name}", _view),
                web.get("/gui/view/{name}/ws", self._live_view.ws),
                guard.post("/gui/api/scale", self.scale),
                guard.post("/gui/api/restart", self.restart),
                guard.post("/gui/api/drain", self.drain),
            ]
        )
        return app

    async def _admit(self, request: web.Request) -> None:
        """With a key for it, once there is one; until then only from this machine."""
        if self._keys.asks_for("admin"):
            await self._keys.admit(request, "admin")
        else:
            guard.check_local(request)

    # -- the feed ---------------------------------------------------------------------------------

    async def ws(self, request: web.Request) -> web.StreamResponse:
        """GET /gui/ws: the state now and after every change."""
        try:
            async with self._viewers.one(request) as socket:
                await self._serve(socket)
        finally:
            if not self._viewers:
                self._watch_no_more()
        return socket

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        if self._watching is None:
            self._watching = self._tasks.start(self._watch(), "watch the master's state")
        sending = self._tasks.start(self._send_states(socket), "send the state to a dashboard")
        try:
            async for message in socket:  # viewers only listen; this notices that one leaves
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            sending.cancel()

    async def _send_states(self, socket: web.WebSocketResponse) -> None:
        """Each change, and the latest again when there is none for a while.

        A viewer that falls behind misses what came in between: only the latest state is kept.
        """
        while not socket.closed:
            changed = self._changed
            try:
                if self._latest:
                    await socket.send_str(self._latest)
            except ConnectionError as error:
                log.debug("a dashboard has left: %s", error)
                return
            try:
                async with asyncio.timeout(viewers.REPEAT_S):
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
            await asyncio.sleep(viewers.REPEAT_S)

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
        return await self._command(request, Scale((await _order(request, _Instances)).instances))

    async def restart(self, request: web.Request) -> web.Response:
        """POST /gui/api/restart `{"name": "w1"}`."""
        return await self._command(request, Restart((await _order(request, _Named)).name))

    async def drain(self, request: web.Request) -> web.Response:
        """POST /gui/api/drain `{"name": "w1"}`."""
        return await self._command(request, DrainOne((await _order(request, _Named)).name))

    async def _command(
        self, request: web.Request, command: Scale | Restart | DrainOne
    ) -> web.Response:
        owner = request.get(guard.OWNER)
        whose = f" of {owner}" if owner else ""
        log.info("the dashboard%s commands %s", whose, command)
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
        await self._viewers.close()
        await self._live_view.close()
        await self._tasks.close()


async def _order(request: web.Request, kind: type[_Order]) -> _Order:
    """The body of an action that this dashboard itself sends."""
    guard.check_origin(request)
    guard.check_json(request)
    body = await guard.body(request, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        field = kind.__struct_fields__[0]
        raise InvalidRequest(f"{field}: the body must name it: {error}", param=field) from error


def _stamp(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(pages.HEADERS)


async def _to_dashboard(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/gui/dashboard")


async def _dashboard(_request: web.Request) -> web.Response:
    return pages.file("dashboard.html")


async def _view(_request: web.Request) -> web.Response:
    """GET /gui/view/w1: the page asks for the instance that its own address names."""
    return pages.file("view.html")


async def _static(request: web.Request) -> web.Response:
    return pages.file(request.match_info["path"])
