"""What a vocabulary of the endpoint is: bodies in as wishes, events out as frames. A brain: no I/O.

The endpoint carries any of them by one value, a `Vocabulary`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, Protocol, get_args

import msgspec
from msgspec.structs import replace

from arenad.conversation import text_of
from arenad.errors import InvalidRequest, RequestError
from arenad.frontend import parts
from arenad.frontend.answers import Told
from arenad.frontend.fields import OBJECT, WHOLE, Field, number
from arenad.frontend.instruct import Emulation
from arenad.frontend.tokens import count_turns
from arenad.schema.chat import (
    Began,
    Citation,
    Event,
    Failure,
    Finish,
    FinishReason,
    Heartbeat,
    Image,
    ReasoningDelta,
    SideFailed,
    Strategy,
    Target,
    TextDelta,
    Turn,
)
from arenad.schema.config import FilesConfig, ImageFormat

MAX_WHOLE_CHARS = 64 * 1024 * 1024
"""A non-stream answer is held in memory; a longer one is cut with an error."""

KEEP_ALIVE = b": the site is at work\n\n"
"""A comment: a line that every reader of event streams skips."""

Priority = Literal["low", "normal", "high"]
"""Of a request that waits: low after all others, high before its owner's own others alone."""


# -- in -------------------------------------------------------------------------------------------


class Wish(msgspec.Struct, frozen=True):
    """What the client wants. `ignored` are the fields given that change nothing here.

    `strategy` is empty where the site's profile is to decide. `remote` are files that have still
    to be fetched. `image_bytes`: as in `schema.chat.Chat`.
    `include_reasoning` is for clients that have to ask for it.
    `battle_target` is ours: of two answers, the one that is wanted.
    `prompt_tokens` is an estimate (`tokens`). `stops` and `max_tokens` are applied by `cut`.
    `emulation` is what the turns tell the model, and `obeyed` reads its answer by.
    `wants_image` is for an answer that is nothing without one; `n` answers are of as many chats.
    `repeated` are fields that the answer repeats as they were given.
    """

    model: str
    turns: tuple[Turn, ...]
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]
    include_reasoning: bool = True
    strategy: Strategy | Literal[""] = ""
    remote: tuple[parts.Remote, ...] = ()
    image_format: ImageFormat = "url"
    image_bytes: int = 0
    battle_target: Target | None = None
    prompt_tokens: int = 0
    priority: Priority = "normal"
    stops: tuple[str, ...] = ()
    max_tokens: int | None = None
    emulation: Emulation | None = None
    wants_image: bool = False
    n: int = 1
    repeated: Mapping[str, object] = {}

    @property
    def is_cut(self) -> bool:
        """Whether the answer may end before the page ends it."""
        return bool(self.stops) or self.max_tokens is not None


class Ours(msgspec.Struct, kw_only=True):
    """Fields of our own, which every vocabulary takes."""

    conversation: Strategy | None = None
    image_format: ImageFormat | None = None
    battle_target: Target | None = None
    priority: Priority | None = None

    def applied(
        self,
        wish: Wish,
        files: FilesConfig,
        *,
        has_images: bool = True,
        is_single: bool = False,
    ) -> Wish:
        """The wish, and what these fields add to it.

        Without a field for images (`has_images`) their bytes are kept, and told by an address.
        Where an answer is a single one, of two the first is read. Raises `InvalidRequest` for both,
        and for several answers in one chat.
        """
        if is_single and self.battle_target == "both":
            told = "battle_target: is 'both'; there is one author here; choose A or B"
            raise InvalidRequest(told, param="battle_target")
        if wish.n > 1 and self.conversation == "affinity":
            told = f"is {wish.n}, and a conversation goes on with one answer; ask for 1, or fold"
            raise InvalidRequest(f"n: {told} it", param="n")
        image_format = self.image_format or files.image_format
        if image_format == "data" and not has_images:
            image_format = "file"
        return replace(
            wish,
            strategy="fold" if wish.n > 1 else self.conversation or "",
            image_format=image_format,
            image_bytes=0 if image_format == "url" else files.max_bytes,
            battle_target=self.battle_target or ("A" if is_single else None),
            prompt_tokens=count_turns(wish.turns),
            priority=self.priority or "normal",
        )


class StreamOptions(msgspec.Struct):
    """As both of OpenAI's vocabularies have it."""

    include_usage: bool | None = None

    def wants_usage(self) -> bool:
        """Whether the stream tells the counts."""
        return bool(self.include_usage)


OURS: Mapping[str, Field] = {
    "conversation": Field(
        "honoured", "ours: `affinity`, or `fold` for a new chat; else the profile's"
    ),
    "image_format": Field("honoured", "ours: `url`, `data` or `file`; else `files.image_format`"),
    "battle_target": Field("honoured", "ours: `A`, `B` or `both`; else `site.battle_target`"),
    "priority": Field(
        "honoured",
        "ours: `low` waits behind all others, `high` goes before your own others; else `normal`",
    ),
}

SINGLE = Field("honoured", "ours: `A` (where nothing is said) or `B`: there is one author here")
"""`battle_target` where an answer is a single one."""

OURS_REMEDIES = {
    "conversation": "must be affinity or fold",
    "image_format": f"must be one of {', '.join(get_args(ImageFormat))}",
    "battle_target": "must be A, B or both",
    "priority": "must be low, normal or high",
}


MAX_STOPS = 16
MAX_STOP_CHARS = 500

StopText = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_STOP_CHARS)]
Stops = Annotated[list[StopText], msgspec.Meta(max_length=MAX_STOPS)]
Length = Annotated[int, msgspec.Meta(ge=1)]

_ONE_STOP = f"must be a text of 1 to {MAX_STOP_CHARS} characters"
STOP_REMEDY = f"{_ONE_STOP}, or a list of at most {MAX_STOPS}"
STOP_LIST_REMEDY = f"must be a list of at most {MAX_STOPS} texts"
ONE_STOP_REMEDY = _ONE_STOP
LENGTH_REMEDY = "must be a whole number of tokens, at least 1"

MAX_ANSWERS = 128
"""Of one request, as OpenAI's description has it."""

Answers = Annotated[int, msgspec.Meta(ge=1, le=MAX_ANSWERS)]
ANSWERS_REMEDY = f"must be a whole number from 1 to {MAX_ANSWERS}"
ANSWERS = Field(
    "honoured", "each in a new chat of its own; as many as the model's instances take at once"
)

NO_SWITCH = "a page has no such switch"

SAMPLING: Mapping[str, Field] = {
    "temperature": Field("ignored", NO_SWITCH, kind=number(0, 2)),
    "top_p": Field("ignored", NO_SWITCH, kind=number(0, 1)),
    "frequency_penalty": Field("ignored", NO_SWITCH, kind=number(-2, 2)),
    "presence_penalty": Field("ignored", NO_SWITCH, kind=number(-2, 2)),
    "logit_bias": Field("ignored", NO_SWITCH, kind=OBJECT),
    "seed": Field("ignored", NO_SWITCH, kind=WHOLE),
}
"""Of OpenAI's two completions."""

STOP = Field("honoured", f"by us, {MAX_STOPS} of up to {MAX_STOP_CHARS} characters; stops the page")
LENGTH = Field("honoured", "by us, in tokens as they are estimated, reasoning too; stops the page")


def stops_of(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """One text, several, or none."""
    return (given,) if isinstance(given, str) else tuple(given or ())


# -- out ------------------------------------------------------------------------------------------


class ToolCall(msgspec.Struct, frozen=True):
    """A call of a tool of the client's, whole: `arguments` are the text of a JSON object.

    `id` is new, and without what a vocabulary puts before it.
    """

    id: str
    name: str
    arguments: str
    side: int = 0


Shown = Event | ToolCall
"""What a client may see of an answer."""

Ending = FinishReason | Literal["tool_calls"]


def keep_alive(event: Shown) -> bytes:
    """A comment for an event without content: who waits is told how many are ahead."""
    if isinstance(event, Heartbeat) and event.ahead is not None:
        return b": waiting for an instance, %d ahead\n\n" % event.ahead
    return KEEP_ALIVE


class Stopped(Finish, frozen=True):
    """An answer that was ended at a stop sequence of the client's."""

    sequence: str = ""


class Usage(NamedTuple):
    """An estimate (`tokens`): a chat page counts none. A header says that it is one."""

    prompt_tokens: int
    completion_tokens: int


def sequence_of(finish: Finish) -> str | None:
    """The stop sequence that ended an answer, if one did."""
    return finish.sequence if isinstance(finish, Stopped) else None


class Source(NamedTuple):
    """A source that an answer names, and where its link stands in the text, in characters.

    `end_index` is behind the link's last character, as in OpenAI's own answers.
    """

    start_index: int
    end_index: int
    url: str
    title: str


def source_of(event: Citation, at: int) -> Source:
    """The source of an event whose text begins at this character of the whole."""
    text = text_of(event)
    begin = at + len(text) - len(text.lstrip())
    return Source(begin, at + len(text), event.url, event.title or event.url)


class Side(msgspec.Struct):
    """One side of an answer that is sent as one object, as far as it has come.

    `chars` is how long its text is.
    """

    number: int
    texts: list[str] = []
    reasoning: list[str] = []
    images: list[Image] = []
    calls: list[ToolCall] = []
    sources: list[Source] = []
    chars: int = 0
    reason: FinishReason | None = None
    sequence: str | None = None
    failure: Failure | None = None

    @property
    def ending(self) -> Ending | None:
        """Why it ended; calls that came are the reason, unless it was cut."""
        return "tool_calls" if self.calls and self.reason == "stop" else self.reason

    def take(self, event: Shown) -> None:
        """One event more of this side."""
        match event:
            case ToolCall():
                self.calls.append(event)
            case ReasoningDelta(text):
                self.reasoning.append(text)
            case TextDelta() | Image() | Citation():
                self._say(event)
            case Finish(reason):
                self.reason = reason
                self.sequence = sequence_of(event)
            case SideFailed(failure):
                self.failure = failure
            case Heartbeat() | Began():
                pass

    def _say(self, event: TextDelta | Image | Citation) -> None:
        if isinstance(event, Citation):
            self.sources.append(source_of(event, self.chars))
        elif isinstance(event, Image):
            self.images.append(event)
        self.texts.append(text := text_of(event))
        self.chars += len(text)


class Writer(Protocol):
    """Writes one answer: `first`, then each `event`, then `end` or `failed`; or it `whole`."""

    def first(self) -> bytes:
        """What stands before all events."""
        ...

    def event(self, event: Shown) -> bytes:
        """The frames of an event; of one without content, what keeps the connection alive."""
        ...

    def end(self, usage: Usage) -> bytes:
        """What stands after the last event of a whole answer."""
        ...

    def failed(self, error: RequestError) -> bytes:
        """The error after the stream has begun: clients raise on it, and no false end follows."""
        ...

    def whole(self, sides: Sequence[Side], usage: Usage) -> bytes:
        """The answer as one object; the sides in their order."""
        ...


class Refusal(NamedTuple):
    """An error as an HTTP answer."""

    status: int
    body: bytes


class Vocabulary(NamedTuple):
    """All that the endpoint has to know of one.

    `parse` raises `InvalidRequest`; `writer` is given the request's id, the wish and the time in
    Unix seconds. `fields` are all documented fields of a request, ours last; those that are used
    are in `request`. `told` is what the writer writes.
    """

    parse: Callable[[bytes, FilesConfig], Wish]
    writer: Callable[[str, Wish, int], Writer]
    refusal: Callable[[RequestError], Refusal]
    fields: Mapping[str, Field]
    request: type[Ours]
    told: Told
