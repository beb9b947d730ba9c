"""The wire format of protocol buffers, read without a description: by the numbers of fields."""

import struct
from collections.abc import Iterable
from functools import cached_property

MAX_VARINT_BYTES = 10
_SEVEN_BITS = 0x7F
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Fields:
    """The bytes of a field: a text or a message, whichever the path asks for."""

    def __init__(self, raw: bytes) -> None:
        """Nothing is read before it is asked for."""
        self.raw = raw

    @cached_property
    def text(self) -> str | None:
        """As a text, if it can be one."""
        try:
            return self.raw.decode()
        except UnicodeDecodeError:
            return None

    def at(self, number: int) -> list[object]:
        """Every occurrence of a field: numbers, or `Fields`. None in what is no message."""
        return self._fields.get(number, [])

    def items(self) -> Iterable[tuple[int, list[object]]]:
        """Each field's number and its occurrences. None in what is no message."""
        return self._fields.items()

    @cached_property
    def _fields(self) -> dict[int, list[object]]:
        try:
            return _decode(self.raw)
        except (IndexError, ValueError, struct.error):
            return {}

    @property
    def is_message(self) -> bool:
        """Whether the bytes can be read as a message with any field."""
        return bool(self._fields)


def _decode(raw: bytes) -> dict[int, list[object]]:
    fields: dict[int, list[object]] = {}
    place = 0
    while place < len(raw):
        key, place = _varint(raw, place)
        value, place = _value(raw, place, key & 7)
        if not key >> 3:
            raise ValueError("there is no field 0")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _value(raw: bytes, place: int, kind: int) -> tuple[object, int]:
    if kind == _VARINT:
        return _varint(raw, place)
    if kind == _FIXED64:
        return struct.unpack_from("<d", raw, place)[0], place + 8
    if kind == _FIXED32:
        return struct.unpack_from("<f", raw, place)[0], place + 4
    if kind != _BYTES:
        raise ValueError(f"there is no kind {kind} of field any more")
    size, place = _varint(raw, place)
    if place + size > len(raw):
        raise ValueError("a field goes on behind the end")
    return Fields(raw[place : place + size]), place + size


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(MAX_VARINT_BYTES):
        byte = raw[place + shift]
        number |= (byte & _SEVEN_BITS) << (7 * shift)
        if byte <= _SEVEN_BITS:
            return number, place + shift + 1
    raise ValueError("a number without end")
