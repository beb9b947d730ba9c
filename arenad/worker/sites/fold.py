"""Fold a conversation into one prompt, for a site that keeps history on its own side."""

from collections.abc import Sequence

from msgspec.structs import replace

from arenad.errors import InvalidRequest
from arenad.schema.chat import Turn
from arenad.schema.profile import ConversationRules

_HEADINGS = {"system": "Instructions", "user": "User", "assistant": "Assistant"}


def with_system(turns: Sequence[Turn], rules: ConversationRules) -> tuple[Turn, ...]:
    """The turns with instructions where the profile wants them. Raises `InvalidRequest`."""
    told = [turn.text for turn in turns if turn.role == "system"]
    if not told or rules.system == "fold":
        return tuple(turns)
    if rules.system == "refuse":
        why = "has instructions (role system), which the site cannot be given; leave them out"
        raise InvalidRequest(f"messages: {why}", param="messages")
    said = [turn for turn in turns if turn.role != "system"]
    first = said[0] if said and said[0].role == "user" else None
    text = "\n\n".join([*told, first.text] if first else told)
    begin = replace(first, text=text) if first else Turn(role="user", text=text)
    return (begin, *(said[1:] if first else said))


def fold(turns: Sequence[Turn]) -> str:
    """A single turn stands as it is; anything longer becomes a transcript that asks to go on."""
    if len(turns) == 1:
        return turns[0].text
    parts = [f"{_HEADINGS[turn.role]}:\n{turn.text}" for turn in turns]
    return "\n\n".join([*parts, "Assistant:"])
