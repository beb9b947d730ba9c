"""The whole master as an operator meets it: start, deaths of its processes, the way out."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_daemon import SmallDaemon, small_daemon, until

EXIT_CONFIG = 78


def served(port: int) -> bytes:
    """Connect and ask; the connection must be taken, the answer may take its time."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as end:
        end.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return end.recv(4096)


def open_files(pid: int) -> list[str]:
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]


def test_the_way_out_leaves_nothing(tmp_path: Path):
    """SIGTERM: exit 0, every process gone, the control socket too."""
    with small_daemon() as daemon:
        known = daemon.processes()
        assert len(known) in (5, 6)  # master, zygote, recorder, demo, frontend, and soon a blank
        assert daemon.stop() == 0
        assert not daemon.control.exists()
        assert "stopped; nothing is left running" in daemon.log()
    assert not any(process.is_running() for process in known)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start(tmp_path: Path, number: signal.Signals):
    """A stop before anybody is ready is as clean as one afterwards."""
    daemon = SmallDaemon(tmp_path)
    daemon.start()
    until(daemon.control.exists)
    known = until(lambda: len(found := daemon.processes()) > 1 and found)
    daemon.process.send_signal(number)
    code = daemon.process.wait(30)
    assert code in (0, -number), daemon.log()
    _, alive = psutil.wait_procs(known, timeout=10)
    assert not alive


def test_a_second_daemon_in_the_same_folder_is_refused():
    """It says which field is at fault, and the first one does not notice."""
    with small_daemon() as daemon:
        second = subprocess.run(
            [sys.executable, "-m", "arenad", "--config", str(daemon.config)],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert second.returncode == EXIT_CONFIG
        assert "daemon.runtime_dir: another arenad runs in" in second.stderr
        assert daemon.state().pid == daemon.process.pid


def test_a_port_in_use_is_named(tmp_path: Path):
    """Every address that cannot be had is named by its field at once."""
    daemon = SmallDaemon(tmp_path)
    with (
        socket.create_server(("127.0.0.1", daemon.api)),
        socket.create_server(("127.0.0.1", daemon.gui)),
    ):
        daemon.start()
        assert daemon.process.wait(30) == EXIT_CONFIG
    assert f"api.listen: cannot listen at 127.0.0.1:{daemon.api}" in daemon.log()
    assert "gui.listen: cannot listen" in daemon.log()


def test_a_killed_zygote_is_replaced_and_nobody_notices():
    """Running children keep their processes; the next birth comes from the next zygote."""
    with small_daemon() as daemon:
        before = {child.name: child.pid for child in daemon.state().children}
        old = daemon.zygote()
        os.kill(old, signal.SIGKILL)
        until(lambda: daemon.zygote() not in (0, old))
        assert {child.name: child.pid for child in daemon.state().children} == before
        os.kill(before["demo"], signal.SIGKILL)
        until(lambda: daemon.pid("demo") not in (0, before["demo"]))


@pytest.mark.parametrize("name", ["frontend-1", "demo"])
def test_a_killed_child_is_replaced(name: str):
    """A new generation is ready, and the story tells what happened."""
    with small_daemon() as daemon:
        before = daemon.pid(name)
        os.kill(before, signal.SIGKILL)
        until(lambda: daemon.pid(name) not in (0, before))
        (child,) = [child for child in daemon.state().children if child.name == name]
        assert (child.generation, child.restarts) == (2, 1)
        assert child.last_death == "killed by SIGKILL"
        told = [line.text for line in daemon.state().story if line.about == name]
        assert told[-4:] == [
            "died: killed by SIGKILL",
            "will be started again in 0.0 s",
            "starting (generation 2)",
            "ready",
        ]


def test_a_frontends_death_refuses_nobody():
    """Connections made while there is no frontend wait, and are served by the next one."""
    with small_daemon() as daemon:
        frontend = daemon.pid("frontend-1")
        os.kill(daemon.zygote(), signal.SIGSTOP)  # no new frontend for now
        if blank := daemon.titled("arenad: blank"):
            os.kill(blank, signal.SIGKILL)
        os.kill(frontend, signal.SIGKILL)
        until(lambda: daemon.pid("frontend-1") == 0)
        with socket.create_connection(("127.0.0.1", daemon.api), timeout=30) as end:
            end.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            os.kill(daemon.zygote(), signal.SIGCONT)
            assert end.recv(4096).startswith(b"HTTP/1.1 ")


def test_nobody_is_kept_waiting_once_the_way_out_has_begun():
    """When the drain begins, new connections are refused rather than left in a queue."""
    with small_daemon(fleet={"instances": 0, "drain_timeout_s": 60}) as daemon:
        assert served(daemon.api).startswith(b"HTTP/1.1 ")
        frontend = daemon.pid("frontend-1")
        os.kill(frontend, signal.SIGSTOP)  # it does not even hear of the drain: ours must be closed
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: daemon.state().word == "stopping")
        sockets = psutil.Process(daemon.process.pid).net_connections("inet")
        assert {end.laddr.port for end in sockets if end.status == "LISTEN"} == {daemon.demo}
        os.kill(frontend, signal.SIGCONT)
        daemon.process.wait(30)
    with pytest.raises(ConnectionRefusedError):
        served(daemon.api)


def test_a_second_signal_hurries():
    """A drain that would last is cut off: the stopped frontend is killed at its deadline."""
    with small_daemon(
        fleet={"instances": 0, "drain_timeout_s": 600}, life={"stop_timeout_s": 0.3}
    ) as daemon:
        os.kill(daemon.pid("frontend-1"), signal.SIGSTOP)
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: daemon.state().word == "stopping")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(30) == 0
        assert "asked again to stop" in daemon.log()


def test_a_stopped_zygote_does_not_hold_up_the_way_out():
    """SIGKILL ends what no longer reads."""
    with small_daemon() as daemon:
        os.kill(daemon.zygote(), signal.SIGSTOP)
        assert daemon.stop() == 0


def test_a_killed_master_leaves_nothing():
    """The kernel ends every child; the next daemon finds a free folder."""
    with small_daemon() as daemon:
        known = daemon.processes()
        daemon.process.kill()
        daemon.process.wait(30)
        _, alive = psutil.wait_procs(known, timeout=10)
        assert not alive
        daemon.start()
        daemon.wait_up()


def test_children_have_only_their_own_descriptors():
    """A frontend has its link and two listeners of ours; nothing of master, zygote or sibling."""
    with small_daemon() as daemon:
        names = {"frontend-1": {daemon.api, daemon.gui}, "demo": {daemon.demo}}
        for name, ports in names.items():
            process = psutil.Process(daemon.pid(name))
            listening = {end.laddr.port for end in process.net_connections("inet")}
            assert listening == ports
            assert str(daemon.runtime) not in open_files(process.pid)
        zygote = daemon.zygote()
        assert len(open_files(zygote)) == 4
        assert psutil.Process(zygote).num_threads() == 1
        assert psutil.Process(daemon.process.pid).num_threads() == 1


def test_systemd_hears_ready_though_no_instance_is(tmp_path: Path):
    """READY comes with the frontends; the status says how it stands; STOPPING with any stop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        daemon = SmallDaemon(tmp_path)
        daemon.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        daemon.start()
        heard: list[str] = []
        while not any("READY=1" in each for each in heard):
            heard.append(manager.recv(4096).decode())
        assert heard[0].startswith("STATUS=starting: ")
        asked = time.monotonic()
        assert daemon.stop() == 0
        while not any("STOPPING=1" in each for each in heard):
            assert time.monotonic() - asked < 30
            heard.append(manager.recv(4096).decode())
        assert "arenad is ready" not in daemon.log()
