"""One answer from its source through its grammar: the end, the grace, what came in its place."""

from collections.abc import Callable

import pytest
from scripted_browser import tell

from arenad.errors import NeedsHuman, ProfileOutdated, RequestError, TimedOut, UpstreamFailed
from arenad.schema.chat import Event, Finish, ReasoningDelta, SideFailed, TextDelta
from arenad.schema.profile import AnswerRules, StreamRules
from arenad.worker.sites import reading as reading_module
from arenad.worker.sites.reading import Reading, merged
from arenad.worker.source import Inbox

LINES = StreamRules(
    url_pattern="/",
    grammar="json-lines",
    answer=AnswerRules(text="t", finish="end"),
    signs={"are you human": "needs_human"},
    session="chat",
    message="id",
)


class Endless(Inbox):
    """A connection that goes on after the answer."""

    @property
    def has_end(self) -> bool:
        return False


def filled(
    kind: type[Inbox], *pieces: bytes | str, status: int = 200, end: str | None = ""
) -> Inbox:
    source = kind()
    source.status = status
    for piece in pieces:
        source._add(piece)
    if end is not None:
        source._end(end)
    return source


async def read(source: Inbox) -> tuple[list[Event], Finish | RequestError]:
    reading = Reading(LINES)
    events = [event async for batch in reading.events(source) for event in batch]
    last, outcome = reading.end()
    return events + last, outcome


TEXT, END = b'{"t":"x","chat":"c","id":"m"}\n', b'{"end":1}\n'


def test_an_answer_and_its_names() -> None:
    """Pieces that came together are one event; ids are at hand."""

    async def story() -> None:
        reading = Reading(LINES)
        source = filled(Inbox, TEXT, TEXT, END)
        assert [batch async for batch in reading.events(source)] == [[TextDelta("xx")]]
        assert reading.end() == ([], Finish("stop"))
        assert (reading.session_id, reading.message_id) == ("c", "m")

    tell(story())


@pytest.mark.parametrize("kind", [Inbox, Endless])
@pytest.mark.parametrize("end", [None, "", "net::ERR_RESET"])
def test_the_finish_sign_is_the_end(
    kind: type[Inbox], end: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the connection stays open, ends or breaks after it."""
    monkeypatch.setattr(reading_module, "FINISH_GRACE_S", 0.05)

    async def story() -> None:
        assert await read(filled(kind, TEXT + END, end=end)) == ([TextDelta("x")], Finish("stop"))

    tell(story())


def test_what_comes_after_the_finish_sign_is_read() -> None:
    """In a body of its own."""

    async def story() -> None:
        source = filled(Inbox, END, TEXT)
        assert await read(source) == ([TextDelta("x")], Finish("stop"))

    tell(story())


def test_a_broken_answer_without_it_is_cut() -> None:
    """Told by the network, or by the grammar where the network says nothing."""

    async def story() -> None:
        with pytest.raises(UpstreamFailed, match=r"cut: net::ERR_RESET"):
            await read(filled(Inbox, TEXT, end="net::ERR_RESET"))
        _, outcome = await read(filled(Inbox, TEXT))
        assert isinstance(outcome, UpstreamFailed)

    tell(story())


PAGE = b"<!doctype html><title>Hello</title><p>"


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: filled(Inbox, b"no", status=500), UpstreamFailed, "the site answered 500: no"),
        (lambda: filled(Inbox, b"no", status=500, end=None), UpstreamFailed, "500: no"),
        (lambda: filled(Inbox, b"\xff", status=500, end="cut"), UpstreamFailed, "500: \ufffd"),
        (lambda: filled(Inbox, PAGE, b"are you human?", status=403), NeedsHuman, "403: 'Hello'"),
        (lambda: filled(Inbox, PAGE, b"are you human?"), NeedsHuman, "a page in place"),
        (lambda: filled(Inbox, PAGE, end=None), ProfileOutdated, "'Hello'"),
    ],
)
def test_what_came_in_its_place(
    make: Callable[[], Inbox], kind: type[RequestError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status, a page; read as far as it comes soon."""
    monkeypatch.setattr(reading_module, "BEGINNING_TIMEOUT_S", 0.05)

    async def story() -> None:
        with pytest.raises(kind, match=said):
            await read(make())

    tell(story())


def test_a_page_behind_an_empty_line_is_one() -> None:
    """Then the grammar has read it, and could not."""

    async def story() -> None:
        _, outcome = await read(filled(Inbox, b"\n", PAGE))
        assert isinstance(outcome, ProfileOutdated)
        assert "a page in place" in outcome.message

    tell(story())


def test_text_of_one_side_is_merged() -> None:
    """Not across sides, nor across kinds."""
    events = [
        TextDelta("a"),
        TextDelta("b"),
        TextDelta("c", 1),
        ReasoningDelta("d"),
        ReasoningDelta("e"),
    ]
    assert merged(events) == [TextDelta("ab"), TextDelta("c", 1), ReasoningDelta("de")]


TWO = StreamRules(url_pattern="/", grammar="arena-lines")
WHOLE_A = b'a0:"x"\nad:{"finishReason":"stop"}\nb0:"y"\n'


def test_a_whole_side_is_kept_when_the_other_is_cut() -> None:
    """By the network, by a word of whoever waits no longer; in vain where none is whole."""

    async def story() -> None:
        for end, trouble, kind in (
            ("net::ERR_RESET", None, "upstream"),
            (None, TimedOut("late"), "timeout"),
        ):
            reading = Reading(TWO, "ab")
            batches = reading.events(filled(Inbox, WHOLE_A, end=end))
            assert await anext(batches) == [TextDelta("x"), TextDelta("y", 1)]
            assert reading.has_whole_side
            if end is not None:
                assert [batch async for batch in batches] == []
            (failed,), last = reading.end(trouble)
            assert isinstance(failed, SideFailed)
            assert (failed.side, failed.failure.kind, last) == (1, kind, Finish("stop"))
        batches = Reading(TWO, "ab").events(filled(Inbox, b'a0:"x"\n', end="net::ERR_RESET"))
        assert await anext(batches) == [TextDelta("x")]
        with pytest.raises(UpstreamFailed, match="RESET"):
            await anext(batches)

    tell(story())


def test_one_of_two_does_not_wait_for_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after its own finish sign it is whole, however much of the other one still comes."""
    monkeypatch.setattr(reading_module, "ALONE_GRACE_S", 0.0)

    async def story() -> None:
        reading = Reading(TWO, "a", is_one_of_two=True)
        source = filled(Inbox, WHOLE_A, end=None)
        async for _ in reading.events(source):
            source._add(b'b0:"more"\n')
        assert reading.end() == ([], Finish("stop"))

    tell(story())


def test_each_side_has_its_own_name() -> None:
    """As far as the traffic told it."""

    async def story() -> None:
        reading = Reading(TWO, "ab")
        named = b'bf:{"messageId":"n"}\naf:{"messageId":"m"}\n'
        _ = [batch async for batch in reading.events(filled(Inbox, named + WHOLE_A))]
        assert reading.message_ids == ("m", "n")

    tell(story())
