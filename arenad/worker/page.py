"""The lean engine's page: one Chromium tab over DevTools, its traffic heard from the network."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import cast

from arenad.schema.process import Proxy
from arenad.schema.profile import StreamRules
from arenad.worker import proxying
from arenad.worker.capture import Capture
from arenad.worker.channels import EventMessages, SocketFrames
from arenad.worker.devtools import DevTools, OnReply, Params, Reply
from arenad.worker.frame_rate import Doing
from arenad.worker.frames import Frames
from arenad.worker.page_port import (
    SCRIPT,
    BrowserError,
    BrowserGone,
    NoReply,
    PagePort,
    ScriptFailed,
)
from arenad.worker.screencast import Screencast
from arenad.worker.source import Source
from arenad.worker.traffic import Traffic
from arenad.worker.transcript import Transcript

WORLD = "arenad"
NAVIGATE_TIMEOUT_S = 30.0
SCRIPT_LIMIT_S = 60.0
"""`evaluate` has a deadline of its own; this one only is longer than any of those."""

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

READ_BYTES = 1024 * 1024

MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}

log = logging.getLogger("arenad.page")


class Page(PagePort):
    """One tab in an isolated context of its own: no cookie, cache or storage is shared or kept."""

    def __init__(self, devtools: DevTools, session: str, target: str, traffic: Traffic) -> None:
        """Use `create`."""
        super().__init__()
        self.traffic = traffic
        self._devtools = devtools
        self._session = session
        self._frame = target  # a page's main frame has its target's id
        traffic.frame = target
        self._world: int | None = None
        self._loaded = asyncio.Event()
        self._frames = Frames(devtools)

    @classmethod
    async def create(cls, devtools: DevTools, proxy: Proxy | None = None) -> "Page":
        """A blank page in a fresh context, all of it behind the proxy. Raises `BrowserError`."""
        fresh: Params = {"disposeOnDetach": True, **proxying.way(proxy)}
        context = await devtools.command("Target.createBrowserContext", fresh)
        own: Params = {"browserContextId": context["browserContextId"]}
        await devtools.command("Browser.setDownloadBehavior", {"behavior": "deny", **own})
        blank: Params = {"url": "about:blank", **own}
        if devtools.frame_turn is not None:
            blank["enableBeginFrameControl"] = True
        target = await devtools.command("Target.createTarget", blank)
        attached = await devtools.command(
            "Target.attachToTarget", {"targetId": target["targetId"], "flatten": True}
        )
        session = str(attached["sessionId"])
        admit = proxying.admitter(devtools, proxy)
        traffic = Traffic(devtools, session, own["browserContextId"], admit)
        page = cls(devtools, session, target["targetId"], traffic)
        page._listen()
        if devtools.frame_turn is not None:
            await page._frames.attach(target["targetId"])
        await page.command("Page.enable")
        await page.command("Inspector.enable")
        await traffic.begin()
        if devtools.frame_turn is not None:
            page._frames.begin(devtools.frame_turn)
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
        await self._frames.end()
        try:
            gone: Params = {"browserContextId": self.traffic.context}
            await self._devtools.command("Target.disposeBrowserContext", gone)
        finally:
            await self._frames.close()
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
        except BrowserError as error:
            log.warning("the dialog cannot be answered: %s", error)

    @property
    def status(self) -> int:
        """How the site answered the page itself."""
        return self.traffic.status

    @property
    def headers(self) -> dict[str, str]:
        """The head of that answer."""
        return self.traffic.headers

    @property
    def heard(self) -> int:
        """How often the page has spoken, asked or not."""
        return self._devtools.heard[self._session]

    async def command(self, method: str, params: Params | None = None, **wait: float) -> Params:
        """A DevTools command to this page, for rooms of its own. Raises `BrowserError`."""
        if self.crashed.is_set():
            raise BrowserGone("the page crashed")
        return await self._devtools.command(method, params, self._session, **wait)

    @property
    def is_frozen(self) -> bool:
        """Its frames have come to no end for a while."""
        return self._frames.are_stuck

    def draw_for(self, doing: Doing) -> None:
        """Draw as often as this needs."""
        self._frames.follow(doing)

    # -- look --------------------------------------------------------------------------------------

    async def open(self, url: str) -> None:
        """Go to an address and wait until it has loaded. Raises `BrowserError`."""
        self._frames.stir()
        self._loaded.clear()
        answer = await self.command("Page.navigate", {"url": url}, timeout_s=NAVIGATE_TIMEOUT_S)
        if error := answer.get("errorText"):
            raise BrowserError(f"{url} does not open: {error}")
        try:
            async with asyncio.timeout(NAVIGATE_TIMEOUT_S):
                await self._loaded.wait()
        except TimeoutError as error:
            raise NoReply(f"{url} has not loaded within {NAVIGATE_TIMEOUT_S:g} s") from error
        self._world = None

    async def calm(self) -> None:
        """Until its sockets are open and have rested for a moment."""
        await self.traffic.calm()

    def _leave_world(self) -> None:
        self._world = None

    async def _run(self, script: str) -> object:
        if self._world is None:
            world = await self.command(
                "Page.createIsolatedWorld", {"frameId": self._frame, "worldName": WORLD}
            )
            self._world = int(world["executionContextId"])
            await self._run_here(SCRIPT + ";0")
        return await self._run_here(script)

    async def _run_here(self, script: str) -> object:
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
            raise ScriptFailed(f"a script failed in the page: {thrown}")
        return cast("Params", answer["result"]).get("value")

    # -- act ---------------------------------------------------------------------------------------

    async def _click(self, x: float, y: float) -> None:
        """Once it is pressed it is also released: a cancel finds it either untouched or clicked."""
        self._frames.stir()
        mouse: Params = {"x": x, "y": y, "button": "left", "clickCount": 1}
        down, up = ({"type": f"mouse{kind}", **mouse} for kind in ("Pressed", "Released"))
        self._devtools.send(self._session, "Input.dispatchMouseEvent", down, _ignore_reply)
        await self.command("Input.dispatchMouseEvent", up)

    async def key(self, name: str) -> None:
        """Press a key, such as `Enter` or `Control+Enter`, on what has the focus."""
        self._frames.stir()
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
        self._frames.stir()
        await self.command("Input.insertText", {"text": text}, timeout_s=timeout_s)

    # -- files -------------------------------------------------------------------------------------

    async def give_files(self, script: str, paths: Sequence[str]) -> bool:
        """Put files into the input that a script in our own world gives; whether it gives one."""
        await self.evaluate("0")  # makes the world
        told: Params = {"expression": script, "contextId": self._world}
        answer = await self.command("Runtime.evaluate", told)
        thing = cast("Params", answer["result"]).get("objectId")
        if thing:
            await self.command("DOM.setFileInputFiles", {"files": list(paths), "objectId": thing})
        return bool(thing)

    async def choose_files(
        self, press: Callable[[], Awaitable[None]], paths: Sequence[str], timeout_s: float
    ) -> None:
        """Choose files in the dialog that a press opens. Raises `TimeoutError` when none does."""
        opened: asyncio.Future[Params] = asyncio.get_running_loop().create_future()

        def on_opened(params: Params) -> None:
            if not opened.done():
                opened.set_result(params)

        self._devtools.on(self._session, "Page.fileChooserOpened", on_opened)
        await self.command("Page.setInterceptFileChooserDialog", {"enabled": True})
        try:
            await press()
            async with asyncio.timeout(timeout_s):
                node = (await opened)["backendNodeId"]
        finally:
            await self.command("Page.setInterceptFileChooserDialog", {"enabled": False})
        await self.command("DOM.setFileInputFiles", {"files": list(paths), "backendNodeId": node})

    async def loaded(self, url: str, most_bytes: int, timeout_s: float) -> bytes:
        """What is at an address, fetched as the page's network does it."""
        asked: Params = {
            "frameId": self._frame,
            "url": url,
            "options": {"disableCache": False, "includeCredentials": True},
        }
        try:
            found = await self.command("Network.loadNetworkResource", asked, timeout_s=timeout_s)
        except BrowserGone:
            raise
        except BrowserError as error:
            log.debug("the page may not fetch an image: %s", error)
            return b""
        stream = found["resource"].get("stream")
        return await self._read(stream, most_bytes) if stream else b""

    async def _read(self, stream: str, most_bytes: int) -> bytes:
        """A stream of the browser's; it is closed in any case, for till then all of it is kept."""
        content = bytearray()
        try:
            while len(content) <= most_bytes:
                read = await self.command("IO.read", {"handle": stream, "size": READ_BYTES})
                is_binary = read.get("base64Encoded", False)
                content += base64.b64decode(read["data"]) if is_binary else read["data"].encode()
                if read["eof"]:
                    break
        finally:  # nothing is waited for, since a cancel comes this way too
            with suppress(BrowserError):
                self.dispatch("IO.close", {"handle": stream}, _ignore_reply)
        return bytes(content)

    def unheld(self) -> AbstractContextManager[None]:
        """The valve is lifted."""
        valve = self._devtools.valve
        return valve.lifted() if valve is not None else super().unheld()

    async def shown_image(self, url: str) -> bytes:
        """The bytes of an image that the page shows."""
        asked: Params = {"frameId": self._frame, "url": url}
        found = await self.command("Page.getResourceContent", asked)
        content = str(found["content"])
        return base64.b64decode(content) if found["base64Encoded"] else content.encode()

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

        Raises `BrowserError`.
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
            self.traffic.admit()  # the proxy's questions came by the same way

    # -- listen ------------------------------------------------------------------------------------

    async def source(self, rules: StreamRules, prompt: str) -> Source:
        """The page's next answer, read from its network."""
        follow = rules.follow or rules.grammar == "gradio"
        if rules.transport == "websocket":
            sockets = self.traffic.channels(is_socket=True)
            source = SocketFrames(rules.url_pattern, sockets, prompt)
        elif rules.transport == "eventsource":
            streams = self.traffic.channels(is_socket=False)
            source = EventMessages(rules.url_pattern, streams, follow=follow)
        else:
            return self.capture(rules.url_pattern, rules.method, follow=follow)
        self.traffic.attend(source)
        return source

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
        return Screencast(self._devtools, self._session, self._frame, self._frames)

    def dispatch(self, method: str, params: Params, on_reply: OnReply) -> None:
        """Send what a person does, without waiting for it. Raises `BrowserError`."""
        if self.crashed.is_set():
            raise BrowserGone("the page crashed")
        self._frames.stir()
        self._devtools.send(self._session, method, params, on_reply)

    async def reload(self) -> None:
        """Load the page anew; does not wait for it. Raises `BrowserError`."""
        self._frames.stir()
        await self.command("Page.reload")

    async def back(self) -> None:
        """Go back in the page's history, if there is a way. Raises `BrowserError`."""
        self._frames.stir()
        history = await self.command("Page.getNavigationHistory")
        if (at := int(history["currentIndex"])) > 0:
            entry: Params = history["entries"][at - 1]
            await self.command("Page.navigateToHistoryEntry", {"entryId": entry["id"]})


_HTML: Params = {"name": "Content-Type", "value": "text/html"}


def _ignore_reply(_: Reply) -> None:
    pass
