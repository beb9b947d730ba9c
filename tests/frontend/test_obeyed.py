"""A model's text as calls: what is one, what stays text, and when none is a failure."""

import itertools
from typing import Any

import pytest
from msgspec.structs import replace

from arenad import notation
from arenad.errors import NoToolCalled, NotTheFormat, UpstreamFailed
from arenad.frontend.instruct import Emulation, Format, Tool
from arenad.frontend.obeyed import MAX_SAID_CHARS, Reader
from arenad.frontend.vocabulary import Shown, ToolCall
from arenad.schema.chat import (
    Citation,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    failure_of,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
WANTED = Emulation("tools", (Tool("add", "", SCHEMA), Tool("sure", "", SCHEMA, is_strict=True)))
ADD = notation.call("add", {"a": 3})
FAILED = SideFailed(failure_of(UpstreamFailed("no")))


def reader(wanted: Emulation = WANTED, expected: int = 1) -> Reader:
    numbers = itertools.count(1)
    return Reader(wanted, expected, lambda: str(next(numbers)))


def read(made: Reader, *events: Event | str) -> list[Shown]:
    """What is shown of these; a text is a piece of it."""
    given = [TextDelta(each) if isinstance(each, str) else each for each in events]
    return [shown for each in given for shown in made.take(each)]


def test_text_and_calls_come_in_their_order() -> None:
    """Without the spaces between them; each call has an id of its own."""
    shown = read(reader(), "Let me", " see.\n\n", f"{ADD}\n", ADD, "\n", Finish("stop"))
    assert shown == [
        TextDelta("Let me"),
        TextDelta(" see."),
        ToolCall("1", "add", '{"a":3}'),
        ToolCall("2", "add", '{"a":3}'),
        Finish("stop"),
    ]


def test_text_behind_a_call_is_a_paragraph_of_its_own() -> None:
    """So that all of it is one text again where calls stand apart."""
    shown = read(reader(), f"A\n{ADD}\n", "B", Finish("stop"))
    assert [each.text for each in shown if isinstance(each, TextDelta)] == ["A", "\n\nB"]
    shown = read(reader(), f"{ADD}\nB", " C", Finish("stop"))
    assert [each.text for each in shown if isinstance(each, TextDelta)] == ["B", " C"]


@pytest.mark.parametrize(
    "block",
    [
        notation.call("other", {}),
        notation.call("add", []),
        notation.call("sure", {"a": "x"}),
        notation.call("sure", {}),
        "```tool_call\n{nonsense\n```",
        '```tool_call\n{"name": "add"',
    ],
)
def test_what_is_no_call_stays_text(block: str) -> None:
    """Of no tool, without an object, against a strict schema, no JSON, without an end."""
    *shown, end = read(reader(), f"So:\n\n{block}", Finish("stop"))
    assert "".join(each.text for each in shown if isinstance(each, TextDelta)) == f"So:\n\n{block}"
    assert end == Finish("stop")


def test_arguments_are_held_to_a_strict_schema_alone() -> None:
    """Else the client looks at them, and tells the model."""
    for name, arguments in (("sure", {"a": 1}), ("add", {"b": []})):
        (call, _) = read(reader(), notation.call(name, arguments), Finish("stop"))
        assert isinstance(call, ToolCall)
        assert call.name == name


def test_one_call_is_enough_where_one_is_wanted() -> None:
    """The page is told to stop, and the answer is whole."""
    made = reader(replace(WANTED, is_parallel=False))
    shown = read(made, f"{ADD}\n{ADD}\nmore")
    assert shown == [ToolCall("1", "add", '{"a":3}'), Finish("stop")]
    assert made.is_over
    assert read(made, "more", Finish("stop")) == []


@pytest.mark.parametrize("more", [{"choice": "required"}, {"chosen": "add"}])
def test_a_call_that_had_to_come(more: dict[str, Any]) -> None:
    """Is a failure of the site's where it did not; not so when the answer was cut."""
    wanted = replace(WANTED, **more)
    for text in ("no", notation.call("sure", {"a": 1}) if "chosen" in more else ""):
        with pytest.raises(NoToolCalled, match="did not call"):
            read(reader(wanted), text, Finish("stop"))
    for end in (Finish("length"), Finish("content_filter")):
        assert read(reader(wanted), "no", end)[-1] == end
    assert read(reader(wanted), ADD, Finish("stop"))[-1] == Finish("stop")


def _needed(*events: Event) -> list[Shown]:
    """What two sides show of which each had to call a tool."""
    return read(reader(replace(WANTED, choice="required"), 2), *events)


def test_each_side_is_read_by_itself() -> None:
    """Pieces of two answers that come in turn."""
    one, two = ADD[:20], ADD[20:]
    both = (TextDelta(one), TextDelta(one, 1), TextDelta(two, 1), TextDelta(two), Finish("stop", 1))
    assert read(reader(expected=2), *both, Finish("stop")) == [
        ToolCall("1", "add", '{"a":3}', 1),
        ToolCall("2", "add", '{"a":3}', 0),
        Finish("stop", 1),
        Finish("stop"),
    ]


def test_a_side_that_fails_leaves_the_other() -> None:
    """Whichever ends first; none that is as wanted is a failure of both."""
    for number in (0, 1):
        call, end = TextDelta(ADD, number), Finish("stop", number)
        other = Finish("stop", 1 - number)
        for events in ((call, end, other), (other, call, end)):
            shown = _needed(*events)
            assert end in shown
            assert [each.side for each in shown if isinstance(each, SideFailed)] == [1 - number]
    assert _needed(FAILED, TextDelta(ADD, 1), Finish("stop", 1))[0] == FAILED
    for first in (FAILED, Finish("stop")):
        with pytest.raises(NoToolCalled):
            _needed(first, Finish("stop", 1))


def test_other_events_pass() -> None:
    """Reasoning at once; an image and a source after the text that was held before them."""
    image, source = Image("http://a/"), Citation("http://a/", "b")
    beat, thought = Heartbeat(), ReasoningDelta("```tool_call")
    assert read(reader(), "a\n", beat, thought, image, "```", source, Finish("length")) == [
        TextDelta("a"),
        beat,
        thought,
        TextDelta("\n"),
        image,
        TextDelta("```"),
        source,
        Finish("length"),
    ]


FORM = Emulation("response_format", format=Format(SCHEMA))


def _text(shown: list[Shown]) -> str:
    return "".join(each.text for each in shown if isinstance(each, TextDelta))


def test_json_is_all_that_is_shown() -> None:
    """As it comes; no fence, no words, no sources around it."""
    made = reader(FORM)
    assert _text(read(made, "Here:\n\n```json\n", '{"a"')) == '{"a"'
    assert _text(read(made, ": 3", "}\n```", "\nDone.", Citation("http://a/", "b"))) == ": 3}"
    assert read(made, Finish("stop")) == [Finish("stop")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Sorry.", "it has no {"),
        ('{"a": 1', "it has no end"),
        ("{a: 1}", "JSON is malformed"),
        ('{"a": "x"}', 'not of type "integer" at'),
        ("{}", "is a required property"),
        ('{"a":' + "[" * 2000 + "]" * 2000 + "}", ""),
    ],
)
def test_what_is_not_the_json_is_a_failure(text: str, fault: str) -> None:
    """With what is wrong with it, and with what was said, to be told once more."""
    with pytest.raises(NotTheFormat) as told:
        read(reader(FORM), text[:3], text[3:], Finish("stop"))
    assert fault in told.value.message
    assert told.value.said == text


def test_what_was_said_is_bounded() -> None:
    """And of two sides none is asked once more."""
    with pytest.raises(NotTheFormat) as told:
        read(reader(FORM), "x" * MAX_SAID_CHARS, "x", Finish("stop"))
    assert told.value.said == ""
    with pytest.raises(NotTheFormat) as told:
        read(reader(FORM, 2), "x", Finish("stop"), TextDelta("x", 1), Finish("stop", 1))
    assert told.value.said == ""


def test_json_that_was_cut_is_no_fault_of_the_models() -> None:
    """Its reason says that it is not whole."""
    assert read(reader(FORM), '{"a"', Finish("length"))[-1] == Finish("length")


def test_a_call_may_come_instead_of_json() -> None:
    """Where there are both; a list is one where a list is wanted."""
    both = replace(WANTED, format=FORM.format)
    shown = read(reader(both), f"Let me see {{.\n\n{ADD}", Finish("stop"))
    assert isinstance(shown[-2], ToolCall)
    shown = read(
        reader(Emulation("f", format=Format({"type": "array"}))), "So: [1]", Finish("stop")
    )
    assert _text(shown) == "[1]"
