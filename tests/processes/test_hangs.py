"""What hangs gives no event: it is found by asking, told in words, and replaced; nothing is left."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from chats import streamed
from daemon import Daemon, running, until

BURN = "while True: pass"


@pytest.fixture(scope="module")
def two() -> Iterator[Daemon]:
    """Two instances that may be hurt again and again."""
    with running(2, life={"deaths": 50}) as daemon:
        yield daemon


def _story(daemon: Daemon, name: str) -> str:
    return daemon.ctl("story", name).stdout


def _replaced(
    daemon: Daemon, before: dict[str, Any], said: str, tree: list[psutil.Process]
) -> None:
    """The child comes back, its death says why, and of what it was nothing is left."""
    name, generation = before["name"], before["generation"]
    until(lambda: said in _story(daemon, name), f"the story of {name} says {said!r}", 30)
    until(lambda: daemon.child(name)["generation"] > generation, f"{name} is replaced", 30)
    assert said in daemon.child(name)["last_death"]
    _, alive = psutil.wait_procs(tree, timeout=15)
    assert alive == []
    daemon.wait_well()


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.parametrize("name", ["w1", "frontend-1", "demo"])
def test_a_stopped_child_is_replaced(two: Daemon, name: str) -> None:
    """SIGSTOP of a worker, a frontend, the arena: the kernel tells us, and so do missing beats."""
    before = two.child(name)
    tree = _tree(before["pid"])
    os.kill(before["pid"], signal.SIGSTOP)
    _replaced(two, before, "its process is stopped", tree)
    assert "gave no beat for" in two.child(name)["last_death"]
    assert asyncio.run(streamed(two.api_url, "demo-echo", "afterwards")) == "afterwards"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("", "the browser's main process is stopped"),
        ("renderer", "the browser's renderer process is stopped"),
        ("utility", "the browser's network process is stopped"),
        ("gpu-process", "the browser's GPU process is stopped"),
    ],
)
def test_a_stopped_process_of_a_browser_is_seen(two: Daemon, kind: str, said: str) -> None:
    """Whichever it is, the instance leaves, saying what, and its browser goes with it."""
    before = two.child("w2")
    tree = _tree(before["pid"])
    two.browser_of("w2", kind).suspend()
    _replaced(two, before, said, tree)


def test_a_child_that_goes_on_at_once_is_left_alone(two: Daemon) -> None:
    """Ctrl-Z and `fg` stop and continue everything: nobody is killed for that."""
    before = two.child("w1")
    os.kill(before["pid"], signal.SIGSTOP)
    os.kill(before["pid"], signal.SIGCONT)
    assert asyncio.run(streamed(two.api_url, "demo-echo", "goes on")) == "goes on"
    two.wait_well()
    assert two.child("w1")["generation"] == before["generation"]


def test_a_killed_network_process_comes_back_by_itself(two: Daemon) -> None:
    """The browser mends it; the instance stays, and its next chat is answered."""
    before = two.child("w1")["generation"]
    network = two.browser_of("w1", "utility")
    network.kill()
    until(lambda: two.browser_of("w1", "utility").pid != network.pid, "another network process")
    assert two.child("w1")["generation"] == before
    assert asyncio.run(streamed(two.api_url, "demo-echo", "again")) == "again"


@contextlib.contextmanager
def _burning(count: int) -> Iterator[None]:
    """So many processors kept busy."""
    busy = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait(10)


def test_a_busy_machine_kills_nobody(two: Daemon) -> None:
    """With every processor kept busy for half a minute nobody is taken for hung."""
    before = {child["name"]: child["pid"] for child in two.state()["children"]}
    with _burning(os.cpu_count() or 1):
        end_s = time.monotonic() + 30.0
        while time.monotonic() < end_s:
            assert asyncio.run(streamed(two.api_url, "demo-echo", "still well")) == "still well"
    assert {child["name"]: child["pid"] for child in two.state()["children"]} == before
    two.wait_well()
