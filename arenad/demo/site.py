"""The demo arena as an aiohttp application: its rooms wired together, refusals, strangers."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from arenad.demo import pages, protocol, variants
from arenad.demo.accounts import Accounts
from arenad.demo.asks import Asks
from arenad.demo.control import LIMIT_HEADERS, SCENE, Control
from arenad.demo.gates import Gates, set_page_cookies
from arenad.demo.other.talks import Talks
from arenad.demo.protocol import Refusal
from arenad.demo.uploads import Uploads
from arenad.demo.variants import VARIANTS
from arenad.demo.voices import Voices
from arenad.schema.process import DemoSettings

SHUTDOWN_TIMEOUT_S = 1.0
"""Once the site is told to stop, running answers have this long before they are cut."""

STREAM_PATH = VARIANTS[variants.DEFAULT].stream
_POLICY = (
    "default-src 'self'; script-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """The arena's page in every variant, its parts, and the counts."""

    def __init__(self, voices: Voices, control: Control, known: Accounts) -> None:
        """Read the page into memory; nothing is read from disk later."""
        self._voices = voices
        self._control = control
        self._accounts = known
        self._assets = pages.assets()
        self._pages = {
            each.name: pages.page(voices.listed(each.name), each) for each in VARIANTS.values()
        }

    def routes(self) -> list[web.RouteDef]:
        """Pages of all variants; each answers at its own addresses alone."""
        return [
            web.get("/", self.page),
            web.get("/{modality:text|image|search}/{mode:direct|side-by-side|battle}", self.page),
            web.get("/c/{session}", self.page),
            web.get("/demo/stats", self.counts),
            web.get("/demo/{name}", self.asset),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The one page: a new chat, or the chat of the address."""
        scene = request[SCENE]
        if not request.path.startswith("/c/") and not variants.serves(scene.variant, request.path):
            raise Refusal(404, "not found")
        html = pages.of_build(self._pages[scene.variant.name], self._control.build)
        response = web.Response(text=html, content_type="text/html", charset="utf-8")
        set_page_cookies(request, response, self._accounts)
        return response

    async def asset(self, request: web.Request) -> web.Response:
        """A file that the page refers to."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise Refusal(404, "not found")
        return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")

    async def counts(self, _request: web.Request) -> web.Response:
        """`Counts` as JSON."""
        return _json(200, self._voices.counts)


def make_app(settings: DemoSettings) -> web.Application:
    """The whole site. Serve it with `handler_cancellation=True` (see `make_runner`)."""
    voices, control, known = Voices(settings), Control(), Accounts()
    gates, uploads = Gates(control, known), Uploads(control)
    asks = Asks(voices, control, known, uploads)
    app = web.Application(
        middlewares=[_refuse_strangers, _tell_refusals, gates.guard],
        client_max_size=protocol.BODY_LIMIT_BYTES,
    )
    app.cleanup_ctx.append(voices.hold_upstream)
    app.add_routes(control.routes())
    app.add_routes(gates.routes())
    app.add_routes(uploads.routes())
    app.add_routes(asks.routes())
    app.add_routes(Front(voices, control, known).routes())
    app.add_routes(Talks(voices).routes())
    # Server actions are POSTs to the address of whatever page is shown.
    app.add_routes([web.post(path, uploads.act) for path in ("/", "/{_:c|text|image|search}/{_2}")])
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
        response = _json(refusal.status, told)
        response.headers.update(refusal.headers)
    except web.HTTPException as error:
        response = _json(error.status, {"error": error.reason.lower()})
    if not response.prepared:
        response.headers.update(request.get(LIMIT_HEADERS, {}))
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
    return web.Response(status=status, body=body, content_type="application/json")
