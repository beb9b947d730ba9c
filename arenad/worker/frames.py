"""Has a page drawn when it is of use, instead of sixty times a second.

Only the headless shell can be told when to draw (`--enable-begin-frame-control`); any other browser
goes on by itself. Its answers say that the browser lives and nothing of the page, so they come to a
session of their own: `DevTools.heard` of the page's session stays a sign of the page's life.
"""

import asyncio
import logging
from contextlib import suppress

from arenad.link import Tasks
from arenad.worker.devtools import DevTools
from arenad.worker.frame_rate import Doing, interval_s
from arenad.worker.page_port import BrowserError, BrowserGone

FLAGS = (
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-checker-imaging",
)
"""The first allows it, and the browser refuses it without the second.

Without the third, images are left out at first, and drawn in frames of the compositor's own.
"""

UNWANTED = ("DeferRendererTasksAfterInput", "RasterInducingScroll")
"""Features that suit a browser which draws by itself alone.

After a click the first has all else wait for the next frame, an answer too, for up to 50 ms. By the
second a scroll is drawn in a frame of the compositor's own: where another one comes of the page
meanwhile, each waits for the other (seen in a trace of Chromium 150, `cc::SchedulerStateMachine`).
"""

UNLIKE = "--site-per-process"
"""The browser does not start with both this and our frames."""

FRAME_TIMEOUT_S = 30.0
"""A page that is busy for seconds is drawn as late, and no other one of its browser before.

While it owes a frame, one of another page would be drawn at once with it. (Measured with Chromium
150: the drawing process ends itself then; it does not where the page that owes one is closed.)
"""

AGAIN_S = 1.0
"""A page without frames goes nowhere: after one that failed or did not end, there is another."""

STUCK_AFTER = 5
"""So many that failed in a row are no page that is merely busy: it does not move any more."""

END_TIMEOUT_S = 2.0

log = logging.getLogger("arenad.frames")


class Frames:
    """The frames of one page, for as long as it is there."""

    def __init__(self, devtools: DevTools) -> None:
        """None are given before `begin`; without that, the browser draws by itself."""
        self._devtools = devtools
        self._session = ""
        self._drawing: asyncio.Task[None] | None = None
        self._doing: Doing = "acting"
        self._since_s = float("-inf")
        self._is_viewed = self._is_over = False
        self._failed = 0
        self._turned = asyncio.Event()
        self._tasks = Tasks()

    async def attach(self, target: str) -> None:
        """Get a session with this page, which was made to be drawn by us. Raises `BrowserError`."""
        own = {"targetId": target, "flatten": True}
        attached = await self._devtools.command("Target.attachToTarget", own)
        self._session = str(attached["sessionId"])

    def begin(self, turn: asyncio.Lock) -> None:
        """Draw from now on, and never while `turn` is held: for a frame of another page."""
        self._drawing = self._tasks.start(self._draw(turn), "draw the page")

    def follow(self, doing: Doing) -> None:
        """This is done with the page from now on."""
        self._doing = doing
        self.stir()

    def stir(self) -> None:
        """Something was done to the page, which may move for a moment."""
        self._since_s = asyncio.get_running_loop().time()
        self._turned.set()

    def show(self, *, is_viewed: bool) -> None:
        """A person looks from now on, or does not any more."""
        self._is_viewed = is_viewed
        self._turned.set()

    @property
    def are_stuck(self) -> bool:
        """Whether the page is not drawn any more, though it should be."""
        return self._failed >= STUCK_AFTER

    async def _draw(self, turn: asyncio.Lock) -> None:
        loop = asyncio.get_running_loop()
        method, level = "HeadlessExperimental.beginFrame", logging.WARNING
        while not self._is_over:
            try:
                async with turn:
                    drawn_s = loop.time()
                    await self._devtools.command(method, {}, self._session, FRAME_TIMEOUT_S)
            except BrowserGone:
                return
            except BrowserError as error:
                log.log(level, "the page was not drawn: %s", error)
                level = logging.DEBUG  # only the first of a row is news
                self._failed += 1
                await asyncio.sleep(AGAIN_S)
                continue
            level, self._failed = logging.WARNING, 0
            took_s = loop.time() - drawn_s
            while (left_s := drawn_s + self._interval_s(took_s, drawn_s) - loop.time()) > 0:
                self._turned.clear()
                if self._is_over:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._turned.wait()

    def _interval_s(self, took_s: float, drawn_s: float) -> float:
        return interval_s(self._doing, drawn_s - self._since_s, took_s, is_viewed=self._is_viewed)

    async def end(self) -> None:
        """There is nothing to be drawn any more; what is being drawn may come to its end."""
        self._is_over = True
        self._turned.set()
        if self._drawing is not None:
            await asyncio.wait([self._drawing], timeout=END_TIMEOUT_S)

    async def close(self) -> None:
        """The page is gone, and with it a frame that it owes: now another page may be drawn."""
        await self._tasks.close()
