"""The notification protocol on a real datagram socket."""

import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from arenad.master.systemd import Notifier


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
    """READY, STATUS and STOPPING, one datagram each."""
    with closing(Notifier()) as notifier:
        notifier.ready()
        notifier.status("well: 2 of 2")
        notifier.stopping(90.5)
    heard = [manager.recv(4096).decode() for _ in range(3)]
    assert heard == [
        f"READY=1\nMAINPID={os.getpid()}",
        "STATUS=well: 2 of 2",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=90500000",
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
