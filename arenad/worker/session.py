"""The phases of a site session: a brain that says when to open the page anew, wait, or give up."""

import enum
from typing import Literal

import msgspec
from msgspec.structs import replace

from arenad.schema.process import Condition

FAILURES_LIMIT = 3
"""Chats in a row that the page did not perform: then not a fresh page, a fresh browser is due."""

FIRST_PAUSE_S = 30.0
PAUSE_LIMIT_S = 900.0
"""Without a word of the site's, pauses double from the first to this."""

AWAY_FIRST_S = 1.0
AWAY_LIMIT_S = 30.0
"""The same where nothing but a connection is asked of the site."""


class Event(enum.Enum):
    """What happens to a session."""

    OPENED = "opened"
    CHAT_DONE = "chat done"
    CHAT_FAILED = "chat failed"
    NOT_STOPPED = "not stopped"
    """A client left, and the page did not stop: nobody's failure, but no clean page either."""

    LANDMARK_GONE = "landmark gone"
    """The idle page no longer shows where prompts are written, or no longer names its models."""

    CHAT_LANDMARK_GONE = "landmark gone in a chat"
    """What a chat needed was not there; the idle page may well look as ever."""

    USABLE = "usable"
    """The idle page was looked at: a chat can begin."""

    UNUSABLE = "unusable"
    """The page was looked at after a pause: it does not come back by itself."""

    LOGIN_WALL = "login wall"
    HUMAN_CHECK = "human check"
    REFUSED = "refused"
    EXPIRED = "expired"
    LASTED = "lasted"
    """The session is to be renewed: it is old enough, or somebody wants it."""

    AWAY = "away"
    BROKE = "broke"


class Order(enum.Enum):
    """What to do about it."""

    OPEN = "open the page anew"
    RENEW = "begin a fresh session, and open the page in it"
    WAIT = "leave the page in peace for a pause, then look at it"
    GIVE_UP = "end the worker"


Doubt = Literal["", "page", "chat"]


class Session(msgspec.Struct, frozen=True):
    """Where a session stands.

    `failures` counts failed chats in a row; `pauses` the times in a row that it had to wait.
    `doubt` says that the page was opened anew since a landmark was gone, or the session: once is
    enough. What the idle page showed missing, it can show back; what a chat missed, only a chat.
    """

    condition: Condition = "opening"
    failures: int = 0
    pauses: int = 0
    doubt: Doubt = ""


_WAITS: dict[Event, Condition] = {
    Event.LOGIN_WALL: "needs_login",
    Event.HUMAN_CHECK: "needs_human",
    Event.REFUSED: "resting",
    Event.AWAY: "away",
}
"""What the site wants first is waited for; the page stays as it is, for whoever clears it."""

_RENEWALS: dict[Event, Condition] = {
    Event.EXPIRED: "expired",
    Event.LANDMARK_GONE: "outdated",
    Event.CHAT_LANDMARK_GONE: "outdated",
}
"""What a fresh page may mend is tried once, and again after each pause."""

PAUSING = frozenset({"resting", "expired", "away", "outdated"})
"""Conditions that end by themselves, after a pause."""

RENEWABLE = frozenset({"ready", "expired", "outdated"})
"""Conditions in which the site wants nothing first: from a refusal or a check no fresh session is a
way out."""

WAITING = PAUSING | {"needs_login", "needs_human"}
"""Conditions in which the page is looked at, and nothing is sent."""


_IN_CHAT: dict[str, Event | None] = {
    "needs_login": Event.LOGIN_WALL,
    "needs_human": Event.HUMAN_CHECK,
    "resting": Event.REFUSED,
    "expired": Event.EXPIRED,
    "away": Event.AWAY,
    "profile_outdated": Event.CHAT_LANDMARK_GONE,
    "lost": Event.BROKE,
    "invalid_request": None,
    "model_not_found": None,
    "chat_full": None,
    "content_rejected": None,
}
"""What an error that ended a chat says of the page, by its kind; any other one, that it failed."""

_IDLE: dict[str, Event] = {
    "needs_login": Event.LOGIN_WALL,
    "needs_human": Event.HUMAN_CHECK,
    "resting": Event.REFUSED,
    "expired": Event.EXPIRED,
    "away": Event.AWAY,
    "profile_outdated": Event.LANDMARK_GONE,
}


def after_chat(kind: str) -> Event | None:
    """What happened to the session when a chat ended with an error of this kind, if anything."""
    return _IN_CHAT.get(kind, Event.CHAT_FAILED)


def after_open(kind: str) -> Event | None:
    """The same of an error while opening; `None` is one that no session can wait out."""
    return _IDLE.get(kind)


def after_look(session: Session, kind: str) -> Event:
    """The same of an error while looking at the idle page; who waits only sees that it has to."""
    event = _IDLE.get(kind, Event.LANDMARK_GONE)
    if session.condition not in WAITING or event in (Event.LOGIN_WALL, Event.HUMAN_CHECK):
        return event
    return Event.UNUSABLE


def step(
    session: Session, event: Event, failures_limit: int = FAILURES_LIMIT
) -> tuple[Session, Order | None]:
    """What the event makes of the session, and what to do; with limit 0 failures end nothing."""
    if session.condition == "broken":
        return session, None
    failures = session.failures + (event is Event.CHAT_FAILED)
    if event is Event.BROKE or 0 < failures_limit <= failures:
        return replace(session, condition="broken"), Order.GIVE_UP
    if event in _WAITS:
        return _waiting(session, _WAITS[event]), Order.WAIT
    if event in _RENEWALS or event is Event.LASTED:
        return _renewed(session, event)
    if event in (Event.CHAT_FAILED, Event.NOT_STOPPED):
        return replace(session, condition="opening", failures=failures), Order.OPEN
    return _looked_at(session, event)


def _looked_at(session: Session, event: Event) -> tuple[Session, Order | None]:
    """The page was opened, looked at, or carried a chat to its end."""
    if event is Event.UNUSABLE and session.condition == "expired":
        return session, Order.RENEW
    if event is Event.UNUSABLE:
        return session, Order.OPEN if session.condition in PAUSING else Order.WAIT
    if event is Event.CHAT_DONE:
        return Session(session.condition), None  # all is forgiven
    doubt = "" if event is Event.USABLE and session.doubt == "page" else session.doubt
    return replace(session, condition="ready", doubt=doubt), None


def _waiting(session: Session, condition: Condition) -> Session:
    """A look at what waits for a person is no pause of the site's: it makes none longer."""
    return replace(session, condition=condition, pauses=session.pauses + (condition in PAUSING))


def _renewed(session: Session, event: Event) -> tuple[Session, Order]:
    """A fresh page at the first time; the next time, and until a chat is done, pauses between.

    What has expired is the session itself, with all that its cookies say: that one begins anew.
    """
    if event is Event.LASTED:
        return replace(session, condition="opening"), Order.RENEW
    doubt: Doubt = "page" if event is Event.LANDMARK_GONE and session.doubt != "chat" else "chat"
    if session.doubt:
        return replace(_waiting(session, _RENEWALS[event]), doubt=doubt), Order.WAIT
    order = Order.RENEW if event is Event.EXPIRED else Order.OPEN
    return replace(session, condition="opening", doubt=doubt), order


def pause_s(session: Session, asked_s: float | None, look_s: float) -> float:
    """How long the page is left in peace: what the site asked for, or growing pauses.

    Where a person is waited for, it is looked at every `look_s`: that loads and sends nothing.
    """
    if session.condition not in PAUSING:
        return look_s
    if session.condition == "resting" and asked_s is not None:
        return asked_s
    first_s, limit_s = FIRST_PAUSE_S, PAUSE_LIMIT_S
    if session.condition == "away":
        first_s, limit_s = AWAY_FIRST_S, AWAY_LIMIT_S
    return min(limit_s, first_s * 2.0 ** min(session.pauses - 1, 10))
