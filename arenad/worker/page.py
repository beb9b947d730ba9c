"""The small port to a page: open, look, press, write, listen to its traffic, see if it lives."""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from arenad.errors import ProfileOutdated
from arenad.schema.process import Proxy
from arenad.schema.profile import Places
from arenad.worker import proxying
from arenad.worker.capture import Capture
from arenad.worker.devtools import (
    BrowserGone,
    DevTools,
    DevToolsError,
    NoReply,
    OnEvent,
    OnReply,
    Params,
    Reply,
)
from arenad.worker.screencast import Screencast
from arenad.worker.traffic import Traffic
from arenad.worker.transcript import Transcript

WORLD = "arenad"
NAVIGATE_TIMEOUT_S = 30.0
TYPED_CHARS = 2000
"""A longer text is pasted, as a person would."""

SCRIPT_LIMIT_S = 60.0
"""`evaluate` has a deadline of its own; this one only is longer than any of those."""

WORLDS_TRIED = 3
"""A site may go elsewhere by itself while it is asked something; then the new document is asked."""

KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "Backspace": 8,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""Keys that a step may press, with their number on a Windows keyboard, as browsers report it."""

MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}

_HERE = Path(__file__).parent
_PARTS = ("find.js", "page.js", "files.js", "answer.js")
_SCRIPT = "".join((_HERE / name).read_text(encoding="utf-8") for name in _PARTS)

Look = dict[str, Any]
"""What may be seen on a page: `places`, a `text`, or a pattern of its address as `url`."""

_SPACE = re.compile("[\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]")
"""What a page's scripts call space."""

log = logging.getLogger("arenad.page")


class Page:
    """One tab in an isolated context of its own: no cookie, cache or storage is shared or kept."""

    def __init__(self, devtools: DevTools, session: str, target: str, traffic: Traffic) -> None:
        """Use `create`."""
        self.traffic = traffic
        self.crashed = asyncio.Event()
        self.url = ""
        """Where the page is, as it says itself, scripts that change the address included."""

        self.documents = 0
        """How many documents it has shown so far."""

        self._devtools = devtools
        self._session = session
        self._frame = target  # a page's main frame has its target's id
        traffic.frame = target
        self._world: int | None = None
        self._loaded = asyncio.Event()

    @classmethod
    async def create(cls, devtools: DevTools, proxy: Proxy | None = None) -> "Page":
        """A blank page in a fresh context, all of it behind the proxy. Raises `DevToolsError`."""
        fresh: Params = {"disposeOnDetach": True, **proxying.way(proxy)}
        context = await devtools.command("Target.createBrowserContext", fresh)
        own: Params = {"browserContextId": context["browserContextId"]}
        await devtools.command("Browser.setDownloadBehavior", {"behavior": "deny", **own})
        target = await devtools.command("Target.createTarget", {"url": "about:blank", **own})
        attached = await devtools.command(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        session = str(attached["sessionId"])
        admit = proxying.admitter(devtools, proxy)
        traffic = Traffic(devtools, session, own["browserContextId"], admit)
        page = cls(devtools, session, target["targetId"], traffic)
        page._listen()
        await page.command("Page.enable")
        await page.command("Inspector.enable")
        await traffic.begin()
        return page

    def _listen(self) -> None:
        on = partial(self._devtools.on, self._session)
        on("Inspector.targetCrashed", self._on_crash)
        on("Inspector.detached", self._on_crash)
        self._devtools.on("", "Target.detachedFromTarget", self._on_detached)
        self._devtools.on_lost(self._on_lost)
        on("Page.loadEventFired", self._on_load)
        on("Page.javascriptDialogOpening", self._on_dialog)
        on("Page.frameNavigated", self._on_navigated)
        on("Page.navigatedWithinDocument", self._on_new_address)

    async def close(self) -> None:
        """End the page and its context, and with it all that the site has stored there."""
        self._devtools.off_lost(self._on_lost)
        try:
            gone: Params = {"browserContextId": self.traffic.context}
            await self._devtools.command("Target.disposeBrowserContext", gone)
        finally:
            self.traffic.forget()
            self._on_crash({})

    def _on_lost(self) -> None:
        self.traffic.lose("the browser is gone")

    def _on_detached(self, params: Params) -> None:
        """The page's own end, or that of a shared worker, of which the browser itself tells."""
        if params["sessionId"] == self._session:
            self._on_crash(params)
        else:
            self.traffic.on_detached(params)

    def _on_crash(self, _: Params) -> None:
        self.crashed.set()
        self._devtools.end_session(self._session, "the page crashed")
        self.traffic.lose("the page crashed")

    def _on_load(self, _: Params) -> None:
        self._loaded.set()

    def _on_navigated(self, params: Params) -> None:
        frame = params["frame"]
        if frame["id"] == self._frame:
            self.documents += 1
            self.url = str(frame["url"]) + str(frame.get("urlFragment", ""))

    def _on_new_address(self, params: Params) -> None:
        if params["frameId"] == self._frame:
            self.url = str(params["url"])

    def _on_dialog(self, params: Params) -> None:
        """A dialog of the browser's own stops all scripts, ours too, until it is answered."""
        kind = params["type"]
        log.info("the page shows a dialog (%s): %s", kind, str(params["message"])[:200])
        answer: Params = {"accept": kind == "beforeunload"}  # "leave the page?" we asked for that
        try:
            self._devtools.send(self._session, "Page.handleJavaScriptDialog", answer, _ignore_reply)
        except DevToolsError as error:
            log.warning("the dialog cannot be answered: %s", error)

    @property
    def heard(self) -> int:
        """How often the page has spoken, asked or not."""
        return self._devtools.heard[self._session]

    async def command(self, method: str, params: Params | None = None, **wait: float) -> Params:
        """A DevTools command to this page, for rooms of its own. Raises `DevToolsError`."""
        if self.crashed.is_set():
            raise BrowserGone("the page crashed")
        return await self._devtools.command(method, params, self._session, **wait)

    # -- look --------------------------------------------------------------------------------------

    async def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded. Raises `DevToolsError`."""
        self._loaded.clear()
        answer = await self.command("Page.navigate", {"url": url}, timeout_s=NAVIGATE_TIMEOUT_S)
        if error := answer.get("errorText"):
            raise DevToolsError(f"{url} does not open: {error}")
        try:
            async with asyncio.timeout(NAVIGATE_TIMEOUT_S):
                await self._loaded.wait()
        except TimeoutError as error:
            raise NoReply(f"{url} has not loaded within {NAVIGATE_TIMEOUT_S:g} s") from error
        self._world = None

    async def evaluate(self, script: str, timeout_s: float = 10.0) -> object:
        """Run a script in our own world of the page; gives its JSON value, awaited if a promise.

        The world ends with its document; the script is then asked of the next one, so it must not
        matter whether it runs twice. Raises `DevToolsError`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._evaluate(script)
        except TimeoutError as error:
            raise NoReply(f"the page did not answer a script within {timeout_s:g} s") from error

    async def _evaluate(self, script: str) -> object:
        for _ in range(WORLDS_TRIED - 1):
            try:
                return await self._run_in_world(script)
            except (BrowserGone, NoReply, _ScriptError):
                raise
            except DevToolsError as error:
                log.debug("the page's document changed (%s); asking the new one", error)
                self._world = None
        return await self._run_in_world(script)

    async def _run_in_world(self, script: str) -> object:
        if self._world is None:
            world = await self.command(
                "Page.createIsolatedWorld", {"frameId": self._frame, "worldName": WORLD}
            )
            self._world = int(world["executionContextId"])
            await self._run(_SCRIPT + ";0")
        return await self._run(script)

    async def _run(self, script: str) -> object:
        answer = await self.command(
            "Runtime.evaluate",
            {
                "expression": script,
                "awaitPromise": True,
                "returnByValue": True,
                "contextId": self._world,
            },
            timeout_s=SCRIPT_LIMIT_S,
        )
        if details := answer.get("exceptionDetails"):
            thrown = details.get("exception", {}).get("description") or details.get("text")
            raise _ScriptError(f"a script failed in the page: {thrown}")
        return cast("Params", answer["result"]).get("value")

    async def thing(self, script: str) -> str:
        """The DevTools name of what a script in our own world gives; empty where it is nothing."""
        await self.evaluate("0")  # makes the world
        told: Params = {"expression": script, "contextId": self._world}
        answer = await self.command("Runtime.evaluate", told)
        return str(cast("Params", answer["result"]).get("objectId", ""))

    def on(self, event: str, listener: OnEvent) -> None:
        """Call `listener(params)` on each such event of the page; replaces an earlier one."""
        self._devtools.on(self._session, event, listener)

    @property
    def frame(self) -> str:
        """The main frame, for commands that want it."""
        return self._frame

    async def _ask(self, function: str, places: Places, timeout_s: float) -> object:
        call = f"arenad.{function}({_json(places)}, {int(timeout_s * 1000)})"
        return await self.evaluate(call, timeout_s + 5.0)

    async def html(self) -> str:
        """The page's markup as it stands."""
        return str(await self.evaluate("document.documentElement.outerHTML"))

    async def json_at(self, path: str, timeout_s: float) -> object:
        """What the site has at an address of its own, asked with the page's cookies."""
        asked = f"fetch({json.dumps(path)}).then((response) => response.json())"
        return await self.evaluate(asked, timeout_s)

    async def names(self, places: Places) -> list[str]:
        """The names that elements show, of the first selector that has any."""
        return cast("list[str]", await self.evaluate(f"arenad.names({_json(places)})"))

    async def is_usable(self, places: Places) -> bool:
        """Whether the element is there, visible and enabled, right now."""
        return bool(await self.evaluate(f"!!arenad.usable({_json(places)})"))

    async def select(self, places: Places, name: str) -> bool:
        """Choose an option of a native list by its name; false where this is no such list."""
        return bool(await self.evaluate(f"arenad.select({_json(places)}, {json.dumps(name)})"))

    async def place(self, places: Places) -> int:
        """The number of the selector that has a usable element right now; -1 if none has."""
        found = await self.evaluate(f"arenad.place({_json(places)})")
        return int(cast("float", found))

    async def is_gone(self, places: Places, timeout_s: float) -> bool:
        """Whether within this time no such element is visible any more."""
        return bool(await self._ask("gone", places, timeout_s))

    async def wait_for(self, name: str, places: Places, timeout_s: float) -> None:
        """Wait until a landmark is usable. Raises `ProfileOutdated` naming it."""
        if not await self._ask("has", places, timeout_s):
            raise ProfileOutdated(_missing(name, places, timeout_s))

    async def wait_gone(self, name: str, places: Places, timeout_s: float) -> None:
        """Wait until a landmark has left. Raises `ProfileOutdated` naming it."""
        if not await self.is_gone(places, timeout_s):
            stays = f"stays longer than {timeout_s:g} s"
            raise ProfileOutdated(f"the landmark {name} ({_shown(places)}) {stays}")

    async def first(self, looks: Sequence[Look], timeout_s: float) -> int:
        """The number of the first look that sees something, once one does; -1 when none did."""
        asked = [{key: value for key, value in look.items() if value} for look in looks]
        call = f"arenad.first({json.dumps(asked)}, {int(timeout_s * 1000)})"
        return int(cast("float", await self.evaluate(call, timeout_s + 5.0)))

    # -- act ---------------------------------------------------------------------------------------

    async def press(self, name: str, places: Places, timeout_s: float) -> None:
        """Press a landmark with the mouse, as a person would. Raises `ProfileOutdated`, naming it.

        Once it is pressed it is also released: a cancel finds it either untouched or clicked.
        """
        point = await self._ask("point", places, timeout_s)
        if not isinstance(point, list):
            why = f"the landmark {name} ({_shown(places)}) is {point}"
            raise ProfileOutdated(why if point else _missing(name, places, timeout_s))
        x, y = cast("list[float]", point)
        mouse: Params = {"x": x, "y": y, "button": "left", "clickCount": 1}
        down, up = ({"type": f"mouse{kind}", **mouse} for kind in ("Pressed", "Released"))
        self._devtools.send(self._session, "Input.dispatchMouseEvent", down, _ignore_reply)
        await self.command("Input.dispatchMouseEvent", up)

    async def key(self, name: str) -> None:
        """Press a key, such as `Enter` or `Control+Enter`, on what has the focus."""
        *modifiers, key = name.split("+")
        told: Params = {
            "key": key,
            "code": key,
            "windowsVirtualKeyCode": KEYS[key],
            "modifiers": sum(MODIFIERS[each] for each in modifiers),
        }
        text = {"text": "\r"} if key == "Enter" else {}
        down, up = {"type": "keyDown", **told, **text}, {"type": "keyUp", **told}
        self._devtools.send(self._session, "Input.dispatchKeyEvent", down, _ignore_reply)
        await self.command("Input.dispatchKeyEvent", up)

    async def type(self, text: str, timeout_s: float) -> None:
        """Type into what has the focus."""
        await self.command("Input.insertText", {"text": text}, timeout_s=timeout_s)

    async def write(self, name: str, places: Places, text: str, timeout_s: float) -> None:
        """Replace a field's text. Raises `ProfileOutdated` when it is gone or takes only a part."""
        if not await self._ask("focus", places, timeout_s):
            raise ProfileOutdated(_missing(name, places, timeout_s))
        if len(text) <= TYPED_CHARS:
            await self.type(text, timeout_s)
        else:
            paste = f"arenad.paste({_json(places)}, {json.dumps(text)})"
            await self.evaluate(paste, timeout_s)
        found = await self.evaluate(f"arenad.length({_json(places)})", timeout_s)
        taken, is_plain = cast("tuple[int, bool]", found)
        given = _javascript_length(text if is_plain else _SPACE.sub("", text))
        if taken != given:
            raise ProfileOutdated(
                f"the landmark {name} ({_shown(places)}) took {taken} of {given} characters"
            )

    # -- what the site has stored ------------------------------------------------------------------

    async def cookies(self) -> list[Params]:
        """Every cookie of the page's context, of whatever address."""
        own: Params = {"browserContextId": self.traffic.context}
        return cast(
            "list[Params]", (await self._devtools.command("Storage.getCookies", own))["cookies"]
        )

    async def give_cookies(self, cookies: Sequence[Params]) -> None:
        """Put cookies into the page's context."""
        given: Params = {"cookies": cookies, "browserContextId": self.traffic.context}
        await self._devtools.command("Storage.setCookies", given)

    async def open_empty(self, url: str) -> None:
        """Show an empty document of an address; the site is asked nothing.

        Raises `DevToolsError`.
        """
        empty: Params = {"responseCode": 200, "body": "", "responseHeaders": [_HTML]}

        def fulfil(params: Params) -> None:
            answer = {"requestId": params["requestId"], **empty}
            self._devtools.send(self._session, "Fetch.fulfillRequest", answer, _ignore_reply)

        self._devtools.on(self._session, "Fetch.requestPaused", fulfil)
        await self.command("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        try:
            await self.open(url)
        finally:
            await self.command("Fetch.disable")

    # -- listen ------------------------------------------------------------------------------------

    def capture(self, url_pattern: str, method: str, *, follow: bool = False) -> Capture:
        """Read the page's own next request whose address matches, as its answer arrives."""
        capture = Capture(self._devtools, url_pattern, method, follow=follow)
        self.traffic.attend(capture)
        return capture

    def transcript(self) -> Transcript:
        """Hear all that the network brings from now on."""
        there = [*self.traffic.channels(is_socket=True), *self.traffic.channels(is_socket=False)]
        transcript = Transcript(self._devtools, there)
        self.traffic.attend(transcript)
        return transcript

    async def screenshot(self) -> str:
        """A PNG of what is visible, in base64."""
        return str((await self.command("Page.captureScreenshot"))["data"])

    # -- for a person ------------------------------------------------------------------------------

    def screencast(self) -> Screencast:
        """The page as pictures, once they are begun."""
        return Screencast(self._devtools, self._session, self._frame)

    def dispatch(self, method: str, params: Params, on_reply: OnReply) -> None:
        """Send what a person does, without waiting for it. Raises `DevToolsError`."""
        if self.crashed.is_set():
            raise BrowserGone("the page crashed")
        self._devtools.send(self._session, method, params, on_reply)

    async def reload(self) -> None:
        """Load the page anew; does not wait for it. Raises `DevToolsError`."""
        await self.command("Page.reload")

    async def back(self) -> None:
        """Go back in the page's history, if there is a way. Raises `DevToolsError`."""
        history = await self.command("Page.getNavigationHistory")
        if (at := int(history["currentIndex"])) > 0:
            entry: Params = history["entries"][at - 1]
            await self.command("Page.navigateToHistoryEntry", {"entryId": entry["id"]})


_HTML: Params = {"name": "Content-Type", "value": "text/html"}


class _ScriptError(DevToolsError):
    """Our own script threw."""


def _ignore_reply(_: Reply) -> None:
    pass


def selectors(places: Places) -> tuple[str, ...]:
    """The selectors of a place, in order."""
    return (places,) if isinstance(places, str) else places


def _json(places: Places) -> str:
    return json.dumps(selectors(places))


def _shown(places: Places) -> str:
    return " or ".join(selectors(places))


def _missing(name: str, places: Places, timeout_s: float) -> str:
    return f"the landmark {name} ({_shown(places)}) is not on the page, not within {timeout_s:g} s"


def _javascript_length(text: str) -> int:
    """The length that a text field reports: UTF-16 units, every line end as one."""
    lines = text.replace("\r\n", "\n")
    return len(lines) + sum(char > "\uffff" for char in lines)
