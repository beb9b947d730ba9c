"""A child's greeting and its end, against a scripted master at the other end of a real socket."""

import asyncio
import logging
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Sequence

import pytest

from arenad import child, deadman, link, log
from arenad.errors import ArenadError
from arenad.schema import SCHEMA_VERSION
from arenad.schema.frame import Body
from arenad.schema.process import (
    Alive,
    Drain,
    Drained,
    ForkOrder,
    Hello,
    LogLine,
    Ready,
    Roster,
    Stop,
    Welcome,
)
from arenad.wire import Peer

ORDER = ForkOrder(role="frontend", name="frontend-1", generation=3, uid=0, gid=0)
ENOUGH_S = 30.0


pytestmark = pytest.mark.usefixtures("own_logging")


class Master:
    """The master's end of a child's link; a thread of the test, since the child has the main one."""

    def __init__(self) -> None:
        self.end, self.childs_end = socket.socketpair()
        self.switch = deadman.create()
        self.end.settimeout(ENOUGH_S)
        self.heard: list[Body] = []
        self._peer = Peer()

    def hear(self, kind: type[Body]) -> Body | None:
        """Read on until the child says this; none if it hangs up first."""
        while True:
            if not (chunk := self.end.recv(65536)):
                return None
            said = [frame.body for frame in self._peer.receive(chunk) if frame.body is not None]
            self.heard += said
            for body in said:
                if isinstance(body, kind):
                    return body

    def ask(self, body: Body) -> Body:
        """Call the child, and wait for the end of the call."""
        _, packed = self._peer.call(body)
        self.end.sendall(packed)
        answer = self.hear(type(body))
        assert answer is not None
        return answer

    def say(self, *bodies: Body) -> None:
        self.end.sendall(b"".join(self._peer.note(body) for body in bodies))


def live(
    run: child.Run, script: Callable[[Master], None], listeners: Sequence[socket.socket] = ()
) -> tuple[int, list[Body]]:
    """A child's whole life under a master's script: its exit code and all that it said."""
    master = Master()

    def play() -> None:
        try:
            script(master)
            master.hear(type(None))
        finally:
            master.end.close()  # a script that fails ends the child, too
            os.close(master.switch)

    thread = threading.Thread(target=play, name="scripted master")
    thread.start()
    try:
        exit_code = child.live(ORDER, master.switch, [master.childs_end, *listeners], run)
    finally:
        thread.join(ENOUGH_S)
    return exit_code, master.heard


async def until_stopped(me: child.Child, _: Welcome) -> None:
    me.master.note(Ready())
    await me.stopping.wait()


def welcome_then(*bodies: Body) -> Callable[[Master], None]:
    """A master that answers the hello, and goes on once the child is ready."""

    def script(master: Master) -> None:
        assert master.hear(Hello)
        master.say(Welcome("info"))
        if bodies:
            assert master.hear(Ready)
            master.say(*bodies)

    return script


def test_a_child_that_is_well_beats_in_silence() -> None:
    """It winds its switch, as often as it is told, and the master hears nothing of that."""

    def script(master: Master) -> None:
        assert master.hear(Hello)
        master.say(Welcome("info", beat_s=0.05, wound_s=1.0))
        ran_down.append(bool(select.select([master.switch], [], [], 2.0)[0]))
        master.say(Stop())

    ran_down: list[bool] = []
    _, heard = live(until_stopped, script)
    assert ran_down == [False]
    assert [type(body) for body in heard] == [Hello, Ready]


def test_a_child_that_stood_still_says_so() -> None:
    """Its switch runs down meanwhile; then it is wound again, and its lag is told until it is none."""

    async def run(me: child.Child, _: Welcome) -> None:
        await asyncio.sleep(0)
        assert select.select([master.switch], [], [], ENOUGH_S)[
            0
        ]  # as long as that the loop stands
        await me.stopping.wait()

    def script(of: Master) -> None:
        nonlocal master
        master = of
        assert master.hear(Hello)
        master.say(Welcome("info", beat_s=0.05, wound_s=0.5))
        said.append(master.hear(Alive))
        ran_down.append(deadman.has_run_down(master.switch))
        said.append(master.hear(Alive))
        master.say(Stop())

    master: Master
    said: list[Body | None] = []
    ran_down: list[bool] = []
    live(run, script)
    assert ran_down == [False]
    first, last = said
    assert isinstance(first, Alive)
    assert first.loop_lag_ms > child.LATE_MS
    assert isinstance(last, Alive)
    assert last.loop_lag_ms < child.LATE_MS


def test_a_child_tells_where_it_hangs_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    """By the signal that the master sends before it kills: its stack, on standard error."""

    async def hang(me: child.Child, _: Welcome) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)
        me.leave(child.EXIT_ASKED)

    live(hang, welcome_then())
    assert "in hang" in capfd.readouterr().err


# -- a life in order --------------------------------------------------------------------------------


def test_a_child_greets_first_and_leaves_when_told() -> None:
    """Hello with version, name, generation and pid; then the role; then exit 0."""
    exit_code, heard = live(until_stopped, welcome_then(Stop()))
    hello = Hello(SCHEMA_VERSION, "frontend", "frontend-1", 3, os.getpid())
    assert exit_code == child.EXIT_ASKED
    assert heard == [hello, Ready()]


def test_the_role_gets_its_settings_and_its_sockets() -> None:
    """The welcome, and the listeners without the master's link."""
    got: list[object] = []

    async def run(me: child.Child, welcome: Welcome) -> None:
        got.extend((me.name, me.order, welcome, me.listeners))

    listener, other = socket.socketpair()
    with listener, other:
        live(run, welcome_then(), [listener])
        assert got == ["frontend-1", ORDER, Welcome("info"), (listener,)]


def test_notes_reach_the_role_and_drain_is_no_stop() -> None:
    """Drain is an event of its own; what is neither drain nor stop goes to the role."""
    notes: list[Body] = []

    async def run(me: child.Child, _: Welcome) -> None:
        me.on_note = notes.append
        me.master.note(Ready())
        await me.draining.wait()
        assert not me.stopping.is_set()
        me.master.note(Drained())
        await me.stopping.wait()

    def script(master: Master) -> None:
        welcome_then(Roster((), 2), Drain())(master)
        assert master.hear(Drained)
        master.say(Stop())

    assert live(run, script)[0] == child.EXIT_ASKED
    assert notes == [Roster((), 2)]


def test_a_role_answers_the_masters_calls_if_it_serves_any() -> None:
    """By whatever it has set for that; before and without that a call is refused."""

    async def serve(served: link.Served) -> Body:
        return served.body

    async def run(me: child.Child, _: Welcome) -> None:
        me.serve = serve
        me.master.note(Ready())
        await me.stopping.wait()

    answers: list[Body] = []

    def script(master: Master) -> None:
        welcome_then()(master)
        assert master.hear(Ready)
        answers.append(master.ask(Roster((), 2)))
        master.say(Stop())

    assert live(run, script)[0] == child.EXIT_ASKED
    assert answers == [Roster((), 2)]


def test_records_go_to_the_master_after_the_welcome() -> None:
    """At the level that the welcome names, with the child's name, down to the last words."""

    async def run(me: child.Child, _: Welcome) -> None:
        logging.getLogger("arenad.test").info("hello from %s", me.name)
        for number in range(2000):
            logging.getLogger("arenad.test").info("last words %d", number)

    _, heard = live(run, welcome_then())
    lines = [body for body in heard if isinstance(body, LogLine)]
    assert (lines[0].source, lines[0].text) == ("frontend-1", "hello from frontend-1")
    assert lines[-1].text == "last words 1999"
    assert len(lines) == 2001


def test_a_role_leaves_with_its_own_exit_code() -> None:
    """What it drives is broken: the code says so, and the tasks of the child end first."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    async def run(me: child.Child, _: Welcome) -> None:
        me.tasks.start(wait(), "a task")
        await asyncio.sleep(0)
        me.leave(child.EXIT_BROKEN)
        await me.stopping.wait()

    assert live(run, welcome_then())[0] == child.EXIT_BROKEN
    assert ended == ["task"]


# -- ends that nobody asked for ---------------------------------------------------------------------


def test_nobody_outlives_the_master() -> None:
    """EOF on the master's link is the word to stop."""

    def script(master: Master) -> None:
        welcome_then()(master)
        assert master.hear(Ready)
        master.end.shutdown(socket.SHUT_RDWR)

    assert live(until_stopped, script)[0] == child.EXIT_ASKED


@pytest.mark.parametrize("how", ["stop", "eof"])
def test_the_word_to_leave_may_come_before_the_welcome(how: str) -> None:
    """Then the role does not even begin, and nobody waits for settings that will not come."""
    begun: list[str] = []

    async def run(me: child.Child, _: Welcome) -> None:
        begun.append(me.name)

    def script(master: Master) -> None:
        assert master.hear(Hello)
        if how == "stop":
            master.say(Stop())
        else:
            master.end.shutdown(socket.SHUT_RDWR)

    assert live(run, script)[0] == child.EXIT_ASKED
    assert begun == []


def test_stop_in_one_breath_with_the_welcome_is_heard() -> None:
    """A child that is told to leave at once does not start a browser first."""
    begun: list[str] = []

    async def run(me: child.Child, _: Welcome) -> None:
        begun.append(me.name)

    def script(master: Master) -> None:
        assert master.hear(Hello)
        master.say(Welcome("info"), Stop())

    assert live(run, script)[0] == child.EXIT_ASKED
    assert begun == []


def test_a_master_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The wait for the settings has a deadline, and its end is one line without a traceback."""
    monkeypatch.setattr(child, "WELCOME_TIMEOUT_S", 0.01)
    monkeypatch.setattr(log.sys, "stderr", log.sys.__stderr__)
    exit_code, _ = live(until_stopped, lambda _: None)
    said = capfd.readouterr().err
    assert exit_code == child.EXIT_BROKEN
    assert "frontend-1 leaves: no settings from the master in 0.01 s" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (ValueError("oops"), child.EXIT_BUG, "frontend-1 ends with a bug"),
        (ArenadError("the site is gone"), child.EXIT_BROKEN, "frontend-1 leaves: the site is gone"),
    ],
)
def test_an_error_of_the_role_is_its_end(error: Exception, exit_code: int, words: str) -> None:
    """A bug with its traceback, an error that was raised on purpose in one line; both are said."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    async def run(_me: child.Child, _: Welcome) -> None:
        logging.getLogger().addHandler(Keep())
        raise error

    assert live(run, welcome_then())[0] == exit_code
    assert lines == [words]


def test_a_task_that_does_not_end_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean-up has a deadline too; that it passed is a bug, and is said by the exit code."""
    monkeypatch.setattr(child, "LEAVE_TIMEOUT_S", 0.01)

    async def deaf(hears: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await hears.wait()

    async def run(me: child.Child, _: Welcome) -> None:
        me.tasks.start(deaf(asyncio.Event()), "a deaf task")
        await asyncio.sleep(0)

    assert live(run, welcome_then())[0] == child.EXIT_BUG
