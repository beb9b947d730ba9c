"""Folding a conversation into one prompt."""

import pytest

from arenad.schema.chat import Turn
from arenad.worker.sites.fold import fold

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
