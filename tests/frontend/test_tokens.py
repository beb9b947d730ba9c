"""tokens: as the library counts, bounded, and the same in pieces."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.frontend import tokens
from arenad.frontend.tokens import WHOLE_CHARS, Meter, Tally, count, count_turns
from arenad.schema.chat import Turn

LONG = "The quick brown fox — “quoted” 汉字かな print(1)\n" * 4000
WORDS = st.text(st.sampled_from("ab .,\n\t'1汉é—👩\u0301"), max_size=60)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the library has no wheels for it")
def test_the_counts_are_those_of_the_encoding() -> None:
    """As OpenAI's own examples have them."""
    assert [count(text) for text in ("", "tiktoken is great!", "お誕生日おめでとう")] == [0, 6, 9]


def test_without_the_library_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the shortest word is a token."""
    monkeypatch.setattr(tokens, "_library", None)
    assert [tokens.counter.__wrapped__()(text) for text in ("", "a", "abcde", "汉字")] == [
        0,
        1,
        2,
        2,
    ]


def test_half_a_pair_is_counted() -> None:
    """A page may write it."""
    assert count("\ud800") > 0


def test_a_long_text_is_counted_by_slices() -> None:
    """Near the true count, also where one end is unlike the other."""
    pieces = [LONG[at : at + 50_000] for at in range(0, len(LONG), 50_000)]
    assert count(LONG) == pytest.approx(sum(map(count, pieces)), rel=0.02)
    uneven = "a " * 500_000 + "汉字かな" * 250_000
    assert count(uneven) == pytest.approx(10 * (count(uneven[::10])), rel=0.2)


def test_turns_cost_more_than_their_words() -> None:
    """Each has a frame, and so has the answer."""
    turn = Turn(role="user", text="hello")
    assert count_turns((turn,)) == 1 + 2 * tokens.TOKENS_PER_TURN
    assert count_turns((turn, turn)) > 2 + 3 * tokens.TOKENS_PER_TURN - 1


@given(st.lists(WORDS))
def test_pieces_are_tallied_as_their_whole(pieces: list[str]) -> None:
    """However an answer is cut into pieces."""
    tally = Tally()
    for each in pieces:
        tally.take(each)
    whole = "".join(pieces)
    assert (tally.tokens(), tally.chars) == (count(whole), len(whole))


def test_a_long_answer_is_tallied_by_its_beginning() -> None:
    """And no more than that is kept."""
    tally = Tally()
    for at in range(0, len(LONG), 100):
        tally.take(LONG[at : at + 100])
    assert tally.tokens() == pytest.approx(count(LONG), rel=0.02)
    assert sum(map(len, tally._pieces)) < WHOLE_CHARS + 100


@given(st.lists(WORDS, min_size=1), st.integers(0, 100))
def test_a_meter_lets_through_what_fits(pieces: list[str], most: int) -> None:
    """All of a text within the limit; of another a beginning that is, and one character is more."""
    meter, told = Meter(), ""
    for each in pieces:
        left = meter.left(each, most)
        told += each if left is None else left
        if left is not None:
            break
    whole = "".join(pieces)
    assert whole.startswith(told)
    assert count(told) <= most
    if told == whole:
        assert count(whole) <= most


def test_a_meter_counts_each_piece_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer costs what it is long, also one without a space."""
    counted = 0

    def told(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return count(text)

    monkeypatch.setattr(tokens, "count", told)
    for text in ("word " * 10_000, "汉" * 50_000):
        meter, counted = Meter(), 0
        for at in range(0, 50_000, 5):
            assert meter.left(text[at : at + 5], 10**9) is None
        assert counted < 60 * len(text)
