"""What a gateway adds to one chat at a time, and what requests and chunks cost it."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable

from bench.gateway.load import Client, Heard, each, words
from bench.gateway.ways import DIRECT, ECHO, FLOOR, HTTP, LITELLM, WAYS, Gateway, Ways
from bench.report import Figure, Report, Row, spread

ROUNDS = 5
CHATS = 60
WORDS = words(16)
TOGETHER = 8
"""Connections at once; the instances over HTTP are as many."""

REQUESTS = {LITELLM: 15}
"""Requests of each connection in a round; of the others 100."""

CHUNKS = words(100)
STREAMS = {LITELLM: 2}
"""Streams of each connection in a round; of the others 12."""

PACED = words(150)
PACED_TOGETHER = {LITELLM: 8}
"""Streams at once of a word every 20 ms; of the others 64, over HTTP as many as instances."""

MS = 1000.0


async def _one_by_one(way: Gateway, *, stream: bool) -> list[float]:
    """Milliseconds of so many chats: to a whole answer, or to the first piece of a stream."""
    client = await Client.connect(way.url)
    times: list[float] = []
    for _ in range(CHATS):
        heard = await client.chat("echo", WORDS, way.key, stream=stream)
        _check(way, heard, WORDS)
        times.append(((heard.first_s if stream else heard.ended_s) - heard.asked_s) * MS)
    client.leave()
    return times


def _check(way: Gateway, heard: Heard, text: str) -> None:
    if not heard.is_ok or heard.text.split() != text.split():
        raise RuntimeError(f"{way.name}: {heard.head[:80]!r} {heard.body[:300]!r}")


def latency(ways: Ways, report: Report) -> None:
    """Added by each to one chat at a time, in turn, so that a slow moment meets all of them."""
    for what, aim, stream in (
        ("added latency of a whole answer, one at a time, ms", "<= 1 / 5 ms", False),
        ("added time to the first chunk, one at a time, ms", "<= 1.5 / 10 ms", True),
    ):
        found: dict[str, list[float]] = {name: [] for name in WAYS}
        for name in WAYS:
            asyncio.run(_one_by_one(ways[name], stream=stream))  # warm
        for number in range(ROUNDS):
            report.say(f"{what}: round {number + 1} of {ROUNDS}")
            for name in WAYS:
                found[name] += asyncio.run(_one_by_one(ways[name], stream=stream))
        least = spread(found[DIRECT])
        cells: dict[str, dict[str, Figure]] = {}
        for name, times in found.items():
            own = spread(times)
            cells[name] = {"all": own}
            if name != DIRECT:
                cells[name]["added"] = f"{own.p50 - least.p50:.2f} / {own.p99 - least.p99:.2f}"
        report.add(Row(what, aim, cells))


Work = Callable[[Client, int], Awaitable[None]]


def _cost_us(way: Gateway, count: int, connections: int, work: Work) -> float:
    """Microseconds of the whole tree's processor time for each of so many things."""
    before_s = way.cpu_s()
    asyncio.run(each(connections, work, way.url))
    return (way.cpu_s() - before_s) * 1e6 / count


def _requests(way: Gateway) -> float:
    number = REQUESTS.get(way.name, 100)

    async def work(client: Client, place: int) -> None:
        del place
        for _ in range(number):
            _check(way, await client.chat("echo", WORDS, way.key, stream=False), WORDS)

    return _cost_us(way, number * TOGETHER, TOGETHER, work) / MS


def _chunks(way: Gateway) -> float:
    number = STREAMS.get(way.name, 12)

    async def work(client: Client, place: int) -> None:
        del place
        for _ in range(number):
            _check(way, await client.chat("echo", CHUNKS, way.key), CHUNKS)

    return _cost_us(way, number * TOGETHER * len(CHUNKS.split()), TOGETHER, work)


def _paced(way: Gateway) -> float:
    together = TOGETHER if way.name == HTTP else PACED_TOGETHER.get(way.name, 64)

    async def work(client: Client, place: int) -> None:
        await asyncio.sleep(0.02 * place / together)
        _check(way, await client.chat("echo-20ms", PACED, way.key), PACED)

    return _cost_us(way, together * len(PACED.split()), together, work)


def cpu(ways: Ways, report: Report) -> None:
    """Processor time of each one's whole process tree."""
    for what, aim, measure, note in (
        ("CPU ms per request", "<= 0.5", _requests, f"{TOGETHER} connections, whole answers."),
        ("CPU µs per chunk, as fast as it goes", "<= 75", _chunks, "Streams of 100 words."),
        (
            "CPU µs per chunk, paced",
            "<= 75",
            _paced,
            "A word every 20 ms; 64 streams, LiteLLM and arenad over HTTP 8.",
        ),
    ):
        found: dict[str, list[float]] = {}
        for number in range(3):
            report.say(f"{what}: round {number + 1} of 3")
            for name in (ECHO, HTTP, FLOOR, LITELLM):
                found.setdefault(name, []).append(measure(ways[name]))
        cells: dict[str, dict[str, Figure]] = {
            name: {"": statistics.median(times), "of": _range(times)}
            for name, times in found.items()
        }
        report.add(Row(what, aim, cells, f"The whole process tree, median of 3 rounds. {note}"))


def _range(times: list[float]) -> str:
    return f"{min(times):.3g}-{max(times):.3g}"
