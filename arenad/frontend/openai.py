"""OpenAI's vocabulary: a request body in, events out as its chunks and objects. A brain: no I/O.

Shapes follow the OpenAI API reference, "Chat Completions": object, chunk and error object.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from arenad.conversation import text_of
from arenad.errors import RequestError
from arenad.frontend import answers, calls, fields, instruct, parts
from arenad.frontend.fields import OBJECT, SWITCH, TEXT, Field
from arenad.frontend.one_line import encode
from arenad.frontend.vocabulary import (
    ANSWERS,
    ANSWERS_REMEDY,
    LENGTH,
    LENGTH_REMEDY,
    NO_SWITCH,
    ONE_STOP_REMEDY,
    OURS,
    OURS_REMEDIES,
    SAMPLING,
    STOP,
    STOP_REMEDY,
    Answers,
    Length,
    Ours,
    Refusal,
    Shown,
    Side,
    Source,
    Stops,
    StopText,
    StreamOptions,
    ToolCall,
    Usage,
    Vocabulary,
    Wish,
    keep_alive,
    source_of,
    stops_of,
)
from arenad.schema.chat import (
    Began,
    Citation,
    Finish,
    Heartbeat,
    Image,
    ReasoningDelta,
    Role,
    SideFailed,
    TextDelta,
    error_of,
)
from arenad.schema.config import FilesConfig
from arenad.schema.process import Model

DONE = b"data: [DONE]\n\n"
MAX_MESSAGES = 10_000

_NO_PROBABILITIES = "a chat page tells no probabilities; leave it out"

FIELDS: Mapping[str, Field] = {
    "model": Field("honoured"),
    "messages": Field(
        "honoured",
        "texts, images, files, calls; `developer` is `system`, `tool` and `function` `user`",
    ),
    "stream": Field("honoured"),
    "stream_options": Field("honoured", "`include_usage`"),
    "n": ANSWERS,
    "max_tokens": LENGTH,
    "max_completion_tokens": LENGTH,
    "stop": STOP,
    "tools": calls.EMULATED,
    "tool_choice": calls.EMULATED,
    "parallel_tool_calls": calls.EMULATED,
    "response_format": calls.EMULATED,
    **SAMPLING,
    "reasoning_effort": Field("ignored", NO_SWITCH, kind=TEXT),
    "verbosity": Field("ignored", NO_SWITCH, kind=TEXT),
    "web_search_options": Field("ignored", NO_SWITCH, kind=OBJECT),
    "metadata": Field("ignored", kind=OBJECT),
    "moderation": Field("ignored", kind=OBJECT),
    "prediction": Field("ignored", kind=OBJECT),
    "prompt_cache_key": Field("ignored", kind=TEXT),
    "prompt_cache_options": Field("ignored", kind=OBJECT),
    "prompt_cache_retention": Field("ignored", kind=TEXT),
    "safety_identifier": Field("ignored", kind=TEXT),
    "service_tier": Field("ignored", kind=TEXT),
    "store": Field("ignored", kind=SWITCH),
    "user": Field("ignored", kind=TEXT),
    "function_call": Field("ignored", "without functions there is nothing to choose"),
    "functions": Field("refused", "send them as tools"),
    "logprobs": Field("refused", _NO_PROBABILITIES),
    "top_logprobs": Field("refused", _NO_PROBABILITIES, plain=0),
    "audio": Field("refused", "audio is not supported; leave it out"),
    "modalities": Field("refused", "only ['text'] is supported; leave it out", plain=["text"]),
    **OURS,
}
"""Refused are fields whose silent loss would make the answer wrong."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}

_RESULTS = frozenset({"tool", "function"})
"""Who tells what a call has brought."""

_REMEDIES = {
    "": "must be a JSON object",
    "model": "must be a model's name; GET /v1/models lists them",
    "messages": f"must be a list of 1 to {MAX_MESSAGES} messages",
    "messages[]": "must be an object with role and content",
    "role": f"must be one of {', '.join(_ROLES)}",
    "content": "must be text or a list of parts",
    "content[]": "must be an object with type and text",
    "type": "must be text, refusal, image_url or file",
    "tools[].type": "must be function; only functions are emulated",
    "tool_calls[].type": "must be function",
    "tool_choice.type": "must be function or allowed_tools",
    "refusal": "must be text",
    "response_format.type": "must be text, json_object or json_schema",
    "text": "must be text",
    "image_url": "must be an object with url",
    "url": "must be a data URL or an address",
    "detail": "must be text",
    "file": "must be an object with file_data and filename",
    "file_data": "must be a data URL, or base64 with a filename that tells the type",
    "filename": "must be text",
    "file_id": "must be text",
    "stream": "must be true or false",
    "stream_options": "must be an object",
    "include_usage": "must be true or false",
    "n": ANSWERS_REMEDY,
    "max_tokens": LENGTH_REMEDY,
    "max_completion_tokens": LENGTH_REMEDY,
    "stop": STOP_REMEDY,
    "stop[]": ONE_STOP_REMEDY,
    "tool_choice": "must be none, auto, required, or an object with type and function",
    "function_call": "must be an object with name and arguments",
    "response_format": "must be an object with type",
    **calls.REMEDIES,
    **OURS_REMEDIES,
}
"""What each field of the structs below must be, by its name; [] is an entry of a list."""


class _TextPart(msgspec.Struct, tag="text", tag_field="type"):
    text: str

    def piece(self) -> parts.Piece:
        return self.text


class _RefusalPart(msgspec.Struct, tag="refusal", tag_field="type"):
    """What a model refused to do, in the history."""

    refusal: str

    def piece(self) -> parts.Piece:
        return self.refusal


class _ImageUrl(msgspec.Struct):
    """`detail` is taken and changes nothing: a page has no such switch."""

    url: str
    detail: str | None = None


class _ImagePart(msgspec.Struct, tag="image_url", tag_field="type"):
    image_url: _ImageUrl

    def piece(self) -> parts.Piece:
        return parts.File("image_url.url", self.image_url.url)


class _FileBody(msgspec.Struct):
    """A data URL, or base64 alone where the name tells the type."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None

    def piece(self) -> parts.Piece:
        if self.file_id and not self.file_data:
            return parts.File("file.file_id", self.file_id)
        return parts.File("file.file_data", self.file_data or "", self.filename or "")


class _FilePart(msgspec.Struct, tag="file", tag_field="type"):
    file: _FileBody

    def piece(self) -> parts.Piece:
        return self.file.piece()


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_TextPart | _RefusalPart | _ImagePart | _FilePart] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[calls.FormerCall] | None = None
    tool_call_id: str | None = None
    function_call: calls.FormerFunction | None = None

    def pieces(self, names: dict[str, str]) -> list[parts.Piece]:
        """What it says, text alone or part by part; `names` are those of the calls so far."""
        said: list[parts.Piece]
        if isinstance(self.content, list):
            said = [part.piece() for part in self.content]
        else:
            said = [self.content or self.refusal or ""]
        if self.role in _RESULTS:
            return self._result(said, names)
        if self.role == "assistant" and (self.tool_calls or self.function_call):
            return [*filter(None, said), *self._calls(names)]
        return said

    def _result(self, said: list[parts.Piece], names: dict[str, str]) -> list[parts.Piece]:
        texts = [each for each in said if isinstance(each, str)]
        if len(texts) < len(said):
            return said  # files of a result are refused where they are read
        call_id = self.tool_call_id or ""
        known = names if call_id in names else {call_id: self.name or ""}
        return [calls.result(known, call_id, "\n\n".join(texts))]

    def _calls(self, names: dict[str, str]) -> list[str]:
        made = self.tool_calls or []
        names |= {each.id: each.function.name for each in made}
        old = [self.function_call.block()] if self.function_call else []
        return [each.block() for each in made] + old


class _Request(Ours, kw_only=True):
    """The fields that are used; all others are refused or ignored by name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Answers | None = None
    max_tokens: Length | None = None
    max_completion_tokens: Length | None = None
    stop: StopText | Stops | None = None
    tools: calls.Tools | None = None
    tool_choice: calls.FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: calls.TextFormat | calls.ObjectFormat | calls.SchemaFormat | None = None

    def emulation(self) -> instruct.Emulation | None:
        """What is to be emulated."""
        chosen = calls.chosen_of(self.tool_choice)
        return calls.wanted(
            chosen.of([each.tool() for each in self.tools or ()]),
            chosen.choice,
            chosen.name,
            is_parallel=self.parallel_tool_calls is not False,
            form=calls.form_of(self.response_format),
            form_param="response_format",
        )

    def length(self) -> int | None:
        """The shorter one, if any is given."""
        given = (self.max_tokens, self.max_completion_tokens)
        return min((each for each in given if each is not None), default=None)


# -- in -------------------------------------------------------------------------------------------


def parse(body: bytes, files: FilesConfig = FilesConfig()) -> Wish:  # noqa: B008 - it is frozen
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    request, ignored = fields.read(body, _Request, FIELDS, _REMEDIES)
    reader = parts.Reader(files)
    names = dict[str, str]()
    said = [
        reader.turn(
            number,
            _ROLES[message.role],
            message.pieces(names),
            is_user=message.role == "user",
            joint="\n\n",
        )
        for number, message in enumerate(request.messages)
    ]
    parts.check_text("messages", said, has_file=reader.awaits(len(said) - 1))
    emulation = request.emulation()
    turns, remote = instruct.arranged(said, reader.remote, _joins(request.messages), emulation)
    wish = Wish(
        model=request.model,
        turns=turns,
        stream=bool(request.stream),
        include_usage=request.stream_options is not None and request.stream_options.wants_usage(),
        ignored=ignored,
        remote=remote,
        stops=stops_of(request.stop),
        max_tokens=request.length(),
        emulation=emulation,
        n=request.n or 1,
    )
    return request.applied(wish, files)


def _joins(messages: Sequence[_Message]) -> set[int]:
    """The results that follow one: together they are what comes after an answer."""
    results = {number for number, each in enumerate(messages) if each.role in _RESULTS}
    return {number for number in results if number - 1 in results}


# -- out ------------------------------------------------------------------------------------------


class Writer:
    """Writes one answer, or two side by side as two choices.

    Chunks are made of three pieces, of which only the middle changes.
    """

    def __init__(self, request_id: str, wish: Wish, created_unix_s: int) -> None:
        """With usage, every chunk carries `usage: null` and one more carries the numbers."""
        name = f"chatcmpl-{request_id}"
        self._head = {"id": name, "created": created_unix_s, "model": wish.model}
        self._usage = usage = wish.include_usage
        self._opening = encode({**self._head, "object": "chat.completion.chunk"})[:-1]
        self._ending = b"]" + (b',"usage":null' if usage else b"") + b"}\n\n"
        self._after = b',"finish_reason":null}' + self._ending
        self._before: dict[int, bytes] = {}
        self._chars: Counter[int] = Counter()
        self._places: Counter[tuple[int, str]] = Counter()

    def first(self, side: int = 0) -> bytes:
        """The chunk that names a side's role; `event` brings that of the other side itself."""
        index = b"%d" % side
        before = b"data: " + self._opening + b',"choices":[{"index":' + index + b',"delta":'
        self._before[side] = before
        return before + b'{"role":"assistant","content":""}' + self._after

    def event(self, event: Shown) -> bytes:
        """A chunk, or a comment that keeps the connection alive."""
        if isinstance(event, Heartbeat | Began):
            return keep_alive(event)
        first = b"" if event.side in self._before else self.first(event.side)
        before = first + self._before[event.side]
        match event:
            case ReasoningDelta(text):
                return before + b'{"reasoning_content":' + encode(text) + b"}" + self._after
            case TextDelta(text):
                self._chars[event.side] += len(text)
                return before + b'{"content":' + encode(text) + b"}" + self._after
            case Image() | Citation() | ToolCall():
                return before + encode(self._delta(event)) + self._after
            case Finish(reason):
                has_called = self._places[event.side, "tool_calls"] > 0
                told = "tool_calls" if reason == "stop" and has_called else reason
                return before + b'{},"finish_reason":' + encode(told) + b"}" + self._ending
            case SideFailed(failure):
                error = encode(error_fields(error_of(failure)))
                failed = b'{},"finish_reason":"error","error":' + error + b"}"
                return before + failed + self._ending

    def _delta(self, event: Image | Citation | ToolCall) -> dict[str, object]:
        """What a delta says of it, and its place in its list.

        Without that OpenAI's own client joins no lists.
        """
        side, text = event.side, ""
        match event:
            case ToolCall():
                name, told = "tool_calls", call_object(event)
            case Image():
                name, told, text = "images", image_object(event), text_of(event)
            case Citation():
                source = source_of(event, self._chars[side])
                name, told, text = "annotations", annotation(source), text_of(event)
        place = self._places[side, name]
        self._places[side, name] += 1
        self._chars[side] += len(text)
        said = {} if isinstance(event, ToolCall) else {"content": text}
        return {**said, name: [{"index": place, **told}]}

    def end(self, usage: Usage) -> bytes:
        """After the reasons: the chunk with the usage if wanted, the end."""
        return (self._usage_chunk(usage) if self._usage else b"") + DONE

    def _usage_chunk(self, usage: Usage) -> bytes:
        none: list[object] = []
        told = {"choices": none, "usage": usage_object(usage)}
        return (
            b"data: " + encode({**self._head, "object": "chat.completion.chunk", **told}) + b"\n\n"
        )

    def failed(self, error: RequestError) -> bytes:
        """The error in mid-stream."""
        return b"data: " + refusal(error).body + b"\n\n"

    def whole(self, sides: Sequence[Side], usage: Usage) -> bytes:
        """The answer as one object."""
        told = {"choices": [_choice(side) for side in sides], "usage": usage_object(usage)}
        return encode({**self._head, "object": "chat.completion", **told})


def _choice(side: Side) -> dict[str, object]:
    text = "".join(side.texts)
    message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
    if side.calls:
        message["content"] = text or None
        message["tool_calls"] = [call_object(call) for call in side.calls]
    ended = ending(side)
    if side.failure is None:
        ended["finish_reason"] = side.ending
    if side.reasoning:
        message["reasoning_content"] = "".join(side.reasoning)
    if side.images:
        message["images"] = [image_object(image) for image in side.images]
    if side.sources:
        message["annotations"] = [annotation(source) for source in side.sources]
    return {"index": side.number, "message": message, "logprobs": None, **ended}


def ending(side: Side) -> dict[str, object]:
    """How a side ended, as fields of its choice."""
    if side.failure is None:
        return {"finish_reason": side.reason}
    return {"finish_reason": "error", "error": error_fields(error_of(side.failure))}


def call_object(call: ToolCall) -> dict[str, object]:
    """A call in the field `tool_calls`."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{call.id}", "type": "function", "function": function}


def image_object(image: Image) -> dict[str, object]:
    """An image in the field `images`, as OpenRouter's clients read it; our own addition."""
    return {"type": "image_url", "image_url": {"url": image.url}}


def annotation(source: Source) -> dict[str, object]:
    """A source in the field `annotations` of a message."""
    return {"type": "url_citation", "url_citation": source._asdict()}


def usage_object(usage: Usage) -> dict[str, int]:
    """The counts, and their sum."""
    return {**usage._asdict(), "total_tokens": sum(usage)}


def refusal(error: RequestError) -> Refusal:
    """The error as OpenAI clients expect it."""
    return Refusal(error.http_status, encode({"error": error_fields(error)}))


def error_fields(error: RequestError) -> dict[str, str | None]:
    """The four fields of an error object; all are required."""
    return {
        "message": error.message,
        "type": error.error_type,
        "param": error.param,
        "code": error.code,
    }


def model_object(model: Model, created_unix_s: int) -> dict[str, object]:
    """One entry of the model list; what it can do, and in which modes, are fields of our own."""
    kind: Literal["model"] = "model"
    owner = model.owner or "arenad"
    theirs = {"id": model.id, "object": kind, "created": created_unix_s, "owned_by": owner}
    return {**theirs, "capabilities": model.capabilities, "modes": model.modes}


CHAT = Vocabulary(parse, Writer, refusal, FIELDS, _Request, answers.CHAT)
