"""Cut what comes into messages: lines, server-sent events, frames, socket.io packets, a whole body.

A framing takes pieces in the order of the wire, cut anywhere, and never raises. What grows beyond
`MAX_MESSAGE_CHARS` is dropped and counted, not kept.
"""

import codecs
import re
from collections.abc import Callable
from typing import NamedTuple, Protocol

from arenad.worker.sites.grammars import json_text

MAX_MESSAGE_CHARS = 10 * 1024 * 1024
Piece = bytes | str
"""Bytes of a body, or one text frame."""


class Message(NamedTuple):
    """One message: its text or bytes, and the name that the stream gives to it."""

    payload: Piece
    event: str = ""


class Framing(Protocol):
    """Pieces in, whole messages out."""

    @property
    def too_long(self) -> int:
        """How many messages were dropped."""
        ...

    def feed(self, piece: Piece) -> list[Message]:
        """The messages that this piece completes."""
        ...

    def end(self) -> list[Message]:
        """What was complete but for its end."""
        ...


class Decoder:
    """Bytes to text at any cut; text frames as they are. What is no UTF-8 is replaced."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, piece: Piece) -> str:
        """The text that this piece completes."""
        return piece if isinstance(piece, str) else self._decoder.decode(piece)

    def rest(self) -> str:
        """At the end, what is left of a character that was cut."""
        return self._decoder.decode(b"", final=True)


class Lines:
    """Lines without their ends, which are LF, CRLF, or (where `has_cr`) CR alone."""

    def __init__(self, *, has_cr: bool = False) -> None:
        """Nothing is held."""
        self.too_long = 0
        self._decoder = Decoder()
        self._has_cr = has_cr
        self._is_after_cr = False
        self._partial: list[str] = []
        self._partial_chars = 0

    def feed(self, piece: Piece) -> list[str]:
        """The lines that this piece completes."""
        text = self._decoder.text(piece)
        if self._has_cr and text:
            if self._is_after_cr and text.startswith("\n"):
                text = text[1:]
                self._is_after_cr = False
            if text:
                self._is_after_cr = text.endswith("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        head, *rest = text.split("\n")
        self._hold(head)
        lines: list[str] = []
        for part in rest:
            lines.append(self._held())
            self._hold(part)
        return lines

    def end(self) -> str:
        """The last line, which had no end."""
        self._hold(self._decoder.rest())
        return self._held()

    def _hold(self, text: str) -> None:
        self._partial_chars += len(text)
        if self._partial_chars <= MAX_MESSAGE_CHARS:
            self._partial.append(text)
        else:
            self._partial.clear()

    def _held(self) -> str:
        self.too_long += self._partial_chars > MAX_MESSAGE_CHARS
        line = "".join(self._partial)
        self._partial, self._partial_chars = [], 0
        return line if self._has_cr else line.removesuffix("\r")


class JsonLines:
    """A message to a line; empty lines are none. A `data:` and commas around it are let go."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._lines = Lines()

    @property
    def too_long(self) -> int:
        """How many lines were dropped."""
        return self._lines.too_long

    def feed(self, piece: Piece) -> list[Message]:
        """The lines that this piece completes."""
        return [message for line in self._lines.feed(piece) for message in self._messages(line)]

    def end(self) -> list[Message]:
        """The last line needs no end."""
        return self._messages(self._lines.end())

    def _messages(self, line: str) -> list[Message]:
        bare = line.strip().removeprefix("data:").strip(" \t\r,")
        return [Message(bare)] if bare.strip("[]") else []  # a stream may be one long list


class ServerSentEvents:
    """Event-stream framing as the HTML standard has it; an event without its blank line counts."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._lines = Lines(has_cr=True)
        self._too_long = 0
        self._is_first = True
        self._event = ""
        self._parts: list[str] = []
        self._chars = 0

    @property
    def too_long(self) -> int:
        """How many lines or events were dropped."""
        return self._lines.too_long + self._too_long

    def feed(self, piece: Piece) -> list[Message]:
        """The events that this piece completes."""
        return [message for line in self._lines.feed(piece) for message in self._line(line)]

    def end(self) -> list[Message]:
        """Some sites leave out the last blank line."""
        return [*self._line(self._lines.end()), *self._dispatch()]

    def _line(self, line: str) -> list[Message]:
        if self._is_first:
            self._is_first, line = False, line.removeprefix("\ufeff")
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._event = value
        elif field == "data":
            self._chars += len(value) + 1
            if self._chars <= MAX_MESSAGE_CHARS:
                self._parts.append(value)
        return []

    def _dispatch(self) -> list[Message]:
        event, parts, chars = self._event, self._parts, self._chars
        self._event, self._parts, self._chars = "", [], 0
        if chars > MAX_MESSAGE_CHARS:
            self._too_long += 1
            return []
        return [Message("\n".join(parts), event or "message")] if parts else []


class Frames:
    """Each piece is one message, as a WebSocket brings it."""

    def __init__(self) -> None:
        """Nothing is held."""
        self.too_long = 0

    def feed(self, piece: Piece) -> list[Message]:
        """The message that this piece is."""
        if len(piece) > MAX_MESSAGE_CHARS:
            self.too_long += 1
            return []
        return [Message(piece)] if piece else []

    def end(self) -> list[Message]:
        """A frame is whole or not there."""
        return []


class SocketIo(Frames):
    """Engine.io 4 and socket.io 5 in text frames: the arguments of each event, under its name.

    An argument that is binary stands in the JSON as a placeholder; its own frame is left out.
    """

    _PACKET = re.compile(r"4[25](?:[0-9]+-)?(?:/[^,]*,)?[0-9]*(?=\[)")
    _NAMED = re.compile(rf'\[\s*("{json_text.IN_STRING}")\s*,?', re.DOTALL)

    def feed(self, piece: Piece) -> list[Message]:
        """The events of this frame, which may hold several packets."""
        text = piece if isinstance(piece, str) else ""
        packets = [
            message for part in text.split("\x1e") for message in super(SocketIo, self).feed(part)
        ]
        return [message for packet in packets for message in self._event(str(packet.payload))]

    def _event(self, packet: str) -> list[Message]:
        head = self._PACKET.match(packet)
        if head is None:
            return []  # open, ping, acknowledgement, another namespace's connect
        named = self._NAMED.match(packet, head.end())
        name = json_text.decode(named[1]) if named else None
        if named is None or not isinstance(name, str):
            return [Message(packet)]
        return [Message("[" + packet[named.end() :], name)]


class Whole:
    """The whole body is one message."""

    def __init__(self) -> None:
        """Nothing is held."""
        self.too_long = 0
        self._decoder = Decoder()
        self._parts: list[str] = []
        self._chars = 0

    def feed(self, piece: Piece) -> list[Message]:
        """Nothing is complete before the end."""
        self._hold(self._decoder.text(piece))
        return []

    def end(self) -> list[Message]:
        """The body."""
        self._hold(self._decoder.rest())
        if self._chars > MAX_MESSAGE_CHARS:
            self.too_long = 1
            return []
        body = "".join(self._parts)
        return [Message(body)] if body.strip() else []

    def _hold(self, text: str) -> None:
        self._chars += len(text)
        if self._chars <= MAX_MESSAGE_CHARS:
            self._parts.append(text)
        else:
            self._parts.clear()


_HEAD_BYTES = 5
_LAST = {0x80: "trailers", 0x02: "end"}


class Envelopes:
    """Connect and gRPC-web streams: a byte of flags, four of length, then the message."""

    def __init__(self) -> None:
        """Nothing is held."""
        self.too_long = 0
        self._held = bytearray()
        self._skip_bytes = 0

    def feed(self, piece: Piece) -> list[Message]:
        """The messages that this piece completes; the last one is named `end` or `trailers`."""
        self._held += piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        messages: list[Message] = []
        while True:
            skipped = min(self._skip_bytes, len(self._held))
            del self._held[:skipped]
            self._skip_bytes -= skipped
            if len(self._held) < _HEAD_BYTES:
                return messages
            size = int.from_bytes(self._held[1:_HEAD_BYTES], "big")
            if size > MAX_MESSAGE_CHARS:
                self.too_long += 1
                self._skip_bytes = _HEAD_BYTES + size
            elif len(self._held) < _HEAD_BYTES + size:
                return messages
            else:
                payload = bytes(self._held[_HEAD_BYTES : _HEAD_BYTES + size])
                messages.append(Message(payload, _LAST.get(self._held[0], "")))
                del self._held[: _HEAD_BYTES + size]

    def end(self) -> list[Message]:
        """What is left is a message that was cut: it is no message, and is told as such."""
        return [Message(bytes(self._held), "cut")] if self._held else []


MakeFraming = Callable[[], Framing]
