"""The words of refusals."""

import pytest

from arenad.demo import refusals
from arenad.demo.protocol import Refusal


@pytest.mark.parametrize("name", refusals.REFUSALS)
def test_each_refusal_has_the_status_of_its_name(name: str) -> None:
    """What the fault is called is what the client gets."""
    with pytest.raises(Refusal, match=name[:3]):
        refusals.refuse({name: 0})


def test_a_wait_is_told_where_there_is_one() -> None:
    """429 with seconds has the header, 429 with none has not."""
    assert refusals.REFUSALS["429"](7).headers == {"Retry-After": "7"}
    assert refusals.REFUSALS["429"](0).headers == {}


def test_the_first_odd_answer_counts() -> None:
    """And where there is none, there is none."""
    assert refusals.odd({"crlf": 0, "html": 0}) is refusals.ODD["html"]
    assert refusals.odd({"crlf": 0}) is None
