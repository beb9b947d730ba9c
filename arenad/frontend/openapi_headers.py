"""The headers of the endpoint, as the OpenAPI document tells of them: tables."""

from collections.abc import Mapping
from typing import Any

from arenad.frontend.once import HEADER, MAX_KEY_CHARS

HEADERS: Mapping[str, str] = {
    "x-request-id": "The request's id: the client's own if it gave a sane one.",
    "request-id": "The same, where Anthropic's clients look for it.",
    "openai-processing-ms": "From the request's head to the answer's.",
    "x-arenad-instance": "The instance that answered, or was asked last.",
    "x-arenad-attempts": "How many instances were asked.",
    "x-arenad-conversation": "`continued` where it was, `folded` into a new chat, or `new`.",
    "x-arenad-session": "The site's own name of the chat, where its page shows one.",
    "x-arenad-message": "The site's own name of the answer, where its page shows one.",
    "x-arenad-usage": "`estimated`: a chat page counts no tokens.",
    "x-arenad-ignored": "The fields of the request that changed nothing.",
    "x-ratelimit-limit-requests": "How many requests a minute the key may ask.",
    "x-ratelimit-remaining-requests": "How many of them are left.",
    "x-ratelimit-reset-requests": "When all of them are there again, as `1.5s`.",
    "x-ratelimit-limit-tokens": "How many tokens a minute the key may use.",
    "x-ratelimit-remaining-tokens": "How many of them are left.",
    "x-ratelimit-reset-tokens": "When all of them are there again, as `1.5s`.",
    "anthropic-ratelimit-requests-limit": "How many requests a minute the key may ask.",
    "anthropic-ratelimit-requests-remaining": "How many of them are left.",
    "anthropic-ratelimit-requests-reset": "When all of them are there again, a date.",
    "anthropic-ratelimit-tokens-limit": "How many tokens a minute the key may use.",
    "anthropic-ratelimit-tokens-remaining": "How many of them are left.",
    "anthropic-ratelimit-tokens-reset": "When all of them are there again, a date.",
    "idempotent-replayed": "`true` for an answer that the same key has had before.",
    "Retry-After": "Seconds after which it is worth another try.",
    "x-should-retry": "`false` where that is longer than OpenAI's clients wait.",
    "WWW-Authenticate": "How a key is sent.",
    "ETag": "Of this document.",
}
"""What answers may come with, beside those that all servers send. All are texts."""


def _parameter(name: str, place: str, says: str, **schema: object) -> dict[str, Any]:
    is_path = {"required": True} if place == "path" else {}
    told: dict[str, Any] = {"name": name, "in": place, "description": says, **is_path}
    return told | {"schema": {"type": "string", **schema}}


PARAMETERS: Mapping[str, dict[str, Any]] = {
    "x-request-id": _parameter("X-Request-Id", "header", "An id of the client's own."),
    "x-client-request-id": _parameter(
        "X-Client-Request-Id", "header", "The same, as OpenAI's clients send it; it goes first."
    ),
    "idempotency-key": _parameter(
        HEADER,
        "header",
        "The same request with the same key gets the same answer; of no meaning for a stream.",
        maxLength=MAX_KEY_CHARS,
    ),
    "anthropic-version": _parameter(
        "anthropic-version", "header", "Says that Anthropic's words are wanted; any version."
    ),
    "if-none-match": _parameter("If-None-Match", "header", "An `ETag` that is there already."),
    "model": _parameter("id", "path", "A model's name.", minLength=1),
    "file": _parameter(
        "id", "path", "A file's name, as an answer told it.", pattern="^file-[0-9a-f]{32}$"
    ),
    "path": _parameter("path", "path", "The name of a file of the page.", minLength=1),
}
"""What requests may come with, by the names that routes give; all that stand in no body."""
