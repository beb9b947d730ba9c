"""What the master and its children tell each other survives the wire, and hides what it must."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arenad.schema import process
from arenad.schema.config import DemoConfig
from arenad.schema.frame import Body
from arenad.schema.process import DemoSettings, Forked, ForkOrder
from arenad.wire import Peer

_numbers = {int: st.integers(0, 2**63 - 1), float: st.floats(allow_nan=False)}
_messages = [body for body in get_args(Body) if body.__module__ == process.__name__]


@pytest.fixture(autouse=True, scope="module")
def _numbers_of_the_wire() -> None:
    """Whole numbers of the wire have 64 bits."""
    for kind, numbers in _numbers.items():
        st.register_type_strategy(kind, numbers)


@pytest.mark.parametrize("kind", _messages)
@given(st.data())
def test_every_message_makes_a_round_trip(kind: type[Body], data: st.DataObject) -> None:
    """Settings, beats, rosters, log lines: what is read is what was said."""
    body = data.draw(st.builds(kind))
    (frame,) = Peer().receive(Peer().note(body))
    assert frame.body == body


@pytest.mark.parametrize("kind", [ForkOrder, Forked])
@given(st.data())
def test_orders_to_the_zygote_make_a_round_trip(
    kind: type[ForkOrder | Forked], data: st.DataObject
) -> None:
    """They travel by themselves, one to a packet."""
    order = data.draw(st.builds(kind))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(order), type=kind) == order


def test_the_upstream_key_is_not_shown() -> None:
    """Settings may be logged or quoted in a traceback; the key crosses only the wire."""
    settings = DemoSettings(demo=DemoConfig(), upstream_key="S3CRET")
    assert "S3CRET" not in f"{settings} {settings!r} {process.Welcome('info', demo=settings)!r}"
    assert msgspec.to_builtins(settings)["upstream_key"] == "S3CRET"
