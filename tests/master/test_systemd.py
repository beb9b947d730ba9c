"""The notification protocol on a real datagram socket."""

import faulthandler
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from arenad.master import systemd
from arenad.master.loop import Loop
from arenad.master.systemd import Notifier, Pulse


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A service manager that listens at a path or in the abstract namespace."""
    name = f"arenad-test-{os.getpid()}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address if request.param == "path" else f"\0{name}")
        end.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield end


def test_the_address_is_not_left_to_children(manager):
    """The variable is taken out of the environment."""
    with closing(Notifier()) as notifier:
        assert notifier.is_present
    assert "NOTIFY_SOCKET" not in os.environ


def test_what_the_manager_hears(manager):
    """One datagram for each word."""
    with closing(Notifier()) as notifier:
        notifier.ready()
        notifier.status("well: 2 of 2")
        notifier.alive()
        notifier.stopping()
        notifier.extend(90.5)
    heard = [manager.recv(4096).decode() for _ in range(5)]
    assert heard == [
        f"READY=1\nMAINPID={os.getpid()}",
        "STATUS=well: 2 of 2",
        "WATCHDOG=1",
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=90500000",
    ]


def test_an_unchanged_status_is_not_repeated(manager):
    """Only changes are sent."""
    with closing(Notifier()) as notifier:
        for text in ("a", "a", "b", "a"):
            notifier.status(text)
    assert [manager.recv(99) for _ in range(3)] == [b"STATUS=a", b"STATUS=b", b"STATUS=a"]
    with pytest.raises(BlockingIOError):
        manager.recv(99)


def test_a_status_is_one_line(manager):
    """A site's words cannot forge a message of their own."""
    with closing(Notifier()) as notifier:
        notifier.status("broken\nREADY=1\r\nX=")
    assert manager.recv(99) == b"STATUS=broken READY=1  X="


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    """A daemon in the foreground tells nobody."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    assert not notifier.is_present
    notifier.ready()
    notifier.status("x")


def test_a_manager_that_is_gone_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nobody listens at the address, or the queue is full: the daemon goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with closing(Notifier()) as notifier:
        notifier.ready()


# -- the pulse --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("20000000", None, 20.0),
        ("500000", "own", 0.5),
        ("20000000", "1", 0.0),
        ("soon", None, 0.0),
        (None, "own", 0.0),
    ],
)
def test_a_watchdog_is_ours_if_its_pid_is(manager, monkeypatch, usec, pid, seconds):
    """As sd_watchdog_enabled(3) says; the variables do not stay."""
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if value is not None:
            monkeypatch.setenv(name, str(os.getpid()) if value == "own" else value)
    with closing(Notifier()) as notifier:
        assert notifier.watchdog_s == seconds
    assert not {"WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)


class Run:
    """A loop with a pulse in it, ended after a number of looks at the books."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.loop = Loop()
        self.looks: list[float] = []
        self.answers = answers

    def faults(self) -> list[str]:
        self.looks.append(time.monotonic())
        self.loop.running = len(self.looks) < len(self.answers)
        return self.answers[len(self.looks) - 1]


@pytest.fixture
def _no_traces() -> Iterator[None]:
    """The pulse has the stack written at SIGABRT: give that back."""
    was_on = faulthandler.is_enabled()
    yield
    if not was_on:
        faulthandler.disable()


def heard(manager: socket.socket) -> list[str]:
    """All that the manager was told until now."""
    words: list[str] = []
    with suppress(BlockingIOError):
        while True:
            words.append(manager.recv(4096).decode())
    return words


@pytest.mark.usefixtures("_no_traces")
def test_the_watchdog_is_fed_at_half_its_interval(manager, monkeypatch):
    """From the loop: at its start, and again before the interval is half over twice."""
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    run = Run([[]] * 4)
    with closing(Notifier()) as notifier:
        Pulse(run.loop, notifier, run.faults).start()
        run.loop.run()
    assert heard(manager) == ["WATCHDOG=1"] * 4
    assert all(later - sooner >= 0.045 for sooner, later in pairwise(run.looks))


@pytest.mark.usefixtures("_no_traces")
def test_books_in_disorder_do_not_feed_it(manager, monkeypatch, caplog):
    """Each fault is said; one look that finds none feeds it again."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    run = Run([[], ["w1 is lost", "w2 too"], []])
    with closing(Notifier()) as notifier:
        Pulse(run.loop, notifier, run.faults).start()
        run.loop.run()
    assert heard(manager) == ["WATCHDOG=1"] * 2
    assert "the watchdog is not fed: w1 is lost" in caplog.text


@pytest.mark.usefixtures("_no_traces")
def test_what_was_due_in_a_standstill_is_done_before_the_look(manager, monkeypatch):
    """A master that was suspended does what it missed, and only then judges itself."""
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    run, done = Run([[], []]), list[float]()
    with closing(Notifier()) as notifier:
        Pulse(run.loop, notifier, run.faults).start()
        run.loop.after(0.011, lambda: done.append(time.monotonic()))  # due after the next beat
        time.sleep(0.05)  # the standstill: both are overdue
        run.loop.run()
    assert done
    assert done[0] < run.looks[1]


@pytest.mark.parametrize("is_present", [True, False])
def test_without_a_watchdog_nothing_wakes_the_loop(manager, monkeypatch, is_present):
    """No timer is set, whether there is a manager without a watchdog or none at all."""
    if not is_present:
        monkeypatch.delenv("NOTIFY_SOCKET")
        monkeypatch.setenv("WATCHDOG_USEC", "100000")  # nobody could hear us
    loop = Loop()
    with closing(Notifier()) as notifier:
        Pulse(loop, notifier, list).start()
    assert loop._timeout_s() is None
    assert heard(manager) == []


def test_time_is_asked_for_again_and_again_on_the_way_out(manager, monkeypatch):
    """STOPPING once; the extension is repeated well within its own length."""
    assert systemd.EXTEND_AGAIN_S < systemd.EXTEND_S / 2
    monkeypatch.setattr(systemd, "EXTEND_AGAIN_S", 0.01)
    loop = Loop()
    with closing(Notifier()) as notifier:
        Pulse(loop, notifier, list).leave()
        loop.after(0.1, lambda: setattr(loop, "running", False))
        loop.run()
    first, *others = heard(manager)
    assert first == "STOPPING=1"
    assert len(others) > 2
    assert set(others) == {"EXTEND_TIMEOUT_USEC=20000000"}


def test_without_a_manager_the_way_out_is_silent(monkeypatch):
    """No timer either."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    loop = Loop()
    Pulse(loop, Notifier(), list).leave()
    assert loop._timeout_s() is None
