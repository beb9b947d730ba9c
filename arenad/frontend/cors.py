"""Which web pages of other origins may use the endpoint (Fetch standard, CORS). A brain."""

import itertools
from collections.abc import Mapping, Sequence

ANY = "*"
MAX_AGE_S = 600
"""So long a browser asks no second time what it may send."""

METHODS = "GET, HEAD, POST, OPTIONS"
_NOTES = ("attempts", "conversation", "ignored", "instance", "message", "session", "usage")
_SHARES = list(itertools.product(("limit", "remaining", "reset"), ("requests", "tokens")))
EXPOSED = ", ".join(
    (
        "idempotent-replayed",
        "openai-processing-ms",
        "request-id",
        "retry-after",
        "x-request-id",
        "x-should-retry",
        *(f"x-arenad-{name}" for name in _NOTES),
        *(f"x-ratelimit-{part}-{what}" for part, what in _SHARES),
        *(f"anthropic-ratelimit-{what}-{part}" for part, what in _SHARES),
    )
)
"""What a page may read of an answer's headers."""


def allows(origins: Sequence[str], origin: str) -> bool:
    """Whether pages of this origin may ask; `origins` are those that the operator names."""
    return ANY in origins or origin.lower() in {each.lower() for each in origins}


def headers(origins: Sequence[str], asked: Mapping[str, str]) -> Mapping[str, str]:
    """What an answer says to the browser. Caches keep it apart by the origin it was for.

    `asked` are the headers of the request.
    """
    if not origins:
        return {}
    told = {"Vary": "Origin"}
    origin = asked.get("Origin")
    if origin is not None and allows(origins, origin):
        told["Access-Control-Allow-Origin"] = origin
        told["Access-Control-Expose-Headers"] = EXPOSED
    return told


def preflight(
    origins: Sequence[str], method: str, asked: Mapping[str, str]
) -> Mapping[str, str] | None:
    """What answers the question that a browser asks before it sends; None where it is another.

    `asked` are the question's headers. `headers` come on top.
    """
    is_one = method == "OPTIONS" and {"Origin", "Access-Control-Request-Method"} <= set(asked)
    if not is_one or not allows(origins, asked["Origin"]):
        return None
    wanted = asked.get("Access-Control-Request-Headers", "authorization, content-type")
    return {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": wanted,
        "Access-Control-Max-Age": str(MAX_AGE_S),
    }
