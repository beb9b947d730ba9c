"""Asks a browser and its page for signs of life, and looks at their processes.

No probe touches a running chat, and no chat is ever sent as a probe. Each has a deadline, and time
in which the asked process waited for a processor does not count against it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

from arenad.schema.config import HealthConfig
from arenad.worker.browser_process import BrowserProcess
from arenad.worker.diagnosis import Part, Suspicion, kind_of, look
from arenad.worker.kin import descendants
from arenad.worker.page_port import BrowserError, NoReply, PagePort

CONFIRM_S = 0.5
"""What is suspected is looked at again after so long."""

PIECES = 3
"""A deadline is kept in pieces: a moment in which we ourselves hung costs no more than one."""

MAX_PIECES = 20
"""No machine is so busy that a page may be silent for longer than so many pieces."""

ANSWERING = 5
"""A page that has begun to answer is given so many times as long: it may be drawing what it has got
in one piece, and what a kill would cut can no longer be asked elsewhere."""


class _Peer(NamedTuple):
    """Who is asked for a sign of life: how, and how many messages have come from there so far."""

    name: str
    ask: Callable[[float], Awaitable[None]]
    heard: Callable[[], int]


class Health:
    """Watches one browser with one page."""

    def __init__(
        self,
        browser: BrowserProcess,
        page: PagePort,
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
        self._root = browser.pid
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
        if self._browser.is_held_back:
            return ""  # a page that asks for a cookie waits for the network, and we for the client
        page = _Peer("the page", self._ask_page, lambda: self.page.heard)
        browser = _Peer("the browser", self._browser.ask, lambda: self._browser.heard)
        before = browser.heard()
        silent_s = await self._silence(page)
        if silent_s is None:  # and so does the browser, through which we ask
            is_cured = self.page.is_frozen and not self._is_answering()
            return "the page is not drawn any more" if is_cured else ""
        mute_s = silent_s if browser.heard() == before else 0.0  # others of it may have spoken
        for peer, used_s in ((browser, mute_s), (page, silent_s)):
            if reason := await self._patience(peer, used_s):
                return reason
        return ""

    # -- signs of life -----------------------------------------------------------------------------

    async def _ask_page(self, timeout_s: float) -> None:
        await self.page.evaluate("1", timeout_s)

    async def _patience(self, peer: "_Peer", silent_s: float) -> str:
        """Ask until there is an answer, or the deadline is used up; then what is wrong.

        `silent_s` of it are used up already.
        """
        limit_s = self.settings.timeout_s
        times = 1
        for number in range(1, MAX_PIECES * ANSWERING):
            times = ANSWERING if self._is_answering() else 1
            silence_s = await self._silence(peer)
            if silence_s is None:
                return ""
            silent_s += silence_s
            if reason := self._look():
                return reason
            is_over = silent_s > limit_s * times - limit_s / PIECES / 2
            if is_over or number >= MAX_PIECES * times:
                break
        return f"{peer.name} gave no sign of life for {limit_s * times:g} s"

    async def _silence(self, peer: "_Peer") -> float | None:
        """Ask once; how long it had a processor and said nothing, or None if it lives.

        A page that is drawing a long answer is slow to answer us, but its traffic is heard.
        """
        piece_s = self.settings.timeout_s / PIECES
        waits_s, before = self._waits_s(), peer.heard()
        try:
            await peer.ask(piece_s)
        except NoReply:
            if peer.heard() == before and not self._browser.is_held_back:
                # One that has ended meanwhile takes what it had waited along: that is no news.
                more_s = (_waited_s(each) - was_s for each, was_s in waits_s.items())
                return max(0.0, piece_s - sum(max(0.0, each_s) for each_s in more_s))
        except BrowserError:
            pass  # an answer, or an end that others watch for
        return None

    def _waits_s(self) -> dict[psutil.Process, float]:
        """How long each who must answer, and we, have waited for a processor so far."""
        asked = [each for each, kind in self._tree.items() if kind in ("", "renderer")]
        return {each: _waited_s(each) for each in (self._own, *asked)}

    # -- processes ---------------------------------------------------------------------------------

    def _look(self) -> str:
        """Look at the browser's processes; gives what is certainly wrong."""
        now_s = asyncio.get_running_loop().time()
        parts = list(self._parts())
        is_due = now_s - self._scanned_s >= self.settings.interval_s
        if is_due or self._suspicion.is_open or len(parts) < len(self._tree):
            self._tree = _scan(self._root, self._tree)
            self._scanned_s = now_s
            parts = list(self._parts())
        self._suspicion, reason = look(self._suspicion, parts)
        return reason

    def _parts(self) -> Iterable[Part]:
        """Those of them that live, and how; what we ourselves hold back is not stopped."""
        is_held = self._browser.is_held_back
        for process, kind in self._tree.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                state = process.status()
                if state not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                    is_stopped = state == psutil.STATUS_STOPPED
                    yield Part(
                        process.pid, kind, is_stopped and not (is_held and kind == "network")
                    )


def _scan(root: int, before: dict[psutil.Process, str]) -> dict[psutil.Process, str]:
    """A browser's processes now, each with what it is for; most of them were there before."""
    known = {process.pid: process for process in before}
    found: dict[psutil.Process, str] = {}
    for pid in (root, *descendants(root)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            process = known.get(pid) or psutil.Process(pid)
            found[process] = kind_of(process.cmdline())  # anew: one just born looks like its parent
    return found


def _waited_s(process: psutil.Process) -> float:
    """From the scheduler's statistics; a kernel without them knows of no waiting."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
