"""What the site remembers: chats and their messages, bounded in number and in bytes. No I/O."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from arenad.demo.protocol import Again, Ask, ChainMessage, Refusal, Speaker, Turn

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

    def cost_bytes(self) -> int:
        """What it counts for, against the limits."""
        return MESSAGE_COST_BYTES + len(self.text) + len(self.reasoning)


@dataclass
class Chat:
    """One session: its messages in order; the last one is an answer, perhaps still pending."""

    id: str
    messages: list[Message] = field(default_factory=list[Message])

    def conversation(self) -> tuple[Turn, ...]:
        """The turns that the newest answer answers."""
        return tuple(Turn(each.speaker, each.text.decode()) for each in self.messages[:-1])

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

    def open(self, ask: Ask) -> Message:
        """Make a chat with its first pair; returns the pending answer. Raises `Refusal` (409)."""
        self._claim(
            id=ask.session, userMessageId=ask.user_message, modelAMessageId=ask.answer_message
        )
        chat = Chat(ask.session)
        answer = _add_pair(chat, ask)
        self._chats[chat.id] = chat
        self._grow(chat, chat.cost_bytes())
        return answer

    def extend(self, ask: Ask) -> Message:
        """Add a pair to a chat; returns the pending answer. Raises `Refusal` (404, 409, 413)."""
        chat = self.get(ask.session)
        _check_idle(chat)
        before = chat.cost_bytes()
        if before + len(ask.prompt) > CHAT_LIMIT_BYTES:
            raise Refusal(413, "chat full", "this chat reached its limit; start a new one")
        self._claim(userMessageId=ask.user_message, modelAMessageId=ask.answer_message)
        answer = _add_pair(chat, ask)
        self._grow(chat, chat.cost_bytes() - before)
        return answer

    def retry(self, session: str, message: str, again: Again) -> Message:
        """Empty an answer, forget what came after it; returns it. Raises `Refusal`."""
        chat = self.get(session)
        _check_idle(chat)
        before = chat.cost_bytes()
        answer = find_answer(chat, message)
        model = again.model or answer.model
        if model is None:
            raise Refusal(400, "bad body", "modelId: is missing, and the answer's is not known")
        place = chat.messages.index(answer)
        if again.chain is not None:
            chat.messages[:] = [*_injected(again.chain), answer]
        else:
            del chat.messages[place + 1 :]
        answer.model = model
        answer.text, answer.reasoning, answer.status = b"", b"", "pending"
        self._grow(chat, chat.cost_bytes() - before)
        return answer

    def finish(self, chat: Chat, answer: Message, text: bytes, reasoning: bytes) -> None:
        """Fill a pending answer; an empty one has failed."""
        before = answer.cost_bytes()
        answer.text, answer.reasoning = text, reasoning
        answer.status = "success" if text else "failed"
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
    return {"id": chat.id, "mode": "direct", "messages": list(_told(chat))}


def _told(chat: Chat) -> Iterator[dict[str, Any]]:
    parent: str | None = None
    for message in chat.messages:
        yield {
            "id": message.id,
            "role": message.speaker,
            "content": message.text.decode(),
            "reasoning": message.reasoning.decode(),
            "modelId": message.model,
            "status": message.status,
            "parentMessageIds": [parent] if parent else [],
            "participantPosition": "a",
            "experimental_attachments": [],
            "evaluationSessionId": chat.id,
        }
        parent = message.id


def _check_idle(chat: Chat) -> None:
    if chat.messages[-1].status == "pending":
        raise Refusal(409, "still answering", "stop the running answer, or wait for its end")


def _add_pair(chat: Chat, ask: Ask) -> Message:
    if ask.chain is not None:
        # The body brought the talk so far, and the body is right: clients may inject turns.
        chat.messages[:] = _injected(ask.chain)
    answer = Message(ask.answer_message, "assistant", b"", ask.model, "pending")
    chat.messages += [Message(ask.user_message, "user", ask.prompt.encode()), answer]
    return answer


def _injected(chain: tuple[ChainMessage, ...]) -> list[Message]:
    return [Message(str(each.id), each.role, each.content.encode()) for each in chain]
