"""Which conversation a message belongs to: a key over all that was said before it. A brain: no I/O.

Clients send the whole history each time. A worker keys what its page holds, answer included, as it
was delivered; a frontend keys all turns before the new one. Equal keys are the same conversation;
an edited or regenerated history has another key, so nothing is ever guessed.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

import msgspec

from arenad import notation
from arenad.schema.chat import Citation, Image, TextDelta, Turn

KEY_BYTES = 16

MAX_SIGNS = 200_000
"""Calls, and values in texts that have any, that are read of a history; no model's window holds so
many. More of it counts as it was written: to read these takes up to 0.5 s, in which a frontend does
nothing else."""

_IMAGE = re.compile(r"!\[image\]\([^()\s]*\)")
"""An image may have been delivered by another address than the one the page showed, or beside the
text (`text_of`)."""

_encode = msgspec.msgpack.Encoder().encode


def key_of(model: str, turns: Iterable[Turn]) -> str:
    """The key of a conversation with this model that consists of these turns.

    Of an answer's ends spaces do not count, for clients strip them, and calls of tools by what they
    call (`notation.plain`); everything else does.
    """
    digest = hashlib.blake2b(_encode(model), digest_size=KEY_BYTES)
    signs = 0
    for turn in turns:
        signs += _signs(turn)
        digest.update(_encode(_plain(turn) if signs <= MAX_SIGNS else turn))
    return digest.hexdigest()


def _signs(turn: Turn) -> int:
    """What has to be read for its key: no more than these are calls, or values of their JSON."""
    if turn.role != "assistant" or notation.OPENING not in turn.text:
        return 0
    return sum(map(turn.text.count, (notation.OPENING, "[", "{", ",")))


def _plain(turn: Turn) -> Turn:
    if turn.role != "assistant":
        return turn
    return msgspec.structs.replace(turn, text=notation.plain(_IMAGE.sub("", turn.text)))


def is_new_turn(turns: Sequence[Turn]) -> bool:
    """Whether the last turn is one that can go on where an answer ended."""
    return len(turns) > 1 and turns[-1].role == "user" and turns[-2].role == "assistant"


def text_of(event: TextDelta | Image | Citation) -> str:
    """An event as text of the answer: an image and a source become Markdown.

    Not so a data URL: clients send the text back with the next message, megabytes and all.
    """
    match event:
        case TextDelta(text):
            return text
        case Image(url):
            return "" if url.startswith("data:") else f"![image]({url})"
        case Citation(url, title):
            return f"\n[{title or url}]({url})"
