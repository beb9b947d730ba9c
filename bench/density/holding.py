"""How many streams of 50 chunks a second are held, beside the peers."""

import asyncio
import contextlib
import time
from collections.abc import Iterator

from daemon import Daemon, running

from bench import costs
from bench.density import clocks
from bench.density.clocks import Ask, lateness
from bench.density.streaming import Way, bridge, outside, playwright, scale
from bench.report import Figure, Report, Row, Spread, spread

STEPS = (5, 10, 15, 20, 25, 30)
RATE = 50
CHUNKS = 300
LATE_MS = 250.0
QUEUED_MS = 5000.0
"""A stream whose first chunk comes so late was not held beside the others, but after them."""

WARM_UP = "3 20"


async def step(way: Way, count: int) -> dict[str, Figure]:
    """So many streams at once: lateness over all chunks, processors meanwhile."""
    is_site = way.name == "floor"
    async with clocks.client() as session:
        await clocks.together(count, Ask(session, way.url, WARM_UP, is_site=is_site))
        parts = costs.split(way.processes())
        before_s, began_s = [costs.cpu_s(part) for part in parts], time.monotonic()
        answers = await clocks.together(
            count, Ask(session, way.url, f"{CHUNKS} {RATE}", is_site=is_site)
        )
        took_s = time.monotonic() - began_s
    used = [100 * (costs.cpu_s(p) - b) / took_s for p, b in zip(parts, before_s, strict=True)]
    late = spread(lateness(answers))
    first = max(each.to_prompt_ms for each in answers)
    return {
        "ms": late,
        "last began after ms": first,
        "outside % of a core": used[0],
        "browser %": used[1],
    }


def climb(report: Report, name: str, ways: "Steps") -> dict[str, Figure]:
    """Step by step, until one is not held; the last that was."""
    held: dict[str, Figure] = {"streams": 0.0}
    for count in STEPS:
        try:
            with ways.at(count) as way:
                told = asyncio.run(step(way, count))
        except (RuntimeError, OSError) as error:
            told = {"failed": f"{error}"[:200]}
        is_held = _is_held(told)
        report.say(f"{name}: {count} streams: {'held' if is_held else 'not held'}: {told}")
        if not is_held:
            return {**held, "then": f"{count} not held"}
        held = {"streams": float(count), **told}
    return held


def _is_held(told: dict[str, Figure]) -> bool:
    late, first = told.get("ms"), told.get("last began after ms", 0.0)
    is_in_time = isinstance(late, Spread) and late.p99 <= LATE_MS
    return is_in_time and isinstance(first, float) and first <= QUEUED_MS


class Steps:
    """Where a step's way comes from; the same one for all steps, unless more is needed."""

    def __init__(self, way: Way) -> None:
        """One that takes any number of streams."""
        self._way = way

    @contextlib.contextmanager
    def at(self, count: int) -> Iterator[Way]:
        """The way for so many streams."""
        del count
        yield self._way


class Pages(Steps):
    """A plain Playwright worker that is started anew with a page for each stream."""

    def __init__(self, site_url: str) -> None:
        """On this site."""
        self._site_url = site_url

    @contextlib.contextmanager
    def at(self, count: int) -> Iterator[Way]:
        """The worker with so many pages."""
        with playwright(self._site_url, count) as way:
            yield way


class Instances(Steps):
    """Ours, with an instance for each stream."""

    def __init__(self, daemon: Daemon) -> None:
        """A daemon that is well."""
        self._daemon = daemon

    @contextlib.contextmanager
    def at(self, count: int) -> Iterator[Way]:
        """The daemon with so many instances."""
        scale(self._daemon, count)
        time.sleep(1.0)
        yield Way("arenad", self._daemon.api_url, lambda: outside(self._daemon))


def rows(report: Report) -> None:
    """Ours, the floor, the peers."""
    cells: dict[str, dict[str, Figure]] = {}
    with running(1, daemon={"log_level": "info"}) as daemon:
        site = daemon.demo_url
        cells["floor"] = climb(report, "floor", Steps(Way("floor", site, list)))
        cells["arenad"] = climb(report, "arenad", Instances(daemon))
        scale(daemon, 1)
        cells["plain Playwright"] = climb(report, "plain Playwright", Pages(site))
        with bridge(site) as way:
            cells["single-tab bridge"] = climb(report, "single-tab bridge", Steps(way))
    what = f"streams x {RATE} chunks/s held, p99 <= {LATE_MS:g} ms"
    note = f"Steps {', '.join(map(str, STEPS))}. Plain Playwright: one worker, a context each; "
    note += "the bridge: one tab, which shows nothing and may have six connections to its site."
    report.add(Row(what, "the most", cells, note))
