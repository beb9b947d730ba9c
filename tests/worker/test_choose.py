"""The grammar that a profile names."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from splits import Told, at_every_split, told

from arenad.errors import UpstreamFailed
from arenad.schema.chat import Finish, Heartbeat, SideFailed, TextDelta, failure_of
from arenad.schema.profile import AnswerRules, DomRules, GrammarName, StreamRules
from arenad.worker.sites.grammars.answer import Grammar
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.reading import merged

ANSWER = AnswerRules(text="t")


@pytest.mark.parametrize("name", get_args(GrammarName))
@pytest.mark.parametrize("sides", ["a", "b", "ab"])
def test_every_name_has_a_grammar(name: Any, sides: str) -> None:
    """For one side, for the other, for both; it reads nothing as nothing."""
    grammar = grammar_of(StreamRules(url_pattern="/", grammar=name, answer=ANSWER), sides)
    assert grammar.feed(b"") == []
    assert not isinstance(grammar.end()[1], Finish)


def test_what_is_in_the_page_needs_no_grammar() -> None:
    """The transport says it."""
    grammar = grammar_of(StreamRules(transport="dom", dom=DomRules(element="p")))
    assert told(grammar, ['{"from":0,"blocks":["hx"]}'])[0] == [TextDelta("x")]


def test_lines_of_the_sdk_have_no_position() -> None:
    """The same codes, bare."""
    grammar = grammar_of(StreamRules(url_pattern="/", grammar="ai-lines"))
    body = (
        b'f:{"messageId":"m"}\n0:"a"\n0:"b"\ne:{"finishReason":"stop"}\nd:{"finishReason":"stop"}\n'
    )
    assert told(grammar, [body]) == ([TextDelta("ab")], Finish("stop"))
    assert grammar.message_id == "m"


# -- every grammar at every cut ------------------------------------------------------------------------


def _lines(*values: object) -> bytes:
    return "".join(f"{json.dumps(value, ensure_ascii=False)}\n" for value in values).encode()


def _events(*values: object) -> bytes:
    return b"".join(b"data: " + line + b"\r\n\r\n" for line in _lines(*values).splitlines())


def _coded(before: str, text: str) -> bytes:
    return f"{before}0:{json.dumps(text, ensure_ascii=False)}\n".encode()


def _sealed(payload: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(payload).to_bytes(4, "big") + payload


def _numbered(text: str) -> bytes:
    """A text as field 1 of a protocol buffer."""
    raw, head = text.encode(), bytearray([1 << 3 | 2])
    size = len(raw)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + raw


def _queued(text: str) -> dict[str, object]:
    return {"msg": "process_completed", "output": {"data": [[["hi", text]]]}, "success": True}


BODIES: dict[GrammarName, Callable[[str, str], bytes]] = {
    "arena-lines": lambda a, b: _coded("a", a) + _coded("a", b) + b'ad:{"finishReason":"stop"}\n',
    "ai-lines": lambda a, b: _coded("", a) + _coded("", b) + b'd:{"finishReason":"stop"}\n',
    "sse": lambda a, b: (
        _events(*({"choices": [{"delta": {"content": each}}]} for each in (a, b)))
        + _events({"choices": [{"finish_reason": "stop"}]})
        + b"data: [DONE]\n\n"
    ),
    "gradio": lambda a, b: _events({"msg": "estimation", "rank": 0}, _queued(a + b)),
    "json-lines": lambda a, b: _lines({"t": a}, {"t": b}),
    "json": lambda a, b: _lines({"t": a + b}),
    "connect-json": lambda a, b: (
        _sealed(_lines({"t": a})) + _sealed(_lines({"t": b})) + _sealed(b"{}", 2)
    ),
    "connect-protobuf": lambda a, b: (
        _sealed(_numbered(a)) + _sealed(_numbered(b)) + _sealed(b"grpc-status: 0\r\n", 128)
    ),
    "text": lambda a, b: (a + b).encode(),
}
"""How two pieces of a text come in a body, of each grammar that reads bodies."""

FRAMES = {"json-frames", "socket-io", "protobuf"}
"""What these read comes in frames, which nobody cuts."""


def _grammar(name: GrammarName) -> Grammar:
    answer = {"sse": None, "gradio": None, "connect-protobuf": AnswerRules(text="1")}.get(
        name, ANSWER
    )
    return grammar_of(StreamRules(url_pattern="/", grammar=name, answer=answer))


@pytest.mark.parametrize("name", get_args(GrammarName))
def test_a_body_may_be_cut_anywhere(name: GrammarName) -> None:
    """Byte by byte, and in two at each place: also within a character, a mark, a length."""
    assert (name in BODIES) is (name not in FRAMES)
    if name in BODIES:
        body = BODIES[name]("é 競👩‍💻\\", ' "שלום"\tend')
        wanted = [TextDelta('é 競👩‍💻\\ "שלום"\tend')], Finish("stop")
        assert at_every_split(lambda: _grammar(name), body) == wanted


@given(st.sampled_from(sorted(BODIES)), st.text(min_size=1), st.text(), st.data())
def test_any_text_at_any_cuts(name: GrammarName, a: str, b: str, drawn: st.DataObject) -> None:
    """What was sent is what comes out, in each grammar."""
    raw = BODIES[name](a, b)
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(raw)), max_size=8)) | {0, len(raw)})
    pieces = [raw[start:stop] for start, stop in pairwise(cuts)]
    events, outcome = told(_grammar(name), pieces)
    assert "".join(each.text for each in events if isinstance(each, TextDelta)) == a + b
    assert outcome == Finish("stop")


def test_two_sides_may_be_cut_anywhere() -> None:
    """An error between them, too, fails the same side wherever the bytes are cut."""
    body = _coded("a", "é") + _coded("b", "競") + b'ad:{"finishReason":"stop"}\n'
    body += b'{"error":"busy"}\n' + _coded("b", "no")
    lines = StreamRules(url_pattern="/", grammar="arena-lines")
    failed = SideFailed(failure_of(UpstreamFailed("the site reports: busy")), 1)
    wanted = [TextDelta("é"), TextDelta("競", 1), failed], Finish("stop")
    assert at_every_split(lambda: grammar_of(lines, "ab"), body) == wanted
    values = StreamRules(
        url_pattern="/",
        grammar="json-lines",
        answer=AnswerRules(text="a", finish="over"),
        answer_b=AnswerRules(text="b"),
        error="error",
    )
    body = _lines({"a": "é"}, {"b": "競"}, {"over": "stop"}, {"error": "busy"}, {"b": "no"})
    assert at_every_split(lambda: grammar_of(values, "ab"), body) == wanted


# -- what is nearly right ------------------------------------------------------------------------------

ODD = st.lists(
    st.sampled_from(
        [
            *(rb"\ud83d", rb"\ude00", rb"\u0000", rb"\u2028", rb"\n", rb"\\", b"\\", b'"', b"\0"),
            *("é😀".encode(), "é".encode()[:1], b"\xff", b"\r", b"\n", b"\n\n", b"{", b"]", b":"),
        ]
    ),
    max_size=4,
).map(b"".join)
"""What stands in a text: halves of UTF-16 pairs as JSON may hold them, halves of characters, marks."""


def _spoilt(drawn: st.DataObject, raw: bytes) -> bytes:
    """With a part cut out, doubled or changed, or none."""
    start, stop = sorted(drawn.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
    part = drawn.draw(st.sampled_from([b"", raw[start:stop] * 2, raw[start:stop]]) | ODD)
    return raw[:start] + part + raw[stop:]


def _judged(name: GrammarName, pieces: list[bytes]) -> Told:
    """What is told, which a worker can tell a frontend; signs of life apart."""
    grammar = _grammar(name)
    events, outcome = told(grammar, pieces)
    assert msgspec.msgpack.encode(events)
    assert msgspec.msgpack.encode((grammar.session_id, grammar.message_ids, grammar.strange))
    if isinstance(outcome, tuple):
        kind, said = outcome
        assert msgspec.msgpack.encode(failure_of(kind(said)))
    return merged(each for each in events if not isinstance(each, Heartbeat)), outcome


@given(st.sampled_from(sorted(BODIES)), ODD, ODD, st.data())
def test_what_is_nearly_right_reads_the_same_at_any_cut(
    name: GrammarName, a: bytes, b: bytes, drawn: st.DataObject
) -> None:
    """Damaged bodies: no exception, nothing that no wire takes, whatever the cuts."""
    raw = BODIES[name]("xx", "yy").replace(b"xx", a).replace(b"yy", b)
    raw = _spoilt(drawn, raw)
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(raw)), max_size=6)) | {0, len(raw)})
    pieces = [raw[start:stop] for start, stop in pairwise(cuts)]
    assert _judged(name, pieces) == _judged(name, [raw])
