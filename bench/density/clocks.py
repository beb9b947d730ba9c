"""Clients of timed answers: how late each chunk is, from the site's clock to here.

`demo-clock` writes the machine's monotonic clock into each chunk; a reader here holds every one
against the same clock when it arrives. The client is the same for every way an answer can come.
"""

import asyncio
import itertools
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

import aiohttp
import msgspec

from arenad.demo.catalog import CATALOG
from arenad.demo.variants import DEFAULT, VARIANTS

MODEL = "demo-clock"
MODEL_ID = next(each.id for each in CATALOG if each.public_name == MODEL)
STAMP = re.compile(rb"(?<![\w-])\d{9,}(?![\w-])")
STREAM_PATH = f"{VARIANTS[DEFAULT].stream}/create-evaluation"
PATIENCE_S = 60.0


class Timed(NamedTuple):
    """One answer: when it was asked for, each chunk's stamp, and how late each came."""

    asked_ns: int
    stamps_ns: list[int]
    late_ms: list[float]

    @property
    def to_prompt_ms(self) -> float:
        """From the client's request to the site's first chunk, which it writes at once."""
        return (self.stamps_ns[0] - self.asked_ns) / 1e6


async def read(asked_ns: int, pieces: AsyncIterator[bytes]) -> Timed:
    """Every chunk of an answer, as its bytes arrive; a cut line is held until it is whole."""
    stamps_ns: list[int] = []
    late_ms: list[float] = []
    held = b""
    async for piece in pieces:
        now_ns = time.monotonic_ns()
        whole, newline, rest = (held + piece).rpartition(b"\n")
        held = rest
        # Other numbers, such as a date, are no time between the question and now.
        found = [int(each) for each in STAMP.findall(whole + newline)]
        found = [each for each in found if asked_ns <= each <= now_ns]
        stamps_ns += found
        late_ms += [(now_ns - each) / 1e6 for each in found]
    return Timed(asked_ns, stamps_ns, late_ms)


async def direct(session: aiohttp.ClientSession, site_url: str, prompt: str) -> Timed:
    """The floor: the site's own stream, asked for without any browser."""
    chat, asked, answer = (str(uuid.uuid4()) for _ in range(3))
    body = {
        "id": chat,
        "mode": "direct",
        "modality": "chat",
        "modelAId": MODEL_ID,
        "userMessageId": asked,
        "modelAMessageId": answer,
        "userMessage": {"content": prompt},
    }
    return await _post(session, site_url + STREAM_PATH, body, prompt)


async def through(
    session: aiohttp.ClientSession, api_url: str, prompt: str, model: str = MODEL
) -> Timed:
    """The same through an OpenAI-compatible endpoint, as server-sent events."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    return await _post(session, f"{api_url}/v1/chat/completions", body, prompt)


async def _post(session: aiohttp.ClientSession, url: str, body: object, prompt: str) -> Timed:
    asked_ns = time.monotonic_ns()
    async with session.post(url, data=msgspec.json.encode(body)) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status} {(await answer.text())[:300]}")
        timed = await read(asked_ns, answer.content.iter_any())
    wanted = int(prompt.split(maxsplit=1)[0])
    if len(timed.stamps_ns) != wanted:
        raise RuntimeError(f"{url}: {len(timed.stamps_ns)} chunks of {wanted}")
    return timed


def client() -> aiohttp.ClientSession:
    """A session without a limit on connections, for many streams at once."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=PATIENCE_S),
        headers={"Content-Type": "application/json"},
    )


async def together(count: int, ask: "Ask", pause_s: float = 0.05) -> list[Timed]:
    """So many answers at once, begun a moment after one another. Raises the first failure."""

    async def one(place: int) -> Timed:
        await asyncio.sleep(place * pause_s)
        return await ask()

    return list(await asyncio.gather(*(one(place) for place in range(count))))


def lateness(answers: Iterable[Timed]) -> list[float]:
    """All chunks of some answers."""
    return list(itertools.chain.from_iterable(each.late_ms for each in answers))


class Ask:
    """One way to ask for an answer, again and again."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, prompt: str, *, is_site: bool
    ) -> None:
        """`is_site`: the site itself is asked, not an endpoint in front of it."""
        self._arguments = session, url, prompt
        self._ask = direct if is_site else through

    async def __call__(self) -> Timed:
        """One answer."""
        return await self._ask(*self._arguments)
