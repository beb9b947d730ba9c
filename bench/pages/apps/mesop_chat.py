"""Mesop's own chat page, `mesop.labs.chat`."""

from collections.abc import Iterator

import ask
import mesop as me
import mesop.labs as mel


@me.page(path="/", title="Chat", security_policy=me.SecurityPolicy())
def page() -> None:
    """One chat."""
    mel.chat(reply, title="Chat", bot_user="Bot")


def reply(prompt: str, history: list[mel.ChatMessage]) -> Iterator[str]:
    """The pieces."""
    del history
    yield from ask.answer(prompt)
