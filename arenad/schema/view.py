"""The live view: what an instance's page shows, and what a person does to it.

A viewer's page speaks the acts as JSON to the frontend, which passes them to the worker as they
are. Positions are CSS pixels of the instance's page; modifiers are DevTools' bits (1 Alt,
2 Control, 4 Meta, 8 Shift). What is typed is in no log and no history.
"""

from typing import Annotated, Literal

from msgspec import Meta

from arenad.schema.base import Message, Record
from arenad.schema.process import Condition

Pixels = Annotated[float, Meta(ge=-100_000, le=100_000)]
Modifiers = Annotated[int, Meta(ge=0, le=15)]
KeyName = Annotated[str, Meta(max_length=40)]
Typed = Annotated[str, Meta(max_length=64 * 1024)]
Button = Literal["none", "left", "middle", "right"]


class Mouse(Record, tag_field="type", tag="mouse"):
    """A movement, a press or a release; `clicks` is 2 for the second press of a double click."""

    kind: Literal["move", "down", "up"]
    x: Pixels
    y: Pixels
    button: Button = "none"
    clicks: Annotated[int, Meta(ge=0, le=3)] = 0
    modifiers: Modifiers = 0


class Wheel(Record, tag_field="type", tag="wheel"):
    """A turn of the wheel, or a finger's drag, at this place."""

    x: Pixels
    y: Pixels
    right: Pixels = 0.0
    down: Pixels = 0.0
    modifiers: Modifiers = 0


class Key(Record, tag_field="type", tag="key"):
    """A key as its event tells of it (UI Events); `text` is what it writes, if it does."""

    kind: Literal["down", "up"]
    key: KeyName
    code: KeyName = ""
    number: Annotated[int, Meta(ge=0, le=255)] = 0
    text: Annotated[str, Meta(max_length=8)] = ""
    location: Annotated[int, Meta(ge=0, le=3)] = 0
    modifiers: Modifiers = 0
    repeats: bool = False

    def __repr__(self) -> str:
        """Without the key: it may be part of a password."""
        return f"{type(self).__name__}(kind={self.kind!r}, …)"


class Text(Record, tag_field="type", tag="text"):
    """Written at once: pasted, or composed; it takes the place of what is being composed."""

    text: Typed

    def __repr__(self) -> str:
        """Without the text: it may be a password."""
        return f"{type(self).__name__}({len(self.text)} characters)"


class Compose(Record, tag_field="type", tag="compose"):
    """What an input method shows so far; `Text` ends it."""

    text: Annotated[str, Meta(max_length=1024)]

    def __repr__(self) -> str:
        """Without the text."""
        return f"{type(self).__name__}({len(self.text)} characters)"


class Go(Record, tag_field="type", tag="go"):
    """Back in the page's history, or the page anew."""

    to: Literal["back", "reload"]


class Drawn(Record, tag_field="type", tag="drawn"):
    """The viewer has drawn this picture, and can take another."""

    number: Annotated[int, Meta(ge=0, le=2**32 - 1)]


class Take(Record, tag_field="type", tag="take"):
    """Be the one viewer who may act; whoever was, goes on watching."""


Input = Mouse | Wheel | Key | Text | Compose | Go
Act = Input | Drawn | Take


class View(Message):
    """Frontend to worker: show the page to this viewer. Items are `Picture`, `Sight`.

    It ends when it is cancelled, or its link.
    """

    viewer: str


class Do(Message):
    """Frontend to worker: an act of a viewer whose `View` is open. Ends with `Did`."""

    viewer: str
    act: Act


class Did(Message):
    """An act was carried out, or `refused` says why not."""

    refused: str = ""


class Picture(Message):
    """The page as it looks now: JPEG, and the size in CSS pixels of what it shows."""

    number: int
    width: int
    height: int
    jpeg: bytes


class Sight(Message):
    """What stands beside the picture. `locked` says why this viewer may not act now; empty: it may.

    `controls` says whether it is this viewer that acts when somebody may.
    """

    address: str
    title: str
    condition: Condition
    reason: str
    controls: bool
    locked: str
    viewers: int
