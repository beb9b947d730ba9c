"""pace: simulated sites that refuse, and the pace that comes of it."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.pace import ONE_REFUSAL_S, SLOWEST_SHARE, allowed_per_minute, gap_s, slowed
from arenad.schema.process import Pace


def _pace(per_minute: float = 60.0, spacing_s: float = 0.0) -> Pace:
    return Pace(per_minute, spacing_s, jitter_percent=20.0, turns_path="")


def test_a_refusal_halves_and_calm_raises_again() -> None:
    """Half at once, a tenth of the configured pace more each minute, and never more than that."""
    halved = slowed(_pace(), 1000.0)
    minutes = [allowed_per_minute(halved, 1000.0 + 60 * minute) for minute in range(8)]
    assert minutes == [30.0, 36.0, 42.0, 48.0, 54.0, 60.0, 60.0, 60.0]


def test_refusals_of_one_moment_count_once() -> None:
    """Chats under way together meet the same limit; a later refusal is another one."""
    once = slowed(_pace(), 1000.0)
    assert slowed(once, 1000.0 + ONE_REFUSAL_S / 2) == once
    assert allowed_per_minute(slowed(once, 1000.0 + ONE_REFUSAL_S), 1010.0) < 16.0


def test_without_a_pace_there_is_nothing_to_slow() -> None:
    """No limit stays none; a spacing alone stays as it is."""
    assert slowed(_pace(0.0), 1000.0) == _pace(0.0)
    assert allowed_per_minute(_pace(0.0), 0.0) == 0
    assert gap_s(_pace(0.0), 0.0, 0.5) == 0
    assert gap_s(_pace(0.0, 2.0), 0.0, 0.5) == 2.2
    assert gap_s(_pace(60.0, 0.5), 0.0, 0.5) == 1.0


@given(st.lists(st.floats(0, 600), max_size=40), st.floats(0.01, 60_000))
def test_the_pace_stays_within_its_bounds(pauses_s: list[float], per_minute: float) -> None:
    """However refusals come, it is never above the configured pace nor below a sixteenth of it."""
    pace, now_s = _pace(per_minute), 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        before = allowed_per_minute(pace, now_s)
        pace = slowed(pace, now_s)
        after = allowed_per_minute(pace, now_s)
        assert per_minute * SLOWEST_SHARE * 0.999 <= after <= before <= per_minute


def test_it_settles_at_what_a_site_allows() -> None:
    """A site that refuses above 20 a minute is asked some 10 to 30 times, not 60, and keeps going."""
    pace, now_s, sent_s, refusals = _pace(), 0.0, list[float](), 0
    while now_s < 3600.0:
        window = [each for each in sent_s if now_s - each < 60.0]
        if len(window) >= 20:
            pace, refusals = slowed(pace, now_s), refusals + 1
        else:
            sent_s.append(now_s)
        now_s += gap_s(pace, now_s, 0.0)
    assert 600 <= len(sent_s) <= 1200
    assert refusals < len(sent_s) / 10
