"""Health without a browser: real processes stopped and killed, and a page that answers or does not."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from arenad.schema.config import HealthConfig
from arenad.worker import health as health_module
from arenad.worker.health import Health
from arenad.worker.page_port import BrowserGone, NoReply
from arenad.worker.valve import Valve

QUICK = HealthConfig(interval_s=0.2, probe_s=0.05, timeout_s=0.3)
TREE = """
import subprocess, sys
program = "import sys; print(flush=True); sys.stdin.read()"
network = "--utility-sub-type=network.mojom.NetworkService"
child = subprocess.Popen([sys.executable, "-c", program, "--type=utility", network],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


class Answers:
    """A peer that answers, or is silent, or is gone, as it is told; it counts what it is asked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.asked = 0
        self.end: type[Exception] | None = None
        self.speaks = self.is_frozen = False
        self.messages = 0
        self.valve = Valve(pid)

    async def _answer(self, timeout_s: float) -> dict[str, Any]:
        self.asked += 1
        if self.end is NoReply:
            await asyncio.sleep(timeout_s)
        if self.end is not None:
            raise self.end("no answer")
        return {}

    @property
    def heard(self) -> int:
        self.messages += self.speaks
        return self.messages

    @property
    def is_held_back(self) -> bool:
        return self.valve.is_shut

    async def ask(self, timeout_s: float) -> None:
        await self._answer(timeout_s)

    async def evaluate(self, _script: str, timeout_s: float) -> object:
        return await self._answer(timeout_s)


@pytest.fixture
def tree() -> Iterator[tuple[int, int]]:
    """Two real processes: one that stands for a browser, below it one for its network process."""
    main = subprocess.Popen(
        [sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert main.stdin is not None
    assert main.stdout is not None
    network = int(main.stdout.readline())
    try:
        yield main.pid, network
    finally:
        for pid in (network, main.pid):
            os.kill(pid, signal.SIGKILL)
        main.wait(10)
        main.stdin.close()
        main.stdout.close()


def watched(
    pid: int, settings: HealthConfig = QUICK, *, is_answering: bool = False
) -> tuple[Answers, Answers, Health]:
    browser, page = Answers(pid), Answers(pid)
    return browser, page, Health(browser, page, settings, lambda: is_answering)  # pyright: ignore[reportArgumentType] - as a peer


def told(health: Health, act: Any = None, timeout_s: float = 20.0) -> str:
    """What is wrong, once something is."""

    async def story() -> str:
        async with asyncio.timeout(timeout_s):
            trouble = asyncio.ensure_future(health.trouble())
            await asyncio.sleep(0.2)
            assert not trouble.done(), "nothing was wrong yet"
            if act is not None:
                act()
            return await trouble

    return asyncio.run(story())


@pytest.mark.parametrize(("who", "said"), [(0, "main process"), (1, "network process")])
def test_a_stopped_process_is_told(tree: tuple[int, int], who: int, said: str) -> None:
    """Though everybody goes on answering."""
    _, _, health = watched(tree[0])
    reason = told(health, lambda: os.kill(tree[who], signal.SIGSTOP))
    assert reason == f"the browser's {said} is stopped"


def test_what_is_held_back_is_not_taken_for_stopped(tree: tuple[int, int]) -> None:
    """Nor is a page that waits for it taken for hung; once it goes on, a stop is a stop."""
    browser, page, health = watched(tree[0])
    network = psutil.Process(tree[1])
    browser.valve.shut("the answer is not read")
    browser.valve.shut("it brings too much at once")
    while network.status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)  # a signal takes its time
    page.end = NoReply
    with pytest.raises(TimeoutError):
        told(health, timeout_s=2.0)
    browser.valve.open("it brings too much at once")
    assert network.status() == psutil.STATUS_STOPPED
    browser.valve.open("the answer is not read")
    assert network.status() != psutil.STATUS_STOPPED
    assert not browser.valve.is_shut
    *_, health = watched(tree[0])
    reason = told(health, lambda: os.kill(tree[1], signal.SIGSTOP))
    assert reason == "the browser's network process is stopped"


def test_what_has_died_is_not_held_back(tree: tuple[int, int]) -> None:
    """The browser replaces it, and that one runs: its silence would be a fault."""
    browser, *_ = watched(tree[0])
    browser.valve.shut("the answer is not read")
    assert browser.valve.is_shut
    ended = os.pidfd_open(tree[1])
    os.kill(tree[1], signal.SIGKILL)
    assert select.select([ended], [], [], 10.0)[0]
    os.close(ended)
    assert not browser.valve.is_shut
    browser.valve.open("the answer is not read")
    assert not browser.valve.is_shut


@pytest.mark.parametrize(("who", "said"), [(0, "the browser"), (1, "the page")])
def test_silence_is_told(tree: tuple[int, int], who: int, said: str) -> None:
    """A browser that does not answer, nor hands anything to its page; a page while its browser does."""
    *peers, health = watched(tree[0])

    def fall_silent() -> None:
        for peer in peers[who:]:
            peer.end = NoReply

    reason = told(health, fall_silent)
    assert reason == f"{said} gave no sign of life for 0.3 s"
    assert peers[who].asked >= 2


def test_a_browser_that_spoke_while_its_page_did_not_has_the_whole_time(
    tree: tuple[int, int],
) -> None:
    """What its page was silent for is no silence of the browser's, if that told of anything else."""
    browser, page, health = watched(tree[0])
    ask = browser.ask

    async def ask_last(timeout_s: float) -> None:
        browser.speaks = False
        await ask(timeout_s)

    def fall_silent() -> None:
        browser.speaks = True
        browser.ask = ask_last
        browser.end = page.end = NoReply

    assert told(health, fall_silent) == "the browser gave no sign of life for 0.3 s"
    assert browser.asked >= 3


def test_a_page_that_answers_has_more_time(tree: tuple[int, int]) -> None:
    """What has begun cannot be asked elsewhere; but a page that stays silent is told of all the same."""
    _, page, health = watched(tree[0], is_answering=True)
    reason = told(health, lambda: setattr(page, "end", NoReply))
    assert reason == "the page gave no sign of life for 1.5 s"
    assert page.asked > 10


@pytest.mark.parametrize("who", [0, 1])
def test_who_speaks_unasked_lives(tree: tuple[int, int], who: int) -> None:
    """A page that draws a long answer is slow to answer us, but tells of its traffic."""
    *peers, health = watched(tree[0])

    def draw() -> None:
        peers[who].end = NoReply
        peers[who].speaks = True

    with pytest.raises(TimeoutError):
        told(health, draw, timeout_s=2.0)


def test_who_ends_meanwhile_adds_nothing_to_a_silence() -> None:
    """A page's renderer that leaves takes along what it had waited for a processor."""
    core = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    with ExitStack() as ends:
        pids: list[int] = []
        for kind in ("--type=renderer", "another"):
            process = subprocess.Popen([sys.executable, "-c", busy, kind])
            ends.callback(process.wait, 10)
            ends.callback(process.kill)
            pids.append(process.pid)
        waited = psutil.Process(pids[0])
        until_s = time.monotonic() + 30
        while health_module._waited_s(waited) < 1.0 and time.monotonic() < until_s:
            time.sleep(0.05)
        *_, health = watched(os.getpid())

        async def ask(_: float) -> None:
            waited.kill()
            waited.wait(10)
            raise NoReply("silent")

        async def story() -> float | None:
            health._look()
            assert health._tree[waited] == "renderer"
            return await health._silence(health_module._Peer("the page", ask, lambda: 0))

        silent_s = asyncio.run(story())
    assert silent_s is not None
    assert silent_s <= QUICK.timeout_s


def test_an_end_is_others_business(tree: tuple[int, int]) -> None:
    """A browser that is gone is told of by whoever watches its end: no word from here."""
    browser, _, health = watched(tree[0])

    def end() -> None:
        browser.end = BrowserGone

    with pytest.raises(TimeoutError):
        told(health, end, timeout_s=1.0)


def test_evidence_brings_the_next_look_at_once(tree: tuple[int, int]) -> None:
    """A chat that failed does not wait for the interval."""
    browser, page, health = watched(tree[0], HealthConfig(probe_s=3600, timeout_s=0.3))

    def suspect() -> None:
        assert (browser.asked, page.asked) == (0, 1)
        page.end = NoReply
        health.suspect()

    assert told(health, suspect) == "the page gave no sign of life for 0.3 s"


@pytest.mark.parametrize("is_answering", [False, True])
def test_a_page_that_is_not_drawn_any_more_is_told(
    tree: tuple[int, int], is_answering: bool
) -> None:
    """It answers, and nothing on it moves; but an answer that comes all the same is not cut."""
    _, page, health = watched(tree[0], is_answering=is_answering)

    def freeze() -> None:
        page.is_frozen = True

    if is_answering:
        with pytest.raises(TimeoutError):
            told(health, freeze, timeout_s=1.0)
    else:
        assert told(health, freeze) == "the page is not drawn any more"
