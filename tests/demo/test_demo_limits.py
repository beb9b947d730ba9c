"""Windows of time in which an address may make so many requests."""

import pytest

from arenad.demo import limits


def test_a_window_counts_down() -> None:
    """Each request takes one; the last one that fits leaves none, the next is refused."""
    windows = limits.Windows()
    standings = [windows.take("a", 2, 10, 100.0) for _ in range(3)]
    assert [each.remaining for each in standings] == [1, 0, 0]
    assert [each.allowed for each in standings] == [True, True, False]


def test_a_new_window_begins_after_its_time() -> None:
    """Who waits as long as he is told is served."""
    windows = limits.Windows()
    windows.take("a", 1, 10, 100.0)
    refused = windows.take("a", 1, 10, 104.5)
    assert (refused.allowed, refused.reset_s) == (False, 6)
    assert windows.take("a", 1, 10, 104.5 + refused.reset_s).allowed


def test_addresses_have_windows_of_their_own() -> None:
    """One address costs another nothing."""
    windows = limits.Windows()
    windows.take("a", 1, 10, 100.0)
    assert windows.take("b", 1, 10, 100.0).allowed


def test_headers_are_those_of_the_edge() -> None:
    """In the words that were captured."""
    assert limits.Standing(3, 1, 7, 10, allowed=True).headers() == {
        "ratelimit": "limit=3, remaining=1, reset=7",
        "ratelimit-policy": "3;w=10",
    }


def test_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one seen longest ago is forgotten."""
    monkeypatch.setattr(limits, "ADDRESSES_LIMIT", 2)
    windows = limits.Windows()
    for address in "abc":
        windows.take(address, 1, 10, 0.0)
    assert windows.take("a", 1, 10, 0.0).allowed
    assert not windows.take("c", 1, 10, 0.0).allowed
