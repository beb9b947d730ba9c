"""Takes the one JSON value out of a text that comes in pieces. A brain: no I/O.

Models put it between fences, or words before it. All before the bracket that begins it is left
out, and all behind the one that ends it.
"""

import re
from typing import Any

import msgspec

MAX_CHARS = 4 * 1024 * 1024
"""A longer value is not held against anything."""

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')


class OnlyJson:
    """An object or a list, and what is wrong with it."""

    def __init__(self, opening: str) -> None:
        """Nothing has come; `opening` is the bracket that begins the value, or any of several."""
        self._opening = re.compile("[" + re.escape(opening) + "]")
        self._missing = f"it has no {' or '.join(opening)}"
        self._texts: list[str] = []
        self._chars = 0
        self._depth = 0
        self._is_string = False
        self._is_escaped = False
        self._is_over = False

    def take(self, piece: str) -> str:
        """As much of the piece as belongs to the value."""
        opened = None if self._texts else self._opening.search(piece)
        if self._is_over or not (self._texts or opened):
            return ""
        begin = opened.start() if opened else 0
        text = piece[begin : self._end(piece, begin)]
        self._chars += len(text)
        if self._chars <= MAX_CHARS:
            self._texts.append(text)
        return text

    def _end(self, piece: str, at: int) -> int:
        """Where in the piece the value ends; if it does not, that is the piece's end."""
        while at < len(piece):
            if self._is_escaped:
                self._is_escaped = False
                at += 1
                continue
            found = (_INSIDE if self._is_string else _OUTSIDE).search(piece, at)
            if found is None:
                break
            at = found.end()
            self._note(found[0])
            if not self._depth:
                self._is_over = True
                return at
        return len(piece)

    def _note(self, mark: str) -> None:
        match mark:
            case '"':
                self._is_string = not self._is_string
            case "\\":
                self._is_escaped = True
            case "{" | "[":
                self._depth += 1
            case _:
                self._depth -= 1

    def value(self) -> tuple[Any, str]:
        """The value, and what is wrong if there is none."""
        if not self._texts:
            return None, self._missing
        if not self._is_over:
            return None, "it has no end"
        if self._chars > MAX_CHARS:
            return None, f"it is longer than {MAX_CHARS} characters"
        try:
            return msgspec.json.decode("".join(self._texts)), ""
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return None, str(error)
