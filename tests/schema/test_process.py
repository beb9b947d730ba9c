"""What the master and its children tell each other survives the wire, and hides what it must."""

from typing import get_args

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.errors import RequestError
from arenad.schema import process
from arenad.schema.config import DemoConfig
from arenad.schema.frame import Body
from arenad.schema.process import DemoSettings, Forked, ForkOrder
from arenad.wire import Peer

NUMBERS = {ForkOrder: ("generation", "uid", "gid"), Forked: ("generation", "pid")}
_messages = [body for body in get_args(Body) if body.__module__ == process.__name__]


def packed(body: Body) -> bytes:
    """The bytes of a body, which tell what `==` does not (NaN); what none can carry is passed by."""
    try:
        return Peer().note(body)
    except RequestError:  # a whole number of more than 64 bits
        hypothesis.reject()


@pytest.mark.parametrize("kind", _messages)
@given(st.data())
def test_every_message_makes_a_round_trip(kind: type[Body], data: st.DataObject) -> None:
    """Settings, beats, rosters, log lines: what is read is what was said."""
    body = data.draw(st.builds(kind))
    (frame,) = Peer().receive(packed(body))
    assert type(frame.body) is kind
    assert packed(frame.body) == packed(body)


@pytest.mark.parametrize("kind", [ForkOrder, Forked])
@given(st.data())
def test_orders_to_the_zygote_make_a_round_trip(
    kind: type[ForkOrder | Forked], data: st.DataObject
) -> None:
    """They travel by themselves, one to a packet."""
    order = data.draw(st.builds(kind, **dict.fromkeys(NUMBERS[kind], st.integers(0, 2**32))))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(order), type=kind) == order


def test_the_upstream_key_is_not_shown() -> None:
    """Settings may be logged or quoted in a traceback; the key crosses only the wire."""
    settings = DemoSettings(demo=DemoConfig(), upstream_key="S3CRET")
    assert "S3CRET" not in f"{settings} {settings!r} {process.Welcome('info', demo=settings)!r}"
    assert msgspec.to_builtins(settings)["upstream_key"] == "S3CRET"
