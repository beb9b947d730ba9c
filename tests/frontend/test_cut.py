"""cut: answers end at the client's words and lengths, however they come in pieces."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from arenad.frontend.api import through
from arenad.frontend.cut import Cutter, StopFinder
from arenad.frontend.tokens import count
from arenad.frontend.vocabulary import Stopped, Wish
from arenad.schema.chat import (
    Citation,
    Event,
    Failure,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
)

WISH = Wish(model="m", turns=(), stream=True, include_usage=False, ignored=())
ENOUGH = Finish("stop")


def cut(
    *events: Event, stops: Sequence[str] = (), most: int | None = None, sides: int = 1
) -> list[Event]:
    """What is shown of the events, until it is over."""
    wish = msgspec.structs.replace(WISH, stops=tuple(stops), max_tokens=most)
    cutter = Cutter(wish, sides)
    shown: list[Event] = []
    for event in events:
        shown += cutter.take(event)
        if cutter.is_over:
            break
    return shown


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    borders = sorted({0, len(text), *(each for each in cuts if each < len(text))})
    return [text[a:b] for a, b in itertools.pairwise(borders)]


def first_stop(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """By reading it character by character, without a buffer."""
    for end in range(len(text) + 1):
        for stop in sorted(stops, key=len, reverse=True):
            if text[:end].endswith(stop):
                return text[: end - len(stop)], stop
    return text, None


TEXTS = st.text("abc\né👩", max_size=40)
STOPS = st.lists(st.text("abc\né👩", min_size=1, max_size=4), min_size=1, max_size=4)


@given(TEXTS, STOPS, st.lists(st.integers(1, 40)))
@example("aab", ["ab"], [1, 2])
@example("abcd", ["bcd", "c"], [1, 2, 3])
def test_the_first_stop_is_found_in_any_pieces(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    """The text before it, its name, and nothing after."""
    events = [TextDelta(each) for each in pieces(text, cuts)]
    *shown, finish = cut(*events, ENOUGH, stops=stops)
    before, stop = first_stop(text, stops)
    assert "".join(each.text for each in shown if isinstance(each, TextDelta)) == before
    assert finish == (ENOUGH if stop is None else Stopped("stop", 0, stop))


@given(TEXTS, STOPS)
def test_only_what_may_begin_a_stop_is_held_back(text: str, stops: list[str]) -> None:
    """Character by character: what is not shown yet is the beginning of some stop."""
    finder, shown = StopFinder(stops), ""
    for at, each in enumerate(text, 1):
        said, stop = finder.take(each)
        shown += said
        if stop:
            return
        held = text[len(shown) : at]
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def test_what_was_held_back_is_shown_at_the_end() -> None:
    """Before whatever shows that it begins no stop."""
    picture, source = Image("http://a/"), Citation("http://a/", "A")
    for event in (picture, source):
        assert cut(TextDelta("ab"), event, TextDelta("c"), ENOUGH, stops=["bc"]) == [
            *(TextDelta("a"), TextDelta("b"), event, TextDelta("c"), ENOUGH)
        ]
    told = cut(TextDelta("ab"), Heartbeat(), ReasoningDelta("c"), ENOUGH, stops=["bc"])
    assert told == [TextDelta("a"), Heartbeat(), ReasoningDelta("c"), TextDelta("b"), ENOUGH]


@given(st.text("ab .\né汉👩", max_size=80), st.lists(st.integers(1, 80)), st.integers(1, 40))
def test_a_text_is_cut_at_its_length(text: str, cuts: list[int], most: int) -> None:
    """A beginning that is within it; the reason tells whether anything is missing."""
    *shown, finish = cut(*map(TextDelta, pieces(text, cuts)), ENOUGH, most=most)
    told = "".join(each.text for each in shown if isinstance(each, TextDelta))
    assert text.startswith(told)
    assert count(told) <= most
    assert (finish == Finish("length")) == (told != text)
    if finish == ENOUGH:
        assert told == text


def test_reasoning_counts_and_an_image_is_never_halved() -> None:
    """What does not fit is left out; a source likewise."""
    assert cut(ReasoningDelta("a b c d e f"), TextDelta("x"), most=3) == [
        ReasoningDelta("a b c"),
        Finish("length"),
    ]
    assert cut(TextDelta("a"), Image("http://a.example/b.png"), most=3) == [
        TextDelta("a"),
        Finish("length"),
    ]


def test_a_stop_beyond_the_length_is_not_reached() -> None:
    """And one right at it is."""
    assert cut(TextDelta("a b c END"), stops=["END"], most=2)[-1] == Finish("length")
    assert cut(TextDelta("a b END"), stops=[" END"], most=2)[-1] == Stopped("stop", 0, " END")
    assert cut(TextDelta("a b c"), TextDelta("d"), ENOUGH, stops=["cd"], most=3)[-1] == Stopped(
        "stop", 0, "cd"
    )


def test_of_two_sides_each_is_ended_by_itself() -> None:
    """A cut one says so at its own end, or when the other one is cut as well."""
    one = cut(
        *(TextDelta("aX", 0), TextDelta("lost", 0), TextDelta("b", 1)),
        *(Finish("stop", 1), Finish("stop", 0)),
        stops=["X"],
        sides=2,
    )
    assert one == [
        *(TextDelta("a", 0), TextDelta("b", 1), Finish("stop", 1), Stopped("stop", 0, "X"))
    ]
    both = cut(TextDelta("aX", 0), TextDelta("bX", 1), TextDelta("lost", 1), stops=["X"], sides=2)
    assert both[-2:] == [Stopped("stop", 0, "X"), Stopped("stop", 1, "X")]
    failed = SideFailed(Failure("upstream", "no"), 1)
    broken = cut(TextDelta("aX", 0), failed, TextDelta("lost"), stops=["X"], sides=2)
    assert broken == [TextDelta("a", 0), failed, Stopped("stop", 0, "X")]


@pytest.mark.parametrize(("stop", "closed"), [("b", True), ("z", False)])
def test_the_page_is_told_to_stop_before_the_end_is_told(stop: str, closed: bool) -> None:
    """Nothing more is asked of it; an answer that ends by itself is read to its end."""
    read: list[str] = []

    async def given() -> AsyncGenerator[Event]:
        try:
            for each in "abc":
                read.append(each)
                yield TextDelta(each)
            yield ENOUGH
            read.append("end")
        finally:
            read.append("closed")

    async def told() -> list[Event]:
        wish = msgspec.structs.replace(WISH, stops=(stop,))
        return [event async for event in through(given(), Cutter(wish, 1))]

    shown = asyncio.run(told())
    assert isinstance(shown[-1], Finish)
    assert read == (["a", "b", "closed"] if closed else ["a", "b", "c", "end", "closed"])
