"""How often a page is drawn."""

import pytest

from arenad.worker.frame_rate import PACES, VIEWED_HZ, Doing, interval_s

FAST_S = 1 / PACES["acting"].hz
VIEWED_S = 1 / VIEWED_HZ


@pytest.mark.parametrize("doing", PACES)
def test_what_goes_on_says_how_often(doing: Doing) -> None:
    """Once what went before has settled."""
    assert interval_s(doing, 3600.0, 0.0, is_viewed=False) == 1 / PACES[doing].hz


def test_a_page_that_begins_to_rest_is_drawn_until_it_has_settled() -> None:
    """What an act set going comes to its end as it would anywhere."""
    settle_s = PACES["resting"].settle_s
    assert interval_s("resting", settle_s * 0.99, 0.0, is_viewed=False) == FAST_S
    assert interval_s("resting", settle_s, 0.0, is_viewed=False) == 1 / PACES["resting"].hz
    slow_s = 10 * settle_s
    assert (
        interval_s("resting", -slow_s, slow_s, is_viewed=False) == slow_s / PACES["resting"].share
    )


def test_acts_in_a_row_are_not_kept_waiting_by_frames() -> None:
    """Soon after the last one the page is drawn as it would be anywhere."""
    pace = PACES["acting"]
    assert interval_s("acting", 0.0, 0.0, is_viewed=False) == 1 / pace.settling_hz > FAST_S
    assert interval_s("acting", pace.settle_s, 0.0, is_viewed=False) == FAST_S


def test_an_answer_costs_no_fast_frames_from_its_first_moment_on() -> None:
    """Thirty that begin at once would else be late in their first second."""
    for since_s in (-1.0, 0.0):
        assert interval_s("streaming", since_s, 0.0, is_viewed=False) == 1 / PACES["streaming"].hz


@pytest.mark.parametrize("doing", PACES)
def test_who_looks_sees_it_move(doing: Doing) -> None:
    """As often as a screencast shows a picture, or as the page is drawn anyway."""
    shown_s = interval_s(doing, 3600.0, 0.0, is_viewed=True)
    assert shown_s == min(VIEWED_S, 1 / PACES[doing].hz)


@pytest.mark.parametrize("doing", PACES)
def test_a_page_that_is_long_in_drawing_is_drawn_as_seldom(doing: Doing) -> None:
    """Whether a person looks or not, the rest of the time is its own."""
    took_s = 100.0
    assert interval_s(doing, 0.0, took_s, is_viewed=True) == took_s / PACES[doing].share
