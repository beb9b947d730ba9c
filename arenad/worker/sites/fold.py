"""Fold a conversation into one prompt, for a site that keeps history on its own side."""

from collections.abc import Sequence

from arenad.schema.chat import Turn

_HEADINGS = {"system": "Instructions", "user": "User", "assistant": "Assistant"}


def fold(turns: Sequence[Turn]) -> str:
    """A single turn stands as it is; anything longer becomes a transcript that asks to go on."""
    if len(turns) == 1:
        return turns[0].text
    parts = [f"{_HEADINGS[turn.role]}:\n{turn.text}" for turn in turns]
    return "\n\n".join([*parts, "Assistant:"])
