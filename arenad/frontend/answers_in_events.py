"""What answers look like that come as typed events: Anthropic's messages, OpenAI's responses.

As in `answers`. A brain: no I/O.
"""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from arenad.frontend.answers import (
    AnthropicError,
    Count,
    ErrorFields,
    Nothing,
    OpenAIError,
    Shape,
    Source,
    Told,
    UnixTime,
)

# -- messages -------------------------------------------------------------------------------------

StopReason = Literal["end_turn", "max_tokens", "refusal", "stop_sequence", "tool_use"]


class TextBlock(Shape, tag_field="type", tag="text"):
    """Text; empty where the block begins in a stream."""

    text: str
    citations: None


class ThinkingBlock(Shape, tag_field="type", tag="thinking"):
    """Reasoning that the page showed; nobody has signed it."""

    thinking: str
    signature: Literal[""]


class DirectCaller(Shape, tag_field="type", tag="direct"):
    """The model itself calls."""


class ToolUseBlock(Shape, tag_field="type", tag="tool_use"):
    """A call of a tool of the client's; without input where the block begins in a stream."""

    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller


class MessageCounts(Shape):
    """Estimates. What nobody counts is null."""

    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: None
    cache_read_input_tokens: None
    output_tokens_details: None
    server_tool_use: None


class MessageUsage(MessageCounts):
    """Estimates, and what is told of a whole message alone."""

    cache_creation: None
    inference_geo: None
    service_tier: None


class Ending(Shape):
    """Why a message ended; all null before it has."""

    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: None
    container: None


class Message(Ending, tag_field="type", tag="message"):
    """An answer; as a stream begins, without any content."""

    id: str
    role: Literal["assistant"]
    model: str
    content: list[TextBlock | ThinkingBlock | ToolUseBlock]
    usage: MessageUsage


class MessageStart(Shape, tag_field="type", tag="message_start"):
    """The first event."""

    message: Message


class BlockStart(Shape, tag_field="type", tag="content_block_start"):
    """A block begins, empty."""

    index: Count
    content_block: TextBlock | ThinkingBlock | ToolUseBlock


class BlockText(Shape, tag_field="type", tag="text_delta"):
    """A piece of text."""

    text: str


class BlockThinking(Shape, tag_field="type", tag="thinking_delta"):
    """A piece of reasoning."""

    thinking: str


class BlockJson(Shape, tag_field="type", tag="input_json_delta"):
    """All of a call's input, as text."""

    partial_json: str


class BlockDelta(Shape, tag_field="type", tag="content_block_delta"):
    """A piece of the block that is open."""

    index: Count
    delta: BlockText | BlockThinking | BlockJson


class BlockStop(Shape, tag_field="type", tag="content_block_stop"):
    """A block ends."""

    index: Count


class MessageDelta(Shape, tag_field="type", tag="message_delta"):
    """Why it ended, and the counts."""

    delta: Ending
    usage: MessageCounts


class MessageStop(Shape, tag_field="type", tag="message_stop"):
    """The last event."""


class Ping(Shape, tag_field="type", tag="ping"):
    """Keeps a long silence alive."""


class TokenCount(Shape):
    """An estimate."""

    input_tokens: Count


class InputTokenCount(Shape):
    """How long a response's input is, about."""

    object: Literal["response.input_tokens"]
    input_tokens: int


MESSAGES = Told(
    "Messages",
    Message,
    (
        MessageStart,
        BlockStart,
        BlockDelta,
        BlockStop,
        MessageDelta,
        MessageStop,
        Ping,
        AnthropicError,
    ),
    AnthropicError,
    "`message_stop`; after an error nothing more comes",
)


# -- responses ------------------------------------------------------------------------------------

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class UrlCitation(Source, tag_field="type", tag="url_citation"):
    """A source that the text names; it stands there, too, as Markdown."""


class OutputText(Shape, tag_field="type", tag="output_text"):
    """Text; with its sources once it is whole."""

    text: str
    annotations: list[UrlCitation]
    logprobs: Nothing


class ReasoningText(Shape, tag_field="type", tag="reasoning_text"):
    """Reasoning that the page showed."""

    text: str


class MessageItem(Shape, tag_field="type", tag="message"):
    """What is said; without content while it is new."""

    id: str
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class ReasoningItem(Shape, tag_field="type", tag="reasoning"):
    """What was reasoned; without content while it is new."""

    id: str
    status: ItemStatus
    summary: Nothing
    content: list[ReasoningText]


class CallItem(Shape, tag_field="type", tag="function_call"):
    """A call of a tool of the client's; the arguments are the text of a JSON object."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


Item = MessageItem | ReasoningItem | CallItem


class CachedTokens(Shape):
    """Nobody counts them."""

    cached_tokens: Literal[0]
    cache_write_tokens: Literal[0]


class ReasoningTokens(Shape):
    """Nobody counts them apart."""

    reasoning_tokens: Literal[0]


class ResponseUsage(Shape):
    """Estimates."""

    input_tokens: Count
    input_tokens_details: CachedTokens
    output_tokens: Count
    output_tokens_details: ReasoningTokens
    total_tokens: Count


class Incomplete(Shape):
    """Why an answer was cut."""

    reason: Literal["max_output_tokens", "content_filter"]


class EmulatedTool(Shape):
    """A tool of the request."""

    type: Literal["function"]
    name: str
    description: str
    parameters: dict[str, Any] | None
    strict: bool


class EmulatedChoice(Shape, tag_field="type", tag="function"):
    """The tool that had to be called."""

    name: str


class AllowedChoice(Shape, tag_field="type", tag="allowed_tools"):
    """The tools that could be called."""

    mode: Literal["auto", "required"]
    tools: list[EmulatedChoice]


class RepeatedFormat(Shape):
    """The form that the text was to have."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | UnsetType = UNSET
    schema: dict[str, Any] | UnsetType = UNSET


class RepeatedText(Shape):
    """What was said of the text."""

    format: RepeatedFormat


class Response(Shape):
    """An answer; counts are told at its end. Nothing of it is stored."""

    id: str
    object: Literal["response"]
    created_at: UnixTime
    status: Literal["in_progress", "completed", "incomplete"]
    model: str
    output: list[Item]
    error: None
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    temperature: None
    top_p: None
    tool_choice: Literal["none", "auto", "required"] | EmulatedChoice | AllowedChoice
    text: RepeatedText
    tools: list[EmulatedTool]
    store: Literal[False]
    usage: ResponseUsage | UnsetType = UNSET


class Numbered(Shape):
    """Every event of a stream has its number."""

    sequence_number: Count


class ResponseCreated(Numbered, tag_field="type", tag="response.created"):
    """The first event."""

    response: Response


class ResponseInProgress(Numbered, tag_field="type", tag="response.in_progress"):
    """The second one."""

    response: Response


class ItemAdded(Numbered, tag_field="type", tag="response.output_item.added"):
    """An item begins, empty."""

    output_index: Count
    item: Item


class ItemDone(Numbered, tag_field="type", tag="response.output_item.done"):
    """An item is whole."""

    output_index: Count
    item: Item


class OfPart(Numbered):
    """Of which part of which item something is told."""

    item_id: str
    output_index: Count
    content_index: Literal[0]


class PartAdded(OfPart, tag_field="type", tag="response.content_part.added"):
    """A part begins, empty."""

    part: OutputText | ReasoningText


class PartDone(OfPart, tag_field="type", tag="response.content_part.done"):
    """A part is whole."""

    part: OutputText | ReasoningText


class TextPiece(OfPart, tag_field="type", tag="response.output_text.delta"):
    """A piece of text."""

    delta: str
    logprobs: Nothing


class TextDone(OfPart, tag_field="type", tag="response.output_text.done"):
    """All of a part's text."""

    text: str
    logprobs: Nothing


class AnnotationAdded(OfPart, tag_field="type", tag="response.output_text.annotation.added"):
    """A source, after the piece of text in which it stands."""

    annotation_index: Count
    annotation: UrlCitation


class ReasoningPiece(OfPart, tag_field="type", tag="response.reasoning_text.delta"):
    """A piece of reasoning."""

    delta: str


class ReasoningDone(OfPart, tag_field="type", tag="response.reasoning_text.done"):
    """All of a part's reasoning."""

    text: str


class ArgumentsPiece(Numbered, tag_field="type", tag="response.function_call_arguments.delta"):
    """All of a call's arguments."""

    item_id: str
    output_index: Count
    delta: str


class ArgumentsDone(Numbered, tag_field="type", tag="response.function_call_arguments.done"):
    """The same, with the name."""

    item_id: str
    output_index: Count
    name: str
    arguments: str


class ResponseCompleted(Numbered, tag_field="type", tag="response.completed"):
    """The last event of an answer that is whole."""

    response: Response


class ResponseIncomplete(Numbered, tag_field="type", tag="response.incomplete"):
    """The last event of an answer that was cut or filtered."""

    response: Response


class ResponseFailed(Numbered, tag_field="type", tag="error"):
    """The last event of a stream that has failed."""

    code: str
    message: str
    param: str | None
    error: ErrorFields


RESPONSES = Told(
    "Responses",
    Response,
    (
        ResponseCreated,
        ResponseInProgress,
        ItemAdded,
        ItemDone,
        PartAdded,
        PartDone,
        TextPiece,
        AnnotationAdded,
        TextDone,
        ReasoningPiece,
        ReasoningDone,
        ArgumentsPiece,
        ArgumentsDone,
        ResponseCompleted,
        ResponseIncomplete,
        ResponseFailed,
    ),
    OpenAIError,
    "`response.completed` or `response.incomplete`; after an error nothing more comes",
)
