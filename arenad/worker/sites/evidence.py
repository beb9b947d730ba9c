"""What a stream's messages hold: texts by their places, and signs that show only at its end.

A brain. For `guess`, which looks for the answer among them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import msgspec

from arenad.schema.profile import GrammarName
from arenad.worker.sites.grammars import json_text
from arenad.worker.sites.grammars.framing import Message
from arenad.worker.sites.grammars.protobuf import Fields

MAX_LEAVES = 50_000
MAX_DEPTH = 12
KINDS = ("type", "event", "kind", "op", "role", "msg")
"""Fields by which messages of one stream are told apart."""

SURE = 2
"""Signs of a rank up to this one are an end even where the body's end is one already."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WORD = re.compile(r"[A-Za-z][\w.:-]{0,39}")
_MADE = re.compile(r"[0-9a-f]{8,}|[0-9]{2,}|[0-9a-f-]{20,}", re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z_][\w-]*")
_ENDING_KEY = re.compile(r"finish|done|end|stop|complete|reason|status|final", re.IGNORECASE)
_ENDING_WORD = re.compile(
    r"(^|[_.:-])(end|ended|done|complete|completed|finish|finished|stop|close|final)($|[_.:-])",
    re.IGNORECASE,
)

Path = tuple[str, ...]
Scalar = str | int | float | bool


class Leaf(msgspec.Struct, frozen=True):
    """A value in a message: the message's number and kind, the path, and what stands there.

    `marked` is the path with the kind of the innermost object, if that has one of its own.
    """

    at: int
    kind: str
    path: str
    value: Scalar
    marked: str = ""


class Evidence:
    """All messages of one stream."""

    def __init__(self, messages: Sequence[Message], grammar: GrammarName) -> None:
        """`grammar` says how a message's payload is read."""
        is_binary = grammar in ("protobuf", "connect-protobuf")
        values = [(each.event, _value(each, is_binary=is_binary)) for each in messages]
        self._kinds = [_kind(event, value) for event, value in values]
        self._leaves: list[Leaf] = []
        for at, (_, value) in enumerate(values):
            for path, leaf in _leaves(value, (), 0):
                if len(self._leaves) < MAX_LEAVES:
                    self._leaves.append(_leaf(at, self._kinds[at], path, leaf))

    def texts(self) -> Iterator[tuple[str, list[Leaf]]]:
        """Each place with a text, as a path: in all messages, and in each kind of them alone."""
        by_place: dict[str, list[Leaf]] = {}
        for leaf in self._leaves:
            if isinstance(leaf.value, str):
                of_kind = f"{leaf.path} when {leaf.kind}" if leaf.kind else leaf.path
                for path in dict.fromkeys((leaf.path, of_kind, leaf.marked or leaf.path)):
                    by_place.setdefault(path, []).append(leaf)
        yield from by_place.items()

    def end(self, last: Leaf, *, is_needed: bool) -> str:
        """The path of a sign that shows with or after the answer's `last` text, never before it.

        The first such message counts. Empty when there is none, or only a weak one that is not
        `is_needed` because the body ends anyway.
        """
        before: set[str] = set()
        for at, signs in self._signs(last.path):
            if at < last.at:
                before.update(sign for _, sign in signs)
                continue
            fresh = [(rank, sign) for rank, sign in signs if sign not in before]
            is_weak = is_needed and at > last.at
            fresh = [each for each in fresh if is_weak or each[0] <= SURE]
            if fresh:
                return min(fresh, key=lambda each: each[0])[1]
        return ""

    def _signs(self, text_path: str) -> Iterator[tuple[int, list[tuple[int, str]]]]:
        """For each message its signs, each with its rank: the surest are 0."""
        by_message: dict[int, list[Leaf]] = {}
        for leaf in self._leaves:
            if leaf.path != text_path:
                by_message.setdefault(leaf.at, []).append(leaf)
        for at, kind in enumerate(self._kinds):
            signs = [sign for leaf in by_message.get(at, ()) for sign in _signs_of(leaf)]
            name = kind.partition("=")[0]
            yield at, [(0, f"{name} when {kind}"), *signs] if kind else signs


def _leaf(at: int, kind: str, path: Path, value: Scalar) -> Leaf:
    """`path` may have marks in it: `[type=chunk]` behind the key whose object is of that type."""
    plain = ".".join(each for each in path if not each.startswith("[")) or "$value"
    marks = [n for n, each in enumerate(path) if n and each.startswith("[")]
    kept = [each for n, each in enumerate(path) if not each.startswith("[") or n in marks[-1:]]
    marked = ".".join(kept).replace(".[", "[") if marks else ""
    return Leaf(at, kind, plain, value, marked)


def _signs_of(leaf: Leaf) -> Iterator[tuple[int, str]]:
    """That something stands there at all, and that this word does."""
    if leaf.value is False or leaf.value == "":
        return
    is_telling = bool(_ENDING_KEY.search(leaf.path.rpartition(".")[2]))
    if leaf.value is True or not isinstance(leaf.value, str) or _WORD.fullmatch(leaf.value):
        yield 1 if is_telling else 3, leaf.path
    if isinstance(leaf.value, str) and _WORD.fullmatch(leaf.value):
        rank = 2 if is_telling or _ENDING_WORD.search(leaf.value) else 4
        yield rank, f"{leaf.path} when {leaf.path}={leaf.value}"


def is_growing(texts: Sequence[str]) -> bool:
    """Whether each is the whole so far; it may end in a cursor, or be mended at its end."""
    return len(texts) > 1 and all(
        later.startswith(text[: len(text) // 2 + 1]) for text, later in pairwise(texts)
    )


def _value(message: Message, *, is_binary: bool) -> object:
    payload = message.payload
    if is_binary:
        return Fields(payload if isinstance(payload, bytes) else payload.encode())
    text = payload if isinstance(payload, str) else payload.decode("utf-8", "replace")
    value = json_text.decode(text)
    return text if value is json_text.UNREADABLE else value


def _kind(event: str, value: object) -> str:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        for name in KINDS:
            if isinstance(word := fields.get(name), str) and re.fullmatch(r"[\w.:-]+", word):
                return f"{name}={word}"
    return f"$event={event}" if event else ""


def _leaves(value: Any, path: Path, depth: int) -> Iterator[tuple[Path, Scalar]]:
    if isinstance(value, str | int | float):
        yield path, value
    elif isinstance(value, Fields):
        if path and value.text is not None and _is_shown(value.text):
            yield path, value.text
        if depth < MAX_DEPTH:
            numbered = ((str(number), each) for number, found in value.items() for each in found)
            yield from _inner(numbered, path, depth)
    elif depth < MAX_DEPTH and isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        if path and (kind := _kind("", fields)):
            path = (*path, f"[{kind}]")
        yield from _inner(((_step(key), inner) for key, inner in fields.items()), path, depth)
    elif depth < MAX_DEPTH and isinstance(value, list):
        items = enumerate(cast("list[object]", value))
        yield from _inner(((str(number), inner) for number, inner in items), path, depth)


def _step(key: str) -> str:
    """How a path names a key; what was made for one chat stands for any."""
    if is_made(key):
        return "*"
    return key if _KEY.fullmatch(key) else f'"{key}"'


def is_made(name: str) -> bool:
    """Whether this names one thing of one chat, and will name nothing in the next."""
    return bool(_MADE.fullmatch(name))


def _inner(
    named: Iterable[tuple[str, object]], path: Path, depth: int
) -> Iterator[tuple[Path, Scalar]]:
    for key, inner in named:
        yield from _leaves(inner, (*path, key), depth + 1)


def _is_shown(text: str) -> bool:
    """Bytes that are a text, and not a message that happens to be one."""
    return bool(text) and not _CONTROL.search(text)
