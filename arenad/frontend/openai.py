"""OpenAI's vocabulary: a request body in, events out as its chunks and objects. A brain: no I/O.

Shapes follow the OpenAI API reference, "Chat Completions": object, chunk and error object.
"""

import re
import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

import msgspec

from arenad.conversation import text_of
from arenad.errors import InvalidRequest, RequestError
from arenad.frontend import parts
from arenad.schema.chat import (
    Began,
    Citation,
    Event,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    Role,
    SideFailed,
    Strategy,
    Target,
    TextDelta,
    Turn,
    error_of,
)
from arenad.schema.config import FilesConfig, ImageFormat
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

_PLAIN = {"type": "text"}

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}

IMAGE_FORMATS: tuple[ImageFormat, ...] = get_args(ImageFormat)

_REMEDIES = {
    "": "must be a JSON object",
    "model": "must be a model's name; GET /v1/models lists them",
    "messages": f"must be a list of 1 to {MAX_MESSAGES} messages",
    "messages[]": "must be an object with role and content",
    "role": f"must be one of {', '.join(_ROLES)}",
    "content": "must be text or a list of parts",
    "content[]": "must be an object with type and text",
    "type": "must be text, image_url or file",
    "text": "must be text",
    "image_url": "must be an object with url",
    "url": "must be a data URL or an address",
    "detail": "must be text",
    "file": "must be an object with file_data and filename",
    "file_data": "must be a data URL, or base64 with a filename that tells the type",
    "filename": "must be text",
    "image_format": f"must be one of {', '.join(IMAGE_FORMATS)}",
    "stream": "must be true or false",
    "stream_options": "must be an object",
    "include_usage": "must be true or false",
    "n": "only 1 is supported yet",
    "conversation": "must be affinity or fold",
    "battle_target": "must be A, B or both",
}
"""What each field of the structs below must be, by its name; [] is an entry of a list."""

_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_PATH = re.compile(r" - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.?(\w+)|\[(\d+)\]")

_encode = msgspec.json.Encoder().encode
_fields_of = msgspec.json.Decoder(dict[str, Any]).decode

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_shown = _short.repr


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: parts.Content = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Request(msgspec.Struct):
    """The fields that are used; all others are refused or ignored by name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Literal[1] | None = None
    conversation: Strategy | None = None
    image_format: ImageFormat | None = None
    battle_target: Target | None = None


class Wish(msgspec.Struct, frozen=True):
    """What the client wants. `ignored` are the fields given that change nothing here.

    `strategy` is empty where the site's profile is to decide. `remote` are files that have still
    to be fetched. `image_bytes`: as in `schema.chat.Chat`.
    `strategy` is empty where the site's profile is to decide.
    `battle_target` is ours: of two answers, the one that is wanted.
    """

    model: str
    turns: tuple[Turn, ...]
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]
    strategy: Strategy | Literal[""] = ""
    remote: tuple[parts.Remote, ...] = ()
    image_format: ImageFormat = "url"
    image_bytes: int = 0
    battle_target: Target | None = None


# -- in -------------------------------------------------------------------------------------------


def parse(body: bytes, files: FilesConfig = FilesConfig()) -> Wish:  # noqa: B008 - it is frozen
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    try:
        fields = _fields_of(body)
        _refuse(fields)
        request = _typed(fields)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not a JSON object: {error}") from error
    except RecursionError as error:
        raise InvalidRequest("the body is nested too deeply; flatten it") from error
    reader = parts.Reader(files)
    turns = tuple(_turn(reader, *each) for each in enumerate(request.messages))
    if not any(turn.text.strip() for turn in turns):
        raise InvalidRequest("messages: hold no text; say something", param="messages")
    options = request.stream_options
    return Wish(
        model=request.model,
        turns=turns,
        stream=bool(request.stream),
        include_usage=options is not None and bool(options.include_usage),
        ignored=tuple(sorted(name for name in fields if name not in _Request.__struct_fields__)),
        strategy=request.conversation or "",
        remote=tuple(reader.remote),
        image_format=(image_format := request.image_format or files.image_format),
        image_bytes=0 if image_format == "url" else files.max_bytes,
        battle_target=request.battle_target,
    )


def _turn(reader: parts.Reader, number: int, message: _Message) -> Turn:
    role = message.role
    return reader.turn(number, _ROLES[role], message.content, is_user=role == "user")


def _refuse(fields: dict[str, Any]) -> None:
    for name, remedy in REFUSED.items():
        value = fields.get(name)
        if value and value != _PLAIN:
            raise InvalidRequest(f"{name}: is {_shown(value)}; {remedy}", param=name)


def _typed(fields: dict[str, Any]) -> _Request:
    try:
        return msgspec.convert(fields, _Request)
    except msgspec.ValidationError as error:
        raise _fault(fields, str(error)) from error


def _fault(fields: dict[str, Any], told: str) -> InvalidRequest:
    """The error that msgspec tells by a path, as field, value and remedy."""
    at = _PATH.search(told)
    path = at["path"] if at else ""
    if missing := _MISSING.search(told):
        path = f"{path}.{missing['name']}".lstrip(".")
        shown = "missing"
    else:
        shown = _shown(_value_at(fields, path))
    name = re.sub(r"\[\d+\]$", "[]", path.rpartition(".")[2])
    return InvalidRequest(f"{path}: is {shown}; {_REMEDIES[name]}", param=path)


def _value_at(value: Any, path: str) -> object:
    for name, index in _STEP.findall(path):
        value = value[name or int(index)]
    return value


# -- out ------------------------------------------------------------------------------------------


class Writer:
    """Writes one answer, or two side by side as two choices.

    Chunks are made of three pieces, of which only the middle changes.
    """

    def __init__(self, request_id: str, model: str, created_unix_s: int, *, usage: bool) -> None:
        """With `usage`, every chunk carries `usage: null` and one more carries the numbers."""
        self._head = {"id": request_id, "created": created_unix_s, "model": model}
        self._usage = usage
        self._opening = _encode({**self._head, "object": "chat.completion.chunk"})[:-1]
        self._ending = b"]" + (b',"usage":null' if usage else b"") + b"}\n\n"
        self._after = b',"finish_reason":null}' + self._ending
        self._before: dict[int, bytes] = {}

    def first(self, side: int = 0) -> bytes:
        """The chunk that names a side's role; `event` brings that of the other side itself."""
        index = b"%d" % side
        before = b"data: " + self._opening + b',"choices":[{"index":' + index + b',"delta":'
        self._before[side] = before
        return before + b'{"role":"assistant","content":""}' + self._after

    def event(self, event: Event) -> bytes:
        """A chunk, or a comment that keeps the connection alive."""
        if isinstance(event, Heartbeat | Began):
            return KEEP_ALIVE
        first = b"" if event.side in self._before else self.first(event.side)
        before = first + self._before[event.side]
        match event:
            case ReasoningDelta(text):
                return before + b'{"reasoning_content":' + _encode(text) + b"}" + self._after
            case Image():
                delta = {"content": text_of(event), "images": [image_object(event)]}
                return before + _encode(delta) + self._after
            case TextDelta() | Citation():
                text = _encode(text_of(event))
                return before + b'{"content":' + text + b"}" + self._after
            case Finish(reason):
                return before + b'{},"finish_reason":' + _encode(reason) + b"}" + self._ending
            case SideFailed(failure):
                error = _encode(_error_fields(error_of(failure)))
                failed = b'{},"finish_reason":"error","error":' + error + b"}"
                return before + failed + self._ending

    def end(self, usage: dict[str, int]) -> bytes:
        """After the reasons: the chunk with the usage if wanted, the end."""
        return (self._usage_chunk(usage) if self._usage else b"") + DONE

    def _usage_chunk(self, usage: dict[str, int]) -> bytes:
        none: list[object] = []
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": none, "usage": usage}
        return b"data: " + _encode(chunk) + b"\n\n"

    def whole(self, choices: Iterable["Choice"], usage: dict[str, int]) -> bytes:
        """The answer as one object."""
        written = [each.written() for each in sorted(choices, key=lambda each: each.side)]
        body = {**self._head, "object": "chat.completion", "choices": written, "usage": usage}
        return _encode(body)


class Choice:
    """One side of an answer that is sent as one object."""

    def __init__(self, side: int) -> None:
        """Nothing has come."""
        self.side = side
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._images: list[dict[str, object]] = []
        self._end: dict[str, object] = {"finish_reason": None}

    def take(self, event: Event) -> None:
        """One event more of this side."""
        match event:
            case ReasoningDelta(text):
                self._reasoning.append(text)
            case TextDelta() | Image() | Citation():
                self._text.append(text_of(event))
                if isinstance(event, Image):
                    self._images.append(image_object(event))
            case Finish(reason):
                self._end = {"finish_reason": reason}
            case SideFailed(failure):
                error = _error_fields(error_of(failure))
                self._end = {"finish_reason": "error", "error": error}
            case Heartbeat() | Began():
                pass

    def written(self) -> dict[str, object]:
        """It as a client gets it."""
        message: dict[str, object] = {"role": "assistant", "content": "".join(self._text)}
        message["refusal"] = None
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._images:
            message["images"] = self._images
        return {"index": self.side, "message": message, "logprobs": None, **self._end}


def image_object(image: Image) -> dict[str, object]:
    """An image in the field `images`, as OpenRouter's clients read it; our own addition."""
    return {"type": "image_url", "image_url": {"url": image.url}}


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
    return _encode({"error": _error_fields(error)})


def _error_fields(error: RequestError) -> dict[str, str | None]:
    return {
        "message": error.message,
        "type": error.error_type,
        "param": error.param,
        "code": error.code,
    }


def error_event(error: RequestError) -> bytes:
    """The error after the stream has begun: clients raise on it, and no false end follows."""
    return b"data: " + error_object(error) + b"\n\n"


def model_object(model: Model, created_unix_s: int) -> dict[str, object]:
    """One entry of the model list; what it can do, and in which modes, are fields of our own."""
    kind: Literal["model"] = "model"
    owner = model.owner or "arenad"
    theirs = {"id": model.id, "object": kind, "created": created_unix_s, "owned_by": owner}
    return {**theirs, "capabilities": model.capabilities, "modes": model.modes}
