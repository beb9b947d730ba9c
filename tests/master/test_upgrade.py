"""`arenactl upgrade` on a real daemon that runs from a copy of the package, which is changed."""

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_daemon import SmallDaemon, until

import arenad
from arenad.schema.chat import Failure
from arenad.schema.control import Done, State, Upgrade
from arenad.schema.history import GetHistory, HistoryPage, StoryLine

HANDSHAKE = (
    b"GET /gui/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

BLANKS_FDS = 2
"""A blank has these, and there may be one or none at any moment."""

PACKAGE = Path(arenad.__file__).parent


@pytest.fixture
def daemon() -> Iterator[SmallDaemon]:
    """A daemon whose installation is ours to change."""
    with tempfile.TemporaryDirectory(prefix="arenad-upgrade-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # children of another user read the package
        code = folder / "code"
        shutil.copytree(PACKAGE, code / "arenad", ignore=lambda *_: {"__pycache__"})
        shutil.copytree(PACKAGE.parent / "web", code / "web")
        made = SmallDaemon(folder)
        made.cwd = code
        made.start()
        try:
            made.wait_up()
            yield made
        finally:
            if made.process.poll() is None:
                assert made.stop() == 0, made.log()


def install(daemon: SmallDaemon, name: str, before: str, after: str) -> None:
    path = daemon.folder / "code" / "arenad" / name
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    later_s = path.stat().st_mtime + 10  # compiled files are told apart by whole seconds
    os.utime(path, (later_s, later_s))


def upgrade(daemon: SmallDaemon) -> str:
    """The answer's text, after which the connection ends."""
    with daemon.client() as client:
        answer = client.ask(Upgrade())
        assert isinstance(answer, Done), answer
        assert client.next() is None
    return answer.text


def settled(daemon: SmallDaemon) -> State:
    def look() -> State | None:
        state = daemon.state()
        is_settled = all(c.phase == "ready" and not c.outdated for c in state.children)
        return state if is_settled else None

    return until(look)


def test_the_new_program_goes_on_in_place(daemon: SmallDaemon):
    """Same pid, same start, another version; frontends are replaced, the arena stays, none dies."""
    before = settled(daemon)
    install(daemon, "__init__.py", arenad.__version__, "9.9.9")
    assert "takes over" in upgrade(daemon)
    after = settled(daemon)
    assert (after.pid, after.version) == (before.pid, "9.9.9")
    assert after.uptime_s > before.uptime_s
    generations = {(child.name, child.generation) for child in after.children}
    assert generations == {("recorder", 2), ("demo", 1), ("frontend-2", 1)}
    assert {child.last_death for child in after.children} == {""}
    told = [line.text for line in after.story]
    assert "arenad 9.9.9 has taken over in place" in told
    assert told[: len(before.story)] == [line.text for line in before.story]
    assert "warning" not in daemon.log()


def test_a_broken_installation_changes_nothing(daemon: SmallDaemon):
    """The reason is told; processes, connections and state are as they were."""
    before = settled(daemon)
    install(daemon, "master/run.py", "def run(", "def run(((")
    with daemon.client() as client:
        answer = client.ask(Upgrade())
        assert isinstance(answer, Failure)
        assert answer.message.startswith("nothing was changed: ")
        assert "SyntaxError" in answer.message
        assert {c.pid for c in client.state().children} == {c.pid for c in before.children}


def test_another_schema_is_refused(daemon: SmallDaemon):
    """Old children would not understand a new master."""
    install(daemon, "schema/__init__.py", "SCHEMA_VERSION = ", "SCHEMA_VERSION = 1")
    with daemon.client() as client:
        answer = client.ask(Upgrade())
    assert isinstance(answer, Failure)
    assert "restart the daemon instead" in answer.message


def test_children_go_on_through_it(daemon: SmallDaemon):
    """A frontend that is held up meanwhile is taken over with its process, and still watched."""
    frontend = daemon.pid("frontend-1")
    with socket.create_connection(("127.0.0.1", daemon.api), timeout=30) as end:
        end.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")  # a request that is not whole
        end.sendall(b"\r\n")
        assert end.recv(4096).startswith(b"HTTP/1.1 200")
        upgrade(daemon)
        end.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert end.recv(4096).startswith(b"HTTP/1.1 200")
    settled(daemon)
    assert not psutil.pid_exists(frontend)  # replaced, and buried by the new program


def test_a_death_just_before_is_noticed(daemon: SmallDaemon):
    """Its SIGCHLD waits for the new program."""
    upgrade(daemon)
    os.kill(daemon.pid("demo") or settled(daemon).children[0].pid, signal.SIGKILL)
    assert {child.phase for child in settled(daemon).children} == {"ready"}


def test_a_stop_right_afterwards_is_heard(daemon: SmallDaemon):
    """Signals that come while nobody could take them are held back, not lost."""
    known = daemon.processes()
    upgrade(daemon)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(30) == 0
    _, alive = psutil.wait_procs(known, timeout=10)
    assert not alive
    assert "stopped; nothing is left running" in daemon.log()


def test_upgrades_one_after_another(daemon: SmallDaemon):
    """Descriptors and zombies do not add up."""
    settled(daemon)
    process = psutil.Process(daemon.process.pid)
    before = until(process.num_fds)
    for _ in range(4):
        upgrade(daemon)
        settled(daemon)
        until(lambda: process.num_fds() <= before + BLANKS_FDS)
        until(lambda: all(p.status() != psutil.STATUS_ZOMBIE for p in process.children()))


def test_only_one_at_a_time(daemon: SmallDaemon):
    """A second one meanwhile is refused."""
    with daemon.client() as first, daemon.client() as second:
        first.open(Upgrade())
        answer = second.ask(Upgrade())
        assert isinstance(answer, Failure)
        assert "under way" in answer.message


def test_a_stop_meanwhile_is_a_stop(daemon: SmallDaemon):
    """Asked to stop while the new program is being tried, nothing new is begun."""
    known = daemon.processes()
    with daemon.client() as client:
        client.open(Upgrade())
        client.state()  # it has been heard
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(30) == 0, daemon.log()
    _, alive = psutil.wait_procs(known, timeout=10)
    assert not alive
    assert "has taken over" not in daemon.log()


def test_a_child_that_is_just_leaving_is_no_obstacle(daemon: SmallDaemon):
    """Its link is closed, its process not yet: upgraded amid a replacement, nothing else is hurt."""
    for _ in range(3):
        upgrade(daemon)
        until(lambda: any(child.phase != "ready" for child in daemon.state().children))
    state = settled(daemon)
    assert state.pid == daemon.process.pid
    assert [child.last_death for child in state.children] == [""] * len(state.children)


def test_operators_come_again_at_once(daemon: SmallDaemon):
    """The control socket stays: whoever connects meanwhile waits a moment, and is answered."""
    upgrade(daemon)
    began_s = time.monotonic()
    assert daemon.state().pid == daemon.process.pid
    assert time.monotonic() - began_s < 30


def test_the_service_manager_goes_on_hearing(tmp_path: Path):
    """Its address and the watchdog's are handed over with the rest."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        daemon = SmallDaemon(tmp_path)
        daemon.environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"
        }  # fmt: skip
        daemon.start()
        daemon.wait_up()
        upgrade(daemon)
        assert "under way" not in daemon.log()
        settled(daemon)
        manager.setblocking(False)
        while _received(manager):
            pass
        manager.settimeout(30)
        until(lambda: "WATCHDOG=1" in _received(manager))
        assert daemon.stop() == 0


def test_a_dashboards_watch_goes_on(daemon: SmallDaemon):
    """The call that its frontend has open with the master is answered by the new program too."""
    with (
        socket.create_connection(("127.0.0.1", daemon.api), timeout=30) as upload,
        socket.create_connection(("127.0.0.1", daemon.gui), timeout=30) as viewer,
    ):
        # A body that does not come keeps this frontend draining for a while.
        upload.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        )
        viewer.sendall(HANDSHAKE)
        until(lambda: b"frontend-1" in viewer.recv(65536))
        upgrade(daemon)
        until(lambda: b"frontend-2" in viewer.recv(65536))


def _received(manager: socket.socket) -> str:
    try:
        return manager.recv(4096).decode()
    except (BlockingIOError, TimeoutError):
        return ""


def test_the_history_goes_on(daemon: SmallDaemon):
    """Lines that no recorder had yet go along; each is kept once; the new program's follow."""
    settled(daemon)
    os.kill(daemon.pid("recorder"), signal.SIGKILL)
    assert "takes over" in upgrade(daemon)
    settled(daemon)

    def story() -> list[str]:
        with daemon.client() as client:
            page = client.ask(GetHistory("story", limit=500))
        entries = page.entries if isinstance(page, HistoryPage) else ()
        return [f"{each.about}: {each.text}" for each in entries if isinstance(each, StoryLine)]

    takeover = f"fleet: arenad {arenad.__version__} has taken over in place"
    found = until(lambda: takeover in (lines := story()) and lines)
    assert "recorder: died: killed by SIGKILL" in found
    assert found.count("recorder: starting (generation 1)") == 1
    assert found.count("demo: starting (generation 1)") == 1
