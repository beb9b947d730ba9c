"""How soon an upstream is left by whom its client has left, and what is told when it fails."""

import asyncio
import contextlib
import json
import time
import urllib.request
from typing import Any

from bench.gateway.load import Client, Heard, words
from bench.gateway.ways import FLOOR, HTTP, LITELLM, Gateway, Ways, arenad
from bench.report import Figure, Report, Row, spread

TRIES = {FLOOR: 2, LITELLM: 2}
"""Of the others ten."""

NEVER_S = 4.0
"""An upstream that is not left by then, though nobody listens, counts as never left."""

PHASES = (
    ("waiting for the first chunk", "silent", True),
    ("in mid-stream", "echo-20ms", True),
    ("waiting for a whole answer", "echo-20ms", False),
)
LONG = words(1000)
HALF = words(40)


def _seen(upstream: str, said: str) -> dict[str, Any] | None:
    """What the upstream knows of the request that began with this word."""
    with urllib.request.urlopen(f"{upstream}/seen", timeout=5) as answer:
        known = json.load(answer)
    return next((each for each in known if each["said"].startswith(f"{said} ")), None)


async def _until_seen(upstream: str, said: str, *, left: bool) -> dict[str, Any] | None:
    until_s = time.monotonic() + NEVER_S
    while time.monotonic() < until_s:
        seen = await asyncio.to_thread(_seen, upstream, said)
        if seen is not None and (seen["left_s"] is not None or not left):
            return seen
        await asyncio.sleep(0.02)
    return None


async def _left(way: Gateway, upstream: str, said: str, model: str, *, stream: bool) -> float:
    """Milliseconds from the client's leaving to the upstream's being left; inf: never."""
    client = await Client.connect(way.url)
    client.ask(model, f"{said} {LONG}", way.key, stream=stream)
    if await _until_seen(upstream, said, left=False) is None:
        raise RuntimeError(f"{way.name} did not ask for {said}")
    if model != "silent" and stream:
        await client.began.wait()
    await asyncio.sleep(0.1)
    at_s = client.leave()
    seen = await _until_seen(upstream, said, left=True)
    return float("inf") if seen is None else (seen["left_s"] - at_s) * 1000


async def _queued(way: Gateway, upstream: str, number: int) -> bool:
    """Whether one that left the queue was asked for all the same, when its turn had come."""
    first, second = await Client.connect(way.url), await Client.connect(way.url)
    first.ask("silent", f"first{number} {HALF}", way.key, stream=True)
    await _until_seen(upstream, f"first{number}", left=False)
    second.ask("echo", f"second{number} {HALF}", way.key, stream=True)
    await asyncio.sleep(0.2)
    second.leave()
    await asyncio.sleep(0.25)
    first.leave()
    await _until_seen(upstream, f"first{number}", left=True)
    third = await Client.connect(way.url)
    await third.chat("echo", f"third{number} {HALF}", way.key)
    third.leave()
    return await asyncio.to_thread(_seen, upstream, f"second{number}") is not None


def left(ways: Ways, report: Report) -> None:
    """In each phase."""
    for phase, model, stream in PHASES:
        cells: dict[str, dict[str, Figure]] = {}
        for way in ways.of(HTTP, FLOOR, LITELLM):
            times = [
                asyncio.run(
                    _left(
                        way,
                        ways.upstream,
                        f"{way.name[:3]}{model}{stream}{n}",
                        model,
                        stream=stream,
                    )
                )
                for n in range(TRIES.get(way.name, 10))
            ]
            never = f"not within {NEVER_S:g} s"
            cells[way.name] = {"": never} if max(times) > 1e6 else {"ms": spread(times)}
        report.add(Row(f"client gone -> upstream left, {phase}", "<= 250 ms", cells))
    with arenad(ways.upstream, 1) as daemon:
        way = Gateway(HTTP, daemon.api_url, daemon.processes)
        asked = sum(asyncio.run(_queued(way, ways.upstream, number)) for number in range(10))
    cells = {HTTP: {"asked all the same": f"{asked} of 10"}}
    note = "It left 250 ms before its turn came; what comes behind it is answered."
    report.add(Row("client gone while queued", "never asked", cells, note))


def _verdict(heard: Heard, *, stream: bool) -> str:
    if heard.is_cut:
        return "cut off"
    if not heard.is_ok:
        return f"{int(heard.head.split()[1])}"
    if b'"error"' in heard.body:
        return "error in the stream"
    is_complete = not stream or b"[DONE]" in heard.body
    return "SHOWN AS COMPLETE" if is_complete else "ended without [DONE]"


async def _broken(way: Gateway, model: str, *, stream: bool) -> str:
    client = await Client.connect(way.url)
    verdict = f"silent for {NEVER_S:g} s"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(NEVER_S):
            verdict = _verdict(
                await client.chat(model, HALF, way.key, stream=stream), stream=stream
            )
    client.leave()
    return verdict


def broken(ways: Ways, report: Report) -> None:
    """An upstream that hangs up, or says nothing more, in the middle of its answer."""
    for model, what in (("cut", "hangs up"), ("stall", "falls silent")):
        cells: dict[str, dict[str, Figure]] = {}
        for way in ways.of(HTTP, FLOOR, LITELLM):
            cells[way.name] = {
                "stream": asyncio.run(_broken(way, model, stream=True)),
                "whole": asyncio.run(_broken(way, model, stream=False)),
            }
        report.add(Row(f"upstream {what} in the middle", "never shown as complete", cells))
