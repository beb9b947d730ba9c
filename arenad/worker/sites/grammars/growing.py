"""An answer that comes as a whole again and again: what is new in it, and whether it stands."""

import re

CLOSERS = '*_`~|)]>"\\ \t\n'
"""What a page closes behind a text that still grows: fences, emphasis, a row, a quote; and what it
may still take for a mark."""

_OPEN = re.compile(
    r"(?:!?\[(?:[^\[\]\n]|\[[^\[\]\n]*+\]\([^()\s]*+\)?)*+\]"
    r"\((?:[^\s()]|\([^\s()]*+\))*+(?:\([^\s()]*+)?(?: \"[^\"\n]*+\"?)?|&#?\w{0,31})\Z"
)
"""At the end, a link whose words may go on, or a character by its name."""

LINK_CHARS = 4096
"""A longer one, with its words, is told as it comes."""

FINE = 32
ALWAYS_CHARS = 1000


class Growing:
    """Passes on what a whole has more than the whole before; what was passed on stays said."""

    def __init__(self, cursor: str = "", held: str = "", *, is_last_only: bool = False) -> None:
        """`cursor` is cut off the end; `held` are characters that are kept back at the end."""
        self.passed_chars = 0
        self._cursor = cursor
        self._held = held
        self._is_last_only = is_last_only
        self._latest = ""
        self._passed = ""

    def grow(self, whole: str, standing_chars: int | None = None) -> str:
        """What of this whole can be passed on now; of its beginning, if only so much stands."""
        self._latest = whole.removesuffix(self._cursor) if self._cursor else whole
        standing = self._latest[:standing_chars].rstrip(self._held)
        line = max(standing.rfind("\n") + 1, len(standing) - LINK_CHARS)
        if self._held and (found := _OPEN.search(standing, line)):
            standing = standing[: found.start()].rstrip(self._held)
        return "" if self._is_last_only else self._pass_on(standing)

    def hold(self, whole: str) -> None:
        """This is passed on only if it is still all at the end."""
        self._latest = whole

    def _pass_on(self, whole: str) -> str:
        if len(whole) <= len(self._passed) or not whole.startswith(self._passed):
            return ""
        piece = whole[len(self._passed) :]
        self._passed, self.passed_chars = whole, len(whole)
        return piece

    @property
    def has_any(self) -> bool:
        """Whether anything came."""
        return bool(self._latest)

    def rest(self) -> str:
        """At the end: all that was kept back."""
        return self._pass_on(self._latest)

    @property
    def is_rewritten(self) -> bool:
        """The latest whole is not what was passed on."""
        return self._latest != self._passed and not self._latest.startswith(self._passed)


class Seldom:
    """When to read a whole anew that grows by pieces: all of it together costs a multiple of it.

    A short one is read at each piece, a longer one whenever a 32nd more has come; and at the end.
    """

    def __init__(self) -> None:
        """Nothing has been read."""
        self._read_chars = 0

    def is_due(self, chars: int) -> bool:
        """Whether it is to be read now that it has so many characters; then it counts as read."""
        is_due = chars <= ALWAYS_CHARS or abs(chars - self._read_chars) * FINE >= chars
        if is_due:
            self._read_chars = chars
        return is_due
