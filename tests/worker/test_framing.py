"""Messages out of pieces: lines, events, frames, packets, envelopes, at every cut."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.sites.grammars import framing
from arenad.worker.sites.grammars.framing import (
    Envelopes,
    Frames,
    Framing,
    JsonLines,
    Lines,
    Message,
    ServerSentEvents,
    SocketIo,
    Whole,
)


def _all(made: Framing, pieces: list[bytes]) -> list[Message]:
    return [message for piece in pieces for message in made.feed(piece)] + made.end()


def cut(make: Callable[[], Framing], raw: bytes) -> list[Message]:
    """The messages of these bytes, wherever they are cut."""
    whole = _all(make(), [raw])
    assert _all(make(), [raw[place : place + 1] for place in range(len(raw))]) == whole
    for place in range(len(raw)):
        assert _all(make(), [raw[:place], raw[place:]]) == whole
    return whole


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ("data: x\n\n", [("x", "message")]),
        ("data:x\r\n\r\ndata:  y\r\n\r\n", [("x", "message"), (" y", "message")]),
        ("data: x\r\rdata: y\r\r", [("x", "message"), ("y", "message")]),
        ("\ufeffdata: é競👩‍💻\n\n", [("é競👩‍💻", "message")]),
        ("event: tok\ndata: a\ndata: b\nid: 3\nretry: 9\n\n", [("a\nb", "tok")]),
        ("event: gone\n\ndata: a\n\n", [("a", "message")]),
        (": keep-alive\n\n:\n\ndata\n\n", [("", "message")]),
        ("data: no blank line", [("no blank line", "message")]),
        ("data: a\n\n\n\n\ndata: b\n", [("a", "message"), ("b", "message")]),
        ("", []),
    ],
)
def test_events_are_framed_as_the_standard_says(body: str, messages: list[Message]) -> None:
    """All line ends, comments, names, several lines of data, a byte order mark."""
    assert cut(ServerSentEvents, body.encode()) == messages


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ('{"a":1}\n{"b":2}', ['{"a":1}', '{"b":2}']),
        ('\r\n {"a":1} \r\n\n', ['{"a":1}']),
        ('[\n{"a":1}\n,\n{"b":2},\n{"c":3}\n]', ['{"a":1}', '{"b":2}', '{"c":3}']),
        ('data: {"a":1}\n', ['{"a":1}']),
    ],
)
def test_lines_of_json(body: str, messages: list[str]) -> None:
    """Empty lines, and what a stream of lines writes around its values."""
    assert [message.payload for message in cut(JsonLines, body.encode())] == messages


def test_a_frame_is_a_message() -> None:
    """Text or bytes, as it came; an empty one is none."""
    frames = Frames()
    assert frames.feed("x") + frames.feed(b"y") + frames.feed("") == [Message("x"), Message(b"y")]
    assert frames.end() == []


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        ('0{"sid":"x"}', []),
        ("2", []),
        ("40", []),
        ('42["token",{"t":"é"}]', [('[{"t":"é"}]', "token")]),
        ('42["done"]', [("[]", "done")]),
        ('42/chat,7["token",1,2]', [("[1,2]", "token")]),
        (
            '451-["file",{"_placeholder":true,"num":0}]',
            [('[{"_placeholder":true,"num":0}]', "file")],
        ),
        ('431[{"ok":true}]', []),
        ('42["a\\"b",1]', [("[1]", 'a"b')]),
        ("42[3,4]", [("42[3,4]", "")]),
        ('2\x1e42["a",1]\x1e42["b",2]', [("[1]", "a"), ("[2]", "b")]),
        ("42nonsense", []),
    ],
)
def test_socket_io_packets(frame: str, messages: list[Message]) -> None:
    """Events under their names; what keeps the connection is none."""
    assert SocketIo().feed(frame) == messages


def test_a_whole_body() -> None:
    """One message, at the end."""
    assert cut(Whole, '{"é":1}\n'.encode()) == [Message('{"é":1}\n')]
    assert cut(Whole, b" \n") == []


def test_envelopes() -> None:
    """A flag and a length before each message; a cut one is told as such."""

    def sealed(flags: int, payload: bytes) -> bytes:
        return bytes([flags]) + len(payload).to_bytes(4, "big") + payload

    body = sealed(0, "é".encode()) + sealed(0, b"") + sealed(2, b"{}") + sealed(128, b"a: b")
    wanted = [("é".encode(), ""), (b"", ""), (b"{}", "end"), (b"a: b", "trailers")]
    assert cut(Envelopes, body) == wanted
    assert cut(Envelopes, body + b"\0\0\0\0\5ab") == [*wanted, (b"\0\0\0\0\5ab", "cut")]


MAKERS = [JsonLines, ServerSentEvents, Frames, SocketIo, Whole, Envelopes]


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_too_long_is_not_kept(
    make: Callable[[], Framing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted, and what comes after it is read."""
    monkeypatch.setattr(framing, "MAX_MESSAGE_CHARS", 100)
    made = make()
    bodies = {
        JsonLines: (b"x" * 101 + b"\n", b'{"a":1}\n'),
        ServerSentEvents: (
            b"data: " + b"x" * 60 + b"\ndata: " + b"x" * 60 + b"\n\n",
            b"data: y\n\n",
        ),
        Frames: (b"x" * 101, b"y"),
        SocketIo: ('42["' + "x" * 101 + '"]', '42["a",1]'),
        Whole: (b"x" * 60, b"x" * 60),
        Envelopes: (b"\0\0\0\0\x70" + b"x" * 0x70, b"\0\0\0\0\1y"),
    }
    long, short = bodies[make]
    first = made.feed(long)
    second = made.feed(short) + made.end()
    assert first == []
    assert made.too_long == 1
    assert len(second) == (make is not Whole)


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces it comes in."""
    monkeypatch.setattr(framing, "MAX_MESSAGE_CHARS", 100)
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"y" * 10) == []
        assert sum(map(len, lines._partial)) <= 100
    assert lines.end() == ""
    assert lines.too_long == 1


@given(st.sampled_from(MAKERS), st.lists(st.binary(max_size=50) | st.text(max_size=20), max_size=8))
def test_nothing_raises(make: Callable[[], Framing], pieces: list[bytes | str]) -> None:
    """Whatever comes, in whatever mixture."""
    made = make()
    for piece in pieces:
        made.feed(piece)
    made.end()


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "a", "b"])
        )
    ),
    st.data(),
)
def test_events_make_a_round_trip(sent: list[tuple[str, str]], drawn: st.DataObject) -> None:
    """What a server frames comes out, wherever the network cuts it."""
    body = "".join(
        (f"event: {name}\n" if name else "") + f"data: {json.dumps(text)}\n\n"
        for text, name in sent
    ).encode()
    cuts = sorted(drawn.draw(st.sets(st.integers(0, len(body)), max_size=8)) | {0, len(body)})
    pieces = [body[start:stop] for start, stop in pairwise(cuts)]
    got = _all(ServerSentEvents(), pieces)
    assert [(json.loads(text), name) for text, name in got] == [
        (text, name or "message") for text, name in sent
    ]
