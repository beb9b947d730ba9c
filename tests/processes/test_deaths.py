"""What is killed is noticed, said and replaced, and no client is the poorer for it."""

import asyncio
import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from chats import all_streamed, streamed
from daemon import Daemon, running, until


@pytest.fixture(scope="module")
def three() -> Iterator[Daemon]:
    """Three instances that may be hurt again and again."""
    with running(3, life={"deaths": 50}) as daemon:
        yield daemon


def _answering(daemon: Daemon) -> int:
    with urllib.request.urlopen(f"{daemon.demo_url}/demo/stats", timeout=5) as answer:
        return json.load(answer)["running"]


async def _chats_with(daemon: Daemon, count: int, hurt: str, number: signal.Signals) -> list[str]:
    """So many chats; once all instances are at work, before any content, one is killed."""
    texts = [f"chat {place} of {count} 🦊" for place in range(count)]
    asking = asyncio.ensure_future(all_streamed(daemon.api_url, "demo-slow-start", texts))
    await asyncio.to_thread(until, lambda: _answering(daemon) == 3, "three chats are at the site")
    os.kill(daemon.child(hurt)["pid"], number)
    assert await asking == texts
    return texts


def _sockets(process: psutil.Process) -> set[str]:
    folder = Path(f"/proc/{process.pid}/fd")
    targets = {str(path.readlink()) for path in folder.iterdir() if path.is_symlink()}
    return {target for target in targets if target.startswith("socket:")}


def test_a_browser_holds_no_socket_of_its_worker(three: Daemon) -> None:
    """What comes to a worker over a socket is its own: a browser could hide its death, or speak."""
    os.kill(three.child("w1")["pid"], signal.SIGKILL)  # the next one may be born in another way
    three.wait_well()
    for name in ("w1", "w2", "w3"):
        worker = psutil.Process(three.child(name)["pid"])
        own = _sockets(worker)
        assert own
        assert not own & _sockets(three.browser_of(name))


def test_a_killed_worker_loses_no_unanswered_chat(three: Daemon) -> None:
    """SIGKILL of a worker with five unanswered chats: five whole answers, and it comes back."""
    before = three.child("w2")["generation"]
    retried = three.state()["traffic"]["retried"]
    asyncio.run(_chats_with(three, 5, "w2", signal.SIGKILL))
    three.wait_well()
    assert three.child("w2")["generation"] == before + 1
    until(lambda: three.state()["traffic"]["retried"] > retried, "the retry is counted")
    story = three.ctl("status").stdout
    assert "killed by SIGKILL" in story


@pytest.mark.parametrize("kind", ["", "renderer"])
def test_a_killed_browser_is_replaced(three: Daemon, kind: str) -> None:
    """SIGKILL of Chromium's main process, or of its renderer: noticed, said, replaced."""
    before = three.child("w1")
    victim = three.browser_of("w1", kind)
    victim.kill()
    until(lambda: three.child("w1")["generation"] > before["generation"], "w1 is replaced")
    three.wait_well()
    said = "the page crashed" if kind else "the browser"
    assert said in three.child("w1")["last_death"]
    assert not psutil.pid_exists(before["pid"])


def test_a_killed_browser_in_mid_chat_loses_nothing(three: Daemon) -> None:
    """The chat that had no content yet is performed by another instance."""

    async def chat() -> None:
        asking = asyncio.ensure_future(streamed(three.api_url, "demo-slow-start", "still here"))
        await asyncio.to_thread(until, lambda: _answering(three) == 1, "the chat is at the site")
        busy = await asyncio.to_thread(
            until,
            lambda: [c["name"] for c in three.children("worker") if c["busy"]],
            "an instance is busy",
        )
        three.browser_of(busy[0]).kill()
        assert await asking == "still here"

    asyncio.run(chat())
    three.wait_well()


def test_a_stopped_browser_does_not_outlive_its_worker(three: Daemon) -> None:
    """A browser that hangs (SIGSTOP) cannot leave by itself: the master kills what it adopts."""
    worker = three.child("w3")
    tree = psutil.Process(worker["pid"]).children(recursive=True)
    three.browser_of("w3").suspend()
    os.kill(worker["pid"], signal.SIGKILL)
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert alive == []
    three.wait_well()


@pytest.mark.parametrize("role", ["frontend", "demo"])
def test_a_killed_server_comes_back(three: Daemon, role: str) -> None:
    """A frontend or the arena that dies is replaced on the same listening socket."""
    child = three.children(role)[0]
    os.kill(child["pid"], signal.SIGKILL)
    until(
        lambda: (
            three.children(role)[0]["generation"] > child["generation"]
            and three.children(role)[0]["phase"] == "ready"
        ),
        f"the {role} is back",
    )
    answer = asyncio.run(streamed(three.api_url, "demo-echo", "after the death"))
    assert answer == "after the death"


def test_a_killed_zygote_is_replaced(three: Daemon) -> None:
    """Without a zygote nothing can be born: it is the first to be replaced."""
    (first,) = three.titled("arenad: zygote")
    os.kill(first, signal.SIGKILL)
    until(lambda: three.titled("arenad: zygote") not in ([], [first]), "another zygote")
    assert three.ctl("restart", "w1", "--wait").returncode == 0


def test_no_zombies(three: Daemon) -> None:
    """After all of this the daemon has no child that nobody reaped."""

    def zombies() -> list[int]:
        return [p.pid for p in three.processes() if p.status() == psutil.STATUS_ZOMBIE]

    until(lambda: not zombies(), f"no zombies (there are {zombies()})")


def test_an_instance_that_cannot_start_fails_aloud() -> None:
    """A browser that is none: few attempts, then `failed`, and the reason in the status."""
    started_s = time.monotonic()
    daemon = Daemon(1, {"browser": {"path": "/bin/false"}, "life": {"deaths": 4}})
    try:
        until(lambda: daemon.children("worker"), "the daemon answers")
        until(lambda: daemon.child("w1")["phase"] == "failed", "w1 has failed", 30)
        status = daemon.ctl("status")
        assert status.returncode == 4
        assert status.stdout.startswith("down")
        assert "did not start (exit code 1)" in daemon.child("w1")["last_death"]
        assert daemon.child("w1")["generation"] <= 3
    finally:
        assert daemon.stop() == 0
    assert time.monotonic() > started_s
