"""One side of an answer, and the verdict on all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import ContentRejected, RequestError, Resting, UpstreamFailed
from arenad.schema.chat import Finish, FinishReason, Image, SideFailed, TextDelta, failure_of
from arenad.worker.sites.grammars.answer import (
    MAX_BLANK_CHARS,
    MAX_LISTED,
    Side,
    Signs,
    error_of_kind,
    verdict,
)

FAILED = UpstreamFailed("no")


@given(
    st.lists(st.text("abc ", max_size=3)),
    st.sampled_from([{}, {"abc": "resting"}, {"ab": "upstream", "b": "upstream"}]),
)
def test_signs_hold_back_only_what_may_be_one(pieces: list[str], kinds: dict[str, str]) -> None:
    """What is passed on is the text, or it is a failure and nothing was passed on."""
    signs, passed, trouble = Signs(kinds), "", None
    for piece in pieces:
        text, error = signs.read(piece)
        passed, trouble = passed + text, trouble or error
        if trouble:
            break
    whole = "".join(pieces)
    begins = any(whole.lstrip().startswith(sign) for sign in kinds)
    assert (trouble is not None) is begins
    assert passed == "" if begins else passed + signs.rest() == whole


def test_reasons_and_failures() -> None:
    """The first failure is told; a reason that means failure is one."""
    side = Side(1)
    assert not side.is_over
    side.finish("LENGTH")
    assert (side.is_over, side.reason) == (True, "length")
    assert side.outcome(FAILED, needs_finish=True) is FAILED
    assert side.text("x") == [TextDelta("x", 1)]
    assert side.outcome(FAILED, needs_finish=True) == Finish("length", 1)
    side.finish("error")
    side.fail(Resting("later"))
    outcome = side.outcome(FAILED, needs_finish=True)
    assert isinstance(outcome, UpstreamFailed)
    assert side.text("more") == []


def test_what_the_site_says_may_be_a_sign() -> None:
    """Anywhere in the words of an error."""
    side = Side(signs={"policy": "content_rejected"})
    side.fail_as_told("against our policy\ud800")
    outcome = side.outcome(FAILED, needs_finish=False)
    assert isinstance(outcome, ContentRejected)
    assert str(outcome) == "the site reports: against our policy\ufffd"
    assert isinstance(error_of_kind("unheard-of", "x"), UpstreamFailed)


def test_images_and_sources_once_and_not_without_end() -> None:
    """A stream of wholes names them each time."""
    side = Side()
    assert side.image("u") == [Image("u")]
    assert side.image("u") == []
    assert len(side.citation("u", "T")) == 1
    assert sum(bool(side.image(str(number))) for number in range(2 * MAX_LISTED)) == MAX_LISTED - 2


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        ([Finish("stop")], ([], Finish("stop"))),
        ([Finish("stop"), Finish("length", 1)], ([Finish("length", 1)], Finish("stop"))),
        ([FAILED], "no"),
        ([Finish("stop"), FAILED], ([SideFailed(failure_of(FAILED), 1)], Finish("stop"))),
        ([FAILED, Finish("stop", 1)], ([SideFailed(failure_of(FAILED))], Finish("stop", 1))),
        ([Resting("r", retry_after_s=3.0), FAILED], "side A: r"),
    ],
)
def test_an_answer_has_failed_if_each_side_has(
    outcomes: list[Finish | RequestError], wanted: object
) -> None:
    """A failed side is an event beside a whole one; of two, the error keeps what it says of waiting."""
    events, outcome = verdict(outcomes)
    if isinstance(outcome, RequestError):
        assert outcome.message == wanted
        assert outcome.retry_after_s in (None, 3.0)
    else:
        assert (events, outcome) == wanted


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stop"], "stop"),
        (["end_turn"], "stop"),
        (["max_length"], "length"),
        (["MODEL_LENGTH"], "length"),
        (["incomplete"], "length"),
        (["max-output-tokens"], "length"),
        (["SAFETY"], "content_filter"),
        (["content-filter", "stop"], "content_filter"),
        (["length", "stop"], "length"),
        (["stop", "length"], "length"),
        (["stop", "cancelled"], "stop"),
    ],
)
def test_the_reason_is_told_as_the_client_knows_it(words: list[str], told: FinishReason) -> None:
    """The makers have many words for each; a plain end that follows takes none back."""
    side = Side()
    side.text("x")
    for word in words:
        side.finish(word)
    assert side.outcome(FAILED, needs_finish=True) == Finish(told)


@pytest.mark.parametrize(
    "word",
    [
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "timeout",
        "TIMED-OUT",
        "interrupted",
        "insufficient_system_resource",
    ],
)
def test_half_an_answer_is_none(word: str) -> None:
    """Whatever the site calls it."""
    side = Side()
    side.text("x")
    side.finish(word)
    outcome = side.outcome(FAILED, needs_finish=True)
    assert isinstance(outcome, UpstreamFailed)
    assert "cut off before its end" in outcome.message


def test_blanks_are_not_held_back_for_ever() -> None:
    """A failure does not begin behind a page of them."""
    signs = Signs({"abc": "resting"})
    assert signs.read(" " * MAX_BLANK_CHARS) == ("", None)
    assert signs.read(" ") == (" " * (MAX_BLANK_CHARS + 1), None)
    assert signs.read("abc") == ("abc", None)
