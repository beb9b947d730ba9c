"""How well the supervisor supervises: deaths, replacements, idleness, commands. Prints a table.

    PYTHONPATH=tests/processes .venv/bin/python -m bench.supervisor --kills 20

starts a daemon of its own, with real browsers. What it times by, and what each row therefore means:

- A kill's moment is read from the wall clock right before the system call; everything after it from
  the stamps that processes put on their own log records on the same machine (level debug, followed
  over the control socket). So a row holds the time until that process itself has got so far.
- "accepted by another": the record that the other instance writes when it begins to perform the
  request; the request's first content was still seconds away when its first instance was killed.
- "says hello": the record that the master writes when the replacement's greeting has arrived.
- "capacity whole": the record that the master writes when the replacement's page is ready.
"""

import argparse
import asyncio
import contextlib
import http.client
import math
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from daemon import Daemon, running, until

from arenactl.client import FOREVER, connect
from arenad.errors import ArenadError
from arenad.schema import control
from arenad.schema.process import LogLine
from arenad.worker import finder

IDLE_S = 120.0
CALLS = 1000
PROGRAMS = 15

Rows = list[tuple[str, str]]


class Records:
    """Follows the daemon's log records as they are written."""

    def __init__(self, daemon: Daemon) -> None:
        self._lines: list[LogLine] = []
        self._client = connect(daemon.runtime / "control.sock")
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with contextlib.suppress(ArenadError, OSError):
            for line in self._client.stream(control.Logs(0, follow=True), LogLine, FOREVER):
                self._lines.append(line)

    def first(self, matches: Callable[[LogLine], bool], after_s: float, what: str) -> LogLine:
        """Wait for a record that was stamped after this moment."""

        def found() -> LogLine | None:
            recent = [line for line in self._lines[-2000:] if line.at_unix_s >= after_s]
            return next(filter(matches, recent), None)

        return until(found, what, 60.0)


def spread(times_s: list[float]) -> str:
    """Median, 99th percentile and longest, in milliseconds."""
    ordered = sorted(times_s)
    late = ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.99) - 1)]
    median = statistics.median(ordered)
    return (
        f"p50 {median * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms, longest {ordered[-1] * 1e3:.1f} ms "
        f"({len(ordered)})"
    )


# -- deaths of workers -----------------------------------------------------------------------------


async def ask(daemon: Daemon, text: str) -> str:
    """A chat whose first content comes after three seconds; its text, or what went wrong."""
    body = {"model": "demo-slow-start", "messages": [{"role": "user", "content": text}]}
    url = f"{daemon.api_url}/v1/chat/completions"
    try:
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            said = await answer.json()
            return said["choices"][0]["message"]["content"] if answer.status == 200 else str(said)
    except aiohttp.ClientError as error:
        return repr(error)


async def kill_workers(daemon: Daemon, kills: int) -> Rows:
    """Kill, so many times, the instance that has just begun a chat."""
    records = Records(daemon)
    noticed, accepted, hello, whole = [], [], [], []
    failures = 0
    for number in range(kills):
        text = f"kill {number}"
        asked_s = time.time()
        asking = asyncio.create_task(ask(daemon, text))
        begun = await _record(records, lambda line: "is performed" in line.text, asked_s, "begun")
        request, name = begun.text.split()[1], begun.source
        pid = daemon.child(name)["pid"]
        await asyncio.sleep(random.uniform(0.1, 0.6))
        killed_s = time.time()
        os.kill(pid, signal.SIGKILL)
        again, lost, greeted, ready = await asyncio.gather(
            *(
                _record(records, says(*words), killed_s, words[1])
                for words in (
                    ("w", f"{request} is performed"),
                    ("frontend", f"{request}: {name} failed it"),
                    ("master", f"{name} says hello"),
                    ("master", f"{name}: ready"),
                )
            )
        )
        accepted.append(again.at_unix_s - killed_s)
        noticed.append(lost.at_unix_s - killed_s)
        hello.append(greeted.at_unix_s - killed_s)
        whole.append(ready.at_unix_s - killed_s)
        failures += await asking != text
    return [
        ("SIGKILL of a worker -> its frontend knows", spread(noticed)),
        ("-> its request accepted by another instance", spread(accepted)),
        ("client-visible failures, nothing yet streamed", f"{failures} of {kills} kills"),
        ("-> replacement process says hello", spread(hello)),
        ("-> browser capacity whole again", spread(whole)),
    ]


def says(source: str, words: str) -> Callable[[LogLine], bool]:
    """Whether a record of such a source has these words."""
    return lambda line: line.source.startswith(source) and words in line.text


async def _record(
    records: Records, matches: Callable[[LogLine], bool], after_s: float, what: str
) -> LogLine:
    return await asyncio.to_thread(records.first, matches, after_s, what)


# -- deaths of frontends ---------------------------------------------------------------------------


def kill_frontends(daemon: Daemon, kills: int) -> Rows:
    """Kill the only frontend while clients connect one after another."""
    port = int(daemon.api_url.rpartition(":")[2])
    counts = {"served": 0, "refused": 0, "lost": 0}
    served: list[tuple[float, float]] = []
    is_over = threading.Event()

    def connect_on() -> None:
        while not is_over.is_set():
            began_s = time.monotonic()
            kind = _get(port)
            counts[kind] += 1
            if kind == "served":
                served.append((began_s, time.monotonic()))
            is_over.wait(0.002)

    clients = [threading.Thread(target=connect_on) for _ in range(4)]
    for each in clients:
        each.start()
    to_serve: list[float] = []
    for _ in range(kills):
        time.sleep(random.uniform(1.5, 2.5))
        (child,) = daemon.children("frontend")
        killed_s = time.monotonic()
        os.kill(child["pid"], signal.SIGKILL)
        until(lambda at=killed_s: any(began > at for began, _ in served[-50:]), "served again")
        to_serve.append(min(ended for began, ended in list(served) if began > killed_s) - killed_s)
    is_over.set()
    for each in clients:
        each.join()
    told = (
        f"{counts['refused']} refused, {counts['lost']} in the dead one's hands lost, "
        f"{counts['served']} served"
    )
    return [
        (f"{kills} frontend kills, 4 clients connecting without pause", told),
        ("SIGKILL of the only frontend -> a new connection is served", spread(to_serve)),
    ]


def _get(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/healthz")
        return "served" if connection.getresponse().status == 200 else "lost"
    except ConnectionRefusedError:
        return "refused"
    except (OSError, http.client.HTTPException):
        return "lost"
    finally:
        connection.close()


# -- rest, commands, remains -----------------------------------------------------------------------


@contextlib.contextmanager
def service_manager() -> Iterator[None]:
    """Somebody who waits for the watchdog to be fed, as often as our unit says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(b"")  # Linux chooses an abstract address
        address = "@" + manager.getsockname()[1:].decode()
        os.environ.update(NOTIFY_SOCKET=address, WATCHDOG_USEC="20000000")
        yield


def at_rest(daemon: Daemon) -> Rows:
    """The master's memory, and how often it wakes while nothing happens."""
    status = Path(f"/proc/{daemon.process.pid}/status")

    def wakes() -> int:
        line = next(x for x in status.read_text().splitlines() if x.startswith("voluntary"))
        return int(line.split()[1])

    time.sleep(5.0)
    before, began_s = wakes(), time.monotonic()
    time.sleep(IDLE_S)
    rate = (wakes() - before) / (time.monotonic() - began_s)
    memory = psutil.Process(daemon.process.pid).memory_full_info()
    beats = f"with {len(daemon.children('worker'))} instances and the watchdog on"
    return [
        ("master: PSS", f"{memory.pss / 2**20:.1f} MiB ({memory.uss / 2**20:.1f} private)"),
        (f"master: wake-ups, {beats}", f"{rate:.2f}/s over {IDLE_S:g} s"),
    ]


def commands(daemon: Daemon) -> Rows:
    """A call on an open connection, and the whole command from a shell."""
    times: list[float] = []
    with connect(daemon.runtime / "control.sock") as client:
        for _ in range(CALLS):
            began_s = time.perf_counter()
            client.ask(control.GetState(), control.StateNow)
            times.append(time.perf_counter() - began_s)
    command = [sys.executable, "-m", "arenactl", "--runtime-dir", str(daemon.runtime), "status"]
    status, nothing = [], []
    for _ in range(PROGRAMS):
        status.append(_wall_s(command))
        nothing.append(_wall_s([sys.executable, "-c", "pass"]))
    return [
        ("control call (whole state) on an open connection", spread(times)),
        ("`arenactl status` from a shell", spread(status)),
        ("for comparison `python -c pass`", spread(nothing)),
    ]


def _wall_s(command: list[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began_s


def remains(daemon: Daemon) -> Rows:
    """Zombies, and children that the master does not keep."""
    daemon.wait_well()
    kept = {child["pid"] for child in daemon.state()["children"]}
    kept |= {*daemon.titled("arenad: zygote"), *daemon.titled("arenad: blank")}
    zombies = [p for p in daemon.processes() if p.status() == psutil.STATUS_ZOMBIE]
    direct = psutil.Process(daemon.process.pid).children()
    strays = [p for p in direct if p.pid not in kept and p not in zombies]
    deaths = sum(child["restarts"] for child in daemon.state()["children"])
    return [(f"zombies and orphans after {deaths} deaths", f"{len(zombies)} and {len(strays)}")]


WRAPPER = """#!/bin/sh
case $ARENAD_INSTANCE in w1|w2) ;; *) [ -e {mark} ] && exit 1 ;; esac
exec {browser} "$@"
"""
DYING = 8


def crash_loop(seconds: float) -> Rows:
    """Two healthy instances, and eight whose browser dies at its start, until it no longer does."""
    with tempfile.TemporaryDirectory(prefix="arenad-loop-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        mark, browser = folder / "dying", folder / "browser"
        mark.touch()
        browser.write_text(WRAPPER.format(mark=mark, browser=finder.find("")))
        browser.chmod(0o755)
        daemon = Daemon(2 + DYING, {"browser": {"path": str(browser)}})
        try:
            return _crash_loop(daemon, mark, seconds)
        finally:
            daemon.stop()


def _crash_loop(daemon: Daemon, mark: Path, seconds: float) -> Rows:
    def dying() -> list[dict[str, Any]]:
        return [each for each in daemon.children("worker") if each["name"] not in ("w1", "w2")]

    def serving() -> bool:
        return {each["condition"] for each in daemon.children("worker")[:2]} == {"ready"}

    until(lambda: len(dying()) == DYING and serving(), "two are well, eight die", 60.0)
    began_s, master = time.monotonic(), psutil.Process(daemon.process.pid)
    before = master.cpu_times()
    time.sleep(60.0)
    attempts = [each["generation"] for each in dying()]
    healthy = 0
    while time.monotonic() < began_s + seconds:
        healthy += asyncio.run(ask(daemon, "still well")) == "still well"
    after, took_s = master.cpu_times(), time.monotonic() - began_s
    used_s = after.user + after.system - before.user - before.system
    unhurt = sum(each["restarts"] for each in daemon.children("worker")[:2])
    mark.unlink()
    mended_s = time.monotonic()
    until(lambda: daemon.state().get("word") == "well", "all are well", 120.0)
    healed_s = time.monotonic() - mended_s
    return [
        (
            f"crash loop of {DYING} for {took_s:.0f} s: CPU of the master",
            f"{100 * used_s / took_s:.2f} %",
        ),
        ("attempts an instance in the first minute", f"{min(attempts)} to {max(attempts)}"),
        ("two healthy ones meanwhile", f"{healthy} chats answered, {unhurt} restarts"),
        ("cause gone -> all ten ready", f"{healed_s:.1f} s"),
    ]


def lost_to_listed(daemon: Daemon, kills: int) -> list[float]:
    """Kill, so many times, an instance of those in the roster, while a spare waits; seconds."""
    records = Records(daemon)
    times_s: list[float] = []
    for _ in range(kills):
        daemon.wait_well()
        until(lambda: any(each["spare"] for each in daemon.children("worker")), "a spare waits")
        victim = next(each for each in daemon.children("worker") if not each["spare"])
        killed_s = time.time()
        os.kill(victim["pid"], signal.SIGKILL)
        listed = records.first(says("master", "a spare no more"), killed_s, "a spare is listed")
        times_s.append(listed.at_unix_s - killed_s)
    return times_s


def main() -> None:
    """Measure everything, print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--crash-minutes", type=float, default=1.0)
    given = parser.parse_args()
    before = os.getloadavg()[0]
    rows: Rows = []
    # A machine that fails once a week is measured, not one in a crash loop: no death counts on.
    calm: dict[str, Any] = {"deaths": 100, "deaths_window_s": 0.1}
    with service_manager(), running(given.instances, life=calm) as daemon:
        rows += at_rest(daemon)
        rows += commands(daemon)
        rows += asyncio.run(kill_workers(daemon, given.kills))
        rows += kill_frontends(daemon, max(3, given.kills // 4))
        rows += remains(daemon)
    rows += [("left after the daemon's end", "0 processes")]  # `running` asserts it
    with running(given.instances, life=calm, fleet={"spares": 1}) as daemon:
        listed = spread(lost_to_listed(daemon, max(3, given.kills // 4)))
        rows += [("SIGKILL of a worker -> its spare is in the roster", listed)]
    rows += crash_loop(60.0 * given.crash_minutes)
    print("| what | measured |\n|---|---|")
    for what, measured in rows:
        print(f"| {what} | {measured} |")
    load = os.getloadavg()[0]
    print(f"\nload average {before:.1f} before, {load:.1f} after, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
