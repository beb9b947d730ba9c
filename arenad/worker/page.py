"""The small port to a page: open, look, press, write, listen to its traffic, and see whether it lives."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

from arenad.errors import ProfileOutdated
from arenad.worker.capture import Capture
from arenad.worker.devtools import DevTools, DevToolsError, Params

WORLD = "arenad"
NAVIGATE_TIMEOUT_S = 30.0
TYPED_CHARS = 2000
"""A longer text is pasted, as a person would."""

_SCRIPT = (Path(__file__).parent / "page.js").read_text(encoding="utf-8")


class Page:
    """One tab in an isolated context of its own: no cookie, cache or storage is shared or kept."""

    def __init__(self, devtools: DevTools, session: str, target: str) -> None:
        """Use `create`."""
        self.crashed = asyncio.Event()
        self._devtools = devtools
        self._session = session
        self._frame = target  # a page's main frame has its target's id
        self._world = 0
        self._loaded = asyncio.Event()
        self._capture: Capture | None = None

    @classmethod
    async def create(cls, devtools: DevTools) -> "Page":
        """A blank page in a fresh context. Raises `DevToolsError`, `TimeoutError`."""
        context = await devtools.command("Target.createBrowserContext", {"disposeOnDetach": True})
        target = await devtools.command(
            "Target.createTarget",
            {"url": "about:blank", "browserContextId": context["browserContextId"]},
        )
        attached = await devtools.command(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        page = cls(devtools, attached["sessionId"], target["targetId"])
        page._listen()
        for domain in ("Page", "Network", "Inspector"):
            await page._command(f"{domain}.enable")
        return page

    def _listen(self) -> None:
        def on(event: str, listener: Any) -> None:
            self._devtools.on(self._session, event, listener)

        on("Inspector.targetCrashed", lambda _: self.crashed.set())
        on("Inspector.detached", lambda _: self.crashed.set())
        self._devtools.on("", "Target.detachedFromTarget", lambda _: self.crashed.set())
        on("Page.loadEventFired", lambda _: self._loaded.set())
        for event in ("requestWillBeSent", "responseReceived", "dataReceived", "loadingFinished"):
            on(f"Network.{event}", lambda params, event=event: self._traffic(event, params))
        on("Network.loadingFailed", lambda params: self._traffic("loadingFailed", params))

    def _traffic(self, event: str, params: Params) -> None:
        if self._capture is not None:
            self._capture.on_event(event, params)

    async def _command(self, method: str, params: Params | None = None, **wait: float) -> Params:
        return await self._devtools.command(method, params, self._session, **wait)

    # -- look ---------------------------------------------------------------------------------------

    async def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded. Raises `DevToolsError`, `TimeoutError`."""
        self._loaded.clear()
        answer = await self._command("Page.navigate", {"url": url}, timeout_s=NAVIGATE_TIMEOUT_S)
        if error := answer.get("errorText"):
            raise DevToolsError(f"{url} does not open: {error}")
        async with asyncio.timeout(NAVIGATE_TIMEOUT_S):
            await self._loaded.wait()
        world = await self._command(
            "Page.createIsolatedWorld", {"frameId": self._frame, "worldName": WORLD}
        )
        self._world = world["executionContextId"]
        await self.evaluate(_SCRIPT)

    async def evaluate(self, script: str, timeout_s: float = 10.0) -> object:
        """Run a script in our own world of the page; gives its JSON value, awaited if a promise."""
        params: Params = {"expression": script, "awaitPromise": True, "returnByValue": True}
        if self._world:
            params["contextId"] = self._world
        answer = await self._command("Runtime.evaluate", params, timeout_s=timeout_s)
        if details := answer.get("exceptionDetails"):
            raise DevToolsError(f"a script failed in the page: {details.get('text', '')}")
        return cast("Params", answer["result"]).get("value")

    async def _ask(self, function: str, selector: str, timeout_s: float) -> object:
        call = f"arenad.{function}({json.dumps(selector)}, {int(timeout_s * 1000)})"
        return await self.evaluate(call, timeout_s + 5.0)

    async def html(self) -> str:
        """The page's markup as it stands."""
        return str(await self.evaluate("document.documentElement.outerHTML"))

    async def is_usable(self, selector: str) -> bool:
        """Whether the element is there, visible and enabled, right now."""
        return bool(await self.evaluate(f"!!arenad.usable({json.dumps(selector)})"))

    async def wait_for(self, name: str, selector: str, timeout_s: float) -> None:
        """Wait until a landmark is usable. Raises `ProfileOutdated` naming it."""
        point = await self._ask("wait", selector, timeout_s)
        if point is None:
            raise ProfileOutdated(_gone(name, selector, timeout_s))

    # -- act ----------------------------------------------------------------------------------------

    async def press(self, name: str, selector: str, timeout_s: float) -> None:
        """Press a landmark with the mouse, as a person would. Raises `ProfileOutdated` naming it."""
        point = await self._ask("point", selector, timeout_s)
        if not isinstance(point, list):
            why = f"the landmark {name} ({selector}) is {point}"
            raise ProfileOutdated(why if point else _gone(name, selector, timeout_s))
        x, y = cast("list[float]", point)
        mouse: Params = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            await self._command("Input.dispatchMouseEvent", {"type": kind, **mouse})

    async def write(self, name: str, selector: str, text: str, timeout_s: float) -> None:
        """Replace a field's text. Raises `ProfileOutdated` when it is gone or does not take it all."""
        if not await self._ask("focus", selector, timeout_s):
            raise ProfileOutdated(_gone(name, selector, timeout_s))
        if len(text) <= TYPED_CHARS:
            await self._command("Input.insertText", {"text": text}, timeout_s=timeout_s)
        else:
            paste = f"arenad.paste({json.dumps(selector)}, {json.dumps(text)})"
            await self.evaluate(paste, timeout_s)
        taken = await self.evaluate(f"arenad.length({json.dumps(selector)})", timeout_s)
        given = _javascript_length(text)
        if taken != given:
            raise ProfileOutdated(
                f"the landmark {name} ({selector}) took {taken} of {given} characters"
            )

    # -- listen -------------------------------------------------------------------------------------

    def capture(self, url_pattern: str, method: str) -> Capture:
        """Read the page's own next request whose address matches, as its answer arrives."""
        self._capture = Capture(self._devtools, self._session, url_pattern, method)
        return self._capture

    async def screenshot(self) -> str:
        """A PNG of what is visible, in base64."""
        return str((await self._command("Page.captureScreenshot"))["data"])


def _gone(name: str, selector: str, timeout_s: float) -> str:
    return f"the landmark {name} ({selector}) is not on the page, not within {timeout_s:g} s"


def _javascript_length(text: str) -> int:
    """The length that a text field reports: UTF-16 units, every line end as one."""
    lines = text.replace("\r\n", "\n")
    return len(lines) + sum(char > "\uffff" for char in lines)
