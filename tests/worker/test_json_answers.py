"""Answers in JSON by a profile's paths: what is read, what is told when it is not there."""

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from splits import Told, at_every_split, told

from arenad.errors import ContentRejected, ProfileOutdated, RequestError, Resting, UpstreamFailed
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
from arenad.schema.profile import StreamRules
from arenad.worker.sites.grammars import framing
from arenad.worker.sites.grammars.answer import CUT, Grammar
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.reading import merged


def rules(text: str, **more: Any) -> StreamRules:
    """The rules of a profile's `stream:` section."""
    return msgspec.convert({"url_pattern": "/a", **yaml.safe_load(text), **more}, StreamRules)


OPENAI = rules("grammar: sse")
PIECES = rules("""
    grammar: json-lines
    answer: {text: t, reasoning: r, image: img, citation: src.*, finish: end}
    error: error
    done: over
    session: ids.chat
    message: ids.answer
""")
WHOLES = rules("grammar: json-lines\nanswer: {text: t, mode: replace, cursor: ▌, finish: end}")
LAST = rules("grammar: json-lines\nanswer: {text: t, mode: last, finish: end}")
HTML = rules("grammar: json-lines\nanswer: {text: t, mode: replace, is_html: true, finish: end}")
ENDLESS = rules("grammar: json-lines\nanswer: {text: t}")
FRAMES = rules(
    "grammar: json-frames\ntransport: websocket\nanswer: {text: t, finish: end}\nsame: id"
)
TWO = rules(
    "grammar: json-lines\nanswer: {text: a, finish: fa}\nanswer_b: {text: b, finish: fb}\nerror: e"
)

NOTHING = (UpstreamFailed, "the site answered with nothing")
STOP = Finish("stop")


def lines(*values: Any) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def read(stream: StreamRules, body: str, sides: str = "a") -> Told:
    return at_every_split(lambda: grammar_of(stream, sides), body)


def text(said: str, side: int = 0) -> list[Event]:
    return [TextDelta(said, side)]


def test_chunks_of_openai_need_no_paths() -> None:
    """Text, reasoning, the reason of the end; the mark [DONE] is no value."""

    def chunk(delta: dict[str, str], reason: str | None = None) -> str:
        value = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        return f"data: {json.dumps(value)}\n\n"

    body = (
        chunk({"role": "assistant", "content": ""})
        + chunk({"reasoning_content": "hm 👩‍💻"})
        + chunk({"content": "é"})
        + chunk({"content": "競"})
        + chunk({}, "length")
    )
    events = [ReasoningDelta("hm 👩‍💻"), TextDelta("é競")]
    assert read(OPENAI, body + "data: [DONE]\n\n") == (events, Finish("length"))
    assert read(OPENAI, body) == (events, Finish("length"))
    cut = body[: body.rindex("data:")]
    assert read(OPENAI, cut) == (events, (UpstreamFailed, CUT))
    assert read(OPENAI, cut + "data: [DONE]\n\n") == (events, STOP)
    assert read(OPENAI, cut + 'data: {"choi') == (events, (UpstreamFailed, CUT))


def test_everything_that_paths_can_find() -> None:
    """Text, reasoning, images once each, sources with and without a title, ids."""
    body = lines(
        {"ids": {"chat": "c1", "answer": 7}},
        {"r": "why", "t": "a"},
        {"img": "https://x/1.png"},
        {"img": "https://x/1.png", "t": "b"},
        {"src": [{"url": "u", "title": "T"}, {"link": "v"}, "w", {"no": 1}, 3]},
        {"t": None, "end": None},
        {"end": "stop"},
    )
    events = [
        ReasoningDelta("why"),
        TextDelta("a"),
        Image("https://x/1.png"),
        TextDelta("b"),
        Citation("u", "T"),
        Citation("v", ""),
        Citation("w", ""),
    ]
    assert read(PIECES, body) == (events, STOP)
    grammar = grammar_of(PIECES)
    told(grammar, [body.encode()])
    assert (grammar.session_id, grammar.message_id) == ("c1", "7")


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        (({"t": "x"}, {"end": True}), STOP),
        (({"t": "x"}, {"end": False}, {"end": ""}), (UpstreamFailed, CUT)),
        (({"end": "stop"}, {"t": "x"}), STOP),
        (({"t": "x"}, {"end": "max_tokens"}), Finish("length")),
        (({"end": "content_filter"},), Finish("content_filter")),
        (({"t": "x"}, {"end": "error"}), (UpstreamFailed, "the site reports: the model failed")),
        (({"t": "x"}, {"error": {"message": "bad"}}), (UpstreamFailed, "the site reports: bad")),
        (({"error": "worse"}, {"end": 1}), (UpstreamFailed, "the site reports: worse")),
        (({"error": None}, {"error": False}, {"error": {}}, {"end": 1}), NOTHING),
        (({"end": 1},), NOTHING),
        ((), NOTHING),
        (
            ({"other": 1},),
            (
                ProfileOutdated,
                'none of 1 values has anything at answer.text (t); the first one is {"other": 1}',
            ),
        ),
    ],
)
def test_ends_are_told_as_they_are(values: tuple[Any, ...], outcome: object) -> None:
    """A finish sign in our words; without it the answer is cut, or failed, or somewhere else."""
    assert read(PIECES, lines(*values))[1] == outcome


def test_a_done_mark_ends_for_all() -> None:
    """The profile's own mark, which is no JSON."""
    assert read(PIECES, lines({"t": "x"}) + "over\n") == (text("x"), STOP)


def test_without_a_finish_sign_the_end_of_the_body_counts() -> None:
    """But half a value at the end is a cut."""
    assert read(ENDLESS, lines({"t": "x"})) == (text("x"), STOP)
    assert read(ENDLESS, lines({"t": "x"}) + '{"t": "y') == (text("x"), (UpstreamFailed, CUT))
    assert read(ENDLESS, lines({"t": "x"}) + '{"t": "y"}') == (text("xy"), STOP)


def test_what_is_no_such_stream_is_told() -> None:
    """With its beginning, which tells a page that came in place of the answer."""
    grammar = grammar_of(ENDLESS)
    _, outcome = told(grammar, [b"<!doctype html>\n<title>Wait</title>"])
    assert outcome == (
        ProfileOutdated,
        "the site answered in what is no json-lines: '<!doctype html>\\n<title>Wait</title>\\n'",
    )
    assert grammar.strange == "<!doctype html>\n<title>Wait</title>\n"


# -- wholes -----------------------------------------------------------------------------------------


def test_a_whole_that_grows_is_passed_on_in_pieces() -> None:
    """Without the site's cursor; what is shorter for a moment changes nothing."""
    body = lines(
        {"t": "▌"}, {"t": "a▌"}, {"t": "ab▌"}, {"t": "a▌"}, {"t": None}, {"t": "abc", "end": 1}
    )
    assert read(WHOLES, body) == (text("abc"), STOP)
    grammar = grammar_of(WHOLES)
    assert [grammar.feed(line.encode() + b"\n") for line in body.splitlines()[:3]] == [
        [Heartbeat()],
        text("a"),
        text("b"),
    ]


def test_an_answer_that_is_rewritten_is_no_answer() -> None:
    """What was passed on cannot be taken back, so it is told; read at its end it is whole."""
    body = lines({"t": "one two"}, {"t": "one, two"}, {"t": "one, two three", "end": 1})
    events, outcome = read(WHOLES, body)
    assert events == text("one two")
    assert isinstance(outcome, tuple)
    assert outcome[0] is UpstreamFailed
    assert "rewrote its answer after 7 characters" in outcome[1]
    assert read(LAST, body) == (text("one, two three"), STOP)


def test_html_becomes_markdown_that_grows() -> None:
    """What the page closes behind a growing text is kept back until it stands."""
    body = lines(
        {"t": "<p>a <b>bo</b></p>"},
        {"t": "<p>a <b>bold</b></p><pre><code class='language-py'>x</code></pre>"},
        {"t": "<p>a <b>bold</b></p><pre><code class='language-py'>x\ny</code></pre>", "end": 1},
    )
    assert read(HTML, body) == (text("a **bold**\n\n```py\nx\ny\n```"), STOP)


GROWING = st.lists(st.text(st.characters(exclude_characters="▌", exclude_categories=["Cs"])))


@given(GROWING, st.sampled_from(["", "▌"]))
def test_wholes_say_what_pieces_say(pieces: list[str], cursor: str) -> None:
    """Any text, growing by anything."""
    wholes = ["".join(pieces[:count]) for count in range(1, len(pieces) + 1)]
    body = lines(*({"t": whole + cursor} for whole in wholes), {"end": 1})
    said = text("".join(pieces)) if any(pieces) else []
    assert told(grammar_of(WHOLES), [body.encode()])[1] == (STOP if said else NOTHING)
    assert [
        each for each in told(grammar_of(WHOLES), [body.encode()])[0] if each != Heartbeat()
    ] == said


# -- failures that are written as answers ---------------------------------------------------------------

SIGNS = rules(
    "grammar: json-lines\nanswer: {text: t, finish: end}\nerror: e",
    signs={"**NETWORK ERROR": "upstream", "Slow down": "resting", "I refuse": "content_rejected"},
)


@pytest.mark.parametrize(
    ("values", "events", "kind"),
    [
        (
            ({"t": "**NETW"}, {"t": "ORK ERROR** (5)"}, {"t": " more"}, {"end": 1}),
            [],
            UpstreamFailed,
        ),
        (({"t": "\n Slow down!"}, {"end": 1}), [], Resting),
        (({"e": "please: Slow down"},), [], Resting),
        (({"e": "I refuse"},), [], ContentRejected),
        (({"t": "**NETW"}, {"t": "**ork"}, {"end": 1}), text("**NETW**ork"), None),
        (({"t": "Slow"}, {"end": 1}), text("Slow"), None),
        (({"t": "x Slow down"}, {"end": 1}), text("x Slow down"), None),
    ],
)
def test_signs_tell_failures_from_answers(
    values: tuple[Any, ...], events: list[Event], kind: type[RequestError] | None
) -> None:
    """Known by how the text begins; what could become one is held back, and no longer."""
    got, outcome = read(SIGNS, lines(*values))
    assert got == events
    assert outcome == STOP if kind is None else isinstance(outcome, tuple) and outcome[0] is kind


# -- sockets, sides, binary ------------------------------------------------------------------------------


def test_other_talk_on_a_socket_is_not_mixed_in() -> None:
    """Frames of another id are another answer's; the page's own frame may name ours first."""
    frames = [
        json.dumps(each)
        for each in ({"id": 2, "t": "no"}, {"id": 1, "t": "x"}, {"ping": 1}, {"id": 1, "end": 1})
    ]
    grammar = grammar_of(FRAMES)
    grammar.sent('{"id": 1, "prompt": "hi"}')
    assert told(grammar, frames) == (text("x"), STOP)
    assert grammar.is_over
    assert told(grammar_of(FRAMES), frames[1:]) == (text("x"), STOP)
    other = grammar_of(FRAMES)
    assert told(other, frames)[0] == text("no")
    assert not other.is_over


def test_a_frame_without_content_is_no_sign_of_life_on_a_socket() -> None:
    """In a body of its own it is one."""
    assert grammar_of(FRAMES).feed('{"ping":1}') == []
    assert grammar_of(ENDLESS).feed(b'{"ping":1}\n') == [Heartbeat()]


def test_a_prompt_that_is_shown_as_an_answer_is_none() -> None:
    """It is the whole before the first whole of the answer; alone it is what an echo answers."""
    for values, wanted in (
        (({"t": "Hi there"}, {"t": "Hello▌"}, {"t": "Hello you"}, {"end": 1}), "Hello you"),
        (({"t": " Hi there "}, {"end": 1}), " Hi there "),
        (({"t": "Hi"}, {"t": "Hi there"}, {"t": "Hi there, too"}, {"end": 1}), "Hi there, too"),
    ):
        grammar = grammar_of(WHOLES)
        grammar.asked("Hi there\n")
        events = grammar.feed(lines(*values).encode())
        last, outcome = grammar.end()
        said = [each.text for each in [*events, *last] if isinstance(each, TextDelta)]
        assert ("".join(said), outcome) == (wanted, STOP)


def test_an_end_before_the_beginning_is_that_of_something_else() -> None:
    """On a shared connection: doubtful, until there is an answer; where there is none, it is told."""
    grammar = grammar_of(FRAMES)
    assert grammar.feed('{"end": "stop", "id": "1"}') == []
    assert (grammar.is_over, grammar.is_doubtful) == (False, True)
    assert grammar.feed('{"t": "a", "id": "1"}') == text("a")
    assert (grammar.is_over, grammar.is_doubtful) == (False, False)
    grammar.feed('{"end": "stop", "id": "1"}')
    assert (grammar.is_over, grammar.end()[1]) == (True, STOP)
    empty = grammar_of(FRAMES)
    empty.feed('{"end": "stop", "id": "1"}')
    error = empty.end()[1]
    assert (type(error), str(error)) == NOTHING


def test_two_sides_of_one_stream() -> None:
    """Each with its own text and end; the second's finish, or its failure, is an event."""
    body = lines({"a": "x", "b": "1"}, {"b": "2", "fb": "stop"}, {"a": "y"}, {"fa": "length"})
    events, outcome = told(grammar_of(TWO, "ab"), [body.encode()])
    assert events == [TextDelta("x"), TextDelta("12", 1), TextDelta("y"), Finish("stop", 1)]
    assert outcome == Finish("length")
    assert read(TWO, body, "b") == (text("12"), STOP)
    cut = lines({"a": "x", "b": "1"}, {"fa": "stop"})
    events, outcome = told(grammar_of(TWO, "ab"), [cut.encode()])
    assert events[-1] == SideFailed(failure_of(UpstreamFailed(CUT)), 1)
    assert outcome == Finish("stop")


def test_an_error_leaves_the_side_that_is_over_as_it_is() -> None:
    """It is told of the whole stream, and can only be of what has not come yet."""
    body = lines({"a": "x", "b": "1"}, {"fa": "stop"}, {"e": "too many"}, {"b": "2"})
    events, outcome = told(grammar_of(TWO, "ab"), [body.encode()])
    reported = UpstreamFailed("the site reports: too many")
    assert events == [TextDelta("x"), TextDelta("1", 1), SideFailed(failure_of(reported), 1)]
    assert outcome == Finish("stop")


def test_socket_io_events_have_names() -> None:
    """Paths start at the event's arguments, conditions can name the event."""
    stream = rules("""
        transport: websocket
        grammar: socket-io
        answer: {text: 0.t when $event=token, finish: 0.reason when $event=end}
    """)
    frames = ["2", '42["token",{"t":"a"}]', '42["other",{"t":"no"}]', '42["token",{"t":"b"}]']
    assert told(grammar_of(stream), [*frames, '42["end",{"reason":"stop"}]']) == (text("ab"), STOP)


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def test_protocol_buffers_are_read_by_number() -> None:
    """Text in a message in a message; a number as condition; the last one ends."""
    stream = rules("""
        transport: websocket
        grammar: protobuf
        answer: {text: 2.1 when 1=3, finish: '4'}
    """)
    frames = [
        _field(1, 3) + _field(2, _field(1, "é 競".encode())),
        _field(1, 9) + _field(2, _field(1, b"no")),
        _field(1, 3) + _field(2, _field(1, b"x") + _field(1, b"y")),
        _field(4, b"stop"),
    ]
    assert told(grammar_of(stream), frames) == (text("é 競xy"), STOP)
    assert told(grammar_of(stream), [b"\xff\xff"])[1] != STOP


def test_connect_streams() -> None:
    """JSON and binary in envelopes; the trailers may name an error; half a message is a cut."""

    def sealed(payload: bytes, flags: int = 0) -> bytes:
        return bytes([flags]) + len(payload).to_bytes(4, "big") + payload

    stream = rules("grammar: connect-json\nanswer: {text: t}\nerror: error")
    good = sealed(b'{"t":"x"}') + sealed('{"t":"é"}'.encode())
    raw = good + sealed(b"{}", 2)
    assert at_every_split(lambda: grammar_of(stream), raw) == (text("xé"), STOP)
    failed = good + sealed(b'{"error":{"message":"no"}}', 2)
    assert told(grammar_of(stream), [failed])[1] == (UpstreamFailed, "the site reports: no")
    assert told(grammar_of(stream), [good + b"\0\0\0\0\7{"])[1] == (UpstreamFailed, CUT)
    binary = rules("grammar: connect-protobuf\nanswer: {text: '1'}\nerror: grpc-message")
    raw = sealed(_field(1, "é".encode())) + sealed(b"grpc-status: 0\r\n", 128)
    assert at_every_split(lambda: grammar_of(binary), raw) == (text("é"), STOP)
    raw = sealed(b"grpc-status: 8\r\ngrpc-message: busy\r\n", 128)
    assert told(grammar_of(binary), [raw])[1] == (UpstreamFailed, "the site reports: busy")


# -- anything -------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["t", "r", "id", "end", "error", "src", "a", "b"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
ALL = [OPENAI, PIECES, WHOLES, LAST, HTML, ENDLESS, FRAMES, TWO, SIGNS]


@given(st.sampled_from(ALL), st.lists(JSON, max_size=6), st.data())
def test_any_values_at_any_cut(
    stream: StreamRules, values: list[Any], drawn: st.DataObject
) -> None:
    """No shape of value raises, and the cuts of the network change nothing."""
    if stream is FRAMES:
        told(grammar_of(stream), [json.dumps(value) for value in values])
        return
    prefix = "data: " if stream is OPENAI else ""
    end = "\n\n" if stream is OPENAI else "\n"
    raw = "".join(prefix + json.dumps(value) + end for value in values).encode()
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(raw)), max_size=6)) | {0, len(raw)})
    pieces = [raw[start:stop] for start, stop in pairwise(cuts)]
    assert _content(grammar_of(stream), pieces) == _content(grammar_of(stream), [raw])


def _content(grammar: Grammar, pieces: list[bytes]) -> Told:
    events, outcome = told(grammar, pieces)
    return merged(event for event in events if not isinstance(event, Heartbeat)), outcome


@given(st.sampled_from(ALL), st.lists(st.binary(max_size=40) | st.text(max_size=20), max_size=6))
def test_no_bytes_raise(stream: StreamRules, pieces: list[bytes | str]) -> None:
    """Nonsense is an outcome, never an exception."""
    grammar = grammar_of(stream)
    grammar.sent("nonsense")
    told(grammar, pieces)


@given(st.lists(st.text(min_size=1), min_size=1), st.data())
def test_text_is_read_to_the_letter(pieces: list[str], drawn: st.DataObject) -> None:
    """What a site writes is what comes out, also where it cuts an emoji in halves."""
    said = "".join(pieces)
    units = said.encode("utf-16-le", "surrogatepass")
    places = drawn.draw(st.sets(st.integers(0, len(units) // 2), max_size=5)) | {0, len(units) // 2}
    parts = [
        units[2 * start : 2 * stop].decode("utf-16-le", "surrogatepass")
        for start, stop in pairwise(sorted(places))
    ]
    body = lines(*({"t": part} for part in parts), {"end": 1}).encode()
    assert told(grammar_of(PIECES), [body]) == (text(said), STOP)


def test_nesting_without_end_is_left_out() -> None:
    """A value that nests deeper than any decoder goes is no value."""
    deep = '{"t":' + "[" * 100_000 + "\n"
    assert told(grammar_of(ENDLESS), [(deep + '{"t":"x"}\n').encode()])[0] == text("x")


def test_a_message_without_bound_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is dropped, and the answer is an error."""
    monkeypatch.setattr(framing, "MAX_MESSAGE_CHARS", 100)
    body = lines({"t": "x"}, {"t": "y" * 200}, {"t": "z"})
    events, outcome = told(grammar_of(ENDLESS), [body.encode()])
    assert events == text("xz")
    assert isinstance(outcome, tuple)
    assert outcome[0] is ProfileOutdated
