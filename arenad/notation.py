"""How calls of tools and their results stand in the text of a conversation. A brain: no I/O.

A chat page knows text alone. So a call is a fenced block in the answer, and its result is one in
the next message::

    ```tool_call
    {"name":"add","arguments":{"a":3,"b":4}}
    ```

A call that is told again with the history has its `id` as well; so has a result, which names the
call. JSON within a string breaks no line, so a line that begins with a fence ends the block.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

FENCE = "```"
CALL = "tool_call"
RESULT = "tool_result"
OPENING = FENCE + CALL
"""What a call begins with."""

MAX_BLOCK_CHARS = 1024 * 1024
"""A longer block is text, and held back no more."""

MAX_HELD_CHARS = 4096
"""Spaces that may come before a block."""

_CLOSING = "\n" + FENCE
_OPEN = re.compile(rf"^[ \t]*{OPENING}[ \t]*\r?\n", re.MULTILINE)
_FENCED = re.compile(rf"{FENCE}\w*[ \t]*\n(.*)\n{FENCE}", re.DOTALL)


class Call(msgspec.Struct, frozen=True):
    """A call as an answer holds it: the name, and its arguments as the text of a JSON object."""

    name: str
    arguments: str


class Block(msgspec.Struct, frozen=True):
    """What stands between the fences, and all of it as text, with the spaces before."""

    body: str
    text: str


class _Body(msgspec.Struct):
    name: str
    arguments: dict[str, Any] = {}


class _Raw(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


_NO_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)
_body_of = msgspec.json.Decoder(_Body).decode
_raw_of = msgspec.json.Decoder(_Raw).decode
_encode = msgspec.json.Encoder().encode
_in_order = msgspec.json.Encoder(order="deterministic").encode


# -- written --------------------------------------------------------------------------------------


def call(name: str, arguments: object, call_id: str = "") -> str:
    """The block of a call."""
    named = {"id": call_id} if call_id else {}
    return _block(CALL, {**named, "name": name, "arguments": arguments})


def result(call_id: str, name: str, content: str, *, is_error: bool = False) -> str:
    """The block of what a call brought; what nobody knows is left out."""
    told = {"id": call_id, "name": name, "is_error": is_error}
    return _block(RESULT, {key: each for key, each in told.items() if each} | {"content": content})


def _block(kind: str, told: Mapping[str, object]) -> str:
    return f"{FENCE}{kind}\n{_encode(told).decode()}\n{FENCE}"


def arguments_of(text: str) -> object:
    """The arguments of a call that a client sends again; such as are no JSON stay a text.

    No objects are made of them, of which there might be millions, but a line.
    """
    try:
        return msgspec.Raw(msgspec.json.format(text.encode() or b"{}", indent=-1))
    except _NO_JSON:
        return text


# -- read -----------------------------------------------------------------------------------------


def called(block: Block) -> Call | None:
    """The call in a block; None if it holds none. The arguments are as they were written."""
    try:
        _body_of(block.body)
        raw = _raw_of(block.body)
        return Call(raw.name, bytes(raw.arguments).decode())
    except _NO_JSON:
        return None


class Finder:
    """Finds the blocks of calls in a text that comes in pieces.

    Held back are spaces and what may be the beginning of a block, and a block until it ends; all
    else is given back at once.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self._held = ""
        self._has_begun = False
        self._opening = ""
        self._body: list[str] = []
        self._size = 0

    def take(self, piece: str) -> list[str | Block]:
        """What is known to be text, and which blocks are whole, in their order."""
        found: list[str | Block] = []
        text, at = self._held + piece, 0
        self._held = ""
        while at < len(text):  # by places: a copy of what is left for each block is a square
            read = self._inside if self._opening else self._outside
            at = read(text, at, found)
        return found

    def rest(self) -> list[str | Block]:
        """What was held back when the text ended; its end may end a block, too."""
        opening, held = self._opening, "".join(self._body) + self._held
        self._opening, self._body, self._held = "", [], ""
        if opening:
            return [Block(held[1:].rstrip().removesuffix(FENCE), opening + held)]
        return [held] if held else []

    def _outside(self, text: str, at: int, found: list[str | Block]) -> int:
        # What was given back ends in no line end, for these are held: only the first line of all
        # begins where a piece does.
        begin = text.find("\n", at) + 1 if self._has_begun else at
        opened = _OPEN.search(text, begin) if begin or not self._has_begun else None
        said = text[at:] if opened is None else text[at : opened.start()].rstrip()
        border = at + (self._border(said) if opened is None else len(said))
        if border > at:
            self._has_begun = True
            found.append(text[at:border])
        if opened is None:
            self._held = text[border:]
            return len(text)
        self._has_begun = True
        # The line end is the body's: with it a closing fence may begin.
        end = opened.end() - 1
        self._opening, self._body, self._size = text[border:end], [], -1
        return end

    def _border(self, text: str) -> int:
        """Where at the text's end spaces begin, and with them perhaps a block."""
        at = text.rfind("\n") + 1
        is_line = bool(at) or not self._has_begun
        if is_line and OPENING.startswith(text[at:].strip(" \t\r")):
            border = len(text[:at].rstrip())
        else:
            border = len(text.rstrip())
        return border if len(text) - border <= MAX_HELD_CHARS else len(text)

    def _inside(self, text: str, at: int, found: list[str | Block]) -> int:
        closing = text.find(_CLOSING, at)
        is_whole = closing >= 0
        end = closing + len(_CLOSING) if is_whole else len(text)
        if not is_whole and self._size + end - at <= MAX_BLOCK_CHARS:
            known = max(at, end - len(_CLOSING) + 1)
            self._body.append(text[at:known])
            self._size += known - at
            self._held = text[known:]
            return end
        body = "".join([*self._body, text[at:end]])
        said = self._opening + body
        found.append(Block(body[1:].removesuffix(FENCE), said) if is_whole else said)
        self._opening, self._body = "", []
        return end


# -- compared -------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """An answer's text as a page has it, and as its client sends it again, both to one.

    Clients put calls behind the text, with their ids, and may write their JSON anew. Where JSON was
    asked for, a fence around it was not passed on.
    """
    if "`" not in text or FENCE not in text:  # a single sign is found ten times as fast
        return text.strip()
    finder = Finder()
    texts: list[str] = []
    calls: list[str] = []
    is_new = True
    for each in [*finder.take(text), *finder.rest()]:
        if isinstance(each, Block) and (made := _alike(each)):
            calls.append(made)
            is_new = True
            continue
        said = each.text if isinstance(each, Block) else each
        texts.append("\n\n" + said.lstrip() if is_new else said)
        is_new = False
    said = "".join(texts).strip()
    if not calls and (fenced := _FENCED.fullmatch(said)):
        said = fenced[1].strip()
    return "\n\n".join([said, *calls]).strip()


def _alike(block: Block) -> str:
    """A call without what differs; nothing where there is none."""
    try:
        return _in_order(_body_of(block.body)).decode()
    except _NO_JSON:
        return ""
