"""What stands before every page and every message: moved, blocked, checked, limited, logged in."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from arenad.demo import accounts
from arenad.demo.accounts import Accounts
from arenad.demo.control import LIMIT_HEADERS, SCENE, Control, Scene, chosen
from arenad.demo.faults import FAULTS
from arenad.demo.limits import Windows
from arenad.demo.pages import files_in
from arenad.demo.protocol import Refusal
from arenad.demo.refusals import LOGIN_NEEDED

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]

RATE_WINDOW_S = 10
"""The window of the `rate-limit` fault."""

OPEN_PATHS = ("/demo/", "/other/", "/cdn-cgi/")
"""What is never refused here: parts of pages, the control endpoint, the way through the check."""

FORM_LIMIT_BYTES = 4096
_FOLDER = Path(__file__).parent / "pages" / "gates"
_MESSAGE_METHODS = frozenset({"POST", "PUT"})


class Gates:
    """One middleware, and the routes by which a person passes."""

    def __init__(self, control: Control, known: Accounts) -> None:
        """Read the pages of the gates into memory."""
        self._control = control
        self._accounts = known
        self._windows = Windows()
        self._assets = files_in(_FOLDER)
        self._pages = {path.name: path.read_text() for path in _FOLDER.glob("*.html")}

    def routes(self) -> list[web.RouteDef]:
        """Login, logout, both checks, the terms, and the parts of their pages."""
        return [
            web.get("/login", self.login_page),
            web.post("/login", self.log_in),
            web.post("/logout", self.log_out),
            web.get("/demo/gates/{name}", self.asset),
            web.get("/cdn-cgi/challenge-platform/{name}", self.asset),
            web.post("/cdn-cgi/challenge-platform/clear", self.clear),
            web.post("/demo/check", self.check),
            web.get("/api/me", self.me),
            web.post("/api/me/update-tou-consent", self.agree),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Reply) -> web.StreamResponse:
        """The middleware: gives each request its scene, and stops it where a fault wants it."""
        scene = self._control.scene(request)
        request[SCENE] = scene
        closed = None
        if not request.path.startswith(OPEN_PATHS):
            closed = self._moved(request, scene) or self._edge(request, scene)
            closed = closed or self._walled(request, scene)
        if closed is not None:
            _keep_wishes(request, closed)
        return closed or await handler(request)

    def _moved(self, request: web.Request, scene: Scene) -> web.Response | None:
        name, _, port = request.host.partition(":")
        if "moved" not in scene.faults or name == "localhost":
            return None
        status = 301 if request.method in ("GET", "HEAD") else 308
        address = f"http://localhost{':' if port else ''}{port}{request.path_qs}"
        return web.Response(status=status, headers={"Location": address})

    def _edge(self, request: web.Request, scene: Scene) -> web.Response | None:
        """The network before the site: it blocks, it checks, it counts."""
        if "block" in scene.faults:
            self._control.tally["blocked"] += 1
            return self._page("blocked.html", 403)
        cleared = self._accounts.is_cleared(request.cookies, scene.now_s)
        if "challenge" in scene.faults and not cleared:
            self._control.tally["challenged"] += 1
            return self._page("challenge.html", 403)
        self._count(request, scene)
        return None

    def _count(self, request: web.Request, scene: Scene) -> None:
        """Count a message against the limit. Raises `Refusal` (429) beyond it."""
        is_message = request.method in _MESSAGE_METHODS and "/stream/" in request.path
        limit, window_s = scene.variant.edge
        if "rate-limit" in scene.faults:
            limit, window_s = int(scene.faults["rate-limit"]), RATE_WINDOW_S
        if not is_message or not window_s:
            return
        address = request.remote or ""
        standing = self._windows.take(address, limit, window_s, scene.now_s)
        request[LIMIT_HEADERS] = standing.headers()
        if not standing.allowed:
            self._control.tally["limited"] += 1
            headers = {"Retry-After": str(standing.reset_s)}
            raise Refusal(429, "Too Many Requests", "rate limit exceeded", headers)

    def _walled(self, request: web.Request, scene: Scene) -> web.Response | None:
        """Pages lead to the login. Messages are refused where they are read: battles are free."""
        if "login" not in scene.faults or request.path in ("/login", "/logout"):
            return None
        if self._accounts.is_logged_in(request.cookies, scene.now_s) or _is_battle(request):
            return None
        if request.path.startswith("/api/evaluation"):
            raise LOGIN_NEEDED
        is_page = request.method == "GET" and not request.path.startswith("/api/")
        if not is_page:
            return None
        where = quote(request.path_qs, safe="/")
        return web.Response(status=302, headers={"Location": f"/login?next={where}"})

    # -- the ways through -----------------------------------------------------------------------

    async def login_page(self, _request: web.Request) -> web.Response:
        """The form."""
        return self._page("login.html", 200)

    async def log_in(self, request: web.Request) -> web.Response:
        """The form's answer: a cookie and the way back, or the form again with 401."""
        if (request.content_length or 0) > FORM_LIMIT_BYTES:
            raise Refusal(413, "form too large")
        form = await request.post()
        if (form.get("name"), form.get("password")) != (accounts.NAME, accounts.PASSWORD):
            self._control.tally["logins_refused"] += 1
            return self._page("login.html", 401, "Name or password is wrong.")
        scene = request[SCENE]
        self._control.tally["logins"] += 1
        life_s = _life_s(scene, "login")
        response = web.Response(status=303, headers={"Location": _way_back(request)})
        cookie = self._accounts.log_in(scene.visitor, life_s, scene.now_s)
        response.set_cookie(accounts.AUTH, cookie, httponly=True, samesite="Lax")
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """Forget the login that the request came with."""
        self._accounts.logins.forget(request.cookies.get(accounts.AUTH, ""))
        response = web.Response(status=303, headers={"Location": "/login"})
        response.del_cookie(accounts.AUTH)
        return response

    async def clear(self, request: web.Request) -> web.Response:
        """A person clicked on the edge's check."""
        scene = request[SCENE]
        self._control.tally["challenges_cleared"] += 1
        token = self._accounts.clearances.give(_life_s(scene, "challenge"), scene.now_s)
        response = web.Response(status=204)
        response.set_cookie(accounts.CLEARANCE, token, httponly=True, samesite="Lax")
        return response

    async def check(self, request: web.Request) -> web.Response:
        """A person clicked on the page's own check."""
        scene = request[SCENE]
        self._control.tally["checks_cleared"] += 1
        token = self._accounts.checks.give(_life_s(scene, "403-check"), scene.now_s)
        response = web.Response(status=204)
        response.set_cookie(accounts.CHECKED, token, httponly=True, samesite="Lax")
        return response

    async def agree(self, request: web.Request) -> web.Response:
        """The visitor agrees to the terms."""
        scene = request[SCENE]
        if scene.visitor:
            self._accounts.agreed.give(float("inf"), scene.now_s, scene.visitor)
        self._control.tally["terms_agreed"] += 1
        return web.json_response({"success": True})

    async def me(self, request: web.Request) -> web.Response:
        """Who the cookies say that one is."""
        scene = request[SCENE]
        told = {
            "id": scene.visitor,
            "isLoggedIn": self._accounts.is_logged_in(request.cookies, scene.now_s),
            "hasAgreed": self._accounts.agreed.holds(scene.visitor, scene.now_s),
        }
        return web.json_response(told)

    async def asset(self, request: web.Request) -> web.Response:
        """A part of the gates' pages."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise Refusal(404, "not found")
        return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8")

    def _page(self, name: str, status: int, alert: str = "") -> web.Response:
        shown = f'<p role="alert">{alert}</p>' if alert else ""
        html = self._pages[name].replace("<!-- alert -->", shown)
        policy = f"default-src 'self'; script-src 'self' {_hash_of_inline(html)}; base-uri 'none'"
        headers = {
            "Content-Security-Policy": policy.replace(" ;", ";"),
            # Without a referrer, a browser would hide from the login where its form came from.
            "Referrer-Policy": "same-origin",
        }
        return web.Response(status=status, text=html, content_type="text/html", headers=headers)


def set_page_cookies(request: web.Request, response: web.Response, known: Accounts) -> None:
    """A page gives its visitor an id, and keeps what its address asked for."""
    if not request[SCENE].visitor:
        visitor = known.new_visitor()
        response.set_cookie(accounts.VISITOR, visitor, httponly=True, samesite="Lax")
    _keep_wishes(request, response)


def _keep_wishes(request: web.Request, response: web.Response) -> None:
    """What a page's address asked for stays with its visitor, even if a gate was shut."""
    for name, value in chosen(request.query).items():
        if value:
            response.set_cookie(name, value, samesite="Lax")
        else:
            response.del_cookie(name)


def _life_s(scene: Scene, fault: str) -> float:
    return scene.faults.get(fault, FAULTS[fault].default)


def _is_battle(request: web.Request) -> bool:
    return "battle" in (*request.path.split("/"), request.query.get("mode"))


def _way_back(request: web.Request) -> str:
    """Only to a path of this site: never where somebody else's address leads."""
    wanted = request.query.get("next", "/")
    return wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) else "/"


def _hash_of_inline(html: str) -> str:
    """The one script within a page, as a content policy allows it; empty if there is none."""
    _, found, rest = html.partition("<script>")
    if not found:
        return ""
    script = rest.partition("</script>")[0].encode()
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
