"""The wire without I/O: bytes in, frames out, and the rules of calls, streams and cancels.

A frame is a four-byte big-endian length and that many bytes of MessagePack (`schema.frame.Frame`).
One `Peer` is one end of a link. It never raises on what it is fed: bytes that break the protocol
set `fault`, after which it takes nothing more and its owner closes the link. What cannot be sent is
refused before it is counted, so a refusal leaves the books of both ends as they were.
"""

import struct

import msgspec

from arenad.errors import Overloaded, RequestError
from arenad.schema.frame import Body, Frame, Kind

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""Between siblings: a chat request carries whole conversations."""

CONTROL_MAX_FRAME_BYTES = 1024 * 1024
"""On the control socket: commands are small."""

MAX_CALLS = 1024
"""Calls that one end may have open at the other at the same time."""

MAX_FAULT_CHARS = 200
"""A decoder quotes what it did not understand, however long."""

_LENGTH = struct.Struct("!I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


class Unsendable(RequestError):
    """No frame can carry it; nothing was sent."""


def pack(frame: Frame) -> bytes:
    """One frame as bytes, ready to send. Raises `Unsendable` when no frame can carry it."""
    packed = bytearray(_LENGTH.size)
    try:
        _encoder.encode_into(frame, packed, _LENGTH.size)
    except (UnicodeEncodeError, OverflowError) as error:  # half a surrogate pair; over 64 bits
        raise Unsendable(f"{type(frame.body).__name__}: cannot be sent: {error}") from error
    length = len(packed) - _LENGTH.size
    if length > MAX_FRAME_BYTES:
        raise Unsendable(
            f"{type(frame.body).__name__}: {length} bytes are over the limit of {MAX_FRAME_BYTES}"
        )
    _LENGTH.pack_into(packed, 0, length)
    return bytes(packed)


class Books(msgspec.Struct, frozen=True):
    """A peer's state between two frames: what arrived of the next one, and the open calls."""

    received: bytes = b""
    last_call: int = 0
    made: frozenset[int] = frozenset()
    cancelled: frozenset[int] = frozenset()
    serving: frozenset[int] = frozenset()


EMPTY_BOOKS = Books()


class Peer:
    """One end of a link: numbers its calls, checks the other's, cuts the bytes into frames."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES, books: Books = EMPTY_BOOKS) -> None:
        """`max_frame_bytes` bounds what is received; a longer frame is a fault.

        `books` are those of an earlier peer at this end, in whose place this one goes on.
        """
        self.fault: str | None = None
        self._max_frame_bytes = max_frame_bytes
        self._received = bytearray(books.received)
        self._last_call = books.last_call
        self._made = set(books.made)
        self._cancelled = set(books.cancelled)
        self._serving = set(books.serving)

    @property
    def books(self) -> Books:
        """What somebody who goes on in this one's place has to know."""
        return Books(
            received=bytes(self._received),
            last_call=self._last_call,
            made=frozenset(self._made),
            cancelled=frozenset(self._cancelled),
            serving=frozenset(self._serving),
        )

    # -- what this end sends: each returns the bytes to write -------------------------------------

    def note(self, body: Body) -> bytes:
        """A message that gets no answer."""
        return pack(Frame(0, Kind.CALL, body))

    def call(self, body: Body) -> tuple[int, bytes]:
        """Open a call; its number comes back on every frame that answers it."""
        if len(self._made) >= MAX_CALLS:
            raise Overloaded(f"{MAX_CALLS} calls are open on one link; no more are made")
        call = self._last_call + 1
        packed = pack(Frame(call, Kind.CALL, body))
        self._last_call = call
        self._made.add(call)
        return call, packed

    def cancel(self, call: int) -> bytes:
        """Ask for the end of a call of ours; its END still comes, its ITEMs are dropped now."""
        if call not in self._made or call in self._cancelled:
            return b""
        self._cancelled.add(call)
        return pack(Frame(call, Kind.CANCEL, None))

    def item(self, call: int, body: Body) -> bytes:
        """One item of a stream that we serve; nothing if the call is over."""
        return pack(Frame(call, Kind.ITEM, body)) if call in self._serving else b""

    def end(self, call: int, body: Body) -> bytes:
        """The end of a call that we serve; nothing if it is over already."""
        if call not in self._serving:
            return b""
        packed = pack(Frame(call, Kind.END, body))
        self._serving.discard(call)
        return packed

    # -- what the other end sent ------------------------------------------------------------------

    def receive(self, chunk: bytes | bytearray | memoryview) -> list[Frame]:
        """Take bytes as they came, split anywhere; give the frames that they complete."""
        if self.fault is not None:
            return []
        self._received += chunk
        frames: list[Frame] = []
        start = 0
        while (end := self._frame_end(start)) is not None:
            frame = self._read(start + _LENGTH.size, end)
            if self.fault is not None:
                break
            start = end
            if frame is not None:
                frames.append(frame)
        if self.fault is None:
            del self._received[:start]
        else:
            self._received.clear()
        return frames

    def _frame_end(self, start: int) -> int | None:
        """Where the frame at `start` ends, once all of it is here."""
        if len(self._received) < start + _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received, start)
        if length > self._max_frame_bytes:
            self.fault = f"a frame of {length} bytes is over the limit of {self._max_frame_bytes}"
            return None
        end = start + _LENGTH.size + length
        return end if len(self._received) >= end else None

    def _read(self, start: int, end: int) -> Frame | None:
        try:
            with memoryview(self._received) as view, view[start:end] as body:
                frame = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self.fault = f"not a frame: {error}"[:MAX_FAULT_CHARS]
            return None
        return self._accept(frame)

    def _accept(self, frame: Frame) -> Frame | None:
        """Hold a frame against the open calls; a late one is dropped, a false one is a fault."""
        if (frame.body is None) is not (frame.kind is Kind.CANCEL):
            self.fault = f"a {frame.kind.name} frame of call {frame.call} has a wrong body"
        elif frame.call < 0:
            self.fault = f"a {frame.kind.name} frame of call {frame.call}: numbers begin at 0"
        elif frame.kind is Kind.CALL:
            return self._accept_call(frame)
        elif frame.kind is Kind.CANCEL:
            return frame if frame.call in self._serving else None
        elif frame.call not in self._made:
            self.fault = f"an {frame.kind.name} frame answers call {frame.call}, which is not open"
        elif frame.kind is Kind.END:
            self._made.discard(frame.call)
            self._cancelled.discard(frame.call)
            return frame
        elif frame.call not in self._cancelled:
            return frame
        return None

    def _accept_call(self, frame: Frame) -> Frame | None:
        if frame.call in self._serving:
            self.fault = f"call {frame.call} is opened twice"
        elif len(self._serving) >= MAX_CALLS:
            self.fault = f"more than {MAX_CALLS} calls are open"
        else:
            if frame.call:
                self._serving.add(frame.call)
            return frame
        return None
