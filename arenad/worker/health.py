"""Asks a browser and its page for signs of life, and looks at their processes.

No probe touches a running chat, and no chat is ever sent as a probe. Each has a deadline, and time
in which the asked process waited for a processor does not count against it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import psutil

from arenad.schema.config import HealthConfig
from arenad.worker.browser import Browser
from arenad.worker.devtools import DevToolsError, NoReply
from arenad.worker.diagnosis import Part, Suspicion, kind_of, look
from arenad.worker.page import Page

CONFIRM_S = 0.5
"""What is suspected is looked at again after so long."""

PIECES = 3
"""A deadline is kept in pieces: a moment in which we ourselves hung costs no more than one."""

MAX_PIECES = 20
"""No machine is so busy that a page may be silent for longer than so many pieces."""

ANSWERING = 5
"""A page that has begun to answer is given so many times as long: it may be drawing what it has got
in one piece, and what a kill would cut can no longer be asked elsewhere."""


class Health:
    """Watches one browser with one page."""

    def __init__(
        self,
        browser: Browser,
        page: Page,
        settings: HealthConfig,
        is_answering: Callable[[], bool],
    ) -> None:
        """`browser` has been greeted, `page` has been opened; it answers once content has come."""
        self._browser = browser
        self.page = page
        self.settings = settings
        self._is_answering = is_answering
        self._suspicion = Suspicion()
        self._evidence = asyncio.Event()
        self._root = psutil.Process(browser.pid)
        self._own = psutil.Process()
        self._tree: dict[psutil.Process, str] = {}
        self._scanned_s = float("-inf")

    def suspect(self) -> None:
        """Something else went wrong: look now, instead of at the next interval."""
        self._scanned_s = float("-inf")
        self._evidence.set()

    async def trouble(self) -> str:
        """Wait until something is wrong; gives what."""
        while not (reason := await self._round()):
            pause_s = CONFIRM_S if self._suspicion.is_open else self.settings.probe_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._evidence.wait()
        return reason

    async def _round(self) -> str:
        self._evidence.clear()
        if (reason := self._look()) or self._suspicion.is_open:
            return reason
        asks = (
            ("the browser", self._ask_browser, self._browser.devtools.heard.total),
            ("the page", self._ask_page, lambda: self.page.heard),
        )
        for who, ask, heard in asks:
            if reason := await self._patience(who, ask, heard):
                return reason
        return ""

    # -- signs of life -----------------------------------------------------------------------------

    async def _ask_browser(self, timeout_s: float) -> None:
        await self._browser.devtools.command("Browser.getVersion", timeout_s=timeout_s)

    async def _ask_page(self, timeout_s: float) -> None:
        await self.page.evaluate("1", timeout_s)

    async def _patience(
        self, who: str, ask: Callable[[float], Awaitable[None]], heard: Callable[[], int]
    ) -> str:
        """Ask until there is an answer, or the deadline is used up; then what is wrong.

        A page that is drawing a long answer is slow to answer us, but its traffic is `heard`.
        """
        limit_s = self.settings.timeout_s
        piece_s = limit_s / PIECES
        silent_s, times = 0.0, 1
        for number in range(MAX_PIECES * ANSWERING):
            times = ANSWERING if self._is_answering() else 1
            waited_s, before = self._waited_s(), heard()
            try:
                await ask(piece_s)
            except NoReply:
                if heard() != before:
                    return ""
                silent_s += max(0.0, piece_s - (self._waited_s() - waited_s))
            except DevToolsError:
                return ""  # an answer, or an end that others watch for
            else:
                return ""
            if reason := self._look():
                return reason
            if silent_s > limit_s * times - piece_s / 2 or number >= MAX_PIECES * times:
                break
        return f"{who} gave no sign of life for {limit_s * times:g} s"

    def _waited_s(self) -> float:
        """How long those who must answer, and we, have waited for a processor so far."""
        asked = [each for each, kind in self._tree.items() if kind in ("", "renderer")]
        return sum(map(_waited_s, (self._own, *asked)))

    # -- processes ---------------------------------------------------------------------------------

    def _look(self) -> str:
        """Look at the browser's processes; gives what is certainly wrong."""
        now_s = asyncio.get_running_loop().time()
        parts = list(_parts(self._tree))
        is_due = now_s - self._scanned_s >= self.settings.interval_s
        if is_due or self._suspicion.is_open or len(parts) < len(self._tree):
            self._tree = _scan(self._root)
            self._scanned_s = now_s
            parts = list(_parts(self._tree))
        self._suspicion, reason = look(self._suspicion, parts)
        return reason


def _scan(root: psutil.Process) -> dict[psutil.Process, str]:
    """A browser's processes now, each with what it is for."""
    found: dict[psutil.Process, str] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found[process] = kind_of(process.cmdline())
    return found


def _parts(tree: dict[psutil.Process, str]) -> Iterable[Part]:
    """Those of them that live, and how."""
    for process, kind in tree.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            state = process.status()
            if state not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                yield Part(process.pid, kind, state == psutil.STATUS_STOPPED)


def _waited_s(process: psutil.Process) -> float:
    """From the scheduler's statistics; a kernel without them knows of no waiting."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
