"""What a page looks like, as pictures, for as long as somebody looks; nothing runs otherwise.

The browser makes the next picture only when the last one was acknowledged, which we do at our own
rate, and only the newest is kept: whoever looks slowly misses pictures, and costs no memory.
"""

import asyncio
import binascii
import logging
from collections.abc import Callable

from arenad.schema.view import Picture
from arenad.worker.devtools import DevTools, Params, Reply
from arenad.worker.frames import Frames
from arenad.worker.page_port import BrowserError, BrowserGone, NoReply

SPACING_S = 0.1
"""Ten pictures in a second at most."""

MAX_TRIES, AGAIN_S = 50, 0.1
"""A page that goes from one document to the next is refused ("Not attached to an active page")."""

WANTED: Params = {"format": "jpeg", "quality": 70, "maxWidth": 1600, "maxHeight": 1600}

log = logging.getLogger("arenad.screencast")


class Screencast:
    """The newest picture of one page, and the address and title that belong to it."""

    def __init__(self, devtools: DevTools, session: str, target: str, frames: Frames) -> None:
        """`session` is the page's, `target` its own; nothing runs yet."""
        self.picture: Picture | None = None
        self.address = ""
        self.title = ""
        self.on_change: Callable[[], None] = _ignore
        self._devtools = devtools
        self._session = session
        self._target = target
        self._frames = frames
        self._count = 0
        self._acked_s = 0.0

    async def begin(self) -> None:
        """Take pictures from now on. Raises `BrowserError`."""
        self._frames.show(is_viewed=True)
        self._devtools.on(self._session, "Page.screencastFrame", self._on_frame)
        self._devtools.on("", "Target.targetInfoChanged", self._on_target)
        told = await self._devtools.command("Target.getTargetInfo", {"targetId": self._target})
        self._on_target(told)
        only: Params = {"discover": True, "filter": [{"type": "page"}]}
        await self._devtools.command("Target.setDiscoverTargets", only)
        await self._start()

    async def _start(self) -> None:
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                await self._devtools.command("Page.startScreencast", WANTED, self._session)
            except (BrowserGone, NoReply):
                raise
            except BrowserError:
                if not tries_left:
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def end(self) -> None:
        """Take no more. A browser that is gone has stopped, too. Raises `BrowserError`."""
        self.picture = None
        self._frames.show(is_viewed=False)
        await self._devtools.command("Page.stopScreencast", {}, self._session)
        await self._devtools.command("Target.setDiscoverTargets", {"discover": False})

    def _on_frame(self, params: Params) -> None:
        self._count += 1
        seen: Params = params["metadata"]
        self.picture = Picture(
            number=self._count,
            width=round(seen["deviceWidth"]),
            height=round(seen["deviceHeight"]),
            jpeg=binascii.a2b_base64(params["data"]),
        )
        loop = asyncio.get_running_loop()
        self._acked_s = max(loop.time(), self._acked_s + SPACING_S)
        loop.call_at(self._acked_s, self._acknowledge, params["sessionId"])
        self.on_change()

    def _acknowledge(self, number: int) -> None:
        try:
            answer: Params = {"sessionId": number}
            self._devtools.send(self._session, "Page.screencastFrameAck", answer, _ignore_reply)
        except BrowserError as error:
            log.debug("a picture cannot be acknowledged: %s", error)

    def _on_target(self, params: Params) -> None:
        target: Params = params["targetInfo"]
        if target["targetId"] == self._target:
            self.address, self.title = str(target["url"]), str(target["title"])
            self.on_change()


def _ignore() -> None:
    pass


def _ignore_reply(_: Reply) -> None:
    pass
