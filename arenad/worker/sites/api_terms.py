"""The terms of an OpenAI-compatible upstream: a chat as its request, its refusals as errors.

A brain. Shapes follow the OpenAI API reference: "Chat Completions", "Models", error object.
"""

import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from arenad.errors import (
    ChatFull,
    ContentRejected,
    InvalidRequest,
    ModelNotFound,
    NeedsLogin,
    ProfileOutdated,
    RequestError,
    Resting,
    UpstreamFailed,
)
from arenad.schema.chat import Attachment, Chat, Turn
from arenad.schema.profile import AnswerRules, ModelRules, StreamRules
from arenad.worker.sites.grammars.json_text import field
from arenad.worker.sites.patience import asked_rest_s

CHAT_PATH = "/chat/completions"
MODELS_PATH = "/models"
STREAM = StreamRules(url_pattern=CHAT_PATH, grammar="sse", error="error")
WHOLE = StreamRules(
    url_pattern=CHAT_PATH,
    grammar="json",
    error="error",
    answer=AnswerRules(
        text="choices.0.message.content",
        reasoning=("choices.0.message.reasoning_content", "choices.0.message.reasoning"),
        finish="choices.0.finish_reason",
    ),
)
"""How an answer is read, and one of an upstream that does not stream it."""

SHOWN_CHARS = 300
MULTIPLE_CHOICES = 300
BAD_REQUEST = 400
UNKNOWN = (401, 403)
MISSING = (404, 405, 410)
UNUSABLE = (BAD_REQUEST, 413, 422)
TOO_MANY_REQUESTS = 429

_CODES: dict[str, type[RequestError]] = {
    "context_length_exceeded": ChatFull,
    "content_policy_violation": ContentRejected,
    "content_filter": ContentRejected,
    "model_not_found": ModelNotFound,
}

_decode = msgspec.json.Decoder(Any).decode


def request_of(chat: Chat, model: str) -> bytes:
    """The body of the request; every turn is a message of its own, the system's too."""
    messages = [{"role": turn.role, "content": _content(turn)} for turn in chat.turns]
    return msgspec.json.encode({"model": model, "stream": True, "messages": messages})


def _content(turn: Turn) -> object:
    """The text, or with files a list of parts."""
    if not turn.attachments:
        return turn.text
    text: list[object] = [{"type": "text", "text": turn.text}] if turn.text else []
    return text + [_part(file) for file in turn.attachments]


def _part(file: Attachment) -> dict[str, object]:
    encoded = binascii.b2a_base64(file.content, newline=False).decode()
    url = f"data:{file.content_type};base64,{encoded}"
    if file.content_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": file.name, "file_data": url}}


def model_rules(given: ModelRules) -> ModelRules:
    """Where the models stand at `MODELS_PATH`, with the profile's aliases and capabilities."""
    return ModelRules(
        json_path=MODELS_PATH,
        json_list="data",
        id_field="id",
        owner_field="owned_by",
        aliases=given.aliases,
        capabilities=given.capabilities,
    )


def value_of(said: str) -> object:
    """The JSON value of a body; `None` if it is none."""
    try:
        return _decode(said)
    except (msgspec.DecodeError, RecursionError):
        return None


def refusal_of(
    status: int, headers: Mapping[str, str], said: str, now_unix_s: float
) -> RequestError:
    """The error for an answer that is none; `headers` have small names."""
    told = _error_in(said)
    shown = f"the upstream answered {status}: {_text(told, 'message') or said.strip()}"
    shown = shown[:SHOWN_CHARS]
    if status in UNKNOWN:
        return NeedsLogin(f"{shown} (its key is named by site.key_from)")
    if status == TOO_MANY_REQUESTS:
        return Resting(shown, retry_after_s=asked_rest_s(headers, now_unix_s))
    if MULTIPLE_CHOICES <= status < BAD_REQUEST:
        where = headers.get("location", "elsewhere")
        return ProfileOutdated(f"{shown} (site.url leads to {where[:SHOWN_CHARS]}; give that)")
    code = _text(told, "code")
    if code in _CODES or status in UNUSABLE:
        return _CODES.get(code, InvalidRequest)(shown, param=_text(told, "param") or None)
    if status in MISSING:
        return ProfileOutdated(f"{shown} (site.url must be such that {CHAT_PATH} goes behind it)")
    return UpstreamFailed(shown)


def _error_in(said: str) -> object:
    value = value_of(said)
    error = field(value, "error")
    return {"message": error} if isinstance(error, str) else error or value


def _text(value: object, name: str) -> str:
    found = field(value, name)
    return found if isinstance(found, str) else ""
