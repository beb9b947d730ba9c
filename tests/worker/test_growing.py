"""What is new in a whole, and whether it still stands."""

from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.sites.grammars.growing import ALWAYS_CHARS, CLOSERS, FINE, Growing, Seldom


def test_closers_are_kept_back_until_they_stand() -> None:
    """A fence that only closes what still grows is not passed on."""
    growing = Growing(held=CLOSERS)
    wholes = ["a **bo**", "a **bold**", "a **bold**\n\n```\nx\n```", "a **bold**\n\n```\nx\ny\n```"]
    assert [growing.grow(whole) for whole in wholes] == ["a **bo", "ld", "**\n\n```\nx", "\ny"]
    assert growing.rest() == "\n```"
    assert not growing.is_rewritten


def test_a_rewrite_is_told_unless_it_is_taken_back() -> None:
    """Only the last whole decides."""
    growing = Growing()
    assert [growing.grow(whole) for whole in ("abc", "xbc", "abcd")] == ["abc", "", "d"]
    assert not growing.is_rewritten
    growing.grow("ab")
    assert growing.rest() == ""
    assert growing.is_rewritten
    assert growing.passed_chars == 4


@given(
    st.lists(st.text("ab*`▌ \n")),
    st.sampled_from(["", "▌"]),
    st.sampled_from(["", CLOSERS]),
    st.booleans(),
)
def test_what_is_passed_on_stays_said(
    wholes: list[str], cursor: str, held: str, last: bool
) -> None:
    """Together the pieces are the last whole, or it is told that they are not."""
    growing = Growing(cursor, held, is_last_only=last)
    said = "".join(growing.grow(whole) for whole in wholes) + growing.rest()
    latest = wholes[-1].removesuffix(cursor) if wholes else ""
    assert said == latest or growing.is_rewritten
    if last:
        assert said == latest


@given(st.lists(st.integers(0, 300), max_size=300))
def test_a_whole_is_read_a_bounded_number_of_times(pieces: list[int]) -> None:
    """All readings together cost a multiple of its length; short ones are read each time."""
    seldom, chars, read = Seldom(), 0, 0
    for piece in pieces:
        chars += piece
        is_due = seldom.is_due(chars)
        assert is_due or chars > ALWAYS_CHARS
        read += chars * (is_due and chars > ALWAYS_CHARS)
    assert read <= (FINE + 2) * chars
