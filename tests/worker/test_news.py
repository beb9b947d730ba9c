"""What an instance tells of itself at once, and what it keeps for later."""

import msgspec
import pytest

from arenad.schema.process import Beat
from arenad.worker.news import TOLD_AGAIN_S, is_news

TOLD = Beat(
    busy=0,
    answered=7,
    failed=1,
    memory_bytes=300_000_000,
    processes=9,
    cpu_percent=2.0,
    loop_lag_ms=1.0,
)


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
    ],
)
def test_what_somebody_would_act_on_is_told_at_once(field: str, value: float) -> None:
    """Each chat's begin and end, and a measurement that moved by a share."""
    assert is_news(TOLD, msgspec.structs.replace(TOLD, **{field: value}), 0.1)


def test_jitter_is_kept_for_later() -> None:
    """Memory and processor never stand still; told once a minute they wake nobody in vain."""
    jittered = msgspec.structs.replace(
        TOLD, memory_bytes=310_000_000, processes=10, cpu_percent=5.5, loop_lag_ms=9.0
    )
    assert not is_news(TOLD, jittered, TOLD_AGAIN_S - 0.1)
    assert is_news(TOLD, jittered, TOLD_AGAIN_S)


def test_the_first_measurement_is_told() -> None:
    """Nobody knows anything yet."""
    assert is_news(None, TOLD, 0.0)


def test_each_reading_of_an_idle_instance_that_burns_is_told() -> None:
    """Several in a row are what it is recycled for; with a chat it may burn."""
    burning = msgspec.structs.replace(TOLD, cpu_percent=11.0)
    again = msgspec.structs.replace(burning, readings=burning.readings + 1)
    assert is_news(burning, again, 0.1)
    busy = msgspec.structs.replace(burning, busy=1)
    assert not is_news(busy, msgspec.structs.replace(busy, readings=busy.readings + 1), 0.1)
