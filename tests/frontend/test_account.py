"""What one request went through, as a record of it."""

from arenad.frontend.account import MAX_MODEL_CHARS, Account, Hearing
from arenad.schema.chat import Heartbeat, ReasoningDelta, TextDelta


def test_a_request_that_was_answered() -> None:
    """The last instance, how often one was asked, and times that fit into one another."""
    account = Account("id-1", "demo-echo", streams=True, owner="alice")
    account.waits()
    account.asks("w1")
    account.waits()
    account.asks("w2")
    account.hears()
    account.hears()
    account.said.take("x" * 7)
    ended = account.ended("answered", "frontend-1")
    assert (ended.request_id, ended.model, ended.frontend) == ("id-1", "demo-echo", "frontend-1")
    assert (ended.instance, ended.asked, ended.streams, ended.chars) == ("w2", 2, True, 7)
    assert (ended.outcome, ended.error, ended.owner) == ("answered", "", "alice")
    assert ended.first_event_s is not None
    assert 0 <= ended.waited_s <= ended.first_event_s <= ended.duration_s


def test_what_nobody_sees_is_spent_all_the_same() -> None:
    """An answer that was not as it had to be, and the prompt that told so."""
    account = Account("id-1", "demo-echo", streams=False)
    account.takes(0, "hello")
    assert account.spent_tokens() == 1
    for event in (TextDelta("hello"), ReasoningDelta(" there"), Heartbeat()):
        assert Hearing(account).take(event) == [event]
    account.repeats(40)
    assert (account.tokens(), account.spent_tokens()) == (0, 42)
    Hearing(account).take(TextDelta(" there"))
    account.takes(0, "there")
    assert (account.tokens(), account.spent_tokens()) == (1, 43)


def test_each_of_several_answers_has_its_own() -> None:
    """Their sums, their instances; two sides of one answer are one text."""
    account = Account("id-1", "demo-echo", streams=False, owner="alice")
    account.takes(1, "ab")
    assert account.tokens() == 1
    account.asks("w1")
    other = account.beside()
    assert (other.owner, other.request_id) == ("alice", "id-1")
    other.asks("w2")
    other.asks("w3")
    account.takes(0, "c")
    account.takes(1, "hello there")
    assert account.tokens() == 3
    assert (account.instances, account.attempts) == ("w1, w3", 3)
    other.error = "timeout"
    account.fails("upstream")
    ended = [each.ended("failed", "") for each in account.answers()]
    assert [(each.instance, each.chars, each.error) for each in ended] == [
        ("w1", 3, "upstream"),
        ("w3", 11, "timeout"),
    ]


def test_a_request_that_left_the_queue() -> None:
    """It was never asked of anybody; all its time was waiting."""
    account = Account("id-1", "demo-echo", streams=False)
    account.waits()
    ended = account.ended("cancelled", "frontend-1")
    assert (ended.instance, ended.asked, ended.first_event_s) == ("", 0, None)
    assert 0 < ended.waited_s <= ended.duration_s


def test_a_failure_has_its_kind() -> None:
    """One that nobody named was a bug; other ends have none."""
    account = Account("id-1", "demo-echo", streams=False)
    assert account.ended("failed", "").error == "internal"
    account.error = "timeout"
    assert account.ended("failed", "").error == "timeout"
    assert account.ended("cancelled", "").error == ""


def test_a_clients_text_is_bounded() -> None:
    """A model's name may be anything that fits into a request."""
    ended = Account("id-1", "m" * 1_000_000, streams=False).ended("failed", "")
    assert len(ended.model) == MAX_MODEL_CHARS
