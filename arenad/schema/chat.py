"""A chat request and its events: the values that travel from the site's parser to the client.

A request is answered by any number of events and then exactly one `Finish` or `Failure`. Where
two answers come side by side, each event names its side: how the other side ended (`Finish`,
`SideFailed`) is an event, and the last `Finish` is of a side that is whole.
"""

from typing import Literal

from arenad import errors
from arenad.schema.base import Message, Record

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]
Strategy = Literal["affinity", "fold"]
Mode = Literal["direct", "side_by_side", "battle"]
Course = Literal["continued", "folded", "new"]
Target = Literal["A", "B", "both"]
"""Which of two answers is read: one alone counts as the only one, so its side is 0."""


class Attachment(Record):
    """A file that goes with a message. `param` is the request's field that brought it."""

    name: str
    content_type: str
    content: bytes
    param: str = "messages"

    def __repr__(self) -> str:
        """Without the content: logs and tracebacks are no place for it."""
        return f"{type(self).__name__}(name={self.name!r}, {len(self.content)} bytes)"


class Turn(Record):
    """One message of a conversation, already reduced to text, and the files that go with it."""

    role: Role
    text: str
    attachments: tuple[Attachment, ...] = ()


class Chat(Message):
    """Frontend to worker: perform this conversation's next answer. A stream of events follows.

    The three deadlines are seconds: until the first event, between two events, for the whole.
    `conversation` is the key of all turns but the last, if the worker said that it holds that one;
    `strategy` is the client's wish, empty for the profile's.
    With `image_bytes` the browser brings the answer's images, each up to so large, as data URLs;
    with 0 they are told by the site's own addresses.
    `model_b` is the second of two models side by side.
    """

    request_id: str
    model: str
    turns: tuple[Turn, ...]
    first_event_timeout_s: float
    idle_timeout_s: float
    total_timeout_s: float
    conversation: str = ""
    strategy: Strategy | Literal[""] = ""
    image_bytes: int = 0
    mode: Mode = "direct"
    model_b: str = ""
    battle_target: Target = "both"


class Held(Message):
    """Worker to frontends: the keys of all conversations that its page can go on with now."""

    conversations: tuple[str, ...]


class AskHeld(Message):
    """Frontend to worker, when the link is made: tell what you hold, now and at each change."""


class Began(Message):
    """The page has sent the message: by which course, and in which of the site's chats.

    Said again when more is known of the site's own names, of the chat and of the answer.
    """

    course: Course
    session_id: str = ""
    message_id: str = ""


class TextDelta(Message):
    """A piece of the answer's text, in order. `side`: 0, or 1 for the second of two answers."""

    text: str
    side: int = 0


class ReasoningDelta(Message):
    """A piece of the model's shown reasoning, in order."""

    text: str
    side: int = 0


class Image(Message):
    """An image of the answer, by address (may be a data URL)."""

    url: str
    side: int = 0


class Citation(Message):
    """A source that the answer names."""

    url: str
    title: str
    side: int = 0


class Heartbeat(Message):
    """The site is still at work; no content. While a request waits, how many are `ahead` of it."""

    ahead: int | None = None


class Finish(Message):
    """The answer is whole."""

    reason: FinishReason
    side: int = 0


class Failure(Message):
    """A call ends with an error: `kind` is a key of `errors.KINDS`."""

    kind: str
    message: str
    retry_after_s: float | None = None
    param: str | None = None


class SideFailed(Message):
    """One of two answers has failed, and the other one has not."""

    failure: Failure
    side: int = 0


Event = TextDelta | ReasoningDelta | Image | Citation | Heartbeat | Began | Finish | SideFailed
"""What may come before the end of an answer; `Finish` and `SideFailed` only of the other side."""

CONTENT = (TextDelta, ReasoningDelta, Image, Citation)
"""Events after which a request can no longer move to another instance."""


def failure_of(error: errors.RequestError) -> Failure:
    """Pack an error for the wire, which does not carry half a surrogate pair that a page wrote."""
    message = error.message.encode("utf-8", "replace").decode()
    return Failure(error.kind, message, error.retry_after_s, error.param)


def error_of(failure: Failure) -> errors.RequestError:
    """Unpack an error from the wire; an unknown kind is an internal error, never lost."""
    kind = errors.KINDS.get(failure.kind, errors.RequestError)
    return kind(failure.message, retry_after_s=failure.retry_after_s, param=failure.param)
