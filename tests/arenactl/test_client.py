"""The client against a real socket: every way in which a daemon can answer, or not."""

import errno
import os
import socket
import time

import pytest
from stand_in import ACCEPTED, NOT_A_FRAME, StandIn, end, hang_up, item, raw, state, states

from arenactl import client
from arenad.errors import LinkLost, Refused, RequestError
from arenad.schema.chat import Failure
from arenad.schema.control import Done, Scale, Shutdown, StateNow, Watch


def soon(seconds=10.0):
    return time.monotonic() + seconds


def test_ask_gives_the_answer():
    """A call ends with its typed answer."""
    with StandIn({Scale: ACCEPTED}) as daemon, client.connect(daemon.path) as asking:
        assert asking.ask(Scale(3), Done) == Done("as you say")
    assert daemon.heard == [Scale(3)]


def test_two_calls_share_a_connection():
    """Answers find their calls, items of an older stream notwithstanding."""
    script = {Watch: states(state()), Scale: ACCEPTED}
    with StandIn(script) as daemon, client.connect(daemon.path) as asking:
        stream = asking.stream(Watch(), StateNow, soon())
        assert next(stream) == StateNow(state())
        assert asking.ask(Scale(1), Done) == Done("as you say")


def test_a_stream_ends_with_its_call():
    """Items come in order until the daemon ends the call."""
    script = {Watch: [*states(state(), state(word="down")), end(Done(""))]}
    with StandIn(script) as daemon, client.connect(daemon.path) as asking:
        words = [now.state.word for now in asking.stream(Watch(), StateNow, soon())]
    assert words == ["well", "down"]


@pytest.mark.parametrize(
    ("kind", "error"), [("refused", Refused), ("from the future", RequestError)]
)
def test_a_failure_is_raised_as_its_error(kind, error):
    """What the daemon refuses arrives as the error it was, in calls and in streams."""
    script = {Scale: [end(Failure(kind, "too many"))], Watch: [end(Failure(kind, "too many"))]}
    with StandIn(script) as daemon, client.connect(daemon.path) as asking:
        with pytest.raises(error, match="too many"):
            asking.ask(Scale(99), Done)
        with pytest.raises(error, match="too many"):
            list(asking.stream(Watch(), StateNow, soon()))


@pytest.mark.parametrize(
    "steps",
    [[NOT_A_FRAME], [end(StateNow(state()))], [raw(b"\xff\xff\xff\xff")]],
    ids=["no frame", "another answer", "too long"],
)
def test_a_stranger_is_recognised(steps):
    """A daemon of another version is named as such instead of guessed at."""
    broken = pytest.raises(client.ProtocolBroken, match="same version")
    with StandIn({Scale: steps}) as daemon, client.connect(daemon.path) as asking, broken:
        asking.ask(Scale(1), Done)


def test_frames_before_a_broken_one_still_count():
    """What came whole is used before the fault behind it is told."""
    script = {Watch: [*states(state()), NOT_A_FRAME]}
    with StandIn(script) as daemon, client.connect(daemon.path) as asking:
        stream = asking.stream(Watch(), StateNow, soon())
        assert next(stream).state.word == "well"
        with pytest.raises(client.ProtocolBroken):
            next(stream)


def test_a_daemon_that_hangs_up_is_lost():
    """End of file in the middle of a call is told, not waited out."""
    with StandIn({Scale: [hang_up]}) as daemon, client.connect(daemon.path) as asking:
        with pytest.raises(LinkLost, match="closed the connection"):
            asking.ask(Scale(1), Done)
        with pytest.raises(LinkLost):
            asking.ask(Scale(1), Done)


def test_silence_ends_at_the_deadline():
    """A daemon that does not answer cannot hold the operator."""
    with StandIn({Scale: []}) as daemon, client.connect(daemon.path) as asking:
        with pytest.raises(client.DeadlinePassed):
            asking.ask(Scale(1), Done, soon(0.02))
        with pytest.raises(client.DeadlinePassed):
            asking.ask(Scale(1), Done, soon(-1))


def test_a_daemon_that_does_not_read_ends_at_the_deadline():
    """A full socket cannot hold the operator either."""
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    late = pytest.raises(client.DeadlinePassed)
    with far, client.Client(near, client.Path("a.sock")) as asking, late:
        asking.ask(Failure("long", "x" * 400_000), Done, soon(0.02))


def test_closing_is_waited_for():
    """`wait_closed` drops what is still said and returns at the end of file."""
    script = {Shutdown: [*ACCEPTED, item(Done("late")), hang_up], Scale: []}
    with StandIn(script) as daemon, client.connect(daemon.path) as asking:
        asking.ask(Shutdown(), Done)
        asking.wait_closed(soon())


def test_without_a_daemon_the_remedy_is_named(tmp_path):
    """The error names the socket and how to start the daemon."""
    with pytest.raises(client.Unreachable, match=r"a\.sock.*systemctl start arenad.*make run"):
        client.connect(tmp_path / "a.sock")


def test_a_socket_left_behind_is_no_daemon():
    """A file that nobody listens on reads like no file."""
    with StandIn({}) as daemon:
        left = daemon.runtime_dir / "left.sock"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(left))
        with pytest.raises(client.Unreachable, match="not running"):
            client.connect(left)


def test_an_impossible_path_is_explained(tmp_path):
    """A path longer than a socket's name may be is told with the path."""
    with pytest.raises(client.Unreachable, match="cannot be reached"):
        client.connect(tmp_path / ("x" * 200))


def test_permission_denied_says_who_may(monkeypatch, tmp_path):
    """Who may not ask is told who may; the kernel's refusal itself is feigned, for root has none."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(client.Unreachable, match=r"only root and the daemon's user.*may ask"):
        client.connect(tmp_path / "control.sock")
    os.chown(tmp_path, *((1, 1) if os.getuid() == 0 else (-1, -1)))
    with pytest.raises(client.Unreachable, match=r"the daemon's user \(\w+\)"):
        client.connect(tmp_path / "control.sock")
    with pytest.raises(client.Unreachable, match="the daemon's user may ask"):
        client.connect(tmp_path / "no" / "folder" / "control.sock")


OTHER_UID = os.getuid() or 1000


def folder_of(uid, path):
    path.mkdir()
    if os.getuid() == 0:
        os.chown(path, uid, uid)
    return path


def test_the_named_socket_is_taken_as_named(tmp_path):
    """A folder named by option or by environment is not second-guessed."""
    named = tmp_path / "named"
    wanted = named / "control.sock"
    assert client.find_socket(str(named), {}, OTHER_UID, tmp_path) == wanted
    environ = {"ARENAD_RUNTIME_DIR": str(named)}
    assert client.find_socket("", environ, OTHER_UID, tmp_path) == wanted
    assert str(client.find_socket("", {}, 0)) == "/run/arenad/control.sock"


def test_a_user_without_a_daemon_asks_the_systems(tmp_path):
    """One's own daemon comes first, then the system's, if there is one."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    own = tmp_path / "arenad" / "control.sock"
    system = tmp_path / "system"
    system.mkdir()
    assert client.find_socket("", environ, OTHER_UID, system) == own
    (system / "control.sock").touch()
    assert client.find_socket("", environ, OTHER_UID, system) == system / "control.sock"
    folder_of(OTHER_UID, own.parent)
    own.touch()
    assert client.find_socket("", environ, OTHER_UID, system) == own


def test_a_folder_of_our_name_that_is_not_ours_is_not_asked(tmp_path):
    """A false daemon in a folder that somebody else made gets no commands."""
    folder_of(os.getuid(), tmp_path / "arenad")
    with pytest.raises(client.Unreachable, match="belongs to user"):
        client.find_socket("", {"XDG_RUNTIME_DIR": str(tmp_path)}, os.getuid() + 1, tmp_path)


def test_a_locked_folder_counts_as_there():
    """What we may not look into is asked, so that the answer can say who may."""

    class Locked(type(client.Path())):
        def exists(self):
            raise PermissionError

    assert client._present(Locked("x"))
