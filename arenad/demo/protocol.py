"""The arena's wire protocol without I/O: request bodies in, lines of an answer out.

Bodies are JSON in two forms: the whole chain in `messages`, or only the new turn in `userMessage`.
An answer is lines: `a`, a one-character code, `:`, a JSON value.
"""

from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from arenad.errors import ArenadError

PROMPT_LIMIT_BYTES = 4 * 1024 * 1024
"""UTF-8 bytes of one user turn."""

BODY_LIMIT_BYTES = 32 * 1024 * 1024
"""A whole request body: a chain of turns, or one prompt in which JSON escapes each character."""

CHAIN_LIMIT = 1000
"""Messages in a chain."""


Speaker = Literal["system", "user", "assistant"]


class Turn(NamedTuple):
    """One turn of a conversation, as every model takes it."""

    speaker: Speaker
    text: str


class Refusal(ArenadError):
    """The site refuses a request: an HTTP status, a short `error`, and the remedy as `message`."""

    def __init__(self, status: int, error: str, message: str = "") -> None:
        """Keep the parts of the JSON error that the client gets."""
        super().__init__(f"{status} {error}: {message}" if message else f"{status} {error}")
        self.status = status
        self.error = error
        self.message = message


# Nothing but text is taken yet, and a body that carries more is told so.
_None = Annotated[tuple[msgspec.Raw, ...], Meta(max_length=0)]


class ChainMessage(msgspec.Struct, frozen=True):
    """A message of a chain, as bodies bring it."""

    id: UUID
    role: Speaker
    content: str
    experimental_attachments: _None = ()


class Ask(msgspec.Struct, frozen=True):
    """What a body asks for. `chain` is the talk before the prompt, if the body brought one."""

    session: str
    model: str
    user_message: str
    answer_message: str
    prompt: str
    chain: tuple[ChainMessage, ...] | None


class Again(msgspec.Struct, frozen=True):
    """What a retry asks for; None: as it was."""

    model: str | None
    chain: tuple[ChainMessage, ...] | None


_Chat = Literal["chat"]


class _UserMessage(msgspec.Struct, frozen=True):
    content: str
    experimental_attachments: _None = ()


_Chain = Annotated[tuple[ChainMessage, ...], Meta(max_length=CHAIN_LIMIT)]


class _FollowUp(msgspec.Struct, frozen=True, rename="camel"):
    id: UUID
    model_a_id: UUID
    user_message_id: UUID
    model_a_message_id: UUID
    messages: _Chain | None = None
    user_message: _UserMessage | None = None
    modality: _Chat = "chat"


class _Create(_FollowUp, frozen=True, rename="camel", kw_only=True):
    mode: Literal["direct"]


class _Retry(msgspec.Struct, frozen=True, rename="camel"):
    messages: _Chain | None = None
    model_id: UUID | None = None


_Body = TypeVar("_Body")


def read_create(body: bytes) -> Ask:
    """The first message of a session. Raises `Refusal` (400, 413) that names the field at fault."""
    return _ask(_decode(body, _Create))


def read_follow_up(body: bytes, session: str) -> Ask:
    """A later message of `session`. Raises `Refusal` (400, 413) that names the field at fault."""
    ask = _ask(_decode(body, _FollowUp))
    if ask.session != session:
        raise Refusal(400, "bad body", f"id: {ask.session} is not the session of the address")
    return ask


def read_retry(body: bytes) -> Again:
    """A wish for another answer. Raises `Refusal` (400, 413) that names the field at fault."""
    wish = _decode(body, _Retry)
    chain = _turns(wish.messages) if wish.messages else None
    return Again(str(wish.model_id) if wish.model_id else None, chain)


def _decode(body: bytes, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Refusal(400, "bad body", str(error)) from None


def _ask(body: _FollowUp) -> Ask:
    user_message, answer_message = str(body.user_message_id), str(body.model_a_message_id)
    if user_message == answer_message:
        raise Refusal(400, "bad body", "modelAMessageId: is the same as userMessageId")
    if body.user_message is not None:
        chain, prompt = None, body.user_message.content
        _check_prompt(prompt, "userMessage.content")
    elif body.messages:
        turns = _turns(body.messages)
        chain, prompt = turns[:-1], turns[-1].content
    else:
        raise Refusal(400, "bad body", "userMessage: is missing, and so is messages")
    return Ask(str(body.id), str(body.model_a_id), user_message, answer_message, prompt, chain)


def _turns(chain: tuple[ChainMessage, ...]) -> tuple[ChainMessage, ...]:
    # A chain may end with the empty assistant message that is to be filled.
    pending = chain[-1].role == "assistant" and not chain[-1].content
    turns = chain[:-1] if pending else chain
    if not turns or turns[-1].role != "user":
        raise Refusal(400, "bad body", "messages: the newest turn is not the user's")
    _check_prompt(turns[-1].content, "messages")
    return turns


def _check_prompt(prompt: str, field: str) -> None:
    if not prompt:
        raise Refusal(400, "bad body", f"{field}: the prompt is empty")
    if len(prompt.encode()) > PROMPT_LIMIT_BYTES:
        raise Refusal(413, "prompt too long", f"{field}: the limit is {PROMPT_LIMIT_BYTES} bytes")


def line(code: str, value: Any) -> bytes:
    """One line of side A; `value` is anything that JSON can say."""
    return b"a" + code.encode() + b":" + msgspec.json.encode(value) + b"\n"


def start_line(message: str) -> bytes:
    """The first line of an answer: the id of the message that it fills."""
    return line("f", {"messageId": message})


def piece_line(kind: Literal["text", "reasoning"], text: str) -> bytes:
    """A part of the answer or of the reasoning before it."""
    return line("0" if kind == "text" else "g", text)


def error_line(text: str) -> bytes:
    """The model failed, in its own words."""
    return line("3", text)


def finish_line(reason: str, prompt_bytes: int, answer_bytes: int) -> bytes:
    """The last line of an answer. Usage takes four bytes for a token, a common average."""
    usage = {"promptTokens": -(-prompt_bytes // 4), "completionTokens": -(-answer_bytes // 4)}
    return line("d", {"finishReason": reason, "usage": usage})


HEARTBEAT_LINE = line("2", [{"type": "heartbeat"}])
"""Says that the answer is still on its way."""
