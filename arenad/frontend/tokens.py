"""How many tokens a text is: an estimate, for a chat page counts none. A brain: no I/O.

Counted is by `cl100k_base`, whatever the site's model counts by: its vocabulary comes with the
library and is half as large in memory (33 MiB) as its successor's. Of a very long text slices are
counted, so that no text keeps the loop busy for more than some milliseconds.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from arenad.schema.chat import Turn


def _imported() -> Any:
    """The library, None where there is none for this Python; it tells no types of its own."""
    try:
        return import_module("rs_bpe.bpe").openai
    except ImportError:
        return None


_library = _imported()

WHOLE_CHARS = 64 * 1024
"""What is counted to its last character, in about 3 ms; of a longer text so much of it."""

SLICES = 16
TOKENS_PER_TURN = 3
"""A turn's role and frame, and those of the answer that begins, as OpenAI counts them."""

MOST_TOKENS_PER_CHAR = 4
"""One for each byte of UTF-8."""

BYTES_PER_TOKEN = 4
"""Where there is no library."""


@cache
def counter() -> Callable[[str], int]:
    """What counts; making it takes 30 ms, which is better spent before the first request."""
    if _library is None:
        return lambda text: -(-len(text.encode()) // BYTES_PER_TOKEN)
    return _library.cl100k_base().count


def count(text: str) -> int:
    """About how many tokens a text is."""
    chars = len(text)
    if chars > WHOLE_CHARS:
        return _exact(_sample(text)) * chars // WHOLE_CHARS
    return _exact(text)


def _exact(text: str) -> int:
    try:
        return counter()(text)
    except UnicodeEncodeError:  # half a pair that a page wrote
        return counter()(text.encode("utf-8", "replace").decode())


def _sample(text: str) -> str:
    """Slices from everywhere in it, `WHOLE_CHARS` together."""
    size = WHOLE_CHARS // SLICES
    step = (len(text) - size) // (SLICES - 1)
    return "".join(text[each * step : each * step + size] for each in range(SLICES))


def count_turns(turns: Sequence[Turn]) -> int:
    """About how many tokens the texts of the turns are; files are not counted."""
    return count("\n".join(turn.text for turn in turns)) + TOKENS_PER_TURN * (len(turns) + 1)


class Tally:
    """Counts a text that comes in pieces, by as much of its beginning as is counted at all."""

    def __init__(self) -> None:
        """Nothing has come."""
        self.chars = 0
        self._pieces: list[str] = []

    def take(self, piece: str) -> None:
        """A piece more."""
        if self.chars < WHOLE_CHARS:
            self._pieces.append(piece)
        self.chars += len(piece)

    def tokens(self) -> int:
        """About how many tokens all of it is."""
        begin = "".join(self._pieces)
        return count(begin) * self.chars // len(begin) if begin else 0


class Meter:
    """Counts a text as it grows, at the price of what is new. Exact but for words without end."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._settled = 0
        self._open: list[str] = []
        self._most_tokens = 0

    def left(self, piece: str, most: int) -> str | None:
        """None if the text and this piece stay within `most`; else what of the piece fits.

        The piece counts from now on. Nothing is counted while no text of that size could exceed.
        """
        self._open.append(piece)
        self._most_tokens += MOST_TOKENS_PER_CHAR * len(piece)
        if self._most_tokens <= most:
            return None
        text = "".join(self._open)
        if self._settled + count(text) <= most:
            self._settle(text)
            return None
        return piece[: self._fits(text.removesuffix(piece), piece, most)]

    def _fits(self, before: str, piece: str, most: int) -> int:
        """So many characters of the piece fit."""
        fits, exceeds = 0, len(piece)
        while exceeds - fits > 1:
            middle = (fits + exceeds) // 2
            if self._settled + count(before + piece[:middle]) <= most:
                fits = middle
            else:
                exceeds = middle
        return fits

    def _settle(self, text: str) -> None:
        """No token reaches over a space after a word: what is before it need not be counted again.

        A word of any length begins a new count when it is longer than any token.
        """
        border = text.rfind(" ")
        while border > 0 and text[border - 1].isspace():
            border = text.rfind(" ", 0, border)
        if border <= 0 and len(text) > _LONGEST_CHARS:
            border = len(text)
        if border > 0:
            self._settled += count(text[:border])
            text = text[border:]
        self._open = [text]


_LONGEST_CHARS = 256
