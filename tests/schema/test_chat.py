"""Requests, events and failures survive the wire as they are."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad import errors
from arenad.errors import RequestError
from arenad.schema import chat
from arenad.schema.chat import CONTENT, Chat, Event, Failure, SideFailed, error_of, failure_of
from arenad.schema.frame import Body
from arenad.wire import Peer

_seconds = st.floats(min_value=0, max_value=1e6)
_chats = st.builds(
    Chat, first_event_timeout_s=_seconds, idle_timeout_s=_seconds, total_timeout_s=_seconds
)
_failures = st.builds(Failure, retry_after_s=st.none() | _seconds)
_events = st.one_of(
    *(st.builds(kind) for kind in get_args(Event) if kind is not SideFailed),
    st.builds(SideFailed, _failures),
)


@given(st.one_of(_chats, _events, st.builds(chat.Finish), _failures))
def test_every_value_makes_a_round_trip(body: Body) -> None:
    """What the parser made is what the vocabulary gets."""
    (frame,) = Peer().receive(Peer().note(body))
    assert frame.body == body


@pytest.mark.parametrize("kind", sorted(errors.KINDS.values(), key=lambda kind: kind.kind))
@given(st.text(), st.none() | _seconds, st.none() | st.text())
def test_an_error_comes_out_as_it_went_in(
    kind: type[RequestError], message: str, retry_after_s: float | None, param: str | None
) -> None:
    """The same class with the same parts."""
    error = error_of(failure_of(kind(message, retry_after_s=retry_after_s, param=param)))
    assert type(error) is kind
    assert (error.message, error.retry_after_s, error.param) == (message, retry_after_s, param)


@given(_failures)
def test_no_failure_is_lost(failure: Failure) -> None:
    """An unknown kind, of another version perhaps, is an internal error with its message."""
    error = error_of(failure)
    assert error.message == failure.message
    assert type(error) is errors.KINDS.get(failure.kind, RequestError)


def test_a_failure_can_always_be_sent() -> None:
    """Half a surrogate pair, quoted from a page, is replaced."""
    failure = failure_of(errors.UpstreamFailed("the page says \ud83d"))
    assert failure.message == "the page says ?"
    assert msgspec.msgpack.encode(failure)


def test_content_is_every_event_that_a_client_would_miss() -> None:
    """All but a heartbeat, a name, and the end of a side: after one a request stays where it is."""
    ends = {chat.Finish, chat.SideFailed}
    assert set(CONTENT) == set(get_args(Event)) - {chat.Heartbeat, chat.Began} - ends


def test_values_are_frozen_and_compare_by_value() -> None:
    """An event may be kept, sent twice and put into a set."""
    delta = chat.TextDelta("a")
    with pytest.raises(AttributeError):
        delta.text = "b"  # pyright: ignore[reportAttributeAccessIssue] - the fault under test
    assert {delta, chat.TextDelta("a")} == {delta}
