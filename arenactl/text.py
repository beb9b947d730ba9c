"""Text on a terminal: what is safe to print, how wide it is, and numbers in a few columns.

Every string from the daemon goes through `clean` before it is shown: a site's words must not
steer the operator's terminal.
"""

import math
import time
import unicodedata
from typing import Literal

COLUMNS = 80
"""What every line of a page fits in."""

ELLIPSIS = "…"
NOTHING = "-"

Side = Literal["left", "right"]

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_S = 24 * _HOUR_S
_MOST_DAYS = 999


def clean(text: str) -> str:
    """The text on one line without anything that a terminal obeys instead of showing it."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if char.isspace() or category in {"Zl", "Zp"}:
        return " "
    if category == "Cf" or "\N{VARIATION SELECTOR-1}" <= char <= "\N{VARIATION SELECTOR-16}":
        return ""  # joiners, direction marks: they change how wide their neighbours are
    return "\N{REPLACEMENT CHARACTER}" if category[0] == "C" else char


def width(text: str) -> int:
    """How many columns a clean text takes: wide characters two, combining marks none."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """The text, cleaned, in at most this many columns; an ellipsis tells of the rest."""
    text = clean(text)
    if width(text) <= columns:
        return text
    room = columns - width(ELLIPSIS)
    kept = 0
    for char in text:
        room -= _char_width(char)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + ELLIPSIS if columns > 0 else ""


def pad(text: str, columns: int, side: Side = "left") -> str:
    """The text in exactly this many columns, against the left or the right."""
    text = cut(text, columns)
    gap = " " * (columns - width(text))
    return text + gap if side == "left" else gap + text


def wrap(text: str, columns: int) -> list[str]:
    """The text broken between words; a word that is longer than a line is cut."""
    lines: list[str] = []
    for word in clean(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer) <= columns:
            lines[-1] = longer
        else:
            lines.append(cut(word, columns))
    return lines


def count(number: int) -> str:
    """A counter in at most six columns."""
    if abs(number) < 100_000:  # noqa: PLR2004 - five digits still read at a glance
        return str(number)
    return _scaled(number, 1000, "kMGT")


def size(size_bytes: int) -> str:
    """A size in at most six columns, in powers of 1024 as systemctl and ls show it."""
    return _scaled(size_bytes, 1024, "KMGT") if size_bytes > 0 else NOTHING


def _scaled(number: int, step: int, units: str) -> str:
    """The number in the first unit that leaves less than four digits before the point."""
    for power, unit in enumerate(units, start=1):
        if abs(number) < 999 * step**power:
            value = number / step**power
            return f"{value:.1f}{unit}" if abs(value) < 10 else f"{value:.0f}{unit}"  # noqa: PLR2004 - one digit needs a second
    return f">{units[-1]}" if number > 0 else f"<-{units[-1]}"


def percent(value: float) -> str:
    """A share of one processor in at most five columns; several processors go over 100."""
    return f"{min(max(value, 0.0), 9999.0):.0f}%" if math.isfinite(value) else NOTHING


def rate(per_second: float) -> str:
    """A rate in at most seven columns."""
    if not math.isfinite(per_second):
        return NOTHING
    per_second = max(per_second, 0.0)
    return f"{per_second:.1f}" if per_second < 1000 else count(int(min(per_second, 1e15)))  # noqa: PLR2004 - the fraction is noise


def age(seconds: float) -> str:
    """An age in at most four columns."""
    if not math.isfinite(seconds) or seconds < 0:
        return NOTHING
    if seconds < _MINUTE_S:
        return f"{seconds:.0f}s" if seconds < _MINUTE_S - 1 else "59s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)}m"
    if seconds < 2 * _DAY_S:
        return f"{int(seconds // _HOUR_S)}h"
    return f"{int(min(seconds // _DAY_S, _MOST_DAYS))}d"


def span(seconds: float) -> str:
    """A length of time in its two largest units, to be read as a phrase."""
    if not math.isfinite(seconds) or seconds < 0:
        return NOTHING
    if seconds < _MINUTE_S:
        return f"{int(seconds)} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min {int(seconds % _MINUTE_S)} s"
    if seconds < _DAY_S:
        return f"{int(seconds // _HOUR_S)} h {int(seconds % _HOUR_S // _MINUTE_S)} min"
    days = min(seconds, 1e15) // _DAY_S
    return f"{int(days)} d {int(seconds % _DAY_S // _HOUR_S)} h"


def clock(at_unix_s: float) -> str:
    """The local time of day; a time that no calendar knows shows as dashes."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(at_unix_s))
    except (ValueError, OverflowError, OSError):
        return "--:--:--"


def clock_ms(at_unix_s: float) -> str:
    """The local time of day to the millisecond."""
    if (at := clock(at_unix_s)).startswith("-"):
        return f"{at}.---"
    return f"{at}.{min(int(at_unix_s % 1 * 1000), 999):03d}"
