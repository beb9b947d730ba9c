"""What answers look like, as the OpenAPI document tells: never made here, but what writers write.

`Told` is one vocabulary's. No answer holds a field that does not stand here; tests hold all that
the writers can write to these shapes. A brain: no I/O.
"""

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from arenad.schema.chat import FinishReason, Mode
from arenad.schema.profile import Capability

Count = Annotated[int, msgspec.Meta(ge=0)]
UnixTime = Annotated[int, msgspec.Meta(ge=0, description="Seconds since 1970.")]
Nothing = Annotated[list[None], msgspec.Meta(max_length=0)]
"""An empty list."""

Ended = FinishReason | Literal["error"]
"""How a choice ended; `error` where of two answers this one has failed."""


ChatEnded = Ended | Literal["tool_calls"]
"""The same of a chat, whose answer may be calls."""


class Shape(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an answer, or a part of one, holds."""


class Told(NamedTuple):
    """What a vocabulary answers: a whole answer, each event of a stream, and an error.

    One of `events` stands in the data of each event; `ends` says in words what ends a stream.
    """

    title: str
    whole: type[Shape]
    events: tuple[type[Shape], ...]
    error: type[Shape]
    ends: str


# -- errors ---------------------------------------------------------------------------------------


class ErrorFields(Shape):
    """What went wrong; `param` names the field at fault."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(Shape):
    """An error as OpenAI's clients read it; also the last event of a stream that has failed."""

    error: ErrorFields


class AnthropicErrorDetails(Shape):
    """The code that OpenAI's clients get."""

    error_code: str


class AnthropicErrorFields(Shape):
    """What went wrong."""

    type: Literal[
        "api_error",
        "authentication_error",
        "invalid_request_error",
        "not_found_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "request_too_large",
        "timeout_error",
    ]
    message: str
    details: AnthropicErrorDetails


class AnthropicError(Shape, tag_field="type", tag="error"):
    """An error as Anthropic's clients read it; also the last event of a stream that has failed."""

    error: AnthropicErrorFields
    request_id: None


# -- chat completions -----------------------------------------------------------------------------


class Usage(Shape):
    """An estimate: a chat page counts none."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class ImageAddress(Shape):
    """Where an image is; may be a data URL."""

    url: str


class ChatImage(Shape):
    """An image of an answer; it stands in the text, too, as Markdown."""

    type: Literal["image_url"]
    image_url: ImageAddress


class ChatImagePiece(ChatImage):
    """The same in a stream, with its number."""

    index: Count


class Source(Shape):
    """A source; the indexes are those of its link in the text, the end behind the last one."""

    start_index: Count
    end_index: Count
    url: str
    title: str


class ChatAnnotation(Shape):
    """A source that the answer names; it stands in the text, too, as Markdown."""

    type: Literal["url_citation"]
    url_citation: Source


class ChatAnnotationPiece(ChatAnnotation):
    """The same in a stream, with its number."""

    index: Count


class CalledFunction(Shape):
    """Which, with what; the arguments are the text of a JSON object."""

    name: str
    arguments: str


class ChatCall(Shape):
    """A call of a tool of the client's."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class ChatCallPiece(ChatCall):
    """A call in a stream, where it comes as a whole, with its number."""

    index: Count


class ChatMessage(Shape):
    """An answer; `reasoning_content`, images, sources and calls where there are any."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | UnsetType = UNSET
    images: list[ChatImage] | UnsetType = UNSET
    annotations: list[ChatAnnotation] | UnsetType = UNSET
    tool_calls: list[ChatCall] | UnsetType = UNSET


class ChatChoice(Shape):
    """One of the answers; `error` where it has failed and the other one has not."""

    index: Count
    message: ChatMessage
    logprobs: None
    finish_reason: ChatEnded
    error: ErrorFields | UnsetType = UNSET


class ChatCompletion(Shape):
    """A whole answer; of two side by side, two choices."""

    id: str
    object: Literal["chat.completion"]
    created: UnixTime
    model: str
    choices: list[ChatChoice]
    usage: Usage


class ChatDelta(Shape):
    """What is new; the first of each choice names the role."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    images: list[ChatImagePiece] | UnsetType = UNSET
    annotations: list[ChatAnnotationPiece] | UnsetType = UNSET
    tool_calls: list[ChatCallPiece] | UnsetType = UNSET


class ChatChunkChoice(Shape):
    """A piece of one of the answers."""

    index: Count
    delta: ChatDelta
    finish_reason: ChatEnded | None
    error: ErrorFields | UnsetType = UNSET


class ChatChunk(Shape):
    """A piece of the answer. With `include_usage` the last one has the counts and no choice."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: UnixTime
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | UnsetType | None = UNSET


_DONE = "`[DONE]`; after an error nothing more comes"

CHAT = Told("Chat completions", ChatCompletion, (ChatChunk, OpenAIError), OpenAIError, _DONE)


# -- completions ----------------------------------------------------------------------------------


class CompletionChoice(Shape):
    """One of the answers."""

    text: str
    index: Count
    logprobs: None
    finish_reason: Ended
    error: ErrorFields | UnsetType = UNSET


class Completion(Shape):
    """A whole answer."""

    id: str
    object: Literal["text_completion"]
    created: UnixTime
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class CompletionChunkChoice(Shape):
    """A piece of one of the answers."""

    text: str
    index: Count
    logprobs: None
    finish_reason: Ended | None
    error: ErrorFields | UnsetType = UNSET


class CompletionChunk(Shape):
    """A piece of the answer. With `include_usage` the last one has the counts and no choice."""

    id: str
    object: Literal["text_completion"]
    created: UnixTime
    model: str
    choices: list[CompletionChunkChoice]
    usage: Usage | UnsetType | None = UNSET


COMPLETIONS = Told(
    "Completions (legacy)", Completion, (CompletionChunk, OpenAIError), OpenAIError, _DONE
)


# -- images ---------------------------------------------------------------------------------------


class ImageTokens(Shape):
    """What the prompt counts; images count none."""

    text_tokens: Count
    image_tokens: Literal[0]


class ImageUsage(Shape):
    """Estimates."""

    input_tokens: Count
    input_tokens_details: ImageTokens
    output_tokens: Count
    total_tokens: Count


class MadeImage(Shape):
    """One of them, in the one way or in the other."""

    url: str | UnsetType = UNSET
    b64_json: str | UnsetType = UNSET


class Images(Shape):
    """All images of the answer."""

    created: UnixTime
    data: list[MadeImage]
    usage: ImageUsage


class ImageCompleted(Shape, tag_field="type", tag="image_generation.completed"):
    """An image, whole. What nobody knows of it is `auto`; the last one has the counts of all."""

    b64_json: str
    created_at: UnixTime
    size: Literal["auto"]
    quality: Literal["auto"]
    background: Literal["auto"]
    output_format: str
    usage: ImageUsage


IMAGES = Told(
    "Images",
    Images,
    (ImageCompleted, OpenAIError),
    OpenAIError,
    "the last image; after an error nothing more comes",
)


# -- models and health ----------------------------------------------------------------------------


class Model(Shape):
    """A model, as OpenAI's clients read it; `capabilities` and `modes` are ours."""

    id: str
    object: Literal["model"]
    created: UnixTime
    owned_by: str
    capabilities: list[Capability]
    modes: list[Mode]


class AnthropicModel(Shape):
    """A model, as Anthropic's clients read it; what a page does not tell of it is null."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    capabilities: None
    max_input_tokens: None
    max_tokens: None


class Page(Shape):
    """A list, in one page."""

    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: Literal[False]


class ModelList(Page):
    """All models."""

    data: list[Model]


class AnthropicModelList(Page):
    """All models, for who sends `anthropic-version`."""

    data: list[AnthropicModel]


class Health(Shape):
    """This process serves."""

    status: Literal["ok"]


class Readiness(Shape):
    """Whether an instance could take a chat; `keys` says what is wrong with the store of keys."""

    status: Literal["ready", "no instance is ready"]
    keys: str | UnsetType = UNSET
