"""The phases of a site session: a brain that says when to open the page anew, when to give up."""

import enum

import msgspec

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

    BROKE = "broke"


class Order(enum.Enum):
    """What to do about it."""

    OPEN = "open the page anew"
    GIVE_UP = "end the worker"


class Session(msgspec.Struct, frozen=True):
    """Where a session stands; `failures` counts failed chats in a row."""

    condition: Condition = "opening"
    failures: int = 0


def step(session: Session, event: Event) -> tuple[Session, Order | None]:
    """What the event makes of the session, and what to do."""
    if session.condition == "broken":
        return session, None
    match event:
        case Event.OPENED:
            return Session("ready", session.failures), None
        case Event.CHAT_DONE:
            return Session(session.condition, 0), None
        case Event.CHAT_FAILED if session.failures + 1 < FAILURES_LIMIT:
            return Session("opening", session.failures + 1), Order.OPEN
        case Event.NOT_STOPPED:
            return Session("opening", session.failures), Order.OPEN
        case Event.CHAT_FAILED | Event.BROKE:
            return Session("broken", session.failures), Order.GIVE_UP
