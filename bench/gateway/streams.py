"""How many streams of a word every 20 ms one frontend carries."""

import asyncio
import time

from bench.gateway.load import Client, Heard, words
from bench.gateway.ways import DIRECT, ECHO, FLOOR, LITELLM, Gateway, Ways
from bench.report import Figure, Report, Row, spread

STEPS = {
    ECHO: (64, 128, 192, 256, 320, 384, 448, 512),
    FLOOR: (64, 128, 192, 256, 320, 384, 448, 512),
    DIRECT: (512,),
    LITELLM: (4, 8, 12, 16),
}
TEXT = words(200)
BEGIN_S = 1.0
"""They begin one after another within so long."""

GAP_MS, FIRST_MS = 40.0, 250.0


async def _step(way: Gateway, count: int) -> list[Heard]:
    clients = [await Client.connect(way.url) for _ in range(count)]

    async def one(place: int, client: Client) -> Heard:
        await asyncio.sleep(BEGIN_S * place / count)
        return await client.chat("echo-20ms", TEXT, way.key)

    try:
        return list(await asyncio.gather(*(one(*each) for each in enumerate(clients))))
    finally:
        for client in clients:
            client.leave()


def _told(way: Gateway, count: int) -> tuple[dict[str, Figure], bool]:
    before_s, began_s = way.cpu_s(), time.monotonic()
    answers = asyncio.run(_step(way, count))
    took_s, used_s = time.monotonic() - began_s, way.cpu_s() - before_s
    lost = sum(not each.is_ok or each.text.split() != TEXT.split() for each in answers)
    gaps = spread(gap for each in answers for gap in each.gaps_ms)
    first = spread((each.first_s - each.asked_s) * 1000 for each in answers)
    chunks = count * len(TEXT.split())
    told: dict[str, Figure] = {
        "lost": float(lost),
        "gap ms": gaps,
        "first ms": first,
        "CPU µs a chunk": used_s * 1e6 / chunks,
        "% of a core": 100 * used_s / took_s,
    }
    return told, not lost and gaps.p99 < GAP_MS and first.p99 < FIRST_MS


def rows(ways: Ways, report: Report) -> None:
    """Step by step, until one is not carried twice."""
    cells: dict[str, dict[str, Figure]] = {}
    for name, steps in STEPS.items():
        cells[name] = {"streams": 0.0}
        for count in steps:
            for _ in range(2):
                told, is_carried = _told(ways[name], count)
                report.say(f"{name}: {count} streams: {is_carried and 'carried'}: {told}")
                if is_carried:
                    break
            if not is_carried:
                cells[name]["then"] = f"{count} not carried"
                break
            cells[name] = {"streams": float(count), **told}
    what = "streams of a word every 20 ms that one frontend carries"
    aim = f">= 256: none lost, gap p99 < {GAP_MS:g} ms, first chunk p99 < {FIRST_MS:g} ms"
    note = "Gateway on one processor; client (and what is asked over HTTP) on the other. "
    note += "The echo has its frontend and its worker on the one; bare aiohttp asks over HTTP."
    report.add(Row(what, aim, cells, note))
