"""The arena's line grammar: the acceptance list of the protocol's notes, at every split of bytes."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import ProfileOutdated, RequestError, UpstreamFailed
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
from arenad.worker.sites.grammars import framing
from arenad.worker.sites.grammars.arena_lines import ArenaLines

STOP = 'ad:{"finishReason":"stop"}\n'
Told = tuple[list[Event], Finish | tuple[type[RequestError], str]]


def told(pieces: list[bytes], position: str = "a") -> Told:
    """All events, and how it ended, of a body that comes in these pieces."""
    parser = ArenaLines(position)
    events = [event for piece in pieces for event in parser.feed(piece)]
    last, outcome = parser.end()
    ending = (type(outcome), str(outcome)) if isinstance(outcome, RequestError) else outcome
    return events + last, ending


def at_every_split(body: str | bytes) -> Told:
    """The same whole, byte by byte, and cut in two at each place."""
    raw = body if isinstance(body, bytes) else body.encode()
    whole = told([raw])
    assert told([raw[place : place + 1] for place in range(len(raw))]) == whole
    for place in range(len(raw)):
        assert told([raw[:place], raw[place:]]) == whole
    return whole


def texts(*pieces: str) -> list[Event]:
    """Text deltas."""
    return [TextDelta(piece) for piece in pieces]


FINE: dict[str, tuple[str, list[Event]]] = {
    "multi-byte text": ('a0:"é競"\na0:" 👩‍💻"\n', texts("é競", " 👩‍💻")),
    "escapes": (r'a0:"a\nb\"c\\d\u00e9\ud83d\ude00"' + "\n", texts('a\nb"c\\dé😀')),
    "CRLF": ('a0:"x"\r\na0:"\\r\\n"\r\n', texts("x", "\r\n")),
    "data prefix": ('data:a0:"x"\ndata: a0:"y"\n', texts("x", "y")),
    "empty lines": ('\n\na0:"x"\n\r\n', texts("x")),
    "an empty text": ('a0:""\na0:"x"\n', texts("x")),
    "unknown code": ('az:{"x":1}\na8:[1]\naa:"x"\na0:"x"\n', texts("x")),
    "unknown position": ('c0:"no"\na0:"x"\n', texts("x")),
    "reference lines": ('12:"no"\n0:"no"\na0:"x"\n', texts("x")),
    "no JSON": ('a0:"x"\na0:nonsense\nwhatever\n', texts("x")),
    "a text of a wrong type": ('a0:3\na0:null\na0:["no"]\na0:"x"\n', texts("x")),
    "challenge phrases": (
        'a0:"Just a moment... window._cf_chl_opt <title>Attention Required!</title>"\n',
        texts("Just a moment... window._cf_chl_opt <title>Attention Required!</title>"),
    ),
    "side b apart": (f'a0:"x"\nb0:"no"\nb{STOP[1:]}a0:"y"\nb3:"no"\n', texts("x", "y")),
    "two images in one array": (
        'a2:[{"type":"image","image":"https://x/[1](2).png"},{"type":"image","image":"data:,"}]\n',
        [Image("https://x/[1](2).png"), Image("data:,")],
    ),
    "unknown items": ('a2:[{"type":"video","url":"x"},3,{"type":"image"}]\na0:"x"\n', texts("x")),
    "heartbeats": (
        'a2:[{"type":"heartbeat"}]\n' * 3 + 'a0:"x"\n',
        [Heartbeat(), Heartbeat(), Heartbeat(), *texts("x")],
    ),
    "reasoning": (
        'ag:"one"\nag:{"text":"two"}\na0:"x"\n',
        [ReasoningDelta("one"), ReasoningDelta("two"), *texts("x")],
    ),
    "step lines": ('af:{"messageId":"m"}\na0:"x"\nae:{"isContinued":false}\nae:""\n', texts("x")),
    "an emoji cut in two": (
        r'a0:"1 \ud83d"' + "\n" + r'a0:"\ude00 2"' + "\n",
        texts("1 ", "😀 2"),
    ),
    "an emoji cut around reasoning": (
        r'a0:"\ud83d"' + '\nag:"y"\n' + r'a0:"\ude00"' + "\n",
        [ReasoningDelta("y"), *texts("😀")],
    ),
    "lone surrogates": (r'a0:"x\ud800y\udc00"' + "\n", texts("x\ufffdy\ufffd")),
    "a lone surrogate in an image": (
        r'a2:[{"type":"image","image":"x\ud800"}]' + "\n",
        [Image("x\ufffd")],
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_lines_become_events(name: str) -> None:
    """What is readable is read, what is not is left out, wherever the bytes are cut."""
    body, events = FINE[name]
    assert at_every_split(body + STOP) == (events, Finish("stop"))


def test_a_half_emoji_at_the_end_is_replaced() -> None:
    """What never is completed comes out as the replacement character, not as an error later."""
    body = r'a0:"x\ud83d"' + "\n" + STOP
    assert at_every_split(body) == (texts("x", "\ufffd"), Finish("stop"))


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    """One bad byte does not cost the answer."""
    assert at_every_split(b'a0:"x\xffy"\n' + STOP.encode()) == (
        texts("x\ufffdy"),
        Finish("stop"),
    )


def test_the_other_side_can_be_read() -> None:
    """Side B of the same body is an answer of its own."""
    body = f'a0:"x"\nb0:"y"\n{STOP}b0:"z"\nb{STOP[1:]}'.encode()
    assert told([body], "a") == (texts("x"), Finish("stop"))
    assert told([body], "b") == (texts("y", "z"), Finish("stop"))


@pytest.mark.parametrize(
    ("arguments", "citations"),
    [
        ({"source": {"url": "https://a", "title": "A"}}, [Citation("https://a", "A")]),
        (
            {"source": [{"url": "https://a"}, {"title": "no"}, {"url": "b", "title": None}]},
            [Citation("https://a", ""), Citation("b", "")],
        ),
        ({"source": None}, []),
        ({}, []),
        ([], []),
        (3, []),
    ],
)
def test_citations_are_read(arguments: Any, citations: list[Event]) -> None:
    """One source or a list of them, with or without a title."""
    line = json.dumps({"toolCallId": "t", "argsTextDelta": json.dumps(arguments)})
    body = f'ac:{line}\nac:{{"argsTextDelta":"no json"}}\na0:"x"\n'
    assert at_every_split(body + STOP) == (citations + texts("x"), Finish("stop"))


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("stop", Finish("stop")),
        ("length", Finish("length")),
        ("content-filter", Finish("content_filter")),
        ("unheard-of", Finish("stop")),
        ("error", (UpstreamFailed, "the site reports: the model failed")),
    ],
)
def test_reasons_of_the_end(reason: str, outcome: object) -> None:
    """Each reason in our own word; an error is no stop."""
    body = f'a0:"x"\nad:{{"finishReason":"{reason}","usage":{{}}}}\n'
    assert at_every_split(body) == (texts("x"), outcome)


def test_finish_before_the_last_text() -> None:
    """Lines after the finish still count; the end is the end of the body."""
    assert at_every_split(STOP + 'a0:"x"') == (texts("x"), Finish("stop"))


def test_filtered_before_any_text() -> None:
    """A refusal of the site's moderation may come without a word."""
    assert at_every_split('ad:{"finishReason":"content-filter"}\n') == (
        [],
        Finish("content_filter"),
    )


CUT = (UpstreamFailed, "the site's answer was cut off before its end")
NOTHING = (UpstreamFailed, "the site answered with nothing")
STRANGE = (ProfileOutdated, "the site answered in lines that this profile cannot read")


@pytest.mark.parametrize(
    ("body", "events", "outcome"),
    [
        ("", [], NOTHING),
        (STOP, [], NOTHING),
        ('a2:[{"type":"heartbeat"}]\n' + STOP, [Heartbeat()], NOTHING),
        ('a0:"x"\n', texts("x"), CUT),
        ('a0:"x"\na0:"half a li', texts("x"), CUT),
        ('a0:"half a li', [], CUT),
        ("<!doctype html><title>Just a moment...</title>", [], STRANGE),
        ("<html>\n<p>a0: no\n</html>\n", [], STRANGE),
        ("{}", [], STRANGE),
        (
            '{"error":"rate limit","message":"wait"}',
            [],
            (UpstreamFailed, "the site reports: rate limit wait"),
        ),
        ('{"error":{"code":3}}\n', [], (UpstreamFailed, "the site reports: {'code': 3}")),
        ('a0:"x"\na3:"no"\n' + STOP, texts("x"), (UpstreamFailed, "the site reports: no")),
        ('ae:{"message":"bad"}\n', [], (UpstreamFailed, "the site reports: bad")),
        ('ae:"worse"\n', [], (UpstreamFailed, "the site reports: worse")),
        (
            'a0:"hasArenaError"\n' + STOP,
            [],
            (UpstreamFailed, "the site reports: its platform failed"),
        ),
        (r'a3:"\ud800"', [], (UpstreamFailed, "the site reports: \ufffd")),
    ],
)
def test_bad_answers_end_as_errors(body: str, events: list[Event], outcome: object) -> None:
    """An answer that is empty, cut, foreign or refused never ends as if it were whole."""
    assert at_every_split(body) == (events, outcome)


def test_an_error_leaves_the_side_that_is_over_as_it_is() -> None:
    """An object in place of the rest of the stream; where both are over, nothing is missing."""
    error = '{"error":"rate limit"}\n'
    body = 'a0:"x"\nb0:"y"\n' + STOP + error + 'b0:"z"\n'
    failed = SideFailed(failure_of(UpstreamFailed("the site reports: rate limit")), 1)
    wanted = [TextDelta("x"), TextDelta("y", 1), failed]
    assert told([body.encode()], "ab") == (wanted, Finish("stop"))
    both = 'a0:"x"\nb0:"y"\n' + STOP + STOP.replace("a", "b", 1) + error
    assert told([both.encode()], "ab")[1] == Finish("stop")


def test_nesting_without_end_is_unreadable() -> None:
    """A line that nests deeper than any decoder goes is left out like any other nonsense."""
    deep = "[" * 100_000
    lines = [f"a0:{deep}\n", f"{{{deep}\n", 'ac:{"argsTextDelta":"' + deep + '"}\n', 'a0:"x"\n']
    body = "".join(lines) + STOP
    assert told([body.encode()]) == (texts("x"), Finish("stop"))


def test_a_line_without_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once or in pieces: it is not kept, nothing in it is read, and the answer is an error."""
    monkeypatch.setattr(framing, "MAX_MESSAGE_CHARS", 100)
    body = 'a0:"x"\na0:"' + "y" * 100 + '"\na0:"z"\n' + STOP
    events, outcome = at_every_split(body)
    assert events == texts("x", "z")
    assert outcome == (ProfileOutdated, "the site sent a line of over 10485760 characters")
    parser = ArenaLines()
    for _ in range(1000):
        parser.feed(b"y" * 10)
    assert sum(map(len, parser._lines._partial)) <= 100


def test_the_real_limit_is_ten_megabytes() -> None:
    """A line just below it is read."""
    text = "x" * (framing.MAX_MESSAGE_CHARS - 5)
    assert told([f'a0:"{text}"\n{STOP}'.encode()]) == (texts(text), Finish("stop"))


LINES = st.lists(
    st.one_of(
        st.text().map(lambda text: f"a0:{json.dumps(text, ensure_ascii=False)}"),
        st.text().map(lambda text: f"ag:{json.dumps(text)}"),
        st.text(st.characters(categories=["Cs", "L"])).map(lambda text: f"a0:{json.dumps(text)}"),
        st.sampled_from([body.strip("\n") for body, _ in FINE.values()]),
        st.text(),
    ),
    max_size=8,
)


@given(LINES, st.sampled_from(["\n", "\r\n", ""]), st.data())
def test_any_split_gives_the_same_events(lines: list[str], end: str, data: st.DataObject) -> None:
    """Whatever the lines are, and wherever the bytes are cut."""
    raw = ("\n".join(lines) + end).encode("utf-8", "surrogatepass")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=10)) | {0, len(raw)})
    pieces = [raw[start:stop] for start, stop in pairwise(cuts)]
    assert told(pieces) == told([raw])


@given(st.lists(st.text(min_size=1), min_size=1))
def test_text_is_read_to_the_letter(pieces: list[str]) -> None:
    """What a site writes is what comes out, whatever it is."""
    body = "".join(f"a0:{json.dumps(piece)}\n" for piece in pieces if piece != "hasArenaError")
    wanted = [piece for piece in pieces if piece != "hasArenaError"]
    assert told([body.encode()])[0] == texts(*wanted)


@given(st.binary())
def test_no_bytes_raise(raw: bytes) -> None:
    """Nonsense is an outcome, never an exception."""
    told([raw])
    told([b"a0:" + raw + b"\n", b"ac:{" + raw, b"\na2:[" + raw])
