"""OpenAI's legacy completions: a prompt in, text out. A brain: no I/O.

Shapes follow the OpenAI API reference, "Completions". Errors are those of the chats.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from arenad.conversation import text_of
from arenad.errors import InvalidRequest, RequestError
from arenad.frontend import answers, fields, openai, parts
from arenad.frontend.fields import TEXT, Field
from arenad.frontend.one_line import encode
from arenad.frontend.vocabulary import (
    ANSWERS,
    ANSWERS_REMEDY,
    LENGTH,
    LENGTH_REMEDY,
    ONE_STOP_REMEDY,
    OURS,
    OURS_REMEDIES,
    SAMPLING,
    STOP,
    STOP_REMEDY,
    Answers,
    Length,
    Ours,
    Shown,
    Side,
    Stops,
    StopText,
    StreamOptions,
    ToolCall,
    Usage,
    Vocabulary,
    Wish,
    keep_alive,
    stops_of,
)
from arenad.schema.chat import (
    Began,
    Citation,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
)
from arenad.schema.config import FilesConfig

FIELDS: Mapping[str, Field] = {
    "model": Field("honoured"),
    "prompt": Field("honoured", "one text, as a user's message; several, and tokens, are refused"),
    "stream": Field("honoured"),
    "stream_options": Field("honoured", "`include_usage`"),
    "n": ANSWERS,
    "best_of": Field("honoured", "as many as `n`: all are told, none is chosen"),
    "max_tokens": Field("honoured", f"{LENGTH.note}; without it there is no limit"),
    "stop": STOP,
    **SAMPLING,
    "user": Field("ignored", kind=TEXT),
    "echo": Field("refused", "the prompt is not repeated; leave it out"),
    "logprobs": Field("refused", "a chat page tells no probabilities; leave it out"),
    "suffix": Field("refused", "a chat page fills no gaps; leave it out"),
    **OURS,
    "image_format": Field("honoured", "`data` is served as `file`: a text has no place for it"),
}

_REMEDIES = {
    "": "must be a JSON object",
    "model": "must be a model's name; GET /v1/models lists them",
    "prompt": "must be a text, or a list of one text; send a request for each",
    "prompt[]": "must be a text; tokens are not read here",
    "stream": "must be true or false",
    "stream_options": "must be an object",
    "include_usage": "must be true or false",
    "n": ANSWERS_REMEDY,
    "best_of": "must be as many as n",
    "max_tokens": LENGTH_REMEDY,
    "stop": STOP_REMEDY,
    "stop[]": ONE_STOP_REMEDY,
    **OURS_REMEDIES,
}


class _Request(Ours, kw_only=True):
    """The fields that are used; all others are refused or ignored by name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    prompt: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Answers | None = None
    best_of: Answers | None = None
    max_tokens: Length | None = None
    stop: StopText | Stops | None = None


def parse(body: bytes, files: FilesConfig = FilesConfig()) -> Wish:  # noqa: B008 - it is frozen
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    request, ignored = fields.read(body, _Request, FIELDS, _REMEDIES)
    if request.best_of not in (None, request.n or 1):
        told = f"is {request.best_of}; {_REMEDIES['best_of']}"
        raise InvalidRequest(f"best_of: {told}", param="best_of")
    prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
    turns = (Turn(role="user", text=prompt),)
    parts.check_text("prompt", turns)
    wish = Wish(
        model=request.model,
        turns=turns,
        stream=bool(request.stream),
        include_usage=request.stream_options is not None and request.stream_options.wants_usage(),
        ignored=ignored,
        stops=stops_of(request.stop),
        max_tokens=request.max_tokens,
        n=request.n or 1,
    )
    return request.applied(wish, files, has_images=False)


class Writer:
    """Writes one answer, or two side by side as two choices. Reasoning has no place in it."""

    def __init__(self, request_id: str, wish: Wish, created_unix_s: int) -> None:
        """With usage, every chunk carries `usage: null` and one more carries the numbers."""
        self._head = {
            "id": f"cmpl-{request_id}",
            "object": "text_completion",
            "created": created_unix_s,
            "model": wish.model,
        }
        self._usage = wish.include_usage
        self._before = b"data: " + encode(self._head)[:-1] + b',"choices":['
        self._after = b"]" + (b',"usage":null' if self._usage else b"") + b"}\n\n"

    def first(self) -> bytes:
        """Nothing: there are no roles."""
        return b""

    def event(self, event: Shown) -> bytes:
        """A chunk, or a comment that keeps the connection alive."""
        match event:
            case Heartbeat() | Began() | ReasoningDelta() | ToolCall():
                return keep_alive(event)
            case TextDelta(side=number) | Image(side=number) | Citation(side=number):
                choice = _choice(text_of(event), Side(number))
            case Finish(side=number) | SideFailed(side=number):
                ended = Side(number)
                ended.take(event)
                choice = _choice("", ended)
        return self._before + encode(choice) + self._after

    def end(self, usage: Usage) -> bytes:
        """After the reasons: the chunk with the usage if wanted, the end."""
        none: list[object] = []
        told = {**self._head, "choices": none, "usage": openai.usage_object(usage)}
        return (b"data: " + encode(told) + b"\n\n" if self._usage else b"") + openai.DONE

    def failed(self, error: RequestError) -> bytes:
        """The error in mid-stream."""
        return b"data: " + openai.refusal(error).body + b"\n\n"

    def whole(self, sides: Sequence[Side], usage: Usage) -> bytes:
        """The answer as one object."""
        choices = [_choice("".join(side.texts), side) for side in sides]
        return encode({**self._head, "choices": choices, "usage": openai.usage_object(usage)})


def _choice(text: str, side: Side) -> dict[str, object]:
    return {"text": text, "index": side.number, "logprobs": None, **openai.ending(side)}


COMPLETIONS = Vocabulary(parse, Writer, openai.refusal, FIELDS, _Request, answers.COMPLETIONS)
