"""10,000 mixed good and hostile requests through a whole daemon with 5 browsers.

    make hostile BENCH_ARGS='--requests 10000 --seed 1'

Good ones are held to the byte, in all four vocabularies, streamed and whole; hostile ones to what
may be answered. Before and after, each process is weighed: memory, descriptors, sockets; and no
seat may be taken, nobody may wait, no instance may have been lost. Then, at an instance of its own,
one key floods while another asks one request after another. Ends with 1 on any fault.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from daemon import Daemon, running, until

from bench.hostile import bad, flood, good, leaving
from bench.hostile.sizes import Size, by_role, grown, sizes
from bench.report import RESULTS, Report, Row, spread

GOOD_SHARE = 0.4
GOOD_CLIENTS, HOSTILE_CLIENTS = 10, 30
WARM_UP = 400
KEY = "visitor"
SETTINGS: dict[str, dict[str, Any]] = {
    "api": {
        "head_timeout_s": bad.HEAD_TIMEOUT_S,
        "body_timeout_s": bad.BODY_TIMEOUT_S,
        "max_body_bytes": bad.MAX_BODY_BYTES,
        "max_header_bytes": bad.MAX_HEADER_BYTES,
    },
    "frontend": {"processes": 2},
    "demo": {"chunks_per_s": 1000},
    "queue": {"wait_s": 200},
    "daemon": {"log_level": "info"},
}
MAX_SHOWN = 20
MOMENTS = ("before", "after a quarter", "half", "three quarters", "after")
"""When everything is weighed: what grows to a bound does so in the beginning, a leak to the end."""

MAX_FAULT_CHARS = 120
MORE_FILES = 10
"""Of the browsers' own; a file for each request would be thousands."""


class Run:
    """So many requests, and what became of them."""

    def __init__(self, daemon: Daemon, key: str, seed: int) -> None:
        """None yet."""
        self._daemon, self._key, self._seed, self._rounds = daemon, key, seed, 0
        self.counts: Counter[str] = Counter()
        self.took_s: list[float] = []
        self.faults: list[str] = []

    async def perform(self, requests: int) -> None:
        """Good and hostile clients side by side, until all have had their turns."""
        self._rounds += 1
        seed, wanted = f"{self._seed} {self._rounds}", round(requests * GOOD_SHARE)
        goods, bads = iter(range(wanted)), iter(range(requests - wanted))
        async with asyncio.TaskGroup() as group:
            for number in range(GOOD_CLIENTS):
                group.create_task(self._good(goods, random.Random(f"{seed} good {number}")))
            for number in range(HOSTILE_CLIENTS):
                draw = random.Random(f"{seed} hostile {number}")
                group.create_task(self._hostile(bads, draw))

    async def _good(self, turns: Any, draw: random.Random) -> None:
        for _ in turns:
            wish, began_s = good.wish(draw), time.monotonic()
            try:
                fault = await good.ask(self._daemon.api_url, self._key, wish)
            except OSError as error:
                fault = f"{wish.path}: {error!r}"
            self.took_s.append(time.monotonic() - began_s)
            self._note(f"good {wish.path}", fault)

    async def _hostile(self, turns: Any, draw: random.Random) -> None:
        scene = bad.Scene(self._daemon.api_url, self._key, draw)
        for _ in turns:
            name = bad.drawn(draw)
            try:
                fault = await bad.attempt(scene, name)
            except OSError as error:
                fault = f"{name}: {error!r}"
            self._note(name, fault)

    def _note(self, name: str, fault: str) -> None:
        self.counts[name] += 1
        if fault:
            self.counts[f"{name}, not as it must be"] += 1
            self.faults.append(fault)
            if len(self.faults) <= MAX_SHOWN:
                print(f"  {fault}", flush=True)


def leftovers(daemon: Daemon) -> list[str]:
    """What runs or waits though nobody asked for it any more."""
    state = daemon.state()
    traffic = state["traffic"]
    found = [f"{traffic[each]} requests {each}" for each in ("queued", "running") if traffic[each]]
    found += [f"{each['name']} is busy" for each in state["children"] if each["busy"]]
    shown = json.loads(daemon.ctl("keys", "show", KEY, "--json").stdout)
    if shown["use"]["running"]:
        found.append(f"the key has {shown['use']['running']} running")
    return found


def lost(daemon: Daemon) -> list[str]:
    """Processes that have died, and bugs that were said in the log."""
    children = daemon.state()["children"]
    found = [f"{each['name']} died: {each['last_death']}" for each in children if each["restarts"]]
    bugs = [line for line in daemon.log().splitlines() if "with a bug" in line or "bug:" in line]
    return found + bugs


class Weight(NamedTuple):
    """What each process holds, and how many files there are in the daemon's folders."""

    processes: dict[str, Size]
    files: int


def settled(daemon: Daemon) -> Weight:
    """Once nothing is under way."""
    until(lambda: not leftovers(daemon), "everything has ended", 60.0)
    time.sleep(2.0)
    files = sum(1 for each in daemon.runtime.rglob("*") if each.is_file())
    return Weight(sizes(daemon.processes()), files)


def measure(report: Report, requests: int, instances: int, seed: int) -> list[str]:
    """All of it; gives the faults."""
    with running(instances, **SETTINGS) as daemon:
        made = daemon.ctl("keys", "create", KEY, "--json", "--concurrency", "1000")
        key = json.loads(made.stdout)["key"]
        report.say(f"a warm-up of {WARM_UP} requests")
        warming = Run(daemon, key, seed - 1)
        asyncio.run(warming.perform(WARM_UP))
        before = settled(daemon)
        report.say(f"{requests} requests")
        run, took_s, weights = Run(daemon, key, seed), 0.0, {"before": before}
        for name in MOMENTS[1:]:
            began_s = time.monotonic()
            asyncio.run(run.perform(requests // len(MOMENTS[1:])))
            took_s += time.monotonic() - began_s
            try:
                weights[name] = after = settled(daemon)
            except AssertionError:
                return [*warming.faults, *run.faults, *leftovers(daemon)]
        _tell(report, run, took_s)
        _weigh(report, weights)
        faults = warming.faults + run.faults
        faults += grown(before.processes, after.processes) + lost(daemon)
        if after.files > before.files + MORE_FILES:
            faults.append(f"{before.files} files before, {after.files} after")
        report.say("clients that leave")
        return faults + leaving.measure(report, daemon, key)


def _weigh(report: Report, weights: dict[str, Weight]) -> None:
    roles = {moment: by_role(each.processes) for moment, each in weights.items()}
    for role in sorted(roles["before"]):
        cells = {name: found[role]._asdict() for name, found in roles.items() if role in found}
        report.add(Row(f"{role}, all of them", "no more", cells))
    cells = {moment: {"": float(each.files)} for moment, each in weights.items()}
    report.add(Row("files", "no more", cells))


def _tell(report: Report, run: Run, took_s: float) -> None:
    goods = {name: count for name, count in run.counts.items() if name in GOOD}
    wrong = sum(run.counts[f"{name}, not as it must be"] for name in goods)
    told = {name.removeprefix("good "): count for name, count in sorted(goods.items())}
    count = sum(goods.values())
    cell = {"right": f"{count - wrong} of {count}", "s": spread(run.took_s), **told}
    report.add(Row("good requests", "every one right, to the byte", {"after": cell}))
    bads = {name: run.counts[name] for name in bad.KINDS}
    wrong = sum(run.counts[f"{name}, not as it must be"] for name in bads)
    count = sum(bads.values())
    cell = {"as it must be": f"{count - wrong} of {count}", **bads}
    report.add(Row("hostile requests", "each refused as it must be, or left", {"after": cell}))
    report.add(Row("all of them took", "", {"after": {"s": took_s}}))


GOOD = {f"good {path}" for path in good.SAID}


def main() -> None:
    """Read the arguments, measure, write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the report")
    wish = parser.parse_args()
    given = {"requests": str(wish.requests), "instances": str(wish.instances)}
    report = Report("hostile", MOMENTS, {**given, "seed": str(wish.seed)})
    faults = measure(report, wish.requests, wish.instances, wish.seed)
    report.say("a flood")
    faults += flood.measure(report)
    told = Counter(fault[:MAX_FAULT_CHARS] for fault in faults).most_common(MAX_SHOWN)
    words = "; ".join(f"{times} times {fault}" for fault, times in told) or "none"
    report.add(
        Row("faults", "none", {"after": {"": f"{len(faults)}: {words}" if faults else words}})
    )
    report.write(wish.results)
    print(f"\n{report.as_table()}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
