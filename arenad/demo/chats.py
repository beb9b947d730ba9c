"""What the site remembers: chats and their messages, bounded in number and in bytes. No I/O."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from arenad.demo.protocol import (
    Again,
    Ask,
    Attached,
    Attachment,
    ChainMessage,
    Modality,
    Mode,
    Refusal,
    Side,
    Speaker,
    Turn,
)

CHATS_LIMIT = 1000
CHATS_LIMIT_BYTES = 128 * 1024 * 1024
CHAT_LIMIT_BYTES = 32 * 1024 * 1024
"""All chats together, and one of them: the one used longest ago goes first."""

MESSAGE_COST_BYTES = 1024
"""What a message takes besides its text."""

IDS_LIMIT = 100_000
"""Ids that are remembered as used; a client that asks again must choose new ones."""

Status = Literal["pending", "success", "failed"]


@dataclass
class Message:
    """One message of a chat. Its text is kept as UTF-8: a quarter of what a string may take."""

    id: str
    speaker: Speaker
    text: bytes
    model: str | None = None
    status: Status = "success"
    reasoning: bytes = b""
    side: Side = "a"
    attachments: tuple[Attachment, ...] = ()
    files: tuple[Attached, ...] = ()

    def cost_bytes(self) -> int:
        """What it counts for, against the limits."""
        files = sum(len(each.url) for each in self.attachments)
        return MESSAGE_COST_BYTES + len(self.text) + len(self.reasoning) + files


@dataclass
class Chat:
    """One session: its messages in order; it ends with an answer or two, perhaps still pending.

    `owner` is the visitor who made it ("": nobody, so it is everybody's). `is_open` says that two
    answers were shown in a direct chat and one of them has to be chosen, or skipped.
    """

    id: str
    messages: list[Message] = field(default_factory=list[Message])
    mode: Mode = "direct"
    modality: Modality = "chat"
    owner: str = ""
    is_open: bool = False
    is_revealed: bool = True

    def conversation(self, answer: Message | None = None) -> tuple[Turn, ...]:
        """The turns that an answer (the newest, if none is named) answers, as its side saw them."""
        answer = answer or self.messages[-1]
        before = self.messages[: self.messages.index(answer)]
        return tuple(
            Turn(each.speaker, each.text.decode(), each.files)
            for each in before
            if each.speaker != "assistant" or each.side == answer.side
        )

    def pending(self) -> tuple[Message, ...]:
        """The answers that are to be filled, by their sides."""
        return tuple(each for each in self.messages if each.status == "pending")

    def prompts(self) -> int:
        """How many messages the user sent."""
        return sum(each.speaker == "user" for each in self.messages)

    def cost_bytes(self) -> int:
        """What it counts for, against the limits."""
        return sum(message.cost_bytes() for message in self.messages)


class Chats:
    """Every chat that the site still knows, the one used longest ago first."""

    def __init__(self) -> None:
        self._chats: OrderedDict[str, Chat] = OrderedDict()
        self._cost_bytes = 0
        self._used_ids: dict[str, None] = {}

    def get(self, session: str) -> Chat:
        """The chat of that name, which counts as used now. Raises `Refusal` (404)."""
        if session not in self._chats:
            raise Refusal(404, "unknown session", f"there is no chat {session}")
        self._chats.move_to_end(session)
        return self._chats[session]

    def open(self, ask: Ask, owner: str = "") -> Message:
        """Make a chat with its first turn; returns side A's answer. Raises `Refusal` (409)."""
        self._claim(id=ask.session, **_message_ids(ask))
        anonymous = ask.mode == "battle"
        mode: Mode = "direct" if ask.mode == "direct-battle" else ask.mode
        chat = Chat(ask.session, [], mode, ask.modality, owner, is_revealed=not anonymous)
        answer = _add_turn(chat, ask)
        self._chats[chat.id] = chat
        self._grow(chat, chat.cost_bytes())
        return answer

    def extend(self, ask: Ask) -> Message:
        """Add a turn to a chat; returns side A's answer. Raises `Refusal` (404, 409, 413)."""
        chat = self.get(ask.session)
        _check_idle(chat)
        before = chat.cost_bytes()
        if before + len(ask.prompt) > CHAT_LIMIT_BYTES:
            raise Refusal(413, "chat full", "this chat reached its limit; start a new one")
        self._claim(**_message_ids(ask))
        answer = _add_turn(chat, ask)
        self._grow(chat, chat.cost_bytes() - before)
        return answer

    def retry(self, session: str, message: str, again: Again) -> Message:
        """Empty an answer (both, of two), forget what came after; returns it. Raises `Refusal`."""
        chat = self.get(session)
        _check_idle(chat)
        before = chat.cost_bytes()
        answer = find_answer(chat, message)
        model = again.model or answer.model
        if model is None:
            raise Refusal(400, "bad body", "modelId: is missing, and the answer's is not known")
        place, end = _turn_of(chat, answer)
        answers = chat.messages[place:end]
        kept = chat.messages[:place] if again.chain is None else _injected(again.chain)
        chat.messages[:] = [*kept, *answers]
        answer.model = model
        for each in answers:
            each.text, each.reasoning, each.attachments = b"", b"", ()
            each.status = "pending"
        self._grow(chat, chat.cost_bytes() - before)
        return answer

    def choose(self, session: str, message: str) -> None:
        """Keep one of two open answers of a direct chat. Raises `Refusal` (404, 409)."""
        chat = self.get(session)
        _check_idle(chat)
        before = chat.cost_bytes()
        kept = find_answer(chat, message)
        if not chat.is_open:
            raise Refusal(409, "nothing to skip", "this chat does not show two answers")
        place, end = _turn_of(chat, kept)
        kept.side = "a"
        chat.messages[place:end] = [kept]
        chat.is_open = False
        self._grow(chat, chat.cost_bytes() - before)

    def finish(
        self,
        chat: Chat,
        answer: Message,
        text: bytes,
        reasoning: bytes,
        pictures: tuple[Attachment, ...] = (),
    ) -> None:
        """Fill a pending answer; an empty one has failed."""
        before = answer.cost_bytes()
        answer.text, answer.reasoning, answer.attachments = text, reasoning, pictures
        answer.status = "success" if text or pictures else "failed"
        if self._chats.get(chat.id) is chat:
            self._grow(chat, answer.cost_bytes() - before)

    def _claim(self, **ids: str) -> None:
        for name, each in ids.items():
            if each in self._used_ids:
                raise Refusal(409, "id in use", f"{name}: {each} was used before; choose new ids")
        self._used_ids |= dict.fromkeys(ids.values())
        while len(self._used_ids) > IDS_LIMIT:
            del self._used_ids[next(iter(self._used_ids))]

    def _grow(self, chat: Chat, by_bytes: int) -> None:
        self._cost_bytes += by_bytes
        self._chats.move_to_end(chat.id)
        while len(self._chats) > CHATS_LIMIT or self._cost_bytes > CHATS_LIMIT_BYTES:
            _, oldest = self._chats.popitem(last=False)
            self._cost_bytes -= oldest.cost_bytes()


def find_answer(chat: Chat, message: str) -> Message:
    """The answer of that id, or the answer to the user's message of that id.

    Raises `Refusal` (404).
    """
    for place, each in enumerate(chat.messages):
        if each.id == message:
            found = chat.messages[place : place + 2][-1] if each.speaker == "user" else each
            if found.speaker == "assistant":
                return found
    raise Refusal(404, "unknown message", f"chat {chat.id} has no answer {message}")


def history(chat: Chat) -> dict[str, Any]:
    """A chat as the page reads it."""
    mode = "direct-battle" if chat.is_open else chat.mode
    told = {"id": chat.id, "mode": mode, "modality": chat.modality}
    return told | {"messages": list(_told(chat))}


def _told(chat: Chat) -> Iterator[dict[str, Any]]:
    asked: list[str] = []
    answers: list[str] = []
    for message in chat.messages:
        is_answer = message.speaker == "assistant"
        yield {
            "id": message.id,
            "role": message.speaker,
            "content": message.text.decode(),
            "reasoning": message.reasoning.decode(),
            "modelId": message.model if chat.is_revealed else None,
            "status": message.status,
            "parentMessageIds": asked if is_answer else answers or asked,
            "participantPosition": message.side,
            "experimental_attachments": message.attachments,
            "evaluationSessionId": chat.id,
        }
        if is_answer:
            answers = [*answers, message.id]
        else:
            asked, answers = [message.id], []


def _check_idle(chat: Chat) -> None:
    if chat.pending():
        raise Refusal(409, "still answering", "stop the running answer, or wait for its end")


def _message_ids(ask: Ask) -> dict[str, str]:
    ids = {"userMessageId": ask.user_message, "modelAMessageId": ask.answer_message}
    return ids | ({"modelBMessageId": ask.second.answer_message} if ask.second else {})


def _turn_of(chat: Chat, answer: Message) -> tuple[int, int]:
    """Where the answers begin, and end, that answer the same message."""
    place = end = chat.messages.index(answer)
    while place and chat.messages[place - 1].speaker == "assistant":
        place -= 1
    while end < len(chat.messages) and chat.messages[end].speaker == "assistant":
        end += 1
    return place, end


def _add_turn(chat: Chat, ask: Ask) -> Message:
    if chat.is_open:
        raise Refusal(409, "two answers", "choose one of the two answers, or skip")
    if ask.chain is not None:
        # The body brought the talk so far, and the body is right: clients may inject turns.
        chat.messages[:] = _injected(ask.chain)
    asked = Message(
        ask.user_message,
        "user",
        ask.prompt.encode(),
        attachments=ask.attachments,
        files=ask.files,
    )
    answer = Message(ask.answer_message, "assistant", b"", ask.model, "pending")
    chat.messages += [asked, answer]
    if ask.second is not None:
        model, message = ask.second
        chat.messages.append(Message(message, "assistant", b"", model, "pending", side="b"))
    chat.is_open = ask.mode == "direct-battle"
    return answer


def _injected(chain: tuple[ChainMessage, ...]) -> list[Message]:
    return [
        Message(
            str(each.id),
            each.role,
            each.content.encode(),
            side=each.participant_position,
            attachments=each.experimental_attachments,
        )
        for each in chain
    ]
