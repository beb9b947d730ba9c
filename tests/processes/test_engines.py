"""A whole daemon whose instances are Firefox: it answers, loses its browser, gets another, leaves."""

import asyncio
import json
import os
import signal
from pathlib import Path

import psutil
from chats import all_streamed, whole
from daemon import Daemon, running, until

PROMPTS = ["one **two** 🦊", " ".join(["a longer one"] * 200)]


def _group(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


def _browser(daemon: Daemon) -> list[psutil.Process]:
    """All processes below the worker; the first is the browser's main one."""
    return psutil.Process(daemon.child("w1")["pid"]).children(recursive=True)


def _is_back(daemon: Daemon, generation: int) -> bool:
    child = daemon.child("w1")
    return child["generation"] > generation and child["condition"] == "ready"


def test_firefox_serves_and_is_replaced() -> None:
    """Chats from the page; kill -9, and a page that is stopped, are noticed; nothing is left."""
    with running(1, browser={"engine": "firefox"}, life={"deaths": 50}) as daemon:
        asked = all_streamed(daemon.api_url, "demo-echo-instant", PROMPTS)
        assert asyncio.run(asked) == PROMPTS
        tree = _browser(daemon)
        assert "firefox" in tree[0].name()
        assert len(tree) > 3
        worker = daemon.child("w1")
        assert {_group(each.pid) for each in tree} == {_group(worker["pid"])}
        assert not [each for each in daemon.processes() if "node" in each.name()]
        until(lambda: daemon.child("w1")["memory_bytes"] > 100_000_000, "its memory is counted")

        generation = worker["generation"]
        os.kill(tree[0].pid, signal.SIGKILL)
        until(lambda: _is_back(daemon, generation), "a new Firefox", 60)
        assert "killed by SIGKILL" in daemon.child("w1")["last_death"]
        assert asyncio.run(whole(daemon.api_url, "demo-echo-instant", "again")) == "again"
        _, alive = psutil.wait_procs(tree, timeout=5)
        assert not alive

        generation, tree = daemon.child("w1")["generation"], _browser(daemon)
        for each in tree:
            if each.cmdline()[-1:] == ["tab"]:
                each.suspend()
        until(lambda: _is_back(daemon, generation), "a new Firefox again", 60)
        assert "renderer process is stopped" in daemon.child("w1")["last_death"]
        _, alive = psutil.wait_procs(tree, timeout=5)
        assert not alive
    assert not list(daemon.runtime.rglob("profile"))


def test_a_killed_master_takes_firefox_with_it() -> None:
    """No pipe tells it: the kernel does, when its worker ends."""
    daemon = Daemon(1, {"browser": {"engine": "firefox"}})
    daemon.wait_well()
    everything = daemon.processes()
    assert len(everything) > 8
    os.kill(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait(5)
    _, alive = psutil.wait_procs(everything, timeout=10)
    assert alive == []
    assert daemon.leftovers() == []


def test_what_it_lacks_is_refused_before_anything_starts() -> None:
    """By the check, with the field, the engine and the remedy."""
    with running(1) as daemon:
        settings = json.loads(daemon.config_path.read_text())
        settings["browser"] = {"engine": "firefox"}
        settings["site"] = {"profile": "gradio-chat", "url": "http://127.0.0.1:9/"}
        daemon.config_path.write_text(json.dumps(settings))
        told = daemon.ctl("reload", "--wait")
        assert told.returncode != 0
        assert "browser.engine: is firefox, which has no reading of answers" in told.stderr
        assert "stream.dom" in told.stderr
