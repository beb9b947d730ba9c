"""One answer from its source through its grammar: the end, the grace, what came in its place."""

import asyncio
from collections.abc import Callable

import pytest
from scripted_browser import tell

from arenad.errors import (
    NeedsHuman,
    ProfileOutdated,
    RequestError,
    TimedOut,
    UpstreamFailed,
    WorkerLost,
)
from arenad.schema.chat import (
    Chat,
    Event,
    Finish,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
    failure_of,
)
from arenad.schema.profile import AnswerRules, StreamRules
from arenad.worker.sites import reading as reading_module
from arenad.worker.sites.performing import Asked, Deadline, perform
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


TEXT_RULES = StreamRules(url_pattern="/", grammar="text", signs=LINES.signs)
HTML_PAGE = b"<!DOCTYPE  html>\n<title>Hello</title>are you human?"


@pytest.mark.parametrize("rules", [LINES, TEXT_RULES], ids=lambda rules: rules.grammar)
@pytest.mark.parametrize("lead", [b"", b"\n", b"\xef\xbb\xbf \n", b"<!-- a <p> -->\n<!---->"])
def test_a_page_is_one_however_it_is_cut(lead: bytes, rules: StreamRules) -> None:
    """Each cut comes as a read of its own; an answer of its beginning would be told as whole."""
    page = lead + HTML_PAGE

    async def story() -> None:
        for at in range(len(page)):
            with pytest.raises(NeedsHuman, match="a page in place of an answer: 'Hello'"):
                await read_apart(rules, page[:at], page[at:])
        with pytest.raises((ProfileOutdated, UpstreamFailed), match="a page in place"):
            await read_apart(rules, *(bytes([byte]) for byte in lead + b"<html"))

    tell(story())


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        (StreamRules(transport="any"), "text/html"),
        (TEXT_RULES, "text/plain; charset=utf-8"),
    ],
)
def test_an_answer_that_is_a_page_is_one(rules: StreamRules, kind: str) -> None:
    """Where the model was asked for a document, and what is read says that it is no page."""

    async def story() -> None:
        assert await read_apart(rules, HTML_PAGE, kind=kind) == HTML_PAGE.decode()

    tell(story())


def test_a_text_that_is_a_page_condemns_no_profile() -> None:
    """The model may have been asked for it."""

    async def story() -> None:
        with pytest.raises(UpstreamFailed, match="a page in place of an answer: 'x'"):
            await read_apart(TEXT_RULES, b"<html><title>x</title>", kind="text/html")

    tell(story())


class Apart(Inbox):
    """Each piece comes as a read of its own."""

    def _taken(self) -> list[bytes | str]:
        return [self._pieces.popleft()]


async def read_apart(rules: StreamRules, *pieces: bytes, kind: str = "") -> str:
    """The text of what comes in so many reads."""
    reading, source = Reading(rules), filled(Apart, *pieces)
    if kind:
        source.headers["content-type"] = kind
    batches = [batch async for batch in reading.events(source)]
    last, outcome = reading.end()
    assert outcome == Finish("stop")
    events = [*(event for batch in batches for event in batch), *last]
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    "answer",
    [
        "<",
        "\n\n",
        "\ufeffa",
        "<!-- x",
        "<!-- x -->y",
        "<header>",
        "<html-x>",
        "<!doctype xml>",
        "<bo",
    ],
)
def test_what_only_begins_like_a_page_is_an_answer(answer: str) -> None:
    """It is held back for a while, and lost never."""

    async def story() -> None:
        body = answer.encode()
        assert await read_apart(TEXT_RULES, *(bytes([byte]) for byte in body)) == answer
        long = f"<!--{answer * 5000}"
        assert await read_apart(TEXT_RULES, long.encode(), b"-->") == f"{long}-->"

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
    """By the network, by a word of whoever waits no longer, by a crash; in vain where none is whole."""

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
        reading, source = Reading(TWO, "ab"), filled(Inbox, WHOLE_A, end=None)
        batches = reading.events(source)
        await anext(batches)
        source.lose("the page crashed")
        assert [batch async for batch in batches] == []
        failed = SideFailed(failure_of(WorkerLost("the page crashed")), 1)
        assert reading.end() == ([failed], Finish("stop"))
        batches = Reading(TWO, "ab").events(filled(Inbox, b'a0:"x"\n', end="net::ERR_RESET"))
        assert await anext(batches) == [TextDelta("x")]
        with pytest.raises(UpstreamFailed, match="RESET"):
            await anext(batches)

    tell(story())


def test_a_whole_side_is_kept_when_the_answer_takes_too_long() -> None:
    """The deadline of the whole is none of the side that kept it; without such a side it is told."""

    async def performed(body: bytes) -> tuple[list[Event], Finish]:
        events: list[Event] = []

        async def ask() -> Asked:
            return Asked(filled(Inbox, body, end=None), Reading(TWO, "ab"))

        async def emit(event: Event) -> None:
            events.append(event)

        chat = Chat("r", "m", (Turn(role="user", text="x"),), 50.0, 50.0, 1.0)
        return events, await perform(chat, Deadline.of_whole(chat), ask, emit)

    async def story() -> None:
        told = "the whole answer took longer than 1 s"
        events, last = await performed(WHOLE_A)
        assert events[-1] == SideFailed(failure_of(TimedOut(told)), 1)
        assert last == Finish("stop")
        with pytest.raises(TimedOut, match=told):
            await performed(b'a0:"x"\nb0:"y"\n')

    tell(story())


def test_a_side_that_was_not_passed_on_whole_is_not_told_to_be() -> None:
    """Its reader was so slow that the time was up in the middle of it: that is no whole answer."""
    events: list[Event] = []

    async def ask() -> Asked:
        pieces = (b'b0:"y"\n', b'a0:"x"\nad:{"finishReason":"stop"}\n')
        return Asked(filled(Inbox, *pieces, end=None), Reading(TWO, "ab"))

    async def emit(event: Event) -> None:
        events.append(event)
        await asyncio.Event().wait()

    async def story() -> None:
        chat = Chat("r", "m", (Turn(role="user", text="x"),), 50.0, 50.0, 0.5)
        with pytest.raises(TimedOut):
            await perform(chat, Deadline.of_whole(chat), ask, emit)
        assert events == [TextDelta("y", 1)]

    tell(story())


def test_the_end_of_an_answer_is_taken_in_time() -> None:
    """A reader that takes no more when all has come holds nobody up for ever."""

    async def story() -> None:
        source = filled(Inbox, b'a0:"x"\nad:{"finishReason":"stop"}\n')

        async def ask() -> Asked:
            return Asked(source, Reading(TWO))

        async def emit(event: Event) -> None:
            del event

        asked = 0

        async def on_news() -> None:
            nonlocal asked
            asked += 1
            if asked == 3:  # once it was asked, at what came, at the end
                await asyncio.Event().wait()

        chat = Chat("r", "m", (Turn(role="user", text="x"),), 50.0, 0.2, 0.2)
        with pytest.raises(TimedOut, match=r"the answer's end was not taken within 0\.2 s"):
            await perform(chat, Deadline.of_whole(chat), ask, emit, on_news)
        assert asked == 3

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
