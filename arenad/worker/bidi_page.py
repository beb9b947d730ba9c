"""The page of an engine that speaks WebDriver BiDi: one tab in a user context of its own.

Nothing of the network's bodies is shown to us there: answers are read from the page itself.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from arenad.errors import InvalidRequest, ProfileOutdated
from arenad.schema.login import SavedCookie
from arenad.schema.profile import StreamRules
from arenad.worker import bidi_request
from arenad.worker.bidi import Bidi, Params
from arenad.worker.bidi_request import Request
from arenad.worker.page_port import (
    SCRIPT,
    BrowserError,
    BrowserGone,
    NoReply,
    PagePort,
    ScriptFailed,
)
from arenad.worker.sites.guess import Heard
from arenad.worker.source import Source

WORLD = "arenad"
NAVIGATE_TIMEOUT_S = 30.0
SCRIPT_LIMIT_S = 60.0
"""`evaluate` has a deadline of its own; this one only is longer than any of those."""

EVENTS = (
    "browsingContext.contextDestroyed",
    "browsingContext.fragmentNavigated",
    "browsingContext.load",
    "browsingContext.navigationCommitted",
    "browsingContext.userPromptOpened",
    *bidi_request.EVENTS,
)

ABORTED = "NS_BINDING_ABORTED"
"""The site went elsewhere before it had come: no failure."""

KEYS = {
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Tab": "\ue004",
    "Backspace": "\ue003",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
    "Alt": "\ue00a",
    "Control": "\ue009",
    "Meta": "\ue03d",
    "Shift": "\ue008",
}
"""As WebDriver names them: https://www.w3.org/TR/webdriver2/#keyboard-actions."""

_TYPE = """(() => {
    let here = document;
    while (here.activeElement?.localName === "iframe" && here.activeElement.contentDocument)
        here = here.activeElement.contentDocument;
    return here.execCommand("insertText", false, %s);
})()"""

_LOAD = """(async () => {
    const answer = await fetch(%s, {credentials: "include"});
    const blob = answer.ok ? await answer.blob() : new Blob();
    if (!blob.size || blob.size > %d) return [blob.size, ""];
    const reader = new FileReader();
    const read = new Promise((resolve) => { reader.onloadend = resolve; });
    reader.readAsDataURL(blob);
    await read;
    return [blob.size, reader.result.replace(/^[^,]*,/, "")];
})()"""

log = logging.getLogger("arenad.page")


class BidiPage(PagePort):
    """One tab; no cookie, cache or storage of it is shared."""

    def __init__(self, link: Bidi, context: str, user_context: str) -> None:
        """Use `create`."""
        super().__init__()
        self._link = link
        self._context = context
        self._user_context = user_context
        self._status = 0
        self._headers: dict[str, str] = {}
        self._world = ""
        self._arrival = _Arrival()
        self._has_failed = False
        self._request: Request | None = None
        self._empty = False

    @classmethod
    async def create(cls, link: Bidi) -> "BidiPage":
        """A blank page in a fresh user context. Raises `BrowserError`."""
        user = str((await link.command("browser.createUserContext"))["userContext"])
        told: Params = {"type": "tab", "userContext": user}
        context = str((await link.command("browsingContext.create", told))["context"])
        page = cls(link, context, user)
        on: dict[str, Callable[[Params], None]] = {
            "browsingContext.contextDestroyed": page._on_destroyed,
            "browsingContext.fragmentNavigated": page._on_address,
            "browsingContext.load": page._on_load,
            "browsingContext.navigationCommitted": page._on_committed,
            "browsingContext.userPromptOpened": page._on_dialog,
            **{event: partial(page._on_network, event) for event in bidi_request.EVENTS},
        }
        for event, listener in on.items():
            link.on(context, event, listener)
        link.on_lost(page._on_lost)
        return page

    async def close(self) -> None:
        """End the page and its user context, and with it all that the site has stored there."""
        self._link.forget(self._context)
        self.crashed.set()
        gone: Params = {"userContext": self._user_context}
        await self._link.command("browser.removeUserContext", gone)

    # -- what it tells -----------------------------------------------------------------------------

    @property
    def status(self) -> int:
        """How the site answered the page itself."""
        return self._status

    @property
    def headers(self) -> dict[str, str]:
        """The head of that answer."""
        return self._headers

    @property
    def heard(self) -> int:
        """How often the page has spoken, asked or not."""
        return self._link.heard[self._context]

    def _on_lost(self) -> None:
        self.crashed.set()
        if self._request is not None:
            self._request.lose("the page crashed")

    def _on_destroyed(self, _: Params) -> None:
        self._on_lost()
        self._arrival.turned.set()
        self._link.fail(self._context, BrowserGone("the page crashed"))

    def _on_address(self, params: Params) -> None:
        self.url = str(params["url"])

    def _on_load(self, params: Params) -> None:
        self._arrival.loaded = str(params["navigation"])
        self._arrival.turned.set()

    def _on_committed(self, params: Params) -> None:
        """What was asked of the document before is never answered."""
        self.url = str(params["url"])
        self.documents += 1
        self._world = ""
        self._arrival.committed = str(params["navigation"])
        self._arrival.turned.set()
        self._link.fail(self._context, _Gone("the document has gone"))

    def _on_network(self, event: str, params: Params) -> None:
        """How the page itself was answered, which its script cannot tell in full; its requests."""
        if self._empty and params["isBlocked"]:
            told: Params = {"request": params["request"]["request"], **_EMPTY}
            self._link.send("network.provideResponse", told)
        elif not params.get("navigation"):
            if self._request is not None:
                self._request.tell(event, params)
        elif event == "network.fetchError" and params["errorText"] != ABORTED:
            self._arrival.failed = str(params["navigation"]), str(params["errorText"])
            self._arrival.turned.set()
        elif event == "network.responseStarted":
            response = params["response"]
            self._status = int(response["status"])
            named = ((each["name"], each["value"]) for each in response["headers"])
            self._headers = {str(name).lower(): str(value["value"]) for name, value in named}

    def _on_dialog(self, params: Params) -> None:
        """A dialog of the browser's own stops all scripts, ours too, until it is answered."""
        kind = params["type"]
        log.info("the page shows a dialog (%s): %s", kind, str(params.get("message"))[:200])
        answer: Params = {"context": self._context, "accept": kind == "beforeunload"}
        self._link.send("browsingContext.handleUserPrompt", answer)

    async def _command(
        self, method: str, params: Params | None = None, timeout_s: float = 10.0
    ) -> Params:
        self._check_there()
        return await self._link.command(method, params, timeout_s, self._context)

    # -- look --------------------------------------------------------------------------------------

    async def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded. Raises `BrowserError`."""
        after_failure, self._has_failed = self._has_failed, True
        try:
            await self._go(url)
        except (BrowserGone, NoReply):
            raise
        except BrowserError:
            if not after_failure:
                raise
            # The error page of the address before may have come only now, and ended this.
            await self._go(url)
        self._has_failed = False

    async def calm(self) -> None:
        """Nothing tells of sockets here."""

    async def _go(self, url: str) -> None:
        self._arrival = arrival = _Arrival(self._arrival)
        # Its own wait ends with an error when the site goes elsewhere meanwhile.
        told: Params = {"context": self._context, "url": url, "wait": "none"}
        self._check_there()
        try:
            answer = await self._link.command("browsingContext.navigate", told, NAVIGATE_TIMEOUT_S)
        except (BrowserGone, NoReply):
            raise
        except BrowserError as error:
            raise BrowserError(f"{url} does not open: {error}") from error
        try:
            async with asyncio.timeout(NAVIGATE_TIMEOUT_S):
                await arrival.over(str(answer["navigation"]))
        except TimeoutError as error:
            raise NoReply(f"{url} has not loaded within {NAVIGATE_TIMEOUT_S:g} s") from error
        if arrival.failed[0] == answer["navigation"]:
            raise BrowserError(f"{url} does not open: {arrival.failed[1]}")
        self._check_there()

    def _check_there(self) -> None:
        if self.crashed.is_set():
            raise BrowserGone("the page crashed")

    def _leave_world(self) -> None:
        self._world = ""

    async def _run(self, script: str) -> object:
        if not self._world:
            there: Params = {"context": self._context, "sandbox": WORLD}
            made = await self._run_in(there, SCRIPT + ";0")
            self._world = str(made["realm"])
        world = self._world
        answer = await self._run_in({"realm": world}, script)
        try:
            where = await self._run_in({"realm": world}, "location.href")
            self.url = str(where["result"]["value"])
        except (BrowserGone, NoReply):
            raise
        except BrowserError as error:  # the script has run: the document that is next tells its own
            log.debug("the page went elsewhere (%s)", error)
        return value_of(answer["result"])

    async def _run_in(self, target: Params, script: str) -> Params:
        told: Params = {"expression": script, "target": target, "awaitPromise": True}
        answer = await self._command("script.evaluate", told, SCRIPT_LIMIT_S)
        if answer["type"] == "exception":
            raise ScriptFailed(f"a script failed in the page: {answer['exceptionDetails']['text']}")
        return answer

    async def screenshot(self) -> str:
        """A PNG of what is visible, in base64."""
        told: Params = {"context": self._context}
        return str((await self._command("browsingContext.captureScreenshot", told))["data"])

    # -- act ---------------------------------------------------------------------------------------

    async def _click(self, x: float, y: float) -> None:
        acts: list[Params] = [
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        await self._act({"type": "pointer", "id": "mouse", "actions": acts})

    async def key(self, name: str) -> None:
        """Press a key, such as `Enter` or `Control+Enter`, on what has the focus."""
        keys = [KEYS[each] for each in name.split("+")]
        acts = [{"type": "keyDown", "value": each} for each in keys]
        acts += [{"type": "keyUp", "value": each} for each in reversed(keys)]
        await self._act({"type": "key", "id": "keyboard", "actions": acts})

    async def _act(self, source: Params) -> None:
        told: Params = {"context": self._context, "actions": [source]}
        try:
            await self._command("input.performActions", told)
        except _Gone:
            log.debug("the page went elsewhere by what was pressed")

    async def type(self, text: str, timeout_s: float) -> None:
        """Type into what has the focus: as one input event, not key by key, as others do."""
        lines = text.replace("\r\n", "\n")
        if not await self.evaluate(_TYPE % json.dumps(lines), timeout_s):
            log.debug("nothing that takes text has the focus")

    async def give_files(self, script: str, paths: Sequence[str]) -> bool:
        """Put files into the input that a script in our own world gives; whether it gives one."""
        await self.evaluate("0")  # makes the world
        told: Params = {
            "expression": script,
            "target": {"realm": self._world},
            "awaitPromise": True,
            "resultOwnership": "root",
        }
        found = (await self._command("script.evaluate", told))["result"]
        if found["type"] != "node":
            return False
        given: Params = {"element": {"sharedId": found["sharedId"]}, "files": list(paths)}
        await self._command("input.setFiles", {"context": self._context, **given})
        return True

    async def choose_files(
        self, press: Callable[[], Awaitable[None]], paths: Sequence[str], timeout_s: float
    ) -> None:
        """This engine tells nothing of a dialog. Raises `InvalidRequest`."""
        del press, paths, timeout_s
        raise InvalidRequest(
            "messages: bring files, which this page takes in a dialog of the browser's alone, and "
            "firefox does not let us choose there; leave them out (or browser.engine: chromium)",
            param="messages",
        )

    async def loaded(self, url: str, most_bytes: int, timeout_s: float) -> bytes:
        """What is at an address, fetched by the page; empty where its rules forbid that."""
        try:
            found = await self.evaluate(_LOAD % (json.dumps(url), most_bytes), timeout_s)
        except ScriptFailed as error:
            log.debug("the page may not fetch an image: %s", error)
            return b""
        size, packed = cast("tuple[int, str]", found)
        return base64.b64decode(packed) if packed else bytes(size)

    async def shown_image(self, url: str) -> bytes:
        """What is shown cannot be had."""
        del url
        return b""

    # -- what the site has stored ------------------------------------------------------------------

    @property
    def _partition(self) -> Params:
        return {"type": "storageKey", "userContext": self._user_context}

    async def cookies(self) -> list[dict[str, Any]]:
        """Every cookie of the page's context, of whatever address, as `SavedCookie` names them."""
        told = await self._command("storage.getCookies", {"partition": self._partition})
        return [_cookie_of(each) for each in told["cookies"]]

    async def give_cookies(self, cookies: Sequence[dict[str, Any]]) -> None:
        """Put cookies into the page's context."""
        for each in cookies:
            told: Params = {"cookie": _bidi_cookie(each), "partition": self._partition}
            await self._command("storage.setCookie", told)

    async def open_empty(self, url: str) -> None:
        """Show an empty document of an address; the site is asked nothing.

        Raises `BrowserError`.
        """
        wanted: Params = {"phases": ["beforeRequestSent"], "contexts": [self._context]}
        held = await self._command("network.addIntercept", wanted)
        self._empty = True
        try:
            await self.open(url)
        finally:
            self._empty = False
            await self._command("network.removeIntercept", {"intercept": held["intercept"]})

    # -- listen ------------------------------------------------------------------------------------

    async def source(self, rules: StreamRules, prompt: str) -> Source:
        """There is none; the configuration's checks say so before. Raises `ProfileOutdated`."""
        del prompt
        why = f"transport {rules.transport} is read from the network, which firefox does not show"
        raise ProfileOutdated(f"the landmark stream: {why}; give it stream.dom")

    def request(self, rules: StreamRules) -> Request:
        """The page's next request like this; the one before is told nothing any more."""
        self._request = Request(rules)
        return self._request

    def transcript(self) -> "Silence":
        """Nothing is heard."""
        return Silence()


class Silence:
    """What is heard of a network that is not shown to us."""

    is_under_way = False

    async def heard(self) -> list[Heard]:
        """Nothing."""
        return []

    def abandon(self) -> None:
        """There is nothing to leave."""


class _Arrival:
    """That a document of another navigation than the last one has come; events have no order."""

    def __init__(self, before: "_Arrival | None" = None) -> None:
        self.turned = asyncio.Event()
        self.failed: tuple[str, str] = "", ""
        self.committed = before.committed if before else ""
        self.loaded = before.loaded if before else ""
        self._old = {"", self.committed, self.loaded, before.failed[0] if before else ""}

    async def over(self, navigation: str) -> None:
        """Until one has come and loaded, this one or where it led; or this one failed."""
        while navigation != self.failed[0] and self._old & {self.committed, self.loaded}:
            self.turned.clear()
            await self.turned.wait()


class _Gone(BrowserError):
    """The document that was asked is no more; the page is."""


_EMPTY: Params = {
    "statusCode": 200,
    "headers": [{"name": "Content-Type", "value": {"type": "string", "value": "text/html"}}],
    "body": {"type": "string", "value": "<!doctype html>"},
}


def value_of(told: Params) -> object:
    """The plain value of what a script gave. Numbers that JSON lacks are told by their names."""
    kind, value = told["type"], told.get("value")
    if kind in ("undefined", "null"):
        return None
    if kind == "array":
        return [value_of(each) for each in cast("list[Params]", value)]
    if kind == "object":
        return {name: value_of(each) for name, each in cast("list[tuple[str, Params]]", value)}
    return value


def _cookie_of(told: Params) -> dict[str, Any]:
    site = str(told.get("sameSite", "")).capitalize()
    names = SavedCookie.__struct_fields__
    return {
        **{name: told[name] for name in names if name in told},
        "value": str(told["value"]["value"]),
        "expires": float(told.get("expiry", -1)),
        "sameSite": site if site in ("Strict", "Lax", "None") else "",
    }


def _bidi_cookie(cookie: dict[str, Any]) -> Params:
    told: Params = {"name": cookie["name"], "domain": cookie["domain"], "path": cookie["path"]}
    told["value"] = {"type": "string", "value": cookie["value"]}
    told |= {name: cookie[name] for name in ("httpOnly", "secure") if name in cookie}
    if cookie.get("sameSite"):
        told["sameSite"] = str(cookie["sameSite"]).lower()
    if cookie.get("expires", -1.0) >= 0:
        told["expiry"] = int(cookie["expires"])
    return told
