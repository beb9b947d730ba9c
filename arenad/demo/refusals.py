"""What a message is answered with when a fault refuses it: the site's words, row by row. No I/O."""

from collections.abc import Callable
from typing import NamedTuple

from arenad.demo.faults import Faults
from arenad.demo.protocol import Refusal

LOGIN_NEEDED = Refusal(401, "login required", "LOGIN_GATE: log in to use this mode")
SCORE = "recaptcha validation failed"
CHECK_HINT = "confirm that you are a person"
"""By this message the page knows that it can show its check."""

_ERROR_PAGE = "<!doctype html><title>{title}</title><h1>{title}</h1><p>Please try again later.</p>"


class Odd(NamedTuple):
    """An answer that is no stream: a status and a body of a type."""

    status: int
    content_type: str
    body: str


def _too_many(wait_s: float) -> Refusal:
    headers = {"Retry-After": f"{wait_s:.0f}"} if wait_s else {}
    return Refusal(429, "Too Many Requests", "rate limit exceeded, try again later", headers)


REFUSALS: dict[str, Callable[[float], Refusal]] = {
    "400-private": lambda _: Refusal(
        400, "model not available", "this private model can only be used in battle mode"
    ),
    "401": lambda _: LOGIN_NEEDED,
    "403-score": lambda _: Refusal(403, SCORE),
    "404": lambda _: Refusal(404, "not found"),
    "405": lambda _: Refusal(405, "method not allowed"),
    "413": lambda _: Refusal(413, "payload too large", "the request is larger than allowed"),
    "422": lambda _: Refusal(422, "content rejected", "the message breaks the rules of the site"),
    "429": _too_many,
    "429-prompt": lambda _: Refusal(429, "prompt failed", "your prompt could not be processed"),
    "500": lambda _: Refusal(500, "internal error", "something went wrong"),
}
"""Faults that refuse whatever the message is, by their names; each is given the fault's value."""

ODD: dict[str, Odd] = {
    "html": Odd(200, "text/html", _ERROR_PAGE.format(title="Something went wrong")),
    "502-html": Odd(502, "text/html", _ERROR_PAGE.format(title="502 Bad Gateway")),
    "error-object": Odd(
        200, "text/event-stream", '{"error":"internal error","message":"something went wrong"}\n'
    ),
}
"""Faults that answer with what is no stream."""


def refuse(faults: Faults) -> None:
    """Raise the `Refusal` of the first fault that has one."""
    for name, value in faults.items():
        if name in REFUSALS:
            raise REFUSALS[name](value)


def odd(faults: Faults) -> Odd | None:
    """The odd answer of the first fault that has one."""
    return next((ODD[name] for name in faults if name in ODD), None)


def full_chat() -> Refusal:
    """The chat has reached its end."""
    return Refusal(
        400, "token limit reached", "this session reached its token limit; start a new chat"
    )


def foreign(visitor: str, session: str) -> Refusal:
    """The chat of somebody else."""
    return Refusal(401, f"User {visitor} does not have access to evaluation session {session}")
