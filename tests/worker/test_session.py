"""The session's brain as conversations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.session import (
    FAILURES_LIMIT,
    PAUSE_LIMIT_S,
    WAITING,
    Event,
    Order,
    Session,
    after_chat,
    after_look,
    after_open,
    pause_s,
    step,
)

READY = Session("ready")


def _after(*events: Event) -> tuple[Session, list[Order | None]]:
    session, orders = Session(), list[Order | None]()
    for event in events:
        session, order = step(session, event)
        orders.append(order)
    return session, orders


def test_a_session_opens_and_serves() -> None:
    """Opened it is ready, and a good chat leaves it so."""
    assert _after(Event.OPENED, Event.CHAT_DONE) == (READY, [None, None])


def test_a_failed_chat_wants_a_fresh_page() -> None:
    """The first failures open the page anew; a good chat forgives them."""
    session, orders = _after(Event.OPENED, Event.CHAT_FAILED, Event.OPENED)
    assert (session, orders) == (Session("ready", 1), [None, Order.OPEN, None])
    assert step(session, Event.CHAT_DONE) == (READY, None)


def test_failures_in_a_row_want_a_fresh_browser() -> None:
    """At the limit a fresh page is not enough."""
    again = (Event.OPENED, Event.CHAT_FAILED)
    session, orders = _after(*again * FAILURES_LIMIT)
    assert session.condition == "broken"
    assert orders[1::2] == [Order.OPEN] * (FAILURES_LIMIT - 1) + [Order.GIVE_UP]


def test_clients_that_leave_break_nothing() -> None:
    """However many leave while the page does not stop, it is opened anew and no more."""
    again = (Event.OPENED, Event.NOT_STOPPED)
    session, orders = _after(*again * 10)
    assert session == Session("opening", 0)
    assert orders == [None, Order.OPEN] * 10


@given(st.lists(st.sampled_from(Event)))
def test_broken_is_for_good(events: list[Event]) -> None:
    """Once broken nothing is ordered any more; a give-up comes once, and is broken."""
    session, orders = _after(*events, Event.BROKE, *events)
    assert session.condition == "broken"
    assert orders.count(Order.GIVE_UP) == 1
    assert all(order is None for order in orders[orders.index(Order.GIVE_UP) + 1 :])


def test_a_landmark_that_is_gone_wants_a_fresh_page_once() -> None:
    """Gone again on the fresh page it is waited for; seen in between, it may be gone another time."""
    gone, seen = Event.LANDMARK_GONE, Event.USABLE
    session, orders = _after(Event.OPENED, gone, Event.OPENED, gone)
    assert (session.condition, orders) == ("outdated", [None, Order.OPEN, None, Order.WAIT])
    session, orders = _after(Event.OPENED, gone, Event.OPENED, seen, gone)
    assert (session.condition, orders[-1]) == ("opening", Order.OPEN)


def test_what_a_chat_missed_only_a_chat_shows_back() -> None:
    """The idle page looks as ever, so each pause ends with one more try, and grows."""
    gone, seen = Event.CHAT_LANDMARK_GONE, Event.USABLE
    session, orders = _after(Event.OPENED, gone, Event.OPENED, seen, gone, seen, gone)
    assert (session.condition, session.pauses) == ("outdated", 2)
    assert orders == [None, Order.OPEN, None, None, Order.WAIT, None, Order.WAIT]
    assert step(step(session, seen)[0], Event.CHAT_DONE) == (READY, None)


@pytest.mark.parametrize(
    ("event", "condition"),
    [(Event.LOGIN_WALL, "needs_login"), (Event.HUMAN_CHECK, "needs_human")],
)
def test_a_person_is_waited_for_without_a_reload(event: Event, condition: str) -> None:
    """However often it is looked at; once the page can be used, the instance is ready by itself."""
    session, orders = _after(Event.OPENED, event, Event.UNUSABLE, event, Event.UNUSABLE)
    assert session.condition == condition
    assert orders == [None, *[Order.WAIT] * 4]
    assert step(session, Event.USABLE)[0].condition == "ready"
    assert pause_s(session, None, 7.0) == 7.0


def test_a_rest_ends_by_itself() -> None:
    """After it the page is used again as it is, or opened anew if it is none."""
    session, orders = _after(Event.OPENED, Event.REFUSED)
    assert (session.condition, orders[-1]) == ("resting", Order.WAIT)
    assert step(session, Event.USABLE)[0].condition == "ready"
    assert step(session, Event.UNUSABLE) == (session, Order.OPEN)


def test_rests_are_as_long_as_the_site_says_or_grow() -> None:
    """The site's own word counts; without one the pauses double, and a good chat forgets them."""
    session, _ = _after(Event.OPENED, Event.REFUSED)
    assert (pause_s(session, 3.0, 1.0), pause_s(session, None, 1.0)) == (3.0, 30.0)
    pauses = []
    for _ in range(8):
        session, _ = step(session, Event.REFUSED)
        pauses.append(pause_s(session, None, 1.0))
    assert pauses == [60.0, 120.0, 240.0, 480.0, *[900.0] * 4]
    session, _ = step(step(step(session, Event.USABLE)[0], Event.CHAT_DONE)[0], Event.REFUSED)
    assert pause_s(session, None, 1.0) == 30.0


def test_an_expired_session_is_renewed_at_once_and_then_with_pauses() -> None:
    """All of it goes, cookies too; if the new one has expired too, there is no hurry."""
    session, orders = _after(Event.OPENED, Event.EXPIRED, Event.EXPIRED, Event.UNUSABLE)
    assert session.condition == "expired"
    assert orders == [None, Order.RENEW, Order.WAIT, Order.RENEW]


def test_a_session_that_lasted_is_renewed() -> None:
    """It opens, and what was forgiven or not stays so."""
    failed = Session("ready", 1, doubt="chat")
    assert step(failed, Event.LASTED) == (Session("opening", 1, doubt="chat"), Order.RENEW)


def test_errors_say_what_happened_to_the_session() -> None:
    """In a chat, while opening, and while looking at a page that waits for something."""
    assert after_chat("upstream") is Event.CHAT_FAILED
    assert after_chat("content_rejected") is None
    assert after_open("profile_outdated") is Event.LANDMARK_GONE
    assert after_open("upstream") is None
    assert after_look(READY, "resting") is Event.REFUSED
    assert after_look(Session("resting"), "resting") is Event.UNUSABLE
    assert after_look(Session("resting"), "needs_human") is Event.HUMAN_CHECK
    assert after_look(Session("needs_human"), "profile_outdated") is Event.UNUSABLE


@given(st.lists(st.sampled_from(Event)))
def test_whoever_waits_is_told_to_look_again(events: list[Event]) -> None:
    """No condition is a dead end: each step that leads into waiting orders a look after a pause."""
    session, order = Session(), None
    for event in events:
        session, order = step(session, event)
        if session.condition in WAITING and event is not Event.CHAT_DONE:
            assert order in (Order.WAIT, Order.OPEN, Order.RENEW)
            assert 0 < pause_s(session, None, 1.0) <= PAUSE_LIMIT_S


def test_a_site_that_is_away_is_tried_sooner() -> None:
    """A connection is cheap: pauses begin at a second, and end at half a minute."""
    session, orders = _after(Event.AWAY, Event.AWAY)
    assert (session.condition, orders) == ("away", [Order.WAIT, Order.WAIT])
    assert pause_s(session, None, 10.0) == 2.0
    for _ in range(20):
        session, _ = step(session, Event.AWAY)
    assert pause_s(session, None, 10.0) == 30.0
    assert step(session, Event.USABLE)[0].condition == "ready"


def test_where_nothing_cures_failures_end_nothing() -> None:
    """Without a limit the site is only looked at again."""
    session = READY
    for _ in range(FAILURES_LIMIT + 5):
        session, order = step(session, Event.CHAT_FAILED, 0)
        assert (session.condition, order) == ("opening", Order.OPEN)
