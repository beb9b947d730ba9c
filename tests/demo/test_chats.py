"""What the site remembers of chats, and when it forgets."""

from uuid import uuid4

import msgspec
import pytest

from arenad.demo import chats
from arenad.demo.protocol import Again, Ask, Attached, ChainMessage, Refusal, Second, Turn

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


def _two(session: str, prompt: str, mode: str = "side-by-side") -> Ask:
    second = Second("other", str(uuid4()))
    return Ask(session, MODEL, str(uuid4()), str(uuid4()), prompt, None, mode, second=second)


def _two_sided(known: chats.Chats, mode: str = "side-by-side") -> chats.Chat:
    session = str(uuid4())
    known.open(_two(session, "hi", mode))
    chat = known.get(session)
    for text, answer in zip((b"from a", b"from b"), chat.pending(), strict=True):
        known.finish(chat, answer, text, b"")
    return chat


def test_each_side_knows_its_own_answers() -> None:
    """What the other side said is never heard."""
    known = chats.Chats()
    chat = _two_sided(known)
    known.extend(_two(chat.id, "more"))
    for answer, own in zip(chat.pending(), ("from a", "from b"), strict=True):
        assert chat.conversation(answer) == (
            Turn("user", "hi"),
            Turn("assistant", own),
            Turn("user", "more"),
        )


def test_a_follow_up_of_two_sides_has_two_parents() -> None:
    """Both answers of the turn before; each answer has the message it answers."""
    known = chats.Chats()
    chat = _two_sided(known)
    known.extend(_two(chat.id, "more"))
    asked, a, b, again, *_ = chats.history(chat)["messages"]
    assert (a["parentMessageIds"], b["parentMessageIds"]) == ([asked["id"]], [asked["id"]])
    assert again["parentMessageIds"] == [a["id"], b["id"]]
    assert (a["participantPosition"], b["participantPosition"]) == ("a", "b")


def test_a_battle_keeps_its_secret() -> None:
    """Its history names no model until it is revealed."""
    chat = _two_sided(chats.Chats(), "battle")
    assert {each["modelId"] for each in chats.history(chat)["messages"]} == {None}
    chat.is_revealed = True
    assert [each["modelId"] for each in chats.history(chat)["messages"]] == [None, MODEL, "other"]


def test_two_open_answers_want_a_choice() -> None:
    """Until one is chosen there is no next turn; then the chat is a direct one."""
    known = chats.Chats()
    chat = _two_sided(known, "direct-battle")
    assert chats.history(chat)["mode"] == "direct-battle"
    with pytest.raises(Refusal, match="409 two answers"):
        known.extend(_ask(chat.id))
    known.choose(chat.id, chat.messages[-1].id)
    assert chats.history(chat)["mode"] == "direct"
    known.extend(_ask(chat.id, "more"))
    assert chat.conversation()[1] == Turn("assistant", "from b")
    with pytest.raises(Refusal, match="409"):
        known.choose(chat.id, chat.messages[1].id)


def test_retry_of_two_sides_empties_both() -> None:
    """The turn is answered anew, by whichever of the two it was named."""
    known = chats.Chats()
    chat = _two_sided(known)
    known.retry(chat.id, chat.messages[2].id, Again(None, None))
    assert [each.side for each in chat.pending()] == ["a", "b"]


def test_files_stay_with_their_turn() -> None:
    """The model sees them; the history has the attachment as it was named."""
    known = chats.Chats()
    file = Attached("a", "text/plain", 1, "0f")
    ask = msgspec.structs.replace(_ask(str(uuid4())), files=(file,))
    known.open(ask)
    assert known.get(ask.session).conversation()[-1].files == (file,)


def test_a_chat_has_its_owner() -> None:
    """And says how many messages it took."""
    known = chats.Chats()
    ask = _ask(str(uuid4()))
    known.open(ask, "me")
    assert (known.get(ask.session).owner, known.get(ask.session).prompts()) == ("me", 1)
