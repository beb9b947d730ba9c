"""How long a site asks to be left in peace, in each form in which sites say it."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.worker.sites.patience import MAX_REST_S, asked_rest_s

NOW_UNIX_S = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "rest_s"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": formatdate(NOW_UNIX_S + 90, usegmt=True)}, 90.0),
        ({"retry-after": formatdate(NOW_UNIX_S - 90, usegmt=True)}, 0.0),
        ({"retry-after": "999999999"}, MAX_REST_S),
        ({"retry-after": "soon"}, None),
        ({"ratelimit": "limit=3000, remaining=0, reset=7"}, 7.0),
        ({"ratelimit": '"default";r=0;t=8'}, 8.0),
        ({"ratelimit": "limit=3000, remaining=1, reset=7"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "9"}, 9.0),
        ({"retry-after": "3", "ratelimit": "remaining=0, reset=7"}, 3.0),
        ({}, None),
    ],
)
def test_each_form_is_understood(headers: dict[str, str], rest_s: float | None) -> None:
    """Seconds, a date, a limit that says when it begins anew; else nothing."""
    assert asked_rest_s(headers, NOW_UNIX_S) == rest_s


@given(st.dictionaries(st.sampled_from(["retry-after", "ratelimit"]), st.text(max_size=40)))
def test_nonsense_is_no_rest(headers: dict[str, str]) -> None:
    """Whatever a header says, a rest is a number in its bounds, or none."""
    rest_s = asked_rest_s(headers, NOW_UNIX_S)
    assert rest_s is None or 0.0 <= rest_s <= MAX_REST_S
