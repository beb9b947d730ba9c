"""A real arenad for tests: own ports, own runtime folder, real browsers; and what tests ask of it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0


def until(condition: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
    """Wait until the condition gives something true, and give that; fail with `what` in words."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Daemon:
    """One running arenad."""

    def __init__(self, instances: int, settings: dict[str, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="arenad-test-"))
        self.folder.chmod(0o755)
        self.runtime = self.folder / "run"
        self.state_dir = self.folder / "state"
        api, gui, demo = free_ports(3)
        self.api_url = f"http://127.0.0.1:{api}"
        self.gui_url = f"http://127.0.0.1:{gui}"
        self.demo_url = f"http://127.0.0.1:{demo}"
        config: dict[str, Any] = {
            "daemon": {
                "runtime_dir": str(self.runtime),
                "state_dir": str(self.state_dir),
                "log_level": "debug",
            },
            "fleet": {"instances": instances, "drain_timeout_s": 20},
            "api": {"listen": f"127.0.0.1:{api}"},
            "gui": {"listen": f"127.0.0.1:{gui}"},
            "demo": {"listen": f"127.0.0.1:{demo}"},
        }
        for section, fields in settings.items():
            config.setdefault(section, {}).update(fields)
        self.config_path = self.folder / "arenad.yaml"
        self.config_path.write_text(json.dumps(config))  # JSON is YAML
        self.furnish()
        self.log_path = self.folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "arenad", "--config", str(self.config_path)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def furnish(self) -> None:
        """Called once the folder is there, before the start: for those who need more in it."""

    # -- looking ------------------------------------------------------------------------------------

    def ctl(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run arenactl as an operator would."""
        command = [sys.executable, "-m", "arenactl", "--runtime-dir", str(self.runtime), *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def state(self) -> dict[str, Any]:
        """`arenactl status --json`; empty while the daemon is not there."""
        answer = self.ctl("status", "--json")
        if answer.returncode not in (0, 4):
            return {}
        return json.loads(answer.stdout)

    def children(self, role: str) -> list[dict[str, Any]]:
        return [child for child in self.state().get("children", []) if child["role"] == role]

    def child(self, name: str) -> dict[str, Any]:
        return next(c for c in self.state()["children"] if c["name"] == name)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_well(self, timeout_s: float = START_TIMEOUT_S) -> None:
        def is_well() -> bool:
            assert self.process.poll() is None, f"arenad ended:\n{self.log()}"
            return self.state().get("word") == "well"

        until(is_well, "the daemon is well", timeout_s)

    def processes(self) -> list[psutil.Process]:
        """The daemon and everything below it."""
        try:
            master = psutil.Process(self.process.pid)
            return [master, *master.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def titled(self, title: str) -> list[int]:
        """The pids of the daemon's processes with this title."""
        found: list[int] = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).strip() == title:
                    found.append(process.pid)
        return found

    def browser_of(self, name: str, kind: str = "") -> psutil.Process:
        """A process of an instance's browser: its main one, or the one of this `--type`."""
        worker = psutil.Process(self.child(name)["pid"])
        for process in worker.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                types = [word for word in words if word.startswith("--type=")]
                if types == ([f"--type={kind}"] if kind else []):
                    return process
        raise AssertionError(f"{name} has no process of type {kind!r}")

    def leftovers(self) -> list[str]:
        """Processes that have this daemon's folder in their command line or environment."""
        mark = str(self.folder)
        found: list[str] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid == os.getpid():
                    continue
                words = " ".join(process.cmdline())
                if mark in words or mark in process.environ().get("HOME", ""):
                    found.append(f"{process.pid} {words[:200]}")
        return found

    # -- ending -------------------------------------------------------------------------------------

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                process.kill()
            raise AssertionError(f"arenad did not stop:\n{self.log()[-4000:]}") from None


@contextlib.contextmanager
def running(instances: int, **settings: dict[str, Any]) -> Iterator[Daemon]:
    """A daemon that is well, stopped at the end, with nothing left of it."""
    daemon = Daemon(instances, settings)
    try:
        daemon.wait_well()
        yield daemon
    finally:
        known = daemon.processes()
        code = daemon.stop()
    assert code == 0, daemon.log()
    _, alive = psutil.wait_procs(known, timeout=5)
    assert not alive, f"left running: {alive}"
    assert not daemon.leftovers()
    shutil.rmtree(daemon.folder, ignore_errors=True)  # after a failure its log is worth keeping
