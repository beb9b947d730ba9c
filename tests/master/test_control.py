"""The control socket of a real daemon: who may command, what is refused, what is streamed."""

import os
import socket
import subprocess
import sys

import pytest
from small_daemon import Client, small_daemon, until

from arenad.master.control import MAX_CLIENTS, MAX_STREAMS
from arenad.schema.chat import Failure
from arenad.schema.control import (
    Done,
    DrainOne,
    GetState,
    GetStory,
    Logs,
    RenewOne,
    Reset,
    Restart,
    Scale,
    Shutdown,
    StateNow,
    StoryOf,
    Watch,
)
from arenad.schema.frame import Kind
from arenad.schema.process import LogLine, Stop


@pytest.fixture(scope="module")
def daemon():
    """One daemon for all tests here that leave it as it was."""
    with small_daemon(fleet={"instances": 0, "max_instances": 3}) as running:
        yield running


@pytest.fixture
def client(daemon):
    """A connection of one's own."""
    with daemon.client() as end:
        yield end


def test_the_state(daemon, client: Client):
    """It names the daemon and every child, and begins with its word."""
    state = client.state()
    assert state.pid == daemon.process.pid
    assert state.verdict.startswith(f"{state.word}: ")
    assert {child.name for child in state.children} == {"recorder", "demo", "frontend-1"}


def test_the_socket_is_ours_alone(daemon):
    """Mode 0600: nobody else can even connect."""
    assert daemon.control.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_another_user_is_turned_away(daemon):
    """Where the file's mode would let somebody in, the credentials do not."""
    program = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
        "s.connect('control.sock'); s.settimeout(20)\n"
        "sys.exit(42 if s.recv(1) == b'' else 1)\n"
    )
    daemon.control.chmod(0o666)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(daemon.runtime)], timeout=30, check=False
        )
    finally:
        daemon.control.chmod(0o600)
    assert done.returncode == 42
    until(lambda: "turned away uid 65534: it may not command" in daemon.log())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Scale(4), "instances: is 4; must be 0 to 3 (fleet.max_instances)"),
        (Scale(-1), "instances: is -1; must be 0 to 3 (fleet.max_instances)"),
        (Restart("w9"), "name: there is no 'w9'; there are recorder, demo, frontend-1"),
        (DrainOne("demo"), "name: demo is no instance; only instances can be drained"),
        (RenewOne("demo"), "name: demo is no instance; only instances have a session"),
        (Stop(), "Stop is not a command"),
    ],
)
def test_what_is_refused_names_the_reason(client: Client, command, said: str):
    """A refusal changes nothing and says which field, which value, what instead."""
    assert client.ask(command) == Failure("refused", said)


def test_a_long_name_is_not_said_back_whole(client: Client):
    """An answer is no amplifier."""
    answer = client.ask(Restart("x" * 100_000))
    assert isinstance(answer, Failure)
    assert len(answer.message) < 200


def test_commands_are_audited(daemon, client: Client):
    """Whoever changes something is in the log with uid and command, refusals with their reason."""
    client.ask(Scale(99))
    until(lambda: f"uid {os.getuid()} commands Scale(instances=99, template='')" in daemon.log())
    until(lambda: "refused: instances: is 99" in daemon.log())


def test_a_scale_that_changes_nothing_is_done(client: Client):
    """The wish that is already so is accepted."""
    assert client.ask(Scale(0)) == Done("from 0 to 0 instances")


def test_corrupt_bytes_close_only_their_client(daemon, client: Client):
    """The others go on; the log says what was wrong."""
    with daemon.client() as rude:
        rude.socket.sendall(b"\xff\xff\xff\xff not a frame")
        assert rude.next() is None
    assert client.state().pid == daemon.process.pid
    until(lambda: "broke the protocol: a frame of" in daemon.log())


def test_a_watch_shows_changes_until_it_is_cancelled(daemon, client: Client):
    """The state at once, again after a change, and an END for a CANCEL."""
    call = client.open(Watch())
    first = client.next()
    assert first is not None
    assert isinstance(first.body, StateNow)
    with daemon.client() as other:
        other.ask(Scale(0))
    second = client.next()
    assert second is not None
    assert "an operator wants 0 instances" in [line.text for line in second.body.state.story]
    client.socket.sendall(client.peer.cancel(call))
    frame = client.next()
    while frame is not None and frame.kind is not Kind.END:
        frame = client.next()
    assert frame is not None
    assert frame.body == Done("ended")


def test_logs_and_their_end(client: Client):
    """So many lines as asked for, then the end; absurd wishes are bounded."""
    for wish, most in ((3, 3), (-5, 0), (10**9, 2000)):
        call = client.open(Logs(wish, follow=False))
        lines = []
        while (frame := client.next()) is not None and frame.kind is Kind.ITEM:
            assert frame.call == call
            assert isinstance(frame.body, LogLine)
            lines.append(frame.body)
        assert frame is not None
        assert frame.body == Done("")
        assert len(lines) <= most


def test_followed_logs_show_what_is_logged(daemon, client: Client):
    """A new record arrives as it is made."""
    client.open(Logs(0, follow=True))
    with daemon.client() as other:
        other.ask(Restart("nobody-by-this-name"))
    while (frame := client.next()) is not None:
        assert isinstance(frame.body, LogLine)
        if "nobody-by-this-name" in frame.body.text:
            break
    assert frame is not None


def test_streams_of_a_client_are_bounded(client: Client):
    """One connection cannot make the master repeat itself without end."""
    for _ in range(MAX_STREAMS):
        client.open(Logs(0, follow=True))
    answer = client.ask(Watch())
    assert isinstance(answer, Failure)
    assert "streams are open" in answer.message


def test_clients_are_bounded_and_their_places_come_back(daemon):
    """One too many is turned away; when somebody leaves, the next is served."""
    clients: list[Client] = []
    try:
        while len(clients) < MAX_CLIENTS:
            clients.append(daemon.client())
            clients[-1].state()
        with daemon.client() as late:
            assert late.next() is None
        assert "turned away one more" in daemon.log()
        clients.pop().socket.close()
        until(lambda: _is_served(daemon))
    finally:
        for each in clients:
            each.socket.close()


def _is_served(daemon) -> bool:
    with daemon.client() as one:
        one.open(GetState())
        return one.next() is not None


def test_a_slow_follower_does_not_hold_up_others(daemon, client: Client):
    """Somebody who never reads costs a bounded buffer, and nobody else's time."""
    with daemon.client() as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(300):
            slow.open(Logs(2000, follow=False))
        assert client.state().pid == daemon.process.pid


def test_restart_of_a_running_child(daemon, client: Client):
    """It is drained or stopped, and a new generation is ready; no death is counted."""
    before = daemon.pid("demo")
    assert "started anew" in client.ask(Restart("demo")).text
    until(lambda: daemon.pid("demo") not in (0, before))
    child = next(child for child in client.state().children if child.name == "demo")
    assert child.last_death == ""


def test_restart_of_a_frontend_begins_with_its_successor():
    """The only one goes when another serves, so nobody has to wait for it."""
    with small_daemon() as daemon, daemon.client() as client:
        assert "once a successor serves" in client.ask(Restart("frontend-1")).text
        until(
            lambda: (
                {c.name for c in client.state().children if c.role == "frontend"} == {"frontend-2"}
            )
        )
        told = [line.text for line in client.state().story if line.about.startswith("frontend")]
        assert told.index("draining") > len(told) - 1 - told[::-1].index("ready")


def test_shutdown_is_answered_and_done():
    """The answer comes first; then the daemon leaves, and refuses what would begin something."""
    with small_daemon() as daemon, daemon.client() as client:
        assert client.ask(Shutdown()) == Done("stopping: running chats finish first")
        assert daemon.process.wait(30) == 0
        assert client.next() is None


def test_a_story(client: Client):
    """One child's own history, with how it is now; for a stranger's the names that there are."""
    story = client.ask(GetStory("demo"))
    assert isinstance(story, StoryOf)
    assert [line.text for line in story.story][:2] == ["starting (generation 1)", "ready"]
    assert story.now is not None
    assert story.now.phase == "ready"
    refused = client.ask(GetStory("w99"))
    assert isinstance(refused, Failure)
    assert "there are" in refused.message


def test_a_reset(client: Client, daemon):
    """It disturbs nobody who works, and is told."""
    pid = daemon.pid("demo")
    assert client.ask(Reset("demo")) == Done("the deaths of demo are forgotten")
    assert client.ask(Reset("")) == Done("all deaths are forgotten; what waited is started")
    assert isinstance(client.ask(Reset("w99")), Failure)
    assert daemon.pid("demo") == pid
    story = client.ask(GetStory("demo"))
    assert isinstance(story, StoryOf)
    assert story.story[-1].text == "an operator resets it: its deaths are forgotten"


def test_a_reset_starts_what_has_failed():
    """Without waiting for the next try; the demo arena cannot start while its port is taken."""
    with small_daemon(life={"deaths": 2, "failed_retry_s": 3600}) as daemon:
        for _ in range(2):
            before = until(lambda: daemon.pid("demo"))
            os.kill(before, 9)
            until(lambda: daemon.pid("demo") != before)  # noqa: B023 - called before the next turn
        with daemon.client() as end:
            until(lambda: _phase(end, "demo") == "failed")
            assert end.ask(Reset("demo")) == Done(
                "the deaths of demo are forgotten; demo is started"
            )
            until(lambda: _phase(end, "demo") == "ready")


def _phase(end: Client, name: str) -> str:
    return next(child.phase for child in end.state().children if child.name == name)
