"""Work out how a page brings its answer, from what its network brought and what it then showed.

A brain. Every grammar is simply tried on what was heard; for those that need to be told where the
text stands, each text in the messages is tried. What gives the text that was shown is the way.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import msgspec
from msgspec.structs import replace

from arenad.errors import RequestError
from arenad.schema.chat import TextDelta
from arenad.schema.profile import AnswerRules, GrammarName, StreamRules
from arenad.worker.sites.evidence import Evidence, Leaf, is_growing, is_made
from arenad.worker.sites.grammars.choose import grammar_of
from arenad.worker.sites.grammars.framing import (
    Frames,
    Framing,
    JsonLines,
    ServerSentEvents,
    SocketIo,
    Whole,
)

Piece = bytes | str
Transport = Literal["fetch", "eventsource", "websocket"]

MIN_CHARS = 4
MIN_PAIRS = 5
ENOUGH = 0.25
"""The page shows names and buttons around a short answer; the best of several counts anyway."""

MARKS = 0.6
"""What was read may hold more than what is shown: addresses of links, marks of tables."""

BEGINNING_CHARS = 200
"""Names and times may stand before an answer."""

CURSORS = ("▌", "▍", "█", "|", "●")

_READY: dict[Transport, tuple[GrammarName, ...]] = {
    "fetch": ("arena-lines", "ai-lines", "sse", "gradio"),
    "eventsource": ("sse", "gradio"),
    "websocket": (),
}
_FRAMED: dict[Transport, tuple[tuple[GrammarName, type[Framing]], ...]] = {
    "fetch": (("sse", ServerSentEvents), ("json-lines", JsonLines), ("json", Whole)),
    "eventsource": (("sse", ServerSentEvents),),
    "websocket": (("json-frames", Frames), ("socket-io", SocketIo), ("protobuf", Frames)),
}


_WORD = re.compile(r"\w+")
_TAG = re.compile(r"<[^<>]*>")
_UNSEEN = re.compile(r"\]\([^()\s]*\)|^[^\S\n]*+\d{1,9}[.)] |^```.*$", re.MULTILINE)
"""What Markdown says and no page shows: addresses, numbers of items, languages."""


class Heard(msgspec.Struct, frozen=True):
    """One request or connection of the page's, and what it brought."""

    transport: Transport
    url: str
    method: str
    pieces: tuple[Piece, ...]


class Fit(msgspec.Struct, frozen=True):
    """Rules that read something like what was shown: the text, how alike, in how many pieces.

    `is_ready`: of a grammar that knows its way, and so also the end and the errors.
    """

    rules: StreamRules
    text: str
    likeness: float
    pieces: int
    is_ready: bool = False

    @property
    def rank(self) -> tuple[float, ...]:
        """Which of several is the better one: what needs no guess, is most alike, and streams."""
        is_ready = self.is_ready and self.likeness > MARKS
        is_bare = self.rules.grammar == "text"
        return is_ready, round(self.likeness, 3) - 0.2 * is_bare, self.pieces


def guess(heard: Sequence[Heard], shown: str, prompt: str = "") -> Fit | None:
    """The rules that read what was shown, or `None`; the better fit of several.

    `prompt` is what the page was asked; many show it by the same way as the answer.
    """
    fits = [fit for each in heard for fit in _readings(each, shown, prompt)]
    return max(fits, key=lambda fit: fit.rank) if fits else None


def likeness(read: str, shown: str) -> float:
    """From 0 to 1: how much of the longer of two texts the shorter one is, marks aside.

    Numbers of items and addresses of links stand in the one and not in the other, so a text that is
    not found as a whole is compared by its pairs of neighbouring words.
    """
    bare, other = _bare(read), _bare(shown)
    pairs, others = _pairs(read), _pairs(shown)
    common = (pairs & others).total()
    share = 2 * common / max(pairs.total() + others.total(), 1)
    if len(bare) >= MIN_CHARS and bare in other:
        return max(share, len(bare) / len(other))
    if len(other) >= MIN_CHARS and other in bare and len(other) > MARKS * len(bare):
        return max(share, len(other) / len(bare))
    return share if share > MARKS and common >= MIN_PAIRS else 0.0


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _pairs(text: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(_WORD.findall(_UNSEEN.sub(" ", text.casefold()))))


def _readings(heard: Heard, shown: str, prompt: str) -> Iterator[Fit]:
    for grammar in _READY[heard.transport]:
        for fit in _tried(_rules(heard, grammar), heard, (shown, prompt)):
            yield msgspec.structs.replace(fit, is_ready=True)
    for grammar, framing in _FRAMED[heard.transport]:
        yield from _with_paths(heard, (grammar, framing()), shown, prompt)
    if heard.transport == "fetch" and heard.pieces:
        yield from _tried(_rules(heard, "text"), heard, (shown, prompt))


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
    return "/".join("[^/]+" if is_made(part) else re.escape(part) for part in parts) or "/"


def _tried(rules: StreamRules, heard: Heard, of: tuple[str, str]) -> Iterator[Fit]:
    """What these rules read, where it is what was shown. `of`: what was shown, the prompt."""
    grammar = grammar_of(rules)
    grammar.asked(of[1])
    events = [event for piece in heard.pieces for event in grammar.feed(piece)]
    last, outcome = grammar.end()
    texts = [event.text for event in (*events, *last) if isinstance(event, TextDelta)]
    text = "".join(texts)
    fit = likeness(text, of[0])
    if fit >= ENOUGH and not isinstance(outcome, RequestError):
        yield Fit(rules, text, fit, len(texts))


# -- where the text stands ------------------------------------------------------------------------


def _with_paths(
    heard: Heard, by: tuple[GrammarName, Framing], shown: str, prompt: str
) -> Iterator[Fit]:
    grammar, framing = by
    messages = [message for piece in heard.pieces for message in framing.feed(piece)]
    evidence = Evidence([*messages, *framing.end()], grammar)
    places = [
        (path, [leaf for leaf in found if str(leaf.value).strip() != prompt.strip()])
        for path, found in evidence.texts()
    ]
    is_socket = heard.transport == "websocket"
    for path, found in places:
        for answer in _answers(path, found, shown):
            finish = evidence.end(found[-1], is_needed=is_socket)
            if is_socket and not finish:
                continue  # nothing would ever end it
            texts = [path, *((first, path) for first in _beginnings(answer, found, places, shown))]
            for text in texts:
                whole = replace(answer, text=text, finish=finish or ())
                yield from _tried(_rules(heard, grammar, whole), heard, (shown, prompt))


def _answers(path: str, found: Sequence[Leaf], shown: str) -> Iterator[AnswerRules]:
    """How the texts at one place could be the answer, if they could be at all."""
    texts = [str(leaf.value) for leaf in found]
    if not texts:
        return
    grows = is_growing(texts)
    for is_html in (False, True) if any("</" in text for text in texts) else (False,):
        whole = texts[-1] if grows else "".join(texts)
        # Marks are cut off first: to read HTML at each of its growths takes seconds.
        said = html.unescape(_TAG.sub(" ", whole)) if is_html else whole
        if likeness(said, shown) < ENOUGH:
            continue
        cursor = _cursor(texts) if grows and not is_html else ""
        mode = "replace" if grows else "append"
        yield AnswerRules(text=path, mode=mode, cursor=cursor, is_html=is_html)


def _cursor(texts: Sequence[str]) -> str:
    """What stands behind the text as long as it grows."""
    for cursor in CURSORS:
        if all(text.endswith(cursor) for text in texts[:-1]) and not texts[-1].endswith(cursor):
            return cursor
    return ""


def _beginnings(
    answer: AnswerRules,
    found: Sequence[Leaf],
    places: Iterable[tuple[str, Sequence[Leaf]]],
    shown: str,
) -> Iterator[str]:
    """Places of a first piece that comes another way than those that follow."""
    if answer.mode != "append" or answer.is_html:
        return
    start = _bare(shown)[:BEGINNING_CHARS]
    for path, others in places:
        if len(others) == 1 and others[0].at < found[0].at and " when " in path:
            first = _bare(str(others[0].value))
            if first and first[: BEGINNING_CHARS // 2] in start:
                yield path
