"""Folding a conversation into one prompt."""

import pytest

from arenad.errors import InvalidRequest
from arenad.schema.chat import Turn
from arenad.schema.profile import ConversationRules
from arenad.worker.sites.fold import fold, with_system

SYSTEM = Turn(role="system", text="Be brief.")
USER = Turn(role="user", text="Hi\n\nthere ")
ASSISTANT = Turn(role="assistant", text="Hello!")


@pytest.mark.parametrize("turn", [SYSTEM, USER, ASSISTANT])
def test_one_turn_stands_as_it_is(turn: Turn) -> None:
    """To the letter, whoever speaks."""
    assert fold([turn]) == turn.text


def test_several_turns_become_a_transcript() -> None:
    """Each turn under its speaker, in order, and the last word is the assistant's to say."""
    assert fold([SYSTEM, USER, ASSISTANT, USER]) == (
        "Instructions:\nBe brief.\n\nUser:\nHi\n\nthere \n\nAssistant:\nHello!\n\n"
        "User:\nHi\n\nthere \n\nAssistant:"
    )


def test_instructions_go_where_the_profile_wants_them() -> None:
    """Into the transcript, before the first message, or nowhere, which is said."""
    turns = (SYSTEM, USER, ASSISTANT, SYSTEM, USER)
    first = ConversationRules(system="first")
    begin = Turn(role="user", text="Be brief.\n\nBe brief.\n\nHi\n\nthere ")
    assert with_system(turns, ConversationRules()) == turns
    assert with_system(turns, first) == (begin, ASSISTANT, USER)
    assert with_system((SYSTEM,), first) == (Turn(role="user", text="Be brief."),)
    assert with_system((USER, ASSISTANT), first) == (USER, ASSISTANT)
    assert with_system((USER,), ConversationRules(system="refuse")) == (USER,)
    with pytest.raises(InvalidRequest, match="leave them out"):
        with_system(turns, ConversationRules(system="refuse"))
