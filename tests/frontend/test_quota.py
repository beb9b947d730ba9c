"""quota: whatever comes and whenever, no minute and no day has more than its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import OverBudget, OverLimit, RequestError, TooManyTokens
from arenad.frontend import quota
from arenad.frontend.quota import Wanted
from arenad.schema.keys import Key, Limits
from arenad.usage import DAY_S, Use

ID = "00112233445566ff"
NOON_S = 1000 * DAY_S + DAY_S / 2


def key(**limits: int) -> Key:
    return Key(name="alice", id=ID, scopes=("chat",), limits=Limits(**limits))


def ask(
    key: Key, use: Use, at_s: float, tokens: int = 1, running: int = 0, chats: int = 1
) -> RequestError | None:
    """One request at this time; it is counted if it fits."""
    use.advance(at_s, NOON_S + at_s)
    why = quota.refusal(key, use, running, Wanted(tokens, chats), at_s, NOON_S + at_s)
    if why is None:
        use.add(chats, tokens)
    return why


TIMES = st.lists(st.floats(0.0, 9.0), min_size=1, max_size=200)


@given(TIMES, st.integers(1, 20), st.integers(1, 12))
def test_no_sixty_seconds_have_more_than_the_limit(
    gaps: list[float], limit: int, tokens: int
) -> None:
    """Of requests and of tokens, wherever the sixty seconds begin."""
    limited = key(requests_per_minute=limit, tokens_per_minute=3 * limit)
    use, at_s, taken = Use(), 5000.3, []
    for gap in gaps:
        at_s += gap
        if ask(limited, use, at_s, tokens) is None:
            taken.append(at_s)
    for first in taken:
        together = sum(first <= each < first + 60 for each in taken)
        assert together <= limit
        assert together * tokens <= 3 * limit


@given(TIMES, st.integers(1, 20), st.integers(1, 9))
def test_the_told_wait_is_neither_too_short_nor_too_long(
    gaps: list[float], limit: int, tokens: int
) -> None:
    """After it the same request fits, and just before it does not."""
    limited = key(requests_per_minute=limit, tokens_per_minute=9 * limit)
    use, at_s = Use(), 5000.3
    why = None
    for gap in gaps:
        at_s += gap / 9
        why = ask(limited, use, at_s, tokens)
        if why is not None:
            break
    if why is None:
        return
    assert why.retry_after_s is not None
    assert 0 < why.retry_after_s <= 61
    early_s, due_s = at_s + why.retry_after_s - 0.001, at_s + why.retry_after_s + 0.001
    if early_s > at_s:
        assert ask(limited, use, early_s, tokens) is not None
    assert ask(limited, use, due_s, tokens) is None


@pytest.mark.parametrize(
    ("limits", "kind", "words"),
    [
        ({"requests_per_minute": 2}, OverLimit, "2 requests a minute"),
        ({"tokens_per_minute": 20}, TooManyTokens, "20 tokens a minute"),
        ({"requests_per_day": 2}, OverBudget, "2 of its 2 requests of today"),
        ({"tokens_per_day": 20}, OverBudget, "20 of its 20 tokens of today"),
    ],
)
def test_each_limit_has_its_words(
    limits: dict[str, int], kind: type[RequestError], words: str
) -> None:
    """And the key's name, so that a person knows whose it is."""
    use = Use()
    assert ask(key(**limits), use, 100.0, 10) is None
    assert ask(key(**limits), use, 100.0, 10) is None
    why = ask(key(**limits), use, 100.0, 10)
    assert type(why) is kind
    assert words in why.message
    assert "'alice'" in why.message


def test_what_runs_is_limited_too() -> None:
    """Nobody knows when one of them ends, so it is asked again soon."""
    use = Use()
    assert ask(key(concurrency=2), use, 100.0, running=1) is None
    why = ask(key(concurrency=2), use, 100.0, running=2)
    assert type(why) is OverLimit
    assert why.retry_after_s == quota.CONCURRENCY_RETRY_S


def test_each_chat_of_a_request_counts() -> None:
    """In all limits of requests, and of what runs; more than a limit allows can never fit."""
    use = Use()
    assert ask(key(requests_per_minute=4), use, 100.0, chats=3) is None
    why = ask(key(requests_per_minute=4), use, 100.0, chats=2)
    assert type(why) is OverLimit
    assert "has used 3, and this request is 2" in why.message
    assert type(ask(key(requests_per_day=4), use, 100.0, chats=2)) is OverBudget
    why = ask(key(requests_per_day=4), Use(), 100.0, chats=5)
    assert type(why) is OverBudget
    assert why.retry_after_s is None
    assert "may use 4 requests a day, and this request alone is 5; send less" in why.message
    assert ask(key(concurrency=4), Use(), 100.0, running=2, chats=2) is None
    why = ask(key(concurrency=4), Use(), 100.0, running=3, chats=2)
    assert why is not None
    assert why.retry_after_s == quota.CONCURRENCY_RETRY_S
    assert "has 3 requests running, of 4 at most, and this one is 2" in why.message
    why = ask(key(concurrency=4), Use(), 100.0, chats=5)
    assert why is not None
    assert why.retry_after_s is None
    assert "may have 4 chats running, and this request alone is 5; ask for fewer" in why.message


def test_a_day_ends_at_midnight() -> None:
    """Of UTC; the wait that is told leads right there."""
    use, limited = Use(), key(requests_per_day=1)
    assert ask(limited, use, 0.0) is None
    why = ask(limited, use, 10.0)
    assert why is not None
    assert why.retry_after_s == pytest.approx(DAY_S / 2 - 10)
    assert ask(limited, use, DAY_S / 2 - 1) is not None
    assert ask(limited, use, DAY_S / 2 + 1) is None


def test_a_request_that_can_never_fit_is_told_so() -> None:
    """No wait helps it."""
    why = ask(key(tokens_per_minute=20), Use(), 0.0, 21)
    assert why is not None
    assert why.retry_after_s is None
    assert "send less" in why.message


def test_a_clock_that_went_back_is_of_another_boot() -> None:
    """What was counted before counts no more, and nothing fails."""
    use, limited = Use(), key(requests_per_minute=1)
    assert ask(limited, use, 9000.0) is None
    assert ask(limited, use, 3.0) is None
    assert ask(limited, use, 4.0) is not None


def test_clients_are_told_what_is_left() -> None:
    """As OpenAI's headers have it; nothing of what has no limit."""
    use, limited = Use(), key(requests_per_minute=3, tokens_per_minute=100)
    ask(limited, use, 100.25, 10)
    left = quota.headers(quota.allowance(limited.limits, use, 100.25))
    assert left == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "60.75s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "90",
        "x-ratelimit-reset-tokens": "60.75s",
    }
    assert quota.headers(quota.allowance(key().limits, use, 100.25)) == {}


def test_anthropics_clients_are_told_what_is_left() -> None:
    """By its names; when all is there again is a date."""
    use, limited = Use(), key(requests_per_minute=3, tokens_per_minute=100)
    ask(limited, use, 100.25, 10)
    told = quota.anthropic_headers(
        quota.allowance(limited.limits, use, 100.25), lambda seconds: f"in {seconds:g}"
    )
    assert told == {
        "anthropic-ratelimit-requests-limit": "3",
        "anthropic-ratelimit-requests-remaining": "2",
        "anthropic-ratelimit-requests-reset": "in 60.75",
        "anthropic-ratelimit-tokens-limit": "100",
        "anthropic-ratelimit-tokens-remaining": "90",
        "anthropic-ratelimit-tokens-reset": "in 60.75",
    }
    nothing = quota.allowance(key().limits, use, 100.25)
    assert quota.anthropic_headers(nothing, str) == {}
