"""What a client that has stopped reading costs, while its answer goes on."""

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
import psutil

from arenad.worker.diagnosis import kind_of
from bench import costs
from bench.answers import OwnProfile
from bench.density import flood
from bench.peers import serving
from bench.report import Figure, Report, Row

ANSWER_BYTES = 100_000_000
PACE_BYTES_S = 2_000_000
WARM_UP_BYTES = 8_000_000
READ_BYTES = 500_000
"""After so many the client reads no more."""

QUIET_S = 6.0
"""So long nothing must change before the most is known."""

SHOWN_MIB = 0.1
"""Processes to which less is added at rest are not told."""

LIMIT_S = 50.0
"""Less than a frontend's patience with a client that takes nothing."""


class Parts:
    """The private memory that those on the way have written, in MiB: what is added to it."""

    def __init__(self, daemon: OwnProfile) -> None:
        """Measured from now on: the worker, the frontend, its browser's processes by their kind."""
        worker = costs.split(costs.tree(daemon.children("worker")[0]["pid"]))
        frontends = [psutil.Process(child["pid"]) for child in daemon.children("frontend")]
        self._parts = {"worker": worker.outside, "frontend": frontends}
        for process in worker.browser:
            kind = kind_of(process.cmdline()) or "browser"
            self._parts.setdefault(kind, []).append(process)
        self._before = self._now()
        self.most = 0.0
        self.added = dict.fromkeys(self._before, 0.0)

    def _now(self) -> dict[str, float]:
        return {name: costs.dirty_mib(each) for name, each in self._parts.items()}

    def look(self) -> float:
        """Measure once more; how much is added now by all of them."""
        now = self._now()
        self.added = {name: now[name] - self._before[name] for name in now}
        added = sum(self.added.values())
        self.most = max(self.most, added)
        return added


async def _begin(url: str, prompt: str) -> asyncio.StreamWriter:
    """Ask, read a little, then no more; the connection stays."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=64 * 1024)
    body = msgspec.json.encode(
        {"model": "own", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    )
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    left = READ_BYTES
    while left > 0 and (piece := await reader.read(left)):
        left -= len(piece)
    if left > 0:
        raise RuntimeError(f"the answer ended after {READ_BYTES - left} bytes")
    return writer


async def _hold(daemon: OwnProfile, site: str, prompt: str) -> dict[str, Figure]:
    async with aiohttp.ClientSession() as session:
        await _warm_up(session, daemon.api_url)
        await asyncio.sleep(2)
        parts = Parts(daemon)
        writer = await _begin(daemon.api_url, prompt)
        began_s = quiet_s = time.monotonic()
        last: tuple[int, float] = (0, 0.0)
        written = 0
        while (now_s := time.monotonic()) < min(quiet_s + QUIET_S, began_s + LIMIT_S):
            added = parts.look()
            async with session.get(f"{site}/written") as told:
                written = int(await told.json())
            if abs(added - last[1]) > 1 or written != last[0]:
                quiet_s, last = now_s, (written, added)
            await asyncio.sleep(0.2)
        writer.transport.abort()
    by_part: dict[str, Figure] = {
        name: mib for name, mib in parts.added.items() if abs(mib) >= SHOWN_MIB
    }
    told: dict[str, Figure] = {"all MiB": parts.most, "at rest": last[1], **by_part}
    return {**told, "MB taken from the site": written / 1e6}


async def _warm_up(session: aiohttp.ClientSession, url: str) -> None:
    """A whole answer to a client that reads: what any answer adds is not this one's."""
    said = [{"role": "user", "content": f"answer {WARM_UP_BYTES} at {PACE_BYTES_S}"}]
    wish: dict[str, Any] = {"model": "own", "stream": True, "messages": said}
    async with session.post(f"{url}/v1/chat/completions", json=wish) as answer:
        answer.raise_for_status()
        async for _ in answer.content.iter_any():
            pass


def measure(prompt: str) -> dict[str, Figure]:
    """One answer whose client stops."""
    with serving.running("bench.density.flood") as (site, _):
        OwnProfile.called, OwnProfile.profile = "own", flood.PROFILE
        settings = {
            "site": {"profile": "own", "url": site},
            "daemon": {"log_level": "info"},
            "browser": {"args": ["--js-flags=--expose-gc"]},
        }
        daemon = OwnProfile(1, settings)
        try:
            daemon.wait_well()
            return asyncio.run(_hold(daemon, site, prompt))
        finally:
            daemon.stop()


def rows(report: Report) -> None:
    """At a pace that is far beyond any model's, and as fast as loopback goes."""
    what = "added by a client that stopped reading a 100 MB answer"
    paced = measure(f"answer {ANSWER_BYTES} at {PACE_BYTES_S}")
    note = "Private memory, over that after an answer that was read; sockets of the kernel apart. "
    note += "The most there was at any moment, and what stays, by process."
    aim = "<= 8 MiB"
    report.add(Row(f"{what}, {PACE_BYTES_S / 1e6:g} MB/s", aim, {"arenad": paced}, note))
    flat_out = measure(f"answer {ANSWER_BYTES}")
    report.add(Row(f"{what}, full speed", aim, {"arenad": flat_out}))
