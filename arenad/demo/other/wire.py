"""How each of the other pages frames an answer: what is asked in, bytes out. No I/O."""

from itertools import cycle
from typing import Any, Literal

import msgspec

from arenad.demo.models import Piece
from arenad.demo.protocol import PROMPT_LIMIT_BYTES, Refusal, Speaker, Turn


class _Message(msgspec.Struct, frozen=True):
    role: Speaker
    content: str


class Wish(msgspec.Struct, frozen=True):
    """What every page sends: a model by its public name, and the whole talk."""

    model: str
    messages: tuple[_Message, ...]

    def conversation(self) -> tuple[Turn, ...]:
        """The turns as models take them."""
        return tuple(Turn(each.role, each.content) for each in self.messages)


class Frame(msgspec.Struct, frozen=True):
    """What a page sends over a WebSocket; `wish` comes with `ask`."""

    type: Literal["ask", "stop"]
    wish: Wish | None = None


def read_wish(body: bytes) -> Wish:
    """The wish in a request's body. Raises `Refusal` (400, 413) that names the field at fault."""
    return _checked(_decode(body, Wish))


def read_frame(frame: bytes) -> Wish | None:
    """The wish in a frame, or None for a stop. Raises `Refusal` (400, 413)."""
    read = _decode(frame, Frame)
    if read.type == "stop":
        return None
    if read.wish is None:
        raise Refusal(400, "bad frame", "wish: is missing")
    return _checked(read.wish)


def _decode(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(400, "bad body", str(error)) from None


def _checked(wish: Wish) -> Wish:
    last = wish.messages[-1] if wish.messages else None
    if last is None or last.role != "user" or not last.content:
        raise Refusal(400, "bad body", "messages: the newest turn is not the user's, or empty")
    if len(last.content.encode()) > PROMPT_LIMIT_BYTES:
        raise Refusal(413, "prompt too long", f"messages: the limit is {PROMPT_LIMIT_BYTES} bytes")
    return wish


class Events:
    """`text/event-stream` for an EventSource: named events, each with a JSON string."""

    content_type = "text/event-stream"

    def piece(self, piece: Piece) -> bytes:
        """A part of the answer."""
        return _event("message" if piece.kind == "text" else "reasoning", piece.text)

    def end(self, reason: str) -> bytes:
        """The end."""
        return _event("end", reason)

    def error(self, text: str) -> bytes:
        """A failure; nothing comes after it but the end of the body."""
        return _event("failure", text)


class Chunks:
    """Server-sent events as OpenAI-compatible services send them."""

    content_type = "text/event-stream"

    def __init__(self, model: str, answer: str) -> None:
        """`answer` is its id."""
        self._head = {"id": f"chatcmpl-{answer}", "object": "chat.completion.chunk", "model": model}

    def piece(self, piece: Piece) -> bytes:
        """A part of the answer."""
        name = "content" if piece.kind == "text" else "reasoning_content"
        return self._chunk({name: piece.text}, None)

    def end(self, reason: str) -> bytes:
        """The end, and the mark that says that nothing follows."""
        return self._chunk({}, reason) + b"data: [DONE]\n\n"

    def error(self, text: str) -> bytes:
        """A failure in the stream."""
        return b"data: " + msgspec.json.encode({"error": {"message": text}}) + b"\n\n"

    def _chunk(self, delta: dict[str, str], reason: str | None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        return b"data: " + msgspec.json.encode(self._head | {"choices": choices}) + b"\n\n"


class Lines:
    """JSON lines, as local model servers send them."""

    content_type = "application/x-ndjson"

    def __init__(self, model: str) -> None:
        """Every line names the model."""
        self._model = model

    def piece(self, piece: Piece) -> bytes:
        """A part of the answer."""
        name = "content" if piece.kind == "text" else "thinking"
        message = {"role": "assistant", "content": "", name: piece.text}
        return self._line({"message": message, "done": False})

    def end(self, reason: str) -> bytes:
        """The last line."""
        message = {"role": "assistant", "content": ""}
        return self._line({"message": message, "done": True, "done_reason": reason})

    def error(self, text: str) -> bytes:
        """A failure; no line follows."""
        return self._line({"error": text})

    def _line(self, value: dict[str, object]) -> bytes:
        return msgspec.json.encode({"model": self._model} | value) + b"\n"


class JsonFrames:
    """WebSocket frames of JSON text."""

    def piece(self, piece: Piece) -> bytes:
        """A part of the answer."""
        return msgspec.json.encode({"type": piece.kind, "text": piece.text})

    def end(self, reason: str) -> bytes:
        """The end of this answer."""
        return msgspec.json.encode({"type": "end", "reason": reason})

    def error(self, text: str) -> bytes:
        """The answer failed, or the wish was refused."""
        return msgspec.json.encode({"type": "error", "text": text})


class MaskedFrames:
    """Binary frames that say nothing to who only listens: every byte is masked by a key.

    The first frame of a connection is the key. After that a frame is one letter (`t` text,
    `r` reasoning, `e` end, `f` failure) and UTF-8, both masked from the key's start.
    """

    def __init__(self, key: bytes) -> None:
        """`key` is any bytes, at least one."""
        self._key = key

    def piece(self, piece: Piece) -> bytes:
        """A part of the answer."""
        return self._masked(piece.kind[0], piece.text)

    def end(self, reason: str) -> bytes:
        """The end of this answer."""
        return self._masked("e", reason)

    def error(self, text: str) -> bytes:
        """The answer failed, or the wish was refused."""
        return self._masked("f", text)

    def _masked(self, letter: str, text: str) -> bytes:
        plain = (letter + text).encode()
        return bytes(byte ^ mask for byte, mask in zip(plain, cycle(self._key), strict=False))


Framing = Events | Chunks | Lines | JsonFrames | MaskedFrames


def _event(name: str, value: str) -> bytes:
    return f"event: {name}\n".encode() + b"data: " + msgspec.json.encode(value) + b"\n\n"
