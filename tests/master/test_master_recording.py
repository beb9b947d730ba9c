"""The master's side of the recorder, in a real daemon without browsers."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_daemon import Client, SmallDaemon, small_daemon, until

from arenad.master.loop import Loop
from arenad.master.recording import Recording
from arenad.master.settings import Settings
from arenad.recorder.store import Store
from arenad.schema.chat import Failure
from arenad.schema.config import Config, DaemonConfig, HistoryConfig
from arenad.schema.control import Reset, Restart
from arenad.schema.history import Entry, GetHistory, HistoryPage, LogLine, StoryLine, TrafficSample


def told(entries: tuple[Entry, ...]) -> list[str]:
    return [f"{each.about}: {each.text}" for each in entries if isinstance(each, StoryLine)]


def story(client: Client) -> list[str]:
    """What the recorder has; nothing while it is away."""
    answer = client.ask(GetHistory("story", limit=500))
    return told(answer.entries) if isinstance(answer, HistoryPage) else []


def on_disk(daemon: SmallDaemon) -> list[str]:
    store = Store(daemon.folder / "state", HistoryConfig())
    page = store.read(GetHistory("story", limit=500))
    store.close()
    return told(page.entries)


@pytest.fixture(scope="module")
def daemon() -> Iterator[SmallDaemon]:
    with small_daemon(history={"sample_s": 0.1}) as made:
        yield made


@pytest.fixture
def client(daemon: SmallDaemon) -> Iterator[Client]:
    with daemon.client() as made:
        yield made


def test_story_log_and_samples_arrive(daemon: SmallDaemon, client: Client) -> None:
    """The story from its first line, records of level info and above, the traffic."""
    until(lambda: "frontend-1: ready" in story(client))
    assert "recorder: starting (generation 1)" in story(client)  # told before it was there
    log = client.ask(GetHistory("log", limit=500))
    assert isinstance(log, HistoryPage)
    levels = {each.level for each in log.entries if isinstance(each, LogLine)}
    assert "info" in levels
    assert "debug" not in levels
    assert " debug " in daemon.log()

    def samples() -> list[TrafficSample]:
        page = client.ask(GetHistory("samples"))
        assert isinstance(page, HistoryPage)
        return [each for each in page.entries if isinstance(each, TrafficSample)]

    assert until(samples)[0].wanted == 0


def test_a_killed_recorder_misses_nothing(daemon: SmallDaemon, client: Client) -> None:
    """What happens while it is away, its own death too, is there when it is back."""
    pid = until(lambda: daemon.pid("recorder"))
    os.kill(pid, signal.SIGKILL)
    client.ask(Reset("frontend-1"))
    line = "recorder: died: killed by SIGKILL"
    found = until(lambda: line in (lines := story(client)) and lines)
    assert "frontend-1: an operator resets it: its deaths are forgotten" in found
    texts = [line for line in found if "frontend-1: starting" in line or "demo: starting" in line]
    assert len(texts) == len(set(texts))


def test_a_stopped_recorder_is_replaced(daemon: SmallDaemon, client: Client) -> None:
    """A question to it ends with an honest refusal, in time."""
    pid = until(lambda: daemon.pid("recorder"))
    process = psutil.Process(pid)
    process.suspend()
    answer = client.ask(GetHistory("story"))
    assert isinstance(answer, Failure)
    assert answer.kind == "refused"
    assert "recorder" in answer.message
    until(lambda: any("recorder: died" in line and "stopped" in line for line in story(client)))


def test_a_restart_loses_nothing(daemon: SmallDaemon, client: Client) -> None:
    """It drains in a moment: it has no chats to wait for."""
    before = until(lambda: daemon.pid("recorder"))
    client.ask(Restart("recorder"))
    until(lambda: daemon.pid("recorder") not in (0, before), 5.0)
    lines = until(lambda: "recorder: draining" in (found := story(client)) and found)
    assert "recorder: an operator asks for a restart" in lines


def test_a_frontend_may_ask_for_its_dashboard(daemon: SmallDaemon, client: Client) -> None:
    """Several questions on one connection are answered each by its own number."""
    until(lambda: story(client))
    calls = {client.open(GetHistory(kind)) for kind in ("story", "log", "samples")}
    frames = [client.next() for _ in calls]
    assert {frame.call for frame in frames if frame is not None} == calls


def test_it_leaves_last() -> None:
    """The last lines of all others are on disk when the daemon is gone."""
    with small_daemon() as daemon:
        assert daemon.stop() == 0
        lines = on_disk(daemon)
        assert lines[-2:] == ["frontend-1: stopped", "demo: stopped"]
        assert not (daemon.runtime / "recorder.sock").exists()


def test_a_state_folder_that_cannot_be_made() -> None:
    """The daemon starts without a history, and says so first of all."""
    with small_daemon(daemon={"state_dir": "/proc/nowhere"}) as daemon:
        with daemon.client() as client:
            state = client.state()
            answer = client.ask(GetHistory("story"))
        why = "daemon.state_dir: /proc/nowhere cannot be made or opened: No such file or directory"
        assert state.verdict.endswith(f"; history is not being recorded: {why}")
        assert {child.name for child in state.children} == {"demo", "frontend-1"}
        assert answer == Failure("refused", f"there is no history: {why}")
        assert not (daemon.runtime / "recorder.sock").exists()


def test_a_history_that_is_not_wanted() -> None:
    """No process, no file, no word in the verdict."""
    with small_daemon(history={"enabled": False}) as daemon:
        with daemon.client() as client:
            state = client.state()
            answer = client.ask(GetHistory("story"))
        assert "history" not in state.verdict
        assert {child.name for child in state.children} == {"demo", "frontend-1"}
        assert answer == Failure("refused", "there is no history: history.enabled is false")
        assert not (daemon.folder / "state").exists()


def test_a_file_that_cannot_be_written_is_said_in_the_verdict() -> None:
    """The recorder stays ready, the word stays about chats, and it recovers by itself."""
    with small_daemon() as daemon:
        folder = daemon.folder / "state"
        until(lambda: on_disk(daemon))
        folder.rename(daemon.folder / "elsewhere")
        with daemon.client() as client:
            client.ask(Reset("frontend-1"))
            trouble = "; history is not being recorded: recorder is broken ("
            verdict = until(lambda: trouble in (said := client.state().verdict) and said)
            assert verdict.startswith("down: 0 of 0 instances ready; history")
            (daemon.folder / "elsewhere").rename(folder)
            until(lambda: "history" not in client.state().verdict)
            until(lambda: any("an operator resets it" in line for line in story(client)))


def test_without_a_recorder_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """And no timer runs for somebody who is not there."""
    config = Config(daemon=DaemonConfig(runtime_dir=str(tmp_path), state_dir=str(tmp_path)))
    loop = Loop()
    recording = Recording(loop, Settings(config))
    for number in range(3000):
        recording.told(float(number), "w1", "ready")
    assert len(recording._outbox) == 2000
    assert recording._outbox.dropped == 1000
    assert recording._timer is None
