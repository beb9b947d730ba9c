"""How long a light key waits beside one that floods, by its fair share: over one slow instance."""

import asyncio
import json
import time

from bench.gateway.load import Client, words
from bench.gateway.ways import arenad
from bench.peers import serving
from bench.report import Report, Row, spread

ANSWER_WORDS, WORD_S = 10, 0.02
ANSWER_S = ANSWER_WORDS * WORD_S
MODEL = "echo-20ms"
FLOOD, LIGHT = 40, 40
"""Requests that the one has waiting at all times, and that the other makes, one after another."""

AIM = 1.2


def measure(report: Report) -> list[str]:
    """Two rows: alone, and beside the flood. The fair share of two is half of the instance.

    On half an instance an answer takes twice as long; what the light key is given is held to that.
    """
    with serving.running("bench.gateway.upstream") as (upstream, _), arenad(upstream, 1) as daemon:
        keys = {
            name: json.loads(daemon.ctl("keys", "create", name, "--json").stdout)["key"]
            for name in ("flooder", "light")
        }
        alone = asyncio.run(_light(daemon.api_url, keys["light"]))
        beside = asyncio.run(_beside(daemon.api_url, keys))
    fair_s = 2 * sum(alone) / len(alone)
    share = sum(beside) / len(beside) / fair_s
    figures = {"times its fair share": share, "s": spread(beside), "alone": spread(alone)}
    what = f"a light key beside {FLOOD} waiting of another, one slot"
    report.add(Row(what, f"<= {AIM} times", {"after": figures}))
    return [f"{what}: {share:.2f} times its fair share"] if share > AIM else []


async def _light(url: str, key: str) -> list[float]:
    """One after another; how long each took."""
    took_s: list[float] = []
    for _ in range(LIGHT):
        client = await Client.connect(url)
        began_s = time.monotonic()
        heard = await client.chat(MODEL, words(ANSWER_WORDS), key)
        assert heard.is_ok, heard.head
        took_s.append(time.monotonic() - began_s)
        client.leave()
    return took_s


async def _beside(url: str, keys: dict[str, str]) -> list[float]:
    over = asyncio.Event()

    async def flood() -> None:
        while not over.is_set():
            client = await Client.connect(url)
            await client.chat(MODEL, words(ANSWER_WORDS), keys["flooder"])
            client.leave()

    async with asyncio.TaskGroup() as group:
        for _ in range(FLOOD):
            group.create_task(flood())
        await asyncio.sleep(2 * ANSWER_S)
        took_s = await _light(url, keys["light"])
        over.set()
    return took_s
