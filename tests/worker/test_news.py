"""What an instance tells of itself at once, and what it keeps for later."""

import msgspec
import pytest

from arenad.schema.process import Beat
from arenad.worker.news import TOLD_AGAIN_S, News

FIRST = Beat(
    busy=0,
    answered=7,
    failed=1,
    memory_bytes=300_000_000,
    processes=9,
    cpu_percent=2.0,
    loop_lag_ms=1.0,
    descriptors=100,
)


def after(beat: Beat, **changes: float | str) -> Beat:
    """What the next reading finds."""
    return msgspec.structs.replace(beat, readings=beat.readings + 1, **changes)


SECOND = after(FIRST)


@pytest.fixture
def news() -> News:
    """At second 1 a measurement, and the one that confirms it, have been told."""
    news = News()
    assert news.take(FIRST, 0.0)
    assert news.take(SECOND, 1.0)
    return news


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("busy", 1),
        ("answered", 8),
        ("failed", 2),
        ("memory_bytes", 331_000_000),
        ("memory_bytes", 269_000_000),
        ("cpu_percent", 40.0),
        ("loop_lag_ms", 250.0),
        ("descriptors", 111),
        ("sessions", 2),
        ("proxy", "lisbon"),
    ],
)
def test_what_somebody_would_act_on_is_told_at_once(
    news: News, field: str, value: float | str
) -> None:
    """Each chat's begin and end, and a measurement that moved by a share."""
    assert news.take(msgspec.structs.replace(SECOND, **{field: value}), 1.1)


def test_jitter_is_kept_for_later(news: News) -> None:
    """Memory and processor never stand still; told once a minute they wake nobody in vain."""
    jittered = after(
        SECOND, memory_bytes=310_000_000, processes=10, cpu_percent=5.0, loop_lag_ms=9.0
    )
    assert not news.take(jittered, 0.9 + TOLD_AGAIN_S)
    assert news.take(jittered, 1.0 + TOLD_AGAIN_S)


def test_a_size_is_told_twice(news: News) -> None:
    """One measurement may be a peak; the one after it says whether it was, and that is all."""
    grown = after(SECOND, memory_bytes=400_000_000)
    assert news.take(grown, 2.0)
    assert not news.take(grown, 2.1), "the same measurement"
    grown = after(grown)
    assert news.take(grown, 3.0)
    assert not news.take(after(grown), 4.0)


def test_each_reading_of_an_idle_instance_that_burns_is_told(news: News) -> None:
    """Several in a row are what it is recycled for; with a chat it may burn."""
    burning = SECOND
    for place in range(6):
        burning = after(burning, cpu_percent=11.0)
        assert news.take(burning, 2.0 + place)
        assert not news.take(burning, 2.1 + place), "the same measurement"
    busy = after(burning, busy=1)
    assert news.take(busy, 9.0)
    busy = after(busy)
    assert news.take(busy, 10.0)
    assert not news.take(after(busy), 11.0)
