"""How long a site asks to be left in peace, by the headers of a refusal: a brain."""

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz

MAX_REST_S = 24 * 3600.0
"""Nobody is taken at a word that means for ever."""

_COUNT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*\Z")
_PART = re.compile(r"\b(remaining|r|reset|t)\s*=\s*\"?([0-9]{1,9})")


def asked_rest_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """Seconds to wait from now on, or `None` when the headers do not say; their names are small.

    `Retry-After` in seconds or as a date; else the `reset` of a `ratelimit` header that says that
    nothing remains (in each of its three spellings).
    """
    rest_s = _retry_after_s(headers.get("retry-after", ""), now_unix_s)
    if rest_s is None:
        rest_s = _reset_s(headers)
    return None if rest_s is None else min(max(rest_s, 0.0), MAX_REST_S)


def _retry_after_s(value: str, now_unix_s: float) -> float | None:
    if count := _COUNT.match(value):
        return float(count[1])
    date = parsedate_tz(value)
    try:
        return None if date is None else mktime_tz(date) - now_unix_s
    except (ValueError, OverflowError):  # a date, but none of this calendar
        return None


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """Old drafts: `limit=9, remaining=0, reset=5` or three headers; new: `"name";r=0;t=5`."""
    said = dict(_PART.findall(headers.get("ratelimit", "")))
    remaining = said.get("remaining", said.get("r", headers.get("ratelimit-remaining", "")))
    reset = said.get("reset", said.get("t", headers.get("ratelimit-reset", "")))
    left, again = _COUNT.match(remaining), _COUNT.match(reset)
    return float(again[1]) if left and again and float(left[1]) == 0 else None
