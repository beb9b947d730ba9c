"""Anthropic's vocabulary: a message body in, events out as its blocks. A brain: no I/O.

Shapes follow the Anthropic API reference, "Messages": message, stream events and error object.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec.structs import replace

from arenad.conversation import text_of
from arenad.errors import InvalidRequest, RequestError
from arenad.frontend import answers_in_events, calls, fields, instruct, parts
from arenad.frontend.fields import OBJECT, TEXT, WHOLE, Field, number
from arenad.frontend.message_blocks import GivenMessage, GivenText
from arenad.frontend.one_line import encode
from arenad.frontend.vocabulary import (
    LENGTH,
    LENGTH_REMEDY,
    NO_SWITCH,
    ONE_STOP_REMEDY,
    OURS,
    OURS_REMEDIES,
    SINGLE,
    STOP,
    STOP_LIST_REMEDY,
    Ending,
    Length,
    Ours,
    Refusal,
    Shown,
    Side,
    Stops,
    ToolCall,
    Usage,
    Vocabulary,
    Wish,
    sequence_of,
    stops_of,
)
from arenad.schema.chat import (
    Citation,
    Finish,
    Image,
    ReasoningDelta,
    Role,
    SideFailed,
    TextDelta,
    Turn,
    error_of,
)
from arenad.schema.config import FilesConfig
from arenad.schema.process import Model

MAX_MESSAGES = 10_000

NO_STORE = "nothing is stored here; send all that was said with each request"
_NO_TOOLS = "a page has no tools of its own; leave it out"


class NoThreads(InvalidRequest):
    """Anthropic's client knows this code: it sends the request again, with all that was said."""

    code = "thread_unsupported_request"


FIELDS: Mapping[str, Field] = {
    "model": Field("honoured"),
    "messages": Field(
        "honoured",
        "texts, images, documents (base64, url, text), calls, results; thinking is left out",
    ),
    "system": Field("honoured", "text, or text blocks"),
    "stream": Field("honoured"),
    "thinking": Field(
        "honoured", "`enabled` or `adaptive`: shown reasoning comes as blocks with no signature"
    ),
    "output_config": Field(
        "honoured", "`format` is emulated, as tools are; the rest changes nothing"
    ),
    "max_tokens": Field("honoured", f"{LENGTH.note}; not required"),
    "stop_sequences": STOP,
    "tools": calls.EMULATED,
    "tool_choice": calls.EMULATED,
    "output_format": calls.EMULATED,
    "temperature": Field("ignored", NO_SWITCH, kind=number(0, 1)),
    "top_p": Field("ignored", NO_SWITCH, kind=number(0, 1)),
    "top_k": Field("ignored", NO_SWITCH, kind=WHOLE),
    "metadata": Field("ignored", kind=OBJECT),
    "cache_control": Field("ignored", "also in blocks", kind=OBJECT),
    "context_management": Field("ignored", kind=OBJECT),
    "diagnostics": Field("ignored", kind=OBJECT),
    "inference_geo": Field("ignored", kind=TEXT),
    "service_tier": Field("ignored", kind=TEXT),
    "speed": Field("ignored", kind=TEXT),
    "user_profile_id": Field("ignored", kind=TEXT),
    "workspace_id": Field("ignored", kind=TEXT),
    "thread": Field("refused", NO_STORE, error=NoThreads),
    "compaction": Field("refused", "a chat page sums nothing up; leave it out"),
    "mcp_servers": Field("refused", _NO_TOOLS),
    "container": Field("refused", _NO_TOOLS),
    **OURS,
    "image_format": Field("honoured", "`data` is served as `file`: a message has no place for it"),
    "battle_target": SINGLE,
}

_REMEDIES = {
    "": "must be a JSON object",
    "model": "must be a model's name; GET /v1/models lists them",
    "messages": f"must be a list of 1 to {MAX_MESSAGES} messages",
    "messages[]": "must be an object with role and content",
    "role": "must be user, assistant or system",
    "content": "must be text or a list of blocks",
    "content[]": "must be an object with type",
    "system": "must be text or a list of text blocks",
    "system[]": "must be an object with type and text",
    "type": "must be text, image, document, thinking, tool_use or tool_result",
    "source.type": "must be base64, url or text",
    "tools[].type": "must be custom; Anthropic's own tools are not run here",
    "tool_choice.type": "must be auto, any, tool or none",
    "tool_choice": "must be an object with type",
    "thinking.type": "must be text",
    "text": "must be text",
    "source": "must be an object with type",
    "media_type": "must be a type such as image/png",
    "data": "must be base64, or text in a source of type text",
    "url": "must be an address",
    "title": "must be text",
    "context": "must be text",
    "stream": "must be true or false",
    "thinking": "must be an object with type",
    "display": "must be text",
    "max_tokens": LENGTH_REMEDY,
    "stop_sequences": STOP_LIST_REMEDY,
    "stop_sequences[]": ONE_STOP_REMEDY,
    "output_config": "must be an object",
    "format": "must be an object with type and schema",
    "output_format": "must be an object with type and schema",
    "input": "must be an object",
    **calls.REMEDIES,
    **OURS_REMEDIES,
}


class _ThinkingWish(msgspec.Struct):
    type: str
    display: str | None = None

    def shows(self) -> bool:
        return self.type in {"enabled", "adaptive"} and self.display != "omitted"


class _OutputConfig(msgspec.Struct):
    format: calls.SchemaAlone | None = None


_Tools = Annotated[list[calls.InputTool], msgspec.Meta(max_length=calls.MAX_TOOLS)]


class _Request(Ours, kw_only=True):
    """The fields that are used; all others are refused or ignored by name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[GivenMessage], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    system: str | list[GivenText] | None = None
    stream: bool | None = None
    thinking: _ThinkingWish | None = None
    output_config: _OutputConfig | None = None
    max_tokens: Length | None = None
    stop_sequences: Stops | None = None
    tools: _Tools | None = None
    tool_choice: calls.InputChoice | None = None
    output_format: calls.SchemaAlone | None = None

    def emulation(self) -> instruct.Emulation | None:
        """What is to be emulated."""
        choice = self.tool_choice or calls.InputChoice()
        config = self.output_config.format if self.output_config else None
        form = config or self.output_format
        return calls.wanted(
            [each.tool() for each in self.tools or ()],
            choice.choice(),
            choice.chosen(),
            is_parallel=not choice.disable_parallel_tool_use,
            form=instruct.Format(form.schema) if form else None,
            form_param="output_config.format" if config else "output_format",
        )


# -- in -------------------------------------------------------------------------------------------


def parse(body: bytes, files: FilesConfig = FilesConfig()) -> Wish:  # noqa: B008 - it is frozen
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    request, ignored = fields.read(body, _Request, FIELDS, _REMEDIES)
    reader = parts.Reader(files)
    names = dict[str, str]()
    said = [message.turn(reader, number, names) for number, message in enumerate(request.messages)]
    parts.check_text("messages", said, has_file=reader.awaits(len(said) - 1))
    system = _system(request.system)
    remote = [replace(each, turn=each.turn + len(system)) for each in reader.remote]
    emulation = request.emulation()
    turns, remote = instruct.arranged([*system, *said], remote, (), emulation)
    wish = Wish(
        model=request.model,
        turns=turns,
        stream=bool(request.stream),
        include_usage=True,
        include_reasoning=request.thinking is not None and request.thinking.shows(),
        ignored=ignored,
        remote=remote,
        stops=stops_of(request.stop_sequences),
        max_tokens=request.max_tokens,
        emulation=emulation,
    )
    return request.applied(wish, files, has_images=False, is_single=True)


def _system(given: str | list[GivenText] | None) -> list[Turn]:
    texts = [block.text for block in given] if isinstance(given, list) else [given or ""]
    role: Role = "system"
    return [Turn(role=role, text=text)] if (text := "\n\n".join(texts)).strip() else []


# -- out ------------------------------------------------------------------------------------------

STOP_REASONS: dict[Ending, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}


def _frame(kind: str, **told: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **told}) + b"\n\n"


PING = _frame("ping")
"""Keeps the connection alive."""

_EMPTY_BLOCKS: dict[str, dict[str, object]] = {
    "text": {"type": "text", "text": "", "citations": None},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class Writer:
    """Writes the one side of an answer that a message has.

    A block is open as long as pieces of its kind come; between two only the piece changes.
    """

    def __init__(self, request_id: str, wish: Wish, _created_unix_s: int) -> None:
        """No block is open."""
        self._id = f"msg_{request_id}"
        self._wish = wish
        self._ending = _ending("end_turn", None)
        self._index = -1
        self._kind = ""
        self._before = b""
        self._has_called = False

    def first(self) -> bytes:
        """The message, empty as yet."""
        usage = Usage(self._wish.prompt_tokens, 0)
        return _frame("message_start", message=self._message([], _ending(None, None), usage))

    def event(self, event: Shown) -> bytes:
        """A piece of a block, or a ping. Raises what the side failed with."""
        match event:
            case ReasoningDelta(text, 0) if self._wish.include_reasoning:
                return self._piece("thinking", text)
            case TextDelta(side=0) | Image(side=0) | Citation(side=0):
                return self._piece("text", text_of(event))
            case ToolCall(side=0):
                return self._called(event)
            case Finish(reason, 0):
                is_call = reason == "stop" and self._has_called
                told = _reasons("tool_calls" if is_call else reason, sequence_of(event))
                self._ending = _ending(*told)
                return b""
            case SideFailed(failure, 0):
                raise error_of(failure)
            case _:
                return PING

    def _piece(self, kind: str, text: str) -> bytes:
        opening = b"" if kind == self._kind else self._closing() + self._opened(kind)
        return opening + self._before + encode(text) + b"}}\n\n"

    def _opened(self, kind: str) -> bytes:
        self._kind = kind
        self._index += 1
        delta = {"type": f"{kind}_delta", kind: ""}
        empty = _frame("content_block_delta", index=self._index, delta=delta)
        self._before = empty.removesuffix(b'""}}\n\n')
        return _frame("content_block_start", index=self._index, content_block=_EMPTY_BLOCKS[kind])

    def _called(self, call: ToolCall) -> bytes:
        """A block of its own, whole."""
        before = self._closing()
        self._kind, self._has_called = "", True
        self._index += 1
        at, delta = self._index, {"type": "input_json_delta", "partial_json": call.arguments}
        return (
            before
            + _frame("content_block_start", index=at, content_block=_call_block(call, {}))
            + _frame("content_block_delta", index=at, delta=delta)
            + _frame("content_block_stop", index=at)
        )

    def _closing(self) -> bytes:
        return _frame("content_block_stop", index=self._index) if self._kind else b""

    def end(self, usage: Usage) -> bytes:
        """Why it ended, the numbers, the end."""
        told = _frame("message_delta", delta=self._ending, usage=_usage(usage))
        return self._closing() + told + _frame("message_stop")

    def failed(self, error: RequestError) -> bytes:
        """The error in mid-stream."""
        return b"event: error\ndata: " + refusal(error).body + b"\n\n"

    def whole(self, sides: Sequence[Side], usage: Usage) -> bytes:
        """The answer as one object. Raises what the side failed with."""
        side = sides[0]
        if side.failure is not None:
            raise error_of(side.failure)
        content: list[dict[str, object]] = []
        if side.reasoning and self._wish.include_reasoning:
            content.append(_EMPTY_BLOCKS["thinking"] | {"thinking": "".join(side.reasoning)})
        if text := "".join(side.texts):
            content.append(_EMPTY_BLOCKS["text"] | {"text": text})
        content += [_call_block(call, msgspec.Raw(call.arguments.encode())) for call in side.calls]
        ending = _ending(*_reasons(side.ending or "stop", side.sequence))
        return encode(self._message(content, ending, usage))

    def _message(
        self, content: list[dict[str, object]], ending: dict[str, object], usage: Usage
    ) -> dict[str, object]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._wish.model,
            "content": content,
            **ending,
            "usage": {**_usage(usage), **_UNTOLD_OF_A_MESSAGE},
        }


_UNTOLD_OF_A_MESSAGE = dict.fromkeys(("cache_creation", "inference_geo", "service_tier"))


def _call_block(call: ToolCall, given: object) -> dict[str, object]:
    told = {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": given}
    return told | {"caller": {"type": "direct"}}


def _reasons(reason: Ending, sequence: str | None) -> tuple[str, str | None]:
    return STOP_REASONS[reason] if sequence is None else "stop_sequence", sequence


def _ending(stop_reason: str | None, stop_sequence: str | None) -> dict[str, object]:
    """Why it ended. All are required by the API's own description, as the nulls below are."""
    return {
        "stop_reason": stop_reason,
        "stop_sequence": stop_sequence,
        "stop_details": None,
        "container": None,
    }


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": None,
        "cache_read_input_tokens": None,
        "output_tokens_details": None,
        "server_tool_use": None,
    }


def counted(wish: Wish) -> bytes:
    """What counting a message's tokens answers: an estimate."""
    return encode({"input_tokens": wish.prompt_tokens})


_UNKNOWN_DATE = "1970-01-01T00:00:00Z"
"""What the API says where nobody knows since when there is a model."""


def model_object(model: Model, _created_unix_s: int) -> dict[str, object]:
    """One entry of the model list. What a page does not tell of it is null, as the API allows."""
    told = {"type": "model", "id": model.id, "display_name": model.id, "created_at": _UNKNOWN_DATE}
    return {**told, "capabilities": None, "max_input_tokens": None, "max_tokens": None}


def page_of(listed: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """What says that a list is a page, and the only one."""
    ids = [each["id"] for each in listed] or [None]
    return {"first_id": ids[0], "last_id": ids[-1], "has_more": False}


_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_STATUSES = {503: 529}
"""Where Anthropic's own number is another than HTTP's."""

_FIRST_SERVER_ERROR = 500


def refusal(error: RequestError) -> Refusal:
    """The error as Anthropic's clients expect it; our code stands in its details."""
    status = error.http_status
    other = "invalid_request_error" if status < _FIRST_SERVER_ERROR else "api_error"
    told = {
        "type": _ERROR_TYPES.get(status, other),
        "message": error.message,
        "details": {"error_code": error.code},
    }
    body = {"type": "error", "error": told, "request_id": None}  # it stands in the header
    return Refusal(_STATUSES.get(status, status), encode(body))


MESSAGES = Vocabulary(parse, Writer, refusal, FIELDS, _Request, answers_in_events.MESSAGES)
