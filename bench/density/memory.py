"""What instances and the rest of the daemon cost in memory, and what they use at rest."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import psutil
from daemon import Daemon, running

from bench import costs
from bench.costs import Memory
from bench.density import clocks
from bench.density.clocks import Ask
from bench.density.streaming import playwright, scale
from bench.report import Figure, Report, Row

COUNTS = (1, 5, 10, 20)
PEERS = (1, 5, 10)
AT = 10
"""Instances at which the mean and the rest are measured."""

SETTLE_S = 4.0
IDLE_S = 120.0
PEERS_IDLE_S = 20.0

Processes = Callable[[], Sequence[psutil.Process]]


def workers(daemon: Daemon) -> list[psutil.Process]:
    """All instances: each worker with its browser."""
    found: list[psutil.Process] = []
    for child in daemon.children("worker"):
        found += costs.tree(child["pid"])
    return found


def core(daemon: Daemon) -> dict[str, list[psutil.Process]]:
    """What there is once: by role, the frontends, the recorder, the master, its helpers."""
    found = {
        "master": [psutil.Process(daemon.process.pid)],
        "zygote": [psutil.Process(pid) for pid in daemon.titled("arenad: zygote")],
        "blank": [psutil.Process(pid) for pid in daemon.titled("arenad: blank")],
    }
    for role in ("frontend", "recorder"):
        found[role] = [psutil.Process(child["pid"]) for child in daemon.children(role)]
    return found


def fixed(daemon: Daemon) -> Row:
    """The cost of the daemon without any instance."""
    parts = {name: costs.memory(each).uss for name, each in core(daemon).items()}
    whole = sum(parts.values()) - parts["blank"]
    told: dict[str, Figure] = {"MiB USS": whole, **parts}
    nodes = [each for each in daemon.processes() if "node" in each.name()]
    told["Node processes"] = len(nodes)
    note = "Without the blank, which is the next instance; without the demo arena, which is a site."
    return Row("master + zygote + frontend + recorder", "<= 100 MiB USS", {"arenad": told}, note)


async def _one_chat_each(daemon: Daemon, count: int) -> None:
    async with clocks.client() as session:
        ask = Ask(session, daemon.api_url, "30 20", is_site=False)
        await clocks.together(count, ask)


def slopes(points: dict[int, Memory]) -> dict[str, Figure]:
    """MiB for each instance more, and the points themselves."""
    uss = costs.slope([(count, each.uss) for count, each in points.items()])
    pss = costs.slope([(count, each.pss) for count, each in points.items()])
    told: dict[str, Figure] = {"MiB USS": uss, "PSS": pss}
    if AT in points:
        told[f"PSS each at {AT}"] = points[AT].pss / AT
    told["processes each"] = points[max(points)].processes / max(points)
    return told


def idle(processes: Sequence[psutil.Process], seconds: float) -> float:
    """Percent of one core that these use."""
    before_s, began_s = costs.cpu_s(processes), time.monotonic()
    time.sleep(seconds)
    return 100 * (costs.cpu_s(processes) - before_s) / (time.monotonic() - began_s)


def ours(report: Report) -> tuple[dict[str, Figure], dict[str, Figure], list[Row]]:
    """Slopes, rest, and rows of our own."""
    points: dict[int, Memory] = {}
    rows: list[Row] = []
    resting: dict[str, Figure] = {}
    quiet = {"log_level": "info"}
    with running(1, daemon=quiet) as daemon, playwright(daemon.demo_url):
        # Another browser runs beside all of them: what is shared is shared from the first one on.
        for count in COUNTS:
            scale(daemon, count)
            time.sleep(SETTLE_S)
            points[count] = costs.memory(workers(daemon))
            report.say(f"{count} instances: {points[count].uss:.0f} MiB USS")
            if count == AT:
                rows.append(fixed(daemon))
                report.say(f"{count} instances at rest, {IDLE_S:g} s")
                known = {role: list(each) for role, each in core(daemon).items()}
                parts = costs.split(workers(daemon))
                daemons = [*parts.outside, *(x for each in known.values() for x in each)]
                before_s = [costs.cpu_s(each) for each in (daemons, parts.browser)]
                resting["% of a core"] = idle([*daemons, *parts.browser], IDLE_S)
                for name, each, first_s in zip(
                    ("daemon", "browsers"), (daemons, parts.browser), before_s, strict=True
                ):
                    resting[name] = 100 * (costs.cpu_s(each) - first_s) / IDLE_S
        asyncio.run(_one_chat_each(daemon, COUNTS[-1]))
        time.sleep(SETTLE_S)
        after = costs.memory(workers(daemon))
        told = slopes(points)
        told["USS each after a chat"] = after.uss / COUNTS[-1]
        told["its worker"] = costs.memory(costs.split(workers(daemon)).outside).uss / COUNTS[-1]
    return told, resting, rows


def peers(report: Report) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """The same of plain Playwright workers."""
    points: dict[int, Memory] = {}
    with running(1, daemon={"log_level": "info"}) as daemon, contextlib.ExitStack() as stack:
        there: list[psutil.Process] = []
        for count in PEERS:
            while len(there) < count:
                way = stack.enter_context(playwright(daemon.demo_url))
                there.append(way.processes()[0])
            time.sleep(SETTLE_S)
            trees = [each for root in there for each in costs.tree(root.pid)]
            points[count] = costs.memory(trees)
            report.say(f"{count} plain Playwright workers: {points[count].uss:.0f} MiB USS")
        percent = idle(trees, PEERS_IDLE_S)
    return slopes(points), {"% of a core": percent}


def rows(report: Report) -> None:
    """Memory for each instance, the fixed cost, ten at rest."""
    own, rest, more = ours(report)
    peer, peers_rest = peers(report)
    aim = f"<= 80 MiB USS; PSS at {AT} <= 95"
    each = {"arenad": own, "plain Playwright": peer}
    note = f"Slope over {', '.join(map(str, COUNTS))} (peer: {', '.join(map(str, PEERS))})."
    rested = {"arenad": rest, "plain Playwright": peers_rest}
    report.add(Row("memory of an instance more, worker and browser", aim, each, note), *more)
    note = f"Over {IDLE_S:g} s (peer: {PEERS_IDLE_S:g} s), with the daemon's own processes."
    report.add(Row(f"{AT} instances at rest", "<= 2 % of a core", rested, note))
