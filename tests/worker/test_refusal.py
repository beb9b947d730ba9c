"""What a site sends in place of an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import (
    InvalidRequest,
    NeedsHuman,
    ProfileOutdated,
    RequestError,
    Resting,
    UpstreamFailed,
)
from arenad.worker.sites import refusal

WAIT = "<!DOCTYPE html><html><head><title>\n Just a moment&#8230; </title><p>check"


@pytest.mark.parametrize(
    ("status", "said", "kind", "message"),
    [
        (500, "oops", UpstreamFailed, "the site answered 500: oops"),
        (429, "slow", Resting, "the site asks for patience: slow"),
        (413, "big", InvalidRequest, "the site takes no prompt this long: big"),
        (403, WAIT, NeedsHuman, "the site answered 403: 'Just a moment…'"),
        (403, "<html>x", UpstreamFailed, "the site answered 403: one without a title"),
        (400, "x" * 999, UpstreamFailed, "the site answered 400: " + "x" * 300),
    ],
)
def test_a_status_is_an_error(
    status: int, said: str, kind: type[RequestError], message: str
) -> None:
    """By the profile's signs first, then by what the status means."""
    error = refusal.of_status(status, said, {"Just a moment": "needs_human"})
    assert (type(error), error.message) == (kind, message)


def test_a_page_in_place_of_an_answer() -> None:
    """Its signs say what it is; without any, the profile is outdated."""
    assert isinstance(refusal.of_page(WAIT, {"check": "needs_human"}), NeedsHuman)
    error = refusal.of_page(WAIT, {})
    assert isinstance(error, ProfileOutdated)
    assert error.message == "the site sent a page in place of an answer: 'Just a moment…'"


@pytest.mark.parametrize(
    ("said", "is_page"),
    [
        (WAIT, True),
        ("\n <!-- x -->\n<HTML lang=en>", True),
        ("<body>", True),
        ("<p>an answer in HTML", False),
        ("<htmlx>", False),
        ("text <html>", False),
        ("<!---->" * 10_000 + "<html>", True),
        ("<!---->" * 10_000 + "<p>", False),
        ("", False),
    ],
)
def test_what_a_page_looks_like(said: str, is_page: bool) -> None:
    """An answer may be HTML too; a page is a whole document."""
    assert refusal.is_page(said) is is_page


@given(
    st.integers(400, 599),
    st.text(),
    st.dictionaries(st.text(min_size=1), st.sampled_from(["upstream", "x"])),
)
def test_nothing_raises(status: int, said: str, signs: dict[str, str]) -> None:
    """Whatever the site says."""
    assert refusal.of_status(status, said, signs).message
    assert refusal.of_page(said, signs).message


def test_a_title_of_spaces_is_none() -> None:
    """As much of a page as is looked at: it is read once, and not in all ways there are."""
    error = refusal.of_page("<html><title>" + " " * refusal.PAGE_CHARS, {})
    assert error.message.endswith("one without a title")
