"""Which rules read an answer: from what was heard and what then showed."""

import json

import pytest

from arenad.schema.chat import TextDelta
from arenad.schema.profile import StreamRules
from arenad.worker.sites.grammars.choose import grammar_of
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
            "$value when $event=end",
        ),
    ],
    ids=["openai", "sse", "growing", "arena", "lines", "json", "text", "socket", "eventsource"],
)
def test_each_way_is_found_and_reads_the_text(
    heard: Heard, grammar: str | None, text: str | None, finish: object
) -> None:
    """Among other traffic; and what is found gives the text to the letter."""
    rules = guess([NOISE, heard], SHOWN)
    assert rules is not None
    assert grammar in (None, rules.grammar)
    assert (rules.answer.text if rules.answer else None) == text
    assert (rules.answer.finish if rules.answer else ()) == finish
    assert read(rules, heard) == TEXT


def read(rules: StreamRules, heard: Heard) -> str:
    grammar = grammar_of(rules)
    found = [event for piece in heard.pieces for event in grammar.feed(piece)]
    found += grammar.end()[0]
    return "".join(event.text for event in found if isinstance(event, TextDelta))


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
