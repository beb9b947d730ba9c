"""OpenAI's responses: an input in, items and their events out. A brain: no I/O.

Shapes follow the OpenAI API reference, "Responses". Nothing is stored: the input is
all that was said.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from arenad.conversation import text_of
from arenad.errors import RequestError, UpstreamFailed
from arenad.frontend import answers_in_events, calls, fields, instruct, openai, parts
from arenad.frontend.answers_in_events import ItemStatus
from arenad.frontend.fields import LIST, OBJECT, SWITCH, TEXT, WHOLE, Field, number
from arenad.frontend.one_line import encode
from arenad.frontend.response_items import NEEDED, GivenItem
from arenad.frontend.vocabulary import (
    LENGTH,
    LENGTH_REMEDY,
    MAX_WHOLE_CHARS,
    NO_SWITCH,
    OURS,
    OURS_REMEDIES,
    SINGLE,
    Length,
    Ours,
    Shown,
    Side,
    Source,
    ToolCall,
    Usage,
    Vocabulary,
    Wish,
    keep_alive,
    source_of,
)
from arenad.schema.chat import (
    Citation,
    Finish,
    FinishReason,
    Image,
    ReasoningDelta,
    SideFailed,
    TextDelta,
    Turn,
    error_of,
)
from arenad.schema.config import FilesConfig

MAX_ITEMS = 10_000
MAX_METADATA, MAX_METADATA_CHARS = 16, 512

_NO_STORE = "nothing is stored; send all that was said as input"

FIELDS: Mapping[str, Field] = {
    "model": Field("honoured"),
    "input": Field(
        "honoured",
        "text, or messages (texts, images, files), calls, outputs; reasoning is left out",
    ),
    "instructions": Field("honoured", "the first message, of role `system`"),
    "stream": Field("honoured"),
    "text": Field("honoured", "`format` is emulated, as tools are; the rest changes nothing"),
    "max_output_tokens": LENGTH,
    "tools": calls.EMULATED,
    "tool_choice": calls.EMULATED,
    "parallel_tool_calls": calls.EMULATED,
    "temperature": Field("ignored", NO_SWITCH, kind=number(0, 2)),
    "top_p": Field("ignored", NO_SWITCH, kind=number(0, 1)),
    "reasoning": Field("ignored", f"{NO_SWITCH}; what is shown comes as an item", kind=OBJECT),
    "truncation": Field("ignored", NO_SWITCH, kind=TEXT),
    "access_programs": Field("ignored", kind=OBJECT),
    "background_options": Field("ignored", kind=OBJECT),
    "context_management": Field("ignored", kind=LIST),
    "include": Field("ignored", kind=LIST),
    "image": Field("ignored", kind=OBJECT),
    "metadata": Field("honoured", "the response repeats it"),
    "moderation": Field("ignored", kind=OBJECT),
    "prompt_cache_key": Field("ignored", kind=TEXT),
    "prompt_cache_options": Field("ignored", kind=OBJECT),
    "prompt_cache_retention": Field("ignored", kind=TEXT),
    "safety_identifier": Field("ignored", kind=TEXT),
    "service_tier": Field("ignored", kind=TEXT),
    "store": Field("ignored", "nothing is stored", kind=SWITCH),
    "stream_options": Field("ignored", kind=OBJECT),
    "user": Field("ignored", kind=TEXT),
    "max_tool_calls": Field("ignored", "it counts those of OpenAI's own tools", kind=WHOLE),
    "background": Field("refused", _NO_STORE),
    "previous_response_id": Field("refused", _NO_STORE),
    "prompt": Field("refused", _NO_STORE),
    "top_logprobs": Field("refused", "a chat page tells no probabilities; leave it out", plain=0),
    **OURS,
    "conversation": Field("honoured", f"{OURS['conversation'].note}; OpenAI's ids are refused"),
    "image_format": Field("honoured", "`data` is served as `file`: an item has no place for it"),
    "battle_target": SINGLE,
}

_REMEDIES = {
    "": "must be a JSON object",
    "model": "must be a model's name; GET /v1/models lists them",
    "input": f"must be text or a list of 1 to {MAX_ITEMS} items",
    "input[]": "must be a message, a call, its output, or reasoning",
    "content": "must be text or a list of parts",
    "content[]": "must be an object with type",
    "type": "must be message, function_call, function_call_output or reasoning",
    "content[].type": "must be input_text, input_image or input_file",
    "output[].type": "must be input_text, input_image or input_file",
    "tools[].type": "must be function; only functions are emulated, OpenAI's own tools are not run",
    "tool_choice.type": "must be function or allowed_tools",
    "refusal": "must be text",
    "image_url": "must be a data URL or an address",
    "file_data": "must be a data URL, or base64 with a filename that tells the type",
    "file_url": "must be an address",
    "filename": "must be text",
    "file_id": "must be text",
    "instructions": "must be text",
    "metadata": f"must be an object of at most {MAX_METADATA} texts",
    "metadata[...]": f"must be text of at most {MAX_METADATA_CHARS} characters",
    "stream": "must be true or false",
    "text": "must be text; as a field of the request an object with format",
    "format": "must be an object with type",
    "text.format.type": "must be text, json_object or json_schema",
    "tool_choice": "must be none, auto, required, or an object with type and name",
    "output": "must be text or a list of parts",
    "output[]": "must be an object with type",
    **calls.REMEDIES,
    **NEEDED,
    "max_output_tokens": LENGTH_REMEDY,
    **OURS_REMEDIES,
}


class _TextWish(msgspec.Struct):
    format: calls.TextFormat | calls.ObjectFormat | calls.FlatSchemaFormat | None = None


_Tools = Annotated[list[calls.ResponseTool], msgspec.Meta(max_length=calls.MAX_TOOLS)]


_Metadata = Annotated[
    dict[str, Annotated[str, msgspec.Meta(max_length=MAX_METADATA_CHARS)]],
    msgspec.Meta(max_length=MAX_METADATA),
]
"""As OpenAI bounds it (API reference, "Responses")."""


class _Request(Ours, kw_only=True):
    """The fields that are used; all others are refused or ignored by name."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    input: str | Annotated[list[GivenItem], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]
    instructions: str | None = None
    stream: bool | None = None
    text: _TextWish | None = None
    max_output_tokens: Length | None = None
    tools: _Tools | None = None
    tool_choice: calls.ResponseChoice | None = None
    parallel_tool_calls: bool | None = None
    metadata: _Metadata | None = None

    def repeated(self) -> dict[str, object]:
        """What the response says of the request again, as far as anything becomes of it."""
        form = self.text.format if self.text else None
        is_parallel = self.parallel_tool_calls
        return {
            "instructions": self.instructions,
            "metadata": self.metadata or {},
            "max_output_tokens": self.max_output_tokens,
            "text": {"format": msgspec.to_builtins(form or calls.TextFormat())},
            "tools": [_told_of(each.tool()) for each in self.tools or ()],
            "tool_choice": msgspec.to_builtins(self.tool_choice or "auto"),
            "parallel_tool_calls": True if is_parallel is None else is_parallel,
        }

    def emulation(self) -> instruct.Emulation | None:
        """What is to be emulated."""
        chosen = calls.chosen_of(self.tool_choice)
        return calls.wanted(
            chosen.of([each.tool() for each in self.tools or ()]),
            chosen.choice,
            chosen.name,
            is_parallel=self.parallel_tool_calls is not False,
            form=calls.form_of(self.text.format if self.text else None),
            form_param="text.format",
        )


# -- in -------------------------------------------------------------------------------------------


def parse(body: bytes, files: FilesConfig = FilesConfig()) -> Wish:  # noqa: B008 - it is frozen
    """Read a request body. Raises `InvalidRequest` naming the field, the value and the remedy."""
    request, ignored = fields.read(body, _Request, FIELDS, _REMEDIES)
    given = request.input
    items = [GivenItem(role="user", content=given)] if isinstance(given, str) else given
    reader = parts.Reader(files, "input")
    instructions = request.instructions or ""
    turns = [Turn(role="system", text=instructions)] if instructions.strip() else []
    kept = [(number, item) for number, item in enumerate(items) if item.type != "reasoning"]
    names = dict[str, str]()
    said = [item.turn(reader, number, names) for number, item in kept]
    parts.check_text("input", said, has_file=reader.awaits(len(items) - 1))
    place = {number: len(turns) + at for at, (number, _) in enumerate(kept)}
    pairs = itertools.pairwise(item for _, item in kept)
    joins = {len(turns) + at for at, (one, two) in enumerate(pairs, 1) if two.joins(one)}
    remote = [replace(each, turn=place[each.turn]) for each in reader.remote]
    emulation = request.emulation()
    arranged, remote = instruct.arranged([*turns, *said], remote, joins, emulation)
    wish = Wish(
        model=request.model,
        turns=arranged,
        stream=bool(request.stream),
        include_usage=True,
        ignored=ignored,
        remote=remote,
        max_tokens=request.max_output_tokens,
        emulation=emulation,
        repeated=request.repeated(),
    )
    return request.applied(wish, files, has_images=False, is_single=True)


# -- out ------------------------------------------------------------------------------------------

Kind = Literal["message", "reasoning"]

_PART: dict[Kind, dict[str, object]] = {
    "message": {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "reasoning": {"type": "reasoning_text", "text": ""},
}
_OWN: dict[Kind, dict[str, object]] = {
    "message": {"role": "assistant"},
    "reasoning": {"summary": []},
}
_EVENTS: dict[Kind, tuple[str, dict[str, object]]] = {
    "message": ("response.output_text", {"logprobs": []}),
    "reasoning": ("response.reasoning_text", {}),
}
_CUT: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Writer:
    """Writes the one side of an answer that a response has.

    The text is kept, for the last events repeat all of it; so it is bounded as a whole one is.
    """

    def __init__(self, request_id: str, wish: Wish, created_unix_s: int) -> None:
        """No item is open."""
        self._id = request_id
        self._wish = wish
        self._created_unix_s = created_unix_s
        self._number = 0
        self._chars = 0
        self._kind: Kind | None = None
        self._texts: list[str] = []
        self._before = 0
        self._sources: list[Source] = []
        self._items: list[dict[str, object]] = []
        self._reason: FinishReason = "stop"

    def first(self) -> bytes:
        """The response, empty as yet."""
        response = self._response("in_progress", [], None)
        begun = ("response.created", "response.in_progress")
        return b"".join(self._frame(kind, response=response) for kind in begun)

    def event(self, event: Shown) -> bytes:
        """A piece of an item, or a comment. Raises what the side failed with."""
        match event:
            case ReasoningDelta(text, 0):
                return self._piece("reasoning", text)
            case TextDelta(side=0) | Image(side=0):
                return self._piece("message", text_of(event))
            case Citation(side=0):
                return self._cited(event)
            case ToolCall(side=0):
                return self._called(event)
            case Finish(reason, 0):
                self._reason = reason
                return b""
            case SideFailed(failure, 0):
                raise error_of(failure)
            case _:
                return keep_alive(event)

    def _piece(self, kind: Kind, text: str) -> bytes:
        opening = b"" if kind == self._kind else self._closed() + self._opened(kind)
        self._chars += len(text)
        if self._chars > MAX_WHOLE_CHARS:
            raise UpstreamFailed(f"the answer is longer than {MAX_WHOLE_CHARS} characters")
        self._texts.append(text)
        name, more = _EVENTS[kind]
        return opening + self._frame(f"{name}.delta", **self._here(), delta=text, **more)

    def _cited(self, event: Citation) -> bytes:
        """Its link as a piece of the text, and where in the item's text that stands."""
        text = text_of(event)
        piece = self._piece("message", text)
        source = source_of(event, self._chars - self._before - len(text))
        place = len(self._sources)
        self._sources.append(source)
        return piece + self._frame(
            "response.output_text.annotation.added",
            **self._here(),
            annotation_index=place,
            annotation=_annotation(source),
        )

    def _called(self, call: ToolCall) -> bytes:
        """An item of its own, whole."""
        written, at = self._closed(), len(self._items)
        name = self._item_id(at)
        here = {"item_id": name, "output_index": at}
        told = {"arguments": call.arguments}
        item = _call_item(name, call)
        self._items.append(item)
        empty = item | {"arguments": "", "status": "in_progress"}
        written += self._frame("response.output_item.added", output_index=at, item=empty)
        event = "response.function_call_arguments"
        written += self._frame(f"{event}.delta", **here, delta=call.arguments)
        written += self._frame(f"{event}.done", **here, name=call.name, **told)
        return written + self._frame("response.output_item.done", output_index=at, item=item)

    def _here(self) -> dict[str, object]:
        at = len(self._items)
        return {"item_id": self._item_id(at), "output_index": at, "content_index": 0}

    def _item_id(self, at: int) -> str:
        return f"item_{self._id}_{at}"

    def _opened(self, kind: Kind) -> bytes:
        self._kind, self._before = kind, self._chars
        at = len(self._items)
        item = _item(self._item_id(at), kind, [], "in_progress")
        added = self._frame("response.output_item.added", output_index=at, item=item)
        return added + self._frame("response.content_part.added", **self._here(), part=_PART[kind])

    def _closed(self, status: ItemStatus = "completed") -> bytes:
        kind, text, at = self._kind, "".join(self._texts), len(self._items)
        if kind is None:
            return b""
        name, more = _EVENTS[kind]
        part = _part(kind, text, self._sources)
        item = _item(self._item_id(at), kind, [part], status)
        written = self._frame(f"{name}.done", **self._here(), text=text, **more)
        written += self._frame("response.content_part.done", **self._here(), part=part)
        written += self._frame("response.output_item.done", output_index=at, item=item)
        self._items.append(item)
        self._kind, self._texts, self._sources = None, [], []
        return written

    def end(self, usage: Usage) -> bytes:
        """The last item's end, and the whole response."""
        closing = self._closed(_how(self._reason))
        response = self._ended(self._reason, self._items, usage)
        return closing + self._frame(f"response.{response['status']}", response=response)

    def failed(self, error: RequestError) -> bytes:
        """The error in mid-stream; Python's client raises for its field `error`."""
        told = openai.error_fields(error)
        flat = {name: told[name] for name in ("code", "message", "param")}
        return self._frame("error", **flat, error=told)

    def whole(self, sides: Sequence[Side], usage: Usage) -> bytes:
        """The answer as one object. Raises what the side failed with."""
        side = sides[0]
        if side.failure is not None:
            raise error_of(side.failure)
        items: list[dict[str, object]] = []
        said: tuple[tuple[Kind, list[str], list[Source]], ...] = (
            ("reasoning", side.reasoning, []),
            ("message", side.texts, side.sources),
        )
        for kind, texts, sources in said:
            if texts:
                name = self._item_id(len(items))
                part = _part(kind, "".join(texts), sources)
                items.append(_item(name, kind, [part], "completed"))
        reason = side.reason or "stop"
        if items and not side.calls:
            items[-1]["status"] = _how(reason)
        items += [_call_item(self._item_id(at), x) for at, x in enumerate(side.calls, len(items))]
        return encode(self._ended(reason, items, usage))

    def _frame(self, kind: str, **told: object) -> bytes:
        self._number += 1
        body = {"type": kind, "sequence_number": self._number - 1, **told}
        return b"event: " + kind.encode() + b"\ndata: " + encode(body) + b"\n\n"

    def _ended(
        self, reason: FinishReason, items: Sequence[dict[str, object]], usage: Usage
    ) -> dict[str, object]:
        cut = _CUT.get(reason)
        response = self._response("incomplete" if cut else "completed", items, usage)
        return response | {"incomplete_details": {"reason": cut} if cut else None}

    def _response(
        self, status: str, items: Sequence[dict[str, object]], usage: Usage | None
    ) -> dict[str, object]:
        known = {"usage": _usage(usage)} if usage else {}
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created_unix_s,
            "status": status,
            "model": self._wish.model,
            "output": items,
            **known,
            "error": None,
            "incomplete_details": None,
            **self._wish.repeated,
            "temperature": None,
            "top_p": None,
            "store": False,
        }


def _how(reason: FinishReason) -> ItemStatus:
    """How the last item of an answer ends that ends so."""
    return "incomplete" if reason in _CUT else "completed"


def _part(kind: Kind, text: str, sources: Sequence[Source]) -> dict[str, object]:
    told = {"annotations": [_annotation(each) for each in sources]} if sources else {}
    return _PART[kind] | {"text": text, **told}


def _annotation(source: Source) -> dict[str, object]:
    return {"type": "url_citation", **source._asdict()}


def _item(
    name: str, kind: Kind, content: Sequence[dict[str, object]], status: ItemStatus
) -> dict[str, object]:
    """An item with its one part; without any while it is new."""
    item: dict[str, object] = {"id": name, "type": kind, "status": status, "content": content}
    return item | _OWN[kind]


def _call_item(name: str, call: ToolCall) -> dict[str, object]:
    told = {"name": call.name, "arguments": call.arguments, "status": "completed"}
    return {"id": name, "type": "function_call", "call_id": f"call_{call.id}", **told}


def _told_of(tool: instruct.Tool) -> dict[str, object]:
    told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", **told, "strict": tool.is_strict}


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(usage),
    }


def counted(wish: Wish) -> bytes:
    """What counting the tokens of an input answers: an estimate."""
    return encode({"object": "response.input_tokens", "input_tokens": wish.prompt_tokens})


RESPONSES = Vocabulary(parse, Writer, openai.refusal, FIELDS, _Request, answers_in_events.RESPONSES)
