"""The phases of a site session: a brain that says when to open the page anew, when to give up."""

import enum

import msgspec
from msgspec.structs import replace

from arenad.schema.process import Condition

FAILURES_LIMIT = 3
"""Chats in a row that the page did not perform: then not a fresh page, a fresh browser is due."""


class Event(enum.Enum):
    """What happens to a session."""

    OPENED = "opened"
    CHAT_DONE = "chat done"
    CHAT_FAILED = "chat failed"
    NOT_STOPPED = "not stopped"
    """A client left, and the page did not stop: nobody's failure, but no clean page either."""

    LANDMARK_GONE = "landmark gone"
    """The idle page no longer shows where prompts are written."""

    LANDMARK_SEEN = "landmark seen"
    BROKE = "broke"


class Order(enum.Enum):
    """What to do about it."""

    OPEN = "open the page anew"
    GIVE_UP = "end the worker"


class Session(msgspec.Struct, frozen=True):
    """Where a session stands; `failures` counts failed chats in a row.

    `is_doubtful` says that the page was opened anew since its landmark was gone: once is enough.
    """

    condition: Condition = "opening"
    failures: int = 0
    is_doubtful: bool = False


def step(session: Session, event: Event) -> tuple[Session, Order | None]:
    """What the event makes of the session, and what to do."""
    if session.condition == "broken":
        return session, None
    failures = session.failures + (event is Event.CHAT_FAILED)
    is_gone_again = event is Event.LANDMARK_GONE and session.is_doubtful
    if event is Event.BROKE or failures >= FAILURES_LIMIT or is_gone_again:
        return replace(session, condition="broken"), Order.GIVE_UP
    if event in _SPOILS:
        is_doubtful = session.is_doubtful or event is Event.LANDMARK_GONE
        return Session("opening", failures, is_doubtful), Order.OPEN
    if event is Event.OPENED:
        return replace(session, condition="ready"), None
    if event is Event.LANDMARK_SEEN:
        return replace(session, is_doubtful=False), None
    return Session(session.condition), None  # a chat was done: all is forgiven


_SPOILS = frozenset({Event.CHAT_FAILED, Event.NOT_STOPPED, Event.LANDMARK_GONE})
"""After these the page is opened anew."""
