"""The session's brain as conversations."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.session import FAILURES_LIMIT, Event, Order, Session, step

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
    """Gone again on the fresh page it is broken; seen in between, it may be gone another time."""
    gone, seen = Event.LANDMARK_GONE, Event.LANDMARK_SEEN
    session, orders = _after(Event.OPENED, gone, Event.OPENED, gone)
    assert (session.condition, orders) == ("broken", [None, Order.OPEN, None, Order.GIVE_UP])
    session, orders = _after(Event.OPENED, gone, Event.OPENED, seen, gone)
    assert (session.condition, orders[-1]) == ("opening", Order.OPEN)
