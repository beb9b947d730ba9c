"""A stock Firefox as a process: its start, its port, its sandbox, its end; and a worker on it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from msgspec.structs import replace
from real_browser import (
    CONFIG,
    ENOUGH_S,
    demo_profile,
    engine_in,
    hang,
    serving_demo,
    tell,
    until,
)
from whole_worker import whole_worker

from arenad import child, link
from arenad.errors import RequestError, WorkerLost
from arenad.schema import engine
from arenad.schema.chat import Began, Chat, Event, Finish, TextDelta, Turn
from arenad.schema.config import BrowserConfig, HealthConfig
from arenad.schema.frame import Body
from arenad.schema.process import Beat, Ready, Stop
from arenad.worker import browser_process, firefox
from arenad.worker.browser_process import BrowserBroken
from arenad.worker.finder import find_firefox
from arenad.worker.page_port import BrowserGone
from arenad.worker.sites.page_driven import PageSite

FIREFOX = replace(CONFIG, engine="firefox")
PROFILE, _ = engine.fitted(demo_profile(), "firefox")

pytestmark = pytest.mark.usefixtures("own_logging")


def _tree(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def _gone(tree: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(tree, 20)
    return not alive


def test_it_starts_confined_and_leaves(tmp_path: Path) -> None:
    """A page's process has a filter of system calls; in the end there is no process and no file."""

    async def story() -> None:
        checked = replace(FIREFOX, allow_no_sandbox=False)
        browser = await firefox.launch(checked, tmp_path / "scratch", "test")
        page = await browser.page()
        await page.open("data:text/html,<p>hello")
        assert int(browser.version.removeprefix("Firefox/").split(".")[0]) >= firefox.OLDEST
        tree = await asyncio.to_thread(_tree, browser.pid)
        assert len(tree) > 3
        shows = [each for each in tree if "-isForBrowser" in each.cmdline()]
        assert shows
        for each in shows:
            assert firefox._is_confined(each.pid)
        await browser.ask(10)
        await browser.close()
        assert await asyncio.to_thread(_gone, tree)

    tell(story())
    assert list(tmp_path.iterdir()) == []


def test_without_its_sandbox_it_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the operator has accepted that."""
    monkeypatch.setattr(firefox, "_is_confined", lambda _pid: False)

    async def story() -> None:
        async with engine_in(tmp_path, "firefox") as browser:
            browser._is_checked = True
            with pytest.raises(BrowserBroken, match=r"browser\.allow_no_sandbox"):
                await browser.page()

    tell(story())


async def _asks(address: str, method: str) -> dict[str, Any]:
    """What a stranger is told at the port."""
    async with aiohttp.ClientSession() as client, client.ws_connect(address) as socket:
        await socket.send_json({"id": 1, "method": method, "params": {"capabilities": {}}})
        return json.loads(await socket.receive_str())


def test_nobody_else_gets_a_session(tmp_path: Path) -> None:
    """The port is open to this machine: a second session is refused, and any page's request."""

    async def story() -> None:
        async with engine_in(tmp_path, "firefox") as browser:
            found = firefox._ADDRESS.search(browser._stderr.text())
            assert found
            address = f"{found[1]}/session"
            told = await _asks(address, "session.new")
            assert told["error"] == "session not created"
            told = await _asks(address, "browsingContext.getTree")
            assert told["error"] == "invalid session id"
            async with aiohttp.ClientSession() as client:
                with pytest.raises(aiohttp.WSServerHandshakeError):
                    await client.ws_connect(address, origin="http://127.0.0.1:9")
            await (await browser.page()).open("data:text/html,<p>ours")

    tell(story())


OWNER = """
import asyncio, os, signal, sys
from pathlib import Path
from arenad.schema.config import BrowserConfig
from arenad.worker import firefox
async def story():
    config = BrowserConfig(engine="firefox", allow_no_sandbox=True)
    browser = await firefox.launch(config, Path(sys.argv[1]) / "scratch", "test")
    await browser.page()
    print(browser.pid, flush=True)
    sys.stdin.read()
asyncio.run(story())
"""


def test_it_dies_with_its_owner(tmp_path: Path) -> None:
    """Killed without a word: the kernel ends the browser, and that its children."""
    words = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        tree = _tree(int(owner.stdout.readline()))
        assert len(tree) > 3
        owner.kill()
        assert _gone(tree)


def test_its_death_is_noticed(tmp_path: Path) -> None:
    """The link ends, the process is reaped, and whoever waits for a page is told."""

    async def story() -> None:
        async with engine_in(tmp_path, "firefox") as browser:
            page = await browser.page()
            waiting = asyncio.get_running_loop().create_task(page.evaluate("new Promise(() => 0)"))
            await page.evaluate("1")
            os.kill(browser.pid, signal.SIGKILL)
            await browser.lost.wait()
            assert await browser.ended(30)
            assert browser.exit_text == "killed by SIGKILL"
            with pytest.raises(BrowserGone):
                await waiting
            with pytest.raises(BrowserGone):
                await page.evaluate("1")

    tell(story())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no display >&2; exit 3", r"exit code 3\): no display"),
        ("exec sleep 60", "no answer within 0.5 s"),
        ("echo WebDriver BiDi listening on ws://127.0.0.1:9 >&2; exec sleep 60", "be reached"),
    ],
    ids=["ends", "hangs", "lies"],
)
def test_a_failed_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """Whatever the program does instead of answering is told, and nothing of it is left."""
    monkeypatch.setattr(browser_process, "CLOSE_TIMEOUT_S", 0.3)
    program = tmp_path / "browser"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    config = BrowserConfig(engine="firefox", path=str(program), start_timeout_s=0.5)

    async def story() -> None:
        with pytest.raises(BrowserBroken, match=said):
            await firefox.launch(config, tmp_path / "scratch", "test")

    tell(story())
    assert not (tmp_path / "scratch").exists()
    assert psutil.Process().children() == []


def test_an_old_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own word, with the remedy."""
    monkeypatch.setattr(firefox, "OLDEST", 100_000)

    async def story() -> None:
        with pytest.raises(BrowserBroken, match=r"browser\.path: is Firefox .*install 100000"):
            await firefox.launch(FIREFOX, tmp_path / "scratch", "test")

    tell(story())
    assert list(tmp_path.iterdir()) == []


# -- a whole worker ---------------------------------------------------------------------------------


def _chat(model: str) -> Chat:
    turn = Turn(role="user", text="one **two** é")
    return Chat("r1", model, (turn,), ENOUGH_S, ENOUGH_S, ENOUGH_S)


async def _whole(stream: link.Stream) -> tuple[str, Body]:
    """An answer's text and its end."""
    text, body = "", await stream.receive(ENOUGH_S)
    while isinstance(body, TextDelta | Began):
        text += body.text if isinstance(body, TextDelta) else ""
        body = await stream.receive(ENOUGH_S)
    return text, body


def _worker(folder: Path, address: str):
    health = HealthConfig(interval_s=0.5, probe_s=0.5, timeout_s=5.0)
    return whole_worker(folder, address, FIREFOX, profile=PROFILE, health=health)


def test_a_worker_answers_from_the_page(tmp_path: Path) -> None:
    """Chats of the demo arena, read from the page; the cost is measured; nothing is left."""

    async def story() -> None:
        async with serving_demo() as address, _worker(tmp_path, address) as (master, life):
            ready = await master.hear(Ready)
            assert isinstance(ready, Ready)
            assert {model.modes for model in ready.models} == {("direct",)}
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            for _ in range(2):
                stream = frontend.stream(_chat("demo-echo"))
                assert await _whole(stream) == ("one **two** é", Finish("stop"))
            await until(lambda: any(isinstance(n, Beat) and n.answered for n in master.heard))
            beat = [note for note in master.heard if isinstance(note, Beat)][-1]
            assert beat.processes > 4
            assert beat.memory_bytes > 100_000_000
            master.worker.note(Stop())
            assert await life == child.EXIT_ASKED
            assert master.last_condition().condition == "ready"
            frontend.close()

    tell(story())
    assert psutil.Process().children() == []


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("429=7", "resting", "the site asks for patience"),
        ("cut=60", "upstream", "the site's answer was cut"),
    ],
)
def test_what_the_site_says_instead_is_told(
    tmp_path: Path, fault: str, kind: str, told: str
) -> None:
    """A refusal with the time it names, and an answer that is cut: never a part as the whole."""

    async def story() -> None:
        async with serving_demo() as address, engine_in(tmp_path, "firefox") as browser:
            site = PageSite(await browser.page(), PROFILE, address)
            await site.open()
            body = {"faults": fault}
            async with aiohttp.request("PUT", f"{address}/demo/faults", json=body) as response:
                assert response.status == 200
            with pytest.raises(RequestError, match=told) as raised:
                await site.chat(_chat("demo-echo"), _drop)
            assert raised.value.kind == kind
            if kind == "resting":
                assert raised.value.retry_after_s == 7

    tell(story())


async def _drop(_: Event) -> None:
    pass


@pytest.mark.parametrize(
    ("sent", "whose", "said"),
    [
        (signal.SIGKILL, "main", "the browser ended (killed by SIGKILL)"),
        (signal.SIGSTOP, "main", "the browser's main process is stopped"),
        (signal.SIGSTOP, "tab", "the browser's renderer process is stopped"),
    ],
    ids=["killed", "stopped", "page stopped"],
)
def test_a_worker_tells_its_browsers_end(
    tmp_path: Path, sent: signal.Signals, whose: str, said: str
) -> None:
    """The chat that ran is lost, for another instance to take; the reason says what happened."""

    async def story() -> None:
        async with serving_demo() as address, _worker(tmp_path, address) as (master, life):
            await master.hear(Ready)
            frontend = await link.connect(str(master.socket_path), "w1", ENOUGH_S)
            stream = frontend.stream(_chat("demo-slow-start"))
            [main] = psutil.Process().children()
            await until(lambda: any(isinstance(n, Beat) and n.busy for n in master.heard))
            tabs = [
                each for each in main.children(recursive=True) if each.cmdline()[-1:] == ["tab"]
            ]
            for each in [main] if whose == "main" else tabs:
                hang(each) if sent is signal.SIGSTOP else each.send_signal(sent)
            with pytest.raises((WorkerLost, link.LinkLost)):
                await _whole(stream)
            assert await life == child.EXIT_BROKEN
            assert master.last_condition().reason == said
            frontend.close()
            for each in tabs:  # nobody here does what the master does for its workers
                if each.is_running():
                    each.kill()

    tell(story())


def test_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is named, else the distribution's; not there is told with the remedy."""
    assert "firefox" in find_firefox("").name
    with pytest.raises(Exception, match=r"browser\.path: /none is no program"):
        find_firefox("/none")
    monkeypatch.setenv("ARENAD_FIREFOX", str(tmp_path / "none"))
    with pytest.raises(Exception, match=r"ARENAD_FIREFOX: .* is no program"):
        find_firefox("")
    monkeypatch.delenv("ARENAD_FIREFOX")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match=r"apt install firefox-esr"):
        find_firefox("")
