"""When a session has lasted long enough."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.schema.config import SessionConfig
from arenad.worker.renewal import Lease, why_now

BEGUN = Lease(began_s=100.0, chats=7, draw=0.0)


def test_a_session_lasts_for_ever_unless_told_otherwise() -> None:
    """Nothing is due by default, and a wish at once, which says whose it is."""
    assert why_now(BEGUN, 1e9, 10**6, SessionConfig()) == ""
    wished = Lease(began_s=100.0, chats=7, draw=0.0, wish="an operator wants one")
    assert why_now(wished, 100.0, 7, SessionConfig()) == "an operator wants one"


def test_the_limits_count_from_the_sessions_begin() -> None:
    """Chats of an earlier session in the same process are none of this one's."""
    rules = SessionConfig(max_age_s=60.0, max_requests=3)
    assert why_now(BEGUN, 159.0, 9, rules) == ""
    assert why_now(BEGUN, 101.0, 10, rules) == "it has had 3 requests (session.max_requests 3)"
    assert why_now(BEGUN, 160.0, 7, rules) == "it has lasted for 60 s (session.max_age_s 60)"


@given(
    st.floats(0, 1, exclude_max=True), st.floats(0, 100), st.integers(1, 1000), st.integers(0, 1000)
)
def test_the_jitter_only_shortens(draw: float, percent: float, limit: int, had: int) -> None:
    """At the limit a session is always due, before its shortened one never, after one chat maybe."""
    rules = SessionConfig(max_requests=limit, jitter_percent=percent)
    is_due = bool(why_now(Lease(began_s=0.0, chats=0, draw=draw), 0.0, had, rules))
    if had >= limit:
        assert is_due
    if not had or had < int(limit * (1 - percent / 100)):
        assert not is_due
