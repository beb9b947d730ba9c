"""What the site remembers of chats, and when it forgets."""

from uuid import uuid4

import pytest

from arenad.demo import chats
from arenad.demo.protocol import Again, Ask, ChainMessage, Refusal, Turn

MODEL = str(uuid4())


def _ask(session: str, prompt: str = "hi", *chain: ChainMessage) -> Ask:
    return Ask(session, MODEL, str(uuid4()), str(uuid4()), prompt, chain or None)


def _opened(known: chats.Chats, prompt: str = "hi", text: bytes = b"answer") -> chats.Chat:
    ask = _ask(str(uuid4()), prompt)
    answer = known.open(ask)
    chat = known.get(ask.session)
    known.finish(chat, answer, text, b"")
    return chat


def test_a_chat_remembers_its_turns() -> None:
    """A follow-up is answered with all that was said before."""
    known = chats.Chats()
    chat = _opened(known)
    known.extend(_ask(chat.id, "more"))
    assert chat.conversation() == (
        Turn("user", "hi"),
        Turn("assistant", "answer"),
        Turn("user", "more"),
    )


def test_a_chain_replaces_what_was_remembered() -> None:
    """A body that brings the talk so far is believed."""
    known = chats.Chats()
    chat = _opened(known)
    known.extend(_ask(chat.id, "more", ChainMessage(uuid4(), "user", "injected")))
    assert chat.conversation() == (Turn("user", "injected"), Turn("user", "more"))


def test_ids_are_used_once() -> None:
    """A session id or a message id that was seen before is refused with 409, by name."""
    known = chats.Chats()
    first = _ask(str(uuid4()))
    known.open(first)
    with pytest.raises(Refusal, match="409 id in use: id:"):
        known.open(first)
    with pytest.raises(Refusal, match="userMessageId"):
        known.open(Ask(str(uuid4()), MODEL, first.user_message, str(uuid4()), "x", None))


def test_a_running_answer_keeps_its_chat() -> None:
    """While an answer is pending, neither a follow-up nor a retry is taken."""
    known = chats.Chats()
    ask = _ask(str(uuid4()))
    answer = known.open(ask)
    with pytest.raises(Refusal, match="409 still answering"):
        known.extend(_ask(ask.session))
    with pytest.raises(Refusal, match="409 still answering"):
        known.retry(ask.session, answer.id, Again(None, None))


def test_unknown_names_are_refused() -> None:
    """A chat or a message that is not there is 404."""
    known = chats.Chats()
    with pytest.raises(Refusal, match="404 unknown session"):
        known.get(str(uuid4()))
    with pytest.raises(Refusal, match="404 unknown message"):
        known.retry(_opened(known).id, str(uuid4()), Again(None, None))


@pytest.mark.parametrize("place", [0, 1])
def test_retry_empties_the_answer_and_forgets_the_rest(place: int) -> None:
    """An answer is named by its own id or by its question's; later turns are gone."""
    known = chats.Chats()
    chat = _opened(known)
    later = known.extend(_ask(chat.id, "more"))
    known.finish(chat, later, b"later", b"")
    answer = known.retry(chat.id, chat.messages[place].id, Again(None, None))
    assert (answer.status, answer.text, answer.model) == ("pending", b"", MODEL)
    assert chat.conversation() == (Turn("user", "hi"),)


def test_retry_may_bring_a_chain_and_a_model() -> None:
    """The chain of a retry is what is answered then."""
    known = chats.Chats()
    chat = _opened(known)
    again = Again("other", (ChainMessage(uuid4(), "user", "anew"),))
    assert known.retry(chat.id, chat.messages[1].id, again).model == "other"
    assert chat.conversation() == (Turn("user", "anew"),)


def test_retry_of_an_injected_answer_needs_a_model() -> None:
    """Nobody knows which model gave an answer that a client brought along."""
    known = chats.Chats()
    injected = ChainMessage(uuid4(), "assistant", "b")
    ask = _ask(str(uuid4()), "c", ChainMessage(uuid4(), "user", "a"), injected)
    answer = known.open(ask)
    known.finish(known.get(ask.session), answer, b"d", b"")
    with pytest.raises(Refusal, match="modelId"):
        known.retry(ask.session, str(injected.id), Again(None, None))


def test_oldest_chats_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the number allowed, the chat used longest ago is forgotten."""
    monkeypatch.setattr(chats, "CHATS_LIMIT", 2)
    known = chats.Chats()
    first, second = _opened(known), _opened(known)
    known.get(first.id)
    _opened(known)
    assert known.get(first.id) is first
    with pytest.raises(Refusal, match="404"):
        known.get(second.id)


def test_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the bytes allowed, old chats are forgotten and their bytes come back."""
    monkeypatch.setattr(chats, "CHATS_LIMIT_BYTES", 100_000)
    known = chats.Chats()
    opened = [_opened(known, text=b"x" * 30_000) for _ in range(20)]
    assert known._cost_bytes == sum(chat.cost_bytes() for chat in known._chats.values())
    assert known._cost_bytes <= 100_000
    assert known.get(opened[-1].id) is opened[-1]


def test_a_full_chat_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat that reached its limit takes no more."""
    monkeypatch.setattr(chats, "CHAT_LIMIT_BYTES", 10_000)
    known = chats.Chats()
    chat = _opened(known)
    with pytest.raises(Refusal, match="413 chat full"):
        known.extend(_ask(chat.id, "x" * 10_000))


def test_a_forgotten_chat_may_still_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that outlives its chat costs nothing any more."""
    monkeypatch.setattr(chats, "CHATS_LIMIT", 1)
    known = chats.Chats()
    ask = _ask(str(uuid4()))
    answer = known.open(ask)
    chat = known.get(ask.session)
    _opened(known)
    known.finish(chat, answer, b"late", b"")
    assert known._cost_bytes == sum(each.cost_bytes() for each in known._chats.values())


def test_used_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of used ids forgets the oldest."""
    monkeypatch.setattr(chats, "IDS_LIMIT", 4)
    known = chats.Chats()
    _opened(known)
    _opened(known)
    assert len(known._used_ids) == 4


def test_history_tells_the_chat() -> None:
    """The JSON of a chat has each message with its parent, model and status."""
    known = chats.Chats()
    chat = _opened(known)
    first, second = chats.history(chat)["messages"]
    assert (first["role"], first["content"], first["parentMessageIds"]) == ("user", "hi", [])
    assert second["parentMessageIds"] == [first["id"]]
    assert (second["content"], second["modelId"], second["status"]) == ("answer", MODEL, "success")


def test_an_empty_answer_has_failed() -> None:
    """An answer without a text is no answer."""
    assert _opened(chats.Chats(), text=b"").messages[-1].status == "failed"
