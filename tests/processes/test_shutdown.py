"""Leaving: chats in flight finish, new ones are refused, nothing is left."""

import asyncio
import os
import signal
import socket

import psutil
import pytest
from chats import all_streamed
from daemon import Daemon, running, until


def _is_refused(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((host, int(port))) != 0


@pytest.mark.parametrize("how", ["SIGTERM", "arenactl stop"])
def test_chats_in_flight_finish(how: str) -> None:
    """Both ways to stop let running chats end whole while new connections are refused."""
    texts = [" ".join(f"w{place}-{number}" for number in range(60)) for place in range(2)]

    async def stop_in_between(daemon: Daemon) -> None:
        asking = asyncio.ensure_future(all_streamed(daemon.api_url, "demo-echo", texts))
        await asyncio.to_thread(
            until,
            lambda: sum(c["busy"] for c in daemon.children("worker")) == 2,
            "both chats run",
        )
        if how == "SIGTERM":
            daemon.process.send_signal(signal.SIGTERM)
        else:
            assert (await asyncio.to_thread(daemon.ctl, "stop", "--no-wait")).returncode == 0
        await asyncio.to_thread(until, lambda: _is_refused(daemon.api_url), "nobody new gets in")
        assert await asking == texts

    with running(2) as daemon:
        asyncio.run(stop_in_between(daemon))
        assert daemon.process.wait(20) == 0


def test_a_killed_master_takes_everything_with_it() -> None:
    """SIGKILL of the master: the kernel's parent-death signal and the closed links end the rest."""
    daemon = Daemon(2, {})
    daemon.wait_well()
    everything = daemon.processes()
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait(5)
    _, alive = psutil.wait_procs(everything, timeout=10)
    assert alive == []
    assert daemon.leftovers() == []


def test_a_new_daemon_removes_what_a_killed_one_left() -> None:
    """Sockets and scratch folders of a dead daemon are gone after the next start in its place."""
    first = Daemon(1, {})
    first.wait_well()
    left = {path.name for path in (first.runtime / "workers").iterdir()}
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(5)
    second = Daemon(1, {"daemon": {"runtime_dir": str(first.runtime), "log_level": "debug"}})
    second.runtime = first.runtime
    try:
        second.wait_well()
        assert (first.runtime / "workers" / "w1.1.sock").exists()
        assert {"w1.1", "w1.1.sock"} == left
    finally:
        assert second.stop() == 0
    assert list((first.runtime / "workers").iterdir()) == []


def test_a_second_signal_hurries() -> None:
    """Who asks twice does not want to wait for a long answer."""
    text = "word " * 2000

    async def hurry(daemon: Daemon) -> None:
        asking = asyncio.ensure_future(all_streamed(daemon.api_url, "demo-echo", [text]))
        await asyncio.to_thread(until, lambda: daemon.child("w1")["busy"] == 1, "the chat runs")
        daemon.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: "stopping" in daemon.log(), "it stops")
        daemon.process.send_signal(signal.SIGTERM)
        await asyncio.wait([asking])
        assert asking.exception() is not None

    with running(1, fleet={"drain_timeout_s": 60}) as daemon:
        asyncio.run(hurry(daemon))
        assert daemon.process.wait(20) == 0
