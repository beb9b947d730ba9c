"""The recorder as a process of its own, with a scripted master at its link."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import line, lines

from arenad.recorder.store import Store
from arenad.schema.config import HistoryConfig
from arenad.schema.frame import Body, Frame, Kind
from arenad.schema.history import GetHistory, HistoryPage, Remembered
from arenad.schema.process import (
    Alive,
    Drain,
    Drained,
    Hello,
    Ready,
    RecorderSettings,
    Stop,
    Welcome,
)
from arenad.wire import Peer

ENOUGH_S = 20.0
RULES = HistoryConfig()
PROGRAM = """
import socket, sys
from arenad import deadman
from arenad.recorder import run
from arenad.schema.process import ForkOrder
order = ForkOrder(role="recorder", name="recorder", generation=1, uid=0, gid=0)
sys.exit(run.main(order, deadman.create(), [socket.socket(fileno=int(fd)) for fd in sys.argv[1:]]))
"""


class End:
    """A blocking end of a link."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(ENOUGH_S)
        self.end = end
        self.peer = Peer()
        self._frames: list[Frame] = []

    def note(self, body: Body) -> None:
        self.end.sendall(self.peer.note(body))

    def ask(self, body: Body) -> Body | None:
        _, packed = self.peer.call(body)
        self.end.sendall(packed)
        return self.hear()

    def hear(self) -> Body | None:
        """What is said next, beats apart; none at the end of the link."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if not (frame.kind is Kind.CALL and isinstance(frame.body, Alive)):
                    return frame.body
            if not (chunk := self.end.recv(65536)):
                return None
            self._frames = self.peer.receive(chunk)
            assert self.peer.fault is None, self.peer.fault


class Recorder(End):
    """The process as its master and a frontend see it."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = socket.socketpair()
        super().__init__(ours)
        self.path = folder / "recorder.sock"
        self.state = folder / "state"
        self.state.mkdir()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        fds = [theirs.fileno(), self.listener.fileno()]
        command = [sys.executable, "-c", PROGRAM, *map(str, fds)]
        self.process = subprocess.Popen(command, pass_fds=fds, stderr=subprocess.PIPE, text=True)
        theirs.close()

    def welcome(self) -> None:
        assert isinstance(self.hear(), Hello)
        settings = RecorderSettings(folder=str(self.state), history=RULES)
        self.note(Welcome("info", recorder=settings))
        assert self.hear() == Ready()

    def frontend(self) -> End:
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(self.path))
        return End(end)

    def kept(self) -> int:
        store = Store(self.state, RULES)
        count = len(store.read(GetHistory("story", limit=500)).entries)
        store.close()
        return count


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path)
    try:
        yield made
    finally:
        made.end.close()
        made.listener.close()
        if made.process.poll() is None:
            made.process.kill()
        made.process.communicate(timeout=ENOUGH_S)


def test_notes_of_master_and_frontends_are_kept(recorder: Recorder) -> None:
    """Each is answered on its own link; the master's question is answered with both."""
    recorder.welcome()
    recorder.note(lines("master", 1, 2))
    assert recorder.hear() == Remembered("master", 2)
    frontend = recorder.frontend()
    frontend.note(lines("frontend", 1, 1))
    assert frontend.hear() == Remembered("frontend", 1)
    assert recorder.ask(GetHistory("story")) == HistoryPage((line(1), line(2), line(1)))
    frontend.end.close()


def test_nobody_else_reads_the_file(recorder: Recorder) -> None:
    """Whatever the umask it was born with."""
    recorder.welcome()
    recorder.note(lines("master", 1, 2))
    recorder.hear()
    for path in recorder.state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_stop_comes_after_the_last_lines(recorder: Recorder) -> None:
    """What stood on the link before the word to stop is on disk when the process is gone."""
    recorder.welcome()
    recorder.note(lines("master", 1, 5))
    recorder.note(lines("master", 6, 5))
    recorder.note(Stop())
    assert recorder.process.wait(ENOUGH_S) == 0
    assert recorder.kept() == 10


def test_drained_when_all_is_written(recorder: Recorder) -> None:
    """A restart waits for the disk; a connection made meanwhile waits for the next recorder."""
    recorder.welcome()
    recorder.note(lines("master", 1, 5))
    recorder.note(Drain())
    assert [recorder.hear(), recorder.hear()] == [Remembered("master", 5), Drained()]
    assert recorder.kept() == 5
    late = recorder.frontend()
    late.note(lines("frontend", 1, 1))
    recorder.note(Stop())
    assert recorder.process.wait(ENOUGH_S) == 0
    recorder.listener.setblocking(False)
    accepted, _ = recorder.listener.accept()
    accepted.close()
    late.end.close()


def test_it_ends_with_its_master(recorder: Recorder) -> None:
    """EOF is a word to stop; what came before it is written."""
    recorder.welcome()
    recorder.note(lines("master", 1, 5))
    recorder.end.close()
    assert recorder.process.wait(ENOUGH_S) == 0
    assert recorder.kept() == 5


def test_killed_it_loses_nothing_that_was_answered(recorder: Recorder) -> None:
    """The answer means that another process finds it in the file."""
    recorder.welcome()
    recorder.note(lines("master", 1, 300))
    assert recorder.hear() == Remembered("master", 300)
    os.kill(recorder.process.pid, signal.SIGKILL)
    recorder.process.wait(ENOUGH_S)
    assert recorder.kept() == 300


def test_without_settings_it_leaves(recorder: Recorder) -> None:
    """A master that sends those of another role has a bug."""
    recorder.hear()
    recorder.note(Welcome("info"))
    assert recorder.process.wait(ENOUGH_S) == 75
