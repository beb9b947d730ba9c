"""One answer on its way: rests, heartbeats, limits, a model that fails."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from time import monotonic_ns

import aiohttp
import pytest
from aiohttp import web
from serving import listening

from arenad.demo import generation
from arenad.demo.generation import Generation, paced
from arenad.demo.models import Piece
from arenad.demo.upstream import UpstreamFault


def _written(pieces: AsyncGenerator[Piece, None], *, stopped: bool = False) -> tuple[str, str]:
    """How an answer of these pieces ended, and the lines a client got."""
    endings: list[str] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        answer = Generation(response)
        if stopped:
            answer.stop()
        endings.append(await answer.run("m", 4, pieces))
        return response

    async def story() -> str:
        app = web.Application()
        app.add_routes([web.get("/", reply)])
        async with (
            listening(web.AppRunner(app)) as address,
            aiohttp.ClientSession() as client,
            client.get(address) as response,
        ):
            return (await response.read()).decode()

    lines = asyncio.run(story())
    return endings[0], lines


async def _failing(pieces: Iterable[Piece]) -> AsyncGenerator[Piece, None]:
    for piece in pieces:
        yield piece
    raise UpstreamFault("out of order")


def test_text_and_reasoning_have_their_lines() -> None:
    """Reasoning goes out under its own code, and does not count as text."""
    pieces = [Piece("hm", kind="reasoning"), Piece("yes")]
    assert _written(paced(iter(pieces))) == (
        "finished",
        (
            'af:{"messageId":"m"}\nag:"hm"\na0:"yes"\n'
            'ad:{"finishReason":"stop","usage":{"promptTokens":1,"completionTokens":1}}\n'
        ),
    )


def test_silence_is_filled_with_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a model rests for long, the client hears that the answer is still coming."""
    monkeypatch.setattr(generation, "HEARTBEAT_S", 0.01)
    ending, lines = _written(paced(iter([Piece("late", pause_s=0.1)])))
    assert ending == "finished"
    before, after = lines.split('a0:"late"\n')
    assert 'a2:[{"type":"heartbeat"}]\n' in before
    assert after.startswith("ad:")


def test_a_clock_piece_tells_when_it_is_written() -> None:
    """The time of each is read when its rest is over, not when the answer was made up."""
    before_ns = monotonic_ns()
    clocks = [Piece("", kind="clock"), Piece("", pause_s=0.05, kind="clock")]
    ending, lines = _written(paced(iter(clocks)))
    assert ending == "finished"
    first_ns, second_ns = (int(line[4:-2]) for line in lines.splitlines()[1:3])
    assert before_ns < first_ns
    assert first_ns < second_ns < monotonic_ns()
    assert second_ns > before_ns + 49_000_000  # a rest of 50 ms, but for the loop's rounding


def test_a_stop_before_the_start_counts() -> None:
    """Who stops early gets an answer without text and with a proper end."""
    ending, lines = _written(paced(iter([Piece("never", pause_s=30.0)])), stopped=True)
    assert ending == "stopped"
    assert [line[:2] for line in lines.splitlines()] == ["af", "ad"]


@pytest.mark.parametrize("limit", ["ANSWER_LIMIT_BYTES", "TOTAL_TIMEOUT_S"])
def test_limits_end_an_answer_as_length(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """An answer that is too long, in bytes or in time, is cut and says so."""
    monkeypatch.setattr(generation, limit, 5 if limit.endswith("BYTES") else 0.02)
    ending, lines = _written(paced(iter([Piece("four"), Piece("more", pause_s=0.5)])))
    assert ending == "cut"
    assert 'a0:"more"' not in lines
    assert '{"finishReason":"length"' in lines


def test_a_failing_model_is_told_in_the_stream() -> None:
    """What came before the failure stays, the failure follows in the model's words."""
    ending, lines = _written(_failing([Piece("so far")]))
    assert ending == "finished"
    assert 'a0:"so far"\na3:"out of order"\nad:' in lines
