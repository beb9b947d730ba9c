"""Which rules read an answer: from what was heard and what then showed."""

import json

import pytest

from arenad.schema.chat import TextDelta
from arenad.schema.profile import StreamRules
from arenad.worker.sites.grammars import json_answers
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.grammars.markdown import to_markdown
from arenad.worker.sites.guess import Heard, guess, likeness, pattern_of

TEXT = "The **weather** is fine: 21 °C, a little wind. Nothing more to say."
SHOWN = "assistant\nThe weather is fine: 21 °C, a little wind. Nothing more to say.\nCopy"
WORDS = [TEXT[at : at + 9] for at in range(0, len(TEXT), 9)]
NOISE = Heard("fetch", "http://x/stats", "POST", (b'{"ok": true, "words": ["weather", "fine"]}',))


def lines(*values: object) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def events(*values: object) -> bytes:
    return "".join(f"data: {json.dumps(value)}\n\n" for value in values).encode()


OPENAI = events(*({"choices": [{"delta": {"content": word}}]} for word in WORDS))
OPENAI += events({"choices": [{"delta": {}, "finish_reason": "stop"}]})
OTHER = events(*({"p": {"v": word}} for word in WORDS))
GROWING = events(*({"text": TEXT[: at + 9]} for at in range(0, len(TEXT), 9)))
ARENA = "".join(f"a0:{json.dumps(word)}\n" for word in WORDS).encode()
ARENA += b'ad:{"finishReason":"stop"}\n'
FRAMES = tuple(
    json.dumps(each)
    for each in (
        {"type": "hello", "text": "welcome to this place"},
        *({"type": "text", "text": word} for word in WORDS),
        {"type": "end", "reason": "stop"},
    )
)
SAID = "".join(f"event: message\ndata: {json.dumps(word)}\n\n" for word in WORDS)
NAMED = (*SAID.split("\n\n")[:-1], 'event: end\ndata: "x"')


@pytest.mark.parametrize(
    ("heard", "grammar", "text", "finish"),
    [
        (Heard("fetch", "http://x/v1/chat?k=1", "POST", (OPENAI,)), "sse", None, ()),
        (Heard("fetch", "http://x/a", "POST", (OTHER,)), "sse", "p.v", ()),
        (Heard("fetch", "http://x/a", "POST", (GROWING,)), "sse", "text", ()),
        (Heard("fetch", "http://x/a", "POST", (ARENA,)), "arena-lines", None, ()),
        (
            Heard("fetch", "http://x/a", "POST", (lines(*({"m": {"c": w}} for w in WORDS)),)),
            "json-lines",
            "m.c",
            (),
        ),
        (
            Heard("fetch", "http://x/a", "POST", (lines({"id": "7", "reply": TEXT}),)),
            None,
            "reply",
            (),
        ),
        (Heard("fetch", "http://x/a", "POST", (TEXT.encode(),)), "text", None, ()),
        (
            Heard("websocket", "ws://x/ws", "GET", FRAMES),
            "json-frames",
            "text when type=text",
            "type when type=end",
        ),
        (
            Heard("eventsource", "http://x/e/1234", "GET", tuple(f"{e}\n\n" for e in NAMED)),
            "sse",
            "$value when $event=message",
            "$event when $event=end",
        ),
    ],
    ids=["openai", "sse", "growing", "arena", "lines", "json", "text", "socket", "eventsource"],
)
def test_each_way_is_found_and_reads_the_text(
    heard: Heard, grammar: str | None, text: str | None, finish: object
) -> None:
    """Among other traffic; and what is found gives the text to the letter."""
    fit = guess([NOISE, heard], SHOWN)
    assert fit is not None
    rules = fit.rules
    assert grammar in (None, rules.grammar)
    assert (rules.answer.text if rules.answer else None) == text
    assert (rules.answer.finish if rules.answer else ()) == finish
    assert read(rules, heard) == fit.text == TEXT


def test_html_is_read_only_where_it_says_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make Markdown of each growth of a large one takes long; a look at its words does not."""
    parsed: list[str] = []

    def counted(text: str, told: list[int]) -> str:
        parsed.append(text)
        return to_markdown(text, told)

    monkeypatch.setattr(json_answers, "to_markdown", counted)
    drawn = [f"<p>{' '.join(WORDS[:count])}&nbsp;</p>" for count in range(1, len(WORDS) + 1)]
    other = ["<p>" + "nothing of the kind " * count + "</p>" for count in range(1, 30)]
    talk = [json.dumps({"html": each, "done": True}) for each in drawn]
    noise = [json.dumps({"html": each}) for each in other]
    assert (
        guess([Heard("fetch", "http://x/n", "POST", ("\n".join(noise).encode(),))], SHOWN) is None
    )
    assert parsed == []
    fit = guess([Heard("fetch", "http://x/a", "POST", ("\n".join(talk).encode(),))], SHOWN)
    assert fit is not None
    assert parsed != []


def read(rules: StreamRules, heard: Heard) -> str:
    grammar = grammar_of(rules)
    found = [event for piece in heard.pieces for event in grammar.feed(piece)]
    found += grammar.end()[0]
    return "".join(event.text for event in found if isinstance(event, TextDelta))


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def whole(read: str) -> bytes:
    """A protocol buffer with a text that has grown so far, two messages deep."""
    return field(5, field(3, field(1, read.encode())))


PROMPT = "How is the weather?"
PROTOBUF = (
    field(2, b"hello"),
    whole(PROMPT),
    *(whole(TEXT[: at + 9]) for at in range(0, len(TEXT), 9)),
    field(6, b"x"),
)
SOCKET_IO = (
    "3probe",
    '42["task_end",{}]',
    f'42["begun",{json.dumps({"id": "1", "said": WORDS[0]})}]',
    *(f'42["token",{json.dumps({"id": "1", "token": word})}]' for word in WORDS[1:]),
    f'42["written",{json.dumps({"id": "1", "said": TEXT})}]',
    '42["task_end",{}]',
)
NESTED = tuple(
    json.dumps({"custom": {"action": each}})
    for each in (
        {"type": "message", "content": PROMPT},
        *({"type": "chunk", "content": word} for word in WORDS),
        {"type": "chunk_end"},
    )
)


@pytest.mark.parametrize(
    ("pieces", "text", "finish"),
    [
        (PROTOBUF, "5.3.1", "6"),
        (
            SOCKET_IO,
            ("0.said when $event=begun", "0.token"),
            "$event when $event=written",
        ),
        (
            NESTED,
            "custom.action[type=chunk].content",
            "custom.action.type when custom.action.type=chunk_end",
        ),
    ],
    ids=["protobuf", "socket.io", "nested"],
)
def test_sockets_of_other_makers(
    pieces: tuple[bytes | str, ...], text: object, finish: str
) -> None:
    """Bytes; a first piece that comes apart; the page's own prompt before it; the sign of its end."""
    talk = Heard("websocket", "ws://x/s", "GET", pieces)
    fit = guess([NOISE, talk], SHOWN, PROMPT)
    assert fit is not None
    assert fit.text == TEXT
    assert fit.rules.answer is not None
    assert (fit.rules.answer.text, fit.rules.answer.finish) == (text, finish)


def test_a_socket_that_tells_no_end_is_no_way() -> None:
    """Nothing would ever end an answer that is read from it."""
    talk = Heard("websocket", "ws://x/s", "GET", FRAMES[:-1])
    assert guess([talk], SHOWN) is None


def test_marks_that_do_not_show_are_forgiven() -> None:
    """Numbers of items and addresses of links are in what was read, and not in what is shown."""
    said = "Some words to begin.\n\n1. one of them\n2. and [a link](https://example.org/x) to it"
    shown = "Some words to begin.\none of them\nand a link to it"
    assert likeness(said, shown) > 0.6
    assert likeness("Words of quite another kind, and as many of them as in the other", shown) == 0


def test_traffic_without_the_answer_is_no_way() -> None:
    """Masked frames, other texts, nothing at all."""
    masked = Heard("websocket", "ws://x/ws", "GET", ("AAECAwQF", "x" * 100))
    assert guess([NOISE, masked], SHOWN) is None
    assert guess([], SHOWN) is None


def test_likeness_forgives_marks_and_names() -> None:
    """Markdown's marks and the words around an answer; not another text."""
    assert likeness(TEXT, SHOWN) > 0.7
    assert likeness("**a** word", "a word") == 1.0
    assert likeness("Nothing like it", SHOWN) == 0.0
    assert likeness("", SHOWN) == likeness("a", SHOWN) == 0.0
    assert likeness("\n" * 500_000 + " 1. a word", "a word") == 1.0


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("http://x/chat/completions?a=1", "/chat/completions"),
        ("http://x/c/0199b2c4-1111-7000-8000-000000000000/m", "/c/[^/]+/m"),
        ("http://x/a.b/42", "/a\\.b/[^/]+"),
        ("ws://x", "/"),
    ],
)
def test_ids_in_an_address_stand_for_any(url: str, pattern: str) -> None:
    """What is made for one chat is not there for the next."""
    assert pattern_of(url) == pattern
