"""OpenAI's vocabulary: a request body in, events out as its chunks and objects. A brain: no I/O.

Shapes follow the OpenAI API reference, "Chat Completions": object, chunk and error object.
"""

from typing import Any, Literal

import msgspec

from arenad.errors import InvalidRequest, RequestError
from arenad.schema.base import Record
from arenad.schema.chat import (
    Citation,
    Event,
    FinishReason,
    Image,
    ReasoningDelta,
    Role,
    TextDelta,
    Turn,
)
from arenad.schema.process import Model

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": the site is at work\n\n"
CHARS_PER_TOKEN = 4

MAX_MESSAGES = 10_000

REFUSED = {
    "tools": "tools are not supported yet; leave it out",
    "functions": "functions are not supported yet; leave it out",
    "response_format": "only {'type': 'text'} is supported yet; leave it out",
    "logprobs": "a chat page tells no probabilities; leave it out",
    "top_logprobs": "a chat page tells no probabilities; leave it out",
    "audio": "audio is not supported; leave it out",
}
"""Fields whose silent loss would make the answer wrong, and what to do instead."""

_KNOWN = {"model", "messages", "stream", "stream_options", "n"}
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Wish(Record):
    """What the client wants. `ignored` are the fields given that change nothing here."""

    model: str
    turns: tuple[Turn, ...]
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]


# -- in -------------------------------------------------------------------------------------------


def parse(body: bytes) -> Wish:
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    try:
        fields = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not a JSON object: {error}") from error
    _refuse(fields)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest(f"model: is {_shown(model)}; must be a model's name", param="model")
    options = fields.get("stream_options") or {}
    if not isinstance(options, dict):
        raise InvalidRequest("stream_options: must be an object", param="stream_options")
    return Wish(
        model=model,
        turns=_turns(fields.get("messages")),
        stream=_flag(fields, "stream"),
        include_usage=bool(options.get("include_usage")),
        ignored=tuple(sorted(name for name in fields if name not in _KNOWN)),
    )


def _refuse(fields: dict[str, Any]) -> None:
    for name, remedy in REFUSED.items():
        value = fields.get(name)
        if value and value != {"type": "text"}:
            raise InvalidRequest(f"{name}: is {_shown(value)}; {remedy}", param=name)
    if fields.get("n") not in (None, 1):
        raise InvalidRequest(f"n: is {_shown(fields['n'])}; only 1 is supported yet", param="n")


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{name}: is {_shown(value)}; must be true or false", param=name)
    return bool(value)


def _turns(messages: object) -> tuple[Turn, ...]:
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest(
            f"messages: is {_shown(messages)}; must be a list with at least one message",
            param="messages",
        )
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequest(f"messages: has over {MAX_MESSAGES} of them", param="messages")
    return tuple(_turn(message, f"messages[{place}]") for place, message in enumerate(messages))


def _turn(message: object, where: str) -> Turn:
    if not isinstance(message, dict):
        raise InvalidRequest(f"{where}: is {_shown(message)}; must be an object", param=where)
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise InvalidRequest(
            f"{where}.role: is {_shown(message.get('role'))}; must be one of {', '.join(_ROLES)}",
            param=f"{where}.role",
        )
    return Turn(role=role, text=_text(message.get("content"), f"{where}.content"))


def _text(content: object, where: str) -> str:
    """The text of a message: a string, or the text parts of a list, one below the other."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise InvalidRequest(f"{where}: is {_shown(content)}; must be text or parts", param=where)
    texts: list[str] = []
    for place, part in enumerate(content):
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case _:
                kind = part.get("type") if isinstance(part, dict) else part
                raise InvalidRequest(
                    f"{where}[{place}]: is {_shown(kind)}; only text parts are supported yet",
                    param=f"{where}[{place}]",
                )
    return "\n\n".join(texts)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - a line's worth


# -- out ------------------------------------------------------------------------------------------


class Writer:
    """Writes one answer. Chunks are made of three pieces, of which only the middle changes."""

    def __init__(self, request_id: str, model: str, created_unix_s: int, *, usage: bool) -> None:
        """With `usage`, every chunk carries `usage: null` and one more carries the numbers."""
        self._head = {"id": request_id, "created": created_unix_s, "model": model}
        self._usage = usage
        opening = _encode({**self._head, "object": "chat.completion.chunk"})[:-1]
        self._before = b"data: " + opening + b',"choices":[{"index":0,"delta":'
        self._after = b',"finish_reason":null}]' + self._null_usage() + b"}\n\n"

    def _null_usage(self) -> bytes:
        return b',"usage":null' if self._usage else b""

    def first(self) -> bytes:
        """The chunk that names the role."""
        return self._before + b'{"role":"assistant","content":""}' + self._after

    def event(self, event: Event) -> bytes:
        """A chunk, or a comment that keeps the connection alive."""
        match event:
            case ReasoningDelta(text):
                return self._before + b'{"reasoning_content":' + _encode(text) + b"}" + self._after
            case TextDelta() | Image() | Citation():
                text = _encode(text_of(event))
                return self._before + b'{"content":' + text + b"}" + self._after
            case _:
                return KEEP_ALIVE

    def last(self, reason: FinishReason, usage: dict[str, int]) -> bytes:
        """The chunk with the reason, the chunk with the usage if wanted, the end."""
        ending = b'{},"finish_reason":' + _encode(reason) + b"}]" + self._null_usage() + b"}\n\n"
        return self._before + ending + (self._usage_chunk(usage) if self._usage else b"") + DONE

    def _usage_chunk(self, usage: dict[str, int]) -> bytes:
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage}
        return b"data: " + _encode(chunk) + b"\n\n"

    def whole(
        self, text: str, reasoning: str, reason: FinishReason, usage: dict[str, int]
    ) -> bytes:
        """The answer as one object."""
        message = {"role": "assistant", "content": text, "refusal": None}
        if reasoning:
            message["reasoning_content"] = reasoning
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        body = {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return _encode(body)


def text_of(event: TextDelta | Image | Citation) -> str:
    """An event as text of the answer: an image and a source become Markdown."""
    match event:
        case TextDelta(text):
            return text
        case Image(url):
            return f"![image]({url})"
        case Citation(url, title):
            return f"\n[{title or url}]({url})"


def usage(turns: tuple[Turn, ...], answer_chars: int) -> dict[str, int]:
    """An estimate: a chat page counts no tokens. A header says that it is one."""
    prompt = sum(len(turn.text) for turn in turns) // CHARS_PER_TOKEN + 1
    completion = answer_chars // CHARS_PER_TOKEN + 1
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def error_object(error: RequestError) -> bytes:
    """The error as OpenAI clients expect it."""
    body = {
        "message": error.message,
        "type": error.error_type,
        "param": error.param,
        "code": error.code,
    }
    return _encode({"error": body})


def error_event(error: RequestError) -> bytes:
    """The error after the stream has begun: clients raise on it, and no false end follows."""
    return b"data: " + error_object(error) + b"\n\n"


def model_object(model: Model, created_unix_s: int) -> dict[str, str | int]:
    """One entry of the model list."""
    kind: Literal["model"] = "model"
    owner = model.owner or "arenad"
    return {"id": model.id, "object": kind, "created": created_unix_s, "owned_by": owner}
