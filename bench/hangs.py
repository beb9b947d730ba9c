"""How soon a hang is noticed, and whether a busy machine is ever taken for one. Prints a table.

    make hangs BENCH_ARGS='--rounds 10 --burn-minutes 30'

"noticed": from SIGSTOP to the master's own record that the instance is marked, or broken, and so
out of the roster; "replaced": to the record that its successor is ready. The busy part keeps every
processor at work for minutes while clients chat without a pause; whoever is replaced meanwhile
was killed without need.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import Any

from chats import streamed
from daemon import Daemon, running

from bench.supervisor import Records, Rows, spread

BURN = "while True: pass"
VICTIMS: tuple[tuple[str, str | None], ...] = (
    ("worker", None),
    ("browser main", ""),
    ("renderer", "renderer"),
    ("network process", "utility"),
    ("GPU process", "gpu-process"),
)


def hang(daemon: Daemon, records: Records, kind: str | None) -> tuple[float, float]:
    """Stop one process of an instance; seconds until it is noticed, until it is replaced."""
    pid = daemon.child("w2")["pid"] if kind is None else daemon.browser_of("w2", kind).pid
    stopped_s = time.time()
    os.kill(pid, signal.SIGSTOP)
    signs = ("w2: its process was stopped", "w2: broken", "w2: gave no beat")
    noticed = records.first(
        lambda line: line.source == "master" and line.text.startswith(signs), stopped_s, "noticed"
    )
    ready = records.first(
        lambda line: line.source == "master" and line.text.startswith("w2: ready"),
        stopped_s,
        "ready",
    )
    daemon.wait_well()
    return noticed.at_unix_s - stopped_s, ready.at_unix_s - stopped_s


def hangs(daemon: Daemon, rounds: int) -> Rows:
    """Every kind of victim, so many times."""
    records = Records(daemon)
    rows: Rows = []
    for name, kind in VICTIMS:
        times = [hang(daemon, records, kind) for _ in range(rounds)]
        rows.append((f"SIGSTOP of a {name} -> noticed", spread([each[0] for each in times])))
        rows.append(("-> replaced and ready", spread([each[1] for each in times])))
    return rows


async def _chat(daemon: Daemon, until_s: float) -> int:
    count = 0
    while time.monotonic() < until_s:
        text = f"still well {count}"
        assert await streamed(daemon.api_url, "demo-echo", text) == text
        count += 1
    return count


def busy(daemon: Daemon, minutes: float) -> Rows:
    """Every processor at work, clients beside: how many were killed without need."""
    before = {child["name"]: child["pid"] for child in daemon.state()["children"]}
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(os.cpu_count() or 1)]

    async def chats() -> int:
        until_s = time.monotonic() + 60.0 * minutes
        return sum(await asyncio.gather(*(_chat(daemon, until_s) for _ in range(2))))

    try:
        count = asyncio.run(chats())
        load = os.getloadavg()[0]
    finally:
        for each in burners:
            each.kill()
            each.wait(10)
    after = {child["name"]: child["pid"] for child in daemon.state()["children"]}
    killed = sum(before[name] != after.get(name) for name in before)
    marked = daemon.log().count("gave no beat")
    return [
        (f"{minutes:g} min with every core busy, load {load:.0f}", f"{count} chats, all whole"),
        ("processes killed without need", f"{killed} of {len(before)}"),
        ("times one was left out for a moment", str(marked)),
    ]


def main() -> int:
    """Measure, print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--burn-minutes", type=float, default=1.0)
    given = parser.parse_args()
    before = os.getloadavg()[0]
    rows: Rows = []
    calm: dict[str, Any] = {"deaths": 100, "deaths_window_s": 0.1}
    with running(3, life=calm) as daemon:
        if given.rounds:
            rows += hangs(daemon, given.rounds)
        if given.burn_minutes:
            rows += busy(daemon, given.burn_minutes)
    print("| what | measured |\n|---|---|")
    for what, measured in rows:
        print(f"| {what} | {measured} |")
    print(f"\nload average {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    return 0


if __name__ == "__main__":
    sys.exit(main())
