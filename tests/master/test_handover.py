"""What a master leaves: written, read back the same, refused where it would not be understood."""

import os

import msgspec
import pytest

from arenad import profiles
from arenad.errors import Refused
from arenad.master import handover
from arenad.master.handover import (
    Handover,
    KeptChild,
    KeptCrew,
    KeptLedger,
    KeptLink,
    KeptListener,
    KeptTally,
)
from arenad.master.life import Life
from arenad.master.scale import Aim
from arenad.master.settings import Read
from arenad.schema import SCHEMA_VERSION
from arenad.schema.config import Config, FleetConfig
from arenad.schema.control import Happening
from arenad.schema.process import Beat, ForkOrder, FrontendBeat, LogLine, Model
from arenad.wire import Books

PROFILE = profiles.load("demo")
CHILD = KeptChild(
    name="w1",
    role="worker",
    life=Life("ready", wanted=True, generation=3, since_s=1.5, deaths=(0.5, 0.5), was_ready=True),
    first_generation=1,
    held=False,
    spare=True,
    outdated=False,
    last_death="killed by SIGKILL",
    socket_path="/run/arenad/workers/w1.3.sock",
    models=(Model(id="a", owner="b"),),
    condition="resting",
    condition_reason="patience",
    beat=Beat(1, 2, 3, 4, 5, 6.0, 7.0),
    pid=7,
    order=ForkOrder(role="worker", name="w1", generation=3, uid=1, gid=2),
    link=KeptLink(
        12, Books(b"\x00\x00", 3, frozenset({3}), frozenset(), frozenset({1})), b"x", (1,), ()
    ),
)
LEFT = Handover(
    schema_version=SCHEMA_VERSION,
    config=Config(fleet=FleetConfig(instances=4)),
    crew=KeptCrew(
        born_s=1.0,
        wanted=4,
        aim=Aim(4),
        enlisted=frozenset({"w1"}),
        generations={"w9": 2},
        children=(CHILD,),
        tally=KeptTally(FrontendBeat(0, 0, 1, 1, 0, 0, 0, {}), {}),
        ledger=KeptLedger(
            (Happening(at_unix_s=1.0, about="w1", text="ready"),),
            {"w1": ()},
            (LogLine(1.0, "info", "w1", "said"),),
        ),
    ),
    read=Read(PROFILE, "key"),
    listeners={"api.listen": KeptListener(9, "127.0.0.1:1", is_given=True)},
    control_fd=10,
    folder_fd=11,
)


def test_it_is_read_as_it_was_written():
    """Every value, down to a link's half frame and a wish that never ends."""
    fd = handover.write(LEFT)
    assert handover.read(fd) == LEFT
    assert handover.read(fd) == LEFT  # reading does not use it up
    os.close(fd)


def test_every_descriptor_is_named():
    """What is not in this list is closed by execve."""
    assert sorted(handover.descriptors(LEFT)) == [9, 10, 11, 12]


def test_a_later_version_may_know_more_and_less():
    """Fields that the reader does not know are passed over."""
    tree = msgspec.msgpack.decode(msgspec.msgpack.encode(LEFT))
    tree["later"] = 1
    tree["crew"]["children"][0]["later"] = [1, 2]
    assert _read(tree) == LEFT


def test_another_schema_is_refused():
    """Its children would not be understood; the remedy is named."""
    tree = msgspec.msgpack.decode(msgspec.msgpack.encode(LEFT))
    tree["schema_version"] = SCHEMA_VERSION + 1
    with pytest.raises(Refused, match="restart the daemon instead"):
        _read(tree)


def test_what_is_not_understood_is_refused():
    """A field that is missing, and bytes that are none of ours."""
    tree = msgspec.msgpack.decode(msgspec.msgpack.encode(LEFT))
    del tree["crew"]
    with pytest.raises(Refused, match="does not understand"):
        _read(tree)
    with pytest.raises(Refused, match="does not understand"):
        _read(17)


def test_without_a_handover_there_is_none():
    """An ordinary start."""
    assert handover.take({}) is None


def test_what_is_taken_stays_open_for_us_alone():
    """The descriptors are not inherited by whatever is started later; the variable is gone."""
    ends = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
    for end in ends:
        os.set_inheritable(end, True)
    link = msgspec.structs.replace(CHILD.link, fd=ends[0])
    crew = msgspec.structs.replace(LEFT.crew, children=(msgspec.structs.replace(CHILD, link=link),))
    left = msgspec.structs.replace(
        LEFT,
        crew=crew,
        listeners={"api.listen": KeptListener(ends[1], "", is_given=False)},
        control_fd=ends[2],
        folder_fd=ends[3],
    )
    environ = {handover.VARIABLE: str(handover.write(left))}
    assert handover.take(environ) == left
    assert environ == {}
    assert not any(os.get_inheritable(end) for end in ends)
    for end in ends:
        os.close(end)


def _read(tree) -> Handover:
    fd = os.memfd_create("test")
    os.write(fd, msgspec.msgpack.encode(tree))
    try:
        return handover.read(fd)
    finally:
        os.close(fd)
