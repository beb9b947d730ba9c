"""What a key has used of its limits, and whether one request more fits into them: a brain.

Requests and tokens of a minute are counted by the second, over so many seconds that in no sixty
of them there is more than the limit. What is kept of them is `arenad.usage`.
"""

import math
from array import array
from collections.abc import Callable
from typing import NamedTuple

from arenad.errors import OverBudget, OverLimit, RequestError, TooManyTokens
from arenad.schema.keys import Key, Limits
from arenad.usage import DAY_S, SLOTS, Use

CONCURRENCY_RETRY_S = 1.0
"""When a running request ends nobody can know."""


class Share(NamedTuple):
    """One limit as clients are told it: in seconds all of it is there again."""

    limit: int
    remaining: int
    reset_s: float


class Wanted(NamedTuple):
    """What a request would use: a key's limits count each of its chats (`n`)."""

    tokens: int
    chats: int = 1


class Allowance(NamedTuple):
    """What a key has left; nothing is said of what has no limit."""

    requests: Share | None = None
    tokens: Share | None = None


def allowance(limits: Limits, use: Use, now_s: float) -> Allowance:
    """What is left now, of the limits by the minute."""
    return Allowance(
        _share(limits.requests_per_minute, use.requests, use.second, now_s),
        _share(limits.tokens_per_minute, use.tokens, use.second, now_s),
    )


def _share(limit: int, counts: "array[int]", second: int, now_s: float) -> Share | None:
    if not limit:
        return None
    used = sum(counts)
    youngest = next((past for past in range(second, second - SLOTS, -1) if counts[past % SLOTS]), 0)
    reset_s = max(0.0, youngest + SLOTS - now_s) if used else 0.0
    return Share(limit, max(0, limit - used), reset_s)


def headers(left: Allowance) -> dict[str, str]:
    """As OpenAI's clients read them (API reference, "Rate limits")."""
    told: dict[str, str] = {}
    for what, share in left._asdict().items():
        if share is not None:
            told[f"x-ratelimit-limit-{what}"] = str(share.limit)
            told[f"x-ratelimit-remaining-{what}"] = str(share.remaining)
            told[f"x-ratelimit-reset-{what}"] = f"{share.reset_s:.3f}".rstrip("0").rstrip(".") + "s"
    return told


def anthropic_headers(left: Allowance, date_in: Callable[[float], str]) -> dict[str, str]:
    """As Anthropic's clients read them (API overview, "Rate limits", response headers).

    `date_in` gives the date in so many seconds, as of RFC 3339.
    """
    told: dict[str, str] = {}
    for what, share in left._asdict().items():
        if share is not None:
            told[f"anthropic-ratelimit-{what}-limit"] = str(share.limit)
            told[f"anthropic-ratelimit-{what}-remaining"] = str(share.remaining)
            told[f"anthropic-ratelimit-{what}-reset"] = date_in(share.reset_s)
    return told


def refusal(
    key: Key, use: Use, running: int, wanted: Wanted, now_s: float, now_unix_s: float
) -> RequestError | None:
    """Why what is wanted does not fit now; none if it does.

    `running` are the chats of the key that have begun and not ended.
    """
    limits = key.limits
    midnight_s = DAY_S - now_unix_s % DAY_S
    for what, limit, used, more in (
        ("requests", limits.requests_per_day, use.day_requests, wanted.chats),
        ("tokens", limits.tokens_per_day, use.day_tokens, wanted.tokens),
    ):
        if limit and more > limit:
            told = f"the key {key.name!r} may use {limit} {what} a day"
            return OverBudget(f"{told}, and this request alone is {more}; send less")
        if limit and used + more > limit:
            told = f"the key {key.name!r} has used {used} of its {limit} {what} of today (UTC)"
            return OverBudget(f"{told}; it goes on at midnight", retry_after_s=midnight_s)
    if limits.concurrency and running + wanted.chats > limits.concurrency:
        return _over_concurrency(key, running, wanted.chats)
    return _over_minute(key, use, wanted, now_s)


def _over_concurrency(key: Key, running: int, chats: int) -> RequestError:
    most = key.limits.concurrency
    if chats > most:
        told = f"the key {key.name!r} may have {most} chats running, and this request alone is"
        return OverLimit(f"{told} {chats}; ask for fewer answers (n)")
    told = f"the key {key.name!r} has {running} requests running, of {most} at most"
    more = f", and this one is {chats}" if chats > 1 else ""
    return OverLimit(f"{told}{more}; wait for one", retry_after_s=CONCURRENCY_RETRY_S)


def _over_minute(key: Key, use: Use, wanted: Wanted, now_s: float) -> RequestError | None:
    rows = (
        (OverLimit, "requests", key.limits.requests_per_minute, use.requests, wanted.chats),
        (TooManyTokens, "tokens", key.limits.tokens_per_minute, use.tokens, wanted.tokens),
    )
    for kind, what, limit, counts, more in rows:
        if not limit or (used := sum(counts)) + more <= limit:
            continue
        told = f"the key {key.name!r} may use {limit} {what} a minute"
        if more > limit:
            return kind(f"{told}, and this request alone is {more}; send less")
        wait_s = _until_fits(counts, use.second, now_s, limit - more)
        told = f"{told}, has used {used}, and this request is {more}"
        return kind(f"{told}; ask again in {math.ceil(wait_s)} s", retry_after_s=wait_s)
    return None


def _until_fits(counts: "array[int]", second: int, now_s: float, room: int) -> float:
    """Seconds until no more than `room` of it counts."""
    total = sum(counts)
    for past in range(second - SLOTS + 1, second + 1):
        total -= counts[past % SLOTS]
        if total <= room:
            return max(0.0, past + SLOTS - now_s)
    return 0.0
