"""Work out how a page brings its answer, from what its network brought and what it then showed.

A brain. Every grammar is simply tried on what was heard; for those that need to be told where the
text stands, each text in the messages is tried. What gives the text that was shown is the way.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import msgspec

from arenad.schema.chat import TextDelta
from arenad.schema.profile import AnswerRules, GrammarName, StreamRules
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.grammars.framing import (
    Frames,
    Framing,
    JsonLines,
    Message,
    ServerSentEvents,
    SocketIo,
    Whole,
)

Piece = bytes | str
Transport = Literal["fetch", "eventsource", "websocket"]

MIN_CHARS = 4
ENOUGH = 0.25
"""The page shows names and buttons around a short answer; the best of several counts anyway."""

MARKS = 0.6
"""What was read may hold more than what is shown: addresses of links, marks of tables."""

MAX_LEAVES = 2000
MAX_DEPTH = 12
KINDS = ("type", "event", "kind", "op", "role", "msg")
"""Fields by which messages of one stream are told apart."""

_READY: dict[Transport, tuple[GrammarName, ...]] = {
    "fetch": ("arena-lines", "ai-lines", "sse", "gradio"),
    "eventsource": ("sse", "gradio"),
    "websocket": (),
}
_FRAMED: dict[Transport, tuple[tuple[GrammarName, type[Framing]], ...]] = {
    "fetch": (("sse", ServerSentEvents), ("json-lines", JsonLines), ("json", Whole)),
    "eventsource": (("sse", ServerSentEvents),),
    "websocket": (("json-frames", Frames), ("socket-io", SocketIo)),
}
_ID = re.compile(r"[0-9a-f]{8,}|[0-9]{2,}|[0-9a-f-]{20,}", re.IGNORECASE)


class Heard(msgspec.Struct, frozen=True):
    """One request or connection of the page's, and what it brought."""

    transport: Transport
    url: str
    method: str
    pieces: tuple[Piece, ...]


class _Leaf(msgspec.Struct, frozen=True):
    """A text in a message: its path, what kind of message it stood in, the text."""

    path: str
    kind: str
    text: str


def guess(heard: Sequence[Heard], shown: str) -> StreamRules | None:
    """The rules that read what was shown, or `None`; the better fit of several."""
    fits = [(fit, rules) for each in heard for fit, rules in _readings(each, shown)]
    return max(fits, key=lambda pair: pair[0])[1] if fits else None


def likeness(read: str, shown: str) -> float:
    """From 0 to 1: how much of the longer of two texts the shorter one is, marks aside."""
    read, shown = _bare(read), _bare(shown)
    if len(read) >= MIN_CHARS and read in shown:
        return len(read) / len(shown)
    if len(shown) >= MIN_CHARS and shown in read and len(shown) > MARKS * len(read):
        return len(shown) / len(read)
    return 0.0


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _readings(heard: Heard, shown: str) -> Iterator[tuple[float, StreamRules]]:
    for grammar in _READY[heard.transport]:
        rules = _rules(heard, grammar)
        if (fit := likeness(_text_of(rules, heard.pieces), shown)) >= ENOUGH:
            yield fit + 1.0, rules  # a grammar that knows its way also knows the end and the errors
    for grammar, framing in _FRAMED[heard.transport]:
        yield from _with_paths(heard, grammar, framing(), shown)
    if heard.transport == "fetch" and heard.pieces:
        rules = _rules(heard, "text")
        if (fit := likeness(_text_of(rules, heard.pieces), shown)) >= ENOUGH:
            yield fit - 0.2, rules


def _rules(heard: Heard, grammar: GrammarName, answer: AnswerRules | None = None) -> StreamRules:
    return StreamRules(
        transport=heard.transport,
        url_pattern=pattern_of(heard.url),
        method=heard.method,
        grammar=grammar,
        answer=answer,
    )


def pattern_of(url: str) -> str:
    """The address's path as a regular expression, with anything in the places of ids."""
    path = re.sub(r"^[a-z]+://[^/?#]*|[?#].*", "", url)
    parts = path.split("/")
    return "/".join("[^/]+" if _ID.fullmatch(part) else re.escape(part) for part in parts) or "/"


def _text_of(rules: StreamRules, pieces: Iterable[Piece]) -> str:
    grammar = grammar_of(rules)
    events = [event for piece in pieces for event in grammar.feed(piece)]
    last, _ = grammar.end()
    return "".join(event.text for event in (*events, *last) if isinstance(event, TextDelta))


# -- where the text stands ------------------------------------------------------------------------


def _with_paths(
    heard: Heard, grammar: GrammarName, framing: Framing, shown: str
) -> Iterator[tuple[float, StreamRules]]:
    messages = [message for piece in heard.pieces for message in framing.feed(piece)]
    messages += framing.end()
    values = [_value(message) for message in messages]
    leaves = [leaf for event, value in values for leaf in _leaves(event, value)][:MAX_LEAVES]
    for answer in _answers(leaves):
        rules = _rules(heard, grammar, answer)
        if (fit := likeness(_text_of(rules, heard.pieces), shown)) >= ENOUGH:
            finish = _finish(values, answer)
            whole = msgspec.structs.replace(answer, finish=finish or ())
            yield fit, _rules(heard, grammar, whole)


def _answers(leaves: Sequence[_Leaf]) -> Iterator[AnswerRules]:
    """Each place with a text, of all messages and of each kind of them alone."""
    kinds = dict.fromkeys((leaf.path, kind) for leaf in leaves for kind in ("", leaf.kind))
    for path, kind in kinds:
        texts = [leaf.text for leaf in leaves if leaf.path == path and kind in ("", leaf.kind)]
        where = f"{path} when {kind}" if kind else path
        grows = len(texts) > 1 and all(
            later.startswith(text[: len(text) // 2 + 1]) for text, later in pairwise(texts)
        )
        yield AnswerRules(text=where, mode="replace" if grows else "append")


def _finish(values: Sequence[tuple[str, object]], answer: AnswerRules) -> str:
    """The kind of the last message, if only the last one is of that kind."""
    kinds = [_kind(event, value) for event, value in values]
    if not kinds or not kinds[-1] or kinds.count(kinds[-1]) > 1 or kinds[-1] in str(answer.text):
        return ""
    name = kinds[-1].partition("=")[0]
    return f"{'$value' if name == '$event' else name} when {kinds[-1]}"


def _value(message: Message) -> tuple[str, object]:
    try:
        return message.event, msgspec.json.decode(message.payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return message.event, message.payload


def _kind(event: str, value: object) -> str:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        for name in KINDS:
            if isinstance(word := fields.get(name), str) and re.fullmatch(r"[\w.:-]+", word):
                return f"{name}={word}"
    return f"$event={event}" if event else ""


def _leaves(event: str, value: object) -> Iterator[_Leaf]:
    kind = _kind(event, value)
    for path, text in _texts(value, (), 0):
        yield _Leaf(".".join(path) or "$value", kind, text)


def _texts(value: Any, path: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif depth < MAX_DEPTH and isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            key = name if re.fullmatch(r"[A-Za-z_][\w-]*", name) else f'"{name}"'
            yield from _texts(inner, (*path, key), depth + 1)
    elif depth < MAX_DEPTH and isinstance(value, list):
        for number, inner in enumerate(cast("list[object]", value)):
            yield from _texts(inner, (*path, str(number)), depth + 1)
