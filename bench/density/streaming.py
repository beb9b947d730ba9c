"""How late a chunk is, and what it costs, beside the floor and the peers on the same site."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import aiohttp
import psutil
from daemon import Daemon, running, until

from bench import costs
from bench.density import clocks
from bench.density.clocks import Ask, Timed
from bench.peers import serving
from bench.report import Figure, Report, Row, spread

RATES = ((100, 500), (50, 250))
"""Chunks a second, and how many in one answer."""

ROUNDS = 3
PROMPTS = 15

Processes = Callable[[], list[psutil.Process]]


class Way(NamedTuple):
    """One way from the site to a client: whom to ask, and whose processes are on the way."""

    name: str
    url: str
    processes: Processes
    bindings_url: str = ""


def scale(daemon: Daemon, count: int) -> None:
    """So many instances, all of them ready."""
    done = daemon.ctl("scale", str(count))
    if done.returncode:
        raise RuntimeError(f"scale {count}: {done.stdout}{done.stderr}\n{daemon.log()[-2000:]}")
    daemon.wait_well()


def outside(daemon: Daemon) -> list[psutil.Process]:
    """The workers and frontends of a daemon, with the workers' browsers."""
    found: list[psutil.Process] = []
    for child in daemon.state()["children"]:
        if child["role"] in ("worker", "frontend"):
            found += costs.tree(child["pid"])
    return found


@contextlib.contextmanager
def bridge(site_url: str) -> Iterator[Way]:
    """The bridge with its tab."""
    module = "bench.peers.bridge"
    with (
        serving.running(module) as (url, pid),
        serving.running(module, "--tab", site_url, "--server", url) as (_, tab),
    ):
        until(lambda: asyncio.run(_is_ready(url)), "the tab is connected", 30.0)
        yield Way("single-tab bridge", url, lambda: [*costs.tree(pid), *_browsers(tab)])


async def _is_ready(url: str) -> bool:
    async with aiohttp.request("GET", f"{url}/ready") as answer:
        return answer.status == 200


def _browsers(pid: int) -> list[psutil.Process]:
    """Only the browser below a process: what opened the tab is no part of the bridge."""
    return costs.split(costs.tree(pid)).browser


@contextlib.contextmanager
def playwright(site_url: str, pages: int = 1) -> Iterator[Way]:
    """A plain Playwright worker."""
    words = ("--site", site_url, "--pages", str(pages))
    with serving.running("bench.peers.playwright_worker", *words) as (url, pid):
        yield Way("plain Playwright", url, lambda: costs.tree(pid), f"{url}/bindings")


def ways(daemon: Daemon, stack: contextlib.ExitStack) -> list[Way]:
    """Ours, the floor, and the peers, all on the daemon's demo arena."""
    site = daemon.demo_url
    ours = Way("arenad", daemon.api_url, lambda: outside(daemon))
    floor = Way("floor", site, list)
    peers = [stack.enter_context(playwright(site)), stack.enter_context(bridge(site))]
    return [floor, ours, *peers]


class Measured:
    """What one way showed at one rate."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.late_ms: list[float] = []
        self.bindings_ms: list[float] = []
        self.medians: list[float] = []
        self.outside_s = 0.0
        self.browser_s = 0.0

    def take(self, timed: Timed) -> None:
        """Add one answer."""
        self.late_ms += timed.late_ms
        self.medians.append(spread(timed.late_ms).p50)

    def lateness(self, floor: "Measured") -> dict[str, Figure]:
        """Lateness, and what is over the floor's."""
        own, least = spread(self.late_ms), spread(floor.late_ms)
        told: dict[str, Figure] = {"ms": own}
        if self is not floor:
            told["over the floor"] = f"{own.p50 - least.p50:.2g} / {own.p99 - least.p99:.2g}"
        told["rounds"] = "±" + f"{(max(self.medians) - min(self.medians)) / 2:.2g}"
        return told

    def cpu(self) -> dict[str, Figure]:
        """Processor seconds for 1000 chunks."""
        per_1000 = 1000 / len(self.late_ms)
        return {
            "outside": self.outside_s * per_1000,
            "browser": self.browser_s * per_1000,
        }


async def one_answer(way: Way, prompt: str, measured: Measured) -> None:
    """One answer, with what its processes used meanwhile."""
    parts = costs.split(way.processes())
    before = [costs.cpu_s(part) for part in parts]
    async with clocks.client() as session:
        measured.take(await Ask(session, way.url, prompt, is_site=way.name == "floor")())
        if way.bindings_url:
            async with session.get(way.bindings_url) as told:
                measured.bindings_ms += await told.json()
    after = [costs.cpu_s(part) for part in parts]
    measured.outside_s += after[0] - before[0]
    measured.browser_s += after[1] - before[1]


async def at_rate(report: Report, there: list[Way], rate: int, count: int) -> list[Row]:
    """All ways in turn, so that a slow moment of the machine meets each."""
    found = {way.name: Measured() for way in there}
    for number in range(ROUNDS):
        report.say(f"{rate} chunks/s, round {number + 1} of {ROUNDS}")
        for way in there:
            await one_answer(way, f"{count} {rate}", found[way.name])
    floor = found["floor"]
    late = {name: each.lateness(floor) for name, each in found.items()}
    if bindings := found["plain Playwright"].bindings_ms:
        late["expose_binding"] = {"ms": spread(bindings)}
    what = f"site writes a chunk -> client has it, {rate} chunks/s"
    aim = "p50 / p99 <= 2 / 8 ms over the floor" if rate == RATES[0][0] else ""
    rows = [Row(what, aim, late, "`expose_binding` is read in its handler, before any HTTP.")]
    if rate == RATES[0][0]:
        cells = {name: each.cpu() for name, each in found.items() if name != "floor"}
        note = "Outside: worker and frontend; Python and Node driver; the bridge's server."
        rows.append(Row("CPU s per 1000 chunks", "outside <= 0.25", cells, note))
    return rows


async def to_prompt(there: list[Way]) -> Row:
    """From the client's request to the site's first chunk, one chat after another at rest."""
    cells: dict[str, dict[str, Figure]] = {}
    for way in there:
        async with clocks.client() as session:
            ask = Ask(session, way.url, "2 100", is_site=way.name == "floor")
            times: list[float] = []
            for _ in range(PROMPTS):
                times.append((await ask()).to_prompt_ms)
                await asyncio.sleep(0.3)
        cells[way.name] = {"ms": spread(times)}
    note = "The bridge's script makes the request itself; the others begin a new chat in the page, "
    note += "choose the model in its list, write and send."
    return Row("request accepted -> the site has the prompt, idle", "p50 <= 15 ms", cells, note)


def rows(report: Report) -> None:
    """Lateness, processor time, the way of the prompt."""
    quiet = {"daemon": {"log_level": "info"}}
    with running(1, **quiet) as daemon, contextlib.ExitStack() as stack:
        there = ways(daemon, stack)
        for rate, count in RATES:
            report.add(*asyncio.run(at_rate(report, there, rate, count)))
        report.add(asyncio.run(to_prompt(there)))
