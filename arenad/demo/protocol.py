"""The arena's wire protocol without I/O: request bodies in, lines of an answer out.

Bodies are JSON in two forms: the whole chain in `messages`, or only the new turn in `userMessage`.
An answer is lines: a side (`a` or `b`), a one-character code, `:`, a JSON value.
"""

from collections.abc import Mapping
from types import MappingProxyType
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

ATTACHMENTS_LIMIT = 10
"""Files with one message."""

CLOCK_TOLERANCE_MS = 3600_000
"""How far the time in an id of version 7 may be from the site's own."""

_TIMED_VERSION = 7

CHAIN_FORM, TURN_FORM = 1, 2
"""Forms of a body: the whole chain in `messages`, or the new turn in `userMessage`."""

Speaker = Literal["system", "user", "assistant"]
Side = Literal["a", "b"]
Mode = Literal["direct", "side-by-side", "battle", "direct-battle"]
Modality = Literal["chat", "image", "search"]


class Attached(NamedTuple):
    """A file that a turn brought, as models see it: never its content."""

    name: str
    content_type: str
    size_bytes: int
    sha256: str


class Turn(NamedTuple):
    """One turn of a conversation, as every model takes it."""

    speaker: Speaker
    text: str
    files: tuple[Attached, ...] = ()


class Refusal(ArenadError):
    """The site refuses a request: an HTTP status, a short `error`, and the remedy as `message`."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Keep the parts of the JSON error that the client gets."""
        super().__init__(f"{status} {error}: {message}" if message else f"{status} {error}")
        self.status = status
        self.error = error
        self.message = message
        self.headers = headers


class Attachment(msgspec.Struct, frozen=True, rename="camel"):
    """A file as bodies name it: `url` is a signed address of the site's storage, or the file."""

    name: str
    content_type: str
    url: str


_Attachments = Annotated[tuple[Attachment, ...], Meta(max_length=ATTACHMENTS_LIMIT)]


class ChainMessage(msgspec.Struct, frozen=True):
    """A message of a chain, as bodies bring it."""

    id: UUID
    role: Speaker
    content: str
    experimental_attachments: _Attachments = ()
    participant_position: Side = msgspec.field(default="a", name="participantPosition")


class Second(NamedTuple):
    """Side B of a body: its model ("" where the site chooses) and the answer to fill."""

    model: str
    answer_message: str


class Rules(NamedTuple):
    """What bodies have to keep to: their forms, and the time (Unix ms) that ids have to be of."""

    forms: frozenset[int] = frozenset({CHAIN_FORM, TURN_FORM})
    now_ms: int | None = None


ANY = Rules()


class Ask(msgspec.Struct, frozen=True):
    """What a body asks for. `chain` is the talk before the prompt, if the body brought one.

    `model` is "" where the site chooses. `files` are what the site found behind `attachments`.
    """

    session: str
    model: str
    user_message: str
    answer_message: str
    prompt: str
    chain: tuple[ChainMessage, ...] | None
    mode: Mode = "direct"
    modality: Modality = "chat"
    second: Second | None = None
    attachments: tuple[Attachment, ...] = ()
    files: tuple[Attached, ...] = ()


class Again(msgspec.Struct, frozen=True):
    """What a retry asks for; None: as it was."""

    model: str | None
    chain: tuple[ChainMessage, ...] | None


class _UserMessage(msgspec.Struct, frozen=True):
    content: str
    experimental_attachments: _Attachments = ()


_Chain = Annotated[tuple[ChainMessage, ...], Meta(max_length=CHAIN_LIMIT)]


class _FollowUp(msgspec.Struct, frozen=True, rename="camel"):
    id: UUID
    user_message_id: UUID
    model_a_message_id: UUID
    model_a_id: UUID | None = None
    model_b_id: UUID | None = None
    model_b_message_id: UUID | None = None
    messages: _Chain | None = None
    user_message: _UserMessage | None = None
    modality: Modality = "chat"


class _Create(_FollowUp, frozen=True, rename="camel", kw_only=True):
    mode: Mode


class _Retry(msgspec.Struct, frozen=True, rename="camel"):
    messages: _Chain | None = None
    model_id: UUID | None = None


_Body = TypeVar("_Body")


def read_create(body: bytes, rules: Rules = ANY) -> Ask:
    """The first message of a session. Raises `Refusal` (400, 413) that names the field at fault."""
    wish = _decode(body, _Create)
    _check_sides(wish, wish.mode)
    _check_time("id", wish.id, rules)
    return _ask(wish, wish.mode, rules)


def read_follow_up(body: bytes, session: str, mode: Mode = "direct", rules: Rules = ANY) -> Ask:
    """A later message of `session`, which has a mode.

    Raises `Refusal` (400, 413) that names the field at fault.
    """
    wish = _decode(body, _FollowUp)
    _check_sides(wish, mode)
    if str(wish.id) != session:
        raise Refusal(400, "bad body", f"id: {wish.id} is not the session of the address")
    return _ask(wish, mode, rules)


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


def _check_sides(wish: _FollowUp, mode: Mode) -> None:
    """Each mode has its own model ids: chosen ones are named, anonymous ones never."""
    if mode == "battle":
        for name, model in (("modelAId", wish.model_a_id), ("modelBId", wish.model_b_id)):
            if model is not None:
                raise Refusal(400, "bad body", f"{name}: a battle chooses its models itself")
    elif wish.model_a_id is None:
        raise Refusal(400, "bad body", f"modelAId: is missing, and {mode} needs it")
    if mode == "side-by-side" and wish.model_b_id is None:
        raise Refusal(400, "bad body", "modelBId: is missing, and side-by-side needs it")
    if mode != "direct" and wish.model_b_message_id is None:
        raise Refusal(400, "bad body", f"modelBMessageId: is missing, and {mode} needs it")


def _check_time(field: str, identity: UUID, rules: Rules) -> None:
    """The time that an id of version 7 carries; others carry none. Raises `Refusal` (400)."""
    if rules.now_ms is None:
        return
    if identity.version != _TIMED_VERSION:
        raise Refusal(400, "invalid id", f"{field}: {identity} is not a UUID of version 7")
    offset_ms = (identity.int >> 80) - rules.now_ms
    if abs(offset_ms) > CLOCK_TOLERANCE_MS:
        raise Refusal(400, "invalid id", f"{field}: offset of {offset_ms} ms; a spoofed id?")


def _ask(body: _FollowUp, mode: Mode, rules: Rules) -> Ask:
    ids = {
        "userMessageId": body.user_message_id,
        "modelAMessageId": body.model_a_message_id,
        "modelBMessageId": body.model_b_message_id,
    }
    seen: dict[UUID, str] = {}
    for name, identity in ids.items():
        if identity is not None:
            if identity in seen:
                raise Refusal(400, "bad body", f"{name}: is the same as {seen[identity]}")
            _check_time(name, identity, rules)
            seen[identity] = name
    chain, prompt, attachments = _prompt(body, rules)
    return Ask(
        session=str(body.id),
        model=str(body.model_a_id or ""),
        user_message=str(body.user_message_id),
        answer_message=str(body.model_a_message_id),
        prompt=prompt,
        chain=chain,
        mode=mode,
        modality=body.modality,
        second=_second(body) if mode != "direct" else None,
        attachments=attachments,
    )


def _second(body: _FollowUp) -> Second | None:
    if body.model_b_message_id is None:
        return None
    return Second(str(body.model_b_id or ""), str(body.model_b_message_id))


_Prompt = tuple[tuple[ChainMessage, ...] | None, str, tuple[Attachment, ...]]


def _prompt(body: _FollowUp, rules: Rules) -> _Prompt:
    """What was said before (None: the site knows it), what is said now, and the files with it."""
    if body.user_message is not None and TURN_FORM in rules.forms:
        said = body.user_message
        _check_prompt(said.content, "userMessage.content")
        return None, said.content, said.experimental_attachments
    if body.messages and CHAIN_FORM in rules.forms:
        turns = _turns(body.messages)
        return turns[:-1], turns[-1].content, turns[-1].experimental_attachments
    wanted = " or ".join(name for form, name in _FORMS.items() if form in rules.forms)
    raise Refusal(400, "bad body", f"{wanted}: is missing")


_FORMS = {TURN_FORM: "userMessage", CHAIN_FORM: "messages"}


def _turns(chain: tuple[ChainMessage, ...]) -> tuple[ChainMessage, ...]:
    # A chain may end with the empty assistant messages that are to be filled, one for each side.
    turns = chain
    while turns and turns[-1].role == "assistant" and not turns[-1].content:
        turns = turns[:-1]
    if not turns or turns[-1].role != "user":
        raise Refusal(400, "bad body", "messages: the newest turn is not the user's")
    _check_prompt(turns[-1].content, "messages")
    return turns


def _check_prompt(prompt: str, field: str) -> None:
    if not prompt:
        raise Refusal(400, "bad body", f"{field}: the prompt is empty")
    if len(prompt.encode()) > PROMPT_LIMIT_BYTES:
        raise Refusal(413, "prompt too long", f"{field}: the limit is {PROMPT_LIMIT_BYTES} bytes")


def line(code: str, value: Any, side: Side = "a") -> bytes:
    """One line of a side; `value` is anything that JSON can say."""
    return side.encode() + code.encode() + b":" + msgspec.json.encode(value) + b"\n"


def start_line(message: str, side: Side = "a") -> bytes:
    """The first line of an answer: the id of the message that it fills."""
    return line("f", {"messageId": message}, side)


def piece_line(kind: Literal["text", "reasoning"], text: str, side: Side = "a") -> bytes:
    """A part of the answer or of the reasoning before it."""
    return line("0" if kind == "text" else "g", text, side)


def error_line(text: str, side: Side = "a") -> bytes:
    """The model failed, in its own words."""
    return line("3", text, side)


def finish_line(reason: str, prompt_bytes: int, answer_bytes: int, side: Side = "a") -> bytes:
    """The last line of an answer. Usage takes four bytes for a token, a common average."""
    usage = {"promptTokens": -(-prompt_bytes // 4), "completionTokens": -(-answer_bytes // 4)}
    return line("d", {"finishReason": reason, "usage": usage}, side)


def heartbeat_line(side: Side = "a") -> bytes:
    """Says that the answer is still on its way."""
    return line("2", [{"type": "heartbeat"}], side)


HEARTBEAT_LINE = heartbeat_line()
