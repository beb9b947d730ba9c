"""JSON and text as pages really write them: halves of UTF-16 pairs, nesting without end."""

import json
from typing import Final, cast

import msgspec


class _Unreadable:
    """What is no JSON."""


UNREADABLE: Final = _Unreadable()

IN_STRING = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
"""What may stand between the quotes of a string, as a pattern that takes no memory (`DOTALL`)."""


def decode(text: str) -> object:
    """The value, or `UNREADABLE`. Texts in it may hold halves of pairs: see `Halves`, `whole`."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        return cast("object", json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError):  # it takes lone surrogates, which some pages send
        return UNREADABLE


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def encode(value: object) -> str:
    """A value as JSON, for a message or a comparison; what nests too deep is not shown."""
    try:
        return whole(json.dumps(value, ensure_ascii=False, default=str))
    except (ValueError, RecursionError):
        return "(a value that nests too deep)"


def whole(text: str) -> str:
    """Pairs joined; half a pair becomes a replacement character."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def field(value: object, name: str) -> object:
    """What stands at a name in an object; nothing in what is no object, or has no such name."""
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


class Halves:
    """A server that cuts by UTF-16 units sends an emoji's halves in two pieces: join them."""

    def __init__(self) -> None:
        """No half is held."""
        self._half = ""

    def join(self, text: str) -> str:
        """What is whole with this piece; a first half at its end is kept for the next."""
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return whole(text.removesuffix(self._half))

    def rest(self) -> str:
        """At the end, a half that found no other one, as a replacement character."""
        half, self._half = self._half, ""
        return whole(half)


def joined(text: str) -> str:
    """Halves that stand beside each other joined; a half without the other stays one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
