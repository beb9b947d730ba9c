"""How soon the site's own answer ends when the client has gone, through a real page."""

import asyncio
import json
import time
import urllib.request

from daemon import Daemon

from bench.hostile.talk import Wire, post, wire
from bench.report import Report, Row, spread

CHAT = "/v1/chat/completions"
TEXT = "word " * 8000
"""Of eight seconds, at the pace of the run."""
TRIES = 20
AIM_MS = 250.0
LOOK_S = 0.003
PATIENCE_S = 20.0
PHASES = {
    "waiting for the first word": ("demo-slow-start", True),
    "in mid-stream": ("demo-echo", True),
    "waiting for a whole answer": ("demo-echo", False),
}


def measure(report: Report, daemon: Daemon, key: str) -> list[str]:
    """A row for each phase, and one for who leaves the queue."""
    faults: list[str] = []
    for phase, (model, streams) in PHASES.items():
        took_ms = [asyncio.run(_left(daemon, key, model, streams=streams)) for _ in range(TRIES)]
        what = f"client gone -> page told to stop, {phase}"
        report.add(Row(what, f"<= {AIM_MS:g} ms", {"after": {"ms": spread(took_ms)}}))
        if max(took_ms) > AIM_MS:
            faults.append(f"{what}: {max(took_ms):.0f} ms")
    asked = asyncio.run(_queued(daemon, key))
    told = "never asked for" if not asked else f"asked for {asked} times"
    report.add(Row("client gone while queued", "never asked for", {"after": {"": told}}))
    return faults + ([told] if asked else [])


async def _left(daemon: Daemon, key: str, model: str, *, streams: bool) -> float:
    """Milliseconds from leaving to the end of the answer at the site."""
    async with wire(daemon.api_url) as at:
        before = await _ended(daemon)
        at.send(_asked(key, model, streams=streams))
        await _until(daemon, "running", 1)
        if model == "demo-echo" and streams:
            await at.reader.readuntil(b'"content":"word')
        await asyncio.sleep(0.1)
        at.leave()
        left_s = time.monotonic()
        while await _ended(daemon) == before:
            assert time.monotonic() - left_s < PATIENCE_S, "the site was never left"
            await asyncio.sleep(LOOK_S)
        took_ms = (time.monotonic() - left_s) * 1000
    await _until(daemon, "running", 0)
    return took_ms


async def _queued(daemon: Daemon, key: str) -> int:
    """How many more are asked of the site than had an instance, when others leave the queue."""
    instances = len(daemon.children("worker"))
    before = await _ended(daemon)
    async with asyncio.TaskGroup() as group:
        held = [group.create_task(_held(daemon, key)) for _ in range(instances)]
        await _until(daemon, "running", instances)
        for _ in range(TRIES):
            async with wire(daemon.api_url) as at:
                at.send(_asked(key, "demo-echo", streams=True))
                await asyncio.sleep(0.05)
                at.leave()
        await asyncio.sleep(AIM_MS / 1000)
        for each in held:
            each.cancel()
    await _until(daemon, "running", 0)
    return await _ended(daemon) - before - instances


async def _held(daemon: Daemon, key: str) -> None:
    async with wire(daemon.api_url) as at:
        at.send(_asked(key, "demo-echo", streams=True))
        await _read_all(at)


async def _read_all(at: Wire) -> None:
    while await at.reader.read(65536):
        pass


def _asked(key: str, model: str, *, streams: bool) -> bytes:
    messages = [{"role": "user", "content": TEXT}]
    return post(CHAT, {"model": model, "messages": messages, "stream": streams}, key)


async def _ended(daemon: Daemon) -> int:
    """Answers that have ended at the site, however."""
    stats = await asyncio.to_thread(_stats, daemon)
    return stats["finished"] + stats["stopped"] + stats["left"]


async def _until(daemon: Daemon, name: str, count: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while (await asyncio.to_thread(_stats, daemon))[name] != count:
        assert time.monotonic() < until_s, f"{name} does not become {count}"
        await asyncio.sleep(LOOK_S)


def _stats(daemon: Daemon) -> dict[str, int]:
    with urllib.request.urlopen(f"{daemon.demo_url}/demo/stats", timeout=5) as answer:
        return json.load(answer)
