"""Health without a browser: real processes stopped and killed, and a page that answers or does not."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from arenad.schema.config import HealthConfig
from arenad.worker.devtools import BrowserGone, NoReply
from arenad.worker.health import Health

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
        self.speaks = False
        self.messages = 0
        self.devtools = Talk(self)

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

    async def evaluate(self, _script: str, timeout_s: float) -> object:
        return await self._answer(timeout_s)


class Talk:
    """The same peer as a link to a browser."""

    def __init__(self, peer: Answers) -> None:
        self._peer = peer
        self.heard = self

    def total(self) -> int:
        return self._peer.heard

    async def command(self, _method: str, timeout_s: float) -> object:
        return await self._peer.evaluate(_method, timeout_s)


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


@pytest.mark.parametrize(("who", "said"), [(0, "the browser"), (1, "the page")])
def test_silence_is_told(tree: tuple[int, int], who: int, said: str) -> None:
    """A browser that does not answer, and a page that does not while its browser does."""
    *peers, health = watched(tree[0])
    reason = told(health, lambda: setattr(peers[who], "end", NoReply))
    assert reason == f"{said} gave no sign of life for 0.3 s"
    assert peers[who].asked >= 3


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
        assert (browser.asked, page.asked) == (1, 1)
        page.end = NoReply
        health.suspect()

    assert told(health, suspect) == "the page gave no sign of life for 0.3 s"
