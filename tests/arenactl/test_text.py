"""The floor of every page: what is safe to print and how wide it is."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arenactl import text

NUMBERS = st.floats() | st.integers().map(lambda value: float(value % 10**12))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand\x85more", "two lines and more"),
        ("\x1b[2J\x07", "�[2J�"),
        ("\u202eright to left\u2069", "right to left"),
        ("❤\ufe0f", "❤"),
        ("\ud800", "�"),
    ],
)
def test_clean_leaves_nothing_that_steers_a_terminal(raw, shown):
    """Controls, direction marks, variation selectors and lone surrogates do not get through."""
    assert text.clean(raw) == shown


@pytest.mark.parametrize(
    ("shown", "columns"), [("abc", 3), ("東京", 4), ("e\u0301", 1), ("🦊x", 3), ("", 0)]
)
def test_width_is_counted_in_columns(shown, columns):
    """Wide characters take two columns and combining marks none."""
    assert text.width(shown) == columns


@pytest.mark.parametrize(
    ("whole", "columns", "shown"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("東京都庁", 5, "東京…"),
        ("東京都庁", 6, "東京…"),
        ("a word", 3, "a…"),
        ("any", 1, "…"),
        ("any", 0, ""),
    ],
)
def test_cut_shows_that_something_is_missing(whole, columns, shown):
    """A text that does not fit ends with an ellipsis, never in the middle of a wide character."""
    assert text.cut(whole, columns) == shown


@settings(deadline=None)
@given(st.text(), st.integers(0, 30), st.sampled_from(["left", "right"]))
def test_pad_fills_exactly(whole, columns, side):
    """Whatever the text, a padded cell is as wide as its column, so that columns align."""
    assert text.width(text.pad(whole, columns, side)) == columns


@settings(deadline=None)
@given(st.text(), st.integers(1, 30))
def test_wrap_keeps_every_line_narrow(whole, columns):
    """No line of a wrapped text is wider than asked."""
    assert all(text.width(line) <= columns for line in text.wrap(whole, columns))


def test_wrap_keeps_the_words():
    """Wrapping moves words to the next line and loses none."""
    assert text.wrap("one two  three", 7) == ["one two", "three"]


@pytest.mark.parametrize(
    ("write", "value", "shown"),
    [
        (text.count, 0, "0"),
        (text.count, 99_999, "99999"),
        (text.count, 100_000, "100k"),
        (text.count, 1_234_567, "1.2M"),
        (text.count, 10**30, ">T"),
        (text.count, -(10**30), "<-T"),
        (text.size, 0, "-"),
        (text.size, 431_000_000, "411M"),
        (text.size, 1_300_000_000, "1.2G"),
        (text.size, 512, "0.5K"),
        (text.percent, 12.4, "12%"),
        (text.percent, 1e9, "9999%"),
        (text.percent, math.nan, "-"),
        (text.rate, 1.84, "1.8"),
        (text.rate, 12_345.6, "12345"),
        (text.rate, math.inf, "-"),
        (text.age, 0.4, "0s"),
        (text.age, 59.9, "59s"),
        (text.age, 61, "1m"),
        (text.age, 7200, "2h"),
        (text.age, 86400 * 3, "3d"),
        (text.age, 1e12, "999d"),
        (text.age, -1, "-"),
        (text.span, 42, "42 s"),
        (text.span, 95, "1 min 35 s"),
        (text.span, 11520, "3 h 12 min"),
        (text.span, 90000, "1 d 1 h"),
        (text.span, math.nan, "-"),
    ],
)
def test_numbers_read_at_a_glance(write, value, shown):
    """Counters, sizes, shares and ages come in few columns with the unit that fits."""
    assert write(value) == shown


@pytest.mark.parametrize(
    ("write", "columns"),
    [(text.percent, 5), (text.rate, 7), (text.age, 4), (text.clock, 8), (text.clock_ms, 12)],
)
@settings(deadline=None)
@given(value=NUMBERS)
def test_measurements_stay_in_their_columns(write, columns, value):
    """No measurement, however wrong, breaks the table or raises."""
    assert len(write(value)) <= columns


@settings(deadline=None)
@given(st.integers())
def test_whole_numbers_stay_in_their_columns(number):
    """No counter, however large, breaks the table."""
    assert len(text.count(number)) <= 6
    assert len(text.size(number)) <= 6


def test_clock_is_local_time_with_milliseconds(monkeypatch):
    """The time of day is the operator's own."""
    monkeypatch.setenv("TZ", "UTC+2")
    text.time.tzset()
    try:
        assert text.clock_ms(3600.0625 + 7200) == "01:00:00.062"
    finally:
        monkeypatch.undo()
        text.time.tzset()
